"""Where a sweep here differs from the same sweep at W&B, and why; what this package does and is not listed is equal."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One difference.

    Args:
        wandb: what happens there: in the server's schema, the client, the engine or the agent.
        here: what happens here.
    """

    key: str
    wandb: str
    here: str
    reason: str


DIFFERENCES = (
    # Configurations that W&B's schema accepts and that are refused here, before anything runs.
    Difference(
        "key-twice",
        "The first of two equal keys is dropped silently.",
        "Refused, with both lines.",
        "A setting would be lost unseen; YAML itself forbids it.",
    ),
    Difference(
        "not-json",
        "The client fails on a date, or on an alias inside what it stands for.",
        "Refused, with the line.",
        "The client never gets as far as the server.",
    ),
    Difference(
        "name-not-text",
        "A parameter named 1 or on passes the schema; the engine then fails, the client turns the name into text.",
        "Refused, with the line.",
        "No program is given the name that was written.",
    ),
    Difference(
        "ambiguous-bounds",
        "Bounds of which only one is whole: the engine takes them for uniform, the client refuses them.",
        "Refused at the top level, as by the client; a warning inside a group, where the client does not look.",
        "The same file has to mean the same everywhere.",
    ),
    Difference(
        "bounds-in-a-group",
        "min not less than max inside a group passes the schema; suggesting a point fails.",
        "Refused, as at the top level.",
        "The sweep could not suggest anything.",
    ),
    Difference(
        "probabilities-in-a-group",
        "Probabilities that do not add up to 1, or are too few, pass the schema inside a group.",
        "Refused, as at the top level.",
        "Some values would come too often, or never.",
    ),
    Difference(
        "dotted-and-nested",
        "a.b, and b inside the group a, are two parameters.",
        "Refused.",
        "Both stand for the same place of an experiment.",
    ),
    Difference(
        "not-finite",
        "NaN and infinity pass the schema as bounds, means, targets and eta.",
        "Refused; so are bounds whose difference or power is beyond a float.",
        "Suggestions would be NaN or infinite, and comparisons always false.",
    ),
    Difference(
        "no-spread",
        "sigma, a or b of 0 pass the schema; all suggestions are NaN.",
        "Refused.",
        "A run cannot be started with NaN.",
    ),
    Difference(
        "grid-of-a-range",
        "A grid over a continuous distribution, or over probabilities, passes the schema; suggesting fails.",
        "Refused, with the remedy.",
        "The sweep could not suggest anything.",
    ),
    Difference(
        "custom",
        "`method: custom`, and a `scheduler` with code of its own, are left to a scheduler of the user.",
        "Refused.",
        "There is nothing here that could run them.",
    ),
    Difference(
        "no-metric",
        "`method: bayes` and `early_terminate` pass the schema without `metric`; the engine fails.",
        "Refused.",
        "There is nothing to compare runs by.",
    ),
    Difference(
        "nothing-to-search",
        "`method: bayes` over constants passes the schema; the engine fails.",
        "Refused.",
        "There is nothing to suggest.",
    ),
    Difference(
        "hyperband-s",
        "An s of 2.0 or 2.5 passes the schema; early termination fails.",
        "Refused.",
        "No run would ever be stopped.",
    ),
    Difference(
        "hyperband-without-s",
        "min_iter and max_iter without s pass the schema; early termination fails.",
        "Refused.",
        "No run would ever be stopped.",
    ),
    Difference(
        "hyperband-without-bands",
        "A max_iter too small for any band, or bands beyond a float, pass the schema; early termination fails.",
        "Refused.",
        "No run would ever be stopped.",
    ),
    # What is told and kept of a configuration.
    Difference(
        "told-once",
        "A violation of bounds is listed twice, a malformed parameter in two sentences.",
        "One sentence a problem, with its line.",
        "The verdict is the same.",
    ),
    Difference(
        "groups-kept",
        "The engine's own class for a configuration loses groups of parameters when it fills in defaults.",
        "Groups are kept.",
        "Their parameters would not be searched.",
    ),
    # Points.
    Difference(
        "plain-values",
        "Some suggestions are numpy numbers.",
        "Plain Python values, equal to the last bit.",
        "They are written as JSON and YAML.",
    ),
    Difference(
        "seeded",
        "Random search draws from the process' generator.",
        "Value = quantile(share), the share a function of seed, trial and parameter.",
        "The same seed gives the same sweep, also after it was resumed.",
    ),
    Difference(
        "ends-of-a-range",
        "At the shares 0 and 1 a quantile can leave its range, be infinite, or wrap around to the lowest whole number.",
        "The same, but infinite instead of wrapped; and a search never goes to 0 or 1.",
        "No run should get such a value.",
    ),
    Difference(
        "beta-tail",
        "Near a share of 0 the engine's quantile of a beta distribution can fail and be too small by powers of ten.",
        "The quantile.",
        "It comes from another function of SciPy, which is right there and equal elsewhere.",
    ),
    Difference(
        "above-the-sum",
        "Above the sum of the probabilities, which may be 0.99999, the first value comes.",
        "The last value that can come at all.",
        "The first one has nothing to do with it.",
    ),
    Difference(
        "failed-points",
        "A grid point counts as done by a run in any state; what failed is never tried again.",
        "A run that crashed starts again from its checkpoint (--retries); what failed for good, with --retry-failed.",
        "What failed by accident would be missing from the results.",
    ),
    Difference(
        "group-overwritten",
        "A run that replaced a group of its configuration by a number makes the grid fail.",
        "That run stands for no point.",
        "One run must not end the sweep.",
    ),
    # What a bayes search learns.
    Difference(
        "falsy-values",
        "false, 0 and '' are encoded as the first value of a categorical parameter.",
        "As the value they are; true and 1 are two values.",
        "Different points would look equal.",
    ),
    Difference(
        "probabilities-in-bayes",
        "A parameter with probabilities makes bayes search fail after its first run.",
        "Encoded by its cumulative probability.",
        "The search can go on.",
    ),
    Difference(
        "foreign-values",
        "A run with a value that is not listed makes bayes search fail.",
        "The run is left out.",
        "A run made by hand must not end the sweep.",
    ),
    Difference(
        "bayes-model",
        "Bayes suggestions come from a Gaussian process with expected improvement, drawn anew each time.",
        "They come from Optuna's samplers (TPE; GP where installed) or CMA-ES, a function of seed and history.",
        "A sweep gives the same suggestions after any restart; what is learned from (values, imputation) is W&B's.",
    ),
    Difference(
        "no-repeats",
        "Random and bayes suggest points again, also in a finite space, and never end by themselves.",
        "No point comes twice in a finite space, and the sweep ends when all were tried (--allow-repeats).",
        "The same spec gives the same result; seeds are repeated with --seeds.",
    ),
    # While runs are under way.
    Difference(
        "judged-at-once",
        "Runs are judged every few minutes, by a history that is uploaded every 15 s.",
        "At each report, by the same rule.",
        "The history is here already; a run that is to be stopped costs less.",
    ),
    Difference(
        "no-program",
        "The agent starts None where the command has ${program} and the sweep no `program`.",
        "Refused.",
        "It cannot work.",
    ),
    Difference(
        "no-agent",
        "The agent starts `program` with the arguments of `command`.",
        "Without an agent every trial is a run of this project. Fixed arguments that are a spec, or override one "
        "(--train_args.epochs=1), count under the point's values; a warning names another program and all "
        "other arguments.",
        "The same file has to run everywhere.",
    ),
)


def differences_table() -> str:
    """The list as a Markdown table, for the documentation."""
    rows = [f"| {item.wandb} | {item.here} | {item.reason} |" for item in DIFFERENCES]
    return "\n".join(["| W&B | here | because |", "|---|---|---|", *rows]) + "\n"

"""What the stand-in of the W&B backend suggests to sweeps, and warns them of, unless a test says otherwise."""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from typing import Any

from training.tests.wandb.wandb_backend_records import StoredSweep, UnknownRequestError


def suggest_grid(sweep: StoredSweep) -> dict[str, Any] | None:
    """The first point, in W&B's order, that no run stands for, whatever its state."""
    if sweep.config.get("method") != "grid":
        raise UnknownRequestError(f"suggestions for method {sweep.config.get('method')}: the test must bring them")
    done = [run.config for run in (*sweep.prior_runs, *sweep.runs)]
    return next((point for point in _grid(sweep.config["parameters"]) if not any(map(_within(point), done))), None)


def _grid(parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    names = sorted(parameters)
    for values in product(*(list(_choices(parameters[name])) for name in names)):
        yield dict(zip(names, values, strict=True))


def _choices(parameter: Mapping[str, Any]) -> Iterator[Any]:
    if "parameters" in parameter:
        yield from _grid(parameter["parameters"])
    elif "values" in parameter:
        yield from parameter["values"]
    elif "value" in parameter:
        yield parameter["value"]
    elif isinstance(parameter.get("min"), int) and isinstance(parameter.get("max"), int) and "q" not in parameter:
        yield from range(parameter["min"], parameter["max"] + 1)
    else:
        raise UnknownRequestError(f"a grid over {dict(parameter)}: the test must bring its suggestions")


def _within(point: Any) -> Callable[[Any], bool]:
    """Whether a configuration has the values of a point; it may have more."""

    def has_it(config: Any) -> bool:
        if not isinstance(point, Mapping):
            return bool(config == point) and isinstance(config, bool) == isinstance(point, bool)
        return isinstance(config, Mapping) and all(
            name in config and _within(value)(config[name]) for name, value in point.items()
        )

    return has_it


def suggest_ours(seed: int) -> Callable[[StoredSweep], dict[str, Any] | None]:
    """Suggestions of the sweeps in this project, grid and random, for a backend that shall agree with them."""

    def suggest(sweep: StoredSweep) -> dict[str, Any] | None:
        from training.sweeps.file.config import SweepConfig

        config = SweepConfig.from_yaml(sweep.text)
        if config.method == "random":
            return config.space.random_point(seed, len(sweep.runs))
        if config.method != "grid":
            raise UnknownRequestError(f"suggestions for method {config.method}: the test must bring them")
        done = {config.space.point_key(run.config) for run in (*sweep.prior_runs, *sweep.runs)}
        return next((point for point in config.space.grid if config.space.point_key(point) not in done), None)

    return suggest


def warn_of_the_obvious(config: Mapping[str, Any]) -> list[str]:
    """Warnings in the manner of W&B's schema about the keys every sweep needs; a test may bring better ones."""
    warnings = []
    if config.get("method") not in ("bayes", "random", "grid", "custom"):
        warnings.append(f"{config.get('method')!r} is not one of ['bayes', 'random', 'grid', 'custom']")
    if not config.get("parameters"):
        warnings.append("'parameters' is a required property")
    return warnings

"""Stopping rules: decide which running trials to stop early.

To add a rule: one file with a subclass of `StoppingRule`, and one line here; or an entry point.
"""

from text_recognizer.registry import add_kind

# By the `type` of `early_terminate`; --stopping-rule accepts any of them, or an external one.
STOPPING_RULES = {
    "hyperband": "training.sweeps.stopping_rules.hyperband:Hyperband",
    "successive_halving": "training.sweeps.stopping_rules.successive_halving:SuccessiveHalving",
}
add_kind("stopping_rule", STOPPING_RULES, "training.sweeps.stopping_rules.base:StoppingRule", given=("goal",))

"""Stopping rules: which running trials are not worth going on with.

A further rule is one file with a subclass of `StoppingRule`, and one line here; or an entry point.
"""

from text_recognizer.registry import add_kind

# By the `type` of `early_terminate`; --stopping-rule names any of them, or one from outside.
STOPPING_RULES = {
    "hyperband": "training.sweeps.stopping_rules.hyperband:Hyperband",
    "successive_halving": "training.sweeps.stopping_rules.successive_halving:SuccessiveHalving",
}
add_kind("stopping_rule", STOPPING_RULES, "training.sweeps.stopping_rules.base:StoppingRule", given=("goal",))

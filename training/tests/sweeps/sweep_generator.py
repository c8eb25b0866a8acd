"""Sweeps, parameters, grids and histories at random: right ones, and wrong ones made from them by small mistakes."""

import copy
import math
import random
from typing import Any

BOUNDED = ["uniform", "q_uniform", "log_uniform_values", "q_log_uniform_values", "inv_log_uniform_values"]
EXPONENTS = ["log_uniform", "q_log_uniform", "inv_log_uniform"]
SHAPED = ["normal", "q_normal", "log_normal", "q_log_normal", "beta", "q_beta"]
LISTED = ["constant", "categorical", "categorical_w_probabilities"]
DISTRIBUTIONS = [*BOUNDED, *EXPONENTS, *SHAPED, *LISTED, "int_uniform"]
# At the top level of a sweep W&B's schema refuses bounds that are exponents: one such among many is enough.
COMMON = [*BOUNDED, *SHAPED, *LISTED, "int_uniform", "int_uniform", "uniform", "categorical", "log_uniform"]

NAMES = ["lr", "a", "B", "opt", "net.units", "a-b", "a_b", "_x", "a.b", "Z9", "batch_size"]
JUNK: list[Any] = [
    0,
    1,
    -1,
    2.0,
    0.5,
    -0.25,
    1e-5,
    10**20,
    math.nan,
    math.inf,
    True,
    False,
    None,
    "1e-5",
    "x",
    "",
    "3",
    [],
    [1],
    {},
    {"a": 1},
]
VALUES: list[Any] = [
    1,
    1.0,
    True,
    "1",
    0,
    0.0,
    False,
    "",
    "a",
    "b",
    None,
    2,
    2.5,
    3,
    -1,
    [1, 2],
    [1.0, 2],
    {"k": 1},
    {"k": 1.0, "l": [0]},
]
STATES = ["finished", "failed", "crashed", "killed", "running", "pending", "preempted"]


class Generator:
    """Everything it makes follows from the seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def some_of(self, items: list[Any], low: int, high: int) -> list[Any]:
        return [self.random.choice(items) for _ in range(self.random.randint(low, high))]

    def parameter(self, distribution: str | None = None) -> dict[str, Any]:
        """A parameter that is right, also beyond the schema."""
        distribution = distribution or self.random.choice(DISTRIBUTIONS)
        config: dict[str, Any] = {"distribution": distribution}
        if distribution in LISTED:
            config |= self._listed(distribution)
        elif distribution == "int_uniform":
            low = self.random.choice([0, 1, -3, 5, 10**6, -(10**12)])
            config |= {"min": low, "max": low + self.random.choice([1, 2, 6, 9, 1000, 10**9])}
        elif distribution in SHAPED:
            config |= self._shaped(distribution)
        else:
            config |= self._bounds(distribution)
        if distribution.startswith("q_") and self.chance(0.8):
            config["q"] = self.random.choice([1, 2, 4, 8, 0.1, 0.25, 1.0, 3.0, 0.3])
        if distribution in (*LISTED, "int_uniform") and self.chance(0.5):
            del config["distribution"]
        if (
            distribution == "uniform"
            and all(isinstance(config[key], float) for key in ("min", "max"))
            and self.chance(0.5)
        ):
            del config["distribution"]
        return config

    def _listed(self, distribution: str) -> dict[str, Any]:
        if distribution == "constant":
            return {"value": self.random.choice(VALUES)}
        values = self.some_of(VALUES, 1, 5)
        if distribution == "categorical":
            return {"values": values}
        weights = [self.random.choice([0, 1, 1, 2, 5]) for _ in values]
        weights[0] += not any(weights)
        return {"values": values, "probabilities": [weight / sum(weights) for weight in weights]}

    def _shaped(self, distribution: str) -> dict[str, Any]:
        first, second = ("a", "b") if "beta" in distribution else ("mu", "sigma")
        settings: dict[str, Any] = {}
        if self.chance(0.7):
            settings[first] = self.random.choice([1, 2, 0.5, 3.25] + ([0, -1.5] if first == "mu" else []))
        if self.chance(0.7):
            settings[second] = self.random.choice([1, 2, 0.5, 0.125])
        return settings

    def _bounds(self, distribution: str) -> dict[str, Any]:
        if "values" in distribution:
            low = self.random.choice([1e-5, 0.01, 1, 2.0, 32])
            return {"min": low, "max": low * self.random.choice([2, 8, 1000, 1.5])}
        low = self.random.choice(
            [0, 0.0, -2, 1.0, 0.125, -5.5] if distribution in EXPONENTS else [0, 0.0, -10, 1, 3.5, 1e6]
        )
        return {"min": low, "max": low + self.random.choice([1, 5, 0.5, 2.75])}

    def config(self) -> dict[str, Any]:
        """A sweep, right or with up to three mistakes."""
        config: dict[str, Any] = {"method": self.random.choice(["grid", "random", "bayes", "custom"])}
        config["parameters"] = self._group(depth=0)
        if self.chance(0.4):
            config["metric"] = self._metric()
        if self.chance(0.3):
            config["early_terminate"] = self._early_terminate()
        for key, values in _TOP_LEVEL.items():
            if self.chance(0.04):
                config[key] = self.random.choice(values)
        for _ in range(self.random.choice([0, 0, 1, 1, 1, 2, 3])):
            self._make_a_mistake(config)
        return config

    def _group(self, depth: int) -> dict[str, Any]:
        group: dict[str, Any] = {}
        for name in self.random.sample(NAMES, self.random.choice([1, 1, 1, 2, 3])):
            if depth < 2 and self.chance(0.12):
                group[name] = {"parameters": self._group(depth + 1)}
            else:
                group[name] = self.parameter(self.random.choice(COMMON))
        return group

    def _metric(self) -> dict[str, Any]:
        metric: dict[str, Any] = {"name": "val_loss"}
        options: dict[str, list[Any]] = {
            "goal": ["minimize", "maximize"],
            "target": [0.1, 1],
            "impute": ["latest", "best", "worst"],
            "impute_while_running": ["latest", "false"],
        }
        return metric | {key: self.random.choice(values) for key, values in options.items() if self.chance(0.3)}

    def _early_terminate(self) -> dict[str, Any]:
        rule: dict[str, Any] = {"type": "hyperband"}
        if self.chance(0.6):
            rule["min_iter"] = self.random.choice([1, 2, 3, 5, 3.0])
        else:
            rule |= {"max_iter": self.random.choice([9, 27, 100, 81.0, 5]), "s": self.random.choice([1, 2, 3, 7])}
        if self.chance(0.5):
            rule["eta"] = self.random.choice([2, 3, 4, 1.5, 1.2, 2.0])
        if self.chance(0.5):
            rule["strict"] = self.random.choice([True, False])
        return rule

    def _make_a_mistake(self, config: dict[str, Any]) -> None:
        """Changes one mapping in the configuration: a key lost, misspelt or foreign, or another value."""
        places = [config, *_mappings(config)]
        place = self.random.choice(places)
        keys = list(place)
        kind = self.random.choice(["lose", "misspell", "add", "replace", "replace", "shift"])
        if kind == "add" or not keys:
            place[self.random.choice(_FOREIGN_KEYS)] = copy.deepcopy(self.random.choice(JUNK))
            return
        key = self.random.choice(keys)
        if kind == "lose":
            del place[key]
        elif kind == "misspell":
            place[self.random.choice([key[:-1], key + "s", key.upper(), f"{key} "])] = place.pop(key)
        elif kind == "replace":
            place[key] = copy.deepcopy(self.random.choice(JUNK))
        elif isinstance(place[key], (int, float)):
            place[key] += self.random.choice([-2, -1, 1, 10, 0.5])

    def shares(self, count: int) -> list[float]:
        """Shares strictly between 0 and 1, the awkward ones among them."""
        awkward = [0.5, 0.25, 1 / 3, 2 / 3, 0.1, 0.7, 1e-9, 1 - 1e-9, 1 / 7, 3 / 7, 0.999]
        return [
            self.random.choice(awkward) if self.chance(0.4) else self.random.uniform(1e-12, 1) for _ in range(count)
        ]

    def grid(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A sweep over a grid of at most some hundred points, and runs that went before."""
        parameters = self._grid_group(depth=0)
        nested = any("parameters" in config for config in parameters.values())
        # The release does not recognise runs of a sweep with groups, so there are none.
        prior = [] if nested else [self._prior_point(parameters) for _ in range(self.random.choice([0, 0, 1, 3, 8]))]
        return {"method": "grid", "parameters": parameters}, prior

    def _grid_group(self, depth: int) -> dict[str, Any]:
        group: dict[str, Any] = {}
        for name in self.random.sample(
            NAMES, self.random.choice([1, 2, 3]) if depth == 0 else self.random.choice([1, 2])
        ):
            if depth < 2 and self.chance(0.2):
                group[name] = {"parameters": self._grid_group(depth + 1)}
                continue
            kind = self.random.choice(["constant", "categorical", "categorical", "int_uniform", "q_uniform"])
            group[name] = self.parameter(kind)
            if kind == "int_uniform":
                low = self.random.choice([-2, 0, 1, 7])
                group[name] = {"min": low, "max": low + self.random.choice([1, 2, 4])}
            elif kind == "q_uniform":
                group[name] = self._stepped()
        return group

    def _stepped(self) -> dict[str, Any]:
        low = self.random.choice([0, 0.0, 1, -1, 0.05])
        settings = {"min": low, "max": low + self.random.choice([1, 0.7, 2, 1.0])}
        if self.chance(0.8):
            settings["q"] = self.random.choice([0.1, 0.25, 0.3, 1, 0.2, 5])
        return {"distribution": "q_uniform", **settings}

    def _prior_point(self, parameters: dict[str, Any]) -> dict[str, Any]:
        point = {}
        for name, config in parameters.items():
            if self.chance(0.95):
                values = config.get("values") or [config.get("value", config.get("min"))]
                point[name] = self.random.choice(VALUES) if self.chance(0.2) else self.random.choice(values)
        return point

    def histories(self) -> tuple[dict[str, Any], str, list[str], list[list[Any]]]:
        """A hyperband rule, a goal, and runs with their states and histories; at least one runs."""
        count = self.random.randint(1, 12)
        states = ["running", *self.some_of(STATES, count - 1, count - 1)]
        histories = [
            [self._report() for _ in range(self.random.choice([0, 1, 2, 3, 5, 9, 14, 30]))] for _ in range(count)
        ]
        return self._early_terminate(), self.random.choice(["minimize", "maximize"]), states, histories

    def _report(self) -> Any:
        if self.chance(0.04):
            return self.random.choice([math.nan, math.inf, -math.inf, True, None, "0.5"])
        return self.random.randint(0, 4) if self.chance(0.3) else round(self.random.random(), 3)

    def learning(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """A bayes sweep without groups, and runs of it."""
        names = self.random.sample(NAMES, self.random.choice([1, 2, 3]))
        kinds = [kind for kind in DISTRIBUTIONS if kind not in ("categorical_w_probabilities", "constant")]
        parameters = {name: self.parameter(self.random.choice(kinds)) for name in names}
        for config in parameters.values():
            if "values" in config:
                config["values"] = ["a", "b", "c", 7][: self.random.randint(1, 4)]
        metric = {"name": "m", "goal": self.random.choice(["minimize", "maximize"])}
        if self.chance(0.7):
            metric["impute"] = self.random.choice(["latest", "best", "worst"])
        runs = [
            {
                "state": self.random.choice(STATES),
                "point": {name: self._value_of(config) for name, config in parameters.items() if self.chance(0.95)},
                "history": [self._report() for _ in range(self.random.choice([0, 1, 4]))],
            }
            for _ in range(self.random.randint(1, 6))
        ]
        return {"method": "bayes", "metric": metric, "parameters": parameters}, runs

    def _value_of(self, config: dict[str, Any]) -> Any:
        if "values" in config:
            return self.random.choice(config["values"])
        if "min" in config and config.get("distribution") not in EXPONENTS:
            width = config["max"] - config["min"]
            return config["min"] + (
                self.random.randint(0, width) if isinstance(width, int) else self.random.random() * width
            )
        return self.random.choice([0.5, 1, 2.25, 0.01])


def _mappings(value: Any) -> list[dict[str, Any]]:
    """All mappings inside a value; the outer ones twice, so that they are changed more often."""
    if isinstance(value, dict):
        inner = [mapping for item in value.values() for mapping in _mappings(item)]
        return [*(item for item in value.values() if isinstance(item, dict)), *inner]
    return []


_FOREIGN_KEYS = [
    "q", "mu", "sigma", "min", "max", "value", "values", "probabilities", "parameters", "distribution", "a", "b",
    "seed", "settings", "goal", "s", "eta", "max_iter", "min_iter", "type", "metric", "early_terminate", "run_cap",
]  # fmt: skip
_TOP_LEVEL: dict[str, list[Any]] = {
    "name": ["n", "", 3, None],
    "description": ["d", 1.5],
    "program": ["train.py", 1, None],
    "project": ["p", []],
    "entity": ["e", False],
    "command": [[], ["a"], ["${program}", 1], "python t.py", {}],
    "kind": ["sweep", "run", None],
    "apiVersion": ["1", 1],
    "controller": [{"type": "local"}, {"type": "cloud", "more": 1}, {"type": "other"}, {}, "local", {"type": 1}],
    "run_cap": [1, 2.0, 0, -1, 2.5, "3", True, None, math.inf],
    "job": ["j", 1],
    "image_uri": ["i", 1],
}

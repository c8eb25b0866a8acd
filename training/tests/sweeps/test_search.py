import importlib.metadata
import importlib.util
import math

import pytest

from text_recognizer.errors import SpecError
from training.sweeps.file.config import Metric
from training.sweeps.plan_file import read_plan
from training.sweeps.results.study import parameter_importance, study_of
from training.sweeps.search.base import PastTrial, make_search
from training.sweeps.search.bayes import TPE_SETTINGS, BayesSearch, check_sampler

SPACE = """
method: {method}
metric: {{name: val_loss, goal: minimize}}
parameters:
  dataset: {{value: DigitsDataset}}
  model: {{value: CharacterModel}}
  network: {{values: [mlp, lenet]}}
  network_args.layer_size: {{min: 1, max: 100}}
  train_args.learning_rate: {{distribution: log_uniform_values, min: 0.0001, max: 1.0}}
"""
FINITE = """
method: {method}
metric: {{name: val_loss, goal: minimize}}
parameters:
  network: {{values: [mlp, lenet]}}
  network_args.layer_size: {{min: 1, max: 3}}
  seed: {{value: 1}}
"""


@pytest.fixture
def search(tmp_path):
    def make(text, **options):
        (tmp_path / "sweep.yaml").write_text(text)
        allow = options.pop("allow_repeats", False)
        return make_search(read_plan(tmp_path / "sweep.yaml", **options), allow)

    return make


def worth(point):
    """Best at 40 units and a rate of 0.01."""
    return abs(point["network_args.layer_size"] - 40) / 40 + abs(math.log10(point["train_args.learning_rate"]) + 2)


def ask_all(made, count, tell_values=True):
    points = []
    for number in range(1, count + 1):
        suggestion = made.ask(number)
        if suggestion is None:
            break
        points.append(suggestion.point)
        values = [worth(suggestion.point)] if tell_values else []
        made.tell(PastTrial(number, suggestion.point, "finished" if values else "running", values))
    return points


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_the_same_seed_and_history_give_the_same_suggestions_after_any_restart(method, search):
    text = SPACE.format(method=method)
    whole = ask_all(search(text, seed=3), 12)
    for restart in (1, 6, 11):
        again = search(text, seed=3)
        for number, point in enumerate(whole[:restart], start=1):
            again.tell(PastTrial(number, point, "finished", [worth(point)]))
        assert again.ask(restart + 1).point == whole[restart]
    assert ask_all(search(text, seed=4), 3) != whole[:3]


def test_bayes_learns_where_the_good_values_are(search):
    early, late = 0.0, 0.0
    for seed in range(5):
        points = ask_all(search(SPACE.format(method="bayes"), seed=seed), 40)
        early += sum(map(worth, points[:5])) / 5
        late += sum(map(worth, points[-10:])) / 10
    assert late < 0.7 * early  # less than half of it, usually; random search: about as much


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_in_a_finite_space_no_point_comes_twice_and_all_come(method, search):
    made = search(FINITE.format(method=method))
    points: list[dict[str, object]] = []
    while (suggestion := made.ask(len(points) + 1)) is not None:
        points.append(suggestion.point)
        made.tell(PastTrial(len(points), suggestion.point, "finished", [float(len(points))]))
    assert len(points) == 6
    assert len({(point["network"], point["network_args.layer_size"]) for point in points}) == 6


def test_points_may_come_again_when_asked_to(search):
    made = search(FINITE.format(method="random"), allow_repeats=True)
    points = [made.ask(number).point for number in range(1, 20)]
    assert len({repr(point) for point in points}) < 19


def test_running_trials_keep_others_away(search):
    made = search(SPACE.format(method="bayes"))
    for number in range(1, 8):
        point = made.ask(number).point
        made.tell(PastTrial(number, point, "finished", [worth(point)]))
    first = made.ask(8).point
    made.tell(PastTrial(8, first, "running"))
    assert made.ask(9).point != first


def test_failed_trials_count_as_the_worst_and_do_not_break_the_search(search):
    networks: list[str] = []
    for seed in range(8):
        made = search(SPACE.format(method="bayes"), seed=seed)
        for number in range(1, 15):
            point = made.ask(number).point
            failed = point["network"] == "lenet"
            made.tell(PastTrial(number, point, "failed" if failed else "finished", [] if failed else [worth(point)]))
        networks += [made.ask(number).point["network"] for number in range(15, 25)]
    assert networks.count("mlp") >= 50  # about 65 of the 80, usually; random search: 40


def test_known_points_are_tried_first(search):
    point = {"network": "lenet", "network_args.layer_size": 2}
    for method in ("grid", "random", "bayes"):
        made = search(FINITE.format(method=method), enqueued=[point])
        first = made.ask(1)
        assert (first.point["network"], first.point["network_args.layer_size"]) == ("lenet", 2)
        assert first.how == {"enqueued": 1}
        made.tell(PastTrial(1, first.point, "finished", [1.0]))
        seen = {1: repr(first.point)}
        while (suggestion := made.ask(len(seen) + 1)) is not None:
            seen[len(seen) + 1] = repr(suggestion.point)
            made.tell(PastTrial(len(seen), suggestion.point, "finished", [1.0]))
        assert len(seen) == len(set(seen.values())) == 6


def test_a_very_long_history_is_thinned_but_keeps_the_best(search):
    made = search(SPACE.format(method="bayes"))
    assert isinstance(made, BayesSearch)
    for number in range(1, 3001):
        point = made.space.random_point(0, number)
        made.tell(PastTrial(number, point, "finished", [worth(point)]))
    modelled = made._modelled()
    assert 200 < len(modelled) <= 250
    best = min(made._trials.values(), key=lambda trial: trial.values[0])
    assert best in modelled


def test_trials_under_way_are_all_modelled_however_many_they_are(search):
    made = search(SPACE.format(method="bayes"))
    for number in range(1, 302):
        made.tell(PastTrial(number, made.space.random_point(0, number), "running", [1.0]))
    assert made.ask(302) is not None
    assert len(made._modelled()) == 301


def test_samplers_say_what_they_need():
    check_sampler("tpe")
    with pytest.raises(SpecError, match="unknown sampler 'tp'"):
        check_sampler("tp")
    if importlib.util.find_spec("cmaes") is None:
        with pytest.raises(SpecError, match="needs the package cmaes: pip install cmaes"):
            check_sampler("cmaes")


@pytest.mark.parametrize("sampler", ["gp", "cmaes"])
def test_other_samplers_work_where_their_packages_are(sampler, search):
    if importlib.util.find_spec({"gp": "torch", "cmaes": "cmaes"}[sampler]) is None:
        pytest.skip(f"the package for the sampler {sampler} is not installed")
    assert len(ask_all(search(SPACE.format(method="bayes"), sampler=sampler), 8)) == 8


def _past(search, count=30):
    made = search(SPACE.format(method="random"))
    points = ask_all(made, count)
    plan_space = made.space
    trials = [PastTrial(number, point, "finished", [worth(point)]) for number, point in enumerate(points, start=1)]
    return plan_space, trials


def test_importance_names_what_matters(search):
    space, trials = _past(search)
    shares = parameter_importance(space, Metric("val_loss"), trials)
    assert next(iter(shares)) in ("train_args.learning_rate", "network_args.layer_size")
    assert shares["network"] < 0.2
    assert sum(shares.values()) == pytest.approx(1.0)
    assert parameter_importance(space, Metric("val_loss"), trials[:2]) == {}


def test_importance_of_a_long_list_of_values_comes_at_once(search):
    text = """
        method: random
        metric: {name: val_loss}
        parameters: {network_args.layer_size: {values: [%s]}, network_args.num_layers: {values: [1, 2]}}
    """
    made = search(text % ", ".join(map(str, range(1, 201))))
    trials = [
        PastTrial(n, point, "finished", [float(n % 7)])
        for n, point in enumerate(ask_all(made, 400, tell_values=False), start=1)
    ]
    shares = parameter_importance(made.space, Metric("val_loss"), trials)
    assert list(shares) == ["network_args.layer_size", "network_args.num_layers"]


def test_a_sweep_opens_as_an_optuna_study(search, tmp_path):
    import optuna

    space, trials = _past(search, 6)
    trials += [PastTrial(7, trials[0].point, "failed"), PastTrial(8, trials[1].point, "stopped", [3.0, 2.0])]
    url = f"sqlite:///{tmp_path / 'study.db'}"
    study_of(space, Metric("val_loss"), trials, url, "mine")
    loaded = optuna.load_study(study_name="mine", storage=url)
    assert [trial.state.name for trial in loaded.trials] == ["COMPLETE"] * 6 + ["FAIL", "PRUNED"]
    assert loaded.best_value == pytest.approx(min(trial.values[0] for trial in trials[:6]))


def test_a_suggestion_names_the_version_and_the_settings_that_made_it(search):
    made = search(SPACE.format(method="bayes"))
    for number in range(1, 8):
        made.tell(PastTrial(number, made.space.random_point(0, number), "finished", [number / 10]))
    how = made.ask(8).how["bayes"]
    assert how["optuna"] == importlib.metadata.version("optuna")
    assert TPE_SETTINGS.items() <= how.items()


def test_optuna_gets_no_copy_it_could_change_a_known_trial_by(search):
    made = search(SPACE.format(method="bayes"))
    for number in range(1, 8):
        made.tell(PastTrial(number, made.space.random_point(0, number), "finished", [number / 10]))
    before = [made.ask(8).point, made.ask(8).point]
    assert before[0] == before[1]
    assert [known.number for known in made._frozen.values()] == [-1] * 7

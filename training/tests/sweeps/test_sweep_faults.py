"""A real sweep under random SIGKILLs; `python -m training.tests.sweeps.sweep_faults` is the long version."""

from training.tests.sweeps.sweep_faults import disturbed


def test_a_sweep_under_random_kills_ends_like_one_left_alone(tmp_path, digits_prepared, kernel_kills, warm):
    outcome = disturbed(tmp_path, trials=4, kills=5, seed=3, method="random", python=str(warm.programs / "python"))
    assert outcome.problems == []
    assert len(outcome.kills) >= 2

"""How soon help and a mistyped spec are answered."""

from training.benchmarks.figures import Figure, medians, python, seconds

ROUNDS = 7
MISTYPED = '{"dataset": "EmnistDataset", "model": "CharacterModel", "network": "mlp", "network_args": {"layers": 3}}'


def measure() -> list[Figure]:
    shown, refused, imported = medians(
        ROUNDS,
        lambda: seconds(lambda: python(["-m", "training.run_experiment", "--help"])),
        lambda: seconds(lambda: python(["-m", "training.run_experiment", MISTYPED], exit_code=2)),
        lambda: seconds(lambda: python(["-c", "import tensorflow"])),
    )
    return [
        Figure("run_experiment --help / import tensorflow", shown, imported, "s", "<= 0.1"),
        Figure("mistyped spec refused / import tensorflow", refused, imported, "s", "<= 0.1"),
    ]

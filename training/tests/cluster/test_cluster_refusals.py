"""What a cluster cannot give is said before any data are prepared."""

import sys

import pytest

from text_recognizer.datasets.characters.digits import DigitsDataset
from training import run_experiment, run_sweep

SPEC = '{"dataset": "DigitsDataset", "model": "CharacterModel", "network": "mlp"}'
SWEEP = """
method: grid
metric: {name: val_loss, goal: minimize}
parameters:
  dataset: {value: DigitsDataset}
  model: {value: CharacterModel}
  network: {value: mlp}
  seed: {values: [1]}
"""
NOWHERE = "--ray-address=127.0.0.1:1"


@pytest.mark.parametrize("command", ["sweep", "experiment"])
@pytest.mark.parametrize("cluster", ["no Slurm", "no Ray", "no answer"])
def test_a_cluster_that_is_not_there_is_refused_before_data_are_prepared(
    command, cluster, tmp_path, monkeypatch, capfd
):
    def prepare(_: DigitsDataset) -> None:
        raise AssertionError("the data were prepared first")

    if cluster == "no answer":
        pytest.importorskip("ray", reason="needs Ray: pip install 'text-recognizer[ray]'")
    monkeypatch.setattr(DigitsDataset, "prepare", prepare)
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("PATH", "")
    if cluster == "no Ray":
        monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "grid.yaml").write_text(SWEEP)
    where = [] if cluster == "no Slurm" else [NOWHERE]
    if command == "sweep":
        executor = f"--executor={'ray' if where else 'slurm'}"
        code = run_sweep.main([str(tmp_path / "grid.yaml"), "--nowandb", executor, *where])
    else:
        code = run_experiment.main([SPEC, "--nowandb", "--nodes=2", *where])
    said = capfd.readouterr().err
    assert code == 2, said
    assert {"no Slurm": "no Slurm here", "no Ray": "no Ray here", "no answer": "no Ray answers at"}[cluster] in said
    assert not (tmp_path / "runs").exists()

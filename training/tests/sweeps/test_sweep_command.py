import json
from pathlib import Path
from typing import Any

import pytest

from training.sweeps.file.command import macro_warnings
from training.tests.sweeps.peer_cases import peer_cases
from training.tests.sweeps.sweep_generator import VALUES, Generator
from training.tests.wandb.agent_command import agent_command, args_json

VALUES_BY_NAME = {"lr": 0.1, "amp": True, "off": False, "n": None, "net": {"u": 8}, "s": "a b"}


@pytest.mark.parametrize("case", peer_cases("command"))
def test_a_case_has_the_words_of_the_agent(case: dict[str, Any]) -> None:
    words = agent_command(case["params"], "train.py", case["command"], environ=case["environ"], windows=False)
    assert words == case["expect"]["argv"]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        ("${args}", ["--lr=0.1", "--amp=True", "--off=False", "--n=None", "--net={'u': 8}", "--s=a b"]),
        (
            "${args_no_equals}",
            ["--lr", "0.1", "--amp", "True", "--off", "False", "--n", "None", "--net", "{'u': 8}", "--s", "a b"],
        ),
        ("${args_no_hyphens}", ["lr=0.1", "amp=True", "off=False", "n=None", "net={'u': 8}", "s=a b"]),
        ("${args_no_boolean_flags}", ["--lr=0.1", "--amp", "--n=None", "--net={'u': 8}", "--s=a b"]),
        ("${args_append_hydra}", ["+lr=0.1", "+amp=True", "+off=False", "+n=None", "+net={'u': 8}", "+s=a b"]),
        ("${args_override_hydra}", ["++lr=0.1", "++amp=True", "++off=False", "++n=None", "++net={'u': 8}", "++s=a b"]),
        ("${args_json}", [json.dumps(VALUES_BY_NAME)]),
        ("${args_json_file}", ["config.json"]),
        ("${env}", ["/usr/bin/env"]),
        ("${interpreter}", ["python"]),
        ("${program}", ["train.py"]),
        ("${envvar:HERE}", ["there"]),
        ("--at=${envvar:HERE}/${envvar:HERE}", ["--at=there/there"]),
        ("${envvar:NOT_SET}", ["NOT_SET"]),
        ("${envvar:here}", []),
        ("${unknown}", []),
        ("--bs=${batch_size}", ["--bs=${batch_size}"]),
        ("${program} ${args}", []),  # begins and ends like a macro, and none has this name
        (3, ["3"]),
        (True, ["True"]),
    ],
)  # fmt: skip
def test_an_item_of_a_command_becomes_words(item: Any, expected: list[str]) -> None:
    environ = {"HERE": "there"}
    words = agent_command(
        VALUES_BY_NAME, "train.py", [item], environ=environ, args_json_file="config.json", windows=False
    )
    assert words == expected


@pytest.mark.parametrize("command", [None, []])
def test_without_a_command_the_agent_has_its_own(command: list[str] | None) -> None:
    assert agent_command({"a": 1}, "t.py", command, windows=False) == ["/usr/bin/env", "python", "t.py", "--a=1"]
    assert agent_command({"a": 1}, "t.py", command, windows=True) == ["python", "t.py", "--a=1"]


def test_items_that_do_not_do_what_they_look_like_are_pointed_out() -> None:
    command = [
        "${env}",
        "python",
        "${program}",
        "--bs=${batch_size}",
        "${arg}",
        "--x=${envvar:X}",
        "${envvar:lower}",
        3,
    ]
    warnings = list(macro_warnings(command))
    assert len(warnings) == 3
    assert "passes '--bs=${batch_size}' as it is" in warnings[0]
    assert "drops '${arg}' from the command: no such macro. Did you mean 'args'?" in warnings[1]
    assert "drops '${envvar:lower}'" in warnings[2]


def test_commands_are_those_of_the_real_agent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = pytest.importorskip("wandb.wandb_agent")
    executed: list[list[str]] = []

    class Recorder:
        def __init__(self, *, command: list[str], **_: Any) -> None:
            executed.append(command)

    monkeypatch.setattr(module, "AgentProcess", Recorder)
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("HERE", "there")
    monkeypatch.setenv("WANDB_RUN_ID", "set back by the fixture")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", "set back by the fixture")
    (tmp_path / "wandb" / "sweep-None").mkdir(parents=True)
    agent = module.Agent.__new__(module.Agent)
    agent._in_jupyter = agent._function = None
    agent._forward_signals = False
    agent._run_processes = {}
    items: list[Any] = [
        "${env}",
        "${interpreter}",
        "${program}",
        "${args}",
        "${args_no_equals}",
        "${args_no_hyphens}",
        "${args_json}",
    ]
    items += ["${args_no_boolean_flags}", "${args_append_hydra}", "${args_override_hydra}", "${args_json_file}"]
    items += [
        "${args_dict}",
        "${envvar:HERE}",
        "x${envvar:HERE}y${envvar:NOT_SET}",
        "${envvar:x}",
        "-${args}",
        "${",
        "}",
        7,
        "${}",
    ]
    generator = Generator(31)
    for _ in range(300):
        command = generator.some_of(items, 0, 4)
        values = {name: generator.random.choice(VALUES) for name in generator.random.sample(["a", "b.c", "d-e"], 2)}
        agent._sweep_command = list(command)
        agent._command_run(
            {"run_id": "r1", "program": "train.py", "args": {name: {"value": value} for name, value in values.items()}}
        )
        file = tmp_path / "wandb" / "sweep-None" / "config-r1.json"
        assert agent_command(values, "train.py", command, args_json_file=str(file)) == executed[-1], command
        if "${args_json_file}" in command:
            assert file.read_text(encoding="utf-8") == args_json(values)

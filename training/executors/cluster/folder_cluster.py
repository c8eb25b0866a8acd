"""FolderCluster: agents that meet their driver in the sweep's folder, whatever starts them.

agents/setting.json     what agents must know
agents/shared.TOKEN     whoever sees it shares this folder with the driver
agents/driver.N …       see mailbox
agents/NAME/            a mailbox of an agent; with a file `over` once nothing more is expected of it
agents/*.txt            what agents printed
"""

import json
import os
import shlex
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from text_recognizer.errors import DeviceError, RunError
from training.executors.base import Setting
from training.executors.cluster.handshake import handshake, make_sign, refusals
from training.executors.cluster.mailbox import Inbox, Outbox, Pulse, Turn
from training.executors.cluster.messages import Message, setting_to_json
from training.executors.zygote.order import python_path
from training.files.safe_files import cannot_write, replace_file
from training.terminal.command_line import say

SETTING = "setting.json"

_SCAN_S = 0.1
_SILENT_S = 60.0
_MOST_FAILURES = 3


class MailboxAgent:
    """The driver's end of a mailbox, in that driver's turn."""

    def __init__(self, mailbox: Path, turn: int) -> None:
        self.id = mailbox.name
        self.job: str | None = None  # what the cluster calls it, once it has said so
        self.mailbox = mailbox
        self.pulse = Pulse(mailbox / "beat")
        self._turn = turn
        self._orders, self._reports = Outbox(mailbox / "orders.jsonl"), Inbox(mailbox / "reports.jsonl")

    def send(self, message: Message) -> None:
        """Gives it a message; a RunError where that cannot be written."""
        self._orders.send({**message, "turn": self._turn})

    def receive(self) -> list[Message]:
        """What it has said since the last call."""
        messages = self._reports.receive()
        for message in messages:
            if "hello" in message:
                self.job = message["hello"].get("job")
        return messages

    def forget(self) -> None:
        """Nothing more is expected of it, whichever driver asks."""
        with suppress(OSError):
            (self.mailbox / "over").touch()

    def given(self) -> dict[int, Path]:
        """The runs that it was ever given, by number, without those that it has reported to be over."""
        ended = {message["ended"] for message in Inbox(self.mailbox / "reports.jsonl").receive() if "ended" in message}
        orders = Inbox(self.mailbox / "orders.jsonl").receive()
        return {one["run"]: Path(one["folder"]) for one in orders if "run" in one and one["run"] not in ended}


def check_devices(setting: Setting, most_gpus: int) -> None:
    """Whether a node can have the devices of a run; one GPU may be the CPU instead."""
    if setting.request.count > max(1, most_gpus) or (setting.request.shares and not most_gpus):
        raise DeviceError(f"each trial asks for {setting.request.text}; a node has at most {most_gpus}. Ask for fewer.")


def share(setting: Setting, nodes: int) -> Setting:
    """What an agent needs to know: its part of the runs at once."""
    return setting if setting.jobs is None else replace(setting, jobs=-(-setting.jobs // nodes))


def exports(**more: str) -> list[str]:
    """Lines of a shell script by which a process on a node gets this one's settings."""
    ours = {key: value for key, value in os.environ.items() if key.startswith("TEXT_RECOGNIZER_")}
    return [
        f"export {key}={shlex.quote(value)}" for key, value in {**ours, "PYTHONPATH": python_path(), **more}.items()
    ]


class FolderCluster(ABC):
    """Starts agents with a setting, one a node, in the sweep's folder, and knows which of them are gone."""

    def __init__(self, setting: Setting, nodes: int) -> None:
        assert setting.folder is not None, "agents meet in the folder of a sweep"
        self.folder = setting.folder.resolve() / "agents"
        self.nodes = nodes
        self.agents: dict[str, MailboxAgent] = {}
        self.refused: set[str | None] = set()  # jobs of agents that are of no use
        self._setting = setting
        self._failures: list[str] = []  # of agents that ended before they said anything, in a row
        self._turn: Turn | None = None
        self._next_scan = 0.0

    def begin(self) -> None:
        """Becomes the one driver. A TextRecognizerError where it cannot."""
        facts = {"setting": setting_to_json(self._setting), "argv": sys.argv}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._turn = Turn.take(self.folder)
            if not list(self.folder.glob("shared.*")):
                make_sign(self.folder)
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        replace_file(self.folder / SETTING, json.dumps(facts, indent=2) + "\n")

    def new_agents(self) -> list[tuple[MailboxAgent, Mapping[int, Path]]]:
        """Agents that were not known before, with the runs that an earlier driver gave them, by number."""
        assert self._turn is not None
        if time.monotonic() < self._next_scan:
            return []
        self._next_scan = time.monotonic() + _SCAN_S
        self._turn.beat()
        found: list[tuple[MailboxAgent, Mapping[int, Path]]] = []
        for entry in os.scandir(self.folder):
            mailbox = Path(entry.path)
            if entry.name[0] == "." or entry.name in self.agents or not entry.is_dir():
                continue
            agent = self.agents[entry.name] = MailboxAgent(mailbox, self._turn.number)
            if not (mailbox / "over").exists():
                found.append((agent, agent.given()))
        return found

    def refuse(self, agent: MailboxAgent, why: str) -> None:
        """Does without an agent that is of no use. A RunError where none would be."""
        self.refused.add(agent.job)
        if len(self.refused) >= self.nodes:
            raise RunError(f"{why}. Install the same there, then give the same command again.")
        say(f"{why}; it gets no trials")

    def end(self) -> None:
        """Ends what has not left by itself."""
        if self._turn is not None and self._turn.is_ours():
            self.end_agents()
            self._turn.end()

    @abstractmethod
    def keep_up(self) -> None:
        """Starts agents where some are missing. A TextRecognizerError where there is no hope of that."""

    def why_gone(self, agent: MailboxAgent) -> str | None:
        """Why an agent executes nothing any more, or is about to be ended by the cluster; None while it may."""
        silent_s = agent.pulse.silent_s()
        if agent.job is not None:
            return self.why_lost(agent.job, silent_s, silent_s > _SILENT_S)
        return "it never said who it is" if silent_s > _SILENT_S else None

    @abstractmethod
    def why_lost(self, job: str, silent_s: float, hangs: bool) -> str | None:
        """The same, of an agent that was silent for so long, by what the cluster calls it."""

    @abstractmethod
    def waiting_for(self) -> str:
        """Why no agent is there yet, for people."""

    @abstractmethod
    def end_agents(self) -> None:
        """Only called while this is the one driver."""

    def script(self, job: str) -> str:
        """A shell script that becomes an agent; `job` is what the cluster calls it, as a shell reads it."""
        folder = shlex.quote(str(self.folder))
        lines = [
            "#!/bin/sh",
            *handshake(next(self.folder.glob("shared.*"))),
            f'exec > {folder}/"agent-{job}.txt" 2>&1',
            *exports(),
            f'exec {shlex.quote(sys.executable)} -P -m training.executors.cluster.node_agent {folder} "{job}"',
        ]
        return "\n".join(lines) + "\n"

    def note_failure(self, job: str, node: str, exit_code: int | None) -> None:
        """An agent ended before it said anything. A RunError where another would end in the same way."""
        if (useless := refusals(node, self.folder).get(exit_code or 0)) is not None:
            raise RunError(useless)
        try:
            lines = (self.folder / f"agent-{job}.txt").read_text(errors="replace").split("\n")
        except OSError:
            lines = []
        last = next((line for line in reversed(lines) if line.strip()), "it printed nothing")
        self._failures.append(f"the agent on {node} ended before it was ready: {last[:300]}")
        if len(self._failures) >= _MOST_FAILURES:
            raise RunError(self._failures[-1])

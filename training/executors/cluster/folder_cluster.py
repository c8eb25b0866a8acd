"""FolderCluster: agents that communicate with their driver through the sweep's folder.

agents/setting.json     settings for agents
agents/shared.TOKEN     visible to nodes that share this folder with the driver
agents/driver.N …       see mailbox
agents/NAME/            a mailbox of an agent; has a file `over` once nothing more is expected of it
agents/*.txt            output of agents
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
        self.job: str | None = None  # its name in the cluster, once it has reported it
        self.mailbox = mailbox
        self.pulse = Pulse(mailbox / "beat")
        self._turn = turn
        self._orders, self._reports = Outbox(mailbox / "orders.jsonl"), Inbox(mailbox / "reports.jsonl")

    def send(self, message: Message) -> None:
        """Sends a message. Raises RunError: it cannot be written."""
        self._orders.send({**message, "turn": self._turn})

    def receive(self) -> list[Message]:
        """The messages since the last call."""
        messages = self._reports.receive()
        for message in messages:
            if "hello" in message:
                self.job = message["hello"].get("job")
        return messages

    def forget(self) -> None:
        """Marks that nothing more is expected of it, by any driver."""
        with suppress(OSError):
            (self.mailbox / "over").touch()

    def given(self) -> dict[int, Path]:
        """The runs assigned to it, by number, except those it has reported as ended."""
        ended = {message["ended"] for message in Inbox(self.mailbox / "reports.jsonl").receive() if "ended" in message}
        orders = Inbox(self.mailbox / "orders.jsonl").receive()
        return {one["run"]: Path(one["folder"]) for one in orders if "run" in one and one["run"] not in ended}


def check_devices(setting: Setting, most_gpus: int) -> None:
    """Whether a node can provide the devices of a run; one GPU may be replaced by the CPU."""
    if setting.request.count > max(1, most_gpus) or (setting.request.shares and not most_gpus):
        raise DeviceError(f"each trial asks for {setting.request.text}; a node has at most {most_gpus}. Ask for fewer.")


def share(setting: Setting, nodes: int) -> Setting:
    """Settings for an agent: its share of the concurrent runs."""
    return setting if setting.jobs is None else replace(setting, jobs=-(-setting.jobs // nodes))


def exports(**more: str) -> list[str]:
    """Lines of a shell script that give a process on a node this process's settings."""
    ours = {key: value for key, value in os.environ.items() if key.startswith("TEXT_RECOGNIZER_")}
    return [
        f"export {key}={shlex.quote(value)}" for key, value in {**ours, "PYTHONPATH": python_path(), **more}.items()
    ]


class FolderCluster(ABC):
    """Starts agents with a setting, one per node, in the sweep's folder, and detects lost ones."""

    def __init__(self, setting: Setting, nodes: int) -> None:
        assert setting.folder is not None, "agents meet in the folder of a sweep"
        self.folder = setting.folder.resolve() / "agents"
        self.nodes = nodes
        self.agents: dict[str, MailboxAgent] = {}
        self.refused: set[str | None] = set()  # jobs of unusable agents
        self._setting = setting
        self._failures: list[str] = []  # of consecutive agents that ended before their first message
        self._turn: Turn | None = None
        self._next_scan = 0.0

    def begin(self) -> None:
        """Becomes the only driver. Raises TextRecognizerError: it cannot."""
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
        """New agents, with the runs assigned to them by an earlier driver, by number."""
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

    def refuse(self, agent: MailboxAgent, why: str, remedy: str = "Install the same there") -> None:
        """Gives up an unusable agent. Raises RunError: no other would be usable."""
        self.refused.add(agent.job)
        if len(self.refused) >= self.nodes:
            raise RunError(f"{why}. {remedy}, then give the same command again.")
        say(f"{why}; it gets no trials")

    def end(self) -> None:
        """Ends agents that have not left by themselves."""
        if self._turn is not None and self._turn.is_ours():
            self.end_agents()
            self._turn.end()

    @abstractmethod
    def keep_up(self) -> None:
        """Replaces missing agents. Raises TextRecognizerError: that is hopeless."""

    def why_gone(self, agent: MailboxAgent) -> str | None:
        """Why an agent executes nothing any more, or is about to be ended by the cluster; None if it is fine."""
        silent_s = agent.pulse.silent_s()
        if agent.job is not None:
            return self.why_lost(agent.job, silent_s, silent_s > _SILENT_S)
        return "it never identified itself" if silent_s > _SILENT_S else None

    @abstractmethod
    def why_lost(self, job: str, silent_s: float, hangs: bool) -> str | None:
        """The same for an agent that has been silent for some time, by its name in the cluster."""

    @abstractmethod
    def waiting_for(self) -> str:
        """Why there is no agent yet, in words."""

    @abstractmethod
    def end_agents(self) -> None:
        """Ends all agents; only called while this is the only driver."""

    def script(self, job: str) -> str:
        """A shell script that becomes an agent; `job`: its name in the cluster, as a shell expression."""
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
        """Handles an agent that ended before its first message. Raises RunError: others would end the same way."""
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

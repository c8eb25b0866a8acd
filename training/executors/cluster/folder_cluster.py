"""FolderCluster: agents that meet their driver in the sweep's folder, whatever starts them.

agents/setting.json     what agents must know
agents/shared.TOKEN     whoever sees it shares this folder with the driver
agents/driver.N …       see Turn
agents/NAME/            a mailbox of an agent; with a file `over` once nothing more is expected of it
agents/*.txt            what agents printed
"""

import json
import os
import secrets
import sys
import time
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from text_recognizer.errors import RunError
from training.executors.base import Setting
from training.executors.cluster.mailbox import Inbox, Outbox, Pulse
from training.executors.cluster.messages import Message, setting_to_json
from training.executors.cluster.pool import Agent, Cluster
from training.executors.cluster.turn import Turn
from training.executors.local import GRACE_S
from training.files.safe_files import cannot_write, replace_file

SETTING = "setting.json"
_OVER = "over"
_SCAN_S = 0.1
_PATIENCE_S = 600.0


class MailboxAgent(Agent):
    """The driver's end of a mailbox.

    Args:
        turn: of the driver.
    """

    def __init__(self, mailbox: Path, cluster: "FolderCluster", turn: int) -> None:
        self.id = mailbox.name
        self.job: str | None = None
        self.mailbox = mailbox
        self.pulse = Pulse(mailbox / "beat")
        self._cluster = cluster
        self._turn = turn
        self._orders, self._reports = Outbox(mailbox / "orders.jsonl"), Inbox(mailbox / "reports.jsonl")

    def send(self, message: Message) -> None:
        self._orders.send({**message, "turn": self._turn})

    def receive(self) -> list[Message]:
        messages = self._reports.receive()
        for message in messages:
            if "hello" in message:
                self.job = message["hello"].get("job")
        return messages

    def why_gone(self) -> str | None:
        return self._cluster.why_gone(self)

    def forget(self) -> None:
        with suppress(OSError):
            (self.mailbox / _OVER).touch()

    def given(self) -> dict[int, Path]:
        """The runs that it was ever given, by number, without those that it has reported to be over."""
        ended = {message["ended"] for message in Inbox(self.mailbox / "reports.jsonl").receive() if "ended" in message}
        orders = Inbox(self.mailbox / "orders.jsonl").receive()
        return {one["run"]: Path(one["folder"]) for one in orders if "run" in one and one["run"] not in ended}


class FolderCluster(Cluster):
    """Everything but the starting of agents.

    Args:
        setting: of each agent; its folder is the sweep's.
    """

    def __init__(self, setting: Setting, grace_s: float = GRACE_S, patience_s: float = _PATIENCE_S) -> None:
        assert setting.folder is not None, "agents meet in the folder of a sweep"
        self.folder = setting.folder.resolve() / "agents"
        self.grace_s = grace_s
        self.agents: dict[str, MailboxAgent] = {}
        self._setting = setting
        self._patience_s = patience_s
        self._turn: Turn | None = None
        self._next_scan = 0.0

    def begin(self) -> None:
        facts = {
            "setting": setting_to_json(self._setting),
            "grace_s": self.grace_s,
            "patience_s": self._patience_s,
            "folder": str(Path.cwd()),
            "argv": sys.argv,
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._turn = Turn.take(self.folder)
            if not list(self.folder.glob("shared.*")):
                (self.folder / f"shared.{secrets.token_hex(8)}").touch()
        except OSError as error:
            raise cannot_write(self.folder, error) from error
        replace_file(self.folder / SETTING, json.dumps(facts, indent=2) + "\n")

    @property
    def sign(self) -> Path:
        """The file by which an agent knows that it shares this folder with the driver."""
        return next(self.folder.glob("shared.*"))

    def new_agents(self) -> list[tuple[Agent, Mapping[int, Path]]]:
        assert self._turn is not None
        self._turn.beat()
        if time.monotonic() < self._next_scan:
            return []
        self._next_scan = time.monotonic() + _SCAN_S
        found: list[tuple[Agent, Mapping[int, Path]]] = []
        for entry in os.scandir(self.folder):
            mailbox = Path(entry.path)
            if entry.name[0] == "." or entry.name in self.agents or not entry.is_dir():
                continue
            agent = self.agents[entry.name] = MailboxAgent(mailbox, self, self._turn.number)
            if not (mailbox / _OVER).exists():
                found.append((agent, agent.given()))
        return found

    def end(self) -> None:
        if self._turn is not None and self._turn.is_ours():
            self.end_agents()
            self._turn.end()

    @abstractmethod
    def why_gone(self, agent: MailboxAgent) -> str | None:
        """See Agent.why_gone."""

    @abstractmethod
    def end_agents(self) -> None:
        """See Cluster.end; only called while this is the one driver."""

    def refuse(self, why: str) -> None:
        raise RunError(why)

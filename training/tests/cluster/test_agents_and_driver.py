"""The driver's pool against agents that are told what to say. No TensorFlow."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from text_recognizer.errors import RunError
from text_recognizer.tests.waiting import PATIENCE_S, wait_until
from training.devices.requests import DeviceRequest
from training.executors.base import Ended, Setting
from training.executors.cluster import pool
from training.executors.cluster.folder_cluster import FolderCluster, MailboxAgent
from training.executors.cluster.messages import (
    Message,
    difference,
    ended_from_json,
    setting_from_json,
    setting_to_json,
    versions,
)
from training.executors.cluster.pool import ClusterExecutor
from training.runs.causes import Cause
from training.runs.run import Run
from training.sweeps.limits import classify
from training.tests.executors.executor_support import new_run

FINISHED = asdict(Ended(0, "finished"))


class ToldAgent(MailboxAgent):
    """Says what a test lets it say."""

    def __init__(self, name: str) -> None:
        self.id = name
        self.got: list[Message] = []
        self.news: list[Message] = []
        self.gone: str | None = None
        self.forgotten = False

    def say(self, *messages: Message) -> None:
        self.news = [*self.news, *messages]

    def send(self, message: Message) -> None:
        self.got.append(message)
        if "leave" in message:
            self.say({"left": "told to"})

    def receive(self) -> list[Message]:
        said, self.news = self.news, []
        return said

    def forget(self) -> None:
        self.forgotten = True

    def orders(self) -> list[Path]:
        return [Path(message["folder"]) for message in self.got if "run" in message]


class ToldCluster(FolderCluster):
    def __init__(self) -> None:
        self.coming: list[tuple[MailboxAgent, Mapping[int, Path]]] = []
        self.useless: list[str] = []
        self.ended = False
        self.error: Exception | None = None

    def add(self, name: str, given: Mapping[int, Path] | None = None, **hello: object) -> ToldAgent:
        agent = ToldAgent(name)
        agent.say({"hello": {"host": name, "capacity": 1, "versions": versions(), **hello}})
        self.coming = [*self.coming, (agent, given or {})]
        return agent

    def begin(self) -> None: ...

    def new_agents(self) -> list[tuple[MailboxAgent, Mapping[int, Path]]]:
        coming, self.coming = self.coming, []
        return coming

    def keep_up(self) -> None:
        if self.error is not None:
            raise self.error

    def refuse(self, agent: MailboxAgent, why: str, remedy: str = "") -> None:
        self.useless.append(why)

    def why_gone(self, agent: MailboxAgent) -> str | None:
        assert isinstance(agent, ToldAgent)
        return agent.gone

    def why_lost(self, job: str, silent_s: float, hangs: bool) -> str | None:
        raise AssertionError("told agents have no beat")

    def end_agents(self) -> None: ...

    def waiting_for(self) -> str:
        return "waiting for a node"

    def end(self) -> None:
        self.ended = True


class ToldExecutor(ClusterExecutor):
    @classmethod
    def open(cls, setting: Setting) -> "ToldExecutor":
        raise NotImplementedError


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("TEXT_RECOGNIZER_RUNS", str(tmp_path))
    monkeypatch.setattr(pool, "_MARGIN_S", 0.0)
    monkeypatch.setattr(pool, "GRACE_S", 0.0)
    return ToldCluster()


@pytest.fixture
def said():
    return []


@pytest.fixture
def driver(cluster, said):
    driver = ToldExecutor(cluster, None, said.append)
    yield driver
    driver.close()
    assert cluster.ended


def test_each_free_place_gets_one_run_and_the_next_when_it_has_ended(cluster, driver):
    one = cluster.add("one")
    driver.begin()
    first, second = (driver.submit(new_run(), trial=number) for number in (1, 2))
    wait_until(one.orders)
    assert one.got[0] == {"run": 1, "folder": str(first.run.folder), "launch": {"trial": 1}}
    one.say({"running": 1, "place": "CPU 0"}, {"ended": 1, "how": FINISHED})
    assert first.wait(PATIENCE_S)
    assert (first.ended.exit_code, first.place) == (0, "one: CPU 0")
    wait_until(lambda: len(one.orders()) == 2)
    assert not second.done()


def test_the_emptiest_agent_is_next_and_capacity_is_what_agents_have(cluster, driver, said):
    assert (driver.capacity, driver.capacity_in_words()) == (1, "as many trials at once as the agents have room for")
    large, small = cluster.add("large", capacity=3), cluster.add("small")
    driver.begin()
    wait_until(lambda: driver.capacity == 4 and said == ["2 agents ready: 4 trials at once"])
    for _ in range(3):
        driver.submit(new_run())
    wait_until(lambda: len(large.orders()) == 2)
    assert len(small.orders()) == 1


def test_no_more_runs_at_once_than_asked_for(cluster):
    cluster.add("large", capacity=8)
    driver = ToldExecutor(cluster, 3, print)
    driver.begin()
    wait_until(lambda: driver.capacity == 3)
    driver.close()


def test_the_runs_of_a_lost_agent_end_as_preempted_once_their_processes_are_over(cluster, driver, said):
    one = cluster.add("one")
    driver.begin()
    job = driver.submit(new_run())
    wait_until(one.orders)
    job.run.hold()  # the process of the run lives on for a moment
    job.run.set_state("running")
    one.gone = "node one is down"
    wait_until(lambda: one.forgotten)
    assert not job.done()
    job.run.release()
    assert job.wait(PATIENCE_S)
    assert (job.ended.cause, job.ended.exit_code) == (Cause.PREEMPTED, None)
    assert classify(job.ended, Run.open(job.run.folder).status()) == "preempted"
    assert said == ["1 agent ready: 1 trial at once", "the agent on one is gone: node one is down"]


def test_what_an_agent_said_before_it_was_lost_counts(cluster, driver):
    one = cluster.add("one")
    driver.begin()
    job = driver.submit(new_run())
    wait_until(one.orders)
    one.say({"ended": 1, "how": FINISHED})
    one.gone = "killed"
    assert job.wait(PATIENCE_S)
    assert job.ended.exit_code == 0


def test_runs_that_an_earlier_driver_gave_away_are_rejoined_not_started_again(cluster, driver):
    run = new_run()
    one = cluster.add("one", {7: run.folder})
    driver.begin()
    job = driver.rejoin(Run(run.folder))
    assert job is not None
    assert driver.rejoin(new_run()) is None
    driver.submit(new_run())
    one.say({"ended": 7, "how": FINISHED})
    assert job.wait(PATIENCE_S)
    wait_until(one.orders)
    assert one.got[0]["run"] == 8, "numbers go on where the earlier driver's ended"


def test_a_run_of_which_nobody_wrote_the_end_waits_until_its_process_must_be_over(cluster, driver):
    one = cluster.add("one")
    driver.begin()
    run = new_run()
    run.hold()
    run.set_state("running")  # by a process on another host, say
    driver.submit(Run(run.folder))
    other = driver.submit(new_run())
    wait_until(one.orders)
    assert one.orders() == [other.run.folder]
    run.release()
    one.say({"ended": 1, "how": FINISHED})
    wait_until(lambda: len(one.orders()) == 2)
    assert one.orders()[1] == run.folder


def test_a_waiting_run_is_cancelled_at_once_and_a_running_one_asked(cluster, driver, said):
    driver.begin()
    waiting = driver.submit(new_run())
    wait_until(lambda: waiting.waiting_for)
    assert said == ["waiting for a node"]
    waiting.cancel(reason="enough")
    assert waiting.wait(PATIENCE_S)
    assert waiting.ended.reason == "enough, before it started"
    one = cluster.add("one")
    running = driver.submit(new_run())
    wait_until(one.orders)
    running.cancel(reason="enough", cause=Cause.INTERRUPTED)
    wait_until(running.run.stop_requested)
    running.cancel(kill=True)
    wait_until(lambda: {"kill": 1} in one.got)


def test_a_node_with_other_versions_gets_no_runs(cluster, driver):
    other = cluster.add("old", versions={**versions(), "keras": "3.0"})
    driver.begin()
    wait_until(lambda: cluster.useless)
    ours = versions()["keras"]
    assert cluster.useless == [f"the node old has other versions: keras is 3.0 there and {ours} here"]
    assert {"leave": False} in other.got


def test_a_node_on_which_no_run_can_start_gets_no_more_and_its_run_goes_elsewhere(cluster, driver):
    broken = cluster.add("broken", capacity=2)
    driver.begin()
    job = driver.submit(new_run())
    wait_until(broken.orders)
    lacks = Ended(None, "no device: GPU 0 is in quarantine.", cause=Cause.PREEMPTED)
    broken.say(*[{"unusable": lacks.reason}] * 2, {"ended": 1, "how": asdict(lacks)})
    assert job.wait(PATIENCE_S)
    assert cluster.useless == ["no trial can start on the node broken: no device: GPU 0 is in quarantine"]
    assert {"leave": False} in broken.got
    assert classify(job.ended, job.run.status()) == "preempted"
    sound = cluster.add("sound")
    again = driver.submit(job.run)
    wait_until(sound.orders)
    sound.say({"ended": 1, "how": FINISHED})
    assert again.wait(PATIENCE_S)
    assert len(broken.orders()) == 1


def test_what_differs_between_nodes_is_named():
    ours = versions()
    assert difference(ours, ours) is None
    assert difference({**ours, "numpy": None}, ours) == f"numpy is not installed there and {ours['numpy']} here"
    code = "the code of Text Recognizer"
    assert difference({**ours, code: {"git_commit": "1"}}, {**ours, code: {"git_commit": "2"}}) == (
        f"{code} is not the driver's"
    )


def test_when_there_is_no_hope_of_agents_jobs_get_the_error(cluster, driver):
    driver.begin()
    job = driver.submit(new_run())
    cluster.error = RunError("the node n1 does not see the folder")
    with pytest.raises(RunError, match="does not see"):
        job.future.result(PATIENCE_S)
    with pytest.raises(RunError, match="does not see"):
        driver.submit(new_run()).future.result(0)


def test_closing_tells_agents_to_leave_and_waits_for_them(cluster, driver):
    one = cluster.add("one")
    driver.begin()
    job = driver.submit(new_run())
    wait_until(one.orders)
    waiting = driver.submit(new_run())
    one.say({"ended": 1, "how": FINISHED})
    assert job.wait(PATIENCE_S)
    driver.close()
    assert {"leave": False} in one.got
    assert waiting.done()


def test_settings_and_ends_survive_the_way():
    setting = Setting(2, DeviceRequest(2, ("0", "1"), 6000), ["wandb"], ["acme"], True, Path("/nowhere"))
    assert setting_from_json(setting_to_json(setting)) == Setting(
        2, DeviceRequest(2, ("0", "1"), 6000), ["wandb"], ["acme"], True
    )
    ended = Ended(None, "killed", 9, True, 1.5, 0.5, 300.0, Cause.OUT_OF_MEMORY)
    assert ended_from_json({**asdict(ended), "cause": "out_of_memory"}) == ended

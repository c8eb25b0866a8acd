from training.devices.allocation import Holding
from training.devices.decision import Decision
from training.tests.devices import gpu_contention
from training.tests.devices.simulated_nvml import needs_compiler

pytestmark = needs_compiler


def test_under_contention_and_random_kills_no_device_is_held_twice_or_lost():
    figures = gpu_contention.contend(process_count=16, device_count=4, lease_count=300, seed=1)
    assert figures.leases >= 300
    assert figures.kills_of_holders >= gpu_contention.FEWEST_KILLS_OF_HOLDERS
    assert set(figures.waits_s) == {"any one", "a certain one", "any two", "any 2", "half of any one"}
    assert figures.passed, figures


def test_the_witness_notices_a_manager_that_gives_devices_out_twice(monkeypatch):
    def locks_nothing(_: Decision, holding: Holding) -> list[int]:
        return []

    monkeypatch.setattr(Decision, "lock_devices", locks_nothing)
    monkeypatch.setattr(Decision, "leases", lambda _: [])
    figures = gpu_contention.contend(process_count=8, device_count=2, lease_count=50, seed=1, to_first_violation=True)
    assert any("is held twice" in violation for violation in figures.violations)
    assert not figures.passed

from hypothesis import given
from hypothesis import strategies as st

from training.devices.allocation import Wish, allocate

CAPACITY = {"a": 100, "b": 100, "c": 100}


def _wish(count, memory_mib=None, candidates="abc", force=False):
    return Wish(count, dict.fromkeys(candidates, memory_mib), force, "")


def _allocate(wish, earlier=(), held=(), usable=lambda *_: True):
    return allocate(wish, earlier, held, CAPACITY, usable)


def test_the_first_free_devices_are_taken():
    assert _allocate(_wish(2), held=[{"a": None}]) == {"b": None, "c": None}


def test_all_or_nothing():
    assert _allocate(_wish(2, candidates="ab"), held=[{"a": None}]) is None


def test_a_later_request_does_not_take_what_an_earlier_one_waits_for():
    # a is held; the earlier request wants three, so b and c are kept for it.
    assert _allocate(_wish(1), earlier=[_wish(3)], held=[{"a": None}]) is None


def test_a_later_request_takes_what_an_earlier_one_cannot_use():
    assert _allocate(_wish(1), earlier=[_wish(1, candidates="a")], held=[{"a": None}]) == {"b": None}


def test_an_earlier_request_that_can_be_served_gets_its_choice_first():
    assert _allocate(_wish(1), earlier=[_wish(1), _wish(1)]) == {"c": None}
    assert _allocate(_wish(1), earlier=[_wish(1), _wish(1), _wish(1)]) is None


def test_a_request_that_no_lease_keeps_waiting_reserves_nothing():
    # b and c are used by programs without a lease: the earlier request could not start even if a were free.
    assert _allocate(_wish(1, candidates="a"), earlier=[_wish(2)], usable=lambda uuid, _: uuid == "a") == {"a": None}


def test_a_forced_request_takes_what_others_may_not():
    unless_forced = lambda _, wish: wish.force  # noqa: E731 - a stub
    assert _allocate(_wish(1), usable=unless_forced) is None
    assert _allocate(_wish(1, force=True), usable=unless_forced) == {"a": None}


def test_shares_fill_a_device_up_before_the_next_is_begun():
    assert _allocate(_wish(1, 40), held=[{"b": 50}]) == {"b": 40}
    assert _allocate(_wish(1, 60), held=[{"b": 50}]) == {"a": 60}


def test_a_whole_device_and_a_share_exclude_each_other():
    assert _allocate(_wish(1, candidates="a"), held=[{"a": 1}]) is None
    assert _allocate(_wish(1, 1, candidates="a"), held=[{"a": None}]) is None


def test_shares_do_not_keep_an_earlier_request_for_the_whole_device_waiting_for_ever():
    assert _allocate(_wish(1, 10, "a"), earlier=[_wish(1, candidates="a")], held=[{"a": 50}]) is None


def test_devices_come_in_the_order_of_the_wish():
    wish = Wish(2, {"c": 30, "a": 30}, False, "")
    assert list(_allocate(wish, held=[{"a": 50}]) or ()) == ["c", "a"]


def test_earlier_requests_are_read_only_as_far_as_needed():
    def earlier():
        yield _wish(3)
        raise AssertionError("the first one already wants all")

    assert _allocate(_wish(1), earlier=earlier(), held=[{"a": None}]) is None


WISHES = st.builds(
    lambda count, memory_mib, candidates: _wish(min(count, len(candidates)), memory_mib, "".join(sorted(candidates))),
    st.integers(1, 3),
    st.none() | st.integers(1, 100),
    st.sets(st.sampled_from("abc"), min_size=1),
)


@given(st.lists(WISHES, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_in_any_order_of_events_no_device_is_overfull_and_all_are_served(wishes, random):
    waiting = list(enumerate(wishes))
    held: dict[int, dict[str, int | None]] = {}
    while waiting:
        place = random.randrange(len(waiting))
        number, wish = waiting[place]
        granted = _allocate(wish, [other for _, other in waiting[:place]], held.values())
        if granted is not None:
            held[number] = granted
            waiting.pop(place)
            _check_capacity(held.values())
        elif held and random.random() < 0.5:
            held.pop(random.choice(list(held)))
        elif not held:
            # With nothing held, the oldest request can always be served.
            assert _allocate(waiting[0][1]) is not None


def _check_capacity(holdings):
    for uuid, capacity in CAPACITY.items():
        on_it = [holding[uuid] for holding in holdings if uuid in holding]
        assert on_it == [None] or sum(capacity * 2 if part is None else part for part in on_it) <= capacity

import pytest
from hypothesis import given
from hypothesis import strategies as st

from text_recognizer.errors import DeviceError
from training.devices.device import Device
from training.devices.requests import DeviceRequest, resolve, visible_devices

A, B, C = (Device(f"GPU-{letter * 4}-1111", "Small GPU", index, 24_000) for index, letter in enumerate("abc"))
LARGE = Device("GPU-dddd-1111", "Large GPU", 3, 80_000)
FIRST_PART = Device("MIG-1111", "MIG 1g", 1, 10_000, parent="GPU-bbbb-1111")
SECOND_PART = Device("MIG-1122", "MIG 2g", 1, 20_000, parent="GPU-bbbb-1111")


@pytest.mark.parametrize(
    ("gpu", "expected"),
    [
        ("none", DeviceRequest(0)),
        ("CPU", DeviceRequest(0)),
        ("-1", DeviceRequest(1)),
        ("any", DeviceRequest(1)),
        ("2x", DeviceRequest(2)),
        ("1", DeviceRequest(1, ("1",))),
        ("01", DeviceRequest(1, ("1",))),
        ("0,2", DeviceRequest(2, ("0", "2"))),
        (" [2, 0] ", DeviceRequest(2, ("2", "0"))),
        ("GPU-abc,1", DeviceRequest(2, ("GPU-abc", "1"))),
        ("MIG-GPU-8932f937/1/0", DeviceRequest(1, ("MIG-GPU-8932f937/1/0",))),
    ],
)
def test_a_request_is_read(gpu, expected):
    assert DeviceRequest.parse(gpu) == expected


@pytest.mark.parametrize("gpu", ["", "0x", "-2", "1.5", "two", "0,,1", "0,", "[0", "x", "1,any", "٣", "9" * 5000])
def test_another_form_is_an_error_that_shows_the_forms(gpu):
    with pytest.raises(DeviceError, match=r"--gpu must be none, -1 \(any one\).*Received"):
        DeviceRequest.parse(gpu)


def test_a_device_named_twice_is_an_error():
    with pytest.raises(DeviceError, match="names a device twice"):
        DeviceRequest.parse("1,01")


@pytest.mark.parametrize(
    ("memory", "memory_mib", "share"),
    [
        ("6GiB", 6_144, None),
        ("6000 mib", 6_000, None),
        ("1.5GiB", 1_536, None),
        ("1GB", 953, None),  # 1,000,000,000 / 1,048,576
        ("0.5", None, 0.5),
        (".25", None, 0.25),
        ("1.0", None, 1.0),
    ],
)
def test_memory_is_read(memory, memory_mib, share):
    request = DeviceRequest.parse("any", memory)
    assert (request.memory_mib, request.memory_share) == (memory_mib, share)
    assert request.shares


@pytest.mark.parametrize(
    "memory", ["6", "0", "0.0", "1.5", "-1GiB", "GiB", "0GiB", "0.0001MiB", "6 TB", "nan", "1e3MiB"]
)
def test_memory_of_another_form_is_an_error(memory):
    with pytest.raises(DeviceError, match=r"--gpu-memory must be .*6GiB.*Received"):
        DeviceRequest.parse("any", memory)


def test_memory_without_a_gpu_is_an_error():
    with pytest.raises(DeviceError, match="--gpu=none asks for none"):
        DeviceRequest.parse("none", "6GiB")


TEXTS = st.one_of(st.text(), st.from_regex(r"\[?[-0-9x, GPUMIGnoe./]{0,12}\]?", fullmatch=True))


@given(TEXTS, st.none() | TEXTS, st.booleans())
def test_whatever_is_written_becomes_a_request_or_an_error_in_words(gpu, memory, force):
    try:
        request = DeviceRequest.parse(gpu, memory, force)
    except DeviceError:
        return
    assert request.count == (len(request.wanted) if request.wanted else request.count)
    assert request.count > 0 or not request.shares
    assert request.force == force
    assert request.text


@given(st.lists(st.integers(0, 99), min_size=1, max_size=8, unique=True))
def test_a_list_of_numbers_is_read_as_it_is_written(numbers):
    for text in (",".join(map(str, numbers)), str(numbers)):
        assert DeviceRequest.parse(text) == DeviceRequest(len(numbers), tuple(map(str, numbers)))


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (None, [A, B, C]),
        ("2,0", [C, A]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("0,2,-1,1", [A, C]),  # the example of the CUDA programming guide
        ("1,7,0", [B]),
        ("GPU-cccc", [C]),
        ("GPU-", []),  # the beginning of three
        ("1,1", [B]),
    ],
)
def test_visible_devices_are_those_that_cuda_would_show(setting, expected):
    assert visible_devices([A, B, C], setting) == expected


def test_a_divided_gpu_stands_for_its_instances():
    devices = [A, FIRST_PART, SECOND_PART]
    assert visible_devices(devices, "1") == [FIRST_PART, SECOND_PART]
    assert visible_devices(devices, "GPU-bbbb") == [FIRST_PART, SECOND_PART]
    assert visible_devices(devices, "MIG-1122,0") == [SECOND_PART, A]


def _candidates(gpu, devices, memory=None, visible=None):
    return dict(resolve(DeviceRequest.parse(gpu, memory), devices, devices if visible is None else visible).candidates)


def test_a_number_is_a_place_among_the_visible_devices():
    assert _candidates("0", [A, B, C], visible=[C, A]) == {C.uuid: None}


def test_named_devices_keep_their_order():
    assert list(_candidates("2,GPU-aaaa", [A, B, C])) == [C.uuid, A.uuid]


def test_any_device_may_be_each_visible_one():
    assert list(_candidates("2x", [A, B, C], visible=[C, A])) == [C.uuid, A.uuid]


def test_a_share_is_of_each_devices_own_memory():
    assert _candidates("-1", [A, LARGE], "0.5") == {A.uuid: 12_000, LARGE.uuid: 40_000}


def test_only_devices_with_enough_memory_come_into_question():
    assert _candidates("-1", [A, LARGE], "40GiB") == {LARGE.uuid: 40_960}


@pytest.mark.parametrize(
    ("gpu", "memory", "message"),
    [
        (
            "4x",
            None,
            r"4 GPUs: not that many are available: 3 devices to choose from. Devices here: 0: Small GPU, 24,000 MiB",
        ),
        ("3", None, r"there is no GPU 3. Devices here: 0: Small GPU"),
        ("GPU-eeee", None, r"there is no device GPU-eeee. Devices here"),
        ("0,GPU-aaaa", None, r"--gpu names GPU-aaaa-1111 twice"),
        ("-1", "24001MiB", r"24,001 MiB of 1 GPU: no device, or too few devices, have that much memory"),
        ("0,1", "30GiB", r"no device, or too few devices, have that much memory"),
    ],
)
def test_an_impossible_request_is_an_error_that_says_what_exists(gpu, memory, message):
    with pytest.raises(DeviceError, match=message):
        _candidates(gpu, [A, B, C], memory)


def test_the_beginning_of_several_uuids_is_an_error():
    twins = [Device(f"GPU-2222-{index}", "Twin", index, 24_000) for index in range(2)]
    with pytest.raises(DeviceError, match="'GPU-2222' is the beginning of 2 UUIDs: give more of it"):
        _candidates("GPU-2222", twins)


def test_a_hidden_device_is_an_error_that_says_so():
    with pytest.raises(DeviceError, match=r"GPU-aaaa-1111 is hidden by CUDA_VISIBLE_DEVICES.*hides 2 more"):
        _candidates("GPU-aaaa", [A, B, C], visible=[B])


def test_a_divided_gpu_cannot_be_had_as_a_whole():
    with pytest.raises(DeviceError, match="GPU-bbbb is divided into MIG instances: name one of these"):
        _candidates("GPU-bbbb", [A, FIRST_PART, SECOND_PART])


def test_several_devices_are_whole_gpus():
    assert list(_candidates("2x", [A, FIRST_PART, C])) == [A.uuid, C.uuid]
    with pytest.raises(DeviceError, match="a CUDA program can use one MIG instance at a time"):
        _candidates("2x", [A, FIRST_PART, SECOND_PART])


def test_memory_of_a_device_that_does_not_tell_its_size_cannot_be_shared():
    silent = Device("GPU-eeee", "Unified GPU", 0, None)
    assert _candidates("0", [silent]) == {"GPU-eeee": None}
    with pytest.raises(DeviceError, match="memory unknown"):
        _candidates("0", [silent], "0.5")

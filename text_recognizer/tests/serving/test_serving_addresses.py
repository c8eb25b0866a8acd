"""What a caller of the service cannot reach through it."""

import asyncio
import socket

import pytest

from text_recognizer.errors import SpecError
from text_recognizer.serving.addresses import AllowList, WebAddress, is_public
from text_recognizer.serving.fetching import Fetcher
from text_recognizer.serving.refusals import RefusedError
from text_recognizer.tests.datasets.file_server import Fault, FileServer

LOOPBACK = AllowList.of(["127.0.0.0/8"])
PUBLIC_IP = "93.184.215.14"


def fetched(url, fetcher=None):
    return asyncio.run((fetcher or Fetcher()).fetch(url))


def resolver(*answers):
    """Answers with each list of IP addresses in turn; `asked` lists the hosts."""
    waiting, asked = list(answers), []

    async def resolve(host, port):
        asked.append(host)
        return waiting.pop(0)

    return resolve, asked


TRICKS = [
    # schemes
    "file:///etc/passwd",
    "ftp://example.com/x.png",
    "gopher://127.0.0.1:6379/_INFO",
    "dict://127.0.0.1:11211/stat",
    "data:image/png;base64,AAAA",
    "//127.0.0.1/x.png",
    "/etc/hostname",
    "jar:http://127.0.0.1!/",
    "http:127.0.0.1",
    "http:///etc/passwd",
    # loopback, in every notation
    "http://127.0.0.1/",
    "http://localhost/",
    "http://LOCALHOST:8000/",
    "http://127.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://017700000001/",
    "http://0177.0.0.1/",
    "http://127.0.0.1./",
    "http://0.0.0.0:8000/",
    "http://0/",
    "http://①②⑦.⓪.⓪.①/",
    "http://127。0。0。1/",
    "http://%31%32%37.0.0.1/",
    # private, link-local, shared and special networks
    "http://10.0.0.1/",
    "http://172.16.0.1/",
    "http://192.168.1.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/latest/meta-data/",
    "http://100.100.100.200/latest/meta-data/",
    "http://168.63.129.16/metadata",
    "http://192.0.0.192/opc/v1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://255.255.255.255/",
    "http://240.0.0.1/",
    # IPv6
    "http://[::1]/",
    "http://[::]/",
    "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:7f00:1]/",
    "http://[::127.0.0.1]/",
    "http://[64:ff9b::7f00:1]/",
    "http://[2002:7f00:1::]/",
    "http://[2001:0:7f00:1::]/",
    "http://[fe80::1]/",
    "http://[fe80::1%25lo]/",
    "http://[fd00:ec2::254]/",
    "http://[ff02::1]/",
    "http://[fec0::1]/",
    # user-info, and what other parsers read differently
    "http://example.com@127.0.0.1/",
    "http://user:password@example.com/",
    "http://example.com:80@127.0.0.1:80/",
    "http://127.0.0.1#@example.com/",
    "http://127.0.0.1?@example.com/",
    "http://example.com\\@127.0.0.1/",
    "http://127.0.0.1\\.example.com/",
    "http://exam\nple.com/",
    "http://127.0.0.1%0d%0aHost:example.com/",
    "http://example.com/\r\nHost: 127.0.0.1",
    "http://127.0.0.1\t/",
    "http://[::1/",
    "http://example.com:99999/",
    "http://example.com:25/",
    "http://" + "a" * 64 + "/",
    "http://example.com/" + "a" * 3000,
]


@pytest.mark.parametrize("url", TRICKS)
def test_an_address_that_is_not_public_is_refused_before_anything_is_connected(url, monkeypatch):
    async def connected(*_, **__):
        raise AssertionError("connected")

    monkeypatch.setattr(asyncio, "open_connection", connected)
    with pytest.raises(RefusedError) as refused:
        fetched(url)
    assert refused.value.status in (400, 403, 424)
    assert "\n" not in str(refused.value)


def test_there_are_at_least_forty_tricks():
    assert len(set(TRICKS)) >= 40


@pytest.mark.parametrize("ip", [PUBLIC_IP, "8.8.8.8", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"])
def test_a_public_address_is_one(ip):
    assert is_public(ip)


def test_a_host_with_one_private_address_among_others_is_refused():
    resolve, _ = resolver([PUBLIC_IP, "10.0.0.1"])
    with pytest.raises(RefusedError, match="not a public address"):
        fetched("http://pictures.example/", Fetcher(resolve=resolve))


def test_the_address_that_was_checked_is_the_one_connected_to():
    # A name server that answers differently the second time is never asked a second time.
    with FileServer({"/x.png": b"picture"}) as server:
        port = server.address.rpartition(":")[2]
        resolve, asked = resolver(["127.0.0.1"], ["10.0.0.1"])
        fetcher = Fetcher(LOOPBACK, resolve=resolve)
        assert fetched(f"http://pictures.example:{port}/x.png", fetcher) == b"picture"
        assert asked == ["pictures.example"]
        assert server.requests[0].headers["Host"] == f"pictures.example:{port}"


@pytest.mark.parametrize(
    "location",
    ["http://10.0.0.1/", "file:///etc/passwd", "//169.254.169.254/", "http://user@example.com/", "http://[x"],
)
def test_where_a_redirect_leads_is_checked_again(location):
    with FileServer() as server:
        server.faults["/x"].append(Fault(status=302, headers={"Location": location}))
        with pytest.raises(RefusedError) as refused:
            fetched(server.url("/x"), Fetcher(LOOPBACK))
        assert refused.value.status in (400, 403, 424)


def test_a_host_is_resolved_again_for_each_redirect():
    with FileServer() as server:
        port = server.address.rpartition(":")[2]
        server.faults["/x"].append(Fault(status=307, headers={"Location": "/y"}))
        resolve, asked = resolver(["127.0.0.1"], ["192.168.0.1"])
        with pytest.raises(RefusedError, match="not a public address"):
            fetched(f"http://pictures.example:{port}/x", Fetcher(LOOPBACK, resolve=resolve))
        assert len(asked) == 2


def test_redirects_end():
    with FileServer() as server:
        server.faults["/x"].extend(Fault(status=302, headers={"Location": "/x"}) for _ in range(9))
        with pytest.raises(RefusedError, match="redirects more than 2 times"):
            fetched(server.url("/x"), Fetcher(LOOPBACK, most_redirects=2))
        assert server.count("/x") == 3


@pytest.mark.parametrize("announced", [True, False])
def test_a_picture_beyond_the_limit_is_refused(announced):
    with FileServer({"/x": bytes(5000)}) as server:
        if not announced:
            server.faults["/x"].append(Fault(headers={"Transfer-Encoding": "identity"}))
        with pytest.raises(RefusedError) as refused:
            fetched(server.url("/x"), Fetcher(LOOPBACK, most_bytes=1000))
        assert refused.value.status in (413, 424)


def test_the_limit_of_time_is_for_the_whole():
    import threading

    with FileServer({"/x": b"picture"}) as server:
        server.faults["/x"].append(Fault(drop_after_bytes=3, hold=threading.Event()))
        with pytest.raises(RefusedError, match=r"did not answer within 0\.2 s"):
            fetched(server.url("/x"), Fetcher(LOOPBACK, timeout_s=0.2))


@pytest.mark.parametrize(
    "fault", [Fault(status=404), Fault(status=500), Fault(drop_after_bytes=2), Fault(status=302)], ids=str
)
def test_a_server_that_fails_is_named_as_the_reason(fault):
    with FileServer({"/x": b"picture"}) as server:
        server.faults["/x"].append(fault)
        with pytest.raises(RefusedError) as refused:
            fetched(server.url("/x"), Fetcher(LOOPBACK))
        assert refused.value.status == 424


def test_a_host_that_cannot_be_found_is_named_as_the_reason():
    async def resolve(host, port):
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(RefusedError, match="Name or service not known") as refused:
        fetched("http://nowhere.example/", Fetcher(resolve=resolve))
    assert refused.value.status == 424


def test_a_name_on_the_list_may_be_asked_and_its_neighbour_may_not():
    allowed = AllowList.of(["scans.intranet", "10.1.0.0/16"])
    assert allowed.may_ask("scans.intranet", "192.168.0.1")
    assert allowed.may_ask("other.intranet", "10.1.2.3")
    assert not allowed.may_ask("other.intranet", "10.2.0.1")


def test_a_path_of_any_characters_becomes_one_that_a_request_can_hold():
    address = WebAddress.parse("https://bücher.example/Seite 1/ö+%2B.png?a=b c#fragment")
    assert address == WebAddress("https", "xn--bcher-kva.example", 443, "/Seite%201/%C3%B6+%2B.png?a=b%20c")
    assert WebAddress.parse("http://[2606:2800::1]:8080").netloc == "[2606:2800::1]:8080"


@pytest.mark.parametrize("listed", ["10.0.0.0/33", "http://scans.intranet", "localhost:8080", ""])
def test_what_could_never_be_a_host_is_not_taken_for_an_allowed_one(listed):
    with pytest.raises(SpecError, match=r"--allow-host must be a host, an IP address or a network"):
        AllowList.of([listed])

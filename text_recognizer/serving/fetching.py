"""Fetcher: downloads an image, within limits on hosts, size, time and redirects."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from socket import SOCK_STREAM
from urllib.parse import urljoin

import h11

from text_recognizer import __version__
from text_recognizer.serving.addresses import AllowList, WebAddress
from text_recognizer.serving.refusals import RefusedError
from text_recognizer.wording import shortened

Resolve = Callable[[str, int], Awaitable[list[str]]]
_CHUNK_BYTES = 1 << 16


async def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of a host; the host may itself be an IP address in any notation."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@dataclass(frozen=True)
class Fetcher:
    """Connects to public machines only. Each host is resolved once, and the connection uses the checked IP address.

    Written directly on asyncio: HTTP clients resolve names again when they connect, and limit the time of each read,
    not the total.

    Args:
        allowed: hosts that are allowed although they are not public.
        timeout_s: total, including redirects.
    """

    allowed: AllowList = field(default_factory=AllowList)
    most_bytes: int = 16 << 20
    timeout_s: float = 10.0
    most_redirects: int = 4
    resolve: Resolve = resolve

    async def fetch(self, url: str) -> bytes:
        """The content at an address. Raises RefusedError: it is not allowed, does not respond, or sends too much."""
        try:
            async with asyncio.timeout(self.timeout_s):
                for _ in range(self.most_redirects + 1):
                    found = await self._ask(url)
                    if isinstance(found, bytes):
                        return found
                    url = urljoin(url, found)
        except TimeoutError:
            raise _failed(url, f"did not answer within {self.timeout_s:g} s") from None
        except (OSError, h11.ProtocolError, ValueError) as error:  # ValueError: an invalid address
            raise _failed(url, f"could not be fetched: {error}") from None
        raise _failed(url, f"redirects more than {self.most_redirects} times")

    async def _ask(self, url: str) -> bytes | str:
        """The content at an address, or the address to which it redirects."""
        address = WebAddress.parse(url)
        ip = await self._checked(address)
        tls = ssl.create_default_context() if address.scheme == "https" else None
        name = address.host if tls else None
        reader, writer = await asyncio.open_connection(ip, address.port, ssl=tls, server_hostname=name)
        try:
            connection = h11.Connection(h11.CLIENT)
            headers = {
                "Host": address.netloc,
                "Accept": "image/*",
                "Accept-Encoding": "identity",
                "User-Agent": f"text-recognizer/{__version__}",
                "Connection": "close",
            }
            request = h11.Request(method="GET", target=address.target, headers=list(headers.items()))
            writer.write((connection.send(request) or b"") + (connection.send(h11.EndOfMessage()) or b""))
            return await self._answer(connection, reader, url)
        finally:
            writer.close()

    async def _checked(self, address: WebAddress) -> str:
        """The IP address to connect to. All addresses of a host must be allowed: an attacker may mix them."""
        ips = await self.resolve(address.host, address.port)
        refused = [ip for ip in ips if not self.allowed.may_ask(address.host, ip)]
        if refused or not ips:
            raise RefusedError(
                HTTPStatus.FORBIDDEN,
                f"the image's address leads to {address.host}, which is not a public address. "
                f"Send the image itself, or allow the host: --allow-host {address.host}.",
            )
        return ips[0]

    async def _answer(self, connection: h11.Connection, reader: asyncio.StreamReader, url: str) -> bytes | str:
        content = bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(_CHUNK_BYTES))
            elif isinstance(event, h11.Response):
                headers = dict(event.headers)
                if event.status_code in (301, 302, 303, 307, 308) and b"location" in headers:
                    return headers[b"location"].decode("latin-1")
                if event.status_code != HTTPStatus.OK:
                    raise _failed(url, f"returned status {event.status_code}")
                self._check_size(int(headers.get(b"content-length", b"0")))
            elif isinstance(event, h11.Data):
                content += event.data
                self._check_size(len(content))
            elif isinstance(event, h11.EndOfMessage):
                return bytes(content)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self.most_bytes:
            raise RefusedError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the image at that address has {size_bytes:,} bytes or more, at most {self.most_bytes:,} are read.",
            )


def _failed(url: str, reason: str) -> RefusedError:
    return RefusedError(HTTPStatus.FAILED_DEPENDENCY, f"{shortened(url)} {reason}.", common=reason)

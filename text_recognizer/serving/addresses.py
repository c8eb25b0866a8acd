"""Addresses of images on the web, and which of their hosts may be contacted.

The caller chooses the address, this machine connects: hosts that only this machine can reach must stay unreachable.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from urllib.parse import quote, urlsplit

from text_recognizer.errors import SpecError
from text_recognizer.serving.refusals import RefusedError
from text_recognizer.wording import received

PORTS = {"http": 80, "https": 443}
LONGEST_URL = 2048
# Global to the standard library, but they lead to the cloud provider itself, or on to any IPv4 address.
_NEVER = [ip_network(one) for one in ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "2002::/16", "2001::/23")]
_PUBLIC_IPV6 = IPv6Network("2000::/3")  # all assigned addresses; mapped and translated IPv4 addresses lie outside


@dataclass(frozen=True)
class WebAddress:
    """An http or https address, parsed once, so that the address that is checked is the one that is requested.

    Args:
        host: a name in ASCII or an IP address without brackets.
        target: path and query, as in a request line.
    """

    scheme: str
    host: str
    port: int
    target: str

    @classmethod
    def parse(cls, url: str) -> "WebAddress":
        """Parses an address. Raises RefusedError: it is invalid, or neither http nor https."""
        if len(url) > LONGEST_URL:
            raise _unfit(f"has {len(url):,} characters, at most {LONGEST_URL:,} are read")
        if any(character < " " or character in "\\\x7f" for character in url):
            raise _unfit("must not contain control characters or backslashes", url)
        try:
            parts = urlsplit(url.strip(" "))
            port, host = parts.port, (parts.hostname or "").encode("idna").decode("ascii").rstrip(".")
        except ValueError as error:  # UnicodeError included
            raise _unfit(f"cannot be read ({error})", url) from None
        if parts.scheme not in PORTS or not host:
            raise _unfit("must begin with http:// or https:// and a host", url)
        if "@" in parts.netloc or "%" in parts.netloc:
            raise _unfit("must contain only a host: no user, password or zone", url)
        if port is not None and port not in PORTS.values() and port < 1024:
            raise _unfit("must have port 80, 443 or one above 1023", url)
        query = f"?{parts.query}" if parts.query else ""
        target = quote((parts.path or "/") + query, safe="/?%!$&'()*+,;=:@~-._")
        return cls(parts.scheme, host, PORTS[parts.scheme] if port is None else port, target)

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True)
class AllowList:
    """Hosts that are allowed although they are not public, for intranets and tests.

    Args:
        names: host names, as written in addresses.
        networks: networks of IP addresses.
    """

    names: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    @classmethod
    def of(cls, listed: list[str]) -> "AllowList":
        """From names, IP addresses and networks like 10.0.0.0/8. Raises SpecError: an entry is none of these."""
        names, networks = set(), []
        for one in listed:
            try:
                networks.append(ip_network(one, strict=False))
            except ValueError:
                if not re.fullmatch(r"[\w.-]+", one):  # not a possible host
                    form = "a host, an IP address or a network like 10.0.0.0/8, without http:// and port"
                    raise SpecError(f"--allow-host must be {form}. {received(one)}") from None
                names.add(one.lower())
        return cls(frozenset(names), tuple(networks))

    def may_ask(self, host: str, ip: str) -> bool:
        """Whether a host may be contacted at an IP address."""
        address = ip_address(ip)
        return is_public(ip) or host.lower() in self.names or any(address in network for network in self.networks)


def is_public(ip: str) -> bool:
    """Whether an IP address belongs to the public internet only."""
    address = ip_address(ip)
    if address.version == 6 and address not in _PUBLIC_IPV6:
        return False
    odd = address.is_multicast or address.is_reserved or address.is_private or address.is_link_local
    return address.is_global and not odd and not any(address in network for network in _NEVER)


def _unfit(reason: str, url: str | None = None) -> RefusedError:
    came = "" if url is None else f" {received(url)}"
    return RefusedError(HTTPStatus.BAD_REQUEST, f"the image's address {reason}.{came}")

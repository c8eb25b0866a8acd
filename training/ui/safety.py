"""Which requests the page answers: those of this machine, to its own host name, and from the page itself."""

import hmac
import ipaddress
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

COOKIE = "text_recognizer_ui"
TOKEN_HEADER = "x-token"  # noqa: S105 - the name of a header
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@dataclass(frozen=True)
class Guard:
    """Decides on requests. Actions need the page's token; other machines need it for every request."""

    host: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))

    @property
    def is_local(self) -> bool:
        return self.host == "localhost" or ((own := _address(self.host)) is not None and own.is_loopback)

    def refusal(self, method: str, headers: Mapping[str, str], query: str) -> tuple[int, str] | None:
        """Status and error message of a refused request, by lower-case headers and query; None if it is allowed."""
        host = headers.get("host", "")
        if not self._is_own(host):
            return 421, f"this page is not served at '{host}'. Open the address that text-recognizer ui printed."
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return 403, f"requests from {origin} are refused."
        from_elsewhere = headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        if from_elsewhere and headers.get("sec-fetch-dest") != "document":  # a request for an image has no origin
            return 403, "requests from other pages are refused."
        if not self.is_local and not self._is_known(headers, query):
            return 401, "the address lacks the token that text-recognizer ui printed: ?token=…"
        if method not in ("GET", "HEAD") and not self._matches(headers.get(TOKEN_HEADER, "")):
            return 403, "this page is out of date: reload it."
        return None

    def opens(self, query: str) -> bool:
        """Whether the query contains the token, so that the browser may keep it as a cookie."""
        return not self.is_local and self._matches(parse_qs(query).get("token", [""])[0])

    def _is_known(self, headers: Mapping[str, str], query: str) -> bool:
        cookies = dict(part.strip().partition("=")[::2] for part in headers.get("cookie", "").split(";"))
        return self.opens(query) or self._matches(cookies.get(COOKIE, ""))

    def _matches(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(errors="replace"), self.token.encode())

    def _is_own(self, host: str) -> bool:
        """Whether a Host header names this machine. Any other name may be DNS rebinding."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if self.is_local or name in _LOOPBACK_NAMES:
            return name in _LOOPBACK_NAMES
        # An IP address cannot be rebound.
        return name in (self.host, socket.gethostname(), socket.getfqdn()) or _address(name) is not None


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None

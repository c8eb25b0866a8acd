"""Addresses of remote files: which can be used, and how messages show them."""

import re
from urllib.parse import urlsplit

SCHEMES = ("https", "http", "s3", "file")


def without_password(url: str) -> str:
    """An address as messages and registries show it."""
    before, at, after = url.partition("://")
    end = re.search(r"[/?#\\]", after)
    place = after.rpartition("@")[2] if end is None else after[: end.start()].rpartition("@")[2] + after[end.start() :]
    return before + at + place


def url_problem(url: object) -> str | None:
    """What is wrong with an address, or None."""
    if not isinstance(url, str):
        return "must be text"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        return f"cannot be read ({error})"
    if parts.scheme not in SCHEMES:
        return f"must begin with one of {', '.join(f'{scheme}://' for scheme in SCHEMES)}"
    if parts.scheme == "file":
        return None if host in (None, "localhost") and parts.path.startswith("/") else "must be file:///absolute/path"
    if parts.scheme == "s3":
        return None if host and parts.path.strip("/") else "must be s3://bucket/key"
    return None if host else "names no host"

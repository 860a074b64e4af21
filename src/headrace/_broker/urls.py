"""Reads the URLs of a Redis, and shows them without what is secret."""

from __future__ import annotations

import dataclasses
import re
import urllib.parse

__all__ = ["Hosts", "safe_url", "what_is_wrong"]


def safe_url(url: str) -> str:
    """Return *url* without user name, password and query, even if it is no proper URL."""
    scheme, separator, rest = url.rpartition("://")
    shown = re.split("[?#]", rest, maxsplit=1)[0]
    if "@" in rest and "@" not in shown:
        return f"{scheme}{separator}..."  # Who knows where its password ends.
    return f"{scheme}{separator}{shown.rpartition('@')[2]}"


def what_is_wrong(url: str, error: Exception) -> str:
    """Return why *url* cannot be used; *error* is what reading it raised."""
    if "@" in url and "@" not in urllib.parse.urlsplit(url).netloc:
        # The error may show a part of the password, taken for the port.
        return "a / ? or # in its user name or password must be percent-encoded"
    return str(error)


@dataclasses.dataclass(slots=True)
class Hosts:
    """The parts of a URL with several hosts, which urllib does not read."""

    nodes: list[tuple[str, int]]
    auth: dict[str, str]
    db: int
    query: dict[str, str]

    @classmethod
    def parse(cls, url: str, default_port: int) -> Hosts:
        """Read *url*.

        Raises:
            ValueError: If a host is missing, or a port or the database is no number.
        """
        parts = urllib.parse.urlsplit(url)
        credentials, _, hosts = parts.netloc.rpartition("@")
        username, _, password = credentials.partition(":")
        auth = {"username": username, "password": password}
        nodes: list[tuple[str, int]] = []
        for host in hosts.split(","):
            name, _, port = host.rpartition(":") if ":" in host else (host, "", str(default_port))
            if not name:
                raise ValueError("a host is missing")
            nodes.append((name.strip("[]"), int(port)))
        path = parts.path.strip("/")
        return cls(
            nodes,
            {k: urllib.parse.unquote(v) for k, v in auth.items() if v},
            int(path) if path else 0,
            dict(urllib.parse.parse_qsl(parts.query)),
        )

"""Reads the URLs of a Redis, and shows them without what is secret."""

from __future__ import annotations

import dataclasses
import urllib.parse

__all__ = ["Hosts", "safe_url"]


def safe_url(url: str) -> str:
    """Return *url* without user name, password and query."""
    parts = urllib.parse.urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urllib.parse.urlunsplit((parts.scheme, host, parts.path, "", ""))


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

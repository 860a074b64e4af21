"""TLS to a server whose certificate names another host than its address does.

redis-py checks the certificate against the address, and offers no other name. A tunnel or a
load balancer needs one: ``rediss://10.0.0.7?ssl_server_hostname=redis.example.com``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import redis.asyncio
import redis.connection

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

__all__ = ["SyncTlsConnection", "TlsConnection"]


class TlsConnection(redis.asyncio.SSLConnection):
    """Asks for the certificate of *ssl_server_hostname*; None: of the address."""

    def __init__(self, *, ssl_server_hostname: str | None = None, **kwargs: Any) -> None:  # noqa: ANN401 - redis-py's
        super().__init__(**kwargs)
        self._server_hostname = ssl_server_hostname

    def _connection_arguments(self) -> Mapping[str, object]:
        arguments = dict(super()._connection_arguments())
        if self._server_hostname is not None:
            arguments["server_hostname"] = self._server_hostname
        return arguments


class SyncTlsConnection(redis.connection.SSLConnection):
    """The same, for another thread."""

    def __init__(self, *, ssl_server_hostname: str | None = None, **kwargs: Any) -> None:  # noqa: ANN401 - redis-py's
        super().__init__(**kwargs)
        self._server_hostname = ssl_server_hostname

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> object:
        # It takes the name from the address, which is connected by now.
        address = self.host
        self.host = self._server_hostname or address
        try:
            return super()._wrap_socket_with_ssl(sock)  # type: ignore[no-untyped-call]  # redis-py's.
        finally:
            self.host = address

"""What has connections to Redis, and closes them at the end of an ``async with``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from headrace._broker.redis import RedisBroker

__all__ = ["Connected"]


class Connected:
    """Works through a broker of its own."""

    _broker: RedisBroker

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._broker.address}>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        await self._broker.close()

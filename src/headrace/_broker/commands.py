"""Sends commands and script calls to Redis, many in one round trip."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from redis.exceptions import NoScriptError

from headrace._broker.faults import FOREIGN_ERRORS, broker_error
from headrace._broker.scripts import SCRIPTS
from headrace._errors import BrokerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from headrace._broker.connections import Argument, Sender

__all__ = ["Call", "Commands", "Reply", "checked"]

Reply: TypeAlias = Any
"""What a command answers. The header of each script says in what shape."""


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One call of a script."""

    script: str
    keys: Sequence[str]
    args: Sequence[Argument]

    def command(self) -> tuple[Argument, ...]:
        """Return the command that runs the script if Redis knows it."""
        return ("EVALSHA", SCRIPTS[self.script].sha, len(self.keys), *self.keys, *self.args)

    def full_command(self) -> tuple[Argument, ...]:
        """Return the command that runs the script in any case."""
        return ("EVAL", SCRIPTS[self.script].body, len(self.keys), *self.keys, *self.args)


def checked(reply: Reply) -> Reply:
    """Return *reply*; raise it if it is an error."""
    if isinstance(reply, BrokerError):
        raise reply
    return reply


class Commands:
    """A way to Redis. Errors are Headrace's from here on."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    async def run(self, *commands: Call | tuple[Argument, ...]) -> list[Reply]:
        """Send *commands* in one round trip.

        Returns:
            The reply to each, or the `BrokerError` that Redis answered with.

        Raises:
            BrokerError: If no answer came.
        """
        replies = await self._send(
            [item.command() if isinstance(item, Call) else item for item in commands]
        )
        unknown = [n for n, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
        if unknown:  # A new or restarted Redis, or SCRIPT FLUSH: these were not run.
            try:
                again = await self._send(
                    [cast("Call", commands[n]).full_command() for n in unknown]
                )
            except BrokerError as error:
                error.ambiguous = error.ambiguous or len(unknown) < len(commands)
                raise
            for n, reply in zip(unknown, again, strict=True):
                replies[n] = reply
        return [broker_error(reply) if isinstance(reply, Exception) else reply for reply in replies]

    async def _send(self, commands: Sequence[tuple[Argument, ...]]) -> list[object]:
        try:
            return await self._sender.send(commands)
        except FOREIGN_ERRORS as error:
            raise broker_error(error) from error

    async def one(self, command: Call | tuple[Argument, ...]) -> Reply:
        """Send one command and return its reply.

        Raises:
            BrokerError: If no answer came, or an error did.
        """
        [reply] = await self.run(command)
        return checked(reply)

    async def nodes(self, key: str | None = None) -> list[Commands]:
        """Return ways to single servers: to all that hold keys, or to that which holds *key*.

        Raises:
            BrokerError: If no answer came.
        """
        try:
            return [Commands(sender) for sender in await self._sender.nodes(key)]
        except FOREIGN_ERRORS as error:
            raise broker_error(error) from error

    async def close(self) -> None:
        """Close the connections."""
        await self._sender.close()

"""The broker's side of the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace._broker.auditing.full import FullAudit
from headrace._broker.auditing.gentle import claim, reconcile
from headrace._broker.auditing.queue import Crashes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from headrace._audit import AuditProgress, Finding
    from headrace._broker.link import Link

__all__ = ["Auditing"]


class Auditing:
    """Finds what is damaged, and puts it right."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def audit(
        self,
        *,
        queues: Collection[str] | None = None,
        repair: bool = False,
        settle: float = 12.0,
        progress: Callable[[AuditProgress], None] | None = None,
    ) -> AsyncIterator[Finding]:
        """Yield what is wrong. See `Auditor.audit`."""
        full = FullAudit(self._link, queues=queues, repair=repair, settle=settle, progress=progress)
        return full.run()

    async def claim_reconcile(self, queue: str, seconds: float) -> bool:
        """Return whether the caller is to reconcile *queue*. See `ReconcilerBroker`."""
        return await claim(self._link, queue, seconds)

    def reconcile(
        self, queue: str, *, lease_duration: float, max_crashes: int
    ) -> AsyncIterator[Sequence[Finding]]:
        """Put right what is wrong in *queue*, step by step. See `ReconcilerBroker`."""
        return reconcile(self._link, queue, Crashes(max_crashes, lease_duration))

"""dramatiq: a `Worker` with 100 threads in the process, on its Redis broker."""

from __future__ import annotations

import threading
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.worker import Worker

from benchmarks.systems.adapter import FUNCTIONS, ThreadAdapter, run


class Dramatiq(ThreadAdapter):
    """Enqueues with actors, works with threads."""

    def connect(self) -> None:
        """Declare the actors."""
        self._broker = RedisBroker(url=self.url)
        dramatiq.set_broker(self._broker)
        self._actors = {
            kind: dramatiq.actor(function, actor_name=kind, broker=self._broker)
            for kind, function in FUNCTIONS.items()
        }

    def add(self, kind: str, argument: int) -> None:
        """Enqueue one message."""
        self._actors[kind].send(argument)

    def add_later(self, kind: str, argument: int, due: int) -> None:
        """Enqueue a message that is due at *due*; dramatiq wants the delay in milliseconds."""
        delay = round((due - time.time()) * 1000)
        self._actors[kind].send_with_options(args=(argument,), delay=delay)

    def work(self, concurrency: int) -> None:
        """Run the messages."""
        self.connect()
        Worker(self._broker, worker_threads=concurrency).start()
        threading.Event().wait()


if __name__ == "__main__":
    run(Dramatiq)

"""Redis in company: a master with a replica and a sentinel, and a cluster of three."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.redis_server import RedisServer, free_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

__all__ = ["ClusterOfThree", "SentinelGroup", "client_of", "eventually"]

PATIENCE = 60.0
SLOTS = 16_384


def client_of(port: int, **kwargs: Any) -> redis.Redis:  # noqa: ANN401 - redis-py's own
    """Return a blocking client of a server on this machine."""
    return redis.Redis(host="127.0.0.1", port=port, retry=Retry(NoBackoff(), 0), **kwargs)


def eventually(condition: Callable[[], object], what: str) -> None:
    """Wait until *condition* holds. There is no event to wait for: it is about other processes."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        with contextlib.suppress(redis.RedisError):
            if condition():
                return
        time.sleep(0.02)
    raise TimeoutError(f"{what}: not within {PATIENCE:g} s")


class SentinelGroup:
    """A master, its replica, and a sentinel that watches them.

    Args:
        executable: As `find_redis_server` returns it.

    Attributes:
        master: The server that is master at first.
        replica: The server that becomes it.
        port: The sentinel's.
    """

    name = "jobs"

    def __init__(self, executable: str) -> None:
        self._executable = executable
        # By default a master lets replicas wait for 5 s, in case there are more of them.
        self.master = RedisServer(executable, repl_diskless_sync_delay="0")
        self.replica = RedisServer(executable, repl_diskless_sync_delay="0")
        self.port = free_port()
        self.directory = Path(tempfile.mkdtemp(prefix="headrace-sentinel-"))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL by which a client finds the master."""
        return f"redis+sentinel://127.0.0.1:{self.port}/0?master={self.name}"

    def master_port(self) -> int:
        """Return the port of the master that the sentinel names."""
        with client_of(self.port) as sentinel:
            _, port = sentinel.sentinel_get_master_addr_by_name(self.name)
            return int(port)

    def fail_over(self) -> None:
        """Kill the master, and return when the replica is master."""
        self.master.kill()
        self.until_switched()

    def switch(self) -> None:
        """Have the sentinel make the replica master, and return when it is."""
        with client_of(self.port) as sentinel:
            # It refuses until it has heard of the replica's health.
            command = ("SENTINEL", "FAILOVER", self.name)
            eventually(lambda: sentinel.execute_command(*command), "the order to fail over")
        self.until_switched()

    def until_switched(self) -> None:
        """Return when the replica is master, and takes writes."""

        def switched() -> bool:
            with client_of(self.replica.port) as client:
                return bool(
                    self.master_port() == self.replica.port and client.role()[0] == b"master"
                )

        eventually(switched, "the failover")

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self) -> None:
        self.master.start()
        self.replica.start()
        with client_of(self.replica.port) as client:
            client.replicaof("127.0.0.1", str(self.master.port))
            eventually(lambda: client.info("replication")["master_link_status"] == "up", "the link")
        config = self.directory / "sentinel.conf"
        config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.directory}\n"
            f"sentinel monitor {self.name} 127.0.0.1 {self.master.port} 1\n"
            f"sentinel down-after-milliseconds {self.name} 500\n"
            f"sentinel failover-timeout {self.name} 2000\n"
        )
        with (self.directory / "sentinel.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own arguments
                [self._executable, str(config), "--sentinel"], stdout=log, stderr=log
            )

        def knows_the_replica() -> bool:
            with client_of(self.port) as sentinel:
                return len(sentinel.sentinel_slaves(self.name)) == 1

        eventually(knows_the_replica, "the sentinel")

    def close(self) -> None:
        """End everything."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self.master.close()
        self.replica.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class ClusterOfThree:
    """Three masters that share the slots.

    Attributes:
        nodes: The servers.
    """

    def __init__(self, executable: str) -> None:
        self.nodes = [
            RedisServer(
                executable,
                cluster_enabled="yes",
                cluster_node_timeout="2000",
                cluster_require_full_coverage="no",
                appendonly="yes",
                appendfsync="always",
            )
            for _ in range(3)
        ]
        for node in self.nodes:
            while node.port + 10_000 > 65_535:  # Where the nodes talk to each other.
                node.port = free_port()

    @property
    def url(self) -> str:
        """The URL of the cluster."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        return f"redis+cluster://{hosts}"

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                node.start()
            self._join()
        except BaseException:
            self.close()
            raise
        return self

    def _join(self) -> None:
        bounds = [SLOTS * n // 3 for n in range(4)]
        for index, node in enumerate(self.nodes):
            with node.client() as client:
                client.execute_command(
                    "CLUSTER", "ADDSLOTS", *range(bounds[index], bounds[index + 1])
                )
                client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", index + 1)
                for other in self.nodes[:index]:
                    client.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port)
        self.until_whole()

    def until_whole(self) -> None:
        """Return when every node serves, and knows who has which slots."""

        def is_whole(node: RedisServer) -> bool:
            with node.client() as client:
                return "cluster_state:ok" in str(client.execute_command("CLUSTER", "INFO"))

        for node in self.nodes:
            eventually(lambda node=node: is_whole(node), "the cluster")  # type: ignore[misc]

    def node_of(self, key: str) -> RedisServer:
        """Return the node that holds a key."""
        with self.nodes[0].client() as client:
            slot = client.execute_command("CLUSTER", "KEYSLOT", key)
        return self.nodes[int(slot) * 3 // SLOTS]

    def close(self) -> None:
        """End everything."""
        for node in self.nodes:
            node.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

"""rediss://: everything goes through TLS, the guard thread's connection too."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from headrace import BrokerError, Client, Server
from tests.server.helpers import Gate
from tests.support.redis_server import RedisServer, free_port
from tests.topology.scenario import everything, guard_extends

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl, to make a certificate")
    directory = tmp_path_factory.mktemp("tls")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", "/CN=headrace"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1,DNS:redis.example"]
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own arguments
    return certificate, key


@pytest.fixture
def tls_port(redis_executable: str, certificate: tuple[Path, Path]) -> Iterator[int]:
    """The port on which a server of the test's own speaks TLS."""
    port = free_port()
    server = RedisServer(
        redis_executable,
        tls_port=str(port),
        tls_cert_file=str(certificate[0]),
        tls_key_file=str(certificate[1]),
        tls_auth_clients="no",
    )
    try:
        server.start()
    except RuntimeError as error:
        server.close()
        if "tls" not in str(error).lower():
            raise
        pytest.skip("needs a Redis that was built with TLS")
    yield port
    server.close()


async def test_everything_through_tls(tls_port: int, certificate: tuple[Path, Path]) -> None:
    """rediss:// does everything, and checks the certificate."""
    url = f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={certificate[0]}"
    await everything(url)
    await guard_extends(url)


async def test_certificate_of_another_name(tls_port: int, certificate: tuple[Path, Path]) -> None:
    """The URL may say which host's certificate is wanted; that of another is refused."""
    url = f"rediss://127.0.0.1:{tls_port}/0?ssl_ca_certs={certificate[0]}&ssl_server_hostname="
    async with Client(f"{url}redis.example") as client:
        await client.ping()
    await guard_extends(f"{url}redis.example")
    async with Client(f"{url}another.example", timeout=0.1) as client:
        with pytest.raises(BrokerError, match=r"(?i)certificate"):
            await client.ping()


async def test_unknown_certificate_is_refused(tls_port: int) -> None:
    """A certificate that nobody vouches for ends the start."""
    with pytest.raises(BrokerError, match=r"(?i)certificate"):
        await Server(f"rediss://127.0.0.1:{tls_port}/0", Gate()).start()

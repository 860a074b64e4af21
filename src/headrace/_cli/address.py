"""From an address and settings beside it to the one URL that says both."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode

from headrace._cli.failure import CliError
from headrace._cli.text import masked_url

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Address", "full_url"]

DEFAULT_ADDRESS: Final = "redis://localhost:6379"
_WITH_TLS: Final = {
    "redis": "rediss",
    "redis+cluster": "rediss+cluster",
    "redis+sentinel": "rediss+sentinel",
    "redis-sentinel": "rediss+sentinel",
}
_LOCAL: Final = {"unix", "redis-socket"}
_CERTIFICATE_SETTINGS: Final = ("tls_insecure", "tls_ca", "tls_server_name")


@dataclasses.dataclass(slots=True)
class Address:
    """The parts of a URL. Nothing is decoded."""

    scheme: str
    credentials: str
    hosts: str
    path: str
    query: list[str]

    @classmethod
    def of(cls, url: str) -> Address:
        """Take *url* apart.

        Raises:
            CliError: If it is not clear where its password ends.
        """
        scheme, _, rest = url.partition("://")
        rest, _, query = rest.partition("#")[0].partition("?")
        netloc, slash, path = rest.partition("/")
        if "@" in path or ("@" in query and "@" not in netloc):
            raise CliError(
                f"{masked_url(url)} is not usable",
                hint="A / ? or # in its user name or password must be percent-encoded.",
            )
        credentials, _, hosts = netloc.rpartition("@")
        return cls(scheme, credentials, hosts, slash + path, query.split("&") if query else [])

    def __str__(self) -> str:
        at = "@" if self.credentials else ""
        query = f"?{'&'.join(self.query)}" if self.query else ""
        return f"{self.scheme}://{self.credentials}{at}{self.hosts}{self.path}{query}"

    def set_query(self, **values: str) -> None:
        """Put *values* in the place of parameters of their names."""
        kept = [item for item in self.query if item.partition("=")[0] not in values]
        self.query = [*kept, urlencode(values, safe="/")]


def full_url(settings: Mapping[str, object]) -> str:
    """Return the URL of Redis.

    Args:
        settings: ``redis`` or ``cluster_address``, and what goes beside it; see `Settings`.

    Raises:
        CliError: If they do not go together.
    """
    beside = {name: value for name, value in settings.items() if name != "redis"}
    url = str(settings.get("redis", DEFAULT_ADDRESS))
    if not any(value is not False for value in beside.values()):
        return url  # As it is: whoever reads it says best what is wrong with it.
    addresses = settings.get("cluster_address")
    if isinstance(addresses, list) and addresses:
        address = _of_cluster(addresses)
    else:
        address = Address.of(url)
        if settings.get("cluster"):
            _make_cluster(address)
    if address.scheme == "memory":
        name = next(name for name, value in beside.items() if value is not False)
        raise CliError(f"{_flag(name)} has no meaning for memory://, which is in this process")
    _set_credentials(address, settings.get("username"), settings.get("password"))
    if (db := settings.get("db")) is not None:
        _set_db(address, str(db))
    _set_tls(address, settings)
    return str(address)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _of_cluster(addresses: Sequence[object]) -> Address:
    hosts = [str(address) for address in addresses]
    for host in hosts:
        if not host.strip() or "/" in host or "@" in host or "," in host:
            # It is not shown: it may hold a password.
            raise CliError("--cluster-address takes HOST:PORT, such as 10.0.0.5:7000")
    return Address("redis+cluster", "", ",".join(hosts), "", [])


def _make_cluster(address: Address) -> None:
    schemes = {"redis": "redis+cluster", "rediss": "rediss+cluster"}
    if address.scheme in schemes:
        address.scheme = schemes[address.scheme]
    elif not address.scheme.endswith("+cluster"):
        raise CliError(f"--cluster needs a redis:// address, not {address.scheme}://")


def _set_credentials(address: Address, username: object, password: object) -> None:
    own_name, _, own_password = address.credentials.partition(":")
    name = own_name if username is None else quote(str(username), safe="")
    secret = own_password if password is None else quote(str(password), safe="")
    address.credentials = f"{name}:{secret}" if secret else name


def _set_db(address: Address, db: str) -> None:
    if address.scheme in _LOCAL:
        address.set_query(db=db)
        return
    if address.scheme.endswith("+cluster") and db != "0":
        raise CliError("A cluster has no database but 0", hint="Leave --db out.")
    address.query = [item for item in address.query if item.partition("=")[0] != "db"]
    address.path = f"/{db}"


def _set_tls(address: Address, settings: Mapping[str, object]) -> None:
    if settings.get("tls") and not address.scheme.startswith("rediss"):
        if address.scheme not in _WITH_TLS:
            raise CliError(f"--tls has no meaning for {address.scheme}://")
        address.scheme = _WITH_TLS[address.scheme]
    wanted = [name for name in _CERTIFICATE_SETTINGS if settings.get(name)]
    if not wanted:
        return
    if not address.scheme.startswith("rediss"):
        raise CliError(f"{_flag(wanted[0])} needs --tls, or a rediss:// address")
    if "+" in address.scheme:
        raise CliError(
            f"{_flag(wanted[0])} is for a single Redis; with a cluster or Sentinel, the system's "
            f"authorities check the certificates",
            hint="SSL_CERT_FILE names others.",
        )
    if settings.get("tls_server_name"):
        address.set_query(ssl_server_hostname=str(settings["tls_server_name"]))
    if settings.get("tls_insecure") and settings.get("tls_ca"):
        raise CliError("--tls-insecure checks no certificate: --tls-ca has no use beside it")
    if settings.get("tls_insecure"):
        address.set_query(ssl_cert_reqs="none", ssl_check_hostname="false")
    if settings.get("tls_ca"):
        address.set_query(ssl_ca_certs=str(settings["tls_ca"]))

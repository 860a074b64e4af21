"""docs/cli.md names every command with every argument and option, and no others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from typer.main import get_command

from headrace._cli.app import app
from headrace._cli.settings import Settings, WorkerSettings
from tests.support.pages import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = (ROOT / "docs" / "cli.md").read_text("utf-8")
ROOT_COMMAND: Any = get_command(app)  # What typer builds has no public type.


def commands(
    command: Any = ROOT_COMMAND,  # noqa: ANN401 - as above
    path: tuple[str, ...] = (),
) -> Iterator[tuple[str, Any]]:
    """Yield each command with its name, such as "queue limit set"."""
    groups = getattr(command, "commands", None)
    if groups is None:
        yield " ".join(path), command
        return
    for name, inner in groups.items():
        yield from commands(inner, (*path, name))


COMMANDS = dict(commands())
SHARED = {option for param in ROOT_COMMAND.params for option in param.opts}


def section(heading: str) -> str:
    """Return what the page says under a heading of any level, up to the next one."""
    found = re.search(
        rf"^##+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL
    )
    assert found, f"docs/cli.md has no section {heading!r}"
    return found[1]


def named_in_table(text: str) -> set[str]:
    """Return the options that begin the rows of a table."""
    rows = [line.partition(" | ")[0] for line in text.splitlines() if line.startswith("| `-")]
    return {option for row in rows for option in re.findall(r"`(--?[\w-]+)`", row)}


@pytest.mark.parametrize("name", COMMANDS)
def test_command_is_described(name: str) -> None:
    """Its section names its usage and each of its options, and none that it does not have."""
    text, params = section(name), COMMANDS[name].params
    options = {
        option for param in params if param.param_type_name == "option" for option in param.opts
    }
    arguments = [param.metavar for param in params if param.param_type_name == "argument"]

    assert f"`headrace {name}" in text
    assert named_in_table(text) == options - SHARED - {"--help", "-h"}
    assert all(f"| `{argument}` |" in text for argument in arguments)


def test_shared_options_are_described() -> None:
    """Those of the connection and of completion, with the keys of the file and the variables."""
    text = section("Where Redis is")
    completion = {"--install-completion", "--show-completion"}

    assert named_in_table(text) == SHARED - completion - {"--help", "-h"}
    assert all(f"`headrace {option}`" in section("Shell completion") for option in completion)
    assert all(f"`{key}`" in text for key in Settings.model_fields if key != "worker")
    variables = [param.envvar for param in ROOT_COMMAND.params if param.envvar]
    assert all(f"`{variable}`" in text for variable in variables)
    assert all(
        f"\n{key} = " in section("Configuration file") for key in WorkerSettings.model_fields
    )


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "version"])
def test_options_of_the_connection_are_shared(name: str) -> None:
    """Every command that talks to Redis takes them all."""
    options = {option for param in COMMANDS[name].params for option in param.opts}

    assert options >= {"--redis", "--db", "--password", "--cluster", "--tls", "--config"}

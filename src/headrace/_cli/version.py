"""``version``: what runs here."""

from __future__ import annotations

import platform

from headrace._cli.console import output_console
from headrace._cli.options import JsonOption  # noqa: TC001 - typer reads it
from headrace._cli.output import print_json

__all__ = ["version"]


def version(*, as_json: JsonOption = False) -> None:
    """Show the versions of Headrace and of what it stands on."""
    from importlib.metadata import version as version_of  # noqa: PLC0415 - keeps --help quick

    from headrace import __version__  # noqa: PLC0415

    versions = {
        "headrace": __version__,
        "python": platform.python_version(),
        "redis-py": version_of("redis"),
    }
    if as_json:
        print_json(versions)
        return
    console = output_console()
    for name, number in versions.items():
        console.print(f"[bold]{name:<9}[/] {number}")

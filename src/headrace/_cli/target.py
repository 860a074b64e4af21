"""From ``module:name`` on the command line to the object that the user meant."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from headrace._cli.failure import CliError, ExitCode
from headrace._cli.text import plain

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

__all__ = ["load_target", "user_fault"]

_OWN = ("headrace._cli", "importlib")


def load_target(spec: str) -> object:
    """Import what *spec* names, with the current directory on the import path.

    Args:
        spec: ``package.module:name``, or ``module:name.of.attribute``.

    Raises:
        CliError: If there is no such module or name, or if the module itself raises.
    """
    module_name, _, path = spec.partition(":")
    if not module_name or not path:
        raise CliError(
            f"{spec!r} does not say what to run",
            hint="MODULE:NAME is needed, such as myapp.tasks:server",
        )
    if module_name.endswith(".py") or "/" in module_name:
        dotted = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise CliError(
            f"{module_name!r} is the path of a file; the name of a module is needed",
            hint=f"Try {dotted}:{path}",
        )
    target: object = _import(module_name)
    for name in path.split("."):
        target = _attribute(target, name, spec)
    return target


def user_fault(where: str, error: Exception) -> CliError:
    """Print the traceback of *error*, raised by the user's code; return what ends the command."""
    trace = _from_user_code(error.__traceback__)
    lines = traceback.format_exception(type(error), error, trace)
    sys.stderr.write(plain("".join(lines), keep="\n\t"))
    return CliError(f"{where} raised {type(error).__name__}, see above", code=ExitCode.FAILURE)


def _import(name: str) -> ModuleType:
    directory = str(Path.cwd())
    if directory not in sys.path:
        sys.path.insert(0, directory)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(f"{missing}."):
            raise _no_module(missing, directory) from None
        # Another missing module is a fault inside the user's.
        raise user_fault(f"Module {name!r}", error) from None
    except Exception as error:  # noqa: BLE001 - whatever the user's code raises
        raise user_fault(f"Module {name!r}", error) from None


def _no_module(missing: str, directory: str) -> CliError:
    parent, _, last = missing.rpartition(".")
    places = list(getattr(sys.modules.get(parent), "__path__", [directory]))
    found = [module.name for module in pkgutil.iter_modules(places)]
    return CliError(
        f"There is no module {missing!r} in {places[0]}"
        + ("" if parent else " or on Python's import path"),
        hint=_suggestion(last, found) or "Run from the directory that holds it, or install it.",
    )


def _attribute(owner: object, name: str, spec: str) -> object:
    try:
        return getattr(owner, name)
    except AttributeError:
        shown = getattr(owner, "__name__", type(owner).__name__)
        raise CliError(
            f"{shown!r} has no attribute {name!r} (from {spec!r})",
            hint=_suggestion(name, _instances(owner)) or _runnable(owner),
        ) from None


def _instances(owner: object) -> list[str]:
    """Return the names of what *owner* holds, without the classes and modules it imports."""
    members = getattr(owner, "__dict__", {})
    return [name for name, value in members.items() if not isinstance(value, (type, ModuleType))]


def _suggestion(name: str, known: Iterable[str]) -> str:
    public = [other for other in known if not other.startswith("_")]
    close = difflib.get_close_matches(name, public)
    return f"Did you mean {' or '.join(close)}?" if close else ""


def _runnable(module: object) -> str:
    """Say which names of *module* could be run."""
    from headrace import Router, Server  # noqa: PLC0415 - keeps --help quick

    members = getattr(module, "__dict__", {})
    names = [name for name, value in members.items() if isinstance(value, (Server, Router))]
    return f"It has {', '.join(names)}." if names else "It holds no Server and no Router."


def _from_user_code(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of *trace* that begins in the user's code; None if it never gets there."""
    while trace is not None:
        module = trace.tb_frame.f_globals.get("__name__") or ""
        if not module.startswith(_OWN):
            return trace
        trace = trace.tb_next
    return None

"""The package's structure: imports point one way, and the public names are those promised."""

from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import headrace
from headrace import _errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SOURCE = Path(__file__).parents[1] / "src"

# From the bottom to the top. A module imports from its own layer and from those below it. The
# longest name that fits a module says in which layer it is.
LAYERS = (
    # Values and their checks.
    {
        "_version",
        "_errors",
        "_clock",
        "_validation",
        "_log",
        "_task",
        "_config",
        "_cron",
        "_schedule",
        "_limits",
    },
    {"_audit", "_events", "_health"},
    # The wire.
    {"_proto", "_proto.*", "_message", "_fleet_message", "_context"},
    # What is asked of a broker.
    {"_broker", "_broker.base", "_broker.values", "_broker.keys"},
    # The parts. None of them knows all others.
    {
        *("_broker.*", "_worker.*", "_placement", "_groupcommit", "_scheduling", "_scheduling.*"),
        *("_router", "_table", "_calls", "_typed", "_depends", "_signature", "_offload"),
    },
    # What puts the parts together.
    {
        "_auditor",
        "_client",
        "_connected",
        "_inspector",
        "_inspector.*",
        "_semaphore",
        "_options",
        "_server",
        "_components",
        "_run",
        "_scheduler",
        "_periodic",
        "_stored_schedules",
    },
    # The public names, and what stands on them.
    {"", "__main__", "_cli", "_cli.*", "contrib", "contrib.*", "testing", "testing.*"},
)
# Names of other packages, and how the names of the modules begin that may know them.
KEEPERS: dict[str, str | tuple[str, ...]] = {
    # These take a client of redis.asyncio, so their signatures name it.
    "redis": (
        "_auditor.",
        "_broker.",
        "_client.",
        "contrib.prometheus.",
        "_inspector.",
        "_semaphore.",
        "_server.",
        "_scheduler.",
        "_periodic.",
        "_stored_schedules.",
    ),
    "fakeredis": "_broker.",
    "google": ("_message.", "_fleet_message.", "_proto."),
    "cronsim": "_cron.",
    "typer": "_cli.",
    "rich": "_cli.",
    "textual": "_cli.dash.",
    "watchfiles": "_cli.",
    "aiohttp": "contrib.",
    "opentelemetry": "contrib.",
    "prometheus_client": "contrib.",
}
MODULES = sorted((SOURCE / "headrace").rglob("*.py"))


def module_name(path: Path) -> str:
    """Return the dotted name of the module at *path* within headrace; "" is headrace itself."""
    parts = path.relative_to(SOURCE).with_suffix("").parts[1:]
    return ".".join(part for part in parts if part != "__init__")


def imported(path: Path) -> Iterator[str]:
    """Yield the full names that the module at *path* imports, wherever in its text."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the direction"
            assert node.module is not None
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if is_module(name) else node.module


def is_module(name: str) -> bool:
    """Whether *name* is a module of headrace."""
    path = SOURCE.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


def own_imports(path: Path) -> set[str]:
    """Return the modules of headrace that the module at *path* imports, without the prefix."""
    return {
        name.removeprefix("headrace").removeprefix(".")
        for name in imported(path)
        if name.partition(".")[0] == "headrace"
    }


def layer(module: str) -> int:
    """Return the number of the layer that *module* is in."""
    patterns = [module]
    while module:
        module = module.rpartition(".")[0]
        patterns.append(f"{module}.*")
    for pattern in patterns:
        for number, names in enumerate(LAYERS):
            if pattern in names:
                return number
    raise AssertionError(f"Say in LAYERS where {patterns[0]!r} belongs")


def violations(
    forbids: Callable[[str, str], bool], imports: Callable[[Path], Iterable[str]] = own_imports
) -> dict[str, set[str]]:
    """Return, by module, the imports for which ``forbids(module, name)`` holds."""
    found = {
        module_name(path): {name for name in imports(path) if forbids(module_name(path), name)}
        for path in MODULES
    }
    return {module: names for module, names in found.items() if names}


def test_imports_point_down() -> None:
    """A module imports nothing from a layer above its own, not even for its annotations."""
    assert violations(lambda module, name: layer(name) > layer(module)) == {}


def test_components_see_the_broker_protocol_only() -> None:
    """The worker's components know what a broker does, not which one it is."""
    assert (
        violations(
            lambda module, name: (
                module.startswith("_worker")
                and name.startswith("_broker")
                and name not in {"_broker.base", "_broker.values", "_broker.keys"}
            )
        )
        == {}
    )


def test_only_the_server_knows_the_components() -> None:
    """Nobody imports a component but what builds the server, and the components themselves."""
    builders = ("_server", "_components", "_worker")
    assert (
        violations(
            lambda module, name: (
                name.startswith("_worker.")
                and not name.startswith("_worker._")  # Their tools; not components.
                and not module.startswith(builders)
            )
        )
        == {}
    )


def test_command_line_uses_the_public_names_only() -> None:
    """What the command line does, a user's program can do too."""

    def is_wrong(module: str, name: str) -> bool:
        is_of_command_line = module.partition(".")[0] == "_cli"
        return is_of_command_line and name[:1] == "_" and name.partition(".")[0] != "_cli"

    assert violations(is_wrong) == {}


def test_contributions_use_the_public_names_only() -> None:
    """Metrics and traces stand on what any program can use."""
    assert violations(lambda module, name: module.startswith("contrib") and name[:1] == "_") == {}


def test_other_packages_stay_behind_their_border() -> None:
    """Redis, protobuf and the like are known to one part each."""
    assert (
        violations(
            lambda module, name: (
                not f"{module}.".startswith(KEEPERS.get(name.partition(".")[0], ""))
            ),
            imported,
        )
        == {}
    )


def test_public_names() -> None:
    """These names, and no others, are what programs may rely on."""
    names = {
        *("Client", "Router", "Server", "Task", "TaskContext", "TaskInfo", "TaskState"),
        "TaskProgress",
        *("TaskOptions", "TaskStateProber", "GroupAggregator", "Depends", "TypedTask"),
        *("ClusterNode", "DailyStats", "GroupInfo", "RunningTask", "ServerStatus"),
        *("SchedulerEnqueueEvent", "SchedulerEntry"),
        *("Auditor", "AuditProgress", "Finding"),
        *("CallNext", "Inspector", "JsonValue", "QueueStats", "ServerOptions", "ServerState"),
        *("default_retry_delay", "run", "serve", "current_context", "__version__"),
        *("QueueLimits", "RateSemaphore"),
        *("EnqueueHook", "Outgoing", "ServerHealth", "ServerObserver", "TaskEvent", "TaskOutcome"),
        *("All", "Misfire", "PeriodicTaskManager", "Schedule", "ScheduleProvider"),
        *("Scheduler", "SchedulerOptions", "StoredSchedule", "StoredSchedules"),
        *_errors.__all__,
    }

    assert set(headrace.__all__) == names
    assert [name for name in headrace.__all__ if not hasattr(headrace, name)] == []


def test_version_is_that_of_the_package() -> None:
    """The installed package and the module agree on the version."""
    assert importlib.metadata.version("headrace") == headrace.__version__


def test_core_stands_without_its_extras() -> None:
    """Importing headrace loads nothing that only an extra installs."""
    code = "import sys, headrace; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()

    extras = {"typer", "rich", "textual", "watchfiles", "uvloop"}
    # Not opentelemetry: redis-py itself loads it where it is installed.
    extras |= {"aiohttp", "prometheus_client"}
    assert extras & set(loaded) == set()

"""``schedule``: schedules that are kept in Redis, for a manager to enqueue."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, TypeAlias, cast

import typer
from rich.text import Text

from headrace._cli.confirm import YesOption, confirm
from headrace._cli.connection import Connection, connected
from headrace._cli.failure import CliError, ExitCode
from headrace._cli.options import (
    HeaderOption,
    JsonOption,
    NewGroupOption,
    PayloadOption,
    RetentionOption,
    RetryOption,
    TimeoutOption,
    TypeArgument,
    UniqueOption,
    common_options,
    duration_option,
)
from headrace._cli.output import Column, bytes_text, print_json, print_table
from headrace._cli.session import schedules_session
from headrace._cli.text import duration_text, plain, plural
from headrace._cli.values import parse_misfire, parse_payload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from headrace import Misfire, Schedule, StoredSchedule, StoredSchedules, TaskOptions

__all__ = ["schedule"]

schedule: typer.Typer = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")

IdArgument: TypeAlias = Annotated[
    str, typer.Argument(metavar="ID", show_default=False, help="As `schedule ls` shows it.")
]
QueueOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--queue", "-q", metavar="NAME", show_default=False, help="The queue of its tasks."
    ),
]
MisfireOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="skip|once|all:N",
        show_default=False,
        help="Which ticks to make up for that no scheduler was there for: none, the last, the "
        "last N.",
    ),
]
JitterOption: TypeAlias = Annotated[
    float | None, duration_option("--jitter", "Enqueue up to so much later, drawn anew each time.")
]

SpecArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="SPEC",
        show_default=False,
        help="When it is due: '*/5 * * * *', '@every 1h30m', '@daily'. 'CRON_TZ=Europe/Berlin ' "
        "before it sets the time zone.",
    ),
]
SpecOption: TypeAlias = Annotated[
    str | None, typer.Option(metavar="SPEC", show_default=False, help="When it is due.")
]
TypeOption: TypeAlias = Annotated[
    str | None,
    typer.Option("--type", metavar="TYPE", show_default=False, help="The type of its tasks."),
]
NewIdOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--id",
        metavar="ID",
        show_default=False,
        help="Its ID; without it one is made of what it does.",
    ),
]


@schedule.callback()
def _schedule() -> None:
    """Look at and change the schedules that are kept in Redis.

    Something must enqueue them: a Server whose schedule_provider is StoredSchedules, or a
    PeriodicTaskManager with that provider.
    """


@schedule.command()
@connected
def ls(connection: Connection, *, as_json: JsonOption = False) -> None:
    """List the stored schedules, by ID."""

    async def fetch(schedules: StoredSchedules) -> list[StoredSchedule]:
        return await schedules.entries()

    found = schedules_session(connection, fetch)
    if as_json:
        print_json([_members(stored) for stored in found])
        return
    rows = [
        (
            *(stored.id, stored.schedule.spec, stored.schedule.task.type),
            *(bytes_text(stored.schedule.task.payload), stored.schedule.options.queue or "default"),
            *(_misfire_text(stored.schedule.misfire), duration_text(stored.schedule.jitter)),
            Text("paused", style="yellow") if stored.is_paused else "running",
        )
        for stored in found
    ]
    columns: list[Column | str] = [
        Column("ID", is_whole=True),
        "SPEC",
        "TYPE",
        Column("PAYLOAD", lines=False),
    ]
    headings = ("QUEUE", "MISFIRE", "JITTER", "STATE")
    print_table([*columns, *headings], rows, empty="No schedule is stored.")


def _misfire_text(misfire: Misfire) -> str:
    return misfire if isinstance(misfire, str) else f"all:{misfire.limit}"


def _members(stored: StoredSchedule) -> dict[str, object]:
    found = stored.schedule
    return {
        "id": stored.id,
        "is_paused": stored.is_paused,
        "spec": found.spec,
        "type": found.task.type,
        "payload": found.task.payload if found.task.has_payload else None,
        "misfire": _misfire_text(found.misfire),
        "jitter": found.jitter,
        "options": _options_of(found),
    }


def _options_of(found: Schedule) -> TaskOptions:
    """Return the options that *found* has."""
    given = {k: v for k, v in dataclasses.asdict(found.options).items() if v is not None}
    return cast("TaskOptions", given)


@schedule.command()
@connected
def add(
    connection: Connection,
    spec: SpecArgument,
    task_type: TypeArgument,
    *,
    payload: PayloadOption = None,
    entry_id: NewIdOption = None,
    misfire: MisfireOption = None,
    jitter: JitterOption = None,
    queue: QueueOption = None,
    retry: RetryOption = None,
    timeout: TimeoutOption = None,
    unique: UniqueOption = None,
    retention: RetentionOption = None,
    group: NewGroupOption = None,
    header: HeaderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Store a schedule. Who enqueues them notices at the next sync.

    What is not said: queue "default", missed ticks skipped, no jitter, 25 retries, 30 minutes an
    attempt, deleted once done. DURATION is seconds, or numbers with units: 90, 1m30s, 2h, 7d.
    """
    options = common_options(retry, timeout, unique, retention, group, header)
    options["queue"] = queue
    changes = _Changes(spec, task_type, payload, misfire, jitter, options)
    made = changes.make(entry_id)

    async def write(schedules: StoredSchedules) -> StoredSchedule:
        return await _find(schedules, await schedules.add(made))

    _print(schedules_session(connection, write), "is stored", as_json=as_json)


@schedule.command()
@connected
def change(
    connection: Connection,
    entry_id: IdArgument,
    *,
    spec: SpecOption = None,
    task_type: TypeOption = None,
    payload: PayloadOption = None,
    misfire: MisfireOption = None,
    jitter: JitterOption = None,
    queue: QueueOption = None,
    retry: RetryOption = None,
    timeout: TimeoutOption = None,
    unique: UniqueOption = None,
    retention: RetentionOption = None,
    group: NewGroupOption = None,
    header: HeaderOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a stored schedule. What is not given stays as it is.

    Headers are added to those that there are. To take something away, delete the schedule and
    add it anew.
    """
    options = common_options(retry, timeout, unique, retention, group, header)
    options["queue"] = queue
    changes = _Changes(spec, task_type, payload, misfire, jitter, options)
    if not changes:
        raise CliError("What shall change?", hint="Give one of the options.")

    async def write(schedules: StoredSchedules) -> StoredSchedule:
        known = await _find(schedules, entry_id)
        await schedules.change(entry_id, changes.make(entry_id, known.schedule))
        return await _find(schedules, entry_id)

    _print(schedules_session(connection, write), "is changed", as_json=as_json)


class _Changes:
    """What the user said of a schedule; None: nothing."""

    def __init__(  # noqa: PLR0917 - in the order of the help
        self,
        spec: str | None,
        task_type: str | None,
        payload: str | None,
        misfire: str | None,
        jitter: float | None,
        options: TaskOptions,
    ) -> None:
        self._spec = spec
        self._type = task_type
        self._payload = None if payload is None else parse_payload(payload)
        self._misfire = None if misfire is None else parse_misfire(misfire)
        self._jitter = jitter
        self._options = options

    def __bool__(self) -> bool:
        """Whether anything was said."""
        said = (self._spec, self._type, self._payload, self._misfire, self._jitter)
        return any(value is not None for value in (*said, *self._options.values()))

    def make(self, entry_id: str | None, known: Schedule | None = None) -> Schedule:
        """Return *known* with the changes; without it a new schedule, which has what it needs."""
        from headrace import Schedule, Task  # noqa: PLC0415 - keeps --help quick

        if known is None:
            task = Task(self._type or "", self._payload)
            return Schedule(
                self._spec or "",
                task,
                misfire=self._misfire or "skip",
                jitter=self._jitter or 0,
                entry_id=entry_id,
                **self._options,
            )
        before = known.task.payload if known.task.has_payload else None
        payload = before if self._payload is None else self._payload
        return Schedule(
            known.spec if self._spec is None else self._spec,
            Task(self._type or known.task.type, payload, **_options_of(known)),
            misfire=self._misfire or known.misfire,
            jitter=known.jitter if self._jitter is None else self._jitter,
            entry_id=entry_id,
            **self._options,
        )


@schedule.command()
@connected
def pause(connection: Connection, entry_id: IdArgument, *, as_json: JsonOption = False) -> None:
    """Enqueue it no more, until it is resumed."""
    stored = _changed(connection, entry_id, lambda schedules: schedules.pause(entry_id))
    _print(stored, "is paused", as_json=as_json)


@schedule.command()
@connected
def resume(connection: Connection, entry_id: IdArgument, *, as_json: JsonOption = False) -> None:
    """Enqueue it again. Its misfire policy says what becomes of the ticks of the pause."""
    stored = _changed(connection, entry_id, lambda schedules: schedules.resume(entry_id))
    _print(stored, "is running", as_json=as_json)


@schedule.command()
@connected
def rm(
    connection: Connection,
    entry_ids: Annotated[
        list[str],
        typer.Argument(metavar="ID", show_default=False, help="As `schedule ls` shows them."),
    ],
    *,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete stored schedules. What they have enqueued stays."""
    ids = list(dict.fromkeys(entry_ids))

    async def look(schedules: StoredSchedules) -> None:
        for entry_id in ids:
            await _find(schedules, entry_id)

    async def remove(schedules: StoredSchedules) -> None:
        for entry_id in ids:
            await schedules.remove(entry_id)

    schedules_session(connection, look)
    confirm(f"Delete {plural(len(ids), 'schedule')}?", yes=yes)
    schedules_session(connection, remove)
    if as_json:
        print_json([{"id": entry_id} for entry_id in ids])
    else:
        typer.echo(f"{plural(len(ids), 'schedule')} deleted.")


def _changed(
    connection: Connection, entry_id: str, act: Callable[[StoredSchedules], Awaitable[None]]
) -> StoredSchedule:
    async def visit(schedules: StoredSchedules) -> StoredSchedule:
        await _find(schedules, entry_id)
        await act(schedules)
        return await _find(schedules, entry_id)

    return schedules_session(connection, visit)


async def _find(schedules: StoredSchedules, entry_id: str) -> StoredSchedule:
    known = await schedules.entries()
    for stored in known:
        if stored.id == entry_id:
            return stored
    raise CliError(
        f"There is no stored schedule {entry_id!r}",
        hint=f"The schedules are: {', '.join(stored.id for stored in known) or 'none'}.",
        code=ExitCode.FAILURE,
    )


def _print(stored: StoredSchedule, what: str, *, as_json: bool) -> None:
    if as_json:
        print_json(_members(stored))
    else:
        typer.echo(plain(f"Schedule {stored.id} {what}."))

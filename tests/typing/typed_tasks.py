"""Typed tasks as type checkers see them. This file is checked, not run.

Each mistake is marked with the error that mypy reports and the one that pyright reports. Both
are told to complain about marks without an error, so a mistake that goes unseen fails the test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, assert_type

from headrace import Client, Depends, Router, Task, TaskContext, TypedTask

if TYPE_CHECKING:
    from headrace._router import CallNext

router = Router()


class Session:
    """Something that a dependency makes."""


async def session() -> Session:
    """Make it."""
    return Session()


@router.task("email:welcome", queue="critical", max_retry=5, timeout=30)
async def send_welcome(user_id: int, template: str = "default") -> None:
    """Take arguments."""


@router.task("report:build", retention=3600)
async def build_report(ctx: TaskContext, month: str) -> dict[str, int]:
    """Begin with the context."""
    return {ctx.task_id: len(month)}


@router.task("image:resize")
def resize(path: str, *, width: int) -> bool:
    """Run in a thread."""
    return len(path) > width


@router.task("late")
async def late(n: int, ctx: TaskContext | None = None) -> int:
    """Name the context last."""
    return n if ctx else 0


@router.task("dependent")
async def dependent(n: int, db: Session = Depends(session)) -> int:
    """Have a dependency."""
    return n + id(db)


@router.task("anything")
async def anything(data: Any, n: int) -> object:  # noqa: ANN401
    """Begin with what could be anything."""
    return data or n


@router.task("more")
async def more(first: int, **rest: str) -> int:
    """Take more than it names."""
    return first + len(rest)


@router.task("hash", cpu=True)
def hash_file(path: str) -> str:
    """Run in a process."""
    return path


class Service:
    """Has a method that is a task."""

    async def sync(self, ctx: TaskContext, account: int) -> None:
        """Be registered without a decorator."""


sync_account = router.add_task("account:sync", Service().sync, queue="low")
assert_type(sync_account.task(account=1), Task)


async def right(client: Client) -> None:
    """Make tasks and call functions as they are meant."""
    assert_type(send_welcome.task(user_id=42), Task)
    assert_type(send_welcome.task(42, "x"), Task)
    assert_type(await send_welcome(user_id=42), None)
    assert_type(build_report.task(month="May"), Task)
    assert_type(build_report.task("May"), Task)
    assert_type(resize.task("a.png", width=64), Task)
    assert_type(resize("a.png", width=64), bool)
    assert_type(late.task(n=1), Task)
    assert_type(dependent.task(1), Task)
    assert_type(await dependent(1, Session()), int)
    assert_type(anything.task(data=1, n=2), Task)
    assert_type(more.task(first=1, colour="red"), Task)
    assert_type(hash_file.task("x"), Task)
    assert_type(hash_file("x"), str)
    await client.enqueue(send_welcome.task(user_id=42), process_in=60)


async def call_with_context(ctx: TaskContext) -> None:
    """Call a function that begins with the context: it is a plain call."""
    assert_type(await build_report(ctx, "May"), dict[str, int])
    assert_type(await build_report(ctx, month="May"), dict[str, int])


def pass_on(task: TypedTask[[int, str], ..., object]) -> Task:
    """Take any typed task of these arguments."""
    return task.task(1, "x")


async def wrong(ctx: TaskContext) -> None:
    """Make mistakes, each of which both type checkers see."""
    send_welcome.task()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    send_welcome.task("42")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    send_welcome.task(user_id="42")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    send_welcome.task(user_id=None)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    send_welcome.task(user=42)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    send_welcome.task(1, "x", 2)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    send_welcome.task(1, queue="low")  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    resize.task("a.png", 64)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
    build_report.task(ctx, "May")  # type: ignore[call-arg,arg-type] # pyright: ignore[reportCallIssue]
    build_report.task(month=5)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    dependent.task("x")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    more.task(1, colour=2)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    sync_account.task(account="x")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
    await build_report("May")  # type: ignore[call-arg,arg-type] # pyright: ignore[reportCallIssue]
    pass_on(build_report)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


@router.task("x", timout=30)  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
async def misspelt_option() -> None:
    """Misspell an option."""


@router.task("x", max_retry="5")  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]
async def wrong_option() -> None:
    """Give an option a value of the wrong type."""


@router.task()  # type: ignore[call-arg] # pyright: ignore[reportCallIssue]
async def no_type() -> None:
    """Leave out the type."""


# --- Plain handlers and what is around them --------------------------------------------------


@router.handler("image:")
async def images(task: Task) -> None:
    """Get the task."""


@router.handler("video:")
def videos(task: Task, ctx: TaskContext, db: Annotated[Session, Depends(session)]) -> bytes:
    """Get more than the task."""
    return f"{task.type} {ctx.task_id} {db}".encode()


@router.not_found
async def rest(task: Task) -> str:
    """Take the rest."""
    return task.type


@router.middleware
async def timing(task: Task, call_next: CallNext) -> object:
    """Run around the handlers."""
    return await call_next(task)


@router.handler("x")  # type: ignore[type-var] # pyright: ignore[reportArgumentType]
async def takes_number(number: int) -> None:
    """Want something else than the task."""


@router.middleware  # type: ignore[type-var] # pyright: ignore[reportArgumentType]
def not_async(task: Task, call_next: CallNext) -> int:
    """Be no coroutine function."""
    return 1


@router.middleware  # type: ignore[type-var] # pyright: ignore[reportArgumentType]
async def not_around(task: Task) -> object:
    """Take no call_next."""
    return task

"""Traces, with the SDK's exporter that keeps spans in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from headrace import Client, DuplicateTaskError, RetryLater, Router, Task, TaskContext, TaskState
from headrace.contrib.opentelemetry import instrument_client, instrument_router
from tests.server.helpers import serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from headrace import CallNext
    from tests.server.helpers import Watch

REMOTE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    """Where the spans end up."""
    return InMemorySpanExporter()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    """What makes the spans."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def parent_of(span: ReadableSpan) -> int | None:
    """Return the ID of a span's parent."""
    return span.parent.span_id if span.parent is not None else None


def id_of(span: ReadableSpan) -> int:
    """Return a span's ID."""
    assert span.context is not None
    span_id: int = span.context.span_id
    return span_id


def find(exporter: InMemorySpanExporter, kind: SpanKind, task_type: str) -> list[ReadableSpan]:
    """Return the spans of a kind that were made for tasks of a type, oldest first."""
    return [
        span
        for span in exporter.get_finished_spans()
        if span.kind is kind and (span.attributes or {})["headrace.task.type"] == task_type
    ]


def register_nested(router: Router, client: Client) -> Callable[[], Task]:
    """Register "outer", which fails once, then enqueues "inner"; return what makes an outer one."""

    @router.task("outer", retention=60)
    async def outer(ctx: TaskContext) -> None:
        if ctx.attempt == 1:
            raise ValueError("once")
        await client.enqueue(Task("inner"), queue="low", retention=60, task_id="nested")

    @router.task("inner")
    def inner() -> None: ...

    return outer.task


async def test_one_trace_from_enqueue_to_nested_enqueue(
    client: Client,
    broker_url: str,
    watch: Watch,
    exporter: InMemorySpanExporter,
    provider: TracerProvider,
) -> None:
    """Enqueue, first run, retry, a nested enqueue and its run make one trace."""
    router = Router()
    instrument_client(client, tracer_provider=provider)
    instrument_router(router, tracer_provider=provider)
    outer_task = register_nested(router, client)
    queues = {"default": 1, "low": 1}
    async with serving(
        broker_url,
        router,
        queues=queues,
        state_prober=watch.prober,
        retry_delay=lambda *_: 0.0,
        delayed_task_check_interval=0.05,
    ):
        with provider.get_tracer("web").start_as_current_span("GET /") as request:
            await client.enqueue(outer_task())
        await watch.until("nested", TaskState.COMPLETED)

    [sent] = find(exporter, SpanKind.PRODUCER, "outer")
    failed, retried = find(exporter, SpanKind.CONSUMER, "outer")
    [nested] = find(exporter, SpanKind.PRODUCER, "inner")
    [last] = find(exporter, SpanKind.CONSUMER, "inner")
    assert parent_of(sent) == request.get_span_context().span_id
    assert parent_of(failed) == parent_of(retried) == id_of(sent)
    assert parent_of(nested) == id_of(retried)
    assert parent_of(last) == id_of(nested)
    spans = exporter.get_finished_spans()
    assert len({span.context.trace_id for span in spans if span.context is not None}) == 1
    assert len(spans) == 6
    assert (failed.status.status_code, failed.events[0].name) == (StatusCode.ERROR, "exception")
    assert retried.status.status_code is StatusCode.UNSET


async def test_spans_follow_the_conventions(
    client: Client,
    broker_url: str,
    watch: Watch,
    exporter: InMemorySpanExporter,
    provider: TracerProvider,
) -> None:
    """Names, kinds and attributes are those of the messaging conventions."""
    router = Router()
    instrument_client(client, tracer_provider=provider)
    instrument_router(router, tracer_provider=provider)

    @router.handler("t")
    async def run(task: Task) -> None: ...

    async with serving(broker_url, router, state_prober=watch.prober):
        [info] = await client.enqueue_many([Task("t", b"four")], retention=60)
        await watch.until(info, TaskState.COMPLETED)

    common = {
        "messaging.system": "headrace",
        "messaging.destination.name": "default",
        "messaging.message.id": info.id,
        "messaging.message.body.size": 4,
        "headrace.task.type": "t",
    }
    send = {"messaging.operation.name": "send", "messaging.operation.type": "send"}
    process = {"messaging.operation.name": "process", "messaging.operation.type": "process"}
    sent, run_ = exporter.get_finished_spans()
    assert (sent.name, sent.kind) == ("send default", SpanKind.PRODUCER)
    assert dict(sent.attributes or {}) == {**common, **send}
    assert (run_.name, run_.kind) == ("process default", SpanKind.CONSUMER)
    assert dict(run_.attributes or {}) == {**common, **process, "headrace.task.attempt": 1}


async def test_headers_are_kept(
    client: Client, exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    """What the caller put into the headers stays, a trace's context of its own included."""
    instrument_client(client, tracer_provider=provider)
    plain = await client.enqueue(Task("t", headers={"tenant": "7"}))
    own = await client.enqueue(Task("t"), headers={"traceparent": REMOTE})

    assert (plain.headers["tenant"], set(plain.headers)) == ("7", {"tenant", "traceparent"})
    assert dict(own.headers) == {"traceparent": REMOTE}
    span = exporter.get_finished_spans()[1]
    assert parent_of(span) == int(REMOTE.split("-")[2], 16)


async def test_nothing_is_sent_without_a_trace(client: Client) -> None:
    """Where no SDK is set up, tasks go out as they were."""
    instrument_client(client)

    info = await client.enqueue(Task("t", headers={"a": "b"}))

    assert dict(info.headers) == {"a": "b"}


async def test_refused_task_is_an_error(
    client: Client, exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    """The producer's span shows why a task was not written."""
    instrument_client(client, tracer_provider=provider)
    await client.enqueue(Task("t"), unique=60)
    with pytest.raises(DuplicateTaskError):
        await client.enqueue(Task("t"), unique=60)

    good, bad = exporter.get_finished_spans()
    assert good.status.status_code is StatusCode.UNSET
    assert bad.status.status_code is StatusCode.ERROR
    assert (bad.attributes or {})["error.type"] == "DuplicateTaskError"


async def test_requests_of_a_handler_are_no_errors(
    client: Client,
    broker_url: str,
    watch: Watch,
    exporter: InMemorySpanExporter,
    provider: TracerProvider,
) -> None:
    """A handler that asks to run later did not fail; an included router makes no second span."""
    router, whole = Router(), Router()
    instrument_router(whole, tracer_provider=provider)
    instrument_router(router, tracer_provider=provider)

    @router.task("later")
    async def later() -> None:
        raise RetryLater(60)

    whole.include(router)
    async with serving(broker_url, whole, state_prober=watch.prober):
        info = await client.enqueue(later.task())
        await watch.until(info, TaskState.RETRY)

    [span] = exporter.get_finished_spans()
    assert span.status.status_code is StatusCode.UNSET
    assert span.parent is None  # Nobody traced its enqueue.


async def test_error_whose_text_is_broken_is_raised_on(
    client: Client,
    broker_url: str,
    watch: Watch,
    exporter: InMemorySpanExporter,
    provider: TracerProvider,
) -> None:
    """To record an error never hides it."""

    class MuteError(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    router = Router()
    seen: list[type[BaseException]] = []

    @router.middleware
    async def outermost(task: Task, call_next: CallNext) -> object:
        try:
            return await call_next(task)
        except BaseException as error:
            seen.append(type(error))
            raise

    instrument_router(router, tracer_provider=provider)

    @router.task("mute")
    async def mute() -> None:
        raise MuteError

    async with serving(broker_url, router, state_prober=watch.prober):
        info = await client.enqueue(mute.task())
        await watch.until(info, TaskState.RETRY)

    assert seen == [MuteError]
    assert exporter.get_finished_spans()[0].status.status_code is StatusCode.ERROR

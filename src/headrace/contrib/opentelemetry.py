"""Traces: a task belongs to the trace of whoever enqueued it.

Needs the extra ``headrace[otel]``.
"""

from __future__ import annotations

import contextlib
import contextvars
from typing import TYPE_CHECKING, Final

try:
    from opentelemetry import context as otel_context
    from opentelemetry import propagate, trace
    from opentelemetry.trace import SpanKind, Status, StatusCode
except ImportError as _error:
    raise ImportError(
        "headrace.contrib.opentelemetry needs the OpenTelemetry API: pip install 'headrace[otel]'"
    ) from _error

from headrace import RetryLater, RevokeTask, Snooze, TaskContext, __version__, current_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.trace import Span, Tracer, TracerProvider
    from opentelemetry.util.types import AttributeValue

    from headrace import CallNext, Client, Outgoing, Router, Task

__all__ = ["instrument_client", "instrument_router"]

SYSTEM: Final = "headrace"
"""The conventions know no name for this system. asynq is the data's format; whoever looks at a
span wants to know which library made it."""
_NO_ERRORS: Final = (RetryLater, RevokeTask, Snooze)
_traced: contextvars.ContextVar[TaskContext] = contextvars.ContextVar("headrace_traced")


def instrument_client(client: Client, *, tracer_provider: TracerProvider | None = None) -> None:
    """Make a producer span for each task that *client* enqueues, and send its context along.

    The context travels in the task's headers, written by the global propagator: as
    ``traceparent`` unless you chose another. Headers that are there already are kept, and the
    span then belongs to the trace that they name. Call this once per client.

    Args:
        client: It is changed in place.
        tracer_provider: Makes the spans; None: the global one.
    """
    tracer = _tracer(tracer_provider)

    def enqueuing(outgoing: Outgoing) -> Callable[[BaseException | None], None]:
        propagator = propagate.get_global_textmap()
        is_given = any(field in outgoing.headers for field in propagator.fields)
        span = tracer.start_span(
            f"send {outgoing.queue}",
            context=propagator.extract(outgoing.headers) if is_given else None,
            kind=SpanKind.PRODUCER,
            attributes=_attributes(
                "send", outgoing.queue, outgoing.task_id, outgoing.type, outgoing.payload_size
            ),
        )
        if not is_given:
            # Of a span that is not valid, a propagator writes nothing.
            propagator.inject(outgoing.headers, trace.set_span_in_context(span))

        def written(error: BaseException | None) -> None:
            if error is not None:
                _fail(span, error)
            span.end()

        return written

    client.add_enqueue_hook(enqueuing)


def instrument_router(router: Router, *, tracer_provider: TracerProvider | None = None) -> None:
    """Make a consumer span around each handler of *router*, within the trace of its task.

    Each attempt makes one, a child of the producer's span. What the handler enqueues through
    an instrumented client is a child of it in turn. An error is recorded on the span, unless
    the handler asked to run again (`RetryLater`, `Snooze`) or dropped its task (`RevokeTask`).

    It is middleware: call this before you register other middleware, so that the span holds
    that, too. A router that is included in an instrumented one needs none of its own.

    Args:
        router: It is changed in place.
        tracer_provider: Makes the spans; None: the global one.

    Raises:
        InvalidOptionError: If another router has taken *router* over.
    """
    tracer = _tracer(tracer_provider)

    async def trace_task(task: Task, call_next: CallNext) -> object:
        context = current_context()
        if _traced.get(None) is context:  # An outer router is instrumented, too.
            return await call_next(task)
        _traced.set(context)
        span = _consumer_span(tracer, task, context)
        token = otel_context.attach(trace.set_span_in_context(span, _sender_of(context)))
        try:
            return await call_next(task)
        except BaseException as error:
            if not isinstance(error, _NO_ERRORS):
                _fail(span, error)
            raise
        finally:
            otel_context.detach(token)
            span.end()

    router.middleware(trace_task)


def _consumer_span(tracer: Tracer, task: Task, context: TaskContext) -> Span:
    attributes = _attributes(
        "process", context.queue, context.task_id, context.type, len(task.payload)
    )
    return tracer.start_span(
        f"process {context.queue}",
        context=_sender_of(context),
        kind=SpanKind.CONSUMER,
        attributes={**attributes, "headrace.task.attempt": context.attempt},
    )


def _sender_of(context: TaskContext) -> otel_context.Context:
    """Return the context that came with the task; an empty one if none did."""
    return propagate.extract(context.headers, context=otel_context.Context())


def _attributes(
    operation: str, queue: str, task_id: str, task_type: str, size: int
) -> dict[str, AttributeValue]:
    return {
        "messaging.system": SYSTEM,
        "messaging.operation.name": operation,
        "messaging.operation.type": operation,
        "messaging.destination.name": queue,
        "messaging.message.id": task_id,
        "messaging.message.body.size": size,
        "headrace.task.type": task_type,
    }


def _fail(span: Span, error: BaseException) -> None:
    name = type(error).__qualname__
    span.set_attribute("error.type", name)
    span.set_status(Status(StatusCode.ERROR, name))
    with contextlib.suppress(Exception):  # Its text may be broken, and it must be raised on.
        span.record_exception(error)


def _tracer(provider: TracerProvider | None) -> Tracer:
    return trace.get_tracer("headrace", __version__, provider)

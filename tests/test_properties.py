"""Input that nobody thought of: whatever it is, the answer is a value or a clear error."""

from __future__ import annotations

import contextlib
import datetime as dt
import math
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace import Task
from headrace._errors import InvalidOptionError, MessageDecodeError
from headrace._message import (
    MAX_ERROR_CHARS,
    TaskMessage,
    completed_message,
    decode_message,
    encode_message,
    error_patch,
    failed_message,
)
from headrace._placement import placement
from headrace._proto import asynq_pb2 as pb
from headrace._task import Options
from headrace._validation import MAX_INSTANT, MAX_SECONDS
from tests.support.randomness import seeded

if TYPE_CHECKING:
    from collections.abc import Mapping

untimed = settings(deadline=None)  # A busy machine is no failure.
INT32, INT64 = 2**31 - 1, 2**63 - 1
text = st.text(st.characters(exclude_categories=["Cs"]))
name = text.filter(bool)
messages = st.builds(
    TaskMessage,
    id=name,
    type=name,
    queue=text,
    payload=st.binary(),
    max_retry=st.integers(0, INT32),
    retried=st.integers(0, INT32),
    error_msg=text,
    timeout=st.integers(0, MAX_SECONDS),
    deadline=st.integers(0, MAX_INSTANT),
    unique_key=text,
    last_failed_at=st.integers(0, INT64),
    retention=st.integers(0, MAX_SECONDS),
    completed_at=st.integers(0, INT64),
    group_key=text,
    headers=st.dictionaries(text, text, max_size=3),
)
# Fields that no version knows, in every wire format that may be skipped.
unknown = st.sampled_from([b"", b"\xfa\x3e\x03new", b"\x80\x3f\x07", b"\x89\x3f12345678"])


@untimed
@given(messages)
def test_messages_make_the_round_trip(message: TaskMessage) -> None:
    """What was encoded is what is decoded."""
    assert message == decode_message(encode_message(message))


@untimed
@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_refused(data: bytes) -> None:
    """No bytes bring anything but a message or the one error; numbers are never negative."""
    try:
        message = decode_message(data)
    except MessageDecodeError:
        return
    assert message.id
    assert message.type
    assert min(message.max_retry, message.retried, message.timeout, message.deadline) >= 0
    decode_message(encode_message(message))


@untimed
@given(messages, st.integers(), st.integers(1, 20))
def test_broken_messages_decode_or_are_refused(
    message: TaskMessage, position: int, count: int
) -> None:
    """Nor do messages of which a piece is missing."""
    data = encode_message(message)
    cut = position % len(data)
    with contextlib.suppress(MessageDecodeError):
        decode_message(data[:cut] + data[cut + count :])


@untimed
@given(
    st.builds(
        pb.TaskMessage,
        id=name,
        type=name,
        retry=st.integers(-(2**31), INT32),
        retried=st.integers(-(2**31), INT32),
        timeout=st.integers(-(2**63), INT64),
        deadline=st.integers(-(2**63), INT64),
        retention=st.integers(-(2**63), INT64),
    )
)
def test_numbers_of_others_are_clamped(wire: pb.TaskMessage) -> None:
    """A negative number, which means nothing, is read as none; what is too large, as much."""
    message = decode_message(wire.SerializeToString())

    assert max(0, wire.retry) == message.max_retry
    assert min(max(0, wire.timeout), MAX_SECONDS) == message.timeout
    assert min(max(0, wire.deadline), MAX_INSTANT) == message.deadline
    assert min(max(0, wire.retention), MAX_SECONDS) == message.retention


@untimed
@given(messages, unknown, st.text(), st.floats(0, 2**33), st.integers(0, INT32))
def test_changed_messages_keep_the_rest(
    message: TaskMessage, more: bytes, error: str, at: float, retried: int
) -> None:
    """A failure or a success changes its own fields only; unknown ones stay as they are."""
    data = encode_message(message) + more
    failed = failed_message(data, error=error, failed_at=at, retried=retried)
    after = decode_message(failed)

    assert failed.endswith(more)
    assert (retried, int(at)) == (after.retried, after.last_failed_at)
    assert len(after.error_msg) <= MAX_ERROR_CHARS * 10
    assert (message.id, message.payload, message.headers) == (
        after.id,
        after.payload,
        after.headers,
    )
    completed = completed_message(data, completed_at=at)
    assert completed.endswith(more)
    assert decode_message(completed).completed_at == int(at)


@untimed
@given(messages, st.text())
def test_an_error_can_be_appended(message: TaskMessage, error: str) -> None:
    """A script appends the error of a poisoned task: its reader sees that one."""
    patch = error_patch(error=error, failed_at=1_700_000_000)
    after = decode_message(encode_message(message) + patch)

    shown = error.encode("utf-8", "backslashreplace").decode()
    assert (shown or message.error_msg) == after.error_msg
    assert after.last_failed_at == 1_700_000_000
    assert (message.id, message.retried) == (after.id, after.retried)


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=600),
    st.binary(max_size=20),
    st.timedeltas(),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5)),
    st.lists(st.integers()),
)
OPTION_NAMES = (
    *("queue", "max_retry", "timeout", "deadline", "unique", "task_id", "process_at"),
    *("process_in", "retention", "group", "headers", "unheard_of"),
)


def refusal_of(options: Mapping[str, object]) -> InvalidOptionError | None:
    """Return the error with which *options* are refused; None if they are not."""
    try:
        Options.check(options)  # type: ignore[arg-type]  # That is the point.
    except InvalidOptionError as error:
        return error
    return None


@untimed
@given(st.dictionaries(st.sampled_from(OPTION_NAMES), anything))
def test_options_are_usable_or_refused(given_options: Mapping[str, object]) -> None:
    """Every option of any value is refused with the one error, or can be written."""
    refusal = refusal_of(given_options)
    if refusal is not None:
        assert refusal.option in given_options
        assert len(str(refusal)) < 1_000
        return
    options = Options.check(given_options)  # type: ignore[arg-type]  # That is the point.
    placed = placement(Task("t", b"x"), options, rng=seeded())
    encode_message(placed.message)
    for when in (placed.process_at, placed.process_in, placed.unique_ttl):
        assert when is None or (math.isfinite(when) and 0 <= when < 2**34)
    assert "{" not in placed.message.queue
    assert placed.message.id.strip()

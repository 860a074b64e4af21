"""When a schedule is due: cron specifications, and their ticks as Unix seconds."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from headrace._errors import InvalidOptionError

__all__ = ["Ticks", "parse_spec", "parse_zone"]

_MACROS: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_UNITS: Final = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "µs": Decimal("1e-6"),
    "μs": Decimal("1e-6"),
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_LONGEST: Final = 100 * 366 * 86_400
_FORMS: Final = (
    "five fields (minute hour day month weekday), six with seconds first, @every 1h30m, or "
    "@hourly, @daily, @midnight, @weekly, @monthly, @yearly; before it, CRON_TZ=Zone"
)


class Ticks(Protocol):
    """The instants at which a schedule is due: whole Unix seconds."""

    def after(self, instant: float) -> int | None:
        """Return the first tick after *instant*; None if there is none within 50 years."""
        ...


def parse_spec(spec: object, zone: tzinfo = UTC) -> Ticks:
    """Return the ticks that *spec* means.

    Args:
        spec: A cron specification.
        zone: The time zone where *spec* names none.

    Raises:
        InvalidOptionError: If *spec* means nothing, or is never due.
    """
    if not isinstance(spec, str):
        raise InvalidOptionError("spec", spec, f"text is needed: {_FORMS}")
    fields = spec.split()
    if fields and (match := re.fullmatch(r"(?:CRON_)?TZ=(.*)", fields[0])):
        zone = parse_zone("spec", match[1])
        del fields[0]
    if fields and fields[0] == "@every":
        if len(fields) != 2:  # noqa: PLR2004 - the word and the duration
            raise InvalidOptionError("spec", spec, "write @every and a duration, as in 1h30m")
        return _Interval(_go_duration(spec, fields[1]))
    if len(fields) == 1 and fields[0].startswith("@"):
        if fields[0] not in _MACROS:
            raise InvalidOptionError("spec", spec, f"the forms are {_FORMS}")
        fields = _MACROS[fields[0]].split()
    return _cron(spec, fields, zone)


def parse_zone(option: str, zone: object) -> tzinfo:
    """Return a time zone, from its name or as it is.

    Raises:
        InvalidOptionError: If there is none of that name.
    """
    if isinstance(zone, tzinfo):
        return zone
    try:
        if not isinstance(zone, str) or not zone:
            raise ValueError("no name")  # noqa: TRY301 - the same advice holds
        return UTC if zone == "UTC" else ZoneInfo(zone)
    except (ValueError, OSError, KeyError) as error:  # No such name, or none at all.
        raise InvalidOptionError(
            option, zone, "no time zone of that name is known; they are such as Europe/Berlin"
        ) from error


def _cron(spec: str, fields: list[str], zone: tzinfo) -> Ticks:
    if len(fields) not in {5, 6}:
        raise InvalidOptionError("spec", spec, f"the forms are {_FORMS}")
    for index in (-3, -1):  # Go's parser has "?" for "*" in day of month and of week.
        fields[index] = re.sub(r"^\?(?=/|$)", "*", fields[index])
    try:
        CronSim(" ".join(fields), datetime(2000, 1, 1))  # noqa: DTZ001 - wall time
        ticks = _Cron(fields, zone)
        first = ticks.after(946_684_800)
    except (CronSimError, ValueError, AssertionError, IndexError) as error:
        raise InvalidOptionError("spec", spec, str(error) or "it cannot be read") from None
    if first is None:
        raise InvalidOptionError("spec", spec, "there is no such day")
    return ticks


def _go_duration(spec: str, text: str) -> int:
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise InvalidOptionError("spec", spec, f"{text!r} is no duration; write it as in 1h30m")
    seconds = sum((Decimal(number) * _UNITS[unit] for number, unit in parts), Decimal(0))
    if seconds < 1 or seconds != int(seconds) or seconds > _LONGEST:
        raise InvalidOptionError("spec", spec, "whole seconds are needed, from 1 s to 100 years")
    return int(seconds)


class _Interval:
    """Every so many seconds from 1970 on: all schedulers agree, and no restart shifts it."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds

    def after(self, instant: float) -> int | None:
        """Return the first tick after *instant*."""
        return int((instant // self._seconds + 1) * self._seconds)


class _Cron:
    """Fields that the wall clock of a time zone matches.

    Where the wall clock is set forward, what it skips is due at the first instant after. Where
    it is set back, the times that come twice are due the first time; but if the schedule holds
    in every hour, its rhythm counts and not the hour's name, and it is due both times.
    """

    def __init__(self, fields: list[str], zone: tzinfo) -> None:
        self._expression = " ".join(fields)
        self._zone = zone
        self._is_hourly = fields[-4] == "*"

    def after(self, instant: float) -> int | None:
        """Return the first tick after *instant*; None if there is none within 50 years."""
        now = datetime.fromtimestamp(instant // 1, self._zone)
        wall = now.replace(tzinfo=None, fold=0)
        if self._is_hourly and now.fold and self._overlap(wall):
            return self._second_time(wall, instant) or self._first_time(wall, instant)
        first = self._first_time(wall, instant)
        overlap = self._overlap(wall) if self._is_hourly else None
        if overlap is not None and (first is None or first >= self._end_of_first(now, overlap)):
            again = self._second_time(wall - overlap - timedelta(seconds=1), instant)
            return first if again is None else again
        return first

    def _first_time(self, wall: datetime, instant: float) -> int | None:
        for candidate in CronSim(self._expression, wall):
            tick = self._instant_of(candidate)
            if tick > instant:
                return tick
        return None

    def _second_time(self, wall: datetime, instant: float) -> int | None:
        """Return the first tick after *instant* among the times that come a second time."""
        end = wall + timedelta(hours=24)
        for candidate in CronSim(self._expression, wall):
            if candidate > end:
                break
            if self._overlap(candidate):
                tick = _unix(candidate.replace(tzinfo=self._zone, fold=1))
                if tick > instant:
                    return tick
        return None

    def _offset(self, wall: datetime, fold: int) -> timedelta:
        return wall.replace(tzinfo=self._zone, fold=fold).utcoffset() or timedelta()

    def _overlap(self, wall: datetime) -> timedelta | None:
        """Return by how much the clock is set back if it shows *wall* twice, else None."""
        back = self._offset(wall, 0) - self._offset(wall, 1)
        return back if back > timedelta() else None

    def _end_of_first(self, now: datetime, overlap: timedelta) -> int:
        """Return when the clock is set back, which it is within *overlap* of *now*."""
        low = _unix(now)
        return self._change_between(low, low + int(overlap.total_seconds()))

    def _instant_of(self, wall: datetime) -> int:
        """Return when the wall clock shows *wall* for the first time, or first is beyond it."""
        early, late = (_unix(wall.replace(tzinfo=self._zone, fold=fold)) for fold in (1, 0))
        if early >= late:
            return late
        # The clock skips it: fold 0 counts on from before, fold 1 back from after.
        return self._change_between(early, late)

    def _change_between(self, low: int, high: int) -> int:
        """Return the second at which the zone's offset changes."""
        before = datetime.fromtimestamp(low, self._zone).utcoffset()
        while high - low > 1:
            middle = (low + high) // 2
            if datetime.fromtimestamp(middle, self._zone).utcoffset() == before:
                low = middle
            else:
                high = middle
        return high


def _unix(moment: datetime) -> int:
    return int(moment.timestamp())

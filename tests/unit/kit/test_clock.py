"""Time goes in and out as fixed-width UTC, and the machine's clock keeps its promises."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.kit.clock import SystemClock, format_time, parse_time

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
#: Two days away from both ends of the calendar, so that every zone has the moment in UTC.
MOMENTS = st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29), timezones=ZONES)  # noqa: DTZ001 - Hypothesis adds the zone


class Undecided(tzinfo):
    """A zone object that does not know its offset, which Python treats like no zone at all."""

    def utcoffset(self, moment: datetime | None) -> None:
        return None

    def dst(self, moment: datetime | None) -> None:
        return None

    def tzname(self, moment: datetime | None) -> None:
        return None


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC), "2026-01-02T03:04:05.678901Z"),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000000Z"),
        (datetime(2026, 1, 2, 1, tzinfo=timezone(timedelta(hours=9))), "2026-01-01T16:00:00.000000Z"),
        # Go programs such as Alertmanager write their zero time for "not yet".
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000000Z"),
        (datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC), "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_a_moment_is_written_in_utc_with_microseconds(moment: datetime, expected: str) -> None:
    assert expected == format_time(moment)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 1, 2),  # noqa: DTZ001 - a naive time is the case under test
        datetime(2026, 1, 2, tzinfo=Undecided()),
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-2))),
    ],
    ids=["no-zone", "undecided-zone", "before-year-1", "after-year-9999"],
)
def test_a_moment_that_utc_does_not_have_is_refused(moment: datetime) -> None:
    with pytest.raises(ValueError, match=r"time zone|outside the years"):
        format_time(moment)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02t03:04:05z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.1234567899Z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_rfc_3339_is_read(text: str, expected: datetime) -> None:
    moment = parse_time(text)

    assert expected == moment
    assert moment.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-01-02",
        "2026-01-02T03:04:05",
        "2026-13-02T03:04:05Z",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
    ],
)
def test_what_is_no_moment_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_time(text)


@given(MOMENTS)
def test_what_is_written_is_read_back(moment: datetime) -> None:
    assert moment == parse_time(format_time(moment))


@given(MOMENTS, MOMENTS)
def test_text_order_is_time_order(one: datetime, other: datetime) -> None:
    assert (one < other) == (format_time(one) < format_time(other))
    assert len(format_time(one)) == len(format_time(other))


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_a_value_error(text: str) -> None:
    try:
        moment = parse_time(text)
    except ValueError:
        return
    assert moment.utcoffset() == timedelta()


def test_the_system_clock_is_in_utc_and_near_the_operating_systems() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()

    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


def test_the_monotonic_clock_does_not_decrease() -> None:
    clock = SystemClock()
    readings = [clock.monotonic() for _ in range(100)]

    assert sorted(readings) == readings


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 0.001])
async def test_sleeping_lasts_at_least_as_long_as_asked(seconds: float) -> None:
    clock = SystemClock()
    start = clock.monotonic()
    await clock.sleep(seconds)

    # The event loop may wake a timer up to its own clock's resolution early.
    assert clock.monotonic() - start >= seconds - 0.0005

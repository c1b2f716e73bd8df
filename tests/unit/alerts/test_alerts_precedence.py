"""The order that decides which notification an alert's row shows."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from bcce.alerts.model import AlertStatus, NormalizedAlert, precedence
from bcce.kit.findings import Severity

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
ALERT = NormalizedAlert(
    provider="p",
    source="s",
    fingerprint="v1:0",
    name="A",
    status=AlertStatus.FIRING,
    severity=Severity.LOW,
    summary="",
    description="",
    host=None,
    service=None,
    environment=None,
    labels={},
    annotations={},
    links={},
    starts_at=NOON,
    ends_at=None,
)
MOMENTS = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - Hypothesis wants naive limits
NOTIFICATIONS = st.tuples(
    MOMENTS,
    st.sampled_from(AlertStatus),
    st.none() | MOMENTS,
    MOMENTS,
    st.integers(0, 100_000),
    st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=26, max_size=26),
)


def weight(
    status: AlertStatus = AlertStatus.FIRING,
    *,
    start: float = 0,
    end: float | None = None,
    received: float = 0,
    ordinal: int = 0,
    delivery: str = "dlv_a",
) -> str:
    alert = replace(
        ALERT, status=status, starts_at=NOON + timedelta(seconds=start), ends_at=None if end is None else NOON + timedelta(seconds=end)
    )
    return precedence(alert, received_at=NOON + timedelta(seconds=received), delivery_id=delivery, ordinal=ordinal)


FIRING, RESOLVED = AlertStatus.FIRING, AlertStatus.RESOLVED


def test_a_later_start_outranks_everything_about_an_earlier_one() -> None:
    assert weight(FIRING, start=0.000001) > weight(RESOLVED, end=99, received=99)


def test_of_one_start_resolved_outranks_a_firing_that_came_later() -> None:
    assert weight(RESOLVED) > weight(FIRING, received=99)


def test_of_two_ends_the_later_one_wins() -> None:
    assert weight(RESOLVED, end=2) > weight(RESOLVED, end=1, received=99)
    assert weight(RESOLVED, end=0) > weight(RESOLVED, received=99)


def test_of_two_equal_states_the_one_received_later_wins() -> None:
    assert weight(FIRING, received=0.000001) > weight(FIRING, ordinal=9, delivery="dlv_z")


def test_in_one_delivery_the_later_place_wins() -> None:
    assert weight(ordinal=10) > weight(ordinal=9)


def test_a_start_before_1970_is_as_early_as_one_in_1970() -> None:
    moment = datetime(1960, 1, 1, tzinfo=UTC)
    old = precedence(replace(ALERT, starts_at=moment), received_at=NOON, delivery_id="dlv_a", ordinal=0)

    assert old == precedence(replace(ALERT, starts_at=datetime(1970, 1, 1, tzinfo=UTC)), received_at=NOON, delivery_id="dlv_a", ordinal=0)
    assert old < weight()


@given(NOTIFICATIONS, NOTIFICATIONS)
def test_text_order_is_the_order_of_the_rule(one: tuple, other: tuple) -> None:  # type: ignore[type-arg]  # the tuples above
    def text(start: datetime, status: AlertStatus, end: datetime | None, received: datetime, ordinal: int, delivery: str) -> str:
        return precedence(
            replace(ALERT, starts_at=start, status=status, ends_at=end), received_at=received, delivery_id=delivery, ordinal=ordinal
        )

    def rule(
        start: datetime, status: AlertStatus, end: datetime | None, received: datetime, ordinal: int, delivery: str
    ) -> tuple[object, ...]:
        return start, status is RESOLVED, end or datetime(1970, 1, 1, tzinfo=UTC), received, ordinal, delivery

    assert (text(*one) < text(*other)) == (rule(*one) < rule(*other))
    assert len(text(*one)) <= 128

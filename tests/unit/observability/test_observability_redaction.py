"""No secret and no authorization header gets into a log line, wherever in it they stand."""

import io
import json
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bcce.kit.redact import MASK, Secret
from bcce.observability import configure_logging
from bcce.observability.redaction import MAX_TEXT, Redactor

HIDDEN = "zq7-Kx9+hunter2/Value=="


def redacted(event: dict[str, Any], **options: Any) -> dict[str, Any]:
    return dict(Redactor(**options)(None, "info", event))


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"event": "a"}, {"event": "a"}),
        ({"n": 1, "x": None, "b": True, "f": 1.5}, {"n": 1, "x": None, "b": True, "f": 1.5}),
        ({"key": Secret(HIDDEN)}, {"key": MASK}),
        ({"items": [Secret(HIDDEN), {"a": Secret(HIDDEN)}]}, {"items": [MASK, {"a": MASK}]}),
        ({"event": f"got {Secret(HIDDEN)}"}, {"event": f"got {MASK}"}),
        ({"headers": {"Authorization": f"Digest {HIDDEN}"}}, {"headers": {"Authorization": MASK}}),
        ({"headers": {"authorization": [HIDDEN]}}, {"headers": {"authorization": MASK}}),
        ({"headers": [("Authorization", HIDDEN), ("accept", "x")]}, {"headers": [["Authorization", MASK], ["accept", "x"]]}),
        ({"headers": [(b"cookie", HIDDEN.encode())]}, {"headers": [["cookie", MASK]]}),
        ({"pair": ["a", "b"]}, {"pair": ["a", "b"]}),
        ({"event": f"Authorization: Digest a, b={HIDDEN}\nHost: x"}, {"event": f"Authorization: {MASK}\nHost: x"}),
        ({"event": f"{{'authorization': 'x {HIDDEN}'}}"}, {"event": f"{{'authorization': {MASK}"}),
        ({"event": f'{{"Proxy-Authorization": "{HIDDEN}"}}'}, {"event": f'{{"Proxy-Authorization": {MASK}'}),
        ({"event": f"[(b'authorization', b'{HIDDEN}')]"}, {"event": f"[(b'authorization', {MASK}"}),
        ({"event": f"\\'x-api-key\\': \\'{HIDDEN}\\'"}, {"event": f"\\'x-api-key\\': {MASK}"}),
        ({"event": "authorization failed, try again"}, {"event": "authorization failed, try again"}),
        ({"event": f"host=db password={HIDDEN} port=1"}, {"event": f"host=db password={MASK} port=1"}),
        ({"event": f"GET /x?access_token={HIDDEN}&page=2"}, {"event": f"GET /x?access_token={MASK}&page=2"}),
        ({"event": f"postgresql://me:{HIDDEN.replace('/', '')}@db/x"}, {"event": f"postgresql://{MASK}@db/x"}),
        ({"event": f"[SQL: SELECT 1]\n[parameters: ('{HIDDEN}',)]\nend"}, {"event": f"[SQL: SELECT 1]\n[parameters: {MASK}]\nend"}),
        ({"event": "Bearer abcdefgh12345678"}, {"event": MASK}),
        ({"event": "bcce_pat_abcdefghijklmnopqrstuvwxyz"}, {"event": MASK}),
    ],
)
def test_a_line_keeps_its_facts_and_loses_its_secrets(event: dict[str, Any], expected: dict[str, Any]) -> None:
    assert redacted(event) == expected


def test_known_secrets_are_masked_in_keys_too() -> None:
    event = {"map": {"value 1234": 1, "x": "is value 1234"}}
    assert redacted(event, secrets=[Secret("value 1234")]) == {"map": {MASK: 1, "x": f"is {MASK}"}}


def test_a_long_text_is_cut_and_says_so() -> None:
    assert redacted({"event": "x" * (MAX_TEXT + 5)}) == {"event": "x" * MAX_TEXT + "… (5 characters more)"}


def test_a_secret_across_the_cut_is_masked_before_it() -> None:
    shown = redacted({"event": "x" * (MAX_TEXT - 10) + HIDDEN}, secrets=[Secret(HIDDEN)])["event"]
    assert "zq7" not in shown


class Unprintable:
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError(HIDDEN)


class Showing:
    """Shows a header in its representation, as request objects of other libraries do."""

    def __repr__(self) -> str:
        return f"<Request headers={{'Authorization': 'Digest {HIDDEN}'}}>"


def test_a_line_that_cannot_be_made_safe_is_replaced() -> None:
    assert redacted({"event": "a", "thing": Unprintable()}) == {
        "event": "log.unprintable",
        "level": "error",
        "reason": "RuntimeError",
    }


def test_a_line_that_holds_itself_is_replaced() -> None:
    ring: dict[str, Any] = {}
    ring["ring"] = ring
    assert redacted(ring)["reason"] == "RecursionError"


def test_printed_text_shows_control_characters_as_escapes() -> None:
    event = {"event": "a\x1b[2J\r\nb\u202e", "exception": "line 1\n\tline 2\x07"}
    assert redacted(event, is_printed=True) == {"event": "a\\x1b[2J\\r\\nb\\u202e", "exception": "line 1\n\tline 2\\x07"}


def test_printed_text_can_always_be_encoded() -> None:
    assert redacted({"event": "a\ud800"}, is_printed=True)["event"].encode() == b"a\\ud800"


def carriers() -> st.SearchStrategy[Any]:
    """Everything that may hold a secret: the object itself, headers as people keep them, texts with headers."""
    header = st.sampled_from(
        ["Authorization", "authorization", "AUTHORIZATION", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Api-Key"]
    )
    scheme = st.sampled_from(["", "Digest ", "Bearer ", "Basic ", "AWS4-HMAC-SHA256 Credential=", 'Digest username="u", response='])
    value = scheme.map(lambda text: f"{text}{HIDDEN}")
    return st.one_of(
        st.just(Secret(HIDDEN)),
        st.just(Showing()),
        st.builds(lambda name, text: {name: text}, header, value),
        st.builds(lambda name, text: (name, text), header, value),
        st.builds(lambda name, text: [(name.encode(), text.encode())], header, value),
        st.builds(lambda name, text: f"{name}: {text}", header, value),
        st.builds(lambda name, text: f"while sending { ({name: text, 'Accept': 'x'})!r}", header, value),
        st.builds(lambda name, text: json.dumps(json.dumps({name: text})), header, value),
        st.builds(lambda name, text: repr([(name.encode(), text.encode())]), header, value),
    )


def events() -> st.SearchStrategy[Any]:
    plain = st.one_of(st.text(max_size=10), st.integers(), st.none(), st.booleans())
    return st.recursive(
        st.one_of(carriers(), plain),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.tuples(inner, inner),
            st.dictionaries(st.text(max_size=8), inner, max_size=3),
            inner.map(lambda value: ValueError(value)),
        ),
        max_leaves=8,
    )


@pytest.fixture(params=["json", "console"])
def out(request: pytest.FixtureRequest) -> io.StringIO:
    stream = io.StringIO()
    configure_logging(request.param, "DEBUG", stream)
    return stream


def chained(values: list[Any]) -> Exception:
    """An exception whose message, notes and causes hold `values`."""
    error: Exception = RuntimeError("first")
    for value in values:
        try:
            raise LookupError(f"while looking at {value}", value) from error
        except LookupError as caught:
            caught.add_note(f"note: {value}")
            error = caught
    return error


# The stream is emptied by each example itself.
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=events(), causes=st.lists(events(), max_size=2))
def test_no_secret_gets_out_of_values_messages_or_exceptions(out: io.StringIO, value: Any, causes: list[Any]) -> None:
    out.seek(0)
    out.truncate()
    log = structlog.get_logger("bcce.test")
    log.info("request.sent", value=value, nested={"deep": [value]})
    log.info(f"message with {value}")
    log.error("request.failed", exc_info=chained([value, *causes]))
    written = out.getvalue()
    assert "hunter2" not in written
    assert "request.failed" in written

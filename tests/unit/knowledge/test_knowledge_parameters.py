"""What an alert says becomes a script's environment only in the form that the SOP asks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bcce.knowledge.errors import InvalidParameter
from bcce.knowledge.parameters import parameters_for
from bcce.knowledge.sop import HttpVerification, Sop, SopParameter


@dataclass(frozen=True, kw_only=True)
class FakeAlert:
    """The part of an alert that parameters come from."""

    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    host: str | None = None
    service: str | None = None


def sop(**parameters: SopParameter) -> Sop:
    """An SOP with these parameters."""
    return Sop(title="t", alerts=("a",), target="local", parameters=parameters, script="true\n", body="")


def outside(source: str, pattern: str = ".*", **more: object) -> SopParameter:
    """A parameter that the alert brings."""
    return SopParameter.model_validate({"from": source, "pattern": pattern, **more})


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("labels.service", "checkout"),
        ("labels.app.kubernetes.io/name", "web"),
        ("annotations.reason", "because"),
        ("host", "web-1"),
        ("service", "shop"),
    ],
)
def test_a_value_is_taken_from_its_place(source: str, value: str) -> None:
    alert = FakeAlert(
        labels={"service": "checkout", "app.kubernetes.io/name": "web"}, annotations={"reason": "because"}, host="web-1", service="shop"
    )
    assert parameters_for(sop(X=outside(source)), alert) == {"X": value}


def test_a_fixed_value_needs_nothing_of_the_alert() -> None:
    assert parameters_for(sop(X=SopParameter(value="graceful")), FakeAlert()) == {"X": "graceful"}


@pytest.mark.parametrize("labels", [{}, {"a": ""}])
def test_a_missing_or_empty_value_is_the_default(labels: Mapping[str, str]) -> None:
    assert parameters_for(sop(X=outside("labels.a", default="8080")), FakeAlert(labels=labels)) == {"X": "8080"}


def test_an_optional_value_that_is_missing_is_left_out() -> None:
    assert parameters_for(sop(X=outside("labels.a", required=False)), FakeAlert()) == {}


@pytest.mark.parametrize("source", ["labels.a", "annotations.a", "host", "service"])
def test_a_required_value_that_is_missing_is_an_error_that_names_the_parameter(source: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        parameters_for(sop(X=outside(source)), FakeAlert())

    assert caught.value.message == f"the alert brings no {source!r} for the parameter 'X'"
    assert caught.value.details == {"parameter": "X", "from": source}


@pytest.mark.parametrize(
    "value",
    ["web-1;reboot", "web-1\n", "\nweb-1", "web 1", "x" * 64, "web\x001", "$(reboot)", "web-1\ud800"],
)
def test_a_value_of_another_form_is_refused(value: str) -> None:
    with pytest.raises(InvalidParameter, match="does not have the form that the parameter 'X' asks for"):
        parameters_for(sop(X=outside("host", "[a-z0-9-]+", maxLength=63)), FakeAlert(host=value))


def test_a_pattern_that_takes_everything_still_takes_no_nul_and_no_half_character() -> None:
    for value in ("a\x00b", "a\udc80b"):
        with pytest.raises(InvalidParameter):
            parameters_for(sop(X=outside("host", "(?s).*")), FakeAlert(host=value))


def test_a_refused_value_is_shown_short_clean_and_masked() -> None:
    hostile = "\u202eBearer abcdefghijkl\x1b[31m" + "A" * 100_000
    with pytest.raises(InvalidParameter) as caught:
        parameters_for(sop(X=outside("host", "[a-z]+")), FakeAlert(host=hostile))

    assert len(caught.value.message) < 200
    assert not {"\u202e", "\x1b"} & set(caught.value.message)
    assert "abcdefghijkl" not in caught.value.message
    assert caught.value.details == {"parameter": "X", "from": "host", "pattern": "[a-z]+", "length": len(hostile)}


@given(st.text(max_size=300))
def test_whatever_an_alert_brings_is_refused_or_matches_as_a_whole(value: str) -> None:
    try:
        taken = parameters_for(sop(X=outside("host", "[a-z]{1,5}", required=False)), FakeAlert(host=value))
    except InvalidParameter:
        assert not (value.isascii() and value.isalpha() and value.islower() and len(value) <= 5)
    else:
        assert taken == ({"X": value} if value else {})


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "either `from`"),
        ({"from": "host", "value": "x", "pattern": "x"}, "either `from`"),
        ({"from": "host"}, "needs a `pattern`"),
        ({"value": "x", "pattern": "x"}, "a fixed `value` needs neither"),
        ({"value": "x", "default": "x"}, "a fixed `value` needs neither"),
        ({"from": "host", "pattern": "[a-z]+", "default": "A"}, "the `default` does not match"),
        ({"from": "host", "pattern": "[a-z]+", "maxLength": 2, "default": "abc"}, "the `default` does not match"),
        ({"from": "labels.", "pattern": "x"}, "labels.<name>"),
        ({"from": "annotations", "pattern": "x"}, "labels.<name>"),
        ({"from": "name", "pattern": "x"}, "labels.<name>"),
    ],
)
def test_a_parameter_that_makes_no_sense_is_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SopParameter.model_validate(given)


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (outside("host"), True),
        (outside("host", required=False), False),
        (outside("host", required=False, default="x"), True),
        (SopParameter(value="x"), True),
    ],
)
def test_a_parameter_knows_whether_it_always_has_a_value(parameter: SopParameter, expected: bool) -> None:
    assert parameter.is_always_set is expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://localhost/", "begins with http"),
        ("localhost:80", "begins with http"),
        ("http:///path", "begins with http"),
        ("{SCHEME}://localhost/", "begins with http"),
        ("http://user:pass@localhost/", "no user name"),
        ("http://user@localhost/", "no user name"),
        ("http://localhost:0/", "a port is a number"),
        ("http://localhost:99999/", "out of range"),
        ("http://localhost/{A}}", "braces in a url"),
        ("http://localhost/{{A}}", "braces in a url"),
        ("http://localhost/a b", "no spaces"),
        ("http://localhost/\n", "no spaces"),
        ("http://[::1/", "Invalid IPv6"),
    ],
)
def test_an_address_that_is_none_is_refused(url: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        HttpVerification(url=url)


def test_an_address_is_filled_with_values_that_stay_one_part_of_it() -> None:
    check = HttpVerification(url="http://127.0.0.1:{PORT}/{NAME}?q={NAME}")

    assert check.references == ("PORT", "NAME", "NAME")
    assert check.filled({"PORT": "8080", "NAME": "a/../b?c#d@e é"}) == (
        "http://127.0.0.1:8080/a%2F..%2Fb%3Fc%23d%40e%20%C3%A9?q=a%2F..%2Fb%3Fc%23d%40e%20%C3%A9"
    )


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_no_value_can_move_an_address_to_another_host(value: str) -> None:
    filled = HttpVerification(url="http://localhost:8080/{A}").filled({"A": value})
    assert filled.startswith("http://localhost:8080/")
    assert "@" not in filled


def test_a_port_that_is_no_number_makes_no_address() -> None:
    with pytest.raises(InvalidParameter, match="the parameters make no address of "):
        HttpVerification(url="http://localhost:{PORT}/").filled({"PORT": "80x"})

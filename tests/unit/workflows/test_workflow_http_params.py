"""Parameters of `http`: what can be sent, what is never a workflow's to set, and which answers are no error."""

import pytest
from pydantic import ValidationError

from bcce.workflows.errors import InvalidHttpRequest
from bcce.workflows.exchange import Follow
from bcce.workflows.step_types.http import HttpParams

URL = "https://api.example.org/x"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"url": ""}, "at least 1 character"),
        ({"url": URL, "method": "TRACE"}, "'GET', 'HEAD'"),
        ({"url": URL, "method": "CONNECT"}, "'GET', 'HEAD'"),
        ({"url": URL, "headers": {"Host": "other"}}, "cannot be set"),
        ({"url": URL, "headers": {"Content-Length": "3"}}, "cannot be set"),
        ({"url": URL, "headers": {"Transfer-Encoding": "chunked"}}, "cannot be set"),
        ({"url": URL, "headers": {"Idempotency-Key": "mine"}}, "cannot be set"),
        ({"url": URL, "headers": {"X-A": "1", "x-a": "2"}}, "stands twice"),
        ({"url": URL, "headers": {"X A": "1"}}, "no header name"),
        ({"url": URL, "headers": {"X-A": "1\r\nX-B: 2"}}, "not one line"),
        ({"url": URL, "headers": {"X-A": "é"}}, "not one line"),
        ({"url": URL, "body": "x"}, "a GET request has no body"),
        ({"url": URL, "json": None}, "a GET request has no body"),
        ({"url": URL, "method": "POST", "body": "x", "json": {}}, "not both"),
        ({"url": URL, "timeout": "soon"}, "not a duration"),
        ({"url": URL, "expect": []}, "at least 1 item"),
        ({"url": URL, "expect": [20]}, "not a status"),
        ({"url": URL, "expect": ["2x"]}, "not a status"),
        ({"url": URL, "redirects": "all"}, "same-host"),
        ({"url": URL, "max_bytes": 0}, "greater than or equal to 1"),
        ({"url": URL, "method": "POST", "json_body": {}}, "not permitted"),
        ({"url": URL, "verify": False}, "not permitted"),
    ],
)
def test_what_cannot_be_sent_is_a_finding(given: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        HttpParams.model_validate(given)


def test_the_defaults_are_the_careful_ones() -> None:
    params = HttpParams.model_validate({"url": URL})

    assert (params.method, params.redirects, params.timeout, params.expect) == ("GET", Follow.SAME_HOST, "30s", ("2xx",))


def test_a_query_is_added_to_what_the_url_has() -> None:
    request = HttpParams.model_validate({"url": f"{URL}?a=1", "query": {"b": ["x y", 2], "c": True}}).request("run_1/s")

    assert request.url == f"{URL}?a=1&b=x+y&b=2&c=true"


def test_json_is_sent_with_its_type_and_null_is_a_value() -> None:
    request = HttpParams.model_validate({"url": URL, "method": "post", "json": None}).request("run_1/s")

    assert (request.method, request.content, request.headers["content-type"]) == ("POST", b"null", "application/json")


def test_a_type_that_the_workflow_gives_stays() -> None:
    given = {"url": URL, "method": "PUT", "body": "<a/>", "headers": {"Content-Type": "application/xml"}}

    assert HttpParams.model_validate(given).request("run_1/s").headers["content-type"] == "application/xml"


def test_what_is_no_json_value_is_not_sent() -> None:
    params = HttpParams.model_validate({"url": URL, "method": "POST", "json": float("nan")})

    with pytest.raises(InvalidHttpRequest, match="not a JSON value"):
        params.request("run_1/s")


@pytest.mark.parametrize(("method", "key"), [("GET", None), ("HEAD", None), ("POST", "run_1/each[2]"), ("DELETE", "run_1/each[2]")])
def test_every_method_that_changes_something_carries_the_same_key_on_each_try(method: str, key: str | None) -> None:
    assert HttpParams.model_validate({"url": URL, "method": method}).request("run_1/each[2]").headers.get("idempotency-key") == key


def test_a_key_with_characters_that_no_header_takes_is_escaped() -> None:
    request = HttpParams.model_validate({"url": URL, "method": "POST"}).request("run_1/schritt ü")

    assert request.headers["idempotency-key"] == "run_1/schritt%20%C3%BC"


@pytest.mark.parametrize(("expect", "status", "is_expected"), [(["2xx"], 204, True), ([200], 204, False), (["404", "2xx"], 404, True)])
def test_expect_takes_statuses_and_classes(expect: list[int | str], status: int, is_expected: bool) -> None:
    assert HttpParams.model_validate({"url": URL, "expect": expect}).expects(status) is is_expected

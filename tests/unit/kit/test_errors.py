"""Every error says what it is by its class: code, status, whether to try again, exit code."""

import pickle

import pytest

from bcce.kit.errors import (
    BcceError,
    Conflict,
    DeadlineExceeded,
    ExitCode,
    Forbidden,
    InvalidDocument,
    InvalidId,
    InvalidInput,
    NotFound,
    TooLarge,
    Unauthenticated,
    Unavailable,
    Unexpected,
    known_codes,
)

TREE = [
    # class, parent, code, status, retryable, exit code
    (BcceError, Exception, "error", 500, False, ExitCode.FAILED),
    (InvalidInput, BcceError, "invalid-input", 400, False, ExitCode.USAGE),
    (InvalidId, InvalidInput, "invalid-id", 400, False, ExitCode.USAGE),
    (InvalidDocument, InvalidInput, "invalid-document", 400, False, ExitCode.USAGE),
    (Unauthenticated, BcceError, "unauthenticated", 401, False, ExitCode.FAILED),
    (Forbidden, BcceError, "forbidden", 403, False, ExitCode.FAILED),
    (NotFound, BcceError, "not-found", 404, False, ExitCode.FAILED),
    (Conflict, BcceError, "conflict", 409, False, ExitCode.FAILED),
    (TooLarge, BcceError, "too-large", 413, False, ExitCode.FAILED),
    (Unavailable, BcceError, "unavailable", 503, True, ExitCode.FAILED),
    (DeadlineExceeded, Unavailable, "deadline-exceeded", 504, True, ExitCode.FAILED),
    (Unexpected, BcceError, "unexpected", 500, False, ExitCode.FAILED),
]


@pytest.mark.parametrize(("kind", "parent", "code", "status", "retryable", "exit_code"), TREE, ids=[row[0].__name__ for row in TREE])
def test_the_published_facts_of_an_error_do_not_change(
    kind: type[BcceError], parent: type[Exception], code: str, status: int, retryable: bool, exit_code: ExitCode
) -> None:
    assert (parent, code, status, retryable, exit_code) == (kind.__base__, kind.code, kind.status, kind.retryable, kind.exit_code)


def test_the_exit_codes_are_the_published_ones() -> None:
    assert {code.name: code.value for code in ExitCode} == {"OK": 0, "FAILED": 1, "NEEDS_APPROVAL": 3, "BLOCKED": 4, "USAGE": 64}


def test_the_docstring_is_the_default_message() -> None:
    assert str(NotFound()) == "There is no such thing."


def test_only_the_first_line_of_a_docstring_is_the_message() -> None:
    class Long(BcceError):
        """First line.

        Second paragraph.
        """

    assert Long().message == "First line."


def test_a_class_without_a_docstring_is_named() -> None:
    class Bare(BcceError):
        pass

    assert Bare().message == "Bare"


def test_message_hint_and_details_are_kept() -> None:
    error = Conflict("It is closed.", hint="open it again", details={"state": "closed"})

    assert (error.message, error.hint, error.details) == ("It is closed.", "open it again", {"state": "closed"})
    assert str(error) == "It is closed."


def test_details_are_a_copy() -> None:
    given = {"state": "closed"}
    error = Conflict(details=given)  # type: ignore[arg-type]  # dict is invariant; a test may pass the narrower one
    given["state"] = "open"

    assert error.details == {"state": "closed"}


@pytest.mark.parametrize(
    ("place", "expected", "details"),
    [
        ({}, "wrong type", {}),
        ({"path": "a.yaml"}, "a.yaml: wrong type", {"path": "a.yaml"}),
        ({"path": "a.yaml", "line": 3}, "a.yaml:3: wrong type", {"path": "a.yaml", "line": 3}),
        (
            {"path": "a.yaml", "line": 3, "column": 7, "field": "aws.region"},
            "a.yaml:3:7: wrong type",
            {"path": "a.yaml", "line": 3, "column": 7, "field": "aws.region"},
        ),
    ],
)
def test_a_document_error_begins_with_its_place(place: dict[str, str | int], expected: str, details: dict[str, object]) -> None:
    error = InvalidDocument("wrong type", hint="a number is expected", **place)  # type: ignore[arg-type]  # a table of keyword arguments

    assert expected == str(error)
    assert details == error.details
    assert error.hint == "a number is expected"


def test_an_error_survives_pickling_with_its_facts() -> None:
    """Errors cross process boundaries, for example from a test worker or a process pool."""
    error = pickle.loads(pickle.dumps(Conflict("closed", hint="open it", details={"a": 1})))  # noqa: S301 - our own bytes

    assert (error.message, error.hint, error.details) == ("closed", "open it", {"a": 1})


def test_codes_of_loaded_classes_are_known() -> None:
    class Mine(Conflict):
        """Nobody else has it."""

        code = "only-in-this-test"

    assert {"error", "conflict", Mine.code} <= known_codes()

"""Logging: one way out for our own lines and those of other libraries, in two formats."""

import io
import json
import logging
import re
from typing import Any, cast

import pytest
import structlog

from bcce.kit.redact import Secret
from bcce.observability import configure_logging, correlated


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def only(out: io.StringIO) -> dict[str, Any]:
    (line,) = lines(out)
    return line


def test_a_line_is_one_json_object_with_its_facts() -> None:
    out = io.StringIO()
    configure_logging("json", "INFO", out)
    structlog.get_logger("bcce.test").info("run.parked", run_id="run_1", waits=2)
    line = only(out)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line.pop("timestamp"))
    assert line == {"event": "run.parked", "level": "info", "logger": "bcce.test", "run_id": "run_1", "waits": 2}


def test_a_logger_that_was_made_before_the_set_up_uses_it() -> None:
    log, out = structlog.get_logger("early"), io.StringIO()
    configure_logging("json", "INFO", out)
    log.info("late")
    assert only(out)["event"] == "late"


@pytest.mark.parametrize("name", ["uvicorn.error", "uvicorn", "sqlalchemy.pool", "alembic.runtime.migration", "some.library"])
def test_lines_of_other_libraries_take_the_same_way(name: str) -> None:
    out = io.StringIO()
    configure_logging("json", "INFO", out)
    logging.getLogger(name).warning("pool has %d connections", 3)
    line = only(out)
    assert (line["event"], line["level"], line["logger"]) == ("pool has 3 connections", "warning", name)


@pytest.mark.parametrize("name", ["uvicorn.access", "httpx", "sqlalchemy.engine.Engine", "alembic"])
def test_what_chatters_for_each_request_is_only_heard_from_warning_on(name: str) -> None:
    out = io.StringIO()
    configure_logging("json", "DEBUG", out)
    logging.getLogger(name).info("GET / 200")
    logging.getLogger(name).warning("trouble")
    assert [line["event"] for line in lines(out)] == ["trouble"]


def test_a_handler_that_a_library_brought_is_taken_away() -> None:
    own, out = io.StringIO(), io.StringIO()
    logging.getLogger("uvicorn.error").addHandler(logging.StreamHandler(own))
    configure_logging("json", "INFO", out)
    logging.getLogger("uvicorn.error").warning("started")
    assert (own.getvalue(), only(out)["event"]) == ("", "started")


@pytest.mark.parametrize(
    ("level", "expected"), [("debug", ["d", "i", "w"]), ("INFO", ["i", "w"]), ("Warning", ["w"])], ids=["debug", "info", "warning"]
)
def test_the_level_holds_for_our_lines_and_others_alike(level: str, expected: list[str]) -> None:
    for log in (structlog.get_logger("ours"), logging.getLogger("theirs")):
        out = io.StringIO()
        configure_logging("json", level, out)
        log.debug("d")
        log.info("i")
        log.warning("w")
        assert [line["event"] for line in lines(out)] == expected


def test_an_unknown_level_is_refused_and_nothing_is_changed() -> None:
    before = list(logging.getLogger().handlers)
    with pytest.raises(ValueError, match="no log level 'LOUD'"):
        configure_logging("json", "LOUD")
    assert logging.getLogger().handlers == before


def test_a_second_set_up_replaces_the_first() -> None:
    first, second = io.StringIO(), io.StringIO()
    configure_logging("json", "INFO", first)
    configure_logging("json", "INFO", second)
    structlog.get_logger().info("once")
    assert (first.getvalue(), len(lines(second))) == ("", 1)


def test_without_a_stream_lines_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging()
    structlog.get_logger().info("here")
    captured = capsys.readouterr()
    assert (captured.out, json.loads(captured.err)["event"]) == ("", "here")


def test_a_line_has_the_current_correlation_id_unless_it_brings_its_own() -> None:
    out = io.StringIO()
    configure_logging("json", "INFO", out)
    with correlated("cor_1"):
        structlog.get_logger().info("a")
        logging.getLogger("library").warning("b")
        structlog.get_logger().info("c", correlation_id="cor_2")
    structlog.get_logger().info("d")
    assert [line.get("correlation_id") for line in lines(out)] == ["cor_1", "cor_1", "cor_2", None]


def test_an_exception_comes_with_its_causes_and_without_local_variables() -> None:
    out = io.StringIO()
    configure_logging("json", "INFO", out)
    try:
        local = "a-local-value"
        try:
            raise KeyError(len(local))
        except KeyError as error:
            raise RuntimeError("outer") from error
    except RuntimeError:
        structlog.get_logger().exception("run.failed")
    text = only(out)["exception"]
    assert "KeyError: 13" in text
    assert "RuntimeError: outer" in text
    assert "a-local-value'" not in text.replace('local = "a-local-value"', "")


def test_an_exception_of_another_library_is_rendered_the_same() -> None:
    out = io.StringIO()
    configure_logging("json", "INFO", out)
    try:
        raise RuntimeError("theirs")
    except RuntimeError:
        logging.getLogger("library").exception("failed")
    assert only(out)["exception"].endswith("RuntimeError: theirs")


def test_the_console_shows_a_line_for_people() -> None:
    out = io.StringIO()
    configure_logging("console", "INFO", out)
    structlog.get_logger("bcce.test").warning("run.parked", run_id="run_1")
    assert re.search(r"\[warning *\] run\.parked +\[bcce\.test\] run_id=run_1$", out.getvalue())


def test_the_console_uses_colours_only_on_a_terminal() -> None:
    plain, terminal = io.StringIO(), Terminal()
    for out in (plain, terminal):
        configure_logging("console", "INFO", out)
        structlog.get_logger().info("hello")
    assert ("\x1b[" in plain.getvalue(), "\x1b[" in terminal.getvalue()) == (False, True)


def test_the_console_shows_an_exception_over_several_lines() -> None:
    out = io.StringIO()
    configure_logging("console", "INFO", out)
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        structlog.get_logger().exception("failed")
    assert out.getvalue().splitlines()[-1] == "RuntimeError: broken"


def test_text_from_outside_cannot_forge_a_line_on_the_console() -> None:
    out = io.StringIO()
    configure_logging("console", "INFO", out)
    structlog.get_logger().info("alert\n2026-01-01 [info] all is well", name="\x1b[2Ja\u202eb")
    assert len(out.getvalue().splitlines()) == 1
    assert not set("\x1b\u202e") & set(out.getvalue())


def test_a_secret_of_the_configuration_is_masked_wherever_it_turns_up() -> None:
    out = io.StringIO()
    configure_logging("json", "INFO", out, secrets=[Secret("correct horse")])
    structlog.get_logger().info("login with correct horse failed", tried=["correct horse"])
    assert "correct horse" not in out.getvalue()
    assert only(out)["event"] == "login with [redacted] failed"


def test_a_call_with_the_wrong_arguments_is_reported_without_them() -> None:
    out = io.StringIO()
    configure_logging("json", "INFO", out)
    logging.getLogger("library").warning("%d connections", "hunter2-value")
    assert "hunter2-value" not in out.getvalue()
    assert only(out) == {"event": "log.failed", "level": "error", "logger": "library", "reason": "TypeError"}


def test_a_stream_that_cannot_be_written_breaks_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    out = io.StringIO()
    configure_logging("json", "INFO", out)
    out.close()
    structlog.get_logger().info("lost")
    assert cast(str, capsys.readouterr().err) == ""

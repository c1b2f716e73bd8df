"""What an SOP file may hold, and what its author is told about everything else."""

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.knowledge.errors import InvalidSop
from bcce.knowledge.markdown import MAX_SOP_BYTES, normalize_text, read_sop
from bcce.knowledge.sop import HttpVerification, Sop, SopParameter, SopVerification

DOCS = Path(__file__).parents[3] / "docs" / "knowledge.md"

GOOD = """---
title: Restart it
alerts: [ServiceDown]
target: local
parameters:
  SERVICE:
    from: labels.service
    pattern: "[a-z]+"
verify:
  http:
    url: "http://localhost/{SERVICE}"
---
Some words.

```bash script
systemctl restart "$SERVICE"
```
"""


def edited(old: str, new: str) -> str:
    """GOOD with one change; the change must be one."""
    assert GOOD.count(old) == 1, old
    return GOOD.replace(old, new)


def refusal(text: str) -> InvalidSop:
    """Why `text` is refused."""
    with pytest.raises(InvalidSop) as caught:
        read_sop(text, "a.md")
    return caught.value


def test_everything_in_a_file_becomes_a_value() -> None:
    sop = read_sop(GOOD, "a.md")

    assert sop == Sop(
        title="Restart it",
        alerts=("ServiceDown",),
        target="local",
        parameters={"SERVICE": SopParameter(source="labels.service", pattern="[a-z]+")},
        verify=SopVerification(http=HttpVerification(url="http://localhost/{SERVICE}")),
        script='systemctl restart "$SERVICE"\n',
        undo=None,
        body='Some words.\n\n```bash script\nsystemctl restart "$SERVICE"\n```',
    )


def test_verification_waits_five_minutes_for_the_source_monitor_unless_told_otherwise() -> None:
    verify = read_sop(re.sub(r"verify:\n(  .*\n)+", "", GOOD)).verify

    assert (verify.http, verify.resolved, verify.timeout_s) == (None, True, 300.0)


@pytest.mark.parametrize(("written", "seconds"), [("90", 90.0), ("90s", 90.0), ("5m", 300.0), ("1h", 3600.0)])
def test_the_timeout_is_a_duration(written: str, seconds: float) -> None:
    assert read_sop(edited("verify:\n", f"verify:\n  timeout: {written}\n")).verify.timeout_s == seconds


def test_keys_may_be_written_in_snake_case() -> None:
    snake = edited('    pattern: "[a-z]+"', '    pattern: "[a-z]+"\n    max_length: 7').replace(
        "  http:\n", "  http:\n    expect_status: 204\n"
    )
    sop = read_sop(snake)

    assert (sop.parameters["SERVICE"].max_length, sop.verify.http and sop.verify.http.expect_status) == (7, 204)


def test_the_documents_complete_example_loads() -> None:
    example = re.search(r"````markdown\n(.*?)````", DOCS.read_text(), re.DOTALL)
    assert example is not None
    sop = read_sop(example[1], "docs/knowledge.md")

    assert (sop.title, list(sop.parameters), sop.undo) == (
        "Restart the checkout service",
        ["SERVICE", "PORT", "REASON", "MODE"],
        'systemctl stop "$SERVICE"\n',
    )


def test_the_documentation_names_every_key() -> None:
    text = DOCS.read_text()
    keys = [
        field.alias or name
        for model in (SopParameter, SopVerification, HttpVerification, Sop)
        for name, field in model.model_fields.items()
    ]

    missing = [key for key in keys if not re.search(rf"`(http\.)?{key}`", text) and key not in ("script", "undo", "body", "http")]
    assert missing == []


@pytest.mark.parametrize(
    ("text", "line", "field", "message", "hint"),
    [
        pytest.param(edited("title: Restart it\n", ""), 1, "title", "the key 'title' is missing", None, id="missing-title"),
        pytest.param(edited("target:", "targt:"), 4, "targt", "unknown key 'targt'", "did you mean 'target'?", id="unknown-key"),
        pytest.param(
            edited("    pattern:", "    pattren:"),
            8,
            "parameters.SERVICE.pattren",
            "unknown key 'pattren'",
            "did you mean 'pattern'?",
            id="unknown-key-of-a-parameter",
        ),
        pytest.param(
            edited("  http:\n", "  resolvd: true\n  http:\n"),
            10,
            "verify.resolvd",
            "unknown key 'resolvd'",
            "did you mean 'resolved'?",
            id="unknown-key-of-verify",
        ),
        pytest.param(
            edited("    url:", "    uri:"), 11, "verify.http.uri", "unknown key 'uri'", "did you mean 'url'?", id="unknown-key-of-http"
        ),
        pytest.param(
            edited("title:", "zzz: 1\ntitle:"),
            2,
            "zzz",
            "unknown key 'zzz'",
            "known here: title, alerts, shell, target, parameters, verify",
            id="nothing-near",
        ),
        pytest.param(edited("target: local", "target: local\nshell: fish"), 5, "shell", "unknown shell", "known: bash", id="unknown-shell"),
        pytest.param(
            edited("title: Restart it", "title: [a]"), 2, "title", "'title' must be text", "put the value in quotes", id="not-text"
        ),
        pytest.param(edited("[ServiceDown]", "['-']"), 3, "alerts", "the alert name '-' holds no letter or digit", None, id="empty-name"),
        pytest.param(
            edited("  SERVICE:\n", "  service:\n").replace("/{SERVICE}", ""),
            6,
            "parameters.service",
            "'service' cannot name a parameter",
            "use capital letters, digits and _, such as SERVICE_NAME",
            id="lower-case-parameter",
        ),
        pytest.param(
            edited("  SERVICE:\n", "  PATH:\n").replace("/{SERVICE}", ""),
            6,
            "parameters.PATH",
            "'PATH' steers the shell or the system; give the parameter another name, such as APP_PATH",
            None,
            id="reserved-parameter",
        ),
        pytest.param(
            edited("  SERVICE:\n", "  LD_PRELOAD:\n").replace("/{SERVICE}", ""),
            6,
            "parameters.LD_PRELOAD",
            "'LD_PRELOAD' steers the shell or the system; give the parameter another name, such as APP_LD_PRELOAD",
            None,
            id="reserved-prefix",
        ),
        pytest.param(
            edited('    pattern: "[a-z]+"\n', ""),
            6,
            "parameters.SERVICE",
            "a parameter that an alert brings needs a `pattern` that its whole value must match",
            None,
            id="no-pattern",
        ),
        pytest.param(
            edited('"[a-z]+"', '"[a-z"'),
            8,
            "parameters.SERVICE.pattern",
            "not a regular expression: unterminated character set at position 0",
            None,
            id="bad-pattern",
        ),
        pytest.param(
            edited("labels.service", "severity"),
            7,
            "parameters.SERVICE.from",
            "`from` is labels.<name>, annotations.<name>, host or service",
            None,
            id="unknown-source",
        ),
        pytest.param(
            edited("http://localhost/{SERVICE}", "http://localhost/{OTHER}"),
            11,
            "verify.http.url",
            "the url names {OTHER}, but there is no parameter 'OTHER'",
            None,
            id="unknown-reference",
        ),
        pytest.param(
            edited('    pattern: "[a-z]+"', '    pattern: "[a-z]+"\n    required: false'),
            12,
            "verify.http.url",
            "the url names {SERVICE}, which may be unset: make the parameter required or give it a default",
            None,
            id="reference-that-may-be-unset",
        ),
        pytest.param(
            re.sub(r"verify:\n(  .*\n)+", "verify:\n  resolved: false\n", GOOD),
            9,
            "verify",
            "nothing would verify the repair: keep `resolved: true` or add `http`",
            None,
            id="nothing-verifies",
        ),
        pytest.param(
            edited("verify:\n", "verify:\n  timeout: soon\n"),
            10,
            "verify.timeout",
            "'soon' is not a duration such as 30s, 5m or 2h",
            None,
            id="bad-duration",
        ),
        pytest.param(
            edited("title: Restart it", 'title: "Restart \\u202eit"'),
            2,
            "title",
            "the value holds an invisible character",
            "write it without an escape such as \\u202e",
            id="escaped-invisible-character",
        ),
        pytest.param(
            edited("[ServiceDown]", '[ServiceDown, "a\\0b"]'),
            3,
            "alerts.1",
            "the value holds an invisible character",
            "write it without an escape such as \\u202e",
            id="escaped-nul",
        ),
    ],
)
def test_front_matter_is_refused_at_its_line(text: str, line: int, field: str, message: str, hint: str | None) -> None:
    error = refusal(text)

    assert (error.code, error.path, error.line, error.field, error.hint) == ("invalid-sop", "a.md", line, field, hint)
    assert error.message == f"a.md:{line}:{error.column}: {message}"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "an SOP begins with front matter"),
        ("# Restart\n", 1, "an SOP begins with front matter"),
        ("---\ntitle: x\n", 1, "the front matter is not closed"),
        ("---\n---\n", 2, "the front matter must be a mapping of keys to values"),
        ("---\n- a\n---\n", 2, "the front matter must be a mapping of keys to values"),
        (edited("title: Restart it", "title: Restart\u202e it"), 2, "the front matter holds an invisible character"),
        (edited("Some words.", "Some\x00words."), 13, "the text holds a character that is no text"),
        (edited("Some words.", "Some\ud800words."), 13, "the text holds a character that is no text"),
        (edited("```bash script\n", "```bash\n"), 12, "the SOP has no script"),
        (edited("```bash script\n", "```bash scrpt\n"), 15, "a block cannot be a 'scrpt'"),
        (edited("```bash script\n", "```python script\n"), 15, "the script is marked 'python', but the SOP's shell is 'bash'"),
        (edited("```bash script\n", "```bash script now\n"), 15, "'now' behind 'script' means nothing"),
        (GOOD + "```bash script\ntrue\n```\n", 18, "a second block `script` (the first is in line 15)"),
        (GOOD + "```bash undo\n \n```\n", 18, "the block is empty"),
        (GOOD + "```bash undo\ntrue\n", 18, "the fenced block that begins here is not closed"),
        (
            edited('systemctl restart "$SERVICE"', "true\necho {{ labels.service }}"),
            17,
            "nothing is ever filled into a script, so `{{` has no meaning in it",
        ),
        (
            edited('systemctl restart "$SERVICE"', "true\u202e"),
            16,
            "the script holds an invisible character, so it does not do what it shows",
        ),
    ],
)
def test_the_rest_of_a_file_is_refused_at_its_line(text: str, line: int, message: str) -> None:
    error = refusal(text)

    assert (error.line, error.message) == (line, f"a.md:{line}: {message}")


def test_broken_yaml_is_refused_at_its_line_in_the_whole_file() -> None:
    error = refusal(edited("alerts: [ServiceDown]", "alerts: [ServiceDown"))

    assert (error.code, error.path, error.line) == ("invalid-sop", "a.md", 4)
    assert error.message.count("a.md:4") == 1


def test_a_file_may_be_256_kib_and_not_one_byte_more() -> None:
    filling = MAX_SOP_BYTES - len(GOOD.encode())

    assert read_sop(GOOD + "x" * filling).title == "Restart it"
    assert refusal(GOOD + "x" * (filling + 1)).message == "a.md: an SOP has at most 256 KiB"
    assert refusal(GOOD + "é" * (filling // 2 + 1)).message == "a.md: an SOP has at most 256 KiB"


def test_carriage_returns_and_a_byte_order_mark_are_no_part_of_the_text() -> None:
    assert normalize_text("\ufeff" + GOOD.replace("\n", "\r\n")) == GOOD


def test_undo_is_the_block_marked_so() -> None:
    assert read_sop(GOOD + "~~~ bash undo\nsystemctl stop it\n~~~\n").undo == "systemctl stop it\n"


def test_a_block_inside_a_longer_fence_is_only_shown() -> None:
    assert read_sop(GOOD + "````markdown\n```bash script\nrm -rf /\n```\n````\n").script == 'systemctl restart "$SERVICE"\n'


def test_blocks_that_are_not_marked_are_only_shown() -> None:
    shown = "```bash\nrm -rf /\n```\n\n```text some words\nx\n```\n\n```\nx\n```\n\n``` inline `code` ```\n"
    assert read_sop(GOOD + shown).script == 'systemctl restart "$SERVICE"\n'


def test_an_indented_fence_takes_its_indent_from_the_lines() -> None:
    indented = GOOD + "- list\n\n  ```bash undo\n  if true; then\n    echo\n fi\n  ```\n"
    assert read_sop(indented).undo == "if true; then\n  echo\nfi\n"


@given(st.text(max_size=400))
def test_any_text_is_either_an_sop_or_refused_in_our_own_words(text: str) -> None:
    with pytest.raises(InvalidSop):
        read_sop(normalize_text(text))


@given(st.text(st.characters(codec="utf-8"), max_size=60).filter(lambda text: "\n" not in text), st.integers(0, 11))
def test_any_line_in_the_front_matter_is_taken_or_refused_in_our_own_words(line: str, at: int) -> None:
    lines = GOOD.split("\n")
    lines.insert(at, line)
    with suppress(InvalidSop):
        assert read_sop(normalize_text("\n".join(lines))).target == "local"

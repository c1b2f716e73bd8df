"""Findings as SARIF."""

from typing import Any

from bcce.kit.findings import Finding, Severity, Verdict
from bcce.kit.sarif import sarif_log

ONE = Finding(rule_id="b.one", severity=Severity.HIGH, verdict=Verdict.BLOCK, message="no", line=3, column=5, text="x", hint="do y")
OTHER = Finding(
    rule_id="a.two", severity=Severity.LOW, verdict=Verdict.ALLOW, message="hm", why="because", tags=("T1",), end_line=1, end_column=2
)


def run_of(log: dict[str, object]) -> dict[str, Any]:
    (run,) = log["runs"]  # type: ignore[misc]  # a list of one
    return run  # type: ignore[no-any-return]  # of JSON values


def test_rules_are_listed_once_and_results_name_them() -> None:
    run = run_of(sarif_log([("f.yaml", ONE), ("g.yaml", OTHER), ("f.yaml", ONE)], version="2.0.0", tags=("workflow",)))

    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["a.two", "b.one"]
    assert [(item["ruleId"], item["ruleIndex"], item["level"]) for item in run["results"]] == [
        ("b.one", 1, "error"),
        ("a.two", 0, "note"),
        ("b.one", 1, "error"),
    ]
    assert run["tool"]["driver"]["rules"][0]["properties"]["tags"] == ["workflow", "T1"]


def test_a_result_says_where_and_why() -> None:
    one, other = run_of(sarif_log([("f.yaml", ONE), ("g.yaml", OTHER)], version="2.0.0"))["results"]

    assert one["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "f.yaml"},
        "region": {"startLine": 3, "startColumn": 5, "snippet": {"text": "x"}},
    }
    assert other["message"]["text"] == "hm: because"
    assert other["locations"][0]["physicalLocation"]["region"] == {"startLine": 1, "startColumn": 1, "endLine": 1, "endColumn": 2}


def test_nothing_found_is_a_log_too() -> None:
    assert run_of(sarif_log([], version="2.0.0"))["results"] == []

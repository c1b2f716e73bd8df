"""How a person is shown what they are asked to agree to, and how the answer is sent."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import click

from bcce.cli.client import Client
from bcce.kit.text import visible


async def decide(
    client: Client,
    path: str,
    find: Callable[[Client], Awaitable[dict[str, Any] | None]],
    decision: str,
    comment: str,
    *,
    yes: bool,
    as_json: bool,
) -> dict[str, Any]:
    """Shows the approval that `find` gives, asks whether that is meant, and sends the decision with the digest of what was shown.

    Without an approval the server is asked all the same: it knows best why there is nothing to decide.
    """
    asked = await find(client)
    if asked is not None and not as_json:
        for line in approval_lines(asked):
            click.echo(line)
    if asked is not None and not yes:
        click.confirm(f"{decision} this?", abort=True)
    body = {"digest": asked["digest"] if asked is not None else "", "comment": comment}
    answer: dict[str, Any] = await client.post(f"{path}/{decision}", body)
    return answer


def check_is_shown(*, yes: bool, as_json: bool) -> None:
    """Nobody decides about what was not shown, unless they say so.

    Raises:
        click.UsageError: `--json` without `--yes`.
    """
    if as_json and not yes:
        raise click.UsageError("--json shows and asks nothing, so it needs --yes")


def approval_lines(asked: dict[str, Any]) -> list[str]:
    """What a person is asked to agree to: a question, or script and undo as they would run, in full, what they can do; and why."""
    shown = asked["shown"]
    if shown.get("kind") == "question":
        return _question_lines(shown, asked["reasons"])
    lines = [f"{asked['title']}  (from {shown['source']})", "", *_script_lines(shown["script"]), ""]
    if shown.get("undo"):
        lines += ["  and, to undo it:", "", *_script_lines(shown["undo"]), ""]
    lines += [f"  with {name}={visible(value)!r}" for name, value in shown["parameters"].items()]
    lines += [f"  with {name} from {value}" for name, value in shown.get("references", {}).items()]
    lines.append(f"  verdict: {shown['verdict']}")
    lines += [f"  line {item.get('line', '?')}: {item['message']} [{item['rule_id']}]" for item in shown["findings"]]
    lines += [f"  {name}: {', '.join(map(str, value))}" for name, value in shown["effects"].items() if isinstance(value, list)]
    if shown.get("why"):
        lines.append(f"  why: {shown['why']}")
    lines += [f"  asked because {reason}" for reason in asked["reasons"]]
    return [one_line(line) for line in lines]


def _question_lines(shown: dict[str, Any], reasons: list[str]) -> list[str]:
    """A question as it was asked, and whom it is for."""
    lines = [f"step {shown['step']} asks:", "", *(f"    {line}" for line in shown["message"].removesuffix("\n").split("\n")), ""]
    if shown["details"] is not None:
        details = json.dumps(shown["details"], indent=2, ensure_ascii=False)
        lines += ["  with:", "", *(f"    {line}" for line in details.split("\n")), ""]
    people = "person has" if shown["required"] == 1 else "people have"
    lines.append(f"  {shown['required']} {people} to agree, each at least of the role {shown['role']}")
    if shown["approvers"]:
        lines.append(f"  only these may answer: {', '.join(shown['approvers'])}")
    lines += [f"  asked because {reason}" for reason in reasons]
    return [one_line(line) for line in lines]


def one_line(text: str) -> str:
    """The text in full on one line of the screen: nothing in it moves the cursor, hides or looks like a line of ours."""
    return visible(text).replace("\n", "⟨U+000A⟩")


def _script_lines(script: str) -> list[str]:
    return [f"    {line}" for line in script.removesuffix("\n").split("\n")]

"""`bcce script`: judges scripts on this machine; needs no server and no database."""

import json
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from bcce.cli.commands.policy import group as policy
from bcce.cli.files import STDIN
from bcce.cli.scripts import check_parameters, judge, read_script, shell_of, validators
from bcce.kit.errors import ExitCode, InvalidInput

if TYPE_CHECKING:
    from bcce.safety.model import Judgement
    from bcce.safety.validator import ScriptValidator

_EXITS = {"allow": ExitCode.OK, "approve": ExitCode.NEEDS_APPROVAL, "block": ExitCode.BLOCKED}
#: How many scripts of a batch are judged at once: while one waits for the second parser, another is read.
_WORKERS = 1
_AHEAD = 64
_MAX_LINE = 4 * 1024 * 1024
_UNDONE = {True: "changes nothing", False: "cannot be undone", None: "whether it can be undone is not known"}


@click.group()
def group() -> None:
    """Judge scripts without running them, and say what the policy decides."""


group.add_command(policy, "policy")


@group.command()
@click.argument("files", metavar="FILE|-...", nargs=-1)
@click.option("--shell", metavar="NAME", help="bash or powershell; else by the file's name (.ps1), else bash.")
@click.option("--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True, help="How it is shown.")
@click.option("--explain", is_flag=True, help="Say of each finding why it matters, what to do instead, and its catalogue number.")
@click.option("--parameter", "-p", "parameters", metavar="NAME", multiple=True, help="A variable that holds outside data; may be repeated.")
@click.option(
    "--fail-on",
    type=click.Choice(["approve", "block"]),
    default="approve",
    show_default=True,
    help="From which verdict on the exit is not 0.",
)
@click.option("--jsonl", is_flag=True, help='Read {"id","shell","script"} a line, print {"id","verdict","findings","effects","ms"} a line.')
def check(
    files: tuple[str, ...],
    shell: str | None,
    form: Literal["text", "json", "sarif"],
    explain: bool,
    parameters: tuple[str, ...],
    fail_on: Literal["approve", "block"],
    jsonl: bool,
) -> int:
    """Say what scripts can do. Exit 0: allowed; 3: a person has to agree; 4: blocked; 64: a file cannot be read.

    With --jsonl the verdicts stand in the lines, in the order of the input, and the exit code is 0 unless a line cannot be used.
    A line without a shell is one for --shell.
    """
    check_parameters(parameters)
    known = validators()
    if jsonl:
        if form != "text" or explain or fail_on != "approve":
            raise click.UsageError("--jsonl has a form of its own, without --format, --explain and --fail-on")
        return _batch(known, files, shell or "bash", parameters)
    if not files:
        raise click.UsageError("name a file, or - for standard input")
    if files.count(STDIN) > 1:
        raise click.UsageError("standard input can be read only once")
    found: dict[str, Judgement] = {}
    for file in files:
        found["stdin" if file == STDIN else f"./{file}" if file == "stdin" else file] = judge(
            known, shell or shell_of(file), read_script(file), parameters
        )
    _show(found, form, explain=explain)
    worst = max((judgement.verdict for judgement in found.values()), key=lambda verdict: verdict.rank)
    return ExitCode.OK if fail_on == "block" and worst != "block" else _EXITS[worst]


def _show(found: "Mapping[str, Judgement]", form: str, *, explain: bool) -> None:
    if form == "sarif":
        from importlib.metadata import version  # noqa: PLC0415 - only for SARIF

        from bcce.kit.sarif import sarif_log  # noqa: PLC0415 - as above

        every = ((path, finding) for path, judgement in found.items() for finding in judgement.findings)
        click.echo(json.dumps(sarif_log(every, version=version("bcce"), tags=("security",)), indent=2, ensure_ascii=False))
    elif form == "json":
        items = [{"path": path, **judgement.to_dict()} for path, judgement in found.items()]
        click.echo(json.dumps(items[0] if len(items) == 1 else {"items": items}, indent=2, ensure_ascii=False))
    else:
        for path, judgement in found.items():
            _tell(path, judgement, explain=explain)


def _tell(path: str, judgement: "Judgement", *, explain: bool) -> None:
    from bcce.kit.text import clean  # noqa: PLC0415 - only for text

    click.echo(f"{path}: {judgement.verdict}")
    for item in judgement.findings:
        place = f"{path}:{item.line}:{item.column}" if item.line else path
        click.echo(f"  {place}: {item.verdict} [{item.rule_id}] {clean(item.message, limit=300)}")
        if item.text:
            click.echo(f"      {clean(item.text, limit=120)}")
        if explain:
            click.echo(f"      why: {item.why}")
            click.echo(f"      instead: {item.hint}")
            if item.tags:
                click.echo(f"      see: {', '.join(item.tags)}")
    effects = judgement.effects.to_dict()
    classes = {name: values for name, values in effects.items() if isinstance(values, list)}
    told = [f"{name} {', '.join(clean(str(value), limit=60) for value in values)}" for name, values in classes.items()]
    if effects.get("privileged"):
        told.append("runs with more rights")
    if told:
        click.echo(f"  can: {'; '.join(told)}")
    if explain:
        undone = _UNDONE[judgement.effects.reversible]
        click.echo(f"  {undone}; judged by {judgement.validator_version}")


def _batch(validators: "Mapping[str, ScriptValidator]", files: tuple[str, ...], shell: str, parameters: tuple[str, ...]) -> int:
    for validator in validators.values():
        validator.judge("")  # so that the first line does not pay for the tables
    bad = 0
    waiting: deque[Future[dict[str, Any]]] = deque()
    with ThreadPoolExecutor(_WORKERS) as pool:
        for number, line in enumerate(_lines(files), 1):
            waiting.append(pool.submit(_one, validators, number, line, shell, parameters))
            if len(waiting) > _AHEAD:
                bad += _print(waiting.popleft().result())
        while waiting:
            bad += _print(waiting.popleft().result())
    return ExitCode.USAGE if bad else ExitCode.OK


def _lines(files: tuple[str, ...]) -> Iterator[bytes]:
    for file in files or (STDIN,):
        if file == STDIN:
            yield from (line for line in sys.stdin.buffer if line.strip())
            continue
        try:
            with Path(file).open("rb") as source:
                yield from (line for line in source if line.strip())
        except OSError as error:
            raise InvalidInput(f"{file} cannot be read: {error.strerror}") from error


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is no number of JSON")


def _one(validators: "Mapping[str, ScriptValidator]", number: int, line: bytes, shell: str, parameters: tuple[str, ...]) -> dict[str, Any]:
    """The answer to one line; one that cannot be used says what is wrong with it."""
    identity: object = None
    try:
        if len(line) > _MAX_LINE:
            raise InvalidInput(f"the line is longer than {_MAX_LINE} bytes")
        given = json.loads(line, parse_constant=_no_number)
        identity = given.get("id") if isinstance(given, dict) else None
        if not isinstance(given, dict) or not isinstance(given.get("script"), str) or not isinstance(given.get("shell", shell), str):
            raise InvalidInput('give an object with "script" and "shell" as text')
        began = time.perf_counter()
        judgement = judge(validators, given.get("shell", shell), given["script"], parameters)
        taken = (time.perf_counter() - began) * 1000
    except (ValueError, RecursionError) as error:
        return {"id": identity, "line": number, "error": {"code": "invalid-input", "message": f"line {number} is not JSON: {error}"}}
    except InvalidInput as error:
        return {"id": identity, "line": number, "error": {"code": error.code, "message": f"line {number}: {error.message}"}}
    return {
        "id": identity,
        "verdict": str(judgement.verdict),
        "findings": [item.to_dict() for item in judgement.findings],
        "effects": judgement.effects.to_dict(),
        "ms": round(taken, 3),
    }


def _print(answer: dict[str, Any]) -> int:
    """Prints one answer; 1 when it is an error."""
    sys.stdout.write(json.dumps(answer, ensure_ascii=True) + "\n")
    return 1 if "error" in answer else 0

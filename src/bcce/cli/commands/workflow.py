"""`bcce workflow`."""

from collections.abc import Mapping
from http import HTTPStatus
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import click

from bcce.cli.client import Client, call, segment
from bcce.cli.commands.run import read_inputs
from bcce.cli.files import STDIN, read_text
from bcce.cli.following import follow
from bcce.cli.output import json_option, show_item, show_list
from bcce.kit.errors import BcceError, ExitCode, InvalidInput
from bcce.kit.findings import Finding, Severity, Verdict
from bcce.kit.sarif import sarif_log
from bcce.kit.text import clean


@click.group()
def group() -> None:
    """List, show and check workflows."""


@group.command("list")
@click.option("--cursor", help="Where the next page begins.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 500), help="How many at most.")
@json_option
def list_workflows(cursor: str | None, limit: int, as_json: bool) -> None:
    """List workflows, and the files that were not registered when the server started."""
    page = call(lambda client: client.get("/api/v1/workflows", cursor=cursor, limit=limit))
    if as_json:
        show_item(page, as_json=True)
        return
    show_list(page["items"], ("name", "origin", "digest", "createdAt"), as_json=False, following=page["next"])
    for file in page.get("notRegistered", ()):
        for item in file["findings"]:
            click.echo(f"not registered: {_place(clean(file['path'], limit=500), item)}: {clean(item['message'], limit=500)}")


@group.command()
@click.argument("name")
@json_option
def show(name: str, as_json: bool) -> None:
    """Show a workflow's file."""
    found = call(lambda client: client.get(f"/api/v1/workflows/{segment(name)}"))
    if as_json:
        show_item(found, as_json=True)
    else:
        click.echo(found["source"], nl=False)


@group.command()
@click.argument("file", metavar="FILE|FOLDER|-")
@click.option("--format", "form", type=click.Choice(["text", "json", "sarif"]), default="text", show_default=True, help="How it is shown.")
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
def validate(file: str, form: Literal["text", "json", "sarif"]) -> int:
    """Check a workflow file, or the *.yaml of a folder; everything that is wrong is shown with its line. Exit 1: something is; 64: it
    cannot be read.
    """
    if file != STDIN and Path(file).is_dir():
        return _validate_folder(Path(file), form)
    try:
        text = read_text(file)
        result: dict[str, Any] = call(lambda client: client.post("/api/v1/workflows/validate", {"text": text}))
    except BcceError as problem:
        if form == "text" or problem.status != HTTPStatus.BAD_REQUEST:
            raise
        _tell({file: _unread(problem)}, form)
        return problem.exit_code
    _tell({file: result}, form)
    return ExitCode.OK if result["valid"] else ExitCode.FAILED


def _validate_folder(folder: Path, form: Literal["text", "json", "sarif"]) -> int:
    """The files that a server registers, one by one, and whether two have the same name."""
    results: dict[str, dict[str, Any]] = {}
    paths = sorted(str(item) for item in folder.iterdir() if item.suffix == ".yaml")

    async def check(client: Client) -> None:
        for path in paths:
            try:
                results[path] = await client.post("/api/v1/workflows/validate", {"text": read_text(path)})
            except BcceError as problem:
                if problem.status != HTTPStatus.BAD_REQUEST:
                    raise
                results[path] = _unread(problem)

    if paths:
        call(check)
    if not results:
        raise InvalidInput(f"{folder} has no files *.yaml", hint="name a file, or a folder with files")
    for path, result in results.items():
        others = [Path(other).name for other, known in results.items() if other != path and known["name"] == result["name"]]
        if result["name"] and others:
            message, hint = f"the workflow {result['name']!r} also stands in {', '.join(others)}", "give each file a name of its own"
            result["findings"].append(_finding("workflow.duplicate-name", message, hint))
            result["valid"] = False
    _tell(results, form, is_folder=True)
    return ExitCode.OK if all(result["valid"] for result in results.values()) else ExitCode.FAILED


def _unread(problem: BcceError) -> dict[str, Any]:
    """What is said of a file that cannot be read, in the form of an answer."""
    return {"name": None, "digest": None, "valid": False, "findings": [_finding(problem.code, problem.message, problem.hint)]}


def _finding(rule: str, message: str, hint: str | None) -> dict[str, object]:
    return Finding(rule_id=rule, severity=Severity.HIGH, verdict=Verdict.BLOCK, message=message, hint=hint).to_dict()


def _place(file: str, finding: Mapping[str, Any]) -> str:
    return f"{file}:{finding.get('line', 1)}:{finding.get('column', 1)}"


def _tell(results: Mapping[str, dict[str, Any]], form: Literal["text", "json", "sarif"], *, is_folder: bool = False) -> None:
    """Shows what was found in each file, by name."""
    if form == "json":
        if is_folder:
            files = [{"file": file, **result} for file, result in results.items()]
            show_item({"valid": all(result["valid"] for result in results.values()), "files": files}, as_json=True)
        for result in () if is_folder else results.values():
            show_item(result, as_json=True)
        return
    shown = {"stdin" if file == STDIN else file: result for file, result in results.items()}
    if form == "sarif":
        found = ((file, Finding.from_dict(item)) for file, result in shown.items() for item in result["findings"])
        show_item(sarif_log(found, version=version("bcce"), tags=("workflow",)), as_json=True)
        return
    for file, result in shown.items():
        for item in result["findings"]:
            click.echo(f"{_place(file, item)}: {clean(item['message'], limit=500)} [{item['rule_id']}]")
            if item.get("hint"):
                click.echo(f"    {clean(item['hint'], limit=500)}")
        if result["valid"]:
            click.echo(f"{file}: workflow {result['name']} is valid")


@group.command("run")
@click.argument("name")
@click.option("--input", "inputs", multiple=True, metavar="NAME=VALUE", help="An input; text if its type is string, else JSON.")
@click.option("--inputs", "file", metavar="FILE|-", help="A JSON file with inputs.")
@click.option("--detach", is_flag=True, help="Only start it; a server has to advance it.")
@json_option
def run_workflow(name: str, inputs: tuple[str, ...], file: str | None, detach: bool, as_json: bool) -> int:
    """Start a run and follow it to its end. Exit 1: it did not end well."""
    body = read_inputs(inputs, file)

    async def begin(client: Client) -> int:
        started = await client.post(f"/api/v1/workflows/{segment(name)}/runs", body)
        if detach:
            show_item(started, as_json=as_json)
            return ExitCode.OK
        return await follow(client, started["runId"], as_json=as_json)

    return call(begin, works=not detach)


@group.command()
def schema() -> None:
    """Print the language of workflow files as a JSON Schema, with the parameters of every installed step type, for an editor."""
    from bcce.plugins import Registry  # noqa: PLC0415 - only this command reads the step types
    from bcce.workflows.schema import workflow_schema  # noqa: PLC0415 - as above
    from bcce.workflows.step_type import StepType  # noqa: PLC0415 - as above

    installed = Registry("bcce.step_types", StepType).all()  # type: ignore[type-abstract]  # a door
    params = {name: kind.params for name, kind in installed.items() if isinstance(kind, type) and hasattr(kind, "params")}
    show_item(workflow_schema(params), as_json=True)


@group.command()
@click.argument("source", metavar="NAME|FILE|-")
@click.option("--format", "form", type=click.Choice(["text", "mermaid", "svg"]), default="text", show_default=True, help="How it is drawn.")
def graph(source: str, form: str) -> None:
    """Draw a workflow, or a file that need not be registered: who follows whom."""
    if source == STDIN or Path(source).suffix in (".yaml", ".yml") or Path(source).is_file():
        from bcce.workflows.graph import GraphFormat, render  # noqa: PLC0415 - a server draws what is registered
        from bcce.workflows.reader import read_all, read_definition  # noqa: PLC0415 - as above

        text = read_text(source)
        definition, _ = read_all(text, source)
        click.echo(render(definition or read_definition(text, source), GraphFormat(form)), nl=False)
        return
    click.echo(call(lambda client: client.get_text(f"/api/v1/workflows/{segment(source)}/graph", format=form)), nl=False)

"""One function for each reference page: it looks at the running code and gives the page's Markdown."""

import importlib
import json
import pkgutil
import tomllib
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import click
from fastapi.routing import APIRoute, APIRouter

import bcce
from bcce.cli.main import cli
from bcce.config.environ import SPECIAL
from bcce.config.model import Section
from bcce.config.template import key_table, keys
from bcce.kit.errors import BcceError, ExitCode
from bcce.kit.events import EVENT_TYPES
from bcce.kit.findings import Rule
from bcce.observability.metrics import LABELS, Metrics
from bcce.runtime.settings import Settings
from bcce.safety.policy.model import ApprovalRule, Layer, PolicyRule, PolicyTest, ScopedLayer, ScriptPolicy
from bcce.safety.policy.windows import Window
from bcce.safety.rules.bash import all_rules as bash_rules
from bcce.safety.rules.powershell import all_rules as powershell_rules
from bcce.safety.validators.bash import BUILT_IN as bash_judge
from bcce.safety.validators.powershell import BUILT_IN as powershell_judge
from bcce.security.authz import ROLE_PERMISSIONS, Permission, Role
from bcce.workflows.schema import workflow_schema
from tools.docs.markdown import code, first_line, page, table

PREFIX = "bcce."
#: Read instead of the installed metadata, which are older than the file until the next installation.
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def modules() -> Iterator[ModuleType]:
    """Every module of the package, imported; scripts and migrations are left out, because importing them runs them."""
    for found in pkgutil.walk_packages(bcce.__path__, PREFIX):
        if not found.name.endswith(".__main__") and ".migrations" not in found.name:
            yield importlib.import_module(found.name)


def error_classes() -> list[type[BcceError]]:
    """Every error with a code of its own, by code."""
    list(modules())  # a class exists once its module was imported
    found: set[type[BcceError]] = set()
    left: list[type[BcceError]] = [BcceError]
    while left:
        kind = left.pop()
        left.extend(kind.__subclasses__())
        if "code" in vars(kind) and kind.__module__.startswith(PREFIX):
            found.add(kind)
    return sorted(found, key=lambda kind: (kind.code, kind.__module__))


def errors() -> str:
    rows = [
        (
            code(kind.code),
            str(kind.status),
            "yes" if kind.retryable else "no",
            str(int(kind.exit_code)),
            code(kind.__name__),
            first_line(kind.__doc__),
        )
        for kind in error_classes()
    ]
    exits = [(str(item.value), item.name.lower().replace("_", " ")) for item in ExitCode]
    return page(
        "Errors",
        "Every error that BCCE raises on purpose has a code that does not change.\n"
        "The API sends it as problem+json with the type `urn:bcce:problem:<code>`.\n"
        "The CLI prints it in brackets and exits with the exit status beside it.\n"
        "An error that may be tried again says so in its problem too.",
        table(("code", "HTTP status", "try again", "exit status", "class", "meaning"), rows),
        "## Exit statuses",
        table(("status", "meaning"), exits),
    )


def events() -> str:
    return page(
        "Events",
        "An event is `{type, timestamp, source, data}`.\n"
        "The time is UTC in RFC 3339, keys in `data` are camelCase, durations are milliseconds.\n"
        "Events of one tenant come in one order without gaps.",
        table(("type", "what has happened"), [(code(name), meaning) for name, meaning in sorted(EVENT_TYPES.items())]),
    )


def permissions() -> str:
    rows = [(code(item.value), *("yes" if item in ROLE_PERMISSIONS[role] else "" for role in Role)) for item in Permission]
    return page(
        "Roles and permissions",
        "Every service checks one permission of the acting person, token, source or plugin before it does anything.\n"
        "Each role includes those before it.\n"
        "A permission that no role has belongs to BCCE's own steps alone.",
        table(("permission", *(role.value for role in Role)), rows),
    )


def configuration() -> str:
    other = [(code(name), f"{purpose[0].upper()}{purpose[1:]}.") for name, purpose in SPECIAL.items()]
    return page(
        "Configuration",
        "Defaults are overridden by `bcce.config.yaml`, that by its part `environments.<name>`, and that by environment variables.\n"
        "`snake_case` and `camelCase` spellings of a key are the same key.\n"
        "`bcce config show` prints what applies and where it comes from.\n"
        "`<name>` in a variable is the name as it is written: `BCCE_EXECUTION__TARGETS__web__ADDRESS`.\n"
        "A name in capitals is the one in the file that looks the same in capitals, else it is meant in small letters.",
        key_table(Settings).strip(),
        "## Other variables",
        table(("variable", "what it is for"), other),
    )


def commands(group: click.Group, path: tuple[str, ...] = ("bcce",)) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command below `group` that can be run, with the words that call it. A command whose module does not exist is left out."""
    with click.Context(group, info_name=path[-1]) as context:
        for name in group.list_commands(context):
            try:
                command = group.get_command(context, name)
            except ModuleNotFoundError:
                continue
            if isinstance(command, click.Group):
                yield from commands(command, (*path, name))
            elif command is not None:
                yield (*path, name), command


def command_line() -> str:
    return page(
        "Commands",
        "Options before the command, such as `bcce --config FILE serve`:",
        _options(cli),
        *(block for path, command in commands(cli) for block in _command(path, command)),
    )


def api() -> str:
    rows: list[tuple[str, str, str]] = []
    for module in modules():
        router = getattr(module, "router", None)
        if module.__name__.startswith("bcce.api.") and isinstance(router, APIRouter):
            for route in router.routes:
                if isinstance(route, APIRoute):
                    method = ", ".join(sorted(route.methods or ()))
                    rows.append((route.path, method, route.summary or first_line(route.endpoint.__doc__)))
    return page(
        "API",
        "The server describes itself in full at `/api/v1/openapi.json`.\n"
        "Errors are problem+json; their codes are in [errors.md](errors.md).",
        table(("method", "path", "what it does"), [(code(method), code(path), what) for path, method, what in sorted(rows)]),
    )


def built_ins() -> dict[str, list[EntryPoint]]:
    """What BCCE registers at its own doors, by entry-point group."""
    project = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]
    return {
        group: [EntryPoint(name=name, value=value, group=group) for name, value in sorted(points.items())]
        for group, points in sorted(project["entry-points"].items())
    }


def plugins() -> str:
    blocks = []
    for group, points in built_ins().items():
        rows = [(code(point.name), code(point.value), _describe(point)) for point in points]
        blocks += [f"## `{group}`", table(("name", "object", "what it is"), rows)]
    return page(
        "Extension points",
        "A plugin registers a class as an entry point of one of these groups.\nBCCE's own parts use the same doors; they are listed here.",
        *blocks,
    )


def metrics() -> str:
    known = sorted(Metrics().catalogue, key=lambda metric: metric.name)
    rows = [(code(metric.name), metric.kind, ", ".join(code(label) for label in metric.labels), metric.meaning) for metric in known]
    used = {label for metric in known for label in metric.labels}
    return page(
        "Metrics",
        "`GET /metrics` has these in Prometheus's text format, for a token with the permission `metrics:read`.\n"
        "Each process counts for itself, from its start.\n"
        "A counter only grows; a histogram has `_bucket`, `_sum` and `_count` behind its name.\n"
        "A series is there once something was counted in it.",
        table(("name", "kind", "labels", "meaning"), rows),
        "## Labels",
        table(
            ("label", "what it says"),
            [(code(name), f"{meaning[0].upper()}{meaning[1:]}.") for name, meaning in sorted(LABELS.items()) if name in used],
        ),
    )


def rules() -> str:
    blocks = []
    shells = (("bash and POSIX sh", bash_rules(), bash_judge), ("PowerShell", powershell_rules(), powershell_judge))
    for shell, own, built_in in shells:
        every: list[Rule] = sorted([*(item.rule for item in own), *built_in], key=lambda rule: (-rule.verdict.rank, rule.id))
        rows = [
            (code(rule.id), rule.verdict.value, rule.severity.value, f"{rule.title}: {rule.why}.", rule.instead, ", ".join(rule.tags))
            for rule in every
        ]
        blocks.append(f"## {shell}\n\n{table(('rule', 'verdict', 'severity', 'why', 'instead', 'catalogues'), rows)}")
    return page(
        "Script safety rules",
        "Every script is read as a syntax tree before anybody is asked.\n"
        "What no rule and no table knows needs an approval: unknown is never taken for harmless.",
        *blocks,
    )


def script_policy() -> str:
    parts = (
        ("The file, and each layer", Layer),
        ("The file alone", ScriptPolicy),
        ("A layer alone", ScopedLayer),
        ("An entry of `rules`", PolicyRule),
        ("An entry of `approvals`", ApprovalRule),
        ("An entry of `windows`", Window),
        ("An entry of `tests`", PolicyTest),
    )
    return page(
        "The script policy",
        "The keys of a policy file; [script-policy.md](../script-policy.md) says what they mean together.\n"
        "`snake_case` and `camelCase` spellings of a key are the same key.",
        *(block for title, model in parts for block in (f"## {title}", _key_table(model))),
    )


def _key_table(model: type[Section]) -> str:
    shared = set(Layer.model_fields) if model is not Layer else set()
    rows = [
        (code(key.spelling), key.type, code(key.default), f"{key.description} {key.limits}".strip())
        for key in keys(model)
        if "<" not in key.spelling and not (issubclass(model, Layer) and key.name.partition(".")[0] in shared)
    ]
    return table(("key", "type", "default", "meaning"), rows)


def workflow_language() -> str:
    """The schema of workflow files with the step types that are built in; `bcce workflow schema` adds those of installed plugins."""
    points = built_ins()["bcce.step_types"]
    return json.dumps(workflow_schema({point.name: point.load().params for point in points}), indent=1, ensure_ascii=False) + "\n"


#: File name below `docs/reference` -> the function that writes it and what the index says of it.
PAGES: dict[str, tuple[Callable[[], str], str]] = {
    "api.md": (api, "every endpoint"),
    "commands.md": (command_line, "every command and option"),
    "configuration.md": (configuration, "every setting, its default and its environment variable"),
    "errors.md": (errors, "every error code, HTTP status and exit status"),
    "events.md": (events, "every event type"),
    "metrics.md": (metrics, "every metric, its labels and what it counts"),
    "permissions.md": (permissions, "what each role may do"),
    "plugins.md": (plugins, "every extension point and what is built in"),
    "rules.md": (rules, "every rule that judges a script"),
    "script-policy.md": (script_policy, "every key of a script policy"),
    "workflow.schema.json": (workflow_language, "every key of a workflow file, as a JSON Schema for editors"),
}


def index() -> str:
    """The page that leads to the others."""
    return page("Reference", "\n".join(f"- [{name}]({name}): {what}" for name, (_, what) in PAGES.items()))


def _describe(point: EntryPoint) -> str:
    try:
        return first_line(point.load().__doc__)
    except ModuleNotFoundError:
        return ""


def _command(path: tuple[str, ...], command: click.Command) -> Iterator[str]:
    with click.Context(command, info_name=path[-1]) as context:
        pieces = " ".join(command.collect_usage_pieces(context))
    yield f"## {code(' '.join(path))}"
    yield (command.help or "").strip()
    yield f"Usage: {code(' '.join((*path, pieces)).strip())}"
    yield _options(command)


def _options(command: click.Command) -> str:
    with click.Context(command) as context:
        records = [parameter.get_help_record(context) for parameter in command.params if isinstance(parameter, click.Option)]
    rows = [(code(names), meaning) for names, meaning in (record for record in records if record is not None)]
    return table(("option", "meaning"), rows) if rows else ""

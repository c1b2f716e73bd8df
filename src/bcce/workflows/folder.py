"""The folder of workflow files: each is registered at start, and one that cannot run here keeps no other from it.

What was registered under its name before stays in use; which files were refused, and why, is kept for those who look.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog

from bcce.config.document import read_yaml
from bcce.kit.findings import Finding
from bcce.security.actor import Actor
from bcce.security.authz import Permission, require
from bcce.workflows.form import problem
from bcce.workflows.service import WorkflowService

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedFile:
    """A file, or the folder itself, that was not registered, and everything that is wrong with it; at least one finding."""

    path: str
    findings: tuple[Finding, ...]


class WorkflowFolder:
    """Registers the workflows that come with the program and those of a folder. `path` None: there is no folder."""

    def __init__(self, workflows: WorkflowService, path: Path | None) -> None:
        self._workflows = workflows
        self._path = path
        self._tenant_id: str | None = None
        self._refused: tuple[RefusedFile, ...] = ()

    async def load(self, actor: Actor, built_in: Mapping[str, str]) -> None:
        """Registers what can run here. Called once, at start.

        A file may have the name of a built-in workflow, which it then replaces.

        Args:
            built_in: the texts of the workflows that come with the program, by name.
        """
        texts, refused = await asyncio.to_thread(_texts, self._path) if self._path is not None else ({}, {})
        names: dict[str, list[str]] = {}
        for path, text in texts.items():
            definition, findings = self._workflows.validate(actor, text, path)
            if findings:
                refused[path] = findings
            if definition is not None and definition.name:
                names.setdefault(definition.name, []).append(path)
        for name, paths in names.items():
            if len(paths) > 1:
                for path in paths:
                    others = [Path(other).name for other in paths if other != path]
                    refused[path] = (*refused.get(path, ()), _twice(name, texts[path], others))
        for name, text in built_in.items():
            await self._register_built_in(
                actor, name, text, is_replaced=any(path not in refused for path in names.get(name, ())), refused=refused
            )
        for path, text in texts.items():
            if path not in refused:
                await self._workflows.register(actor, text, path)
        self._tenant_id, self._refused = actor.tenant_id, tuple(RefusedFile(path=path, findings=refused[path]) for path in sorted(refused))
        for file in self._refused:
            log.error("workflows.file_refused", path=file.path, findings=[_line(finding) for finding in file.findings])

    def refused(self, actor: Actor) -> tuple[RefusedFile, ...]:
        """The files that were not registered when this process started, by path."""
        require(actor, Permission.WORKFLOWS_READ)
        return self._refused if actor.tenant_id == self._tenant_id else ()

    async def _register_built_in(self, actor: Actor, name: str, text: str, *, is_replaced: bool, refused: Mapping[str, object]) -> None:
        # Our own tests check that it can run, so that a process that only looks need not.
        if is_replaced or await self._workflows.is_registered(actor, text):
            return
        # A file that took its place, and is refused today, was registered before.
        if any(item.name == name and item.origin in refused for item in await self._workflows.definitions(actor)):
            return
        await self._workflows.register(actor, text, f"bcce:{name}.yaml")


def _texts(folder: Path) -> tuple[dict[str, str], dict[str, tuple[Finding, ...]]]:
    """The files' texts by path, in order, and what cannot be read."""
    texts: dict[str, str] = {}
    refused: dict[str, tuple[Finding, ...]] = {}
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == ".yaml")
    except OSError as error:
        return {}, {str(folder): (_unread(f"the folder cannot be read: {error.strerror}", "check workflows.directory"),)}
    for file in files:
        try:
            texts[str(file)] = file.read_text("utf-8-sig")
        except OSError as error:
            refused[str(file)] = (_unread(f"the file cannot be read: {error.strerror}", "the server's user needs to read it"),)
        except UnicodeDecodeError as error:
            refused[str(file)] = (_unread(f"the file cannot be read: byte {error.start} is no UTF-8", "save it as UTF-8"),)
    return texts, refused


def _unread(message: str, hint: str) -> Finding:
    return problem("workflow.unreadable", message, line=None, column=None, hint=hint)


def _twice(name: str, text: str, others: list[str]) -> Finding:
    line, column = read_yaml(text).place(("name",))
    message = f"the workflow {name!r} also stands in {', '.join(others)}"
    return problem("workflow.duplicate-name", message, line=line, column=column, hint="give each file a name of its own", text=name)


def _line(finding: Finding) -> str:
    return f"{finding.line or 1}:{finding.column or 1}: {finding.message} [{finding.rule_id}]"

"""Gives expressions the real values of outputs again: only those that they read, and not more than fits into memory."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from sqlalchemy import Connection

from bcce.kit.ids import RunId
from bcce.workflows.artifacts import repository
from bcce.workflows.artifacts.model import has_reference, referenced, unpacked
from bcce.workflows.errors import ValuesTooLarge
from bcce.workflows.expressions import Read
from bcce.workflows.model import StepRecord
from bcce.workflows.records import Records

#: Bytes of artifacts that the expressions of one step may read together.
MAX_READ_BYTES = 16 * 1024 * 1024
#: Values inside values, such as the outputs of a loop's turns in its results.
_MAX_DEPTH = 4
#: Names that an expression means as a method where there is no such key: `steps.items()`.
_METHODS = frozenset(dir(dict))

Load = Callable[[str, str], object]


class _Loader:
    """Values by digest and type, each read once, all within the limit."""

    def __init__(self, conn: Connection, run_id: RunId) -> None:
        self._conn = conn
        self._run_id = run_id
        self._known: dict[tuple[str, str], object] = {}
        self._left = MAX_READ_BYTES

    def value(self, reference: Mapping[str, object]) -> object:
        """What `reference` stands for; itself when the run has stored nothing of the kind."""
        key = str(reference["artifact"]), str(reference["type"])
        if key not in self._known:
            size = repository.output_size(self._conn, self._run_id, *key)
            self._left -= size or 0
            if self._left < 0:
                raise ValuesTooLarge(
                    f"the values that are read here have together more than {MAX_READ_BYTES} bytes",
                    hint="read single values of them, or do the work in several steps",
                    details={"limit": MAX_READ_BYTES},
                )
            content = repository.output_content(self._conn, self._run_id, *key) if size is not None else None
            self._known[key] = unpacked(content, key[1]) if content is not None else reference
        return self._known[key]

    def restored(self, value: object, path: tuple[str, ...], depth: int = _MAX_DEPTH) -> object:
        """`value` with the references on `path`, and below its end, replaced by what they stand for."""
        if isinstance(value, dict) and referenced(value) is not None:
            found = self.value(value) if depth > 0 else value
            return value if found is value else self.restored(found, path, depth - 1)
        if isinstance(value, dict):
            if path and path[0] in value:  # a key wins over a method, as in expressions
                return {**value, path[0]: self.restored(value[path[0]], path[1:], depth)}
            return {key: self.restored(item, (), depth) for key, item in value.items()}
        if isinstance(value, list):
            if path and path[0].isdigit() and int(path[0]) < len(value):
                at = int(path[0])
                return [*value[:at], self.restored(value[at], path[1:], depth), *value[at + 1 :]]
            return [self.restored(item, (), depth) for item in value]
        return value


def needs_restoring(records: Mapping[str, StepRecord]) -> bool:
    """Whether any output may hold something that became an artifact."""
    return records.refers if isinstance(records, Records) else any(has_reference(record.output) for record in records.values())


def restored(
    conn: Connection, run_id: RunId, records: Mapping[str, StepRecord], reads: Iterable[Read], *, suffix: str = ""
) -> dict[str, StepRecord]:
    """The records with the real values of what `reads` name; `suffix` is the turn of the loops around the reader.

    Raises:
        ValuesTooLarge: they are too large to be read at once.
    """
    loader, found = _Loader(conn, run_id), dict(records)
    ids = {key.partition("[")[0].partition(".")[0] for key in records}
    for read in reads:
        if read.name != "steps" or read.path[1:2] not in ((), ("output",)):
            continue
        for key, record in found.items():
            name, bracket, rest = key.partition("[")
            is_method = bool(read.path) and read.path[0] in _METHODS and read.path[0] not in ids
            is_meant = not read.path or name.partition(".")[0] == read.path[0] or is_method
            if is_meant and suffix.startswith(bracket + rest) and has_reference(record.output):
                output = loader.restored(dict(record.output or {}), read.path[2:])
                found[key] = replace(record, output=output)  # type: ignore[arg-type]  # an output is a mapping
    return found


def restored_output(conn: Connection, run_id: RunId, output: Mapping[str, object]) -> dict[str, object]:
    """All of an output of the run, with the real values.

    Raises:
        ValuesTooLarge: they are too large to be read at once.
    """
    return dict(output) if not has_reference(output) else dict(_Loader(conn, run_id).restored(dict(output), ()))  # type: ignore[call-overload]  # an output is a mapping

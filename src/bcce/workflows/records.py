"""What is recorded of a run's steps, so kept that a loop of five hundred turns does not look at all of them for each."""

from collections.abc import Iterator, Mapping

from bcce.workflows.artifacts.model import has_reference
from bcce.workflows.model import StepRecord


class Records(dict[str, StepRecord]):
    """Records by step key. `refers`: an output may hold something that became an artifact."""

    def __init__(self, records: Mapping[str, StepRecord] | None = None) -> None:
        super().__init__()
        self.refers = False
        self._turns: dict[str, dict[str, StepRecord]] = {}
        for key, record in (records or {}).items():
            self[key] = record

    def __setitem__(self, key: str, record: StepRecord) -> None:
        super().__setitem__(key, record)
        _, bracket, rest = key.partition("[")
        self._turns.setdefault(bracket + rest, {})[key] = record
        self.refers = self.refers or has_reference(record.output)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        _, bracket, rest = key.partition("[")
        del self._turns[bracket + rest][key]

    def seen_from(self, suffix: str) -> Iterator[tuple[str, StepRecord]]:
        """The records of the turn `suffix`, such as `[2][0]`, and of those around it, the outermost first."""
        yield from self._turns.get("", {}).items()
        end = suffix.find("]") + 1
        while end > 0:
            yield from self._turns.get(suffix[:end], {}).items()
            end = suffix.find("]", end) + 1


def seen_from(records: Mapping[str, StepRecord], suffix: str) -> Iterator[tuple[str, StepRecord]]:
    """As `Records.seen_from`."""
    return (records if isinstance(records, Records) else Records(records)).seen_from(suffix)

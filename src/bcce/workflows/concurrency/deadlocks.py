"""Whether a run that is about to wait for a group would wait for ever: for runs that wait, through others, for it.

What a run waits for are the ends of runs that it started, all of them; what a run in a full group waits for is the end of one of those that
have their turn there. Such a circle can only be closed by a run that another one starts and waits for, so it is looked for there, before
that run is made, and one look at a time.
"""

from dataclasses import dataclass, field

from sqlalchemy import Connection

from bcce.kit.ids import RunId, TenantId
from bcce.workflows.concurrency import repository

#: No group is named so; its row is locked by whoever looks for circles, always as the last lock of all.
_LATCH = ""


@dataclass(frozen=True, slots=True)
class _Group:
    """A group by its name, which may be that of a run."""

    name: str


@dataclass(slots=True)
class _Waits:
    """Who waits for whom: runs for `runs` or the groups that those wait in, groups for one of their `holders`."""

    runs: dict[RunId, list[RunId | _Group]] = field(default_factory=dict)
    holders: dict[_Group, list[RunId]] = field(default_factory=dict)


def circle(conn: Connection, tenant_id: TenantId, *, group: str, at_most: int, waiting: list[RunId]) -> list[RunId]:
    """Those who have their turn in `group`, if none of them can end any more once `waiting` wait for a run there; else none.

    Args:
        at_most: of how many the run that is about to wait would be one.
        waiting: the run that is about to wait for that run, and those that wait for it.
    """
    repository.lock_group(conn, tenant_id, _LATCH)
    waits = _Waits()
    entered = _Group(group)
    _look(conn, tenant_id, waits, {entered: at_most})
    # Whoever waits for nothing may end, then whoever waits for such a one alone, and so on; the rest waits for itself.
    stuck: set[RunId | _Group] = {*waiting, *waits.runs, *waits.holders}
    while True:
        free: set[RunId | _Group] = {name for name, holders in waits.holders.items() if not holders or not stuck.issuperset(holders)}
        free |= {run_id for run_id, ends in waits.runs.items() if run_id not in waiting and stuck.isdisjoint(ends)}
        if stuck.isdisjoint(free):
            return waits.holders[entered] if entered in stuck else []
        stuck -= free


def _look(conn: Connection, tenant_id: TenantId, waits: _Waits, groups: dict[_Group, int]) -> None:
    """Follows the holders of `groups` to what they wait for, and on from there."""
    while groups:
        ahead: list[RunId] = []
        for group, at_most in groups.items():
            waits.holders[group] = repository.holders_of_full(conn, tenant_id, group.name, at_most)
            ahead += waits.holders[group]
        groups = {}
        while ahead := sorted({run_id for run_id in ahead if run_id not in waits.runs}):
            waits.runs |= {run_id: [] for run_id in ahead}
            awaited = repository.awaited_by(conn, ahead)
            ahead = []
            for one in awaited:
                if one.group is None:
                    waits.runs[one.by].append(one.run_id)
                    ahead.append(one.run_id)
                else:
                    awaited_group = _Group(one.group)
                    waits.runs[one.by].append(awaited_group)
                    if awaited_group not in waits.holders:
                        groups[awaited_group] = max(one.at_most, groups.get(awaited_group, 0))

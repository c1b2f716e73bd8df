"""How a run is shown to a person: as a tree, and in one line. Pure; what came from outside is made safe here."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bcce.cli.output import one_line
from bcce.kit.clock import parse_time

OVER = ("completed", "failed", "cancelled", "dead")
_LIVE = ("started", "waiting", "retrying")
_MARKS = {"completed": "✓", "failed": "✗", "skipped": "-", "cancelled": "■", "waiting": "…", "started": "▸", "retrying": "↻", "dead": "✗"}
_PENDING = "·"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the tree. `is_urgent`: it is going on or went wrong, so it is what somebody looks for first."""

    text: str
    depth: int
    is_urgent: bool


def standing(run: Mapping[str, Any]) -> Iterator[str]:
    """One line about the run's concurrency group, if it has one."""
    place = run.get("concurrency")
    if place:
        what = "has its turn" if place["hasTurn"] else f"waits for its turn, {place['ahead']} before it,"
        yield f"  {what} in the concurrency group {one_line(place['group'], limit=255)} (at most {place['limit']} at a time)"


def told(run: Mapping[str, Any]) -> Iterator[str]:
    """One line for each connector that hears of the run's events."""
    for lane in run.get("integrations") or ():
        counts = f"{lane['delivered']} delivered, {lane['pending']} waiting, {lane['givenUp']} given up"
        why = f"  {reason(lane['error'])}" if lane["error"] else ""
        when = f"  tried {lane['failures']} times, again at {lane['nextTryAt']}" if lane["failures"] else ""
        yield f"  → {lane['connector']}  {counts}{when}{why}"


def about(run: Mapping[str, Any]) -> Iterator[str]:
    """One line that says of which run this one is a re-run, if it is one."""
    if run.get("rerunOf"):
        yield f"  re-run of {run['rerunOf']} from {one_line(run['rerunFrom'], limit=64)}"


def tree(run: Mapping[str, Any], now: datetime) -> list[Line]:
    """The steps below the blocks that hold them, in the order of the definition and of the turns, and the runs that they started."""
    latest: dict[str, Mapping[str, Any]] = {}
    tries = Counter[str]()
    for step in run["steps"]:
        tries[step["key"]] += 1
        if step["key"] not in latest or latest[step["key"]]["attempt"] < step["attempt"]:
            latest[step["key"]] = step
    children: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for child in run["children"]:
        children[child["parentKey"]].append(child)
    lines: list[Line] = []
    for node in run["outline"]["nodes"]:
        key, depth = node["key"], node["depth"]
        if node["kind"] == "turn":
            lines.append(_line(f"{key}{_item(latest, key, node['index'])}", depth))
            continue
        found = latest.get(key)
        if found is None:
            lines.append(_line(f"{_PENDING} {key}  {node['type']}  not begun", depth))
        else:
            copied = f"copied from {run.get('rerunOf')}, not executed" if found["copied"] else ""
            text = step_text(found, now, tries=tries[key], notes=(_part(node, found), copied))
            lines.append(_line(text, depth, is_urgent=found["state"] in (*_LIVE, "failed")))
        for child in children.pop(key, ()):
            mark = _MARKS.get(child["state"], "▸")
            lines.append(_line(f"{mark} run {child['id']}  {one_line(child['workflow'], limit=128)}  {child['state']}", depth + 1))
    return lines


def _line(text: str, depth: int, *, is_urgent: bool = False) -> Line:
    return Line("  " * (depth + 1) + text, depth, is_urgent)


def _item(latest: Mapping[str, Mapping[str, Any]], key: str, index: int) -> str:
    """What a turn is about: the item of the loop's list."""
    loop = key[: key.rindex("[")]
    items = (latest.get(loop, {}).get("output") or {}).get("items")
    if not isinstance(items, list) or index >= len(items):
        return ""
    return f"  {one_line(items[index], limit=60)}"


def _part(node: Mapping[str, Any], step: Mapping[str, Any]) -> str:
    """Which branch a condition took, or how many turns a loop has."""
    if node["count"] is not None:
        return f"{node['count']} turn{'' if node['count'] == 1 else 's'}"
    return one_line((step.get("output") or {}).get("branch", ""), limit=10) if node["type"] == "condition" else ""


def step_text(step: Mapping[str, Any], now: datetime, *, tries: int, notes: Sequence[str] = ()) -> str:
    """One attempt of a step: mark, key, type, state, how long it took or takes, how often it was tried, and what there is to say of it."""
    state = step["state"]
    parts = [f"{_MARKS.get(state, '?')} {step['key']}", step["type"], state]
    if state not in ("skipped", "retrying"):
        parts.append(took(step["startedAt"], step["endedAt"], now))
    if tries > 1 or step["attempt"] > 1:
        # What was taken over from another run need not have all its attempts here.
        parts.append(f"{max(tries, step['attempt'])} tries")
    parts += notes
    if state in _LIVE and step.get("waitingFor"):
        parts.append(one_line(step["waitingFor"], limit=200))
    if step.get("error") and state in ("failed", "retrying"):
        parts.append(reason(step["error"]))
    if state == "retrying" and step.get("wakeAt"):
        parts.append(f"again at {step['wakeAt'][11:19]}Z")
    return "  ".join(part for part in parts if part)


def took(began: str | None, ended: str | None, now: datetime) -> str:
    """How long something took, or takes up to now; empty when it has not begun."""
    if not began:
        return ""
    until = parse_time(ended) if ended else now
    seconds = max(0.0, (until - parse_time(began)).total_seconds())
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.1 or not ended else f"{seconds * 1000:.0f} ms"
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} m {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} m"


def reason(error: Mapping[str, Any]) -> str:
    """Why something failed, in one line."""
    where = f"step {error['step']}: " if error.get("step") else ""
    return one_line(f"{where}{error.get('message', error.get('code', ''))}", limit=500)


def state_of(run: Mapping[str, Any]) -> str:
    """A run's state in the words of a person."""
    if run.get("cancelAt") and run["state"] not in OVER:
        return f"{run['state']}, being cancelled" if run["state"] != "active" else "being cancelled"
    return str(run["state"])


def progress(run: Mapping[str, Any], now: datetime) -> str:
    """One line: how much of what is known is done, since when, and what the run waits for."""
    counts = run["outline"]
    parts = [f"{counts['done']} of {counts['known']} steps", took(run["startedAt"] or run["createdAt"], run["endedAt"], now)]
    if run["state"] == "paused":
        parts.append(f"paused: nothing begins until `bcce run resume {run['id']}`")
    elif run["state"] == "queued":
        parts.append(next(iter(standing(run)), "  waits for its turn").strip())
    elif run["state"] == "needs-upgrade":
        parts.append("waits for a newer release: this one does not know its format")
    elif run["state"] == "active":
        parts += _waits(run)
    return "  ".join(part for part in parts if part)


def _waits(run: Mapping[str, Any]) -> Iterator[str]:
    latest = {step["key"]: step for step in sorted(run["steps"], key=lambda step: step["attempt"])}
    waiting = [step for step in latest.values() if step["state"] == "waiting" and step.get("waitingFor")]
    if waiting:
        more = f" and {len(waiting) - 1} more wait" if waiting[1:] else " waits"
        yield f"{waiting[0]['key']}{more} for {one_line(waiting[0]['waitingFor'], limit=200)}"
        return
    again = sorted((step["wakeAt"], step["key"]) for step in latest.values() if step["state"] == "retrying" and step.get("wakeAt"))
    if again:
        yield f"tries {again[0][1]} again at {again[0][0][11:19]}Z"

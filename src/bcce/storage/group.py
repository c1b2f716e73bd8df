"""How the appends of one commit are executed: few statements with many rows each, and a bad one found without harming the rest."""

from collections.abc import Iterator, Mapping, Sequence

from sqlalchemy import Connection, Executable, Table, select, tuple_

from bcce.storage.bulk import execute_many
from bcce.storage.doors import Append, Fence
from bcce.storage.errors import StaleEpoch, ValueRefused
from bcce.storage.faults import caused, is_isolatable

#: How many fences are checked by one query; keeps the query's text and its parameters below every database's limits.
_FENCES_PER_QUERY = 500
#: Dialects whose driver takes rows as tuples for a statement's text; the drivers of the others want another form of parameter.
_WITH_PLANS = frozenset({"sqlite", "postgresql"})


def apply_appends(conn: Connection, appends: Sequence[Append], fence_table: Table, *, isolate: bool) -> list[Exception | None]:
    """Execute `appends` in the present transaction; for each, why it was left out, or None.

    Refused fences only ever leave out their own append. Any other error is raised unless `isolate`: then the appends run under
    savepoints and the bad ones are found by halving. So the usual case pays for no savepoint; the caller repeats the transaction when
    it must.

    Raises:
        CopyRefused: only unless `isolate`.
        Exception: the driver's error, when it is not the fault of single rows or `isolate` is False.
    """
    refused = _refused_fences(conn, appends, fence_table)
    outcomes: list[Exception | None] = [None] * len(appends)
    live = []
    for index, op in enumerate(appends):
        stale = next((fence for fence in op.fences if fence in refused), None) if refused else None
        if stale is None:
            live.append(index)
        else:
            outcomes[index] = StaleEpoch(details={"runId": stale.run_id, "epoch": stale.epoch})
    if isolate:
        _isolate(conn, appends, live, outcomes)
    else:
        _execute(conn, [appends[index] for index in live], copies=True)
    return outcomes


def _isolate(conn: Connection, appends: Sequence[Append], indexes: Sequence[int], outcomes: list[Exception | None]) -> None:
    if not indexes:
        return
    try:
        with conn.begin_nested():
            _execute(conn, [appends[index] for index in indexes], copies=False)
    except Exception as error:
        if not is_isolatable(error):
            raise
        if len(indexes) == 1:
            outcomes[indexes[0]] = caused(error)
            return
        middle = len(indexes) // 2
        _isolate(conn, appends, indexes[:middle], outcomes)
        _isolate(conn, appends, indexes[middle:], outcomes)


def _execute(conn: Connection, appends: Sequence[Append], *, copies: bool) -> None:
    try:
        for statement, rows in gather(appends):
            if rows[0] and conn.dialect.name in _WITH_PLANS:
                execute_many(conn, statement, rows, copies=copies)
            elif rows[0]:
                conn.execute(statement, rows)
            else:
                for _ in rows:
                    conn.execute(statement)
    except OverflowError as error:
        # sqlite3 raises this one as it is, not as an error of its own.
        raise ValueRefused("a number is larger than the database can store") from error


def gather(appends: Sequence[Append]) -> list[tuple[Executable, list[Mapping[str, object]]]]:
    """The items of `appends` as statements with all their rows, to be executed one after the other.

    The order of the items inside each append is kept: an item joins an earlier batch only if that stands at or behind the batch of the
    item before it. Rows of one batch have the same keys, which is what `executemany` needs.
    """
    batches: list[tuple[Executable, list[Mapping[str, object]]]] = []
    places: dict[tuple[int, tuple[str, ...]], list[int]] = {}
    for op in appends:
        earliest = 0
        for statement, row in op.items:
            known = places.get(key := (id(statement), tuple(row)))
            if known is None:
                known = places[key] = []
            for place in known:
                if place >= earliest:
                    break
            else:
                place = len(batches)
                batches.append((statement, []))
                known.append(place)
            batches[place][1].append(row)
            earliest = place
    return batches


def _refused_fences(conn: Connection, appends: Sequence[Append], fence_table: Table) -> set[Fence]:
    """The fences that do not hold; those that do are share-locked until the commit, in the order of ids so that groups do not deadlock."""
    wanted = {fence for op in appends for fence in op.fences}
    if not wanted:
        return wanted
    held: set[tuple[str, int]] = set()
    identity, epoch = fence_table.c.id, fence_table.c.epoch
    query = select(identity, epoch).order_by(identity)
    for is_exclusive in (True, False):
        alike = sorted((fence.run_id, fence.epoch) for fence in wanted if fence.is_exclusive is is_exclusive)
        for fences in _chunks(alike):
            # As text, because this is asked in every commit, and to compile it takes longer than to answer it.
            if conn.dialect.name == "sqlite":
                # One writer, so there is nothing to lock, and no index serves SQLite's comparison of row values.
                run_ids = tuple({run_id for run_id, _ in fences})
                text = f"SELECT id, epoch FROM {fence_table.name} WHERE id IN ({', '.join('?' * len(run_ids))})"  # noqa: S608 - our own name
                held.update((row[0], row[1]) for row in conn.exec_driver_sql(text, run_ids).all())
            elif conn.dialect.name == "postgresql":
                # The rows are locked after they are sorted: LockRows stands above Sort.
                lock = "UPDATE" if is_exclusive else "SHARE"
                text = f"SELECT id, epoch FROM {fence_table.name} WHERE id = ANY($1::text[]) ORDER BY id FOR {lock}"  # noqa: S608 - our own name
                held.update((row[0], row[1]) for row in conn.exec_driver_sql(text, (sorted({run_id for run_id, _ in fences}),)).all())
            else:
                chosen = query.with_for_update(read=not is_exclusive).where(tuple_(identity, epoch).in_(fences))
                held.update((row[0], row[1]) for row in conn.execute(chosen))
    return {fence for fence in wanted if (fence.run_id, fence.epoch) not in held}


def _chunks(fences: Sequence[tuple[str, int]]) -> Iterator[Sequence[tuple[str, int]]]:
    for start in range(0, len(fences), _FENCES_PER_QUERY):
        yield fences[start : start + _FENCES_PER_QUERY]

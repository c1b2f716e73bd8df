"""Checking the whole audit log: every record, every link, every signed checkpoint; and saying what cannot be seen."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from bcce.kit.ids import TenantId
from bcce.security.actor import Actor
from bcce.security.audit import repository
from bcce.security.audit.checkpoints import Checkpoint, Checkpoints
from bcce.security.audit.log import GENESIS, AuditLog, AuditRecord, link
from bcce.security.authz import Permission, require
from bcce.storage.doors import Database

_PAGE = 1_000
_MAX_PROBLEMS = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditReport:
    """What a check found. `ok` is true only if there are no problems; `unseen` says what no such check can see."""

    ok: bool
    records: int
    unchained: int
    checkpoints: int
    problems: tuple[str, ...]
    unseen: tuple[str, ...]


async def verify_audit(actor: Actor, db: Database, log: AuditLog, checkpoints: Checkpoints) -> AuditReport:
    """Reads all of the actor's tenant's records, a page at a time, and the checkpoint file."""
    require(actor, Permission.AUDIT_READ)
    signed, problems = await checkpoints.read()
    mine = {item.seq: item for item in signed if item.tenant_id == actor.tenant_id}
    last, chain, records = 0, GENESIS, 0
    while True:
        # The head comes first, so that what is written meanwhile is behind it and never in front.
        head, page = await db.read(_reader(actor.tenant_id, last))
        seen = {last: chain}
        for record in page:
            records += 1
            assert record.seq is not None  # noqa: S101 - the query asks for numbered ones
            if record.seq != last + 1:
                problems.append(f"records {last + 1} to {record.seq - 1} are missing")
            if not log.is_genuine(record):
                problems.append(f"record {record.seq} ({record.id}, {record.action}) was changed after it was written")
            chain = link(chain, record.seq, record)
            if chain != record.chain:
                problems.append(f"record {record.seq} ({record.id}) does not continue the chain before it")
                chain = record.chain or chain
            _compare(mine.pop(record.seq, None), chain, problems)
            last = record.seq
            seen[last] = chain
        if len(page) < _PAGE or len(problems) >= _MAX_PROBLEMS:
            break
    if head is None and last:
        head = await db.read(lambda conn: repository.head(conn, actor.tenant_id))  # the very first record may have come in between
    if (last or head is not None) and (head is None or seen.get(head[0]) != head[1]):
        problems.append(f"the log ends at record {last}, but its head says {head[0] if head else 'nothing'}")
    problems.extend(
        f"record {seq} is missing: a signed checkpoint of {item.at:%Y-%m-%d %H:%M:%S} UTC knows it" for seq, item in sorted(mine.items())
    )
    unchained = await db.read(lambda conn: repository.count_unchained(conn, actor.tenant_id))
    newest = max((item.seq for item in signed if item.tenant_id == actor.tenant_id), default=0)
    return AuditReport(
        ok=not problems,
        records=records,
        unchained=unchained,
        checkpoints=len(signed),
        problems=tuple(problems[:_MAX_PROBLEMS]),
        unseen=(
            f"records after number {newest}: no checkpoint covers them yet, so whoever holds the audit key could have rewritten them",
            "anything that was never recorded",
        ),
    )


def _reader(tenant_id: TenantId, after: int) -> Callable[[Connection], tuple[tuple[int, str] | None, list[AuditRecord]]]:
    return lambda conn: (repository.head(conn, tenant_id), repository.page(conn, tenant_id, after, _PAGE))


def _compare(checkpoint: Checkpoint | None, chain: str, problems: list[str]) -> None:
    if checkpoint is not None and checkpoint.chain != chain:
        problems.append(f"record {checkpoint.seq} is not what the signed checkpoint of {checkpoint.at:%Y-%m-%d %H:%M:%S} UTC saw")


async def take_checkpoint(db: Database, checkpoints: Checkpoints, now: datetime, known: dict[str, int]) -> None:
    """Signs the head of every tenant that has moved since `known`, which is updated."""
    heads = await db.read(repository.heads)
    moved = {tenant: head for tenant, head in heads.items() if known.get(tenant) != head[0]}
    await checkpoints.add([Checkpoint(tenant_id=tenant, seq=seq, chain=chain, at=now) for tenant, (seq, chain) in moved.items()])
    known.update({tenant: seq for tenant, (seq, _) in moved.items()})

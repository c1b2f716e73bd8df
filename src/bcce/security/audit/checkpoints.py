"""Signed heads of the audit chain, kept in a second place: who rewrites the database has to rewrite this file too, and cannot sign it."""

import asyncio
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bcce.kit.clock import format_time, parse_time
from bcce.kit.text import canonical_json
from bcce.security.crypto import Signer, Verifier


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """At `at` the chain of `tenant_id` had the link `chain` at number `seq`."""

    tenant_id: str
    seq: int
    chain: str
    at: datetime

    def payload(self) -> bytes:
        """What is signed."""
        return canonical_json({"tenant": self.tenant_id, "seq": self.seq, "chain": self.chain, "at": format_time(self.at)})


class Checkpoints:
    """An append-only file of signed checkpoints, one JSON object a line, mode 0600."""

    def __init__(self, path: Path, signer: Signer, verifier: Verifier) -> None:
        self._path = path
        self._signer = signer
        self._verifier = verifier

    async def add(self, checkpoints: list[Checkpoint]) -> None:
        """Appends and syncs; does file I/O in a thread."""
        lines = [
            json.dumps(
                {
                    "tenant": item.tenant_id,
                    "seq": item.seq,
                    "chain": item.chain,
                    "at": format_time(item.at),
                    "key": self._signer.key_id,
                    "signature": self._signer.sign(item.payload()).hex(),
                }
            )
            for item in checkpoints
        ]
        if lines:
            await asyncio.to_thread(self._write, "".join(f"{line}\n" for line in lines))

    def _write(self, text: str) -> None:
        handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "a") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())

    async def read(self) -> tuple[list[Checkpoint], list[str]]:
        """The genuine checkpoints in file order, and a sentence about each line that is not; empty when there is no file."""
        text = await asyncio.to_thread(lambda: self._path.read_text() if self._path.exists() else "")
        good: list[Checkpoint] = []
        problems: list[str] = []
        for number, line in enumerate(text.splitlines(), 1):
            try:
                raw = json.loads(line)
                item = Checkpoint(tenant_id=raw["tenant"], seq=int(raw["seq"]), chain=raw["chain"], at=parse_time(raw["at"]))
                is_genuine = self._verifier.verify(raw["key"], item.payload(), bytes.fromhex(raw["signature"]))
            except (ValueError, KeyError, TypeError):
                is_genuine = False
            if is_genuine:
                good.append(item)
            else:
                problems.append(f"checkpoint file, line {number}: the signature is not ours")
        return good, problems

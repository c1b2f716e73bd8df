"""The monitor: polls the patient and posts webhooks as Alertmanager (version 4) does, until they are taken.

It knows nothing of BCCE but an address and a token. Run as `python -m bcce.demo.monitor SETTINGS_FILE`.
"""

import asyncio
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bcce.kit.clock import Clock, SystemClock, format_time

_POLL_S = 0.25
_FAILURES_TO_FIRE = 2
_REPEAT_S = 5.0
_NEVER = "0001-01-01T00:00:00Z"


@dataclass(kw_only=True)
class Check:
    """One health page and the alert that it leads to. `started_at` is None while all is well."""

    path: str
    name: str
    summary: str
    severity: str
    failures: int = 0
    started_at: str | None = None
    last_sent: float = 0.0
    pending: list[bytes] = field(default_factory=list)


class Monitor:
    """Polls, and posts what changed; a body that is not taken is sent again, in order."""

    def __init__(self, settings: dict[str, Any], clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._checks = [
            Check(path="/health", name="PatientDown", summary="the patient does not answer", severity="critical"),
            Check(path="/health/cache", name="PatientCacheFull", summary="the patient's cache is full", severity="warning"),
        ]

    async def run(self) -> None:
        """For ever."""
        headers = {"Authorization": f"Bearer {self._settings['token']}", "Content-Type": "application/json"}
        async with httpx.AsyncClient(timeout=2.0, trust_env=False) as client:
            while True:
                alive = await self._is_well(client, "/health")
                for check in self._checks:
                    # A dead service tells nothing about its cache.
                    if check.path == "/health" or alive:
                        self._judge(check, is_well=alive if check.path == "/health" else await self._is_well(client, check.path))
                    await self._post(client, check, headers)
                await self._clock.sleep(_POLL_S)

    async def _is_well(self, client: httpx.AsyncClient, path: str) -> bool:
        try:
            response = await client.get(f"http://127.0.0.1:{self._settings['port']}{path}")
        except httpx.HTTPError:
            return False
        return response.status_code == 200

    def _judge(self, check: Check, *, is_well: bool) -> None:
        check.failures = 0 if is_well else check.failures + 1
        now = self._clock.monotonic()
        if check.failures >= _FAILURES_TO_FIRE and check.started_at is None:
            check.started_at = format_time(self._clock.now())
            self._queue(check, "firing", now)
        elif check.started_at is not None and is_well:
            self._queue(check, "resolved", now)
            check.started_at = None
        elif check.started_at is not None and now - check.last_sent >= _REPEAT_S:
            self._queue(check, "firing", now)

    def _queue(self, check: Check, status: str, now: float) -> None:
        check.last_sent = now
        check.pending.append(json.dumps(self._body(check, status)).encode())

    def _body(self, check: Check, status: str) -> dict[str, Any]:
        port = str(self._settings["port"])
        labels = {
            "alertname": check.name,
            "service": "patient",
            "instance": f"127.0.0.1:{port}",
            "port": port,
            "control_dir": self._settings["control_dir"],
            "severity": check.severity,
        }
        annotations = {"summary": check.summary}
        ends_at = format_time(self._clock.now()) if status == "resolved" else _NEVER
        alert = {
            "status": status,
            "labels": labels,
            "annotations": annotations,
            "startsAt": check.started_at,
            "endsAt": ends_at,
            "generatorURL": f"http://127.0.0.1:{port}{check.path}",
            "fingerprint": f"{abs(hash(check.name)) % 16**16:016x}",
        }
        return {
            "version": "4",
            "groupKey": f'{{}}:{{alertname="{check.name}"}}',
            "truncatedAlerts": 0,
            "status": status,
            "receiver": "bcce",
            "groupLabels": {"alertname": check.name},
            "commonLabels": labels,
            "commonAnnotations": annotations,
            "externalURL": "http://127.0.0.1",
            "alerts": [alert],
        }

    async def _post(self, client: httpx.AsyncClient, check: Check, headers: dict[str, str]) -> None:
        while check.pending:
            try:
                response = await client.post(self._settings["webhook"], content=check.pending[0], headers=headers)
            except httpx.HTTPError:
                return  # not taken: the same body goes again at the next turn
            if response.status_code >= 500 or response.status_code == 429:
                return
            check.pending.pop(0)


def main(argv: list[str]) -> None:
    """Reads the settings file and runs."""
    settings = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    asyncio.run(Monitor(settings, SystemClock()).run())


if __name__ == "__main__":
    main(sys.argv[1:])

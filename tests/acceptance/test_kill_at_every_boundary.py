"""The server is killed at every journal boundary of the pipeline and started again: the incident ends verified, the script ran once."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.crash_server import REACHED, serve

#: Servers are forked from a process that has only imported the program, which saves each of them that second.
SERVERS = multiprocessing.get_context("forkserver")
SERVERS.set_forkserver_preload(["tests.acceptance.crash_server"])

ROUNDS = int(os.environ.get("BCCE_SOAK_ROUNDS", "1"))
#: More than the pipeline has; what lies behind its end is not reached, and such a run must simply end well.
BOUNDARIES = range(1, 91)
TIMEOUT_S = 60.0

SOP = """---
title: Make it well
alerts: [TargetDown]
target: local
parameters:
  FOLDER: {{from: labels.folder, pattern: "/[A-Za-z0-9_./-]{{1,300}}"}}
verify:
  resolved: true
  timeout: 60
---
# Make it well

```bash script
set -eu
echo started >> "$FOLDER/effects"
sleep 0.1
touch -- "$FOLDER/well"
```
"""


class Stage:
    """A home, the server in it, and the world around it, which outlives the server."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)
        self.world = folder / "world"
        self.world.mkdir()
        self.process: ForkServerProcess | None = None
        self.source: str | None = None
        self.log = folder / "server.log"
        self.http = httpx.Client(trust_env=False, timeout=5.0)
        self.started_at = datetime.now(UTC).isoformat()

    def start(self, boundary: int) -> None:
        (self.home / "server.json").unlink(missing_ok=True)
        self.process = SERVERS.Process(target=serve, args=(self.home, boundary, self.log))
        self.process.start()

    def keep_alive(self) -> None:
        """Starts the server again, without a boundary, if it was killed."""
        assert self.process is not None
        if self.process.exitcode is not None:
            assert self.process.exitcode == -signal.SIGKILL, self.log.read_text()[-3000:]
            self.start(0)

    def call(self, method: str, path: str, token: str | None = None, **options: Any) -> Any:
        """The JSON of a request; None when the server is not there or cannot answer now."""
        try:
            url = json.loads((self.home / "server.json").read_text())["url"]
            bearer = token or (self.home / "admin.token").read_text().strip()
            response = self.http.request(method, f"{url}{path}", headers={"Authorization": f"Bearer {bearer}"}, **options)
        except (OSError, ValueError, httpx.HTTPError):
            return None
        return response.json() if response.status_code < 400 else None

    def until(self, step: Any) -> Any:
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            self.keep_alive()
            found = step()
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"nothing more happened; the log:\n{self.log.read_text()[-6000:]}")

    def webhook(self, status: str) -> Any:
        ends = datetime.now(UTC).isoformat() if status == "resolved" else "0001-01-01T00:00:00Z"
        labels = {"alertname": "TargetDown", "folder": str(self.world)}
        alert = {"status": status, "labels": labels, "annotations": {}, "startsAt": self.started_at, "endsAt": ends, "generatorURL": ""}
        if self.source is None:  # nobody agrees to the repair of an alert that they have sent
            made = self.call("POST", "/api/v1/tokens", json={"provider": "alertmanager", "source": "test"})
            self.source = made and made["token"]
        body = {"version": "4", "status": status, "alerts": [alert]}
        return self.source and self.call("POST", "/api/v1/webhooks/alertmanager/test", self.source, json=body)

    def incident(self) -> Any:
        page = self.call("GET", "/api/v1/incidents")
        return self.call("GET", f"/api/v1/incidents/{page['items'][0]['id']}") if page and page["items"] else None

    def approve(self) -> bool:
        """True once the approval is given, whoever's request got through."""
        view = self.incident()
        if not view or not view["approvals"]:
            return bool(view) and view["state"] in ("escalated", "closed")
        asked = view["approvals"][-1]
        if asked["state"] == "pending":
            self.call("POST", f"/api/v1/incidents/{view['id']}/approve", json={"digest": asked["digest"], "comment": "test"})
        return bool(asked["state"] == "approved")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.join()
        self.http.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path)
    yield made
    made.stop()


def repair(stage: Stage, boundary: int) -> dict[str, Any]:
    """One incident from its webhook to its end, with a kill just before `boundary`."""
    stage.start(boundary)
    stage.until(lambda: stage.call("PUT", "/api/v1/documents", json={"text": SOP.format(), "origin": "well.md"}))
    stage.until(lambda: stage.webhook("firing"))
    stage.until(stage.approve)
    stage.until(lambda: (stage.world / "well").exists())
    stage.until(lambda: stage.webhook("resolved"))
    view: dict[str, Any] = stage.until(lambda: ended(stage))
    return view


def ended(stage: Stage) -> Any:
    """The incident once it and its run are over."""
    view = stage.incident()
    return view if view and view["state"] in ("closed", "escalated") and view["run"]["state"] != "active" else None


def check(stage: Stage, view: dict[str, Any]) -> None:
    assert (view["state"], view["run"]["state"], view["ticket"]["state"]) == ("closed", "completed", "closed"), view["timeline"]
    assert (stage.world / "effects").read_text() == "started\n"
    audit = stage.until(lambda: stage.call("GET", "/api/v1/audit"))
    assert (audit["ok"], audit["problems"]) == (True, [])
    assert len(stage.until(lambda: stage.call("GET", "/api/v1/incidents"))["items"]) == 1


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_kill_before_this_boundary_loses_and_doubles_nothing(stage: Stage, boundary: int) -> None:
    check(stage, repair(stage, boundary))


def test_without_a_kill_the_same_story_ends_the_same_way(stage: Stage) -> None:
    """A pipeline without waiting has about 74 boundaries; those behind the last commit are only reached when it has to poll longer."""
    check(stage, repair(stage, 0))


@pytest.mark.soak
@pytest.mark.skipif(ROUNDS < 2, reason="make soak sets BCCE_SOAK_ROUNDS")
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("number", range(2, ROUNDS + 1))
def test_again(stage: Stage, number: int, boundary: int) -> None:
    check(stage, repair(stage, boundary))


def test_the_kill_really_happens(stage: Stage) -> None:
    """Guards this file itself: a boundary that is never reached would test nothing."""
    repair(stage, 5)

    assert (stage.home / REACHED).read_text() == "5"

"""The demonstration's two scenes, played through public interfaces only: the server, the HTTP API, and the patient itself."""

import asyncio
import json
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import httpx

from bcce.demo.patient import CACHE_FULL_FILE, PID_FILE
from bcce.demo.processes import DemoFailed, Processes, free_port
from bcce.kit.clock import Clock

DEMO_USER = "demo-oncall"
_OVER = ("closed", "escalated")


class Screen(Protocol):
    """Where the story is shown, and who is asked."""

    def scene(self, title: str) -> None:
        """A new scene begins."""
        ...

    def say(self, text: str) -> None:
        """One sentence of the story."""
        ...

    def happened(self, entry: Mapping[str, Any]) -> None:
        """One entry of an incident's timeline."""
        ...

    async def agrees(self, asked: Mapping[str, Any]) -> bool:
        """Whether the person agrees to what is asked."""
        ...

    def summary(self, view: Mapping[str, Any]) -> None:
        """What became of an incident."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """How the story ended. `is_healthy` was read from the patient, `is_guarded` from the second incident and the target's job folder."""

    is_healthy: bool
    is_guarded: bool
    is_audit_ok: bool
    url: str
    home: Path
    pids: tuple[int, ...]

    @property
    def is_success(self) -> bool:
        """Everything that the demonstration promises has happened."""
        return self.is_healthy and self.is_guarded and self.is_audit_ok


class Story:
    """Plays the demonstration in `folder`, which is empty and private. Whoever plays it closes it."""

    def __init__(self, *, folder: Path, screen: Screen, clock: Clock, timeout_s: float) -> None:
        self._folder = folder
        self._home = folder / "home"
        self._control = folder / "patient"
        self._screen = screen
        self._clock = clock
        self._timeout_s = timeout_s
        self._processes = Processes(folder)
        self._port = free_port()
        self._http = httpx.AsyncClient(trust_env=False, timeout=10.0)
        self._url = ""
        self._approver = ""

    async def play(self) -> Outcome:
        """Both scenes.

        Raises:
            DemoFailed: it could not go on.
        """
        try:
            return await self._scenes()
        except httpx.HTTPError as error:
            raise DemoFailed(f"the server does not answer any more: {type(error).__name__}") from error

    async def close(self, *, stays: bool) -> None:
        """Ends every process, unless they are to stay."""
        await self._http.aclose()
        if stays:
            self._processes.let_go()
        else:
            await self._processes.stop_all()

    async def _scenes(self) -> Outcome:
        await self._set_the_stage()
        first = await self._scene_repair()
        is_healthy = first["state"] == "closed" and await self._answers("/health")
        is_guarded = False
        if is_healthy:
            second = await self._scene_guard()
            is_guarded = second["state"] == "escalated" and not second["dispatches"]
        else:
            self._screen.say("the patient was not repaired, and a dead one cannot fill its cache: there is no second scene")
        audit = await self._get("/api/v1/audit")
        self._screen.say(
            f"audit log: {audit['records']} records, {'every link holds' if audit['ok'] else 'BROKEN: ' + '; '.join(audit['problems'])}"
        )
        pids = tuple(process.pid for process in self._processes.running.values())
        return Outcome(
            is_healthy=is_healthy, is_guarded=is_guarded, is_audit_ok=bool(audit["ok"]), url=self._url, home=self._home, pids=pids
        )

    async def _set_the_stage(self) -> None:
        self._screen.scene("The stage")
        self._home.mkdir(mode=0o700)
        environ = {"BCCE_HOME": str(self._home), "BCCE_REMEDIATION__ENABLED": "true", "BCCE_REMEDIATION__VERIFY_INTERVAL_S": "0.3"}
        await self._processes.start("server", ("bcce", "serve", "--port", "0"), environ)
        announced = self._home / "server.json"
        await self._until("the server to listen", lambda: _exists(announced), "server")
        found = json.loads(announced.read_text(encoding="utf-8"))
        self._url = found["url"]
        admin = (await asyncio.to_thread(Path(found["token"]).read_text, "ascii")).strip()
        self._http.headers["Authorization"] = f"Bearer {admin}"
        await self._until("the server to be ready", self._is_ready, "server")
        self._screen.say(f"BCCE listens on {self._url}; its database is one file in a temporary folder")
        await self._load_sop("restart-patient.md")
        await self._load_sop("clear-cache-tampered.md")
        self._approver = (await self._post("/api/v1/tokens", {"name": DEMO_USER, "role": "approver", "owner": DEMO_USER}))["token"]
        source = (await self._post("/api/v1/tokens", {"provider": "alertmanager", "source": "demo"}))["token"]
        await self._processes.start("patient", ("bcce.demo.patient", "supervise", str(self._control), str(self._port)))
        await self._until("the patient to answer", lambda: self._answers("/health"), "patient")
        self._screen.say(f"the patient answers on http://127.0.0.1:{self._port}/health")
        settings = {
            "port": self._port,
            "control_dir": str(self._control),
            "webhook": f"{self._url}/api/v1/webhooks/alertmanager/demo",
            "token": source,
        }
        path = self._folder / "monitor.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(settings), encoding="utf-8")
        await self._processes.start("monitor", ("bcce.demo.monitor", str(path)))
        self._screen.say("a monitor polls it; it alone sends webhooks")

    async def _scene_repair(self) -> dict[str, Any]:
        self._screen.scene("Scene one: the patient dies")
        pid = int((self._control / PID_FILE).read_text(encoding="ascii"))
        os.kill(pid, signal.SIGKILL)
        self._screen.say(f"killed process {pid}; now everybody waits for the monitor")
        return await self._follow("PatientDown")

    async def _scene_guard(self) -> dict[str, Any]:
        self._screen.scene("Scene two: the SOP was tampered with")
        (self._control / CACHE_FULL_FILE).touch()
        self._screen.say("the patient's cache is full; somebody made the SOP for that load code from the network and run it")
        return await self._follow("PatientCacheFull")

    async def _follow(self, alert: str) -> dict[str, Any]:
        """Shows the alert's incident as it goes, answers what it asks, and returns it when it is over."""
        incident_id = ""
        shown = 0
        is_answered = False
        deadline = self._clock.monotonic() + self._timeout_s
        while self._clock.monotonic() < deadline:
            self._processes.check("server")
            if not incident_id:
                incident_id = await self._incident_of(alert)
            if incident_id:
                view = await self._get(f"/api/v1/incidents/{incident_id}")
                for entry in view["timeline"][shown:]:
                    self._screen.happened(entry)
                shown = len(view["timeline"])
                asked = next((item for item in view["approvals"] if item["state"] == "pending"), None)
                if asked is not None and not is_answered:
                    is_answered = True
                    await self._answer(incident_id, asked)
                    deadline = self._clock.monotonic() + self._timeout_s
                # The workflow's last steps follow the incident's last state.
                if view["state"] in _OVER and view.get("run", {}).get("state") != "active":
                    self._screen.summary(view)
                    return dict(view)
            await self._clock.sleep(0.1)
        raise DemoFailed(f"nothing more happened with {alert} for {self._timeout_s:g} seconds")

    async def _answer(self, incident_id: str, asked: Mapping[str, Any]) -> None:
        decision = "approve" if await self._screen.agrees(asked) else "reject"
        body = {"digest": asked["digest"], "comment": "seen in the demonstration"}
        headers = {"Authorization": f"Bearer {self._approver}"}
        await self._post(f"/api/v1/incidents/{incident_id}/{decision}", body, headers=headers)

    async def _incident_of(self, alert: str) -> str:
        for item in (await self._get("/api/v1/incidents"))["items"]:
            view = await self._get(f"/api/v1/incidents/{item['id']}")
            if any(member["name"] == alert for member in view["alerts"]):
                return str(item["id"])
        return ""

    async def _load_sop(self, name: str) -> None:
        text = files("bcce.demo").joinpath("sops", name).read_text(encoding="utf-8")
        await self._put("/api/v1/documents", {"text": text, "origin": name})

    async def _answers(self, path: str) -> bool:
        try:
            return (await self._http.get(f"http://127.0.0.1:{self._port}{path}", headers={"Authorization": ""})).status_code == 200
        except httpx.HTTPError:
            return False

    async def _is_ready(self) -> bool:
        try:
            return (await self._http.get(f"{self._url}/health/ready")).status_code == 200
        except httpx.HTTPError:
            return False

    async def _get(self, path: str) -> dict[str, Any]:
        return _checked(await self._http.get(f"{self._url}{path}"))

    async def _post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        return _checked(await self._http.post(f"{self._url}{path}", json=body, headers=dict(headers or {})))

    async def _put(self, path: str, body: Any) -> dict[str, Any]:
        return _checked(await self._http.put(f"{self._url}{path}", json=body))

    async def _until(self, what: str, holds: Callable[[], Awaitable[bool]], process: str) -> None:
        deadline = self._clock.monotonic() + self._timeout_s
        while not await holds():
            self._processes.check(process)
            if self._clock.monotonic() > deadline:
                raise DemoFailed(f"waited {self._timeout_s:g} seconds for {what}")
            await self._clock.sleep(0.05)


async def _exists(path: Path) -> bool:
    return await asyncio.to_thread(path.exists)


def _checked(response: httpx.Response) -> dict[str, Any]:
    if response.status_code >= 400:
        raise DemoFailed(
            f"{response.request.method} {response.request.url.path} was answered {response.status_code}: {response.text[:500]}"
        )
    body: dict[str, Any] = response.json()
    return body

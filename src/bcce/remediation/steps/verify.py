"""`incident.verify`: whether the repair truly helped, seen at the service and at the source monitor."""

from datetime import timedelta
from typing import cast

import httpx
from pydantic import BaseModel

from bcce.alerts.model import AlertStatus
from bcce.alerts.repository import get_alerts
from bcce.execution.model import HttpCheck, Verification
from bcce.incidents import repository as incidents
from bcce.kit.clock import Clock
from bcce.kit.ids import IncidentId
from bcce.kit.text import clean
from bcce.plugins import Services
from bcce.remediation.plans import load_plan
from bcce.remediation.settings import RemediationSettings
from bcce.remediation.steps.params import RepairParams
from bcce.storage.doors import Database
from bcce.workflows.model import Effect, completed
from bcce.workflows.step_type import Done, Park, StepContext, StepOutcome

_PROBE_TIMEOUT_S = 5.0
_BODY_BYTES = 64 * 1024


class HealthProbe:
    """Looks at a health page once. Redirects are not followed: the page that was approved is the page that is read."""

    async def look(self, check: HttpCheck) -> tuple[bool, str]:
        """Whether the page answers as expected, and one sentence about what it said; never raises for an unhealthy page."""
        try:
            async with (
                httpx.AsyncClient(timeout=_PROBE_TIMEOUT_S, follow_redirects=False, trust_env=False) as client,
                client.stream("GET", check.url) as response,
            ):
                body = b""
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) >= _BODY_BYTES:
                        break
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return False, f"{check.url} does not answer ({type(error).__name__})"
        text = clean(body.decode("utf-8", "replace"), limit=200)
        if response.status_code != check.expect_status:
            return False, f"{check.url} answers {response.status_code}, expected {check.expect_status}"
        if check.contains is not None and check.contains.encode() not in body:
            return False, f"{check.url} answers {response.status_code} but not with {check.contains!r}: {text!r}"
        return True, f"{check.url} answers {response.status_code}"


class VerifyStep:
    """Polls until health page and source monitor agree, or the time is up. Output: `{verified, evidence, healthy, resolved}`."""

    name = "incident.verify"
    effect = Effect.PURE
    params: type[BaseModel] = RepairParams

    def __init__(self, db: Database, clock: Clock, settings: RemediationSettings, probe: HealthProbe) -> None:
        self._db = db
        self._clock = clock
        self._settings = settings
        self._probe = probe

    @classmethod
    def build(cls, services: Services) -> "VerifyStep":
        """Wires the step."""
        return cls(services.get(Database), services.get(Clock), services.get(RemediationSettings), HealthProbe())  # type: ignore[type-abstract]  # Protocols are the keys

    async def run(self, context: StepContext, params: BaseModel) -> StepOutcome:
        """One look; waits for the next one while there is time."""
        given = cast(RepairParams, params)
        incident_id = IncidentId(given.incident)
        plan, _ = await self._db.read(lambda conn: load_plan(conn, context.tenant_id, given.plan))
        wanted = plan.verification or Verification(resolved=False, timeout_s=0)
        is_healthy, said = (True, "no health page is named") if wanted.http is None else await self._probe.look(wanted.http)
        alerts = await self._db.read(lambda conn: get_alerts(conn, context.tenant_id, incidents.alert_ids(conn, incident_id)))
        firing = [alert.name for alert in alerts if alert.status is AlertStatus.FIRING]
        is_resolved = not firing
        monitor = (
            "the source monitor says resolved" if is_resolved else f"the source monitor still reports {', '.join(sorted(set(firing)))}"
        )
        has_evidence = wanted.http is not None or wanted.resolved
        is_verified = has_evidence and is_healthy and (is_resolved or not wanted.resolved)
        left = context.started_at + timedelta(seconds=wanted.timeout_s) - self._clock.now()
        if not is_verified and has_evidence and left > timedelta(0):
            return Park(
                waiting_for=f"{said}; {monitor}",
                kind="event",
                name=f"verify:{incident_id}",
                wake_after=min(left, timedelta(seconds=self._settings.verify_interval_s)),
            )
        evidence = f"{said}; {monitor}" if has_evidence else "the SOP names nothing to verify by"
        return Done(result=completed({"verified": is_verified, "evidence": evidence, "healthy": is_healthy, "resolved": is_resolved}))

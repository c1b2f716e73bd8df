"""Signs clearances, opens signed ones, and decides whether one admits a start. No I/O; holds no keys."""

from datetime import datetime

from bcce.execution.errors import ClearanceRefused
from bcce.execution.model.clearance import MAX_TIMEOUT_S, MAX_VALIDITY_S, Clearance, SignedClearance
from bcce.execution.model.job import check_key
from bcce.execution.model.plan import Script
from bcce.kit.text import digest
from bcce.security.crypto import Signer, Verifier

__all__ = ["Signer", "Verifier", "admit", "open_clearance", "sign_clearance"]


def sign_clearance(signer: Signer, clearance: Clearance) -> SignedClearance:
    """`clearance` under the signer's key."""
    payload = clearance.payload()
    return SignedClearance(payload=payload, signature=signer.sign(payload), key_id=signer.key_id)


def open_clearance(verifier: Verifier, signed: SignedClearance) -> Clearance:
    """What was signed. The signature is checked before anything in it is read.

    Raises:
        ClearanceRefused: a key that is not known, another signature, or no clearance in canonical form.
    """
    if not verifier.verify(signed.key_id, signed.payload, signed.signature):
        raise ClearanceRefused("the clearance is not signed by a key that this executor trusts")
    return Clearance.from_payload(signed.payload)


def admit(verifier: Verifier, now: datetime, *, executor: str, key: str, signed: SignedClearance, script: Script) -> Clearance:
    """The clearance, if it permits this executor to start exactly this script under `key` now. Every executor's `start` begins with it.

    Args:
        now: the executor's time, UTC.
        executor: the executor's own name.

    Raises:
        ClearanceRefused: it does not; the message says which of the conditions failed.
        InvalidDispatchKey: `key` cannot name a job.
    """
    check_key(key)
    clearance = open_clearance(verifier, signed)
    _check_time(clearance, now)
    if clearance.timeout_s is not None and not 1 <= clearance.timeout_s <= MAX_TIMEOUT_S:
        raise ClearanceRefused(f"the clearance sets a time limit that is not between 1 and {MAX_TIMEOUT_S} seconds")
    if clearance.target.executor != executor:
        raise ClearanceRefused(f"the clearance is for the executor {clearance.target.executor!r}, not for {executor!r}")
    if clearance.shell is not script.shell:
        raise ClearanceRefused(f"the clearance is for {clearance.shell}, not for {script.shell}")
    facts = (
        ("dispatch key", clearance.dispatch_key, key),
        ("target", clearance.target_digest, clearance.target.digest),
        ("script", clearance.script_digest, digest(script.data)),
        ("parameters", clearance.parameters_digest, script.parameters_digest),
    )
    for name, cleared, given in facts:
        if cleared != given:
            raise ClearanceRefused(f"the clearance is for another {name}", details={"cleared": cleared, "given": given})
    return clearance


def _check_time(clearance: Clearance, now: datetime) -> None:
    if not 0 < (clearance.expires_at - clearance.issued_at).total_seconds() <= MAX_VALIDITY_S:
        raise ClearanceRefused(f"the clearance is not valid for a time between 0 and {MAX_VALIDITY_S} seconds")
    if now < clearance.issued_at:
        raise ClearanceRefused("the clearance is not valid yet")
    if now >= clearance.expires_at:
        raise ClearanceRefused("the clearance has expired")

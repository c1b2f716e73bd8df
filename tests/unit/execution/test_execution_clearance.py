"""Clearances: one canonical form, and a signature over all of it."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from bcce.execution.errors import ClearanceRefused, InvalidDispatchKey
from bcce.execution.model import MAX_TIMEOUT_S, MAX_VALIDITY_S, Clearance, Script, Target
from bcce.execution.signing import admit, open_clearance, sign_clearance
from bcce.kit.ids import DEFAULT_TENANT, ApprovalId, ClearanceId, RunId
from bcce.kit.text import canonical_json
from bcce.security.crypto import Ed25519Signer

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
SIGNER = Ed25519Signer(bytes(32))
SCRIPT = Script(text="echo repaired", parameters={"SERVICE": "checkout"})
TARGET = Target(name="here", executor="local", base_dir="/var/lib/jobs")
CLEARANCE = Clearance(
    id=ClearanceId("clr_1"),
    dispatch_key="dsp_1",
    tenant_id=DEFAULT_TENANT,
    run_id=RunId("run_1"),
    epoch=2,
    target=TARGET,
    target_digest=TARGET.digest,
    script_digest=SCRIPT.digest,
    parameters_digest=SCRIPT.parameters_digest,
    approval_digest="sha256:aa",
    approval_ids=(ApprovalId("apr_1"), ApprovalId("apr_2")),
    validator_version="bash/1",
    issued_at=NOW,
    expires_at=NOW + timedelta(seconds=60),
    timeout_s=300,
)


def admitted(
    clearance: Clearance, *, now: datetime = NOW, key: str = "dsp_1", script: Script = SCRIPT, executor: str = "local"
) -> Clearance:
    """What `admit` says to a clearance with a good signature."""
    return admit(SIGNER.verifier(), now, executor=executor, key=key, signed=sign_clearance(SIGNER, clearance), script=script)


@pytest.mark.parametrize("clearance", [CLEARANCE, replace(CLEARANCE, timeout_s=None, approval_ids=())])
def test_a_clearance_survives_signing_and_opening(clearance: Clearance) -> None:
    assert open_clearance(SIGNER.verifier(), sign_clearance(SIGNER, clearance)) == clearance


def test_the_payload_is_canonical_json_that_names_its_format() -> None:
    payload = CLEARANCE.payload()
    values = json.loads(payload)
    assert canonical_json(values) == payload
    assert (values["format"], values["issued_at"], values["target"]) == (
        "bcce.clearance/1",
        "2026-01-02T03:04:05.678901Z",
        TARGET.to_dict(),
    )
    assert set(values) == {item.name for item in fields(Clearance)} | {"format"}


def test_the_same_moment_in_another_time_zone_is_the_same_payload() -> None:
    zone = timezone(timedelta(hours=5))
    moved = replace(CLEARANCE, issued_at=NOW.astimezone(zone), expires_at=CLEARANCE.expires_at.astimezone(zone))
    assert moved.payload() == CLEARANCE.payload()


def test_a_time_without_a_zone_cannot_be_signed() -> None:
    with pytest.raises(ValueError, match="time zone"):
        sign_clearance(SIGNER, replace(CLEARANCE, issued_at=NOW.replace(tzinfo=None)))


def spoiled(change: Callable[[dict[str, object]], object]) -> bytes:
    """A payload with something else in it."""
    values = json.loads(CLEARANCE.payload())
    change(values)
    return canonical_json(values)


PAYLOADS = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "another format": spoiled(lambda values: values.update(format="bcce.clearance/2")),
    "a field too much": spoiled(lambda values: values.update(more=1)),
    "a field too few": spoiled(lambda values: values.pop("epoch")),
    "a number as text": spoiled(lambda values: values.update(epoch="2")),
    "an unknown shell": spoiled(lambda values: values.update({"shell": "fish"})),
    "a time that is none": spoiled(lambda values: values.update(issued_at="yesterday")),
    "a time without a zone": spoiled(lambda values: values.update(issued_at="2026-01-02T03:04:05")),
    "a time in another form": spoiled(lambda values: values.update(issued_at="2026-01-02T03:04:05.678901+00:00")),
    "spaces": CLEARANCE.payload().replace(b'":', b'": '),
    "a doubled key": CLEARANCE.payload().replace(b'{"approval_digest"', b'{"approval_digest":"sha256:bb","approval_digest"', 1),
}


@pytest.mark.parametrize("name", sorted(PAYLOADS))
def test_a_signed_payload_that_is_no_clearance_in_canonical_form_is_refused(name: str) -> None:
    payload = PAYLOADS[name]
    signed = replace(sign_clearance(SIGNER, CLEARANCE), payload=payload, signature=SIGNER.sign(payload))
    with pytest.raises(ClearanceRefused) as caught:
        open_clearance(SIGNER.verifier(), signed)
    assert (caught.value.code, caught.value.status) == ("clearance-refused", 403)


def test_every_bit_of_payload_and_signature_counts() -> None:
    signed = sign_clearance(SIGNER, CLEARANCE)
    for position in range(0, len(signed.payload), 7):
        changed = bytearray(signed.payload)
        changed[position] ^= 1
        with pytest.raises(ClearanceRefused):
            open_clearance(SIGNER.verifier(), replace(signed, payload=bytes(changed)))
    for position in range(len(signed.signature)):
        changed = bytearray(signed.signature)
        changed[position] ^= 1
        with pytest.raises(ClearanceRefused):
            open_clearance(SIGNER.verifier(), replace(signed, signature=bytes(changed)))


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ClearanceRefused, match="trusts"):
        open_clearance(Ed25519Signer(bytes(range(32))).verifier(), sign_clearance(SIGNER, CLEARANCE))


def test_what_was_cleared_is_admitted() -> None:
    assert admitted(CLEARANCE) == CLEARANCE


@pytest.mark.parametrize("after_s", [0, 0.000001, 30, 59.999999])
def test_a_clearance_is_valid_from_its_issue_until_before_its_end(after_s: float) -> None:
    assert admitted(CLEARANCE, now=NOW + timedelta(seconds=after_s)) == CLEARANCE


@pytest.mark.parametrize(("after_s", "said"), [(-0.000001, "not valid yet"), (60, "has expired"), (3600, "has expired")])
def test_outside_its_time_it_is_refused(after_s: float, said: str) -> None:
    with pytest.raises(ClearanceRefused, match=said):
        admitted(CLEARANCE, now=NOW + timedelta(seconds=after_s))


@pytest.mark.parametrize("seconds", [-1, 0, MAX_VALIDITY_S + 0.000001, 3600])
def test_a_validity_that_no_gate_gives_is_refused(seconds: float) -> None:
    with pytest.raises(ClearanceRefused, match="not valid for a time between"):
        admitted(replace(CLEARANCE, expires_at=NOW + timedelta(seconds=seconds)))


@pytest.mark.parametrize("timeout_s", [-1, 0, MAX_TIMEOUT_S + 1])
def test_a_time_limit_out_of_range_is_refused(timeout_s: int) -> None:
    with pytest.raises(ClearanceRefused, match="time limit"):
        admitted(replace(CLEARANCE, timeout_s=timeout_s))


@pytest.mark.parametrize("timeout_s", [None, 1, MAX_TIMEOUT_S])
def test_a_time_limit_in_range_is_admitted(timeout_s: int | None) -> None:
    assert admitted(replace(CLEARANCE, timeout_s=timeout_s)).timeout_s == timeout_s


def test_each_mismatch_is_named() -> None:
    other = Target(name="there", executor="local", base_dir="/var/lib/jobs")
    with pytest.raises(ClearanceRefused, match="another dispatch key"):
        admitted(CLEARANCE, key="dsp_2")
    with pytest.raises(ClearanceRefused, match="another target"):
        admitted(replace(CLEARANCE, target=other))
    with pytest.raises(ClearanceRefused, match="another script"):
        admitted(CLEARANCE, script=replace(SCRIPT, text="echo other"))
    with pytest.raises(ClearanceRefused, match="another parameters"):
        admitted(CLEARANCE, script=replace(SCRIPT, parameters={}))
    with pytest.raises(ClearanceRefused, match="for the executor 'local', not for 'ssh'"):
        admitted(CLEARANCE, executor="ssh")
    with pytest.raises(InvalidDispatchKey):
        admitted(replace(CLEARANCE, dispatch_key="../x"), key="../x")

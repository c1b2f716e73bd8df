"""Keys, ciphers, signatures and signed checkpoints, on real files."""

import multiprocessing
import stat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.security.audit import Checkpoint, Checkpoints
from bcce.security.crypto import ColumnCipher, Ed25519Signer, Ed25519Verifier, StateKeys, mac
from bcce.security.errors import BrokenCiphertext, UnsafeKeyFile

KEY = bytes(range(32))
SEEN = Checkpoint(tenant_id="default", seq=7, chain="ab" * 32, at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


@given(data=st.binary(max_size=200), context=st.binary(max_size=20), other=st.binary(max_size=20))
def test_what_is_encrypted_comes_back_in_its_own_context_only(data: bytes, context: bytes, other: bytes) -> None:
    cipher = ColumnCipher(KEY)
    sealed = cipher.encrypt(data, context=context)

    assert cipher.decrypt(sealed, context=context) == data
    if other != context:
        with pytest.raises(BrokenCiphertext):
            cipher.decrypt(sealed, context=other)


@given(data=st.binary(max_size=50), place=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_ciphertext_with_one_bit_changed_does_not_decrypt(data: bytes, place: int, bit: int) -> None:
    cipher = ColumnCipher(KEY)
    sealed = bytearray(cipher.encrypt(data, context=b"t.c"))
    sealed[place % len(sealed)] ^= 1 << bit

    with pytest.raises(BrokenCiphertext):
        cipher.decrypt(bytes(sealed), context=b"t.c")


@pytest.mark.parametrize("length", range(32))
def test_a_ciphertext_that_was_cut_off_does_not_decrypt(length: int) -> None:
    cipher = ColumnCipher(KEY)

    with pytest.raises(BrokenCiphertext):
        cipher.decrypt(cipher.encrypt(b"", context=b"")[:length], context=b"")


def test_the_same_value_is_never_encrypted_alike_and_another_key_says_so() -> None:
    cipher = ColumnCipher(KEY)
    sealed = cipher.encrypt(b"secret", context=b"")

    assert sealed != cipher.encrypt(b"secret", context=b"")
    with pytest.raises(BrokenCiphertext, match="a key that is not here"):
        ColumnCipher(KEY[::-1]).decrypt(sealed, context=b"")


@given(payload=st.binary(max_size=100), other=st.binary(max_size=100))
def test_a_signature_is_of_one_payload_and_one_key(payload: bytes, other: bytes) -> None:
    signer, stranger = Ed25519Signer(KEY), Ed25519Signer(KEY[::-1])
    signature = signer.sign(payload)

    assert signer.verifier().verify(signer.key_id, payload, signature)
    assert signer.verifier().verify(signer.key_id, other, signature) == (other == payload)
    assert not signer.verifier().verify(stranger.key_id, payload, stranger.sign(payload))
    assert not signer.verifier().verify(signer.key_id, payload, b"")
    assert Ed25519Verifier([signer.public_key, stranger.public_key]).verify(stranger.key_id, payload, stranger.sign(payload))


def test_the_signature_is_the_one_of_the_standard() -> None:
    """RFC 8032, section 7.1, test 1."""
    signer = Ed25519Signer(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))

    assert signer.public_key.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert signer.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a")


def test_the_mac_is_the_one_of_the_standard() -> None:
    """RFC 4231, test case 2."""
    assert mac(b"Jefe", b"what do ya want for nothing?") == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    home = tmp_path / "keys"
    first, second = StateKeys.load_or_create(home), StateKeys.load_or_create(home)

    assert (first.audit, first.signer.key_id) == (second.audit, second.signer.key_id)
    assert second.cipher.decrypt(first.cipher.encrypt(b"x", context=b"c"), context=b"c") == b"x"
    assert len({first.audit, (home / "column.key").read_bytes(), (home / "signing.key").read_bytes()}) == 3
    assert sorted(path.name for path in home.iterdir()) == ["audit.key", "column.key", "signing.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.iterdir()} == {0o600}
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


@pytest.mark.parametrize("text", ["", "xyz", "00" * 31, "00" * 33])
def test_a_damaged_key_is_refused_and_never_replaced(tmp_path: Path, text: str) -> None:
    StateKeys.load_or_create(tmp_path)
    (tmp_path / "audit.key").write_text(text)

    with pytest.raises(UnsafeKeyFile, match="holds no key"):
        StateKeys.load_or_create(tmp_path)
    assert (tmp_path / "audit.key").read_text() == text


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    StateKeys.load_or_create(tmp_path)
    (tmp_path / "signing.key").chmod(0o640)

    with pytest.raises(UnsafeKeyFile, match="can be read by others") as caught:
        StateKeys.load_or_create(tmp_path)
    assert caught.value.hint == f"chmod 600 {tmp_path / 'signing.key'}"


def _key_id(home: Path) -> str:
    return StateKeys.load_or_create(home).signer.key_id


def test_processes_that_start_together_agree_on_the_keys(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        assert len(set(pool.map(_key_id, [tmp_path / "keys"] * 12, chunksize=1))) == 1


async def test_checkpoints_come_back_in_order_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    signer, path = Ed25519Signer(KEY), tmp_path / "checkpoints.jsonl"
    file = Checkpoints(path, signer, signer.verifier())

    assert await file.read() == ([], [])
    await file.add([])
    assert not path.exists()
    await file.add([SEEN])
    await file.add([replace(SEEN, seq=8), replace(SEEN, tenant_id="other")])

    assert await file.read() == ([SEEN, replace(SEEN, seq=8), replace(SEEN, tenant_id="other")], [])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"seq": 7', '"seq": 8'),
        ("ab", "cd"),
        ("default", "another"),
        ("2026", "2025"),
        ('"key": "', '"key": "0'),
        ('"signature"', '"sign"'),
        ("{", "["),
        ("7", "{}"),
    ],
)
async def test_a_checkpoint_that_was_changed_is_named_and_the_others_still_count(tmp_path: Path, old: str, new: str) -> None:
    signer, path = Ed25519Signer(KEY), tmp_path / "checkpoints.jsonl"
    file = Checkpoints(path, signer, signer.verifier())
    await file.add([SEEN, replace(SEEN, seq=9)])
    first, second = path.read_text().splitlines()
    path.write_text(f"{first.replace(old, new)}\n{second}\n")

    assert await file.read() == ([replace(SEEN, seq=9)], ["checkpoint file, line 1: the signature is not ours"])

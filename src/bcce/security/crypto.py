"""The keys of one installation and what is done with them: MACs, encrypted columns, signatures."""

import hashlib
import hmac
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bcce.security.errors import BrokenCiphertext, UnsafeKeyFile

_KEY_BYTES = 32
_NONCE_BYTES = 12
_AAD = b"bcce-column-v1"


class Signer(Protocol):
    """Holds a private key."""

    key_id: str

    def sign(self, payload: bytes) -> bytes:
        """The signature of `payload`."""
        ...


class Verifier(Protocol):
    """Holds public keys only."""

    def verify(self, key_id: str, payload: bytes, signature: bytes) -> bool:
        """Whether the key called `key_id` signed exactly `payload`; False for a key that is not known."""
        ...


class Ed25519Signer:
    """Signs with Ed25519 (RFC 8032). `key_id` is the first 16 hex digits of the public key's SHA-256."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public_key = self._key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.key_id = hashlib.sha256(self.public_key).hexdigest()[:16]

    def sign(self, payload: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(payload)

    def verifier(self) -> "Ed25519Verifier":
        """A verifier that knows this key."""
        return Ed25519Verifier([self.public_key])


class Ed25519Verifier:
    """Checks Ed25519 signatures against the public keys that it was given."""

    def __init__(self, public_keys: list[bytes]) -> None:
        self._keys = {hashlib.sha256(key).hexdigest()[:16]: Ed25519PublicKey.from_public_bytes(key) for key in public_keys}

    def verify(self, key_id: str, payload: bytes, signature: bytes) -> bool:
        """Never raises for a bad signature."""
        key = self._keys.get(key_id)
        if key is None:
            return False
        try:
            key.verify(signature, payload)
        except InvalidSignature:
            return False
        return True


class ColumnCipher:
    """AES-256-GCM with a random 96-bit nonce; the ciphertext is key id, nonce, sealed text."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._key_id = hashlib.sha256(b"id" + key).digest()[:4]

    def encrypt(self, data: bytes, *, context: bytes) -> bytes:
        """Different on every call; bound to `context`, without which it does not decrypt."""
        nonce = os.urandom(_NONCE_BYTES)
        return self._key_id + nonce + self._aead.encrypt(nonce, data, _AAD + self._key_id + context)

    def decrypt(self, data: bytes, *, context: bytes) -> bytes:
        """The plaintext.

        Raises:
            BrokenCiphertext: another key or context made it, or it was changed.
        """
        key_id, nonce, sealed = data[:4], data[4 : 4 + _NONCE_BYTES], data[4 + _NONCE_BYTES :]
        if key_id != self._key_id:
            raise BrokenCiphertext("the value was encrypted with a key that is not here")
        try:
            return self._aead.decrypt(nonce, sealed, _AAD + key_id + context)
        except (InvalidTag, ValueError) as error:
            raise BrokenCiphertext("the encrypted value was changed") from error


@dataclass(frozen=True, kw_only=True, slots=True)
class StateKeys:
    """The keys of one installation. Whoever can read them can forge what they protect."""

    audit: bytes
    cipher: ColumnCipher
    signer: Ed25519Signer
    created: tuple[Path, ...] = ()

    @classmethod
    def load_or_create(cls, directory: Path) -> "StateKeys":
        """The keys in `directory`, made at the first start; does file I/O. `created` are the files that were made now.

        Raises:
            UnsafeKeyFile: a key file can be read by others, or is damaged.
        """
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        paths = [directory / f"{name}.key" for name in ("audit", "column", "signing")]
        (audit, _), (column, _), (signing, _) = found = [_load_or_create(path) for path in paths]
        created = tuple(path for path, (_, is_new) in zip(paths, found, strict=True) if is_new)
        return cls(audit=audit, cipher=ColumnCipher(column), signer=Ed25519Signer(signing), created=created)


def _load_or_create(path: Path) -> tuple[bytes, bool]:
    """The key, and whether it was made now and by this process."""
    if path.exists():
        return _load(path), False
    key = os.urandom(_KEY_BYTES)
    # Written elsewhere and linked into place: neither a crash nor another process starting now leaves or sees half a key.
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        path.hardlink_to(part)
    except FileExistsError:
        return _load(path), False
    finally:
        part.unlink()
    return key, True


def _load(path: Path) -> bytes:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UnsafeKeyFile(f"{path} can be read by others", hint=f"chmod 600 {path}")
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise UnsafeKeyFile(f"{path} holds no key", hint="restore it from a backup; deleting it makes what it protected unreadable")
    return key


def mac(key: bytes, message: bytes) -> str:
    """HMAC-SHA-256 in hex."""
    return hmac.new(key, message, hashlib.sha256).hexdigest()

"""What can go wrong with keys and tokens."""

from bcce.kit.errors import BcceError, Conflict, NotFound


class UnsafeKeyFile(BcceError):
    """A key file can be read by others."""

    code = "unsafe-key-file"


class LostKeys(BcceError):
    """The database was written with keys that are not here."""

    code = "lost-keys"


class BrokenCiphertext(BcceError):
    """An encrypted value was changed, or its key is not here."""

    code = "broken-ciphertext"


class SecretUnavailable(Conflict):
    """A secret or a variable that is needed has no value on this server."""

    code = "secret-unavailable"


class UnknownToken(NotFound):
    """There is no such token."""

    code = "unknown-token"


class LastAdminToken(Conflict):
    """Without this token nobody could administer BCCE any more."""

    code = "last-admin-token"

"""Named secrets, and the variables of the server's environment that workflows may use: read at the moment they are needed."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bcce.kit.redact import Secret
from bcce.kit.references import Part, SealedText
from bcce.security.errors import SecretUnavailable

_MAX_BYTES = 64 * 1024
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class SecretOrigin:
    """Where a secret is: in a file, or in a variable of the server's environment. One of the two is None."""

    file: Path | None
    variable: str | None

    @classmethod
    def parse(cls, text: str) -> "SecretOrigin":
        """The place that `file:/path` or `env:VARIABLE` names.

        Raises:
            ValueError: it names none; the message does not repeat it, since it may be the secret itself.
        """
        kind, _, rest = text.partition(":")
        if kind == "file" and Path(rest).is_absolute():
            return cls(Path(rest), None)
        if kind == "env" and _VARIABLE.fullmatch(rest):
            return cls(None, rest)
        raise ValueError("a secret is named by its place: file:/absolute/path or env:VARIABLE")


class SecretStore:
    """Gives values for references. What it has given once it masks from then on, also when the secret was changed meanwhile.

    Args:
        secrets: where each secret is, by name.
        variables: the names of variables that may be used.
        environ: the server's environment.
        read_input: the value of a secret input by the id of its run and its name, or the references that it was given instead, None if
            there is neither; None: there are no such inputs.
    """

    def __init__(
        self,
        secrets: Mapping[str, SecretOrigin],
        variables: Iterable[str],
        environ: Callable[[], Mapping[str, str]],
        read_input: Callable[[str, str], Awaitable[str | SealedText | None]] | None = None,
    ) -> None:
        self._secrets = dict(secrets)
        self._environ = environ
        self._read_input = read_input
        self._given: dict[Part, set[Secret]] = {}
        self.secret_names = frozenset(secrets)
        self.variable_names = frozenset(variables)

    async def fill(self, text: SealedText) -> Secret:
        """The text with its values; reads files.

        Raises:
            SecretUnavailable: a reference has no value now, or none that may be used.
        """
        return text.filled({part: await self._value(part) for part in text.references})

    async def masks(self, texts: Iterable[SealedText]) -> tuple[Secret, ...]:
        """Everything that must not be seen of `texts` where something may have repeated it: their values, now and before, and their lines.

        Raises:
            SecretUnavailable: a value cannot be read, so nobody can tell what to mask.
        """
        found: set[Secret] = set()
        for part in await self._behind(texts):
            found |= {await self._value(part), *self._given.get(part, ())}
        lines = {Secret(line.strip()) for secret in found for line in secret.reveal().splitlines() if line.strip()}
        return tuple(found | lines)

    async def _behind(self, texts: Iterable[SealedText]) -> set[Part]:
        """The references in `texts`, and those that stand behind them: a secret input may have been given references."""
        found: set[Part] = set()
        ahead = [part for text in texts for part in text.references]
        while ahead:
            part = ahead.pop()
            if part not in found:
                found.add(part)
                given = await self._given_to(part) if part.kind == "input" else None
                ahead += given.references if isinstance(given, SealedText) else ()
        return found

    async def _value(self, part: Part) -> Secret:
        value = await self._read(part)
        if not value:
            raise SecretUnavailable(f"the {part.kind} {part.value!r} is empty or not set on this server")
        secret = Secret(value)
        self._given.setdefault(part, set()).add(secret)
        return secret

    async def _read(self, part: Part) -> str:
        if part.kind == "variable":
            return self._environ().get(part.value, "") if part.value in self.variable_names else self._unknown(part, "workflows.variables")
        if part.kind == "input":
            given = await self._given_to(part)
            # A run is given references only to what was there before it, so this comes to an end.
            return (await self.fill(given)).reveal() if isinstance(given, SealedText) else given or ""
        origin = self._secrets.get(part.value)
        if origin is None:
            return self._unknown(part, "workflows.secrets")
        if origin.variable is not None:
            return self._environ().get(origin.variable, "")
        return await asyncio.to_thread(_read_file, part.value, origin.file or Path())

    async def _given_to(self, part: Part) -> str | SealedText | None:
        run_id, _, name = part.value.partition("/")
        return await self._read_input(run_id, name) if self._read_input is not None else None

    def _unknown(self, part: Part, setting: str) -> str:
        raise SecretUnavailable(f"there is no {part.kind} {part.value[:80]!r}", hint=f"add it to {setting}")


def _read_file(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SecretUnavailable(f"the secret {name!r} cannot be read from its file: {reason}") from error
    if len(data) > _MAX_BYTES:
        raise SecretUnavailable(f"the file of the secret {name!r} is larger than {_MAX_BYTES} bytes")
    # Editors end a file with a line feed that belongs to no secret.
    return text.removesuffix("\n").removesuffix("\r")

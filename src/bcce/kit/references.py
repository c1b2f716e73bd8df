"""Texts with places in them for values that nobody may see: what is kept, compared and shown is the name, never the value. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from bcce.kit.redact import Secret

Kind: TypeAlias = Literal["text", "secret", "variable", "input"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A piece of a text: itself, or the name of a secret, of a variable of the server's environment, or of a secret input (`run/input`)."""

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True}

    kind: Kind
    value: str

    def __str__(self) -> str:
        return self.value if self.kind == "text" else f"{self.kind}:{self.value}"


@dataclass(frozen=True, kw_only=True, slots=True)
class SealedText:
    """A text whose references are filled in only where it is used.

    Nothing makes one out of a text that looks like one: only the literal text of a workflow's file holds references.
    """

    __pydantic_config__: ClassVar[dict[str, object]] = {"extra": "forbid", "strict": True}

    parts: tuple[Part, ...]

    def __str__(self) -> str:
        """For people: `Bearer secret:token`."""
        return "".join(map(str, self.parts))

    @property
    def references(self) -> tuple[Part, ...]:
        """The parts that are filled in, each once."""
        return tuple(dict.fromkeys(part for part in self.parts if part.kind != "text"))

    def filled(self, values: Mapping[Part, Secret]) -> Secret:
        """The text itself; `values` has every reference."""
        return Secret("".join(part.value if part.kind == "text" else values[part].reveal() for part in self.parts))

    @classmethod
    def from_dict(cls, stored: Mapping[str, object]) -> "SealedText":
        """What `to_dict` gave; only for what was stored as a sealed text.

        Raises:
            ValueError: `to_dict` gave something else.
        """
        parts = stored.get("parts")
        if not isinstance(parts, list):
            raise ValueError("this is no sealed text")
        return cls(parts=tuple(Part(kind=part["kind"], value=part["value"]) for part in parts))

    def to_dict(self) -> dict[str, object]:
        """The text as JSON values, by which two are told apart even if they read the same."""
        return {"parts": [{"kind": part.kind, "value": part.value} for part in self.parts]}

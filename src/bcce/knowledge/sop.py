"""An SOP as data: what its front matter may say, and the script that goes with it. Pure.

The Pydantic models are the specification of the front matter; `docs/knowledge.md` says the same for the people who write SOPs.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic.alias_generators import to_camel

from bcce.kit.variables import is_variable_name
from bcce.knowledge.errors import InvalidParameter
from bcce.knowledge.names import normalize_name
from bcce.knowledge.patterns import MAX_COST, check_pattern, match_cost
from bcce.workflows.durations import parse_duration_s

#: Shells that an SOP's script may be written in.
SHELLS = ("bash",)
MAX_VALUE_CHARS = 4096

_REFERENCE = re.compile(r"\{([^{}]*)\}")
_SOURCE = re.compile(r"host|service|(labels|annotations)\.[^\s\x00-\x1f]{1,200}")

ParameterName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
AlertName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class _Front(BaseModel):
    """What all parts of the front matter have in common: frozen, no unknown keys, camelCase and snake_case are the same."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class SopParameter(_Front):
    """One environment variable of the script: a fixed `value`, or one that the alert brings and `pattern` must match as a whole."""

    source: str | None = Field(
        default=None, alias="from", description="Where the value comes from: labels.<name>, annotations.<name>, host or service."
    )
    value: str | None = Field(default=None, max_length=MAX_VALUE_CHARS, description="A fixed value, instead of `from`.")
    pattern: str | None = Field(
        default=None, max_length=500, description="Regular expression that the whole value must match; needed with `from`."
    )
    max_length: int = Field(default=256, ge=1, le=MAX_VALUE_CHARS, description="Characters that the value may have.")
    required: bool = Field(default=True, description="Without the value the SOP cannot be used; false leaves the variable unset.")
    default: str | None = Field(default=None, max_length=MAX_VALUE_CHARS, description="The value when the alert brings none.")

    @field_validator("source")
    @classmethod
    def _known_source(cls, source: str | None) -> str | None:
        if source is not None and not _SOURCE.fullmatch(source):
            raise ValueError("`from` is labels.<name>, annotations.<name>, host or service")
        return source

    @field_validator("pattern")
    @classmethod
    def _usable_pattern(cls, pattern: str | None) -> str | None:
        return None if pattern is None else check_pattern(pattern)

    @model_validator(mode="after")
    def _consistent(self) -> "SopParameter":
        if (self.source is None) == (self.value is None):
            raise ValueError("a parameter needs either `from` (the alert brings it) or `value` (it is fixed)")
        if self.source is not None and self.pattern is None:
            raise ValueError("a parameter that an alert brings needs a `pattern` that its whole value must match")
        if self.pattern is not None and match_cost(self.pattern, self.max_length) > MAX_COST:
            raise ValueError(
                "a hostile value could keep this `pattern` busy for ever: repeat no group that repeats inside, write one class such as "
                "[a-z0-9.-]{1,253}, or lower `maxLength`"
            )
        if self.source is None and (self.pattern is not None or self.default is not None):
            raise ValueError("`pattern` and `default` belong to a parameter with `from`; a fixed `value` needs neither")
        if self.default is not None and not self.accepts(self.default):
            raise ValueError("the `default` does not match the parameter's own pattern and maximal length")
        return self

    def accepts(self, value: str) -> bool:
        """Whether `value` has the form that the SOP asks for; its length is looked at before the pattern."""
        if len(value) > self.max_length or "\x00" in value or any("\ud800" <= char <= "\udfff" for char in value):
            return False
        return self.pattern is None or re.fullmatch(self.pattern, value) is not None

    @property
    def is_always_set(self) -> bool:
        """The script can rely on the variable."""
        return self.required or self.default is not None


class HttpVerification(_Front):
    """A page that shows whether the repair helped. `{NAME}` in `url` stands for a parameter's value."""

    url: str = Field(max_length=2000, description="http or https address; may hold {NAME} of a parameter, nothing else in braces.")
    expect_status: int = Field(default=200, ge=100, le=599, description="The HTTP status of a healthy answer.")
    contains: str | None = Field(default=None, min_length=1, max_length=1000, description="Text that a healthy answer holds; null for any.")

    @field_validator("url")
    @classmethod
    def _usable_url(cls, url: str) -> str:
        plain = _REFERENCE.sub("1", url)
        if "{" in plain or "}" in plain:
            raise ValueError("braces in a url only stand for a parameter, as in {PORT}")
        _check_url(plain)
        return url

    @property
    def references(self) -> tuple[str, ...]:
        """The parameters that the address names, in order."""
        return tuple(_REFERENCE.findall(self.url))

    def filled(self, parameters: Mapping[str, str]) -> str:
        """The address with validated parameters in it, each escaped so that it stays one part of the address.

        Raises:
            KeyError: a parameter is missing; reading the SOP has made sure that none can be.
            InvalidParameter: the result is no address, say because a port is no number.
        """
        url = _REFERENCE.sub(lambda found: quote(parameters[found[1]], safe=""), self.url)
        try:
            _check_url(url)
        except ValueError as error:
            raise InvalidParameter(
                f"the parameters make no address of {self.url!r}: {error}", hint="narrow the `pattern` of the parameters that it names"
            ) from error
        return url


class SopVerification(_Front):
    """How to see that the repair helped; all that is given must hold within `timeout`."""

    http: HttpVerification | None = Field(default=None, description="A page to ask; null for none.")
    resolved: bool = Field(default=True, description="Wait until the source monitor says that the alert is over.")
    timeout_s: float = Field(
        default=300.0, alias="timeout", ge=1, le=86400, description="How long to wait, such as 90s or 5m; a bare number is seconds."
    )

    @field_validator("timeout_s", mode="before")
    @classmethod
    def _duration(cls, value: object) -> float:
        return parse_duration_s(value)

    @model_validator(mode="after")
    def _proves_something(self) -> "SopVerification":
        if self.http is None and not self.resolved:
            raise ValueError("nothing would verify the repair: keep `resolved: true` or add `http`")
        return self


class SopFront(_Front):
    """The front matter of an SOP."""

    title: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)] = Field(
        description="What the SOP does, in a few words."
    )
    alerts: tuple[AlertName, ...] = Field(
        min_length=1, max_length=100, description="Names of the alerts that it repairs; case and punctuation do not count."
    )
    shell: Literal["bash"] = Field(default="bash", description="The shell that the scripts are written for.")
    target: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")] = Field(
        description="Name of the target in the configuration."
    )
    parameters: dict[ParameterName, SopParameter] = Field(
        default_factory=dict, max_length=50, description="Environment variables of the scripts."
    )
    verify: SopVerification = Field(default_factory=SopVerification, description="How to see that the repair helped.")

    @field_validator("alerts")
    @classmethod
    def _comparable(cls, alerts: tuple[str, ...]) -> tuple[str, ...]:
        for name in alerts:
            if not normalize_name(name):
                raise ValueError(f"the alert name {name!r} holds no letter or digit")
        return alerts


class Sop(SopFront):
    """A whole SOP. `script` and `undo` are the exact text between their fences; `undo` is None when there is no way back."""

    script: str
    undo: str | None = None
    body: str = Field(description="The Markdown below the front matter, as written.")


def cross_problems(front: SopFront) -> Iterator[tuple[tuple[str, ...], str]]:
    """What is wrong between parts of the front matter, each with the place in it."""
    for name in front.parameters:
        if not is_variable_name(name):
            yield ("parameters", name), f"{name!r} steers the shell or the system; give the parameter another name, such as APP_{name}"
    if front.verify.http is None:
        return
    for name in front.verify.http.references:
        parameter = front.parameters.get(name)
        if parameter is None:
            yield ("verify", "http", "url"), f"the url names {{{name}}}, but there is no parameter {name!r}"
        elif not parameter.is_always_set:
            yield (
                ("verify", "http", "url"),
                f"the url names {{{name}}}, which may be unset: make the parameter required or give it a default",
            )


def _check_url(url: str) -> None:
    if any(char.isspace() or ord(char) < 32 for char in url):
        raise ValueError("a url has no spaces")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a url begins with http:// or https:// and a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a url holds no user name or password")
    if parts.port == 0:
        raise ValueError("a port is a number from 1 to 65535")

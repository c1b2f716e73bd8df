"""What an alert brings for an SOP's parameters. Pure.

The values are hostile: they only ever become environment variables, and only when their whole text matches what the SOP asks for.
"""

from collections.abc import Mapping
from typing import Protocol

from bcce.kit.redact import mask_text
from bcce.kit.text import clean
from bcce.knowledge.errors import InvalidParameter
from bcce.knowledge.sop import MAX_VALUE_CHARS, Sop, SopParameter

#: Characters of a refused value that an error shows.
_SHOWN_CHARS = 60


class ParameterSource(Protocol):
    """The part of an alert that parameters are taken from."""

    @property
    def labels(self) -> Mapping[str, str]:
        """The alert's labels."""
        ...

    @property
    def annotations(self) -> Mapping[str, str]:
        """The alert's annotations."""
        ...

    @property
    def host(self) -> str | None:
        """The host that the alert is about; None when it names none."""
        ...

    @property
    def service(self) -> str | None:
        """The service that the alert is about; None when it names none."""
        ...


def parameters_for(sop: Sop, alert: ParameterSource) -> dict[str, str]:
    """The environment variables of the SOP's scripts for this alert; an optional one without a value is left out.

    Raises:
        InvalidParameter: the alert lacks a required value, or brings one of the wrong form; names the parameter.
    """
    values = {name: _value(name, parameter, alert) for name, parameter in sop.parameters.items()}
    return {name: value for name, value in values.items() if value is not None}


def _value(name: str, parameter: SopParameter, alert: ParameterSource) -> str | None:
    if parameter.source is None:
        return parameter.value
    value = _look_up(parameter.source, alert)
    if not value:
        # An empty label counts as a missing one, as in Prometheus.
        if parameter.default is None and parameter.required:
            raise InvalidParameter(
                f"the alert brings no {parameter.source!r} for the parameter {name!r}",
                hint="add it to the alert's rule, or give the parameter a `default`",
                details={"parameter": name, "from": parameter.source},
            )
        return parameter.default
    if not parameter.accepts(value):
        shown = clean(mask_text(value[:MAX_VALUE_CHARS]), limit=_SHOWN_CHARS)
        raise InvalidParameter(
            f"the alert's {parameter.source!r} does not have the form that the parameter {name!r} asks for: {shown!r}",
            hint=f"the whole value must match {parameter.pattern!r} and have at most {parameter.max_length} characters",
            details={"parameter": name, "from": parameter.source, "pattern": parameter.pattern, "length": len(value)},
        )
    return value


def _look_up(source: str, alert: ParameterSource) -> str | None:
    """The value at `source`; only the first dot separates, because label names may hold dots themselves."""
    root, _, key = source.partition(".")
    if root == "labels":
        return alert.labels.get(key)
    if root == "annotations":
        return alert.annotations.get(key)
    return alert.host if root == "host" else alert.service

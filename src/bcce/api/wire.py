"""Values as JSON with the API's names: camelCase keys, times in RFC 3339, no secret."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic.alias_generators import to_camel

from bcce.kit.clock import format_time
from bcce.kit.redact import Secret


def wire(value: Any) -> Any:
    """`value` as JSON; dataclasses become objects, keys that come from data stay as they are.

    Raises:
        TypeError: a Secret, or something that has no JSON form: both are bugs of the caller.
    """
    if isinstance(value, StrEnum):
        return str(value)
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, datetime):
        return format_time(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Secret):
        raise TypeError("a secret has no wire form")
    if is_dataclass(value) and not isinstance(value, type):
        return {to_camel(item.name): wire(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): wire(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [wire(item) for item in value]
    raise TypeError(f"{type(value).__name__} has no wire form")

"""Small immutable values of which many are made each second."""

from dataclasses import dataclass
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def value(cls: type[T]) -> type[T]:
    """A dataclass with slots and keyword arguments that nobody changes: the type checker sees to it, and no code at run time.

    `frozen=True` sets each field by way of `object`, which makes an instance of ten fields cost three times as much. Such a value cannot
    be hashed.
    """
    return dataclass(kw_only=True, slots=True)(cls)

"""How BCCE is extended: typed registries over entry points. Every built-in comes through the same door."""

from bcce.plugins.errors import BrokenPlugin, MissingService, UnknownPlugin
from bcce.plugins.registry import Registry
from bcce.plugins.services import Buildable, Services

__all__ = ["BrokenPlugin", "Buildable", "MissingService", "Registry", "Services", "UnknownPlugin"]

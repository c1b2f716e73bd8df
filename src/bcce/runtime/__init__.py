"""The composition root: settings of every domain, migrations, and the one place where everything is wired."""

from bcce.runtime.runtime import Runtime, open_runtime
from bcce.runtime.settings import Settings

__all__ = ["Runtime", "Settings", "open_runtime"]

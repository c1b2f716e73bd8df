"""What can go wrong with a plugin."""

from bcce.kit.errors import BcceError, NotFound


class UnknownPlugin(NotFound):
    """No plugin of that name is installed."""

    code = "unknown-plugin"


class BrokenPlugin(BcceError):
    """An installed plugin cannot be used."""

    code = "broken-plugin"


class MissingService(BcceError):
    """A plugin asks for a service that is not offered."""

    code = "missing-service"

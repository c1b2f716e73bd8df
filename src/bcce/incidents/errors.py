"""What can go wrong with an incident.

NotFound
└── UnknownIncident
Conflict
├── IllegalTransition       its state does not allow the move
└── IncidentChanged         somebody else was faster
"""

from bcce.kit.errors import Conflict, NotFound


class UnknownIncident(NotFound):
    """There is no such incident."""

    code = "unknown-incident"


class IllegalTransition(Conflict):
    """An incident in this state cannot go to that one."""

    code = "illegal-transition"


class IncidentChanged(Conflict):
    """The incident was changed since it was read."""

    code = "incident-changed"

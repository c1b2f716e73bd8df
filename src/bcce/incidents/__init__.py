"""Incidents: alerts that belong together, from the first one to the verified end."""

from bcce.incidents.errors import IllegalTransition, IncidentChanged, UnknownIncident
from bcce.incidents.model import EVENTS, OVER, TERMINAL, TRANSITIONS, Incident, IncidentState, TimelineEntry
from bcce.incidents.service import IncidentService

__all__ = [
    "EVENTS",
    "OVER",
    "TERMINAL",
    "TRANSITIONS",
    "IllegalTransition",
    "Incident",
    "IncidentChanged",
    "IncidentService",
    "IncidentState",
    "TimelineEntry",
    "UnknownIncident",
]

"""The one severity scale, and what monitors' own words mean on it. Pure."""

from collections.abc import Mapping

from bcce.kit.findings import Severity

#: What is assumed when a source does not say, or says a word that nobody knows: neither ignored nor allowed to wake everybody.
UNKNOWN = Severity.MEDIUM

#: Words that monitoring configurations use, in lower case.
SEVERITY_WORDS: Mapping[str, Severity] = {
    **dict.fromkeys(("critical", "crit", "fatal", "emergency", "emerg", "alert", "disaster", "page", "p1", "sev1"), Severity.CRITICAL),
    **dict.fromkeys(("high", "error", "err", "major", "p2", "sev2"), Severity.HIGH),
    **dict.fromkeys(("medium", "warning", "warn", "average", "moderate", "p3", "sev3"), Severity.MEDIUM),
    **dict.fromkeys(("low", "minor", "p4", "sev4"), Severity.LOW),
    **dict.fromkeys(("info", "information", "informational", "notice", "debug", "none", "ok", "p5", "sev5"), Severity.INFO),
}


def severity_of(word: str | None) -> Severity:
    """The severity that a source's word means; letter case and surrounding blanks do not count."""
    return SEVERITY_WORDS.get(word.strip().lower(), UNKNOWN) if word else UNKNOWN

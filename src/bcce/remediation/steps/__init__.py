"""The step types of the remediation story, one topic per file."""

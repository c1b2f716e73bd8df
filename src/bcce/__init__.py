"""BCCE: from a monitoring alert to a verified fix."""

"""The connectors that come with BCCE."""

"""Workflow files as they are registered: the texts that runs are made of."""

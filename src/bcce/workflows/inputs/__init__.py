"""What runs bring: checked against what the workflow asks for, and the secret ones kept apart."""

from bcce.workflows.inputs.model import complete_inputs, parted, secret_inputs

__all__ = ["complete_inputs", "parted", "secret_inputs"]

"""What runs bring: checked against what the workflow asks for, and the secret ones kept apart."""

from bcce.workflows.inputs.model import Hidden, complete_inputs, inputs_of_texts, misplaced, parted, secret_inputs

__all__ = ["Hidden", "complete_inputs", "inputs_of_texts", "misplaced", "parted", "secret_inputs"]

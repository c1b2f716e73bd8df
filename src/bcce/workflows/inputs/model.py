"""What a run brings, against what its workflow asks for. Pure."""

from collections.abc import Mapping
from typing import TypeAlias

from bcce.kit.errors import InvalidInput
from bcce.kit.redact import MASK
from bcce.kit.references import SealedText
from bcce.workflows.definition import INPUT_TYPES, WorkflowDefinition

#: What a secret input is given: a value, or references from the run that starts this one.
Hidden: TypeAlias = str | SealedText


def complete_inputs(definition: WorkflowDefinition, given: Mapping[str, object]) -> dict[str, object]:
    """The run's inputs with defaults filled in. Null is as good as nothing for an input that is null when a run does not bring it.

    Raises:
        InvalidInput: names the first input that is missing, unknown or of the wrong type, or that is given a reference and is no secret.
    """
    unknown = sorted(given.keys() - definition.inputs.keys())
    if unknown:
        raise InvalidInput(
            f"workflow {definition.name!r} has no input {unknown[0]!r}", hint=f"it takes: {', '.join(definition.inputs) or 'none'}"
        )
    inputs: dict[str, object] = {}
    for name, spec in definition.inputs.items():
        is_left_out = given.get(name) is None and not spec.required and spec.default is None
        if name not in given or is_left_out:
            if spec.required:
                raise InvalidInput(f"workflow {definition.name!r} needs the input {name!r}")
            inputs[name] = spec.default
            continue
        value = given[name]
        if isinstance(value, SealedText):
            if not spec.secret:
                raise misplaced(name, definition.name)
            inputs[name] = value
            continue
        if not isinstance(value, INPUT_TYPES[spec.type]) or (isinstance(value, bool) and spec.type != "boolean"):
            raise InvalidInput(f"input {name!r} of workflow {definition.name!r} must be a {spec.type}")
        inputs[name] = value
    return inputs


def misplaced(name: str, workflow: str) -> InvalidInput:
    """The error for an input that is given a reference and cannot take it."""
    return InvalidInput(
        f"input {name!r} of workflow {workflow!r} is given a secret or a variable, and is no secret",
        hint="an input that is `secret: true` takes references; `$${` stands for the characters `${`",
    )


def secret_inputs(definition: WorkflowDefinition, run_id: str) -> dict[str, str]:
    """The names of the secret inputs, and by what name each is found again."""
    return {name: f"{run_id}/{name}" for name, spec in definition.inputs.items() if spec.secret}


def parted(definition: WorkflowDefinition, inputs: Mapping[str, object]) -> tuple[dict[str, object], dict[str, Hidden]]:
    """What everybody may see of a run's inputs, and what the secret ones were given, which is kept apart."""
    hidden: dict[str, Hidden] = {}
    for name, spec in definition.inputs.items():
        value = inputs.get(name)
        if spec.secret and value is not None:
            hidden[name] = value if isinstance(value, SealedText) else str(value)
    return {name: MASK if name in hidden else value for name, value in inputs.items()}, hidden

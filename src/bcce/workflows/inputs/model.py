"""What a run brings, against what its workflow asks for. Pure."""

from collections.abc import Mapping

from bcce.kit.errors import InvalidInput
from bcce.kit.redact import MASK
from bcce.workflows.definition import INPUT_TYPES, WorkflowDefinition


def complete_inputs(definition: WorkflowDefinition, given: Mapping[str, object]) -> dict[str, object]:
    """The run's inputs with defaults filled in.

    Raises:
        InvalidInput: names the first input that is missing, unknown or of the wrong type.
    """
    unknown = sorted(given.keys() - definition.inputs.keys())
    if unknown:
        raise InvalidInput(
            f"workflow {definition.name!r} has no input {unknown[0]!r}", hint=f"it takes: {', '.join(definition.inputs) or 'none'}"
        )
    inputs: dict[str, object] = {}
    for name, spec in definition.inputs.items():
        if name not in given:
            if spec.required:
                raise InvalidInput(f"workflow {definition.name!r} needs the input {name!r}")
            inputs[name] = spec.default
            continue
        value = given[name]
        if not isinstance(value, INPUT_TYPES[spec.type]) or (isinstance(value, bool) and spec.type != "boolean"):
            raise InvalidInput(f"input {name!r} of workflow {definition.name!r} must be a {spec.type}")
        inputs[name] = value
    return inputs


def secret_inputs(definition: WorkflowDefinition, run_id: str) -> dict[str, str]:
    """The names of the secret inputs, and by what name each is found again."""
    return {name: f"{run_id}/{name}" for name, spec in definition.inputs.items() if spec.secret}


def parted(definition: WorkflowDefinition, inputs: Mapping[str, object]) -> tuple[dict[str, object], dict[str, str]]:
    """What everybody may see of a run's inputs, and the values of the secret ones, which are kept apart."""
    hidden = {name: str(inputs[name]) for name, spec in definition.inputs.items() if spec.secret and inputs.get(name) is not None}
    return {name: MASK if name in hidden else value for name, value in inputs.items()}, hidden

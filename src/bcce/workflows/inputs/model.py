"""What a run brings, against what its workflow asks for. Pure."""

import json
from collections.abc import Mapping
from typing import TypeAlias

from bcce.kit.errors import InvalidInput
from bcce.kit.redact import MASK
from bcce.kit.references import SealedText
from bcce.kit.text import clean
from bcce.workflows.definition import INPUT_TYPES, WorkflowDefinition

#: What a secret input is given: a value, or references from the run that starts this one.
Hidden: TypeAlias = str | SealedText

#: How a type is called in a sentence.
_NAMES = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "a boolean: true or false",
    "object": 'an object, such as {"host": "web1"}',
    "array": 'an array, such as ["web1", "web2"]',
}


def inputs_of_texts(definition: WorkflowDefinition, texts: Mapping[str, str]) -> dict[str, object]:
    """Inputs that were typed as texts: those of type `string` are the text as it is, all others are JSON.

    Raises:
        InvalidInput: names the first input that is unknown, or no JSON of its type; without its value, which may be secret.
    """
    found: dict[str, object] = {}
    for name, text in texts.items():
        spec = definition.inputs.get(name)
        if spec is None:
            raise _unknown(definition, name)
        if spec.type == "string":
            found[name] = text
            continue
        try:
            found[name] = json.loads(text, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise _wrong(definition, name) from error
    return found


def _refuse(constant: str) -> object:
    """Nothing: NaN and the infinities are no JSON, though Python reads them."""
    raise ValueError(constant)


def _unknown(definition: WorkflowDefinition, name: str) -> InvalidInput:
    takes = ", ".join(definition.inputs) or "none"
    return InvalidInput(f"workflow {definition.name!r} has no input {clean(name, limit=60)!r}", hint=f"it takes: {takes}")


def _wrong(definition: WorkflowDefinition, name: str) -> InvalidInput:
    return InvalidInput(f"input {name!r} of workflow {definition.name!r} must be {_NAMES[definition.inputs[name].type]}")


def complete_inputs(definition: WorkflowDefinition, given: Mapping[str, object]) -> dict[str, object]:
    """The run's inputs with defaults filled in. Null is as good as nothing for an input that is null when a run does not bring it.

    Raises:
        InvalidInput: names the first input that is missing, unknown or of the wrong type, or that is given a reference and is no secret.
    """
    unknown = sorted(given.keys() - definition.inputs.keys())
    if unknown:
        raise _unknown(definition, unknown[0])
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
            raise _wrong(definition, name)
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

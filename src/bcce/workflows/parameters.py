"""Parameters of a file against the model that takes them, as far as they are known before the run. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from bcce.config.document import Where
from bcce.workflows.form import nearest


def wrong_parameters(
    model: type[BaseModel], given: Mapping[str, object], what: str, *, also: Iterable[str] = (), takes_references: bool = False
) -> Iterator[tuple[Where, str, str]]:
    """What is wrong with the literal ones among `given`, as path, message and hint; those with expressions are checked only by name.

    `what` is the type that takes them, for the hint; `also` are keys that may stand beside them, which one may be a misspelling of.
    `takes_references`: a text with `${NAME}` is known only at the run, too.
    """
    known = [field.alias or name for name, field in model.model_fields.items()]
    marks = ("{{", "${") if takes_references else ("{{",)
    try:
        model.model_validate(dict(given))
    except ValidationError as error:
        wrong: dict[Where, list[str]] = {}
        for found in error.errors(include_url=False):
            is_about_name = found["type"] in ("missing", "extra_forbidden")
            if is_about_name or not _has_expression(found.get("input"), marks):
                # A union says of each of its kinds why it does not fit; they are one problem.
                where = found["loc"] if is_about_name else _standing(given, found["loc"])
                message = "there is no such parameter" if found["type"] == "extra_forbidden" else _sentence(found["msg"])
                wrong.setdefault(where, []).append(message)
        for where, messages in wrong.items():
            name = ".".join(str(part) for part in where)
            hint = f"{what} takes: {', '.join(known) or 'no parameters'}"
            if len(where) == 1 and name not in known:
                near = nearest(name, [*known, *also])
                hint = hint if near is None else f"did you mean {near!r}?"
            yield where, " or ".join(dict.fromkeys(f"{text[:1].lower()}{text[1:]}" for text in messages)), hint


def problems_of(error: ValidationError) -> str:
    """All that is wrong with values that a run made, in one line; the values themselves are not shown."""
    found = error.errors(include_input=False, include_url=False)
    return "; ".join(": ".join(filter(None, (".".join(map(str, item["loc"])), _sentence(item["msg"])))) for item in found)


def _sentence(message: str) -> str:
    """What Pydantic says of one value, without the words that it puts in front of what a check of ours says."""
    return message.removeprefix("Value error, ")


def _standing(value: Any, path: Where) -> Where:
    """As much of `path` as there is in `value`: the rest names the kinds of a union."""
    for at, part in enumerate(path):
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return path[:at]
    return path


def _has_expression(value: object, marks: tuple[str, ...]) -> bool:
    if isinstance(value, Mapping):
        return any(_has_expression(item, marks) for item in value.values())
    if isinstance(value, list | tuple):
        return any(_has_expression(item, marks) for item in value)
    return isinstance(value, str) and any(mark in value for mark in marks)

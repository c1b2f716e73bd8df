"""Any answer as a table, as lines, or as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from bcce.kit.errors import BcceError
from bcce.kit.text import clean

#: Columns that are folded keep at least this much, or as much as they need.
_MIN_WIDTH = 6
#: Wider than any table; a table is only as wide as its cells.
_UNFOLDED = 1_000_000
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def show_list(items: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, following: Any = None) -> None:
    """A table of `columns`, or the items as JSON with the cursor of the next page."""
    if as_json:
        click.echo(json.dumps({"items": list(items), "next": following}, indent=2, ensure_ascii=False))
        return
    if not items:
        click.echo("none")
        return
    from rich.console import Console  # noqa: PLC0415 - only tables need it
    from rich.table import Table  # noqa: PLC0415 - as above

    table = Table(box=None, pad_edge=False, header_style="bold")
    rows = [[_line(item.get(column)) for column in columns] for item in items]
    # Ids, and the first column, are what other commands want to be given: each is whole on one line, whatever becomes of the others.
    for index, column in enumerate(columns):
        if index == 0 or column == "id" or column.endswith("Id"):
            table.add_column(_title(column), no_wrap=True, min_width=max(len(row[index]) for row in rows))
        else:
            table.add_column(_title(column), overflow="fold", min_width=_MIN_WIDTH)
    for row in rows:
        table.add_row(*row)
    console = Console(markup=False)
    # Nothing is folded for a program; on a terminal that is too narrow the terminal breaks the lines, after the first column.
    if not console.is_terminal:
        console.width = _UNFOLDED
    console.print(table, crop=False)
    if following is not None:
        click.echo(f"more: --cursor {following}")


def show_item(item: Mapping[str, Any], *, as_json: bool, skip: Iterable[str] = ()) -> None:
    """One value a line, or JSON."""
    if as_json:
        click.echo(json.dumps(item, indent=2, ensure_ascii=False))
        return
    left = set(skip)
    shown = {key: value for key, value in item.items() if key not in left and value not in (None, "", [], {})}
    width = max((len(_title(key)) for key in shown), default=0)
    for key, value in shown.items():
        click.echo(f"{_title(key):<{width}}  {_cell(value)}")


def _title(key: str) -> str:
    return "".join(f" {char.lower()}" if char.isupper() else char for char in key)


def _line(value: Any) -> str:
    """The cell of a table: a newline in a value must not begin a row."""
    return " ".join(_cell(value).split("\n"))


def one_line(value: object, *, limit: int) -> str:
    """A text from outside, or a value as JSON, that can neither begin a line nor move the cursor."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return " ".join(clean(text, limit=limit).split())


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping | list):
        value = json.dumps(value, ensure_ascii=False)
    return clean(str(value), limit=2000)


def error_lines(error: BcceError) -> list[str]:
    """The one form of an error: the sentence with its code, then what to do."""
    return [f"error: {error.message}  [{error.code}]", *([f"hint: {error.hint}"] if error.hint else [])]


def show_error(error: BcceError) -> None:
    """Says on the error output what is wrong."""
    for line in error_lines(error):
        click.echo(line, err=True)

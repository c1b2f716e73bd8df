"""Any answer as a table, as lines, or as JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from bcce.kit.text import clean

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
    for column in columns:
        table.add_column(_title(column), overflow="fold")
    for item in items:
        table.add_row(*(_cell(item.get(column)) for column in columns))
    Console().print(table, markup=False)
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


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping | list):
        value = json.dumps(value, ensure_ascii=False)
    return clean(str(value), limit=2000)

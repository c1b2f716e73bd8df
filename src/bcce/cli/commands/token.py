"""`bcce token`."""

from typing import Any

import click

from bcce.cli.client import call, segment
from bcce.cli.output import json_option, show_item, show_list


@click.group()
def group() -> None:
    """Make, list and revoke tokens."""


@group.command()
@click.option("--name", help="What the token is for.")
@click.option("--role", type=click.Choice(["viewer", "responder", "approver", "admin"]), help="What it may do.")
@click.option(
    "--owner", help="Whose it is, the same in all tokens of one person; who asked for a script with one cannot approve it with another."
)
@click.option("--provider", help="For a webhook: whose bodies it sends, such as alertmanager.")
@click.option("--source", help="For a webhook: the name of the source.")
@click.option("--expires-at", help="When it ends, such as 2027-01-31T00:00:00Z; never if left out.")
@json_option
def create(
    name: str | None, role: str | None, owner: str | None, provider: str | None, source: str | None, expires_at: str | None, as_json: bool
) -> None:
    """Make a token for a person (--name, --role, --owner) or for a webhook (--provider, --source). It is shown once."""
    given = {"name": name, "role": role, "owner": owner, "provider": provider, "source": source, "expiresAt": expires_at}
    issued = call(lambda client: client.post("/api/v1/tokens", {key: value for key, value in given.items() if value is not None}))
    show_item(issued, as_json=as_json)


@group.command("list")
@json_option
def list_tokens(as_json: bool) -> None:
    """List tokens; their text is never shown again."""
    page = call(lambda client: client.get("/api/v1/tokens"))
    show_list(page["items"], ("id", "kind", "name", "role", "owner", "prefix", "createdAt", "expiresAt", "revokedAt"), as_json=as_json)


@group.command()
@click.argument("token_id")
@click.option("--force", is_flag=True, help="Even if it is the last administrator's.")
@json_option
def revoke(token_id: str, force: bool, as_json: bool) -> None:
    """Revoke a token at once."""
    show_item(call(lambda client: client.delete(f"/api/v1/tokens/{segment(token_id)}", force=force)), as_json=as_json)


@group.command()
@json_option
def recover(as_json: bool) -> None:
    """Write the administrator's token file anew after it was lost. Needs the files of the installation; stop the server before.

    The lost token still works until it is revoked.
    """
    import asyncio  # noqa: PLC0415 - only this command works without the API

    from bcce.cli.settings import home, load_settings  # noqa: PLC0415 - as above
    from bcce.runtime import open_runtime  # noqa: PLC0415 - as above
    from bcce.runtime.runtime import admin_token_path  # noqa: PLC0415 - as above

    async def write() -> dict[str, Any]:
        path = admin_token_path(home())
        async with open_runtime(load_settings().settings, home=home(), works=False) as runtime:
            made = await runtime.tokens.recover_admin(path)
        return {"id": made.id, "name": made.name, "file": str(path)}

    show_item(asyncio.run(write()), as_json=as_json)

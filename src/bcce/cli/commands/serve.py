"""`bcce serve`."""

import asyncio
import contextlib
import signal
import socket
from pathlib import Path

import click

from bcce.cli.loop import run_long
from bcce.cli.server_file import announced, read_server
from bcce.cli.settings import home, load_settings
from bcce.kit.errors import Conflict, InvalidInput

#: For requests that are in progress when the server is stopped; a reader that takes nothing any more is then cut off.
_GRACE_S = 5


@click.command()
@click.option("--host", help="The address to listen on; only this machine by default.")
@click.option("--port", type=click.IntRange(0, 65535), help="The port; 0 for a free one.")
def command(host: str | None, port: int | None) -> None:
    """Run the server: API, webhooks and workflows, until it is stopped."""
    given = {"server.host": host, "server.port": port}
    settings = load_settings({key: value for key, value in given.items() if value is not None}).settings
    where = home()
    if settings.database.url is None and read_server(where) is not None:
        raise Conflict(f"a server runs already for {where}", hint="stop it first, or give this one another BCCE_HOME")
    run_long(_serve(settings, where))


async def _serve(settings, where: Path) -> None:  # type: ignore[no-untyped-def]  # Settings, imported below
    import uvicorn  # noqa: PLC0415 - the server's code is only loaded to serve

    from bcce.api.app import create_app  # noqa: PLC0415 - as above
    from bcce.api.streams import RunStreams  # noqa: PLC0415 - as above
    from bcce.observability.logging import configure_logging  # noqa: PLC0415 - as above
    from bcce.runtime import open_runtime  # noqa: PLC0415 - as above

    configure_logging(settings.logging.format, settings.logging.level, secrets=settings.database.secrets())
    listener = _listen(settings.server.host, settings.server.port)
    async with open_runtime(settings, home=where) as runtime:
        streams = RunStreams(runtime)
        config = uvicorn.Config(
            create_app(runtime, streams),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_S,
            server_header=False,
            proxy_headers=False,
        )
        server = uvicorn.Server(config)
        # Uvicorn's own handlers end the process by the signal once it is down, before the runtime is closed.
        server.capture_signals = contextlib.nullcontext  # type: ignore[assignment, method-assign]  # uvicorn offers no other way
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, _stop, server, streams, number)
        address = f"http://{settings.server.host}:{listener.getsockname()[1]}"
        with announced(where, address):
            click.echo(f"BCCE listens on {address}; the administrator's token lies in {where / 'admin.token'}", err=True)
            await server.serve(sockets=[listener])


def _stop(server, streams, number: int) -> None:  # type: ignore[no-untyped-def]  # both are imported above
    """Streams first: the server waits for every request that is not done."""
    streams.close()
    server.handle_exit(number, None)


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket: a port that is taken is an error before anything else starts."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise InvalidInput(f"cannot listen on {host}:{port}: {error.strerror}", hint="choose another with --port") from error
    listener.set_inheritable(False)
    return listener

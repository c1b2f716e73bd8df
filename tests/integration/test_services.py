"""The database fixtures keep their promises: fresh, empty, gone afterwards, also when a test leaves a transaction open."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from asyncmy.errors import MySQLError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from tests.services import MARIADB, POSTGRESQL, Kind, Servers, ServiceMissing, make_folder

NAMES = {
    "postgresql": "SELECT datname FROM pg_database",
    "mariadb": "SELECT schema_name FROM information_schema.schemata",
}


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(url)
    try:
        async with engine.connect() as connection:
            yield connection
    finally:
        await engine.dispose()


@contextmanager
def _servers(environ: dict[str, str]) -> Iterator[Servers]:
    servers = Servers(make_folder(), environ)
    try:
        yield servers
    finally:
        servers.stop_all()


@pytest.fixture(params=[POSTGRESQL, MARIADB], ids=lambda kind: kind.name)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.mark.parametrize("use", ["first", "second"])
async def test_each_test_gets_an_empty_database(database_url: str, use: str) -> None:
    """Both uses make the same table, which fails in a database that was used before."""
    if database_url.startswith("sqlite"):
        assert not Path(database_url.removeprefix("sqlite:///")).exists()  # noqa: ASYNC240 - nothing else runs on this loop
        return
    async with _connected(database_url) as connection:
        await connection.execute(sa.text("CREATE TABLE used (by_whom VARCHAR(10))"))
        await connection.execute(sa.text("INSERT INTO used VALUES (:use)"), {"use": use})
        await connection.commit()
        assert [use] == list(await connection.scalars(sa.text("SELECT by_whom FROM used")))


@pytest.mark.services
async def test_a_database_is_dropped_under_an_open_transaction(servers: Servers, kind: Kind) -> None:
    """A test that failed in the middle of a transaction must not hang the run."""
    try:
        servers.url(kind)
    except ServiceMissing as missing:
        pytest.skip(str(missing))
    with servers.database(kind) as witness:
        engine = create_async_engine(witness)
        with servers.database(kind) as url:
            other = create_async_engine(url)
            connection = await other.connect()
            await connection.execute(sa.text("CREATE TABLE held (a INTEGER)"))
            await connection.execute(sa.text("SELECT * FROM held"))
        async with engine.connect() as asking:
            names = set(await asking.scalars(sa.text(NAMES[kind.name])))
        await connection.invalidate()
        await connection.close()
        await other.dispose()
        await engine.dispose()
    assert make_url(url).database not in names
    assert make_url(witness).database in names


@pytest.mark.slow
@pytest.mark.services
async def test_a_private_server_is_started_shared_and_stopped(kind: Kind) -> None:
    # Port 1 never answers, so that the machine's own server is not used.
    kind = replace(kind, standard=kind.standard.set(port=1))
    with _servers({}) as servers:
        try:
            address = servers.url(kind)
        except ServiceMissing as missing:
            pytest.skip(str(missing))
        assert address == Servers(servers.folder, {}).url(kind)
        with servers.database(kind) as url:
            async with _connected(url) as connection:
                assert await connection.scalar(sa.text("SELECT 1")) == 1
    with pytest.raises((OSError, OperationalError), match="onnect"):
        async with _connected(address.render_as_string(hide_password=False)):
            pass
    assert not servers.folder.exists()


def test_a_named_server_that_does_not_answer_is_an_error(kind: Kind) -> None:
    """Whoever names a server wants that one and no other."""
    with _servers({kind.variable: "scheme://user@127.0.0.1:1/name"}) as servers, pytest.raises((OSError, MySQLError), match="onnect"):
        servers.url(kind)

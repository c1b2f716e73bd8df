"""Fixtures that every kind of test may use: databases, time, ids."""

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from bcce.kit.ids import Ids
from bcce.testing.clock import FrozenClock
from tests.services import FOLDER_VARIABLE, MARIADB, POSTGRESQL, Kind, Servers, ServiceMissing, make_folder

SERVICE_FIXTURES: Final = {"postgres_url", "mariadb_url"}
SERVICE_DATABASES: Final = {"postgresql", "mariadb"}


#: What tests send to programs that they start.
SIGNALS: Final = (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def pytest_configure(config: pytest.Config) -> None:
    """Make the folder that this run's private servers share; workers of pytest-xdist inherit its name.

    A shell that starts the tests in the background, and `nohup`, make them ignore signals, and so would every program that they start.
    """
    for number in SIGNALS:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    if FOLDER_VARIABLE not in os.environ:
        folder = make_folder()
        os.environ[FOLDER_VARIABLE] = str(folder)
        config.add_cleanup(lambda: _end_services(folder))


def _end_services(folder: Path) -> None:
    del os.environ[FOLDER_VARIABLE]
    Servers(folder, {}).stop_all()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs a database server, so that `-m "not services"` leaves it out."""
    for item in items:
        parameters = getattr(item, "callspec", None)
        database = parameters.params.get("database_url") if parameters else None
        if SERVICE_FIXTURES & set(getattr(item, "fixturenames", ())) or database in SERVICE_DATABASES:
            item.add_marker("services")


@pytest.fixture(scope="session")
def servers() -> Servers:
    """The database servers of this run; started when the first test asks for one."""
    return Servers(Path(os.environ[FOLDER_VARIABLE]), os.environ)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A SQLite database in a file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'bcce.sqlite'}"


@pytest.fixture
def postgres_url(servers: Servers) -> Iterator[str]:
    """A fresh, empty PostgreSQL database (`postgresql+asyncpg://…`), dropped afterwards."""
    yield from _database(servers, POSTGRESQL)


@pytest.fixture
def mariadb_url(servers: Servers) -> Iterator[str]:
    """A fresh, empty MariaDB database (`mysql+asyncmy://…`), dropped afterwards."""
    yield from _database(servers, MARIADB)


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database_url(request: pytest.FixtureRequest) -> str:
    """A fresh, empty database of each kind in turn."""
    fixture = {"sqlite": "sqlite_url", "postgresql": "postgres_url", "mariadb": "mariadb_url"}[request.param]
    url: str = request.getfixturevalue(fixture)
    return url


@pytest.fixture
def frozen_clock() -> FrozenClock:
    """A clock that only the test moves."""
    return FrozenClock()


@pytest.fixture
def ids(frozen_clock: FrozenClock) -> Ids:
    """Ids that are the same in every run, unique within one test and in the order of their making."""
    numbers = itertools.count(1)
    return Ids(frozen_clock, entropy=lambda size: next(numbers).to_bytes(size, "big"))


def _database(servers: Servers, kind: Kind) -> Iterator[str]:
    try:
        servers.url(kind)
    except ServiceMissing as missing:
        if os.environ.get("BCCE_REQUIRE_SERVICES") == "1":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))
    with servers.database(kind) as url:
        yield url

"""Database servers for tests: the one that was named, the one that already runs, or a private one.

A server is looked for in this order: the environment variable, the standard loopback address, the installed program. A private server is
started once per test run, shared by all workers of pytest-xdist, and stopped at the end of the run. Its data lies in a temporary folder and
is not synced to disk: these tests prove what BCCE writes, not what a database server does when the power goes.
"""

import asyncio
import fcntl
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncmy
import asyncpg
from sqlalchemy.engine import URL, make_url

#: How long a private server may take until it answers; a loaded machine needs most of it for MariaDB's first start.
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0
CONNECT_TIMEOUT_S = 5.0
#: Who runs a private server when the tests run as root: PostgreSQL refuses root, and no other should run so either.
UNPRIVILEGED_USERS = ("postgres", "mysql", "nobody")
#: Shared by the programs of one test run; set by the process that starts the run, read by the workers of pytest-xdist.
FOLDER_VARIABLE = "BCCE_TEST_SERVICES_FOLDER"
#: The servers that this process has started, by process id. They outlive the fixture that asked for them, and a `Popen` that is
#: forgotten while its program runs is a warning, hence an error.
_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


class ServiceMissing(Exception):
    """No server answers and none can be started; the message says which command installs one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of database server.

    `standard` is the address that is tried without being asked for. `prepare` and `command` make the argument vectors that create the data
    folder of a private server and run it; they raise ServiceMissing when the program is not installed. `execute` runs statements one by one
    outside a transaction.
    """

    name: str
    variable: str
    standard: URL
    prepare: Callable[[Path], list[str]]
    command: Callable[[Path, int], list[str]]
    stop_signal: signal.Signals
    execute: Callable[[URL, Sequence[str]], Awaitable[None]]
    create: Callable[[str], Sequence[str]]
    drop: Callable[[URL, str], Awaitable[None]]


async def _postgres_execute(url: URL, statements: Sequence[str]) -> None:
    connection = await asyncpg.connect(
        host=url.host,
        port=url.port,
        user=url.username,
        password=url.password,
        database=url.database or "postgres",
        timeout=CONNECT_TIMEOUT_S,
    )
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _postgres_drop(url: URL, name: str) -> None:
    await _postgres_execute(url, [f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'])


def _postgres_program(name: str) -> str:
    """Debian keeps the servers out of PATH, one folder per version; the newest wins."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[-3]))
    program = str(found[-1]) if found else shutil.which(name)
    if program is None:
        raise ServiceMissing("no PostgreSQL server answers and none is installed; install one with: sudo apt-get install postgresql")
    return program


def _postgres_prepare(data: Path) -> list[str]:
    return [_postgres_program("initdb"), "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"]


def _postgres_command(data: Path, port: int) -> list[str]:
    settings = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(data), "fsync": "off", "max_connections": "200"}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [_postgres_program("postgres"), "-D", str(data), "-p", str(port), *options]


async def _mariadb_connect(url: URL) -> asyncmy.Connection:
    return await asyncmy.connect(
        host=url.host,
        port=url.port or 3306,
        user=url.username,
        password=url.password or "",
        connect_timeout=CONNECT_TIMEOUT_S,
        autocommit=True,
    )


async def _mariadb_execute(url: URL, statements: Sequence[str]) -> None:
    connection = await _mariadb_connect(url)
    try:
        async with connection.cursor() as cursor:
            for statement in statements:
                await cursor.execute(statement)
    finally:
        connection.close()


async def _mariadb_drop(url: URL, name: str) -> None:
    """Close what is still connected first: an open transaction's metadata lock would make DROP DATABASE wait for it."""
    connection = await _mariadb_connect(url)
    try:
        async with connection.cursor() as cursor:
            await cursor.execute("SELECT id FROM information_schema.processlist WHERE db = %s", (name,))
            left = [row[0] for row in await cursor.fetchall()]
    finally:
        connection.close()
    for number in left:
        await _ignoring_errors(_mariadb_execute(url, [f"KILL CONNECTION {number}"]))
    await _mariadb_execute(url, [f"DROP DATABASE IF EXISTS `{name}`"])


async def _ignoring_errors(work: Awaitable[None]) -> None:
    """For a connection that may be gone by the time it is to be closed."""
    try:
        await work
    except asyncmy.errors.MySQLError:
        return


def _mariadb_program(*names: str) -> str:
    places = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    for name in names:
        program = shutil.which(name, path=places)
        if program is not None:
            return program
    raise ServiceMissing("no MariaDB server answers and none is installed; install one with: sudo apt-get install mariadb-server")


def _mariadb_prepare(data: Path) -> list[str]:
    return [
        _mariadb_program("mariadb-install-db", "mysql_install_db"),
        "--no-defaults",
        f"--datadir={data}",
        "--auth-root-authentication-method=normal",
        "--skip-test-db",
    ]


def _mariadb_command(data: Path, port: int) -> list[str]:
    return [
        _mariadb_program("mariadbd", "mysqld"),
        "--no-defaults",
        f"--datadir={data}",
        "--bind-address=127.0.0.1",
        f"--port={port}",
        f"--socket={data / 'sock'}",
        f"--pid-file={data / 'server.pid'}",
        "--skip-name-resolve",
        "--skip-log-bin",
        "--innodb-flush-log-at-trx-commit=0",
    ]


POSTGRESQL = Kind(
    name="postgresql",
    variable="BCCE_TEST_POSTGRES_URL",
    standard=make_url("postgresql+asyncpg://postgres@127.0.0.1:5432/postgres"),
    prepare=_postgres_prepare,
    command=_postgres_command,
    stop_signal=signal.SIGINT,  # "fast shutdown": does not wait for clients
    execute=_postgres_execute,
    create=lambda name: [f"CREATE DATABASE \"{name}\" ENCODING 'UTF8' TEMPLATE template0"],
    drop=_postgres_drop,
)
MARIADB = Kind(
    name="mariadb",
    variable="BCCE_TEST_MARIADB_URL",
    standard=make_url("mysql+asyncmy://root@127.0.0.1:3306/"),
    prepare=_mariadb_prepare,
    command=_mariadb_command,
    stop_signal=signal.SIGTERM,
    execute=_mariadb_execute,
    create=lambda name: [f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4"],
    drop=_mariadb_drop,
)


def make_folder() -> Path:
    """A new folder in which `Servers` can keep private servers; a server that runs as another user must be able to enter it."""
    folder = Path(tempfile.mkdtemp(prefix="bcce-services-"))
    folder.chmod(0o755)
    return folder


class Servers:
    """Finds, starts and stops the servers of one test run.

    Args:
        folder: made by `make_folder`; shared by all processes of the run; holds the private servers' data, logs and addresses.
        environ: where the named servers' addresses are.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self.folder = folder
        self._environ = environ
        self._known: dict[str, URL] = {}
        self._failed: dict[str, Exception] = {}

    def url(self, kind: Kind) -> URL:
        """The address of a server of `kind` that answers, with the right to create databases.

        Raises:
            ServiceMissing: there is none and none can be started.
            Exception: the named server does not answer, and whoever names one wants that one; or a private one did not start.
        """
        if kind.name in self._failed:
            raise self._failed[kind.name]  # a server that takes a minute to fail must not do so for every test
        if kind.name not in self._known:
            try:
                self._known[kind.name] = self._find(kind)
            except Exception as error:
                self._failed[kind.name] = error
                raise
        return self._known[kind.name]

    @contextmanager
    def database(self, kind: Kind) -> Iterator[str]:
        """The URL of a fresh, empty database, dropped afterwards together with whatever is still connected to it."""
        server = self.url(kind)
        name = f"bcce_test_{os.getpid()}_{uuid.uuid4().hex[:12]}"
        _run(kind.execute(server, kind.create(name)))
        try:
            yield server.set(database=name).render_as_string(hide_password=False)
        finally:
            _run(kind.drop(server, name))

    def stop_all(self) -> None:
        """Stop the private servers of this run and remove their data."""
        for note in sorted(self.folder.glob("*.pid")):
            pid, number = (int(part) for part in note.read_text().split())
            _stop(pid, signal.Signals(number))
        shutil.rmtree(self.folder, ignore_errors=True)

    def _find(self, kind: Kind) -> URL:
        named = self._environ.get(kind.variable)
        if named:
            url = make_url(named).set(drivername=kind.standard.drivername)
            _run(kind.execute(url, ["SELECT 1"]))
            return url
        return kind.standard if _answers(kind, kind.standard) else self._private(kind)

    def _private(self, kind: Kind) -> URL:
        address = self.folder / f"{kind.name}.port"
        with (self.folder / f"{kind.name}.lock").open("w") as lock:
            # The first process that needs the server starts it; the others wait here and then find its port.
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not address.exists():
                address.write_text(str(self._start(kind)))
            return kind.standard.set(port=int(address.read_text()))

    def _start(self, kind: Kind) -> int:
        data = self.folder / kind.name
        prepare, port = kind.prepare(data), _free_port()
        command = kind.command(data, port)
        data.mkdir(mode=0o700)
        user = _unprivileged_user()
        if user is not None:
            os.chown(data, user.pw_uid, user.pw_gid)
        log = self.folder / f"{kind.name}.log"
        with log.open("ab") as output:
            prepared = _spawn(prepare, data, output.fileno(), user)
            if prepared.wait(START_TIMEOUT_S) != 0:
                raise RuntimeError(f"{kind.name} could not make its data folder:\n{_tail(log)}")
            server = _spawn(command, data, output.fileno(), user)
            _CHILDREN[server.pid] = server
        (self.folder / f"{kind.name}.pid").write_text(f"{server.pid} {int(kind.stop_signal)}")
        self._await_answer(kind, server, port, log)
        return port

    def _await_answer(self, kind: Kind, server: subprocess.Popen[bytes], port: int, log: Path) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not _answers(kind, kind.standard.set(port=port)):
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"a private {kind.name} server did not start:\n{_tail(log)}")
            time.sleep(0.1)


def _run(work: Awaitable[None]) -> None:
    """Run `work` on an event loop of its own, in a thread of its own: the test's loop must not notice."""
    failures: list[BaseException] = []

    async def awaiting() -> None:
        await work

    def body() -> None:
        try:
            asyncio.run(awaiting())
        except BaseException as error:  # handed to the calling thread, which raises it
            failures.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _answers(kind: Kind, url: URL) -> bool:
    try:
        _run(kind.execute(url, ["SELECT 1"]))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncmy.errors.MySQLError):
        return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _unprivileged_user() -> pwd.struct_passwd | None:
    """None when the tests do not run as root, so that nothing has to be given up."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return next(known[name] for name in UNPRIVILEGED_USERS if name in known)


def _spawn(command: list[str], folder: Path, output: int, user: pwd.struct_passwd | None) -> subprocess.Popen[bytes]:
    identity: dict[str, object] = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    return subprocess.Popen(  # type: ignore[call-overload,no-any-return]  # noqa: S603 - fixed argument vectors of this module; mypy cannot match the optional identity
        command,
        cwd=folder,
        env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(folder), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,  # a Ctrl-C meant for pytest must not reach the server before its databases are dropped
        **identity,
    )


def _stop(pid: int, how: signal.Signals) -> None:
    """End a server that this process or another one of this run has started."""
    child = _CHILDREN.pop(pid, None)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    for number in (how, signal.SIGKILL):
        if _is_running(pid):
            os.kill(pid, number)
        while _is_running(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
    if child is not None:
        child.wait(STOP_TIMEOUT_S)


def _is_running(pid: int) -> bool:
    """False for a zombie too: its parent, a worker that has ended, cannot reap it any more."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])

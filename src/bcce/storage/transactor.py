"""One transaction on a server, repeated as a whole when another one was in its way."""

import asyncio
import random
from collections.abc import Callable
from contextlib import aclosing
from typing import Final, TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bcce.storage.errors import CommitUnknown, DatabaseUnavailable
from bcce.storage.faults import is_definite, is_disconnect, is_transient, translate

T = TypeVar("T")
log = structlog.get_logger(__name__)

#: Tries after a deadlock or a serialization failure, and tries after a lost connection (the first finds the pool's connections dead).
_TRANSIENT_TRIES: Final = 16
_DISCONNECT_TRIES: Final = 3
_FIRST_PAUSE_S: Final = 0.005
_LONGEST_PAUSE_S: Final = 0.5


class _NoConnection(DatabaseUnavailable):
    """No connection could be opened; nothing was stored."""


class Transactor:
    """Runs units of work in transactions of one engine.

    Pauses are real time, whatever the injected clock says: the transaction that is in the way lives in real time too.

    Args:
        timeout_s: how long one try may take, with opening a connection, and after which none is begun; None: any time.
    """

    def __init__(self, engine: AsyncEngine, *, timeout_s: float | None) -> None:
        self._engine = engine
        self._timeout_s = timeout_s
        self.is_answering = True

    async def run(self, fn: Callable[[Connection], T]) -> T:
        """What `fn` returns, with what it wrote committed; it is called again after a deadlock.

        Raises:
            CommitUnknown: the connection was lost during the commit.
            DatabaseUnavailable: no answer; nothing was stored.
            Exception: whatever `fn` raised, in the words of `errors`.
        """
        tries = 0
        give_up_at = asyncio.get_running_loop().time() + (self._timeout_s or float("inf"))
        while True:
            tries += 1
            try:
                result = await self._try(fn)
            except Exception as error:
                # A row lock that is waited for in vain takes seconds each time, so the tries alone are no limit.
                if not self._is_worth_repeating(error, tries) or asyncio.get_running_loop().time() > give_up_at:
                    problem = self._judged(error)
                    if problem is error:
                        raise
                    raise problem from error
                log.info("database.repeated", error=type(error).__name__, tries=tries)
                await asyncio.sleep(_pause_s(tries))
            else:
                self.is_answering = True
                return result

    async def _try(self, fn: Callable[[Connection], T]) -> T:
        is_committing = False
        try:
            # When the time is up in the middle of an exchange with the server, SQLAlchemy drops the connection: whoever got it next would
            # read the answer to our question.
            async with asyncio.timeout(self._timeout_s), aclosing(await self._connect()) as conn:
                result = await conn.run_sync(fn)
                is_committing = True
                await self._commit(conn)
                return result
        except TimeoutError as error:
            if is_committing:
                raise CommitUnknown from error
            raise DatabaseUnavailable(f"the database did not answer within {self._timeout_s:g} s") from error

    async def _connect(self) -> AsyncConnection:
        try:
            return await self._engine.connect()
        except PoolTimeout:
            raise
        except Exception as error:  # while connecting, drivers raise whatever they like
            hint = "check that the server runs, and the database's URL"
            raise _NoConnection(f"cannot connect to the database ({type(error).__name__})", hint=hint) from error

    async def _commit(self, conn: AsyncConnection) -> None:
        try:
            await conn.commit()
        except (DBAPIError, OSError) as error:
            if is_definite(error):
                raise
            await conn.invalidate()
            raise CommitUnknown from error

    def _is_worth_repeating(self, error: Exception, tries: int) -> bool:
        if is_transient(error):
            return tries < _TRANSIENT_TRIES
        return (is_disconnect(error) or isinstance(error, ConnectionError | _NoConnection)) and tries < _DISCONNECT_TRIES

    def _judged(self, error: Exception) -> Exception:
        problem = DatabaseUnavailable("the connection broke") if isinstance(error, ConnectionError) else translate(error)
        if isinstance(problem, DatabaseUnavailable) and not is_transient(error):
            self.is_answering = False
        return problem


def _pause_s(tries: int) -> float:
    """Doubling, and spread over its whole length: those that met in a deadlock should not meet again."""
    longest: float = min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (tries - 1))
    return longest * random.uniform(0.0, 1.0)  # noqa: S311 - spreads load, guards nothing

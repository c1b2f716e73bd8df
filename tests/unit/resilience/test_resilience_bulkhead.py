"""Bulkheads: who is inside, who waits, who is sent away."""

import asyncio

import pytest

from bcce.resilience import Bulkhead, BulkheadFull


class Visitors:
    """Tasks that go in and stay until they are let out."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.inside: list[str] = []
        self.exits: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def send(self, visitor: str, name: str = "x") -> None:
        self.exits[visitor] = asyncio.Event()
        self.tasks[visitor] = asyncio.create_task(self._visit(visitor, name))
        await self.settle()

    async def _visit(self, visitor: str, name: str) -> None:
        async with self.bulkhead.place(name):
            self.inside.append(visitor)
            await self.exits[visitor].wait()
            self.inside.remove(visitor)

    async def let_out(self, visitor: str) -> None:
        self.exits[visitor].set()
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
async def visitors() -> Visitors:
    return Visitors(Bulkhead(at_once=1, waiting=2))


async def test_callers_beyond_the_limit_wait_and_come_in_their_order(visitors: Visitors) -> None:
    for visitor in "abc":
        await visitors.send(visitor)
    seen = [list(visitors.inside)]
    for visitor in "ab":
        await visitors.let_out(visitor)
        seen.append(list(visitors.inside))

    assert seen == [["a"], ["b"], ["c"]]


async def test_one_more_than_may_wait_is_sent_away(visitors: Visitors) -> None:
    for visitor in "abcd":
        await visitors.send(visitor)

    with pytest.raises(BulkheadFull, match="1 calls are under way and 2 wait") as caught:
        await visitors.tasks["d"]
    assert (caught.value.code, caught.value.retryable) == ("bulkhead-full", True)


async def test_names_have_compartments_of_their_own(visitors: Visitors) -> None:
    await visitors.send("a", "x")
    await visitors.send("b", "y")

    assert visitors.inside == ["a", "b"]


async def test_who_stops_waiting_leaves_the_line(visitors: Visitors) -> None:
    for visitor in "abc":
        await visitors.send(visitor)
    visitors.tasks["b"].cancel()
    await visitors.let_out("a")

    assert visitors.inside == ["c"]


async def test_a_place_that_was_handed_to_someone_who_gave_up_goes_on(visitors: Visitors) -> None:
    for visitor in "abc":
        await visitors.send(visitor)
    visitors.exits["a"].set()
    await asyncio.sleep(0)  # a leaves and hands its place to b, which has not run yet
    visitors.tasks["b"].cancel()
    await visitors.settle()

    assert visitors.inside == ["c"]


async def test_a_place_is_free_again_after_an_error() -> None:
    bulkhead = Bulkhead(at_once=1, waiting=0)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken"):
            async with bulkhead.place("x"):
                raise RuntimeError("broken")


@pytest.mark.parametrize(("at_once", "waiting"), [(0, 1), (1, -1)])
def test_limits_that_make_no_sense_are_refused(at_once: int, waiting: int) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Bulkhead(at_once=at_once, waiting=waiting)

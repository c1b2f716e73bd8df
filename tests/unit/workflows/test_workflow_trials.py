"""How suspects are tried: who together, for how long, and what may go on meanwhile."""

import pytest

from bcce.kit.ids import RunId
from bcce.workflows.suspects.repository import Suspect
from bcce.workflows.suspects.trials import choose, probation_s


def suspect(number: int, *, company: int, deaths: int = 1) -> Suspect:
    return Suspect(id=RunId(f"run_{number}"), wake_seq=1, queue="default", priority=100, company=company, deaths=deaths)


@pytest.mark.parametrize(
    ("companies", "expected"),
    [
        ([], []),
        ([1], [1]),
        ([1, 1, 1], [1]),
        ([3, 3, 3, 3], [3, 3, 3]),
        # The least suspicious first; nobody is tried in a greater company than it may have.
        ([1, 4, 2, 4], [4, 4]),
        ([3, 3, 2], [3, 3]),
        ([9, 9, 1], [9, 9]),
        ([0], [0]),
    ],
)
def test_nobody_is_tried_in_a_greater_company_than_it_may_have(companies: list[int], expected: list[int]) -> None:
    chosen = choose([suspect(number, company=company) for number, company in enumerate(companies)])

    assert [one.company for one in chosen] == expected


@pytest.mark.parametrize(("deaths", "expected"), [([], 1), ([1], 1), ([1, 2], 2), ([4, 1], 8), ([7], 60), ([10_000], 60)])
def test_each_further_death_makes_the_probation_longer(deaths: list[int], expected: float) -> None:
    assert probation_s([suspect(number, company=1, deaths=count) for number, count in enumerate(deaths)]) == expected


def test_halving_ends_at_one_and_finds_who_kills() -> None:
    """The whole search, without any process: one of 51 kills whoever advances it."""
    left = {number: suspect(number, company=25) for number in range(51)}
    deaths = 0
    while len(left) > 1:
        batch = choose(list(left.values()))
        if 37 in [int(one.id[4:]) for one in batch]:
            deaths += 1
            for one in batch:
                number = int(one.id[4:])
                left[number] = suspect(number, company=max(1, len(batch) // 2), deaths=one.deaths + 1)
            if len(batch) == 1:
                break
        else:
            for one in batch:
                del left[int(one.id[4:])]

    assert 37 in left
    assert deaths <= 6

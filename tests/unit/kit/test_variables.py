"""Names that steer a shell, a loader or a tool carry no data into a script."""

import pytest

from bcce.execution.model.parameters import DENIED_NAMES, DENIED_PREFIXES
from bcce.kit.variables import RESERVED_NAMES, RESERVED_PREFIXES, is_variable_name


@pytest.mark.parametrize("name", ["A", "SERVICE", "APP_PATH", "X9_Y", "A" * 64, "MY_LD_PRELOAD"])
def test_a_plain_name_may_carry_data(name: str) -> None:
    assert is_variable_name(name)


@pytest.mark.parametrize(
    "name", ["", "a", "9A", "_A", "A-B", "A B", "A\n", "A" * 65, "\u00c4", "PATH", "IFS", "LD_PRELOAD", "BASH_ENV", "BCCE_HOME"]
)
def test_any_other_name_may_not(name: str) -> None:
    assert not is_variable_name(name)


def test_every_reserved_name_is_one_that_could_otherwise_be_used() -> None:
    """A misspelled entry would guard nothing."""
    for name in (*RESERVED_NAMES, *(f"{prefix}X" for prefix in RESERVED_PREFIXES)):
        assert name.replace("_", "").isalnum()
        assert name.isupper()


def test_whatever_an_executor_refuses_is_refused_before_it_gets_there() -> None:
    """An SOP that loads must not fail only when its script is to be started."""
    assert [
        name for name in (*DENIED_NAMES, *DENIED_PREFIXES, *(f"{prefix}X" for prefix in DENIED_PREFIXES)) if is_variable_name(name)
    ] == []

"""Questions that other parts of the validator answer first; each still has an answer that asks."""

import pytest

from bcce.safety.bash.readers import why_not_reader
from bcce.safety.bash.readers.special import env
from bcce.safety.bash.readers.text import find
from bcce.safety.bash.script import Command
from bcce.safety.bash.view import Call

COMMAND = Command((), (), (), 1, 1, 1, 1, "")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (Call(None, (), (), COMMAND), "the command is computed"),
        (Call("jq", ("env",), (), COMMAND), "jq"),
        (Call("find", ("/srv", "-ok"), (), COMMAND), "find asks before it runs something"),
    ],
)
def test_what_is_not_certain_asks(call: Call, said: str) -> None:
    reason = find(call) if call.name == "find" else why_not_reader(call)

    assert said in (reason or "")


def test_what_env_runs_is_judged_instead_of_it() -> None:
    assert env(Call("env", ("reboot",), (), COMMAND, is_wrapper=True)) is None
    assert env(Call("env", ("reboot",), (), COMMAND)) is not None

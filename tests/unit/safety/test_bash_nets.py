"""Questions that other parts of the validator answer first; each still has an answer that asks."""

import pytest

from bcce.safety.bash.parse import parse
from bcce.safety.bash.reader import _Reader
from bcce.safety.bash.readers import why_not_reader
from bcce.safety.bash.readers.special import env
from bcce.safety.bash.readers.text import find
from bcce.safety.bash.script import Command, Script
from bcce.safety.bash.view import Call

COMMAND = Command((), (), (), 1, 1, 1, 1, "")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (Call(None, (), (), COMMAND), "the command is computed"),
        (Call("jq", ("env",), (), COMMAND), "jq"),
        (Call("find", ("/srv", "-ok"), (), COMMAND), "find runs something that is not known"),
    ],
)
def test_what_is_not_certain_asks(call: Call, said: str) -> None:
    reason = find(call) if call.name == "find" else why_not_reader(call)

    assert said in (reason or "")


def test_what_env_runs_is_judged_instead_of_it() -> None:
    assert env(Call("env", ("reboot",), (), COMMAND, is_wrapper=True)) is None
    assert env(Call("env", ("reboot",), (), COMMAND)) is not None


def test_a_loop_without_its_parts_is_not_understood() -> None:
    """The grammar always gives a loop its variable and its body; if it ever does not, a person decides."""
    script = Script("ls")

    assert _Reader(script)._for(parse("ls").root_node, 0) == []
    assert [problem.what for problem in script.problems] == ["the parser does not understand this"]

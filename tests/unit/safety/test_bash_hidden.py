"""One pass finds what a pattern that goes back would find; and a long text takes no longer than it is long."""

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.safety.bash.hidden import hides_in_default, hides_in_index, hides_in_quoted_index

QUESTIONS: list[tuple[Callable[[str], bool], str]] = [
    (hides_in_index, r"\[[^\]]*(\$\(|`)"),
    (hides_in_quoted_index, r"'[^']*\[[^']*(\$\(|`)"),
    (hides_in_default, r"\$\{[^}]*'[^'}]*(\$\(|`)"),
]


@pytest.mark.parametrize(("question", "pattern"), QUESTIONS)
@given(text=st.lists(st.sampled_from(["$(", "${", "}", "'", "[", "]", "`", "a", "$"]), max_size=12).map("".join))
def test_one_pass_answers_as_the_pattern_does(question: Callable[[str], bool], pattern: str, text: str) -> None:
    assert question(text) is (re.search(pattern, text) is not None)

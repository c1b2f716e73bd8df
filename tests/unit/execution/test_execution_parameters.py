"""Parameters of scripts: names, values, and their one byte form."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bcce.execution.errors import InvalidScript
from bcce.execution.model import Script, encode_parameters, is_allowed_name
from bcce.execution.model.parameters import DENIED_NAMES, DENIED_PREFIXES, MAX_PARAMETER_BYTES, MAX_PARAMETERS, MAX_PARAMETERS_BYTES

ALLOWED = [
    "A",
    "SERVICE",
    "PORT_8080",
    "X" * 64,
    "HOST",
    "URL",
    "PATHS",
    "MY_PATH",
    "HOMEPAGE",
    "ENVIRONMENT",
    "A_BASH",
    "LDAP_HOST",
    "LCD",
    "PSX",
]
DENIED = [
    *("", "a", "service", "1A", "_A", "A-B", "A.B", "A B", "A=B", "A\n", "\u00c4", "X" * 65, "A[0]", "--help"),
    *("PATH", "HOME", "IFS", "ENV", "SHELLOPTS", "TMPDIR", "UID", "PPID", "SECONDS", "RANDOM", "CDPATH", "TMOUT", "POSIXLY_CORRECT"),
    *("LD_PRELOAD", "LD_LIBRARY_PATH", "BASH_ENV", "BASHOPTS", "BASH_FUNC_X", "PS4", "PROMPT_COMMAND", "LC_ALL", "LANG", "GLIBC_TUNABLES"),
    *("BCCE_HOME", "PYTHONPATH", "PERL5OPT", "RUBYOPT", "NODE_OPTIONS", "GIT_SSH_COMMAND", "SSH_AUTH_SOCK", "AWS_PROFILE", "KUBECONFIG"),
    *("HTTP_PROXY", "HTTPS_PROXY", "LESSOPEN", "PAGER", "EDITOR", "HISTFILE", "MALLOC_CHECK_", "DOCKER_HOST", "SUDO_ASKPASS"),
]


@pytest.mark.parametrize("name", ALLOWED)
def test_a_plain_name_is_allowed(name: str) -> None:
    assert is_allowed_name(name) is True
    assert Script(text="true", parameters={name: "x"}).parameters == {name: "x"}


@pytest.mark.parametrize("name", DENIED)
def test_a_name_that_means_something_to_a_program_or_is_no_name_is_refused(name: str) -> None:
    assert is_allowed_name(name) is False
    with pytest.raises(InvalidScript) as caught:
        Script(text="true", parameters={name: "secret-value"})
    assert (caught.value.code, "secret-value" in str(caught.value)) == ("invalid-script", False)


@pytest.mark.parametrize("name", sorted(DENIED_NAMES | {f"{prefix}X" for prefix in DENIED_PREFIXES}))
def test_every_denied_name_is_denied(name: str) -> None:
    assert is_allowed_name(name) is False


def test_the_encoded_form_is_sorted_and_closed_by_nul() -> None:
    assert encode_parameters({"B": "2", "A": "1=x\n", "C": ""}) == b"A=1=x\n\x00B=2\x00C=\x00"
    assert encode_parameters({}) == b""


def test_the_digest_is_over_the_encoded_form() -> None:
    script = Script(text="true", parameters={"B": "2", "A": "ü"})
    assert script.parameters_digest == f"sha256:{hashlib.sha256('A=ü'.encode() + bytes(1) + b'B=2' + bytes(1)).hexdigest()}"


TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=20)
PARAMETERS = st.dictionaries(st.sampled_from(ALLOWED), TEXT, max_size=5)


@given(left=PARAMETERS, right=PARAMETERS)
def test_different_parameters_have_different_forms(left: dict[str, str], right: dict[str, str]) -> None:
    assert (encode_parameters(left) == encode_parameters(right)) is (left == right)


@given(parameters=PARAMETERS)
def test_the_form_can_be_read_back(parameters: dict[str, str]) -> None:
    pairs = encode_parameters(parameters).decode().split("\x00")[:-1]
    assert dict(pair.split("=", 1) for pair in pairs) == parameters


@pytest.mark.parametrize("value", ["a\x00b", "\ud800"])
def test_a_value_that_no_environment_can_hold_is_refused(value: str) -> None:
    with pytest.raises(InvalidScript, match="parameter A"):
        Script(text="true", parameters={"A": value})


def test_a_value_may_be_as_large_as_the_system_allows_and_no_larger() -> None:
    largest = "x" * (MAX_PARAMETER_BYTES - len("A=") - 1)
    assert Script(text="true", parameters={"A": largest}).parameters["A"] == largest
    with pytest.raises(InvalidScript, match="larger than"):
        Script(text="true", parameters={"A": largest + "x"})
    with pytest.raises(InvalidScript, match="larger than"):
        Script(text="true", parameters={"A": "ü" * (MAX_PARAMETER_BYTES // 2)})


def test_all_values_together_have_a_limit() -> None:
    each = "x" * (MAX_PARAMETERS_BYTES // 5)
    with pytest.raises(InvalidScript, match="together"):
        Script(text="true", parameters={f"A{number}": each for number in range(5)})
    with pytest.raises(InvalidScript, match="more than"):
        Script(text="true", parameters={f"A{number}": "" for number in range(MAX_PARAMETERS + 1)})

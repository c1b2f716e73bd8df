"""Parameters arrive byte for byte and stay data, whatever they hold."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.executor_support import LocalBench, local_bench

from bcce.execution.marker.protocol import WRAPPER
from bcce.execution.model import encode_parameters

OWNED = Path("/tmp/bcce-owned")  # noqa: S108 - what the values below try to make
HOSTILE = {
    "QUOTES": """it's "quoted" `and` 'nested "both"'""",
    "NEWLINES": "one\ntwo\r\nthree\n\n",
    "SUBSTITUTION": "$(touch /tmp/bcce-owned) `touch /tmp/bcce-owned` ${IFS}$PATH $((1+1))",
    "OPTIONS": "--split-string=touch /tmp/bcce-owned -S -i -u PATH",
    "ASSIGNMENT": "A=1 B=2 LD_PRELOAD=/tmp/x.so",
    "FUNCTION": "() { :; }; touch /tmp/bcce-owned",
    "GLOB": "* ? [a-z] ~ ~root /etc/*",
    "SEPARATORS": "; | & && || > /tmp/bcce-owned < /dev/zero #",
    "ESCAPES": "\\ \\n \\x41 \\0 %s %n %d \\",
    "EMOJI": "🔥 ünïcödé 漢字 \u202e\u200b",
    "CONTROLS": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "EMPTY": "",
    "SPACES": "   \t ",
    "LONG": "x" * 100_000,
    "LONG_LINES": "a'b\n" * 25_000,
    "A": "the shortest name",
    "N" + "_" * 63: "the longest name",
}
#: Shows each parameter as the script itself sees it: from the shell's variables, not from the environment block.
SHOW = 'for name in $NAMES; do printf "%s=%s\\0" "$name" "${!name}"; done\n'


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[LocalBench]:
    """A local executor with an empty base folder."""
    async with local_bench(tmp_path) as opened:
        yield opened


def was_owned() -> bool:
    """Whether one of the values was carried out."""
    return OWNED.exists()


async def shown(bench: LocalBench, key: str, parameters: dict[str, str]) -> bytes:
    """The parameters as a script under `key` saw them."""
    names = " ".join(sorted(parameters))
    await bench.start(key, SHOW, {**parameters, "NAMES": names})
    assert (await bench.ended(key)).exit_code == 0
    return (await bench.executor.output(key, bench.target, 0)).data


@pytest.mark.parametrize("name", sorted(HOSTILE))
async def test_a_hostile_value_arrives_byte_for_byte(bench: LocalBench, name: str) -> None:
    given_value = {name: HOSTILE[name]}
    assert await shown(bench, "job", given_value) == encode_parameters(given_value)


async def test_all_of_them_together_arrive_byte_for_byte_and_do_nothing(bench: LocalBench) -> None:
    assert await shown(bench, "job", HOSTILE) == encode_parameters(HOSTILE)
    assert was_owned() is False


async def test_children_of_the_script_see_the_same_bytes(bench: LocalBench) -> None:
    value = HOSTILE["QUOTES"] + HOSTILE["NEWLINES"] + HOSTILE["EMOJI"]
    await bench.start("job", "printenv VALUE", {"VALUE": value})
    await bench.ended("job")
    assert await bench.text("job") == value + "\n"


async def test_no_value_is_handed_over_as_an_argument_of_a_program() -> None:
    """Everybody on a machine can read the arguments of its processes; that of `env` would be seen for a moment, and be audited."""
    lines = WRAPPER.read_text(encoding="utf-8").splitlines()
    uses = [line.strip() for line in lines if '"${pairs[@]}"' in line and not line.strip().startswith("#")]
    assert [line.split()[0] for line in uses] == ["((${#pairs[@]}", "export"]


async def test_no_parameters_are_no_parameters(bench: LocalBench) -> None:
    await bench.start("job", "printf '%s' \"${VALUE-unset}\"")
    await bench.ended("job")
    assert await bench.text("job") == "unset"


async def test_the_largest_parameter_that_is_allowed_arrives(bench: LocalBench) -> None:
    value = "v" * (128 * 1024 - len("VALUE=") - 1)
    await bench.start("job", 'printf "%s" "${#VALUE}"', {"VALUE": value})
    await bench.ended("job")
    assert await bench.text("job") == str(len(value))


async def test_many_large_parameters_arrive_in_one_start(bench: LocalBench) -> None:
    """No program in between splits them over several runs."""
    parameters = {f"P{number}": "y" * 100_000 for number in range(5)}
    text = bench.effect_script('printf "%s " "${#P0}" "${#P1}" "${#P2}" "${#P3}" "${#P4}"').text
    await bench.start("job", text, {**parameters, "EFFECTS": str(bench.effects)})
    await bench.ended("job")
    assert (await bench.text("job"), bench.effect_count()) == ("100000 " * 5, 1)


async def test_nothing_of_a_parameter_stays_on_the_target(bench: LocalBench) -> None:
    await bench.start("job", "true", {"VALUE": "kept-nowhere"})
    await bench.ended("job")
    kept = [path.name for path in bench.base.rglob("*") if path.is_file() and b"kept-nowhere" in path.read_bytes()]
    assert kept == []


TEXT = st.text(alphabet=st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), max_size=300)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(TEXT, max_size=6))
async def test_any_text_arrives_byte_for_byte(tmp_path_factory: pytest.TempPathFactory, values: list[str]) -> None:
    parameters = {f"P{number}": value for number, value in enumerate(values)}
    async with local_bench(tmp_path_factory.mktemp("any")) as bench:
        assert await shown(bench, "job", parameters) == encode_parameters(parameters)

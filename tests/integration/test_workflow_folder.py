"""Files of `workflows.directory`: those that can run are registered, all others are told of and keep nothing from starting."""

from collections.abc import Mapping
from pathlib import Path

from bcce.runtime.runtime import open_runtime
from bcce.runtime.settings import Settings
from bcce.security.actor import system_actor

ACTOR = system_actor("start")
GOOD = "name: good\nsteps:\n  - {id: a, type: set, v: 1}\n"


async def start(tmp_path: Path, files: Mapping[str, str | bytes]) -> tuple[dict[str, str], dict[str, list[tuple[str, int | None]]]]:
    """What is registered (the last lines of the texts by name), and what was refused (rules and lines by file), after one start."""
    folder = tmp_path / "files"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, text in files.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    settings = Settings.model_validate({"workflows": {"directory": str(folder)}})
    async with open_runtime(settings, home=tmp_path / "home", works=False) as runtime:
        registered = {item.name: item.source.splitlines()[-1].strip() for item in await runtime.workflows.definitions(ACTOR)}
        refused = {
            Path(file.path).name: [(item.rule_id, item.line) for item in file.findings] for file in runtime.workflow_files.refused(ACTOR)
        }
    return registered, refused


async def test_a_broken_file_keeps_no_other_from_being_registered(tmp_path: Path) -> None:
    broken = {
        "a.yaml": "name: [",
        "b.yaml": GOOD.replace("good", "bad").replace("set", "st"),
        "c.yaml": b"\xff\xfe",
        "notes.txt": "name: [",
    }

    registered, refused = await start(tmp_path, {**broken, "z.yaml": GOOD})

    assert registered.keys() == {"good", "remediate"}
    assert refused == {
        "a.yaml": [("workflow.syntax", 1)],
        "b.yaml": [("workflow.unknown-step-type", 3)],
        "c.yaml": [("workflow.unreadable", None)],
    }


async def test_what_was_registered_before_stays_in_use(tmp_path: Path) -> None:
    await start(tmp_path, {"good.yaml": GOOD})

    registered, refused = await start(tmp_path, {"good.yaml": GOOD.replace("set", "st")})

    assert registered["good"] == GOOD.splitlines()[-1].strip()
    assert refused.keys() == {"good.yaml"}


async def test_two_files_of_one_name_are_both_refused(tmp_path: Path) -> None:
    await start(tmp_path, {"a.yaml": GOOD})

    registered, refused = await start(tmp_path, {"a.yaml": GOOD.replace("v: 1", "v: 2"), "b.yaml": "# mine\n" + GOOD})

    assert registered["good"] == GOOD.splitlines()[-1].strip()
    assert refused == {"a.yaml": [("workflow.duplicate-name", 1)], "b.yaml": [("workflow.duplicate-name", 2)]}

    _, refused = await start(
        tmp_path, {"a.yaml": GOOD, "b.yaml": GOOD.replace("set", "st"), "c.yaml": "steps: []\n", "d.yaml": "steps: []\n"}
    )

    assert [rule for rule, _ in refused["a.yaml"]] == ["workflow.duplicate-name"]
    assert [rule for rule, _ in refused["b.yaml"]] == ["workflow.unknown-step-type", "workflow.duplicate-name"]
    assert [rule for rule, _ in refused["c.yaml"]] == ["workflow.missing-key", "workflow.missing-key"]


async def test_a_file_may_replace_a_built_in_workflow_also_while_it_is_broken(tmp_path: Path) -> None:
    mine = GOOD.replace("good", "remediate")
    built_in, _ = await start(tmp_path, {})
    replaced, _ = await start(tmp_path, {"r.yaml": mine})
    broken, refused = await start(tmp_path, {"r.yaml": mine.replace("set", "st")})
    gone, _ = await start(tmp_path, {})

    last = mine.splitlines()[-1].strip()
    assert (replaced["remediate"], broken["remediate"]) == (last, last)
    assert refused.keys() == {"r.yaml"}
    assert gone == built_in


async def test_a_folder_that_is_not_there_is_told_of(tmp_path: Path) -> None:
    settings = Settings.model_validate({"workflows": {"directory": str(tmp_path / "nowhere")}})

    async with open_runtime(settings, home=tmp_path / "home", works=False) as runtime:
        (refused,) = runtime.workflow_files.refused(ACTOR)

    assert [(item.rule_id, item.message) for item in refused.findings] == [
        ("workflow.unreadable", "the folder cannot be read: No such file or directory")
    ]

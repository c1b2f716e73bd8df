"""Layers: which value counts, and where it came from."""

import os
from pathlib import Path
from typing import Any

import pytest
from tests.unit.config.example_settings import Colour, MailSettings, Settings, Target, load_text, problems_of, write

from bcce.config.core import CoreSettings
from bcce.config.errors import InvalidConfig
from bcce.config.load import FILE_NAMES, Loaded, Sources, find_file, load
from bcce.kit.redact import Secret

FILE = """\
name: from-file
mail:
  sender: file
  timeoutS: 10
environments:
  dev:
    mail: {sender: dev}
  prod:
    mail:
      sender: prod
"""
VARIABLE = {"BCCE_MAIL__SENDER": "variable"}
OVERRIDE = {"mail.sender": "override"}


def test_without_any_source_everything_is_a_default() -> None:
    loaded = load(Settings, Sources())
    assert loaded.settings == Settings()
    assert (loaded.path, loaded.environment, loaded.environments, loaded.notices) == (None, None, (), ())
    assert set(loaded.origins.values()) == {"default"}


@pytest.mark.parametrize(
    ("sources", "expected", "origin"),
    [
        ({}, "file", "{path}:3"),
        ({"environment": "dev"}, "dev", "environment:dev"),
        ({"environment": "prod"}, "prod", "environment:prod"),
        ({"environ": {"BCCE_ENV": "prod"}}, "prod", "environment:prod"),
        ({"environ": {"BCCE_ENV": "prod"}, "environment": "dev"}, "dev", "environment:dev"),
        ({"environ": {"BCCE_ENV": ""}}, "file", "{path}:3"),
        ({"environment": "dev", "environ": VARIABLE}, "variable", "env:BCCE_MAIL__SENDER"),
        ({"environment": "dev", "environ": VARIABLE, "overrides": OVERRIDE}, "override", "override"),
        ({"overrides": OVERRIDE}, "override", "override"),
    ],
)
def test_a_later_layer_wins_and_is_named_as_the_origin(tmp_path: Path, sources: dict[str, Any], expected: str, origin: str) -> None:
    loaded = load_text(tmp_path, FILE, **sources)
    assert loaded.settings.mail.sender == expected
    assert loaded.origins["mail.sender"] == origin.format(path=tmp_path / "bcce.config.yaml")


def test_what_a_later_layer_does_not_set_stays(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, FILE, environment="dev", environ=VARIABLE)
    assert (loaded.settings.name, loaded.settings.mail.timeout_s) == ("from-file", 10.0)
    assert loaded.origins["mail.timeout_s"] == f"{tmp_path / 'bcce.config.yaml'}:4"
    assert loaded.origins["mail.ports"] == "default"


@pytest.mark.parametrize(
    ("sources", "expected", "origin"),
    [
        ({}, "dev", "{path}:1"),
        ({"environ": {"BCCE_ENV": "prod"}}, "prod", "env:BCCE_ENV"),
        ({"environment": "prod"}, "prod", "override"),
    ],
)
def test_the_file_may_name_the_environment_that_applies_when_nothing_else_does(
    tmp_path: Path, sources: dict[str, Any], expected: str, origin: str
) -> None:
    loaded = load_text(tmp_path, f"env: dev\n{FILE}", **sources)
    assert (loaded.environment, loaded.settings.env, loaded.settings.mail.sender) == (expected, expected, expected)
    assert loaded.origins["env"] == origin.format(path=tmp_path / "bcce.config.yaml")


def test_a_list_is_replaced_and_a_map_is_merged(tmp_path: Path) -> None:
    text = """\
regions: [us-east-1, us-east-2]
targets: {web: {address: a, port: 1}, db: {address: b}}
analytics: {model: x, configuration: {encryption: true, mfaRequired: true}}
environments:
  dev:
    regions: [eu-west-1]
    targets: {web: {port: 2}, cache: {}}
    analytics: {configuration: {mfaRequired: false}}
"""
    settings = load_text(tmp_path, text, environment="dev").settings
    assert settings.regions == ("eu-west-1",)
    assert settings.targets == {"web": Target(address="a", port=2), "db": Target(address="b"), "cache": Target()}
    assert settings.analytics == {"model": "x", "configuration": {"encryption": True, "mfaRequired": False}}


def test_an_overlay_can_set_a_value_back_to_nothing(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "mail: {sender: x}\nenvironments: {dev: {mail: {sender: null}}}", environment="dev")
    assert (loaded.settings.mail.sender, loaded.origins["mail.sender"]) == (None, "environment:dev")


@pytest.mark.parametrize("text", ["mail:", "mail: {}", "targets:", "environments:", "spare:", "mail:\n  # sender: x\n"])
def test_a_section_of_which_only_the_header_is_left_changes_nothing(tmp_path: Path, text: str) -> None:
    assert load_text(tmp_path, text).settings == Settings()


def test_a_named_item_without_keys_is_there_with_its_defaults(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "targets:\n  web-1:\n")
    assert loaded.settings.targets == {"web-1": Target()}
    assert loaded.origins["targets.web-1.port"] == "default"


@pytest.mark.parametrize(
    ("name", "text"),
    [("bcce.config.yaml", ""), ("bcce.config.yaml", "\n"), ("bcce.config.yaml", "# nothing yet\n"), ("bcce.config.json", " \n")],
)
def test_an_empty_file_means_defaults_and_is_noticed(tmp_path: Path, name: str, text: str) -> None:
    loaded = load_text(tmp_path, text, name)
    assert loaded.settings == Settings()
    assert loaded.notices == (f"{tmp_path / name}: the file is empty, every setting has its default",)


@pytest.mark.parametrize(
    "text",
    [
        "mail: {isEnabled: true, sender: s, timeoutS: 5}\nplain: {expiresAfterS: 7}\nrules: [{label: a, maxItems: 2}]",
        "mail: {is_enabled: true, sender: s, timeout_s: 5}\nplain: {expires_after_s: 7}\nrules: [{label: a, max_items: 2}]",
    ],
    ids=["camelCase", "snake_case"],
)
def test_camel_case_and_snake_case_are_the_same_keys(tmp_path: Path, text: str) -> None:
    settings = load_text(tmp_path, text).settings
    assert (settings.mail.is_enabled, settings.mail.timeout_s, settings.plain.expires_after_s) == (True, 5.0, 7.0)
    assert settings.rules[0].max_items == 2


def test_the_two_spellings_meet_across_layers(tmp_path: Path) -> None:
    text = "mail: {timeoutS: 5}\nenvironments: {dev: {mail: {timeout_s: 6}}}"
    assert load_text(tmp_path, text, environment="dev").settings.mail.timeout_s == 6.0


def test_every_kind_of_value_is_read(tmp_path: Path) -> None:
    text = "mail: {password: p4ss, colour: green, ports: [1, 2], folder: /var/mail, code: x, timeoutS: 5}\nspare: {sender: s}"
    settings = load_text(tmp_path, text).settings
    mail = settings.mail
    assert (mail.colour, mail.ports, mail.folder, mail.code, mail.timeout_s) == (Colour.GREEN, (1, 2), Path("/var/mail"), "x", 5.0)
    assert mail.password == Secret("p4ss")
    assert settings.spare is not None


def test_overrides_take_python_values_in_either_spelling() -> None:
    overrides = {
        "mail.timeoutS": 5,
        "mail.ports": (1, 2),
        "mail.colour": Colour.GREEN,
        "mail.password": Secret("p4ss"),
        "home": Path("/srv/bcce"),
        "targets.web-1.port": 8,
        "analytics.model": "x",
        "rules": [{"label": "a", "maxItems": 3}],
    }
    settings = load(Settings, Sources(overrides=overrides)).settings
    assert (settings.mail.timeout_s, settings.mail.ports, settings.mail.colour) == (5.0, (1, 2), Colour.GREEN)
    assert (settings.mail.password, settings.home, settings.targets["web-1"].port) == (Secret("p4ss"), Path("/srv/bcce"), 8)
    assert (settings.analytics, settings.rules[0].max_items) == ({"model": "x"}, 3)


def test_an_override_of_a_type_that_no_setting_has_is_a_bug_of_the_caller() -> None:
    with pytest.raises(TypeError, match="cannot be a complex"):
        load(Settings, Sources(overrides={"name": 1j}))


def test_an_override_with_nothing_in_a_section_changes_nothing() -> None:
    assert load(Settings, Sources(overrides={"mail": None})).settings == Settings()


def test_origins_have_every_setting_once(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "targets: {web: {port: 1}}\nspare:\n  sender: s\nanalytics: {a: {b: 1}}\nrules: [{label: x}]")
    file = f"{tmp_path / 'bcce.config.yaml'}"
    assert {name: origin for name, origin in loaded.origins.items() if origin != "default"} == {
        "targets.web.port": f"{file}:1",
        "spare.sender": f"{file}:3",
        "analytics.a.b": f"{file}:4",
        "rules": f"{file}:5",
    }
    assert "targets.web.address" in loaded.origins
    assert "mail.password" in loaded.origins


def test_an_empty_map_has_an_origin_too(tmp_path: Path) -> None:
    origins = load_text(tmp_path, "name: x\ntargets: {}\nanalytics: {}").origins
    assert (origins["targets"], origins["analytics"]) == tuple(f"{tmp_path / 'bcce.config.yaml'}:{line}" for line in (2, 3))


def test_the_values_of_other_environments_are_not_kept(tmp_path: Path) -> None:
    text = "environments: {dev: {mail: {password: dev-secret}}, prod: {mail: {password: prod-secret}}}"
    loaded = load_text(tmp_path, text, environment="dev")
    assert loaded.settings.mail.password == Secret("dev-secret")
    assert "secret" not in repr(loaded)
    assert "secret" not in loaded.settings.model_dump_json()


@pytest.mark.parametrize(
    ("folder_has", "expected"),
    [
        ([], None),
        (["bcce.config.yaml"], "bcce.config.yaml"),
        (["bcce.config.yml"], "bcce.config.yml"),
        (["bcce.config.json"], "bcce.config.json"),
    ],
)
def test_the_file_with_a_usual_name_is_found(tmp_path: Path, folder_has: list[str], expected: str | None) -> None:
    for name in folder_has:
        write(tmp_path, "{}", name)
    assert find_file({}, tmp_path) == (tmp_path / expected if expected else None)


def test_two_files_that_could_both_be_meant_are_an_error(tmp_path: Path) -> None:
    for name in FILE_NAMES[::2]:
        write(tmp_path, "{}", name)
    with pytest.raises(InvalidConfig, match=r"bcce\.config\.yaml and bcce\.config\.json are both there"):
        find_file({}, tmp_path)


def test_bcce_config_names_a_file_and_wins_over_the_usual_names(tmp_path: Path) -> None:
    write(tmp_path, "{}")
    other = write(tmp_path, "{}", "other.yaml")
    assert find_file({"BCCE_CONFIG": str(other)}, tmp_path) == other
    assert find_file({"BCCE_CONFIG": "~/other.yaml", "HOME": str(tmp_path)}, tmp_path) == other


def test_bcce_config_must_name_a_file_that_is_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match="BCCE_CONFIG: there is no file"):
        find_file({"BCCE_CONFIG": str(tmp_path / "missing.yaml")}, tmp_path)


@pytest.mark.parametrize(
    ("text", "environ", "overrides", "expected"),
    [
        ("", {"HOME": "/people/me"}, {}, "/people/me/.local/state/bcce"),
        ("", {"HOME": "/people/me", "XDG_STATE_HOME": "/state"}, {}, "/state/bcce"),
        ("", {"HOME": "/people/me", "XDG_STATE_HOME": "relative"}, {}, "/people/me/.local/state/bcce"),
        ("home: /srv/bcce", {"HOME": "/people/me"}, {}, "/srv/bcce"),
        ("home: ~/bcce", {"HOME": "/people/me"}, {}, "/people/me/bcce"),
        ("home: state", {"HOME": "/people/me"}, {}, "{folder}/state"),
        ("home: /srv/bcce", {"BCCE_HOME": "/srv/other"}, {}, "/srv/other"),
        ("home: /srv/bcce", {"BCCE_HOME": "here"}, {}, "{cwd}/here"),
        ("home: /srv/bcce", {"BCCE_HOME": "/srv/other"}, {"home": "there"}, "{cwd}/there"),
        ("home: /srv/bcce", {"HOME": "/people/me"}, {"home": None}, "/people/me/.local/state/bcce"),
    ],
)
def test_home_is_the_setting_else_the_users_state_folder(
    tmp_path: Path, text: str, environ: dict[str, str], overrides: dict[str, object], expected: str
) -> None:
    loaded = load_text(tmp_path, text, environ=environ, overrides=overrides)
    assert str(loaded.home(environ)) == expected.format(folder=tmp_path, cwd=Path.cwd())


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    assert load_text(tmp_path, b"\xef\xbb\xbfname: x").settings.name == "x"
    assert load_text(tmp_path, b'\xef\xbb\xbf{"name": "x"}', "bcce.config.json").settings.name == "x"


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"name: x\nmail: \xff", 2, "the file is not UTF-8 text"),
        ("name: x".encode("utf-16"), 1, "the file is not UTF-8 text"),
        (b"#" * (1024 * 1024 + 1), None, "the file is larger than 1048576 bytes"),
        (b"- 1\n- 2", 1, "a configuration file is a mapping of keys to values"),
        (b"just text", 1, "a configuration file is a mapping of keys to values"),
        (b"name: x\n\tmail: 1", 2, "a tab cannot indent YAML"),
        (b"name: x\nname: y", 2, "the key 'name' stands here for the second time"),
        (b"a: &a [1]\nb: [*a, *a]", 1, "anchors (&name) are not supported"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_error_with_its_place(tmp_path: Path, data: bytes, line: int | None, message: str) -> None:
    (problem,) = problems_of(tmp_path, data)
    assert (problem.message, problem.source, problem.line) == (message, str(tmp_path / "bcce.config.yaml"), line)


def test_a_json_file_must_be_json(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, "name: x", "bcce.config.json")
    assert problem.message.startswith("this is no valid JSON")


def test_what_is_no_file_or_missing_is_an_error_and_nothing_waits_for_it(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    missing = tmp_path / "missing.yaml"
    no_file = "this is no regular file"
    for path, reason in (
        (tmp_path, no_file),
        (pipe, no_file),
        (Path("/dev/zero"), no_file),
        (missing, "the file cannot be read: No such file or directory"),
    ):
        with pytest.raises(InvalidConfig, match=reason) as caught:
            load(Settings, Sources(path=path))
        assert caught.value.is_unread


@pytest.mark.skipif(os.geteuid() == 0, reason="the administrator may read every file")
def test_a_file_without_permission_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "name: x")
    path.chmod(0)
    with pytest.raises(InvalidConfig, match="Permission denied"):
        load(Settings, Sources(path=path))


def test_a_model_without_overlays_takes_none(tmp_path: Path) -> None:
    path = write(tmp_path, "sender: x")
    loaded: Loaded[MailSettings] = load(MailSettings, Sources(path=path, environ={"HOME": "/people/me"}))
    assert (loaded.settings.sender, str(loaded.home({"HOME": "/people/me"}))) == ("x", "/people/me/.local/state/bcce")


def test_core_settings_alone_are_a_root(tmp_path: Path) -> None:
    assert load(CoreSettings, Sources(path=write(tmp_path, "aws: {clientPoolSize: 3}"))).settings.aws.client_pool_size == 3

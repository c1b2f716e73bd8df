"""The commented configuration file and the table of keys are made from the model and cannot be out of date."""

import re
from pathlib import Path

import pytest
from tests.unit.config.example_settings import MailSettings, Settings, write

from bcce.config.core import CoreSettings
from bcce.config.document import read_yaml
from bcce.config.load import Sources, load
from bcce.config.schema import leaves
from bcce.config.template import Key, key_table, keys, render_template
from bcce.runtime.settings import Settings as AllSettings

MODELS = pytest.mark.parametrize("model", [CoreSettings, Settings, AllSettings], ids=["core", "example", "all"])


def uncommented(text: str) -> str:
    """The template after its reader has removed the # in front of every key; lines of prose keep theirs."""
    return re.sub(r"(?m)^( *)#(?=\S)", r"\1", text)


@MODELS
def test_the_template_loads_and_changes_nothing(tmp_path: Path, model: type[CoreSettings]) -> None:
    loaded = load(model, Sources(path=write(tmp_path, render_template(model))))
    assert loaded.settings == model()
    assert [name for name, origin in loaded.origins.items() if origin != "default"] == ["version"]


@MODELS
def test_the_template_with_every_key_switched_on_loads_and_changes_nothing_but_the_example(
    tmp_path: Path, model: type[CoreSettings]
) -> None:
    loaded = load(model, Sources(path=write(tmp_path, uncommented(render_template(model)))))
    # A section that may be missing is there as soon as one of its keys is.
    extra = {"spare": MailSettings()} if "spare" in model.model_fields else {}
    assert loaded.settings == model(environments=("prod",), **extra)
    assert set(loaded.origins.values()) == {origin for origin in loaded.origins.values() if origin != "default"}


@MODELS
def test_the_example_environment_of_the_template_can_be_chosen(tmp_path: Path, model: type[CoreSettings]) -> None:
    path = write(tmp_path, uncommented(render_template(model)))
    assert load(model, Sources(path=path, environment="prod")).settings.name == "bcce-prod"


@MODELS
def test_every_setting_is_in_the_template_with_its_description(model: type[CoreSettings]) -> None:
    text = render_template(model)
    prose = " ".join(line.strip(" #") for line in text.splitlines())
    for path, info in leaves(model):
        assert info.description, path
        if path != ("environments",):
            assert info.description in prose, path


def test_values_are_switched_on_in_the_template(tmp_path: Path) -> None:
    text = render_template(Settings, {"name": 'my "shop"', "mail.timeout_s": 5.0, "version": "0.1.0", "regions": ["us-east-1"]})
    loaded = load(Settings, Sources(path=write(tmp_path, text)))
    settings = loaded.settings
    assert (settings.name, settings.mail.timeout_s, settings.version, settings.regions) == ('my "shop"', 5.0, "0.1.0", ("us-east-1",))
    assert sum(origin != "default" for origin in loaded.origins.values()) == 4


def test_a_section_can_have_a_template_of_its_own() -> None:
    assert render_template(MailSettings).endswith("# A union of two types.\n#code: 0\n")


def test_a_value_for_no_setting_is_refused() -> None:
    with pytest.raises(KeyError, match=r"mail\.colour_of_money"):
        render_template(Settings, {"mail.colour_of_money": 1})


def test_the_template_of_a_section_is_written_as_people_read_it() -> None:
    text = render_template(Settings)
    assert text.startswith("# BCCE configuration.\n#\n")
    start = text.index("# Mail.\n")
    assert (
        text[start : text.index("\n\n", start)]
        == """\
# Mail.
mail:
  # The account's password.
  #password: null
  # Who writes.
  #sender: null
  # Whether mail is sent.
  #isEnabled: false
  # Seconds until the server is given up. More than 0 and at most 600.
  #timeoutS: 30.0
  # The colour of the banner. One of red, green.
  #colour: "red"
  # Ports that are tried in this order.
  #ports: [25]
  # Where copies are kept.
  #folder: null
  # A union of two types.
  #code: 0"""
    )


def test_the_keys_of_named_items_are_described_at_their_map() -> None:
    lines = render_template(Settings).splitlines()
    start = lines.index("# Machines by name.")
    assert lines[start : start + 5] == [
        "# Machines by name.",
        "# Under each name:",
        "#   address: null  Where it is.",
        "#   port: 22  Its port. At least 1 and at most 65535.",
        "#targets: {}",
    ]


def test_a_line_is_short_enough_to_read() -> None:
    assert max(len(line) for line in render_template(AllSettings).splitlines() if line.lstrip().startswith("# ")) <= 120


def by_name(name: str) -> Key:
    return next(key for key in keys(Settings) if key.name == name)


@pytest.mark.parametrize(
    ("name", "spelling", "variable", "kind", "default", "limits"),
    [
        ("version", "version", None, "text", '"1.0"', ""),
        ("env", "env", "BCCE_ENV", "text", "null", ""),
        ("home", "home", "BCCE_HOME", "path", "null", ""),
        ("auth", "auth", "BCCE_AUTH", "text", '"token"', "One of token, identity-center, none."),
        ("regions", "regions", "BCCE_REGIONS", "list of text", "[]", ""),
        ("aws.client_pool_size", "aws.clientPoolSize", "BCCE_AWS__CLIENT_POOL_SIZE", "whole number", "10", "At least 1 and at most 500."),
        ("analytics", "analytics", "BCCE_ANALYTICS", "map", "{}", ""),
        ("environments", "environments", None, "list of text", "[]", ""),
        ("mail.password", "mail.password", "BCCE_MAIL__PASSWORD", "secret text", "null", ""),
        ("mail.is_enabled", "mail.isEnabled", "BCCE_MAIL__IS_ENABLED", "true or false", "false", ""),
        ("mail.timeout_s", "mail.timeoutS", "BCCE_MAIL__TIMEOUT_S", "number", "30.0", "More than 0 and at most 600."),
        ("mail.colour", "mail.colour", "BCCE_MAIL__COLOUR", "text", '"red"', "One of red, green."),
        ("mail.code", "mail.code", "BCCE_MAIL__CODE", "value", "0", ""),
        ("targets", "targets", "BCCE_TARGETS", "map of section", "{}", ""),
        ("targets.<name>.port", "targets.<name>.port", "BCCE_TARGETS__<name>__PORT", "whole number", "22", "At least 1 and at most 65535."),
        ("rules.<number>.label", "rules.<number>.label", None, "text", "required", ""),
    ],
)
def test_a_key_has_what_the_reference_shows(name: str, spelling: str, variable: str | None, kind: str, default: str, limits: str) -> None:
    key = by_name(name)
    assert (key.spelling, key.variable, key.type, key.default, key.limits) == (spelling, variable, kind, default, limits)


def test_a_key_knows_whether_it_is_secret_and_whether_it_is_used() -> None:
    assert (by_name("mail.password").is_secret, by_name("mail.sender").is_secret) == (True, False)
    assert (by_name("privatelink").is_used, by_name("name").is_used) == (False, True)


@MODELS
def test_every_variable_of_the_table_sets_its_setting(model: type[CoreSettings]) -> None:
    """Each name is taken; what its value may be is tested elsewhere."""
    for key in keys(model):
        if key.variable is None or key.variable == "BCCE_ENV":
            continue
        name = key.variable.replace("<name>", "WEB")
        default = "null" if key.default in ("null", "required") else key.default.strip('"')
        origins = load(model, Sources(environ={name: default})).origins
        assert f"env:{name}" in origins.values() or default in ("null", "{}"), name


def test_the_table_has_a_row_for_each_key() -> None:
    rows = key_table(Settings).splitlines()
    assert len(rows) == 2 + len(keys(Settings))
    assert "| `aws.clientPoolSize` | `BCCE_AWS__CLIENT_POOL_SIZE` | whole number | `10` |" in key_table(Settings)
    assert {row.count(" | ") for row in rows} == {4}


def test_the_template_is_yaml_without_surprises() -> None:
    assert read_yaml(render_template(Settings)).value["version"] == "1.0"

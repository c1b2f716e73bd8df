"""Environment variables as a layer."""

from pathlib import Path

import pytest
from tests.unit.config.example_settings import Colour, MailSettings, Settings, Target, load_text

from bcce.config.errors import InvalidConfig
from bcce.config.load import Sources, load
from bcce.kit.redact import Secret


def value(settings: object, dotted: str) -> object:
    for part in dotted.split("."):
        settings = settings[part] if isinstance(settings, dict) else getattr(settings, part)
    return settings


@pytest.mark.parametrize(
    ("name", "text", "dotted", "expected"),
    [
        ("BCCE_NAME", "prod", "name", "prod"),
        ("BCCE_NAME", "0123", "name", "0123"),
        ("BCCE_NAME", "true", "name", "true"),
        ("BCCE_NAME", "null", "name", "null"),
        ("BCCE_NAME", "a: b [", "name", "a: b ["),
        ("BCCE_GUARDRAILS", "false", "guardrails", False),
        ("BCCE_AUTH", "none", "auth", "none"),
        ("BCCE_AWS__REGION", "eu-west-1", "aws.region", "eu-west-1"),
        ("BCCE_AWS__REGION", "", "aws.region", None),
        ("BCCE_AWS__REGION", "null", "aws.region", None),
        ("BCCE_AWS__CLIENT_POOL_SIZE", "7", "aws.client_pool_size", 7),
        ("BCCE_CLIENT_POOL_SIZE", "7", "aws.client_pool_size", 7),
        ("BCCE_HOME", "/srv/bcce", "home", Path("/srv/bcce")),
        ("BCCE_PLUGIN_PATH", "/a:/b c::", "plugin_path", (Path("/a"), Path("/b c"))),
        ("BCCE_REGIONS", "[us-east-1, eu-west-1]", "regions", ("us-east-1", "eu-west-1")),
        ("BCCE_MAIL__TIMEOUT_S", "5", "mail.timeout_s", 5.0),
        ("BCCE_MAIL__TIMEOUT_S", "1.5", "mail.timeout_s", 1.5),
        ("BCCE_MAIL__IS_ENABLED", "false", "mail.is_enabled", False),
        ("BCCE_MAIL__PASSWORD", "0123", "mail.password", Secret("0123")),
        ("BCCE_MAIL__PASSWORD", "", "mail.password", None),
        ("BCCE_MAIL__COLOUR", "green", "mail.colour", Colour.GREEN),
        ("BCCE_MAIL__FOLDER", "/var/mail", "mail.folder", Path("/var/mail")),
        ("BCCE_MAIL__PORTS", "[1, 2]", "mail.ports", (1, 2)),
        ("BCCE_MAIL__CODE", "5", "mail.code", 5),
        ("BCCE_PLAIN__EXPIRES_AFTER_S", "7", "plain.expires_after_s", 7.0),
        ("BCCE_SPARE__SENDER", "s", "spare.sender", "s"),
        ("BCCE_TARGETS__NEW__PORT", "1", "targets.new", Target(port=1)),
        ("BCCE_TARGETS__WEB_1__PORT", "1", "targets.web-1", Target(address="a", port=1)),
        ("BCCE_TARGETS__DBMAIN__PORT", "1", "targets.dbMain", Target(port=1)),
        ("BCCE_TARGETS__new__PORT", "1", "targets.new", Target(port=1)),
        ("BCCE_TARGETS__newOne__PORT", "1", "targets.newOne", Target(port=1)),
        ("BCCE_TARGETS__web_1__PORT", "1", "targets.web-1", Target(address="a", port=1)),
        ("BCCE_TARGETS__dbMain__PORT", "1", "targets.dbMain", Target(port=1)),
        ("BCCE_TARGETS", "{x: {port: 3}}", "targets.x", Target(port=3)),
        ("BCCE_RULES", "[{label: a, maxItems: 4}]", "rules.0.max_items", 4),
        ("BCCE_ANALYTICS__MODEL", "x", "analytics.model", "x"),
        ("BCCE_ANALYTICS__CONFIGURATION__AUDITLOGGING", "false", "analytics.configuration", {"auditLogging": False, "x": 1}),
        ("BCCE_ANALYTICS__CONFIGURATION__NEW", "[1]", "analytics.configuration.new", [1]),
    ],
)
def test_a_variable_sets_its_setting(tmp_path: Path, name: str, text: str, dotted: str, expected: object) -> None:
    file = "targets: {web-1: {address: a}, dbMain: {}}\nanalytics: {configuration: {auditLogging: true, x: 1}}"
    settings = load_text(tmp_path, file, environ={name: text}).settings
    if dotted == "rules.0.max_items":
        assert settings.rules[0].max_items == expected
    else:
        assert value(settings, dotted) == expected


def test_the_origin_of_a_value_is_its_variable(tmp_path: Path) -> None:
    environ = {"BCCE_CLIENT_POOL_SIZE": "7", "BCCE_TARGETS__WEB_1__PORT": "1", "BCCE_HOME": "/srv"}
    origins = load_text(tmp_path, "targets: {web-1: {address: a}}", environ=environ).origins
    assert origins["aws.client_pool_size"] == "env:BCCE_CLIENT_POOL_SIZE"
    assert origins["targets.web-1.port"] == "env:BCCE_TARGETS__WEB_1__PORT"
    assert origins["targets.web-1.address"] == f"{tmp_path / 'bcce.config.yaml'}:1"
    assert origins["home"] == "env:BCCE_HOME"


def test_a_part_of_a_map_comes_on_top_of_the_whole() -> None:
    environ = {"BCCE_TARGETS": "{web: {port: 1, address: a}}", "BCCE_TARGETS__WEB__PORT": "2"}
    assert load(Settings, Sources(environ=environ)).settings.targets == {"web": Target(address="a", port=2)}


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("BCCE_AWS__REGOIN", "did you mean BCCE_AWS__REGION?"),
        ("BCCE_HOMES", "did you mean BCCE_HOME?"),
        ("BCCE_CLIENT_POOLSIZE", "did you mean BCCE_CLIENT_POOL_SIZE?"),
        ("BCCE_AWS", "that is a section; its variables are BCCE_AWS__REGION, BCCE_AWS__PROFILE, BCCE_AWS__CLIENT_POOL_SIZE"),
        ("BCCE_MAIL", "that is a section; its variables are BCCE_MAIL__PASSWORD, BCCE_MAIL__SENDER, BCCE_MAIL__IS_ENABLED, …"),
        ("BCCE_ZZZZZZZZZZZZZZZZ", "a setting's variable is BCCE_<SECTION>__<KEY>"),
        ("BCCE_TARGETS__WEB", None),
        ("BCCE_TARGETS__WEB__PROT", None),
        ("BCCE_TARGETS____PORT", None),
        ("BCCE_MAIL__PORTS__0", None),
        ("BCCE_MAIL__SENDER__X", None),
        ("BCCE_VERSION", None),
        ("BCCE_ENVIRONMENTS", None),
        ("BCCE_ENVIRONMENTS__PROD__NAME", None),
        ("BCCE_aws__region", None),
        ("BCCE_AWS__region", None),
        ("BCCE_TARGETS__web__port", None),
        ("BCCE_targets__web__PORT", None),
        ("BCCE_NAME\udcff", None),
        ("BCCE_TARGETS__x\udcff__PORT", None),
        ("BCCE_", None),
    ],
)
def test_a_variable_that_sets_nothing_is_an_error(name: str, hint: str | None) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(Settings, Sources(environ={name: "1"}))
    (problem,) = caught.value.problems
    assert (problem.message, problem.source) == ("no setting has this variable", name)
    if hint is not None:
        assert problem.hint == hint


@pytest.mark.parametrize(
    "name",
    [
        "BCCE_TEST_POSTGRES_URL",
        "BCCE_REQUIRE_SERVICES",
        "BCCE_SOAK_ROUNDS",
        "BCCE_CONFIG",
        "BCCE_DEBUG",
        "bcce_name",
        "HOME",
        "PATH",
        "XBCCE_NAME",
    ],
)
def test_variables_of_others_are_left_alone(name: str) -> None:
    assert load(Settings, Sources(environ={name: "/x"})).settings == Settings()


@pytest.mark.parametrize("name", ["BCCE_NAME", "BCCE_HOME", "BCCE_ENV", "BCCE_MAIL__PASSWORD", "BCCE_MAIL__PORTS", "BCCE_PLUGIN_PATH"])
def test_a_value_that_is_no_text_names_its_variable_and_shows_no_value(name: str) -> None:
    """Python gives bytes that are not UTF-8 as halves of surrogate pairs."""
    with pytest.raises(InvalidConfig) as caught:
        load(Settings, Sources(environ={name: "x\udcff", "BCCE_MAIL__SENDER": "somebody"}))
    (problem,) = caught.value.problems
    assert (problem.message, problem.source) == ("the value is not UTF-8 text", name)
    assert "somebody" not in f"{caught.value} {caught.value.details}"


@pytest.mark.parametrize("sources", [Sources(environment="x\udcff"), Sources(overrides={"mail.sender": "x\udcff"})])
def test_an_option_that_is_no_text_is_a_problem(sources: Sources) -> None:
    with pytest.raises(InvalidConfig, match="the value is not UTF-8 text"):
        load(Settings, sources)


def test_one_name_in_two_spellings_is_an_error() -> None:
    with pytest.raises(InvalidConfig, match="BCCE_TARGETS__WEB__PORT and BCCE_TARGETS__web__PORT are the same setting"):
        load(Settings, Sources(environ={"BCCE_TARGETS__WEB__PORT": "1", "BCCE_TARGETS__web__PORT": "2"}))


def test_two_variables_for_one_setting_are_an_error() -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(Settings, Sources(environ={"BCCE_CLIENT_POOL_SIZE": "1", "BCCE_AWS__CLIENT_POOL_SIZE": "2"}))
    (problem,) = caught.value.problems
    assert problem.message == "BCCE_AWS__CLIENT_POOL_SIZE and BCCE_CLIENT_POOL_SIZE are the same setting"
    assert problem.hint == "unset one of them"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("BCCE_MAIL__PORTS", "[1", "the value cannot be read: this is no valid YAML: expected ',' or ']', but got '<stream end>'"),
        ("BCCE_MAIL__PORTS", "1,2", "mail.ports must be a list, not '1,2'"),
        ("BCCE_GUARDRAILS", "yes", "guardrails must be true or false, not 'yes'"),
        ("BCCE_MAIL__COLOUR", "blue", "mail.colour must be 'red' or 'green', not 'blue'"),
        ("BCCE_TARGETS", "{a: {prot: 1}}", "unknown key 'prot'"),
        ("BCCE_AWS__REGION", "virginia", "aws.region is not valid: 'virginia' does not look like an AWS region, such as us-east-1"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_variable(name: str, text: str, message: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(Settings, Sources(environ={name: text}))
    (problem,) = caught.value.problems
    assert (problem.message, problem.source) == (message, name)


def test_a_model_without_a_setting_has_no_variable_for_it() -> None:
    with pytest.raises(InvalidConfig, match="BCCE_CLIENT_POOL_SIZE: no setting has this variable"):
        load(MailSettings, Sources(environ={"BCCE_CLIENT_POOL_SIZE": "1"}))

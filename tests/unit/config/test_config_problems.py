"""Everything that is wrong with a configuration is one error that says where, what and what instead, and never shows a secret."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests.unit.config.example_settings import MailSettings, Settings, load_text, problems_of, write

from bcce.config.document import read_yaml
from bcce.config.errors import InvalidConfig, Problem
from bcce.config.explain import explain
from bcce.config.layers import Origin, Reader
from bcce.config.load import Sources, load

HIDDEN = "hunter2"


@pytest.mark.parametrize(
    ("text", "place", "field", "message", "hint"),
    [
        ("nmae: x", (1, 1), "nmae", "unknown key 'nmae'", "did you mean 'name'?"),
        ("mail:\n  timeoutSs: 1", (2, 3), "mail.timeoutSs", "unknown key 'timeoutSs'", "did you mean 'timeoutS'?"),
        ("mail:\n  timeot_s: 1", (2, 3), "mail.timeot_s", "unknown key 'timeot_s'", "did you mean 'timeout_s'?"),
        ("mail: {TimeoutS: 1}", (1, 8), "mail.TimeoutS", "unknown key 'TimeoutS'", "did you mean 'timeoutS'?"),
        ("targets: {a: {prot: 1}}", (1, 15), "targets.a.prot", "unknown key 'prot'", "did you mean 'port'?"),
        ("rules:\n- label: a\n- lable: b\n  label: c", (3, 3), "rules.1.lable", "unknown key 'lable'", "did you mean 'label'?"),
        ("plain: {zzz: 1}", (1, 9), "plain.zzz", "unknown key 'zzz'", "known here: expires_after_s"),
        ("name: 5", (1, 1), "name", "name must be text, not 5", "put it in quotes"),
        ("name: true", (1, 1), "name", "name must be text, not true", "put it in quotes"),
        ("name: null", (1, 1), "name", "name must be text, not null", "put it in quotes"),
        ("name: [a]", (1, 1), "name", "name must be text", "put it in quotes"),
        ("name: ''", (1, 1), "name", "name must not be empty", None),
        ("guardrails: 1", (1, 1), "guardrails", "guardrails must be true or false, not 1", None),
        ("guardrails: yes", (1, 1), "guardrails", "guardrails must be true or false, not 'yes'", None),
        ("aws: {clientPoolSize: 5.5}", (1, 7), "aws.client_pool_size", "aws.client_pool_size must be a whole number, not 5.5", None),
        ("aws: {clientPoolSize: '5'}", (1, 7), "aws.client_pool_size", "aws.client_pool_size must be a whole number, not '5'", None),
        ("aws: {clientPoolSize: 0}", (1, 7), "aws.client_pool_size", "aws.client_pool_size must be at least 1, not 0", None),
        ("aws: {clientPoolSize: 501}", (1, 7), "aws.client_pool_size", "aws.client_pool_size must be at most 500, not 501", None),
        ("mail: {timeoutS: 0}", (1, 8), "mail.timeout_s", "mail.timeout_s must be more than 0, not 0", None),
        ("mail: {timeoutS: soon}", (1, 8), "mail.timeout_s", "mail.timeout_s must be a number, not 'soon'", None),
        ("auth: tokn", (1, 1), "auth", "auth must be 'token', 'identity-center' or 'none', not 'tokn'", "did you mean 'token'?"),
        ("auth: 5", (1, 1), "auth", "auth must be 'token', 'identity-center' or 'none', not 5", None),
        ("mail: {colour: greeen}", (1, 8), "mail.colour", "mail.colour must be 'red' or 'green', not 'greeen'", "did you mean 'green'?"),
        ("mail: {colour: blue}", (1, 8), "mail.colour", "mail.colour must be 'red' or 'green', not 'blue'", None),
        ("mail: {code: [1]}", (1, 8), "mail.code", "mail.code must be text or must be a whole number", "put it in quotes"),
        ("regions: us-east-1", (1, 1), "regions", "regions must be a list, not 'us-east-1'", "write it as [a, b]"),
        (
            "regions: [us-east-1,\n  virginia]",
            (2, 3),
            "regions.1",
            "regions.1 is not valid: 'virginia' does not look like an AWS region, such as us-east-1",
            None,
        ),
        ("mail: {ports: [1, x]}", (1, 19), "mail.ports.1", "mail.ports.1 must be a whole number, not 'x'", None),
        ("mail: 5", (1, 1), "mail", "mail must be a section: a mapping of keys to values, not 5", None),
        ("mail: [a]", (1, 1), "mail", "mail must be a section: a mapping of keys to values", None),
        ("targets: [a]", (1, 1), "targets", "targets must be a mapping of keys to values", None),
        ("targets: {a: b}", (1, 11), "targets.a", "targets.a must be a section: a mapping of keys to values, not 'b'", None),
        ("rules:\n- maxItems: 2", (2, 3), "rules.0.label", "rules.0.label is required", None),
        ("rules: [5]", (1, 9), "rules.0", "rules.0 must be a section: a mapping of keys to values, not 5", None),
        ("rules: [null]", (1, 9), "rules.0", "rules.0 must be a section: a mapping of keys to values, not null", None),
        ("mail:\n  isEnabled: true", (1, 1), "mail", "mail is not valid: mail needs a sender", None),
        (
            "environments: [a]",
            (1, 1),
            "environments",
            "environments must be a mapping of names to sections",
            "write environments: {prod: {…}}",
        ),
        ("environments: {a: 5}", (1, 16), "environments.a", "environments.a must be a mapping of keys to values", None),
        (
            "environments: {a: {version: '1.0'}}",
            (1, 20),
            "environments.a.version",
            "'version' is the same for all environments",
            "move it to the top of the file",
        ),
        ("env: prod", (1, 1), "env", "there is no environment 'prod'", "environments that are defined: none"),
        ("env: prdo\nenvironments: {prod: {}}", (1, 1), "env", "there is no environment 'prdo'", "did you mean 'prod'?"),
        ("env: 5\nenvironments: {prod: {}}", (1, 1), "env", "env must be text, not 5", "put it in quotes"),
    ],
)
def test_a_problem_names_its_place_its_key_and_what_to_write(
    tmp_path: Path, text: str, place: tuple[int, int], field: str, message: str, hint: str | None
) -> None:
    expected = Problem(message=message, source=str(tmp_path / "bcce.config.yaml"), line=place[0], column=place[1], field=field, hint=hint)
    assert problems_of(tmp_path, text) == [expected]


def test_both_spellings_of_one_key_are_an_error_that_names_both_lines(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, "mail:\n  timeout_s: 5\n\n  timeoutS: 6\n")
    assert problem.message == "'timeout_s' (line 2) and 'timeoutS' (line 4) are the same setting"
    assert (problem.line, problem.field, problem.hint) == (4, "mail.timeout_s", "keep one of them")


def test_everything_that_is_wrong_is_one_error_in_the_order_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "nmae: x\nauth: tokn\nmail:\n  ports: [x]\n  sneder: y\n")
    with pytest.raises(InvalidConfig) as caught:
        load(Settings, Sources(path=path, environ={"BCCE_MIAL__SENDER": "x"}, overrides={"mail.sendr": "x"}))
    error = caught.value
    assert (error.code, error.status, error.exit_code, error.path, error.line, error.column) == ("invalid-config", 400, 64, str(path), 1, 1)
    assert str(error) == error.message
    assert error.message.splitlines() == [
        "6 problems in the configuration:",
        f"  {path}:1:1: unknown key 'nmae' (did you mean 'name'?)",
        f"  {path}:2:1: auth must be 'token', 'identity-center' or 'none', not 'tokn' (did you mean 'token'?)",
        f"  {path}:4:11: mail.ports.0 must be a whole number, not 'x'",
        f"  {path}:5:3: unknown key 'sneder' (did you mean 'sender'?)",
        "  BCCE_MIAL__SENDER: no setting has this variable (did you mean BCCE_MAIL__SENDER?)",
        "  unknown setting 'mail.sendr' (did you mean 'sender'?)",
    ]
    assert error.details["problems"] == [problem.to_dict() for problem in error.problems]
    assert error.hint is None


def test_a_single_problem_is_the_error_itself(tmp_path: Path) -> None:
    path = write(tmp_path, "nmae: x")
    with pytest.raises(InvalidConfig) as caught:
        load(Settings, Sources(path=path))
    assert (caught.value.message, caught.value.hint) == (f"{path}:1:1: unknown key 'nmae'", "did you mean 'name'?")
    assert caught.value.details["problems"] == [
        {"message": "unknown key 'nmae'", "source": str(path), "line": 1, "column": 1, "field": "nmae", "hint": "did you mean 'name'?"}
    ]


def test_what_is_wrong_in_an_environment_that_was_not_chosen_is_found_too(tmp_path: Path) -> None:
    text = """\
mail: {sender: a}
environments:
  dev: {mail: {timeoutS: 5}}
  prod:
    mial: {}
    mail: {timeoutS: never, isEnabled: true, sender: null}
"""
    for environment in (None, "dev", "prod"):
        problems = problems_of(tmp_path, text, environment=environment)
        assert [(problem.line, problem.field) for problem in problems] == [(5, "environments.prod.mial"), (6, "mail.timeout_s")]


def test_a_rule_across_keys_is_checked_for_every_environment(tmp_path: Path) -> None:
    text = "mail: {sender: a}\nenvironments:\n  prod:\n    mail: {isEnabled: true, sender: null}"
    (problem,) = problems_of(tmp_path, text)
    assert (problem.message, problem.line) == ("mail is not valid: mail needs a sender", 4)


def test_a_wrong_value_in_the_file_is_found_even_if_a_variable_replaces_it(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, "name: 5", environ={"BCCE_NAME": "x"})
    assert problem.message == "name must be text, not 5"


def test_what_a_variable_completes_is_no_problem_of_the_file(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "mail: {isEnabled: true}", environ={"BCCE_MAIL__SENDER": "x"}) == []


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        (f"mail: {{password: [{HIDDEN}]}}", {}),
        ("mail: {password: 2}", {"environ": {"BCCE_MAIL__PASSWORDS": HIDDEN}}),
        (f"mail: {{pasword: {HIDDEN}}}", {}),
        (f"mail: {{password: 'with blank {HIDDEN}'}}", {}),
        (f"name: 5\nunknown: {HIDDEN}", {}),
        (f"name: x\nname: {HIDDEN}", {}),
        (f"name: x\n name2: {HIDDEN}", {}),
        (f"name: '{HIDDEN}\nmail: x", {}),
        (f"plain: {{expiresAfterS: 'postgresql://me:{HIDDEN}@db/x'}}", {}),
        (f"guardrails: 'bcce_pat_{HIDDEN}aaaaaaaaaaaaaaa'", {}),
        ("", {"environ": {"BCCE_MAIL__PORTS": f"[{HIDDEN}"}}),
        ("", {"overrides": {"mail.pasword": HIDDEN}}),
        ("", {"overrides": {"mail.password": [HIDDEN]}}),
        (f"environments: {{prod: {{mail: {{password: [{HIDDEN}]}}}}}}", {}),
    ],
)
def test_no_error_shows_a_secret(tmp_path: Path, text: str, sources: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load_text(tmp_path, text, **sources)
    error: BaseException | None = caught.value
    while error is not None:
        assert HIDDEN not in f"{error} {error!r} {vars(error)}"
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("key", ["api_token", "password", "client_secret", "privateKey"])
def test_a_value_under_a_key_with_a_telling_name_is_not_shown(tmp_path: Path, key: str) -> None:
    (problem,) = problems_of(tmp_path, f"targets: {{{key}: {HIDDEN}}}")
    assert problem.message == f"targets.{key} must be a section: a mapping of keys to values"


def test_what_a_validator_says_about_a_secret_is_not_repeated(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, f"mail: {{password: 'with blank {HIDDEN}'}}")
    assert problem.message == "mail.password cannot be used"


def test_a_long_value_is_shown_in_part(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, f"guardrails: {'x' * 100}")
    assert problem.message == f"guardrails must be true or false, not '{'x' * 58}…"


@pytest.mark.parametrize(
    ("environ", "overrides", "message"),
    [
        ({"BCCE_ENV": "prod"}, {}, "BCCE_ENV: there is no environment 'prod'"),
        ({}, {"mail.timeout_s": 0}, "mail.timeout_s must be more than 0, not 0"),
        ({}, {"nmae": 0}, "unknown setting 'nmae'"),
        ({"BCCE_AWS__CLIENT_POOL_SIZE": "many"}, {}, "BCCE_AWS__CLIENT_POOL_SIZE: aws.client_pool_size must be a whole number, not 'many'"),
    ],
)
def test_a_problem_outside_the_file_names_its_source(environ: dict[str, str], overrides: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidConfig) as caught:
        load(Settings, Sources(environ=environ, overrides=overrides))
    assert (caught.value.message, caught.value.line) == (message, None)


def test_an_environment_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, "environments: {prod: {}, dev: {}}", environment="prud")
    assert str(problem) == "--env: there is no environment 'prud' (did you mean 'prod'?)"


def test_a_model_without_overlays_has_no_environment_to_choose() -> None:
    with pytest.raises(InvalidConfig, match="there is no environment 'prod'"):
        load(MailSettings, Sources(environment="prod"))


def test_a_key_that_only_pydantic_knows_is_named_where_its_section_is(tmp_path: Path) -> None:
    document = read_yaml("mail:\n  nothing: 1")
    tree = Reader([]).section({"mail": {}}, Settings, Origin(source="f", document=document))
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(document.value)
    ((_, problem),) = explain(caught.value, Settings, tree)
    assert (problem.line, problem.field) == (2, "mail.nothing")


def test_an_environment_unlike_any_other_is_answered_with_what_there_is(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, "environments: {prod: {}, dev: {}}", environment="zzz")
    assert problem.hint == "known here: prod, dev"

"""Secrets in settings: text comes in, a mask goes out."""

import pytest
from pydantic import Field, ValidationError

from bcce.config.fields import SecretField
from bcce.config.model import Section
from bcce.kit.redact import MASK, Secret


class Account(Section):
    """A section with a secret."""

    password: SecretField = Field(description="The password.")
    max_tries: int = 3


@pytest.mark.parametrize("value", ["hunter2", Secret("hunter2")])
def test_text_and_secrets_are_taken(value: object) -> None:
    assert Account.model_validate({"password": value}).password == Secret("hunter2")


def test_json_text_is_taken() -> None:
    assert Account.model_validate_json('{"password": "hunter2"}').password.reveal() == "hunter2"


def test_every_way_out_gives_the_mask() -> None:
    account = Account(password=Secret("hunter2"))
    assert account.model_dump()["password"] == MASK
    assert account.model_dump(mode="json")["password"] == MASK
    for shown in (repr(account), str(account), account.model_dump_json()):
        assert "hunter2" not in shown


@pytest.mark.parametrize("value", ["", 5, None, ["hunter2"], b"hunter2x\xff"])
def test_anything_else_is_refused_without_being_shown(value: object) -> None:
    with pytest.raises(ValidationError) as caught:
        Account.model_validate({"password": value})
    assert "hunter2" not in str(caught.value)


def test_the_schema_says_that_it_is_a_password() -> None:
    assert Account.model_json_schema()["properties"]["password"] == {
        "description": "The password.",
        "format": "password",
        "minLength": 1,
        "title": "Password",
        "type": "string",
        "writeOnly": True,
    }


def test_a_section_is_frozen_and_refuses_unknown_keys() -> None:
    account = Account(password=Secret("hunter2"))
    with pytest.raises(ValidationError, match="frozen"):
        account.max_tries = 4  # type: ignore[misc]  # that is what is tested
    with pytest.raises(ValidationError, match="Extra inputs"):
        Account.model_validate({"password": "hunter2", "nothing": 1})


def test_a_section_takes_both_spellings() -> None:
    assert Account.model_validate({"password": "x", "maxTries": 4}) == Account.model_validate({"password": "x", "max_tries": 4})

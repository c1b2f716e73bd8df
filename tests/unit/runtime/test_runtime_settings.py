"""The whole configuration's own behaviour."""

from pathlib import Path

import pytest

from bcce.runtime.runtime import database_url
from bcce.runtime.settings import Settings


def settings(url: str | None) -> Settings:
    """The defaults with this database."""
    return Settings.model_validate({"database": {"url": url}})


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        (None, []),
        ("sqlite:////var/lib/bcce.db", []),
        ("postgresql://bcce@db/bcce", []),
        ("postgresql://bcce:@db/bcce", []),
        ("postgresql://bcce:p%40ss@db/bcce", ["p%40ss", "p@ss"]),
        ("postgresql://[bcce:secret@db/bcce", []),
    ],
)
def test_the_password_in_the_address_is_masked_as_written_and_as_meant(url: str | None, secrets: list[str]) -> None:
    assert [secret.reveal() for secret in settings(url).database.secrets()] == secrets


def test_the_address_is_in_no_dump() -> None:
    made = settings("postgresql://bcce:hunter2@db/bcce")

    assert "hunter2" not in made.model_dump_json() + repr(made) + str(made.model_dump())
    assert database_url(made, Path("/home")) == "postgresql://bcce:hunter2@db/bcce"


def test_without_an_address_the_database_is_a_file_under_the_home() -> None:
    assert database_url(settings(None), Path("/srv/bcce")) == "sqlite:////srv/bcce/bcce.db"

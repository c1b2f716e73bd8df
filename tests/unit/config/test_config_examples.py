"""The two published configuration formats load as they were published."""

from pathlib import Path

import pytest
from tests.unit.config.example_settings import write

from bcce.config.core import CoreSettings
from bcce.config.errors import InvalidConfig
from bcce.config.load import Loaded, Sources, load
from bcce.runtime.settings import Settings

YAML_EXAMPLE = """\
# Global config (bcce.config.yaml)
version: "1.0"
name: "my-project"

# Environment-specific config
environments:
  dev:
    aws:
      region: "us-west-2"
      profile: "dev"
  prod:
    aws:
      region: "us-east-1"\x20
      profile: "prod"
"""

JSON_EXAMPLE = """\
{
  "version": "0.1.0",
  "auth": "identity-center",
  "regions": ["us-east-1"],
  "guardrails": true,
  "privatelink": true,
  "analytics": {
    "model": "open-source-self-hosted",
    "configuration": {
      "encryption": true,
      "auditLogging": true,
      "networkIsolation": true,
      "mfaRequired": true
    }
  }
}
"""

MODELS = pytest.mark.parametrize("model", [CoreSettings, Settings], ids=["core", "all"])


@MODELS
@pytest.mark.parametrize(
    ("environment", "region", "profile"), [(None, None, None), ("dev", "us-west-2", "dev"), ("prod", "us-east-1", "prod")]
)
def test_the_yaml_example_loads_with_each_of_its_environments(
    tmp_path: Path, model: type[CoreSettings], environment: str | None, region: str | None, profile: str | None
) -> None:
    loaded: Loaded[CoreSettings] = load(model, Sources(path=write(tmp_path, YAML_EXAMPLE), environment=environment))
    settings = loaded.settings
    assert (settings.version, settings.name, settings.env) == ("1.0", "my-project", environment)
    assert (settings.aws.region, settings.aws.profile) == (region, profile)
    assert (settings.environments, loaded.environments) == (("dev", "prod"), ("dev", "prod"))


@MODELS
def test_the_json_example_loads_with_every_value(tmp_path: Path, model: type[CoreSettings]) -> None:
    settings = load(model, Sources(path=write(tmp_path, JSON_EXAMPLE, "bcce.config.json"))).settings
    assert (settings.version, settings.auth, settings.regions, settings.guardrails) == ("0.1.0", "identity-center", ("us-east-1",), True)
    assert (settings.privatelink, settings.analytics["model"]) == (True, "open-source-self-hosted")
    assert settings.analytics["configuration"] == {"encryption": True, "auditLogging": True, "networkIsolation": True, "mfaRequired": True}


def test_what_the_json_example_sets_and_nothing_reads_is_said(tmp_path: Path) -> None:
    notices = load(CoreSettings, Sources(path=write(tmp_path, JSON_EXAMPLE, "bcce.config.json"))).notices
    assert "privatelink: accepted, not used yet" in notices
    assert "analytics: accepted, not used yet" in notices


def test_what_a_file_does_not_set_is_not_talked_about(tmp_path: Path) -> None:
    assert load(CoreSettings, Sources(path=write(tmp_path, "name: x"))).notices == ()


@pytest.mark.parametrize("version", ['"2.0"', '"1"', "1", "0.1", "true", '""'])
def test_another_version_is_one_clear_error_whatever_else_is_in_the_file(tmp_path: Path, version: str) -> None:
    path = write(tmp_path, f"name: x\nversion: {version}\nunheard: of\n")
    with pytest.raises(InvalidConfig) as caught:
        load(CoreSettings, Sources(path=path))
    error = caught.value
    assert (len(error.problems), error.path, error.line, error.column, error.field) == (1, str(path), 2, 1, "version")
    assert "is not supported" in error.message
    assert error.hint == 'supported are version: "1.0" and version: "0.1.0"'


@pytest.mark.parametrize(
    ("text", "expected"), [("version: 1.0", "1.0"), ('version: "1.0"', "1.0"), ("version: 0.1.0", "0.1.0"), ("", "1.0")]
)
def test_a_version_needs_no_quotes_and_may_be_left_out(tmp_path: Path, text: str, expected: str) -> None:
    assert load(CoreSettings, Sources(path=write(tmp_path, text))).settings.version == expected

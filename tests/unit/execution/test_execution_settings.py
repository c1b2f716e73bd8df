"""Settings and wiring of execution."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from bcce.execution.executor import Executor
from bcce.execution.executors.local import LocalExecutor
from bcce.execution.marker.protocol import WRAPPER
from bcce.execution.model import Target
from bcce.execution.settings import ExecutionSettings
from bcce.execution.signing import Verifier
from bcce.kit.clock import Clock
from bcce.plugins import Registry, Services
from bcce.security.crypto import Ed25519Signer
from bcce.security.secrets import SecretStore
from bcce.testing.clock import FrozenClock
from bcce.testing.executor import RecordingExecutor

JOBS = Path("/var/lib/bcce/jobs")


def test_this_machine_is_a_target_without_any_configuration() -> None:
    assert ExecutionSettings().resolved_targets(JOBS) == {"local": Target(name="local", executor="local", base_dir="/var/lib/bcce/jobs")}


def test_configured_targets_are_resolved_by_name() -> None:
    settings = ExecutionSettings.model_validate(
        {
            "targets": {
                "web": {"executor": "ssh", "address": "web-1", "baseDir": "/jobs", "login": "fixer", "hostKeys": ["k"]},
                "ram": {"baseDir": "/ram"},
            }
        }
    )
    targets = settings.resolved_targets(JOBS)
    assert sorted(targets) == ["local", "ram", "web"]
    assert targets["web"] == Target(name="web", executor="ssh", address="web-1", base_dir="/jobs", login="fixer", host_keys=("k",))
    assert targets["ram"] == Target(name="ram", executor="local", base_dir="/ram")


def test_the_local_target_can_be_configured() -> None:
    settings = ExecutionSettings.model_validate({"targets": {"local": {"baseDir": "/ram"}}})
    assert settings.resolved_targets(JOBS)["local"].base_dir == "/ram"


@pytest.mark.parametrize(
    "values",
    [
        {"outputLimitKib": 0},
        {"stopGraceS": -1},
        {"replyTimeoutS": 0},
        {"searchPath": "bin"},
        {"searchPath": "/bin:"},
        {"searchPath": "/bin::/usr/bin"},
        {"searchPath": ""},
        {"locale": "C; touch /x"},
        {"targets": {"x": {"baseFolder": "/x"}}},
    ],
)
def test_a_value_that_makes_no_sense_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ExecutionSettings.model_validate(values)


def test_the_local_executor_is_found_through_its_entry_point() -> None:
    services = Services()
    services.add(Clock, FrozenClock())  # type: ignore[type-abstract]  # a Protocol is the key
    services.add(Verifier, Ed25519Signer(bytes(32)).verifier())  # type: ignore[type-abstract]  # as above
    services.add(ExecutionSettings, ExecutionSettings())
    services.add(SecretStore, SecretStore({}, (), dict))
    registry: Registry[Executor] = Registry("bcce.executors", Executor)  # type: ignore[type-abstract]  # the door
    assert isinstance(registry.build("local", services), LocalExecutor)


def test_the_wrapper_ships_with_the_package() -> None:
    assert (WRAPPER.name, WRAPPER.is_file(), WRAPPER.parent.name) == ("wrapper.sh", True, "marker")


def test_both_executors_are_what_the_door_asks_for() -> None:
    verifier = Ed25519Signer(bytes(32)).verifier()
    doors: list[Executor] = [
        LocalExecutor(clock=FrozenClock(), verifier=verifier, settings=ExecutionSettings()),
        RecordingExecutor(clock=FrozenClock(), verifier=verifier),
    ]
    assert [door.name for door in doors] == ["local", "recording"]

"""What an operator can set about starting scripts."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from bcce.config.model import Section
from bcce.execution.model import Target

LOCAL_TARGET = "local"


class TargetSettings(Section):
    """One entry of `execution.targets`."""

    executor: str = Field(default="local", description="The executor that reaches the target.")
    address: str | None = Field(
        default=None,
        description="Host name or address; none: this machine. Entries with the same host are one machine: one script there at a time.",
    )
    base_dir: str | None = Field(
        default=None,
        description="Absolute path of the folder on the target that keeps the jobs; leave it out for one in BCCE's state folder.",
    )
    login: str | None = Field(default=None, description="The account that scripts run as; leave it out for the account of the server.")
    host_keys: tuple[str, ...] = Field(default=(), description="The host keys that are accepted.")
    groups: tuple[str, ...] = Field(default=(), description="Groups that the target is in, for the layers of the script policy.")


class ExecutionSettings(Section):
    """The section `execution`."""

    targets: dict[str, TargetSettings] = Field(
        default_factory=dict, description="Where scripts may run, by name. This machine is always there as `local`."
    )
    output_limit_kib: int = Field(default=1024, ge=1, le=65_536, description="How much of a script's output is kept on the target, in KiB.")
    stop_grace_s: int = Field(
        default=5,
        ge=0,
        le=300,
        description="Seconds between asking the processes of a job to end and killing them, when it is stopped or out of time.",
    )
    reply_timeout_s: float = Field(default=30.0, gt=0, le=300, description="Seconds after which a target that does not answer is given up.")
    max_processes: int = Field(default=16, ge=1, le=256, description="How many questions to this machine's jobs may be open at once.")
    search_path: str = Field(
        default="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        pattern=r"^/[^:\x00\n]*(:/[^:\x00\n]*)*$",
        description="PATH of every script on this machine; absolute folders.",
    )
    locale: str = Field(default="C.UTF-8", pattern=r"^[A-Za-z0-9_.@-]+$", description="LANG and LC_ALL of every script on this machine.")

    def target_groups(self) -> Mapping[str, tuple[str, ...]]:
        """The groups of every target that is configured."""
        return {name: entry.groups for name, entry in self.targets.items()}

    def resolved_targets(self, jobs_dir: Path) -> Mapping[str, Target]:
        """Every target by name, this machine among them.

        Args:
            jobs_dir: absolute; where the jobs of targets without a base folder are kept.

        Raises:
            InvalidTarget: a name or a base folder cannot be used.
        """
        entries = {LOCAL_TARGET: TargetSettings()} | self.targets
        return {
            name: Target(
                name=name,
                executor=entry.executor,
                address=entry.address,
                base_dir=entry.base_dir or str(jobs_dir),
                login=entry.login,
                host_keys=entry.host_keys,
            )
            for name, entry in entries.items()
        }

"""Disks and file systems that are overwritten."""

import re
from collections.abc import Iterable

from bcce.kit.findings import Rule, Severity, Verdict
from bcce.safety.bash.effects import writes
from bcce.safety.bash.paths import is_device
from bcce.safety.bash.view import Call, View
from bcce.safety.rules.bash import Place

RULE = Rule(
    id="bash.destroy-disk",
    title="A disk or file system is overwritten",
    severity=Severity.CRITICAL,
    verdict=Verdict.BLOCK,
    why="everything on it is lost and nothing brings it back",
    instead="free space by removing named files, or extend the volume",
    tags=("T1561", "T1485"),
    examples_match=(
        "mkfs.ext4 /dev/sdb1",
        "dd if=/dev/zero of=/dev/sda bs=1M",
        "echo x > /dev/nvme0n1",
        "sudo wipefs -a /dev/sdb",
        "shred -v /dev/sda",
    ),
    examples_pass=("dd if=/dev/zero of=/tmp/file bs=1M count=1", "lsblk /dev/sda", "echo x > /dev/null"),
)
_FORMATTERS = re.compile(r"mkfs(\..*)?|mke2fs|mkswap|mkntfs|mkdosfs|mkfat|newfs|blkdiscard|nwipe|scrub|dban|mkexfatfs|mkreiserfs")
_REMOVERS = frozenset({"lvremove", "vgremove", "pvremove"})


def find(view: View) -> Iterable[Place]:
    """Formatters, removed volumes, and anything that writes to a block device."""
    for call in view.calls:
        if call.name is not None and _destroys(call, call.name):
            yield Place(call.command)
    for redirect in view.redirects():
        if writes(view, redirect) and any(is_device(target) for target in view.targets(redirect)):
            yield Place(redirect)


def _destroys(call: Call, name: str) -> bool:
    values = call.values
    if _FORMATTERS.fullmatch(name):
        return (
            not call.has("-n", "-V")
            and not (name == "mkswap" and not any(is_device(value) for value in call.operands))
            and bool(call.operands or call.is_fed)
        )
    if name in _REMOVERS:
        return True
    if name == "dd":
        return any(value.startswith("of=") and is_device(value[3:]) for value in call.args)
    if name in ("shred", "tee", "truncate", "cp", "wipe", "fallocate", "gdd", "dcfldd", "pv", "cat", "hdparm"):
        if name == "hdparm":
            return any(re.match(r"--(security-erase|trim-sector|make-bad|write-sector|yes-i-know)", value) for value in values)
        return name not in ("cat", "pv") and any(is_device(value) for value in (call.operands[-1:] if name in ("cp",) else call.operands))
    if name == "wipefs":
        return call.has("-a", "--all", "-o", "-f")
    if name in ("sgdisk", "gdisk"):
        return call.has("-Z", "-z", "-o", "-d", "--zap-all", "--zap", "--clear")
    if name in ("parted", "sfdisk", "fdisk", "cfdisk"):
        return any(value in ("mklabel", "mktable", "rm", "mkpart", "--delete", "--wipe") for value in values) or (
            name == "sfdisk"
            and bool(call.operands)
            and not call.has("-l", "-d", "-V", "-J", "--list", "--dump", "--verify", "--json", "-n")
        )
    if name == "cryptsetup":
        return any(value in ("luksFormat", "luksErase", "erase", "reencrypt", "luksKillSlot", "luksRemoveKey") for value in values)
    if name in ("zpool", "zfs"):
        return any(value in ("destroy", "labelclear") for value in values[:1])
    if name == "mdadm":
        return call.has("--zero-superblock") or ("--remove" in values and "--fail" in values)
    if name == "nvme":
        return any(value in ("format", "sanitize", "write-zeroes", "delete-ns") for value in values[:1])
    if name == "sg_format" or name == "mkfs":
        return True
    if name == "dmsetup":
        return any(value in ("remove_all", "wipe_table") for value in values[:1])
    return name == "btrfs" and values[:2] == ("device", "delete")

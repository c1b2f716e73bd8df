"""What the architecture tests read: the package's modules, and the files that belong to the project."""

import ast
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "bcce"
#: Left out where the project is not a git checkout, such as in an unpacked source archive.
NOT_OURS = {".venv", ".git", "__pycache__", "dist", "build"}


@dataclass(frozen=True, slots=True)
class Source:
    """A module; `name` is its path below the package, such as `storage/writer.py`."""

    name: str
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.name)


def sources() -> list[Source]:
    """Every module of the package."""
    return [Source(file.relative_to(PACKAGE).as_posix(), file.read_text(encoding="utf-8")) for file in sorted(PACKAGE.rglob("*.py"))]


def project_files() -> list[Path]:
    """Every file that is in git or would be added to it."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - whichever git the developer uses
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0:
        return [ROOT / name for name in listing.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    return [file for file in sorted(ROOT.rglob("*")) if file.is_file() and not _is_left_out(file)]


def _is_left_out(file: Path) -> bool:
    return any(part in NOT_OURS or part.endswith("_cache") or part == ".hypothesis" for part in file.relative_to(ROOT).parts)

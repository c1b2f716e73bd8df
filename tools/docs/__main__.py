"""`python -m tools.docs [--check] [FOLDER]`: write the reference pages, or fail when they are not what the code says."""

import sys
from pathlib import Path

from tools.docs.pages import PAGES, index

FOLDER = Path(__file__).parents[2] / "docs" / "reference"


def expected() -> dict[str, str]:
    """Every page as the code says it should be, by file name."""
    return {"README.md": index(), **{name: write() for name, (write, _) in PAGES.items()}}


def differences(folder: Path) -> list[str]:
    """The names of the files in `folder` that are missing, different, or written by nobody."""
    pages = expected()
    found = {file.name: file.read_text(encoding="utf-8") for pattern in ("*.md", "*.json") for file in folder.glob(pattern)}
    return sorted(name for name in pages.keys() | found.keys() if pages.get(name) != found.get(name))


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` compare them; the exit status is 1 when a comparison fails."""
    places = [argument for argument in arguments if not argument.startswith("-")]
    folder = Path(places[0]) if places else FOLDER
    wrong = differences(folder)
    if "--check" in arguments:
        sys.stdout.write(f"out of date: {', '.join(wrong)}; run `make docs`\n" if wrong else "the reference pages are up to date\n")
        return 1 if wrong else 0
    folder.mkdir(parents=True, exist_ok=True)
    pages = expected()
    for name in wrong:
        if name in pages:
            (folder / name).write_text(pages[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    sys.stdout.write(f"written: {', '.join(wrong)}\n" if wrong else "nothing to write\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

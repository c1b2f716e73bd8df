"""What stays of the demonstration's folder."""

import asyncio
import shutil
from pathlib import Path

_TRIES = 20
_PAUSE_S = 0.1


async def remove(folder: Path) -> bool:
    """Removes the folder with everything in it; True when it is gone. Something that is still being written there is waited for."""
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():  # noqa: ASYNC240 - nothing else runs any more
            return True
        await asyncio.sleep(_PAUSE_S)
    return False


async def keep_logs(folder: Path) -> None:
    """Leaves nothing but the logs: no token, no key, no database."""
    for item in list(folder.iterdir()):  # noqa: ASYNC240 - nothing else runs any more
        if item.is_dir() and not item.is_symlink():
            await remove(item)
        elif item.suffix != ".log":
            item.unlink(missing_ok=True)

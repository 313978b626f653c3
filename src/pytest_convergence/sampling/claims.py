"""Who samples what: one process at a time holds a cassette, by an operating-system lock.

The lock dies with its process, so that a crashed worker blocks nobody.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pytest_convergence.files import disk_error

if TYPE_CHECKING:
    from filelock import BaseFileLock


class Claims:
    """The cassettes that this process may sample now.

    Parameters
    ----------
    folder
        Where lock files lie; the same for everybody who samples on this tree.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[PurePosixPath, BaseFileLock] = {}

    def take(self, cassette: PurePosixPath) -> bool:
        """Claim a cassette; False where another process holds it. Never waits.

        Raises
        ------
        SamplingError
            Where the lock file cannot be written.
        """
        if cassette in self._held:
            return True
        from filelock import FileLock, Timeout

        path = self._folder / cassette.with_suffix(".lock")
        lock = FileLock(path, thread_local=False)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire(blocking=False)
        except Timeout:
            return False
        except OSError as error:
            kept = "nothing was asked; what is recorded is kept"
            raise disk_error(error, doing="claim a cassette", path=path, kept=kept) from error
        self._held[cassette] = lock
        return True

    def release(self, cassette: PurePosixPath) -> None:
        """Let others have a cassette; nothing happens where it is not held."""
        lock = self._held.pop(cassette, None)
        if lock is not None:
            lock.release()

    def release_all(self) -> None:
        """Let others have everything."""
        for cassette in list(self._held):
            self.release(cassette)

    def __contains__(self, cassette: PurePosixPath) -> bool:
        return cassette in self._held

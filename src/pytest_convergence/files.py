"""Files that are either the old one or the new one, whenever the process dies."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from pytest_convergence.errors import SamplingError


def write_atomically(path: Path, data: bytes | Iterable[bytes], *, durable: bool = True) -> None:
    """Put ``data``, whole or in parts, in the place of ``path``, creating its folder.

    A reader sees the old bytes or the new ones. Where it is ``durable``, the data has reached the
    disk before the name does; what a replay makes again need not be waited for. One writer at a
    time: the temporary file has a fixed name, so that a killed writer leaves at most one, which
    the next overwrites.

    Raises
    ------
    OSError
        As the operating system gives it; ``path`` is then untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        with temporary.open("wb") as stream:
            stream.writelines([data] if isinstance(data, bytes) else data)
            if durable:
                stream.flush()
                os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_folder(path.parent)


def temporary_name(path: Path) -> Path:
    """Where :func:`write_atomically` writes first: hidden, beside ``path``."""
    return path.with_name(f".{path.name[:200]}.tmp")


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # folders cannot be opened there, and need not be
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def disk_error(error: OSError, *, doing: str, path: Path, kept: str) -> SamplingError:
    """What the operating system refused, as an error a person can act on.

    Parameters
    ----------
    error
        What was caught.
    doing
        What was going on, for the headline: ``"keep an answer"``.
    path
        The file concerned.
    kept
        What is safe all the same, and where.
    """
    what, fix = _DISK.get(error.errno or 0, ("the file cannot be written", "see the reason above"))
    reason = f"{type(error).__name__}: {error.strerror or error}"
    return SamplingError(
        f"cannot {doing}: {what} ({path})",
        details=[reason, kept],
        fix=[fix, "then run the same command again: only what is missing is asked for"],
    )


_DISK = {
    errno.ENOSPC: ("the disk is full", "free some space"),
    errno.EDQUOT: ("the disk quota is used up", "free some space"),
    errno.EFBIG: ("the file would exceed the size limit", "raise the limit (ulimit -f)"),
    errno.EROFS: ("the file system is read-only", "use a folder that can be written"),
    errno.EACCES: ("permission is denied", "make the folder writable for this user"),
    errno.EPERM: ("the operation is not permitted", "make the folder writable for this user"),
    errno.ENAMETOOLONG: (
        "the file's name is too long",
        "give the model or the test a shorter name",
    ),
    errno.ENOTDIR: ("a part of its path is a file, not a folder", "move that file away"),
    errno.EISDIR: ("there is a folder in its place", "move that folder away"),
}

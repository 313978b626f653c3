"""Python's search for cyclic garbage, kept from what a study holds to the end of the run."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

# New objects after which what is alive is set aside: a thousand responses.
_MANY = 10_000

_aside = False


@contextmanager
def collector_paused() -> Iterator[None]:
    """While the block runs nothing is searched: its objects form no cycles and live on.

    Reading a study makes objects by the hundred thousand, and looking through them again and
    again takes as long as making them. Where the block made so many, they are set aside until
    :func:`release`.
    """
    global _aside
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if gc.get_count()[0] > _MANY:
                gc.freeze()
                _aside = True
            gc.enable()


def release() -> None:
    """What was set aside is searched again, as everything else."""
    global _aside
    if _aside:
        gc.unfreeze()
        _aside = False

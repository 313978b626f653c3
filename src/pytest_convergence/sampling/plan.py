"""What will be asked: a unit is one case put to one model, n samples of it."""

from __future__ import annotations

from functools import lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import quote

from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.wire import Model, WireRequest


class Unit(NamedTuple):
    """n samples of one model's answer to one case.

    ``cassette`` is the recording's path below the cassette folder, ``test`` the node id that
    errors name, ``prompt_id`` sorts the recording and names the case in it. Responses are found
    by ``request`` and sample index alone, so that a renamed prompt id costs nothing. ``decoding``
    is what the user asked for, to see whether the provider took it.
    """

    cassette: PurePosixPath
    test: str
    model: Model
    prompt_id: str
    request: WireRequest
    samples: int
    decoding: Decoding | None = None


@lru_cache(maxsize=4096)  # asked for every case of a test and model
def cassette_path(test_file: str, test_name: str, model: str) -> PurePosixPath:
    """``evals/test_facts/test_capitals/openai%2Fgpt-4o.json`` for one test and one model.

    Parameters
    ----------
    test_file
        The test module's path from the rootdir, with forward slashes.
    test_name
        ``test_capitals`` or ``TestFacts.test_capitals``, without parameters.
    model
        The model's name; percent-encoded so that it is one path component everywhere.
    """
    folder = PurePosixPath(test_file).with_suffix("") / test_name
    return folder / f"{quote(model, safe='')}.json"

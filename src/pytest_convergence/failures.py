"""``<model>.missing.json``: the samples that finally failed, beside the cassette."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from msgspec import Struct, convert

from pytest_convergence.cassettes import FinalFailure, order
from pytest_convergence.errors import CassetteError
from pytest_convergence.files import write_atomically
from pytest_convergence.models.wire import WireRequest

FORMAT_VERSION = 1


class _Request(Struct):
    method: str
    uri: str
    body: str


class _Record(Struct):
    """One entry of the file, typed: it may have been edited."""

    prompt_id: str
    request: _Request
    sample: int
    status: int | None
    reason: str
    recorded_at: str
    run: str = ""


def missing_path(cassette: Path) -> Path:
    """``…/model.missing.json`` beside ``…/model.json``."""
    return cassette.with_name(f"{cassette.name.removesuffix('.json')}.missing.json")


def read_failures(path: Path) -> tuple[FinalFailure, ...]:
    """The failures in ``path``, in its order; none where there is no such file.

    Raises
    ------
    CassetteError
        Where the file cannot be read, saying where. It never counts as empty.
    """
    try:
        data = json.loads(path.read_text("utf-8"))
        if data["version"] != FORMAT_VERSION:
            raise ValueError(f"its version is {data['version']!r}; this reads {FORMAT_VERSION}")
        return tuple(_failure(record) for record in data["missing"])
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CassetteError(
            f"the list of missing samples {path} cannot be used",
            details=[f"{type(error).__name__}: {error}", "the file was left as it is"],
            fix=[f"restore it: git checkout -- {path}", "or delete it and record again"],
        ) from error


def write_failures(path: Path, failures: Iterable[FinalFailure]) -> None:
    """Replace ``path`` atomically, sorted like a cassette; without failures there is no file.

    Raises
    ------
    OSError
        Where the file cannot be written; it is then as it was.
    """
    records = [_record(failure) for failure in sorted(failures, key=order)]
    if records:
        text = json.dumps({"version": FORMAT_VERSION, "missing": records}, indent=1) + "\n"
        write_atomically(path, text.encode("ascii"))
    else:
        path.unlink(missing_ok=True)


def _record(failure: FinalFailure) -> dict[str, Any]:
    request = failure.request
    return {
        "prompt_id": failure.prompt_id,
        "request": {"method": request.method, "uri": request.url, "body": request.body},
        "sample": failure.sample,
        "status": failure.status,
        "reason": failure.reason,
        "recorded_at": failure.recorded_at,
        "run": failure.run,
    }


def _failure(record: Any) -> FinalFailure:
    kept = convert(record, _Record)
    return FinalFailure(
        WireRequest(kept.request.method, kept.request.uri, kept.request.body),
        kept.sample,
        kept.prompt_id,
        kept.status,
        kept.reason,
        kept.recorded_at,
        kept.run,
    )

"""What was said is kept: vcrpy's own file format, found by request and sample without a scan.

Reading needs neither vcrpy nor httpx; writing goes through vcrpy's serialisation, so that stock
``vcr.use_cassette`` replays what is written here. The sample index, the prompt id and the date
travel in headers of the *recorded* request; they are never sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from sys import intern
from threading import Lock
from typing import Any, NamedTuple, Protocol, TypeAlias

from msgspec import UNSET, Struct

from pytest_convergence.cassette_files import (
    DATE_HEADER,
    PROMPT_HEADER,
    SAMPLE_HEADER,
    UNTOUCHED,
    Interaction,
    RecordedRequest,
    RecordedResponse,
    incomplete,
    read_interactions,
)
from pytest_convergence.errors import CassetteError
from pytest_convergence.files import write_atomically
from pytest_convergence.garbage import collector_paused
from pytest_convergence.models.wire import WireRequest, WireResponse, canonical_json

_LOADING = Lock()


class Recorded(NamedTuple):
    """One sample's answer as it is kept.

    ``request`` and ``response`` are scrubbed. ``sample`` counts from 0 within the request,
    ``recorded_at`` is an ISO 8601 time in UTC (empty in files recorded by stock vcrpy).
    """

    request: WireRequest
    sample: int
    prompt_id: str
    response: WireResponse
    recorded_at: str


class FinalFailure(Struct, frozen=True):
    """A sample that was asked for, retried, and finally failed: missing, with its reason.

    ``status`` is the last HTTP status, None where no answer came at all. ``run`` names the run
    that asked for it: a run never asks again for what failed in itself.
    """

    request: WireRequest
    sample: int
    prompt_id: str
    status: int | None
    reason: str
    recorded_at: str
    run: str = ""


class Scrubber(Protocol):
    """What takes the secrets out of an interaction; see :mod:`pytest_convergence.scrubbing`."""

    def request(self, request: WireRequest) -> WireRequest:
        """The request as it is kept."""
        ...

    def response(self, response: WireResponse) -> WireResponse:
        """The response as it is kept."""
        ...


class _Verbatim:
    def request(self, request: WireRequest) -> WireRequest:
        return request

    def response(self, response: WireResponse) -> WireResponse:
        return response


@dataclass(frozen=True, eq=False, slots=True)
class Cassette:
    """The recordings of one test and model, in the order of the file; immutable."""

    path: Path
    recordeds: tuple[Recorded, ...]
    _index: _Index = field(repr=False)

    @classmethod
    def of(cls, path: Path, recordeds: Iterable[Recorded]) -> Cassette:
        """A cassette of these recordings.

        Raises
        ------
        CassetteError
            Where one sample of one request is there twice with different answers.
        """
        kept = tuple(recordeds)
        index: _Index = {}
        for recorded in kept:
            _put(index, recorded, path)
        return cls(path, kept, index)

    @classmethod
    def load(cls, path: Path, *, scrubber: Scrubber | None = None) -> Cassette:
        """The cassette in ``path``.

        A file that stock vcrpy recorded loads too: its bodies are made canonical, and the
        samples of a request are numbered in the order of the file.

        Parameters
        ----------
        path
            A JSON file in vcrpy's format, version 1.
        scrubber
            Applied to what stock vcrpy recorded, so that it is found and kept like ours.

        Raises
        ------
        CassetteError
            Where the file cannot be read or is not a cassette, saying where. A broken file never
            counts as empty, and is never overwritten.
        """
        with collector_paused():
            reader = _Reader(path, scrubber or _Verbatim())
            kept = tuple(reader.read(read_interactions(path)))
            return cls(path, kept, reader.index)

    def find(self, request: WireRequest, sample: int) -> Recorded | None:
        """One sample of a request, or None where it is not recorded."""
        return self._index.get((request, sample))

    def samples(self, request: WireRequest) -> dict[int, Recorded]:
        """All recorded samples of a request, by index; looks through the whole cassette."""
        return {one.sample: one for one in self.recordeds if one.request == request}

    def __len__(self) -> int:
        return len(self.recordeds)


def write(path: Path, recordeds: Iterable[Recorded]) -> None:
    """Replace the cassette ``path`` atomically by these recordings, sorted.

    The order is by prompt id, then request, then sample, whatever the order given. Indented by
    one space: as easy to read and to diff as vcrpy's four, a quarter smaller, and quicker to load.

    Raises
    ------
    OSError
        Where the file cannot be written; it is then as it was.
    """
    write_atomically(path, serialise(recordeds).encode("ascii"))


def serialise(recordeds: Iterable[Recorded]) -> str:
    """The text of a cassette file: ASCII, sorted, ending in a line feed."""
    # Two cassettes may be written at once, and vcr's modules import one another in a circle: two
    # threads that load them together can each meet the other's half-made module.
    with _LOADING:
        from vcr.request import Request
        from vcr.serialize import serialize

    ordered = sorted(recordeds, key=order)
    requests = [
        Request(kept.request.method, kept.request.url, kept.request.body, _request_headers(kept))
        for kept in ordered
    ]
    responses = [_response_record(kept.response) for kept in ordered]
    text: str = serialize({"requests": requests, "responses": responses}, _Indented)
    return text


def order(recorded: Recorded | FinalFailure) -> tuple[str, str, str, str, int]:
    """The sort key of recordings within a file."""
    request = recorded.request
    return (recorded.prompt_id, request.url, request.method, request.body, recorded.sample)


class _Indented:
    """vcrpy's serializer protocol with one space of indentation."""

    @staticmethod
    def serialize(cassette: Mapping[str, Any]) -> str:
        return json.dumps(cassette, indent=1) + "\n"


def _request_headers(recorded: Recorded) -> dict[str, str]:
    return {
        "content-type": "application/json",
        PROMPT_HEADER: recorded.prompt_id,
        DATE_HEADER: recorded.recorded_at,
        SAMPLE_HEADER: str(recorded.sample),
    }


def _response_record(response: WireResponse) -> dict[str, Any]:
    from http import HTTPStatus

    try:
        phrase = HTTPStatus(response.status).phrase
    except ValueError:
        phrase = ""
    return {
        "status": {"code": response.status, "message": phrase},
        "headers": {name: [value] for name, value in sorted(response.headers.items())},
        "body": {"string": response.body},
    }


def _twice(path: Path, recorded: Recorded) -> CassetteError:
    return CassetteError(
        f"the cassette {path} holds sample {recorded.sample} of prompt {recorded.prompt_id!r} "
        "twice, with different answers",
        details=["two versions of the file were probably merged", UNTOUCHED],
        fix=["delete one of the two interactions, or restore the file from version control"],
    )


_Index: TypeAlias = dict[tuple[WireRequest, int], Recorded]


def _put(index: _Index, recorded: Recorded, path: Path) -> None:
    """Find it by its request and sample from now on."""
    before = index.setdefault((recorded.request, recorded.sample), recorded)
    if before is not recorded and before.response != recorded.response:
        raise _twice(path, recorded)


class _Reader:
    """Reads the interactions of one file. The samples of a request share it: one is kept."""

    def __init__(self, path: Path, scrubber: Scrubber) -> None:
        self._path = path
        self._scrubber = scrubber
        self._texts: dict[str, str] = {}
        self._latest: WireRequest | None = None
        self._next: dict[WireRequest, int] = {}
        self.index: _Index = {}

    def read(self, interactions: list[Interaction]) -> Iterable[Recorded]:
        for number, interaction in enumerate(interactions):
            try:
                recorded = self._one(interaction.request, interaction.response)
            except (IndexError, ValueError) as error:
                raise incomplete(self._path, number, len(interactions), error) from error
            _put(self.index, recorded, self._path)
            yield recorded

    def _one(self, request: RecordedRequest, response: RecordedResponse) -> Recorded:
        wire_response = WireResponse(
            response.status.code,
            {
                _header_name(name): values[0] if len(values) == 1 else ", ".join(values)
                for name, values in response.headers.items()
            },
            response.body.string,
        )
        headers = request.headers
        if headers.sample is UNSET:
            return self._foreign(request, wire_response)
        if headers.prompt is UNSET or headers.recorded is UNSET:
            lacking = PROMPT_HEADER if headers.prompt is UNSET else DATE_HEADER
            raise ValueError(f"the request lacks the header {lacking}")
        # A file says the same method, address and date thousands of times.
        same = self._texts.setdefault
        wire_request = self._shared(
            WireRequest(
                same(request.method, request.method),
                same(request.uri, request.uri),
                request.body or "",
            )
        )
        sample, date = int(headers.sample[0]), headers.recorded[0]
        if self._next:  # of a file that stock vcrpy has written into
            self._next[wire_request] = max(self._next.get(wire_request, 0), sample + 1)
        return Recorded(
            wire_request, sample, intern(headers.prompt[0]), wire_response, same(date, date)
        )

    def _foreign(self, request: RecordedRequest, response: WireResponse) -> Recorded:
        wire = WireRequest(request.method, request.uri, _canonical(request.body or ""))
        wire = self._shared(self._scrubber.request(wire))
        if not self._next:
            for known, number in self.index:
                self._next[known] = max(self._next.get(known, 0), number + 1)
        sample = self._next.get(wire, 0)
        self._next[wire] = sample + 1
        return Recorded(wire, sample, "", self._scrubber.response(response), "")

    def _shared(self, request: WireRequest) -> WireRequest:
        if request != self._latest:  # they stand together in a file
            self._latest = request
        return self._latest


@lru_cache(maxsize=256)
def _header_name(name: str) -> str:
    return intern(name.lower())


def _canonical(body: str) -> str:
    try:
        return canonical_json(json.loads(body))
    except (ValueError, RecursionError):
        return body

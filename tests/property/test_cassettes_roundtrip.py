from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from vcr.serialize import deserialize
from vcr.serializers import jsonserializer

from pytest_convergence.cassettes import Cassette, FinalFailure, Recorded, order, serialise, write
from pytest_convergence.errors import CassetteError
from pytest_convergence.models.wire import WireRequest, WireResponse
from pytest_convergence.sampling.journal import Entry, Journal

anything = st.text(st.characters(), max_size=12)  # lone surrogates and control characters too
header_names = st.from_regex(r"[a-z][a-z-]{0,10}", fullmatch=True)
requests = st.builds(
    WireRequest,
    st.sampled_from(["POST", "GET"]),
    st.sampled_from(["https://h/v1", "callable://agent/2", "http://127.0.0.1:1/x?alt=sse"]),
    st.text(st.characters(codec="ascii"), max_size=30),
)
responses = st.builds(
    WireResponse,
    st.integers(100, 599),
    st.dictionaries(header_names, anything, max_size=3),
    anything,
)
recorded = st.builds(Recorded, requests, st.integers(0, 9), anything, responses, anything)
studies = st.lists(recorded, max_size=5, unique_by=lambda one: (one.request, one.sample))
failures = st.builds(
    FinalFailure,
    requests,
    st.integers(0, 9),
    anything,
    st.none() | st.integers(100, 599),
    anything,
    anything,
)


@settings(deadline=None)
@given(study=studies, data=st.data())
def test_whatever_was_written_is_read_back_whole_or_not_at_all(
    study: list[Recorded], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "deep" / "m.json"
        write(path, study)
        ordered = sorted(study, key=order)
        cassette = Cassette.load(path)
        assert list(cassette.recordeds) == ordered
        assert all(cassette.find(one.request, one.sample) == one for one in study)
        assert [one.name for one in path.parent.iterdir()] == ["m.json"]
        text = path.read_text("ascii")
        assert text == serialise(study)
        vcrpy_reads(text, ordered)
        path.write_text(text[: data.draw(st.integers(0, len(text) - 2))], "ascii")
        cut_off = path.read_bytes()
        with pytest.raises(CassetteError):
            Cassette.load(path)
        assert path.read_bytes() == cut_off


def vcrpy_reads(text: str, ordered: list[Recorded]) -> None:
    found, responses = deserialize(text, jsonserializer)
    assert [one.uri for one in found] == [one.request.url for one in ordered]
    assert [one["status"]["code"] for one in responses] == [one.response.status for one in ordered]


@settings(deadline=None)
@given(data=st.binary(max_size=200))
def test_no_file_can_do_worse_than_a_cassette_error(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.json"
        path.write_bytes(data)
        with pytest.raises(CassetteError):
            Cassette.load(path)
        assert path.read_bytes() == data


@settings(deadline=None)
@given(
    entries=st.lists(st.builds(Entry, recorded | failures, st.booleans()), min_size=1, max_size=6),
    data=st.data(),
)
def test_a_journal_cut_off_anywhere_keeps_every_whole_line(
    entries: list[Entry], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "m.jsonl", Path(folder) / "m.lock")
        sizes = []
        for entry in entries:
            journal.append(entry)
            sizes.append(journal.path.stat().st_size)
        assert journal.read().entries == tuple(entries)
        end = data.draw(st.integers(0, sizes[-1]))
        journal.path.write_bytes(journal.path.read_bytes()[:end])
        whole = tuple(entries[: sum(size <= end for size in sizes)])
        assert journal.read().entries == whole
        journal.append(entries[-1])
        assert journal.read().entries == (*whole, entries[-1])

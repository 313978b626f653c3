from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_convergence.cassettes import Cassette, write
from pytest_convergence.errors import CassetteError
from tests.recording_parts import recorded


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    write(tmp_path / "m.json", [recorded("a", sample, "é") for sample in range(3)])
    return tmp_path / "m.json"


def problem(path: Path) -> str:
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(CassetteError) as raised:
        Cassette.load(path)
    assert not path.is_file() or path.read_bytes() == before
    assert "nothing was overwritten" in str(raised.value)
    assert raised.value.fix
    return str(raised.value)


def test_a_file_cut_off_anywhere_is_an_error_and_never_counts_as_empty(whole: Path) -> None:
    text = whole.read_bytes()
    for end in range(0, len(text) - 2, 7):
        whole.write_bytes(text[:end])
        assert "cannot be used" in problem(whole)


def test_the_place_where_a_file_is_cut_off_is_named(whole: Path) -> None:
    lines = whole.read_text().splitlines(keepends=True)
    whole.write_text("".join(lines[:5]))
    byte = sum(map(len, lines[:5]))
    assert f"it is cut off (line 6, column 1, byte {byte})" in problem(whole)


def test_bytes_are_counted_where_characters_are_wider(whole: Path) -> None:
    whole.write_bytes('{"é": ]'.encode())
    assert "it is not JSON (line 1, column 7, byte 7)" in problem(whole)


def test_a_merge_conflict_is_named_with_its_line(whole: Path) -> None:
    lines = whole.read_text().splitlines(keepends=True)
    lines[4:6] = ["<<<<<<< HEAD\n", *lines[4:6], "=======\n", *lines[4:6], ">>>>>>> other\n"]
    whole.write_text("".join(lines))
    assert "a merge conflict is not resolved (line 5)" in problem(whole)


def altered(path: Path, change: dict[str, Any]) -> None:
    data = json.loads(path.read_text())
    data["interactions"][1]["response"] |= change
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "it is empty"),
        (b" \n ", "it is empty"),
        (b"[]", "not a cassette"),
        (b'"text"', "not a cassette"),
        (b'{"version": 1}', "not a cassette"),
        (b'{"version": 2, "interactions": []}', "its format version is 2"),
        (b'{"interactions": []}', "its format version is None"),
        (b"interactions:\n- request: {}\n", "it is YAML"),
        (b'{"version": 1, "interactions": [}', "not JSON"),
        (b'{"version": 1,\n "interactions": [\xff]}', "byte 33 (line 2) is not UTF-8"),
        (b'{"a": ' + b"[" * 100_000, "not usable JSON"),
    ],
)
def test_what_is_no_cassette_is_said(whole: Path, text: bytes, said: str) -> None:
    whole.write_bytes(text)
    assert said in problem(whole)


@pytest.mark.parametrize(
    "change",
    [
        {"body": {}},
        {"body": {"string": None}},
        {"body": {"string": 5}},
        {"body": "text"},
        {"status": {"code": "200"}},
        {"status": None},
        {"headers": None},
        {"headers": {"date": 5}},
    ],
)
def test_an_interaction_that_lacks_something_is_named(whole: Path, change: dict[str, Any]) -> None:
    altered(whole, change)
    assert "interaction 2 of 3 is not complete" in problem(whole)


def test_two_answers_for_one_sample_are_an_error_and_not_a_choice(whole: Path) -> None:
    data = json.loads(whole.read_text())
    twin = json.loads(json.dumps(data["interactions"][0]))
    twin["response"]["body"]["string"] = "another"
    data["interactions"].append(twin)
    whole.write_text(json.dumps(data))
    assert "holds sample 0 of prompt 'a' twice" in problem(whole)


def test_one_interaction_that_a_merge_doubled_counts_once(whole: Path) -> None:
    data = json.loads(whole.read_text())
    data["interactions"].append(data["interactions"][0])
    whole.write_text(json.dumps(data))
    cassette = Cassette.load(whole)
    assert len(cassette.samples(cassette.recordeds[0].request)) == 3


def test_a_folder_in_the_place_of_a_file_is_an_error(tmp_path: Path) -> None:
    assert "cannot read the cassette" in problem(tmp_path)


def test_a_file_that_an_editor_marked_as_utf8_is_read(whole: Path) -> None:
    whole.write_bytes(b"\xef\xbb\xbf" + whole.read_bytes())
    assert len(Cassette.load(whole)) == 3

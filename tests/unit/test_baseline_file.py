"""The baseline file: what it keeps, how it reads in a diff, and what it refuses to be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pytest_convergence.baseline.blocks import CaseBlock, GroupBlock, ModelBlock
from pytest_convergence.baseline.features import Cell, decode, encode, examples_of, short_hash
from pytest_convergence.baseline.file import read_baseline, read_entries, write_baseline
from pytest_convergence.errors import BaselineError


def block(*, texts: str = "t", label: str = "yes") -> GroupBlock:
    """A small group of labels."""
    cell = Cell(5, texts, {label: 4, "no": 1}, None, 1.0, ("Yes.", "No."))
    return GroupBlock(
        capability="facts",
        arm="",
        metric="label:matches@1",
        metric_version=1,
        embedder=None,
        samples=5,
        numbers={"score": 0.81},
        models={name: ModelBlock(("v1",), {"temperature": 0.7}, False) for name in ("m/a", "m/b")},
        cases={name: CaseBlock("h" + name, {"m/a": cell, "m/b": cell}) for name in ("p1", "p2")},
    )


def written(path: Path, **blocks: GroupBlock) -> Path:
    write_baseline(path, {name: one.as_dict() for name, one in blocks.items()})
    return path


def test_a_baseline_reads_back_as_it_was(tmp_path: Path) -> None:
    path = written(tmp_path / "base.json", one=block(), two=block(label="\ud800 hostile"))
    assert read_baseline(path)["one"].as_dict() == block().as_dict()
    assert list(read_entries(path)) == ["one", "two"]
    assert path.read_bytes().isascii()


def test_the_file_is_sorted_and_one_line_changes_for_one_models_answers(tmp_path: Path) -> None:
    path = written(tmp_path / "base.json", b=block(), a=block())
    lines = path.read_text().splitlines()
    changed = block()
    cell = Cell(5, "other", {"no": 5}, None, 1.0, ("No.",))
    cases = dict(changed.cases)
    cases["p1"] = CaseBlock("hp1", {**cases["p1"].cells, "m/b": cell})
    entry = GroupBlock(**{**vars(changed), "cases": cases})
    written(path, a=entry, b=block())
    after = path.read_text().splitlines()
    different = [new for old, new in zip(lines, after, strict=True) if old != new]
    assert len(different) == 2
    assert '"checksum"' in different[0]
    assert different[1].strip().startswith('"m/b"')
    assert lines.index('  "a": {') < lines.index('  "b": {')


def test_writing_the_same_again_leaves_the_file_alone(tmp_path: Path) -> None:
    path = written(tmp_path / "base.json", one=block())
    assert not write_baseline(path, {"one": block().as_dict()})
    assert write_baseline(path, {"one": block(texts="u").as_dict()})


def _replace(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_replace('"yes": 4', '"yes": 3'), "damaged in the block of one"),
        (_replace('"n": 5', '"n": -5'), "not a count"),
        (_replace('"score": 0.81', '"score": 0.95'), "edited by hand"),
        (_replace('"version": 1', '"version": 9'), "schema version 9, this release reads 1"),
        (_replace("pytest-convergence/baseline", "other/thing"), "is not a baseline"),
        (_replace(' "groups": {', "<<<<<<< HEAD\n"), "merge conflict in line 4"),
        (_replace('"p2": {', '"p1": {'), "'p1' stands twice"),
        (lambda text: text[: len(text) // 2], "is not valid JSON"),
        (lambda _: "[]", "is not a baseline"),
        (lambda _: '{"schema": "pytest-convergence/baseline", "version": 1}', "has no groups"),
        (_replace('"samples": 5', '"samples": "many"'), "damaged in the block of one"),
        (_replace('"m/b": {"copies"', '"m/c": {"copies"'), "has not the models of its group"),
    ],
)
def test_a_broken_baseline_says_what_is_wrong_and_what_to_do(
    tmp_path: Path, change: Callable[[str], str], said: str
) -> None:
    path = written(tmp_path / "base.json", one=block())
    path.write_text(change(path.read_text()))
    with pytest.raises(BaselineError) as caught:
        read_baseline(path)
    message = str(caught.value)
    assert said in message
    assert "How to fix:" in message
    assert "--convergence-" in message or "git checkout" in message


def test_a_baseline_that_is_not_there_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(BaselineError, match="there is no baseline"):
        read_baseline(tmp_path / "none.json")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BaselineError, match="cannot be written"):
        written(tmp_path / "file" / "base.json", one=block())


@given(
    arrays(
        np.float64,
        st.integers(1, 60),
        elements=st.floats(-2, 2).map(lambda x: 0.0 if abs(x) < 1e-3 else x),
    )
)
def test_vectors_are_kept_to_a_254th_of_their_largest_component(vector: Any) -> None:
    again = decode(encode(vector))
    step = np.abs(vector).max() / 127
    assert again.shape == vector.shape
    assert np.abs(again - vector).max() <= 0.5001 * step + 1e-9
    assert encode(again) == encode(vector)


def test_a_sparse_vector_is_kept_by_its_places() -> None:
    vector = np.zeros(2048)
    vector[[3, 700, 2047]] = [0.5, -0.25, 1.0]
    text = encode(vector)
    assert text.startswith("s:2048:")
    assert len(text) < 60
    assert np.abs(decode(text) - vector).max() < 0.005


@pytest.mark.parametrize(
    "text", ["", "d:3:1.0:AAAA!", "x:3:1:AAAA", "s:2:1:BQAB", "d:5:1:AAAA", "d:99999999:1:AAAA"]
)
def test_a_vector_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # every kind of damage, each its own words
        decode(text)


def test_hashes_tell_where_one_text_ends_and_take_lone_surrogates() -> None:
    assert short_hash("ab", "c") != short_hash("a", "bc")
    assert len(short_hash("\ud800")) == 16


def test_examples_are_two_different_answers_on_one_short_line_each() -> None:
    told = examples_of(["same", "same", "a\nb  c", "x" * 500])
    assert told == ("same", "a b c")
    assert len(examples_of(["x" * 500])[0]) == 160


def test_a_case_must_have_the_cells_of_all_models() -> None:
    entry = json.loads(json.dumps(block().as_dict()))
    del entry["cases"]["p1"]["responses"]["m/a"]
    with pytest.raises(ValueError, match="has not the models of its group"):
        GroupBlock.from_dict(entry)

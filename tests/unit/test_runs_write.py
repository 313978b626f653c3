"""The run file holds whatever was said, in ASCII."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_convergence.runs import write_run

RUN = {"schema": "a schema", "version": 1, "cases": [{"id": "a"}], "groups": [], "extra": {}}


@pytest.mark.parametrize(
    "text", ["plain", "\x1b[31mred\x9b0m", "grüß Gott 🙂", "\ud800 alone", 'a "quote"\n', "\x00"]
)
def test_any_text_comes_back_from_ascii(text: str, tmp_path: Path) -> None:
    run = {**RUN, "cases": [{"id": "a", "text": text, text: 0.1}]}
    path = tmp_path / "run.json"
    write_run(run, path)
    data = path.read_bytes()
    assert data.isascii()
    assert not any(byte < 32 for byte in data)
    assert json.loads(data) == run

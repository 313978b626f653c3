from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_convergence import history
from pytest_convergence.errors import ConvergenceError
from pytest_convergence.history import keep_run, kept_run, read_history, with_run


def run(minute: int, value: float, **fields: Any) -> dict[str, Any]:
    model = {"name": "a", "simulated": True, "responses": 1, "missing": {}, "served": {}}
    group = {"id": "e.py::test_x[group]", "value": value, "missing": ["much"], "samples": 5}
    return {
        "created": f"2026-11-21T10:{minute:02}:00+00:00",
        "models": [{**model, "usage": {"cost": 1}}],
        "groups": [group],
        "cases": [{"id": "x", "responses": {"a": [{"text": "long"}]}}],
        **fields,
    }


def test_a_kept_run_has_the_figures_and_no_response() -> None:
    kept = kept_run(run(0, 0.5))
    assert kept["groups"] == [{"id": "e.py::test_x[group]", "value": 0.5, "samples": 5}]
    assert "long" not in json.dumps(kept)


def test_runs_come_back_oldest_first(tmp_path: Path) -> None:
    for minute in (3, 1, 2):
        keep_run(run(minute, minute / 10), tmp_path)
    assert [kept["groups"][0]["value"] for kept in read_history(tmp_path)] == [0.1, 0.2, 0.3]


def test_the_same_finding_again_is_not_kept_twice(tmp_path: Path) -> None:
    assert keep_run(run(0, 0.5), tmp_path) is not None
    assert keep_run(run(1, 0.5), tmp_path) is None
    assert keep_run(run(2, 0.6), tmp_path) is not None
    assert keep_run(run(3, 0.5), tmp_path) is not None
    assert len(read_history(tmp_path)) == 3


def test_a_run_without_a_group_is_not_kept(tmp_path: Path) -> None:
    assert keep_run(run(0, 0.5, groups=[]), tmp_path / "runs") is None
    assert not (tmp_path / "runs").exists()


def test_the_oldest_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "KEPT", 3)
    for minute in range(6):
        keep_run(run(minute, minute / 10), tmp_path)
    assert [kept["groups"][0]["value"] for kept in read_history(tmp_path)] == [0.3, 0.4, 0.5]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "other"}', '"x"', "\udcff"])
def test_a_file_that_is_no_kept_run_is_passed_over(tmp_path: Path, text: str) -> None:
    keep_run(run(0, 0.5), tmp_path)
    (tmp_path / "broken.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert len(read_history(tmp_path)) == 1


def test_no_folder_is_no_history(tmp_path: Path) -> None:
    assert read_history(tmp_path / "nowhere") == []


def test_a_folder_that_cannot_be_written_to_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConvergenceError, match="cannot be kept"):
        keep_run(run(0, 0.5), tmp_path / "file" / "runs")


def test_a_report_shows_what_was_before_its_run_and_the_run_itself_once(tmp_path: Path) -> None:
    for minute in range(4):
        keep_run(run(minute, minute / 10), tmp_path)
    shown = with_run(read_history(tmp_path), run(2, 0.2))
    assert [kept["groups"][0]["value"] for kept in shown] == [0.0, 0.1, 0.2]

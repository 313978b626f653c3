from __future__ import annotations

from pathlib import Path

import pytest

from pytest_convergence.errors import SamplingError
from tests.recording_parts import answer, recordings, texts, unit


@pytest.fixture
def study(tmp_path: Path) -> Path:
    kept = recordings(tmp_path)
    for prompt in ("a", "b"):
        for sample in range(2):
            kept.keep(unit(prompt), sample, answer(f"old {prompt} {sample}"))
    kept.finish()
    return tmp_path


def test_a_rewriting_run_sees_only_what_it_has_recorded_anew(study: Path) -> None:
    run = recordings(study, rewrite=True)
    run.start()
    assert run.find(unit("a", 2)) == [None, None]
    run.keep(unit("a"), 0, answer("new"))
    assert texts(run.find(unit("a", 2))) == ["new", None]
    run.finish()
    assert texts(run.find(unit("a", 2))) == ["new", "old a 1"]


def test_rewriting_replaces_what_was_recorded_anew_and_nothing_else(study: Path) -> None:
    run = recordings(study, rewrite=True)
    run.start()
    run.keep(unit("a"), 0, answer("new"))
    run.finish()
    after = recordings(study)
    assert texts(after.find(unit("a", 2))) == ["new", "old a 1"]
    assert texts(after.find(unit("b", 2))) == ["old b 0", "old b 1"]


def test_a_unit_that_is_done_is_not_merged_before_the_rewrite_ends(study: Path) -> None:
    controller, worker = recordings(study, rewrite=True), recordings(study, rewrite=True)
    controller.start()
    worker.keep(unit("a"), 0, answer("new"))
    assert not worker.merge(unit("a").cassette)
    other = recordings(study, rewrite=True)
    assert texts(other.find(unit("a", 1))) == ["new"]
    controller.finish()
    assert texts(recordings(study).find(unit("a", 1))) == ["new"]


def test_a_killed_rewrite_is_resumed_by_the_next(study: Path) -> None:
    killed = recordings(study, rewrite=True)
    killed.keep(unit("a"), 0, answer("new 0"))
    resumed = recordings(study, rewrite=True)
    resumed.start()
    assert texts(resumed.find(unit("a", 2))) == ["new 0", None]
    resumed.keep(unit("a"), 1, answer("new 1"))
    resumed.finish()
    assert texts(recordings(study).find(unit("a", 2))) == ["new 0", "new 1"]


def test_what_a_killed_rewrite_paid_for_is_merged_by_any_other_run(study: Path) -> None:
    recordings(study, rewrite=True).keep(unit("a"), 0, answer("new 0"))
    other = recordings(study)
    other.start()
    assert texts(other.find(unit("a", 2))) == ["new 0", "old a 1"]
    assert other.journalled() == []


def test_nobody_merges_what_a_living_run_is_rewriting(study: Path) -> None:
    rewriting = recordings(study, rewrite=True)
    rewriting.start()
    rewriting.keep(unit("a"), 0, answer("new"))
    other = recordings(study)
    other.start()
    assert texts(rewriting.find(unit("a", 1), fresh=True)) == ["new"]
    rewriting.finish()
    assert other.journalled() == []
    assert texts(other.find(unit("a", 1), fresh=True)) == ["new"]


def test_two_rewrites_of_one_tree_at_once_are_refused(study: Path) -> None:
    first = recordings(study, rewrite=True)
    first.start()
    with pytest.raises(SamplingError, match="another run is rewriting"):
        recordings(study, rewrite=True).start()
    first.finish()
    second = recordings(study, rewrite=True)
    second.start()
    second.finish()


def test_a_sample_that_failed_when_rewritten_is_missing_as_the_run_showed_it(study: Path) -> None:
    run = recordings(study, rewrite=True)
    run.start()
    run.fail(unit("a"), 0, status=500, reason="down")
    assert texts(run.find(unit("a", 2))) == ["[down]", None]
    run.finish()
    assert texts(recordings(study).find(unit("a", 2))) == ["[down]", "old a 1"]

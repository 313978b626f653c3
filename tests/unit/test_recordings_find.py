from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from pytest_convergence.cassettes import FinalFailure, Recorded, write
from pytest_convergence.errors import CassetteError, SamplingError
from pytest_convergence.failures import missing_path, read_failures, write_failures
from tests.recording_parts import answer, model, recorded, recordings, request, texts, unit


def committed(folder: Path, *kept: Recorded) -> Path:
    path = folder / "cassettes" / unit().cassette
    write(path, kept)
    return path


def test_a_unit_that_is_nowhere_is_all_gaps(tmp_path: Path) -> None:
    assert recordings(tmp_path).find(unit(samples=3)) == [None, None, None]


def test_lowering_n_uses_the_first_n_and_raising_it_keeps_them(tmp_path: Path) -> None:
    committed(tmp_path, *(recorded("why", sample, str(sample)) for sample in range(3)))
    kept = recordings(tmp_path)
    assert texts(kept.find(unit(samples=2))) == ["0", "1"]
    assert texts(kept.find(unit(samples=5))) == ["0", "1", "2", None, None]


def test_a_renamed_prompt_id_is_found_and_a_changed_request_is_not(tmp_path: Path) -> None:
    committed(tmp_path, recorded("why", 0, "Because."))
    kept = recordings(tmp_path)
    assert texts(kept.find(unit("renamed", asking=request("why")))) == ["Because."]
    assert texts(kept.find(unit("why", asking=request("why", temperature=0.0)))) == [None]


def test_what_is_kept_is_found_before_and_after_it_is_merged(tmp_path: Path) -> None:
    kept = recordings(tmp_path)
    assert kept.find(unit(samples=2)) == [None, None]
    kept.keep(unit(), 1, answer("second"))
    assert texts(kept.find(unit(samples=2))) == [None, "second"]
    assert texts(recordings(tmp_path).find(unit(samples=2))) == [None, "second"]
    assert kept.merge(unit().cassette)
    assert texts(kept.find(unit(samples=2))) == [None, "second"]
    assert texts(recordings(tmp_path).find(unit(samples=2))) == [None, "second"]


def test_what_another_process_recorded_is_seen_when_one_looks_afresh(tmp_path: Path) -> None:
    ours, theirs = recordings(tmp_path), recordings(tmp_path)
    assert ours.find(unit(samples=2)) == [None, None]
    theirs.keep(unit(), 0, answer("first"))
    assert texts(ours.find(unit(samples=2), fresh=True)) == ["first", None]
    theirs.merge(unit().cassette)
    theirs.keep(unit(), 1, answer("second"))
    assert texts(ours.find(unit(samples=2), fresh=True)) == ["first", "second"]
    theirs.merge(unit().cassette)
    assert texts(ours.find(unit(samples=2), fresh=True)) == ["first", "second"]


def test_a_cassette_is_read_once_however_many_units_of_it_are_asked_for(tmp_path: Path) -> None:
    path = committed(tmp_path, recorded("a", 0, "a"), recorded("b", 0, "b"))
    kept = recordings(tmp_path)
    assert texts(kept.find(unit("a"))) == ["a"]
    path.unlink()
    assert texts(kept.find(unit("b"))) == ["b"]


def test_a_final_failure_is_found_where_the_answer_would_be(tmp_path: Path) -> None:
    kept = recordings(tmp_path)
    kept.keep(unit(), 0, answer("yes"))
    failed = kept.fail(unit(), 1, status=503, reason="overloaded")
    assert texts(kept.find(unit(samples=3))) == ["yes", "[overloaded]", None]
    kept.finish()
    assert recordings(tmp_path).find(unit(samples=3))[1] == failed
    assert failed.status == 503


def test_an_answer_that_came_after_a_failure_takes_its_place_for_good(tmp_path: Path) -> None:
    first = recordings(tmp_path)
    first.fail(unit(), 0, status=None, reason="timed out")
    first.finish()
    failures = missing_path(tmp_path / "cassettes" / unit().cassette)
    assert failures.name == "openai%2Fgpt-4o.missing.json"
    assert len(read_failures(failures)) == 1
    again = recordings(tmp_path)
    again.keep(unit(), 0, answer("at last"))
    assert texts(again.find(unit())) == ["at last"]
    again.finish()
    assert texts(recordings(tmp_path).find(unit())) == ["at last"]
    assert not failures.exists()


def test_a_second_failure_replaces_the_first_and_never_an_answer(tmp_path: Path) -> None:
    kept = recordings(tmp_path)
    kept.fail(unit(), 0, status=500, reason="once")
    kept.fail(unit(), 0, status=500, reason="twice")
    kept.keep(unit(), 1, answer("yes"))
    kept.fail(unit(), 1, status=500, reason="too late")
    assert texts(kept.find(unit(samples=2))) == ["[twice]", "yes"]
    kept.finish()
    assert texts(recordings(tmp_path).find(unit(samples=2))) == ["[twice]", "yes"]


def test_the_first_answer_to_a_sample_is_the_one_that_stays(tmp_path: Path) -> None:
    kept = recordings(tmp_path)
    kept.keep(unit(), 0, answer("first"))
    kept.keep(unit(), 0, answer("second"))
    assert texts(kept.find(unit())) == ["first"]
    kept.finish()
    kept.keep(unit(), 0, answer("third"))
    assert texts(kept.find(unit())) == ["first"]
    kept.finish()
    assert texts(recordings(tmp_path).find(unit())) == ["first"]


def test_the_list_of_failures_is_written_sorted_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "m.missing.json"
    one = FinalFailure(request("a"), 1, "a", None, "half an emoji \ud83d", "2026")
    two = replace(one, sample=0, status=429)
    write_failures(path, [one, two])
    assert read_failures(path) == (two, one)
    write_failures(path, [])
    assert not path.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"version": 2, "missing": []}', '{"version": 1}', "\ufeff{}"]
)
def test_a_broken_list_of_failures_is_an_error_and_left_alone(tmp_path: Path, text: str) -> None:
    path = missing_path(committed(tmp_path, recorded()))
    path.write_text(text, "utf-8")
    with pytest.raises(CassetteError, match=r"list of missing samples .* cannot be used"):
        recordings(tmp_path).find(unit())
    assert path.read_text("utf-8") == text


def test_a_broken_cassette_is_an_error_each_time_it_is_asked_for(tmp_path: Path) -> None:
    path = committed(tmp_path, recorded())
    path.write_text("{")
    kept = recordings(tmp_path)
    for _ in range(2):
        with pytest.raises(CassetteError, match="cut off"):
            kept.find(unit())


def test_a_cassette_that_broke_since_is_an_error_and_not_a_gap(tmp_path: Path) -> None:
    path = committed(tmp_path, recorded())
    kept = recordings(tmp_path)
    kept.find(unit())
    path.write_text("{")
    for _ in range(2):
        with pytest.raises(CassetteError, match="cut off"):
            kept.find(unit(), fresh=True)


def test_nothing_is_merged_into_a_broken_cassette_and_nothing_is_lost(tmp_path: Path) -> None:
    path = committed(tmp_path, recorded())
    path.write_text("{")
    kept = recordings(tmp_path)
    kept.keep(unit("new"), 0, answer("paid for"))
    with pytest.raises(CassetteError, match="cut off"):
        kept.finish()
    assert path.read_text() == "{"
    path.unlink()
    after = recordings(tmp_path)
    after.start()
    assert texts(after.find(unit("new"))) == ["paid for"]


def test_answers_stay_in_the_journal_where_cassettes_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "cassettes").write_text("a file where the folder should be")
    kept = recordings(tmp_path)
    kept.keep(unit(), 0, answer("paid for"))
    with pytest.raises(SamplingError, match="cannot write a cassette") as raised:
        kept.finish()
    assert any("every answer is kept in" in line for line in raised.value.details)
    (tmp_path / "cassettes").unlink()
    kept.finish()
    assert texts(recordings(tmp_path).find(unit())) == ["paid for"]


def test_the_next_start_merges_what_an_earlier_run_left(tmp_path: Path) -> None:
    recordings(tmp_path).keep(unit(), 0, answer("left"))
    recordings(tmp_path).keep(unit(of=model("b/c")), 0, answer("left"))
    kept = recordings(tmp_path)
    assert kept.journalled() == sorted([unit().cassette, unit(of=model("b/c")).cassette])
    kept.start()
    assert kept.journalled() == []
    assert (tmp_path / "cassettes" / unit(of=model("b/c")).cassette).exists()
    assert texts(kept.find(unit())) == ["left"]


def test_merging_what_adds_nothing_leaves_the_file_untouched(tmp_path: Path) -> None:
    path = committed(tmp_path, recorded("why", 0, "kept"))
    before = path.stat().st_mtime_ns, path.stat().st_ino
    kept = recordings(tmp_path)
    kept.keep(unit(), 0, answer("again"))
    kept.finish()
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before


def test_files_of_a_study_lie_where_the_design_says(tmp_path: Path) -> None:
    kept = recordings(tmp_path)
    kept.keep(unit(test="evals/sub/test_a.py::TestB::test_c"), 0, answer())
    kept.finish()
    files = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json*")]
    assert files == ["cassettes/evals/sub/test_a/TestB.test_c/openai%2Fgpt-4o.json"]


def test_a_user_field_does_not_make_another_question(tmp_path: Path) -> None:
    kept = recordings(tmp_path)
    kept.keep(unit(asking=request("why", user="ann@example.com")), 0, answer("yes"))
    kept.finish()
    other = unit(asking=request("why", user="bob@example.com"))
    assert texts(recordings(tmp_path).find(other)) == ["yes"]
    everything = (tmp_path / "cassettes" / unit().cassette).read_text()
    assert "ann@" not in everything
    assert json.loads(everything)["version"] == 1


def test_two_megabytes_with_terminal_escapes_are_kept_as_they_are(tmp_path: Path) -> None:
    said = "\x1b[2J\ud83d word" * 200_000
    kept = recordings(tmp_path)
    kept.keep(unit(), 0, answer(said))
    kept.finish()
    assert texts(recordings(tmp_path).find(unit())) == [said]


def test_a_short_placeholder_for_a_key_does_not_change_what_was_said(tmp_path: Path) -> None:
    asking = unit(of=model(key="none"))
    kept = recordings(tmp_path)
    kept.keep(asking, 0, answer("There is none."))
    assert texts(kept.find(asking)) == ["There is none."]

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pytest_convergence.cassettes import Recorded, serialise, write
from pytest_convergence.errors import CassetteError, SamplingError
from pytest_convergence.failures import missing_path
from pytest_convergence.housekeeping import Finding, check, move
from pytest_convergence.models.wire import WireResponse
from pytest_convergence.pruning import Asked, prune
from pytest_convergence.recordings import Recordings
from pytest_convergence.scrubbing import Scrubber
from tests.recording_parts import NOON, answer, model, recorded, recordings, request, texts, unit

KEY = "sk-planted0planted0planted0"


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two tests of one module with an answer each, a failure, and vectors beside them."""
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals" / "test_facts.py").write_text("")
    kept = recordings(tmp_path)
    for test in ("test_capitals", "TestB::test_rivers"):
        asking = unit("why", test=f"evals/test_facts.py::{test}")
        kept.keep(asking, 0, answer("Because."))
        kept.fail(asking, 1, status=500, reason="down")
    kept.finish()
    for cassette in (tmp_path / "cassettes").rglob("*.json"):
        if "missing" not in cassette.name:
            cassette.with_name(f"{cassette.name[:-5]}.all-MiniLM-L6-v2.npz").write_bytes(b"npz")
    return tmp_path


def cassette_of(folder: Path) -> Path:
    return folder / "cassettes" / unit().cassette


def findings(folder: Path, **arguments: Any) -> list[Finding]:
    return check(folder / "cassettes", rootdir=folder, **arguments)


def kinds(folder: Path, **arguments: Any) -> list[tuple[str, str]]:
    return [(one.kind, one.path.name) for one in findings(folder, **arguments)]


def test_a_study_in_order_has_no_findings_and_is_not_touched(study: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (study / "cassettes").rglob("*")}
    assert findings(study) == []
    after = {path: path.stat().st_mtime_ns for path in (study / "cassettes").rglob("*")}
    assert after == before


def test_a_project_without_recordings_has_no_findings(tmp_path: Path) -> None:
    assert findings(tmp_path) == []


def test_what_cannot_be_read_is_found_with_its_place(study: Path) -> None:
    cassette_of(study).write_text('{"version": 1,')
    missing_path(cassette_of(study)).write_text("[]")
    found = findings(study)
    assert [one.kind for one in found] == ["unreadable", "unreadable"]
    assert "cut off (line 1" in found[0].message


@pytest.mark.parametrize("place", ["body", "header", "url", "prompt"])
def test_a_key_is_found_wherever_it_stands_and_not_shown(study: Path, place: str) -> None:
    asked = request(KEY if place == "prompt" else "why")
    if place == "url":
        asked = request("why", url="https://h/v1?key=no-shape-at-all")
    headers = {"set-cookie": "no-shape-at-all"} if place == "header" else {}
    body = f'{{"error": "{KEY}"}}' if place == "body" else "{}"
    write(cassette_of(study), [Recorded(asked, 0, "why", WireResponse(200, headers, body), NOON)])
    found = findings(study)
    assert [one.kind for one in found] == ["secret"]
    assert KEY not in str(found)


def test_a_known_key_of_any_shape_is_found(study: Path) -> None:
    write(cassette_of(study), [recorded("why", 0, "it is opensesame99, you know")])
    assert kinds(study) == []
    assert kinds(study, keys=["opensesame99"]) == [("secret", "openai%2Fgpt-4o.json")]


def test_a_key_in_the_list_of_failures_is_found(study: Path) -> None:
    path = missing_path(cassette_of(study))
    path.write_text(path.read_text().replace("down", KEY))
    assert kinds(study) == [("secret", "openai%2Fgpt-4o.missing.json")]


def test_a_header_that_stock_vcrpy_recorded_is_found(study: Path) -> None:
    data = json.loads(cassette_of(study).read_text())
    headers = {"Authorization": ["Bearer no shape"], "user-agent": ["me"]}
    data["interactions"][0]["request"]["headers"] = headers
    cassette_of(study).write_text(json.dumps(data))
    found = findings(study)
    assert [one.kind for one in found] == ["secret", "format"]
    assert "header authorization" in found[0].message
    assert "user-agent" not in found[0].message
    assert "stock vcrpy" in found[1].message


def test_recordings_of_a_module_that_is_gone_are_orphans(study: Path) -> None:
    (study / "evals" / "test_facts.py").unlink()
    assert {kind for kind, _ in kinds(study)} == {"orphan"}
    assert len(kinds(study)) == 4


def test_recordings_that_no_collected_test_asks_for_are_orphans(study: Path) -> None:
    known = {unit().cassette: [request("why")]}
    found = findings(study, known=known)
    assert [one.kind for one in found] == ["orphan", "orphan"]
    assert all("TestB.test_rivers" in str(one.path) for one in found)


def test_a_request_that_no_test_makes_any_more_is_stale(study: Path) -> None:
    rivers = unit(test="evals/test_facts.py::TestB::test_rivers").cassette
    known = {unit().cassette: [request("reworded")], rivers: [request("why", user="me")]}
    found = findings(study, known=known)
    stale = [cassette_of(study), missing_path(cassette_of(study))]
    assert [(one.kind, one.path) for one in found] == [("stale", path) for path in stale]
    assert "'why'" in found[0].message


def test_final_failures_of_a_request_that_no_test_makes_are_found_and_pruned(study: Path) -> None:
    relative, other = unit().cassette, unit(test="evals/test_facts.py::TestB::test_rivers").cassette
    known = {relative: [request("else")], other: [request("why")]}
    failed = missing_path(cassette_of(study))
    stale = [(one.kind, one.path) for one in findings(study, known=known)]
    assert ("stale", failed) in stale
    asked = Asked(known, {}, ())
    root, locks = study / "cassettes", study / "locks"
    done = list(prune(root, asked, locks=locks, scrubber=Scrubber.of([])))
    assert (failed, "1 final failures of requests that no test makes") in done
    assert not failed.exists()
    assert missing_path(study / "cassettes" / other).exists()


def test_a_broken_list_of_failures_leaves_its_cassette_and_what_was_told_before(
    study: Path,
) -> None:
    relative, other = unit().cassette, unit(test="evals/test_facts.py::TestB::test_rivers").cassette
    missing_path(cassette_of(study)).write_text("{")
    before = cassette_of(study).read_bytes()
    asked = Asked({relative: [request("else")], other: [request("else")]}, {}, ())
    steps = prune(study / "cassettes", asked, locks=study / "locks", scrubber=Scrubber.of([]))
    told = [next(steps), next(steps)]
    first = study / "cassettes" / other
    assert {path for path, _ in told} == {first, missing_path(first)}
    with pytest.raises(CassetteError, match="list of missing samples"):
        next(steps)
    assert cassette_of(study).read_bytes() == before


def test_pruning_where_nothing_is_recorded_makes_no_lock(tmp_path: Path) -> None:
    asked = Asked({unit().cassette: [request("why")]}, {}, ())
    steps = prune(tmp_path / "cassettes", asked, locks=tmp_path / "locks", scrubber=Scrubber.of([]))
    assert list(steps) == []
    assert not (tmp_path / "locks").exists()


@pytest.mark.parametrize("record", ['{"prompt_id": ["q"]}', '{"sample": "0"}', '{"reason": 3}'])
def test_a_failure_of_wrong_types_is_unreadable(study: Path, record: str) -> None:
    path = missing_path(cassette_of(study))
    data = json.loads(path.read_text())
    data["missing"][0] |= json.loads(record)
    path.write_text(json.dumps(data))
    assert ("unreadable", path.name) in kinds(study)


def test_vectors_beside_no_cassette_are_orphans_unless_no_model_said_the_texts(study: Path) -> None:
    cassette_of(study).with_name("gone.all-MiniLM-L6-v2.npz").write_bytes(b"")
    cassette_of(study).with_name("texts.all-MiniLM-L6-v2.npz").write_bytes(b"")
    responses = study / "cassettes" / "responses" / "june"
    responses.mkdir(parents=True)
    (responses / "a.all-MiniLM-L6-v2.npz").write_bytes(b"")
    assert kinds(study) == [("orphan", "gone.all-MiniLM-L6-v2.npz")]


def test_a_file_that_a_killed_run_left_is_found(study: Path) -> None:
    cassette_of(study).with_name(".openai%2Fgpt-4o.json.tmp").write_text("{")
    assert [kind for kind, _ in kinds(study)] == ["orphan"]


def test_interactions_out_of_order_are_found(study: Path) -> None:
    data = json.loads(serialise([recorded("a"), recorded("b")]))
    data["interactions"].reverse()
    cassette_of(study).write_text(json.dumps(data, indent=1) + "\n")
    assert "not sorted" in findings(study)[0].message


def test_a_file_that_an_editor_reformatted_is_found(study: Path) -> None:
    data = json.loads(cassette_of(study).read_text())
    cassette_of(study).write_text(json.dumps(data))
    assert [(one.kind, one.message) for one in findings(study)] == [
        ("format", "it was edited by hand")
    ]


OLD, NEW = "evals/test_facts.py::test_capitals", "evals/sub/test_world.py::TestA::test_towns"


def test_a_renamed_tests_recordings_move_with_vectors_and_failures(study: Path) -> None:
    moved = move(recordings(study), OLD, NEW)
    target = study / "cassettes" / "evals" / "sub" / "test_world" / "TestA.test_towns"
    assert sorted(path.name for path in target.iterdir()) == [
        "openai%2Fgpt-4o.all-MiniLM-L6-v2.npz",
        "openai%2Fgpt-4o.json",
        "openai%2Fgpt-4o.missing.json",
    ]
    assert [new.parent for _, new in moved] == [target] * 3
    assert not cassette_of(study).parent.exists()
    renamed = unit("why", 2, test=NEW)
    assert texts(recordings(study).find(renamed)) == ["Because.", "[down]"]


def test_a_renamed_module_takes_the_recordings_of_all_its_tests(study: Path) -> None:
    package = study / "cassettes" / "evals" / "test_facts" / "test_inner" / "test_other"
    package.mkdir(parents=True)
    shutil.copy(cassette_of(study), package)  # of evals/test_facts/test_inner.py, not of ours
    assert len(move(recordings(study), "evals/test_facts.py", "evals/test_new.py")) == 6
    folders = {path.parent.name for path in (study / "cassettes/evals/test_new").rglob("*.json")}
    assert folders == {"test_capitals", "TestB.test_rivers"}
    assert (package / "openai%2Fgpt-4o.json").exists()


def test_parameters_in_a_node_id_do_not_matter(study: Path) -> None:
    assert len(move(recordings(study), f"{OLD}[why]", NEW)) == 3


def test_what_lies_in_the_journal_moves_too(study: Path) -> None:
    other = unit("why", of=model("other/model"))
    recordings(study).keep(other, 0, answer("paid for"))
    move(recordings(study), OLD, NEW)
    assert texts(recordings(study).find(unit("why", of=model("other/model"), test=NEW))) == [
        "paid for"
    ]


def test_nothing_is_moved_where_a_file_is_in_the_way(study: Path) -> None:
    with pytest.raises(CassetteError, match="something is recorded there") as raised:
        move(recordings(study), OLD, "evals/test_facts.py::TestB::test_rivers")
    assert "nothing was moved" in raised.value.details
    assert len(list(cassette_of(study).parent.iterdir())) == 3


def test_an_interrupted_move_is_finished_by_the_same_command(study: Path) -> None:
    target = study / "cassettes" / unit(test=NEW).cassette
    target.parent.mkdir(parents=True)
    os.rename(cassette_of(study), target)  # noqa: PTH104 - what a killed move leaves
    assert len(move(recordings(study), OLD, NEW)) == 2
    assert len(list(target.parent.iterdir())) == 3


def test_an_unknown_test_is_told_the_closest_recorded_one(study: Path) -> None:
    with pytest.raises(CassetteError, match="nothing is recorded for") as raised:
        move(recordings(study), "evals/test_facts.py::test_capitols", NEW)
    assert raised.value.details[0] == "recorded is evals/test_facts/test_capitals"


def test_a_module_is_not_moved_to_a_test(study: Path) -> None:
    with pytest.raises(CassetteError, match="cannot move recordings"):
        move(recordings(study), "evals/test_facts.py", NEW)


def test_a_move_over_a_file_that_should_be_a_folder_is_reported(study: Path) -> None:
    (study / "cassettes" / "evals" / "sub").write_text("")
    with pytest.raises(SamplingError, match="cannot move recordings"):
        move(Recordings(study / "cassettes", study / ".convergence" / "journal"), OLD, NEW)
    assert cassette_of(study).exists()

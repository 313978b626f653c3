"""Recorded once, replayed for ever, the same numbers however it is run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import QUICK, Prepared, Project, lay_out, numbers, run

LETTERS = """
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(metric="exact", threshold=-1)
@pytest.mark.parametrize("prompt", ["p1", "p2", "p3", "p4", "p5", "p6"])
def test_letters(prompt, models):
    assert_converges(models, threshold=0)

@pytest.mark.convergence(metric="word-ngrams", prompts={"x": "first one", "y": "second two",
    "z": "third three", "w": "fourth four"}, threshold=-1)
def test_all(models):
    assert_converges(models)
"""

ANSWERS = {
    "p1": {"a": ["x", "x"], "b": ["x", "y"], "c": ["z", "x"]},
    "p2": {"a": ["q"], "b": ["q"], "c": ["q", "r"]},
}
RECORD = "--convergence-record=new_episodes"


def recorded(tests: pytest.Pytester) -> dict[str, str]:
    """Cassettes by name, without the times at which they were recorded."""
    found = {}
    for path in sorted((tests.path / "cassettes").rglob("*.json")):
        cassette = json.loads(path.read_text())
        for interaction in cassette["interactions"]:
            for name in list(interaction["request"]["headers"]):
                if "recorded" in name:
                    del interaction["request"]["headers"][name]
            interaction["response"]["headers"].pop("date", None)
        found[str(path.relative_to(tests.path))] = json.dumps(cassette)
    return found


def run_file(tests: pytest.Pytester, name: str = "run.json") -> dict[str, Any]:
    content: dict[str, Any] = json.loads((tests.path / name).read_text())
    return content


def record(pytester: pytest.Pytester) -> None:
    live = run(lay_out(pytester, LETTERS, answers=ANSWERS), RECORD, "--convergence-json=live.json")
    live.assert_outcomes(passed=9)


@pytest.fixture
def tests(prepared: Prepared) -> pytest.Pytester:
    """Recorded, with the run file of the recording in live.json."""
    return prepared(record)


def calls_are_errors(tests: pytest.Pytester) -> None:
    source = (tests.path / "conftest.py").read_text()
    broken = source.replace("text = messages", "raise AssertionError('called'); text = messages")
    (tests.path / "conftest.py").write_text(broken)


def test_what_was_recorded_live_replays_to_the_same_numbers_and_calls_nothing(
    tests: pytest.Pytester,
) -> None:
    before = recorded(tests)
    assert len(before) == 6
    calls_are_errors(tests)
    for count in (0, 1, 2):
        replay = run(tests, f"--convergence-json=replay{count}.json", workers=count)
        replay.assert_outcomes(passed=9)
    expected = numbers(run_file(tests, "live.json"))
    for count in (0, 1, 2):
        assert numbers(run_file(tests, f"replay{count}.json")) == expected
    assert recorded(tests) == before


def test_workers_record_what_one_process_records(tests: pytest.Pytester) -> None:
    before = recorded(tests)
    shutil.rmtree(tests.path / "cassettes")
    run(tests, RECORD, "--convergence-json=others.json", workers=2).assert_outcomes(passed=9)
    live = run_file(tests, "others.json")
    assert live["groups"] == run_file(tests, "live.json")["groups"]
    assert recorded(tests) == before
    # Without workers, as recorded: with the times at which these answers came.
    run(tests, "--convergence-json=replay.json").assert_outcomes(passed=9)
    assert numbers(run_file(tests, "replay.json")) == numbers(live)


# Two workers alone mean --dist load.
@pytest.mark.parametrize("distribution", ["loadscope", "loadfile", "worksteal", "each"])
def test_any_distribution_gives_the_same_numbers(tests: pytest.Pytester, distribution: str) -> None:
    run(tests, "--dist", distribution, "--convergence-json=run.json", workers=2)
    assert numbers(run_file(tests)) == numbers(run_file(tests, "live.json"))


@pytest.mark.parametrize("workers", [0, 2])
def test_a_missing_recording_is_an_error_with_the_command_that_fixes_it(
    project: Project, workers: int
) -> None:
    tests = project(LETTERS, answers=ANSWERS)
    result = run(tests, "-k", "p1", workers=workers)
    result.assert_outcomes(failed=1)
    text = result.stdout.str()
    assert "How to fix:" in text
    assert "--convergence-record=new_episodes" in text
    assert "test_evals.py::test_letters[[]p1" in text or "test_letters[p1]" in text
    assert not (tests.path / "cassettes").exists()


def test_a_reworded_prompt_is_an_error_with_a_diff_never_a_stale_answer(
    tests: pytest.Pytester,
) -> None:
    source = (tests.path / "test_evals.py").read_text()
    (tests.path / "test_evals.py").write_text(source.replace("first one", "first one, reworded"))
    result = run(tests, "-k", "test_all")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*-*first one*", "*+*first one, reworded*"])


def test_a_renamed_prompt_id_costs_nothing(tests: pytest.Pytester) -> None:
    source = (tests.path / "test_evals.py").read_text()
    (tests.path / "test_evals.py").write_text(source.replace('"x": "first', '"renamed": "first'))
    run(tests).assert_outcomes(passed=9)


def test_more_samples_record_only_the_difference(tests: pytest.Pytester) -> None:
    two = recorded(tests)
    run(tests, RECORD, "--convergence-samples=3").assert_outcomes(passed=9)
    three = recorded(tests)
    for name, cassette in two.items():
        old = json.loads(cassette)["interactions"]
        new = json.loads(three[name])["interactions"]
        assert len(new) == len(old) * 3 // 2
        assert all(interaction in new for interaction in old)
    # Fewer samples use the first ones: the numbers of the first recording come back.
    run(tests, "--convergence-samples=2", "--convergence-json=again.json").assert_outcomes(passed=9)
    assert {group["samples"] for group in run_file(tests, "again.json")["groups"]} == {2}
    assert numbers(run_file(tests, "again.json")) == numbers(run_file(tests, "live.json"))


def test_rewrite_replaces_the_selected_recordings_and_keeps_the_rest(
    tests: pytest.Pytester,
) -> None:
    before = recorded(tests)
    source = (tests.path / "conftest.py").read_text()
    (tests.path / "conftest.py").write_text(source.replace('"echo " + text', '"new " + text'))
    run(tests, "--convergence-record=rewrite", "-k", "p3 and not group").assert_outcomes(passed=1)
    after = recorded(tests)
    changed = {name for name in before if before[name] != after[name]}
    assert {Path(name).parent.name for name in changed} == {"test_letters"}
    text = "".join(after[name] for name in changed)
    assert "new p3" in text
    assert "new p4" not in text
    assert "echo p4" in text


def test_prompts_made_up_in_the_body_are_recorded_too(project: Project) -> None:
    tests = project(
        """
        from pytest_convergence import assert_converges
        def test_now(models):
            samples = models.sample("made up", samples=3)
            assert [len(samples[name]) for name in models] == [3, 3, 3]
            assert_converges(samples, 0.9, metric="exact")
            several = models.sample({"one": "uno", "two": "dos", "three": "tres", "four": "cuatro"})
            assert_converges(several, 0.9, metric="exact")
        """
    )
    run(tests, RECORD, "--convergence-json=live.json").assert_outcomes(passed=1)
    run(tests, "--convergence-json=run.json").assert_outcomes(passed=1)
    assert numbers(run_file(tests)) == numbers(run_file(tests, "live.json"))


def test_async_callables_and_async_tests_work(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", QUICK.replace("-p no:asyncio", ""))
    tests = project(
        """
        import asyncio
        import pytest
        from pytest_convergence import assert_converges

        @pytest.mark.asyncio
        @pytest.mark.convergence(metric="exact")
        @pytest.mark.parametrize("prompt", ["one", "two", "three"])
        async def test_async(prompt, models):
            await asyncio.sleep(0)
            assert_converges(models, threshold=0.9)
        """
    )
    source = (tests.path / "conftest.py").read_text()
    (tests.path / "conftest.py").write_text(source.replace("def reply(", "async def reply("))
    run(tests, RECORD, workers=2).assert_outcomes(passed=4)
    # Without workers, what they recorded is replayed and a third sample asked for.
    monkeypatch.delenv("PYTEST_ADDOPTS")  # once with all plugins
    run(tests, RECORD, "--convergence-samples=3").assert_outcomes(passed=4)
    cassettes = [json.loads(cassette)["interactions"] for cassette in recorded(tests).values()]
    assert [len(interactions) for interactions in cassettes] == [9, 9, 9]


# With workers live, without them replayed: test_bad_providers.py has both ways of both.
def test_a_model_that_fails_makes_cases_incomplete_and_the_run_fail(project: Project) -> None:
    tests = project(LETTERS, answers=ANSWERS)
    source = (tests.path / "conftest.py").read_text()
    (tests.path / "conftest.py").write_text(
        source.replace(
            "text = messages", "1 / (name != 'c' or 'p4' not in str(messages)); text = messages"
        )
    )
    arguments = ("--convergence-max-retries=0", "-k", "test_letters", "-rs")
    live = run(tests, RECORD, *arguments, "--convergence-json=live.json", workers=2)
    live.assert_outcomes(passed=5, skipped=2)
    assert live.ret == 1
    live.stdout.fnmatch_lines(["*incomplete: no usable response from mine/c*"])
    replay = run(tests, *arguments, "--convergence-json=run.json")
    replay.assert_outcomes(passed=5, skipped=2)
    assert replay.ret == 1
    assert numbers(run_file(tests)) == numbers(run_file(tests, "live.json"))

"""The sampler as a user meets it: the plan, the bill, the budget, and what was lost."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Project, run
from tests.servers import Asked, ChatServer, Reply

EVAL = """
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(metric="exact", samples=2)
@pytest.mark.parametrize("prompt", ["p0", "p1", "p2", "p3", "p4", "p5"])
def test_said(prompt, models):
    assert_converges(models, threshold=0)
"""
RECORD = "--convergence-record=new_episodes"


def fine(asked: Asked) -> Reply:
    return Reply(text="fine")


def panel(server: ChatServer, *names: str) -> str:
    specs = ",".join(f"local/{name}@{server.url}" for name in names)
    return f"--convergence-models={specs}"


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dry_run_prints_the_plan_and_calls_nothing(
    pytester: pytest.Pytester, workers: int
) -> None:
    pytester.makepyfile(test_evals=EVAL)
    with ChatServer(fine).running() as server:
        result = run(pytester, panel(server, "a", "b"), "--convergence-dry-run", workers=workers)
        assert server.asked == []
    assert result.ret == 0
    result.stdout.fnmatch_lines(["model*calls*cost*", "local/a*12*12*", "total*24*24*"])
    assert not (pytester.path / "cassettes").exists()


CONTROL = """
@pytest.mark.convergence(metric="exact", samples=3, prompts={"p0": "p0", "again": "p0", "x": "x"})
def test_control(models):
    assert_converges(models, threshold=0)
    models.sample("p0")
"""


def test_a_question_is_paid_for_once_a_test_and_a_dry_run_tells_of_repeats(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_evals=EVAL + CONTROL)
    with ChatServer(fine).running() as server:
        arguments = (panel(server, "a", "b"), RECORD)
        result = run(pytester, *arguments, "--convergence-dry-run")
        # Of the prompt p0 one test wants two answers of each model, the other three.
        result.stdout.fnmatch_lines(
            ["total*36*36*", "4 of these calls repeat, for another test, a question*"]
        )
        run(pytester, *arguments)
        assert len(server.asked) == 2 * (6 * 2 + 2 * 3)
        result = run(pytester, *arguments, "--convergence-dry-run")
        result.stdout.no_fnmatch_line("*of these calls repeat*")


def test_a_dry_run_names_what_it_cannot_count(pytester: pytest.Pytester) -> None:
    body = "def test_made_up(convergence_models):\n    convergence_models.sample('on the spot')\n"
    pytester.makepyfile(test_evals=EVAL + "\n" + body)
    with ChatServer(fine).running() as server:
        embedder = f"--convergence-embedder=endpoint:small@{server.url}"
        result = run(pytester, panel(server, "a", "b"), embedder, "--convergence-dry-run")
        assert server.asked == []
    result.stdout.fnmatch_lines(
        [
            "1 tests sample as they run: their calls are not counted",
            "what endpoint:small embeds is not counted",
        ]
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_every_call_is_made_once_and_the_bill_is_shown(
    pytester: pytest.Pytester, workers: int
) -> None:
    pytester.makepyfile(test_evals=EVAL)
    with ChatServer(fine).running() as server:
        result = run(pytester, panel(server, "a", "b"), RECORD, workers=workers)
        result.assert_outcomes(passed=7)
        assert len(server.asked) == 24
        run(pytester, panel(server, "a", "b"), RECORD, workers=workers).assert_outcomes(passed=7)
        assert len(server.asked) == 24
    result.stdout.fnmatch_lines(["sampled: 24 calls, 240 tokens in, 120 out*"])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_spent_budget_makes_cases_incomplete_and_the_run_fail(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    pytester.makepyfile(test_evals=EVAL)

    def dear(asked: Asked) -> Reply:
        body = {
            "model": asked.model,
            "choices": [{"message": {"content": "fine"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 1.0},
        }
        return Reply(body=json.dumps(body).encode())

    with ChatServer(dear).running() as server:
        models = panel(server, "a", "b").replace("local/", "openrouter/")
        monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-planted-0123456789")
        arguments = (models, RECORD, "--convergence-in-flight=1", "-rs", "-k", "not group")
        result = run(pytester, *arguments, "--convergence-max-cost=6", workers=workers)
        asked = len(server.asked)
        assert 6 <= asked <= 10
        assert result.ret == 1
        outcomes = result.parseoutcomes()
        assert outcomes["skipped"] >= 1
        assert outcomes.get("failed", 0) == 0
        result.stdout.fnmatch_lines(["*incomplete*"])
        # What was paid for is kept: a further run asks for the rest only.
        run(pytester, *arguments, workers=workers).assert_outcomes(passed=6)
        assert len(server.asked) == 24


def test_a_final_failure_is_asked_again_only_on_request(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_evals=EVAL)
    broken = True

    def behave(asked: Asked) -> Reply:
        return Reply(status=503) if broken and asked.prompt == "p3" else Reply(text="fine")

    with ChatServer(behave).running() as server:
        arguments = (panel(server, "a", "b"), RECORD, "-k", "not group")
        first = run(pytester, *arguments, "--convergence-max-retries=0")
        first.assert_outcomes(passed=5, skipped=1)
        broken = False
        asked = len(server.asked)
        run(pytester, *arguments).assert_outcomes(passed=5, skipped=1)
        assert len(server.asked) == asked
        again = run(pytester, *arguments, "--convergence-retry-missing")
        again.assert_outcomes(passed=6)
        assert len(server.asked) == asked + 4


def test_two_folders_of_recordings_keep_their_journals_apart(project: Project) -> None:
    tests = project(EVAL.replace('"p0", "p1", ', ""))
    run(tests, RECORD, "--convergence-cassettes=one").assert_outcomes(passed=5)
    source = (tests.path / "conftest.py").read_text()
    (tests.path / "conftest.py").write_text(source.replace('"echo " + text', '"other " + text'))
    run(tests, RECORD, "--convergence-cassettes=two").assert_outcomes(passed=5)
    run(tests, RECORD).assert_outcomes(passed=5)
    one, two, three = (
        (tests.path / folder / "test_evals/test_said/mine%2Fa.json").read_text()
        for folder in ("one", "two", "cassettes")
    )
    assert "echo p2" in one
    assert "other p2" in two
    assert "other p2" in three
    assert "echo p2" not in three


def test_recordings_that_were_deleted_do_not_come_back(project: Project) -> None:
    tests = project(EVAL)
    run(tests, RECORD, workers=2).assert_outcomes(passed=7)
    for path in sorted((tests.path / "cassettes").rglob("*.json")):
        path.unlink()
    source = (tests.path / "conftest.py").read_text()
    (tests.path / "conftest.py").write_text(source.replace('"echo " + text', '"other " + text'))
    run(tests, RECORD, workers=2).assert_outcomes(passed=7)
    text = (tests.path / "cassettes/test_evals/test_said/mine%2Fa.json").read_text()
    assert "other p2" in text
    assert "echo p2" not in text


def test_another_served_model_is_said(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_evals=EVAL)

    def behave(asked: Asked) -> Reply:
        body = {"model": "quite-another", "choices": [{"message": {"content": "fine"}}]}
        return Reply(body=json.dumps(body).encode())

    with ChatServer(behave).running() as server:
        result = run(pytester, panel(server, "a", "b"), RECORD)
    result.stdout.fnmatch_lines(["*local/a was answered by another model: quite-another*"])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_folder_that_cannot_be_written_is_reported_as_such(
    pytester: pytest.Pytester, workers: int
) -> None:
    pytester.makepyfile(test_evals=EVAL)
    (pytester.path / ".convergence").write_text("a file where a folder should be")
    with ChatServer(fine).running() as server:
        result = run(pytester, panel(server, "a", "b"), RECORD, workers=workers)
    assert result.ret != 0
    output = result.stdout.str() + result.stderr.str()
    assert ".convergence" in output
    assert "How to fix:" in output
    assert "INTERNALERROR" not in output


@pytest.mark.parametrize("workers", [0, 2])
def test_the_most_frequent_reasons_for_what_is_missing_are_told(
    pytester: pytest.Pytester, workers: int
) -> None:
    pytester.makepyfile(test_evals=EVAL)

    def failing(asked: Asked) -> Reply:
        if asked.model == "a":
            return Reply(text="fine")
        error = {"message": "the \x1b[2Jmelted GPU", "type": "server_error"}
        if asked.prompt == "p5":
            error = {"message": "the queue is full", "type": "overloaded"}
        return Reply(status=500, body=json.dumps({"error": error}).encode())

    with ChatServer(failing).running() as server:
        arguments = (panel(server, "a", "b"), RECORD, "--convergence-max-retries=0")
        live = run(pytester, *arguments, workers=workers)
        replayed = run(pytester, panel(server, "a", "b"), workers=workers)
    for result in (live, replayed):
        result.stdout.fnmatch_lines(
            [
                "  local/b: 12 error of 12",
                "      10 x HTTP 500 server_error: the \\x1b?2Jmelted GPU; 2 x HTTP 500 overlo*",
            ]
        )
        assert "\x1b[2J" not in result.stdout.str()

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
    return Reply(text=f"fine: {asked.prompt}")


def panel(server: ChatServer, *names: str) -> str:
    specs = ",".join(f"local/{name}@{server.url}" for name in names)
    return f"--convergence-models={specs}"


CONTROL = """
PROMPTS = {"p0": "p0", "again": "p0", "x": "x", "y": "y", "z": "z"}

@pytest.mark.convergence(metric="exact", samples=3, prompts=PROMPTS)
def test_control(models):
    assert_converges(models, threshold=0)
    models.sample("p0")
"""


MADE_UP = """
def test_made_up(convergence_models):
    convergence_models.sample('on the spot')
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_a_dry_run_prints_the_plan_and_what_it_cannot_count_and_calls_nothing(
    pytester: pytest.Pytester, workers: int
) -> None:
    pytester.makepyfile(test_evals=EVAL + CONTROL + MADE_UP)
    with ChatServer(fine).running() as server:
        embedder = f"--convergence-embedder=endpoint:small@{server.url}"
        arguments = (panel(server, "a", "b"), embedder, "--convergence-dry-run")
        result = run(pytester, *arguments, workers=workers)
        assert server.asked == []
    assert result.ret == 0
    # Of the prompt p0 one test wants two answers of each model, the other three.
    for line in (
        *("model*calls*cost*", "local/a*24*24*", "total*48*48*"),
        "4 of these calls repeat, for another test, a question*",
        "2 tests sample as they run: their calls are not counted",
        "what endpoint:small embeds is not counted",
    ):
        result.stdout.fnmatch_lines([line])
    assert not (pytester.path / "cassettes").exists()


def test_every_call_is_made_once_and_the_bill_is_shown(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_evals=EVAL + CONTROL)
    with ChatServer(fine).running() as server:
        arguments = (panel(server, "a", "b"), RECORD)
        result = run(pytester, *arguments, workers=2)
        result.assert_outcomes(passed=9)
        result.stdout.fnmatch_lines(["sampled: 48 calls, 480 tokens in, 240 out*"])
        # A question is paid for once a test.
        assert len(server.asked) == 2 * (6 * 2 + 4 * 3)
        planned = run(pytester, *arguments, "--convergence-dry-run")
        planned.stdout.no_fnmatch_line("*of these calls repeat*")
        # Two more answers to each of the prompts of one test, and one to those of the other.
        more = run(pytester, *arguments, "--convergence-samples=4")
        more.assert_outcomes(passed=9)
        more.stdout.fnmatch_lines(["sampled: 32 calls, 320 tokens in, 160 out*"])
        assert len(server.asked) == 2 * 4 * (6 + 4)


def test_a_spent_budget_makes_cases_incomplete_and_the_run_fail(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
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
        before = 0
        for workers in (2, 0):
            result = run(pytester, *arguments, "--convergence-max-cost=6", workers=workers)
            assert 6 <= len(server.asked) - before <= 10
            before = len(server.asked)
            assert result.ret == 1
            outcomes = result.parseoutcomes()
            assert outcomes["skipped"] >= 1
            assert outcomes.get("failed", 0) == 0
            result.stdout.fnmatch_lines(["*incomplete*"])
        # What was paid for is kept: a further run asks for the rest only.
        run(pytester, *arguments).assert_outcomes(passed=6)
        assert len(server.asked) == 24


def test_a_final_failure_is_asked_again_only_on_request(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_evals=EVAL)
    broken = True

    def behave(asked: Asked) -> Reply:
        if broken and asked.prompt == "p3":
            return Reply(status=503)
        served = "quite-another" if asked.model == "a" else asked.model
        body = {"model": served, "choices": [{"message": {"content": "fine"}}]}
        return Reply(body=json.dumps(body).encode())

    with ChatServer(behave).running() as server:
        arguments = (panel(server, "a", "b"), RECORD, "-k", "not group")
        first = run(pytester, *arguments, "--convergence-max-retries=0")
        first.assert_outcomes(passed=5, skipped=1)
        # Another served model is said.
        told = [line for line in first.outlines if "was answered by another model" in line]
        assert ["local/a was answered by another model: quite-another" in one for one in told] == [
            True
        ]
        broken = False
        asked = len(server.asked)
        run(pytester, *arguments).assert_outcomes(passed=5, skipped=1)
        assert len(server.asked) == asked
        again = run(pytester, *arguments, "--convergence-retry-missing")
        again.assert_outcomes(passed=6)
        assert len(server.asked) == asked + 4


def test_recordings_of_another_folder_or_that_were_deleted_do_not_come_back(
    project: Project,
) -> None:
    tests = project(EVAL)
    conftest = tests.path / "conftest.py"
    source = conftest.read_text()

    def recorded(answer: str, *arguments: str, folder: str = "cassettes", workers: int) -> str:
        conftest.write_text(source.replace('"echo " + text', f'"{answer} " + text'))
        run(tests, RECORD, *arguments, workers=workers).assert_outcomes(passed=7)
        return (tests.path / folder / "test_evals/test_said/mine%2Fa.json").read_text()

    first = recorded("first", "--convergence-cassettes=one", folder="one", workers=0)
    second = recorded("second", workers=2)
    for path in sorted((tests.path / "cassettes").rglob("*.json")):
        path.unlink()
    third = recorded("third", workers=2)
    answers = ("first p2", "second p2", "third p2")
    assert [answer in first for answer in answers] == [True, False, False]
    assert [answer in second for answer in answers] == [False, True, False]
    assert [answer in third for answer in answers] == [False, False, True]


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


def test_the_most_frequent_reasons_for_what_is_missing_are_told(
    pytester: pytest.Pytester,
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
        live = run(pytester, *arguments, workers=2)
        replayed = run(pytester, panel(server, "a", "b"))
    for result in (live, replayed):
        result.stdout.fnmatch_lines(
            [
                "  local/b: 12 error of 12",
                "      10 x HTTP 500 server_error: the \\x1b?2Jmelted GPU; 2 x HTTP 500 overlo*",
            ]
        )
        assert "\x1b[2J" not in result.stdout.str()

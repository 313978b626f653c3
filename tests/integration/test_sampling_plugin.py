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


CONTROL = """
REPEATED = {"p0": "p0", "again": "p0", "x": "x", "y": "y", "z": "z"}

@pytest.mark.convergence(metric="exact", samples=3, prompts=REPEATED)
def test_control(models):
    assert_converges(models, threshold=0)
    models.sample("p0")
"""
MADE_UP = """
def test_made_up(convergence_models):
    convergence_models.sample("on the spot")
"""


def test_a_dry_run_prints_the_plan_and_each_call_is_then_made_once(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_evals=EVAL + CONTROL, test_made_up=MADE_UP)
    with ChatServer(lambda asked: Reply(text=asked.prompt)).running() as server:
        arguments = (panel(server, "a", "b"), RECORD)
        embedder = f"--convergence-embedder=endpoint:small@{server.url}"
        plan = run(pytester, *arguments, embedder, "--convergence-dry-run", workers=2)
        assert plan.ret == 0
        assert server.asked == []
        assert not (pytester.path / "cassettes").exists()
        evals = (*arguments, "test_evals.py")
        live = run(pytester, *evals, workers=2)
        live.assert_outcomes(passed=9)
        assert len(server.asked) == 2 * (6 * 2 + 4 * 3)
        replanned = run(pytester, *evals, "--convergence-dry-run")
        assert replanned.ret == 0
        assert len(server.asked) == 48
    plan.stdout.fnmatch_lines(["model*calls*cost*", "local/a*24*24*", "total*48*48*"])
    # Of the prompt p0 one test wants two answers of each model, the other three.
    plan.stdout.fnmatch_lines(["4 of these calls repeat, for another test, a question*"])
    plan.stdout.fnmatch_lines(["2 tests sample as they run: their calls are not counted"])
    plan.stdout.fnmatch_lines(["what endpoint:small embeds is not counted"])
    live.stdout.fnmatch_lines(["sampled: 48 calls, 480 tokens in, 240 out*"])
    replanned.stdout.no_fnmatch_line("*of these calls repeat*")


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
        result = run(pytester, *arguments, "--convergence-max-cost=6", workers=2)
        assert 6 <= len(server.asked) <= 10
        assert result.ret == 1
        outcomes = result.parseoutcomes()
        assert outcomes["skipped"] >= 1
        assert outcomes.get("failed", 0) == 0
        result.stdout.fnmatch_lines(["*incomplete*"])
        # What was paid for is kept: a further run asks for the rest only.
        run(pytester, *arguments).assert_outcomes(passed=6)
        assert len(server.asked) == 24


def test_a_final_failure_is_told_and_asked_again_only_on_request(
    pytester: pytest.Pytester,
) -> None:
    """And so is another model that answered, by the run that it answered to."""
    pytester.makepyfile(test_evals=EVAL)
    broken = {"p3", "p4", "p5"}

    def behave(asked: Asked) -> Reply:
        if asked.prompt not in broken or (asked.model, asked.prompt) == ("a", "p5"):
            choices = [{"message": {"content": "fine"}}]
            answer = {"model": f"quite-another-{asked.model}", "choices": choices}
            return Reply(body=json.dumps(answer).encode())
        error = {"message": "the \x1b[2Jmelted GPU", "type": "server_error"}
        if asked.prompt == "p5":
            error = {"message": "the queue is full", "type": "overloaded"}
        return Reply(status=500, body=json.dumps({"error": error}).encode())

    with ChatServer(behave).running() as server:
        arguments = (panel(server, "a", "b"), RECORD, "-k", "not group")
        live = run(pytester, *arguments, "--convergence-max-retries=0", workers=2)
        broken.clear()
        recorded = run(pytester, *arguments)
        assert len(server.asked) == 24
        again = run(pytester, *arguments, "--convergence-retry-missing")
        again.assert_outcomes(passed=6)
        assert len(server.asked) == 24 + 4 + 6
    live.stdout.fnmatch_lines(["*local/a was answered by another model: quite-another-a*"])
    for result in (live, recorded):
        result.assert_outcomes(passed=3, skipped=3)
        result.stdout.fnmatch_lines(
            [
                "  local/b: 6 error of 12",
                "      4 x HTTP 500 server_error: the \\x1b?2Jmelted GPU; 2 x HTTP 500 overlo*",
            ]
        )
        assert "\x1b[2J" not in result.stdout.str()


def test_recordings_of_another_folder_or_deleted_ones_are_not_used(project: Project) -> None:
    tests = project(EVAL)
    kept, apart = (
        tests.path / folder / "test_evals/test_said/mine%2Fa.json"
        for folder in ("cassettes", "two")
    )
    run(tests, RECORD).assert_outcomes(passed=7)
    source = (tests.path / "conftest.py").read_text()
    (tests.path / "conftest.py").write_text(source.replace('"echo " + text', '"other " + text'))
    # The journals of two folders of recordings are apart.
    run(tests, RECORD, "--convergence-cassettes=two").assert_outcomes(passed=7)
    assert "echo p2" not in apart.read_text()
    assert "other p2" in apart.read_text()
    assert "echo p2" in kept.read_text()
    assert "other p2" not in kept.read_text()
    for path in sorted((tests.path / "cassettes").rglob("*.json")):
        path.unlink()
    run(tests, RECORD, workers=2).assert_outcomes(passed=7)
    assert "other p2" in kept.read_text()
    assert "echo p2" not in kept.read_text()


def test_a_folder_that_cannot_be_written_is_reported_as_such(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_evals=EVAL)
    (pytester.path / ".convergence").write_text("a file where a folder should be")
    with ChatServer(fine).running() as server:
        result = run(pytester, panel(server, "a", "b"), RECORD, workers=2)
    assert result.ret != 0
    output = result.stdout.str() + result.stderr.str()
    assert ".convergence" in output
    assert "How to fix:" in output
    assert "INTERNALERROR" not in output

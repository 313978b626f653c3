"""Providers that answer badly: each case says what happened, none becomes (dis)agreement."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.conftest import run
from tests.servers import Asked, ChatServer, Reply

EVAL = """
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(metric="exact", samples=2)
@pytest.mark.parametrize("prompt", ["first", "second"])
def test_said(prompt, models):
    assert_converges(models, threshold=0.9)
"""


def content(text: object, **choice: object) -> Reply:
    message = {"content": text}
    choices = [{"message": message, "finish_reason": "stop", **choice}]
    return Reply(body=json.dumps({"model": "m", "choices": choices}).encode())


BAD = {
    "an error body with status 200": (
        Reply(body=b'{"error": {"message": "upstream is down", "code": 502}}'),
        "error",
    ),
    "no choices": (Reply(body=b'{"model": "m", "choices": []}'), "error"),
    "null content": (content(None), "empty"),
    "an empty answer": (content("   "), "empty"),
    "a truncated answer": (content("once upon", finish_reason="length"), "truncated"),
    "a content filter": (content("", finish_reason="content_filter"), "refused"),
    "an error text as the answer": (content("Error: 429 Too Many Requests"), "error"),
    "a page of HTML": (Reply(body=b"<html><h1>Bad gateway</h1></html>"), "error"),
    "half a body": (Reply(body=b'{"choices": [{"message": {"con'), "error"),
}


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_answers_are_missing_each_with_its_reason_live_and_replayed(
    pytester: pytest.Pytester, workers: int
) -> None:
    def behave(asked: Asked) -> Reply:
        bad = asked.model == "bad" and asked.prompt in BAD
        return BAD[asked.prompt][0] if bad else content("fine")

    pytester.makepyfile(test_evals=EVAL.replace('["first", "second"]', repr(["first", *BAD])))
    with ChatServer(behave).running() as server:
        panel = f"--convergence-models=local/good@{server.url},local/bad@{server.url}"
        arguments = (panel, "-k", "not group", "--convergence-max-retries=0")
        live = run(
            pytester,
            *arguments,
            "--convergence-record=new_episodes",
            "--convergence-json=live.json",
            workers=workers,
        )
    replay = run(pytester, *arguments, "--convergence-json=replay.json", workers=2 - workers)
    for result, name in ((live, "live.json"), (replay, "replay.json")):
        result.assert_outcomes(passed=1, skipped=len(BAD))
        assert result.ret == 1
        cases = json.loads((pytester.path / name).read_text())["cases"]
        verdicts = {case["prompt_id"]: case["verdict"] for case in cases}
        assert verdicts == {"first": "converged", **dict.fromkeys(BAD, "incomplete")}
        for case in cases:
            missing = case["missing"]
            if case["prompt_id"] in BAD:
                kind = BAD[case["prompt_id"]][1]
                assert [(m["model"], m["kind"]) for m in missing] == [("local/bad", kind)] * 2
                assert all(m["reason"] for m in missing)
            else:
                assert missing == []


NASTY = "\ud800 \x1b[2J\x1b]0;owned\x07 </script><script>alert(1)</script> " + "x" * 2_000_000


def test_a_hostile_answer_is_recorded_replayed_and_never_obeyed(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_evals=EVAL)

    def behave(asked: Asked) -> Reply:
        return content(NASTY if asked.model == "bad" else "calm")

    with ChatServer(behave).running() as server:
        panel = f"--convergence-models=local/good@{server.url},local/bad@{server.url}"
        arguments = (panel, "-k", "first", "--convergence-record=new_episodes")
        live = run(pytester, *arguments, workers=2)
    replay = run(pytester, panel, "-k", "first", "--convergence-json=run.json")
    for result in (live, replay):
        result.assert_outcomes(failed=1)
        output = result.stdout.str() + result.stderr.str()
        assert "\x1b[2J" not in output
        assert "\x07" not in output
        assert len(output) < 60_000
    cases = json.loads((pytester.path / "run.json").read_text())["cases"]
    assert cases[0]["responses"]["local/bad"][0]["text"] == NASTY


def test_a_missing_key_names_the_variable_and_replay_needs_none(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    pytester.makepyfile(test_evals=EVAL)
    result = run(
        pytester,
        "--convergence-models=openai/a,openai/b",
        "--convergence-record=new_episodes",
        "-k",
        "first",
    )
    assert result.ret != 0
    assert "OPENAI_API_KEY" in result.stdout.str()
    assert "How to fix:" in result.stdout.str()
    with ChatServer(lambda asked: content("same")).running() as server:
        models = f"--convergence-models=openai/a@{server.url},openai/b@{server.url}"
        monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-1234567890abcdefghij")
        live = run(pytester, models, "-k", "first", "--convergence-record=new_episodes")
        live.assert_outcomes(passed=1)
    monkeypatch.delenv("OPENAI_API_KEY")
    run(pytester, models, "-k", "first").assert_outcomes(passed=1)
    written = [path for path in pytester.path.rglob("*") if path.is_file()]
    assert any("cassettes" in path.parts for path in written)
    for path in written:
        assert b"sk-planted" not in path.read_bytes(), path


DAMAGES: dict[str, Callable[[str], str]] = {
    "cut off": lambda text: text[: len(text) // 2],
    "no JSON": lambda text: text.replace('"interactions"', "interactions", 1),
    "a merge conflict": lambda text: "<<<<<<< HEAD\n" + text,
    "nothing": lambda text: "",
}


def test_a_damaged_cassette_is_an_error_and_stays_as_it_is(pytester: pytest.Pytester) -> None:
    source, damages = EVAL.replace("test_said", "test_said_{number}"), list(DAMAGES.values())
    modules = {f"test_{number}": source.format(number=number) for number in range(len(damages))}
    pytester.makepyfile(**modules)
    with ChatServer(lambda asked: content("same")).running() as server:
        models = f"--convergence-models=local/a@{server.url},local/b@{server.url}"
        run(pytester, models, "--convergence-record=new_episodes")
        asked = len(server.asked)
        damaged = {}
        for number, damage in enumerate(damages):
            (cassette,) = (pytester.path / f"cassettes/test_{number}").rglob("local%2Fa.json")
            damaged[cassette] = damage(cassette.read_text())
            cassette.write_text(damaged[cassette])
        for record in ("none", "new_episodes"):
            result = run(pytester, models, f"--convergence-record={record}", "-k", "first")
            result.assert_outcomes(failed=len(damages))
            output = result.stdout.str() + result.stderr.str()
            assert output.count("How to fix:") == len(damages)
            for cassette, text in damaged.items():
                assert f"the cassette {cassette}" in output
                assert cassette.read_text() == text
            assert len(server.asked) == asked

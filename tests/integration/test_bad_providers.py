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


NASTY = "\ud800 \x1b[2J\x1b]0;owned\x07 </script><script>alert(1)</script> " + "x" * 2_000_000


def behave(asked: Asked) -> Reply:
    if asked.model == "good":
        return content("fine")
    return BAD[asked.prompt][0] if asked.prompt in BAD else content(NASTY)


def test_bad_answers_are_missing_and_hostile_ones_never_obeyed_live_and_replayed(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_evals=EVAL.replace('["first", "second"]', repr(["nasty", *BAD])))
    with ChatServer(behave).running() as server:
        panel = f"--convergence-models=local/good@{server.url},local/bad@{server.url}"
        arguments = (panel, "-k", "not group", "--convergence-max-retries=0")
        record = ("--convergence-record=new_episodes", "--convergence-json=live.json")
        live = run(pytester, *arguments, *record, workers=2)
    replay = run(pytester, *arguments, "--convergence-json=replay.json")
    for result, name in ((live, "live.json"), (replay, "replay.json")):
        result.assert_outcomes(failed=1, skipped=len(BAD))
        assert result.ret == 1
        output = result.stdout.str() + result.stderr.str()
        assert "\x1b[2J" not in output
        assert "\x07" not in output
        assert len(output) < 60_000
        found = json.loads((pytester.path / name).read_text())["cases"]
        cases = {case["prompt_id"]: case for case in found}
        verdicts = {prompt: case["verdict"] for prompt, case in cases.items()}
        assert verdicts == {"nasty": "diverged", **dict.fromkeys(BAD, "incomplete")}
        nasty = cases.pop("nasty")
        assert nasty["missing"] == []
        assert nasty["responses"]["local/bad"][0]["text"] == NASTY
        for prompt, case in cases.items():
            missing = case["missing"]
            assert [(m["model"], m["kind"]) for m in missing] == [("local/bad", BAD[prompt][1])] * 2
            assert all(m["reason"] for m in missing)


def test_a_missing_key_names_the_variable_and_replay_needs_none(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    pytester.makepyfile(test_evals=EVAL)
    record = "--convergence-record=new_episodes"
    with ChatServer(lambda asked: content("same")).running() as server:
        models = f"-oconvergence_models=openai/a@{server.url},openai/b@{server.url}"
        monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-1234567890abcdefghij")
        run(pytester, models, "-k", "first", record).assert_outcomes(passed=1)
    monkeypatch.delenv("OPENAI_API_KEY")
    # What is recorded needs no key, even in a run that may sample and meets one that is missing.
    asks = EVAL.replace('"exact"', '"exact", models=["openai/c", "openai/d"]')
    pytester.makepyfile(test_keyless=asks.replace("first", "unknown"))
    result = run(pytester, models, "-k", "first or unknown", record, "--convergence-max-retries=0")
    result.assert_outcomes(passed=1, failed=1)
    assert "OPENAI_API_KEY" in result.stdout.str()
    assert "How to fix:" in result.stdout.str()
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
    names = {f"test_{damage.replace(' ', '_')}": damage for damage in DAMAGES}
    # Each error is told in full once for each test function.
    pytester.makepyfile(
        **{name: EVAL.replace(', "second"', "").replace("test_said", name) for name in names}
    )
    with ChatServer(lambda asked: content("same")).running() as server:
        models = f"--convergence-models=local/a@{server.url},local/b@{server.url}"
        run(pytester, models, "--convergence-record=new_episodes")
        asked = len(server.asked)
        assert asked == 4 * len(DAMAGES)
        damaged = {}
        for name, damage in names.items():
            (cassette,) = (pytester.path / "cassettes" / name).rglob("local%2Fa.json")
            damaged[cassette] = DAMAGES[damage](cassette.read_text())
            cassette.write_text(damaged[cassette])
        for record, workers in (("none", 0), ("new_episodes", 2)):
            arguments = (models, f"--convergence-record={record}", "-k", "first", "-vv")
            result = run(pytester, *arguments, workers=workers)
            result.assert_outcomes(failed=len(DAMAGES))
            output = result.stdout.str()
            assert output.count("How to fix:") == len(DAMAGES), record
            for cassette, text in damaged.items():
                assert str(cassette.relative_to(pytester.path)) in output, record
                assert cassette.read_text() == text, (cassette, record)
            assert len(server.asked) == asked, record

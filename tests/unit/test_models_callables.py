from __future__ import annotations

import asyncio
import functools
import json
import socket
import ssl
import threading
import time
import urllib.error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from email.message import Message
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from pytest_convergence.errors import SamplingError, SettingsError
from pytest_convergence.models.callables import ModelFunction, callable_model
from pytest_convergence.models.calling import answer_as_json
from pytest_convergence.models.context import sample_index
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.messages import Prompt
from pytest_convergence.models.response import (
    Missing,
    MissingKind,
    Response,
    TokenLogprob,
    Usage,
)
from pytest_convergence.models.wire import Model, WireResponse
from tests.sampling_parts import recording, unit


async def sample(
    model: Model, prompt: Prompt = "Hi", decoding: Decoding | None = None, index: int = 0
) -> Response:
    request = model.adapter.request(
        model=model.model, base_url=model.base_url, prompt=prompt, decoding=decoding or Decoding()
    )
    sample_index.set(index)
    assert model.transport is not None
    async with httpx.AsyncClient(transport=model.transport()) as client:
        answer = await client.request(request.method, request.url, content=request.body)
    return model.adapter.parse(WireResponse(answer.status_code, dict(answer.headers), answer.text))


def ask(function: ModelFunction, prompt: Prompt = "Hi", **values: Any) -> Response:
    index = values.pop("index", 0)
    decoding = Decoding.from_mapping(values, where="a test")
    model = callable_model("agent", function, version="1")
    return asyncio.run(sample(model, prompt, decoding, index))


def test_a_function_of_one_argument_gets_the_prompt() -> None:
    response = ask(lambda prompt: prompt.upper(), "hi")
    assert (response.text, response.finish, response.missing) == ("HI", "stop", None)
    assert response.provider == "callable"
    assert response.date is not None


def test_a_function_of_one_argument_gets_a_conversation_as_messages() -> None:
    conversation = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    assert ask(lambda prompt: prompt[-1]["content"], conversation).text == "b"


def test_a_function_gets_messages_decoding_and_the_sample_s_index() -> None:
    async def agent(
        messages: Sequence[Mapping[str, str]], *, decoding: Decoding, sample: int
    ) -> str:
        await asyncio.sleep(0)
        return f"{messages[0]['content']} {decoding.temperature} {decoding.stop} {sample}"

    response = ask(agent, "Hi", temperature=0.5, stop="END", index=3)
    assert response.text == "Hi 0.5 ('END',) 3"


def test_a_function_may_take_part_of_that() -> None:
    def by_sample(messages: Sequence[Mapping[str, str]], *, sample: int) -> str:
        return f"{messages[0]['content']}{sample}"

    def named(messages: Sequence[Mapping[str, str]]) -> str:
        return messages[0]["role"]

    assert ask(by_sample, index=2).text == "Hi2"
    assert ask(named).text == "user"


def test_partials_objects_and_functions_that_return_coroutines_are_called() -> None:
    class Agent:
        async def __call__(self, prompt: str) -> str:
            return prompt + "!"

    async def answer(prefix: str, prompt: str) -> str:
        return prefix + prompt

    assert ask(Agent()).text == "Hi!"
    assert ask(functools.partial(answer, "> ")).text == "> Hi"
    assert ask(lambda prompt: answer("", prompt)).text == "Hi"


def test_a_sync_function_runs_in_a_thread_and_knows_the_sample() -> None:
    def agent(prompt: str) -> str:
        return f"{threading.current_thread() is threading.main_thread()} {sample_index.get()}"

    assert ask(agent, index=7).text == "False 7"


def test_many_sync_calls_wait_at_the_same_time() -> None:
    def slow(prompt: str) -> str:
        time.sleep(0.1)
        return "done"

    model = callable_model("slow", slow, version="1")

    async def all_at_once() -> list[Response]:
        return list(await asyncio.gather(*(sample(model) for _ in range(40))))

    start = time.perf_counter()
    answers = asyncio.run(all_at_once())
    assert [answer.text for answer in answers] == ["done"] * 40
    assert time.perf_counter() - start < 2  # one after the other they take 4 s


def test_it_works_from_a_loop_that_runs_for_ever_on_a_daemon_thread() -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    model = callable_model("agent", lambda prompt: prompt * 2, version="1")
    try:
        for _ in range(3):
            future = asyncio.run_coroutine_threadsafe(sample(model), loop)
            assert future.result(timeout=10).text == "HiHi"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def test_a_response_comes_back_as_it_was_given() -> None:
    given = Response(
        text="four",
        finish="tool",
        usage=Usage(input_tokens=3, output_tokens=1, reasoning_tokens=0, cost=0.25),
        logprobs=(TokenLogprob("four", -0.5, (("five", -1.5),)),),
        served_model="agent-2",
        system_fingerprint="fp",
        provider="lab",
        date="2026-11-20T10:00:00Z",
    )
    assert ask(lambda prompt: given) == given


@pytest.mark.parametrize("kind", ["error", "truncated", "refused", "empty"])
def test_a_missing_response_stays_missing_in_its_kind(kind: MissingKind) -> None:
    given = Response(text="", finish="unknown", missing=Missing(kind, "told"))
    response = ask(lambda prompt: given)
    assert response.missing is not None
    assert response.missing.kind == kind


def test_a_mapping_may_hold_any_field_of_a_response() -> None:
    answer = {"text": "a", "finish": "content_filter", "usage": {"output_tokens": 2}}
    response = ask(lambda prompt: answer)
    assert (response.finish, response.refused, response.usage.output_tokens) == (
        "content_filter",
        True,
        2,
    )


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "TypeError: the function returned NoneType"),
        (7, "TypeError: the function returned int"),
        ({"text": None}, "a mapping that has no text"),
        ({"answer": "a"}, "the unknown field 'answer'"),
        ({"text": "a", "usage": {1, 2}}, "TypeError"),
    ],
)
def test_an_answer_of_another_kind_is_an_error(answer: Any, told: str) -> None:
    response = ask(lambda prompt: answer)
    assert response.missing is not None
    assert response.missing.kind == "error"
    assert told in response.missing.reason


@pytest.mark.parametrize("kind", [ValueError, SystemExit, pytest.skip.Exception])
def test_an_exception_becomes_an_error_with_its_type_and_no_key(
    kind: type[BaseException],
) -> None:
    def broken(prompt: str) -> str:
        raise kind("no access with sk-live-1234567890")

    async def broken_too(prompt: str) -> str:
        return broken(prompt)

    for function in (broken, broken_too):
        response = ask(function)
        assert response.missing is not None
        assert response.missing.kind == "error"
        assert response.missing.reason == (f"HTTP 500 {kind.__name__}: no access with [redacted]")


def test_hostile_text_passes_through() -> None:
    text = "a\ud800\x1b[2J\x00" + "é" * 1000
    assert ask(lambda prompt: text).text == text


def test_an_empty_answer_is_empty() -> None:
    response = ask(lambda prompt: " ")
    assert response.missing is not None
    assert response.missing.kind == "empty"


def test_a_setting_that_the_function_cannot_receive_is_an_error() -> None:
    with pytest.raises(SettingsError, match="agent cannot be asked with temperature"):
        ask(lambda prompt: prompt, temperature=0.5)


def test_name_and_version_are_the_recorded_address() -> None:
    model = callable_model("Team/debate_2.1", lambda prompt: prompt, version="2026 b/c")
    assert model.base_url == "callable://team/debate_2.1/2026%20b%2Fc"
    assert (model.name, model.provider, model.key_variable) == ("Team/debate_2.1", "callable", None)
    request = model.adapter.request(
        model=model.model, base_url=model.base_url, prompt="Hi", decoding=Decoding()
    )
    # What is sent is what is kept: the client does not rewrite the address.
    assert str(httpx.URL(request.url)) == request.url
    assert json.loads(request.body)["model"] == "Team/debate_2.1"


def test_two_versions_are_two_questions() -> None:
    one, other = (callable_model("a", lambda prompt: prompt, version=v) for v in ("1", "2"))
    assert one.base_url != other.base_url


@pytest.mark.parametrize("name", ["", "a b", "a//b", "/a", "a/", "ä", "a?b", "a#b", "a:1", "../a"])
def test_a_name_that_is_no_address_is_an_error(name: str) -> None:
    with pytest.raises(SettingsError, match="cannot be named"):
        callable_model(name, lambda prompt: prompt, version="1")


def test_a_version_and_a_function_are_asked_for() -> None:
    with pytest.raises(SettingsError, match="has no version"):
        callable_model("a", lambda prompt: prompt, version=" ")
    with pytest.raises(SettingsError, match="is not callable"):
        callable_model("a", "not a function", version="1")  # type: ignore[arg-type]


class Carrying(Exception):
    """What a client library raises: it carries the status of an answer, or the answer."""

    def __init__(self, status: int | None = None, **answer: Any) -> None:
        super().__init__("no")
        self.status_code = status
        self.response = httpx.Response(**answer) if answer else None


class Wrapping(Exception):
    """What a client library raises from a trouble on the way."""


def broken_off() -> Wrapping:
    problem = Wrapping("APIConnectionError")
    problem.__cause__ = httpx.ConnectError("refused")
    return problem


PASSING = {
    "a timeout": TimeoutError(),
    "a broken connection": ConnectionResetError("peer"),
    "a name that is not resolved": socket.gaierror(-3, "try again"),
    "httpx": httpx.ReadTimeout("slow"),
    "a library's, from httpx's": broken_off(),
    "a library's 429": Carrying(429),
    "a library's 503, in its answer": Carrying(status_code=503),
    "urllib's 502": urllib.error.HTTPError("http://x", 502, "bad", Message(), None),
}
LASTING = {
    "a bug": TypeError("nothing to call"),
    "another": KeyError("text"),
    "an assertion": AssertionError(),
    "a file that is not there": FileNotFoundError(2, "no such file", "prompt.txt"),
    "a certificate": ssl.SSLCertVerificationError("CERTIFICATE_VERIFY_FAILED"),
    "a wrong URL": httpx.UnsupportedProtocol("ftp"),
    "a library's 400": Carrying(400),
    "a library's 404, in its answer": Carrying(status_code=404),
    "an exit": SystemExit(503),
}


def calls_until_given_up(folder: Path, problem: BaseException) -> tuple[int, str]:
    """How often a function that always raises ``problem`` is called, and what is said of it."""
    calls = []

    def broken(prompt: str) -> str:
        calls.append(prompt)
        raise problem

    with recording(folder, max_retries=2, backoff=0.001, total_seconds=20) as sampler:
        (response,) = sampler.responses(unit(callable_model("agent", broken, version="1")))
    assert response.missing is not None
    return len(calls), response.missing.reason


@pytest.mark.parametrize("problem", PASSING)
def test_a_function_that_meets_trouble_on_the_way_is_called_again(
    tmp_path: Path, problem: str
) -> None:
    calls, reason = calls_until_given_up(tmp_path, PASSING[problem])
    assert calls == 3
    assert "3 attempts" in reason


@pytest.mark.parametrize("problem", LASTING)
def test_a_function_that_is_broken_is_called_once(tmp_path: Path, problem: str) -> None:
    calls, reason = calls_until_given_up(tmp_path, LASTING[problem])
    assert calls == 1
    assert type(LASTING[problem]).__name__ in reason


def test_a_pause_that_a_client_library_was_told_of_is_waited_for(tmp_path: Path) -> None:
    moments: list[float] = []

    def limited(prompt: str) -> str:
        moments.append(time.monotonic())
        if len(moments) == 1:
            raise Carrying(status_code=429, headers={"Retry-After": "0.4"})
        return "there"

    with recording(tmp_path, backoff=0.001) as sampler:
        (response,) = sampler.responses(unit(callable_model("agent", limited, version="1")))
    assert response.text == "there"
    assert 0.4 <= moments[1] - moments[0] < 5


def test_an_answer_may_hold_what_numpy_made() -> None:
    tokens = (TokenLogprob("yes", np.float64(-0.1)),)
    made = Response(np.str_("yes"), usage=Usage(cost=np.float64(0.5)), logprobs=tokens)
    response = ask(lambda _: made)
    assert (response.text, response.usage.cost, response.logprobs) == ("yes", 0.5, tokens)


def test_usage_may_be_a_dataclass_of_the_user() -> None:
    @dataclass
    class Counted:
        input_tokens: int

    assert ask(lambda _: {"text": "yes", "usage": Counted(3)}).usage.input_tokens == 3


def test_what_is_not_set_is_not_recorded() -> None:
    assert answer_as_json(Response("x", usage=Usage())) == {"text": "x"}


def test_a_transport_that_cannot_be_made_is_an_error_of_its_model(tmp_path: Path) -> None:
    def maker() -> httpx.AsyncBaseTransport:
        raise RuntimeError("no proxy configured")

    made = replace(callable_model("agent", str.upper, version="1"), transport=maker)
    said = "agent cannot be asked: its transport cannot be made: RuntimeError: no proxy"
    with recording(tmp_path) as sampler, pytest.raises(SamplingError, match=said):
        sampler.responses(unit(made, "hi", samples=1))

"""Error texts, empty and truncated answers in logs are recognised; real answers never are."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from pytest_convergence.missing import logged_response, recognise

REAL_LOG = Path(__file__).parents[3] / "shared" / "data" / "level1_responses.jsonl"

ERRORS = {
    "prefixed": "ERROR: API error - Error code: 404 - {'error': {'message': 'No endpoints found'}}",
    "sdk": "openai.RateLimitError: Error code: 429 - {'error': {'message': 'slow down'}}",
    "sdk bare": "Error code: 401 - {'error': {'message': 'Incorrect API key provided: sk-abc'}}",
    "number": "Error: 429",
    "number and words": "Error: 503 Service Unavailable",
    "dashed": "error - status code: 500, body: ",
    "http": "HTTP 502 Bad Gateway",
    "http version": "HTTP/1.1 429 Too Many Requests",
    "status line": "429 Too Many Requests",
    "requests": "429 Client Error: Too Many Requests for url: https://api.example.com/v1/chat",
    "httpx": "Client error '401 Unauthorized' for url 'https://api.example.com/v1'\nFor more"
    " information check: https://developer.mozilla.org/en-US/docs/Web/HTTP/Status/401",
    "urllib3": "HTTPSConnectionPool(host='api.example.com', port=443): Read timed out.",
    "aborted": "('Connection aborted.', RemoteDisconnected('Remote end closed connection'))",
    "errno": "[Errno 104] Connection reset by peer",
    "axios": "Request failed with status code 429",
    "litellm": "litellm.ServiceUnavailableError: OpenAIException - overloaded",
    "timed out": "Request timed out.",
    "connection": "Connection error.",
    "quota": "You exceeded your current quota, please check your plan and billing details.",
    "rate": "Rate limit reached for gpt-4 in organization org-12345 on tokens per min.",
    "context": "This model's maximum context length is 8192 tokens. However, you requested 9000.",
    "marker": "[ERROR]",
    "openai json": '{"error": {"message": "bad model", "type": "invalid_request_error",'
    ' "param": null, "code": null}}',
    "anthropic json": '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}',
    "gemini json": '[{"error": {"code": 429, "message": "Resource has been exhausted",'
    ' "status": "RESOURCE_EXHAUSTED"}}]',
    "python dict": "{'error': {'message': 'no such model', 'code': 404}}",
    "aws": "An error occurred (ThrottlingException) when calling the InvokeModel operation: slow",
    "envoy": "upstream connect error or disconnect/reset before headers. reset reason: overflow",
    "page": "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center>"
    "<h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>",
    "traceback": 'Traceback (most recent call last):\n  File "/v/site-packages/httpx/_client.py",'
    " line 9, in send\n    raise x\nhttpx.ReadTimeout: timed out",
    "node": "AxiosError: timeout of 60000ms exceeded\n    at RedirectableRequest.handle"
    "RequestTimeout (/app/node_modules/axios/lib/adapters/http.js:711:16)",
}

REAL_ANSWERS = {
    "explains a code": "HTTP 429 Too Many Requests means that you have sent more requests than "
    "the server allows in a given time.",
    "explains an error": "Error: 429 is what a server returns when you call it too often. Wait a "
    "little and try again.",
    "quotes and explains": "openai.RateLimitError: Error code: 429\n\nThis exception is raised when"
    " you exceed the number of requests that your plan allows; back off and try again.",
    "error as heading": "Error handling in Python rests on try and except.",
    "errors of thought": "Error: the most common one is to confuse correlation with causation.",
    "traceback explained": 'Traceback (most recent call last):\n  File "a.py", line 1, in <module>'
    "\nNameError: name 'x' is not defined\n\nYou have not assigned x before using it.",
    "traceback predicted": 'Traceback (most recent call last):\n  File "<stdin>", line 1, in '
    "<module>\nZeroDivisionError: division by zero",
    "json answer": '{"error": null, "name": "Ada", "age": 36}',
    "json field": '{"message": "Hello", "status": "ok"}',
    "json list": "[1, 2, 3]",
    "connection in prose": "Connection error messages usually mean that the server is down.",
    "apology": "I'm sorry, but I can't help with that.",
    "number": "404",
    "year": "429 BC was the year in which Pericles died.",
    "forbidden": "Forbidden",
    "conflict": "Conflict.",
    "not found": "Not found in the text.",
    "one character": "B",
    "ends open": "If you like, tell me more about your preferences,",
    "mentions truncation": "The file was truncated [see the log] and had to be restored.",
    "html answer": "<html><head><title>404 Not Found</title></head><body>Lost?</body></html>",
    "reasoned": "<think>easy</think>Canberra",
    "emoji": "👍",
    "code": "```python\nraise RuntimeError('Error: 429')\n```",
}

ANSWERS_TO_QUESTIONS_ABOUT_ERRORS = {
    "429 Too Many Requests": "Which HTTP status means that a client is too fast?",
    "Internal Server Error": "What does the status 500 stand for?",
    '{"error": {"message": "not found", "code": 404}}': "Show an error of a REST service as JSON.",
    "Request timed out.": "Repeat after me: Request timed out.",
}


@pytest.mark.parametrize("text", ERRORS.values(), ids=ERRORS.keys())
def test_an_error_text_is_an_error(text: str) -> None:
    found = recognise(text)
    assert found is not None
    assert found.kind == "error"
    assert found.reason


@pytest.mark.parametrize("text", REAL_ANSWERS.values(), ids=REAL_ANSWERS.keys())
def test_a_real_answer_is_not_missing(text: str) -> None:
    assert recognise(text) is None


@pytest.mark.parametrize(("text", "prompt"), ANSWERS_TO_QUESTIONS_ABOUT_ERRORS.items())
def test_what_the_prompt_asks_for_is_an_answer(text: str, prompt: str) -> None:
    found = recognise(text, prompt="Who wrote Faust?")
    assert found is not None
    assert found.kind == "error"
    assert recognise(text, prompt=prompt) is None


def test_a_client_library_s_error_is_one_whatever_was_asked() -> None:
    found = recognise(ERRORS["sdk"], prompt="Which HTTP error is 429?")
    assert found is not None
    assert found.kind == "error"


@pytest.mark.parametrize("text", [None, "", "  \n\t", "\u200b\ufeff", "\u00a0", "\x00"])
def test_nothing_visible_is_empty(text: str | None) -> None:
    found = recognise(text)
    assert found is not None
    assert found.kind == "empty"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<think>two and two</think>\n", "empty"),
        ("<think>two and two make", "truncated"),
        ("Once upon a time there [truncated]", "truncated"),
        ("Once upon a time there [response truncated due to max tokens]", "truncated"),
        ("Once upon a time <|truncated|>", "truncated"),
    ],
)
def test_a_text_that_never_reached_its_answer_is_missing(text: str, kind: str) -> None:
    found = recognise(text)
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize(
    ("finish", "kind"),
    [
        ("length", "truncated"),
        ("MAX_TOKENS", "truncated"),
        ("FinishReason.MAX_TOKENS", "truncated"),
        ("content_filter", "refused"),
        ("content-filter", "refused"),
        ("SAFETY", "refused"),
        ("refusal", "refused"),
        ("error", "error"),
    ],
)
def test_the_provider_s_word_for_the_finish_decides(finish: str, kind: str) -> None:
    found = recognise("Once upon a time", finish)
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize("finish", ["stop", "end_turn", "STOP", None, "something new"])
def test_an_ordinary_or_unknown_finish_leaves_the_text_usable(finish: str | None) -> None:
    assert recognise("Canberra", finish) is None


def test_an_empty_answer_stopped_by_a_filter_is_refused_and_not_empty() -> None:
    response = logged_response("", "content_filter")
    assert response.refused
    assert response.finish == "content_filter"


def test_an_error_text_with_finish_length_is_an_error() -> None:
    found = recognise("Error: 429", "length")
    assert found is not None
    assert found.kind == "error"


def test_a_reason_shows_no_key_and_moves_no_cursor() -> None:
    found = recognise("Error code: 401 - {'message': 'Incorrect key sk-abc123def456 \x1b[2J'}")
    assert found is not None
    assert "abc123" not in found.reason
    assert "\x1b" not in found.reason


def test_a_logged_answer_is_a_response_without_missing() -> None:
    response = logged_response("Canberra", "end_turn")
    assert (response.text, response.finish, response.missing) == ("Canberra", "stop", None)


@pytest.mark.skipif(not REAL_LOG.exists(), reason="the real log is not here")
@pytest.mark.parametrize("with_prompt", [True, False])
def test_in_a_real_log_nine_models_hold_only_errors_ten_answers_are_empty_and_the_rest_is_kept(
    with_prompt: bool,
) -> None:
    kinds: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    for line in REAL_LOG.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found = recognise(row["text"], prompt=row["prompt"] if with_prompt else None)
        kinds["real" if found is None else found.kind] += 1
        errors[row["model"]] += found is not None and found.kind == "error"
    assert kinds == {"error": 270, "empty": 10, "real": 410}
    assert sorted(errors.values())[-10:] == [0] + [30] * 9

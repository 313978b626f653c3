"""Chat completions with odd contents: half characters, megabytes, numbers that are none."""

from __future__ import annotations

from tests.unit.test_models_openai import chat, read


def test_a_lone_surrogate_and_control_characters_stay_in_the_text() -> None:
    text = read(
        '{"choices":[{"message":{"content":"a\\ud800\\u001b[2Jb"},"finish_reason":"stop"}]}'
    )
    assert text.text == "a\ud800\x1b[2Jb"
    assert text.missing is None


def test_two_megabytes_of_text_are_read() -> None:
    long = "word " * 400_000
    assert read(chat({"content": long})).text == long


def test_log_probabilities_with_a_hole_are_left_out_and_the_text_is_kept() -> None:
    body = chat({"content": "ab"})
    body["choices"][0]["logprobs"] = {
        "content": [{"token": "a", "logprob": -1.0}, {"token": "b", "logprob": None}]
    }
    response = read(body)
    assert response.logprobs == ()
    assert (response.text, response.missing) == ("ab", None)


def test_infinite_alternatives_are_left_out() -> None:
    text = (
        '{"choices":[{"message":{"content":"a"},"finish_reason":"stop","logprobs":{"content":['
        '{"token":"a","logprob":-0.5,"top_logprobs":[{"token":"b","logprob":-Infinity},'
        '{"token":"a","logprob":-0.5}]}]}}]}'
    )
    assert read(text).logprobs[0].top == (("a", -0.5),)


def test_counts_that_are_no_counts_are_left_out() -> None:
    usage = {"prompt_tokens": -1, "completion_tokens": "3", "cost": "free"}
    response = read(chat({"content": "a"}, usage=usage))
    assert response.usage.input_tokens is None
    assert response.usage.output_tokens is None
    assert response.usage.cost is None

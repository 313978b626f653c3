"""What is waved through as an ordinary answer is one for whoever looks into it."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from pytest_convergence import missing
from pytest_convergence.missing import is_plain, recognise
from tests.unit.test_missing import ERRORS

WORDS = sorted({*missing._CERTAIN_WORDS, *missing._LIKELY_WORDS, *missing._RUN_TOGETHER})
ordinary = st.sampled_from(["The", "answer", "is", "42.", "I", "would", "say\n", "so"])
openings = st.sampled_from([*WORDS, *map(str.title, WORDS), *map(str.upper, WORDS), "Note"])
sentences = st.lists(ordinary | openings, min_size=1, max_size=30).map(" ".join)
errors = st.one_of(
    st.from_regex(re.compile(rf"\A(?:{missing._CERTAIN})")),
    st.from_regex(re.compile(missing._LIKELY), fullmatch=True),
    st.from_regex(re.compile(rf"\A(?:{missing._TRACE_HEAD})")).map(
        lambda head: f"{head}\n    at call (node:internal/process)"
    ),
    st.sampled_from(["httperror 404 not found", "Errorhttp status 500", "errorstatus 503"]),
)
ENDINGS = ("", " ", "\n", "[truncated]", "(cut off)", "<think>x</think>")


@given(st.one_of(errors, sentences, st.text()), st.sampled_from(ENDINGS))
@example("", "")
@example("<think>yes</think>", "")
@example("Server error '503 Service Unavailable' for url", "")
def test_nothing_that_is_missing_is_taken_for_plain(text: str, ending: str) -> None:
    assert not is_plain(text + ending) or recognise(text + ending) is None


def test_no_error_known_is_taken_for_plain() -> None:
    for error in ERRORS.values():
        for ending in ENDINGS:
            assert not is_plain(error + ending) or recognise(error + ending) is None


def test_an_ordinary_answer_is_plain() -> None:
    assert is_plain("Tides rise because the moon pulls at the sea.")
    assert is_plain("I would say so.")

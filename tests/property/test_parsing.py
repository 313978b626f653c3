"""JSON is read as the standard library reads it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from pytest_convergence.parsing import parse_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(values, st.booleans())
def test_what_json_wrote_is_read_as_json_reads_it(value: object, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert repr(parse_json(text)) == repr(json.loads(text))


@given(st.text(alphabet='{}[]",:0123456789.eE+-truefalsn\\u \ud800\ufeff', max_size=40))
def test_what_is_no_json_is_the_same_error(text: str) -> None:
    assert outcome(parse_json, text) == outcome(json.loads, text)


def outcome(parse: Callable[[str], object], text: str) -> str:
    try:
        return repr(parse(text))
    except ValueError as error:
        return f"{type(error).__name__}: {error}"


def test_numbers_beyond_what_fits_are_kept() -> None:
    assert parse_json("123456789012345678901234567890") == 123456789012345678901234567890
    assert math.isinf(parse_json("1e400"))
    assert math.isnan(parse_json("NaN"))
    assert parse_json('"\\ud800"') == "\ud800"

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_convergence.errors import ResponsesError
from pytest_convergence.models.recorded import RecordedResponses, read_responses

REAL = Path(__file__).parents[3] / "shared" / "data" / "level1_responses.jsonl"


def row(**values: Any) -> dict[str, Any]:
    return {"model": "a", "prompt_id": "p1", "prompt": "Capital?", "text": "Paris"} | values


def jsonl(folder: Path, *rows: Any) -> Path:
    path = folder / "responses.jsonl"
    path.write_text("\n".join(json.dumps(item) for item in rows), encoding="utf-8")
    return path


def read(folder: Path, *rows: Any, columns: Mapping[str, str] | None = None) -> RecordedResponses:
    return read_responses(jsonl(folder, *rows), columns or {})


def texts(recorded: RecordedResponses, prompt_id: str = "p1") -> dict[str, list[str]]:
    found = recorded.match(prompt_id, "Capital?")
    return {model: [response.text for response in got] for model, got in found.items()}


def test_rows_join_a_case_by_prompt_id(tmp_path: Path) -> None:
    recorded = read(tmp_path, row(), row(model="b", text="Lyon"), row(prompt_id="p2", prompt="?"))
    assert recorded.models == ("a", "b")
    assert texts(recorded) == {"a": ["Paris"], "b": ["Lyon"]}
    assert texts(recorded, "p3") == {"a": ["Paris"], "b": ["Lyon"]}  # by the same text
    assert recorded.match("p3", "capital?") == {}


def test_rows_without_ids_join_by_text_and_get_ids_that_last(tmp_path: Path) -> None:
    rows = [{"model": "a", "prompt": "Q", "text": "1"}, {"model": "a", "prompt": "R", "text": "2"}]
    recorded = read(tmp_path, *rows)
    again = read(tmp_path, rows[1], rows[0])
    assert [r.text for r in recorded.match("any", "R")["a"]] == ["2"]
    assert {p.prompt_id for p in recorded.prompts} == {p.prompt_id for p in again.prompts}


def test_another_wording_under_the_same_id_is_an_error_that_shows_both(tmp_path: Path) -> None:
    recorded = read(tmp_path, row())
    assert recorded.match("p1", "  Capital?\n")  # white space does not count
    with pytest.raises(ResponsesError, match="answer another prompt") as raised:
        recorded.match("p1", "Largest city?")
    assert "in the file: Capital?" in str(raised.value)
    assert "in the test: Largest city?" in str(raised.value)
    by_id = read(tmp_path, row(), columns={"prompt": ""})
    assert by_id.match("p1", "Largest city?")


def test_a_prompt_under_two_ids_is_an_error_when_joined_by_text(tmp_path: Path) -> None:
    recorded = read(tmp_path, row(), row(prompt_id="p2"))
    assert texts(recorded, "p2") == {"a": ["Paris"]}
    with pytest.raises(ResponsesError, match="stands under 2 ids"):
        recorded.match("p3", "Capital?")


def test_unmatched_prompts_are_listed(tmp_path: Path) -> None:
    recorded = read(tmp_path, row(), row(prompt_id="p2", prompt="Q"), row(prompt_id="p3"))
    left = recorded.unmatched([("p1", "Capital?"), ("other", "Q")])
    assert [entry.prompt_id for entry in left] == ["p3"]


def test_prompts_carry_capability_family_and_data(tmp_path: Path) -> None:
    recorded = read(
        tmp_path,
        row(capability="facts", family="cities", expected="Paris", options=["Paris"], latency=1.5),
        row(capability="facts", family="cities", expected="Paris", options=["Paris"], latency=2.5),
    )
    (prompt,) = recorded.prompts
    assert (prompt.capability, prompt.family) == ("facts", "cities")
    assert prompt.data == {"expected": "Paris", "options": ["Paris"]}
    assert recorded.data_columns == ("expected", "options")
    assert recorded.varying_columns == ("latency",)


def test_a_conversation_is_a_prompt(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"}]
    recorded = read(tmp_path, row(prompt=messages))
    assert recorded.prompts[0].prompt == tuple(messages)
    assert recorded.match("other", "user: Hi\nassistant: Yes?")


def test_rows_without_a_sample_column_are_samples_in_order(tmp_path: Path) -> None:
    recorded = read(tmp_path, row(text="1"), row(text="2"), row(text="1"))
    assert texts(recorded) == {"a": ["1", "2", "1"]}
    assert recorded.duplicates == ("line 3",)


def test_samples_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    rows = [row(text=str(n), sample=n) for n in (10, 2, 0)]
    assert texts(read(tmp_path, *rows)) == {"a": ["0", "2", "10"]}


def test_a_sample_given_twice_with_the_same_text_counts_once(tmp_path: Path) -> None:
    recorded = read(tmp_path, row(sample=0, ms=1), row(sample=0, ms=2))
    assert texts(recorded) == {"a": ["Paris"]}
    assert recorded.duplicates == ("line 2",)


def test_two_texts_for_one_sample_are_an_error_that_names_both_rows(tmp_path: Path) -> None:
    with pytest.raises(ResponsesError) as raised:
        read(tmp_path, row(sample="0"), row(sample=0, text="Lyon"))
    assert "two texts for a, prompt 'p1', sample 0: line 1 and line 2" in str(raised.value)


@pytest.mark.parametrize(
    ("name", "other"), [("prompt", "Largest?"), ("capability", "safety"), ("family", "f2")]
)
def test_a_prompt_id_with_two_values_is_an_error(tmp_path: Path, name: str, other: str) -> None:
    first = row(capability="facts", family="f1")
    with pytest.raises(ResponsesError, match=f"'p1' in .* has two values of {name}") as raised:
        read(tmp_path, first, first | {"model": "b", name: other})
    assert "line 1:" in str(raised.value)
    assert f"line 2: {other}" in str(raised.value)


def test_a_row_may_leave_to_others_what_the_prompt_is(tmp_path: Path) -> None:
    recorded = read(tmp_path, row(prompt=None), row(capability="facts"), row(prompt=None))
    (prompt,) = recorded.prompts
    assert (prompt.prompt, prompt.capability) == ("Capital?", "facts")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("Error code: 429 - {'error': {'message': 'Rate limit'}}", "error"),
        ({"error": {"type": "overloaded_error", "message": "Overloaded"}}, "error"),
        ("", "empty"),
        (None, "empty"),
        ("  ", "empty"),
    ],
)
def test_texts_that_are_no_answers_are_missing_by_model(
    tmp_path: Path, value: Any, kind: str
) -> None:
    recorded = read(tmp_path, row(), row(model="b", text=value))
    assert recorded.missing() == {"a": {}, "b": {kind: 1}}


def test_a_finish_column_tells_what_was_cut_off_or_refused(tmp_path: Path) -> None:
    recorded = read(
        tmp_path,
        row(finish_reason="length"),
        row(model="b", finish_reason="content_filter"),
        row(model="c", finish_reason="stop"),
    )
    assert recorded.missing() == {"a": {"truncated": 1}, "b": {"refused": 1}, "c": {}}


def test_an_error_column_counts_where_there_is_no_text(tmp_path: Path) -> None:
    recorded = read(
        tmp_path,
        row(text="", error="Timeout with sk-live-1234567890"),
        row(model="b", error="first try failed"),
    )
    (response,) = recorded.match("p1", "Capital?")["a"]
    assert response.missing is not None
    assert (response.missing.kind, response.missing.reason) == (
        "error",
        "Timeout with [redacted]",
    )
    assert recorded.missing()["b"] == {}


def test_usual_names_are_recognised_and_the_likelier_wins(tmp_path: Path) -> None:
    recorded = read(
        tmp_path,
        {"Model Name": "a", "Question-ID": 7, "question": "Capital?", "Response": "Paris",
         "answer": "Paris is right"},
    )  # fmt: skip
    assert texts(recorded, "7") == {"a": ["Paris"]}
    assert recorded.data_columns == ("answer",)


def test_columns_are_mapped_by_name(tmp_path: Path) -> None:
    rows = {"m": "a", "pid": "p1", "q": "Capital?", "reply": "Paris", "text": "notes"}
    columns = {"model": "m", "prompt_id": "pid", "prompt": "q", "text": "reply"}
    recorded = read(tmp_path, rows, columns=columns)
    assert texts(recorded) == {"a": ["Paris"]}
    assert recorded.data_columns == ("text",)


@pytest.mark.parametrize(
    ("values", "columns", "told"),
    [
        ({"modell": "a", "prompt": "q", "text": "t"}, {},
         ("no column for the model", "--convergence-columns=model=modell")),
        ({"model": "a", "prompt": "q", "reply": "t"}, {}, ("no column for the text",)),
        ({"model": "a", "text": "t"}, {}, ("no column for the prompt_id or the prompt",)),
        ({"model": "a", "prompt": "q", "Antwort": "t"}, {"text": "antwort"},
         ("no column 'antwort', asked for as text", "text=Antwort")),
        ({"model": "a"}, {"txt": "a"}, ("no field 'txt'", "fields: model")),
    ],
)  # fmt: skip
def test_a_missing_column_says_what_where_and_the_closest(
    tmp_path: Path, values: dict[str, str], columns: dict[str, str], told: tuple[str, ...]
) -> None:
    with pytest.raises(ResponsesError) as raised:
        read(tmp_path, values, columns=columns)
    for part in told:
        assert part in str(raised.value)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"model": None}, "line 2 of the responses file .* has no model"),
        ({"model": " "}, "has no model"),
        ({"prompt_id": None, "prompt": ""}, "has neither a prompt id nor a prompt"),
        ({"prompt": {"role": "user"}}, "has a prompt that is no text"),
        ({"prompt": [{"role": "tool", "content": "x"}]}, "has a prompt that is no text"),
        ({"sample": "first"}, "has no sample number"),
        ({"sample": -1}, "has no sample number"),
        ({"sample": None}, "has no sample number"),
    ],
)
def test_a_row_that_cannot_be_used_is_named(
    tmp_path: Path, values: dict[str, Any], told: str
) -> None:
    with pytest.raises(ResponsesError, match=told):
        read(tmp_path, row(sample=0), row() | values)


def test_invalid_json_says_which_line(tmp_path: Path) -> None:
    path = tmp_path / "responses.jsonl"
    lines = [json.dumps(row(text=str(n))) for n in range(30)]
    lines[16] = lines[16][:-9]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ResponsesError, match="line 17 of the responses file"):
        read_responses(path, {})


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "has no rows"),
        (b"\n \n", "has no rows"),
        (b"[]", "has no rows"),
        (b"3", "line 1 of the responses file .* is int, not an object"),
        (b'{"model": "a"}\n[1]', "line 2 of the responses file .* is list, not an object"),
        (b'[{"model": "a"}, 3]', "row 2 of the responses file .* is int"),
        (b"[" * 100_000, "line 1 of the responses file"),
        (b'{"a": ' + b"9" * 5000 + b"}", "line 1 of the responses file"),
        ('{"text": "caf\u00e9"}'.encode("cp1252"), "is not UTF-8: line 1"),
        ('{"model": "a"}'.encode("utf-16-le"), "is not UTF-8"),
        (b"PAR1", "line 1 of the responses file"),
    ],
)
def test_a_broken_file_says_where_and_why(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "responses.jsonl"
    path.write_bytes(content)
    with pytest.raises(ResponsesError, match=told):
        read_responses(path, {})


def test_a_file_that_is_not_there_or_is_a_folder_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.jsonl", tmp_path):
        with pytest.raises(ResponsesError, match="cannot be read"):
            read_responses(path, {})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".txt"])
def test_every_encoding_with_a_mark_is_read(tmp_path: Path, encoding: str, suffix: str) -> None:
    path = tmp_path / f"responses{suffix}"
    content = json.dumps(row(text="Zürich 東京"), ensure_ascii=False)
    if suffix == ".csv":
        content = "model,prompt_id,text\r\na,p1,Zürich 東京\r\n"
    path.write_text(content, encoding=encoding)
    assert texts(read_responses(path, {})) == {"a": ["Zürich 東京"]}


def test_hostile_texts_stay_as_they_are(tmp_path: Path) -> None:
    hostile = ["a\u2028b\x85c", "\ud800", "\x1b[2J\x00", "word " * 400_000, '"quoted", too']
    recorded = read(tmp_path, *(row(text=text) for text in hostile))
    assert texts(recorded) == {"a": hostile}


def test_raw_control_characters_in_a_json_string_are_read(tmp_path: Path) -> None:
    path = tmp_path / "responses.jsonl"
    path.write_bytes(b'{"model": "a", "prompt_id": "p1", "text": "x\x00\ty"}')
    assert texts(read_responses(path, {})) == {"a": ["x\x00\ty"]}


def test_a_json_array_is_read(tmp_path: Path) -> None:
    path = tmp_path / "responses.json"
    path.write_text(json.dumps([row(), row(model="b")], indent=2), encoding="utf-8")
    assert texts(read_responses(path, {})) == {"a": ["Paris"], "b": ["Paris"]}


@pytest.mark.parametrize(("suffix", "delimiter"), [(".csv", ","), (".csv", ";"), (".tsv", "\t")])
def test_csv_is_read_with_its_delimiter_and_hostile_texts(
    tmp_path: Path, suffix: str, delimiter: str
) -> None:
    path = tmp_path / f"responses{suffix}"
    hostile = ['two\nlines, "quoted"; and\ttabs', "=1+1", "\x00", "word " * 400_000, "plain"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["model", "prompt_id", "text"])
        writer.writerows(["a", "p1", text] for text in hostile)
    before = csv.field_size_limit()
    assert texts(read_responses(path, {})) == {"a": hostile}
    assert csv.field_size_limit() == before


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("model,prompt_id,text\na,p1,x\nb,p1\n", "line 3 of the responses file .* has 2 fields"),
        ('model,prompt_id,text\na,p1,"two\nlines"\nb,p1,x,y\n', "line 4 .* has 4 fields"),
        ('model,prompt_id,text\na,p1,"never closed\nb,p1,x\n', "line 2 .* is not CSV"),
        ('model,prompt_id,text\na,p1,"a"b\n', "line 2 .* is not CSV"),
        ("model,text,text\na,p1,x\n", "two columns named 'text'"),
        ("model,prompt_id,text\n", "has no rows"),
        ("model|prompt_id|text\na|p1|x\n", "no column for the model"),
    ],
)
def test_broken_csv_says_where_and_why(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "responses.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ResponsesError, match=told):
        read_responses(path, {})


def test_parquet_is_read_with_its_types(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "responses.parquet"
    rows = [
        row(sample=0, prompt_id=7, options=["x", "y"], score=1.5),
        row(sample=1, prompt_id=7, text=None, options=["x", "y"], score=float("nan")),
    ]
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    recorded = read_responses(path, {})
    assert texts(recorded, "7") == {"a": ["Paris", ""]}
    assert recorded.missing() == {"a": {"empty": 1}}
    assert recorded.prompts[0].data == {"options": ["x", "y"]}


def test_broken_parquet_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = tmp_path / "responses.parquet"
    path.write_bytes(b"PAR1" + b"\0" * 100)
    with pytest.raises(ResponsesError, match="is not Parquet that can be read"):
        read_responses(path, {})


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    path = tmp_path / "responses.parquet"
    path.write_bytes(b"PAR1")
    with pytest.raises(ResponsesError, match="needs pyarrow") as raised:
        read_responses(path, {})
    assert "pytest-convergence[parquet]" in str(raised.value)


def test_reading_json_loads_neither_pyarrow_nor_httpx(tmp_path: Path) -> None:
    path = jsonl(tmp_path, row())
    code = (
        "import sys; from pathlib import Path;"
        "from pytest_convergence.models.recorded import read_responses;"
        f"read_responses(Path({str(path)!r}), {{}});"
        "print([m for m in ('pyarrow', 'httpx', 'vcr', 'numpy', 'asyncio') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


@pytest.mark.skipif(not REAL.exists(), reason="the real responses are not here")
def test_in_the_real_file_nine_models_are_errored_and_ten_answers_are_empty() -> None:
    recorded = read_responses(REAL, {})
    missing = recorded.missing()
    assert len(recorded.models) == 23
    assert len(recorded.prompts) == 30
    assert len({prompt.capability for prompt in recorded.prompts}) == 5
    assert sum(counts == {"error": 30} for counts in missing.values()) == 9
    assert sum(counts["empty"] for counts in missing.values()) == 10
    assert sum(not counts for counts in missing.values()) == 12
    assert (recorded.data_columns, recorded.varying_columns) == ((), ("latency_s",))

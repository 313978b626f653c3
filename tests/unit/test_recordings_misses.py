from __future__ import annotations

from pathlib import Path

import pytest

from pytest_convergence.models.wire import canonical_json
from tests.recording_parts import answer, model, recordings, request, unit

REWORDED = "Explain to a child of ten, in two or three short sentences, why the sky is {}."


@pytest.fixture
def study(tmp_path: Path) -> Path:
    kept = recordings(tmp_path)
    for prompt in ("sky", "sea", "sun"):
        asking = request(REWORDED.format(prompt), temperature=0.7)
        for sample in range(3):
            kept.keep(unit(prompt, asking=asking), sample, answer())
    kept.finish()
    return tmp_path


def lines(error: Exception) -> list[str]:
    return [line.strip() for line in str(error).splitlines()]


def test_a_test_without_recordings_is_told_the_command_that_makes_them(tmp_path: Path) -> None:
    error = recordings(tmp_path).explain(unit("a b", 5))
    first, *rest = lines(error)
    assert first == (
        "nothing is recorded of openai/gpt-4o for evals/test_facts.py::test_capitals[a b]"
    )
    command = "pytest 'evals/test_facts.py::test_capitals[a b]' --convergence-record=new_episodes"
    assert f"record it: {command}" in rest
    assert any("test_capitals/openai%2Fgpt-4o.json" in line for line in rest)


def test_a_changed_parameter_is_shown_as_the_one_line_it_is(study: Path) -> None:
    asking = request(REWORDED.format("sky"), temperature=0.2)
    shown = lines(recordings(study).explain(unit("sky", asking=asking)))
    assert "is not the one that was recorded" in shown[0]
    assert [line for line in shown if line.startswith(("+ ", "- "))] == [
        '-  "temperature": 0.7',
        '+  "temperature": 0.2',
    ]


def test_a_reworded_prompt_is_shown_by_its_words_and_not_by_its_length(study: Path) -> None:
    long = "word " * 500
    kept = recordings(study)
    kept.keep(unit("long", asking=request(f"{long}old{long}")), 0, answer())
    kept.finish()
    asking = request(f"{long}new{long}")
    shown = lines(recordings(study).explain(unit("long", asking=asking)))
    changed = [line for line in shown if line.startswith(("+", "-")) and "word" in line]
    assert len(changed) == 2
    assert "old" in changed[0]
    assert "new" in changed[1]
    assert max(map(len, shown)) < 200


def test_a_word_put_into_a_long_prompt_does_not_show_the_rest_of_it(study: Path) -> None:
    sentences = [f"This is sentence number {number} of a long prompt." for number in range(60)]
    kept = recordings(study)
    kept.keep(unit("long", asking=request(" ".join(sentences))), 0, answer())
    kept.finish()
    sentences[20] = "This is indeed sentence number 20 of a long prompt."
    shown = lines(recordings(study).explain(unit("long", asking=request(" ".join(sentences)))))
    changed = [line for line in shown if line.startswith(("+This", "-This"))]
    assert changed == [
        "-This is sentence number 20 of a long prompt.",
        "+This is indeed sentence number 20 of a long prompt.",
    ]


def test_the_closest_recording_is_the_one_with_the_same_words(study: Path) -> None:
    asking = request(REWORDED.format("sea").replace("child", "student"), temperature=0.7)
    shown = lines(recordings(study).explain(unit("unheard of", asking=asking)))
    assert "is not recorded" in shown[0]
    assert "the closest recording is of prompt 'sea', sample 0:" in shown


def test_too_few_samples_are_counted_and_the_command_records_the_rest(study: Path) -> None:
    asking = request(REWORDED.format("sky"), temperature=0.7)
    shown = lines(recordings(study).explain(unit("sky", 5, asking=asking)))
    assert "recorded 3, asked for 5" in shown[0]
    assert any(line.startswith("record the other 2: pytest ") for line in shown)
    assert "or ask for 3: --convergence-samples=3" in shown


def test_samples_in_the_journal_count_as_recorded(study: Path) -> None:
    asking = request(REWORDED.format("sky"), temperature=0.7)
    kept = recordings(study)
    kept.keep(unit("sky", asking=asking), 3, answer())
    assert "recorded 4, asked for 5" in str(kept.explain(unit("sky", 5, asking=asking)))


def test_a_renamed_test_is_told_how_to_move_its_recordings(study: Path) -> None:
    asking = request(REWORDED.format("sky"), temperature=0.7)
    renamed = unit("sky", test="evals/test_world.py::TestSky::test_colour", asking=asking)
    shown = lines(recordings(study).explain(renamed))
    assert (
        "if the test was renamed: convergence move "
        "evals/test_facts.py::test_capitals evals/test_world.py::TestSky::test_colour"
    ) in shown


def test_the_search_for_a_renamed_test_is_made_once_however_many_cases_miss(study: Path) -> None:
    kept = recordings(study)
    asking = request(REWORDED.format("sky"), temperature=0.7)
    renamed = unit("sky", test="evals/test_world.py::test_sky", asking=asking)
    assert "convergence move" in str(kept.explain(renamed))
    (study / "cassettes" / unit().cassette).unlink()
    assert "convergence move" in str(kept.explain(renamed))


def test_another_model_at_the_same_test_is_not_taken_for_a_renamed_test(study: Path) -> None:
    shown = str(recordings(study).explain(unit("sky", of=model("openai/gpt-5"))))
    assert "convergence move" not in shown


def test_no_key_is_shown_and_no_control_character(study: Path) -> None:
    key = "sk-planted0planted0planted0"
    asking = request(f"\x1b[2J {key} {{}}", url=f"https://h.example/v1?key={key}")
    shown = str(recordings(study).explain(unit("sky", of=model(key=key), asking=asking)))
    assert "planted" not in shown
    assert "\x1b" not in shown


def test_a_message_stays_short_however_much_differs(study: Path) -> None:
    body = canonical_json({f"parameter {number}": "x" * 5000 for number in range(500)})
    asking = request("?")
    asking = type(asking)("POST", asking.url, body)
    assert len(str(recordings(study).explain(unit("sky", asking=asking)))) <= 4000

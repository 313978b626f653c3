"""A labeller beside people: confusion, accuracy and kappa, by prompt."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pytest_convergence import ConvergenceError, from_responses, labels
from pytest_convergence.cli import main
from pytest_convergence.human_labels import labeller_report, read_human_labels
from pytest_convergence.metrics.agreement import cohen_kappa
from pytest_convergence.stats.kappa import kappa_interval

ROWS: list[dict[str, str | None]] = [
    {"text": "Yes.", "label": "yes", "prompt_id": "p"},
    {"text": "No, never.", "label": "no", "prompt_id": "p"},
    {"text": "Yes, I think so.", "label": "yes", "prompt_id": "q"},
    {"text": "It depends.", "label": "no", "prompt_id": "q"},
    {"text": "No.", "label": "yes", "prompt_id": "r"},
    {"text": "It depends.", "label": None, "prompt_id": "r"},
]


def written(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / f"human.{kind}"
    if kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS))
    else:
        lines = [",".join(ROWS[0])] + [
            ",".join(f'"{"" if value is None else value}"' for value in row.values())
            for row in ROWS
        ]
        path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_labeller_is_measured_against_a_file_of_people_s_labels(
    tmp_path: Path, kind: str
) -> None:
    report = labeller_report("yes-no", read_human_labels(written(tmp_path, kind)))
    assert report.confusion.counts == {
        ("(missing)", "(missing)"): 1,
        ("no", "(missing)"): 1,
        ("no", "no"): 1,
        ("yes", "no"): 1,
        ("yes", "yes"): 2,
    }
    assert report.accuracy.rate == pytest.approx(4 / 6)
    assert report.accuracy.prompts == 3
    assert report.unlabelled == pytest.approx(1 / 5)
    assert report.kappa is not None
    expected = cohen_kappa(["yes", "no", "yes", "yes"], ["yes", "no", "yes", "no"])
    assert report.kappa.corrected == expected.corrected
    assert "Cohen's kappa 0.50 [" in str(report)
    assert "| yes | 1 | 2 | 0 |" in str(report)


def test_the_command_prints_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, "csv")
    arguments = ["labels", str(path), "--labeller", "yes-no"]
    assert main([*arguments, "--columns", "label=label,text=text"]) == 0
    assert "yes-no@1: labels as people do 0.67 [" in capsys.readouterr().out
    assert main([*arguments, "--columns", "label=verdict"]) == 2
    assert "no column for the label" in capsys.readouterr().err


def test_labels_are_joined_to_responses_by_prompt_model_and_sample(tmp_path: Path) -> None:
    samples = from_responses(
        {"p": {"m": ["Lima", "Oslo"]}, "q": {"m": ["Rome", "Rome"]}},
        data={"p": {"answer": "Lima"}, "q": {"answer": "Rome"}},
    )
    path = tmp_path / "human.jsonl"
    rows = [
        {"prompt_id": prompt, "model": "m", "sample": i, "gold": gold}
        for prompt, i, gold in [("p", 0, "Lima"), ("p", 1, "other"), ("q", 1, "Rome")]
    ]
    path.write_text("\n".join(map(json.dumps, rows)))
    humans = read_human_labels(path, {"label": "gold"})
    assert labeller_report(labels.matches(), humans, samples).accuracy.rate == 1
    path.write_text(json.dumps({**rows[0], "sample": 7}))
    with pytest.raises(ConvergenceError, match="no response 7 of 'm' to 'p'"):
        labeller_report(labels.matches(), read_human_labels(path, {"label": "gold"}), samples)


def test_several_judges_are_compared_with_people_and_with_each_other(tmp_path: Path) -> None:
    judge = labels.judge(
        {
            "careful": lambda prompt: "LABEL: no" if "never" in prompt else "LABEL: yes",
            "eager": lambda prompt: "LABEL: yes",
            "lazy": lambda prompt: "I do not know",
        },
        "yes: it agrees. no: it does not.",
    )
    report = labeller_report(judge, read_human_labels(written(tmp_path, "jsonl")))
    assert report.judges is not None
    assert report.judges.pairs["careful", "eager"] == pytest.approx(5 / 6)
    assert report.judges.failed["lazy"] == 6
    assert "careful - eager" in str(report)


def test_a_file_that_says_too_little_names_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "human.jsonl"
    path.write_text('{"verdict": "yes", "words": "Yes."}')
    with pytest.raises(ConvergenceError, match="no column for") as caught:
        read_human_labels(path)
    assert "verdict, words" in str(caught.value)
    read = read_human_labels(path, {"label": "verdict", "text": "words"})
    assert read[0].label == "yes"


def test_a_label_without_its_text_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "human.jsonl"
    path.write_text('{"label": "yes", "prompt_id": "p"}')
    with pytest.raises(ConvergenceError, match="without the text"):
        labeller_report("yes-no", read_human_labels(path))


def simulated(rng: np.random.Generator, prompts: int, answers: int, error: float) -> list[list]:  # type: ignore[type-arg]
    truth, said, where = [], [], []
    for prompt in range(prompts):
        hard = rng.beta(error * 2, (1 - error) * 2)
        for _ in range(answers):
            label = int(rng.random() < 0.4)
            truth.append(label)
            said.append(label if rng.random() > hard else 1 - label)
            where.append(prompt)
    return [truth, said, where]


@pytest.mark.parametrize(("prompts", "error"), [(40, 0.2), (15, 0.2), (30, 0.04)])
def test_the_interval_of_kappa_covers_with_answers_that_share_a_prompt(
    prompts: int, error: float
) -> None:
    rng = np.random.default_rng(7)
    # Population kappa of independent errors at rate e with prevalence .4.
    agree, other = 1 - error, 0.4 * (1 - error) + 0.6 * error
    chance = 0.4 * other + 0.6 * (1 - other)
    truth = (agree - chance) / (1 - chance)
    covered, defined = 0, 0
    for _ in range(150):
        found = kappa_interval(*simulated(rng, prompts, 4, error))
        if found is not None:
            defined += 1
            assert found.high > found.low
            covered += found.low <= truth <= found.high
    assert defined > 145
    assert covered / defined >= 0.93


def test_perfect_agreement_has_an_interval_with_a_width() -> None:
    found = kappa_interval(["a", "b"] * 10, ["a", "b"] * 10, list(range(20)))
    assert found is not None
    assert found.high == 1
    assert 0.5 < found.low < 0.9
    assert kappa_interval(["a"] * 9, ["a"] * 9, list(range(9))) is None

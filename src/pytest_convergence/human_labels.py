"""How good is a labeller or a judge? Its labels beside those that people gave."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_convergence.errors import ResponsesError

if TYPE_CHECKING:
    from pytest_convergence.metrics.agreement import Agreement
    from pytest_convergence.metrics.estimates import Interval
    from pytest_convergence.models.response import Response
    from pytest_convergence.panel import Samples
    from pytest_convergence.represent.features import Label, Labeller
    from pytest_convergence.represent.labels.judges import JudgeAgreement
    from pytest_convergence.represent.labels.scoring import Confusion
    from pytest_convergence.stats.rates import Rate

# What a column may be called, the likeliest first.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "label": ("label", "human_label", "human", "gold", "annotation", "expected"),
    "text": ("text", "response", "output", "completion"),
    "prompt_id": ("prompt_id", "question_id", "item_id", "case_id", "id"),
    "model": ("model", "model_name"),
    "sample": ("sample", "sample_index"),
    "finish": ("finish", "finish_reason"),
}


@dataclass(frozen=True)
class HumanLabel:
    """The label that a person gave one response; None where the response has none.

    ``text`` is the response itself, or None where ``prompt_id``, ``model`` and ``sample`` say which
    it is. ``data`` are the file's other columns: what a labeller reads of the case.
    """

    where: str
    label: str | None
    text: str | None
    prompt_id: str
    model: str
    sample: int
    finish: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LabellerReport:
    """How far a labeller agrees with people.

    Attributes
    ----------
    confusion
        Counts by (person's label, labeller's), ``(missing)`` where there is none, and what differs.
    accuracy
        Share of responses labelled as people did, missing ones included, clustered by prompt.
    kappa, interval
        Cohen's, over responses that both labelled, and its interval over prompts; None where
        everybody always gave one label.
    unlabelled
        Share of the responses that people labelled and the labeller did not.
    judges
        How far several judges agree among themselves.
    """

    labeller: str
    confusion: Confusion
    accuracy: Rate
    kappa: Agreement | None
    interval: Interval | None
    unlabelled: float
    judges: JudgeAgreement | None = None

    def __str__(self) -> str:
        from pytest_convergence.report.checks import ranged
        from pytest_convergence.report.judges import judge_lines

        kappa = self.kappa.corrected if self.kappa else None
        right = self.accuracy
        lines = [
            f"{self.labeller}: labels as people do {ranged(right.rate, right.interval)} of "
            f"{right.answers} responses to {right.prompts} prompts",
            f"Cohen's kappa {'undefined' if kappa is None else ranged(kappa, self.interval)}",
            f"without a label where people gave one: {self.unlabelled:.0%}",
            *(judge_lines(self.judges) if self.judges else []),
            "",
            self.confusion.markdown(),
        ]
        return "\n".join(lines)


def read_human_labels(
    path: Path | str, columns: Mapping[str, str] | None = None
) -> tuple[HumanLabel, ...]:
    """The labels in a JSONL, CSV or Parquet file, one row a response.

    Parameters
    ----------
    columns
        Where the columns are not called ``label``, ``text`` (or ``prompt_id``, ``model``,
        ``sample``): ``{"label": "gold"}``.

    Raises
    ------
    ResponsesError
        Where the file cannot be read, has no column of labels, or does not say which response a
        label is about.
    """
    from pytest_convergence.models.responses_file import read_rows

    rows = read_rows(Path(path))
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    found = _columns(Path(path), names, columns or {})
    return tuple(_human_label(row.where, row.values, found) for row in rows)


def _columns(path: Path, names: Sequence[str], asked: Mapping[str, str]) -> dict[str, str]:
    plain = {name.lower().replace(" ", "_").replace("-", "_"): name for name in reversed(names)}
    found = {name: column for name, column in asked.items() if column in names}
    for name, usual in _COLUMNS.items():
        taken = set(found.values())
        match = next(
            (plain[one] for one in usual if one in plain and plain[one] not in taken), None
        )
        if name not in asked and match is not None:
            found[name] = match
    lacking = [name for name in asked if name not in found]
    if lacking or "label" not in found or not ({"text", "prompt_id"} & set(found)):
        raise ResponsesError(
            f"{path} has no column for the {lacking[0] if lacking else 'label or the response'}",
            details=[f"its columns: {', '.join(names)}"],
            fix=['read_human_labels(path, {"label": "COLUMN", "text": "COLUMN"})'],
        )
    return found


def _human_label(where: str, values: Mapping[str, Any], columns: Mapping[str, str]) -> HumanLabel:
    def value(name: str) -> Any:
        return values.get(columns[name]) if name in columns else None

    label, sample = value("label"), value("sample")
    try:
        position = int(sample or 0)
    except (TypeError, ValueError):
        raise ResponsesError(
            f"{where}: sample {sample!r} is not a number", fix=["number samples from 0"]
        ) from None
    return HumanLabel(
        where=where,
        label=None if label is None or str(label).strip() == "" else str(label).strip(),
        text=None if value("text") is None else str(value("text")),
        prompt_id=str(value("prompt_id") or where),
        model=str(value("model") or ""),
        sample=position,
        finish=None if value("finish") is None else str(value("finish")),
        data={name: one for name, one in values.items() if name not in columns.values()},
    )


def labeller_report(
    labeller: str | Labeller,
    humans: Sequence[HumanLabel],
    samples: Samples | None = None,
    *,
    level: float = 0.95,
) -> LabellerReport:
    """Compare a labeller's labels with people's.

    Parameters
    ----------
    labeller
        A labeller or the name of one. A model as judge is asked in the name of the running test.
    humans
        From `read_human_labels`.
    samples
        The responses that the labels are about, where the file does not hold their texts:
        ``models.samples``, or `from_responses`.
    level
        Of both intervals.

    Raises
    ------
    ResponsesError
        For no labels, or a label about a response that is not there.
    """
    from pytest_convergence.assertions import labeller_of
    from pytest_convergence.judging import labeller_name
    from pytest_convergence.metrics.agreement import cohen_kappa
    from pytest_convergence.represent.labels.judges import agreement_of_labels
    from pytest_convergence.represent.representation import as_label
    from pytest_convergence.running import current_test
    from pytest_convergence.stats.kappa import kappa_interval

    chosen = labeller_of(current_test(), labeller)
    if chosen is None or not humans:
        raise ResponsesError("there are no labels to compare", fix=["give at least one"])
    asked = [_response(human, samples) for human in humans]
    prepare = getattr(chosen, "prepare", None)
    if prepare is not None:
        prepare(asked)
    found = [as_label(chosen(response, data)) for response, data in asked]
    both = [(h, f) for h, f in zip(humans, found, strict=True) if h.label and f.missing is None]
    kappa = interval = None
    if both:
        given, said = [h.label for h, _ in both], [f.value for _, f in both]
        kappa = cohen_kappa(given, said)
        interval = kappa_interval(given, said, [h.prompt_id for h, _ in both], level=level)
    labelled = [f for h, f in zip(humans, found, strict=True) if h.label]
    return LabellerReport(
        labeller=labeller_name(chosen),
        confusion=_confusion(humans, found),
        accuracy=_accuracy(humans, found, level),
        kappa=kappa,
        interval=interval,
        unlabelled=sum(f.missing is not None for f in labelled) / max(len(labelled), 1),
        judges=agreement_of_labels([[found]]),
    )


def _response(human: HumanLabel, samples: Samples | None) -> tuple[Response, Mapping[str, Any]]:
    from pytest_convergence.missing import logged_response

    if samples is None:
        if human.text is None:
            raise ResponsesError(
                f"{human.where}: a label without the text of its response",
                fix=["add a column of texts, or hand over the samples that the labels are about"],
            )
        return logged_response(human.text, human.finish), human.data
    case = next((one for one in samples.cases if one.prompt_id == human.prompt_id), None)
    responses = case.responses.get(human.model, ()) if case else ()
    if case is None or not 0 <= human.sample < len(responses):
        raise ResponsesError(
            f"{human.where}: there is no response {human.sample} of {human.model!r} to "
            f"{human.prompt_id!r}",
            details=[
                f"models: {', '.join(samples.models)}",
                f"prompts: {', '.join(one.prompt_id for one in samples.cases[:8])}",
            ],
            fix=["use the ids of the prompts and the models' names; samples are numbered from 0"],
        )
    return responses[human.sample], {**human.data, **case.data}


def _confusion(humans: Sequence[HumanLabel], found: Sequence[Label]) -> Confusion:
    from pytest_convergence.represent.labels.scoring import MISSING, Confusion

    pairs = [(h.label or MISSING, f.value or MISSING) for h, f in zip(humans, found, strict=True)]
    wrong = tuple(
        (human.where, *pair)
        for human, pair in zip(humans, pairs, strict=True)
        if pair[0] != pair[1]
    )
    return Confusion(dict(sorted(Counter(pairs).items())), wrong)


def _accuracy(humans: Sequence[HumanLabel], found: Sequence[Label], level: float) -> Rate:
    from pytest_convergence.stats.rates import pass_rate

    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for human, label in zip(humans, found, strict=True):
        total[human.prompt_id] += 1
        right[human.prompt_id] += human.label == (label.value if label.missing is None else None)
    prompts = list(total)
    return pass_rate([right[p] for p in prompts], [total[p] for p in prompts], level=level)

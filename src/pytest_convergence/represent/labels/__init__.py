"""Responses become labels: one module a labeller, each a factory of a named, frozen object."""

from pytest_convergence.represent.labels.abstention import Abstention, abstention
from pytest_convergence.represent.labels.choices import MultipleChoice, multiple_choice
from pytest_convergence.represent.labels.confidence import Confidence, confidence
from pytest_convergence.represent.labels.formats import ResponseFormat, response_format
from pytest_convergence.represent.labels.instructions import (
    Check,
    Instructions,
    check,
    instructions,
)
from pytest_convergence.represent.labels.judges import (
    Judge,
    JudgeAgreement,
    Verdict,
    judge,
    judge_agreement,
)
from pytest_convergence.represent.labels.matching import Matches, matches
from pytest_convergence.represent.labels.numbers import Number, number
from pytest_convergence.represent.labels.refusals import Refusal, refusal
from pytest_convergence.represent.labels.registry import LABELLERS, labeller
from pytest_convergence.represent.labels.scoring import (
    Confusion,
    Example,
    confusion,
    read_examples,
)
from pytest_convergence.represent.labels.yes_no import YesNo, yes_no

__all__ = [
    "LABELLERS",
    "Abstention",
    "Check",
    "Confidence",
    "Confusion",
    "Example",
    "Instructions",
    "Judge",
    "JudgeAgreement",
    "Matches",
    "MultipleChoice",
    "Number",
    "Refusal",
    "ResponseFormat",
    "Verdict",
    "YesNo",
    "abstention",
    "check",
    "confidence",
    "confusion",
    "instructions",
    "judge",
    "judge_agreement",
    "labeller",
    "matches",
    "multiple_choice",
    "number",
    "read_examples",
    "refusal",
    "response_format",
    "yes_no",
]

"""Responses become labels: one module a labeller, each a factory of a named, frozen object."""

from pytest_convergence.represent.labels.choices import MultipleChoice, multiple_choice
from pytest_convergence.represent.labels.matching import Matches, matches
from pytest_convergence.represent.labels.refusals import Refusal, refusal
from pytest_convergence.represent.labels.registry import LABELLERS, labeller
from pytest_convergence.represent.labels.yes_no import YesNo, yes_no

__all__ = [
    "LABELLERS",
    "Matches",
    "MultipleChoice",
    "Refusal",
    "YesNo",
    "labeller",
    "matches",
    "multiple_choice",
    "refusal",
    "yes_no",
]

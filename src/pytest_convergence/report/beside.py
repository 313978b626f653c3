"""What stands beside a similarity, in a few lines."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from pytest_convergence.text import printable

if TYPE_CHECKING:
    from pytest_convergence.metrics.agreement import Agreement
    from pytest_convergence.metrics.confounds import Confounds
    from pytest_convergence.metrics.panel_agreement import PanelAgreement
    from pytest_convergence.results import ConvergenceResult

_WIDTH = 78
_LABELS = 5


def beside_lines(result: ConvergenceResult) -> list[str]:
    """Agreement in label and in error, confounds, and what would settle the verdict."""
    lines = agreement_lines(result.agreement) if result.agreement else []
    lines += _undefined_lines(result)
    if result.confounds:
        lines += confound_lines(result.confounds)
    if result.settlement and not (result.settled and result.passed):
        lines.append(str(result.settlement))
    return [part for line in lines for part in textwrap.wrap(printable(line), _WIDTH)]


def _undefined_lines(result: ConvergenceResult) -> list[str]:
    """What can be said without a score: are the models one, and does the prompt matter?"""
    from pytest_convergence.metrics.estimates import GroupEstimate

    estimate = result.estimate
    if not isinstance(estimate, GroupEstimate) or estimate.undefined is None:
        return []
    lines = []
    if estimate.mmd_p is not None and estimate.mmd2 is not None:
        lines.append(
            f"that all are one model: p {estimate.mmd_p:.3f} (MMD^2 {estimate.mmd2:.4f}, responses "
            "shuffled between models)"
        )
    if estimate.permutation_p is not None:
        lines.append(
            f"that the prompt does not matter: p {estimate.permutation_p:.3f} (prompts shuffled)"
        )
    return lines


def agreement_lines(found: PanelAgreement) -> list[str]:
    """Raw agreement, prevalence, the chance-corrected figures, and agreement when wrong."""
    common = sorted(found.prevalence.items(), key=lambda item: (-item[1], item[0]))
    shown = ", ".join(f"{label} {share:.0%}" for label, share in common[:_LABELS])
    more = f" and {len(common) - _LABELS} more" if len(common) > _LABELS else ""
    lines = [
        f"labels: {shown}{more}",
        f"agreement {found.raw:.2f}; corrected for chance: Conger's kappa "
        f"{_corrected(found.conger)}, Fleiss' {_corrected(found.fleiss)}, Gwet's AC1 "
        f"{_corrected(found.gwet_ac1)}",
    ]
    if found.both_wrong is not None and found.same_wrong is not None:
        when = found.when_both_wrong
        lines.append(
            "no two answers to a prompt were both wrong"
            if when is None
            else f"both wrong {found.both_wrong:.2f}, with the same wrong answer "
            f"{found.same_wrong:.2f}: agreement when both are wrong {when:.2f}"
        )
    return lines


def _corrected(one: Agreement) -> str:
    return "undefined" if one.corrected is None else f"{one.corrected:.2f}"


def confound_lines(found: Confounds) -> list[str]:
    """How much of the similarity length and format explain."""
    shape = "" if found.format is None else f", format {found.format:.0%}"
    return [
        f"of the differences in similarity within prompts, length explains {found.length:.0%}"
        f"{shape}, both {found.together:.0%}"
    ]

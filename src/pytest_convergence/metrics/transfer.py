"""Learning in sequence, and options kept open: two figures with closed forms."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def backward_transfer(results: ArrayLike, *, divide_by_all_tasks: bool = False) -> float:
    """Mean change on earlier tasks after the last one was learned; negative is forgetting.

    ``sum_j (R[T-1, j] - R[j, j])`` over j < T - 1, divided by T - 1.

    Parameters
    ----------
    results
        Shape (T, T): ``results[i, j]`` is the result on task j after learning task i.
    divide_by_all_tasks
        Divide by T, as some papers do though the last task has no earlier result.

    References
    ----------
    Lopez-Paz and Ranzato 2017, "Gradient episodic memory for continual learning".
    """
    table = np.asarray(results, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] != table.shape[1] or len(table) < 2:
        raise ValueError(f"results have shape {table.shape}, not (T, T) with at least two tasks")
    change = float((table[-1, :-1] - np.diagonal(table)[:-1]).sum())
    return change / (len(table) if divide_by_all_tasks else len(table) - 1)


def power(reachable: int) -> float:
    """Expected best reward among ``reachable`` end states with uniform rewards: ``k/(k + 1)``.

    How useful a state is, whatever one will want, in the sense of Turner et al.: with rewards
    drawn evenly from [0, 1], more options left open are worth more, in falling steps.

    References
    ----------
    Turner, Smith, Shah, Critch and Tadepalli 2021, "Optimal policies tend to seek power".
    """
    if reachable < 1:
        raise ValueError(f"{reachable} reachable end states")
    return reachable / (reachable + 1)

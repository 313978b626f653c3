"""Quantiles of Student's t for many degrees of freedom at once, with numpy alone.

``scipy.special.stdtrit`` gives the same numbers (the tests compare them) and takes longer to load
than a study of eleven thousand responses takes to be judged.
"""

from __future__ import annotations

from functools import lru_cache
from math import lgamma, log, pi

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_DEGREE = 40
_HIGHEST = 0.99
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)


def student_quantile(level: float, freedom: float | Floats) -> Floats:
    """The two-sided t quantile of a level, e.g. 2.09 for .95 and 19 degrees of freedom.

    Parameters
    ----------
    level
        In (0, 1).
    freedom
        Degrees of freedom, above 0, any shape; not necessarily whole.

    Notes
    -----
    The logarithm of the quantile is smooth in one over the degrees of freedom: a Chebyshev series
    of degree 40, within 1e-10 of the quantile. Levels above .99 and less than one degree of
    freedom are left to scipy.
    """
    freedom = np.asarray(freedom, dtype=np.float64)
    if level > _HIGHEST or (freedom < 1.0).any():
        from scipy.special import stdtrit

        return np.asarray(stdtrit(freedom, 0.5 + level / 2.0))
    return np.asarray(np.exp(_series(level)(1.0 / freedom)))


@lru_cache(maxsize=16)
def _series(level: float) -> Chebyshev:
    def logarithms(inverses: Floats) -> Floats:
        return np.asarray(np.log(_quantiles(level, 1.0 / inverses)))

    return Chebyshev.interpolate(logarithms, _DEGREE, domain=(0.0, 1.0))


def _quantiles(level: float, freedom: Floats) -> Floats:
    """Quantiles, shape (n,): with ``t = sqrt(v) tan(a)`` the density of ``a`` is ``cos(a)**(v-1)``.

    Newton's method on the angles. The distribution is concave there, so that it comes from the
    left, without overshooting, from a start of 0.
    """
    gammas = [lgamma(one / 2) - lgamma((one + 1) / 2) for one in freedom.tolist()]
    wanted = level * np.exp(0.5 * log(pi) + np.array(gammas))
    power = freedom - 1.0
    angles = np.zeros_like(freedom)
    for _ in range(60):
        inside = np.cos(0.5 * angles[:, None] * (1.0 + _NODES)) ** power[:, None]
        steps = (wanted - angles * (inside @ _WEIGHTS)) / (2.0 * np.cos(angles) ** power)
        angles += steps
        if (np.abs(steps) <= 1e-13 * angles).all():
            break
    return np.asarray(np.sqrt(freedom) * np.tan(angles))

"""What the estimand gives: plain frozen results, for one prompt and for a group of prompts."""

from __future__ import annotations

from msgspec import Struct

from pytest_convergence.metrics.summaries import Floats, Ints


class Interval(Struct, frozen=True):
    """A confidence interval; ``method`` names how it was made, ``level`` is e.g. .95."""

    low: float
    high: float
    level: float
    method: str


class PromptEstimate(Struct, frozen=True, eq=False):
    """Similarity of M models on one prompt. One prompt has no floor, hence no score.

    ``similarity`` is the mean of ``pairs`` over the pairs of different models; ``pairs`` has
    shape (M, M) with each model's within on the diagonal (nan where it has one sample).
    ``within`` is the mean of the diagonal that is not nan, or None. ``interval`` is over
    resampled responses, or None where each model has one. ``counts`` has shape (M,).
    ``identical`` is True where all responses have the same features (unanimous labels).
    """

    models: tuple[str, ...]
    counts: Ints
    similarity: float
    within: float | None
    pairs: Floats
    interval: Interval | None
    identical: bool


class PairMatrices(Struct, frozen=True, eq=False):
    """The estimand for each pair of models; every array has shape (M, M), symmetric.

    On the diagonal: ``similarity`` is within, ``floor`` the same-model floor, ``ceiling`` equals
    within, ``score`` is 1 (nan where not estimable). ``low`` and ``high`` bound the score, nan
    where undefined. ``mmd2`` is the squared maximum mean discrepancy, nan where n = 1.
    """

    similarity: Floats
    floor: Floats
    ceiling: Floats
    score: Floats
    low: Floats
    high: Floats
    mmd2: Floats


class GroupEstimate(Struct, frozen=True, eq=False):
    """Convergence of M models over P prompts.

    ``score`` is None exactly where ``undefined`` gives the reason; similarity, floor, ceiling and
    within stand all the same. ``samples`` is the median count of usable responses of the model
    that has fewest; ``ceiling`` is 1 where it is one. ``to_others`` and ``own`` have shape (M,):
    each model's mean similarity to the others and to itself. ``by_prompt`` and ``leverage`` have
    shape (P,): each prompt's mean similarity and how far the score moves without it.
    ``same_model_floor`` is each model's agreement with itself on different prompts, averaged.
    ``duplicates`` counts prompts collapsed.
    ``identical`` is True where all responses of every prompt have the same features.
    ``standard_error`` is that of ceiling - floor.
    """

    models: tuple[str, ...]
    prompts: tuple[str, ...]
    families: int
    samples: int
    similarity: float
    similarity_interval: Interval | None
    within: float | None
    floor: float
    same_model_floor: float
    ceiling: float
    standard_error: float
    score: float | None
    interval: Interval | None
    undefined: str | None
    pairs: PairMatrices
    own: Floats
    to_others: Floats
    by_prompt: Floats
    leverage: Floats
    permutation_mean: float | None
    permutation_p: float | None
    mmd2: float | None
    mmd_p: float | None
    duplicates: int
    identical: bool

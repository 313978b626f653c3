"""What the sampler is told: modes, limits, budgets of time and of money."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import asdict

from pytest_convergence.errors import SettingsError


class Limits(Struct, frozen=True):
    """What may be asked of one model or of one domain (base URL and key); None: no limit.

    Attributes
    ----------
    in_flight
        Requests that wait for an answer at one time.
    requests_per_minute, tokens_per_minute
        Held in every window of a minute, whatever the number of workers. Tokens are those of
        prompt and answer; a call counts with its expected tokens until it is answered.

    Raises
    ------
    SettingsError
        For a limit of zero or less: nothing could ever be asked.
    """

    in_flight: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None and not value > 0:
                raise SettingsError(
                    f"the limit {name}={value} would let no call through",
                    fix=[f"give {name} a number above 0, or leave it out for no limit"],
                )


class SamplingSettings(Struct, frozen=True):
    """How models are asked in one run; equal in every process of the run.

    Attributes
    ----------
    record
        ``none`` replays only; ``new_episodes`` asks for what is missing; ``rewrite`` asks anew.
    state
        The folder for claims and shared limits (``.convergence``).
    run
        Names the run that this process and its fellow workers belong to.
    model_limits, domain_limits, limits_by_model
        Limits of every model, of every base URL and key, and of single models by name.
    timeout
        Seconds for one attempt, from connecting to the last byte.
    max_retries
        Further attempts after the first; 0 for none.
    total_seconds
        Seconds for one call with all its attempts and the pauses between them.
    backoff
        Seconds before the first retry; each further one waits about twice as long, with jitter.
    retry_missing
        Ask again where a recorded answer is a final failure.
    max_cost
        US dollars after which nothing more is asked.
    prices
        US dollars for a million tokens (of the prompt, of the answer) by model, over the price
        library's.
    ahead
        Calls for each model that may be asked before a test needs them; None chooses three
        rounds of what may be in flight.
    start
        Requests in flight for each model at first, from where the limit is felt for.
    """

    record: Literal["none", "new_episodes", "rewrite"] = "none"
    state: Path = Path(".convergence")
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    model_limits: Limits = Limits(in_flight=16)
    domain_limits: Limits = Limits()
    limits_by_model: Mapping[str, Limits] = field(default_factory=dict)
    timeout: float = 120.0
    max_retries: int = 6
    total_seconds: float = 900.0
    backoff: float = 0.5
    retry_missing: bool = False
    max_cost: float | None = None
    prices: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    ahead: int | None = None
    start: int = 8

    def __post_init__(self) -> None:
        for name in ("timeout", "total_seconds", "backoff", "start"):
            if not getattr(self, name) > 0:
                raise SettingsError(
                    f"{name}={getattr(self, name)} is not usable",
                    fix=[f"give {name} a number above 0"],
                )
        if self.max_retries < 0 or (self.ahead is not None and self.ahead < 1):
            raise SettingsError(
                "max_retries must be 0 or more, and ahead 1 or more",
                details=[f"max_retries={self.max_retries}, ahead={self.ahead}"],
            )

    @property
    def recording(self) -> bool:
        """Whether anything may be asked at all."""
        return self.record != "none"

    def limits_of(self, model: str) -> Limits:
        """The limits of one model by name."""
        return self.limits_by_model.get(model, self.model_limits)

    def look_ahead(self, model: str) -> int:
        """How many calls for a model may be under way or done before a test needs them."""
        return self.ahead or 3 * (self.limits_of(model).in_flight or 16)

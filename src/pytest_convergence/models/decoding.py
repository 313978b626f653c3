"""Decoding parameters: one that is not set is not sent."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from pytest_convergence.errors import SettingsError


class Decoding(Struct, frozen=True):
    """How a model is asked. ``None`` means: not sent, the provider's default holds.

    ``extra`` goes into the request's body as it is (``min_p``, ``reasoning_effort`` …), as
    sorted pairs so that equal settings are equal objects.
    """

    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    system: str | None = None
    stop: tuple[str, ...] | None = None
    top_logprobs: int | None = None
    extra: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], *, where: str) -> Decoding:
        """Decoding from named values; ``where`` names their source in an error.

        Raises
        ------
        SettingsError
            For a name that is not a decoding parameter or a value of the wrong type or range.
        """
        unknown = sorted(set(values) - _names())
        if unknown:
            raise SettingsError(
                f"unknown decoding parameter {unknown[0]!r} in {where}",
                details=[f"known: {', '.join(sorted(_names()))}"],
                fix=[f"put provider-specific ones into extra={{{unknown[0]!r}: …}}"],
            )
        checked = {name: _checked(name, value, where) for name, value in values.items()}
        return cls(**checked)

    def merged(self, closer: Decoding) -> Decoding:
        """These parameters with those that ``closer`` sets put over them, key by key."""
        values: dict[str, Any] = {
            name: getattr(self, name) if getattr(closer, name) is None else getattr(closer, name)
            for name in self.__struct_fields__
            if name != "extra"
        }
        extra = dict(self.extra) | dict(closer.extra)
        return Decoding(**values, extra=tuple(sorted(extra.items())))

    def as_dict(self) -> dict[str, Any]:
        """Only what is set, in JSON types."""
        values = asdict(self)
        extra = dict(values.pop("extra"))
        stop = values.pop("stop")
        result = {name: value for name, value in values.items() if value is not None}
        if stop is not None:
            result["stop"] = list(stop)
        if extra:
            result["extra"] = extra
        return result


@cache
def _names() -> frozenset[str]:
    return frozenset(Decoding.__struct_fields__)


def _checked(name: str, value: Any, where: str) -> Any:
    if value is None:
        return () if name == "extra" else None
    if name == "extra":
        if isinstance(value, Mapping):
            return tuple(sorted(value.items()))
        return tuple(value)
    if name == "stop":
        return (value,) if isinstance(value, str) else tuple(value)
    if name == "system":
        valid, expected = isinstance(value, str), "a string"
    elif name in ("temperature", "top_p"):
        upper = 1 if name == "top_p" else float("inf")
        number = isinstance(value, int | float) and not isinstance(value, bool)
        valid = number and 0 <= value <= upper
        expected = "a number from 0 to 1" if name == "top_p" else "a number from 0"
        value = float(value) if valid else value
    else:
        least = 1 if name == "max_tokens" else 0
        valid = isinstance(value, int) and not isinstance(value, bool)
        valid = valid and (name == "seed" or value >= least)
        expected = "a whole number" if name == "seed" else f"a whole number from {least}"
    if not valid:
        raise SettingsError(
            f"{name}={value!r} in {where} is not usable", fix=[f"give {name} {expected}"]
        )
    return value

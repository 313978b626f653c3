"""Units of measure: their names and their exact factors to one unit of each kind."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pytest_convergence.errors import RepresentationError

# kind -> (names, factor to the kind's first unit); SI brochure and the 1959 yard and pound.
_KINDS: Mapping[str, tuple[tuple[str, float], ...]] = {
    "length": (
        ("m metre metres meter meters", 1.0),
        ("km kilometre kilometres kilometer kilometers", 1000.0),
        ("cm centimetre centimetres centimeter centimeters", 0.01),
        ("mm millimetre millimetres millimeter millimeters", 0.001),
        ("mi mile miles", 1609.344),
        ("yd yard yards", 0.9144),
        ("ft foot feet", 0.3048),
        ("in inch inches", 0.0254),
    ),
    "mass": (
        ("g gram grams gramme grammes", 1.0),
        ("kg kilo kilos kilogram kilograms", 1000.0),
        ("mg milligram milligrams", 0.001),
        ("t tonne tonnes", 1e6),
        ("lb lbs pound pounds", 453.59237),
        ("oz ounce ounces", 28.349523125),
    ),
    "time": (
        ("s sec secs second seconds", 1.0),
        ("ms millisecond milliseconds", 0.001),
        ("min mins minute minutes", 60.0),
        ("h hr hrs hour hours", 3600.0),
        ("d day days", 86400.0),
        ("week weeks", 604800.0),
    ),
    "volume": (
        ("l litre litres liter liters", 1.0),
        ("ml millilitre millilitres milliliter milliliters", 0.001),
    ),
    "share": (("% percent percentage", 0.01),),
}
_FACTORS: Mapping[str, tuple[str, float]] = {
    name: (kind, factor)
    for kind, units in _KINDS.items()
    for names, factor in units
    for name in names.split()
}
NAMES = tuple(sorted(_FACTORS, key=lambda name: (-len(name), name)))


def factor(unit: str, target: str, own: Mapping[str, float]) -> float | None:
    """What one ``unit`` is in ``target``; None where they measure different things.

    ``own`` are factors to the target that the user gives, by name.
    """
    unit, wanted = unit.strip(".").lower(), target.strip(".").lower()
    if unit == wanted:
        return 1.0
    if unit in own:
        return own[unit]
    if unit in _FACTORS and wanted in _FACTORS:
        kind, size = _FACTORS[unit]
        other, scale = _FACTORS[wanted]
        return size / scale if kind == other else None
    return None


def check_factors(own: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """The user's own units in lower case, sorted.

    Raises
    ------
    RepresentationError
        For a factor that is not a positive number.
    """
    for name, size in own.items():
        if not 0 < size < math.inf:
            raise RepresentationError(
                f"the factor of unit {name!r} is {size!r}", fix=["give a positive number"]
            )
    return tuple(sorted((name.lower(), float(size)) for name, size in own.items()))

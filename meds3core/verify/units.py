"""Units of medicine and their conversion, where it is safe: mg and g, never mg and mg/kg.

A unit is a product of base quantities with integer exponents and a factor. A word that is no known unit is a base
quantity of its own. "per dose" changes nothing.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

_BASES: dict[str, tuple[str, float, str]] = {}


def _add(base: str, **names: float) -> None:
    for name, factor in names.items():
        _BASES[name] = (base, factor, name)


_add("mass", g=1.0, mg=1e-3, mcg=1e-6, ug=1e-6, µg=1e-6, ng=1e-9, pg=1e-12, kg=1e3)
_add("mass", gram=1.0, milligram=1e-3, microgram=1e-6, nanogram=1e-9, kilogram=1e3, gm=1.0, kilo=1e3)
_add("volume", l=1.0, dl=0.1, ml=1e-3, cc=1e-3, µl=1e-6, ul=1e-6, fl=1e-15)
_add("volume", liter=1.0, litre=1.0, milliliter=1e-3, millilitre=1e-3, deciliter=0.1, decilitre=0.1)
_add("time", min=1.0, minute=1.0, s=1 / 60, sec=1 / 60, second=1 / 60, h=60.0, hr=60.0, hour=60.0)
_add("time", d=1440.0, day=1440.0, week=10080.0, wk=10080.0)
_add("month", month=1.0, mo=1.0, year=12.0, yr=12.0)
_add("amount", mol=1.0, mmol=1e-3, µmol=1e-6, umol=1e-6, nmol=1e-9, pmol=1e-12)
_add("amount", mole=1.0, millimole=1e-3, micromole=1e-6)
_add("charge", eq=1.0, meq=1e-3, equivalent=1.0, milliequivalent=1e-3)
_add("osmoles", osm=1.0, mosm=1e-3, milliosmole=1e-3)
_add("activity", iu=1.0, unit=1.0, u=1.0, miu=1e-3, mu=1e-3)
_add("length", m=1.0, cm=1e-2, mm=1e-3, µm=1e-6, um=1e-6, nm=1e-9, meter=1.0, metre=1.0, centimeter=1e-2)
_add("length", centimetre=1e-2, millimeter=1e-3, millimetre=1e-3)
_add("pressure", mmhg=1.0, kpa=7.500617, torr=1.0)
_add("energy", kcal=1.0, kj=1 / 4.184, cal=1e-3)
_add("percent", percent=1.0)
_BASES["%"] = ("percent", 1.0, "%")
_add("celsius", c=1.0, celsius=1.0)
_add("fahrenheit", f=1.0, fahrenheit=1.0)
_add("count", point=1.0, tablet=1.0, capsule=1.0, pill=1.0, score=1.0, time=1.0)
_add("beats", beat=1.0, breath=1.0, drop=1.0, gtt=1.0)

_COUNTS = frozenset(("point", "tablet", "capsule", "pill", "score", "time", "patient"))
"""Words that say what is counted: a bare number means the same."""

_RATES = {"bpm": "beat/min", "daily": "/day", "hourly": "/hour", "weekly": "/week", "mmhg": "mmhg"}
_POWER = re.compile(r"\^?\{?(-?\d)\}?$")
_PART = re.compile(r"(\d+(?:\.\d+)?\s*)?([^\W\d_]+\.?|%)(?:\^?\{?-?[1-3]\}?)?(?!\w)", re.UNICODE)
_SPLIT = re.compile(r"\s*(/|\bper\b|\ba(?=\s(?:day|week|hour|minute)\b)|·|\s)\s*")


@dataclass(frozen=True, slots=True)
class Unit:
    """Exponents of base quantities, sorted by name, and what one of the unit is worth in them.

    Numerators and denominators never cancel: mg per kg of body weight is not a bare number.
    """

    dimensions: tuple[tuple[str, int], ...]
    factor: float

    @property
    def is_count(self) -> bool:
        """Whether a bare number means the same."""
        return all(name in _COUNTS for name, _ in self.dimensions)


NO_UNIT = Unit((), 1.0)


@lru_cache(maxsize=4096)
def parse_unit(text: str) -> Unit | None:
    """Read a whole unit ("mg/kg/day", "mL per hour", "mL/min/1.73 m2"); None when it is none."""
    rest = text.strip().casefold().replace("μ", "µ").replace("°", "").replace("²", "2").replace("³", "3")
    rest = _RATES.get(rest, rest)
    dimensions: dict[str, int] = {}
    factor, sign = 1.0, 1
    while rest:
        joint = _SPLIT.match(rest)
        if joint:
            sign = -1 if joint[1] not in ("·", " ") else sign
            rest = rest[joint.end() :]
        if rest in ("daily", "hourly", "weekly"):
            rest, sign = _RATES[rest][1:], -1
        part = _PART.match(rest)
        if part is None:
            return None
        name, power = part[2].rstrip("."), sign
        exponent = _POWER.search(part[0])
        if exponent and part[0][: exponent.start()].endswith(part[2]):
            power *= int(exponent[1])
        rest = rest[part.end() :]
        if name.removesuffix("s") == "dose":
            continue
        base, worth = _base(name)
        base = base if sign > 0 else f"per {base}"
        dimensions[base] = dimensions.get(base, 0) + power
        factor *= worth**power
        if part[1]:
            factor *= float(part[1]) ** sign
    return Unit(tuple(sorted(item for item in dimensions.items() if item[1])), factor)


def _base(name: str) -> tuple[str, float]:
    """The base quantity of a unit's name and its worth in it."""
    for candidate in (name, name.removesuffix("s")):
        known = _BASES.get(candidate)
        if known:
            base, factor, canonical = known
            return (canonical if base in ("count", "beats") else base), factor
    return name.removesuffix("s"), 1.0


def is_known(name: str) -> bool:
    """Whether a single word is a unit of the table."""
    folded = name.casefold().rstrip(".")
    return folded in _BASES or (len(folded) > 2 and folded.removesuffix("s") in _BASES) or folded in _RATES

"""Reads quantities: numbers as people and models write them, with their unit."""

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from meds3core.verify.units import NO_UNIT, Unit, is_known, parse_unit

_SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_NUMBER = re.compile(
    r"""(?<![\w.,/^-])(?P<sign>[-+])?\$?
    (?P<digits>\d{1,3}(?:[,\u2009\u202f\u00a0]\d{3}){1,9}(?!\d)(?:\.\d{1,30})?
      |\d{1,30},\d{1,2}(?!\d|,)|0,\d{1,30}(?!\d|,)|\d{1,30}(?:\.\d{1,30})?|\.\d{1,30})
    (?:\s?[x×*]\s?10\s?\^?\s?[{(]?(?P<power>[-+]?\d{1,3})[)}]?|[eE](?P<exponent>[-+]?\d{1,3})(?![\w]))?
    (?:/(?P<denominator>[1-9]\d?)(?![\d/.]))?
    (?!\d|[eE][-+]?\d)""",
    re.VERBOSE,
)
_WORD = r"[^\W\d_]+(?:\^?[23](?!\d))?"
_UNIT = re.compile(
    rf"""[\s-]?\s?(?P<first>%|°?\s?{_WORD}\.?(?=$|[\W\d]))?
    (?P<rest>(?:\s?/\s?(?:1\.73\s?)?{_WORD}|\sper\s(?:1\.73\s?)?{_WORD}|\san?\s(?:day|week|hour|minute)\b)*)
    (?P<rate>\s(?:daily|hourly|weekly)\b|\s?/\s?(?:daily|hourly)\b)?""",
    re.VERBOSE | re.IGNORECASE,
)
_MIXED = re.compile(r"(?<![\w.,/-])(\d{1,3})\s(\d{1,2})/([1-9]\d?)(?![\d/])")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with the unit that was written behind it, and where it stood."""

    value: float
    unit: Unit
    unit_text: str
    start: int
    end: int


def quantities(text: str, expected_unit: str | None) -> list[Quantity]:
    """All quantities in a short text, in order. Words of the expected unit count as units too."""
    if not text.isascii():
        text = text.translate(_SUPERSCRIPTS)
    extra = _words(expected_unit or "")
    found: list[Quantity] = []
    behind = 0
    for match in _NUMBER.finditer(text):
        if match.start() < behind:
            continue
        value = _value(match)
        if value is None:
            continue
        start = match.start()
        mixed = _MIXED.match(text, start)
        if mixed:
            value = int(mixed[1]) + int(mixed[2]) / int(mixed[3])
        end = mixed.end() if mixed else match.end()
        unit, unit_text, behind = _unit(text, end, extra)
        if not unit_text and text[end : end + 1].isalpha():
            continue
        found.append(Quantity(value, unit, unit_text, start, behind))
    return found


@lru_cache(maxsize=1024)
def _words(unit: str) -> frozenset[str]:
    return frozenset(re.findall(r"[^\W\d_]+", unit.casefold()))


def single_quantity(text: str, expected_unit: str | None) -> Quantity | None:
    """The one quantity that a gold or a normal form consists of; None when there is anything else in it."""
    text = text.strip()
    found = quantities(text, expected_unit)
    if len(found) != 1 or found[0].start or text[found[0].end :].strip(" ."):
        return None
    return found[0]


def _value(match: re.Match[str]) -> float | None:
    digits = match["digits"].replace("\u2009", ",").replace("\u202f", ",").replace("\u00a0", ",")
    if "," in digits:
        whole, _, rest = digits.partition(",")
        thousands = len(digits.split(",")[-1].split(".")[0]) == 3 and whole != "0"
        digits = digits.replace(",", "") if thousands else f"{whole}.{rest}"
    exponent = int(match["power"] or match["exponent"] or 0)
    if abs(exponent) > 30:
        return None
    value = float(f"{digits}e{exponent}")
    if match["denominator"]:
        value /= int(match["denominator"])
    return -value if match["sign"] == "-" else value


def _unit(text: str, start: int, extra: frozenset[str]) -> tuple[Unit, str, int]:
    """The unit at `start`, its text and its end; no unit if the next word is none."""
    match = _UNIT.match(text, start)
    if match is None or not (match["first"] or match["rest"] or match["rate"]):
        return NO_UNIT, "", start
    first = (match["first"] or "").strip()
    word = first.rstrip(".").lstrip("° ")
    bare = re.sub(r"\^?[23]$", "", word).casefold()
    known = first == "%" or is_known(bare) or bool(extra & {bare, bare + "s", bare.removesuffix("s")})
    if first and not known:
        return NO_UNIT, "", start
    if first == word + "." and not match["rest"] and not match["rate"]:
        end, unit_text = match.end("first") - 1, word
    else:
        end, unit_text = match.end(), text[start : match.end()].strip(" -")
    unit = parse_unit(unit_text)
    if unit is None:
        return NO_UNIT, "", start
    return unit, " ".join(unit_text.split()), end


def decimal(value: float) -> str:
    """A plain decimal with twelve significant digits at most and no closing zeros."""
    text = format(Decimal(f"{value:.12g}"), "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text

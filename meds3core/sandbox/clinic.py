"""The synthetic clinic: its families, and the split of its questions into a training and a test space."""

import hashlib
from collections.abc import Iterator
from random import Random
from typing import Literal, get_args

from meds3core.errors import UserError
from meds3core.sandbox.families.acid_base import AcidBase
from meds3core.sandbox.families.anion_gap import AnionGap
from meds3core.sandbox.families.calcium import Calcium
from meds3core.sandbox.families.clearance import Clearance
from meds3core.sandbox.families.contraindication import Contraindication
from meds3core.sandbox.families.curb65 import Curb65
from meds3core.sandbox.families.dosing import Dosing
from meds3core.sandbox.families.fluids import Fluids
from meds3core.sandbox.families.lab_table import LabTable
from meds3core.sandbox.forms import Case, Family, Level
from meds3core.sandbox.template import Values

Split = Literal["train", "test"]

_ALL: tuple[Family, ...] = (
    Dosing(),
    AnionGap(),
    Curb65(),
    Fluids(),
    Calcium(),
    Clearance(),
    AcidBase(),
    Contraindication(),
    LabTable(),
)
FAMILIES = {family.name: family for family in _ALL}
TEST_SHARE = 5
"""One in so many parameter tuples belongs to the test space."""


class UnknownSplit(UserError):
    """The clinic has a training and a test space, and no other."""

    code = "unknown-split"


def split_of(family: Family, facts: Values) -> Split:
    """The space to which a question with these facts belongs, whatever its wording."""
    core = sorted((name, str(value)) for name, value in facts.items() if name not in family.surface)
    digest = hashlib.blake2b(f"{family.name} {core}".encode(), digest_size=8).digest()
    return "test" if int.from_bytes(digest, "big") % TEST_SHARE == 0 else "train"


def draw(family: Family, level: Level, split: str, rng: Random) -> Case:
    """Draw one case of a family and level from a split."""
    if split not in get_args(Split):
        raise UnknownSplit(f"there is no split {split!r}; choose train or test")
    while True:
        facts = family.sample(rng, level)
        if split_of(family, facts) == split:
            text = rng.choice(family.wordings[level]).write(facts)
            return family.solve(facts, level, text)


def cases(split: str, seed: int) -> Iterator[Case]:
    """Endless cases, one family after another, levels at random. No two have the same text while texts last."""
    rng = Random(f"clinic {split} {seed}")
    seen: set[str] = set()
    while True:
        for family in FAMILIES.values():
            case = draw(family, rng.choice(list(Level)), split, rng)
            for _ in range(50):
                if case.text not in seen:
                    break
                case = draw(family, rng.choice(list(Level)), split, rng)
            seen.add(case.text)
            yield case

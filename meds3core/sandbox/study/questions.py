"""The study's question files: held-out and validation questions share no parameters, whatever their wording."""

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from meds3core.data.write import write_questions
from meds3core.errors import UserError
from meds3core.sandbox.clinic import FAMILIES, cases
from meds3core.sandbox.forms import Case
from meds3core.sandbox.questions import case_of, generate, question_of
from meds3core.sandbox.study.config import StudyConfig
from meds3core.types.question import Question

_PATIENCE = 100
"""Cases drawn per wanted question before the space counts as used up."""

Parameters = tuple[str, tuple[tuple[str, str], ...]]
"""Family and facts, without those that only change the wording."""


class SpaceUsedUp(UserError):
    """The test space has too few parameters for so many held-out and validation questions."""

    code = "space-used-up"


@dataclass(frozen=True)
class StudyFiles:
    """Where the questions and the base policy lie. `training` by seed."""

    held_out: Path
    validation: Path
    training: dict[int, Path]
    policy: Path


def parameters_of(case: Case) -> Parameters:
    """What a question asks about, whatever its wording: what `clinic.split_of` decides by."""
    surface = FAMILIES[case.family].surface
    facts = sorted((name, str(value)) for name, value in case.facts.items() if name not in surface)
    return case.family, tuple(facts)


def validation_questions(held_out: list[Question], count: int, seed: int) -> list[Question]:
    """Questions of the test space, spread evenly over the families, none with the parameters of a held-out one.

    A family whose parameters are used up gives fewer; the others then give more. Raises `SpaceUsedUp`.
    """
    taken = {parameters_of(case_of(question)) for question in held_out}
    quota = -(-count // len(FAMILIES))
    found: list[Question] = []
    spare: list[Question] = []
    had: Counter[str] = Counter()
    for number, case in enumerate(islice(cases("test", seed), count * _PATIENCE)):
        if len(found) == count:
            break
        wanted = had[case.family] < quota
        if not wanted and len(spare) == count:
            continue
        question = question_of(case, f"clinic-validation-{case.family}-{number:06d}")
        # Both sides are read back from their texts, so that no difference in writing hides an equal parameter.
        if parameters_of(case_of(question)) not in taken:
            had[case.family] += wanted
            (found if wanted else spare).append(question)
    found = (found + spare)[:count]
    if len(found) < count:
        raise SpaceUsedUp(
            f"only {len(found)} validation questions can be drawn beside {len(held_out)} held-out ones: ask for fewer"
        )
    return found


def write_study_questions(config: StudyConfig, folder: Path, policy: Path) -> StudyFiles:
    """Write all question files into a folder; the same configuration gives the same files."""
    folder.mkdir(parents=True, exist_ok=True)
    held_out = generate("test", config.held_out, config.held_out_seed)
    files = StudyFiles(
        held_out=folder / "held-out.jsonl",
        validation=folder / "validation.jsonl",
        training={seed: folder / f"training-{seed}.jsonl" for seed in config.seeds},
        policy=policy,
    )
    write_questions(files.held_out, held_out)
    write_questions(files.validation, validation_questions(held_out, config.validation, config.validation_seed))
    for seed, path in files.training.items():
        write_questions(path, generate("train", config.training, seed))
    return files

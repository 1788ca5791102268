"""What single stages decide: which questions are searched, and what the control is trained on."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from meds3core.config.decoding import SampleConfig
from meds3core.config.evolution import QuestionPlan
from meds3core.config.labels import SftLabelConfig
from meds3core.config.search import DrawConfig
from meds3core.data.curriculum import CurriculumSettings
from meds3core.data.labels import read_labels, write_labels
from meds3core.data.write import write_questions
from meds3core.decoding.samples import draw_samples, read_samples
from meds3core.engines.scripted import ScriptedEngine
from meds3core.errors import UserError
from meds3core.evolution.stage import StageJob
from meds3core.evolution.stages.curriculum import CurriculumStage, choose, solve_rates
from meds3core.evolution.stages.curriculum import run as choose_questions
from meds3core.evolution.stages.labels import ControlStage, control, without_gold
from meds3core.labels.base import LabelSet
from meds3core.progress import CancelToken, NullSink
from meds3core.sandbox.questions import generate
from meds3core.search.grow import grow
from meds3core.text.prompts import TEMPLATES
from meds3core.types.labels import LabelCounts, SftExample
from tests.core.search.toy import make_question, make_tools, respond


def job(folder: Path, **inputs) -> StageJob:
    folder.mkdir(parents=True, exist_ok=True)
    named = {name.replace("_", "-"): value if isinstance(value, tuple) else (value,) for name, value in inputs.items()}
    return StageJob("stage", folder, named, NullSink(), CancelToken())


QUESTIONS = [make_question(number) for number in range(8)]
RATES = {QUESTIONS[0].content_hash: 1.0, QUESTIONS[1].content_hash: 0.5, QUESTIONS[2].content_hash: 0.0}


@pytest.mark.parametrize(
    ("prefer", "count", "again", "fresh"),
    [("again", 4, 2, 2), ("fresh", 4, 0, 4), ("fresh", 7, 2, 5), ("again", None, 2, 5), ("again", 1, 1, 0)],
)
def test_solved_questions_are_dropped_and_the_preferred_kind_comes_first(prefer, count, again, fresh):
    plan = QuestionPlan(quotas=CurriculumSettings(count=count), prefer=prefer)
    chosen = choose(QUESTIONS, RATES, plan)
    assert QUESTIONS[0] not in chosen, "a question solved in every rollout was searched again"
    assert sum(question.content_hash in RATES for question in chosen) == again
    assert sum(question.content_hash not in RATES for question in chosen) == fresh
    assert [question.id for question in chosen] == sorted(question.id for question in chosen)


async def test_a_question_counts_as_solved_only_when_nothing_in_its_tree_went_wrong():
    tools = make_tools()
    trees = [await grow(question, tools) for question in QUESTIONS]
    rates = solve_rates(trees)
    for tree in trees:
        outcomes = [outcome for node in tree.nodes for outcome in node.outcomes]
        verdicts = [node.verdict for node in tree.nodes if node.verdict is not None]
        assert (rates[tree.question.content_hash] == 1.0) == (all(outcomes) and all(verdicts))
    assert solve_rates([trees[0], trees[1]])[trees[1].question.content_hash] == rates[trees[1].question.content_hash]


def test_questions_that_overlap_the_held_out_ones_are_left_out(tmp_path):
    held_out = [QUESTIONS[3].model_copy(update={"id": "other"}), make_question(50)]
    write_questions(tmp_path / "train.jsonl", QUESTIONS)
    write_questions(tmp_path / "test.jsonl", held_out)
    given = job(tmp_path / "out", questions=tmp_path / "train.jsonl", held_out=tmp_path / "test.jsonl")
    plan = QuestionPlan(drop_overlaps=("exact", "normalised"))
    figures = choose_questions(CurriculumStage(plan=plan), given)
    assert figures["overlapping"] == 1 and figures["questions"] == len(QUESTIONS) - 1
    write_questions(tmp_path / "test.jsonl", QUESTIONS)
    with pytest.raises(UserError, match="overlaps"):
        choose_questions(CurriculumStage(plan=plan), given)


@pytest.fixture(scope="module")
def control_inputs(tmp_path_factory):
    """An SFT set of 1 to 3 examples of five clinic questions, and 4 samples of each question."""
    folder = tmp_path_factory.mktemp("control")
    questions = [make_question(number) for number in range(6)]
    asyncio.run(
        draw_samples(
            questions,
            ScriptedEngine(respond),
            TEMPLATES["plain"],
            SampleConfig(n=4, draw=DrawConfig(temperature=1.0, top_p=0.95), max_tokens=100),
            0,
            folder / "samples",
        )
    )
    examples = [
        SftExample(question=without_gold(question), bodies=("opener", f"Right {copy}. The answer is 1 mg."))
        for number, question in enumerate(questions[:5])
        for copy in range(1 + number % 3)
    ]
    write_labels(
        folder / "labels", LabelSet(SftLabelConfig(), tuple(examples), LabelCounts(trees=1, kept=len(examples)))
    )
    return folder, examples


def test_the_control_has_as_many_trajectories_per_question_drawn_from_the_samples(control_inputs, tmp_path):
    folder, examples = control_inputs
    given = job(tmp_path / "one", labels=folder / "labels", samples=folder / "samples")
    figures = control(ControlStage(seed=1), given)
    drawn = read_labels(tmp_path / "one" / "labels").sft()
    wanted = Counter(example.question.content_hash for example in examples)
    assert Counter(example.question.content_hash for example in drawn) == wanted
    assert figures["kept"] == len(examples)
    rows = {row.question.content_hash: row.samples for row in read_samples(folder / "samples").rows}
    for example in drawn:
        match = [sample for sample in rows[example.question.content_hash] if sample.bodies == example.bodies]
        assert match and match[0].finish != "length"
        assert not hasattr(example.question, "gold")


def test_the_control_is_unfiltered(control_inputs, tmp_path):
    """Over many seeds its share of right trajectories is that of the samples, not 1."""
    folder, examples = control_inputs
    right = 0
    for seed in range(20):
        given = job(tmp_path / str(seed), labels=folder / "labels", samples=folder / "samples")
        right += control(ControlStage(seed=seed), given)["right"]
    wanted = {example.question.content_hash for example in examples}
    rows = [row for row in read_samples(folder / "samples").rows if row.question.content_hash in wanted]
    whole = [sample for row in rows for sample in row.samples if sample.finish != "length"]
    share = sum(sample.correct is True for sample in whole) / len(whole)
    assert 0.1 < share < 0.9
    assert abs(right / (20 * len(examples)) - share) < 0.2


def test_the_controls_draw_depends_on_the_seed_alone(control_inputs, tmp_path):
    folder, _ = control_inputs
    texts = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        control(ControlStage(seed=seed), job(tmp_path / name, labels=folder / "labels", samples=folder / "samples"))
        texts.append((tmp_path / name / "labels" / "records.jsonl").read_bytes())
    assert texts[0] == texts[1] != texts[2]


def test_a_questions_missing_samples_are_counted(control_inputs, tmp_path):
    folder, examples = control_inputs
    more = examples + [examples[0].model_copy(update={"bodies": ("opener", f"More {n}.")}) for n in range(6)]
    write_labels(tmp_path / "labels", LabelSet(SftLabelConfig(), tuple(more), LabelCounts(trees=1, kept=len(more))))
    given = job(tmp_path / "out", labels=tmp_path / "labels", samples=folder / "samples")
    figures = control(ControlStage(), given)
    assert figures["dropped"]["trajectories that the samples lacked"] >= 3
    assert figures["kept"] == len(more) - figures["dropped"]["trajectories that the samples lacked"]


def test_clinic_questions_get_the_clinics_judge_and_others_none():
    from meds3core.evolution.stages.evaluate import judge_for

    assert judge_for(generate("test", 6)) is not None
    assert judge_for(QUESTIONS) is None

"""What a tree's page says of its steps, and what a search's page says of its trees: checked against the library."""

import json
import re

import pytest

from meds3core.evaluation.paired import mcnemar, paired_difference
from meds3core.report.summary import summarise, value_drop
from meds3core.text.steps import render_trajectory
from meds3core.types.trajectory import finished_trajectories
from meds3core.types.tree import Tree as TreeRecord
from tests.core.trees.factory import question, tree
from tests.trees import search_spec
from tests.web.people import signed_in
from webapp.accounts.actors import Actor
from webapp.accounts.rules import Role
from webapp.annotation.services import step_flag
from webapp.datasets.services import dataset_from_questions
from webapp.jobs.models import Job, State
from webapp.jobs.services import job_submit
from webapp.registry.models import ModelVersion
from webapp.trees.grid import ROWS
from webapp.trees.models import SearchQuestion, Tree
from webapp.trees.services import arena_read, questions_claim, search_prepare, tree_score_store, tree_store

pytestmark = pytest.mark.django_db
COUNT = 6
PART = {"HX-Request": "true"}


@pytest.fixture
def owner(world):
    return Actor(world.by_role[Role.OWNER])


@pytest.fixture
def page(world):
    return signed_in(world.by_role[Role.MANAGER])


@pytest.fixture
def version(world, owner):
    return dataset_from_questions(
        actor=owner, team=world.team, name="Ward", questions=[question(n) for n in range(COUNT)]
    )


@pytest.fixture
def grow(world, owner, version):
    """A finished search of the ward's questions whose trees come from a seed."""

    def grown(title, seed, *, size=30, count=COUNT):
        job = job_submit(actor=owner, team=world.team, spec=search_spec(version), title=title)
        Job.objects.filter(pk=job.pk).update(state=State.RUNNING, attempt=1)
        search_prepare(search_id=job.pk, version_id=version.pk)
        for one in questions_claim(search_id=job.pk, job_id=job.pk, attempt=1, count=count):
            made = tree(seed + one.position, size=size, of=one.question)
            tree_store(job_id=job.pk, attempt=1, position=one.position, tree=made, question_row_id=one.row_id)
        return job

    return grown


def over(job):
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)
    return job


def records(job):
    rows = Tree.objects.filter(job=job).order_by("position")
    return [(row, TreeRecord.model_validate_json(arena_read(bytes(row.arena)))) for row in rows]


def url(world, rest):
    return f"/t/{world.team.slug}/{rest}"


def words(answer):
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def scored(world, job, name="Judge"):
    prm = ModelVersion.objects.create(team=world.team, name=name, number=1, kind="prm", ready=True)
    for row, record in records(job):
        scores = [round(0.05 + (7 * node.id % 10) / 10, 2) for node in record.nodes]
        tree_score_store(job_id=job.pk, attempt=1, tree_id=row.pk, model_id=prm.pk, scores=scores)
    return prm


# --- a tree --------------------------------------------------------------------------------------------------------


def test_the_panel_of_a_step_says_what_the_library_knows(world, page, grow):
    job = grow("First", 10)
    scored(world, job)
    scored(world, job, "Second judge")
    row, record = records(job)[1]
    node = next(each for each in record.nodes if each.samples and each.depth > 1)
    answer = page.get(url(world, f"trees/{row.pk}/nodes/{node.id}/"), headers=PART)
    panel, said = answer.context["panel"], words(answer)
    assert [step.node for step in panel.path] == record.path(node.id)
    assert panel.text == render_trajectory([each.text for each in record.path(node.id)])
    assert [step.node for step in panel.siblings] == [each for each in record.nodes if each.parent == node.parent]
    assert panel.figures.drop == value_drop(record, node)
    assert f"{sum(node.outcomes)} of {len(node.outcomes)} right" in said
    assert f"{node.value:.3f}" in said
    given = round(0.05 + (7 * node.id % 10) / 10, 2)
    assert [(each.name, each.score) for each in panel.scores] == [("Judge v1", given), ("Second judge v1", given)]
    assert panel.scores[0].apart == pytest.approx(given - node.value)
    assert len(answer.context["panel"].node.samples) == said.count("Sample rollouts") * len(node.samples)
    assert "<html" not in answer.content.decode()
    whole = page.get(url(world, f"trees/{row.pk}/nodes/{node.id}/"))
    assert "<html" in whole.content.decode(), "without script a step's address is a page"
    assert whole.context["panel"].node == node
    assert page.get(url(world, f"trees/{row.pk}/nodes/{len(record.nodes)}/")).status_code == 404


def test_steps_are_found_by_drop_answer_disagreement_flag_and_text(world, page, owner, grow):
    job = grow("First", 20)
    scored(world, job)
    row, record = records(job)[0]
    step_flag(actor=owner, tree=row, idx=3)
    scores = [round(0.05 + (7 * node.id % 10) / 10, 2) for node in record.nodes]

    def found(**sought):
        answer = page.post(url(world, f"trees/{row.pk}/find/"), sought, headers=PART)
        marked = answer.context.get("marked")
        assert marked is None or f'data-marked="{",".join(map(str, marked))}"' in answer.content.decode()
        return marked

    def wanted(test):
        return [node.id for node in record.nodes if test(node)]

    lost = wanted(lambda node: (value_drop(record, node) or 0) >= 0.25)
    assert lost
    assert found(drop="0.25") == lost
    wrong = wanted(lambda node: node.verdict is False)
    assert found(wrong="on") == wrong
    assert found(apart="0.4") == wanted(lambda n: n.value is not None and abs(scores[n.id] - n.value) >= 0.4)
    assert found(flagged="on") == [3]
    text = record.nodes[5].text[:20]
    assert found(text=text.upper()) == wanted(lambda node: text.lower() in node.text.lower()) != []
    assert found(wrong="on", drop="0.25") == [each for each in lost if each in wrong]
    assert found() is None, "what asks for nothing narrows nothing"
    assert found(text="no such words") == []
    whole = page.post(url(world, f"trees/{row.pk}/find/"), {"wrong": "on"})
    assert "<html" in whole.content.decode()
    assert whole.context["marked"] == wrong


def test_a_large_tree_is_shown_a_page_at_a_time(world, page, grow):
    row, record = records(grow("Large", 106, size=900, count=1))[0]
    total = len(record.nodes)
    assert total > ROWS
    seen, first = [], 0
    while first is not None:
        grid = page.get(url(world, f"trees/{row.pk}/steps/?from={first}")).context["grid"]
        assert grid.total == total
        seen += [each.node.id for each in grid.rows]
        first = grid.after
    assert sorted(seen) == list(range(total))
    place = {node: number for number, node in enumerate(seen)}
    assert all(place[node.parent] < place[node.id] for node in record.nodes[1:]), "below the step that it follows"
    last = page.get(url(world, f"trees/{row.pk}/steps/?node={seen[-1]}")).context["grid"]
    assert last.rows[-1].node.id == seen[-1]
    assert page.get(url(world, f"trees/{row.pk}/?from={ROWS}")).context["grid"].first == ROWS
    for wrong in ("from=x", "node=999999", "from=-1"):
        assert page.get(url(world, f"trees/{row.pk}/steps/?{wrong}")).status_code == 404


def test_scores_are_asked_for_from_the_tree_and_followed(world, page, grow):
    job = over(grow("First", 10))
    row, _ = records(job)[0]
    prm = ModelVersion.objects.create(team=world.team, name="Judge", number=1, kind="prm", ready=True)
    where = url(world, f"trees/{row.pk}/")
    answer = page.post(f"{where}score/", {"model": "model:x"}, follow=True)
    assert "Choose the process reward model" in words(answer)
    page.post(f"{where}score/", {"model": f"model:{prm.pk}"})
    scoring = Job.objects.get(kind="tree-scoring")
    assert (scoring.spec["trees"]["id"], scoring.spec["model"]["id"]) == (str(job.pk), str(prm.pk))
    part = page.get(f"{where}scores/?known=0").content.decode()
    assert 'hx-trigger="every 2s"' in part
    assert "new scores" not in part
    Job.objects.filter(pk=job.pk).update(state=State.RUNNING)
    tree_score_store(job_id=job.pk, attempt=1, tree_id=row.pk, model_id=prm.pk, scores=[0.25, 0.75])
    Job.objects.filter(pk=scoring.pk).update(state=State.SUCCEEDED)
    part = page.get(f"{where}scores/?known=0").content.decode()
    assert "hx-trigger" not in part
    assert "There are new scores" in part
    assert "mean 0.50 over 2 steps" in part
    Job.objects.filter(pk=scoring.pk).update(state=State.FAILED, error_message="No memory.", error_code="crashed")
    assert "No memory." in page.get(f"{where}scores/?known=1").content.decode()


def test_a_trees_pages_cost_few_queries(world, page, grow, django_assert_max_num_queries):
    row, _ = records(grow("First", 10))[0]
    page.get(url(world, f"trees/{row.pk}/"))  # the session notes the team
    for where in ("", "nodes/1/", "steps/", "scores/"):
        with django_assert_max_num_queries(15):
            page.get(url(world, f"trees/{row.pk}/{where}"))


# --- a search ------------------------------------------------------------------------------------------------------


def test_a_searchs_figures_are_those_of_the_library(world, page, grow):
    job = over(grow("First", 10))
    summary = summarise(record for _, record in records(job))
    figures = page.get(url(world, f"searches/{job.pk}/")).context["figures"]
    assert (figures.trees, figures.solved, figures.nodes) == (summary.questions, summary.solved, summary.nodes)
    assert (figures.rollouts, figures.generated_tokens) == (summary.rollouts, summary.generated_tokens)
    assert dict(figures.stop_reasons) == summary.stop_reasons
    assert figures.values == summary.value_histogram
    assert figures.depths == summary.depth_histogram
    solved = [row.solved for row, _ in records(job)]
    assert figures.mean_solved == pytest.approx(sum(solved) / COUNT)
    assert sum(figures.solved_bins) == sum(each.trees for each in figures.rollout_bins) == COUNT
    for each in figures.rollout_bins:
        assert each.trees == sum(each.low <= record.totals.rollouts <= each.high for _, record in records(job))


def test_the_mosaic_has_a_cell_for_every_question(world, page, grow):
    job = grow("First", 10, count=COUNT - 3)
    waiting = SearchQuestion.objects.filter(job=job, state="waiting").order_by("position")
    assert len(waiting) == 3
    SearchQuestion.objects.filter(pk=waiting[0].pk).update(state="growing")
    SearchQuestion.objects.filter(pk=waiting.last().pk).update(state="failed", error_code="engine")
    shown = page.get(url(world, f"searches/{job.pk}/"))
    cells = shown.context["mosaic"].cells
    assert [cell.position for cell in cells] == list(range(COUNT))
    for cell, (row, _) in zip(cells, records(job), strict=False):
        assert (cell.tree, cell.figure) == (row.pk, f"{100 * row.solved:.0f}")
        assert url(world, f"trees/{row.pk}/") in shown.content.decode()
    assert [cell.look for cell in cells[-3:]] == ["growing", "waiting", "failed"]
    assert url(world, f"searches/{job.pk}/growing/3/") in shown.content.decode()
    narrowed = page.get(url(world, f"searches/{job.pk}/?domain=triage")).context
    wanted = [row.pk for row, _ in records(job) if row.domain == "triage"]
    assert [cell.tree for cell in narrowed["mosaic"].cells] == wanted
    assert narrowed["figures"].trees == narrowed["page"].total == len(wanted)


def test_throughput_is_counted_in_spans_of_equal_length(world, page, grow):
    from datetime import timedelta

    job = over(grow("First", 10))
    for row, _ in records(job):
        Tree.objects.filter(pk=row.pk).update(created=job.created + timedelta(seconds=24 * row.position))
    shown = page.get(url(world, f"searches/{job.pk}/"))
    found = shown.context["figures"].throughput
    assert found.seconds == pytest.approx(24 * (COUNT - 1) / 24)
    assert [span.trees for span in found.spans if span.trees] == [1] * COUNT
    assert "2.5 a minute over the whole time" in words(shown), "five more in 120 seconds"


def test_two_searches_are_compared_by_question(world, page, grow):
    first, second = over(grow("First", 10)), over(grow("Second", 50, count=COUNT - 1))
    ours, theirs = records(first)[: COUNT - 1], records(second)
    answer = page.get(url(world, f"searches/{first.pk}/compare/?with={second.pk}"))
    found = answer.context["found"]
    assert (found.first_trees, found.second_trees, found.pairs) == (COUNT, COUNT - 1, COUNT - 1)
    right = [[row.right_answers > 0 for row, _ in side] for side in (ours, theirs)]
    assert found.answered == mcnemar(*right)
    assert found.solved == paired_difference(*([row.solved for row, _ in side] for side in (ours, theirs)))
    assert [pair.first.pk for pair in found.lost] == [
        row.pk
        for (row, _), (other, _) in zip(ours, theirs, strict=True)
        if row.right_answers and not other.right_answers
    ]
    assert found.means[0].second == pytest.approx(sum(row.nodes for row, _ in theirs) / (COUNT - 1))
    alone = page.get(url(world, f"searches/{first.pk}/compare/"))
    assert [pk for pk, _ in alone.context["choices"]] == [second.pk]
    assert page.get(url(world, f"searches/{first.pk}/compare/?with=x")).status_code == 404


def test_two_trees_of_a_question_are_compared(world, page, grow):
    first, second = grow("First", 10), grow("Second", 50)
    (row, record), (other, other_record) = records(first)[0], records(second)[0]
    answer = page.get(url(world, f"trees/{row.pk}/compare/{other.pk}/"))
    assert [len(side["sketch"].dots) for side in answer.context["sides"]] == [row.nodes + 1, other.nodes + 1]
    for side, tree_record in zip(answer.context["sides"], (record, other_record), strict=True):
        finished = list(finished_trajectories(tree_record))
        right = [each for each in finished if each.correct]
        assert side["best"].weakest == max(each.weakest for each in right or finished)
    elsewhere = records(second)[1][0]
    assert page.get(url(world, f"trees/{row.pk}/compare/{elsewhere.pk}/")).status_code == 404
    assert f"/compare/{other.pk}/" in page.get(url(world, f"trees/{row.pk}/")).content.decode()


def test_pages_of_searches_stay_cheap(world, page, grow, django_assert_max_num_queries):
    first, second = over(grow("First", 10)), over(grow("Second", 50))
    page.get(url(world, f"searches/{first.pk}/"))  # the session notes the team
    with django_assert_max_num_queries(15):
        page.get(url(world, f"searches/{first.pk}/"))
    with django_assert_max_num_queries(16):
        page.get(url(world, f"searches/{first.pk}/compare/?with={second.pk}"))
    assert json.loads(page.get(url(world, f"trees/{records(first)[0][0].pk}/json/")).content)["nodes"]

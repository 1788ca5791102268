"""Where a model came from and what came of it, its card, and the order of the list: each figure as it is stored."""

import re

import pytest
from django.urls import reverse

from meds3core.evaluation.record import read_evaluation
from meds3core.report.wording import percent
from tests.evolutions import small_loop
from tests.web.people import World, signed_in, token
from webapp.accounts.actors import Actor
from webapp.accounts.rules import Role
from webapp.common.files import Store, folder_of
from webapp.common.graphs import Node, draw
from webapp.evaluations.models import Evaluation, StrategyResult
from webapp.jobs.models import Job
from webapp.registry.ancestry import ancestry_of
from webapp.registry.bundled import bundled_ensure
from webapp.registry.cards import licence_of
from webapp.registry.dependants import dependants_of
from webapp.registry.models import LabelSet, ModelVersion
from webapp.registry.selectors import best_first, model_folder, models_of
from webapp.registry.services import model_alias_set

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(world: World):
    return signed_in(world.by_role[Role.OWNER])


@pytest.fixture
def loop(world: World) -> Job:
    return small_loop(world.team)


def model(loop: Job, stage: str) -> ModelVersion:
    return ModelVersion.objects.get(job=loop, stage=stage)


def plain(answer) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_lineage_inside_a_loop_goes_back_to_the_questions_and_forward_to_evaluations(world, owner, loop):
    found = ancestry_of(team=world.team, model=model(loop, "sft-2"))
    names = {each.key: each.made_in or each.label for each in (*found.sources, found.focus, *found.products)}
    edges = {(names[one], names[other]) for one, other in found.edges}
    train = f"{Evaluation.objects.filter(job=loop)[0].benchmark}".replace(" test ", " train ")
    base = str(bundled_ensure())
    assert {("sft-set-2", "sft-2"), ("sft-1", "sft-2"), ("trees-2", "sft-set-2"), ("trees-1", "sft-set-2")} <= edges
    assert {("trees-1", "sft-set-1"), ("sft-set-1", "sft-1"), (base, "sft-1"), (train, "trees-1")} <= edges
    assert {("sft-2", "dpo-2"), ("dpo-2", "prm-2"), ("sft-2", "evaluation-sft-2")} <= edges
    assert not any("test" in each.label for each in found.sources), "questions that were kept clear of are no source"
    assert "control-1" not in names.values()
    page = owner.get(reverse("model", args=[world.team.slug, found.focus.id]))
    text = page.content.decode()
    for each in (*found.sources, *found.products):
        assert each.url.replace("&", "&amp;") in text and owner.get(each.url).status_code == 200
        if each.maker_url:
            assert each.maker_url in text
    rows = {box.node.key: box.y for box in page.context["drawing"].boxes}
    assert all(rows[one] < rows[other] for one, other in found.edges)
    bearer = {"Authorization": f"Bearer {token(world.by_role[Role.OWNER], world.team, Role.OWNER)}"}
    url = f"/api/v1/teams/{world.team.slug}/models/{found.focus.id}"
    answer = owner.get(f"{url}/lineage", headers=bearer).json()
    assert {tuple(edge) for edge in answer["edges"]} == found.edges and answer["model"] == found.focus.key
    assert owner.get(f"{url}/card", headers=bearer).content.decode().startswith("# Loop")


def test_the_card_holds_facts_and_says_what_is_not_known(world, owner, loop):
    made = model(loop, "sft-1")
    card = {"method": "sft", "seed": 0, "config": {"learning_rate": 0.0005, "epochs": 1.0, "lora": None}}
    card |= {"result": {"steps": 3, "examples": 4, "left_out": 0, "tokens": 1434, "final_loss": 0.25}, "data": "d1"}
    made.provenance |= {"card": card}
    made.save()
    text = owner.get(reverse("model-card", args=[world.team.slug, made.pk])).content.decode()
    labels = LabelSet.objects.get(job=loop, stage="sft-set-1")
    dropped = labels.counts["dropped"]["no right answer"]
    for words in (
        "| Examples | 4 |", "| Tokens | 1,434 |", "| Loss at the end | 0.2500 |", "learning rate 0.0005, epochs 1.0",
        f"{labels.records} records of {labels.counts['questions']} questions; dropped: {dropped} no right answer",
        "Not known: neither its files nor", "AutoModelForCausalLM.from_pretrained",
    ):  # fmt: skip
        assert words in text
    stored = read_evaluation(
        folder_of(Store.EVALUATIONS, Evaluation.objects.get(job=loop, stage="evaluation-sft-1").pk)
    )
    assert percent(stored.evaluation.greedy.micro).replace("[", "\\[").replace("]", "\\]") in text
    page = plain(owner.get(reverse("model", args=[world.team.slug, made.pk])))
    assert percent(stored.evaluation.greedy.micro) in page and "Learning rate" not in page.split("Card")[0]
    bare = model(loop, "control-1")
    told = plain(owner.get(reverse("model", args=[world.team.slug, bare.pk])))
    assert "How it was trained is not known here" not in told  # its label sets and questions are
    other = ModelVersion.objects.create(team=world.team, name="Foreign", number=1, kind="policy", ready=True)
    told = plain(owner.get(reverse("model", args=[world.team.slug, other.pk])))
    assert "How it was trained is not known here" in told and "it was not measured here" in told


def test_the_licence_is_read_and_never_guessed(world, loop):
    made = model(loop, "sft-1")
    assert licence_of(made).startswith("Not known")
    base = ModelVersion.objects.create(
        team=world.team, name="Base", number=1, kind="policy", ready=True, files=[{"name": "README.md", "bytes": 1}]
    )
    folder = model_folder(model_id=base.pk)
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("---\ntags: [x]\nlicense: apache-2.0\n---\nlicense: mine\n")
    assert licence_of(base) == "apache-2.0, by its README.md."
    made.base = base
    assert licence_of(made) == "Its own is not known. Of Base v1, which it began from: apache-2.0, by its README.md."
    (folder / "README.md").write_text("no front matter\nlicense: mine\n")
    assert licence_of(base).startswith("Not known")


def test_the_list_is_filtered_and_ordered_by_one_benchmark(world, owner, loop):
    benchmark = Evaluation.objects.filter(job=loop)[0].benchmark
    url = reverse("model-list", args=[world.team.slug])
    page = owner.get(f"{url}?sort=best")
    rows = page.context["rows"]
    order = [row.model.best_accuracy for row in rows if row.model.best_accuracy is not None]
    assert order == sorted(order, reverse=True) and len(order) >= 5
    for row in rows:
        if row.score and row.model.kind == "policy":
            results = StrategyResult.objects.filter(evaluation=row.score.evaluation).exclude(strategy="pass")
            assert row.score.best.accuracy == max(one.accuracy for one in results)
            assert f"{100 * row.score.greedy.accuracy:.1f}%" in page.content.decode()
    unmeasured = ModelVersion.objects.create(team=world.team, name="New", number=1, kind="policy", ready=True)
    ranked = best_first(team=world.team, rows=models_of(team=world.team), benchmark=benchmark.pk)
    assert list(ranked)[-1] == unmeasured
    model_alias_set(actor=Actor(world.by_role[Role.OWNER]), model=model(loop, "dpo-2"), alias="production")
    listed = owner.get(f"{url}?alias=production").context["rows"]
    assert [row.model.stage for row in listed] == ["dpo-2"]
    assert [row.model.stage for row in owner.get(f"{url}?kind=prm").context["rows"]] == ["prm-2"]
    assert "No model fits" in plain(owner.get(f"{url}?form=adapter"))
    assert {row.bundled for row in owner.get(f"{url}?origin=bundled").context["rows"]} == {True}
    assert owner.get(f"{url}?sort=best&page=9999999&benchmark=x&kind=y").status_code == 200


def test_the_list_costs_few_queries(world, owner, loop, django_assert_max_num_queries):
    url = reverse("model-list", args=[world.team.slug])
    owner.get(url)
    with django_assert_max_num_queries(15):
        owner.get(f"{url}?sort=best")


def test_what_a_deletion_costs_is_said(world, loop):
    told = dependants_of(model=model(loop, "prm-2"))
    assert not told.blocking and "its scores of 2 trees go with it" in told.losing
    told = dependants_of(model=model(loop, "sft-1"))
    assert "2 trees that it grew would not name it any more" in told.losing and "sft-2" in told.blocking[0]


def test_a_drawing_has_each_node_below_what_it_needs():
    nodes = [Node(name, name, f"/{name}") for name in "abcde"]
    edges = [("a", "b"), ("b", "c"), ("a", "c"), ("d", "c"), ("x", "e")]
    drawing = draw(nodes, edges)
    at = {box.node.key: box.y for box in drawing.boxes}
    assert at["a"] < at["b"] < at["c"] and at["d"] == at["b"]
    assert {(line.source, line.target) for line in drawing.lines} == {("a", "b"), ("b", "c"), ("d", "c")}
    assert ("a", "c") in {(line.source, line.target) for line in draw(nodes, edges, keep={"c"}).lines}
    places = {(box.x, box.y) for box in drawing.boxes}
    assert len(places) == len(nodes) and all(box.x + drawing.box_width <= drawing.width for box in drawing.boxes)

"""Evaluations against each other: differences are the library's own, what is not comparable is not ranked."""

from html import unescape

import numpy as np
import pytest
from django.urls import reverse

from meds3core.evaluation.compare import compare, compare_ways
from meds3core.report.wording import percent, points
from meds3core.types.question import Question
from tests.evaluations import shelved
from tests.web.people import signed_in
from tests.web.reading import page_of, words_of
from webapp.accounts.actors import SYSTEM
from webapp.datasets.services import dataset_from_questions
from webapp.evaluations.comparing import comparison_of
from webapp.evaluations.models import Evaluation, StoredComparison

pytestmark = pytest.mark.django_db


# --- comparing -----------------------------------------------------------------------------------------------------


def test_a_comparison_is_the_librarys_own(world, both, reader):
    base, tuned, first, second = both
    expected = compare(base, tuned)
    assert comparison_of(first=first, second=second) == expected
    query = {"first": first.pk, "second": second.pk}
    shown = words_of(page_of(reader, "evaluation-compare", world.team.slug, **query))
    measures = [expected.greedy, expected.chosen, expected.sound, *expected.strategies]
    for measure in measures:
        for side in (measure.difference.first, measure.difference.second):
            assert f"{100 * side:.1f}%" in shown
    for measure in [*measures, *expected.domains]:
        assert points(measure.difference) in shown
    assert f"p = {expected.greedy.mcnemar.p:.3g}" in shown
    html = page_of(reader, "evaluation-compare", world.team.slug, **query)
    for change in expected.changes:
        for evaluation, place in ((first, change.first_place), (second, change.second_place)):
            assert reverse("evaluation-question", args=[world.team.slug, evaluation.pk, place]) in html
    won = [change for change in expected.changes if change.kind == "won"]
    only = reader.get(reverse("evaluation-compare", args=[world.team.slug]), query | {"kind": "won"})
    assert only.context["change_count"] == len(won) > 0
    assert StoredComparison.objects.count() == 1  # computed once
    first.delete()
    assert not StoredComparison.objects.exists()


def test_any_way_to_answer_against_any_other(world, both, reader):
    base, tuned, first, second = both
    label = base.evaluation.selection.chosen.label
    expected = compare_ways(base, tuned, label, "greedy")
    query = {"first": first.pk, "second": second.pk, "by": label}
    shown = words_of(page_of(reader, "evaluation-compare", world.team.slug, **query))
    assert points(expected.measure.difference) in shown
    one = base.rows
    before = np.array([row.strategies[label] for row in one])
    after = np.array([float(row.greedy.correct is True) for row in tuned.rows])
    assert expected.measure.difference.difference.value == pytest.approx((after - before).mean())
    assert len(expected.changes) == int((before != after).sum())
    within = {"first": first.pk, "second": first.pk, "other_by": label}
    assert points(compare_ways(base, base, "greedy", label).measure.difference) in words_of(
        page_of(reader, "evaluation-compare", world.team.slug, **within)
    )
    nothing = page_of(reader, "evaluation-compare", world.team.slug, **(query | {"by": "no such way"}))
    assert "was not measured by" in unescape(nothing)


def other_questions(world, base, change, name):
    rows = [row.model_copy(update={"question": change(row.question)}) for row in base.rows]
    stored = type(base)(base.evaluation, tuple(rows))
    version = dataset_from_questions(actor=SYSTEM, team=world.team, name=name, questions=[row.question for row in rows])
    return stored, shelved(world.team, stored, version=version, name=name)


def test_what_is_not_comparable_is_refused_with_the_reasons(world, both, reader):
    base, _, _, _ = both

    def with_passage(question):
        return Question(**{**{n: getattr(question, n) for n in Question.model_fields}, "has_context": True})

    def without(question):
        return Question(**{**{n: getattr(question, n) for n in Question.model_fields}, "has_context": False})

    _, given = other_questions(world, base, with_passage, "With")
    _, bare = other_questions(world, base, without, "Without")
    query = {"first": given.pk, "second": bare.pk}
    refused = words_of(page_of(reader, "evaluation-compare", world.team.slug, **query))
    assert "These two cannot be compared" in refused
    assert "with its passages in the first and without its passages in the second" in refused
    table = reader.get(reverse("evaluation-compare-table", args=[world.team.slug, "differences", "csv"]), query)
    assert table.status_code == 404


def test_two_must_be_chosen_and_both_be_the_teams(world, both, reader):
    _, _, first, second = both
    url = reverse("evaluation-compare", args=[world.team.slug])
    assert b"Choose a second evaluation" in reader.get(url, {"of": first.pk}).content
    ticked = reader.get(url, {"of": [second.pk, first.pk]})
    assert (ticked.context["first"].pk, ticked.context["second"].pk) == (first.pk, second.pk)
    assert reader.get(url, {"first": "x", "second": second.pk}).status_code == 404
    stranger = signed_in(world.other_owner)
    theirs = reverse("evaluation-compare", args=[world.other_team.slug])
    assert stranger.get(theirs, {"first": first.pk, "second": second.pk}).status_code == 404


# --- the matrix ----------------------------------------------------------------------------------------------------


def test_the_matrix_ranks_what_is_comparable_and_sets_the_rest_apart(world, both, reader):
    base, tuned, first, second = both
    _, part = other_questions(world, base, lambda question: question, "Half")
    Evaluation.objects.filter(pk=part.pk).update(benchmark=first.benchmark_id)
    half = type(base)(base.evaluation, base.rows[:20])
    third = shelved(world.team, half, version=first.benchmark, name="Fewer")
    answer = reader.get(reverse("evaluation-list", args=[world.team.slug]))
    matrix = answer.context["matrix"]
    assert [way.label for way in matrix.columns][:2] == ["greedy", "self-consistency @6"]
    by_name = {line.evaluation.name: group for group in matrix.groups for line in group.lines}
    assert by_name["Base"] is by_name["Tuned"] is by_name["Half"] is not by_name["Fewer"]
    apart = [reason for group in matrix.groups for reason in group.apart]
    assert apart == ["the question sets differ (20 questions and 46)"] or apart == [
        "the question sets differ (46 questions and 20)"
    ]
    assert unescape(answer.content.decode()).count("Not ranked with the groups above") == 1
    shown = words_of(answer.content.decode())
    for stored in (base, tuned):
        assert percent(stored.evaluation.greedy.micro).replace("%", "% ").replace("  ", " ") in shown
    lines = by_name["Tuned"].lines
    values = [line.cells[0].value for line in lines]
    assert values == sorted(values, reverse=True)
    assert [line.place for line in lines] == [1 + values.index(value) for value in values]
    assert [line.cells[0].is_highest for line in lines] == [value == values[0] for value in values]
    assert third.pk not in [line.evaluation.pk for line in lines]
    grid = {each.key.label: each.accuracy for each in tuned.evaluation.grid}
    for line in (line for line in lines if line.evaluation.pk == second.pk):
        for way, cell in zip(matrix.columns[1:], line.cells[1:], strict=True):
            assert (cell.value, cell.low, cell.high) == (
                grid[way.label].value, grid[way.label].low, grid[way.label].high
            )  # fmt: skip


def test_two_versions_of_a_prompt_are_not_ranked_together(world, both, reader):
    base, _, first, _ = both
    source = base.evaluation.greedy_source.model_copy(update={"prompt": "plain@2", "prompt_hash": "other"})
    changed = base.evaluation.model_copy(update={"greedy_source": source})
    shelved(world.team, type(base)(changed, base.rows), version=first.benchmark, name="Other prompt")
    groups = reader.get(reverse("evaluation-list", args=[world.team.slug])).context["matrix"].groups
    assert sorted(len(group.lines) for group in groups) == [1, 2]
    (reason,) = groups[1].apart
    assert reason.startswith("the prompt differs")


def test_the_list_is_filtered_and_its_columns_chosen(world, both, reader):
    _, _, first, _ = both
    url = reverse("evaluation-list", args=[world.team.slug])
    by = ["pass @1", "vote-mean min (prm) @6"]
    context = reader.get(url, {"by": by, "sort": by[1]}).context
    assert {way.label for way in context["matrix"].columns} == set(by)
    values = [line.cells[1].value for line in context["matrix"].groups[0].lines]
    assert values == sorted(values, reverse=True)
    assert len(reader.get(url, {"job": first.job_id}).context["page"].rows) == 1
    assert len(reader.get(url, {"model": first.policy_id}).context["page"].rows) == 2
    nobody = reader.get(url, {"benchmark": str(first.pk)})
    assert b"No evaluation meets this" in nobody.content
    assert reader.get(url, {"model": "x"}).status_code == 404

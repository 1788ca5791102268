"""Pages of evaluations: every figure is the library's own, what is not comparable is not ranked, questions are found
by how they came out."""

import csv
import io
import re
from html import unescape

import numpy as np
import pytest
from django.urls import reverse

from meds3core.evaluation.choices import choices_of, ways_of
from meds3core.evaluation.compare import compare, compare_ways
from meds3core.report.quality import probe_section
from meds3core.report.sections import sections_of
from meds3core.report.wording import percent, plain, points
from meds3core.types.question import Question
from tests.core.evaluation import pages
from tests.evaluations import measured, shelved, two_sides
from tests.web.people import signed_in, token
from webapp.accounts.actors import SYSTEM
from webapp.accounts.rules import Role
from webapp.common.files import Store, folder_of
from webapp.datasets.services import dataset_from_questions
from webapp.evaluations.comparing import comparison_of, index_of
from webapp.evaluations.index import INDEX
from webapp.evaluations.models import Evaluation, StoredComparison
from webapp.evaluations.questions import QuestionFilter, Questions

pytestmark = pytest.mark.django_db


@pytest.fixture
def files(settings, tmp_path):
    settings.FILES = str(tmp_path)


@pytest.fixture
def both(world, files):
    return two_sides(world.team)


@pytest.fixture
def reader(world):
    return signed_in(world.by_role[Role.VIEWER])


def page_of(client, name, *arguments, **query):
    answer = client.get(reverse(name, args=arguments), query)
    assert answer.status_code == 200
    return answer.content.decode()


def words_of(html):
    """The page as it is read: no tags, spaces as one."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


# --- one evaluation ------------------------------------------------------------------------------------------------


def test_every_figure_of_the_library_is_on_the_page(world, both, reader):
    base, _, first, _ = both
    html = page_of(reader, "evaluation", world.team.slug, first.pk)
    shown = words_of(html)
    evaluation = base.evaluation
    for section in sections_of(evaluation):
        assert section.title in shown
        for text in section.words:
            assert " ".join(text.text.split()) in shown
        for chart in section.charts:
            for series in chart.series:
                for mark in series.marks:
                    assert not mark.hint or f"<title>{mark.hint}</title>" in html.replace("&quot;", '"')
        for table in section.intervals:
            for row in table.rows:
                assert row.figure in shown
        for table in section.tables:
            for row in table.rows:
                assert " ".join((row["name"], *row["cells"])) in shown
    assert probe_section(evaluation) is not None
    (scorer,) = evaluation.scorers.values()
    for figure in (percent(evaluation.greedy.no_answer), plain(scorer.steps[0].calibration_error)):
        assert figure in shown
    assert html.count('class="line"') > 10
    assert " style=" not in html


def test_greedy_answers_alone_make_a_page(world, files, reader):
    questions = [row.question for row in pages.evaluation().rows[:5]]
    version = dataset_from_questions(actor=SYSTEM, team=world.team, name="Few", questions=questions)
    found = measured(world.team, version)
    assert "Accuracy" in page_of(reader, "evaluation", world.team.slug, found.pk)
    one = page_of(reader, "evaluation-question", world.team.slug, found.pk, 0)
    assert questions[0].text in unescape(one)


def test_files_that_are_gone_are_said_to_be(world, both, reader):
    _, _, first, _ = both
    folder = folder_of(Store.EVALUATIONS, first.pk)
    for path in folder.iterdir():
        path.unlink()
    for name, more in (("evaluation", ()), ("evaluation-questions", ()), ("evaluation-question", (0,))):
        assert "cannot be read" in page_of(reader, name, world.team.slug, first.pk, *more)


# --- questions -----------------------------------------------------------------------------------------------------


def test_questions_are_found_by_how_they_came_out(both):
    base, _, first, _ = both
    questions, rows = Questions(index_of(first)), base.rows
    label = base.evaluation.selection.chosen.label

    def places(meets):
        return [place for place, row in enumerate(rows) if meets(row)]

    def found(**wanted):
        return questions.found(QuestionFilter(**wanted)).tolist()

    right = {place for place, row in enumerate(rows) if row.greedy.correct}
    assert found() == list(range(len(rows)))
    assert set(found(way="greedy", result="right")) == right
    assert found(result="wrong") == places(lambda row: not row.greedy.correct and row.greedy.answer is not None)
    assert found(result="none") == places(lambda row: row.greedy.answer is None)
    assert found(result="lucky") == places(lambda row: row.greedy.correct and row.greedy.sound is False)
    assert found(way=label, result="right") == places(lambda row: row.strategies[label] == 1.0)
    assert found(way="self-consistency @2", result="partly") == places(
        lambda row: 0 < row.strategies["self-consistency @2"] < 1
    )
    better = found(way=label, other="greedy", against="better")
    assert better == places(lambda row: row.strategies[label] > float(row.greedy.correct is True))
    worse = found(way=label, other="greedy", against="worse")
    assert sorted(better + worse) == found(way=label, other="greedy", against="differ")
    assert found(samples="disagree") == places(lambda row: len({s.answer for s in row.samples} - {None}) > 1)
    assert found(samples="never") == places(lambda row: not any(s.correct for s in row.samples))
    assert found(domain="dosing") == places(lambda row: row.question.domain == "dosing")
    assert found(text="ONERROR") == [len(rows) - 1]


def test_a_text_is_looked_for_by_post_and_pages_go_both_ways(world, both, reader):
    base, _, first, _ = both
    url = reverse("evaluation-questions", args=[world.team.slug, first.pk])
    part = {"HX-Request": "true"}
    answer = reader.post(url, {"text": "onerror="}, headers=part)
    assert "1 question" in answer.content.decode() and "<html" not in answer.content.decode()
    assert reader.get(url, {"text": "onerror="}).context["page"].count == len(base.rows)
    first_page = reader.post(url, {}, headers=part).context["page"]
    assert [line.place for line in first_page.lines] == list(range(30))
    second = reader.post(url, {"after": first_page.after}, headers=part).context["page"]
    assert [line.place for line in second.lines] == list(range(30, len(base.rows)))
    back = reader.post(url, {"before": second.before}, headers=part).context["page"]
    assert back.lines == first_page.lines and back.before is None
    assert reader.get(url, {"after": "x"}).status_code == 404


def test_one_question_with_its_samples_steps_scores_and_choices(world, both, reader):
    base, _, first, second = both
    place = next(i for i, row in enumerate(base.rows) if len({sample.answer for sample in row.samples} - {None}) > 1)
    row = base.rows[place]
    answer = reader.get(reverse("evaluation-question", args=[world.team.slug, first.pk, place]))
    html, shown = answer.content.decode(), words_of(answer.content.decode())
    assert " ".join(row.question.text.split()) in shown
    assert f"Right answer: {row.question.gold.value}" in shown
    for choice in choices_of(row, ways_of(base.evaluation)):
        verdict = "right" if choice.correct else "no answer" if choice.answer is None else "wrong"
        sample = "–" if choice.index is None else choice.index + 1
        assert f"{choice.key.label} {verdict} {choice.answer or ''}".strip() in shown
        assert f"{sample} {choice.why}" in shown
    view = answer.context["view"]
    assert [sample.response for sample in view.samples] == list(row.samples)
    limit = base.evaluation.scorers["prm"].thresholds.steps
    flagged = sum(value < limit for sample in row.samples for value in sample.scores["prm"][1:])
    assert html.count(">flagged<") == flagged
    for sample in row.samples:
        for body, value in zip(sample.bodies, sample.scores["prm"], strict=True):
            assert " ".join(body.split()) in shown
            assert f"prm: {value:.2f}" in shown
    wrong = sum(right is False for each in (row.greedy, *row.samples) for right in each.steps_right[1:])
    assert html.count('<li class="wrong">') == wrong
    assert reverse("evaluation-question", args=[world.team.slug, second.pk, place]) in html  # the other evaluation
    assert reader.get(reverse("evaluation-question", args=[world.team.slug, first.pk, 999])).status_code == 404


def test_before_and_next_stay_within_what_was_looked_for(world, both, reader):
    _, _, first, _ = both
    places = Questions(index_of(first)).found(QuestionFilter(result="wrong")).tolist()
    url = reverse("evaluation-question", args=[world.team.slug, first.pk, places[1]])
    context = reader.get(url, {"result": "wrong"}).context
    assert (context["before"], context["after"]) == (places[0], places[2])


def test_hostile_texts_are_only_texts(world, both, reader):
    base, _, first, _ = both
    last = len(base.rows) - 1
    for name, more in (("evaluation", ()), ("evaluation-questions", ()), ("evaluation-question", (last,))):
        html = page_of(reader, name, world.team.slug, first.pk, *more)
        assert "<img src=x" not in html and "owned'</script>" not in html


def test_an_index_that_is_missing_is_made_from_the_rows(both):
    base, _, first, _ = both
    path = folder_of(Store.EVALUATIONS, first.pk) / INDEX
    before = path.read_bytes()
    path.unlink()
    index = index_of(first)
    assert path.read_bytes() == before
    for place in (0, 7, len(base.rows) - 1):
        assert index.row(place) == base.rows[place]
        assert index.text(place) == base.rows[place].question.text


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


# --- tables and the API --------------------------------------------------------------------------------------------


def rows_of(answer):
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


def test_tables_are_written_in_three_forms(world, both, reader):
    base, tuned, first, second = both
    slug = world.team.slug
    grid = rows_of(reader.get(reverse("evaluation-table", args=[slug, first.pk, "strategies", "csv"])))
    assert [float(row["Right"]) for row in grid[1:]] == [each.accuracy.value for each in base.evaluation.grid]
    markdown = reader.get(reverse("evaluation-table", args=[slug, first.pk, "groups", "markdown"]))
    assert markdown["Content-Disposition"].startswith("attachment")
    assert percent(base.evaluation.greedy.micro).split(" ")[0] in markdown.content.decode()
    for form in ("csv", "markdown", "latex"):
        assert reader.get(reverse("evaluation-list-table", args=[slug, form])).status_code == 200
    query = {"first": first.pk, "second": second.pk}
    changes = reader.get(reverse("evaluation-compare-table", args=[slug, "changes", "csv"]), query)
    assert len(rows_of(changes)) == len(compare(base, tuned).changes)
    ranking = rows_of(reader.get(reverse("evaluation-list-table", args=[slug, "csv"])))
    assert {float(row["greedy"]) for row in ranking} == {
        stored.evaluation.greedy.micro.value for stored in (base, tuned)
    }
    assert reader.get(reverse("evaluation-table", args=[slug, first.pk, "nothing", "csv"])).status_code == 404
    assert reader.get(reverse("evaluation-table", args=[slug, first.pk, "groups", "pdf"])).status_code == 404


def test_the_api_has_the_figures_questions_comparisons_and_tables(world, both):
    base, tuned, first, second = both
    bearer = {"Authorization": f"Bearer {token(world.by_role[Role.VIEWER], world.team, Role.VIEWER)}"}
    client = signed_in(None, headers=bearer)
    at = f"/api/v1/teams/{world.team.slug}/evaluations"
    assert client.get(f"{at}/{first.pk}/figures").json() == base.evaluation.model_dump(mode="json")
    one = client.get(f"{at}/{first.pk}/answers/3").json()
    assert one["row"] == base.rows[3].model_dump(mode="json")
    expected = choices_of(base.rows[3], ways_of(base.evaluation))
    assert one["choices"] == [each.model_dump(mode="json") for each in expected]
    found = client.get(f"{at}/{second.pk}/against/{first.pk}").json()
    assert found == compare(base, tuned).model_dump(mode="json")
    label = base.evaluation.selection.chosen.label
    ways = client.get(f"{at}/{second.pk}/against/{first.pk}/ways", {"by": label, "other_by": "greedy"}).json()
    assert ways == compare_ways(base, tuned, "greedy", label).model_dump(mode="json")
    exact = client.get(f"{at}/{first.pk}/tables/strategies", {"form": "csv"})
    assert exact.content.decode().startswith("Strategy,")
    safe = client.get(f"{at}/{first.pk}/tables/strategies", {"form": "csv", "cells": "spreadsheet"})
    assert safe.content.decode().startswith("\ufeff")
    half = shelved(world.team, type(base)(base.evaluation, base.rows[:20]), version=first.benchmark, name="Fewer")
    refused = client.get(f"{at}/{half.pk}/against/{first.pk}")
    assert (refused.status_code, refused.json()["code"]) == (422, "not-comparable")
    assert client.get(f"{at}/{half.pk}/against/{first.pk}", {"shared": True}).json()["questions"] == 20
    assert [each["id"] for each in client.get(at, {"job": str(half.job_id)}).json()["items"]] == [str(half.pk)]

"""Pages of evaluations: every figure is the library's own, questions are found by how they came out."""

import csv
import io
from html import unescape

import pytest
from django.urls import reverse

from meds3core.evaluation.choices import choices_of, ways_of
from meds3core.evaluation.compare import compare, compare_ways
from meds3core.report.quality import probe_section
from meds3core.report.sections import sections_of
from meds3core.report.wording import percent, plain
from tests.core.evaluation import pages
from tests.evaluations import measured, shelved
from tests.web.people import signed_in, token
from tests.web.reading import page_of, words_of
from webapp.accounts.actors import SYSTEM
from webapp.accounts.rules import Role
from webapp.common.files import Store, folder_of
from webapp.datasets.services import dataset_from_questions
from webapp.evaluations.comparing import index_of
from webapp.evaluations.index import INDEX
from webapp.evaluations.questions import QuestionFilter, Questions

pytestmark = pytest.mark.django_db


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

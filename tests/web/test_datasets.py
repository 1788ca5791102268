"""Datasets: versions that are written once, search, filters, and what the index keeps."""

import pytest
from django.db import connection

from meds3core.data.rows import RowError
from meds3core.sandbox.questions import generate
from tests.datasets import question, sleep_version
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.rules import Role
from webapp.accounts.services import system_team
from webapp.datasets import selectors, services
from webapp.datasets.deletion import dataset_delete, deletions_go_on
from webapp.datasets.models import QuestionRow, RejectedRow
from webapp.datasets.selectors import QuestionFilter
from webapp.datasets.services import DatasetError, dataset_from_questions
from webapp.datasets.statistics import statistics_of
from webapp.jobs.transitions import StaleAttempt


@pytest.fixture
def owner(world):
    return world.by_role[Role.OWNER]


@pytest.fixture
def version(world, owner):
    return sleep_version(Actor(owner), world.team)


def found(version, **wanted):
    page = selectors.questions_page(version=version, wanted=QuestionFilter(**wanted), size=200)
    return [row.position for row in page.rows]


# --- writing -------------------------------------------------------------------------------------------------------


def test_a_finished_version_says_what_is_in_it(version):
    statistics = statistics_of(version)
    assert version.ready
    assert version.questions == statistics.questions == 120
    assert statistics.sources == {"even": 60, "odd": 60}
    assert statistics.answer_kinds == {"choice": 120}
    assert statistics.difficulties == {"0–0.25": 60, "0.75–1": 60}
    assert statistics.words["min"] == 8
    assert statistics.duplicates == 0


def test_a_finished_version_never_changes(version):
    with pytest.raises(StaleAttempt):
        services.version_append(version=version, questions=[question(500)])
    assert QuestionRow.objects.filter(version=version).count() == 120


def test_the_same_questions_again_make_no_version(world, owner, version):
    same = list(selectors.questions_of(version_id=version.pk))
    again = dataset_from_questions(actor=Actor(owner), team=world.team, name="Sleep", questions=same)
    assert again == version
    other = dataset_from_questions(actor=Actor(owner), team=world.team, name="Sleep", questions=same[:3])
    assert (other.dataset, other.number) == (version.dataset, 2)


def test_of_two_writers_one_is_refused(world, version):
    first = services.version_begin(dataset=version.dataset)
    second = type(first).objects.get(pk=first.pk)
    services.version_append(
        version=first, questions=[question(1)], rejected=[RowError(row=2, field="answer", message="?")]
    )
    with pytest.raises(StaleAttempt):
        services.version_append(version=second, questions=[question(2)])
    first.refresh_from_db()
    assert (first.questions, first.rejected) == (1, 1)
    assert [str(row.reason) for row in RejectedRow.objects.all()] == ["answer: ?"]


def test_what_no_database_holds_and_repeated_ids_are_refused(version):
    begun = services.version_begin(dataset=version.dataset)
    assert services.unstorable(question(1)) == ""
    with pytest.raises(DatasetError, match="NUL"):
        services.version_append(version=begun, questions=[question(1, "a\0b")])
    with pytest.raises(DatasetError, match="id"):
        services.version_append(version=begun, questions=[question(1), question(1)])
    with pytest.raises(DatasetError, match="no question"):
        services.version_finish(version=begun)
    assert begun not in selectors.versions_of(team=version.team)


def test_a_name_belongs_to_one_dataset_of_a_team(world, owner, version):
    with pytest.raises(DatasetError, match="Sleep"):
        services.dataset_create(actor=Actor(owner), team=world.team, name=" Sleep ")
    services.dataset_create(actor=SYSTEM, team=world.other_team, name="Sleep")
    dataset_delete(actor=Actor(owner), dataset=version.dataset)
    services.dataset_create(actor=Actor(owner), team=world.team, name="Sleep")


def test_overlap_is_counted_with_ones_own_and_the_bundled_ones_only(world, owner, version):
    shared = [question(number) for number in range(10)]
    dataset_from_questions(actor=SYSTEM, team=world.other_team, name="Theirs", questions=shared)
    dataset_from_questions(actor=SYSTEM, team=system_team(), name="Benchmark", questions=shared[:4])
    made = dataset_from_questions(actor=Actor(owner), team=world.team, name="Mine", questions=[*shared, question(900)])
    overlaps = statistics_of(made).overlaps
    assert [(each.name, each.questions, each.system) for each in overlaps] == [
        ("Sleep v1", 9, False),  # number 7 is another one there
        ("Benchmark v1", 4, True),
    ]


# --- reading -------------------------------------------------------------------------------------------------------


def test_any_part_of_a_text_is_found(version):
    assert found(version, text="zolpidem") == [*range(7), *range(8, 120)]
    assert found(version, text="IS 17 MG") == [17]
    assert found(version, text='50% of "C_x" in 3\'?') == [7]
    assert found(version, text="ÄRZTE") == found(version, text="äRZ") == [7], "case means nothing in any script"
    assert found(version, text="zolpid zolp") == [], "all of its trigrams are there, and it is not"
    assert found(version, text="50_ of") == []
    assert found(version, text="% of") == [7]
    assert found(version, text="17") == [17, 117]
    assert found(version, text='" OR text:"') == []
    assert found(version, text="nothing like it") == []


def test_a_text_is_looked_for_in_one_version_only(world, owner, version):
    other = dataset_from_questions(
        actor=Actor(owner), team=world.team, name="Other", questions=[question(1, "Is 17 mg of zolpidem good?")]
    )
    assert found(other, text="17 mg") == [0]
    assert found(version, text="is 17 mg") == [17]


def test_filters_go_together_and_pages_follow_each_other(version):
    assert found(version, source="odd", text="zolpidem", difficulty="0.75-1")[:3] == [1, 3, 5]
    assert found(version, difficulty="none") == []
    assert found(version, domain="") == list(range(120))
    first = selectors.questions_page(version=version, wanted=QuestionFilter(source="odd"), size=20)
    second = selectors.questions_page(version=version, wanted=QuestionFilter(source="odd"), size=20, after=first.after)
    back = selectors.questions_page(version=version, wanted=QuestionFilter(source="odd"), size=20, before=second.before)
    assert [row.position for row in first.rows + second.rows] == list(range(1, 80, 2))
    assert [row.position for row in back.rows] == [row.position for row in first.rows]
    assert (first.before, back.before) == (None, None)
    assert first.count == 60


def test_counts_are_capped(version, monkeypatch):
    monkeypatch.setattr(selectors, "MATCHES_COUNTED", 10)
    page = selectors.questions_page(version=version, wanted=QuestionFilter(text="zolpidem"))
    assert (page.count, page.count_is_least) == (10, True)


def test_a_short_part_is_looked_for_stretch_by_stretch(version, monkeypatch):
    monkeypatch.setattr(selectors, "ROWS_LOOKED_THROUGH", 50)
    seen, after = [], None
    for _ in range(3):
        page = selectors.questions_page(version=version, wanted=QuestionFilter(text="17"), after=after)
        seen += [row.position for row in page.rows]
        after = page.after
    assert seen == [17, 117]
    assert after is None


def test_a_seldom_text_is_found_beyond_the_first_stretch_and_a_frequent_one_page_by_page(version, monkeypatch):
    monkeypatch.setattr(selectors, "ROWS_LOOKED_THROUGH", 50)
    page = selectors.questions_page(version=version, wanted=QuestionFilter(text="is 117 mg"))
    assert ([row.position for row in page.rows], page.count, page.count_is_least) == ([117], 1, False)
    wanted, seen, after = QuestionFilter(text="zolpidem"), [], None
    for _ in range(10):
        page = selectors.questions_page(version=version, wanted=wanted, after=after, size=20)
        seen += [row.position for row in page.rows]
        if (after := page.after) is None:
            break
    assert seen == [*range(7), *range(8, 120)]
    back = selectors.questions_page(version=version, wanted=wanted, before=100, size=20)
    assert [row.position for row in back.rows] == list(range(80, 100))
    assert (back.before, back.after) == (80, 99)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="SQLite's own index")
def test_the_index_forgets_what_is_deleted(world, owner, version):
    from webapp.datasets.search import FTS

    def indexed():
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT COUNT(*) FROM {FTS} WHERE {FTS} MATCH %s", ['"zol" AND "dem"'])
            return cursor.fetchone()[0]

    assert indexed() == 119
    dataset_delete(actor=Actor(owner), dataset=version.dataset)
    deletions_go_on(seconds=5)
    assert indexed() == 0


def test_questions_of_the_clinic_come_back_as_they_were(world, owner):
    questions = list(generate("train", 40, seed=3))
    made = dataset_from_questions(actor=Actor(owner), team=world.team, name="Clinic", questions=questions)
    assert list(selectors.questions_of(version_id=made.pk)) == questions

"""What is made of judgements: figures of agreement, files out and in, label sets, a better reward model."""

import csv
import io
import json
from uuid import uuid4

import krippendorff
import pytest
from django.test import Client
from pydantic import ValidationError
from sklearn.metrics import cohen_kappa_score

from meds3core.config.data_jobs import ExportSpec
from meds3core.config.jobs import EvaluationSpec
from meds3core.config.labels import JudgementLabelConfig, PeopleConfig
from meds3core.data.labels import read_labels
from meds3core.errors import UserError
from meds3core.judgements.files import judgement_lines, read_judgements
from meds3core.judgements.flagging import FlagRules
from meds3core.prm.base import ScorerInfo, Scores
from meds3core.report.quality import scorer_sections
from meds3core.report.result_tables import tables_of
from meds3core.training.methods import read_step_data
from meds3core.types.judgements import Verdict
from tests.core.evaluation import pages
from tests.judging import BAD, GOOD, filled_queue, judge_all, says
from tests.trees import built_labels, finished_search
from tests.web.people import token
from tests.workers.attempts import done
from webapp.accounts.actors import Actor
from webapp.accounts.models import AuditEntry
from webapp.accounts.rules import Role
from webapp.annotation import review, selectors, work
from webapp.annotation.agreement import agreement_of
from webapp.annotation.filling import Source, queue_fill
from webapp.annotation.imports import import_submit, judgements_bring
from webapp.annotation.labelsets import labels_preview, labels_submit
from webapp.annotation.models import Adjudication, Assignment, Filling, Judgement, QueueItem
from webapp.annotation.queues import QueueSettings, queue_close, queue_create, queue_delete
from webapp.annotation.said import judgements_said
from webapp.common.files import Store, folder_of
from webapp.datasets.exports import export_submit
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit
from webapp.jobs.transitions import JobError
from webapp.registry.bundled import bundled_ensure
from webapp.registry.models import LabelSet, ModelVersion
from webapp.registry.worth import labels_worth
from webapp.training.retraining import retrain_spec
from webapp.uploads.services import AnnouncedFile, chunk_store, upload_complete, upload_create
from webapp.webhooks.models import Delivery, Event, Webhook
from workers.kinds import evaluation, judgement_import
from workers.kinds.worth import labels_folders

pytestmark = pytest.mark.django_db

WORSE, WRONG = "A worse thought.", "The answer is 8."


@pytest.fixture
def owner(world):
    return Actor(world.by_role[Role.OWNER])


@pytest.fixture
def annotator(world):
    return Actor(world.by_role[Role.ANNOTATOR])


@pytest.fixture
def queue(world, owner, annotator):
    """Twelve steps that two people judged; they disagree on the three worse thoughts."""
    made = filled_queue(owner, world.team)
    judge_all(annotator, made, says([WORSE, WRONG]))
    judge_all(owner, made, says([WRONG]), seconds=3.0)
    return made


def test_figures_of_agreement_are_the_libraries(queue, owner, annotator):
    found = agreement_of(queue=queue, resamples=100)
    verdicts = [[0, 1, 1, 0] * 3, [1, 1, 1, 0] * 3]
    figures = found.figures
    assert figures.nominal.value == pytest.approx(krippendorff.alpha(verdicts, level_of_measurement="nominal"))
    assert figures.pairs[0].kappa.value == pytest.approx(cohen_kappa_score(*verdicts))
    assert (figures.judgements, figures.steps, figures.several) == (24, 12, 12)
    assert figures.nominal.n == 3  # questions
    by_name = {found.names[each.annotator]: each for each in figures.annotators}
    mine = by_name[str(owner.user)]
    assert (mine.judgements, mine.seconds, mine.control_accuracy) == (12, (3.0, 3.0, 3.0), None)


def test_what_was_changed_in_sight_of_the_scores_counts_for_labels_and_not_for_agreement(queue, annotator):
    before = agreement_of(queue=queue, resamples=50).figures
    item = QueueItem.objects.filter(queue=queue, shown__steps=[WORSE]).first()
    work.item_reveal(actor=annotator, item=item)
    work.judgement_revise(actor=annotator, item=item, client_id=item.pk, answers=[GOOD])
    assert agreement_of(queue=queue, resamples=50).figures == before
    divided = labels_preview(queues=[queue], config=JudgementLabelConfig())
    assert (divided.labels, divided.good, divided.bad) == (10, 7, 3)
    blind = labels_preview(queues=[queue], config=JudgementLabelConfig(revised=False))
    assert blind.labels == 9


def test_of_a_trajectory_only_the_steps_count_that_are_still_judged(world, owner, annotator):
    search = finished_search(owner, world.team, 1, name="Whole")
    settings = QueueSettings(name="Whole answers", mode="trajectory", wanted=1)
    made = queue_create(actor=owner, team=world.team, settings=settings)
    queue_fill(actor=owner, queue=made, source=Source("search", search.pk), rules=FlagRules(), items=1)
    item = work.item_pull(actor=annotator, queue=made).assignment.item
    assert item.steps > 1
    first = [answer.model_copy(update={"position": place}) for place, answer in enumerate([GOOD, BAD])]
    work.judgement_save(actor=annotator, item=item, client_id=uuid4(), answers=first)
    seen = labels_preview(queues=[made], config=JudgementLabelConfig())
    assert (seen.good, seen.bad) == (1, 1)
    work.item_reveal(actor=annotator, item=item)
    work.judgement_revise(actor=annotator, item=item, client_id=uuid4(), answers=[BAD])
    now = labels_preview(queues=[made], config=JudgementLabelConfig())
    assert (now.good, now.bad) == (0, 1)
    blind = labels_preview(queues=[made], config=JudgementLabelConfig(revised=False))
    assert (blind.good, blind.bad) == (1, 1)
    assert agreement_of(queue=made, resamples=50).figures.judgements == 2


def test_reviewers_and_controls_count(queue, owner, annotator):
    for item in QueueItem.objects.filter(queue=queue, shown__steps=[WORSE]):
        review.item_adjudicate(actor=owner, item=item, answers=[GOOD])
        review.item_adjudicate(actor=owner, item=item, answers=[BAD])  # the newest one holds
    planted = QueueItem.objects.filter(queue=queue, shown__steps=[WRONG]).first()
    review.control_set(actor=owner, item=planted, answers=[GOOD])
    found = agreement_of(queue=queue, resamples=50)
    by_name = {found.names[each.annotator]: each for each in found.figures.annotators}
    theirs, mine = by_name[str(annotator.user)], by_name[str(owner.user)]
    assert (theirs.decided, theirs.decided_accuracy.value, mine.decided_accuracy.value) == (3, 1.0, 0.0)
    assert (theirs.controls, theirs.control_accuracy.value) == (1, 0.0)
    assert (found.figures.steps, found.figures.controls, found.figures.several) == (12, 1, 11)
    seen = labels_preview(queues=[queue], config=JudgementLabelConfig())
    assert (seen.labels, seen.bad) == (11, 5)  # the planted one becomes no label


def test_a_label_set_is_frozen_and_outlives_its_queue(world, queue, owner):
    mean = JudgementLabelConfig(rule="mean")
    result = done(labels_submit(actor=owner, team=world.team, queues=[queue], config=mean, name="By us"))
    row = LabelSet.objects.get(pk=result["labels"])
    assert (row.name, row.kind, row.settings["rule"], row.counts["judgements"]) == ("By us", "steps", "mean", 24)
    stored = read_labels(folder_of(Store.LABELS, row.pk))
    by_step = {
        body: label
        for trajectory in stored.steps()
        for body, label in zip(trajectory.bodies, trajectory.labels, strict=True)
        if label is not None
    }
    assert by_step == {"A first thought.": 1.0, WORSE: 0.5, WRONG: 0.0, "The answer is 7.": 1.0}
    ends = {trajectory.bodies[-1]: trajectory.correct for trajectory in stored.steps()}
    assert ends == {WRONG: False, "The answer is 7.": True}
    again = done(labels_submit(actor=owner, team=world.team, queues=[queue], config=mean))
    assert LabelSet.objects.get(pk=again["labels"]).content_hash == row.content_hash
    queue_close(actor=owner, queue=queue)
    queue_delete(actor=owner, queue=queue)
    assert read_labels(folder_of(Store.LABELS, row.pk)) == stored


def test_another_team_s_queue_becomes_nobody_s_labels(world, queue, owner):
    spec = {"kind": "judged-labels", "queues": [{"kind": "queue", "id": str(queue.pk)}]}
    with pytest.raises(JobError, match="has no queue"):
        job_submit(actor=owner, team=world.other_team, spec=spec)


@pytest.mark.parametrize("form", ["jsonl", "prm800k", "trl", "csv"])
def test_a_queue_is_exported_in_every_form(world, queue, owner, form):
    spec = {"kind": "export", "what": {"kind": "queue", "id": str(queue.pk)}, "format": form}
    job = export_submit(actor=owner, team=world.team, spec=ExportSpec.model_validate(spec))
    result = done(job)
    text = (folder_of(Store.EXPORTS, job.pk) / result["file"]).read_text(encoding="utf-8")
    if form == "csv":
        rows = list(csv.DictReader(io.StringIO(text, newline="")))
        assert len(rows) == 24 and {row["annotator"] for row in rows} == {str(a.user) for a in (owner,)} | {
            name for name in Assignment.objects.values_list("rater_name", flat=True)
        }
        return
    rows = [json.loads(line) for line in text.splitlines()]
    expected = {"jsonl": 24, "prm800k": 12, "trl": 3}  # of a person and question two walks; of a question's good steps
    if form != "trl":
        assert len(rows) == expected[form]
    assert result["file"].endswith(
        {"jsonl": "Doses.jsonl", "prm800k": "Doses.prm800k.jsonl", "trl": "Doses.trl.jsonl"}[form]
    )


def test_what_was_exported_comes_into_another_queue_once(world, queue, owner, tmp_path):
    path = tmp_path / "file.jsonl"
    path.write_text("".join(judgement_lines(judgements_said(queue=queue), "prm800k")), encoding="utf-8")
    other = queue_create(actor=owner, team=world.team, settings=QueueSettings(name="Brought", wanted=2))
    said = list(read_judgements(path))
    found = judgements_bring(actor=owner, queue=other, judgements=said)
    assert (found.saved, found.known, found.items) == (24, 0, 12)
    again = judgements_bring(actor=owner, queue=other, judgements=said)
    assert (again.saved, again.known, again.items) == (0, 24, 0)
    one, two = (agreement_of(queue=each, resamples=50).figures for each in (queue, other))
    assert (one.nominal, one.pairs[0].kappa, one.kinds) == (two.nominal, two.pairs[0].kappa, two.kinds)
    items = QueueItem.objects.filter(queue=other)
    assert all((item.judged, item.taken, item.is_free) == (2, 2, False) and item.completed for item in items)
    config = JudgementLabelConfig()
    assert labels_preview(queues=[other], config=config).labels == labels_preview(queues=[queue], config=config).labels
    assert set(selectors.judgements_of(queue=other).values_list("rater", flat=True)) == {
        f"import:{name}" for name in Assignment.objects.filter(queue=queue).values_list("rater_name", flat=True)
    }


def test_what_comes_back_into_its_own_queue_says_nothing_twice(queue, owner):
    review.item_adjudicate(actor=owner, item=QueueItem.objects.filter(queue=queue).first(), answers=[BAD])
    fillings = Filling.objects.filter(queue=queue).count()
    found = judgements_bring(actor=owner, queue=queue, judgements=list(judgements_said(queue=queue)))
    assert (found.saved, found.known, found.decided, found.items) == (0, 25, 0, 0)
    assert Filling.objects.filter(queue=queue).count() == fillings


def test_changes_and_control_items_come_in_as_such(world, queue, owner, annotator):
    item = QueueItem.objects.filter(queue=queue, shown__steps=[WORSE]).first()
    work.item_reveal(actor=annotator, item=item)
    work.judgement_revise(actor=annotator, item=item, client_id=item.pk, answers=[GOOD])
    planted = QueueItem.objects.filter(queue=queue, shown__steps=[WRONG]).first()
    review.control_set(actor=owner, item=planted, answers=[BAD])
    other = queue_create(actor=owner, team=world.team, settings=QueueSettings(name="Brought"))
    said = list(judgements_said(queue=queue))
    found = judgements_bring(actor=owner, queue=other, judgements=said[::-1])
    assert (found.saved, found.known) == (25, 0)
    again = judgements_bring(actor=owner, queue=other, judgements=said)
    assert (again.saved, again.known) == (0, 25)
    for config in (JudgementLabelConfig(), JudgementLabelConfig(revised=False), JudgementLabelConfig(controls=True)):
        one, two = (labels_preview(queues=[each], config=config) for each in (queue, other))
        assert (one.labels, one.good, one.dropped) == (two.labels, two.good, two.dropped)
    one, two = (agreement_of(queue=each, resamples=50).figures for each in (queue, other))
    assert (one.nominal, one.controls, one.several) == (two.nominal, two.controls, two.several)
    assert (two.controls, two.several) == (1, 11)
    (control,) = QueueItem.objects.filter(queue=other, is_control=True)
    assert control.shown["steps"] == [WRONG] and control.is_free


def test_a_file_is_one_filling_however_many_parts_it_comes_in(world, queue, owner):
    other = queue_create(actor=owner, team=world.team, settings=QueueSettings(name="Brought"))
    said = list(judgements_said(queue=queue))
    wanted = {"actor": owner, "queue": other, "title": "all.jsonl", "filling_id": uuid4()}
    first = judgements_bring(judgements=said[:7], **wanted)
    rest = judgements_bring(judgements=said[7:], **wanted)
    filling = Filling.objects.get(queue=other)
    assert (filling.added, filling.items.count(), first.items + rest.items) == (12, 12, 12)
    assert sum(filling.counts.values()) == 12 and filling.pk == wanted["filling_id"]


def test_judgements_of_reviewers_come_in_as_decisions(world, queue, owner):
    item = QueueItem.objects.filter(queue=queue, shown__steps=[WORSE]).first()
    review.item_adjudicate(actor=owner, item=item, answers=[BAD])
    other = queue_create(actor=owner, team=world.team, settings=QueueSettings(name="Brought"))
    found = judgements_bring(actor=owner, queue=other, judgements=list(judgements_said(queue=queue)))
    assert (found.saved, found.decided) == (24, 1)
    assert Adjudication.objects.get(queue=other).verdict == Verdict.BAD


def sent(owner, team, content, name="walks.jsonl"):
    """A file of judgements that is here."""
    content = content.encode()
    file = AnnouncedFile(name, len(content))
    upload = upload_create(actor=owner, team=team, purpose="judgements", files=[file])
    chunk_store(file=upload.files.get(), offset=0, content=io.BytesIO(content))
    return upload_complete(actor=owner, upload=upload)


def test_a_file_is_imported_by_a_job_which_tells_of_bad_rows(world, queue, owner):
    questions = {item.shown["question"] for item in QueueItem.objects.filter(queue=queue)}
    asked = sorted(questions)[0]
    walk = {
        "labeler": "elsewhere",
        "question": {"problem": asked, "ground_truth_answer": None},
        "label": {
            "steps": [
                {"completions": [{"text": "A first thought.", "rating": 1}], "chosen_completion": 0},
                {"completions": [{"text": "A new thought.", "rating": -1}], "chosen_completion": None},
            ]
        },
    }
    upload = sent(owner, world.team, json.dumps(walk) + "\n" + "{}\n")
    result = done(import_submit(actor=owner, queue=queue, upload=upload))
    assert (result["saved"], result["items"], result["rejected"]) == (2, 2, 1)
    brought = Judgement.objects.filter(queue=queue, rater="import:walks.jsonl:elsewhere").select_related("item")
    # The opener of these trees is another one than the file's: its steps are new, its question is known.
    kinds = {row.item.kept["question"]["answer_format"]["kind"] for row in brought}
    assert kinds == {item.kept["question"]["answer_format"]["kind"] for item in QueueItem.objects.filter(
        queue=queue, shown__question=asked
    )}  # fmt: skip
    assert sorted(row.verdict for row in brought) == ["bad", "good"]
    again = done(import_submit(actor=owner, queue=queue, upload=upload))
    assert (again["saved"], again["known"], again["items"]) == (0, 2, 0)


def walks(rating: int, labeler="A1", thoughts=1) -> str:
    """Of one who judged so many thoughts, all alike."""
    lines = [
        {
            "labeler": labeler,
            "question": {"problem": f"How many in {number}?", "ground_truth_answer": None},
            "label": {
                "steps": [
                    {"completions": [{"text": "Some thought.", "rating": rating}], "chosen_completion": None},
                ]
            },
        }
        for number in range(thoughts)
    ]
    return "".join(json.dumps(line) + "\n" for line in lines)


def test_one_name_in_files_of_two_places_is_two_raters(world, owner):
    """The first annotator of two projects, who disagree: else the second one's word would be taken for said already."""
    made = queue_create(actor=owner, team=world.team, settings=QueueSettings(name="Brought", wanted=2))
    one, two = (sent(owner, world.team, walks(rating), name) for rating, name in ((1, "ward.jsonl"), (-1, "lab.jsonl")))
    assert [done(import_submit(actor=owner, queue=made, upload=each))["saved"] for each in (one, two)] == [1, 1]
    said = Judgement.objects.filter(queue=made).order_by("id").values_list("rater", "verdict")
    assert list(said) == [("import:ward.jsonl:A1", "good"), ("import:lab.jsonl:A1", "bad")]
    assert QueueItem.objects.get(queue=made).judged == 2
    again = done(import_submit(actor=owner, queue=made, upload=one))
    assert (again["saved"], again["known"]) == (0, 1)
    names = {each.annotator for each in judgements_said(queue=made)}
    assert names == {"A1 (ward.jsonl)", "A1 (lab.jsonl)"}, "an export tells them apart, too"


def test_one_name_in_files_of_one_place_is_one_rater(world, owner, client):
    made = queue_create(actor=owner, team=world.team, settings=QueueSettings(name="Brought", wanted=2))
    one, two = (sent(owner, world.team, walks(rating), name) for rating, name in ((1, "1.jsonl"), (-1, "2.jsonl")))
    found = [
        done(import_submit(actor=owner, queue=made, upload=each, source=name))
        for each, name in ((one, "Ward study"), (two, " Ward  study "))
    ]
    assert [(each["saved"], each["known"]) for each in found] == [(1, 0), (0, 1)], "one blind word of one person"
    assert Judgement.objects.get(queue=made).rater == "import:Ward study:A1"
    client.force_login(owner.user, backend="django.contrib.auth.backends.ModelBackend")
    page = client.get(f"/t/{world.team.slug}/queues/{made.pk}/import/").text
    assert '<option value="Ward study">' in page and "“A1” of two projects is two people" in page


def test_long_names_that_end_differently_are_different_raters(world, owner):
    made = queue_create(actor=owner, team=world.team, settings=QueueSettings(name="Brought", wanted=3))
    for end in "ab":
        upload = sent(owner, world.team, walks(1, labeler="n" * 199 + end))
        assert done(import_submit(actor=owner, queue=made, upload=upload))["saved"] == 1
    assert Judgement.objects.filter(queue=made).values("rater").distinct().count() == 2


def test_a_file_of_many_parts_is_told_of_once(world, owner, settings, monkeypatch):
    settings.OUTBOUND_ALLOW = ["hooks.inside"]
    hook = Webhook.objects.create(
        team=world.team, url="https://hooks.inside/", events=[Event.QUEUE_FILLED], created_by=owner.user
    )
    monkeypatch.setattr(judgement_import, "BATCH", 2)
    made = queue_create(actor=owner, team=world.team, settings=QueueSettings(name="Brought"))
    upload = sent(owner, world.team, walks(1, thoughts=5))
    result = done(import_submit(actor=owner, queue=made, upload=upload))
    assert (result["saved"], result["items"]) == (5, 5)
    filling = Filling.objects.get(queue=made)
    assert (filling.asked, filling.added, filling.known) == (5, 5, 0)
    assert Delivery.objects.filter(webhook=hook, thing=made.pk).count() == 1
    assert AuditEntry.objects.get(verb="queue.filled").details["items"] == 5
    done(import_submit(actor=owner, queue=made, upload=upload))
    assert Delivery.objects.count() == 1, "the same file again brings nothing"


def test_a_file_without_a_judgement_is_refused_with_words(world, queue, owner):
    job = import_submit(actor=owner, queue=queue, upload=sent(owner, world.team, '{"a": 1}\n'))
    with pytest.raises(UserError, match="holds no judgement"):
        done(job)


# --- pages ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def browser(world, client):
    client.force_login(world.by_role[Role.OWNER])
    return client


def test_the_page_of_labels_from_judgements_shows_what_would_be_in_the_set(world, queue, browser):
    url = f"/t/{world.team.slug}/labels/judged/new/"
    page = browser.get(f"{url}?queue={queue.pk}").content.decode()
    assert f'value="queue:{queue.pk}" selected' in page
    form = {"queues": f"queue:{queue.pk}", "judged.rule": "majority", "judged.least": 1, "judged.neutral": "good"}
    form |= {"judged.revised": "on"}
    seen = browser.post(url, form | {"preview": "1"}).content.decode()
    assert "9: 6 good, 3 bad" in seen and "3 steps on which people are divided (rule)" in seen
    assert not LabelSet.objects.filter(team=world.team).exists()
    answer = browser.post(url, form)
    assert answer.status_code == 302
    assert Job.objects.get(kind="judged-labels").title == "Labels of Doses"


def test_a_prm_is_retrained_with_one_button_and_its_page_says_what_the_labels_were_worth(
    world, queue, owner, browser, tmp_path
):
    search = Job.objects.filter(team=world.team, kind="search").first()
    rollouts = built_labels(owner, world.team, search, tmp_path, both_outcomes=False)
    quick = {"method": "prm", "batch_size": 4, "micro_batch_size": 4, "epochs": 1, "max_length": 600, "threads": 1}
    spec = {
        "kind": "prm",
        "policy": {"kind": "model", "id": str(bundled_ensure().pk)},
        "labels": {"kind": "labels", "id": str(rollouts.pk)},
        "training": quick | {"learning_rate": 1e-3, "lora": None},
        "name": "Ward PRM",
    }
    first = ModelVersion.objects.get(pk=done(job_submit(actor=owner, team=world.team, spec=spec))["model"])
    made = done(labels_submit(actor=owner, team=world.team, queues=[queue], config=JudgementLabelConfig()))
    page = browser.get(f"/t/{world.team.slug}/labels/{made['labels']}/").content.decode()
    assert "Retrain the PRM with these labels" in page and f'value="{first.pk}"' in page and "Doses" in page
    asked = browser.post(f"/t/{world.team.slug}/labels/{made['labels']}/retrain/", {"model": str(first.pk)})
    job = Job.objects.get(kind="prm", state="queued")
    assert asked.url == f"/t/{world.team.slug}/training/runs/{job.pk}/"
    assert (job.spec["labels"]["id"], job.spec["beside"][0]["id"]) == (str(rollouts.pk), made["labels"])
    assert job.spec["compare"]["id"] == str(first.pk) and job.spec["training"] == first.job.spec["training"]
    Job.objects.filter(pk=job.pk).update(spec=job.spec | {"people": job.spec["people"] | {"held_out": 0.5}})
    job.refresh_from_db()
    second = ModelVersion.objects.get(pk=done(job)["model"])
    assert (second.name, second.number) == ("Ward PRM", 2)
    told = second.provenance["people"]
    assert told["judged"] and told["compared_with"] == str(first.pk)
    assert told["held_out"] and told["by_chance"]["paired"]["steps"] <= told["paired"]["steps"]
    worth = labels_worth(team=world.team, model=second)
    assert [each.is_judged for each in worth.sets] == [False, True] and worth.compared == first
    assert worth.shared_by_people == 0
    shown = browser.get(f"/t/{world.team.slug}/models/{second.pk}/").content.decode()
    assert "Labels that made it" in shown and f"People judged {told['judged']} steps" in shown
    again = browser.post(
        f"/t/{world.team.slug}/labels/{made['labels']}/retrain/", {"model": str(second.pk)}, follow=True
    )
    assert "has learnt from these labels already" in again.content.decode()
    plain = browser.get(f"/t/{world.team.slug}/models/{first.pk}/").content.decode()
    assert "No label of people was learnt from" in plain

    # A reward model is not measured on what it learnt from people.
    folder = folder_of(Store.LABELS, made["labels"])
    questions = {each.question.text for each in read_labels(folder).steps()}
    spec = measuring(second, made["labels"])
    (found,) = evaluation.with_judged(pages.evaluation(), spec, SaysByText()).evaluation.scorers["prm"].judged
    assert 0 < found.steps[0].questions < len(questions) and found.learnt > 0
    assert "was trained on what people said" in found.warnings[0] and "what rollouts say" in found.warnings[1]
    spec = measuring(first, made["labels"])
    (found,) = evaluation.with_judged(pages.evaluation(), spec, SaysByText()).evaluation.scorers["prm"].judged
    assert (found.steps[0].questions, found.learnt) == (len(questions), 0) and found.met

    # The same queue again, with a decision: the later set counts, and what the earlier one gave is not averaged in.
    for item in QueueItem.objects.filter(queue=queue, shown__steps=[WORSE]):
        review.item_adjudicate(actor=owner, item=item, answers=[BAD])
    later = LabelSet.objects.get(
        pk=done(labels_submit(actor=owner, team=world.team, queues=[queue], config=JudgementLabelConfig()))["labels"]
    )
    old = LabelSet.objects.get(pk=made["labels"])
    spec = retrain_spec(team=world.team, model=second, labels=[later])
    assert [each.id for each in (spec.labels, *spec.beside)] == [rollouts.pk, old.pk, later.pk]
    shuffled = {"labels": spec.beside[1], "beside": (spec.labels, spec.beside[0])}
    folders = labels_folders(spec.model_copy(update=shuffled))
    assert folders == [folder_of(Store.LABELS, each.pk) for each in (rollouts, old, later)]
    data = read_step_data(folders, PeopleConfig(held_out=0.0))
    assert sorted(map(steps_of, data.people)) == sorted(map(steps_of, read_labels(folders[2]).steps()))
    third = ModelVersion(team=world.team, kind="prm", provenance={"people": {"compared_with": str(second.pk)}})
    third.provenance["inputs"] = [{"kind": "labels", "id": str(each.pk)} for each in (rollouts, old, later)]
    assert labels_worth(team=world.team, model=third).shared_by_people == 1


def measuring(model, labels):
    """An evaluation of a reward model on a label set."""
    prm = {"kind": "model", "id": str(model.pk)}
    asked = {"questions": {"kind": "dataset", "id": labels}, "policy": prm, "prm": prm, "figures": {"resamples": 100}}
    return EvaluationSpec.model_validate(asked | {"judged": [{"kind": "labels", "id": labels}]})


def steps_of(trajectory):
    return trajectory.bodies, [label if label is not None else -1 for label in trajectory.labels]


def test_the_same_by_the_api(world, queue, owner):
    key = token(owner.user, world.team, Role.OWNER)
    call = Client(headers={"Authorization": f"Bearer {key}"})
    base = f"/api/v1/teams/{world.team.slug}/queues/{queue.pk}"
    found = call.get(f"{base}/agreement").json()
    assert found["figures"]["several"] == 12 and str(owner.user) in found["names"].values()
    seen = call.post(f"{base}/labels/preview", {"rule": "mean"}, content_type="application/json").json()
    assert (seen["labels"], seen["good"]) == (12, 9)
    made = call.post(f"{base}/labels", {"name": "By API"}, content_type="application/json")
    assert made.status_code == 202 and Job.objects.get(pk=made.json()["id"]).kind == "judged-labels"
    upload = sent(owner, world.team, "{}\n")
    brought = call.post(f"{base}/imports", {"upload": str(upload.pk)}, content_type="application/json")
    assert brought.status_code == 202 and Job.objects.get(pk=brought.json()["id"]).kind == "judgement-import"


def test_the_page_that_brings_judgements_in(world, queue, owner, browser):
    url = f"/t/{world.team.slug}/queues/{queue.pk}/import/"
    page = browser.get(url).content.decode()
    assert 'data-purpose="judgements"' in page
    assert "Choose a file first." in browser.post(url, {"form": ""}).content.decode()
    upload = sent(owner, world.team, "{}\n")
    assert browser.post(url, {"upload": str(upload.pk), "form": "prm800k"}).status_code == 302
    assert Job.objects.get(kind="judgement-import").spec["form"] == "prm800k"
    assert "removed" in browser.post(url, {"upload": str(queue.pk)}).content.decode()


class SaysByText:
    """A process reward model that thinks little of the worse thought."""

    info = ScorerInfo(kind="prm", model="m", model_hash="h", prompt_hash="p", context_length=600)

    def score(self, items):
        return [Scores(tuple(0.1 if text == WORSE else 0.9 for text in item.bodies), 1) for item in items]

    def score_tree(self, tree):
        return [0.5] * len(tree.nodes)

    def close(self):
        pass


def test_an_evaluation_measures_a_reward_model_on_the_steps_that_people_judged(world, queue, owner):
    made = done(labels_submit(actor=owner, team=world.team, queues=[queue], config=JudgementLabelConfig(rule="mean")))
    prm = {"kind": "model", "id": str(bundled_ensure().pk)}
    asked = {"kind": "dataset", "id": str(queue.pk)}
    judged = [{"kind": "labels", "id": made["labels"]}]
    with pytest.raises(ValidationError, match="name one"):
        EvaluationSpec.model_validate({"questions": asked, "policy": prm, "judged": judged})
    spec = EvaluationSpec.model_validate(
        {"questions": asked, "policy": prm, "prm": prm, "judged": judged, "figures": {"resamples": 100}}
    )
    stored = evaluation.with_judged(pages.evaluation(), spec, SaysByText())
    (found,) = stored.evaluation.scorers["prm"].judged
    row = LabelSet.objects.get(pk=made["labels"])
    assert (found.name, found.content_hash, found.too_long) == (row.name, row.content_hash, 0)
    figures = found.steps[0]
    assert (figures.steps, figures.questions) == (12, 3)  # the first step stands in both trajectories, and counts once
    assert figures.precision.value == 0.0 and figures.recall.value == 0.0  # half and above is right, by the labels
    sections = [table.title for section in scorer_sections(stored.evaluation) for table in section.tables]
    assert f"Wrong steps that people judged: {row.name}" in sections
    assert any(
        "judged by people" in str(cells) for table in tables_of(stored.evaluation).values() for cells in table.rows
    )

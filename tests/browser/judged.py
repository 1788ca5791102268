"""Judgements, a label set of them and a reward model, for browser tests. Run where the ORM may be used."""


def judged_team(*, team: str) -> dict[str, str]:
    """A queue that two people judged, a label set of it, two versions of a reward model; ids of all."""
    from django.contrib.auth import get_user_model

    from meds3core.config.labels import JudgementLabelConfig
    from meds3core.config.training import CLINIC
    from tests.judging import filled_queue, judge_all, says
    from tests.workers.attempts import done
    from webapp.accounts.actors import Actor
    from webapp.accounts.models import Membership, Team
    from webapp.annotation.labelsets import labels_submit
    from webapp.jobs.models import Job, State
    from webapp.jobs.services import job_submit
    from webapp.registry.bundled import bundled_ensure
    from webapp.registry.models import LabelSet, ModelAlias, ModelVersion

    found = Team.objects.get(name=team)
    owner = Actor(Membership.objects.filter(team=found).earliest("created").user)
    other = Actor(get_user_model().objects.create(username=f"second of {found.slug}"))
    queue = filled_queue(owner, found)
    judge_all(owner, queue, says(["The answer is 8."]))
    judge_all(other, queue, says(["A worse thought.", "The answer is 8."]))
    job = labels_submit(actor=owner, team=found, queues=[queue], config=JudgementLabelConfig(rule="mean"))
    Job.objects.filter(state=State.QUEUED).exclude(pk=job.pk).update(state=State.CANCELLED)  # what other files left
    labels = LabelSet.objects.get(pk=done(job)["labels"])
    Job.objects.filter(pk=job.pk).update(state=State.SUCCEEDED)
    rollouts = LabelSet.objects.create(team=found, name="Labels of rollouts", kind="steps", ready=True, records=9)
    policy = bundled_ensure()
    spec = {"kind": "prm", "policy": {"kind": "model", "id": str(policy.pk)}, "name": "Ward PRM"}
    spec |= {"labels": {"kind": "labels", "id": str(rollouts.pk)}, "training": CLINIC["prm"].model_dump(mode="json")}
    trained = job_submit(actor=owner, team=found, spec=spec)
    Job.objects.filter(pk=trained.pk).update(state=State.SUCCEEDED)
    made = [
        ModelVersion.objects.create(
            team=found, name="Ward PRM", number=number, kind="prm", ready=True, base=policy, job=trained,
            provenance={"inputs": [{"kind": "labels", "id": str(each.pk), "name": each.name} for each in sets]},
        )
        for number, sets in ((1, [rollouts]), (2, [rollouts, labels]))
    ]  # fmt: skip
    ModelAlias.objects.create(team=found, name="Ward PRM", alias="candidate", model=made[0])
    change = {"value": 0.06, "low": 0.01, "high": 0.11, "n": 40, "method": "paired-bootstrap", "level": 0.95}
    paired = {
        name: {"first": 0.41, "second": 0.47, "difference": change, "p": 0.02} for name in ("f1", "auroc", "auprc")
    }
    told = {"rule": "outrank", "weight": 4.0, "judged": 280, "changed": 61, "kept": 190, "added": 29, "disputed": 0}
    told |= {"held_out": 60, "compared_with": str(made[0].pk), "alone": None}
    told["paired"] = paired | {"first_error_f1": None, "steps": 70, "questions": 40}
    told["by_chance"] = {"alone": None, "paired": paired | {"first_error_f1": None, "steps": 12, "questions": 11}}
    made[1].provenance |= {"people": told}
    made[1].save()
    return {"queue": str(queue.pk), "labels": str(labels.pk), "model": str(made[1].pk)}

"""What tests of trainings and loops share: label sets, datasets, settings that take seconds, jobs that must succeed."""

import hashlib

from meds3core.data.labels import write_labels
from meds3core.labels.base import LabelSet as Labels
from meds3core.sandbox.questions import generate
from meds3core.types.labels import LabelCounts
from tests.workers.people import operator
from tests.workers.stack import PATIENCE, job_log, state_of, wait_for
from webapp.accounts.models import Team
from webapp.common.files import Store, folder_of
from webapp.datasets.services import dataset_from_questions
from webapp.jobs import selectors, services
from webapp.jobs.models import Job, State
from webapp.jobs.transitions import ENDED
from webapp.registry.models import LabelSet, ModelVersion
from webapp.registry.selectors import model_folder

QUICK = {"batch_size": 4, "micro_batch_size": 4, "epochs": 1, "save_every": 1, "log_every": 1, "max_length": 600}


def questions(team: Team, name: str, split: str, count: int) -> dict[str, str]:
    """A reference to a new dataset of clinic questions."""
    made = list(generate(split, count, seed=5))
    version = dataset_from_questions(actor=operator(), team=team, name=name, questions=made)
    return {"kind": "dataset", "id": str(version.pk)}


def labels(team: Team, kind: str, config, records) -> dict[str, str]:
    """A reference to a new label set of these records."""
    row = LabelSet.objects.create(team=team, name=kind, kind=kind, ready=True, records=len(records))
    counts = LabelCounts(trees=len(records), questions=len(records), kept=len(records))
    write_labels(folder_of(Store.LABELS, row.pk), Labels(config, tuple(records), counts))
    return {"kind": "labels", "id": str(row.pk)}


def submit(team: Team, **spec) -> Job:
    """A job that waits for a worker."""
    return services.job_submit(actor=operator(), team=team, spec=spec)


def over(job: Job) -> bool:
    """Whether it has ended."""
    return state_of(job) in ENDED


def succeeded(job: Job) -> Job:
    """Wait for the job's end, which must be a good one."""
    wait_for(lambda: over(job), f"the end of {job}", patience=4 * PATIENCE)
    found = Job.objects.get(pk=job.pk)
    told = [event.text for event in selectors.events_after(job=found, seq=0, size=1000) if event.text]
    assert found.state == State.SUCCEEDED, f"{found.error_message}\n{told}\n{job_log(found)}"
    return found


def weights(model: ModelVersion) -> str:
    """Hash of a model's weights, bit for bit."""
    files = sorted(model_folder(model_id=model.pk).glob("*.safetensors"))
    assert files
    return hashlib.blake2b(b"".join(path.read_bytes() for path in files)).hexdigest()

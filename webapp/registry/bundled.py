"""What comes with the product, in the team that everybody reads: the clinic's base policy, and its held-out questions.

`manage.py bundled` runs both functions after every migration and at every start. They do nothing where everything is in
place.
"""

from pathlib import Path

from django.db import IntegrityError, transaction

from meds3core.models.describe import card_of, describe_model
from meds3core.sandbox.bundled import policy_folder
from meds3core.sandbox.questions import generate
from webapp.accounts.actors import SYSTEM
from webapp.accounts.audit import audit_write
from webapp.accounts.services import system_team
from webapp.datasets.models import DatasetVersion
from webapp.datasets.services import dataset_from_questions
from webapp.registry.models import ModelKind, ModelVersion
from webapp.registry.storing import Stored, folder_digest, folder_take_over, is_whole

BENCHMARK = "Clinic, held out"
QUESTIONS = 200


def bundled_ensure() -> ModelVersion:
    """The bundled policy as the system team's model, its files in place. Another content gets the next number."""
    return bundled_model_ensure(policy_folder())


def bundled_benchmark_ensure() -> DatasetVersion:
    """Questions of the clinic that nothing was trained on, as the system team's dataset."""
    return dataset_from_questions(
        actor=SYSTEM,
        team=system_team(),
        name=BENCHMARK,
        questions=generate("test", QUESTIONS),
        description="Exercises of the synthetic clinic that the bundled policy was not trained on.",
        source_name="clinic",
    )


def bundled_model_ensure(folder: Path) -> ModelVersion:
    """A model that comes with the product, from its folder."""
    team = system_team()
    stored = folder_digest(folder)
    facts = describe_model(folder, "policy")
    rows = ModelVersion.objects.filter(team=team, name=facts.name)
    present = rows.filter(content_hash=stored.content_hash).first()
    if present is None:
        last = rows.order_by("-number").values_list("number", flat=True).first() or 0
        try:
            with transaction.atomic():
                present = ModelVersion.objects.create(
                    team=team,
                    name=facts.name,
                    number=last + 1,
                    kind=ModelKind.POLICY,
                    content_hash=stored.content_hash,
                    facts=facts.model_dump(mode="json"),
                    provenance={"kind": "bundled", "card": card_of(folder).get("provenance", {})},
                )
                audit_write(actor=SYSTEM, verb="model.bundled", team=team, subject=str(present.pk))
        except IntegrityError:  # another process starts at the same time
            present = rows.get(number=last + 1)
    if not present.ready or not is_whole(present.pk, present.files):
        _put_in_place(present, folder)
    return present


def _put_in_place(model: ModelVersion, folder: Path) -> None:
    stored: Stored = folder_take_over(folder, model.pk, copy=True)  # the package may be renewed in place
    model.ready, model.files, model.bytes = True, stored.files, stored.bytes
    model.save(update_fields=["ready", "files", "bytes"])

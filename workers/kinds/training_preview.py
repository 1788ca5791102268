"""What a training would see, token by token and counted; nothing is trained and no model is loaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meds3core.config.jobs import GrpoSpec, PrmSpec, TrainingPreviewSpec
from meds3core.config.references import Reference
from meds3core.engines.policy import inspect_policy
from meds3core.errors import PolicyError
from meds3core.training.methods import read_data, read_step_data
from meds3core.training.preview import preview_data
from webapp.common.files import Store, folder_of
from webapp.jobs import reports
from webapp.registry.models import ModelKind
from webapp.training.previews import preview_store
from workers import inputs
from workers.context import JobContext
from workers.kinds.worth import labels_folders


def run(context: JobContext) -> Mapping[str, Any]:
    """Encode as training does, count, and keep what was seen; the result holds no text."""
    spec: TrainingPreviewSpec = context.spec
    training = spec.training
    reports.stage_begin(job_id=context.job_id, attempt=context.attempt, name="Preview")
    base = inspect_policy(_base_folder(training.policy))
    if isinstance(training, GrpoSpec):
        records: list[Any] = inputs.questions(training.questions)
    else:
        if isinstance(training, PrmSpec) and training.beside:
            records = list(read_step_data(labels_folders(training), training.people).records)
        else:
            records = read_data(training.kind, inputs.labels_folder(training.labels))
    found = preview_data(
        training.kind,
        records,
        _tokenizer(base.path),
        training.training,
        base.context_length,
        sink=context.reporter,
        cancel=context.cancel,
    )
    preview_store(job_id=context.job_id, attempt=context.attempt, found=found)
    return {"records": found.records, "used": found.used, "left_out": found.left_out}


def _base_folder(reference: Reference) -> Path:
    """Where tokenizer and configuration lie; an adapter has those of its base."""
    row = inputs.model(reference, ModelKind.POLICY)
    return folder_of(Store.MODELS, row.base_id if row.is_adapter and row.base_id else row.pk)


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise PolicyError(f"The model's tokenizer cannot be loaded ({type(error).__name__}).") from error

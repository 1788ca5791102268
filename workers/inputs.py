"""What a specification refers to, as things on this machine: rows become files and folders that `meds3core` reads.

A kind of job asks here and nowhere else. What is written for a job goes into its attempt's folder and is made anew by
every attempt. That the team may use what is named was checked when the job was submitted and again when it was claimed.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from meds3core.config.engine import EngineConfig, VllmEngineConfig
from meds3core.config.references import LocalPath, Reference, Registered, RegisteredKind
from meds3core.data.trees import write_whole
from meds3core.data.write import write_questions
from meds3core.errors import ConfigError, UserError
from meds3core.prm.card import RewardFolder, inspect_reward_model
from meds3core.types.question import Question
from meds3core.types.tree import Tree
from webapp.common.files import Store, folder_of
from webapp.datasets.selectors import questions_of
from webapp.endpoints.keys import remote_engine
from webapp.registry.models import Endpoint, LabelSet, ModelKind, ModelVersion
from webapp.trees.models import Tree as TreeRow
from webapp.uploads.models import Upload, UploadFile

_FETCHED = 64
"""Trees read from the database at once."""


class InputGone(UserError):
    """Something that the specification names was deleted, or is not what the job needs; the message says which."""

    code = "input"


def registered(reference: Reference, *kinds: RegisteredKind) -> Registered:
    """The reference, if it is of one of these kinds. Raises `InputGone`; a path is never followed."""
    if isinstance(reference, LocalPath):
        raise InputGone("A job names what the instance knows, never a path. Upload the file and name the upload.")
    if kinds and reference.kind not in kinds:
        raise InputGone(f"The job needs a {' or '.join(kinds)} here and names a {reference.kind}. Submit it anew.")
    return reference


# --- questions -----------------------------------------------------------------------------------------------------


def questions(reference: Reference, *, limit: int | None = None) -> list[Question]:
    """The questions of a dataset's version in their order; the first `limit` of them."""
    found = list(questions_of(version_id=registered(reference, "dataset").id, limit=limit))
    if not found:
        raise InputGone("The dataset holds no question, or was deleted. Choose another one.")
    return found


def questions_file(
    reference: Reference, folder: Path, *, name: str = "questions.jsonl", limit: int | None = None
) -> Path:
    """The same as a file of the form that `meds3core.data.read.load_questions` reads."""
    path = folder / name
    rows = questions_of(version_id=registered(reference, "dataset").id, limit=limit)
    if not write_questions(path, rows):
        raise InputGone("The dataset holds no question, or was deleted. Choose another one.")
    return path


# --- uploads -------------------------------------------------------------------------------------------------------


def upload_file(reference: Reference) -> UploadFile:
    """The one file of an upload that is complete. It is opened by limited processes only (workers.reading)."""
    upload_id = registered(reference, "upload").id
    found = UploadFile.objects.filter(upload=upload_id, upload__state=Upload.State.COMPLETE).first()
    if found is None:
        raise InputGone("The upload was removed. Send the file again.")
    return found


# --- models --------------------------------------------------------------------------------------------------------


def model(reference: Reference, *kinds: ModelKind) -> ModelVersion:
    """The row of a model that is ready, with its base. With `kinds`: of one of these. Raises `InputGone`."""
    found = ModelVersion.objects.select_related("base").filter(pk=registered(reference, "model").id, ready=True).first()
    if found is None:
        raise InputGone("The model was deleted. Choose another one.")
    if kinds and found.kind not in kinds:
        wanted = " or a ".join(kind.label.lower() for kind in kinds)
        raise InputGone(f"{found} is a {found.get_kind_display().lower()}; the job needs a {wanted}.")
    return found


def policy(reference: Reference, folder: Path) -> Path:
    """The folder of a whole policy. An adapter is written into a copy of its base, below `folder`."""
    return _whole(model(reference, ModelKind.POLICY), folder)


def merged_folder(row: ModelVersion, folder: Path) -> Path:
    """Where below `folder` an adapter is written into a copy of its base."""
    return folder / f"policy-{row.pk}"


def _whole(row: ModelVersion, folder: Path) -> Path:
    if not row.is_adapter:
        return folder_of(Store.MODELS, row.pk)
    from meds3core.training.models import write_merged  # torch and peft, for those who need them

    merged = merged_folder(row, folder)
    if not merged.exists():
        write_merged(_base(row), folder_of(Store.MODELS, row.pk), merged)
    return merged


@dataclass(frozen=True, slots=True)
class Served:
    """What `meds3core.engines.loading.load_engine` takes."""

    policy: Path
    engine: EngineConfig


def served(reference: Reference, engine: EngineConfig | Registered, folder: Path) -> Served:
    """A policy as this engine wants it: vLLM serves an adapter on top of its base, transformers a whole model.

    Of a policy that a remote engine serves the tokenizer is read here.
    """
    if isinstance(engine, Registered):
        return Served(policy(reference, folder), remote_engine(endpoint(engine)))
    return served_model(model(reference, ModelKind.POLICY), engine, folder)


def served_model(row: ModelVersion, engine: EngineConfig, folder: Path) -> Served:
    """The same of a row that was read with its base; asks no database, and may take minutes."""
    if row.is_adapter and isinstance(engine, VllmEngineConfig):
        return Served(_base(row), engine.model_copy(update={"adapter": str(folder_of(Store.MODELS, row.pk))}))
    return Served(_whole(row, folder), engine)


def reward_model(reference: Reference, *kinds: ModelKind) -> RewardFolder:
    """A reward model's folder, checked: `load_scorer(found.path, config, score_head=…, base=found.weights.path)`.

    Without `kinds`: a process reward model or an outcome reward model.
    """
    row = model(reference, *(kinds or (ModelKind.PRM, ModelKind.ORM)))
    return inspect_reward_model(
        folder_of(Store.MODELS, row.pk),
        # A published model has no card: how its logits are read was asked for when it was imported.
        score_head=None if _has_card(row) else row.facts.get("score_head"),
        base=_base(row) if row.is_adapter else None,
    )


def _base(row: ModelVersion) -> Path:
    if row.base is None:
        raise InputGone(f"{row} is an adapter whose base is not known. Import it again together with its base.")
    if row.base.is_adapter:
        raise ConfigError(f"{row} is an adapter of an adapter, {row.base}. Merge one of them into its base.")
    return folder_of(Store.MODELS, row.base.pk)


def _has_card(row: ModelVersion) -> bool:
    return (folder_of(Store.MODELS, row.pk) / "meds3.json").is_file()


def endpoint(reference: Reference) -> Endpoint:
    """The row of a remote engine."""
    found = Endpoint.objects.filter(pk=registered(reference, "endpoint").id).first()
    if found is None:
        raise InputGone("The remote engine was deleted. Choose another one.")
    return found


# --- trees and labels ----------------------------------------------------------------------------------------------


def tree_lines(*references: Reference) -> Iterator[str]:
    """The lines of stored trees (`meds3core.data.trees.tree_line`), in the order of stage and question."""
    for reference in references:
        rows = TreeRow.objects.filter(job=registered(reference, "trees").id).order_by("stage", "position")
        for arena in rows.values_list("arena", flat=True).iterator(chunk_size=_FETCHED):
            yield zlib.decompress(arena).decode()


def trees(*references: Reference) -> Iterator[Tree]:
    """Stored trees, one at a time."""
    return (Tree.model_validate_json(line) for line in tree_lines(*references))


def trees_file(references: Reference | Iterable[Reference], folder: Path, *, name: str = "trees.jsonl") -> Path:
    """Stored trees as a file of the form that `meds3core.data.trees.read_trees` reads."""
    several = (references,) if isinstance(references, LocalPath | Registered) else tuple(references)
    path = folder / name
    if not write_whole(path, tree_lines(*several), "", "\n", "\n"):
        raise InputGone("There are no trees to read; the searches were deleted. Choose others.")
    return path


def labels_folder(reference: Reference) -> Path:
    """The folder of a label set, as `meds3core.data.labels.read_labels` reads it."""
    row = LabelSet.objects.filter(pk=registered(reference, "labels").id, ready=True).first()
    if row is None:
        raise InputGone("The label set was deleted. Choose another one.")
    return folder_of(Store.LABELS, row.pk)

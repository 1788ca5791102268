"""A model from elsewhere: its files are brought in by name, checked, loaded once in a limited process, then listed."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from meds3core.config.data_jobs import ModelImportSpec
from meds3core.errors import PolicyError
from meds3core.models.describe import is_adapter
from meds3core.models.screen import ModelRefused, Screened
from meds3core.models.trial import TrialAnswer, TrialRequest, TrialResult
from meds3core.prm.card import CARD
from meds3core.progress import ProgressEvent
from webapp.accounts.models import Team
from webapp.jobs import reports
from webapp.jobs.models import Job
from webapp.registry.models import ModelVersion
from webapp.registry.selectors import base_by_hash, model_folder
from webapp.registry.services import model_register
from workers import inputs
from workers.arrivals import from_hub, from_root, from_upload
from workers.context import JobContext
from workers.limited import Limits, run_limited

GIBIBYTE = 1 << 30
SECONDS, BYTES_A_SECOND = 300.0, 10_000_000


def run(context: JobContext) -> Mapping[str, Any]:
    """Bring in, try, list; the result names the model. A refused one leaves nothing behind."""
    folder = context.folder / "incoming"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        return _import(context, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _import(context: JobContext, folder: Path) -> Mapping[str, Any]:
    spec: ModelImportSpec = context.spec
    _stage(context, "Files", "Bringing the files in.")
    found, source = _bring(context, spec, folder)
    if found.left_out:
        _warn(context, f"{len(found.left_out)} files or folders are of no use to the model and were left out.")
    base = _base(context, spec, folder)
    _complete_card(spec, folder, base)
    _stage(context, "Trial", "Loading the model once, under limits.")
    result = _try(context, spec, folder, base, found.bytes)
    _stage(context, "Listing", "Listing the model.")
    model = model_register(
        job_id=context.job_id,
        attempt=context.attempt,
        folder=folder,
        name=spec.name.strip(),
        kind=spec.role,
        base_id=base.pk if base else None,
        score_head=spec.score_head,
        facts={"checks": list(result.checks)},
        provenance={"source": source},
    )
    return {"model": str(model.pk), "checks": list(result.checks)}


def _bring(context: JobContext, spec: ModelImportSpec, folder: Path) -> tuple[Screened, dict[str, Any]]:
    def told(done: int, total: int) -> None:
        context.reporter.emit(ProgressEvent(kind="copied", done=done, total=total, data={"unit": "bytes"}))

    if spec.upload is not None:
        return from_upload(spec.upload, folder), {"kind": "upload"}
    if spec.root is not None:
        found = from_root(spec.root, folder, told=told, cancel=context.cancel)
        return found, {"kind": "root", "root": spec.root.root, "folder": spec.root.folder}
    assert spec.hub is not None
    found, commit = from_hub(spec.hub, folder, told=told, cancel=context.cancel)
    return found, {"kind": "hub", "name": spec.hub.name, "commit": commit}


def _base(context: JobContext, spec: ModelImportSpec, folder: Path) -> ModelVersion | None:
    """An adapter's base: the one that was named, or the one of the team whose digest its card states."""
    if not is_adapter(folder):
        if spec.base is not None:
            raise ModelRefused("These are the files of a whole model, which needs no base. Leave the base out.")
        return None
    if spec.base is not None:
        base: ModelVersion | None = inputs.model(spec.base)
    else:
        stated = _card(folder).get("base")
        digest = stated.get("hash") if isinstance(stated, dict) else None
        base = base_by_hash(team=_team(context), digest=str(digest)) if digest else None
    if base is None:
        raise ModelRefused("adapter_config.json: an adapter. Name the model here that it belongs to.")
    if base.is_adapter:
        raise ModelRefused(f"{base} is an adapter itself. Name the whole model that both belong to.")
    return base


def _team(context: JobContext) -> Team:
    return Job.objects.select_related("team").get(pk=context.job_id).team


def _complete_card(spec: ModelImportSpec, folder: Path, base: ModelVersion | None) -> None:
    """What a card does not say is taken from what was said at the import, so that the model is whole by itself."""
    card = _card(folder)
    stated: dict[str, Any] = {"name": spec.name.strip()}
    if spec.role == "policy":
        stated["prompt"] = spec.prompt or "guided"
    else:
        if spec.score_head is None and "score_head" not in card:
            raise ModelRefused(
                "meds3.json: missing, so it is not known how the logits are read. Say it: sigmoid for one label; for "
                "two, sigmoid1 if the second was trained by cross-entropy, softmax1 if by squared error."
            )
        stated |= {"role": spec.role, "score_head": spec.score_head, "prompt": "plain"}
    if base is not None:
        stated["base"] = {"name": base.facts.get("name", base.name), "hash": base.facts["hash"]}
    whole = stated | card
    if whole != card:
        draft = folder / f".{CARD}"
        draft.write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")
        draft.replace(folder / CARD)  # never written in place: the file may be the upload's own


def _card(folder: Path) -> dict[str, Any]:
    path = folder / CARD
    if not path.is_file():
        return {}
    try:
        card = json.loads(path.read_text(encoding="utf-8"))  # small: its size was looked at
    except (ValueError, RecursionError):
        raise ModelRefused(f"{CARD}: cannot be read as JSON.") from None
    return card if isinstance(card, dict) else {}


def _try(context: JobContext, spec: ModelImportSpec, folder: Path, base: ModelVersion | None, size: int) -> TrialResult:
    request = TrialRequest(
        folder=str(folder),
        role=spec.role,
        base=str(model_folder(model_id=base.pk)) if base else None,
        score_head=spec.score_head,
    )
    size += base.bytes if base else 0
    limits = Limits(
        data_bytes=4 * GIBIBYTE + 4 * size,
        address_bytes=24 * GIBIBYTE + 6 * size,
        seconds=SECONDS + size / BYTES_A_SECOND,
    )
    outcome = run_limited(
        "meds3core.models.trial", given=request.model_dump_json(), limits=limits, cancel=context.cancel
    )
    if outcome.late:
        raise ModelRefused(f"Loading the model took longer than {limits.seconds:.0f} seconds, which is the limit.")
    try:
        answer = TrialAnswer.model_validate_json(outcome.output)
    except ValidationError:
        raise ModelRefused(
            f"The model could not be loaded within {limits.data_bytes / GIBIBYTE:.1f} GiB of memory, "
            f"the limit for its size (the process ended with {outcome.code})."
        ) from None
    if answer.result is None:
        raise PolicyError(answer.message) if answer.code == PolicyError.code else ModelRefused(answer.message)
    return answer.result


def _stage(context: JobContext, name: str, text: str) -> None:
    reports.stage_begin(job_id=context.job_id, attempt=context.attempt, name=name, text=text)


def _warn(context: JobContext, text: str) -> None:
    reports.warning_write(job_id=context.job_id, attempt=context.attempt, text=text)

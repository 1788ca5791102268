"""One example for each kind of object that has a URL, for the walk of tests/web/test_walls.py.

By the parameter's name in the URL: a function that makes such an object in a team and gives its id. An app with a new
kind of object adds one line; a URL whose parameter is missing here fails the walk.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from django.test import override_settings

from meds3core.config.jobs import JOB_SPEC
from meds3core.judgements.flagging import FlagRules
from meds3core.judgements.items import StepAnswer
from meds3core.sandbox.questions import generate
from meds3core.types.judgements import Verdict
from tests.chatting import asked, duel, tree_kept
from tests.evaluations import measured
from tests.evolutions import small_loop
from tests.trees import built_labels, finished_search, search_spec
from tests.web.people import person, token
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.links import invitation_create
from webapp.accounts.models import ApiToken, Membership, Team
from webapp.accounts.rules import Role
from webapp.accounts.selectors import user_by_name
from webapp.accounts.services import membership_set
from webapp.annotation.filling import Source, queue_fill
from webapp.annotation.models import AnnotationQueue, QueueItem, StepFlag
from webapp.annotation.queues import QueueSettings, queue_create
from webapp.annotation.services import step_flag
from webapp.annotation.work import item_pull, judgement_save
from webapp.chat.models import Message
from webapp.datasets.models import DatasetVersion
from webapp.datasets.services import dataset_from_questions
from webapp.endpoints.services import endpoint_create
from webapp.jobs.claims import worker_register
from webapp.jobs.models import Job
from webapp.jobs.services import job_submit
from webapp.registry.bundled import bundled_ensure
from webapp.registry.models import Endpoint, ModelVersion
from webapp.registry.selectors import model_folder
from webapp.training.previews import preview_request
from webapp.trees.models import Tree
from webapp.uploads.models import UploadFile
from webapp.uploads.services import AnnouncedFile, upload_create
from webapp.webhooks.models import Event, Webhook
from webapp.webhooks.services import webhook_create, webhook_try


def _owner(team: Team):
    return Membership.objects.select_related("user").filter(team=team, role=Role.OWNER).earliest("created").user


def _membership(team: Team) -> Any:
    name = f"guest-of-{team.slug}"
    guest = user_by_name(username=name) or person(name)
    return membership_set(actor=Actor(_owner(team)), team=team, user=guest, role=Role.VIEWER).pk


def _invitation(team: Team) -> Any:
    return invitation_create(actor=Actor(_owner(team)), team=team, role=Role.VIEWER)[0].pk


def _token(team: Team) -> Any:
    token(_owner(team), team, Role.OWNER)
    return ApiToken.objects.filter(team=team).latest("created").pk


def _job(team: Team) -> Any:
    return job_submit(actor=SYSTEM, team=team, spec={"kind": "self-check"}).pk


def _worker(team: Team) -> Any:
    return worker_register(name="cpu-of-the-walk", queue="cpu").pk


def _upload(team: Team) -> Any:
    announced = [AnnouncedFile("questions.csv", 30)]
    return upload_create(actor=Actor(_owner(team)), team=team, purpose="dataset", files=announced).pk


def _upload_file(team: Team) -> Any:
    return UploadFile.objects.get(upload=_upload(team)).pk


def _version(team: Team) -> Any:
    made = dataset_from_questions(actor=SYSTEM, team=team, name="Of the walk", questions=generate("train", 3, seed=1))
    return made.pk


def _dataset(team: Team) -> Any:
    return DatasetVersion.objects.get(pk=_version(team)).dataset_id


def _export(team: Team) -> Any:
    what = {"kind": "dataset", "id": str(_version(team))}
    return job_submit(actor=SYSTEM, team=team, spec={"kind": "export", "what": what}).pk


def _webhook(team: Team) -> Any:
    name, url = f"walk {Webhook.objects.count()}", "https://hooks.ward.example/"
    with override_settings(OUTBOUND_ALLOW=["hooks.ward.example"]):
        return webhook_create(actor=SYSTEM, team=team, name=name, url=url, events=list(Event))[0].pk


def _delivery(team: Team) -> Any:
    return webhook_try(actor=SYSTEM, webhook=Webhook.objects.get(pk=_webhook(team))).pk


def _search(team: Team) -> Any:
    count = Job.objects.filter(team=team, kind="search").count()
    return finished_search(SYSTEM, team, name=f"Searched {count}").pk


def _estimate(team: Team) -> Any:
    search = search_spec(DatasetVersion.objects.get(pk=_version(team)))
    return job_submit(actor=SYSTEM, team=team, spec={"kind": "estimate", "search": search}).pk


def _tree(team: Team) -> Any:
    return Tree.objects.filter(job=_search(team)).earliest("position").pk


def _evolution(team: Team) -> Any:
    return small_loop(team).pk


def _flag(team: Team) -> Any:
    tree = Tree.objects.get(pk=example(team, "tree_id"))
    return step_flag(actor=Actor(_owner(team)), tree=tree, idx=1 + StepFlag.objects.count() % tree.nodes).pk


def _queue(team: Team) -> Any:
    settings = QueueSettings(name=f"Of the walk {AnnotationQueue.objects.count()}")
    queue = queue_create(actor=SYSTEM, team=team, settings=settings)
    queue_fill(actor=SYSTEM, queue=queue, source=Source("search", _search(team)), rules=FlagRules(), items=5)
    return queue.pk


def _item(team: Team) -> Any:
    return QueueItem.objects.filter(queue=_queue(team))[0].pk


def _judgement(team: Team) -> Any:
    owner, queue = Actor(_owner(team)), AnnotationQueue.objects.get(pk=_queue(team))
    item = item_pull(actor=owner, queue=queue).assignment.item
    said = [StepAnswer(verdict=Verdict.GOOD)]
    return judgement_save(actor=owner, item=item, client_id=uuid4(), answers=said).judgements[0].pk


def _question() -> dict[str, Any]:
    return generate("train", 1)[0].model_dump(mode="json")


def _label_set(team: Team) -> Any:
    search = Job.objects.get(pk=_search(team))
    with TemporaryDirectory() as folder:
        return built_labels(SYSTEM, team, search, Path(folder)).pk


def _run(team: Team) -> Any:
    return job_submit(actor=SYSTEM, team=team, spec=_sft(team)).pk


def _preview(team: Team) -> Any:
    return preview_request(actor=SYSTEM, team=team, spec=JOB_SPEC.validate_python(_sft(team))).pk


def _sft(team: Team) -> dict[str, Any]:
    return {
        "kind": "sft",
        "policy": {"kind": "model", "id": str(bundled_ensure().pk)},
        "labels": {"kind": "labels", "id": str(_label_set(team))},
    }


def _model(team: Team) -> Any:
    files = [{"name": "config.json", "bytes": 2, "sha256": ""}]
    number = ModelVersion.objects.filter(team=team).count() + 1
    model = ModelVersion.objects.create(
        team=team, name="Of the walk", number=number, kind="policy", ready=True, files=files
    )
    model_folder(model_id=model.pk).mkdir(parents=True)
    (model_folder(model_id=model.pk) / "config.json").write_text("{}")
    return model.pk


def _evaluation(team: Team) -> Any:
    return measured(team, DatasetVersion.objects.get(pk=_version(team))).pk


def _conversation(team: Team) -> Any:
    return asked(team, "What of it?").conversation_id


def _message(team: Team) -> Any:
    rows = Message.objects.filter(conversation=example(team, "conversation_id"), role="assistant")
    tree_kept(rows.earliest("id"))
    return rows.earliest("id").pk


def _duel(team: Team) -> Any:
    return duel(team).pk


def _endpoint(team: Team) -> Any:
    name, url = f"walk {Endpoint.objects.count()}", "https://hooks.ward.example/v1"
    with override_settings(OUTBOUND_ALLOW=["hooks.ward.example"]):
        return endpoint_create(actor=SYSTEM, team=team, name=name, url=url, model="m").pk


EXAMPLES: dict[str, Callable[[Team], Any]] = {
    "search_id": _search,
    "tree_id": _tree,
    "flag_id": _flag,
    "queue_id": _queue,
    "item_id": _item,
    "judgement_id": _judgement,
    "other_id": lambda team: example(team, "tree_id"),
    "node": lambda team: 1,
    "estimate_id": _estimate,
    "label_set_id": _label_set,
    "part": lambda team: "standing",
    "evolution_id": _evolution,
    "stage": lambda team: "sft-1",
    "membership_id": _membership,
    "invitation_id": _invitation,
    "token_id": _token,
    "upload_id": _upload,
    "file_id": _upload_file,
    "job_id": _job,
    "worker_id": _worker,
    "dataset_id": _dataset,
    "version_id": _version,
    "position": lambda team: 0,
    "export_id": _export,
    "slug": lambda team: team.slug,
    "webhook_id": _webhook,
    "endpoint_id": _endpoint,
    "delivery_id": _delivery,
    "model_id": _model,
    "file_name": lambda team: "config.json",
    "alias": lambda team: "production",
    "attempt": lambda team: 1,
    "evaluation_id": _evaluation,
    "against_id": _evaluation,
    "which": lambda team: "report",
    "table": lambda team: "groups",
    "compared": lambda team: "differences",
    "form": lambda team: "csv",
    "method": lambda team: "sft",
    "run_id": _run,
    "preview_id": _preview,
    "ask": lambda team: "pause",
    "act": lambda team: "lock",
    "conversation_id": _conversation,
    "message_id": _message,
    "duel_id": _duel,
    "model": lambda team: f"{team.slug}/Of the walk@v1",
}

_made: dict[tuple[Any, str], Any] = {}


def example(team: Team, name: str) -> Any:
    """The id of the team's example, made once: a test's team is new, and what a request does to it is undone."""
    key = (team.pk, name)
    if key not in _made:
        _made[key] = EXAMPLES[name](team)
    return _made[key]


_SAID = {"answers": [{"verdict": "good"}]}

BODIES: dict[str, Callable[[Team], Any]] = {
    "PUT api/v1/teams/<team_slug>/queues/<queue_id>/settings": lambda team: {"name": "Of the walk"},
    "PUT api/v1/teams/<team_slug>/queues/<queue_id>/members": lambda team: {"users": []},
    "POST api/v1/teams/<team_slug>/queues/<queue_id>/fillings": lambda team: {
        "source": {"kind": "search", "id": str(uuid4())},
        "items": 1,
    },
    "POST api/v1/teams/<team_slug>/queues/<queue_id>/flags": lambda team: {},
    "POST api/v1/teams/<team_slug>/queues/<queue_id>/items": lambda team: {
        "items": [{"question": _question(), "prefix": ["So."], "steps": ["Then."]}]
    },
    "POST api/v1/teams/<team_slug>/queues/<queue_id>/instructions": lambda team: {"text": "Judge."},
    "POST api/v1/teams/<team_slug>/queues/<queue_id>/instructions/seen": lambda team: {"number": 1},
    "POST api/v1/teams/<team_slug>/queues/<queue_id>/pull": lambda team: {},
    "POST api/v1/teams/<team_slug>/queues/<queue_id>/labels/preview": lambda team: {},
    "POST api/v1/teams/<team_slug>/queues/<queue_id>/labels": lambda team: {},
    "POST api/v1/teams/<team_slug>/queues/<queue_id>/imports": lambda team: {"upload": str(uuid4())},
    "POST api/v1/teams/<team_slug>/label-sets/<label_set_id>/retrain": lambda team: {"model": str(uuid4())},
    "POST api/v1/teams/<team_slug>/items/<item_id>/release": lambda team: {},
    "POST api/v1/teams/<team_slug>/items/<item_id>/judgements": lambda team: {"id": str(uuid4()), **_SAID},
    "POST api/v1/teams/<team_slug>/items/<item_id>/decisions": lambda team: _SAID,
    "PUT api/v1/teams/<team_slug>/items/<item_id>/control": lambda team: _SAID,
    "POST api/v1/teams/<team_slug>/searches/<search_id>/nodes/search": lambda team: {"text": "thought"},
    "POST api/v1/teams/<team_slug>/searches/<search_id>/scores": lambda team: {"model": str(uuid4())},
    "POST api/v1/teams/<team_slug>/trees/<tree_id>/flags": lambda team: {"node": 1},
    "POST api/v1/teams/<team_slug>/evaluations/<evaluation_id>/flags": lambda team: {"place": 0, "step": 1},
    "PATCH api/v1/teams/<team_slug>/datasets/<dataset_id>": lambda team: {"name": "x"},
    "POST api/v1/teams/<team_slug>/dataset-versions/<version_id>/questions/search": lambda team: {"text": "x"},
    "POST api/v1/teams/<team_slug>/dataset-versions/<version_id>/checks": lambda team: {},
    "POST api/v1/teams/<team_slug>/dataset-versions/<version_id>/curriculum/preview": lambda team: {},
    "POST api/v1/teams/<team_slug>/dataset-versions/<version_id>/curriculum": lambda team: {},
    "PATCH api/v1/teams/<team_slug>/endpoints/<endpoint_id>": lambda team: {},
    "PATCH api/v1/teams/<team_slug>/webhooks/<webhook_id>": lambda team: {},
    "PATCH api/v1/teams/<team_slug>/models/<uuidstr:model_id>": lambda team: {"name": "Of the walk"},
}
"""Operations of the API that need a body to come as far as their object: by `METHOD route`, a body that fits."""

WORDS = {"method", "table", "compared", "form"}
"""Parameters that name no object of anybody."""

OWN_ONLY = {"token_id", "conversation_id", "duel_id"}
"""Objects that their owner alone sees, whatever the role: for others the answer is 404."""

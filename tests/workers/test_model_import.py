"""Models from elsewhere, as the job that imports them sees them: tried and listed, or nothing left behind."""

import json
import os
import shutil
import signal
import socket
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
import torch
from safetensors.torch import load_file, save_file

from meds3core.config.jobs import JOB_SPEC
from meds3core.config.references import Registered
from meds3core.errors import Cancelled, UserError
from meds3core.models.screen import ModelRefused
from meds3core.progress import CancelToken
from meds3core.sandbox.bundled import policy_folder
from tests.core.engines.tiny_llama import save_adapter
from tests.core.prm.tiny import write_prm
from tests.workers.people import operator, team
from webapp.common.files import Store, folder_of
from webapp.jobs.claims import job_claim, worker_register
from webapp.jobs.dispatch import QueueUnreachable
from webapp.jobs.models import Job, JobEvent
from webapp.jobs.reports import job_folder
from webapp.jobs.services import job_submit
from webapp.jobs.transitions import JobError
from webapp.registry.bundled import bundled_ensure
from webapp.registry.models import ModelVersion
from webapp.registry.selectors import model_folder
from webapp.registry.sources import roots_offered
from webapp.registry.storing import RegistryError
from webapp.uploads.models import Upload, UploadFile
from webapp.uploads.selectors import file_path
from workers import inputs
from workers.context import JobContext
from workers.kinds.model_import import run
from workers.limited import Limits, run_limited
from workers.reporter import Reporter

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def ward(transactional_db, settings, tmp_path):
    settings.FILES = str(tmp_path / "files")
    settings.IMPORT_ROOTS = {"shared": tmp_path / "shared"}
    (tmp_path / "shared").mkdir()
    return team("Ward 7")


@pytest.fixture
def shared(tmp_path) -> Path:
    return tmp_path / "shared"


def imported(ward, *, cancel=None, **spec) -> dict:
    """What a worker's process does with the job, here and now."""
    with suppress(QueueUnreachable):  # nobody listens here
        job_submit(actor=operator(), team=ward, spec={"kind": "model-import", "name": "From elsewhere", **spec})
    job = Job.objects.latest("created")
    claim = job_claim(queue="cpu", worker=worker_register(name="w", queue="cpu"))
    assert claim is not None and claim.job_id == job.pk
    folder = job_folder(job.pk)
    (folder / "1").mkdir(parents=True)
    cancel = cancel or CancelToken()
    with Reporter(job.pk, 1, cancel) as reporter:
        context = JobContext(
            job_id=job.pk, attempt=1, title=job.title, spec=JOB_SPEC.validate_python(job.spec), folder=folder / "1",
            job_folder=folder, checkpoints={}, reporter=reporter, cancel=cancel,
        )  # fmt: skip
        return dict(run(context))


def picked(folder: Path) -> dict:
    return {"root": {"root": folder.parent.name, "folder": folder.name}}


def uploaded(ward, folder: Path, *, but=()) -> dict:
    upload = Upload.objects.create(team=ward, purpose="model", state="complete", expires="2040-01-01T00:00Z")
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in but:
            file = UploadFile.objects.create(upload=upload, name=path.name, size=path.stat().st_size)
            file_path(file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, file_path(file))
    return {"upload": {"kind": "upload", "id": str(upload.pk)}}


def nothing_left(tmp_path) -> bool:
    models = folder_of(Store.MODELS, "x").parent
    incoming = list((tmp_path / "files" / "jobs").glob("*/*/incoming"))
    return not ModelVersion.objects.filter(team__is_system=False).exists() and not incoming and (
        not models.exists() or [path.name for path in models.iterdir()] == [str(m) for m in
        ModelVersion.objects.values_list("pk", flat=True)]
    )  # fmt: skip


def test_a_policy_by_upload_is_tried_and_listed(ward, tmp_path):
    source = uploaded(ward, policy_folder(), but=["meds3.json"])
    result = imported(ward, **source, prompt="plain")
    model = ModelVersion.objects.get(pk=result["model"])
    assert (str(model), model.kind, model.ready, model.team) == ("From elsewhere v1", "policy", True, ward)
    assert model.facts["prompt"] == "plain" and model.facts["parameters"] == 1547136
    assert any("log-probabilities" in each for each in model.facts["checks"])
    assert json.loads((model_folder(model_id=model.pk) / "meds3.json").read_text())["name"] == "From elsewhere"
    assert (model_folder(model_id=model.pk) / "model.safetensors").read_bytes() == (
        policy_folder() / "model.safetensors"
    ).read_bytes()
    stages = JobEvent.objects.filter(job=model.job, kind="stage").values_list("data", flat=True)
    assert [each["stage"] for each in stages] == ["Files", "Trial", "Listing"]
    assert not list((tmp_path / "files" / "jobs").glob("*/*/incoming"))


@pytest.mark.slow
def test_a_reward_model_from_a_listed_folder_says_how_its_logits_are_read(ward, shared, tmp_path):
    write_prm(shared / "published", labels=2, score_head=None)
    with pytest.raises(ModelRefused, match="not known how the logits are read"):
        imported(ward, **picked(shared / "published"), role="prm")
    assert nothing_left(tmp_path)
    result = imported(ward, **picked(shared / "published"), role="prm", score_head="softmax1")
    model = ModelVersion.objects.get(pk=result["model"])
    assert (model.kind, model.facts["score_head"]) == ("prm", "softmax1")
    assert model.provenance["source"] == {"kind": "root", "root": "shared", "folder": "published"}
    assert inputs.reward_model(_reference(model)).score_head == "softmax1"


def _reference(model):
    return Registered(kind="model", id=model.pk)


@pytest.mark.slow
def test_an_adapter_comes_with_its_base_and_not_with_another(ward, shared, tmp_path):
    base = bundled_ensure()
    save_adapter(policy_folder(), shared / "adapter", tmp_path / "merged")
    with pytest.raises(ModelRefused, match="Name the model here that it belongs to"):
        imported(ward, **picked(shared / "adapter"))
    result = imported(ward, **picked(shared / "adapter"), base={"kind": "model", "id": str(base.pk)})
    model = ModelVersion.objects.get(pk=result["model"])
    assert (model.is_adapter, model.base, model.facts["adapter_rank"]) == (True, base, 8)
    whole = inputs.policy(_reference(model), tmp_path)  # a worker makes a whole policy of both
    merged, wanted = load_file(whole / "model.safetensors"), load_file(tmp_path / "merged" / "model.safetensors")
    name = "model.layers.0.self_attn.q_proj.weight"
    assert torch.allclose(merged[name], wanted[name], atol=1e-5)
    # Its card names its base now: it is found without being told, and refused on top of another.
    again = shutil.copytree(model_folder(model_id=model.pk), shared / "exported")
    assert str(ModelVersion.objects.get(pk=imported(ward, **picked(again))["model"]).base_id) == str(base.pk)
    card = json.loads((again / "meds3.json").read_text())
    (again / "meds3.json").write_text(json.dumps(card | {"base": {"name": "other", "hash": "0" * 32}}))
    with pytest.raises(UserError, match="another base"):
        imported(ward, **picked(again), base={"kind": "model", "id": str(base.pk)})


@pytest.mark.slow
def test_a_model_that_does_not_work_is_not_listed(ward, shared, tmp_path):
    folder = shutil.copytree(policy_folder(), shared / "spoiled")
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][:] = float("nan")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"model\.safetensors: the model's outputs are not finite"):
        imported(ward, **picked(folder))
    assert nothing_left(tmp_path)


def test_code_pickles_and_links_in_a_listed_folder_leave_nothing(ward, shared, tmp_path):
    folder = shutil.copytree(policy_folder(), shared / "bad")
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x02.")
    with pytest.raises(ModelRefused, match=r"pytorch_model\.bin: pickled"):
        imported(ward, **picked(folder))
    (folder / "pytorch_model.bin").unlink()
    (folder / "LICENSE").symlink_to("/etc/passwd")
    with pytest.raises(ModelRefused, match="LICENSE: a link"):
        imported(ward, **picked(folder))
    assert nothing_left(tmp_path)


def test_only_listed_folders_by_name_and_never_through_a_link(ward, shared, tmp_path, settings):
    outside = shutil.copytree(policy_folder(), tmp_path / "outside")
    (shared / "sly").symlink_to(outside)
    (shared / "plain").mkdir()
    (shared / ".hidden").mkdir()
    settings.IMPORT_ROOTS["gone"] = tmp_path / "nowhere"
    assert [(root.name, root.there, root.folders) for root in roots_offered()] == [
        ("gone", False, ()),
        ("shared", True, ("plain",)),
    ]
    with pytest.raises(RegistryError, match="a link"):
        imported(ward, root={"root": "shared", "folder": "sly"})
    with pytest.raises(RegistryError, match="no folder called 'other'"):
        imported(ward, root={"root": "other", "folder": "plain"})
    for folder in ("../outside", "/etc", "..", "a/b"):
        with pytest.raises(JobError, match="folder"):
            imported(ward, root={"root": "shared", "folder": folder})
    with pytest.raises(JobError, match="path"):
        imported(ward, upload={"path": str(outside)})
    with pytest.raises(JobError, match="exactly one"):
        imported(ward)


def test_a_cancelled_import_leaves_nothing(ward, shared, tmp_path):
    folder = shutil.copytree(policy_folder(), shared / "model")
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        imported(ward, cancel=cancel, **picked(folder))
    assert nothing_left(tmp_path)


PROBE = """
import json, os, socket, sys
def tried(act):
    try:
        act()
        return "done"
    except Exception as error:
        return type(error).__name__
def fill():
    bytearray(600 << 20)
def write():
    with open("big", "wb") as file:
        file.write(b"x" * (20 << 20))
def connect():
    socket.create_connection(("127.0.0.1", int(sys.stdin.read())), timeout=5)
secrets = [name for name in os.environ if name.startswith("MEDS3_") and name not in ("MEDS3_JOB", "MEDS3_WORKER")]
print(json.dumps([tried(fill), tried(connect), tried(write), secrets, os.environ["CUDA_VISIBLE_DEVICES"]]))
"""


def test_the_limited_process_has_no_memory_network_or_secrets_to_spare(tmp_path, monkeypatch):
    (tmp_path / "probe.py").write_text(PROBE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("MEDS3_SECRET_KEY", "planted")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        limits = Limits(data_bytes=500 << 20, address_bytes=4 << 30, seconds=60)
        port = str(listening.getsockname()[1])
        outcome = run_limited("probe", given=port, limits=limits, cancel=CancelToken())
    if outcome.code != -signal.SIGXFSZ:
        memory, network, write, secrets, devices = json.loads(outcome.output)
        assert (memory, write, secrets, devices) == ("MemoryError", "OSError", [], "")
        if os.geteuid() == 0:
            assert network != "done"
    (tmp_path / "slow.py").write_text("import time; time.sleep(60)")
    outcome = run_limited("slow", given="", limits=Limits(1 << 30, 4 << 30, 0.5), cancel=CancelToken())
    assert outcome.late and outcome.code < 0


class Hub(BaseHTTPRequestHandler):
    """As much of a hub as the library asks for: one model, two files of no use."""

    files: ClassVar = {path.name: path.read_bytes() for path in policy_folder().iterdir() if path.is_file()}
    asked: ClassVar[list[str]] = []

    def do_GET(self, *, body=True):
        self.asked.append(self.path)
        name = self.path.rpartition("/")[2]
        if "/api/models/" in self.path:
            siblings = [{"rfilename": each, "size": len(content)} for each, content in self.files.items()]
            siblings.append({"rfilename": "onnx/model.onnx", "size": 1})
            content, kind = json.dumps({"id": "clinic/base", "sha": "c" * 40, "siblings": siblings}), "application/json"
            content = content.encode()
        elif name in self.files:
            content, kind = self.files[name], "application/octet-stream"
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hash(content) & 0xFFFFFFFF:x}"')
        self.send_header("X-Repo-Commit", "c" * 40)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def do_HEAD(self):
        self.do_GET(body=False)

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_a_hub_is_asked_only_where_the_operator_lets(ward, settings, tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    settings.HUB_URL = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        with pytest.raises(UserError, match="may not be fetched"):
            imported(ward, hub={"name": "clinic/base"})
        assert Hub.asked == []
        settings.HUB_ALLOW = ["clinic/*"]
        with pytest.raises(UserError, match="may not be fetched"):
            imported(ward, hub={"name": "other/base"})
        model = ModelVersion.objects.get(pk=imported(ward, hub={"name": "clinic/base"})["model"])
        assert model.provenance["source"] == {"kind": "hub", "name": "clinic/base", "commit": "c" * 40}
        Hub.files["pytorch_model.bin"] = b"\x80\x02."
        with pytest.raises(ModelRefused, match="pickled"):
            imported(ward, hub={"name": "clinic/base"})
    finally:
        server.shutdown()

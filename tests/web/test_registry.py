"""Models: what jobs register, what comes with the product, names, aliases, deletion."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import call_command

from meds3core.errors import PolicyError
from meds3core.sandbox.bundled import policy_folder
from tests.web.people import World
from webapp.accounts.actors import SYSTEM, Actor
from webapp.accounts.rules import Role
from webapp.accounts.services import system_team
from webapp.common.files import Store, folder_of
from webapp.datasets.models import DatasetVersion
from webapp.evaluations.models import Evaluation
from webapp.jobs.claims import job_claim, job_fail, worker_register
from webapp.jobs.models import Job, JobInput, State
from webapp.jobs.transitions import StaleAttempt
from webapp.registry.bundled import bundled_ensure, bundled_model_ensure
from webapp.registry.models import ModelAlias, ModelVersion
from webapp.registry.selectors import model_usable
from webapp.registry.services import (
    RegistryError,
    model_alias_end,
    model_alias_set,
    model_delete,
    model_register,
    model_rename,
    models_tidy,
)


@pytest.fixture(autouse=True)
def own_files(settings, tmp_path):
    settings.FILES = str(tmp_path / "files")


def claimed(team, *, state=State.QUEUED, inputs=()):
    """A job that a worker has; `claim` names its attempt."""
    job = Job.objects.create(team=team, kind="sft", spec={"kind": "sft"}, spec_hash="0" * 32, queue="cpu", state=state)
    JobInput.objects.bulk_create(JobInput(job=job, kind=kind, thing=thing) for kind, thing in inputs)
    claim = job_claim(queue="cpu", worker=worker_register(name="w", queue="cpu"))
    assert claim is not None and claim.job_id == job.pk
    return SimpleNamespace(job=job, claim=claim, who={"job_id": job.pk, "attempt": claim.attempt})


@pytest.fixture
def trained(tmp_path) -> Path:
    """A folder as training leaves it: the bundled policy with another card and an adapter beside it."""
    folder = tmp_path / "trained"
    shutil.copytree(policy_folder(), folder)
    (folder / "adapter").mkdir()
    (folder / "adapter" / "adapter_config.json").write_text("{}")
    return folder


def register(held, folder, **others):
    return model_register(**held.who, folder=folder, kind="policy", **({"name": "Ward"} | others))


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_job_registers_its_model_with_files_facts_and_lineage(world: World, trained):
    base = bundled_ensure()
    held = claimed(world.team, inputs=[("model", base.pk)])
    model = register(held, trained, base_id=base.pk)
    assert (str(model), model.ready, model.job, model.base, model.is_adapter) == (
        "Ward v1",
        True,
        held.job,
        base,
        False,
    )
    assert {"config.json", "model.safetensors", "adapter/adapter_config.json"} <= {each["name"] for each in model.files}
    folder = folder_of(Store.MODELS, model.pk)
    assert {each["name"]: (folder / each["name"]).stat().st_size for each in model.files} == {
        each["name"]: each["bytes"] for each in model.files
    }
    assert model.facts["architecture"] == "LlamaForCausalLM" and model.facts["parameters"] == 1547136
    (source,) = model.provenance["inputs"]
    assert source == {"kind": "model", "id": str(base.pk), "name": "clinic-base v1", "content_hash": base.content_hash}
    assert (trained / "config.json").is_file()  # what the job has stays
    assert left(folder_of(Store.MODELS, model.pk).parent) == sorted([str(base.pk), str(model.pk)])


def test_asked_again_the_same_job_gets_the_same_model_and_others_the_next_number(world, trained):
    first = claimed(world.team)
    model = register(first, trained)
    assert register(first, trained) == model
    assert register(first, trained, stage="sft-2").number == 2
    job_fail(claim=first.claim, code="x", message="x")
    assert register(claimed(world.team), trained).number == 3
    job = claimed(world.other_team)
    assert register(job, trained).number == 1


def test_a_stale_attempt_registers_nothing(world, trained, monkeypatch):
    held = claimed(world.team)
    stale = SimpleNamespace(who={**held.who, "attempt": held.claim.attempt - 1})
    with pytest.raises(StaleAttempt):
        register(stale, trained)
    # It becomes stale while its files are written.
    from webapp.registry import services

    def late(*args, **others):
        Job.objects.filter(pk=held.job.pk).update(attempt=held.claim.attempt + 1)
        return take_over(*args, **others)

    take_over = services.folder_take_over
    monkeypatch.setattr(services, "folder_take_over", late)
    with pytest.raises(StaleAttempt):
        register(held, trained)
    assert not ModelVersion.objects.filter(ready=True).exists()
    assert left(Path(folder_of(Store.MODELS, held.job.pk)).parent) == []
    # What is listed half-way is the living attempt's, which finishes it.
    half = ModelVersion.objects.get()
    alive = SimpleNamespace(who={**held.who, "attempt": held.claim.attempt + 1})
    monkeypatch.setattr(services, "folder_take_over", take_over)
    assert register(alive, trained).pk == half.pk


def test_a_folder_that_is_no_model_leaves_nothing(world, trained):
    held = claimed(world.team)
    (trained / "config.json").unlink()
    with pytest.raises(PolicyError, match=r"config\.json"):
        register(held, trained)
    shutil.copy(policy_folder() / "config.json", trained)
    (trained / "elsewhere").symlink_to("/etc/passwd")
    with pytest.raises(RegistryError, match="elsewhere"):
        register(held, trained)
    assert not ModelVersion.objects.exists()
    assert left(folder_of(Store.MODELS, held.job.pk).parent) == []


def test_what_a_lost_attempt_left_is_taken_up_or_removed(world, trained):
    held = claimed(world.team)
    half = ModelVersion.objects.create(team=world.team, name="Ward", number=1, kind="policy", job=held.job)
    folder = folder_of(Store.MODELS, half.pk)
    folder.mkdir(parents=True)
    (folder / "rubbish").touch()
    assert not model_usable(world.team, half.pk)
    model = register(held, trained)
    assert model == half and not (folder / "rubbish").exists()
    again = ModelVersion.objects.create(team=world.team, name="Other", number=1, kind="policy", job=held.job)
    assert models_tidy() == 0
    job_fail(claim=held.claim, code="x", message="x")
    assert models_tidy() == 1
    assert not ModelVersion.objects.filter(pk=again.pk).exists() and model_usable(world.team, model.pk)


def test_the_bundled_policy_is_there_once_and_mended(world, tmp_path):
    model = bundled_ensure()
    assert bundled_ensure() == model
    assert model.team == system_team() and model.ready and model_usable(world.team, model.pk)
    weights = folder_of(Store.MODELS, model.pk) / "model.safetensors"
    assert weights.stat().st_ino != (policy_folder() / "model.safetensors").stat().st_ino
    weights.write_bytes(b"cut off")
    bundled_ensure()
    assert weights.read_bytes() == (policy_folder() / "model.safetensors").read_bytes()
    newer = tmp_path / "newer"
    shutil.copytree(policy_folder(), newer)
    (newer / "README.md").write_text("Another release.")
    assert bundled_model_ensure(newer).number == 2
    assert ModelVersion.objects.count() == 2


def test_aliases_point_to_one_version_of_a_name(world, trained):
    actor = Actor(world.by_role[Role.OWNER])
    held = claimed(world.team)
    one, two = register(held, trained), register(held, trained, stage="b")
    model_alias_set(actor=actor, model=one, alias="production")
    model_alias_set(actor=actor, model=two, alias="production")
    assert ModelAlias.objects.get().model == two
    model_rename(actor=actor, model=two, name="Clinic")
    one.refresh_from_db()
    assert str(one) == "Clinic v1" and ModelAlias.objects.get().name == "Clinic"
    other = register(held, trained, name="Ward")
    with pytest.raises(RegistryError, match="called Clinic already"):
        model_rename(actor=actor, model=other, name="Clinic")
    model_alias_end(actor=actor, model=two, alias="production")
    assert not ModelAlias.objects.exists()


def test_deletion_says_what_depends_on_a_model(world, trained, django_capture_on_commit_callbacks):
    actor = Actor(world.by_role[Role.OWNER])
    held = claimed(world.team)
    base = register(held, trained)
    child = register(held, trained, stage="b", base_id=base.pk)
    user = Job.objects.create(
        team=world.team, kind="search", title="Night search", spec={}, spec_hash="", state=State.PAUSED
    )
    JobInput.objects.create(job=user, kind="model", thing=base.pk)
    Evaluation.objects.create(team=world.team, name="E", policy=base, ready=True)
    model_alias_set(actor=actor, model=base, alias="production")
    with pytest.raises(RegistryError, match=r"Ward v2 .*production .*Night search"):
        model_delete(actor=actor, model=base)
    assert folder_of(Store.MODELS, base.pk).exists()
    model_alias_end(actor=actor, model=base, alias="production")
    Job.objects.filter(pk=user.pk).update(state=State.SUCCEEDED)
    with django_capture_on_commit_callbacks(execute=True):
        model_delete(actor=actor, model=child)
        model_delete(actor=actor, model=base)
    assert not ModelVersion.objects.exists() and left(folder_of(Store.MODELS, base.pk).parent) == []
    with pytest.raises(RegistryError, match="comes with the product"):
        model_delete(actor=SYSTEM, model=bundled_ensure())


def test_the_bundled_command_puts_model_and_benchmark_in_place(world, capsys):
    call_command("bundled")
    call_command("bundled")
    assert "clinic-base v1 and Clinic, held out v1 are in place" in capsys.readouterr().out
    version = DatasetVersion.objects.get(dataset__team=system_team())
    assert (version.ready, version.questions) == (True, 200)

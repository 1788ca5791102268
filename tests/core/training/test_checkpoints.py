"""What a kill leaves behind: whole checkpoints are found, half-written ones passed over, nobody shares a folder."""

import json

import pytest

from meds3core.errors import ConfigError
from meds3core.training.checkpoints import SEAL, Checkpoint, checkpoint_path, claimed, newest, seal, work_folder


def write(work, step, *, keep=9):
    path = checkpoint_path(work, step)
    path.mkdir(parents=True)
    (path / "model.safetensors").write_bytes(b"w" * step)
    (path / "optimizer.pt").write_bytes(b"o" * step)
    checkpoint = Checkpoint(path, step, seconds=1.5 * step, tokens=100 * step)
    seal(checkpoint, keep)
    return checkpoint


def test_the_newest_whole_checkpoint_is_found_by_number_not_by_name(tmp_path):
    write(tmp_path, 9)
    last = write(tmp_path, 10)
    assert newest(tmp_path, clean=False) == last


@pytest.mark.parametrize("damage", ["no seal", "cut file", "missing file", "cut seal", "seal of another step"])
def test_a_half_written_checkpoint_is_passed_over_and_cleared_away(tmp_path, damage):
    good = write(tmp_path, 5)
    bad = write(tmp_path, 10).path
    match damage:
        case "no seal":
            (bad / SEAL).unlink()
        case "cut file":
            (bad / "model.safetensors").write_bytes(b"w" * 9)
        case "missing file":
            (bad / "optimizer.pt").unlink()
        case "cut seal":
            (bad / SEAL).write_text((bad / SEAL).read_text()[:-20])
        case _:
            (bad / SEAL).write_text((good.path / SEAL).read_text())
    assert newest(tmp_path, clean=False) == good
    assert bad.exists()
    assert newest(tmp_path, clean=True) == good
    assert not bad.exists()


def test_old_ones_go_only_after_the_new_one_is_whole(tmp_path):
    for step in (1, 2, 3):
        write(tmp_path, step, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-3"]


def test_a_folder_belongs_to_one_run(tmp_path):
    out = tmp_path / "model"
    with claimed(out, {"config": {"seed": 1}, "data": "a"}):
        pass
    with claimed(out, {"config": {"seed": 1}, "data": "a"}) as work:
        assert work == work_folder(out)
    with (
        pytest.raises(ConfigError, match=r"config\.seed there 1, here 2"),
        claimed(out, {"config": {"seed": 2}, "data": "a"}),
    ):
        pass


def test_two_processes_never_train_into_one_folder(tmp_path):
    out = tmp_path / "model"
    with (
        claimed(out, {"data": "a"}),
        pytest.raises(ConfigError, match="another process"),
        claimed(out, {"data": "a"}),
    ):
        pass


def test_a_damaged_manifest_is_said(tmp_path):
    out = tmp_path / "model"
    with claimed(out, {"data": "a"}) as work:
        (work / "run.json").write_text('{"da')
    with pytest.raises(ConfigError, match="damaged"), claimed(out, {"data": "a"}):
        pass


def test_checkpoints_without_a_manifest_are_not_taken_for_ours(tmp_path):
    out = tmp_path / "model"
    write(work_folder(out), 3)
    with pytest.raises(ConfigError, match="checkpoints but no"), claimed(out, {"data": "a"}):
        pass
    assert json.loads((work_folder(out) / "checkpoint-3" / SEAL).read_text())["step"] == 3

"""Brings the files of a model from elsewhere into a job's own folder, by names that a model has, and nothing else.

What is copied from a folder of the machine is opened relative to that folder without following links, and looked at
again when it is open: what was swapped meanwhile is refused, not read.
"""

import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from django.conf import settings

from meds3core.config.data_jobs import HubModel, ImportRootFolder
from meds3core.config.references import Reference
from meds3core.errors import Cancelled, UserError
from meds3core.models.screen import ModelRefused, Screened, name_allowed, screen_names
from meds3core.progress import CancelToken
from webapp.registry.sources import hub_allowed, root_folder
from webapp.uploads.models import Upload
from webapp.uploads.selectors import file_path
from workers.inputs import InputGone, registered

PIECE = 4 << 20
Told = Callable[[int, int], None]
"""Hears how many bytes of how many have come."""


class HubRefused(UserError):
    """The hub may not be asked, does not have the model, or does not answer."""

    code = "hub"


def from_upload(reference: Reference, to: Path) -> Screened:
    """Uploaded files under their senders' names. Raises `ModelRefused`."""
    upload = Upload.objects.filter(pk=registered(reference, "upload").id, state=Upload.State.COMPLETE).first()
    if upload is None:
        raise InputGone("The upload was discarded. Send the files again.")
    left_out = []
    for file in upload.files.order_by("name"):
        if not name_allowed(file.name, file.size):
            left_out.append(file.name)
            continue
        source = file_path(file)
        try:
            os.link(source, to / file.name)  # a complete upload takes no more bytes
        except FileNotFoundError:
            raise InputGone(f"{file.name} is gone. Send the files again.") from None
        except OSError:
            shutil.copyfile(source, to / file.name)
    found = screen_names(to, most_bytes=settings.IMPORT_BYTES)
    return Screened(found.taken, (*found.left_out, *left_out), found.bytes)


def from_root(picked: ImportRootFolder, to: Path, *, told: Told, cancel: CancelToken) -> Screened:
    """The files of a listed folder. Raises `ModelRefused`, `RegistryError`, `Cancelled`."""
    source = root_folder(picked.root, picked.folder)
    found = screen_names(source, most_bytes=settings.IMPORT_BYTES)
    handle = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        come = 0
        for name in found.taken:
            come = _copy(handle, name, to / name, come, found.bytes, told, cancel)
    finally:
        os.close(handle)
    again = screen_names(to, most_bytes=settings.IMPORT_BYTES)
    return Screened(again.taken, found.left_out, again.bytes)


def _copy(folder: int, name: str, to: Path, come: int, total: int, told: Told, cancel: CancelToken) -> int:
    try:
        number = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except OSError as error:
        raise ModelRefused(f"{name}: cannot be opened ({error.strerror}).") from None
    with os.fdopen(number, "rb") as stream, to.open("xb") as copy:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise ModelRefused(f"{name}: no plain file (a device, a pipe or a socket).")
        while piece := stream.read(PIECE):
            if cancel.cancelled:
                raise Cancelled("told to stop while files were copied")
            come += len(piece)
            if come > total:
                raise ModelRefused(f"{name}: grows while it is read. Import it when it is written.")
            copy.write(piece)
            told(come, total)
    return come


def from_hub(picked: HubModel, to: Path, *, told: Told, cancel: CancelToken) -> tuple[Screened, str]:
    """The files of a model of the hub, and the commit they are of. Raises `HubRefused`, `ModelRefused`, `Cancelled`."""
    if not hub_allowed(picked.name):
        raise HubRefused(
            f"{picked.name} may not be fetched from the hub. The operator lists what may (MEDS3_HUB_ALLOW)."
        )
    from huggingface_hub import HfApi, hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError

    try:
        known = HfApi(endpoint=settings.HUB_URL, token=False).model_info(
            picked.name, revision=picked.revision, files_metadata=True, timeout=30
        )
        commit, wanted = str(known.sha), {}
        for each in known.siblings or []:
            if "/" not in each.rfilename and name_allowed(each.rfilename, each.size or 0):
                wanted[each.rfilename] = each.size or 0
        total, come = sum(wanted.values()), 0
        if total > settings.IMPORT_BYTES:
            raise ModelRefused(f"The model has {total:,} bytes; {settings.IMPORT_BYTES:,} may come in.")
        for name, size in sorted(wanted.items()):
            if cancel.cancelled:
                raise Cancelled("told to stop while files were fetched")
            hf_hub_download(
                picked.name,
                name,
                revision=commit,
                local_dir=to,
                token=False,
                endpoint=settings.HUB_URL,
                etag_timeout=30,
            )
            come += size
            told(come, total)
    except HfHubHTTPError as error:
        raise HubRefused(
            f"The hub does not give {picked.name} at {picked.revision} ({type(error).__name__})."
        ) from None
    except (OSError, ValueError) as error:
        raise HubRefused(f"The hub does not answer as it should ({type(error).__name__}). Try again later.") from None
    shutil.rmtree(to / ".cache", ignore_errors=True)
    return screen_names(to, most_bytes=settings.IMPORT_BYTES), commit

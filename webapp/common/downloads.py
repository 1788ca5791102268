"""Files that leave the instance: always as an attachment, from a view that asked who may have them.

A synchronous view calls `file_download` last. The file is read piece by piece whatever its size: Django would turn a
synchronous `FileResponse` into a list in memory under ASGI. Behind a proxy that knows `X-Accel-Redirect` the proxy
sends the file (`MEDS3_ACCEL`). There is no URL of a file by itself.
"""

import asyncio
import os
import re
import stat
import tarfile
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import quote

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils.http import content_disposition_header

PIECE = 1 << 20
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def file_download(
    request: HttpRequest, path: Path, *, name: str, content_type: str = "application/octet-stream"
) -> HttpResponseBase:
    """A stored file below `settings.FILES` under the name that the person sees; a part of it where they ask for one.

    Raises `Http404` for what is no plain file there.
    """
    file, size, tag = _opened(path)
    if settings.FILES_ACCEL and request.method != "HEAD":
        file.close()
        inside = path.resolve().relative_to(Path(settings.FILES).resolve())
        answer: HttpResponseBase = HttpResponse(content_type=content_type)
        answer["X-Accel-Redirect"] = settings.FILES_ACCEL.rstrip("/") + "/" + quote(str(inside))
        return _headed(answer, name, tag)
    wanted = request.headers.get("Range", "") if request.headers.get("If-Range", tag) == tag else ""
    part = _part(wanted, size)
    if part is None:
        file.close()
        answer = HttpResponse(status=416, content_type="text/plain")
        answer["Content-Range"] = f"bytes */{size}"
        return _headed(answer, name, tag)
    start, end = part
    length = end - start
    if request.method == "HEAD":
        file.close()
        answer = HttpResponse(content_type=content_type)
    else:
        file.seek(start)
        pieces = _pieces_async(file, length) if isinstance(request, ASGIRequest) else _pieces(file, length)
        answer = StreamingHttpResponse(pieces, content_type=content_type)
    answer["Content-Length"] = str(length)
    if wanted and length < size:
        answer.status_code = 206
        answer["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return _headed(answer, name, tag)


def archive_download(
    request: HttpRequest, folder: Path, names: Sequence[str], *, name: str, inside: str
) -> HttpResponseBase:
    """Some stored files of a folder as one tar archive, `inside/<name>` each, made while it is sent.

    The length is known beforehand and the files are read piece by piece. Raises `Http404` when one of them is gone.
    """
    headers, length = [], 0
    for each in names:
        file, size, _ = _opened(folder / each)
        file.close()
        entry = tarfile.TarInfo(f"{inside}/{each}")
        entry.size, entry.mode = size, 0o644
        headers.append((entry.tobuf(tarfile.PAX_FORMAT), folder / each, size))
        length += len(headers[-1][0]) + size + _padding(size)
    length += len(_TAR_END)
    if request.method == "HEAD":
        answer: HttpResponseBase = HttpResponse(content_type="application/x-tar")
    elif isinstance(request, ASGIRequest):
        answer = StreamingHttpResponse(_in_threads(_archive(headers)), content_type="application/x-tar")
    else:
        answer = StreamingHttpResponse(_archive(headers), content_type="application/x-tar")
    answer["Content-Length"] = str(length)
    return _headed(answer, name, "")


_TAR_END = b"\0" * 1024


def _padding(size: int) -> int:
    return -size % 512


def _archive(headers: Sequence[tuple[bytes, Path, int]]) -> Iterator[bytes]:
    for header, path, size in headers:
        yield header
        file, present, _ = _opened(path)
        if present != size:
            file.close()
            raise OSError(f"{path.name} changed while it was sent")
        yield from _pieces(file, size)
        yield b"\0" * _padding(size)
    yield _TAR_END


async def _in_threads(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """What blocks is asked for in threads, one piece at a time."""
    end = object()
    while (piece := await asyncio.to_thread(next, pieces, end)) is not end:
        yield cast(bytes, piece)


def content_download(content: str | bytes, *, name: str, content_type: str) -> HttpResponse:
    """A small file that was made just now."""
    answer = HttpResponse(content, content_type=content_type)
    _headed(answer, name, "")
    return answer


def _headed(answer: HttpResponseBase, name: str, tag: str) -> HttpResponseBase:
    answer["Content-Disposition"] = content_disposition_header(as_attachment=True, filename=name) or "attachment"
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "private, no-store"
    if tag:
        answer["ETag"] = tag
        answer["Accept-Ranges"] = "bytes"
    return answer


def _opened(path: Path) -> tuple[BinaryIO, int, str]:
    """The file, its size, and a tag that changes with it. A link, a device or a path outside is not there."""
    root = Path(settings.FILES).resolve()
    real = path.resolve()
    if not real.is_relative_to(root) or path.is_symlink():
        raise Http404("no such file")
    try:
        number = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        raise Http404("no such file") from None
    found = os.fstat(number)
    if not stat.S_ISREG(found.st_mode):
        os.close(number)
        raise Http404("no such file")
    return os.fdopen(number, "rb"), found.st_size, f'"{found.st_size:x}-{found.st_mtime_ns:x}"'


def _part(header: str, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; everything for a header that asks for nothing we know; none: outside."""
    asked = _RANGE.fullmatch(header.strip())
    if asked is None or not (asked[1] or asked[2]):
        return 0, size
    if not asked[1]:
        start, end = max(0, size - int(asked[2])), size
    else:
        start, end = int(asked[1]), min(size, int(asked[2]) + 1) if asked[2] else size
    return (start, end) if start < end else None


def _pieces(file: BinaryIO, length: int) -> Iterator[bytes]:
    with file:
        while length > 0 and (piece := file.read(min(PIECE, length))):
            length -= len(piece)
            yield piece


async def _pieces_async(file: BinaryIO, length: int) -> AsyncIterator[bytes]:
    with file:
        while length > 0 and (piece := await asyncio.to_thread(file.read, min(PIECE, length))):
            length -= len(piece)
            yield piece

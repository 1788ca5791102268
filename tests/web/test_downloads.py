"""Files leave as attachments, whole or in part, in flat memory, and only from where files are kept."""

import asyncio
import io
import tracemalloc
from pathlib import Path

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.http import Http404
from django.test import RequestFactory

from webapp.common.downloads import PIECE, file_download

BYTES = bytes(range(256)) * 4


@pytest.fixture
def kept(settings, tmp_path) -> Path:
    settings.FILES = tmp_path / "files"
    settings.FILES.mkdir()
    path = settings.FILES / "a.bin"
    path.write_bytes(BYTES)
    return path


def fetch(path, method="get", **headers):
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    asked = getattr(RequestFactory(), method)("/", headers=named)
    return file_download(asked, path, name="Größe 1.bin")


def body(answer):
    return b"".join(answer.streaming_content)


def test_the_whole_file(kept):
    answer = fetch(kept)
    assert body(answer) == BYTES
    assert answer.status_code == 200
    assert answer["Content-Length"] == "1024"
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"].startswith("attachment;")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=1000-", 1000, 1024), ("bytes=-24", 1000, 1024), ("bytes=1000-5000", 1000, 1024)],
)
def test_a_part(kept, asked, start, end):
    answer = fetch(kept, Range=asked)
    assert answer.status_code == 206
    assert answer["Content-Range"] == f"bytes {start}-{end - 1}/1024"
    assert body(answer) == BYTES[start:end]


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=9-3", "bytes=-0"])
def test_a_part_that_is_not_there(kept, asked):
    answer = fetch(kept, Range=asked)
    assert (answer.status_code, answer["Content-Range"]) == (416, "bytes */1024")


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=-", f"bytes={'9' * 5000}-", "nonsense"])
def test_what_is_not_understood_gets_the_whole(kept, asked):
    assert body(fetch(kept, Range=asked)) == BYTES


def test_a_part_of_another_file_gets_the_whole(kept):
    tag = fetch(kept)["ETag"]
    assert fetch(kept, Range="bytes=0-9", If_Range=tag).status_code == 206
    kept.write_bytes(BYTES[::-1] + b"more")
    assert fetch(kept, Range="bytes=0-9", If_Range=tag).status_code == 200


def test_head_opens_nothing(kept):
    answer = fetch(kept, method="head")
    assert answer["Content-Length"] == "1024"
    assert not answer.streaming


def test_a_proxy_may_send_it(kept, settings):
    settings.FILES_ACCEL = "/_files/"
    (settings.FILES / "ä b").mkdir()
    kept.rename(settings.FILES / "ä b" / "c.bin")
    answer = fetch(settings.FILES / "ä b" / "c.bin")
    assert answer["X-Accel-Redirect"] == "/_files/%C3%A4%20b/c.bin"
    assert answer.content == b""


def test_nothing_from_elsewhere(kept, settings, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s")
    link = settings.FILES / "link"
    link.symlink_to(secret)
    inner = settings.FILES / "inner"
    inner.symlink_to(kept)
    for path in (secret, link, inner, settings.FILES / ".." / "secret", settings.FILES, settings.FILES / "none"):
        with pytest.raises(Http404):
            fetch(path)


def test_a_large_file_is_never_whole_in_memory(kept):
    size = 64 * PIECE
    with kept.open("wb") as file:
        file.truncate(size)
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [], "http_version": "1.1"}

    async def read():
        answer = file_download(ASGIRequest(scope, io.BytesIO()), kept, name="large")
        assert answer.is_async
        return sum([len(piece) async for piece in answer])

    tracemalloc.start()
    total = asyncio.run(read())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert total == size
    assert peak < 8 * PIECE

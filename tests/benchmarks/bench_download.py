"""Benchmark of downloads: what the web process holds in memory while a file of 2 GB, and an archive with it, leave it.

The file is sparse: nothing but its size matters. Real uvicorn; the connection reads everything and keeps nothing.
"""

import argparse
import http.client
import json
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from tests.browser.people import person, session
from tests.browser.studio import Studio

WANTED_MEBIBYTES = 64
"""By how much the process may grow."""


class _Running(Studio):
    def close(self) -> None:
        """End everything."""
        self.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mebibytes", type=int, default=2048)
    options = parser.parse_args()
    home = tempfile.TemporaryDirectory(prefix="download-", dir="/tmp")  # a socket's path may have 107 bytes
    with home, closing(_Running(Path(home.name))) as studio:
        studio.call(person, username="anna", team="Ward")
        own = f"sessionid={studio.call(session, username='anna')}"
        model = studio.call(model_make, team="ward", mebibytes=options.mebibytes)
        base = f"/t/ward/models/{model}"
        download(studio, own, f"{base}/files/config.json")  # whatever is loaded at the first time
        figures = {
            "mebibytes": options.mebibytes,
            "wanted_mebibytes": WANTED_MEBIBYTES,
            "file": measured(studio, own, f"{base}/files/model.safetensors"),
            "archive": measured(studio, own, f"{base}/archive/"),
        }
    print(json.dumps(figures))


def model_make(*, team: str, mebibytes: int) -> str:
    """In the second process: a model whose weights are a hole of this size."""
    from webapp.accounts.models import Team
    from webapp.registry.models import ModelVersion
    from webapp.registry.selectors import model_folder

    sizes = {"config.json": 2, "model.safetensors": mebibytes << 20}
    files = [{"name": name, "bytes": size, "sha256": ""} for name, size in sizes.items()]
    model = ModelVersion.objects.create(
        team=Team.objects.get(slug=team), name="Large", number=1, kind="policy", ready=True, files=files
    )
    folder = model_folder(model_id=model.pk)
    folder.mkdir(parents=True)
    for name, size in sizes.items():
        with (folder / name).open("wb") as file:
            file.truncate(size)
    return str(model.pk)


def measured(studio: Studio, cookies: str, path: str) -> dict[str, Any]:
    """Growth of the web process at its peak, and the speed."""
    process = psutil.Process(studio._server.pid)
    before, peak, over = process.memory_info().rss, 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not over.wait(0.02):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    begun = time.monotonic()
    count = download(studio, cookies, path)
    seconds = time.monotonic() - begun
    over.set()
    watcher.join()
    return {
        "bytes": count,
        "grown_mebibytes": round(max(0, peak - before) / 2**20, 1),
        "mebibytes_per_second": round(count / 2**20 / seconds),
    }


def download(studio: Studio, cookies: str, path: str) -> int:
    """Read everything and keep nothing; gives how many bytes came. Raises `RuntimeError` for what is no download."""
    connection = http.client.HTTPConnection(urlsplit(studio.url).netloc, timeout=120)
    connection.request("GET", path, headers={"Cookie": cookies})
    answer = connection.getresponse()
    if answer.status != 200 or not str(answer.headers["Content-Disposition"]).startswith("attachment"):
        raise RuntimeError(f"{path}: {answer.status}")
    count = 0
    while piece := answer.read(1 << 20):
        count += len(piece)
    if count != int(answer.headers["Content-Length"]):
        raise RuntimeError(f"{path}: {count} bytes came of {answer.headers['Content-Length']}")
    connection.close()
    return count


if __name__ == "__main__":
    # By its name: the second process imports what it shall run.
    from tests.benchmarks import bench_download

    bench_download.main()

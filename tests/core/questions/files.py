"""Question files as they are published, for tests that read and write them."""

import json
from pathlib import Path

TEXT = "Which drug?\nA. Nifedipine\nB. Enoxaparin\nC. Clopidogrel"


def published(number: object = 0, answer: str = "C", text: str = TEXT, **more: object) -> dict[str, object]:
    turns = [{"from": "human", "value": text}]
    return {"id": number, "conversations": turns, "eval": {"answer": answer}, **more}


def write(folder: Path, *records: object, name: str = "file.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path

"""The process that uses the ORM for browser tests: one order a line on stdin, one answer a line on stdout."""

import importlib
import json
import os
import sys
import traceback


def serve() -> None:
    """Until stdin ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what others print goes to the log
    import django

    django.setup()
    for line in sys.stdin:
        order = json.loads(line)
        try:
            function = getattr(importlib.import_module(order["module"]), order["name"])
            answer = {"result": function(**order["arguments"])}
        except Exception:
            answer = {"error": traceback.format_exc()}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve()

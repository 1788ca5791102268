"""Asks the web process of this machine whether it is ready: `python -m webapp.health.probe [PORT]`. For health checks.

Exits with 0 or 1. Loads no Django; says the first name of `MEDS3_HOSTS`, since others are refused.
"""

import http.client
import os
import sys


def main(arguments: list[str]) -> int:
    """Exit code."""
    port = int(arguments[0]) if arguments else 8000
    host = os.environ.get("MEDS3_HOSTS", "localhost").split(",")[0].strip().lstrip(".")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=8)
    try:
        connection.request("GET", "/readyz", headers={"Host": host})
        return 0 if connection.getresponse().status == 200 else 1
    except OSError:
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

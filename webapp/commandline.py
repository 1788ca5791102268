"""What the web application adds to the `meds3` command; named in pyproject.toml under `meds3.commands`.

`meds3core` finds these by that name alone and never imports this package. Django is loaded when one is called.
"""

import os
from collections.abc import Sequence


def user(arguments: Sequence[str]) -> None:
    """`meds3 user create|reset|operator NAME`."""
    _django("user", arguments)


def _django(name: str, arguments: Sequence[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings.local")
    os.environ.setdefault("MEDS3_LOG_LEVEL", "WARNING")  # a person reads this terminal
    from django.core.management import execute_from_command_line

    execute_from_command_line([f"meds3 {name}", name, *arguments])

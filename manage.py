#!/usr/bin/env python
"""Django's commands, with the settings of the embedded stack unless others are named."""

import os
import sys

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings.local")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)

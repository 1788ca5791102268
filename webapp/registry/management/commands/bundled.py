"""`manage.py bundled`: what comes with the product, into the team that everybody reads. Run after every migration."""

from typing import Any

from django.core.management.base import BaseCommand

from webapp.registry.bundled import bundled_benchmark_ensure, bundled_ensure


class Command(BaseCommand):
    """The bundled policy and benchmark; does nothing where everything is in place."""

    help = "Puts the bundled model and benchmark into the registry, or mends them."

    def handle(self, *_: Any, **__: Any) -> None:
        """Say what is there."""
        self.stdout.write(f"{bundled_ensure()} and {bundled_benchmark_ensure()} are in place.")

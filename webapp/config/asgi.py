"""Where uvicorn comes in: HTTP to Django; sockets are added by the apps that have them."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings.local")

_django = get_asgi_application()  # first: it loads the apps

from webapp.common.bodies import BoundedBodies  # noqa: E402

application = BoundedBodies(_django)

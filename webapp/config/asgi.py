"""Where uvicorn comes in: HTTP to Django, sockets to the map of webapp.config.sockets."""

import gc
import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webapp.config.settings.local")

django_application = get_asgi_application()  # before what needs the apps to be loaded

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.sessions import CookieMiddleware
from django.urls import reverse

from webapp.common.bodies import BoundedBodies
from webapp.common.sockets import OwnOrigin
from webapp.config.sockets import urlpatterns

reverse("healthz")  # loads every page's module: a second or two, not while the first visitor waits

gc.collect()
gc.freeze()  # what is loaded now stays: a full collection in the midst of a page need not look at it again

application = ProtocolTypeRouter(
    {
        "http": BoundedBodies(django_application),
        "websocket": OwnOrigin(CookieMiddleware(URLRouter(urlpatterns))),
    }
)

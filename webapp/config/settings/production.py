"""A server behind a reverse proxy that ends TLS."""

from webapp.config.settings.base import *  # noqa: F403
from webapp.config.settings.base import env

ALLOW_ONE_TIME_SIGN_IN = False

ALLOWED_HOSTS = env.list("MEDS3_HOSTS")  # no default: who serves the network names the host
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = env.bool("MEDS3_TLS_REDIRECT", default=True)
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = env.int("MEDS3_HSTS_SECONDS", default=31_536_000)
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True

# Preloading would list a hospital's internal host in every browser, for ever; that is the operator's decision.
SILENCED_SYSTEM_CHECKS = ["security.W021"]

PROXIES = ALLAUTH_TRUSTED_PROXY_COUNT = env.int("MEDS3_PROXIES", default=1)

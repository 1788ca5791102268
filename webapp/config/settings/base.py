"""Settings that every installation shares. Values come from the environment; docs/install.md lists them.

Everything that an instance keeps on disk lies under `MEDS3_HOME`: the SQLite database, files, secrets, sockets.
"""

from pathlib import Path

import environ
from csp.constants import NONE, SELF

from webapp.config.embedded import redis_url
from webapp.config.identity import ldap_settings, provider_origins, social_providers
from webapp.config.import_roots import import_roots
from webapp.config.secret_files import kept_secret

env = environ.Env()

ROOT = Path(__file__).parents[3]
HOME = Path(env.str("MEDS3_HOME", default="~/.meds3-studio")).expanduser().resolve()
FILES = Path(env.str("MEDS3_FILES", default=str(HOME / "files")))
SECRETS = HOME / "secrets"
BACKUPS = Path(env.str("MEDS3_BACKUPS", default=str(HOME / "backups")))
"""Where backups are written: better on another disk."""
FILES_ACCEL = env.str("MEDS3_ACCEL", default="")
"""Where the proxy in front serves `FILES` from inside, e.g. `/_files/` (nginx: `internal`); empty: we send them."""
UPLOAD_BYTES = env.int("MEDS3_UPLOAD_BYTES", default=2 << 30)
"""The largest file of questions or judgements that is taken."""
UPLOAD_MODEL_BYTES = env.int("MEDS3_UPLOAD_MODEL_BYTES", default=64 << 30)
"""The largest model that is taken, all its files together."""
UPLOAD_CHUNK_BYTES = 8 << 20
REQUEST_BYTES = env.int("MEDS3_REQUEST_BYTES", default=4 << 20)
"""The largest body of any other request."""
UPLOAD_HOURS = env.float("MEDS3_UPLOAD_HOURS", default=24.0)
"""How long an upload is kept after somebody last did something with it."""
UPLOADS_OPEN = env.int("MEDS3_UPLOADS_OPEN", default=50)
"""Unfinished uploads that a team may have at once."""
DISK_RESERVE_BYTES = env.int("MEDS3_DISK_RESERVE_BYTES", default=1 << 30)
"""What uploads leave free on the disk of `FILES`."""
IMPORT_MEMORY_BYTES = env.int("MEDS3_IMPORT_MEMORY_BYTES", default=1 << 30)
"""Memory of the process that reads an uploaded file."""
IMPORT_SECONDS = env.int("MEDS3_IMPORT_SECONDS", default=3600)
"""Processor time of the process that reads an uploaded file; a preview has a sixtieth of it."""
EXPORT_DAYS = env.int("MEDS3_EXPORT_DAYS", default=7)
"""How long the file of an export is kept."""

DEBUG = False
SECRET_KEY = env.str("MEDS3_SECRET_KEY", default="") or kept_secret(SECRETS, "secret_key")
VAULT_KEYS: list[str] = env.list("MEDS3_VAULT_KEYS", default=[]) or [kept_secret(SECRETS, "vault_key")]
"""Seal what must be read again (webapp.common.vault); the first one seals, all are tried for reading."""
ALLOWED_HOSTS: list[str] = env.list("MEDS3_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS: list[str] = env.list("MEDS3_ORIGINS", default=[])

PUBLIC_URL: str = env.str("MEDS3_URL", default="http://localhost:8000").rstrip("/")
"""Where people reach this instance; links that are printed or mailed from outside a request begin with it."""

INSTALLED_APPS = [
    "channels",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.forms",  # so that webapp.common.forms finds the templates of the widgets
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.socialaccount.providers.saml",
    "axes",
    "csp",
    "django_htmx",
    "django_structlog",
    "ninja",  # so that its API page loads its own files and no CDN's
    "webapp.common",
    "webapp.accounts",
    "webapp.jobs",
    "webapp.uploads",
    "webapp.datasets",
    "webapp.registry",
    "webapp.trees",
    "webapp.annotation",
    "webapp.evaluations",
    "webapp.training",
    "webapp.chat",
    "webapp.webhooks",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "webapp.common.logging.RequestMiddleware",
    "webapp.common.problems.ProblemMiddleware",
    "webapp.common.access.AccessMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it turns a locked-out sign-in into its own answer
]

ROOT_URLCONF = "webapp.config.urls"
ASGI_APPLICATION = "webapp.config.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "webapp.common.context.page",
            ]
        },
    }
]

# --- database ------------------------------------------------------------------------------------------------------

DATABASES = {"default": env.db_url("MEDS3_DATABASE", default=f"sqlite:///{HOME / 'studio.sqlite3'}")}
_database = DATABASES["default"]
if _database["ENGINE"] == "django.db.backends.sqlite3":
    HOME.mkdir(mode=0o700, parents=True, exist_ok=True)
    _database["OPTIONS"] = {
        "timeout": 30,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
else:
    # Under ASGI a connection kept per thread would never be returned; the pool bounds them.
    _database["CONN_MAX_AGE"] = 0
    _database["CONN_HEALTH_CHECKS"] = True  # a restarted database leaves dead connections in the pool
    _pool = {"min_size": 1, "max_size": env.int("MEDS3_DATABASE_POOL", default=8), "timeout": 10}
    _database["OPTIONS"] = {**_database.get("OPTIONS", {}), "pool": _pool}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CACHES = {"default": env.cache_url("MEDS3_CACHE", default="locmemcache://")}
"""Counts of requests and of wrong codes. Several web processes count together with `redis://…` here."""

# --- accounts ------------------------------------------------------------------------------------------------------

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",  # first: it refuses who is locked out
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "account_login"

OPEN_SIGNUP = env.bool("MEDS3_OPEN_SIGNUP", default=False)
"""Whether anybody who reaches the instance may make an account; otherwise by invitation only."""

OPEN_TEAMS = env.bool("MEDS3_OPEN_TEAMS", default=False)
"""Whether anybody signed in may make a team; otherwise the instance's operators do."""

ALLOW_ONE_TIME_SIGN_IN = False
"""Whether a printed link may sign somebody in, from this machine only. The embedded stack allows it."""

ACCOUNT_ADAPTER = "webapp.accounts.adapters.AccountAdapter"
SOCIALACCOUNT_ADAPTER = "webapp.accounts.adapters.SocialAccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"  # an invitation proves the address; many hospital networks have no mail server
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_SESSION_REMEMBER = None
# Wrong passwords are counted by axes; `login_failed` counts wrong codes of the second factor, by person. Limits by
# address are those of a ward or a whole hospital behind one address.
ACCOUNT_RATE_LIMITS = {"login": "300/m/ip", "login_failed": "5/300s/key", "signup": "60/m/ip"}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_TOTP_ISSUER = "MedS3 Studio"

AXES_FAILURE_LIMIT = env.int("MEDS3_LOCKOUT_FAILURES", default=8)
AXES_COOLOFF_TIME = env.float("MEDS3_LOCKOUT_HOURS", default=0.25)
# By name *and* address: a whole ward shares one address, and nobody may lock a colleague out from elsewhere.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_USERNAME_CALLABLE = "webapp.accounts.lockout.counted_name"
AXES_CLIENT_IP_CALLABLE = "webapp.accounts.lockout.counted_address"
AXES_RESET_ON_SUCCESS = True
AXES_LOCKOUT_TEMPLATE = "account/locked_out.html"
AXES_ENABLE_ADMIN = False

PROXIES = env.int("MEDS3_PROXIES", default=0)
"""How many reverse proxies stand in front; each adds one address to `X-Forwarded-For`."""
ALLAUTH_TRUSTED_PROXY_COUNT = PROXIES

API_REQUESTS_PER_MINUTE = env.int("MEDS3_API_REQUESTS_PER_MINUTE", default=600)
"""How many requests one API token may make in a minute."""

SOCIALACCOUNT_PROVIDERS = social_providers(env)
vars().update(_ldap := ldap_settings(env))
if _ldap:
    AUTHENTICATION_BACKENDS.insert(1, "django_auth_ldap.backend.LDAPBackend")

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = env.int("MEDS3_SESSION_HOURS", default=12) * 3600
SESSION_SAVE_EVERY_REQUEST = False

# --- pages ---------------------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
TIME_ZONE = env.str("TZ", default="UTC")
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = HOME / "static"
STATICFILES_DIRS = [ROOT / "webapp" / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": str(FILES)}},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}

FORM_RENDERER = "webapp.common.forms.StudioRenderer"
CSRF_FAILURE_VIEW = "webapp.common.errors.csrf_failure"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "font-src": [SELF],
        "img-src": [SELF, "data:"],
        "connect-src": [SELF],
        "form-action": [SELF, *provider_origins(env)],
        "object-src": [NONE],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

EMAIL_TIMEOUT = 20
EMAIL_CONFIG = env.email_url_config(env.str("MEDS3_MAIL", default="") or "consolemail://")
vars().update(EMAIL_CONFIG)
HAS_MAIL = bool(env.str("MEDS3_MAIL", default=""))
"""Whether mail leaves this instance. Without it, invitations and resets are links to copy."""

# --- models from elsewhere -----------------------------------------------------------------------------------------

IMPORT_ROOTS = import_roots(env.list("MEDS3_IMPORT_ROOTS", default=[]))
"""Folders from which members who may change models can pick one by its name: `name=/folder,…`. None by default."""
IMPORT_BYTES = env.int("MEDS3_IMPORT_BYTES", default=200 << 30)
"""Of one model that comes in."""
HUB_ALLOW: list[str] = env.list("MEDS3_HUB_ALLOW", default=[])
"""Names of models that may be fetched from the hub, as patterns: `Qwen/*`, `*`. None by default: nothing is asked."""
HUB_URL = env.str("MEDS3_HUB_URL", default="https://huggingface.co").rstrip("/")
"""The hub, or a mirror of it inside the network."""

# --- jobs ----------------------------------------------------------------------------------------------------------

REDIS = env.str("MEDS3_REDIS", default="") or redis_url(HOME)
"""The message queue: `unix://[:password@]/path` or `redis://…`; else the one that `meds3 up` runs."""

JOBS_TEMPO = env.float("MEDS3_JOBS_TEMPO", default=1.0)
"""Stretches the times below, except the grace; the tests of kills run at a tenth."""
JOBS_HEARTBEAT_SECONDS = 10.0 * JOBS_TEMPO
JOBS_LEASE_SECONDS = 45.0 * JOBS_TEMPO
JOBS_SWEEP_SECONDS = 10.0 * JOBS_TEMPO
JOBS_WISH_SECONDS = 2.0 * JOBS_TEMPO
"""How often a supervisor looks whether its job is to pause or to be cancelled."""
JOBS_PROGRESS_SECONDS = 1.0
"""At most one progress event in so long a time."""
JOBS_DOORBELL_SECONDS = 60
JOBS_GRACE_SECONDS = env.float("MEDS3_JOBS_GRACE", default=60.0)
"""How long a job that is told to stop may take to checkpoint before it is killed."""
JOBS_GPU_SHARE = env.float("MEDS3_JOBS_GPU_SHARE", default=1.0)
"""Share of a GPU's memory that a job takes; the rest is for chat. 1: a job waits until chat has given the GPU up."""
JOBS_TEAM_LIMIT = env.int("MEDS3_JOBS_TEAM_LIMIT", default=8)
"""Jobs of one team that run at once, unless the team has a limit of its own."""
JOBS_LOG_BYTES = env.int("MEDS3_JOBS_LOG_BYTES", default=16 << 20)
JOBS_LONGEST_HOURS: dict[str, float] = {
    kind: float(hours) for kind, hours in env.dict("MEDS3_JOBS_LONGEST", default={}).items()
}
"""How long jobs of a kind may be worked on, `search=48,import=2`; others as webapp.jobs.kinds says."""
JOBS_THIN_AFTER_HOURS = env.float("MEDS3_JOBS_THIN_AFTER", default=24.0)
"""So long after a job's end most of its progress events are forgotten."""

# --- chat ----------------------------------------------------------------------------------------------------------

CHAT_ENGINE = env.str("MEDS3_CHAT_ENGINE", default="auto")
"""What answers chats: `transformers`, `vllm`, or `auto`: vLLM where there is a GPU and it is installed."""
CHAT_TURNS = env.int("MEDS3_CHAT_TURNS", default=64)
"""Turns that one chat worker answers at once; others wait in a queue."""
CHAT_MEMORY_SHARE: float | None = env.float("MEDS3_CHAT_MEMORY_SHARE", default=0.0) or None
"""Share of the device's memory that the loaded models may take: weights, caches, and what they compute with.
None: as workers.chatting.memory says."""
CHAT_IDLE_SECONDS = env.float("MEDS3_CHAT_IDLE", default=900.0)
"""A model that nobody asked for so long is unloaded; with the last one the device is given back."""
CHAT_GRACE_SECONDS = env.float("MEDS3_CHAT_GRACE", default=30.0)
"""How long answers in flight may go on when a job asks for the device."""
CHAT_DAYS: int | None = env.int("MEDS3_CHAT_DAYS", default=0) or None
"""For how long conversations are kept that nobody goes on with, unless the team says otherwise; 0: for ever."""
CHAT_FORMER_DAYS = env.int("MEDS3_CHAT_FORMER_DAYS", default=30)
"""For how long the private conversations are kept of somebody who left the team, should they come back."""

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        "CONFIG": {
            # Longer than the five seconds for which the layer waits for a message.
            "hosts": [{"address": env.str("MEDS3_REDIS_LIVE", default=REDIS), "socket_timeout": 15}],
            "prefix": "meds3-live",
            "capacity": 1000,
            "expiry": 30,
        },
    }
}
"""Hints for live pages, "something up to seq n", and nothing else."""
LIVE_CHECK_SECONDS = env.float("MEDS3_LIVE_CHECK", default=10.0)
"""How often an open page's socket asks whether it may still be there, and compares with the database."""

# --- what leaves this instance -------------------------------------------------------------------------------------

OUTBOUND_ALLOW: list[str] = env.list("MEDS3_OUTBOUND_ALLOW", default=[])
"""Hosts that webhooks and remote engines may reach, and private networks they may lie in (webapp.outgoing.rules)."""

# --- logs ----------------------------------------------------------------------------------------------------------

# Lines of `django.server` and access logs would hold query strings; request lines come from django_structlog, which
# is told to log the path alone (webapp.common.logging).
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "webapp.common.logging.formatter"}},
    "handlers": {"out": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["out"], "level": env.str("MEDS3_LOG_LEVEL", default="INFO")},
}

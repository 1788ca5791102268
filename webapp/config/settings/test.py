"""Settings of the tests: as embedded, with a cheap password hash. The database comes from the environment."""

import os
import tempfile

os.environ.setdefault("MEDS3_HOME", tempfile.mkdtemp(prefix="meds3-test-"))

from webapp.config.settings.local import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
STORAGES = STORAGES | {  # type: ignore[name-defined]  # noqa: F405
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
}

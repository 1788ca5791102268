"""The embedded stack on one machine, reached over loopback (`meds3 up`, `make demo`)."""

from webapp.config.settings.base import *  # noqa: F403

ALLOW_ONE_TIME_SIGN_IN = True
"""`meds3 up` may print a link that signs the owner in once."""

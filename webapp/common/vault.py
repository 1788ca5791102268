"""Secrets that must be read again (a webhook's signing key, a remote engine's key): stored sealed, never shown.

The key lies in the instance's secrets folder, or in `MEDS3_VAULT_KEYS`: of several, separated by commas, all are tried
for reading and the first one seals, so that a key can be changed. Without its key a copy of the database tells nothing.
"""

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings

from meds3core.errors import AppError


class VaultError(AppError):
    """Something was sealed with a key that this instance does not have."""

    code = "vault"


def seal(text: str) -> str:
    """The text as it is stored."""
    return _vault().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """The text again. Raises `VaultError`."""
    try:
        return _vault().decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise VaultError(
            "A stored secret cannot be read: the key in the secrets folder (vault_key) is not the one it was sealed "
            "with. Restore that file with the database, or enter the secret anew."
        ) from None


def _vault() -> MultiFernet:
    digests = (hashlib.sha256(key.encode()).digest() for key in settings.VAULT_KEYS)
    return MultiFernet([Fernet(base64.urlsafe_b64encode(digest)) for digest in digests])

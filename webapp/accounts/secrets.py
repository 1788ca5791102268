"""Secrets of links and tokens: 256 random bits, stored as their hash, shown once."""

import hashlib
import secrets


def new_secret() -> str:
    """256 random bits in text form."""
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> str:
    """How such a secret is stored. No salt: there is nothing to guess."""
    return hashlib.sha256(secret.encode()).hexdigest()

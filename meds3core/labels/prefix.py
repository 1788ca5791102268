"""The name of a step in its context: a digest of the question and of every step up to it."""

import hashlib
from collections.abc import Sequence

from meds3core.text.steps import render_step
from meds3core.types.question import OpenQuestion


def prefix_hash(question: OpenQuestion, bodies: Sequence[str]) -> str:
    """Hex digest of what a model has read after these steps (step 0 first); ids and gold answers play no part.

    Equal for equal question texts and equal steps, whatever tree, file or iteration they come from: so a person's
    label finds its step again.
    """
    return prefix_hashes(question, bodies)[-1] if bodies else _start(question).hexdigest()


def prefix_hashes(question: OpenQuestion, bodies: Sequence[str]) -> list[str]:
    """`prefix_hash` of every prefix, the shortest (step 0 alone) first."""
    digest = _start(question)
    hashes = []
    for number, body in enumerate(bodies):
        piece = render_step(number, body).encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(piece))  # with its length: no body can pass for two steps
        digest.update(piece)
        hashes.append(digest.hexdigest())
    return hashes


def _start(question: OpenQuestion) -> hashlib.blake2b:
    return hashlib.blake2b(question.content_hash.encode(), digest_size=16)

"""The name of a step in its context: a digest of the question and of every step up to it."""

import hashlib
from collections.abc import Iterable, Iterator

from meds3core.text.steps import render_step
from meds3core.types.question import OpenQuestion


class Prefix:
    """A question and the steps so far; `then` adds one, so that the branches of a tree share their beginnings."""

    __slots__ = ("_digest", "_length")

    def __init__(self, digest: hashlib.blake2b, length: int) -> None:
        self._digest = digest
        self._length = length

    @classmethod
    def of(cls, question: OpenQuestion) -> "Prefix":
        """The question without any step."""
        return cls(hashlib.blake2b(question.text_hash.encode(), digest_size=16), 0)

    def then(self, body: str) -> "Prefix":
        """With one step more; step 0 comes first."""
        digest = self._digest.copy()
        piece = render_step(self._length, body).encode("utf-8", "surrogatepass")
        digest.update(b"%d:" % len(piece) + piece)  # with its length: no body can pass for two steps
        return Prefix(digest, self._length + 1)

    @property
    def hash(self) -> str:
        """32 hex digits."""
        return self._digest.hexdigest()


def prefix_hash(question: OpenQuestion, bodies: Iterable[str]) -> str:
    """Hex digest of what a model has read after these steps (step 0 first); ids, answer formats and gold play no part.

    Equal for equal question texts and equal steps, whatever tree, file or iteration they come from: so a person's
    label finds its step again.
    """
    prefix = Prefix.of(question)
    for body in bodies:
        prefix = prefix.then(body)
    return prefix.hash


def prefix_hashes(question: OpenQuestion, bodies: Iterable[str]) -> Iterator[str]:
    """`prefix_hash` of every prefix, the shortest (step 0 alone) first."""
    prefix = Prefix.of(question)
    for body in bodies:
        prefix = prefix.then(body)
        yield prefix.hash

"""How long a prompt is, before it is sent: counted with the model's tokenizer alone, without the model.

An estimate from below: a chat template adds some tokens, and the chat worker has the last word.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from meds3core.errors import ContextOverflow
from webapp.registry.models import ModelVersion
from webapp.registry.selectors import model_folder

FILE = "tokenizer.json"
KEPT = 4
SHORT = 256
"""Characters below which nothing is counted: they fit anywhere."""


def refuse_too_long(*, policy: ModelVersion, texts: Iterable[str]) -> None:
    """Raise `ContextOverflow` where these texts alone leave no room for an answer; nothing where it cannot count."""
    context = policy.facts.get("max_positions")
    said = [text for text in texts if text]
    if not isinstance(context, int) or sum(map(len, said)) < SHORT:
        return
    tokenizer = _tokenizer_of(policy)
    if tokenizer is None:
        return
    count = sum(len(each.ids) for each in tokenizer.encode_batch(said, add_special_tokens=False))
    if count >= context:
        raise ContextOverflow(
            f"This is too long for {policy}: the conversation has {count:,} tokens with it, and the model reads "
            f"{context:,}. Shorten it, or begin a new conversation."
        )


def _tokenizer_of(policy: ModelVersion) -> Any:
    for model in (policy.pk, policy.base_id if policy.is_adapter else None):
        path = model_folder(model_id=model) / FILE if model else None
        if path is not None and path.is_file():
            return _tokenizer(path)
    return None


@lru_cache(maxsize=KEPT)
def _tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer  # with the first long prompt, not with the pages

    return Tokenizer.from_file(str(path))

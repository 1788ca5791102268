"""From a `Prompt` to token ids, for every engine that has a tokenizer at hand.

The chat template is applied once, in the tokenizer's own sandboxed renderer; pieces are tokenised one by one.
Only the template writes special tokens: where a question or a step spells one out, a space breaks it, so that nobody's
text can end a turn.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from meds3core.engines.base import Message, Prompt


class PromptEncoder:
    """Encodes prompts with one tokenizer, remembering turns and pieces it has seen (search repeats them)."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        special = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
        special.update(tokenizer.all_special_tokens)
        self._special = re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True))) or r"(?!)")
        self._turns = lru_cache(maxsize=16_384)(self._encode_turns)
        self._piece = lru_cache(maxsize=262_144)(self._encode_piece)

    def encode(self, prompt: Prompt) -> list[int]:
        """Token ids: the rendered turns, then each piece."""
        ids = list(self._turns(prompt.messages))
        for piece in prompt.pieces:
            ids.extend(self._piece(piece))
        return ids

    def encode_piece(self, text: str) -> tuple[int, ...]:
        """Ids of a piece by itself, no special tokens added or recognised as such."""
        return self._piece(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of generated ids, special tokens left out, white space untouched."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _encode_turns(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        if getattr(self.tokenizer, "chat_template", None):
            turns = [{"role": message.role, "content": self._harmless(message.content)} for message in messages]
            text = self.tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
            # The template writes its own special tokens (BOS included): adding them again is a published fault.
            return tuple(self.tokenizer.encode(text, add_special_tokens=False))
        text = "\n\n".join(self._harmless(message.content) for message in messages) + "\n\n"
        return tuple(self.tokenizer.encode(text, add_special_tokens=True))

    def _encode_piece(self, text: str) -> tuple[int, ...]:
        return tuple(self.tokenizer.encode(self._harmless(text), add_special_tokens=False))

    def _harmless(self, text: str) -> str:
        return self._special.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)

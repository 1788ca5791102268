"""Token ids of trajectories, the same for training, scoring and search.

A trajectory is the rendered question turn, then one piece per step, each tokenised by itself and concatenated
(METHOD.md §1). So the ids up to a step's end do not depend on what follows, and what a model is trained on is what it
is asked for later. Needs a tokenizer, but neither torch nor a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meds3core.engines.base import Prompt
from meds3core.engines.rendering import PromptEncoder
from meds3core.text.prompts import TEMPLATES, answer_form
from meds3core.text.steps import SEPARATOR, render_step
from meds3core.types.labels import PreferencePair, SftExample
from meds3core.types.question import OpenQuestion

PROMPT = TEMPLATES["plain"]
"""What every trained model is asked with: the bare question."""

_MARK = "Step 1: 0."


@dataclass(frozen=True, slots=True)
class EncodedTrajectory:
    """`ids`: prompt and steps. `ends[i]`: position of the last token of step i, where a PRM's score is read."""

    ids: tuple[int, ...]
    prompt_length: int
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EncodedCompletion:
    """A prompt and what a policy learns to write after it; the loss falls on `completion` only."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """A shared prefix and the two continuations."""

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]


class TrajectoryEncoder:
    """Encodes trajectories with one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._encoder = PromptEncoder(tokenizer)
        self.end_of_turn = end_of_turn(tokenizer)

    def prompt(self, question: OpenQuestion) -> list[int]:
        """Ids of the question's turn, up to where the policy's own begins."""
        return self._encoder.encode(Prompt(PROMPT.messages(question.text, answer_form(question), "finish")))

    def piece(self, text: str) -> tuple[int, ...]:
        """Ids of a piece by itself, such as the header that the next step is primed with."""
        return self._encoder.encode_piece(text)

    def steps(self, question: OpenQuestion, bodies: Sequence[str]) -> EncodedTrajectory:
        """For a reward model: every step closed by its blank line, the last one too."""
        ids = self.prompt(question)
        length, ends = len(ids), []
        for number, body in enumerate(bodies):
            ids.extend(self._encoder.encode_piece(render_step(number, body)))
            ends.append(len(ids) - 1)
        return EncodedTrajectory(tuple(ids), length, tuple(ends))

    def sft(self, example: SftExample) -> EncodedCompletion:
        """For imitation: the whole trajectory, its turn ended."""
        return EncodedCompletion(
            tuple(self.prompt(example.question)), self._continuation(0, example.bodies, finished=True)
        )

    def pair(self, pair: PreferencePair) -> EncodedPair:
        """For preference: only a continuation that reaches an answer ends the turn, so nobody learns to stop early."""
        prefix = self.steps(pair.question, pair.prefix).ids
        first = len(pair.prefix)
        return EncodedPair(
            prefix,
            self._continuation(first, pair.chosen, finished=pair.chosen_finished),
            self._continuation(first, pair.rejected, finished=pair.rejected_finished),
        )

    def _continuation(self, first: int, bodies: Sequence[str], *, finished: bool) -> tuple[int, ...]:
        ids: list[int] = []
        for number, body in enumerate(bodies, first):
            last = finished and number == first + len(bodies) - 1
            text = render_step(number, body)
            ids.extend(self._encoder.encode_piece(text.removesuffix(SEPARATOR) if last else text))
        return (*ids, *self.end_of_turn) if finished else tuple(ids)


def end_of_turn(tokenizer: Any) -> tuple[int, ...]:
    """What closes the policy's turn: the first special token that the chat template writes after it, else the EOS."""
    if getattr(tokenizer, "chat_template", None):
        turns = [{"role": "user", "content": "?"}, {"role": "assistant", "content": _MARK}]
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        closing = tokenizer.encode(text.rpartition(_MARK)[2], add_special_tokens=False)
        special = {*tokenizer.all_special_ids}
        special.update(i for i, token in tokenizer.added_tokens_decoder.items() if token.special)
        for token in closing:
            if token in special:
                return (token,)
    return () if tokenizer.eos_token_id is None else (int(tokenizer.eos_token_id),)

"""The prompts, as versioned objects. One system prompt everywhere: search, training, scoring and inference.

`plain` is for a policy that has learnt the format: the bare question. `guided` is for an instruct model in its
first iteration: instructions and one worked example. The texts are ours; changing one means a new version, since
the hash of the prompt is stored with everything it made.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from meds3core.engines.base import Message, Prompt
from meds3core.text.steps import header, render_step
from meds3core.types.question import OpenQuestion
from meds3core.types.record import Record

SYSTEM = ""
"""The one system prompt. Empty: no system turn, so that any chat template renders it alike."""

REFLECTION_START = " But wait,"
"""How a Reflect step begins, after its header. It claims no knowledge of the gold."""

Instruction = Literal["reason", "finish", "plan"]

_RULES = """\
Answer the medical question below. Write your reasoning as numbered steps, one idea in each, separated by blank \
lines, every step beginning with "Step <number>:". The last step ends with the sentence "The answer is X.", where X \
is {answer_form}.

Here is how it looks:

Question: A child of 20 kg is to receive paracetamol, 60 mg per kg and day in 4 doses. How many mg is one dose?

Step 0: Let's break down this problem step by step.

Step 1: The daily amount is 60 mg per kg times 20 kg, which is 1200 mg.

Step 2: The daily amount is given in 4 doses, so one dose is 1200 mg divided by 4, which is 300 mg.

Step 3: The answer is 300 mg.

Question: {question}"""

_ASK: dict[Instruction, str] = {
    "reason": "Write just the next step, then stop.",
    "finish": "Write all remaining steps, up to and including the one with the answer.",
    "plan": "Reasoning so far:\n\n{steps}\n\nWhat should come next? Reason: one more step of reasoning is needed. "
    "Finish: the reasoning suffices to state the answer. Reply with one word, Reason or Finish.",
}


class PromptTemplate(Record):
    """A named way to put a question to a policy."""

    name: Literal["guided", "plain"]
    version: int

    @property
    def label(self) -> str:
        """Name and version as stored: `plain@1`."""
        return f"{self.name}@{self.version}"

    @property
    def hash(self) -> str:
        """Digest of every text this template can write."""
        texts = [self.label, SYSTEM, REFLECTION_START]
        if self.name == "guided":
            texts += [_RULES, *_ASK.values()]
        return hashlib.blake2b("\0".join(texts).encode(), digest_size=16).hexdigest()

    @property
    def plans(self) -> bool:
        """Whether moves are drawn by asking the policy; otherwise the move is known from what it wrote."""
        return self.name == "guided"

    def messages(self, question: str, answer_form: str, instruction: Instruction) -> tuple[Message, ...]:
        """The turns before the policy's own."""
        content = question
        if self.name == "guided":
            content = _RULES.format(question=question, answer_form=answer_form) + "\n\n" + _ASK[instruction]
        system = (Message("system", SYSTEM),) if SYSTEM else ()
        return (*system, Message("user", content))

    def continuation(
        self,
        question: str,
        answer_form: str,
        bodies: Sequence[str],
        instruction: Instruction,
        reflect: bool = False,
    ) -> Prompt:
        """The prompt that asks for the step after `bodies` (step 0 first); the policy's turn begins with them."""
        pieces = [render_step(number, body) for number, body in enumerate(bodies)]
        pieces.append(header(len(bodies)) + (REFLECTION_START if reflect else ""))
        return Prompt(self.messages(question, answer_form, instruction), tuple(pieces))

    def plan(self, question: str, answer_form: str, bodies: Sequence[str]) -> Prompt:
        """The planning prompt; the policy's reply is the name of a move."""
        steps = "".join(render_step(number, body) for number, body in enumerate(bodies)).rstrip()
        content = _RULES.format(question=question, answer_form=answer_form)
        content += "\n\n" + _ASK["plan"].format(steps=steps)
        system = (Message("system", SYSTEM),) if SYSTEM else ()
        return Prompt((*system, Message("user", content)))


class ConversationPrompt(PromptTemplate):
    """A template at the end of a conversation: the same words around what was said last, after all that came before.

    What is asked for as the question is what reward models and verifiers read; the policy reads the conversation.
    """

    before: tuple[Message, ...]
    last: str
    """What is to be answered, in place of the question."""

    @property
    def hash(self) -> str:
        """Of the template's texts and the conversation."""
        turns = [f"{turn.role}:{turn.content}" for turn in (*self.before, Message("user", self.last))]
        return hashlib.blake2b("\0".join([super().hash, *turns]).encode(), digest_size=16).hexdigest()

    def messages(self, question: str, answer_form: str, instruction: Instruction) -> tuple[Message, ...]:
        """The turns before the policy's own."""
        return (*self.before, *super().messages(self.last, answer_form, instruction))

    def plan(self, question: str, answer_form: str, bodies: Sequence[str]) -> Prompt:
        """The planning prompt."""
        prompt = super().plan(self.last, answer_form, bodies)
        return replace(prompt, messages=(*self.before, *prompt.messages))


TEMPLATES = {
    "guided": PromptTemplate(name="guided", version=1),
    "plain": PromptTemplate(name="plain", version=1),
}
"""The newest version of each template."""


def answer_form(question: OpenQuestion) -> str:
    """How the guided prompt describes the answer it wants."""
    form = question.answer_format
    match form.kind:
        case "choice":
            return "the letter of the right option"
        case "number":
            return f"a number in {form.unit}" if form.unit else "a number"
        case "yes-no":
            return "yes, no or maybe" if form.maybe else "yes or no"
        case "list":
            return "a list of items separated by commas"
        case _:
            return "the answer in as few words as possible"

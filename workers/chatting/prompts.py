"""What a model is asked with in a conversation, and where the steps of its answer stand."""

from collections.abc import Sequence
from dataclasses import dataclass

from meds3core.config.chat import ChatConfig
from meds3core.engines.base import Message, Prompt
from meds3core.text.prompts import TEMPLATES, ConversationPrompt, answer_form
from meds3core.text.steps import OPENER, SEPARATOR, header, render_step, split
from webapp.chat.questions import question_of

STEPS = "plain"
"""Name of the prompt of models that learnt to write steps by themselves."""


@dataclass(frozen=True)
class Asked:
    """What goes to the engine, and how the answer begins, which is not generated."""

    prompt: Prompt
    beginning: str
    in_steps: bool


def asked(history: Sequence[tuple[str, str]], config: ChatConfig, made_for: str | None, given: str = "") -> Asked:
    """The prompt of a turn. `made_for`: the name of the policy's own prompt; none of a remote engine. `given`: what the
    answer goes on from, as an earlier turn wrote it.
    """
    in_steps = bool(spans(given)) if given else config.form == "steps" or (config.form == "auto" and made_for == STEPS)
    if not in_steps:
        return Asked(Prompt(_turns(history, config), (given,) if given else ()), given, False)
    question = question_of(history)
    turns = conversation_prompt(history, config, made_for).messages(question.text, answer_form(question), "finish")
    pieces = pieces_of(given) if given else (render_step(0, OPENER), header(1))
    return Asked(Prompt(turns, pieces), "".join(pieces), True)


def conversation_prompt(
    history: Sequence[tuple[str, str]], config: ChatConfig, made_for: str | None
) -> ConversationPrompt:
    """How steps are asked for at the end of this conversation, which ends with what is to be answered."""
    *before, last = _turns(history, config)
    template = TEMPLATES["plain" if made_for == STEPS else "guided"]
    return ConversationPrompt(name=template.name, version=template.version, before=tuple(before), last=last.content)


def _turns(history: Sequence[tuple[str, str]], config: ChatConfig) -> tuple[Message, ...]:
    system = (Message("system", config.system),) if config.system else ()
    return (*system, *(Message(role, text) for role, text in history))  # type: ignore[arg-type]


def pieces_of(given: str) -> tuple[str, ...]:
    """A text in steps as the pieces of a prompt, each whole step by itself, as searches and training write them.

    What ends with a whole step and its blank line is followed by the next step's header; what was cut off within a step
    goes on there.
    """
    steps = split(given)
    whole = given.endswith(SEPARATOR)
    pieces = [f"{step.header}{step.body}{SEPARATOR}" for step in steps[:-1]]
    last = steps[-1]
    if not whole:
        return (*pieces, last.header + last.body)
    return (*pieces, last.header + last.body, header(len(steps)))


@dataclass(frozen=True)
class Span:
    """Where a step stands in the text, its header included, and what it says."""

    begin: int
    end: int
    body: str


def spans(text: str) -> list[Span]:
    """The steps of an answer as far as it is written; none where it has no steps."""
    steps = split(text)
    if not steps or steps[0].number is None:
        return []
    found, at = [], 0
    for step in steps:
        end = at + len(step.header) + len(step.body)
        found.append(Span(at, end, step.body.strip()))
        at = end + len(SEPARATOR)
    return found

"""What was asked in a conversation, as verifiers, reward models and people who judge its steps take it."""

from collections.abc import Sequence

from meds3core.data.option_lines import options_in
from meds3core.types.question import ChoiceFormat, OpenQuestion, TextFormat


def question_of(history: Sequence[tuple[str, str]]) -> OpenQuestion:
    """All that the person said, the last of it last; `history` is role and text of each message."""
    text = "\n\n".join(said for role, said in history if role == "user") or "?"
    options = options_in(text)
    form = ChoiceFormat(options=options) if len(options) > 1 else TextFormat()
    return OpenQuestion(id="chat", text=text, answer_format=form)

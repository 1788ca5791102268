"""Reads a letter or an option's text at a given place of a text: at its start, or at its end.

Never searches for substrings: what is read must begin at the place asked for and have a proper end behind it, so
"a beta blocker" is not option A, "E. coli" not option E, and "15%" not the option "5%".
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from meds3core.text.answers import Found, lower, plain
from meds3core.types.question import Option

_WRAP = " \n\t\"'*_`$([{"
_AFTER_TEXT = " \n\"'*_`$."
_LEAD = re.compile(
    r"""[\s"'*_`$(\[{:]*(?:\\?boxed\{)?[\s"'*_`$(\[{]*
    (?:(?:the\s|an?\s)?(?:option|choice|letter|answer)\b[\s:"'*_`$(\[{]*)?""",
    re.VERBOSE,
)
_CLOSERS = re.compile(r"[\"'*_`$)\]}]+")
_SEPARATOR = re.compile(r"[\"'*_`$)\]}]*\s?[.:,)\-/|]*[\s\"'*_`$(\[{]*")
_ARTICLE = re.compile(r"(?:an?|the)\s+(?!(?:and|or|only|but|nor|alone)\b)")
_STARTERS = (
    r"(?:because|since|as|due\sto|for|based|given|which|that|when|where|while|although|though|in|on|from|per|"
    r"according|with|so|and|or|but|rather|instead|over|not|it|this|these|the|there|therefore|thus|hence|by|"
    r"here|of\scourse|we|if|other|all|both|patients?|most|only)"
)
_GOES_ON = re.compile(rf"\s(?!if\b){_STARTERS}\b")
_AFTER_ARTICLE_LETTER = re.compile(r"\s(?:because|since|for|as|which|and|or|but|rather|instead|not|over)\b")
_SMALL_WORD = re.compile(rf"[\s*_\"']+(?!{_STARTERS}\b|options?\b|choices?\b|answers?\b|[a-z](?:\b))[^\W\d_A-Z]")
_TEXT_END = re.compile(
    r"""[.:]?[\"'*_`$)\]}]*(?:$|\n|[.;:!)](?!\w)|,(?!\d)|\s[(\[]|\s-+\s
      |\s(?:because|since|as|due\sto|based|given|which|that|rather|instead|not|but|or|and|so|is|in\sthis|by)\b)""",
    re.VERBOSE,
)
_FULL_STOP = re.compile(
    r"[\"'*_`$)\]}]*(?:$|\n|[.:;!](?!\w)|\s[(\[]|\s-+\s|,?\s(?:because|since|not|but|rather|or)\b|\s(?:is|are)\s(?:correct|right)\b)"
)
_ALTERNATIVE = re.compile(
    r"""[\"'*_`$)\]}.]*(?:\s?\([^()\n]{0,300}\))?[\s.;,]*(?P<joint>\b(?:and/or|or|and|nor|versus|vs\.?)\s|[/&,])\s*
    (?:(?:possibly|maybe|perhaps|even|else|also|either|alternatively)\s)*""",
    re.VERBOSE | re.IGNORECASE,
)
_ITEM = re.compile(r"\s*(?:$|[.,;)\]\n]|(?:and|or)\b|[/&(])")
_NEW_CLAUSE = re.compile(r"(?:therefore|thus|hence|so|it|this|that|is|we|i|the answer)\b")
_QUESTION_MARK = re.compile(r"[\"'*_`$)\]}]*\s?\?")
_EITHER = re.compile(r"(?:either|neither|both)\b")
_LABEL = re.compile(r"(?<![^\W_])([a-z]{1,2})[).:\]]+[\s\"'*_]*(?:an?\s|the\s)?$")
_LAST_LETTER = re.compile(r"(?<![\w'/-])([a-z]{1,2})$")
_LAST_ARTICLE = re.compile(r"(?:^|[\s\"'*_`(\[])(?:an?|the)$")
_NAMED = re.compile(r"\b(?:the\s)?(?:option|choice|answer|letter)$")
_JOINED = re.compile(r"(?:\b(?:or|and|nor|neither|either|both)|[/&])$")
_LICENSED = re.compile(
    r"(?:^|[.,;:!?\n)]|\s-+|\b(?:but|so|therefore|thus|hence|that|then|think|believe|say|clearly|because|since))$"
)
_TRUTH = ("yes", "no", "maybe", "true", "false", "mixture")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one question, prepared for matching."""

    letters: dict[str, str]
    """Lower-case letter → letter as printed."""
    own: dict[str, str]
    """Letter → its canonical text."""
    texts: tuple[tuple[str, str | None], ...]
    """(canonical text, letter), longest first; letter None where two options share the text."""
    longest: int


def _canonical(text: str) -> str:
    """Lower case on one line, without article, quotes and closing punctuation."""
    flat = " ".join(lower(plain(text)).split()).lstrip(_WRAP)
    article = _ARTICLE.match(flat)
    if article:
        flat = flat[article.end() :]
    return flat.rstrip(" .,;:\"'*_`$")


@lru_cache(maxsize=4096)
def prepare(options: tuple[Option, ...]) -> Options:
    """The options of a question, ready for matching."""
    letters = {option.letter.lower(): option.letter for option in options}
    own = {option.letter: _canonical(option.text) for option in options}
    texts: dict[str, str | None] = {}
    for letter, text in own.items():
        if text and text not in letters:
            texts[text] = None if text in texts else letter
    for letter, text in own.items():
        head, comma, _ = text.partition(",")
        if comma and head in _TRUTH:
            texts[head] = None if head in texts else letter
    ordered = tuple(sorted(texts.items(), key=lambda item: -len(item[0])))
    return Options(letters, own, ordered, max((len(text) for text in texts), default=0))


class OptionReader:
    """Reads a letter or an option's text at the start or at the end of a piece of text."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def claimed(self, text: str) -> Found | None:
        """What is offered at the start of an announced answer."""
        raw, low = _flat(text[: self.options.longest * 2 + 600])
        return self._start(raw, low, _TEXT_END)

    def opened(self, text: str) -> Found | None:
        """What a whole response begins with; stricter about what may follow."""
        raw, low = _flat(text[: self.options.longest * 2 + 600])
        return self._start(raw, low, _FULL_STOP)

    def whole(self, text: str) -> Found | None:
        """What a line says when it holds an answer and nothing else."""
        raw, low = _flat(text)
        found = self._start(raw, low, _FULL_STOP)
        if found and found.answer is not None and low[found.end :].strip(" .!\n\"'*_`$)]}"):
            return None
        return found

    def _start(self, raw: str, low: str, text_end: re.Pattern[str]) -> Found | None:
        lead = _LEAD.match(low)
        start = lead.end() if lead else 0
        if low.startswith("not ", start):
            return None
        by_text = self._text(low, start, text_end) or self._text(low, len(low) - len(low.lstrip(_WRAP)), text_end)
        by_letter = self._letter(raw, low, start)
        if by_letter and by_text and by_text.answer != by_letter.answer:
            found: Found | None = Found(None) if self._own_end(low, start, by_letter) else by_text
        else:
            found = by_letter or by_text
        if found is None:
            return Found(None) if self._either(raw, low, start) else None
        if found.answer is None:
            return found
        if _QUESTION_MARK.match(low, found.end):
            return None
        return Found(None) if self._alternative(raw, low, found, by_text is found) else found

    def _own_end(self, low: str, start: int, found: Found) -> bool:
        """Whether the letter was followed by its own option's text."""
        return found.answer is not None and found.end - start > len(found.answer) + 1

    def _named(self, low: str, start: int) -> Found | None:
        """The longest option's text at `start`, an article before it left out, whatever follows."""
        article = _ARTICLE.match(low, start)
        flat = low.replace("\n", " ")
        for text, letter in self.options.texts:
            for at in {start, article.end() if article else start}:
                end = at + len(text)
                if flat.startswith(text, at) and not (text[-1].isalnum() and flat[end : end + 1].isalnum()):
                    return Found(letter, end)
        return None

    def _text(self, low: str, start: int, text_end: re.Pattern[str]) -> Found | None:
        """The longest option's text at `start`, if it ends there as an answer does."""
        named = self._named(low, start)
        if named is None:
            return None
        truth = low[named.end : named.end + 1] == "," and low[: named.end].endswith(_TRUTH)
        return named if truth or text_end.match(low, named.end) else None

    def _letter(self, raw: str, low: str, start: int) -> Found | None:
        """A letter at `start`, alone or with its option's text; no answer if another option's text follows it."""
        size = 2 if low[start : start + 2] in self.options.letters and len(low[start : start + 2]) == 2 else 1
        letter = self.options.letters.get(low[start : start + size])
        end = start + size
        if letter is None or raw[end : end + 1].isalnum() or raw[end : end + 1] == "_" != raw[end + 1 : end + 2]:
            return None
        separator = _SEPARATOR.match(low, end)
        at = separator.end() if separator else end
        own = self.options.own[letter]
        if (
            at > end
            and own in self.options.letters
            and low.startswith(own, at)
            and not low[at + len(own) :][:1].isalnum()
        ):
            return Found(letter, at + len(own))
        named = self._named(low, at) if at > end else None
        if named:
            if named.answer == letter or (named.answer is None and low[: named.end].endswith(own)):
                return Found(letter, named.end)
            if not low[named.end :].strip(" .!\n\"'*_`$)]}"):
                return Found(None)
            if low[end:at].strip():
                return Found(letter, end)
        closed = _CLOSERS.match(low, end)
        behind = closed.end() if closed else end
        return Found(letter, behind) if self._letter_ends(raw, low, start, behind, closed is not None) else None

    def _letter_ends(self, raw: str, low: str, start: int, end: int, closed: bool) -> bool:
        """Whether what follows a letter shows that it is one, and not an article, a genus or part of a word."""
        rest = low[end : end + 1]
        if not rest or rest in "\n,;!|?":
            return True
        following = raw[end + 1 : end + 2]
        if rest in ".:":
            if following.isalnum():
                return rest == ":"
            return closed or rest == ":" or not _SMALL_WORD.match(raw, end + 1)
        if rest in "-/":
            return following in (" ", "") or (rest == "/" and low[end + 1 : end + 2] in self.options.letters)
        if closed and rest == " ":
            return True
        if rest == " " and following in "([-=&/":
            return True
        if low[start:end] in ("a", "i"):
            return _AFTER_ARTICLE_LETTER.match(low, end) is not None
        return _GOES_ON.match(low, end) is not None

    def _alternative(self, raw: str, low: str, found: Found, by_text: bool) -> bool:
        """Whether another answer is offered right behind the first: "A or B", "A, B and C"."""
        joint = _ALTERNATIVE.match(low, found.end)
        if joint is None or low.startswith(("not ", "not:"), joint.end()):
            return False
        word = joint["joint"].strip()
        if word == "or" or (word == "and" and by_text and not _NEW_CLAUSE.match(low, joint.end())):
            return True
        lead = _LEAD.match(low, joint.end())
        at = lead.end() if lead else joint.end()
        letter = self.options.letters.get(low[at : at + 1])
        if letter and not low[at + 1 : at + 2].isalnum():
            closed = _CLOSERS.match(low, at + 1)
            end = closed.end() if closed else at + 1
            if joint["joint"] == ",":
                return letter != found.answer and _ITEM.match(low, end) is not None
            if letter != found.answer and self._letter_ends(raw, low, at, end, closed is not None):
                return True
        if joint["joint"] == ",":
            return False
        other = self._text(low, at, _TEXT_END)
        return other is not None and other.answer != found.answer

    def _either(self, raw: str, low: str, start: int) -> bool:
        """Whether "either B or C" stands at `start`."""
        either = _EITHER.match(low, start)
        return either is not None and self._start(raw[either.end() :], low[either.end() :], _TEXT_END) is not None

    def closing(self, text: str) -> Found | None:
        """What stands at the end of `text`, before "is the correct answer"."""
        _, low = _flat(text[-(self.options.longest + 200) :])
        low = low.rstrip(_AFTER_TEXT)
        for option_text, letter in self.options.texts:
            end = next((end for end in {len(low), len(low.rstrip(")]}"))} if low.endswith(option_text, 0, end)), 0)
            start = end - len(option_text)
            if end and (start == 0 or not low[start - 1].isalnum()):
                labelled = _LABEL.search(low[max(0, start - 12) : start])
                if labelled and labelled[1] in self.options.letters:
                    return self._before(low[: start - len(labelled[0])], Found(self.options.letters[labelled[1]]))
                return self._before(low[:start], Found(letter))
        low = low.rstrip(_AFTER_TEXT + ")]}")
        word = _LAST_LETTER.search(low)
        if word is None or word[1] not in self.options.letters:
            return None
        return self._before(low[: word.start()], Found(self.options.letters[word[1]]))

    def _before(self, low: str, found: Found) -> Found | None:
        """Weigh what stands before an answer that is called correct: "hepatitis B is correct" is not option B."""
        low = _LAST_ARTICLE.sub("", low.rstrip(_WRAP)).rstrip(_WRAP)
        named = _NAMED.search(low)
        if named:
            low = low[: named.start()].rstrip(_WRAP)
        if _JOINED.search(low):
            return Found(None)
        return found if named or _LICENSED.search(low) else None


def _flat(text: str) -> tuple[str, str]:
    """The text with single spaces and single line ends, and the same in lower case."""
    raw = "\n".join([" ".join(line.split()) for line in text.split("\n") if line and not line.isspace()])
    return raw, lower(raw)

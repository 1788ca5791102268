"""Where a text announces an answer. Shared by all verifiers; knows nothing about kinds of answers or golds.

An announcement is "The answer is …", "Answer: …", "… is the correct answer" or a box. Merely naming an option is
none, so that search can tell a final step from one that weighs the options.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MOST_CLAIMS = 100
"""How many places that may announce an answer are looked at, from the end: bounds the time for any text."""

WINDOW = 2000
"""How many characters after an announcement are looked at."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One announcement. The answer stands at the start of `text`, or at its end when `before` is set."""

    at: int
    text: str
    before: bool = False
    denied: bool = False
    """ "The answer is not …"."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a verifier read at the start (or end) of a claim; `answer` None: two are offered, so none counts."""

    answer: str | None
    end: int = 0
    """Offset in the claim's text just behind what was read."""


Parse = Callable[[str], Found | None]


@dataclass(frozen=True, slots=True)
class Settled:
    """What all announcements of a text amount to. `open` is False when the text says that there is no answer."""

    answer: str | None
    open: bool
    denied: frozenset[str] = frozenset()


_SIGNS = str.maketrans(
    {
        "\r": None,
        "\u2018": "'",
        "\u2019": "'",
        "\u201c": '"',
        "\u201d": '"',
        "\u00ab": '"',
        "\u00bb": '"',
        "\u2010": "-",
        "\u2011": "-",
        "\u2012": "-",
        "\u2013": "-",
        "\u2212": "-",
        "\u2014": " - ",
        "\u03bc": "\u00b5",
        "\u200b": None,
        "\ufeff": None,
        "\u2028": "\n",
        "\u2029": "\n",
        "\uff1a": ": ",
    }
)
_LATEX_STYLE = re.compile(r"\\(?:text(?:bf|it|rm|sf|tt)?|math(?:bf|rm|sf|it)|mbox|operatorname) ?\{([^{}]{0,2000})\}")
_LATEX_FRACTION = re.compile(r"\\[dt]?frac ?\{([^{}]{1,40})\} ?\{([^{}]{1,40})\}")
_LATEX_SIGNS = re.compile(r"\\(?:[,;:! ]|quad\b|left\b|right\b|[()\[\]])")


def plain(text: str) -> str:
    """The text with typographic signs, bold marks and LaTeX styling undone; a closed thinking block is cut off."""
    if "</think>" in text:
        after = text.rpartition("</think>")[2]
        text = after if after.strip() else text
    if not text.isascii() or "\r" in text:
        text = text.translate(_SIGNS)
    if "\\" in text:
        text = _LATEX_STYLE.sub(r"\1", _LATEX_STYLE.sub(r"\1", text))
        text = _LATEX_FRACTION.sub(r"\1/\2", text)
        text = text.replace("\\%", "%").replace("\\times", "×").replace("\\cdot", "×")
        text = _LATEX_SIGNS.sub(" ", text)
    if "<answer>" in text:
        text = text.replace("<answer>", "\nAnswer: ").replace("</answer>", "\n")
    if "**" in text:
        text = text.replace("**", "")
    if "__" in text:
        text = text.replace("__", "")
    return text


def lower(text: str) -> str:
    """Lower case of the same length, so that offsets stay valid."""
    lowered = text.lower()
    if lowered.isascii():
        return lowered
    if len(lowered) == len(text):
        return lowered.replace("\u03bc", "\u00b5")
    return "".join(low if len(low := letter.lower()) == 1 else letter for letter in text)


_ADVERBS = (
    r"(?:therefore|thus|hence|then|so|clearly|definitely|certainly|indeed|simply|actually|probably|likely|"
    r"most likely|most probably|now|still|again|of course|in fact|in this case|here|as follows|given by|"
    r"going to be|best described as|only|just|really|obviously|instead|rather)"
)
_TAIL = re.compile(
    rf"""
    s?(?!\w)
    (?:\s(?:choice|option|letter|key)s?\b)?
    (?:\s?\([^()\n]{{0,40}}\))?
    (?:\s(?:to|for|of|in|here|by|given|after|with|at|from)\b[^.,:;?!\n]{{0,80}}?)?
    (?:,[^.,:;?!\n]{{0,60}},)?
    (?:\s{_ADVERBS})?
    (?:
        \s(?:is|was|equals|remains|becomes|(?:appears|seems)\sto\sbe
            |(?:must|would|should|will|has\sto|ought\sto)(?:\s(?:therefore|thus|then))?\sbe)
            (?P<is_not>n't|\snot\b|\snever\b)?(?![\w'])
      | (?P<cannot_be>\s(?:can|could|would|should|must|will)(?:not|n't|\snot|\snever)\sbe\b)
      | \s?:
      | \s?=
      | \s-+>?(?=\s)
    )
    (?:[\s,]*:?\s*(?:{_ADVERBS})(?![\w-]))*
    [\s,:]*
    (?P<then_not>not\b\s*)?
    """,
    re.VERBOSE,
)
_CORRECT = r"(?:(?:single|one|only|most|very|final|clearly)\s)*(?:correct|right|final|true)"
_BEST = r"(?:(?:single|one|only|most|very|overall)\s)*(?:correct|right|final|best|likely|appropriate|suitable|accurate)"
_ADJECTIVES = ("correct", "right", "final", "true", "best", "likely", "appropriate", "suitable", "accurate", "answer")
_CORRECT_BEFORE = re.compile(rf"\b{_CORRECT}\s(?:answer\s)?$")
_BEST_BEFORE = re.compile(rf"\b{_BEST}\s(?:answer\s)?$")
_REVERSED = re.compile(
    rf"""\s(?:is|was|remains|represents|(?:must|would|should|will|has\sto)\sbe)
    (?:,?\s{_ADVERBS},?)?\s(?:the|our|my)\s(?:{_BEST}\s)?$""",
    re.VERBOSE,
)
_BLOCKED = re.compile(
    r"""(?:
      \b(?:if|whether|unless|until|suppose|supposing|assume|assuming|imagine|doubt|deny|why
         |(?:not|never|\w{2,6}n't)\s(?:think|believe|say|mean|suggest|that|certain|sure|clear|know)
         |(?:un|not\s)(?:clear|certain|sure|likely|known))\b[^.,;:!?\n]{0,40}
      | \b(?:wrong|incorrect|first|initial|previous|earlier|original|old|former|possible|potential|plausible
         |other|another|alternative|second|tempting|common|expected|his|her|their|one|an|a|no|any|each|example
         |typical|sample|to)\s(?:\w{1,20}\s)?
      | \w's\s
    )$""",
    re.VERBOSE,
)
_HEADING = re.compile(r"(?:^|\n)[#\s]*(?:the\s|my\s)?(?:final\s|correct\s)*$")
_AFTER_IS_CORRECT = re.compile(r"\s*(?:$|[.,;:!)\n]|(?:because|since|as|and|here|in this|due|for)\b)")
_CHOOSE = re.compile(
    r"\bi(?:\s(?:would|will|must|'d|'ll)|'d|'ll)?(?:\s(?:therefore|thus|hence))?\s"
    r"(?:choose|select|pick|go\swith|opt\sfor|answer|say)\s"
)
_CHOICE_VERBS = ("choose ", "select ", "pick ", "go with ", "opt for ", "i answer ", "say ", "ll answer", "d answer")
_BRACES = re.compile(r"[{}]")


def claims(text: str, *, lenient: bool = False) -> Iterator[Claim]:
    """The announcements in a `plain` text, the last one first.

    `lenient` adds what is an answer in a whole response but not in a step on the way: "B is correct", "the best
    option is B", "I choose B".
    """
    low = lower(text)
    spots = [(at, "answer") for at in _occurrences(low, "answer")]
    spots += [(at, "boxed{") for at in _occurrences(low, "boxed{")]
    for word in ("option", "choice"):
        spots += [(at, word) for at in _occurrences(low, word)]
    if lenient:
        for words in (" is correct", " is right", " is the correct one", " is the right one"):
            spots += [(at, words) for at in _occurrences(low, words)]
        if any(verb in low for verb in _CHOICE_VERBS):
            spots += [(match.end(), "") for match in _CHOOSE.finditer(low)]
    spots.sort(reverse=True)
    for at, word in spots[:MOST_CLAIMS]:
        end = at + len(word)
        if word == "boxed{":
            yield Claim(at, _box(text, end))
        elif not word:
            yield Claim(at, text[at : at + WINDOW])
        elif word[0] == " ":
            if _AFTER_IS_CORRECT.match(low, end):
                yield Claim(at, text[max(0, at - WINDOW) : at], before=True)
        else:
            yield from _around(text, low, at, word, lenient)


def _around(text: str, low: str, at: int, word: str, lenient: bool) -> Iterator[Claim]:
    """The claims behind and before the word "answer", "option" or "choice"."""
    if at and low[at - 1].isalnum():
        return
    before = low[max(0, at - 90) : at]
    if word != "answer":
        fits = _BEST_BEFORE if lenient else _CORRECT_BEFORE
        if not before.rstrip().endswith(_ADJECTIVES) or not fits.search(before):
            return
    end = at + len(word)
    tail = _TAIL.match(low, end)
    clause = before[max(map(before.rfind, ".,;:!?\n")) + 1 :]
    if tail and not _BLOCKED.search(clause):
        denied = bool(tail["is_not"] or tail["cannot_be"] or tail["then_not"])
        yield Claim(at, text[tail.end() : tail.end() + WINDOW], denied=denied)
    elif word == "answer" and low[end : end + 1] == "\n" and _HEADING.search(before):
        yield Claim(at, text[end + 1 : end + 1 + WINDOW])
    near = before[-50:]
    backwards = _REVERSED.search(before) if "the " in near or "our " in near or "my " in near else None
    if backwards:
        stop = at - len(before) + backwards.start()
        yield Claim(at, text[max(0, stop - WINDOW) : stop], before=True)


def _occurrences(text: str, word: str) -> Iterator[int]:
    at = text.find(word)
    while at >= 0:
        yield at
        at = text.find(word, at + 1)


def _box(text: str, start: int) -> str:
    """The content of a box whose opening brace ends at `start`; an unclosed one ends with its line."""
    depth = 1
    for match in _BRACES.finditer(text, start, start + WINDOW):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return text[start : match.start()]
    return text[start : start + WINDOW].partition("\n")[0]


_CONTRAST = re.compile(r"[\s,;.:)\"']*\b(?:but|rather|instead)\b\s*", re.I)
_FILLERS = re.compile(r"(?:(?:rather|instead|actually|it\sis|is)\s+)+", re.I)
_IT_IS = re.compile(r"[\s,;.:)\"'-]*(?:(?:it|this)(?:'s|\sis)|the\sanswer\sis)\s+", re.I)


def settle(found_claims: Iterator[Claim], parse: Parse, parse_before: Parse) -> Settled:
    """Let the last announcement that can be read decide; "A or B" settles that there is no answer.

    An announcement that this kind of answer cannot read ("the answer is clear") is passed over. "The answer is
    not B" withdraws an earlier B.
    """
    denied: set[str] = set()
    for claim in found_claims:
        found = _contrast(claim.text, parse) if claim.denied else None
        if claim.denied and found is None:
            refused = parse(claim.text)
            if refused and refused.answer is not None:
                denied.add(refused.answer)
            continue
        if found is None:
            found = parse_before(claim.text) if claim.before else parse(claim.text)
        if found is None:
            continue
        if found.answer is None or found.answer in denied:
            return Settled(None, open=False, denied=frozenset(denied))
        return Settled(found.answer, open=False, denied=frozenset(denied))
    return Settled(None, open=True, denied=frozenset(denied))


def _contrast(text: str, parse: Parse) -> Found | None:
    """The X of "not Y but X", where Y may itself hold the word "but"."""
    if lower(text[:5]) == "only ":
        return Found(None)
    first = parse(text)
    if first and first.answer is not None:
        for pattern in (_CONTRAST, _IT_IS):
            turn = pattern.match(text, first.end)
            if turn:
                return _behind(text[turn.end() :], parse)
    sentence = text[: sentence_end(text)]
    for turn in _CONTRAST.finditer(sentence):
        found = _behind(text[turn.end() :], parse)
        if found and (found.answer is None or first is None or found.answer != first.answer):
            return found
    return None


def _behind(text: str, parse: Parse) -> Found | None:
    """The answer behind the turn of a contrast: "but X", "but rather X"."""
    fillers = _FILLERS.match(text)
    return parse(text) or (parse(text[fillers.end() :]) if fillers else None)


_END = re.compile(r"\n|[.!?](?=[\"')\]*_`$}]*(?:\s|$))")
_ABBREVIATION = re.compile(r"(?:^|[\s(])(?:[A-Za-z]|St|Dr|Mr|Mrs|vs|e\.g|i\.e|approx|no|spp|subsp|var)$")


def sentence_end(text: str) -> int:
    """Offset at which the first sentence or line of a text ends, its full stop left out."""
    for match in _END.finditer(text):
        end = match.start()
        if match[0] != "." or end + 1 == len(text.rstrip()) or not _ABBREVIATION.search(text[max(0, end - 8) : end]):
            return end
    return len(text)


_TOKEN = re.compile(
    r"(?:(?<![^\s(])-)?\d+(?:[.,]\d+)*(?:\s?-\s?\d+(?:[.,]\d+)*)*|[^\W\d_]+|[%/<>=+±≤≥°]",
)
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_ARTICLES = frozenset(("a", "an", "the"))


def tokens(text: str) -> list[str]:
    """Lower-case words, numbers and ranges, without articles and punctuation.

    Signs that change a quantity are kept: "1.25 mg" and "12.5 mg", "5-10" and "5 10", "mg/kg" and "mg kg" differ.
    """
    text = _THOUSANDS.sub("", plain(text).casefold().replace("'", ""))
    found = ["".join(token.split()) for token in _TOKEN.findall(text)]
    words = [word for word in found if word not in _ARTICLES]
    return words or found


def normalise(text: str) -> str:
    """The normal form of free text; idempotent."""
    return " ".join(tokens(text))

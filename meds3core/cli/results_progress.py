"""Sampling, scoring and answering in the terminal."""

from rich.console import Console

from meds3core.cli.progress import SummingDisplay


class ResultsDisplay(SummingDisplay):
    """Shows work on a set of questions: questions done, tokens/s, share of right answers, failures, remaining time.

    Takes the events of `decoding.filling` and `decoding.scores`.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console, "questions", "generated_tokens", "scored_tokens", "samples", "right")

    def figures(self, done: int) -> list[str]:
        """The rates so far, of this call's own questions only."""
        elapsed, counts = self._elapsed(), self.counts
        parts = []
        if counts["generated_tokens"]:
            parts.append(f"{counts['generated_tokens'] / elapsed:.0f} tokens/s")
        if counts["scored_tokens"]:
            parts.append(f"{counts['scored_tokens'] / elapsed:.0f} scored tokens/s")
        if counts["right"]:
            parts.append(f"{100 * counts['right'] / max(counts['samples'], self._own(done)):.0f}% right")
        return parts

"""A search in the terminal."""

from rich.console import Console

from meds3core.cli.progress import SummingDisplay


class SearchDisplay(SummingDisplay):
    """Shows a search: trees/min, nodes, rollouts, tokens/s, solved, failures, remaining time.

    Takes the events of `run_search`.
    """

    def __init__(self, console: Console) -> None:
        super().__init__(console, "trees", "nodes", "rollouts", "generated_tokens", "solved")

    def figures(self, done: int) -> list[str]:
        """The rates so far, of this call's own trees only."""
        elapsed, grown, counts = self._elapsed(), self._own(done), self.counts
        return [
            f"{60 * grown / elapsed:.0f} trees/min",
            f"{counts['nodes']} nodes",
            f"{counts['rollouts']} rollouts",
            f"{counts['generated_tokens'] / elapsed:.0f} tokens/s",
            f"{100 * counts['solved'] / grown:.0f}% solved",
        ]

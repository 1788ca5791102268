"""What n of N stored samples would have cost: expected tokens per question, from what all N did cost."""

import math

import numpy as np
from numpy.typing import NDArray

from meds3core.decoding.samples import SampleSet
from meds3core.decoding.scores import ScoreSet
from meds3core.text.steps import render_step

Floats = NDArray[np.float64]


class Spending:
    """Expected cost per question ([Q] arrays) of n samples drawn from a set."""

    def __init__(self, samples: SampleSet) -> None:
        rows, total = samples.rows, samples.source.n
        prompts = np.array([[sample.prompt_tokens for sample in row.samples] for row in rows], float)
        prompts = prompts.reshape(len(rows), total)
        generated = np.array([[sample.generated_tokens for sample in row.samples] for row in rows], float)
        self._total = total
        self._generated: Floats = generated.reshape(len(rows), total).mean(axis=1)
        self._first_prompt: Floats = prompts.max(axis=1)
        self._later_prompt: Floats = (prompts.sum(axis=1) - self._first_prompt) / max(total - 1, 1)
        self._shared_text = _text_by_sharing(samples)
        steps = self._shared_text[:, 1:] @ np.arange(1, total + 1) - total * _root_text(samples)
        self._tokens_per_sign = float(generated.sum() / steps.sum()) if steps.sum() else 0.0

    def generated(self, n: int) -> Floats:
        """Tokens written."""
        return self._generated * n

    def prompts(self, n: int) -> Floats:
        """Prompt tokens computed: by the first sample; the others find the prompt in the cache, if there is one.

        So the dearest sample's prompt counts once and the mean of the others' n − 1 times: exact at n = 1 and n = N
        for any engine.
        """
        return self._first_prompt + self._later_prompt * (n - 1)

    def scored(self, scores: ScoreSet, n: int) -> Floats:
        """Tokens that the reward model computes: what it computed for all N, scaled down to n.

        A model that computes shared beginnings once saves less on n samples than n / N: the prompt is always paid. How
        much of the sharing it used is estimated from its total, between that of all texts and that of the distinct
        beginnings, by the length of the steps' texts. Exact at n = N.
        """
        total = self._total
        members = np.arange(total + 1)
        # A beginning that m of the N samples have is in a subset of n with probability 1 − C(N−m, n) / C(N, n).
        present = np.array([1.0 - math.comb(total - m, n) / math.comb(total, n) for m in members])
        shared, flat = self._shared_text @ present, self._shared_text @ (members * n / total)
        shared_all, flat_all = self._shared_text @ (members > 0), self._shared_text @ members
        spent = np.array([row.scored_tokens for row in scores.rows], float)
        room = (flat_all.sum() - shared_all.sum()) * self._tokens_per_sign
        saved = flat_all.sum() * self._tokens_per_sign - spent.sum()
        share = min(1.0, max(0.0, saved / room)) if room > 0 else 0.0
        whole = share * shared_all + (1.0 - share) * flat_all
        part = share * shared + (1.0 - share) * flat
        return np.asarray(spent * part / np.maximum(whole, 1.0))


def _text_by_sharing(samples: SampleSet) -> Floats:
    """[Q, N + 1]: signs of distinct text that exactly m of the N samples begin with; the prompt is everyone's."""
    table = np.zeros((len(samples.rows), samples.source.n + 1))
    for number, row in enumerate(samples.rows):
        counts: dict[tuple[str, ...], int] = {}
        for sample in row.samples:
            for depth in range(2, len(sample.bodies) + 1):
                beginning = sample.bodies[:depth]
                counts[beginning] = counts.get(beginning, 0) + 1
        for beginning, count in counts.items():
            table[number, count] += len(render_step(len(beginning) - 1, beginning[-1]))
    table[:, -1] += _root_text(samples)
    return table


def _root_text(samples: SampleSet) -> Floats:
    """[Q]: signs of the question and of step 0."""
    return np.array(
        [len(row.question.text) + len(render_step(0, row.samples[0].bodies[0])) for row in samples.rows], float
    )

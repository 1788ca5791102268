"""The study's page with charts: the stages, whether what was wanted came out, and what the study concludes."""

import re
from pathlib import Path

from meds3core.report.stages_page import Finding, Goal, write_stages_page
from meds3core.sandbox.study.conclusions import best_words, cautions, claim_words
from meds3core.sandbox.study.result import StudyResult
from meds3core.sandbox.study.wanted import wanted_figures


def write_charts(result: StudyResult, out: Path) -> None:
    """Write the page, whole or not at all."""
    write_stages_page(
        result.stages,
        out,
        title="The clinic study: what each stage was worth",
        notes=cautions(result),
        goals=[Goal(line.wanted, line.measured, line.met) for line in wanted_figures(result)],
        findings=_findings(result),
    )


def _findings(result: StudyResult) -> list[Finding]:
    study = result.kept or result.grid
    if study is None:
        return []
    words = {
        "Step labels to choose by": best_words(study.selection),
        "Step labels to find wrong steps by": best_words(study.finding),
        "The paper's dual label": claim_words(study),
    }
    return [Finding(name, re.sub(r"[*`]", "", text)) for name, text in words.items()]

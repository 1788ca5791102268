"""Two searches of the same questions, and two trees of one question, side by side."""

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from meds3core.report.charts import whisker_table
from meds3core.report.wording import difference_row
from webapp.accounts.models import Team
from webapp.accounts.rules import Action
from webapp.common.access import team_page
from webapp.jobs.models import Job
from webapp.trees import comparing, overviews, selectors
from webapp.trees.models import Tree
from webapp.trees.opened import tree_record
from webapp.trees.sketch import tree_sketch


@team_page(Action.TREE_VIEW)
@require_GET
def searches_compare(request: HttpRequest, team: Team, search_id: uuid.UUID) -> HttpResponse:
    """A search against another one (`?with=`): what changed, for which questions, and whether it could be chance."""
    first = selectors.search_of(team=team, job_id=search_id)
    context: dict[str, Any] = {
        "team": team,
        "job": first,
        "choices": [each for each in overviews.search_choices(team=team) if each[0] != first.pk],
    }
    if request.GET.get("with"):
        second = selectors.search_of(team=team, job_id=_id(request.GET["with"]))
        stages = _stage(request, "stage", first), _stage(request, "other_stage", second)
        found = comparing.searches_compared(first=first, second=second, stages=(stages[0][0], stages[1][0]))
        inputs = overviews.inputs_of(jobs=[first, second])
        tables = []
        if found.solved is not None:
            rows = [difference_row("Solved fraction", found.solved)]
            tables = [whisker_table("Second minus first, in points", rows, differences=True)]
        context |= {
            "other": second,
            "found": found,
            "tables": tables,
            "stage": stages[0][0],
            "stages": stages[0][1],
            "other_stage": stages[1][0],
            "other_stages": stages[1][1],
            "settings": comparing.settings_that_differ(
                first=(first, inputs[first.pk]), second=(second, inputs[second.pk])
            ),
            "most": comparing.MOST_CHANGES,
        }
    return render(request, "trees/search_compare.html", context)


@team_page(Action.TREE_VIEW)
@require_GET
def trees_compare(request: HttpRequest, team: Team, tree_id: uuid.UUID, other_id: uuid.UUID) -> HttpResponse:
    """Two trees of one question."""
    rows = [selectors.tree_of(team=team, tree_id=each) for each in (tree_id, other_id)]
    if rows[0].question_hash != rows[1].question_hash:
        raise Http404("These are trees of different questions.")
    inputs = overviews.inputs_of(jobs=[row.job for row in rows])
    sides = [_side(row) for row in rows]
    context = {
        "team": team,
        "sides": sides,
        "question": sides[0]["record"].question,
        "figures": _figures(rows, sides),
        "settings": comparing.settings_that_differ(
            first=(rows[0].job, inputs[rows[0].job_id]), second=(rows[1].job, inputs[rows[1].job_id])
        ),
        "others": [each for each in selectors.trees_of_question(tree=rows[0]) if each.pk != rows[1].pk],
    }
    return render(request, "trees/tree_compare.html", context)


def _side(row: Tree) -> dict[str, Any]:
    record = tree_record(row=row)
    best = comparing.best_trajectory(record)
    steps = [record.nodes[idx] for idx in best.nodes] if best else []
    return {"tree": row, "record": record, "sketch": tree_sketch(record), "best": best, "steps": steps}


def _figures(rows: list[Tree], sides: list[dict[str, Any]]) -> list[tuple[str, str, str, bool]]:
    """Label, both figures, and whether they differ."""

    def line(label: str, name: str, form: str = "{:,}") -> tuple[str, str, str, bool]:
        given = [getattr(row, name) for row in rows]
        said = ["–" if value is None or value == "" else form.format(value) for value in given]
        return label, said[0], said[1], said[0] != said[1]

    policies = [str(row.policy or side["record"].provenance.policy) for row, side in zip(rows, sides, strict=True)]
    return [
        ("Policy", *policies, policies[0] != policies[1]),
        line("Stopped", "stop_reason", "{}"),
        line("Solved", "solved", "{:.0%}"),
        line("Right answers", "right_answers"),
        line("Wrong answers", "wrong_answers"),
        line("Value of the root", "root_value", "{:.3f}"),
        line("Largest drop", "largest_drop", "{:.2f}"),
        line("Steps", "nodes"),
        line("Depth", "depth"),
        line("Rollouts", "rollouts"),
        line("Tokens written", "generated_tokens"),
    ]


def _id(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError:
        raise Http404("There is no such search.") from None


def _stage(request: HttpRequest, name: str, job: Job) -> tuple[str, list[str]]:
    """The stage that is asked for, or the last one; and all there are."""
    stages = selectors.stages_with_trees(job_id=job.pk)
    asked = request.GET.get(name, "")
    return asked if asked in stages else stages[-1] if stages else "", [each for each in stages if each]

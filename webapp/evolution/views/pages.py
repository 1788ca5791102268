"""Pages of evolutions: the list, a loop with its stages and figures, one stage, what changed between two policies."""

import uuid
from itertools import pairwise
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.views.decorators.http import require_GET

from meds3core.errors import UserError
from meds3core.evaluation.stages import StageFigures
from meds3core.evolution.stages.report import findings
from meds3core.report.stages_page import stages_section
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.common.access import team_page
from webapp.common.downloads import file_download
from webapp.common.paging import page_of
from webapp.evolution import figures, selectors
from webapp.evolution.changes import policy_changes
from webapp.evolution.restarts import stage_settings
from webapp.evolution.stages import GIVEN, Stage, loop_stages, stages_drawing
from webapp.jobs.models import Job, State
from webapp.jobs.standing import MAY, flat
from webapp.jobs.views.pages import places

SHOWN_CHANGES = 200
"""Questions of each list; the counts are of all."""


@team_page(Action.JOB_VIEW)
@require_GET
def evolution_list(request: HttpRequest, team: Team) -> HttpResponse:
    """The team's loops, newest first: from which accuracy to which, and how surely."""
    page = page_of(selectors.evolutions_of(team=team), request.GET)
    context = {
        "team": team,
        "page": page,
        "rows": [(job, _ends(job)) for job in page.rows],
        "may_submit": may(request.membership.role, Action.JOB_SUBMIT),
        "is_first": not {"before", "after"} & set(request.GET),
    }
    return render(request, "evolution/list.html", context)


def _ends(job: Job) -> tuple[StageFigures, StageFigures] | None:
    """The base and the final model, as the finished loop stored them."""
    stored = {row["name"]: row for row in (job.result or {}).get("stages", ())}
    names = list(stored)
    if len(names) < 2:
        return None
    missing = {"runs": 1, "against_parent": None, "sound_against_base": None}
    first, last = (StageFigures.model_validate(missing | stored[name]) for name in (names[0], names[-1]))
    return first, last


@team_page(Action.JOB_VIEW)
@require_GET
def evolution(request: HttpRequest, team: Team, evolution_id: uuid.UUID) -> HttpResponse:
    """One loop: its stages drawn, accuracy from policy to policy, the control beside it, what was made."""
    job = selectors.evolution_of(team=team, evolution_id=evolution_id)
    role = request.membership.role
    context = _parts(job, current=request.GET.get("stage", "")) | places(job, for_operators=False)
    context |= {
        "team": team,
        "may_control": may(role, Action.JOB_CONTROL),
        "may_submit": may(role, Action.JOB_SUBMIT),
        "asks": {ask: " ".join(sorted(states)) for ask, states in MAY.items()},
        "now": {ask: job.state in states for ask, states in MAY.items()},
        "seq": job.next_seq - 1,
        "restarts": selectors.restarts_of(job=job),
        "settings": flat(job.spec.get("settings", {}))[:200],
    }
    return render(request, "evolution/evolution.html", context)


@team_page(Action.JOB_VIEW)
@require_GET
def evolution_parts(request: HttpRequest, team: Team, evolution_id: uuid.UUID) -> HttpResponse:
    """What changes on the page while the loop runs."""
    job = selectors.evolution_of(team=team, evolution_id=evolution_id)
    return render(request, "evolution/parts/live.html", {"team": team, **_parts(job)})


def _parts(job: Job, current: str = "") -> dict[str, Any]:
    stages = loop_stages(job=job)
    measured = figures.measured_policies(stages)
    result = figures.loop_result(job=job)
    return {
        "job": job,
        "over": job.state in (State.SUCCEEDED, State.FAILED, State.CANCELLED),
        "stages": stages,
        "current": current,
        "drawing": stages_drawing(stages, current=current) if stages else None,
        "counts": _counts(stages),
        "taken": [stage for stage in stages if stage.taken_from],
        "origin": selectors.origin_of(job=job),
        "measured": measured,
        "chart": figures.accuracy_chart(measured),
        "result": result,
        "section": stages_section(result.stages) if result else None,
        "control": figures.control_whiskers(result) if result else None,
        "findings": _findings(result),
        "steps": _steps(measured, result),
        "report": figures.report_file(job=job) is not None,
    }


def _counts(stages: list[Stage]) -> dict[str, int]:
    states = [stage.row.state for stage in stages]
    return {
        "all": len(states),
        "done": states.count(State.SUCCEEDED),
        "running": states.count(State.RUNNING),
        "failed": states.count(State.FAILED),
    }


def _findings(result: Any) -> list[Any]:
    return findings(result)[len(result.versus) :] if result else []


def _steps(measured: list[figures.Measured], result: Any) -> list[dict[str, Any]]:
    """Each policy against the one that it was trained from, where both are measured."""
    known = {one.policy for one in measured}
    if result:
        return [
            {"first": one.after, "second": one.name, "difference": one.against_parent.mean}
            for one in result.stages
            if one.after in known and one.name in known and one.against_parent is not None
        ]
    chain = [one.policy for one in measured if not one.policy.startswith(figures.CONTROL)]
    return [{"first": one, "second": other, "difference": None} for one, other in pairwise(chain)]


@team_page(Action.JOB_VIEW)
@require_GET
def evolution_stage(request: HttpRequest, team: Team, evolution_id: uuid.UUID, stage: str) -> HttpResponse:
    """One stage: what it read, what it made, its settings, and the way to begin again from it."""
    job = selectors.evolution_of(team=team, evolution_id=evolution_id)
    stages = loop_stages(job=job)
    found = next((each for each in stages if each.name == stage), None)
    if found is None:
        raise Http404("The loop has no such stage.")
    context = {
        "team": team,
        "job": job,
        "stage": found,
        "by_name": {each.name: each for each in stages},
        "given": GIVEN,
        "feeds": [each for each in stages if stage in each.after],
        "settings": flat(stage_settings(job=job, stage=stage))[:200],
        "figures": flat(found.row.details.get("figures") or {})[:100],
        "origin": selectors.origin_of(job=job) if found.taken_from else None,
        "may_submit": may(request.membership.role, Action.JOB_SUBMIT),
        "is_part": request.headers.get("X-Part") == "1",
    }
    name = "evolution/parts/stage.html" if context["is_part"] else "evolution/stage.html"
    answer = render(request, name, context)
    answer["Vary"] = "X-Part, Cookie"
    return answer


@team_page(Action.EVALUATION_VIEW)
@require_GET
def evolution_changes(request: HttpRequest, team: Team, evolution_id: uuid.UUID) -> HttpResponse:
    """Which questions one policy answers rightly and another does not, with the paired test."""
    job = selectors.evolution_of(team=team, evolution_id=evolution_id)
    measured = {one.policy: one for one in figures.measured_policies(loop_stages(job=job))}
    names = list(measured)
    first = request.GET.get("first") or (names[0] if names else "")
    second = request.GET.get("second") or next((name for name in reversed(names) if name != first), "")
    if (request.GET.get("first") or request.GET.get("second")) and not {first, second} <= measured.keys():
        raise Http404("This policy was not measured in the loop.")
    context: dict[str, Any] = {
        "team": team,
        "job": job,
        "names": names,
        "first": first,
        "second": second,
        "most": SHOWN_CHANGES,
        "same": first == second,
    }
    if first in measured and second in measured and first != second:
        one, other = measured[first].evaluation, measured[second].evaluation
        context |= {"one": one, "other": other}
        try:
            context["changes"] = policy_changes(team=team, first=one, second=other)
        except UserError as error:
            context["refused"] = str(error)
    return render(request, "evolution/changes.html", context)


@team_page(Action.JOB_VIEW)
@require_GET
def evolution_report(request: HttpRequest, team: Team, evolution_id: uuid.UUID) -> HttpResponseBase:
    """The loop's report as one self-contained page, to keep."""
    job = selectors.evolution_of(team=team, evolution_id=evolution_id)
    path = figures.report_file(job=job)
    if path is None:
        raise Http404("The loop has no report yet, or its files were removed.")
    return file_download(request, path, name=f"{job} report.html", content_type="text/html")

"""Any two evaluations side by side: the paired test, and the questions won and lost."""

import uuid
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET

from meds3core.errors import UserError
from meds3core.evaluation.comparability import NotComparable
from meds3core.evaluation.compare import Change, Comparison, WayComparison
from meds3core.evaluation.outcomes import GREEDY
from meds3core.report.comparison import comparison_sections, comparison_totals, total
from meds3core.report.result_tables import ResultTable, comparison_tables, way_tables
from meds3core.report.table_files import ENDINGS
from meds3core.report.wording import points
from webapp.accounts.models import Team
from webapp.accounts.rules import Action, may
from webapp.common.access import team_page
from webapp.evaluations import selectors
from webapp.evaluations.comparing import comparison_of, index_of, way_comparison_of
from webapp.evaluations.models import Evaluation
from webapp.evaluations.questions import Questions
from webapp.evaluations.views.tables import table_answer

ROWS = 50
KINDS = (("", "Won and lost"), ("won", "Won"), ("lost", "Lost"))


@team_page(Action.EVALUATION_VIEW)
@require_GET
def evaluation_compare(request: HttpRequest, team: Team) -> HttpResponse:
    """The second of two evaluations against the first; what cannot be compared is refused with the reasons."""
    context: dict[str, Any] = {
        "team": team,
        "choices": selectors.evaluations_to_choose(team=team),
        "may_submit": may(request.membership.role, Action.JOB_SUBMIT),
    }
    chosen = _chosen(request, team)
    if chosen is None:
        ticked = request.GET.getlist("of")
        context |= {"several": len(ticked), "given": ticked[0] if ticked else ""}
        return render(request, "evaluations/compare.html", context)
    first, second = chosen
    ways, shared = _ways(request), "shared" in request.GET
    names = _names(first, second)
    context |= {
        "first": first,
        "second": second,
        "sides": tuple(zip(("First", "Second"), chosen, names, ways, strict=True)),
        "names": names,
        "ways": ways,
        "shared": shared,
        "is_same": first.pk == second.pk,
        "query": request.GET.urlencode(),
        "forms": ENDINGS,
        "tables": ("differences", "changes"),
    }
    try:
        context |= {"ways_of": _ways_of(first, second)}
        context |= _compared(request, first, second, ways, shared, names)
    except NotComparable as error:
        context |= {"reasons": error.reasons or (str(error),), "may_share": not shared}
    except UserError as error:
        context |= {"reasons": (str(error),), "may_share": False}
    return render(request, "evaluations/compare.html", context)


@team_page(Action.EVALUATION_VIEW)
@require_GET
def evaluation_compare_table(request: HttpRequest, team: Team, table: str, form: str) -> HttpResponse:
    """A table of the comparison as CSV, Markdown or LaTeX."""
    chosen = _chosen(request, team)
    if chosen is None:
        return redirect("evaluation-compare", team.slug)
    first, second = chosen
    try:
        found = _tables(first, second, _ways(request), "shared" in request.GET)
    except UserError as error:
        raise Http404("These two cannot be compared.") from error
    if table not in found:
        raise Http404("The comparison has no such table.")
    return table_answer(found[table], form, name=f"{second.name} against {first.name}")


def _tables(first: Evaluation, second: Evaluation, ways: tuple[str, str], shared: bool) -> dict[str, ResultTable]:
    if _is_plain(first, second, ways):
        return comparison_tables(comparison_of(first=first, second=second, shared=shared))
    found = way_comparison_of(first=first, second=second, first_way=ways[0], second_way=ways[1], shared=shared)
    return way_tables(found, _names(first, second))


def _compared(
    request: HttpRequest,
    first: Evaluation,
    second: Evaluation,
    ways: tuple[str, str],
    shared: bool,
    names: tuple[str, str],
) -> dict[str, Any]:
    found: Comparison | WayComparison
    if _is_plain(first, second, ways):
        found = comparison_of(first=first, second=second, shared=shared)
        context = {
            "totals": comparison_totals(found, names),
            "sections": comparison_sections(found, names),
            "mcnemar": found.greedy.mcnemar if found.greedy else None,
            "measured_by": "greedy answers",
        }
    else:
        found = way_comparison_of(first=first, second=second, first_way=ways[0], second_way=ways[1], shared=shared)
        context = _way_context(found)
    changes = _changes(request, found.changes)
    texts = index_of(second)
    rows = [(change, texts.text(change.second_place)) for change in changes["changes"]]
    return context | changes | {"notes": found.notes, "questions": found.questions, "rows": rows, "kinds": KINDS}


def _way_context(found: WayComparison) -> dict[str, Any]:
    difference = found.measure.difference
    before, after = difference.first, difference.second
    won = sum(change.kind == "won" for change in found.changes)
    sides = f"({100 * before:.1f}% → {100 * after:.1f}%)"
    exact = found.measure.mcnemar
    note = f"lost {len(found.changes) - won:,}" + (f", McNemar p = {exact.p:.3g}" if exact else "")
    return {
        "totals": [
            total(f"{found.measure.name}, in points", points(difference), sides),
            {"name": "Questions won", "value": f"{won:,}", "note": note},
            {"name": "Questions", "value": f"{found.questions:,}", "note": "the same for both"},
        ],
        "sections": [],
        "mcnemar": exact,
        "measured_by": found.measure.name,
    }


def _changes(request: HttpRequest, changes: tuple[Change, ...]) -> dict[str, Any]:
    """Those of the kind and the domain that are looked for, a page of them."""
    kind, domain = request.GET.get("kind", ""), request.GET.get("domain", "")[:200]
    met = [each for each in changes if kind in ("", each.kind) and domain in ("", each.domain)]
    after = request.GET.get("after", "")
    start = int(after) if after.isdecimal() and len(after) < 9 else 0
    kept = request.GET.copy()
    kept.pop("after", None)
    return {
        "changes": met[start : start + ROWS],
        "change_count": len(met),
        "change_first": start,
        "earlier": f"{kept.urlencode()}&after={max(0, start - ROWS)}" if start else "",
        "later": f"{kept.urlencode()}&after={start + ROWS}" if start + ROWS < len(met) else "",
        "kind": kind,
        "domain": domain,
        "domains": sorted({each.domain for each in changes if each.domain}),
    }


def _chosen(request: HttpRequest, team: Team) -> tuple[Evaluation, Evaluation] | None:
    """Both by `first` and `second`, or by two values of `of`, the older one first. Raises `Http404`."""
    given = [request.GET.get("first", ""), request.GET.get("second", "")]
    if not all(given):
        given = sorted(request.GET.getlist("of"))
    if len(given) != 2:
        return None
    try:
        keys = [uuid.UUID(each) for each in given]
    except ValueError:
        raise Http404("no such evaluation") from None
    first, second = (selectors.evaluation_for(team=team, evaluation_id=key) for key in keys)
    return first, second


def _ways(request: HttpRequest) -> tuple[str, str]:
    return (request.GET.get("by", GREEDY)[:120] or GREEDY, request.GET.get("other_by", GREEDY)[:120] or GREEDY)


def _is_plain(first: Evaluation, second: Evaluation, ways: tuple[str, str]) -> bool:
    """Whether every measure of both is compared; else one way to answer with another."""
    return ways == (GREEDY, GREEDY) and first.pk != second.pk


def _ways_of(first: Evaluation, second: Evaluation) -> tuple[list[str], list[str]]:
    here, there = (Questions(index_of(each)).ways for each in (first, second))
    return here, there


def _names(first: Evaluation, second: Evaluation) -> tuple[str, str]:
    """Of the evaluations; told apart where they are the same."""
    if first.name != second.name:
        return first.name, second.name
    return f"{first.name} (first)", f"{second.name} (second)"

"""Evaluations for browser tests. Run in the process that may use the ORM (`Studio.call`)."""


def two_evaluations(*, team: str) -> dict[str, str]:
    """A base and a tuned policy on one benchmark, and the base on fewer questions of it; ids by name."""
    from tests.evaluations import shelved, two_sides
    from webapp.accounts.models import Team

    found = Team.objects.get(name=team)
    base, _, first, second = two_sides(found)
    fewer = shelved(found, type(base)(base.evaluation, base.rows[:20]), version=first.benchmark, name="Fewer")
    label = base.evaluation.selection.chosen.label
    return {
        "slug": str(found.slug),
        "base": str(first.pk),
        "tuned": str(second.pk),
        "fewer": str(fewer.pk),
        "way": label,
    }

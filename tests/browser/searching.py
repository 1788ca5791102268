"""What the browser tests of searches begin with. Run in the process that may use the ORM (`Studio.call`)."""


def questions(*, team: str, count: int) -> str:
    """A dataset of clinic questions in the team, and the bundled policy; gives the team's slug."""
    from meds3core.sandbox.questions import generate
    from webapp.accounts.actors import SYSTEM
    from webapp.accounts.models import Team
    from webapp.datasets.services import dataset_from_questions
    from webapp.registry.bundled import bundled_ensure

    found = Team.objects.get(name=team)
    dataset_from_questions(actor=SYSTEM, team=found, name="Clinic", questions=generate("train", count))
    bundled_ensure()
    return str(found.slug)

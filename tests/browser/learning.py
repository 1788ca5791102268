"""Label sets for browser tests. Run in the process that may use the ORM (`Studio.call`)."""


def label_set(*, team: str, name: str) -> None:
    """A few clinic trajectories to imitate, as a label set of the team."""
    from meds3core.config.labels import SftLabelConfig
    from meds3core.data.labels import write_labels
    from meds3core.labels.base import LabelSet as Labels
    from meds3core.types.labels import LabelCounts
    from tests.core.training.tiny import make_examples
    from webapp.accounts.models import Team
    from webapp.common.files import Store, folder_of
    from webapp.registry.models import LabelSet

    records = tuple(make_examples(8))
    row = LabelSet.objects.create(
        team=Team.objects.get(name=team), name=name, kind="sft", ready=True, records=len(records)
    )
    counts = LabelCounts(trees=len(records), questions=len(records), kept=len(records))
    write_labels(folder_of(Store.LABELS, row.pk), Labels(SftLabelConfig(), records, counts))


def taught(*, team: str, name: str) -> dict[str, int]:
    """Tokens of a label set that fine-tuning of the bundled policy trains on: of all examples, and of the first."""
    from meds3core.data.labels import read_labels
    from meds3core.encoding.trajectory import TrajectoryEncoder
    from meds3core.engines.policy import inspect_policy
    from meds3core.training.models import load_tokenizer
    from meds3core.training.rows import IGNORED, sft_rows
    from webapp.common.files import Store, folder_of
    from webapp.registry.bundled import bundled_ensure
    from webapp.registry.models import LabelSet

    labels = read_labels(folder_of(Store.LABELS, LabelSet.objects.get(team__name=team, name=name).pk))
    policy = inspect_policy(folder_of(Store.MODELS, bundled_ensure().pk))
    rows = sft_rows(TrajectoryEncoder(load_tokenizer(policy)), labels.records, 1024)
    counts = [sum(label != IGNORED for label in row.labels) for row in rows]
    return {"all": sum(counts), "first": counts[0]}


def curve(*, team: str, title: str, name: str) -> dict[str, list[float]]:
    """A stored curve of the team's job of this title."""
    from webapp.jobs.curves import lines_of
    from webapp.jobs.models import Job

    line = lines_of(job_id=Job.objects.get(team__name=team, title=title).pk)[name]
    return {"steps": line.steps, "values": line.values}

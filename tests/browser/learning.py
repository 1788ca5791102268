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

"""What the web application offers and what a worker can run are the same."""

from typing import get_args

from meds3core.config.jobs import JobSpec
from webapp.jobs.kinds import KINDS
from workers.runners import RUNNERS, runner_for


def test_what_is_offered_can_be_run():
    assert set(RUNNERS) == {name for name, kind in KINDS.items() if kind.offered}
    assert all(callable(runner_for(kind)) for kind in RUNNERS)


def test_every_specification_has_its_kind():
    specs = get_args(get_args(JobSpec)[0])
    assert {spec.model_fields["kind"].default for spec in specs} == set(KINDS)

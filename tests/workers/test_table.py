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


def test_lines_of_a_process_carry_the_job_that_it_works_on(capsys):
    import json
    import logging
    import threading

    from webapp.common.logging import formatter, process_works_on

    told = logging.StreamHandler()
    told.setFormatter(formatter())
    log = logging.getLogger("tests.job_lines")
    log.addHandler(told)
    log.propagate = False
    process_works_on(job="one", attempt=2)
    thread = threading.Thread(target=log.warning, args=("from a thread",))
    thread.start()
    thread.join()
    process_works_on()
    log.warning("afterwards")
    inside, outside = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (inside["job"], inside["attempt"]) == ("one", 2)
    assert "job" not in outside
    log.removeHandler(told)

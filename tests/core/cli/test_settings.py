import pytest
from pydantic import ValidationError

from meds3core.cli.progress import duration
from meds3core.cli.settings import with_changes
from meds3core.config.search import PRESETS, SearchConfig
from meds3core.errors import ConfigError


def test_changes_are_validated_copies():
    changed = with_changes(
        SearchConfig(), ["max_nodes=40", "backup=mean", "enough_correct=null", "step_draw.top_p=0.5"]
    )
    assert (changed.max_nodes, changed.backup, changed.enough_correct) == (40, "mean", None)
    assert changed.step_draw.top_p == 0.5
    assert SearchConfig().max_nodes == 60


@pytest.mark.parametrize("change", ["max_nodes", "nothing=1", "step_draw.nothing=1", "max_nodes.x=1"])
def test_what_cannot_be_set_is_said(change):
    with pytest.raises(ConfigError):
        with_changes(SearchConfig(), [change])


@pytest.mark.parametrize("change", ["max_nodes=0", "max_nodes=many", "backup=best", "accept_at=0.2"])
def test_values_that_do_not_fit_are_refused(change):
    with pytest.raises(ValidationError):
        with_changes(SearchConfig(), [change])


def test_presets_hold_the_published_values():
    """METHOD.md §2; the figures are those of the published configuration."""
    paper = PRESETS["paper"]
    assert (paper.exploration, paper.unvisited_score, paper.branching, paper.max_nodes) == (2.0, 5.0, 3, 60)
    assert (paper.accept_at, paper.reject_below, paper.max_reflections, paper.enough_correct) == (0.9, 0.5, 1, 4)
    assert (paper.backup, paper.max_depth, paper.rollout_tokens) == ("blend", None, 1536)
    assert [paper.rollouts_at(depth) for depth in (0, 1, 2, 3, 4, 9)] == [20, 10, 6, 5, 5, 5]
    assert [PRESETS["thorough"].rollouts_at(depth) for depth in (1, 2, 3, 9)] == [16, 10, 8, 8]
    quick = PRESETS["quick"]
    assert (quick.max_nodes, quick.rollouts_at(1), quick.rollouts_at(6)) == (16, 4, 4)
    assert (quick.step_tokens, quick.rollout_tokens) == (64, 128)


def test_durations():
    assert [duration(seconds) for seconds in (0.4, 42, 200, 7500)] == ["0 s", "42 s", "3 min 20 s", "2 h 05 min"]

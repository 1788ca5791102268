"""What tests of the web application share."""

import pytest
from django.core.cache import cache

from tests.web.people import World, signed_in
from webapp.accounts.rules import Role


@pytest.fixture
def world(db) -> World:
    """Two teams and everybody who may knock at their doors."""
    cache.clear()
    return World().built()


@pytest.fixture
def files(settings, tmp_path):
    """An empty folder for what the application keeps as files."""
    settings.FILES = str(tmp_path)


@pytest.fixture
def both(world, files):
    """Two evaluations of the same questions: as `meds3core` has them, then as the team has them."""
    from tests.evaluations import two_sides  # brings what evaluations are computed with

    return two_sides(world.team)


@pytest.fixture
def reader(world):
    """A viewer's browser."""
    return signed_in(world.by_role[Role.VIEWER])

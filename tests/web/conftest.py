"""What tests of the web application share."""

import pytest
from django.core.cache import cache

from tests.web.people import World


@pytest.fixture
def world(db) -> World:
    """Two teams and everybody who may knock at their doors."""
    cache.clear()
    return World().built()

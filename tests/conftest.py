"""For all tests: generated examples may take their time; files with slow tests begin first, so that no process is left
alone with a long one at the end.
"""

from collections import Counter

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something of the machine, not of the product.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order of files; within a file the order stays."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])

"""Every test here runs on one thread, so that sums have one order."""

import pytest


@pytest.fixture(autouse=True)
def _one_order(one_thread: None) -> None:
    """Use the fixture in every test."""

"""The contract of the record holds on both kinds of database."""

import pytest


@pytest.fixture(autouse=True)
def both_records(record):
    """Run each test on both."""

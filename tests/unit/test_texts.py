"""The documented examples of the formatting functions hold."""

import doctest

from mainspring.cli import status, texts
from mainspring.domain import codes


def test_examples_in_docstrings():
    for module in (texts, status, codes):
        result = doctest.testmod(module)
        assert result.attempted
        assert not result.failed

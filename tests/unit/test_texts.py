"""The documented examples of the formatting functions hold."""

import doctest

from mainspring.cli import printing, status, texts
from mainspring.domain import codes


def test_examples_in_docstrings():
    for module in (texts, status, codes, printing):
        result = doctest.testmod(module)
        assert result.attempted
        assert not result.failed

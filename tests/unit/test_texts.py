"""The documented examples of the formatting functions hold."""

import doctest

from mainspring.cli import printing, sinks, status, texts
from mainspring.domain import codes
from mainspring.sinks import decide, posting
from mainspring.sinks import texts as events
from mainspring.sinks.adapters import slack


def test_examples_in_docstrings():
    for module in (texts, status, codes, printing, sinks, decide, posting, events, slack):
        result = doctest.testmod(module)
        assert result.attempted
        assert not result.failed

"""What a notebook shows: through the protocol that it asks, with names that try to be HTML."""

import re
from html.parser import HTMLParser

import pytest

import mainspring as ms
from mainspring.domain import messages
from mainspring.domain.messages import Diff
from mainspring.domain.records import Reason, Verdict
from mainspring.sdk.studies import Study
from mainspring.tuning.trials import Trial

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
PLAIN = {"p", "b", "table", "thead", "tbody", "tr", "th", "td", "pre"}


class Tags(HTMLParser):
    """The tags, attributes and text of a piece of HTML."""

    def __init__(self, html):
        super().__init__()
        self.open, self.seen, self.styles, self.text = [], set(), set(), ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.seen.add(tag)
        self.styles |= set(attributes)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def show(thing, most=20_000):
    """Draw a thing as a notebook does, and hold it to what may be in it."""
    html = thing._repr_html_()
    tags = Tags(html)
    assert tags.open == []
    assert tags.seen <= PLAIN, tags.seen - PLAIN
    assert all(name == "style" and not re.search("color|url|background", value) for name, value in tags.styles)
    assert len(html) <= most
    assert len(repr(thing)) <= 300
    return tags.text


@pytest.fixture
def hostile(client):
    run = client.ask(messages.BeginRun(kind="step", name=HOSTILE, params={HOSTILE: HOSTILE})).run
    client.ask(messages.Report(run_id=run.id, attempt=1, fence=run.fence, offset=1, points=[(HOSTILE, 0, 0.0, 1.0)]))
    return run


def test_a_run_says_what_it_is_and_how_to_look_again(client, hostile):
    text = show(ms.Run(hostile.id))
    assert HOSTILE in text
    assert "run this cell again" in text
    client.ask(messages.FinishRun(run_id=hostile.id, attempt=1, fence=hostile.fence, state="succeeded"))
    assert "run this cell again" not in show(ms.Run(hostile.id))


def test_runs_are_a_table_of_so_many_rows(client, hostile):
    found = ms.runs()
    assert HOSTILE in show(found)
    assert repr(found) == "<Runs: 1>"
    many = type(found)([*found] * 200)
    assert "and 150 more" in show(many, most=120_000)


def test_verdicts_reasons_and_differences_are_drawn():
    verdict = Verdict(
        "1" * 32, "2" * 32, HOSTILE, "champion", HOSTILE, "rows@1", passed=False, summary=HOSTILE, evidence={}
    )
    assert "REFUSED" in show(verdict)
    assert HOSTILE in show(verdict)
    assert HOSTILE in show(Reason(HOSTILE, [HOSTILE, "second"]))
    assert HOSTILE in show(Diff([("+", "gate", HOSTILE, HOSTILE)]))
    assert "a long" in show(Reason("x", ["a long line " * 10] * 10))


def test_a_model_and_a_service_are_drawn(client, hostile):
    details = {
        "goal": {"text": HOSTILE, "metric": "auc", "owner": HOSTILE},
        "signature": {"inputs": [{"name": HOSTILE, "datatype": "FP32"}]},
        "trained_on": [HOSTILE],
        "parity": {"passed": True},
    }
    client.ask(messages.PutVersion(kind="model", name="late", digest="1" * 64, manifest={}, details=details))
    assert HOSTILE in show(ms.Model("late"))
    client.ask(messages.Deploy("late", "late@1"))
    assert "service late" in show(ms.Service("late"))
    client.ask(messages.StopService("late"))


def test_a_study_is_drawn(client, hostile):
    trials = [
        Trial(0, hostile.id, {HOSTILE: HOSTILE}, "succeeded", 0.7, ()),
        Trial(1, hostile.id, {}, "failed", None, ()),
    ]
    study = Study(ms.Run(hostile.id), ["auc"], ["max"], trials, {HOSTILE: 1.0}, HOSTILE)
    assert HOSTILE in show(study)


def test_a_handle_of_nothing_draws_the_error(client):
    client.ask(messages.GetStatus())
    for thing in (ms.Run("feed"), ms.Model("none"), ms.Service("none"), ms.Dataset("none")):
        assert re.match(r"[A-Z]+-\d{3}: ", show(thing)), thing

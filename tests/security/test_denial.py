"""Requests that ask for more than they are worth: bounded, and nobody else waits for them."""

import ast
import re._parser as parser
from pathlib import Path

from tests.support.access import HOME_USER

import mainspring
from mainspring.control.commits import Answer, Ask
from mainspring.domain import messages, records
from mainspring.domain.errors import MainspringError

SOURCES = sorted(Path(mainspring.__file__).parent.rglob("*.py"))
MANY = 5_000


def list_patterns():
    """Every pattern that stands in the code as a text, with its place."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                named = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
                first = node.args[0]
                if named and isinstance(first, ast.Constant) and isinstance(first.value, str):
                    yield f"{path.name}:{node.lineno}", first.value


def is_parted(body):
    """Tell whether a repeated part begins with a sign of its own, so that a text is read in one way only."""
    kind, value = body[0]
    return is_parted(value[3]) if kind is parser.SUBPATTERN else kind is parser.LITERAL


def blows_up(parsed, *, repeated=False):
    """Tell whether something that repeats without end holds something that does, as in ``(a+)+``."""
    for kind, value in parsed:
        parts = value if isinstance(value, tuple | list) else [value]
        endless = kind in {parser.MAX_REPEAT, parser.MIN_REPEAT} and value[1] == parser.MAXREPEAT
        if endless and repeated:
            return True
        inside = repeated or (endless and not is_parted(value[2]))
        for part in parts:
            for each in part if isinstance(part, list) else [part]:
                if isinstance(each, parser.SubPattern) and blows_up(each, repeated=inside):
                    return True
    return False


def test_no_pattern_takes_longer_than_its_text():
    found = dict(list_patterns())
    assert len(found) > 20
    assert [place for place, pattern in found.items() if blows_up(parser.parse(pattern))] == []
    assert [pattern for pattern in ("(a+)+", "(?:a*b?)*c", "(a|b+)*?") if not blows_up(parser.parse(pattern))] == []


def many(command, run):
    held = {"run_id": run.id, "attempt": 1, "fence": run.fence}
    texts = {f"name {at}": f"value {at}" for at in range(MANY)}
    spec = messages.RunSpec(kind="step", name="x", call=records.Call(payload="0" * 64))
    return {
        "params": lambda: messages.BeginRun(kind="step", name="x", params=texts, tags=texts),
        "keys": lambda: messages.Report(**held, offset=1, points=[(name, 0, 0.0, 1.0) for name in texts]),
        "points": lambda: messages.Report(**held, offset=2, points=[("loss", at, 0.0, 1.0) for at in range(MANY)]),
        "runs": lambda: messages.SubmitRuns(runs=[spec] * 500),
        "ids": lambda: messages.WaitRuns(ids=[run.id] * MANY, wait_s=0.0),
        "leases": lambda: messages.Heartbeat(leases=[(run.id, 1, run.fence)] * 2_000),
        "declarations": lambda: messages.Apply(
            declarations=[records.Declaration("view", f"v{at}", {}) for at in range(300)]
        ),
        "name": lambda: messages.BeginRun(kind="step", name="x" * 4_000_000),
        "key": lambda: messages.BeginRun(kind="step", name="x", key="k" * 100_000),
        "filter": lambda: messages.SearchRuns(filter=" or ".join(["state = failed"] * MANY)),
        "parentheses": lambda: messages.SearchRuns(filter="(" * MANY + "state = failed" + ")" * MANY),
    }[command]()


NAMES = ("params", "keys", "points", "runs", "ids", "leases", "declarations", "name", "key", "filter", "parentheses")


def test_what_is_much_is_answered_or_refused_and_its_neighbour_is_answered(record, desk):
    run = desk.ask(messages.BeginRun(kind="step", name="fit")).run
    for name in NAMES:
        asks = [Ask(many(name, run), HOME_USER), Ask(messages.GetRun(id=run.id), HOME_USER)]
        (outcome, neighbour), _ = desk.run(asks)
        assert isinstance(neighbour, Answer), (record, name)
        assert not isinstance(outcome, MainspringError) or outcome.code in {"RUN-011", "HOME-020"}, (name, outcome)
    desk.ask(messages.ListRuns(limit=10))

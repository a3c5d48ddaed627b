"""Hostile texts and numbers in every field of every command: refused by name, or kept as they are."""

import os
import random
import sys
import types
from contextlib import contextmanager
from math import inf, nan
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from msgspec import inspect
from tests.support.access import HOME_USER

from mainspring.control.arrivals import list_arrivals
from mainspring.control.commits import Answer, Ask
from mainspring.control.renewals import follow_labels
from mainspring.control.usecases import Later
from mainspring.domain import access, experiments, messages, records
from mainspring.domain.answers import ANSWERS
from mainspring.domain.errors import Invalid, MainspringError
from mainspring.domain.wire import decode_answer, decode_command, encode_command

SEED = 20261121
ROUNDS = 12
"""Of each command, on each record."""

OURS = {"HOME-015", "HOME-019", "HOME-030"}
"""Codes that blame the owner or the database for what a client sent."""

TEXTS = (
    "", " ", "'; DROP TABLE runs; --", 'x" UNION SELECT 1 --', "%", "_", "\\", "a\nb\r\nX-Header: 1",
    "../../outside", "/tmp/outside", "..\\..\\outside", "C:\\outside", "%2e%2e%2foutside", "a/../../b", "\0", "a\0b",
    "\u202edrowssap\u202c", "\u2066x\u2069\u200b\ufeff", "e\u0301 \u00e9 \U0001f9ed \uffff", "\x1b[2J\x1b]0;x\x07",
    "${jndi:ldap://127.0.0.1/x}", "$(touch outside)", "`touch outside`", "{0.__class__}", "%s%n%(name)s", "{{7*7}}",
    "<script>alert(1)</script>", "=1+1", "file:///etc/passwd", "http://169.254.169.254/latest/meta-data",
    "a" * 5_000, "@", "x@", "@1", "x@999999999999", "None", "*", "gate", "check",
)  # fmt: skip
WHOLE = (0, 1, -1, 2, 2**31 - 1, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**63))
REAL = (0.0, -0.0, 1.0, -1.0, 1e-320, 1e308, -1e308, inf, -inf, nan, 1.8e9)
PACKED = (
    b"",
    b"\xc1",
    b"\x91" * 10_000,
    b"\xdd\xff\xff\xff\xff",
    encode_command(messages.CancelRuns(ids=["' OR 1=1 --"])),
    encode_command(access.AddUser(name="../../outside")),
)
"""What a field holds that is a command itself."""

LEADING = {
    "name": ("orders", "delays", "web", "anna", "air", "database", "delays->best"),
    "reference": ("orders", "delays@1", "delays@best", "delays"),
    "model": ("delays@1", "delays"),
    "data": ("orders", "orders@1"),
    "principal": ("anna",),
    "alias": ("best",),
    "service": ("web",),
    "digest": ("0" * 64,),
}
"""What leads a command past its first look, so that its other fields are read at all."""

RUNS = {"run_id", "parent_id", "id", "ids", "thing"}


class Fields:
    """Values of every type of the wire, drawn from a seed."""

    def __init__(self, seed, run):
        self.source, self.run = random.Random(seed), run

    def make(self, kind, name=""):
        origin, inner = get_origin(kind), get_args(kind)
        if origin is Annotated:
            return self.make(inner[0], name)
        if kind is Any:
            return self.tree(3)
        if origin in {Union, types.UnionType}:
            return self.make(self.source.choice(inner), name)
        if origin is Literal:
            return self.source.choice(inner)
        if origin in {dict, list, tuple}:
            return self.many(origin, inner, name)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return self.struct(kind)
        return self.single(kind, name)

    def many(self, origin, inner, name):
        if origin is dict:
            return {self.text(): self.make(inner[1]) for _ in range(self.source.randrange(3))}
        if origin is tuple and inner[-1] is not Ellipsis:
            return tuple(self.make(each) for each in inner)
        return origin(self.make(inner[0], name) for _ in range(self.source.randrange(3)))

    def single(self, kind, name):
        if kind is str and name in RUNS and self.source.random() < 0.5:
            return self.run.id
        if kind is str:
            return self.source.choice(LEADING[name] if name in LEADING and self.source.random() < 0.5 else TEXTS)
        if kind is int and name in {"attempt", "fence", "number"} and self.source.random() < 0.7:
            return 1
        return {
            int: self.source.choice(WHOLE),
            float: self.source.choice(REAL),
            bool: self.source.random() < 0.5,
            bytes: self.source.choice(PACKED),
            type(None): None,
        }[kind]

    def struct(self, kind):
        hints = get_type_hints(kind, include_extras=True)
        given = (each for each in msgspec.structs.fields(kind) if each.required or self.source.random() < 0.7)
        return kind(**{each.name: self.make(hints[each.name], each.name) for each in given})

    def text(self):
        return self.source.choice(TEXTS)

    def tree(self, depth):
        """JSON of any shape."""
        kind = self.source.randrange(7 if depth else 5)
        if kind == 5:
            return [self.tree(depth - 1) for _ in range(self.source.randrange(3))]
        if kind == 6:
            return {self.text(): self.tree(depth - 1) for _ in range(self.source.randrange(3))}
        return (self.text(), self.source.choice(WHOLE), self.source.choice(REAL), None, True)[kind]


_opened = None


def _watch(event, arguments):
    if _opened is not None and event in {"open", "os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink"}:
        reads = event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        _opened.update((str(each), reads) for each in arguments[:2] if isinstance(each, str) and "/" in each)


sys.addaudithook(_watch)


@contextmanager
def opened():
    """Collect the paths that this process makes, moves or removes, and those that it reads."""
    global _opened
    _opened = set()
    try:
        yield _opened
    finally:
        _opened = None


def make_things(desk):
    """Something of each kind, so that commands find what they name."""

    def ask(command):
        return desk.ask(command, actor=HOME_USER)

    run = ask(messages.BeginRun(kind="step", name="fit")).run
    ask(messages.PutVersion(kind="dataset", name="orders", digest="d", manifest={"table": "orders"}))
    ask(messages.PutVersion(kind="model", name="delays", digest="m", manifest={}))
    ask(messages.MoveAlias(kind="model", name="delays", alias="best", number=1))
    ask(messages.Deploy(name="web", model="delays@best"))
    ask(access.AddUser(name="anna", role="editor"))
    ask(access.AddProject(name="air"))
    ask(access.AddSecret(name="database", value="a value"))
    return run


def fuzz(desk, run, seed):
    """Yield each command that the wire lets through, with its outcome."""
    fields = Fields(seed, run)
    for kind in sorted(ANSWERS.keys() - {messages.Stop}, key=lambda each: each.__name__):
        for _ in range(ROUNDS):
            try:
                command = decode_command(encode_command(fields.struct(kind)))
            except Invalid:
                continue  # what the wire itself refuses
            (outcome,), _ = desk.run([Ask(command, HOME_USER)])
            yield command, outcome


def test_no_field_of_any_command_breaks_anything(record, desk, capsys):
    run = make_things(desk)
    answered = refused = 0
    with opened() as paths:
        for command, outcome in fuzz(desk, run, SEED):
            if isinstance(outcome, Answer):
                answered += 1
                decode_answer(outcome.body, type(command))
            elif isinstance(outcome, MainspringError):
                refused += 1
                assert outcome.code not in OURS, (SEED, command, outcome)
            else:
                assert isinstance(outcome, Later)
    with capsys.disabled():
        print(f" [seed {SEED} on {record}: {answered} commands answered, {refused} refused] ", end="")
    assert min(answered, refused) > 100
    assert paths
    for path, reads in paths:
        assert path.startswith(str(desk.home.root)) or (reads and not {"outside", "passwd"} & set(Path(path).parts))
        assert ".." not in Path(path).parts
    for listing in (
        messages.ListRuns(), messages.SearchRuns(count=True), messages.ListVersions(kind="model"),
        messages.ListVersions(kind="dataset"), messages.ListServices(), messages.ListEvents(), messages.ListAlarms(),
        messages.ListRenewals(), access.ListUsers(), access.ListTokens(), access.ListSecrets(), access.ListProjects(),
        access.ListAudit(), messages.GetStatus(), messages.BeginRun(kind="step", name="after"),
    ):  # fmt: skip
        desk.ask(listing, actor=HOME_USER)  # nothing that was let in keeps others from what is theirs
    desk.call(follow_labels)
    desk.call(list_arrivals)


def test_a_text_comes_back_as_it_was_stored(record, desk):
    make_things(desk)
    for at, text in enumerate(TEXTS):
        if "\0" not in text:
            keep(desk, f"n{at}", text)


def keep(desk, name, text):
    """Store a text in every field that holds any text, and read it again; `name` is a plain one."""

    def ask(command):
        return desk.ask(command, actor=HOME_USER)

    tree = {text: [text, {"deep": text}]}
    value = records.Value("json", "0" * 64, 1, text)
    begun = messages.BeginRun(kind=f"k{text}", name=text, params=tree, tags={text: text}, key=text, details=tree)
    run = ask(begun).run
    held = {"run_id": run.id, "attempt": 1, "fence": run.fence}
    ask(messages.Report(**held, offset=1, points=[(text, 1, 2.0, 3.0)], params={"more": text}, tags={"more": text}))
    problem = records.Problem("RUN-006", text, text, text, text, tree)
    ask(messages.FinishRun(**held, state="failed", outputs=value, problem=problem))
    found = ask(messages.GetRun(id=run.id))
    assert (found.kind, found.name, found.key, found.details) == (f"k{text}", text, text, tree)
    assert (found.params, found.tags) == ({**tree, "more": text}, {text: text, "more": text})
    assert (found.outputs, found.problem.what, found.problem.traceback) == (value, text, text)
    assert found.problem.context == tree
    assert ask(messages.GetSeries(run_id=run.id, key=text)) == [(1, 2.0, 3.0)]
    assert [each.id for each in ask(messages.ListRuns(name=text))] == [run.id]
    ask(messages.PutVersion(kind="model", name=name, digest=text, manifest={}, details=tree))
    version = ask(messages.MoveAlias(kind="model", name=name, alias="best", number=1, reason=text))
    assert (version.digest, version.details) == (text, tree)
    assert ask(messages.ListEvents(kind="alias"))[-1].body["reason"] == text
    ask(messages.Apply(declarations=[records.Declaration("view", text, tree)]))
    assert ask(messages.GetDeclaration(kind="view", name=text)).body == tree
    ask(access.AddUser(name=name, identity=f"issuer#{text}"))
    assert ask(access.GetUser(identity=f"issuer#{text}")).identity == f"issuer#{text}"
    assert ask(access.IssueToken(principal=name, name=text)).record.name == text
    ask(access.AddSecret(name="database", value=f"value {text}"[:1000]))
    running = ask(messages.BeginRun(kind="step", name="fit")).run
    used = access.UseSecret(name="database", run_id=running.id, attempt=1, fence=running.fence)
    assert ask(used).value == f"value {text}"[:1000]


@pytest.mark.parametrize(
    ("command", "field"),
    [
        (messages.BeginRun(kind="step", name="x", resources=records.Resources(cpus=nan)), "cpus"),
        (messages.BeginRun(kind="step", name="x", resources=records.Resources(gpus=inf)), "gpus"),
        (messages.BeginRun(kind="step", name="x", resources=records.Resources(cpus=-64.0)), "cpus"),
        (messages.BeginRun(kind="step", name="x", resources=records.Resources(memory_bytes=-1)), "memory_bytes"),
        (messages.ListRuns(limit=-1), "limit"),
        (messages.ListEvents(after=2**64 - 1), "after"),
        (messages.Report(run_id="0" * 32, attempt=1, fence=1, offset=-1), "offset"),
        (messages.Report(run_id="0" * 32, attempt=1, fence=1, offset=0, points=[("x", 1, nan, 2.0)]), "points"),
        (experiments.LogBatch(run_id="0" * 32, points=[("x", 1, -inf, 2.0)]), "points"),
    ],
    ids=str,
)
def test_a_number_that_means_nothing_is_refused_by_its_field(command, field):
    with pytest.raises(MainspringError) as caught:
        decode_command(encode_command(command))
    assert caught.value.code == "HOME-004"
    assert field in caught.value.what


VALUES = {"Condition.value", "LogBatch.points", "ModelMetric.value", "Report.points"}
"""What people measure: it may be infinite, or no number."""


def find_unbounded(type_, where, seen):
    """Yield the fields that let through numbers without bounds."""
    if type_ is None:
        return
    if isinstance(type_, inspect.FloatType) and (type_.ge is None or type_.le is None):
        yield where
    inner = getattr(type_, "types", None) or getattr(type_, "item_types", ())
    for each in (*inner, *(getattr(type_, name, None) for name in ("item_type", "key_type", "value_type"))):
        yield from find_unbounded(each, where, seen)
    if isinstance(type_, inspect.StructType) and type_.cls not in seen:
        seen.add(type_.cls)
        for field in type_.fields:
            yield from find_unbounded(field.type, f"{type_.cls.__name__}.{field.name}", seen)


def test_every_number_of_a_command_has_bounds():
    seen = set()
    found = {where for command in ANSWERS for where in find_unbounded(inspect.type_info(command), "", seen)}
    assert found == VALUES


@pytest.mark.parametrize("number", [2**63, 2**64 - 1])
def test_a_number_beyond_the_record_is_refused_and_its_neighbours_stay(record, desk, number):
    late = messages.BeginRun(kind="step", name="late", pid=number)
    asks = [Ask(messages.BeginRun(kind="step", name="a"), HOME_USER), Ask(late, HOME_USER)]
    outcomes, _ = desk.run(asks)
    assert isinstance(outcomes[0], Answer)
    assert outcomes[1].code == "HOME-020"
    assert str(desk.home.root) not in str(outcomes[1])
    assert [run.name for run in desk.ask(messages.ListRuns())] == ["a"]


def test_a_metric_whose_key_holds_nul_is_refused(record, desk):
    run = desk.ask(messages.BeginRun(kind="step", name="fit")).run
    with pytest.raises(MainspringError) as caught:
        desk.ask(experiments.LogBatch(run_id=run.id, points=[("lo\0ss", 1, 0.0, 1.0)]))
    assert caught.value.code == "HOME-020"


def test_a_pipeline_that_no_loop_could_read_is_not_applied(record, desk):
    for body in ({}, {"triggers": None}, {"triggers": [{}], "snapshot": {}, "folder": ""}, {"snapshot": 1}):
        declaration = records.Declaration("pipeline", "train", body)
        with pytest.raises(MainspringError) as caught:
            desk.ask(messages.Apply(declarations=[declaration]))
        assert caught.value.code == "API-008"
        assert "'train'" in caught.value.what

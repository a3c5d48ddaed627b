"""Statements that are noted before SQLAlchemy builds them, and run as they were compiled before."""

import os
import subprocess
import sys

import msgspec
import pytest
import sqlalchemy

from mainspring.domain import messages
from mainspring.store import words
from mainspring.store.statements import COMPILED, Compiled, Statement, unpack_ids
from mainspring.store.tables import metadata, projects, runs, tokens
from mainspring.store.words import bindparam, build, func, identify, or_, select

KNOWN = msgspec.json.decode(COMPILED.read_bytes(), type=dict[str, Compiled])


def spell(phrase):
    return str(build(phrase).compile(compile_kwargs={"literal_binds": True}))


def test_a_phrase_means_what_sqlalchemy_means():
    noted = select(runs.c.id, func.count().label("n")).where(
        or_(runs.c.seq + 1 > 2, 3 - runs.c.seq < 4, ~runs.c.id.in_(["a"]))
    )
    table = build(runs)
    said = sqlalchemy.select(table.c.id, sqlalchemy.func.count().label("n")).where(
        sqlalchemy.or_(table.c.seq + 1 > 2, 3 - table.c.seq < 4, ~table.c.id.in_(["a"]))
    )
    assert spell(noted) == str(said.compile(compile_kwargs={"literal_binds": True}))


def test_sqlalchemy_takes_phrases():
    said = sqlalchemy.select(runs.c.id).where(runs.c.name == "fit").join(projects, projects.c.name == runs.c.project)
    assert spell(said) == spell(
        select(runs.c.id).where(runs.c.name == "fit").join(projects, projects.c.name == runs.c.project)
    )


def test_columns_are_known_as_sqlalchemy_has_them():
    for name, table in metadata.tables.items():
        assert [each.name for each in table.c] == [each.name for each in build(table).c], name
        assert "nothing" not in table.c
    with pytest.raises(AttributeError):
        build(runs.c.nothing)


def test_what_says_the_same_is_known_by_the_same():
    def make():
        below = select(runs.c.id)
        return [
            below.where(runs.c.seq < bindparam("below")),
            below.where(runs.c.seq <= bindparam("below")),
            below.where(runs.c.seq < bindparam("beyond")),
            below.where(runs.c.seq < 1),
            below.where(runs.c.seq < 1.0),
            below.where(runs.c.seq < "1"),
            below.where((runs.c.seq < 1) & (runs.c.seq < 2)),
            below.where((runs.c.seq < 1) | (runs.c.seq < 2)),
            select(runs.c.id, runs.c.seq),
            select(runs.c.seq, runs.c.id),
            select(tokens.c.id),
        ]

    marks = [identify(each) for each in make()]
    assert marks == [identify(each) for each in make()]
    assert None not in marks
    assert len(set(marks)) == len(marks)


def test_two_aliases_are_told_apart():
    def make(turned):
        first, second = runs.alias(), runs.alias()
        left, right = (second, first) if turned else (first, second)
        return select(first.c.id).where(second.c.id == "x", left.c.seq < right.c.seq)

    assert identify(make(False)) == identify(make(False))
    assert identify(make(False)) != identify(make(True))


def test_what_is_no_words_is_not_known():
    assert identify(select(build(runs).c.id)) is None
    assert identify(select(runs.c.id).where(func.f(object()))) is None


def test_a_statement_that_was_not_compiled_before_runs_all_the_same(desk):
    for name in ("b", "a"):
        desk.ask(messages.BeginRun(kind="step", name=name))
    statement = Statement(
        select(runs.c.name, runs.c.tags).where(runs.c.name.in_(unpack_ids("names"))).order_by(runs.c.name)
    )
    assert statement.identify() not in KNOWN
    found = []
    desk.call(lambda turn: found.extend(statement.all(turn.connection, names='["a", "b"]')))
    assert [name for name, _ in found] == ["a", "b"]


def test_what_sqlalchemy_runs_is_in_the_same_transaction(desk):
    class Meant(Exception):
        pass

    def work(turn):
        desk_sees = turn.connection.execute(select(func.count()).select_from(projects)).scalar_one()
        turn.connection.execute(words.insert(projects), {"name": "p", "created_by": "x", "created_at": 1.0})
        assert turn.connection.execute(select(func.count()).select_from(projects)).scalar_one() == desk_sees + 1
        raise Meant

    with pytest.raises(Meant):
        desk.call(work)
    found = []
    desk.call(
        lambda turn: found.append(turn.connection.execute(select(func.count()).select_from(projects)).scalar_one())
    )
    assert found == [0]


_LOOK = """
import gc, sys
sys.path.insert(0, "tools")
from statements import list_statements
from mainspring.store.statements import COMPILED, Compiled
import msgspec
known = msgspec.json.decode(COMPILED.read_bytes(), type=dict[str, Compiled])
made = {each.identify(): each.compile("sqlite") for each in list_statements()}
assert None not in made
assert len(made) > 100
assert [mark for mark, compiled in made.items() if mark in known and known[mark] != compiled] == []
missing = [made[mark].text for mark in made.keys() - known.keys()]
assert not missing, missing
"""


def test_what_was_compiled_before_is_what_sqlalchemy_says():
    done = subprocess.run([sys.executable, "-c", _LOOK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"python tools/statements.py\n{done.stderr}"


_OWN = """
import asyncio, sys, threading
from pathlib import Path
from mainspring.control.owner import load
load()
from mainspring.control.lifetime import Owner
from mainspring.store.homes import place_home
owner = Owner(place_home(Path(sys.argv[1])))

async def main():
    ready = asyncio.Event()
    running = asyncio.ensure_future(owner.run(ready))
    await ready.wait()
    script = await asyncio.create_subprocess_exec(sys.executable, sys.argv[2])
    assert await script.wait() == 0
    owner.end()
    await running

asyncio.run(main())
print(sorted({"sqlalchemy", "alembic"} & set(sys.modules)))
"""

_SCRIPT = """
import mainspring as ms

@ms.step
def read(count):
    return list(range(count))

@ms.step
def add(numbers):
    return sum(numbers)

@ms.pipeline
def train(count):
    return add(read(count))

@ms.step(cpus=0.1)
def climb(height):
    for step in range(9):
        ms.log(score=height * (step + 1), step=step)
    return height

assert train(4) == 6
study = ms.tune(
    climb,
    {"height": [9, 8, 7, 6, 1]},
    metric="score",
    searcher="grid",
    pruner="median",
    budget=ms.Budget(trials=5),
    parallel=4,
    start=[{"height": height} for height in (9, 8, 7, 6)],
)
assert "pruned" in [trial.state for trial in study.trials]
"""


def test_an_owner_answers_a_first_script_and_a_search_without_sqlalchemy(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    home = tmp_path / "home"
    done = subprocess.run(
        [sys.executable, "-c", _OWN, str(home), str(script)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "MAINSPRING_HOME": str(home), "MAINSPRING_PROGRESS": "0"},
    )
    assert done.stdout.strip().endswith("[]"), f"python tools/statements.py\n{done.stdout}{done.stderr}"

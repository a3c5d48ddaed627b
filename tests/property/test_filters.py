"""Searches give what a reading of the filter in plain Python gives, in pages without gap or repetition."""

import math
import operator
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainspring.domain import messages
from mainspring.domain.errors import Invalid
from mainspring.domain.filters import parse_filter
from mainspring.store.homes import place_home
from mainspring.store.search import FIELDS
from support.homes import Desk

TEXTS = ["fit", "Fit it", "a'b", 'say "x"', "12", "007", "true", "%", "ünïcode", "a\\b"]
NUMBERS = [0, 1, 2, 12, -1.5, 1e300]
KEYS = ["rate", "val loss", "a.b", 'with"quote']
COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

values = st.one_of(st.sampled_from(TEXTS), st.sampled_from(NUMBERS), st.booleans(), st.none())
made_runs = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(TEXTS),
            "params": st.dictionaries(st.sampled_from(KEYS), values, max_size=3),
            "tags": st.dictionaries(st.sampled_from(KEYS), st.sampled_from(TEXTS), max_size=2),
            "metrics": st.dictionaries(st.sampled_from(KEYS), st.sampled_from([*NUMBERS, math.nan]), max_size=2),
        }
    ),
    max_size=8,
)


def quote(text):
    return "'" + text.replace("'", "''") + "'"


fields = st.one_of(
    st.just("name"),
    st.builds(
        lambda head, key: f"{head}.{quote(key)}", st.sampled_from(["params", "tags", "metrics"]), st.sampled_from(KEYS)
    ),
)


@st.composite
def clauses(draw):
    field = draw(fields)
    numeric = field.startswith("metrics")
    operand = st.sampled_from(NUMBERS).map(str)
    if not numeric:
        operand |= st.sampled_from(TEXTS).map(quote)
    if field.startswith("params"):
        operand |= st.sampled_from(["007", "true", "12"])
    shape = draw(st.sampled_from(["compare", "in", "null", "not null", *([] if numeric else ["holds"])]))
    if shape == "in":
        inner = ", ".join(draw(st.lists(operand, min_size=1, max_size=3)))
        return f"{field} {draw(st.sampled_from(['in', 'not in', 'IN']))} ({inner})"
    if shape.endswith("null"):
        return f"{field} {'=' if shape == 'null' else '!='} null"
    if shape == "holds":
        return f"{field} ~ {quote(draw(st.sampled_from(TEXTS)))}"
    return f"{field} {draw(st.sampled_from([*COMPARE, '==']))} {draw(operand)}"


filters = st.recursive(
    clauses(),
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=6,
)


def read(run, field, key):
    """The value of a run as (number, text)."""
    value = getattr(run, field) if key is None else getattr(run, field).get(key)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None, None
    return (float(value), None) if isinstance(value, int | float) else (None, value)


def fold(text):
    return "".join(chr(ord(each) + 32) if "A" <= each <= "Z" else each for each in text)


def holds(node, run):
    kind = type(node).__name__
    if kind == "Not":
        return not holds(node.inner, run)
    if kind == "Every":
        return all(holds(part, run) for part in node.parts)
    if kind == "Some":
        return any(holds(part, run) for part in node.parts)
    number, text = read(run, node.field, node.key)
    if node.sign == "null":
        return number is None and text is None
    if node.sign == "~":
        return text is not None and fold(node.operands[0].text) in fold(text)
    sign = COMPARE["=" if node.sign == "in" else node.sign]
    return any(
        sign(number, each.number)
        if number is not None and each.number is not None
        else text is not None and sign(text, each.text)
        for each in node.operands
    )


def rank(run, field, key, *, descending):
    number, text = read(run, field, key)
    if number is None and text is None:
        return (2, 0.0, "")
    return (int((text is None) is descending), number or 0.0, text or "")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def desk(request, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "postgresql":
            server = request.getfixturevalue("postgresql")
            patch.setenv("MAINSPRING_RECORD", server.make_database("filters"))
        made = Desk(place_home(tmp_path_factory.mktemp("home")))
    yield made
    made.close()


@settings(max_examples=60, deadline=None)
@given(made_runs, filters, fields, st.booleans(), st.integers(1, 4))
def test_a_search_gives_what_its_words_say(desk, wanted, text, ordered, descending, limit):
    batch = desk.ask(messages.BeginRun(kind="step", name="batch")).run.id
    made = []
    for each in wanted:
        run = desk.ask(
            messages.BeginRun(kind="step", name=each["name"], params=each["params"], tags=each["tags"], parent_id=batch)
        ).run
        points = [(key, 0, 1.0, value) for key, value in each["metrics"].items()]
        desk.ask(messages.Report(run_id=run.id, attempt=1, fence=1, offset=len(points) + 1, points=points))
        made.append(SimpleNamespace(id=run.id, **each))
    node = parse_filter(text, FIELDS)
    expected = [run.id for run in reversed(made) if holds(node, run)]
    within = f"parent_id = {batch} and {text}"
    page = desk.ask(messages.SearchRuns(within, count=True))
    assert [run.id for run in page.runs] == expected
    assert (page.count, page.next) == (len(expected), None)

    (clause,) = [parse_filter(f"{ordered} = null", FIELDS)]
    by_id = {run.id: run for run in made}
    newest = {run_id: place for place, run_id in enumerate(expected)}
    keys = {each: rank(by_id[each], clause.field, clause.key, descending=descending) for each in expected}
    groups = [sorted((e for e in expected if keys[e][0] == each), key=newest.get) for each in (0, 1, 2)]
    for group in groups:
        group.sort(key=lambda each: keys[each][1:], reverse=descending)
        # sorted() keeps equal ones in their order, also in reverse
    found, page = [], ""
    while page is not None:
        answer = desk.ask(messages.SearchRuns(within, ("-" if descending else "") + ordered, limit, page))
        assert len(answer.runs) <= limit
        found += [run.id for run in answer.runs]
        page = answer.next
    assert found == [each for group in groups for each in group]


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("an' dor(),.=<>~\"\\\x00é1%_in null"), max_size=40))
def test_any_text_is_read_or_refused_with_a_position(text):
    fault = None
    try:
        parse_filter(text, FIELDS)
    except Invalid as raised:
        fault = raised
    if fault is not None:
        assert fault.code == "RUN-011"
        assert 0 <= fault.context["position"] <= len(text)


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("state = failed and", 18),
        ("state = failed name = x", 15),
        ("colour = red", 0),
        ("state failed", 6),
        ("attempt = many", 10),
        ("created_at > soon", 13),
        ("metrics = 3", 0),
        ("state.x = 3", 0),
        ("state = 'x", 8),
        ("(state = x", 10),
        ("state in ()", 10),
        ("cpu_s ~ 3", 6),
        ("state = x )", 10),
        ("a;drop table runs", 0),
    ],
)
def test_a_fault_is_told_with_its_position(text, position):
    with pytest.raises(Invalid) as caught:
        parse_filter(text, FIELDS)
    assert caught.value.context["position"] == position
    assert caught.value.what.endswith(" " * min(position, 30) + "^")


@pytest.mark.parametrize("text", ["(" * 40 + "attempt = 1" + ")" * 40, " or ".join(["attempt = 1"] * 101), "x" * 5000])
def test_filters_beyond_all_measure_are_refused(text):
    with pytest.raises(Invalid) as caught:
        parse_filter(text, FIELDS)
    assert caught.value.code == "RUN-011"


def test_a_page_belongs_to_its_search(desk):
    for _ in range(3):
        desk.ask(messages.BeginRun(kind="step", name="paged"))
    page = desk.ask(messages.SearchRuns("name = paged", limit=1)).next
    assert desk.ask(messages.SearchRuns("name = paged", limit=5, page=page)).next is None
    for wanted in (
        messages.SearchRuns("name != paged", page=page),
        messages.SearchRuns("name = paged", "cpu_s", page=page),
        messages.SearchRuns("name = paged", page="no page"),
        messages.SearchRuns("name = paged", page=page[:-4]),
    ):
        with pytest.raises(Invalid) as caught:
            desk.ask(wanted)
        assert caught.value.code == "RUN-013"

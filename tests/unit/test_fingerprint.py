"""The fingerprint of a call: what counts, what does not, and that it stays cheap to ask again."""

import copyreg
import datetime as dt
import enum
import functools
import linecache
import os
import types

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from tests.support.memory import Memory

from mainspring.domain.errors import Invalid
from mainspring.pipelines.contents import digest_content
from mainspring.pipelines.fingerprint import fingerprint, key
from mainspring.pipelines.reach import find_reach
from mainspring.security.seals import Seal
from mainspring.tracking.codecs import load_value, store_value

SEAL = Seal(b"k" * 32)


class Colour(enum.Enum):
    RED = 1


class Config:
    def __init__(self, depth):
        self.depth = depth

    def scale(self, x):
        return scaled(x)


def scaled(x):
    return x * 2


def build(text, name="f", **names):
    """Make a module of a text, as an import would, and return one of its functions."""
    module = types.ModuleType("made")
    file = f"<made {len(linecache.cache)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    vars(module).update(names)
    exec(compile(text, file, "exec"), vars(module))
    return vars(module)[name]


def code_of(text, **names):
    return dict(fingerprint(build(text, **names), {}).code)


def test_text_that_does_not_matter():
    plain = code_of("def f(x):\n    return g(x, 1)\ndef g(x, y):\n    return x\n")
    dressed = (
        '# top\n\n\ndef f(x):\n    """Doc."""\n    return g(\n        x, 1)  # why\n\n'
        'def g(x, y):\n    "doc"\n    return (x)\n'
    )
    assert code_of(dressed) == plain
    assert list(plain) == ["made.py:f()", "made.py:g()"]


def test_text_that_matters():
    plain = code_of("def f(x):\n    return x + 1\n")
    assert code_of("def f(x):\n    return x + 2\n") != plain
    assert code_of("def f(x):\n    return x - 1\n") != plain
    assert code_of("def f(x, y=1):\n    return x + 1\n") != plain
    assert code_of("def f(x):\n    return x + 1.0\n") != plain


def test_without_text_the_code_counts():
    def make(text):
        space = {"__name__": "made"}
        exec(compile(text, "<nowhere>", "exec"), space)
        return fingerprint(space["f"], {}).code["made.py:f()"]

    assert make("def f(x):\n    'doc'\n    return x + 1\n") == make("\n\ndef f(x):\n    'other'\n    return x + 1\n")
    assert make("def f(x):\n    return x + 1\n") != make("def f(x):\n    return x + 2\n")
    assert make("def f(x):\n    return x in {1, 2}\n") != make("def f(x):\n    return x in {1, 3}\n")


def test_a_cell_that_is_run_again_counts_by_its_text():
    first = build("RATE = 1\ndef f(x):\n    return x * RATE\n")
    second = build("RATE = 1\n\n\ndef f(x):\n    return x * RATE\n")
    third = build("RATE = 2\ndef f(x):\n    return x * RATE\n")
    prints = [fingerprint(each, {}) for each in (first, second, third)]
    assert key(prints[0]) == key(prints[1]) != key(prints[2])
    assert prints[0].code["made.py:RATE"] == "=1"


def test_a_name_that_is_bound_anew_is_seen():
    function = build("def f(x):\n    return g(x)\ndef g(x):\n    return x\n")
    before = fingerprint(function, {})
    assert find_reach(function) is find_reach(function)
    function.__globals__["g"] = build("def g(x):\n    return -x\n", "g")
    assert fingerprint(function, {}).code["made.py:g()"] != before.code["made.py:g()"]
    function.__globals__["late"] = 1
    assert "made.py:late" not in fingerprint(function, {}).code


def test_code_that_autoreload_exchanges_is_seen():
    function = build("def f(x):\n    return g(x)\ndef g(x):\n    return x\n")
    before = key(fingerprint(function, {}))
    function.__globals__["g"].__code__ = build("def g(x):\n    return x + 1\n", "g").__code__
    assert key(fingerprint(function, {})) != before


def test_a_captured_variable_that_changes_is_seen():
    def make():
        rate = 1

        def f(x):
            return x * rate

        def change():
            nonlocal rate
            rate = 2

        return f, change

    function, change = make()
    before = key(fingerprint(function, {}))
    change()
    assert key(fingerprint(function, {})) != before


def test_a_constant_that_changes_in_place_is_seen():
    limits = {"low": 1}
    function = build("def f(x):\n    return x * LIMITS['low']\n", LIMITS=limits)
    before = fingerprint(function, {})
    limits["low"] = 2
    assert fingerprint(function, {}).code["made.py:LIMITS"] != before.code["made.py:LIMITS"]


def test_wrappers_partials_and_methods_are_looked_through():
    text = "def f(x):\n    return half(x) + cached(x) + config.scale(x)\n"
    names = {
        "half": functools.partial(pow, 2),
        "cached": functools.lru_cache(maxsize=None)(scaled),
        "config": Config(3),
    }
    code = code_of(text, **names)
    file = "/".join(__name__.split(".")) + ".py"
    assert {f"{file}:scaled()", f"{file}:class Config", "made.py:config"} <= set(code)
    names["half"] = functools.partial(pow, 3)
    assert code_of(text, **names) != code


def test_libraries_count_by_their_version():
    function = build("import numpy as np\ndef f(x):\n    from sklearn.svm import SVC\n    return np.mean(x)\n")
    environment = fingerprint(function, {}).environment
    assert environment["numpy"] == np.__version__
    assert set(environment) == {"python", "numpy", "scikit-learn"}


def test_declared_variables_count_without_being_shown():
    function = build("def f(x):\n    return x\n")
    found = fingerprint(function, {}, {"TOKEN": "hush"})
    assert "hush" not in repr(found)
    assert key(found) != key(fingerprint(function, {}, {"TOKEN": "other"}))


VALUES = [
    None,
    1,
    True,
    1.0,
    "1",
    b"1",
    [1, 2],
    (1, 2),
    {"a": 1},
    {1, 2},
    frozenset({1, 2}),
    [[1], [2.0, "x" * 100]],
    Colour.RED,
    dt.date(2020, 1, 1),
    dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    range(3),
    np.arange(3),
    np.arange(3.0),
    np.arange(3).astype("i4"),
    np.float64(1),
    np.array([1, None], dtype=object),
    pl.DataFrame({"a": [1, 2]}),
    pl.DataFrame({"b": [1, 2]}),
    pl.DataFrame({"a": [1.0, 2.0]}),
    pl.Series("a", [1, 2]),
    Config(1),
    Config(2),
    scaled,
    Config,
    len,
    functools.partial(scaled, 1),
    Config(1).scale,
    LogisticRegression(C=1.0),
    LogisticRegression(C=2.0),
]


def test_different_values_have_different_digests():
    digests = [digest_content(value) for value in VALUES]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_digest_outlives_storage(value):
    memory = Memory()
    back = load_value(store_value(value, memory, SEAL), memory, SEAL)
    assert digest_content(back) == digest_content(value)


def test_a_table_counts_by_its_values_not_its_buffers():
    table = pl.DataFrame(
        {
            "n": [1, None, 3, 4],
            "s": ["a", None, "ccc", ""],
            "l": [[1], [], None, [2, 3]],
            "t": [dt.datetime(2020, 1, 1)] * 4,  # noqa: DTZ001 - polars keeps naive times
            "c": pl.Series(["u", "v", None, "u"]).cast(pl.Categorical),
            "r": [{"x": 1, "y": "a"}, {"x": None, "y": "b"}, None, {"x": 2, "y": None}],
            "b": [True, None, False, True],
            "d": [None] * 4,
        }
    )
    pieces = pl.concat([table[:1], table[1:3], table[3:]], rechunk=False)
    computed = table.with_columns(n=pl.when(pl.col("n") == 99).then(5).otherwise(pl.col("n")))
    assert digest_content(pieces) == digest_content(table) == digest_content(computed)
    memory = Memory()
    assert digest_content(load_value(store_value(pieces, memory, SEAL), memory, SEAL)) == digest_content(table)
    for name in table.columns[:-1]:
        other = table.with_columns(pl.col(name).shuffle(seed=3).reverse())
        if not other.equals(table):
            assert digest_content(other) != digest_content(table), name


def test_a_list_column_keeps_where_its_lists_end():
    one, two = pl.DataFrame({"l": [[1], [2, 3]]}), pl.DataFrame({"l": [[1, 2], [3]]})
    assert digest_content(one) != digest_content(two)
    texts = pl.DataFrame({"s": ["ab", "c"]}), pl.DataFrame({"s": ["a", "bc"]})
    assert digest_content(texts[0]) != digest_content(texts[1])


def test_memory_order_of_arrays_does_not_count():
    array = np.arange(6.0).reshape(2, 3)
    assert digest_content(np.asfortranarray(array)) == digest_content(array)
    assert digest_content(array.T) != digest_content(array)


def test_cycles_end():
    loop = [1]
    loop.append(loop)
    assert digest_content(loop) == digest_content(loop)
    config = Config(1)
    config.self = config
    assert digest_content(config)


def test_handles_count_by_their_own_digest():
    class Handle:
        def __init__(self, digest):
            self.digest = digest
            self.opened = object()

        def __mainspring_digest__(self):
            return self.digest

    assert digest_content(Handle("a")) == digest_content(Handle("a")) != digest_content(Handle("b"))


def test_a_file_that_is_written_again_in_the_same_moment_counts_anew(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("a,1")
    facts = path.stat()
    before = digest_content(path)
    path.write_text("a,2")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # what a disk with coarse times says by itself
    assert digest_content(path) != before


def test_files_count_by_content(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    for folder in ("one", "two"):
        (tmp_path / folder / "data.csv").write_text("a,b\n")
    one, two = tmp_path / "one" / "data.csv", tmp_path / "two" / "data.csv"
    assert digest_content(one) == digest_content(two)
    two.write_text("a,c,d\n")
    assert digest_content(one) != digest_content(two)
    assert digest_content(tmp_path / "one") != digest_content(tmp_path / "two")
    assert digest_content(tmp_path / "none") != digest_content(one)


def test_what_has_no_content():
    for value in ((each for each in [1]), [iter([]), (each for each in [1])], Config(open(__file__))):  # noqa: SIM115, PTH123
        with pytest.raises(Invalid, match="STEP-002: argument rows holds an object of type"):
            fingerprint(scaled, {"rows": value})
        if isinstance(value, Config):
            value.depth.close()


def test_what_is_too_deep():
    deep = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(Invalid, match="STEP-002: argument rows is nested too deeply"):
        fingerprint(scaled, {"rows": deep})
    long = "def f(x):\n    return " + " + ".join(f"x * {number}" for number in range(2000)) + "\n"
    assert code_of(long) == code_of(long)
    assert code_of(long) != code_of(long.replace("x * 7 ", "x * 8 "))


SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


@given(TREES, TREES)
def test_digests_are_equal_only_for_equal_values(left, right):
    equal = repr(left) == repr(right)
    assert (digest_content(left) == digest_content(right)) == equal
    memory = Memory()
    assert digest_content(load_value(store_value(left, memory, SEAL), memory, SEAL)) == digest_content(left)


def test_an_exception_counts_by_what_it_says_whoever_registered_how_it_is_pickled(monkeypatch):
    fault = KeyError("gone")
    before = digest_content(fault)
    try:
        raise fault
    except KeyError:
        pass
    monkeypatch.setitem(copyreg.dispatch_table, KeyError, lambda each: (KeyError, (str(each.__traceback__),)))
    assert digest_content(fault) == before != digest_content(KeyError("here"))

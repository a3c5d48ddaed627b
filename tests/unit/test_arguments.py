"""What is typed for a function's parameters becomes what its signature says."""

import enum
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal

import click
import pytest

import mainspring as ms
from mainspring.cli.arguments import read_arguments
from mainspring.domain.errors import Invalid


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


@dataclass
class Window:
    start: date
    folder: Path
    days: int = 7


@ms.step
def fit(
    rows: int = 1,
    rate: float = 0.1,
    dry: bool = False,
    name: str = "",
    folder: Path = Path(),
    since: datetime | None = None,
    day: date | None = None,
    parts: list[int] = [],  # noqa: B006 - nobody changes it
    files: list[Path] = [],  # noqa: B006 - as above
    mode: Literal["fast", "slow", 3] = "fast",
    colour: Colour = Colour.RED,
    window: Window | None = None,
    data: ms.Dataset | None = None,
    model: ms.Model | None = None,
    limit: int | str = 0,
    scale: Annotated[float, "metres"] = 1.0,
    table: object = None,
    free=None,
):
    return None


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("rows=12", 12),
        ("rate=3", 3.0),
        ("rate=1e-3", 0.001),
        ("dry=true", True),
        ("dry=no", False),
        ("name=3", "3"),
        ("name=a=b", "a=b"),
        ("name=", ""),
        ("folder=data/x", Path("data/x")),
        ("since=2026-11-01", datetime(2026, 11, 1)),  # noqa: DTZ001 - as it was typed
        ("since=2026-11-01T09:30:00Z", datetime(2026, 11, 1, 9, 30, tzinfo=UTC)),
        ("since=none", None),
        ("day=2026-11-01", date(2026, 11, 1)),
        ("parts=[1, 2]", [1, 2]),
        ('files=["a", "b"]', [Path("a"), Path("b")]),
        ("mode=slow", "slow"),
        ("mode=3", 3),
        ("colour=BLUE", Colour.BLUE),
        ("colour=b", Colour.BLUE),
        ('window={"start": "2026-11-01", "folder": "x"}', Window(date(2026, 11, 1), Path("x"))),
        ("limit=3", 3),
        ("limit=all", "all"),
        ("scale=2", 2.0),
        ("free=[1, null]", [1, None]),
        ("free=text", "text"),
    ],
)
def test_a_text_becomes_what_the_annotation_says(word, value):
    ((name, found),) = read_arguments(fit, [word]).items()
    assert name == word.partition("=")[0]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(("word", "kind"), [("data=flights@3", ms.Dataset), ("model=delays@champion", ms.Model)])
def test_a_reference_becomes_a_handle(word, kind):
    (found,) = read_arguments(fit, [word]).values()
    assert type(found) is kind


@pytest.mark.parametrize(
    ("word", "what"),
    [
        ("rows=many", "rows='many' is no whole number"),
        ("rows=1.5", "rows='1.5' is no whole number"),
        ("rate=fast", "rate='fast' is no number"),
        ("dry=maybe", "dry='maybe' is no true or false"),
        ("since=yesterday", "since='yesterday' is no time, such as 2026-11-01T09:30"),
        ("parts=1,2", "parts='1,2' is no JSON for list[int]"),
        ('parts=["a"]', "parts='[\"a\"]' is no list[int]: Expected `int`, got `str` - at `$[0]`"),
        ("mode=medium", "mode='medium' is no one of fast, slow, 3"),
        ("colour=green", "colour='green' is no one of RED, BLUE"),
        ('window={"days": 1}', "is no Window: Object missing required field `start`"),
        ("data=a@b@c", "a@b@c"),
    ],
)
def test_a_wrong_value_is_one_clear_error(word, what):
    with pytest.raises(Invalid) as caught:
        read_arguments(fit, [word])
    assert caught.value.code == "CLI-010"
    assert what in caught.value.what
    assert caught.value.why.startswith(f"fit takes {word.partition('=')[0]}: ")


def needs(first: int, second: int = 2):
    return first + second


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["3"], "'3' is not NAME=VALUE"),
        (["first=1", "first=2"], "first is given twice"),
        ([], "missing a required argument: 'first'; it takes (first: int, second: int = 2)"),
        (["frist=1"], "did you mean first?"),
    ],
)
def test_wrong_names_are_told_with_the_right_ones(words, text):
    with pytest.raises(click.UsageError) as caught:
        read_arguments(needs, words)
    assert text in caught.value.message


def test_a_kind_that_nobody_can_type_is_one_clear_error():
    def find(by: re.Pattern):
        return by

    def find_all(by: list[re.Pattern]):
        return by

    for function, word in ((find, 'by="a"'), (find_all, 'by=["a"]')):
        with pytest.raises(Invalid, match=r"CLI-010: by=.* is no value that can be typed; write a file"):
            read_arguments(function, [word])


def test_annotations_that_cannot_be_read_count_as_none():
    def later(x: "Missing"):  # noqa: F821 - a name that only a type checker knows
        return x

    assert read_arguments(later, ["x=3"]) == {"x": 3}

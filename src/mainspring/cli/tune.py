"""``mainspring tune``: search the arguments of a step of a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click
import msgspec

from mainspring.cli.arguments import read_argument, read_hints
from mainspring.cli.printing import Verb, print_json, print_next, wants_json
from mainspring.cli.studies import ShownStudy, find_study, print_study
from mainspring.cli.targets import find_file, find_function, guard
from mainspring.cli.texts import shorten_id
from mainspring.domain.errors import Invalid

_PLAIN = str | int | float | bool | None


@click.command(
    "tune",
    answer=ShownStudy,
    cls=Verb,
    epilog="Example: mainspring tune flights.py::fit leaves=15..255 rate=0.01..0.3:log --metric auc --trials 30",
)
@click.argument("target", metavar="FILE::FN")
@click.argument("space", nargs=-1, required=True, metavar="NAME=SPEC...")
@click.option("--metric", multiple=True, required=True, help="What it logs; more than one: the front is searched.")
@click.option("--mode", multiple=True, default=("max",), help="max or min, once or for each metric; default max.")
@click.option("--trials", type=int, help="At most so many runs of the step.")
@click.option("--hours", type=float, help="At most so long by the clock.")
@click.option("--gpu-hours", type=float, help="At most so many hours of devices.")
@click.option("--cost", type=float, help="At most so much, at the prices of the settings.")
@click.option("--searcher", default="tpe", show_default=True, help="tpe, random, grid, cmaes or an extension's.")
@click.option("--pruner", default="asha", show_default=True, help="asha, hyperband, median or none.")
@click.option("--parallel", type=int, help="Trials at a time; default: as many as there are cores.")
@click.option("--pool", help="Where trials run.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same search.")
@click.option("--repeats", type=int, default=2, show_default=True, help="Fresh seeds of the three best; 0: none.")
def command(
    target: str, space: tuple[str, ...], metric: tuple[str, ...], mode: tuple[str, ...], **options: Any
) -> None:
    """Search the arguments of a step; what is under way is cancelled when the budget is spent.

    SPEC is LOW..HIGH, LOW..HIGH:log or LOW..HIGH:STEP for a range, A,B,C for choices, one value for a
    fixed argument, each read as its parameter's annotation says, or JSON: lists are choices, objects are choices
    with what is searched below each, as in 'kind={"tree": {"depth": "2..9"}, "linear": {}}'.
    There is no --dry-run: --trials 1 tries one point.
    """
    from mainspring.sdk.searches import Budget, tune

    limits = {name: options.pop(name) for name in ("trials", "hours", "gpu_hours", "cost")}
    if all(limit is None for limit in limits.values()):
        raise Invalid("TUNE-005", "nothing limits the search", fix="--trials 20")
    budget = Budget(**limits)
    file, _, name = target.partition("::")
    function: Any = find_function(find_file(file, "mainspring tune"), name, "mainspring tune")
    read, fixed = _read_space(function, space)
    modes: Any = mode[0] if len(mode) == 1 else mode
    with guard(target):
        study = tune(
            function,
            read,
            args=fixed,
            metric=metric[0] if len(metric) == 1 else metric,
            mode=modes,
            budget=budget,
            **options,
        )
    found = find_study(study.run.id)
    if wants_json():
        print_json(found)
    else:
        print_study(found)
        print_next(f"mainspring why {shorten_id(study.run.id)}")


def read_spec(text: str) -> Any:
    """Read an entry of a space as people type it.

    Examples
    --------
    >>> read_spec("1..9"), read_spec("a,b"), read_spec("0.1")
    (Range(low=1, high=9, log=False, step=None), ['a', 'b'], [0.1])

    Raises
    ------
    Invalid
        TUNE-001 for a range that is none.
    """
    if text[:1] in {"[", "{"}:
        return _read_json(_read_value(text))
    low, dots, rest = text.partition("..")
    if not dots:
        return [_read_value(each) for each in text.split(",")]
    from mainspring.tuning.space import make_range

    high, _, more = rest.partition(":")
    bounds = [_read_value(low), _read_value(high)]
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in bounds):
        raise Invalid("TUNE-001", f"{text!r} is no range", fix="1..9, 0.01..0.3:log or 0..1:0.1")
    return make_range(*bounds, log=more == "log", step=None if more in {"", "log"} else _read_value(more))


def _read_json(value: Any) -> Any:
    """Read a choice: what stands below its options are spaces, whose entries may be typed as well."""
    if not isinstance(value, Mapping):
        return value
    return {option: _read_below(below) if isinstance(below, Mapping) else below for option, below in value.items()}


def _read_below(space: Mapping[str, Any]) -> dict[str, Any]:
    return {name: read_spec(spec) if isinstance(spec, str) else _read_json(spec) for name, spec in space.items()}


def _read_space(function: Callable[..., Any], words: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what is searched, and what every trial gets because no point can hold it, such as a dataset."""
    hints, searched, fixed = read_hints(function), {}, {}
    for word in words:
        name, mark, spec = word.partition("=")
        if not mark or not name.isidentifier() or not spec:
            raise click.UsageError(f"{word!r} is not NAME=SPEC")
        read = read_spec(spec)
        if name in hints and isinstance(read, list) and spec[0] not in "[{":
            read = [read_argument(function, name, each, hints[name]) for each in spec.split(",")]
        if isinstance(read, list) and len(read) == 1 and not isinstance(read[0], _PLAIN):
            fixed[name] = read[0]
        else:
            searched[name] = read
    return searched, fixed


def _read_value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text

"""What a search is to do, read and checked before anything starts."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from mainspring.domain.errors import Invalid
from mainspring.domain.records import Resources
from mainspring.sdk.environments import Env, find_env
from mainspring.sdk.steps import Step
from mainspring.sdk.studies import Study
from mainspring.tuning.budgets import Budget, Prices
from mainspring.tuning.pruners import PRUNERS
from mainspring.tuning.repeats import TOP, count_repeated
from mainspring.tuning.searchers import Searcher, find_searcher
from mainspring.tuning.space import Space, check_point, list_names, read_space

MODES = ("max", "min")
SEED = "seed"
"""The argument that a function takes when its result depends on chance."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A search as its caller gave it, checked.

    Attributes
    ----------
    args, named : tuple and dict of str to object
        What every trial gets, by place and by name.
    takes_seed : bool
        The function has an argument `seed` that nobody else gives.
    top : int
        So many of the best are run again; 0: none.
    prices : Prices
        What an hour costs, from the settings.
    env : Env or None
        Of the step, or of the pipeline that called: where a search goes on, no pipeline is around it.
    """

    step: Step[..., Any]
    space: Space
    args: tuple[Any, ...]
    named: dict[str, Any]
    metrics: tuple[str, ...]
    modes: tuple[str, ...]
    budget: Budget
    searcher: Searcher
    names: tuple[str, str]
    parallel: int
    pool: str | None
    seed: int
    repeats: int
    start: tuple[dict[str, Any], ...]
    takes_seed: bool
    top: int
    prices: Prices
    env: Env | None

    @property
    def resources(self) -> Resources:
        """What a trial asks of a node."""
        asked: Resources = self.step.settings.resources
        return asked if self.pool is None else replace(asked, pool=self.pool)

    def describe(self) -> dict[str, Any]:
        """Return what decides on the trials, as JSON."""
        one = len(self.metrics) == 1
        found: dict[str, Any] = {
            "space": msgspec.to_builtins(self.space),
            "metric": self.metrics[0] if one else list(self.metrics),
            "mode": self.modes[0] if one else list(self.modes),
            "searcher": self.names[0],
            "pruner": self.names[1],
            "seed": self.seed,
        }
        return found | ({"start": list(self.start)} if self.start else {})


def make_plan(
    fn: Any,
    space: Mapping[str, Any],
    *,
    args: Sequence[Any] | Mapping[str, Any],
    metric: str | Sequence[str],
    mode: str | Sequence[str],
    budget: Budget,
    searcher: str,
    pruner: str,
    parallel: int | None,
    pool: str | None,
    seed: int,
    start: Study | Sequence[Mapping[str, Any]],
    repeats: int,
) -> Plan:
    """Read and check what `tune` was given; raises as it does."""
    read = read_space(space)
    placed, named = ((), dict(args)) if isinstance(args, Mapping) else (args, {})
    _check_function(fn, read, placed, named)
    metrics, modes = _read_metrics(metric, mode)
    if pruner not in PRUNERS:
        raise Invalid("TUNE-007", f"pruner={pruner!r} is none of {', '.join(PRUNERS)}", setting="pruner")
    if len(metrics) > 1 and pruner != "none":
        what = f"pruner={pruner!r} compares by one metric, and {len(metrics)} were given"
        raise Invalid("TUNE-007", what, fix='pruner="none"', setting="pruner")
    for name, value, least in (("parallel", parallel, 1), ("repeats", repeats, 0), ("seed", seed, None)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise Invalid("TUNE-007", f"{name}={value!r} is no whole number", setting=name)
        if value is not None and least is not None and value < least:
            raise Invalid("TUNE-007", f"{name}={value} is below {least}", setting=name)
    if not isinstance(budget, Budget):
        raise Invalid("TUNE-005", f"{budget!r} is no budget")
    takes_seed = SEED in _list_open(fn, placed, named) and SEED not in list_names(read)
    return Plan(
        step=fn,
        space=read,
        args=tuple(placed),
        named=named,
        metrics=metrics,
        modes=modes,
        budget=budget,
        searcher=find_searcher(searcher),
        names=(searcher, pruner),
        parallel=parallel or len(os.sched_getaffinity(0)),
        pool=pool,
        seed=seed,
        repeats=repeats,
        start=_read_start(start, read),
        takes_seed=takes_seed,
        top=count_repeated(budget.trials, repeats) if takes_seed and len(metrics) == 1 else 0,
        prices=_read_prices(budget),
        env=find_env(fn.settings.env),
    )


def _check_function(fn: Any, space: Space, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    if not isinstance(fn, Step):
        raise Invalid("TUNE-006", f"{fn!r} is no step")
    names = inspect.signature(fn.function).parameters
    unknown = sorted({*list_names(space), *named} - set(names))
    if unknown and not any(each.kind is each.VAR_KEYWORD for each in names.values()):
        raise Invalid("TUNE-006", f"{fn.name} has no argument {', '.join(unknown)}")
    if not isinstance(args, Sequence) or isinstance(args, str):
        raise Invalid("TUNE-006", f"args={args!r} is no sequence of arguments", fix=f"args=({args!r},)")
    twice = [name for name in list_names(space) if name in names and name not in _list_open(fn, args, named)]
    if twice:
        raise Invalid("TUNE-006", f"{fn.name} gets {', '.join(twice)} by args and by the space")
    for name in _list_open(fn, args, named):
        if names[name].default is not names[name].empty or name in {*space, SEED}:
            continue
        if name in list_names(space):
            what = f"not every point has {name}, so {fn.name} needs a default for it"
            raise Invalid("TUNE-006", what, fix=f"def {fn.name}(..., {name}=None)")
        raise Invalid("TUNE-006", f"nothing gives {fn.name} its argument {name}", fix="args=(...)")


def _list_open(fn: Step[..., Any], args: Sequence[Any], given: Mapping[str, Any]) -> list[str]:
    """Return the named arguments that those given by place and by name leave open."""
    names = inspect.signature(fn.function).parameters.values()
    placed = [each for each in names if each.kind in {each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD}]
    taken = {*given, *(each.name for each in placed[: len(args)])}
    named = {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    return [each.name for each in names if each.kind in named and each.name not in taken]


def _read_metrics(metric: str | Sequence[str], mode: str | Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    metrics = (metric,) if isinstance(metric, str) else tuple(metric)
    if not metrics or len(set(metrics)) < len(metrics) or not all(isinstance(each, str) and each for each in metrics):
        raise Invalid("TUNE-007", f"metric={metric!r} is neither a name nor a list of names", setting="metric")
    modes = (mode,) * len(metrics) if isinstance(mode, str) else tuple(mode)
    if len(modes) != len(metrics) or any(each not in MODES for each in modes):
        what = f"mode={mode!r} is not one of {', '.join(MODES)} for each of {', '.join(metrics)}"
        raise Invalid("TUNE-007", what, setting="mode")
    return metrics, modes


def _read_start(start: Study | Sequence[Mapping[str, Any]], space: Space) -> tuple[dict[str, Any], ...]:
    if not isinstance(start, Study):
        return tuple(check_point(space, point) for point in start)
    found = []
    for params in start.list_best(TOP):
        try:
            found.append(check_point(space, params))
        except Invalid:
            continue  # the space has changed since; the others are worth their try
    if not found:
        raise Invalid("TUNE-001", f"no good point of the study {start.run.id[-6:]} lies in the space")
    return tuple(found)


def _read_prices(budget: Budget) -> Prices:
    texts = (os.environ.get("MAINSPRING_CPU_HOUR_COST"), os.environ.get("MAINSPRING_GPU_HOUR_COST"))
    try:
        prices = Prices(*(float(text or 0) for text in texts))
    except ValueError:
        raise Invalid("TUNE-008", f"a price of {' or '.join(map(repr, filter(None, texts)))} is no number") from None
    if budget.cost is not None and not any(price > 0 for price in prices):
        raise Invalid("TUNE-008", f"cost={budget.cost} limits nothing, for no price is known")
    return prices

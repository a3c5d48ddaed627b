"""Optuna's samplers by ask and tell; its storage is never the record."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import partial
from typing import Any

import optuna

from mainspring.tuning.space import Choice, Entry, Range, Space, walk
from mainspring.tuning.trials import Trial

_STATES = {
    "succeeded": optuna.trial.TrialState.COMPLETE,
    "pruned": optuna.trial.TrialState.PRUNED,
    "failed": optuna.trial.TrialState.FAIL,
    "cancelled": optuna.trial.TrialState.FAIL,
}


class TpeSampler:
    """The tree-structured Parzen estimator, multivariate, with a liar for parallel points.

    Source: Watanabe, "Tree-Structured Parzen Estimator", arXiv 2304.11127; Optuna's own. What is
    below a choice is estimated from the trials that chose it.
    """

    def ask(
        self, space: Space, trials: Sequence[Trial], *, count: int, modes: Sequence[str], seed: int
    ) -> list[dict[str, Any]]:
        """Return the next points; the study is rebuilt from the trials at each call."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=_fold_seed(seed * 100_003 + len(trials)),
                multivariate=True,
                group=any(isinstance(entry, Choice) and entry.below for entry in space.values()),
                constant_liar=True,
                n_startup_trials=8,
            )
        study = _fold(space, trials, modes, sampler)
        return [walk(space, partial(_suggest, study.ask())) for _ in range(count)]


def rank_importances(space: Space, trials: Sequence[Trial], *, mode: str, seed: int) -> dict[str, float]:
    """Return each parameter's share of the variance of the metric, largest first.

    Notes
    -----
    Source: PED-ANOVA, Watanabe et al., IJCAI 2023, as Optuna has it. Parameters that only some
    points have are not ranked. Empty with fewer than four finished trials or when all values are
    equal.
    """
    finished = [
        trial
        for trial in trials
        if trial.state == "succeeded" and trial.value is not None and math.isfinite(trial.value)
    ]
    if len(finished) < 4 or len({trial.value for trial in finished}) < 2:
        return {}
    study = _fold(space, finished, (mode,), optuna.samplers.RandomSampler(seed=_fold_seed(seed)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: round(float(share), 4) for name, share in shares.items()}


def _fold_seed(seed: int) -> int:
    """Return a seed in the range of NumPy's older generators, which Optuna uses."""
    return seed % 2**32


def _fold(space: Space, trials: Sequence[Trial], modes: Sequence[str], sampler: Any) -> Any:
    directions = ["maximize" if mode == "max" else "minimize" for mode in modes]
    study = optuna.create_study(directions=directions, sampler=sampler)
    study.add_trials([_freeze(space, trial, len(modes)) for trial in trials])
    return study


def _freeze(space: Space, trial: Trial, metrics: int) -> Any:
    params: dict[str, Any] = {}
    distributions: dict[str, Any] = {}

    def note(path: str, name: str, entry: Entry) -> Any:
        value = trial.params[name]
        params[path] = entry.values.index(value) if isinstance(entry, Choice) else value
        distributions[path] = _distribution(entry)
        return value

    walk(space, note)
    state = _STATES[trial.state]
    values = None
    if state == optuna.trial.TrialState.COMPLETE:
        values = list(trial.values) if metrics > 1 else [trial.value]
    return optuna.trial.create_trial(
        params=params,
        distributions=distributions,
        values=values,
        state=state,
        intermediate_values=dict(trial.curve) if metrics == 1 else None,
    )


def _suggest(trial: Any, path: str, _name: str, entry: Entry) -> Any:
    if isinstance(entry, Choice):
        return entry.values[trial.suggest_categorical(path, range(len(entry.values)))]
    if entry.whole:
        return trial.suggest_int(path, entry.low, entry.high, step=int(entry.step or 1), log=entry.log)
    return trial.suggest_float(path, entry.low, entry.high, step=entry.step, log=entry.log)


def _distribution(entry: Range | Choice) -> Any:
    if isinstance(entry, Choice):
        return optuna.distributions.CategoricalDistribution(range(len(entry.values)))
    if entry.whole:
        step = 1 if entry.step is None else int(entry.step)
        return optuna.distributions.IntDistribution(int(entry.low), int(entry.high), log=entry.log, step=step)
    return optuna.distributions.FloatDistribution(entry.low, entry.high, log=entry.log, step=entry.step)

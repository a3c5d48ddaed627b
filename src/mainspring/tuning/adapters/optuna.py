"""Optuna's samplers by ask and tell; its storage is never the record."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import optuna

from mainspring.tuning.space import Choice, Range, Space
from mainspring.tuning.trials import Trial

_STATES = {
    "succeeded": optuna.trial.TrialState.COMPLETE,
    "pruned": optuna.trial.TrialState.PRUNED,
    "failed": optuna.trial.TrialState.FAIL,
    "cancelled": optuna.trial.TrialState.FAIL,
}


class TpeSampler:
    """The tree-structured Parzen estimator, multivariate, with a liar for parallel points.

    Source: Watanabe, "Tree-Structured Parzen Estimator", arXiv 2304.11127; Optuna's own.
    """

    def ask(self, space: Space, trials: Sequence[Trial], *, count: int, mode: str, seed: int) -> list[dict[str, Any]]:
        """Return the next points; the study is rebuilt from the trials at each call."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                seed=_fold_seed(seed * 100_003 + len(trials)), multivariate=True, constant_liar=True, n_startup_trials=8
            )
        study = _fold(space, trials, mode, sampler)
        distributions = _distributions(space)
        return [study.ask(distributions).params for _ in range(count)]


def rank_importances(space: Space, trials: Sequence[Trial], *, mode: str, seed: int) -> dict[str, float]:
    """Return each parameter's share of the variance of the metric, largest first.

    Notes
    -----
    Source: PED-ANOVA, Watanabe et al., IJCAI 2023, as Optuna has it. Empty with fewer than four
    finished trials or when all values are equal.
    """
    finished = [
        trial
        for trial in trials
        if trial.state == "succeeded" and trial.value is not None and math.isfinite(trial.value)
    ]
    if len(finished) < 4 or len({trial.value for trial in finished}) < 2:
        return {}
    study = _fold(space, finished, mode, optuna.samplers.RandomSampler(seed=_fold_seed(seed)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: round(float(share), 4) for name, share in shares.items()}


def _fold_seed(seed: int) -> int:
    """Return a seed in the range of NumPy's older generators, which Optuna uses."""
    return seed % 2**32


def _fold(space: Space, trials: Sequence[Trial], mode: str, sampler: Any) -> Any:
    study = optuna.create_study(direction="maximize" if mode == "max" else "minimize", sampler=sampler)
    distributions = _distributions(space)
    for trial in trials:
        state = _STATES[trial.state]
        value = trial.value if state == optuna.trial.TrialState.COMPLETE else None
        study.add_trial(
            optuna.trial.create_trial(
                params=trial.params,
                distributions=distributions,
                value=value,
                state=state,
                intermediate_values=dict(trial.curve),
            )
        )
    return study


def _distributions(space: Space) -> dict[str, Any]:
    return {name: _distribution(entry) for name, entry in space.items()}


def _distribution(entry: Range | Choice) -> Any:
    if isinstance(entry, Choice):
        return optuna.distributions.CategoricalDistribution(entry.values)
    if entry.whole:
        step = 1 if entry.step is None else int(entry.step)
        return optuna.distributions.IntDistribution(int(entry.low), int(entry.high), log=entry.log, step=step)
    return optuna.distributions.FloatDistribution(entry.low, entry.high, log=entry.log, step=entry.step)

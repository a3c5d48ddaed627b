"""Mainspring takes a model from raw data to a watched service that renews itself.

Names load when they are first used, so that ``import mainspring`` stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mainspring.sdk.connect import connect as connect
    from mainspring.sdk.contracts import Contract as Contract
    from mainspring.sdk.contracts import Field as Field
    from mainspring.sdk.datasets import Dataset as Dataset
    from mainspring.sdk.datasets import write as write
    from mainspring.sdk.declarations import On as On
    from mainspring.sdk.declarations import apply as apply
    from mainspring.sdk.log import log as log
    from mainspring.sdk.log import log_params as log_params
    from mainspring.sdk.pipelines import pipeline as pipeline
    from mainspring.sdk.runs import Run as Run
    from mainspring.sdk.runs import run as run
    from mainspring.sdk.runs import runs as runs
    from mainspring.sdk.sources import source as source
    from mainspring.sdk.steps import step as step
    from mainspring.sdk.studies import Budget as Budget
    from mainspring.sdk.studies import between as between
    from mainspring.sdk.studies import tune as tune
    from mainspring.sdk.why import why as why

__version__ = "0.1.0"

# A name stands here when it works; `mainspring.sdk.<module>` holds it.
_MODULES: dict[str, str] = {
    "apply": "declarations",
    "between": "studies",
    "Budget": "studies",
    "connect": "connect",
    "Contract": "contracts",
    "Dataset": "datasets",
    "Field": "contracts",
    "log": "log",
    "log_params": "log",
    "On": "declarations",
    "pipeline": "pipelines",
    "Run": "runs",
    "run": "runs",
    "runs": "runs",
    "source": "sources",
    "step": "steps",
    "tune": "studies",
    "why": "why",
    "write": "datasets",
}

__all__ = [*_MODULES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'mainspring' has no attribute {name!r}")
    value = getattr(import_module(f"mainspring.sdk.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})

"""Mainspring takes a model from raw data to a watched service that renews itself.

Names load when they are first used, so that ``import mainspring`` stays cheap.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# A name stands here when it works; `mainspring.sdk.<module>` holds it.
_MODULES: dict[str, str] = {
    "apply": "declarations",
    "between": "studies",
    "Budget": "searches",
    "checkpoint": "checkpoints",
    "connect": "connect",
    "Contract": "contracts",
    "Cron": "triggers",
    "Dataset": "datasets",
    "deploy": "services",
    "Env": "environments",
    "feature_view": "features",
    "Field": "contracts",
    "Gate": "gates",
    "Goal": "models",
    "log": "log",
    "log_params": "log",
    "Model": "models",
    "Monitor": "monitors",
    "On": "triggers",
    "pipeline": "pipelines",
    "promote": "gates",
    "register": "models",
    "Run": "runs",
    "run": "runs",
    "runs": "runs",
    "secret": "secrets",
    "Service": "services",
    "source": "sources",
    "start_run": "scripts",
    "step": "steps",
    "tune": "searches",
    "why": "why",
    "write": "datasets",
}

__all__ = [*_MODULES]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'mainspring' has no attribute {name!r}")
    from mainspring.domain.loading import collecting_nothing

    with collecting_nothing():
        value = getattr(import_module(f"mainspring.sdk.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})

"""Names, texts and numbers that MLflow takes: its limits, and its words for what breaks them."""

from __future__ import annotations

import math
import posixpath
import re

from mainspring.api.mlflow.checks import invalid, too_long
from mainspring.api.mlflow.errors import MlflowError

NAME = "mlflow.runName"
"""Tag that holds what a run is called."""

MOST_KEY = 250
MOST_PARAM = 6_000
MOST_TAG = 8_000
MOST_EXPERIMENT_TAG = 20_000
MOST_NAME = 500

_LARGEST = 1.7976931348623157e308
_NAME = re.compile(r"[/\w.\- :]*")
_PLAIN = re.compile(r"[A-Za-z0-9_\-]+")
_RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")
_CHARACTERS = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) "
    "and slashes (/)."
)


def check_key(key: str, path: str) -> None:
    """Refuse what is no name of a metric, parameter or tag; `path` says where it stood.

    Raises
    ------
    MlflowError
        INVALID_PARAMETER_VALUE.
    """
    if _PLAIN.fullmatch(key):
        return
    if not _NAME.fullmatch(key):
        raise invalid(path, key, _CHARACTERS)
    plain = posixpath.normpath(key)
    if plain != key or plain == "." or plain.startswith(("..", "/")):
        why = "Names may be treated as files in certain cases, and must not resolve to other names"
        raise invalid(path, key, f"{why} when treated as such. This name would resolve to {plain!r}")


def check_length(name: str, most: int, value: str) -> None:
    """Refuse a text that is too long; `name` is what MLflow calls it.

    Raises
    ------
    MlflowError
        INVALID_PARAMETER_VALUE.
    """
    if len(value) > most:
        raise too_long(name, most)


def cut(value: str, most: int) -> str:
    """Return as much of a value as is kept: MLflow's server cuts long values of parameters and tags of runs."""
    return value[:most]


def check_tag(key: str, value: str, path: str = "") -> str:
    """Return the value of a run's tag as it is kept; refuse a key that is none.

    Raises
    ------
    MlflowError
        INVALID_PARAMETER_VALUE.
    """
    place = f"{path}.key" if path else "key"
    check_key(key, place)
    check_length(place, MOST_KEY, key)
    return cut(value, MOST_TAG)


def check_param(key: str, value: str, path: str = "") -> str:
    """Return the value of a parameter as it is kept; refuse a key that is none.

    Raises
    ------
    MlflowError
        INVALID_PARAMETER_VALUE.
    """
    check_key(key, f"{path}.key" if path else "key")
    check_length("Param key", MOST_KEY, key)
    return cut(value, MOST_PARAM)


def check_metric(key: str, value: float, timestamp: int, path: str = "") -> float:
    """Return the value of a metric as it is kept, infinities as the greatest numbers.

    Raises
    ------
    MlflowError
        INVALID_PARAMETER_VALUE.
    """
    check_key(key, f"{path}.name" if path else "name")
    if timestamp < 0:
        why = f"metric '{key}' (value={value}). Timestamp must be a nonnegative long (64-bit integer) "
        raise invalid(f"{path}.timestamp" if path else "timestamp", timestamp, why)
    check_length("Metric name", MOST_KEY, key)
    return math.copysign(_LARGEST, value) if math.isinf(value) else value


def check_run_id(run_id: str) -> None:
    """Refuse what cannot be the id of a run.

    Raises
    ------
    MlflowError
        INVALID_PARAMETER_VALUE.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise invalid("run_id", run_id)


def read_experiment_id(text: str) -> int:
    """Return the number of an experiment; empty stands for 0.

    Raises
    ------
    MlflowError
        INVALID_PARAMETER_VALUE for what is no whole number, RESOURCE_DOES_NOT_EXIST for one that none can have.
    """
    try:
        number = int(text or "0")
    except ValueError:
        raise MlflowError(f"Invalid experiment ID '{text}'. Experiment ID must be a valid integer.") from None
    if not 0 <= number < 2**63:
        raise MlflowError(f"No Experiment with id={number} exists", "RESOURCE_DOES_NOT_EXIST")
    return number

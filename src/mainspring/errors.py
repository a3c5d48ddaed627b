"""Errors of Mainspring, for `except`; the tree stands in `mainspring.domain.errors`."""

from mainspring.domain.errors import (
    Conflict,
    Denied,
    Failed,
    Interrupted,
    Invalid,
    MainspringError,
    NotFound,
    Preempted,
    Pruned,
    Unavailable,
)

__all__ = [
    "Conflict",
    "Denied",
    "Failed",
    "Interrupted",
    "Invalid",
    "MainspringError",
    "NotFound",
    "Preempted",
    "Pruned",
    "Unavailable",
]

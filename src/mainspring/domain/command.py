"""What every message of the wire is built on."""

from __future__ import annotations

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number of things, or a place among them."""

Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e10)]
"""A span; three centuries at most."""

Time = Annotated[float, msgspec.Meta(ge=-1e16, le=1e16)]
"""Seconds since 1970 UTC; what MLflow's clients may send in milliseconds is within."""


class Command(msgspec.Struct, tag=True, kw_only=True, omit_defaults=True):
    """What a client asks."""


class Nothing(msgspec.Struct):
    """An answer without content."""

"""What every message of the wire is built on."""

from __future__ import annotations

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""A number of things, or a place among them."""


class Command(msgspec.Struct, tag=True, kw_only=True, omit_defaults=True):
    """What a client asks."""


class Nothing(msgspec.Struct):
    """An answer without content."""

"""What every message of the wire is built on."""

from __future__ import annotations

import msgspec


class Command(msgspec.Struct, tag=True, kw_only=True, omit_defaults=True):
    """What a client asks."""


class Nothing(msgspec.Struct):
    """An answer without content."""

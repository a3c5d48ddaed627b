"""How an attempt travels to `mainspring.worker.once`: as a variable of its process."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

import msgspec

from mainspring.compute.engine import Spec
from mainspring.domain.errors import Invalid
from mainspring.domain.gangs import name_member

VARIABLE = "MAINSPRING_ATTEMPT"

RANK = "MAINSPRING_RANK"
"""Where one text goes to all members of a gang: which of them a process is."""


def write_attempt(spec: Spec) -> str:
    """Return the text of an attempt for ``MAINSPRING_ATTEMPT``; it holds the attempt's token."""
    return base64.b64encode(msgspec.msgpack.encode(spec)).decode()


def read_attempt(variables: Mapping[str, str]) -> Spec:
    """Read what an engine has given.

    Raises
    ------
    Invalid
        WORK-007 when it is missing or no attempt; the text is not repeated, it may hold a token.
    """
    text = variables.get(VARIABLE, "")
    try:
        spec = msgspec.msgpack.decode(base64.b64decode(text, validate=True), type=Spec)
        rank = int(variables.get(RANK, "0"))
        if spec.gang is None or not 0 < rank < spec.gang.nodes:
            return spec
        member = msgspec.structs.replace(spec.gang, rank=rank)
        return msgspec.structs.replace(spec, run_id=name_member(spec.run_id, rank), gang=member)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise Invalid("WORK-007", f"{VARIABLE} holds {len(text)} characters that are no attempt") from None

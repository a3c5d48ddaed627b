"""What of a request is not kept: the inputs that are sensitive."""

from __future__ import annotations

from collections.abc import Collection

import msgspec


def redact(body: bytes, names: Collection[str]) -> bytes:
    """Return a request that was read already, without the inputs of these names.

    Parameters
    ----------
    body : bytes
        JSON of the Open Inference Protocol.
    names : collection of str
        What is sensitive; without any the bytes stay as they are.

    Examples
    --------
    >>> redact(b'{"inputs":[{"name":"age"},{"name":"hour"}]}', {"age"})
    b'{"inputs":[{"name":"hour"}]}'
    """
    if not names:
        return body
    told = msgspec.json.decode(body)
    told["inputs"] = [each for each in told["inputs"] if each["name"] not in names]
    return msgspec.json.encode(told)

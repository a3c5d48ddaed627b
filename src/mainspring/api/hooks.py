"""The way in for hooks: who calls shows no token of ours, but a signature that the owner checks."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from mainspring.api.answers import reply
from mainspring.api.entrance import Entrance
from mainspring.api.frame import read_content
from mainspring.api.relay import Relay
from mainspring.domain.errors import Denied, NotFound, Unavailable
from mainspring.domain.triggers import MOST_BODY_BYTES, Received, ReceiveHook

PATH = "/hooks/{project}/{pipeline}/{name}"
SIGNED = ("authorization", "webhook-id", "webhook-timestamp", "webhook-signature", "x-hub-signature-256")
"""Headers that a signature may be in."""

_MOST_HOOKS = 1000
_MOST_LETTERS = 1000


class Allowance(msgspec.Struct):
    """How often each hook may still be called: a bucket that fills by one a second.

    Attributes
    ----------
    most : float
        Calls that a full bucket holds.
    left : dict
        Hook -> what its bucket holds, and since when; only of hooks that took calls.
    """

    most: float = 60.0
    left: OrderedDict[str, tuple[float, float]] = msgspec.field(default_factory=OrderedDict)

    def wait_s(self, hook: str, now: float) -> float:
        """Return how long the next call must wait; 0.0: it may come now.

        Examples
        --------
        >>> allowance = Allowance(most=2.0)
        >>> [(allowance.wait_s("ci", 0.0), allowance.take("ci", 0.0))[0] for _ in range(3)]
        [0.0, 0.0, 1.0]
        >>> allowance.wait_s("ci", 5.0)
        0.0
        """
        return max(0.0, 1.0 - self._count(hook, now))

    def take(self, hook: str, now: float) -> None:
        """Note a call that was believed."""
        self.left[hook] = max(self._count(hook, now) - 1.0, 0.0), now
        self.left.move_to_end(hook)
        if len(self.left) > _MOST_HOOKS:
            self.left.popitem(last=False)

    def _count(self, hook: str, now: float) -> float:
        count, since = self.left.get(hook, (self.most, now))
        return min(self.most, count + now - since)


def make_hook(relay: Relay, entrance: Entrance) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers a call of a hook.

    Notes
    -----
    Guarantees: whoever does not sign is told the same of hooks that are there and of others, and
    counts as a failed attempt of its address; only calls that were believed use up the allowance.
    """
    allowance = Allowance()

    async def receive(request: Request) -> Response:
        entrance.check_source(request)
        entrance.check_attempts(request)
        place = request.path_params
        hook = f"{place['project']}/{place['pipeline']}/{place['name']}"
        wait_s = allowance.wait_s(hook, monotonic())
        if wait_s > 0:
            raise Unavailable("TRIGGER-008", "this hook was called too often", wait_s=wait_s)
        content = await read_content(request, MOST_BODY_BYTES)
        command = ReceiveHook(
            place["pipeline"],
            place["name"],
            {name: request.headers[name][:_MOST_LETTERS] for name in SIGNED if name in request.headers},
            content,
            request.headers.get("content-type", "").partition(";")[0].strip().lower()[:_MOST_LETTERS],
        )
        try:
            answer: Received = await relay.ask(command, secrets.token_hex(16), project=place["project"])
        except NotFound:  # no such project
            answer = Received(accepted=False)
        if not answer.accepted:
            raise Denied("TRIGGER-007", "there is no such hook, or the call is not signed with its secret")
        allowance.take(hook, monotonic())
        return reply(answer, 202)

    return receive

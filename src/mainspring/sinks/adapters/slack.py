"""Slack: an incoming webhook, whose address is itself the secret."""

from __future__ import annotations

from collections.abc import Mapping

from mainspring.domain.errors import Invalid
from mainspring.domain.records import Event
from mainspring.domain.sinks import Answered, Delivery
from mainspring.security.fetch import split_url
from mainspring.security.masks import hide
from mainspring.sinks.kind import Ask, read_timeout_s
from mainspring.sinks.posting import post, write_json
from mainspring.sinks.texts import write_lines, write_title


class SlackKind:
    """Writes a message into the channel of an incoming webhook, or of what speaks like one."""

    events: tuple[str, ...] = ("alarm.*", "run.failed", "check.failed", "gate.*", "renewal.*", "rolled_back")
    options: tuple[str, ...] = ()

    def check(self, url: str, *, secret: bool, options: Mapping[str, str]) -> None:
        """Want the address as a secret: whoever knows it may write."""
        del options
        if url or not secret:
            raise Invalid(
                "SINK-003",
                "the address of an incoming webhook is a secret",
                fix="mainspring secrets add SLACK, then: mainspring sinks add NAME --kind slack --secret SLACK",
            )

    def send(self, delivery: Delivery, event: Event, now: float, ask: Ask) -> Answered:
        """Send one message."""
        del now, ask
        hide(split_url(delivery.secret, ("https",)).path)
        details = "\n".join(f"• {escape(line)}" for line in write_lines(event))
        body = write_json({"text": f"*{escape(write_title(event))}*\n{details}"})
        return post(delivery.secret, body, {}, read_timeout_s(delivery.options))


def escape(text: str) -> str:
    """Return a text that Slack shows as it is, without links and mentions.

    Examples
    --------
    >>> escape("<!channel> a & b")
    '&lt;!channel&gt; a &amp; b'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

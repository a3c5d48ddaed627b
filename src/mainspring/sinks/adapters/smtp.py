"""E-mail, by a server that speaks SMTP."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from email.utils import formatdate
from typing import TYPE_CHECKING
from urllib.parse import SplitResult

from mainspring.domain.errors import Invalid, Unavailable
from mainspring.domain.records import Event
from mainspring.domain.sinks import Answered, Delivery
from mainspring.security.fetch import Deadline, check_literal, connect, name_place, secure, split_url
from mainspring.sinks.kind import Ask, name_event, read_timeout_s
from mainspring.sinks.texts import write_lines, write_title

if TYPE_CHECKING:
    import smtplib

_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,253}\Z")
_MOST_ADDRESSES = 20
_WORDS = 300


class EmailKind:
    """Writes a letter for each event: ``smtp://`` with STARTTLS, ``smtps://`` with TLS from the start."""

    events: tuple[str, ...] = ("alarm.*", "run.failed", "check.failed", "gate.*", "renewal.*", "rolled_back")
    options: tuple[str, ...] = ("to", "from", "user", "tls")

    def check(self, url: str, *, secret: bool, options: Mapping[str, str]) -> None:
        """Refuse letters from or to nobody, and passwords in clear."""
        parts = split_url(url, ("smtp", "smtps"))
        check_literal(parts)
        addresses = [*_list_addresses(options), options.get("from", "")]
        wrong = next((each for each in addresses if not _ADDRESS.match(each)), None)
        if wrong is not None or not 2 <= len(addresses) <= _MOST_ADDRESSES + 1:
            what = (
                f"{wrong!r} is no address" if wrong is not None else f"letters go to 1 to {_MOST_ADDRESSES} addresses"
            )
            raise Invalid("SINK-003", what, fix="mainspring sinks add NAME --set from=me@example.org --set to=a@b,c@d")
        if options.get("tls", "starttls") not in {"starttls", "none"}:
            raise Invalid("SINK-003", f"tls={options['tls']!r} is neither starttls nor none")
        if secret is not ("user" in options):
            raise Invalid("SINK-003", "a user and a password (--set user=NAME, --secret SECRET) go together")
        if secret and options.get("tls") == "none" and parts.scheme == "smtp":
            raise Invalid("SINK-003", "a password is not sent without TLS")

    def send(self, delivery: Delivery, event: Event, now: float, ask: Ask) -> Answered:
        """Send one letter to all."""
        del ask
        import smtplib

        parts = split_url(delivery.url, ("smtp", "smtps"))
        with connect(parts, timeout_s=read_timeout_s(delivery.options)) as (connected, deadline):
            try:
                return _hand_over(connected, deadline, parts, delivery, write_letter(delivery, event, now))
            except smtplib.SMTPResponseException as refusal:
                return _judge(refusal)
            except (OSError, smtplib.SMTPException) as fault:
                if isinstance(fault, Unavailable):
                    raise
                deadline.check()
                what = f"{name_place(parts)} broke off: {type(fault).__name__}"
                raise Unavailable("FETCH-004", what) from None


def write_letter(delivery: Delivery, event: Event, now: float) -> bytes:
    """Return the letter of an event; a repetition has the same Message-ID."""
    from email.message import EmailMessage
    from email.policy import SMTP

    letter = EmailMessage(policy=SMTP)
    letter["Subject"] = f"mainspring: {write_title(event)}"[:200]
    letter["From"] = delivery.options["from"]
    letter["To"] = ", ".join(_list_addresses(delivery.options))
    letter["Date"] = formatdate(now)
    letter["Message-ID"] = f"<{name_event(delivery, event)}@mainspring>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content("\n".join([write_title(event), "", *write_lines(event), ""]))
    return letter.as_bytes()


def _hand_over(
    connected: socket.socket, deadline: Deadline, parts: SplitResult, delivery: Delivery, letter: bytes
) -> Answered:
    client = _greet(connected)
    try:
        if parts.scheme == "smtp" and delivery.options.get("tls") != "none":
            _expect(client.docmd("STARTTLS"), 220)
            client.sock = secure(client.sock, parts.hostname or "", deadline)  # type: ignore[arg-type]
            # What was said in clear counts no more.
            client.file, client.ehlo_resp, client.helo_resp, client.esmtp_features = None, None, None, {}
            _expect(client.ehlo(), 250)
        if "user" in delivery.options:
            if not f"{delivery.options['user']}{delivery.secret}".isascii():
                raise Invalid("SINK-003", "the user or the password has letters outside of ASCII")
            client.login(delivery.options["user"], delivery.secret)
        _expect(client.mail(delivery.options["from"]), 250)
        for address in _list_addresses(delivery.options):
            _expect(client.rcpt(address), 250, 251)
        code, words = client.data(letter)
        answer = _describe(code, words)
        return Answered("accepted", answer) if code == 250 else Answered("refused" if code >= 500 else "failed", answer)
    finally:
        client.close()


def _greet(connected: socket.socket) -> smtplib.SMTP:
    import smtplib

    own = connected.getsockname()[0]
    # Named by its address: to ask for its name could take longer than the letter may.
    client = smtplib.SMTP(local_hostname=f"[IPv6:{own}]" if ":" in own else f"[{own}]")
    client.sock = connected
    _expect(client.getreply(), 220)
    _expect(client.ehlo(), 250)
    return client


def _expect(reply: tuple[int, bytes], *codes: int) -> None:
    import smtplib

    if reply[0] not in codes:
        raise smtplib.SMTPResponseException(*reply)


def _judge(refusal: smtplib.SMTPResponseException) -> Answered:
    """All that is refused before the letter itself is the server's or an address's fault, not the event's."""
    return Answered("failed", _describe(refusal.smtp_code, refusal.smtp_error))


def _describe(code: int, words: bytes | str) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return f"{code} {' '.join(text.split())[:_WORDS]}"


def _list_addresses(options: Mapping[str, str]) -> list[str]:
    return [each.strip() for each in options.get("to", "").split(",") if each.strip()]

"""Numbers as people read them: ages, sizes, short ids, lags."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from mainspring.domain.sinks import Lag
from mainspring.domain.units import format_span

_SHORT = 6


def shorten_id(identifier: str) -> str:
    """Return the suffix of an identifier, which is its random part; verbs accept it.

    Examples
    --------
    >>> shorten_id("0193a1b2c3d47e5f8091a2b3c4d5e6f7")
    'd5e6f7'
    """
    return identifier[-_SHORT:]


def format_age(moment: float | None, now: float | None = None) -> str:
    """Return how long ago a moment was.

    Parameters
    ----------
    moment : float or None
        Seconds since 1970 UTC; None prints as a dash.
    now : float, optional
        Default: the clock's.

    Examples
    --------
    >>> format_age(1000.0, now=1190.0)
    '3m'
    """
    return "-" if moment is None else format_span((time.time() if now is None else now) - moment)


def format_money(amount: float) -> str:
    """Return an amount of money in the currency of the home; empty: nothing.

    Examples
    --------
    >>> format_money(1234.5), format_money(0.0042), format_money(0.0)
    ('1,234.50', '0.0042', '')
    """
    return "" if not amount else f"{amount:,.2f}" if amount >= 0.01 else f"{amount:.2g}"


def format_moment(moment: float | None) -> str:
    """Return a moment as UTC to the minute.

    Examples
    --------
    >>> format_moment(1356998400.0)
    '2013-01-01 00:00'
    """
    return "-" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")


def format_value(value: Any) -> str:
    """Return a parameter or metric in a few characters.

    Examples
    --------
    >>> format_value(0.73456), format_value("tpe")
    ('0.7346', 'tpe')
    """
    if isinstance(value, float):
        return f"{value:.4g}"
    text = str(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


def describe_lag(lag: Lag) -> str:
    """Return how far a sink is, in a few words.

    Examples
    --------
    >>> describe_lag(Lag("ops", "webhook", pending=3, waits_since=None, tries=2, set_aside=1))
    '3 pending, failed 2 times, 1 set aside'
    """
    words = [f"{lag.pending:,} pending"] if lag.pending else []
    words += [f"failed {lag.tries} times"] if lag.tries else []
    words += [f"{lag.set_aside} set aside"] if lag.set_aside else []
    return ", ".join(words) or "ok"

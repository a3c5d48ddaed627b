"""What an object store's fault means, read from a library's text without showing that text."""

from __future__ import annotations

import re

from mainspring.domain.errors import Denied, MainspringError, Unavailable

_OF_STORES = re.compile(
    r"Generic (S3|GCS|MicrosoftAzure) error|Error performing|object.?store|ObjectStore", re.IGNORECASE
)
_GONE = re.compile(r"NoSuchBucket|ContainerNotFound|The specified bucket does not exist")
_REFUSED = re.compile(r"token request|[Cc]redential|40[13] (Forbidden|Unauthorized)|AccessDenied|PermissionDenied")
_PERMANENT = re.compile(r"\b4(?!08|29)\d\d [A-Z][a-z]+|builder error")
_REASONS = (
    (r"<Code>(\w+)</Code>", "{}"),
    (r"\b([45]\d\d [A-Z][a-z]+(?: [A-Z][a-z]+)*)", "HTTP {}"),
    (r"(token request|[Cc]redential)", "no credentials"),
    (r"(timed out|TimedOut)", "timed out"),
    (r"(?i)(connection refused)", "connection refused"),
    (r"(?i)(connection reset|connection closed|end of file|incomplete|unexpected EOF|decod)", "the connection was cut"),
    (r"(dns error)", "unknown host"),
    (r"(certificate)", "a certificate that is not trusted"),
)


def is_outage(text: str) -> bool:
    """Tell whether a fault's text speaks of an object store."""
    return _OF_STORES.search(text) is not None


def is_passing(text: str) -> bool:
    """Tell whether a fault may pass by itself, so that trying again makes sense."""
    return not (_REFUSED.search(text) or _GONE.search(text) or _PERMANENT.search(text))


def explain_outage(text: str, url: str, *, missing: bool = False) -> MainspringError:
    """Make the error of an object store's fault.

    Parameters
    ----------
    text : str
        What the library says. It may hold signed addresses, so only known words of it are shown.
    url : str
        The place.
    missing : bool
        The fault is that the store's own mark is not there.

    Returns
    -------
    MainspringError
        BLOB-007 for a place that is gone, BLOB-006 for one that refuses, else BLOB-008.
    """
    found = [form.format(match[1]) for pattern, form in _REASONS if (match := re.search(pattern, text))]
    reason = ", ".join(dict.fromkeys(found)) or "no reason given"
    if missing or _GONE.search(text):
        return Unavailable("BLOB-007", f"{url} has no such place or mark ({reason})", url=url)
    if _REFUSED.search(text):
        return Denied("BLOB-006", f"{url} refuses ({reason})", url=url)
    return Unavailable("BLOB-008", f"{url} gives no answer ({reason})", url=url)

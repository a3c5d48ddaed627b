"""What looks like a secret in texts that leave a process: command lines and differences of code."""

from __future__ import annotations

import re
from collections.abc import Sequence

from mainspring.security.masks import MASK, mask

_WORDS = (
    r"[\w.-]*(?:passw(?:or)?d|passphrase|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[\w.-]*"
)
_RULES = (
    re.compile(r"(-----BEGIN [A-Z ]*PRIVATE KEY-----)[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
    re.compile(r"(://[^\s/:@]*:)[^\s/@]+(?=@)"),
    re.compile(rf"(?i)(\b{_WORDS}[\"']?\s*[:=]\s*[\"']?)[^\s\"',)]{{4,}}"),
    re.compile(r"(?i)(\b(?:bearer|basic)\s+)[\w.~+/=-]{8,}"),
    re.compile(
        r"()\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|glpat-[\w-]{16,}|hf_\w{20,}|sk-[\w-]{16,}|xox[abprs]-[\w-]{10,}"
        r"|ms[pw]_\w{16,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+)"
    ),
)
_OPTION = re.compile(rf"(?i)--?{_WORDS}\Z")


def mask_likely(text: str) -> str:
    """Return a text without hidden values and without what looks like one.

    Notes
    -----
    Guarantees: the values that `mainspring.security.masks` hides are masked. The rest is a guess by
    the words around it and by the forms of well-known keys; it masks too much rather than too
    little, and a secret of no form under no name is not found.

    Examples
    --------
    >>> mask_likely('db_password = "hunter2!"'), mask_likely("https://anna:pw12@db.example.org/x")
    ('db_password = "***"', 'https://anna:***@db.example.org/x')
    """
    text = mask(text)
    for rule in _RULES:
        text = rule.sub(rf"\g<1>{MASK}", text)
    return text


def mask_command(words: Sequence[str]) -> list[str]:
    """Return the words of a command, the one behind an option such as ``--password`` masked too.

    Examples
    --------
    >>> mask_command(["train.py", "--api-key", "abcdef", "--rate=0.1", "--token=abcdef"])
    ['train.py', '--api-key', '***', '--rate=0.1', '--token=***']
    """
    hidden = [False, *(_OPTION.match(word) is not None for word in words)]
    return [MASK if hide else mask_likely(word) for word, hide in zip(words, hidden, strict=False)]

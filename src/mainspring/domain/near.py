"""What somebody may have meant: the nearest of the words that there are."""

from __future__ import annotations

from collections.abc import Iterable


def suggest(word: str, known: Iterable[str], form: str = "{}", otherwise: str = "", *, most: int = 1) -> str:
    """Return the nearest known words in a text, such as the fix of an error.

    Parameters
    ----------
    word : str
        What was written.
    known : iterable of str
        What could have been meant.
    form : str
        The text, with ``{}`` where the words stand.
    otherwise : str
        The text when nothing is near.
    most : int
        At most so many words, joined by ``or``.

    Examples
    --------
    >>> suggest("statsu", ["status", "runs"], "mainspring {}")
    'mainspring status'
    >>> suggest("zebra", ["status"], "mainspring {}", "mainspring --help")
    'mainspring --help'
    """
    from difflib import get_close_matches  # only where somebody erred

    near = get_close_matches(word, list(known), n=most, cutoff=0.5)
    return form.format(" or ".join(near)) if near else otherwise

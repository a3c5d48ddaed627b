"""Texts read token by token: what every parser of filters begins with."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import NamedTuple

from mainspring.domain.errors import Invalid


class Token(NamedTuple):
    """A piece of a text: its kind, what it says, and where it stands."""

    kind: str
    text: str
    start: int
    end: int


class TokenReader(ABC):
    """Reads a text from its first token to the last, which is of kind ``end`` and stays.

    Parameters
    ----------
    text : str
        Any.
    pattern : Pattern
        Matches spaces and one token, in a group called as its kind; words are of kind ``word``, brackets and
        commas of kind ``mark``.

    Raises
    ------
    Invalid
        What `_fault` makes of a place where no token begins.
    """

    def __init__(self, text: str, pattern: re.Pattern[str]) -> None:
        self._text = text
        self._tokens = list(self._scan(pattern))
        self._at = 0

    @abstractmethod
    def _fault(self, what: str, token: Token | None = None) -> Invalid:
        """Return the refusal that says what is wrong at a token; None: at the next one."""

    @abstractmethod
    def _explain(self, rest: str) -> str:
        """Say what is wrong where no token begins; `rest` is the text from there."""

    def _scan(self, pattern: re.Pattern[str]) -> Iterator[Token]:
        at = 0
        while rest := self._text[at:].lstrip():
            found = pattern.match(self._text, at)
            if found is None:
                start = len(self._text) - len(rest)
                raise self._fault(self._explain(rest), Token("", "", start, start))
            kind = str(found.lastgroup)
            yield Token(kind, found[kind], found.start(kind), found.end())
            at = found.end()
        yield Token("end", "", len(self._text), len(self._text))

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _is_word(self, *words: str) -> bool:
        return self._next.kind == "word" and self._next.text.upper() in words

    def _is_mark(self, mark: str) -> bool:
        return self._next.kind == "mark" and self._next.text == mark

    def _skip(self, sign: str) -> bool:
        """Take the next token when it is this word, in capitals, or this mark; tell whether it was."""
        found = self._is_word(sign) or self._is_mark(sign)
        if found:
            self._take()
        return found

    def _expect(self, mark: str) -> None:
        if not self._skip(mark):
            raise self._fault(f"Expected '{mark}' found '{self._next.text}'")

"""The part of YAML that files of models are written in: read strictly, and never more than data."""

from __future__ import annotations

import json
import re
from typing import Any

_MOST_DEEP = 32
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None}
_WORDS |= dict.fromkeys(("true", "yes", "on"), True) | dict.fromkeys(("false", "no", "off"), False)
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?")
_NAMED_FLOATS = {".inf": "inf", "-.inf": "-inf", ".nan": "nan"}
_PLAIN_KEY = re.compile(r"([^ \t'\"\[\]{}&*!|>%@`#?:,-][^:#]*?|-[^ :#][^:#]*?) *:(?= |$)")
_ESCAPES = {"0": "\0", "a": "\a", "b": "\b", "t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b"}
_ESCAPES |= {
    "N": "\x85",
    "_": "\xa0",
    "L": "\u2028",
    "P": "\u2029",
    " ": " ",
    '"': '"',
    "\\": "\\",
    "/": "/",
    "\t": "\t",
}
_OTHER_BREAKS = re.compile("[\x85\u2028\u2029]")
_CODES = {"x": 2, "u": 4, "U": 8}


def read_yaml(text: str) -> Any:
    r"""Return what a document says.

    Returns
    -------
    dict, list, str, int, float, bool or None
        Dates stay texts.

    Raises
    ------
    ValueError
        With the line: a tag, an anchor, an alias, a block of literal text, a list in brackets that
        is not JSON, a key twice, more than 32 levels, a line that ends otherwise than by a line
        feed, or what is no YAML.

    Notes
    -----
    Reads what PyYAML's ``safe_dump`` writes in block style, and JSON in the place of a value.

    Examples
    --------
    >>> read_yaml("flavors:\n  onnx:\n    data: model.onnx\nparams: [1, 2]\n")
    {'flavors': {'onnx': {'data': 'model.onnx'}}, 'params': [1, 2]}
    """
    reader = _Reader(text)
    value = reader.read_block(0, -1)
    if reader.peek() is not None:
        raise reader.fail("belongs to nothing")
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self.lines = [line.rstrip("\r") for line in text.split("\n")]
        self.at = 0
        other = _OTHER_BREAKS.search(text)
        if other is not None:
            line = text.count("\n", 0, other.start()) + 1
            raise ValueError(f"line {line} is broken by {other[0]!r}, not by a line feed")
        if self.lines[0].rstrip(" ") == "---":
            self.at = 1

    def fail(self, what: str) -> ValueError:
        return ValueError(f"line {min(self.at + 1, len(self.lines))} {what}")

    def peek(self) -> tuple[int, str] | None:
        """Return the indentation and the text of the next line that says something."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            text = line.strip(" ")
            if text and not text.startswith("#"):
                if line.lstrip(" ").startswith("\t"):
                    raise self.fail("is indented by a tab")
                return len(line) - len(line.lstrip(" ")), text
            self.at += 1
        return None

    def read_block(self, depth: int, above: int) -> Any:
        """Read what is indented by more than `above`; None when nothing is."""
        found = self.peek()
        if found is None or found[0] <= above:
            return None
        if depth > _MOST_DEEP:
            raise self.fail(f"is nested more than {_MOST_DEEP} deep")
        indent, text = found
        if text == "-" or text.startswith("- "):
            return self._read_list(depth, indent)
        if _is_entry(text):
            return self._read_mapping(depth, indent)
        return self._read_scalar(text, above)

    def _read_list(self, depth: int, indent: int) -> list[Any]:
        items: list[Any] = []
        while (found := self.peek()) is not None and found[0] == indent and (found[1] == "-" or found[1][:2] == "- "):
            rest = found[1][1:].lstrip(" ")
            if not rest or rest.startswith("#"):
                self.at += 1
                items.append(self.read_block(depth + 1, indent))
            elif _is_entry(rest) or rest == "-" or rest.startswith("- "):
                self.lines[self.at] = " " * (indent + len(found[1]) - len(rest)) + rest
                items.append(self.read_block(depth + 1, indent))
            else:
                items.append(self._read_scalar(rest, indent))
        return items

    def _read_mapping(self, depth: int, indent: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while (line := self.peek()) is not None and line[0] == indent and not line[1].startswith("- "):
            key, rest = self._read_key(line[1])
            if key in found:
                raise self.fail(f"names {key!r} again")
            if not rest or rest.startswith("#"):
                self.at += 1
                following = self.peek()
                same = following is not None and following[0] == indent and following[1][:2] in {"-", "- "}
                found[key] = self.read_block(depth + 1, indent - 1 if same else indent)
            else:
                found[key] = self._read_scalar(rest, indent)
        return found

    def _read_key(self, text: str) -> tuple[str, str]:
        if text[0] in "'\"":
            key, end = _read_quoted(text)
            rest = text[end:] if end else ""
            if not end or not re.match(r" *:( |$)", rest):
                raise self.fail("has no key")
            return key, rest.lstrip(" ")[1:].strip(" ")
        match = _PLAIN_KEY.match(text)
        if match is None:
            raise self.fail("has no key")
        return match.group(1), text[match.end() :].strip(" ")

    def _read_scalar(self, text: str, indent: int) -> Any:
        """Read a value that begins here, and the lines that it goes on for."""
        if text[0] in "'\"":
            return self._read_quoted_lines(text)
        if text[0] in "[{":
            self.at += 1
            try:
                return json.loads(text, parse_constant=_refuse)
            except ValueError:
                raise self.fail("before this one holds no JSON") from None
        if text[0] in "&*!|>%@`?" or text.startswith(("- ", "<<")):
            raise self.fail(f"begins with {text[0]!r}, which is not read here")
        self.at += 1
        parts = [_strip_remark(text)]
        while (found := self.peek()) is not None and found[0] > indent:
            parts.append(_strip_remark(found[1]))
            self.at += 1
        whole = " ".join(parts)
        if re.search(r":( |$)", whole):
            raise self.fail("follows a colon in a value without quotes")
        return _resolve(whole)

    def _read_quoted_lines(self, text: str) -> str:
        parts = text
        while True:
            self.at += 1
            value, end = _read_quoted(parts)
            if end:
                if parts[end:].strip(" ") and not parts[end:].lstrip(" ").startswith("#"):
                    raise self.fail("follows more than a quote")
                return value
            if self.at >= len(self.lines):
                raise self.fail("ends inside a quote")
            parts = f"{parts}\n{self.lines[self.at]}"


def _is_entry(text: str) -> bool:
    """Tell whether a line begins with a key."""
    if text[0] not in "'\"":
        return _PLAIN_KEY.match(text) is not None
    _, end = _read_quoted(text)
    return bool(end) and re.match(r" *:( |$)", text[end:]) is not None


def _read_quoted(text: str) -> tuple[str, int]:
    """Return the text of a quote and where it ends; 0 when it goes on in the next line."""
    mark, place, found = text[0], 1, []
    while place < len(text):
        letter = text[place]
        if letter == mark:
            if mark == "'" and text[place + 1 : place + 2] == "'":
                found.append("'")
                place += 2
                continue
            return "".join(found), place + 1
        if letter == "\n":
            gap = re.compile(r"[ \t]*(\n[ \t]*)+").match(text, place)
            assert gap is not None
            breaks = gap.group().count("\n")
            while found and found[-1] in {" ", "\t"}:
                found.pop()
            found.append("\n" * (breaks - 1) or " ")
            place = gap.end()
        elif letter == "\\" and mark == '"':
            if place + 1 == len(text):
                return "", 0
            value, place = _read_escape(text, place + 1)
            found.append(value)
        else:
            found.append(letter)
            place += 1
    return "", 0


def _read_escape(text: str, place: int) -> tuple[str, int]:
    letter = text[place : place + 1]
    if letter == "\n":  # a line that goes on without a space
        return "", len(text) - len(text[place + 1 :].lstrip(" \t"))
    if letter in _CODES:
        end = place + 1 + _CODES[letter]
        digits = text[place + 1 : end]
        if re.fullmatch(f"[0-9a-fA-F]{{{_CODES[letter]}}}", digits) and int(digits, 16) <= 0x10FFFF:
            return chr(int(digits, 16)), end
    elif letter in _ESCAPES and letter:
        return _ESCAPES[letter], place + 1
    raise ValueError(f"a quote holds the escape {letter!r}, which is none")


def _strip_remark(text: str) -> str:
    return re.split(r" #", text, maxsplit=1)[0].rstrip(" ")


def _resolve(text: str) -> Any:
    if text in _WORDS or (text.lower() in _WORDS and text in {text.lower(), text.capitalize(), text.upper()}):
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return float(_NAMED_FLOATS[text.lower()]) if text.lower() in _NAMED_FLOATS else text


def _refuse(word: str) -> Any:
    raise ValueError(word)

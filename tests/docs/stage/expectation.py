"""Whether a command printed what a page says it prints, but for what differs from day to day."""

import re

_VARYING = [
    (re.compile(r"/[\w./~-]+"), "PATH"),
    (re.compile(r"\b[0-9a-f]{6,64}\b"), "ID"),
    (re.compile(r"[-+]?\d[\d,.:_]*"), "N"),
    (re.compile(r"\bN ?(ms|s|m|min|h|d|B|kB|MB|GB|us|bytes)\b"), "N"),
    (re.compile(r"\s+"), " "),
]


def find_missing(expected, printed):
    """Return the first expected line that is not printed, in order; None when all are.

    Numbers, ids, paths and blanks may differ; ``…`` and ``...`` stand for anything.
    """
    lines = iter([_plain(line) for line in printed.splitlines()])
    for line in expected:
        pattern = re.compile(".*".join(re.escape(_plain(part)) for part in re.split(r"…|\.\.\.", line)))
        if not any(pattern.search(each) for each in lines):
            return line
    return None


def _plain(line):
    for pattern, word in _VARYING:
        line = pattern.sub(word, line)
    return line.strip()

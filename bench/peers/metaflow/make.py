"""Write the flows of the comparison in Metaflow, whose steps are the lines of a class: ``make.py FOLDER COUNT...``."""

from __future__ import annotations

import sys
from pathlib import Path

HEAD = """
import os
import time

from metaflow import FlowSpec, Parameter, step


def mark(letter):
    with open(os.environ["LEDGER"], "a") as file:
        file.write(letter)

"""

LINK = """
    @step
    def {name}(self):
        mark("+")
        self.value = {value} + 1
        mark("-")
        {after}
"""

WIDE = """
class Wide(FlowSpec):
    count = Parameter("count", type=int)
    first = Parameter("first", type=int)

    @step
    def start(self):
        self.numbers = list(range(self.first, self.first + self.count))
        self.next(self.wait, foreach="numbers")

    @step
    def wait(self):
        mark("+")
        time.sleep(0.2)
        mark("-")
        self.value = self.input + 1
        self.next(self.gather)

    @step
    def gather(self, inputs):
        self.total = sum(each.value for each in inputs)
        self.next(self.end)

    @step
    def end(self):
        print("answer", self.total)


if __name__ == "__main__":
    Wide()
"""


def make_chain(count: int) -> str:
    """Return the source of a flow that adds one so many times."""
    names = ["start", *(f"add_{index}" for index in range(1, count - 1)), "end"]
    lines = [HEAD, "\nclass Chain(FlowSpec):\n    first = Parameter('first', type=int)\n"]
    for index, name in enumerate(names):
        value = "self.value" if index else "self.first"
        last = index == count - 1
        after = "print('answer', self.value)" if last else f"self.next(self.{names[index + 1]})"
        lines.append(LINK.format(name=name, value=value, after=after))
    return "".join([*lines, "\n\nif __name__ == '__main__':\n    Chain()\n"])


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for count in map(int, sys.argv[2:]):
        (folder / f"chain_{count}.py").write_text(make_chain(count))
    (folder / "wide.py").write_text(HEAD + WIDE)

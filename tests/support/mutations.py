"""Damages a booster's text in many ways and loads each; a program, since one that is taken wrongly ends its process."""

import random
import sys

import numpy as np

from mainspring.domain.errors import Invalid
from mainspring.models.adapters.lightgbm import LightgbmFlavor

NUMBERS = ["-1", "0", "3", "nan", "1e999", "x", "", "99999999", "-99999999", "2147483647", "4294967296"]


def damage(text: str, seed: int) -> str:
    """Return the text with one to three lines removed, repeated, cut, or changed in a number or a letter."""
    drawn, lines = random.Random(seed), text.split("\n")
    for _ in range(drawn.randint(1, 3)):
        place = drawn.randrange(len(lines))
        line = lines[place]
        key, _, values = line.partition("=")
        words = values.split(" ")
        match drawn.randrange(6):
            case 0:
                del lines[place]
            case 1:
                lines.insert(place, drawn.choice(lines))
            case 2:
                words[drawn.randrange(len(words))] = drawn.choice(NUMBERS)
                lines[place] = f"{key}={' '.join(words)}"
            case 3:
                at = drawn.randrange(len(line) + 1)
                lines[place] = line[:at] + chr(drawn.randrange(1, 256)) + line[at + 1 :]
            case 4:
                lines = lines[: max(1, place)]
            case 5:
                lines[place] = f"{key}={' '.join(drawn.choice([words[:-1], [*words, words[-1]]]))}"
    return "\n".join(lines)


def main(text: str, count: int, seed: int) -> None:
    """Load, and ask where it is taken; say each seed first."""
    flavor, refused = LightgbmFlavor(), 0
    for each in range(seed, seed + count):
        print(f"seed {each}", file=sys.stderr, flush=True)
        try:
            booster = flavor.load(damage(text, each).encode())
        except Invalid as fault:
            refused += fault.code == "MODEL-010"
            continue
        flavor.outputs(booster)
        booster.predict(np.linspace(-3, 3, 5 * booster.num_feature()).reshape(5, -1), num_threads=1)
    print(refused)


if __name__ == "__main__":
    main(sys.stdin.read(), int(sys.argv[1]), int(sys.argv[2]))

"""Models kept as code: what they answer, class by class."""

import numpy as np
import polars as pl

from mainspring.models.sealed import seal_package
from mainspring.security.seals import Seal


class Classes:
    """A classifier of a user's own, with some classes."""

    def __init__(self, count):
        self.count = count

    def predict(self, rows):
        return rows["x"].to_numpy() % self.count

    def predict_proba(self, rows):
        return np.eye(self.count)[self.predict(rows)]


def pack(count):
    return seal_package(Classes(count), pl.DataFrame({"x": [0, 1, 2, 3]}), Seal(b"k" * 32))


def test_of_two_classes_the_probability_of_the_second_is_answered():
    assert [(each.name, each.width) for each in pack(2).signature.outputs] == [("label", 1), ("probability", 1)]


def test_of_several_classes_each_probability_is_answered():
    assert [(each.name, each.width) for each in pack(3).signature.outputs] == [("label", 1), ("probability", 3)]

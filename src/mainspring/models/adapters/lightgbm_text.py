"""The text of a LightGBM booster, held against itself before the library reads it.

The library believes the text: sizes, places of children and numbers that are none end its process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import accumulate

_FLOAT = re.compile(r"-?(?:[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]{1,4})?|inf|nan)", re.ASCII)
_INT = re.compile(r"-?[0-9]{1,10}", re.ASCII)
_MOST_FEATURES, _MOST_CLASSES, _MOST_LEAVES = 1_000_000, 10_000, 1 << 20
_CATEGORICAL = 1
_END = "\nend of trees\n"
# What follows the trees: importances, parameters, categories of pandas, each in lines of its own.
_TAIL = re.compile(
    r"(?:\nfeature_importances:(?:\n[^\n=]+=[0-9.e+-]+)*\n)?"
    r"(?:\nparameters:\n(?:\[[a-z0-9_]+: [^\n]*\]\n)*\nend of parameters\n)?"
    r"(?:\npandas_categorical:[^\n]*\n?)?\n?",
    re.ASCII,
)
# Fields of a tree that the library reads, by how many numbers they have.
_OF_LEAVES, _OF_SPLITS = (
    ("leaf_weight", "leaf_count"),
    ("split_gain", "internal_value", "internal_weight", "internal_count"),
)


def check_text(content: bytes) -> str:
    """Return a booster's text, once it was found to be whole.

    Parameters
    ----------
    content : bytes
        Of a file that somebody else may have written.

    Raises
    ------
    ValueError
        A field is missing, there twice or no number; a size, a feature, a child or a category points outside; a tree
        is none.

    Notes
    -----
    Source: ``GBDT::LoadModelFromString`` and ``Tree::Tree`` of LightGBM 4. Cost: one pass over the text.
    """
    text = content.decode()
    if not text.startswith("tree\n") or "\0" in text or "\r" in text:
        raise ValueError("it is no text of a booster")
    head, found, tail = text.partition(_END)
    if not found or not _TAIL.fullmatch(tail):
        raise ValueError("what follows its trees is none of a booster" if found else "its trees have no end")
    first, *blocks = head.split("\nTree=")
    header = _read_fields(first)
    features = _read_header(header, first, len(blocks))
    sizes = [len(f"Tree={block}\n".encode()) for block in blocks]
    if blocks and _read_ints(header, "tree_sizes", len(blocks)) != sizes:
        raise ValueError("tree_sizes are not those of its trees")
    for number, block in enumerate(blocks):
        place, _, rest = block.partition("\n")
        if place != str(number) or not rest.endswith("\n"):
            raise ValueError(f"tree {number} is none")
        try:
            _check_tree(_read_fields(rest), features)
        except ValueError as fault:
            raise ValueError(f"tree {number}: {fault}") from None
    return text


def _read_header(header: Mapping[str, str], text: str, trees: int) -> int:
    """Return how many features there are."""
    classes, sums, last = (
        _read_ints(header, key, 1)[0] for key in ("num_class", "num_tree_per_iteration", "max_feature_idx")
    )
    if not 0 <= last < _MOST_FEATURES or not 1 <= classes <= _MOST_CLASSES or sums != classes or trees % sums:
        raise ValueError(
            f"{classes} classes, {sums} trees each time, {trees} trees and {last + 1} features do not agree"
        )
    _read_ints(header, "label_index", 1)
    for key in ("feature_names", "feature_infos"):
        if len(header.get(key, "").split(" ")) != last + 1:
            raise ValueError(f"{key} are not {last + 1}")
    if "monotone_constraints" in header:
        _read_ints(header, "monotone_constraints", last + 1)
    told = re.findall(r"num_class:(\S*)", header.get("objective", ""))
    if "version" not in header or any(each != str(classes) for each in told) or "\n\n\n" in text:
        raise ValueError("its first lines are none of a booster")
    return last + 1


def _check_tree(fields: Mapping[str, str], features: int) -> None:
    leaves, categories = (_read_ints(fields, key, 1)[0] for key in ("num_leaves", "num_cat"))
    if not 1 <= leaves <= _MOST_LEAVES or not 0 <= categories < leaves:
        raise ValueError(f"{leaves} leaves and {categories} categorical splits are none")
    _check_floats(fields, "leaf_value", leaves)
    _check_floats(fields, "shrinkage", 1)
    if fields.get("is_linear", "0") not in {"0", "1"}:
        raise ValueError(f"is_linear {fields['is_linear'][:20]!r} is neither 0 nor 1")
    if fields.get("is_linear") == "1":
        _check_linear(fields, leaves, features)
    if leaves == 1:
        return
    splits = leaves - 1
    _check_floats(fields, "threshold", splits)
    for keys, count in ((_OF_LEAVES, leaves), (_OF_SPLITS, splits)):
        for key in keys:
            if fields.get(key):
                _check_floats(fields, key, count)
    for each in _read_ints(fields, "split_feature", splits):
        _hold("split_feature", each, features)
    _check_children(_read_ints(fields, "left_child", splits), _read_ints(fields, "right_child", splits))
    decisions = _read_ints(fields, "decision_type", splits)
    for each in decisions:
        _hold("decision_type", each, 16)
    _check_categories(fields, categories, decisions)


def _check_children(left: list[int], right: list[int]) -> None:
    """Raise for what is no tree: each node but the first, and each leaf, has one parent that stands before it."""
    splits = len(left)
    seen: set[int] = set()
    for parent, pair in enumerate(zip(left, right, strict=True)):
        for child in pair:
            if child in seen or not (parent < child < splits or 0 <= ~child <= splits):
                raise ValueError(f"split {parent} has the child {child}")
            seen.add(child)


def _check_categories(fields: Mapping[str, str], categories: int, decisions: list[int]) -> None:
    """Raise when a split by categories points at none."""
    thresholds = fields["threshold"].split(" ")
    for decision, threshold in zip(decisions, thresholds, strict=True):
        if decision & _CATEGORICAL:
            if not _INT.fullmatch(threshold):
                raise ValueError(f"the categories {threshold[:20]!r} have no number")
            _hold("threshold", int(threshold), categories)
    if categories:
        ends = _read_ints(fields, "cat_boundaries", categories + 1)
        words = _read_ints(fields, "cat_threshold", len(fields.get("cat_threshold", "").split(" ")))
        for each in words:
            _hold("cat_threshold", each, 1 << 32)
        if ends[0] != 0 or ends[-1] != len(words) or ends != list(accumulate(ends, max)):
            raise ValueError("cat_boundaries are not those of cat_threshold")


def _check_linear(fields: Mapping[str, str], leaves: int, features: int) -> None:
    _check_floats(fields, "leaf_const", leaves)
    counts = _read_ints(fields, "num_features", leaves)
    if min(counts) < 0 or max(counts) > features:
        raise ValueError("num_features of a leaf are none")
    for key, pattern in (("leaf_features", _INT), ("leaf_coeff", _FLOAT)):
        values = fields.get(key, "").split()
        if len(values) != sum(counts) or not all(map(pattern.fullmatch, values)):
            raise ValueError(f"{key} are not {sum(counts)} numbers")
    for each in fields["leaf_features"].split():
        _hold("leaf_features", int(each), features)


def _read_fields(block: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in block.split("\n"):
        key, _, value = line.partition("=")
        if key and key in fields:
            raise ValueError(f"{key[:40]!r} is there twice")
        fields[key] = value
    return fields


def _read_ints(fields: Mapping[str, str], key: str, count: int) -> list[int]:
    values = fields.get(key, "").split(" ")
    if len(values) != count or not all(map(_INT.fullmatch, values)):
        raise ValueError(f"{key} {'is no number' if count == 1 else f'are not {count:,} numbers'}")
    return [int(each) for each in values]


def _check_floats(fields: Mapping[str, str], key: str, count: int) -> None:
    values = fields.get(key, "").split(" ")
    if len(values) != count or not all(map(_FLOAT.fullmatch, values)):
        raise ValueError(f"{key} {'is no number' if count == 1 else f'are not {count:,} numbers'}")


def _hold(key: str, value: int, below: int) -> None:
    if not 0 <= value < below:
        raise ValueError(f"{key} {value} is not below {below}")

"""Sums of decision trees, the form that gradient boosting of every library comes down to.

ONNX has an operator for them. Its thresholds are written as float64 here: a row then takes the
branch that the library takes, whatever the columns' type, which rounded thresholds do not keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

Link = Literal["identity", "exp", "logistic", "softmax"]


class Tree(msgspec.Struct, frozen=True):
    """One binary tree; every array has one entry for each node, the root first.

    Attributes
    ----------
    leaf : ndarray of bool
        Whether the node is a leaf.
    feature : ndarray of int
        Column that the node tests.
    threshold : ndarray of float64
        A row goes left when its value is at most this.
    nan_left : ndarray of bool
        Whether a row with NaN goes left.
    left, right : ndarray of int
        Number of the child node.
    value : ndarray of float64
        What a leaf adds to the sum.
    target : int
        Which of the forest's sums the tree adds to, from 0.
    """

    leaf: NDArray[np.bool_]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float64]
    nan_left: NDArray[np.bool_]
    left: NDArray[np.int64]
    right: NDArray[np.int64]
    value: NDArray[np.float64]
    target: int = 0


class Forest(msgspec.Struct, frozen=True):
    """Trees whose values add up, and the function from the sums to the answer.

    Attributes
    ----------
    trees : sequence of Tree
        The trees.
    start : ndarray of float64
        Where each sum starts; its length is the number of sums.
    link : str
        identity, exp or logistic (regression), logistic (two classes, one sum) or softmax.
    scale : float
        Factor of the sums before a logistic link.
    single : bool
        Whether the library reads every column as float32 before it tests it.
    """

    trees: Sequence[Tree]
    start: NDArray[np.float64]
    link: Link
    scale: float = 1.0
    single: bool = False


def describe_forest(forest: Forest) -> dict[str, Any]:
    """Return the attributes of an ONNX ``TreeEnsembleRegressor`` that computes the sums.

    Returns
    -------
    dict of str to list, str, int or ndarray
        Attribute -> value; the arrays are those that ONNX takes as tensors. Operator set
        ``ai.onnx.ml`` 3 or 4.
    """
    sizes = [len(tree.leaf) for tree in forest.trees]
    tree_ids = np.repeat(np.arange(len(sizes)), sizes)
    node_ids = np.concatenate([np.arange(size) for size in sizes])
    leaf = _join(forest, "leaf")
    targets = np.repeat([tree.target for tree in forest.trees], sizes)
    return {
        "n_targets": len(forest.start),
        "aggregate_function": "SUM",
        "post_transform": "NONE",
        "nodes_treeids": tree_ids.tolist(),
        "nodes_nodeids": node_ids.tolist(),
        "nodes_modes": np.where(leaf, "LEAF", "BRANCH_LEQ").tolist(),
        "nodes_featureids": np.where(leaf, 0, _join(forest, "feature")).tolist(),
        "nodes_truenodeids": np.where(leaf, 0, _join(forest, "left")).tolist(),
        "nodes_falsenodeids": np.where(leaf, 0, _join(forest, "right")).tolist(),
        "nodes_missing_value_tracks_true": np.where(leaf, 0, _join(forest, "nan_left")).astype(int).tolist(),
        "nodes_values_as_tensor": np.where(leaf, 0.0, _join(forest, "threshold")),
        "target_treeids": tree_ids[leaf].tolist(),
        "target_nodeids": node_ids[leaf].tolist(),
        "target_ids": targets[leaf].tolist(),
        "target_weights_as_tensor": _join(forest, "value")[leaf] * forest.scale,
        "base_values_as_tensor": forest.start * forest.scale,
    }


def _join(forest: Forest, field: str) -> NDArray[Any]:
    return np.concatenate([getattr(tree, field) for tree in forest.trees])

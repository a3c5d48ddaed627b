"""The contract suite of flavors: what every adapter of a model library does.

A flavor's tests inherit `FlavorContract` and give it the fixtures ``flavor``, ``model`` (a fitted
object that the flavor writes and converts) and ``rows`` (a frame with the model's features).
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np

from mainspring.domain.errors import Invalid
from mainspring.models.adapters.onnx import OnnxPredictor
from mainspring.models.columns import Array, to_columns
from mainspring.models.flavors import Flavor
from mainspring.models.parity import compare
from mainspring.models.signature import Signature, infer


class FlavorContract:
    """Inherit it, give the three fixtures, and every test here runs against that flavor."""

    def test_it_knows_its_own_objects_only(self, flavor: Flavor, model: Any) -> None:
        """A fitted model is supported; numbers, texts, functions and plain objects are not."""
        assert flavor.supports(model)
        for other in (3, "model", object(), json.dumps, {"a": 1}):
            assert not flavor.supports(other)

    def test_it_loads_its_library_only_when_it_must(self, flavor: Flavor) -> None:
        """Importing the adapter and making the flavor import nothing of the library."""
        kind = type(flavor)
        program = (
            f"import sys; from {kind.__module__} import {kind.__name__}; flavor = {kind.__name__}()\n"
            "assert not flavor.supports(3)\n"
            "libraries = {'sklearn', 'skops', 'lightgbm', 'xgboost', 'onnx', 'onnxruntime', 'torch'}\n"
            "print(sorted(libraries & set(sys.modules)))"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"

    def test_it_answers_what_it_declares(self, flavor: Flavor, model: Any, rows: Any) -> None:
        """Every declared output comes with the declared width, a row for each row."""
        columns, signature = read_rows(flavor, model, rows)
        answers = flavor.predict(model, columns, signature)
        assert list(answers) == [column.name for column in signature.outputs]
        for column in signature.outputs:
            expected = (len(rows),) if column.width == 1 else (len(rows), column.width)
            assert answers[column.name].shape == expected

    def test_what_it_reads_back_answers_alike(self, flavor: Flavor, model: Any, rows: Any) -> None:
        """Saving and loading changes no answer."""
        columns, signature = read_rows(flavor, model, rows)
        again = flavor.load(flavor.save(model))
        left, right = (flavor.predict(each, columns, signature) for each in (model, again))
        for name, values in left.items():
            assert np.array_equal(values, right[name])
        assert flavor.features(again) == flavor.features(model)

    def test_damaged_bytes_are_refused(self, flavor: Flavor, model: Any) -> None:
        """Nothing, noise and a file cut short are refused with MODEL-010."""
        whole = flavor.save(model)
        for content in (b"", b"noise", whole[:20]):
            refusal = refuse(flavor, content)
            assert refusal.code == "MODEL-010"

    def test_its_onnx_form_answers_alike(self, flavor: Flavor, model: Any, rows: Any) -> None:
        """Labels are equal and probabilities within 1e-5, with nulls and unseen categories, too."""
        columns, signature = read_rows(flavor, model, rows)
        converted = OnnxPredictor(flavor.convert(model, signature), signature)
        found = compare(
            lambda some: flavor.predict(model, some, signature), converted.predict, columns, signature, seed=1
        )
        assert found.passed, str(found)

    def test_its_parameters_are_json(self, flavor: Flavor, model: Any) -> None:
        """Parameters go into the record as they are."""
        params = flavor.params(model)
        assert json.loads(json.dumps(params)) == params


def read_rows(flavor: Flavor, model: Any, rows: Any) -> tuple[dict[str, Array], Signature]:
    """Return the model's checked columns of a frame and its signature."""
    given = to_columns(rows)
    inputs = infer(given, names=flavor.features(model)).inputs
    signature = Signature(inputs, flavor.outputs(model))
    return signature.check({each.name: given[each.name] for each in inputs}), signature


def refuse(flavor: Flavor, content: bytes) -> Invalid:
    """Return the error with which a flavor refuses bytes."""
    try:
        flavor.load(content)
    except Invalid as refusal:
        return refusal
    raise AssertionError(f"{content[:20]!r} was read")

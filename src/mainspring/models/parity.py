"""Whether two forms of a model give the same answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import msgspec
import numpy as np

from mainspring.models.columns import Array, count_rows
from mainspring.models.signature import Signature

MIN_ROWS = 10_000
MAX_ROWS = 20_000
MAX_DIFFERENCE = 1e-5
_VARIANT_ROWS = 2_000
_BATCH_ROWS = 5_000
_UNSEEN = ("", "\u2205 unseen", "None", "nan")

Predict = Callable[[Mapping[str, Array]], dict[str, Array]]


class Parity(msgspec.Struct, frozen=True):
    """What a comparison of a model's native and ONNX forms found.

    Attributes
    ----------
    rows : int
        Real rows compared.
    generated_rows : int
        Rows drawn column by column from the real ones, to reach 10,000 in all.
    nan_rows : int
        Rows with values replaced by nulls where the signature allows them.
    unseen_rows : int
        Rows with text that no category has.
    label_mismatches : int
        Rows whose labels differ.
    max_abs_dp : float
        Largest difference of a probability; of a value, relative to 1 + its size.
    passed : bool
        No label differs and no probability by more than 1e-5.
    problem : str
        Why nothing (more) was compared: what the conversion or one of the forms raised.
    """

    rows: int = 0
    generated_rows: int = 0
    nan_rows: int = 0
    unseen_rows: int = 0
    label_mismatches: int = 0
    max_abs_dp: float = 0.0
    passed: bool = False
    problem: str = ""

    def __str__(self) -> str:
        if self.problem:
            return self.problem
        return f"{self.label_mismatches:,} labels differ, probabilities by up to {self.max_abs_dp:.2g}"


def compare(
    native: Predict, converted: Predict, columns: Mapping[str, Array], signature: Signature, *, seed: int = 0
) -> Parity:
    """Compare two forms of a model on real rows, nulls and unseen categories.

    Parameters
    ----------
    native, converted : callable
        The two forms; each takes checked columns.
    columns : mapping of str to ndarray
        Checked example rows; at most 20,000 of them are used, evenly spread.
    signature : Signature
        Says where nulls and categories may stand.
    seed : int, default 0
        Of what is generated.

    Returns
    -------
    Parity
        The verdict; it fails, too, when one form answers where the other raises.
    """
    generator = np.random.default_rng(seed)
    found = {"rows": 0, "generated_rows": 0, "nan_rows": 0, "unseen_rows": 0}
    mismatches, difference = 0, 0.0
    for kind, batch in _make_variants(columns, signature, generator):
        try:
            left, right = native(batch), converted(batch)
        except Exception as fault:  # noqa: BLE001  whatever a library raises is the finding
            text = str(fault).partition("\n")[0]
            problem = f"{kind.replace('_', ' ')}: {type(fault).__name__}: {text}"
            return msgspec.structs.replace(Parity(), **found, problem=problem)
        found[kind] += count_rows(batch)
        for name, values in left.items():
            if name == "label":
                mismatches += int(np.sum(values != right[name]))
            else:
                difference = max(difference, _measure_difference(name, values, right[name]))
    passed = mismatches == 0 and difference <= MAX_DIFFERENCE
    return msgspec.structs.replace(Parity(label_mismatches=mismatches, max_abs_dp=difference, passed=passed), **found)


def _measure_difference(name: str, left: Array, right: Array) -> float:
    """Return the largest difference; a NaN on one side only is infinitely far off."""
    left, right = left.astype(np.float64), right.astype(np.float64)
    size = np.abs(left) if name == "value" else 0.0
    off = np.abs(left - right) / (1.0 + size)
    off = np.where(np.isnan(left) & np.isnan(right), 0.0, np.where(np.isnan(off), np.inf, off))
    return float(off.max(initial=0.0))


def _make_variants(
    columns: Mapping[str, Array], signature: Signature, generator: np.random.Generator
) -> Iterator[tuple[str, dict[str, Array]]]:
    total = count_rows(columns)
    chosen = np.linspace(0, total - 1, min(total, MAX_ROWS)).astype(np.int64)
    real = {name: values[chosen] for name, values in columns.items()}
    yield from (("rows", batch) for batch in _split(real))
    if total < MIN_ROWS:
        drawn = {name: generator.choice(values, MIN_ROWS - total) for name, values in real.items()}
        yield from (("generated_rows", batch) for batch in _split(drawn))
    sample = generator.choice(count_rows(real), _VARIANT_ROWS)
    nullable = [each.name for each in signature.inputs if each.nullable]
    if nullable:
        yield "nan_rows", _put_nulls({name: values[sample] for name, values in real.items()}, nullable, generator)
    texts = [each.name for each in signature.inputs if each.datatype == "BYTES"]
    if texts:
        yield "unseen_rows", _put_unseen({name: values[sample] for name, values in real.items()}, texts, generator)


def _split(columns: dict[str, Array]) -> Iterator[dict[str, Array]]:
    for start in range(0, count_rows(columns), _BATCH_ROWS):
        yield {name: values[start : start + _BATCH_ROWS] for name, values in columns.items()}


def _put_nulls(columns: dict[str, Array], names: list[str], generator: np.random.Generator) -> dict[str, Array]:
    """Replace at least one value of each row, and about a third of each nullable column."""
    rows = count_rows(columns)
    always = generator.integers(len(names), size=rows)
    for number, name in enumerate(names):
        values = columns[name].copy()
        values[(generator.random(rows) < 0.3) | (always == number)] = None if values.dtype == object else np.nan
        columns[name] = values
    return columns


def _put_unseen(columns: dict[str, Array], names: list[str], generator: np.random.Generator) -> dict[str, Array]:
    rows = count_rows(columns)
    always = generator.integers(len(names), size=rows)
    for number, name in enumerate(names):
        values = columns[name].copy()
        chosen = (generator.random(rows) < 0.3) | (always == number)
        values[chosen] = generator.choice(np.array(_UNSEEN, dtype=object), int(chosen.sum()))
        columns[name] = values
    return columns

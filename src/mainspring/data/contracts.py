"""Rows against a contract: one pass counts every check, a second one marks rows if it must."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import polars as pl

from mainspring.data.columns import KINDS, convert_column, make_storable, require_columns
from mainspring.data.declarations import Column, Declaration, Policy
from mainspring.data.profiles import make_profile, profile_expressions, profile_rows
from mainspring.data.quarantine import make_quarantine
from mainspring.domain.errors import Invalid

_SHOWN_ROWS = 3


class Checked(NamedTuple):
    """Rows after a contract; ``rows.height + quarantined.height`` is the number given.

    Attributes
    ----------
    rows : polars.DataFrame
        Those that may be written, in the contract's types.
    quarantined : polars.DataFrame
        The others as they came, every column as text, with `reason` and `source_row`.
    reasons : dict of str to int
        Check -> rows in quarantine for it; a row may break several.
    warnings : dict of str to int
        Check with the policy warn -> rows that break it and were kept.
    profile : dict
        Column -> count, null, min, max of the rows that may be written.
    """

    rows: pl.DataFrame
    quarantined: pl.DataFrame
    reasons: dict[str, int]
    warnings: dict[str, int]
    profile: dict[str, dict[str, Any]]


class _Check(NamedTuple):
    """A check of rows: `broken` marks them (missing: not broken), `total` only counts them."""

    label: str
    policy: Policy
    broken: pl.Expr
    total: pl.Expr


def check_rows(frame: pl.DataFrame, contract: Declaration | None, *, taken: pl.DataFrame | None = None) -> Checked:
    """Check rows against a contract and part those that break it.

    Parameters
    ----------
    frame : polars.DataFrame
        Rows as they came; text columns are read as the contract's types.
    contract : Declaration or None
        None only profiles the rows.
    taken : polars.DataFrame, optional
        Keys that are in the dataset already; a row with one of them breaks the key's check.

    Returns
    -------
    Checked
        Accepted and quarantined rows, counts, profile.

    Raises
    ------
    Invalid
        DATA-006 for a column of another type, DATA-007 for a column that the rows lack,
        DATA-009 for a broken check with the policy fail, DATA-011 for a type that tables do
        not hold.

    Notes
    -----
    Guarantees: no row is dropped. Of rows with one key the first good one is kept; every
    other check is decided by the row alone.
    Cost: one aggregate pass; a second one only when a check is broken.
    """
    checks: list[_Check] = []
    unique: list[_Check] = []
    typed = frame
    if contract is not None:
        names = [column.name for column in contract.columns]
        require_columns(names, frame.columns, what=f"contract {contract.name}", code="DATA-007")
        typed = frame.with_columns(
            [
                convert_column(frame[column.name], column.kind, private=column.name in contract.private)
                for column in contract.columns
            ]
        )
        checks = [check for column in contract.columns for check in _row_checks(column, frame, typed)]
        unique = _unique_checks(contract)
        if taken is not None:
            checks.append(_taken_check(contract, typed, taken))
    typed = make_storable(typed)
    counts = typed.select(
        *(check.total.alias(f"check {check.label}") for check in (*checks, *unique)),
        *profile_expressions(typed),
    ).row(0, named=True)
    if any(counts[f"check {check.label}"] for check in (*checks, *unique)):
        return _part_rows(frame, typed, checks, unique, contract.private if contract else ())
    return Checked(typed, make_quarantine(frame, None), {}, {}, make_profile(typed, counts))


def _part_rows(
    frame: pl.DataFrame, typed: pl.DataFrame, checks: list[_Check], unique: list[_Check], private: tuple[str, ...]
) -> Checked:
    marks = _mark_rows(typed, checks, unique)
    policies = {check.label: check.policy for check in (*checks, *unique)}
    counts = {label: int(marks[label].sum()) for label in marks.columns}
    for label, count in counts.items():
        if count and policies[label] == "fail":
            raise _describe_failure(frame.drop(private, strict=False), label, marks[label])
    labels = [label for label in marks.columns if policies[label] == "quarantine" and counts[label]]
    reason = make_reason(marks, labels)
    rows = typed.filter(reason.is_null())
    return Checked(
        rows,
        make_quarantine(frame, reason),
        {label: counts[label] for label in labels},
        {label: count for label, count in counts.items() if count and policies[label] == "warn"},
        profile_rows(rows),
    )


def make_reason(marks: pl.DataFrame, labels: list[str]) -> pl.Series:
    """Join the checks that each row breaks into one text; None for a row that breaks none."""
    if not labels:
        return pl.Series(values=[None] * marks.height, dtype=pl.String)
    texts = [pl.when(pl.col(label)).then(pl.lit(label)) for label in labels]
    joined = pl.concat_str(texts, separator="; ", ignore_nulls=True)
    return marks.select(pl.when(pl.any_horizontal(labels)).then(joined)).to_series()


def _mark_rows(typed: pl.DataFrame, checks: list[_Check], unique: list[_Check]) -> pl.DataFrame:
    marks = typed.select([check.broken.fill_null(value=False).alias(check.label) for check in checks])
    if not unique:
        return marks
    stopped = [marks[check.label] for check in checks if check.policy != "warn"]
    good = ~pl.select(pl.any_horizontal([*stopped, pl.repeat(value=False, n=typed.height)])).to_series()
    among_good = typed.filter(good).select([check.broken.alias(check.label) for check in unique])
    places = good.arg_true()
    empty = pl.repeat(value=False, n=typed.height, eager=True)
    return marks.with_columns(
        [empty.scatter(places.filter(among_good[check.label]), True).alias(check.label) for check in unique]
    )


def _describe_failure(frame: pl.DataFrame, label: str, broken: pl.Series) -> Invalid:
    numbers = [place + 1 for place in broken.arg_true().head(_SHOWN_ROWS)]
    names = [name for name in label.split(" ", 1)[0].split("+") if name in frame.columns]
    values = frame.select(names).filter(broken).head(_SHOWN_ROWS).rows() if names else "what is private"
    count = int(broken.sum())
    return Invalid(
        "DATA-009",
        f"{count:,} of {broken.len():,} rows break {label!r}: rows {numbers} hold {values}",
        check=label,
        count=count,
    )


def _row_checks(column: Column, frame: pl.DataFrame, typed: pl.DataFrame) -> list[_Check]:
    value = pl.col(column.name)
    given, read = frame[column.name], typed[column.name]
    missing = value.is_null()
    checks: dict[str, pl.Expr] = {}
    if read.null_count() > given.null_count():
        unreadable = given.is_not_null() & read.is_null()
        if given.dtype.is_float():
            unreadable &= ~given.is_nan()
        checks["type"] = pl.lit(unreadable)
        missing &= ~pl.lit(unreadable)
    if column.key or not column.nullable:
        checks["null"] = missing
    for check in ("ge", "gt", "le", "lt"):
        bound = getattr(column, check)
        if bound is not None:
            checks[f"{check} {bound}"] = _break_bound(value, check, pl.lit(_read_value(column, bound)))
    if column.isin is not None:
        checks["isin"] = ~value.is_in(
            pl.Series([_read_value(column, each) for each in column.isin], dtype=KINDS[column.kind]).implode()
        )
    if column.regex:
        _check_pattern(column)
        checks["regex"] = ~value.str.contains(column.regex)
    return [
        _Check(f"{column.name} {label}", column.policy(label.split(" ", 1)[0]), broken, broken.sum())
        for label, broken in checks.items()
    ]


def _check_pattern(column: Column) -> None:
    try:
        pl.Series([""]).str.contains(column.regex)
    except pl.exceptions.ComputeError as fault:
        problem = str(fault).partition("error: ")[2].rpartition("error: ")[2].partition("\n")[0]
        what = f"{column.name}: the regex {column.regex!r} is none: {problem}"
        raise Invalid("DATA-008", what, column=column.name) from None


def _break_bound(value: pl.Expr, check: str, bound: pl.Expr) -> pl.Expr:
    if check == "ge":
        return value < bound
    if check == "gt":
        return value <= bound
    if check == "le":
        return value > bound
    return value >= bound


def _read_value(column: Column, value: Any) -> Any:
    """Read a value of a check as the column's kind; a time with an offset is turned to UTC."""
    try:
        if column.kind == "datetime":
            moment = datetime.fromisoformat(value)
            return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
        if column.kind == "date":
            return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise Invalid("DATA-008", f"{column.name}: {value!r} is not an ISO time", column=column.name) from None
    return float(value) if column.kind == "float" else value


def _unique_checks(contract: Declaration) -> list[_Check]:
    alone = contract.key[0] if len(contract.key) == 1 else ""
    checks = [
        _unique_check([column.name], column.policy("unique"))
        for column in contract.columns
        if (column.unique and not column.key) or column.name == alone
    ]
    if len(contract.key) > 1:
        checks.append(_unique_check(list(contract.key), _key_policy(contract)))
    return checks


def _unique_check(names: list[str], policy: Policy) -> _Check:
    """Mark the rows after the first of their value; a row without one repeats none."""
    value = pl.col(names[0]) if len(names) == 1 else pl.struct(names)
    present = pl.all_horizontal([pl.col(name).is_not_null() for name in names])
    count = present.sum() - value.filter(present).n_unique()
    return _Check(f"{'+'.join(names)} unique", policy, present & ~value.is_first_distinct(), count)


def _key_policy(contract: Declaration) -> Policy:
    return next(column for column in contract.columns if column.key).policy("unique")


def _taken_check(contract: Declaration, typed: pl.DataFrame, taken: pl.DataFrame) -> _Check:
    there = taken.unique().with_columns(pl.lit(value=True).alias("\x00there"))
    found = typed.select(contract.key).join(there, on=contract.key, how="left", maintain_order="left")
    label = f"{'+'.join(contract.key)} already there"
    repeated = pl.lit(found["\x00there"])
    return _Check(label, _key_policy(contract), repeated, repeated.sum())

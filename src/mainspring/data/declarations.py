"""What a contract says, as data: it travels in the record and loads no table library."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from mainspring.domain.errors import Invalid

Policy = Literal["fail", "quarantine", "warn"]
Kind = Literal["str", "int", "float", "bool", "datetime", "date"]
Bound = float | int | str

_VALUES: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "bool": bool}
CHECKS = ("type", "null", "ge", "gt", "le", "lt", "isin", "regex", "unique")


class Column(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a contract promises of one column.

    Attributes
    ----------
    name : str
        The column's name.
    kind : str
        str, int, float, bool, datetime (UTC, microseconds) or date.
    ge, gt, le, lt : number or str, optional
        Bounds; those of a time are ISO texts in UTC.
    isin : tuple, optional
        The only values.
    regex : str
        A pattern found in each text, in the syntax of Rust's regex; empty: none.
    nullable : bool
        Whether a value may be missing; NaN counts as missing.
    unique : bool
        Whether two rows may not have one value.
    key : bool
        Whether the column is (part of) what identifies a row: unique together, never missing.
    event_time : bool
        Whether it tells when the row happened.
    pii, subject : bool
        Whether it tells about a person, or names the person; kept out of previews and file
        statistics.
    sensitive : bool
        Whether its cells lie encrypted wherever they are stored, for those alone who may read
        what is sensitive; never the event time.
    on_fail : dict of str to str
        Check -> ``fail``, ``quarantine`` or ``warn``; ``*`` for all others; the default is
        ``quarantine``.
    """

    name: str
    kind: Kind
    ge: Bound | None = None
    gt: Bound | None = None
    le: Bound | None = None
    lt: Bound | None = None
    isin: tuple[Bound | bool, ...] | None = None
    regex: str = ""
    nullable: bool = False
    unique: bool = False
    key: bool = False
    event_time: bool = False
    pii: bool = False
    subject: bool = False
    sensitive: bool = False
    on_fail: dict[str, Policy] = {}

    def policy(self, check: str) -> Policy:
        """Return what happens to a row that breaks a check of this column."""
        return self.on_fail.get(check) or self.on_fail.get("*") or "quarantine"


class Declaration(msgspec.Struct, frozen=True):
    """A contract: its name and its columns, in order."""

    name: str
    columns: tuple[Column, ...]

    @property
    def key(self) -> tuple[str, ...]:
        """Names of the columns that identify a row."""
        return tuple(column.name for column in self.columns if column.key)

    @property
    def event_time(self) -> str | None:
        """Name of the column that tells when a row happened."""
        return next((column.name for column in self.columns if column.event_time), None)

    @property
    def private(self) -> tuple[str, ...]:
        """Names of the columns that tell about a person, or are sensitive."""
        return tuple(column.name for column in self.columns if column.pii or column.subject or column.sensitive)

    @property
    def sensitive(self) -> tuple[str, ...]:
        """Names of the columns whose cells lie encrypted."""
        return tuple(column.name for column in self.columns if column.sensitive)


def check_declaration(declaration: Declaration) -> Declaration:
    """Refuse a contract that contradicts itself.

    Parameters
    ----------
    declaration : Declaration
        The contract.

    Returns
    -------
    Declaration
        The same.

    Raises
    ------
    Invalid
        DATA-008 for no column, two event times, an event time that is no time, a bound or a
        pattern on a kind that has none, an unknown check or policy.
    """
    name = declaration.name
    if not declaration.columns:
        raise Invalid("DATA-008", f"contract {name} has no column")
    if sum(column.event_time for column in declaration.columns) > 1:
        raise Invalid("DATA-008", f"contract {name} has more than one event_time")
    for column in declaration.columns:
        problem = _find_problem(column)
        if problem:
            raise Invalid("DATA-008", f"{name}.{column.name}: {problem}", contract=name, column=column.name)
    return declaration


def _find_problem(column: Column) -> str:
    if column.event_time and (column.kind not in {"datetime", "date"} or column.sensitive):
        return f"event_time needs datetime or date that is not sensitive, not {column.kind}"
    if column.regex and column.kind != "str":
        return f"regex needs str, not {column.kind}"
    wanted = _VALUES.get(column.kind, object)
    for value in column.isin or ():
        if not isinstance(value, wanted):
            return f"isin={value!r} is no {column.kind}"
    for check in ("ge", "gt", "le", "lt"):
        bound = getattr(column, check)
        if bound is None:
            continue
        if column.kind in {"str", "bool"}:
            return f"{check} needs a number or a time, not {column.kind}"
        if isinstance(bound, str) != (column.kind in {"datetime", "date"}):
            return f"{check}={bound!r} does not compare with {column.kind}"
    for check, policy in column.on_fail.items():
        if check != "*" and check not in CHECKS:
            return f"on_fail names the check {check!r}; the checks are {', '.join(CHECKS)}"
        if policy not in {"fail", "quarantine", "warn"}:
            return f"on_fail={policy!r} is none of fail, quarantine, warn"
    return ""

"""Contracts: a class says what a dataset promises of its columns."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from typing import Any, ClassVar

import msgspec

from mainspring.data.declarations import Column, Declaration, check_declaration
from mainspring.domain import records
from mainspring.domain.errors import Invalid

_KINDS = {str: "str", int: "int", float: "float", bool: "bool", datetime: "datetime", date: "date"}


class _Field:
    """Checks of one column, before the annotation is known."""

    def __init__(self, checks: dict[str, Any]) -> None:
        self.checks = checks


def Field(  # noqa: N802 - reads as the type that it stands for, as in pydantic and pandera
    *,
    ge: Any = None,
    gt: Any = None,
    le: Any = None,
    lt: Any = None,
    isin: Sequence[Any] | None = None,
    regex: str = "",
    nullable: bool = False,
    unique: bool = False,
    key: bool = False,
    event_time: bool = False,
    pii: bool = False,
    subject: bool = False,
    sensitive: bool = False,
    on_fail: str | dict[str, str] = "quarantine",
) -> Any:
    """Say what a contract checks of a column.

    Parameters
    ----------
    ge, gt, le, lt : number, datetime or date, optional
        Bounds; times are UTC.
    isin : sequence, optional
        The only values.
    regex : str
        A pattern that is found in each text; empty: none.
    nullable : bool
        Whether values may be missing; NaN counts as missing. The same as ``Optional``.
    unique : bool
        Whether no two rows have one value.
    key : bool
        Whether it is (part of) what identifies a row: unique together, never missing.
    event_time : bool
        Whether it tells when the row happened; one column of a contract.
    pii, subject : bool
        Whether it tells about a person, or names the person: masked in previews, and its
        extremes stand in no log.
    sensitive : bool
        Whether its cells lie encrypted in every file, in quarantine too, and are opened only for
        those who may read what is sensitive; what is computed from them is sealed likewise.
    on_fail : str or dict
        ``quarantine`` (default), ``fail`` or ``warn`` for all checks of the column, or check ->
        policy, where the checks are type, null, ge, gt, le, lt, isin, regex and unique.

    Returns
    -------
    Any
        A default for the annotation; `Contract` reads it.

    Examples
    --------
    >>> class Order(Contract):
    ...     id: int = Field(key=True)
    ...     price: float = Field(ge=0, on_fail={"ge": "fail"})
    >>> Order.declaration().body["columns"][0]["key"]
    True
    """
    return _Field({name: value for name, value in locals().items() if value is not None})


class Contract:
    """What a dataset promises: a subclass annotates its columns.

    Annotations are str, int, float, bool, datetime (UTC) or date, each Optional or not;
    `Field` adds checks. Columns that the contract does not name are kept as they come.

    Raises
    ------
    Invalid
        DATA-008, when the class is made, for what cannot be read.

    Examples
    --------
    >>> class Order(Contract):
    ...     id: int = Field(key=True)
    ...     price: float = Field(ge=0)
    >>> Order.declaration().name
    'Order'
    """

    _declared: ClassVar[Declaration | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        try:
            hints = typing.get_type_hints(cls)
        except NameError as fault:
            raise Invalid("DATA-008", f"{cls.__name__}: {fault}", contract=cls.__name__) from None
        columns = tuple(
            _make_column(cls, name, hint)
            for name, hint in hints.items()
            if not name.startswith("_") and typing.get_origin(hint) is not ClassVar
        )
        cls._declared = check_declaration(Declaration(cls.__name__, columns))

    @classmethod
    def declaration(cls) -> records.Declaration:
        """Return the contract as data, as `apply` and the record keep it."""
        return records.Declaration("contract", cls.__name__, msgspec.to_builtins(read_contract(cls)))


def read_contract(contract: type[Contract] | Declaration | dict[str, Any] | None) -> Declaration | None:
    """Return the declaration of whatever states a contract.

    Raises
    ------
    Invalid
        DATA-008 when it is none.
    """
    if contract is None or isinstance(contract, Declaration):
        return contract
    if isinstance(contract, dict):
        return msgspec.convert(contract, Declaration)
    if isinstance(contract, type) and issubclass(contract, Contract) and contract._declared is not None:
        return contract._declared
    raise Invalid("DATA-008", f"{contract!r} is not a subclass of ms.Contract with columns")


def _make_column(owner: type, name: str, hint: Any) -> Column:
    arguments = typing.get_args(hint)
    optional = types.NoneType in arguments
    if optional and typing.get_origin(hint) in {typing.Union, types.UnionType} and len(arguments) == 2:
        hint = next(each for each in arguments if each is not types.NoneType)
    kind = _KINDS.get(hint)
    if kind is None:
        raise Invalid("DATA-008", f"{owner.__name__}.{name} is annotated {hint}, which is no kind of column")
    field = getattr(owner, name, None)
    if field is not None and not isinstance(field, _Field):
        raise Invalid("DATA-008", f"{owner.__name__}.{name} = {field!r}; a column's default is ms.Field(...)")
    checks = dict(field.checks) if field is not None else {}
    policy = checks.pop("on_fail", "quarantine")
    checks["on_fail"] = policy if isinstance(policy, dict) else {} if policy == "quarantine" else {"*": policy}
    checks["nullable"] = checks.get("nullable", False) or optional
    for check in ("ge", "gt", "le", "lt"):
        if isinstance(checks.get(check), date):
            checks[check] = _to_text(checks[check])
    if "isin" in checks:
        if isinstance(checks["isin"], str) or not isinstance(checks["isin"], Iterable):
            raise Invalid("DATA-008", f"{owner.__name__}.{name}: isin={checks['isin']!r} is no sequence", column=name)
        checks["isin"] = tuple(checks["isin"])
    try:
        return msgspec.convert({"name": name, "kind": kind, **checks}, Column)
    except msgspec.ValidationError as fault:
        raise Invalid("DATA-008", f"{owner.__name__}.{name}: {fault}", column=name) from None


def _to_text(moment: date) -> str:
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat()

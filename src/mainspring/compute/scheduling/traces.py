"""Traces of clusters as CSV: what there was, and what was asked of it.

The columns are those of the trace that Alibaba published in 2023 ("openb"). Of machines: ``sn`` (a
name of its own), ``cpu_milli``, ``memory_mib``, ``gpu`` (devices), ``model`` (their type). Of runs:
``name``, ``cpu_milli``, ``memory_mib``, ``num_gpu``, ``gpu_milli`` (of the one device when
``num_gpu`` is 1; else each is asked whole), ``gpu_spec`` (types that will do, joined by ``|``; empty:
any). Runs that are played in time need ``creation_time`` and ``deletion_time`` in seconds, and may have
``scheduled_time`` (when it got its place; else it is taken to have had one at once), ``tenant`` (a path) and
``num_nodes`` (so many machines, each of which gives all that is asked). Machines may have ``pool``, ``zone``, and
``price`` (of an hour; such are rented, once a run has waited ``burst_after`` seconds, else 600), runs a ``zone`` that
they do not leave and a ``pool``, the only one that will do. Other columns may be there and are not read; an empty
number is 0, but for a time.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from mainspring.compute.scheduling.demands import WHOLE, Demand, Machine, Rent
from mainspring.compute.scheduling.simulation import Arrival
from mainspring.domain.errors import Invalid
from mainspring.domain.pools import PATIENCE_S

_MACHINE = ("sn", "cpu_milli", "memory_mib", "gpu", "model")
_RUN = ("name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli", "gpu_spec")
_TIMES = ("creation_time", "deletion_time")
_MORE = ("scheduled_time", "tenant", "num_nodes", "pool", "zone")
_MOST = 10**12

GAP_S = 7 * 86_400.0
"""When nothing comes and nothing runs for longer, nobody was there to record it."""

_DAY_S = 86_400.0


def read_machines(path: Path) -> list[Machine]:
    """Read the machines of a trace.

    Parameters
    ----------
    path : Path
        A CSV file in UTF-8.

    Returns
    -------
    list of Machine
        In the order of the file.

    Raises
    ------
    Invalid
        SIM-001 when it cannot be read, lacks a column or has a row that is none; SIM-002 when it holds nothing,
        or a name twice.
    """
    machines = [
        Machine(
            row["sn"],
            _read(row, "cpu_milli", path, line),
            _read(row, "memory_mib", path, line) << 20,
            _read(row, "gpu", path, line),
            row["model"],
            pool=row.get("pool") or "",
            zone=row.get("zone") or "",
            rent=_read_rent(row, path, line),
        )
        for line, row in _list_rows(path, _MACHINE)
    ]
    seen: set[str] = set()
    for machine in machines:
        if machine.name in seen:
            raise Invalid("SIM-002", f"{path}: the machine {machine.name!r} is there twice")
        seen.add(machine.name)
    return machines


def read_demands(path: Path) -> list[Demand]:
    """Read what the runs of a trace asked, in the order of the file; errors as of `read_machines`."""
    return [_read_demand(row, path, line) for line, row in _list_rows(path, _RUN)]


def read_arrivals(path: Path) -> list[Arrival]:
    """Read the runs of a trace with their times.

    Parameters, errors as of `read_machines`; SIM-001 also for a run without a time, or one that ended before it
    began, because a clock was set.

    Returns
    -------
    list of Arrival
        In the order of the file, from second 0 on.
    """
    arrivals = []
    for line, row in _list_rows(path, (*_RUN, *_TIMES)):
        for name in _TIMES:
            if not row[name].strip():
                raise Invalid("SIM-001", f"{path}, line {line}: {row['name']!r} has no {name}")
        came, ended = _read(row, "creation_time", path, line), _read(row, "deletion_time", path, line)
        placed = row.get("scheduled_time", "").strip() != ""
        began = _read(row, "scheduled_time", path, line) if placed else came
        if not came <= began <= ended:
            what = f"{row['name']!r} came at {came}, began at {began} and ended at {ended}"
            raise Invalid("SIM-001", f"{path}, line {line}: {what}; a clock was set")
        demand = _read_demand(row, path, line)
        waited_s = float(began - came) if placed else None
        tenant = row.get("tenant") or ""
        arrivals.append(Arrival(f"{line}", tenant, demand, float(came), float(ended - began), waited_s))
    first = min(each.at_s for each in arrivals)
    return [msgspec.structs.replace(each, at_s=each.at_s - first) for each in arrivals]


def close_gaps(arrivals: Sequence[Arrival]) -> tuple[list[Arrival], list[str]]:
    """Shorten times in which nobody recorded anything to a day.

    Parameters
    ----------
    arrivals : sequence of Arrival
        In any order.

    Returns
    -------
    tuple of list of Arrival and list of str
        In the order in which they come; and what was shortened, in words.

    Examples
    --------
    >>> moved, told = close_gaps([Arrival("a", "", Demand(1), 0.0, 60.0), Arrival("b", "", Demand(1), 1e6, 60.0)])
    >>> moved[1].at_s, told
    (86460.0, ['nothing came or ran for 12 days, from day 0 on: shortened to one'])
    """
    moved, told = [], []
    busy_until, shift = -math.inf, 0.0
    first = min((each.at_s for each in arrivals), default=0.0)
    for each in sorted(arrivals, key=lambda each: (each.at_s, each.run_id)):
        idle_s = each.at_s - busy_until
        if GAP_S < idle_s < math.inf:
            shift += idle_s - _DAY_S
            day = (busy_until - first) / _DAY_S
            told.append(f"nothing came or ran for {idle_s / _DAY_S:.0f} days, from day {day:.0f} on: shortened to one")
        busy_until = max(busy_until, each.at_s + (each.waited_s or 0.0) + each.duration_s)
        moved.append(msgspec.structs.replace(each, at_s=each.at_s - shift))
    return moved, told


def write_machines(path: Path, machines: Sequence[Machine]) -> None:
    """Write machines as `read_machines` reads them."""
    rows = (
        (
            *(each.name, each.cpu_milli, each.memory_bytes >> 20, each.gpus, each.gpu_type, each.pool, each.zone),
            *(("", "") if each.rent is None else (each.rent.price, int(each.rent.after_s))),
        )
        for each in machines
    )
    _write(path, (*_MACHINE, "pool", "zone", "price", "burst_after"), rows)


def write_arrivals(path: Path, arrivals: Sequence[Arrival]) -> None:
    """Write runs as `read_arrivals` reads them, in whole seconds."""
    rows = []
    for each in arrivals:
        demand, began_s = each.demand, each.at_s + (each.waited_s or 0.0)
        gpu_milli = demand.gpu_milli if demand.gpus else 0
        asked = (demand.cpu_milli, demand.memory_bytes >> 20, demand.gpus, gpu_milli, "|".join(demand.gpu_types))
        came, began = int(each.at_s), int(began_s)
        times = (came, began + round(each.duration_s), began)
        rows.append((each.run_id, *asked, *times, each.tenant, demand.nodes, demand.pool, demand.zone))
    _write(path, (*_RUN, *_TIMES, *_MORE), rows)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
    except OSError as fault:
        raise Invalid("SIM-001", f"{path} cannot be written: {fault.strerror}") from None


def _read_demand(row: Mapping[str, str], path: Path, line: int) -> Demand:
    gpus, milli = _read(row, "num_gpu", path, line), _read(row, "gpu_milli", path, line)
    if gpus == 1 and not 0 < milli <= WHOLE:
        raise Invalid("SIM-001", f"{path}, line {line}: {milli} thousandths of one device are none")
    nodes = _read(row, "num_nodes", path, line) if row.get("num_nodes", "").strip() else 1
    if not nodes:
        raise Invalid("SIM-001", f"{path}, line {line}: num_nodes is 0")
    return Demand(
        _read(row, "cpu_milli", path, line),
        _read(row, "memory_mib", path, line) << 20,
        gpus,
        milli if gpus == 1 else WHOLE,
        tuple(sorted(filter(None, row["gpu_spec"].split("|")))),
        nodes,
        (row.get("pool") or "").strip(),
        zone=row.get("zone") or "",
    )


def _read_rent(row: Mapping[str, str], path: Path, line: int) -> Rent | None:
    price = row.get("price", "").strip() or "0"
    try:
        amount = float(price)
    except ValueError:
        amount = -1.0
    if not 0 <= amount <= _MOST:
        raise Invalid("SIM-001", f"{path}, line {line}: price is {price[:40]!r}, no number from 0 on")
    after_s = _read(row, "burst_after", path, line) if row.get("burst_after", "").strip() else PATIENCE_S
    return Rent(amount, float(after_s)) if amount else None


def _list_rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, Mapping[str, str]]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, restval="")
            missing = [name for name in columns if name not in (reader.fieldnames or ())]
            if missing:
                raise Invalid("SIM-001", f"{path} has no column {', '.join(missing)}; it has {reader.fieldnames}")
            empty = True
            for row in reader:
                empty = False
                yield reader.line_num, row
    except (OSError, UnicodeError, csv.Error) as fault:
        raise Invalid("SIM-001", f"{path} cannot be read: {fault}") from None
    if empty:
        raise Invalid("SIM-002", f"{path} holds no row")


def _read(row: Mapping[str, str], name: str, path: Path, line: int) -> int:
    text = row[name].strip()
    try:
        number = int(text or "0")
    except ValueError:
        number = -1
    if not 0 <= number <= _MOST:
        raise Invalid("SIM-001", f"{path}, line {line}: {name} is {text[:40]!r}, no whole number from 0 on")
    return number

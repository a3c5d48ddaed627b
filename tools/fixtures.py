"""Write the fixture of the newest revision: some rows of every table of a home, as a demo leaves it.

Run it once, when a revision is released: ``python tools/fixtures.py .mainspring``, after ``make demo QUICK=1``.
Tests replay every fixture in both dialects.
"""

from __future__ import annotations

import argparse
import base64
import getpass
import json
import socket
import sys
from pathlib import Path
from typing import Any

from sqlalchemy import Boolean

from mainspring.store.engine import open_engine
from mainspring.store.homes import place_home
from mainspring.store.tables import HEAD, metadata

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "tests" / "fixtures" / "records"
MOST_ROWS = 12
LONGEST_TEXT = 4000


def main() -> None:
    """Read the rows of a home and write them, without names of people and folders."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("home", type=Path)
    home = place_home(parser.parse_args().home)
    hidden = {
        str(home.root): "/home",
        str(ROOT): "/clone",
        str(Path(sys.prefix)): "/venv",
        socket.gethostname(): "machine",
        f"user:{getpass.getuser()}": "user:anna",
    }
    found: dict[str, list[dict[str, Any]]] = {}
    engine = open_engine(home)
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            first = next(iter(table.primary_key.columns))
            names = ", ".join(f'"{column.name}"' for column in table.columns)
            query = f'SELECT {names} FROM "{table.name}" ORDER BY "{first.name}"'
            rows = [row for row in connection.exec_driver_sql(query).mappings() if _is_short(row)]
            flags = [column.name for column in table.columns if isinstance(column.type, Boolean)]
            found[table.name] = [
                _hide({**row, **{name: bool(row[name]) for name in flags if row[name] is not None}}, hidden)
                for row in rows[-MOST_ROWS:]
            ]
    engine.dispose()
    TARGET.mkdir(parents=True, exist_ok=True)
    (TARGET / f"{HEAD}.json").write_text(json.dumps(found, indent=1, sort_keys=True) + "\n", "utf-8")
    print(f"{sum(map(len, found.values()))} rows; none of {[name for name, rows in found.items() if not rows]}")


def _is_short(row: Any) -> bool:
    return all(not isinstance(value, str | bytes) or len(value) <= LONGEST_TEXT for value in row.values())


def _hide(row: dict[str, Any], hidden: dict[str, str]) -> dict[str, Any]:
    for name, value in row.items():
        if isinstance(value, bytes):
            row[name] = {"base64": base64.b64encode(_replace(value, hidden)).decode()}
        elif isinstance(value, str):
            row[name] = _replace(value.encode(), hidden).decode()
    return row


def _replace(content: bytes, hidden: dict[str, str]) -> bytes:
    for old, new in hidden.items():
        content = content.replace(old.encode(), new.encode())
    return content


if __name__ == "__main__":
    main()

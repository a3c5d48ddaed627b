"""Write the SQL of the first migration anew from the tables; until the first release only."""

from pathlib import Path

from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from mainspring.store import tables

TARGET = Path(tables.__file__).parent / "migrations" / "versions" / "0001.sql"


def main() -> None:
    """Write every CREATE statement: the tables in their order, the indexes of each by name."""
    statements = []
    for table in tables.metadata.tables.values():
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        statements += [CreateTable(table), *(CreateIndex(index) for index in indexes)]
    texts = (str(each.compile(dialect=sqlite.dialect())).strip() for each in statements)
    lines = ("\n".join(line.rstrip().replace("\t", "    ") for line in each.splitlines()) for each in texts)
    TARGET.write_text("".join(f"{each};\n\n" for each in lines).rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    main()

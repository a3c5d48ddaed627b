"""Write the SQL of the newest revision anew from the tables; until the release that has it only."""

from pathlib import Path

from sqlalchemy.schema import CreateIndex, CreateTable

from mainspring.store import tables
from mainspring.store.engine import find_dialect
from mainspring.store.tables import HEAD

FOLDER = Path(tables.__file__).parent / "migrations" / "versions"


def main() -> None:
    """Write every CREATE statement, in each dialect: the tables in their order, the indexes of each by name."""
    for name in ("sqlite", "postgresql"):
        statements = []
        for table in tables.metadata.tables.values():
            indexes = sorted(table.indexes, key=lambda index: str(index.name))
            statements += [CreateTable(table), *(CreateIndex(index) for index in indexes)]
        texts = (str(each.compile(dialect=find_dialect(name).grammar)).strip() for each in statements)
        lines = ("\n".join(line.rstrip().replace("\t", "    ") for line in each.splitlines()) for each in texts)
        target = FOLDER / f"{HEAD}.{name}.sql"
        target.write_text("".join(f"{each};\n\n" for each in lines).rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    main()

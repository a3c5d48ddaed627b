"""Write the SQL of the newest revision anew from the tables; until the release that has it only."""

from sqlalchemy import Dialect, Table
from sqlalchemy.schema import CreateIndex, CreateTable

from mainspring.store import tables
from mainspring.store.engine import find_dialect
from mainspring.store.migrations.shapes import FOLDER, read_shape
from mainspring.store.tables import HEAD
from mainspring.store.words import build


def main() -> None:
    """Write, in each dialect, what the tables say otherwise than the revision before, and the names of dropped ones."""
    before = f"{int(HEAD) - 1:04}"
    for name in ("sqlite", "postgresql"):
        old, grammar = read_shape(before, name), find_dialect(name).grammar
        new = {table.name: write_table(build(table), grammar) for table in tables.metadata.tables.values()}
        changed = [each for table, statements in new.items() if statements != old.get(table) for each in statements]
        dropped = [f"DROP TABLE {table}" for table in sorted(old.keys() - new.keys())]
        text = "".join(f"{each};\n\n" for each in [*changed, *dropped])
        (FOLDER / f"{HEAD}.{name}.sql").write_text(text.rstrip() + "\n" if text else "", "utf-8")


def write_table(table: Table, grammar: Dialect) -> list[str]:
    """Return the statements of a table and of its indexes by name."""
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    statements = [CreateTable(table), *(CreateIndex(index) for index in indexes)]
    texts = (str(each.compile(dialect=grammar)).strip() for each in statements)
    return ["\n".join(line.rstrip().replace("\t", "    ") for line in each.splitlines()) for each in texts]


if __name__ == "__main__":
    main()

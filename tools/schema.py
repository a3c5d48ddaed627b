"""Write the SQL of the first migration anew from the tables; until the first release only."""

from pathlib import Path

from sqlalchemy import create_mock_engine

from mainspring.store import tables

TARGET = Path(tables.__file__).parent / "migrations" / "versions" / "0001.sql"


def main() -> None:
    """Write every CREATE statement in the order of the tables' dependencies."""
    statements = []
    engine = create_mock_engine(
        "sqlite://", lambda sql, *_, **__: statements.append(str(sql.compile(dialect=engine.dialect)))
    )
    tables.metadata.create_all(engine, checkfirst=False)
    lines = ("\n".join(line.rstrip() for line in each.strip().splitlines()) for each in statements)
    TARGET.write_text("".join(f"{each};\n\n" for each in lines).rstrip() + "\n", "utf-8")


if __name__ == "__main__":
    main()

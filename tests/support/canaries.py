"""Looking for a canary in all that a home holds: raw bytes, and what stands packed inside of Parquet and zstd."""

import msgspec
import polars as pl


def list_leaks(home, *canaries, database=None):
    """Return the files of a home that hold one of the canaries, in the clear or packed.

    `database` is a server whose files, with all that it has ever written, are looked through as well.
    """
    roots = [home.root] if database is None else [home.root, database.data]
    paths = (path for root in roots for path in sorted(root.rglob("*")) if path.is_file())
    return [str(path) for path in paths if _holds(path, canaries)]


def _holds(path, canaries):
    content = path.read_bytes()
    texts = [content]
    if content[:4] == b"PAR1":
        frame = pl.read_parquet(path)
        texts += [repr(frame.to_dicts()).encode(), msgspec.json.encode(frame.schema.names())]
        texts += [
            b"".join(cell or b"" for cell in frame[name]) for name in frame.columns if frame[name].dtype == pl.Binary
        ]
    return any(form in text for canary in canaries for form in _forms(canary) for text in texts)


def _forms(canary):
    """Return the texts and, for a number, the bytes in which it may stand."""
    yield canary.encode()
    yield canary.encode("utf-16-le")
    if canary.isdigit():
        yield int(canary).to_bytes(8, "little")
        yield int(canary).to_bytes(8, "big")

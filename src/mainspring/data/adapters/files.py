"""Files: CSV (plain, zip, gz), Parquet and JSON lines, one or many by a pattern."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Collection, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from mainspring.data.columns import infer_text
from mainspring.domain.errors import Invalid

_FORMATS = {".csv": "csv", ".parquet": "parquet", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_PACKED = {".zip", ".gz"}
_OPTIONS = {"format", "na", "separator"}


class FileConnector:
    """Rows of local files.

    Options: ``format`` (csv, parquet, jsonl; by default from the name), ``na`` (texts of CSV
    that mean missing, beside the empty one), ``separator`` (of CSV, a comma by default).
    """

    def read(self, url: str, options: Mapping[str, Any], text: Collection[str]) -> pl.DataFrame:
        """Return the rows of all files, in the order of their paths."""
        unknown = sorted(set(options) - _OPTIONS)
        if unknown:
            raise Invalid("DATA-003", f"files have no option {unknown[0]!r}; they have {', '.join(sorted(_OPTIONS))}")
        frames: list[pl.DataFrame] = []
        for path in find_files(url):
            frame = _read_file(path, options)
            if frames and frame.columns != frames[0].columns:
                raise _explain_columns(path, frame.columns, frames[0].columns)
            frames.append(frame)
        whole = frames[0] if len(frames) == 1 else pl.concat(frames, how="vertical_relaxed")
        if whole.is_empty():
            raise Invalid("DATA-004", f"{url} has a header and no row", source=url)
        if _find_format(Path(url), options) == "csv":
            whole = whole.with_columns([infer_text(whole[name]) for name in whole.columns if name not in text])
        return whole

    def digest(self, url: str, options: Mapping[str, Any]) -> str:
        """Return a digest of the files' bytes and the options."""
        digest = hashlib.sha256(repr(sorted(options.items())).encode())
        for path in find_files(url):
            with _opened(path) as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()


def find_files(url: str) -> list[Path]:
    """Return the files that a path or pattern names, in order.

    Raises
    ------
    Invalid
        DATA-003 when there is none.
    """
    pattern = url.removeprefix("file://")
    whole = Path(pattern)
    paths = [whole] if whole.exists() else sorted(Path(whole.anchor).glob(str(whole.relative_to(whole.anchor))))
    files = [path for path in paths if path.is_file()]
    if not files:
        state = "is a folder" if paths else "is not there"
        raise Invalid("DATA-003", f"{pattern} {state}", source=pattern)
    return files


def _opened(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as fault:
        raise Invalid("DATA-003", f"{path}: {fault.strerror}", source=str(path)) from None


def _find_format(path: Path, options: Mapping[str, Any]) -> str:
    if "format" in options:
        return str(options["format"])
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in _PACKED]
    found = _FORMATS.get(suffixes[-1]) if suffixes else None
    if found is None:
        raise Invalid("DATA-003", f"the name of {path} tells no format of {', '.join(_READERS)}", source=str(path))
    return found


def _read_file(path: Path, options: Mapping[str, Any]) -> pl.DataFrame:
    reader = _READERS.get(_find_format(path, options))
    if reader is None:
        raise Invalid("DATA-003", f"format {options['format']!r} is none of {', '.join(_READERS)}", source=str(path))
    with _opened(path) as file:
        content = file.read()
    try:
        if path.suffix.lower() == ".zip":
            content = _read_member(content)
        if not content.strip():
            raise Invalid("DATA-004", f"{path} is empty", source=str(path))
        return reader(content, options)
    except (pl.exceptions.PolarsError, zipfile.BadZipFile, UnicodeDecodeError, OSError, ValueError) as fault:
        if isinstance(fault, Invalid):
            raise
        first = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise Invalid("DATA-003", f"{path}: {first}", source=str(path)) from None


def _read_member(content: bytes) -> bytes:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        names = [entry for entry in archive.infolist() if not entry.is_dir()]
        if len(names) != 1:
            raise zipfile.BadZipFile(f"an archive of {len(names)} files where one is wanted")
        return archive.read(names[0])


def _read_csv(content: bytes, options: Mapping[str, Any]) -> pl.DataFrame:
    na = options.get("na", ())
    return pl.read_csv(
        content,
        infer_schema=False,
        null_values=["", *([na] if isinstance(na, str) else na)],
        separator=str(options.get("separator", ",")),
    )


_READERS: dict[str, Callable[[bytes, Mapping[str, Any]], pl.DataFrame]] = {
    "csv": _read_csv,
    "parquet": lambda content, _: pl.read_parquet(content),
    "jsonl": lambda content, _: pl.read_ndjson(content, infer_schema_length=None),
}


def _explain_columns(path: Path, got: list[str], wanted: list[str]) -> Invalid:
    missing = [name for name in wanted if name not in got]
    extra = [name for name in got if name not in wanted]
    detail = f"lacks {', '.join(missing)}" if missing else f"adds {', '.join(extra)}" if extra else "orders them anew"
    return Invalid(
        "DATA-005", f"{path} has other columns than the files before it: it {detail}", missing=missing, extra=extra
    )

"""PyTorch's exported programs (``.pt2``): checked word by word and written anew, without PyTorch or a pickle."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any

_MOST_BYTES, _MOST_RECORDS, _MOST_DEEP = 1 << 32, 100_000, 64
_FORMAT, _VERSION, _SCHEMA = "pt2", "0", 8
_MODEL, _SAMPLE = "models/model.json", "data/sample_inputs/model.pt"
_CONFIGS = {
    "weights": "data/weights/model_weights_config.json",
    "constants": "data/constants/model_constants_config.json",
}
_MARKS = {"archive_format": _FORMAT, "archive_version": _VERSION, "byteorder": "little"}
_IGNORED = {".data/version", ".data/serialization_id", _SAMPLE}
_PAYLOAD = re.compile(r"data/(?:weights/weight|constants/tensor)_\d{1,6}")
# ScalarType of PyTorch's schema -> bytes of an element; types that columns and weights are of.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 2, 7: 4, 8: 8, 12: 1, 13: 2}

_NAME = re.compile(r"(?!__)(?:[A-Za-z_]\w{0,200})?", re.ASCII)
_PATH = re.compile(r"(?:(?!__)\w{1,200}(?:\.(?!__)\w{1,200}){0,40})?", re.ASCII)
# Entries that name a weight or a module by its path.
_PATHS = {"parameter_name", "buffer_name", "tensor_constant_name", "fqn"}
_TEXT = re.compile(r"[\w ,.>-]{0,200}", re.ASCII)
_FLOAT = re.compile(r"-?Infinity|NaN")
# What PyTorch has sympy evaluate: sums, products and comparisons of sizes. No power: it has no bound.
_SIZE = re.compile(
    r"(?:Symbol\('[a-z]\d{1,6}'(?:, (?:positive|integer|nonnegative)=True){0,3}\)|evaluate=False"
    r"|(?:Integer|Add|Mul|FloorDiv|Mod|PythonMod|CleanDiv|CeilDiv|Max|Min|Eq|Ne|Ge|Gt|Le|Lt)\("
    r"|[a-z]\d{1,6}|\d{1,12}|//|[-+*(), ])++"  # what was read is not read again: digits part in many ways
)
_OPERATOR = re.compile(r"torch\.ops\.aten\.(\w{1,80})\.\w{1,80}", re.ASCII)
_ARITHMETIC = re.compile(r"_operator\.(?:add|sub|mul|floordiv|mod|neg|eq|ne|lt|le|gt|ge|getitem)")
_WRAPPERS = {"torch.ops.higher_order.wrap_with_set_grad_enabled", "torch.ops.higher_order.cond"}
# Operators that open files, or give a tensor a memory of another size.
_REFUSED = {"from_file", "set", "set_", "resize", "resize_", "resize_as_", "as_strided", "as_strided_", "empty_strided"}
_INNER = {
    "_adaptive_avg_pool2d",
    "_assert_scalar",
    "_assert_tensor_metadata",
    "_log_softmax",
    "_native_batch_norm_legit",
    "_native_batch_norm_legit_no_training",
    "_safe_softmax",
    "_softmax",
    "_to_copy",
    "_unsafe_view",
    "_weight_norm_interface",
}
_NODES = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
# Entries of a graph that hold objects or code of their own.
_OBJECTS = {"as_custom_obj", "as_operator", "custom_obj"}


def clean_program(content: bytes) -> bytes:
    """Return the archive of a program, made of nothing but what was checked.

    Parameters
    ----------
    content : bytes
        What ``torch.export.save`` wrote, here or elsewhere.

    Returns
    -------
    bytes
        The same program: no sample inputs, no traces of the code it came from; equal programs are equal bytes.

    Raises
    ------
    ValueError
        It holds a pickle, an object, or anything that PyTorch would evaluate, look up by name outside its
        operators, or read beyond its weights.

    Notes
    -----
    ``torch.export.load`` unpickles weights that say so and sample inputs, has sympy evaluate sizes as Python, finds
    operators by attribute of ``torch`` before it asks whether they are any, and writes names into code that it runs;
    PyTorch 2.13, ``torch/_export/serde/serialize.py`` and ``torch/export/pt2_archive/_package.py``.
    """
    records = _read_records(content)
    for name, wanted in _MARKS.items():
        if records.get(name, wanted.encode()) != wanted.encode():
            raise ValueError(f"its {name} is not {wanted}")
    program = _read_json(records, _MODEL)
    configs = {kind: _read_json(records, name) for kind, name in _CONFIGS.items()}
    program = _check_program(program)
    payloads = {name: each for kind, config in configs.items() for name, each in _read_payloads(kind, config, records)}
    if payloads.keys() != {name for name in records if _PAYLOAD.fullmatch(name)}:
        raise ValueError("it has weights that nothing names")
    written = {
        **{name: payloads[name] for name in sorted(payloads)},
        **{_CONFIGS[kind]: _write_json(config) for kind, config in configs.items()},
        _MODEL: _write_json(program),
        _SAMPLE: b"",
        **{name: text.encode() for name, text in _MARKS.items()},
        ".data/version": b"6\n",
        ".data/serialization_id": b"0" * 40,
    }
    return _write_records(written)


def _read_records(content: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            infos = archive.infolist()
            if len(infos) > _MOST_RECORDS or sum(each.file_size for each in infos) > min(_MOST_BYTES, len(content)):
                raise ValueError("it is larger than its bytes")
            for info in infos:
                root, _, name = info.filename.partition("/")
                known = name in {*_IGNORED, *_MARKS, _MODEL, *_CONFIGS.values()} or _PAYLOAD.fullmatch(name)
                if not root or not known or name in found:
                    raise ValueError(f"it holds {info.filename[:80]!r}, which is no part of a program that is read")
                found[name] = archive.read(info)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError) as fault:
        raise ValueError(f"it is no archive: {fault}") from None
    return found


def _read_json(records: dict[str, bytes], name: str) -> dict[str, Any]:
    if name not in records:
        raise ValueError(f"it has no {name}")
    try:
        told = json.loads(records[name], parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(f"{name} is nested too deep") from None
    if not isinstance(told, dict):
        raise ValueError(f"{name} is no object")  # noqa: TRY004  what is wrong is the file
    return told


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _write_json(told: Any) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode()


def _check_program(program: dict[str, Any]) -> dict[str, Any]:
    schema = program.get("schema_version") or {}
    if schema.get("major") != _SCHEMA:
        raise ValueError(f"it is of schema {schema.get('major')}, and {_SCHEMA} is read: export it again")
    # Guards are lines of Python.
    program = {**program, "guards_code": [], "torch_version": ""}
    return {key: _walk(key, each, 0) for key, each in program.items()}


def _walk(key: str, told: Any, depth: int) -> Any:
    """Return a part of a program as it may be; every text in it is of a form of its own."""
    if depth > _MOST_DEEP:
        raise ValueError("it is nested too deep")
    if isinstance(told, dict):
        return _walk_object(key, told, depth)
    if isinstance(told, list):
        return [_walk(key, each, depth + 1) for each in told]
    if isinstance(told, str):
        _check_text(key, told)
    return told


def _walk_object(key: str, told: dict[str, Any], depth: int) -> dict[str, Any]:
    if key == "metadata":
        return {}
    for name, each in told.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is no name")
        if name in _OBJECTS or (name == "custom_obj_values" and each):
            raise ValueError(f"it holds an object of its own ({name})")
    if key == "device" and told.get("type") != "cpu":
        raise ValueError(f"it wants the device {told.get('type')!r}: export it from the CPU")
    return {name: _walk(name, each, depth + 1) for name, each in told.items()}


def _check_text(key: str, text: str) -> None:
    if key == "target":
        if not _is_operator(text):
            raise ValueError(f"{text[:80]!r} is no operator that is taken")
    elif key == "expr_str":
        if len(text) > 400 or not _SIZE.fullmatch(text) or "**" in text:
            raise ValueError(f"{text[:80]!r} is no size")
    elif key in {"in_spec", "out_spec"}:
        _check_spec(json.loads(text)[1], 0)
    elif key == "as_string":
        if not _TEXT.fullmatch(text):
            raise ValueError(f"{text[:80]!r} is no option of an operator")
    elif key in {"as_float", "as_floats"}:
        if not _FLOAT.fullmatch(text):
            raise ValueError(f"{text[:80]!r} is no number")
    elif not (_PATH if key in _PATHS else _NAME).fullmatch(text):
        raise ValueError(f"{text[:80]!r} is no name")


def _is_operator(text: str) -> bool:
    found = _OPERATOR.fullmatch(text)
    if found is None:
        return text in _WRAPPERS or _ARITHMETIC.fullmatch(text) is not None
    name = found[1]
    return name not in _REFUSED and (not name.startswith("_") or name in _INNER)


def _check_spec(spec: Any, depth: int) -> None:
    """Raise ValueError where inputs or outputs are of other classes than those of Python itself."""
    if depth > _MOST_DEEP or spec["type"] not in _NODES:
        raise ValueError(f"its inputs or outputs are a {str(spec['type'])[:80]}, not tensors in dicts and tuples")
    names = json.loads(spec["context"]) if isinstance(spec["context"], str) else None
    if names is not None and not (isinstance(names, list) and all(_NAME.fullmatch(str(each)) for each in names)):
        raise ValueError("its inputs or outputs have names that are none")
    for each in spec["children_spec"]:
        _check_spec(each, depth + 1)


def _read_payloads(kind: str, config: dict[str, Any], records: dict[str, bytes]) -> list[tuple[str, bytes]]:
    """Return the bytes of weights or constants, each long enough for the tensors that lie in it."""
    found = []
    if config.keys() != {"config"}:
        raise ValueError(f"the list of its {kind} is none")
    for name, each in config["config"].items():
        if not _PATH.fullmatch(name) or each["use_pickle"] is not False:
            raise ValueError(f"{name[:80]!r} is pickled, or no name")
        place = f"data/{kind}/{each['path_name']}"
        if not _PAYLOAD.fullmatch(place) or place not in records:
            raise ValueError(f"the {kind[:-1]} {name!r} lies nowhere")
        each["tensor_meta"] = _walk("tensor_meta", each["tensor_meta"], 0)
        wanted, size_bytes = _measure(each["tensor_meta"]), len(records[place])
        if wanted > size_bytes:
            raise ValueError(f"{name!r} needs {wanted:,} bytes and has {size_bytes:,}")
        found.append((place, records[place]))
    return found


def _measure(meta: dict[str, Any]) -> int:
    """Return how many bytes a tensor of that shape reaches into its memory."""
    if meta["dtype"] not in _SIZES:
        raise ValueError(f"it has tensors of type {meta['dtype']}")
    sizes, strides = ([int(each["as_int"]) for each in meta[key]] for key in ("sizes", "strides"))
    offset = int(meta["storage_offset"]["as_int"])
    if len(sizes) != len(strides) or min([offset, *sizes, *strides]) < 0:
        raise ValueError("it has a tensor without a shape")
    if 0 in sizes:
        return 0
    last = sum((size - 1) * stride for size, stride in zip(sizes, strides, strict=True))
    return (offset + last + 1) * _SIZES[meta["dtype"]]


def _write_records(records: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for name, each in records.items():
            archive.writestr(zipfile.ZipInfo(f"archive/{name}"), each)
    return written.getvalue()

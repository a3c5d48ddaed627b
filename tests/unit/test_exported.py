"""Archives of PyTorch's exported programs are read without PyTorch, and nothing in them is believed."""

import io
import json
import pickle
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainspring.models.exported import clean_program

TENSOR = {
    "dtype": 7,
    "sizes": [{"as_int": 2}, {"as_int": 1}],
    "requires_grad": True,
    "device": {"type": "cpu", "index": None},
    "strides": [{"as_int": 1}, {"as_int": 1}],
    "storage_offset": {"as_int": 0},
    "layout": 7,
}
ROWS = {"as_expr": {"expr_str": "Symbol('s77', positive=True, integer=True)", "hint": {"as_int": 8}}}
LEAF = {"type": None, "context": None, "children_spec": []}


def make_program() -> dict:
    """Return what an export of ``relu(x @ w)`` says, as far as this reader looks at it."""
    spec = json.dumps([1, {"type": "builtins.tuple", "context": "null", "children_spec": [LEAF]}])
    node = {
        "target": "torch.ops.aten.relu.default",
        "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "x"}}, "kind": 1}],
        "outputs": [{"as_tensor": {"name": "relu"}}],
        "metadata": {"stack_trace": 'File "/home/ada/secret.py", line 3'},
        "name": "relu",
    }
    graph = {
        "inputs": [{"as_tensor": {"name": "x"}}],
        "outputs": [{"as_tensor": {"name": "relu"}}],
        "nodes": [node],
        "tensor_values": {"x": {**TENSOR, "sizes": [ROWS, {"as_int": 1}]}},
        "custom_obj_values": {},
    }
    call = {"fqn": "", "signature": {"in_spec": spec, "out_spec": spec, "forward_arg_names": ["x"]}}
    return {
        "graph_module": {"graph": graph, "signature": {}, "module_call_graph": [call], "metadata": {}},
        "schema_version": {"major": 8, "minor": 20},
        "guards_code": [],
        "torch_version": "2.13.0",
    }


def make_archive(program: object = None, *, weight: dict | None = None, **records: bytes) -> bytes:
    weight = {"path_name": "weight_0", "is_param": True, "use_pickle": False, "tensor_meta": TENSOR, **(weight or {})}
    whole = {
        "models/model.json": json.dumps(make_program() if program is None else program).encode(),
        "data/weights/weight_0": b"\0" * 8,
        "data/weights/model_weights_config.json": json.dumps({"config": {"first.weight": weight}}).encode(),
        "data/constants/model_constants_config.json": b'{"config": {}}',
        "data/sample_inputs/model.pt": pickle.dumps(print),
        "archive_format": b"pt2",
        "archive_version": b"0",
        "byteorder": b"little",
        **records,
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in whole.items():
            archive.writestr(f"net/{name}", content)
    return written.getvalue()


def change(path: str, value: object) -> dict:
    program = json.loads(json.dumps(make_program()))
    *way, last = path.split("/")
    place = program
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[int(last) if isinstance(place, list) else last] = value
    return program


def test_what_is_kept_is_only_what_was_checked() -> None:
    cleaned = clean_program(make_archive())
    with zipfile.ZipFile(io.BytesIO(cleaned)) as archive:
        assert archive.read("archive/data/sample_inputs/model.pt") == b""
        assert archive.read("archive/data/weights/weight_0") == b"\0" * 8
        told = json.loads(archive.read("archive/models/model.json"))
    assert told["graph_module"]["graph"]["nodes"][0]["target"] == "torch.ops.aten.relu.default"
    assert b"secret.py" not in cleaned
    assert clean_program(cleaned) == cleaned


NODE = "graph_module/graph/nodes/0"
SPEC = "graph_module/module_call_graph/0/signature/in_spec"


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (f"{NODE}/target", "torch.os.system", "no operator"),
        (f"{NODE}/target", "torch.load", "no operator"),
        (f"{NODE}/target", "torch.ops.aten.from_file.default", "no operator"),
        (f"{NODE}/target", "torch.ops.aten.relu.default.__class__", "no operator"),
        (f"{NODE}/target", "torch.ops.mine.relu.default", "no operator"),
        (f"{NODE}/target", "#mine:relu", "no operator"),
        (f"{NODE}/name", "relu = __import__('os').system('true')", "no name"),
        (f"{NODE}/name", "torch.load", "no name"),
        (f"{NODE}/name", "__class__", "no name"),
        (f"{NODE}/inputs/0/arg", {"as_custom_obj": {"name": "x", "class_fqn": "y"}}, "object of its own"),
        (f"{NODE}/inputs/0/arg", {"as_string": "'); print('"}, "no option"),
        (f"{NODE}/inputs/0/arg", {"as_float": "1e999 or print()"}, "no number"),
        ("graph_module/graph/tensor_values/x/sizes/0/as_expr/expr_str", "__import__('os').getpid()", "no size"),
        ("graph_module/graph/tensor_values/x/sizes/0/as_expr/expr_str", "9**9**9**9", "no size"),
        ("graph_module/graph/tensor_values/x/sizes/0/as_expr/expr_str", "1" * 399 + "x", "no size"),
        ("graph_module/graph/tensor_values/x/device/type", "cuda", "device"),
        ("graph_module/graph/custom_obj_values", {"x": {"name": "x", "class_fqn": "y"}}, "object of its own"),
        (SPEC, json.dumps([1, {**LEAF, "type": "os.PathLike"}]), "os.PathLike"),
        ("schema_version/major", 9, "schema 9"),
    ],
)
def test_programs_that_could_run_something_are_refused(path: str, value: object, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        clean_program(make_archive(change(path, value)))


def test_lines_of_python_are_left_out() -> None:
    cleaned = clean_program(make_archive(change("guards_code", ["print(1)"])))
    assert b"print" not in cleaned


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"weight": {"use_pickle": True}}, "pickled"),
        ({"weight": {"path_name": "../../models/model.json"}}, "lies nowhere"),
        ({"weight": {"tensor_meta": {**TENSOR, "sizes": [{"as_int": 3}, {"as_int": 1}]}}}, "needs 12 bytes and has 8"),
        ({"weight": {"tensor_meta": {**TENSOR, "strides": [{"as_int": -1}, {"as_int": 1}]}}}, "without a shape"),
        ({"data/weights/weight_1": b"more"}, "nothing names"),
        ({"data/aotinductor/model/wrapper.so": b"\x7fELF"}, "no part of a program"),
        ({"data/constants/opaque_obj_0": pickle.dumps(print)}, "no part of a program"),
        ({"extra/notes": b"hello"}, "no part of a program"),
        ({"archive_version": b"1"}, "archive_version is not 0"),
        ({"models/model.json": b"[" * 100_000}, "nested too deep"),
        ({"models/model.json": b"{}"}, "schema None"),
    ],
)
def test_archives_with_anything_else_in_them_are_refused(changes: dict, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        clean_program(make_archive(**changes))


@given(st.data())
def test_no_changed_byte_leads_to_another_error(data: st.DataObject) -> None:
    content = bytearray(make_archive())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        cleaned = clean_program(bytes(content))
    except ValueError:
        return
    assert clean_program(cleaned) == cleaned

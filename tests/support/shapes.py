"""What commands print, held against the schemas that the reference shows."""

import importlib.util
import json
from functools import cache
from pathlib import Path

import jsonschema_rs

from mainspring.cli.main import cli

TOOL = Path(__file__).resolve().parents[2] / "tools" / "reference.py"


@cache
def load_reference():
    """Import the tool that writes the reference."""
    spec = importlib.util.spec_from_file_location("reference", TOOL)
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    return reference


@cache
def read_schemas():
    """Return the document of the reference, as the code makes it now."""
    return load_reference().make_schemas(cli)


@cache
def _make_validator(command):
    document = read_schemas()
    schema = document["commands"].get(command) or document[command]
    return jsonschema_rs.Draft202012Validator({**_close(schema), "$defs": _close(document["$defs"])})


def check_shape(command, text):
    """Assert that a text is what a command may print (``error``: what stands on standard error); return it read."""
    value = json.loads(text)
    faults = [f"{fault.instance_path}: {fault.message}" for fault in _make_validator(command).iter_errors(value)]
    assert not faults, (command, faults[:3])
    return value


def _close(node):
    """Refuse keys that are not documented; a reader of JSON must not, as new ones may come."""
    if isinstance(node, dict):
        closed = {key: _close(value) for key, value in node.items()}
        return {**closed, "additionalProperties": False} if "properties" in node else closed
    return [_close(each) for each in node] if isinstance(node, list) else node

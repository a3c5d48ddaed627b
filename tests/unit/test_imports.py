"""What is imported at once stays light: libraries load when something needs them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import mainspring

PACKAGE = Path(mainspring.__file__).parent
TABLES = {"deltalake", "numpy", "onnx", "onnxruntime", "optuna", "pandas", "polars", "scipy", "sklearn", "skops"}
WEB = {"httpx", "starlette", "uvicorn"}
RECORD = {"alembic", "sqlalchemy"}


def list_modules(package):
    folder = PACKAGE / package
    paths = [path for path in folder.rglob("*.py") if "adapters" not in path.parts]
    names = [".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts) for path in paths]
    return sorted(name.removesuffix(".__init__") for name in names)


def import_all(names):
    lines = "\n".join(f"import {name}" for name in names)
    code = f"import json, sys\n{lines}\nprint(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("names", "forbidden"),
    [
        pytest.param(["mainspring"], TABLES | WEB | RECORD | {"msgspec", "asyncio"}, id="root"),
        pytest.param(["mainspring.sdk.steps"], TABLES | WEB | RECORD | {"asyncio", "importlib.metadata"}, id="script"),
        pytest.param(list_modules("sdk"), TABLES | WEB | RECORD, id="sdk"),
        pytest.param(list_modules("cli"), TABLES | WEB | RECORD, id="cli"),
        pytest.param(list_modules("domain"), TABLES | WEB | RECORD | {"asyncio", "socket"}, id="domain"),
        pytest.param(
            [name for name in list_modules("worker") if ".jobs." not in name], TABLES | WEB | RECORD, id="worker"
        ),
        pytest.param(list_modules("control"), TABLES | WEB | RECORD, id="control"),
    ],
)
def test_nothing_heavy_is_loaded(names, forbidden):
    assert names
    assert sorted(import_all(names) & forbidden) == []

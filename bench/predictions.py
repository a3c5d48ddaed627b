"""What a worker needs to answer datasets of any length: ``python -m bench.predictions 1000000 8000000``.

On demand: 8 million rows of 11 columns take a minute or two and 1.5 GB of disk, and their writing 2 GB of memory.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from bench.figures import Figure, print_figures
from bench.processes import run

INPUTS = 10
SEED = 20130101

_PROGRAM = """
import json, sys
import numpy as np, polars as pl
from sklearn.linear_model import LinearRegression
import mainspring as ms
from mainspring.domain.messages import GetRun
from mainspring.sdk.lineage import current_client

rows, inputs, text_bytes, seed = map(int, sys.argv[1:])
rng = np.random.default_rng(seed)
data = pl.DataFrame({"id": np.arange(rows)} | {f"x{number}": rng.random(rows) for number in range(inputs)})
if text_bytes:
    data = data.with_columns(text=pl.format("{}" + "-" * text_bytes, "id"))
few = data.head(200).select(f"x{number}" for number in range(inputs))
model = ms.register(LinearRegression().fit(few, few["x0"]), "line", example=few)
ms.write(data, "rows", key="id")
keep = ["text"] if text_bytes else None
scores = model.predict("rows", to="scores", keep=keep)
made = current_client().ask(GetRun(id=scores.version.run_id))
print(json.dumps({
    "peak_mb": made.memory_bytes / 1e6, "cpu_s": made.cpu_s, "rows": scores.rows,
    "data_mb": data.estimated_size() / 1e6,
}))
"""


def measure_predictions(rows: int, text_bytes: int) -> list[Figure]:
    """Answer so many rows in a fresh home, and say what the worker that did it needed."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"MAINSPRING_HOME": str(Path(folder) / "home"), "MAINSPRING_PROGRESS": "0"}
        try:
            words = [str(each) for each in (rows, INPUTS, text_bytes, SEED)]
            told = json.loads(run([sys.executable, "-c", _PROGRAM, *words], **settings).splitlines()[-1])
        finally:
            run([sys.executable, "-m", "mainspring", "stop"], **settings)
    assert told["rows"] == rows
    how = f"{INPUTS} numbers{f' and a text of {text_bytes:,} bytes' if text_bytes else ''}, {told['data_mb']:,.0f} MB"
    return [
        Figure(f"{rows:,} rows", [told["peak_mb"]], "MB", None, f"peak of the worker; {how}"),
        Figure(f"{rows:,} rows", [told["cpu_s"]], "s", None, "CPU of the run"),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.predictions", description=__doc__)
    parser.add_argument("rows", type=int, nargs="+", help="rows of a dataset; one home for each")
    parser.add_argument("--text-bytes", type=int, default=0, help="give each row a text of this length, and keep it")
    options = parser.parse_args()
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    print(f"load {load:.1f} a core")
    figures = [each for rows in options.rows for each in measure_predictions(rows, options.text_bytes)]
    print_figures("Predictions of datasets", figures)


if __name__ == "__main__":
    main()

"""Mainspring and its peers: how each is installed, called and kept quiet."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.install import ROOT, build_wheel, install_core, run_tool

FOLDER = Path(__file__).resolve().parent
VENVS = ROOT / ".venv" / "peers"


@dataclass(frozen=True)
class Tool:
    """One of the compared.

    Attributes
    ----------
    name : str
        As people write it.
    package : str
        What is imported.
    records : str
        What a step leaves behind in these flows.
    variables : dict of str to str
        Its environment; ``{home}`` is the folder of the round.
    files : dict of str to str
        Files of the folder, by path.
    prepare : tuple of tuples of str
        Commands before the first flow, not measured.
    command : dict of str to tuple of str
        How each kind of flow is started; ``{count}`` and ``{start}`` are filled in. What is not there it cannot do.
    states : tuple of str or None
        Prints the states of the wide flow's steps.
    stop : tuple of str or None
        Ends what it left running.
    isolated : int
        Steps of the longer flow that tells what one in a process of its own costs; few where each takes seconds.
    forks_always : bool
        Whether every step is a process.
    caches : bool
        Whether a second equal run is answered from the first.
    lacks : dict of str to str
        Kind of flow -> why it is not measured.
    remark : str
        What must be known of its states after the wide flow.
    """

    name: str
    package: str
    records: str
    variables: dict[str, str]
    command: dict[str, tuple[str, ...]]
    files: dict[str, str] = field(default_factory=dict)
    prepare: tuple[tuple[str, ...], ...] = ()
    states: tuple[str, ...] | None = None
    stop: tuple[str, ...] | None = None
    isolated: int = 50
    forks_always: bool = False
    caches: bool = False
    lacks: dict[str, str] = field(default_factory=dict)
    remark: str = ""

    def install(self) -> Path:
        """Return the interpreter of its environment, made from its lock when it is not there."""
        if self.package == "mainspring":
            with tempfile.TemporaryDirectory() as folder:
                python = install_core(build_wheel(Path(folder)))
        else:
            python = install_peer(FOLDER / self.package / "requirements.txt", VENVS / self.package)
        run_tool(str(python), "-m", "compileall", "-q", str(python.parent.parent / "lib"))
        return python


def install_peer(lock: Path, folder: Path) -> Path:
    """Make an environment of exactly what a lock names, once for each content of the lock."""
    python, done = folder / "bin" / "python", folder / "done.txt"
    if not done.exists() or done.read_bytes() != lock.read_bytes():
        shutil.rmtree(folder, ignore_errors=True)
        run_tool("uv", "venv", "--quiet", "--python", "3.11", str(folder))
        run_tool("uv", "pip", "install", "--quiet", "--python", str(python), "--require-hashes", "-r", str(lock))
        done.write_bytes(lock.read_bytes())
    return python


def _run_flow(package: str, *kinds: str) -> dict[str, tuple[str, ...]]:
    return {kind: ("{python}", str(FOLDER / package / "flow.py"), kind, "{count}", "{start}") for kind in kinds}


TOOLS: Sequence[Tool] = (
    Tool(
        "Mainspring",
        "mainspring",
        "run, lineage, value, cache key and state in SQLite, committed",
        {"MAINSPRING_HOME": "{home}/record"},
        _run_flow("mainspring", "chain", "isolated", "wide"),
        states=("{python}", str(FOLDER / "mainspring" / "flow.py"), "states"),
        stop=("{python}", "-m", "mainspring", "stop"),
        caches=True,
    ),
    Tool(
        "Metaflow",
        "metaflow",
        "artifacts and metadata in files",
        {"METAFLOW_HOME": "{home}/.metaflowconfig", "METAFLOW_USER": "bench", "METAFLOW_DEFAULT_DATASTORE": "local"},
        {
            "chain": ("{python}", "chain_{count}.py", "run", "--first", "{start}"),
            "wide": (
                "{python}",
                "wide.py",
                "run",
                "--count",
                "{count}",
                "--first",
                "{start}",
                "--max-workers",
                "100",
                "--max-num-splits",
                "1000",
            ),
        },
        prepare=(("{python}", str(FOLDER / "metaflow" / "make.py"), "{home}", "3", "50"),),
        forks_always=True,
        states=("{python}", str(FOLDER / "metaflow" / "states.py")),
        lacks={"cached": "it has no cache of steps", "wide": "a process for each step: some six minutes of CPU"},
    ),
    Tool(
        "Dagster",
        "dagster",
        "events in SQLite, values in files",
        {"DAGSTER_HOME": "{home}"},
        _run_flow("dagster", "chain", "isolated"),
        isolated=8,
        files={"dagster.yaml": "telemetry:\n  enabled: false\n"},
        lacks={
            "cached": "it has no cache of ops",
            "wide": "a process for each op: more than twenty minutes of CPU",
        },
    ),
    Tool(
        "ZenML[local]",
        "zenml",
        "artifact, lineage and state in SQLite",
        {
            "ZENML_ANALYTICS_OPT_IN": "false",
            "ZENML_CONFIG_PATH": "{home}/zenml",
            "ZENML_LOCAL_STORES_PATH": "{home}/stores",
            "ZENML_DYNAMIC_PIPELINE_WORKER_COUNT": "100",
            "AUTO_OPEN_DASHBOARD": "false",
        },
        _run_flow("zenml", "chain", "wide"),
        states=("{python}", str(FOLDER / "zenml" / "flow.py"), "states"),
        caches=True,
        lacks={"isolated": "its local orchestrator has no processes for steps"},
    ),
    Tool(
        "Prefect",
        "prefect",
        "states in SQLite by a temporary server, results in files",
        {
            "PREFECT_HOME": "{home}/prefect",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
        },
        _run_flow("prefect", "chain", "isolated", "wide"),
        states=("{python}", str(FOLDER / "prefect" / "flow.py"), "states"),
        remark="its temporary server writes states in the background and ends with the script; one that stays has time",
        caches=True,
    ),
)
"""In the order of the table."""

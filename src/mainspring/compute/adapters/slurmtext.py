"""What Slurm's programs are told and what they say, as text: pure, no input or output."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, urlsplit

import msgspec

from mainspring.compute.engine import Cause, Node, Spec
from mainspring.domain.errors import Invalid
from mainspring.domain.units import format_size

_MEBIBYTE = 1 << 20
_KEYS = ("partition", "account", "qos", "constraint", "conf")
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._,&|*:()-]*|/[^\0]*")

NODE_FORMAT = "NodeList:|,CPUs:|,Memory:|,Gres:|"
JOB_FORMAT = "Name:|,ArrayJobID:|,ArrayTaskID:|,State:|,Reason:|,NodeList:|"

_MIDDLE = 100
_HIGHEST = 2 * _MIDDLE
_MARGIN_MIN = 2

_AWAY = (
    "unable to contact",
    "connect failure",
    "timed out",
    "timeout",
    "zero bytes",
    "temporarily",
    "transport endpoint",
    "communication connection failure",
    "protocol authentication error",
    "munge",
    "unable to process configuration",
)
"""What the programs say when they, or the daemons behind them, are out of order for the moment."""

_WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD"})
_RUNNING = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "RESIZING", "SIGNALING", "STAGE_OUT"})
_CAUSES: dict[str, Cause] = {
    "TIMEOUT": "timeout",
    "DEADLINE": "timeout",
    "OUT_OF_MEMORY": "memory",
    "CANCELLED": "cancelled",
    "REVOKED": "cancelled",
}


class Address(msgspec.Struct, frozen=True):
    """What the URL of a pool says.

    Attributes
    ----------
    partition, account, qos, constraint : str
        As ``sbatch`` has them; empty: what the site takes by itself.
    conf : str
        ``SLURM_CONF`` of the programs; empty: where they look by themselves.
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    conf: str = ""


class Job(msgspec.Struct, frozen=True):
    """A job, or a task of an array, as ``squeue`` tells of it."""

    number: str
    state: str
    reason: str = ""
    nodes: str = ""

    @property
    def waits(self) -> bool:
        """It has not started."""
        return self.state in _WAITING

    @property
    def ended(self) -> bool:
        """It is over."""
        return self.state not in _WAITING and self.state not in _RUNNING

    @property
    def cause(self) -> Cause:
        """Why Slurm ended it; ``lost`` when a machine failed, or nobody can tell."""
        return _CAUSES.get(self.state, "lost")


def read_address(url: str) -> Address:
    """Read the URL of a pool.

    Raises
    ------
    Invalid
        WORK-010 for a machine, or what no option is called.

    Examples
    --------
    >>> read_address("slurm://?partition=gpu&account=physics").account
    'physics'
    """
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    problem = ""
    if parts.netloc or parts.path.strip("/"):
        problem = "names a machine; Slurm's own programs are used, on the machine of the owner"
    for name, value in given.items():
        if name not in _KEYS:
            problem = f"has {name!r}; known are {', '.join(_KEYS)}"
        elif not _SAFE.fullmatch(value):
            problem = f"has {name}={value!r}, which cannot be a name in Slurm"
    if problem:
        raise Invalid("WORK-010", f"{url} {problem}", url=url)
    return Address(**given)


def make_options(spec: Spec, address: Address) -> tuple[str, ...]:
    """Return the options with which an attempt is submitted; attempts that agree in them may share an array.

    Examples
    --------
    >>> make_options(Spec("a", 1, 1, "t", timeout_s=90.0), Address("gpu"))
    ('--ntasks=1', '--cpus-per-task=1', '--nice=100', '--time=4', '--partition=gpu')
    """
    asked = spec.resources
    nice = min(max(_MIDDLE - spec.priority, 0), _HIGHEST)
    words = ["--ntasks=1", f"--cpus-per-task={max(1, math.ceil(asked.cpus))}", f"--nice={nice}"]
    if asked.memory_bytes:
        words.append(f"--mem={math.ceil(asked.memory_bytes / _MEBIBYTE)}M")
    if asked.gpus:
        words.append(f"--gres=gpu:{asked.gpus:g}")
    if spec.timeout_s is not None:
        # The worker ends the run to the second; Slurm counts minutes, and ends what the worker could not.
        words.append(f"--time={math.ceil(spec.timeout_s / 60) + _MARGIN_MIN}")
    for name in ("partition", "account", "qos", "constraint"):
        value = getattr(address, name)
        words += [f"--{name}={value}"] if value else []
    return tuple(words)


def find_refusal(spec: Spec, nodes: Sequence[Node], limit_s: float | None) -> str:
    """Tell why no node of a partition could ever hold an attempt; empty when one could, or nothing is known yet.

    Parameters
    ----------
    spec : Spec
        The attempt.
    nodes : sequence of Node
        Of the partition, empty while unknown.
    limit_s : float or None
        After which the partition ends any job.

    Examples
    --------
    >>> from mainspring.domain.records import Resources
    >>> find_refusal(Spec("a", 1, 1, "t", Resources(gpus=9)), [Node("n1", 16, 1 << 35, 8)], None)
    'it asks 9 gpus; no node of the partition has more than 8'
    """
    asked = spec.resources
    if asked.gpus != int(asked.gpus):
        return f"it asks {asked.gpus:g} gpus; Slurm gives whole ones"
    if limit_s is not None and spec.timeout_s is not None and spec.timeout_s > limit_s:
        return f"it may take {spec.timeout_s:g} s; the partition ends any job after {limit_s:g} s"
    if not nodes:
        return ""
    cpus, memory_bytes = math.ceil(asked.cpus), asked.memory_bytes or 0
    if any(cpus <= n.cpus and asked.gpus <= n.gpus and memory_bytes <= n.memory_bytes for n in nodes):
        return ""
    most = Node("", max(n.cpus for n in nodes), max(n.memory_bytes for n in nodes), max(n.gpus for n in nodes))
    if cpus > most.cpus:
        return f"it asks {cpus} cpus; no node of the partition has more than {most.cpus:g}"
    if asked.gpus > most.gpus:
        return f"it asks {asked.gpus:g} gpus; no node of the partition has more than {most.gpus:g}"
    if memory_bytes > most.memory_bytes:
        has = format_size(most.memory_bytes)
        return f"it asks {format_size(memory_bytes)} of memory; no node of the partition has more than {has}"
    return f"it asks {cpus} cpus, {asked.gpus:g} gpus and {format_size(memory_bytes)} of memory; no node has them all"


def read_nodes(text: str) -> list[Node]:
    """Read what ``sinfo`` says of nodes in `NODE_FORMAT`.

    Examples
    --------
    >>> (node,) = read_nodes("n1|16|32000|gpu:a100:8(S:0-1)|")
    >>> node.name, node.cpus, node.memory_bytes, node.gpus, node.gpu_type, node.alone
    ('n1', 16.0, 33554432000, 8.0, 'a100', True)
    """
    nodes: dict[str, Node] = {}
    for line in text.splitlines():
        name, cpus, memory, gres, *_ = [word.strip() for word in line.split("|")]
        kinds = re.findall(r"(?:^|,)gpu(?::([^:(,]+(?=:)))?:(\d+)", gres)
        gpus = float(sum(int(count) for _, count in kinds))
        nodes[name] = Node(name, float(cpus), int(memory) * _MEBIBYTE, gpus, kinds[0][0] if kinds else "", alone=True)
    return list(nodes.values())


def read_jobs(text: str) -> dict[tuple[str, int], Job]:
    """Read what ``squeue`` says of tasks in `JOB_FORMAT`, by name of the job and number of the task.

    Of two jobs of one name, which a killed owner may leave, the one counts that goes on.

    Examples
    --------
    >>> read_jobs("ms-a|7|3|PENDING|Resources||")
    {('ms-a', 3): Job(number='7_3', state='PENDING', reason='Resources', nodes='')}
    """
    jobs: dict[tuple[str, int], Job] = {}
    for line in text.splitlines():
        words = [word.strip() for word in line.split("|")]
        if len(words) < 6 or not words[2].isdecimal():
            continue
        name, number, task, state, reason, nodes = words[:6]
        job = Job(f"{number}_{task}", state, "" if reason == "None" else reason, nodes)
        known = jobs.get((name, int(task)))
        if known is None or known.ended:
            jobs[name, int(task)] = job
    return jobs


def read_limit(text: str) -> float | None:
    """Read the time limit of a partition, ``[DAYS-]HH:MM:SS``, in seconds; None: there is none, or it is not told.

    Examples
    --------
    >>> read_limit("10:00"), read_limit("2-00:00:30"), read_limit("infinite")
    (600.0, 172830.0, None)
    """
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", text.strip())
    if found is None:
        return None
    days, hours, minutes, seconds = (int(each or 0) for each in found.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def read_most_tasks(text: str) -> int:
    """Read how many tasks an array may have from ``scontrol show config``.

    Examples
    --------
    >>> read_most_tasks("MaxArraySize            = 1001")
    1001
    """
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", text, re.MULTILINE)
    return max(1, int(found[1])) if found else 1


def is_away(text: str) -> bool:
    """Tell whether a program failed because Slurm is out of order, and may be asked again.

    Examples
    --------
    >>> is_away("sbatch: error: Unable to contact slurm controller (connect failure)")
    True
    >>> is_away("sbatch: error: Invalid account or account/partition combination specified")
    False
    """
    return any(each in text.lower() for each in _AWAY)


def tell_error(text: str) -> str:
    r"""Return the line of a program's errors that says most: the last, without who says it.

    Examples
    --------
    >>> tell_error("sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job failed\n")
    'Memory specification can not be satisfied; Batch job failed'
    """
    lines = [re.sub(r"^\w+: (error: |fatal: )?", "", line.strip()) for line in text.splitlines()]
    return "; ".join(line for line in lines if line)[:300] or "it says nothing"


def make_range(tasks: Iterable[int]) -> str:
    """Return the tasks of an array as ``--array`` wants them.

    Examples
    --------
    >>> make_range([0, 1, 2, 5])
    '0-2,5'
    """
    parts: list[list[int]] = []
    for task in sorted(tasks):
        if parts and task == parts[-1][1] + 1:
            parts[-1][1] = task
        else:
            parts.append([task, task])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in parts)

"""The environment variables that Mainspring reads, all of them."""

from __future__ import annotations

SETTINGS: dict[str, str] = {
    "MAINSPRING_HOME": "Folder of the record; default `$XDG_STATE_HOME/mainspring`, or `~/.local/state/mainspring`.",
    "MAINSPRING_RECORD": "Database of a new home's record, `postgresql://user@host/database`; default: a file.",
    "MAINSPRING_BLOBS": "Object store of a new home's blobs and tables, `s3://bucket/prefix`; default: its folder.",
    "MAINSPRING_BLOB_CACHE_MB": "Most megabytes of copies that a home keeps of an object store; default 4096.",
    "MAINSPRING_IDLE_S": "Idle seconds after which the owner ends; default 60, 0: never. Runs and services hold it.",
    "MAINSPRING_MOST_QUEUED": "Most runs that wait in an engine's own queue, if not as many run there; default 16.",
    "MAINSPRING_ZONE": "Where this home stands, as pools name it: what is sensitive stays there; default: no name.",
    "MAINSPRING_GRACE_S": "Seconds, 0 to 60, that a run has to end in when it gives way to others; default 30.",
    "MAINSPRING_CALM_S": "Seconds that a run keeps its place before it may have to give way; default 600.",
    "MAINSPRING_PROJECT": "Project that this process works in; default `default`.",
    "MAINSPRING_SYSTEM_METRICS_S": "Seconds between two readings of what long runs use; default 10, 0: none.",
    "MAINSPRING_URL": "Server that this process works at, `https://host:port`; default: the home of this machine.",
    "MAINSPRING_TOKEN": "Token for it, as `mainspring tokens add` prints it.",
    "MAINSPRING_CERTIFICATE": "SHA-256 of its certificate, or the file of an authority; default: the system's ones.",
    "MAINSPRING_REMOTE_CODE": "`1`, where the owner starts: its workers run code that runners send from elsewhere.",
    "MAINSPRING_ENVELOPE_KEYS": "Keys of 64 hexadecimal characters, with commas, for secrets; the last one wraps.",
    "MAINSPRING_OIDC_SECRET": "Secret of the client of `mainspring up --oidc`; none for a public client.",
    "MAINSPRING_MOST_LOGGED_MB": "Most megabytes of one file or folder that `log` keeps; default 5000.",
    "MAINSPRING_PROVENANCE": "`0` keeps back what runs tell of their process: Git, environment, command, folder.",
    "MAINSPRING_PRIVATE_HOSTS": "Private hosts that sinks may reach, `host` or `host:port`, with commas.",
    "MAINSPRING_BUCKETS": "Buckets that triggers may watch, `s3://bucket/prefix`, with commas; default: none.",
    "MAINSPRING_CPU_HOUR_COST": "What an hour of a core costs, in your currency, for `Budget(cost=...)`; default 0.",
    "MAINSPRING_GPU_HOUR_COST": "What an hour of a device costs, in the same currency; default 0.",
    "MAINSPRING_PROGRESS": "`0` keeps back the lines that a pipeline prints on standard error.",
    "MAINSPRING_RUN": "Set for what `run -- COMMAND` starts: the run that it logs to and that its steps lie below.",
    "MAINSPRING_RUN_TOKEN": "Set likewise: the token of that run's attempt.",
    "MAINSPRING_RUN_JOURNAL": "Set likewise: the file that what it logs is appended to.",
    "MAINSPRING_ATTEMPT": "Set by engines for `mainspring.worker.once`: the attempt that it executes.",
    "MAINSPRING_RANK": "Set by engines that start gangs themselves: which member a process is, from 0.",
    "MAINSPRING_WORKER": "Set by it for the process that executes the attempt: the name by which both lease it.",
    "MAINSPRING_CRASH": "`NAME:N:FILE` kills a process at the N-th passage of a crash point, once a FILE; for tests.",
}
"""Name -> what it does and its default; a test compares it with what the code reads."""

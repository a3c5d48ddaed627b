"""Engines and workers."""

from __future__ import annotations

from mainspring.domain.catalogue.entry import Entry

ENTRIES = (
    Entry(
        "WORK-001",
        "not_found",
        "no such engine",
        "no installed package offers an engine for that URL",
        "use local://, or install the package that brings the engine",
    ),
    Entry(
        "WORK-002",
        "failed",
        "no worker could be started",
        "the interpreter is missing or cannot import mainspring",
        "install mainspring for that interpreter: PYTHON -m pip install mainspring",
    ),
    Entry(
        "WORK-003",
        "invalid",
        "no such job",
        "the worker is of another version than the owner",
        "mainspring stop, then repeat the command",
    ),
    Entry(
        "WORK-004",
        "failed",
        "a result that cannot be stored",
        "the value raised while it was written",
        "return a value of plain data, an array, a table or a model",
    ),
    Entry(
        "WORK-005",
        "failed",
        "a working folder that cannot be entered",
        "a worker runs where its caller ran, and that folder is gone or closed",
        "run it from a folder that stays",
    ),
    Entry(
        "WORK-006",
        "failed",
        "a run over its memory limit",
        "its processes held more memory than memory= allows, with the libraries they have loaded",
        "raise memory= of the step",
    ),
    Entry(
        "WORK-007",
        "invalid",
        "an attempt that cannot be read",
        "mainspring.worker.once is started by an engine, which names the attempt in MAINSPRING_ATTEMPT",
        "have an engine start it, of the same version as the owner",
    ),
    Entry(
        "WORK-009",
        "failed",
        "programs of Slurm that are not there",
        "the owner speaks to Slurm through sbatch, squeue, scancel, sinfo and scontrol",
        "install them beside the owner (Debian: apt install slurm-client), or start the owner where they are",
    ),
    Entry(
        "WORK-010",
        "invalid",
        "a URL that is none of Slurm",
        "it has one of the options partition, account, qos, constraint and conf, and no machine",
        "write it as slurm://?partition=PARTITION",
    ),
    Entry(
        "WORK-011",
        "invalid",
        "an address that is none of ssh",
        "a pool of ssh names a machine, and how workers there reach the home",
        "write it as ssh://USER@HOST/?python=PATH&home=FOLDER, or with server=https://HOST:PORT and certificate=SHA256",
    ),
    Entry(
        "WORK-012",
        "not_found",
        "no client of OpenSSH",
        "pools of ssh use the ssh of this machine",
        "apt install openssh-client",
    ),
    Entry(
        "WORK-013",
        "unavailable",
        "a machine of ssh that cannot be used",
        "it is down, its key is not known, it lets nobody in, or its python lacks mainspring",
        "try it by hand: ssh -o BatchMode=yes -o StrictHostKeyChecking=yes USER@HOST PYTHON -c 'import mainspring'",
    ),
    Entry(
        "WORK-014",
        "invalid",
        "an address that is none of Dask",
        "a pool of Dask names a scheduler and how workers reach the home, or nothing: then a cluster is started here",
        "write it as dask://HOST:PORT?home=FOLDER, with server=https://HOST:PORT and certificate=SHA256, or as dask://",
    ),
    Entry(
        "WORK-015",
        "not_found",
        "no Dask",
        "pools of Dask use the package distributed, beside the owner and where workers are",
        "pip install 'mainspring[dask]'",
    ),
    Entry(
        "WORK-016",
        "unavailable",
        "a Dask cluster that cannot be used",
        "its scheduler is down, has no worker, or speaks another version, or its workers lack mainspring",
        "compare versions on both sides: python -c 'import distributed; print(distributed.__version__)'",
    ),
    Entry(
        "WORK-017",
        "invalid",
        "an address that is none of Kubernetes",
        "a pool of Kubernetes names a context, a namespace, an image, and the server by which workers reach home",
        "write it as k8s://CONTEXT/NAMESPACE?image=IMAGE&server=https://HOST:PORT&certificate=SHA256",
    ),
    Entry(
        "WORK-018",
        "invalid",
        "a kubeconfig that cannot be used",
        "the context or what it names is missing, or it asks for a way to log in that is not read",
        "kubectl config view --minify --flatten --context CONTEXT shows what there is",
    ),
    Entry(
        "WORK-019",
        "unavailable",
        "a Kubernetes cluster that cannot be used",
        "its API server does not answer, or does not allow what runs need: jobs, pods, logs, secrets, events",
        "try it by hand: kubectl --context CONTEXT --namespace NAMESPACE auth can-i create jobs",
    ),
)

"""Jobs of the platform: what workers execute that no user has written."""

from __future__ import annotations

JOBS: dict[str, str] = {
    "check": "mainspring.worker.jobs.check:run",
    "commit": "mainspring.worker.jobs.commit:commit",
    "collect": "mainspring.worker.jobs.collect:collect",
    "environment": "mainspring.worker.jobs.environment:lock",
    "gate": "mainspring.worker.jobs.gate:run",
    "predict": "mainspring.worker.jobs.predict:predict",
    "proof": "mainspring.worker.jobs.proof:prove",
    "pipeline": "mainspring.worker.jobs.pipeline:run_pipeline",
}
"""Name of a job -> ``module:function``; ``function(arguments, client)`` returns JSON details."""

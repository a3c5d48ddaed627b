"""The table of MLflow's endpoints: what answers each; routes and the support table are made from it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mainspring.api.mlflow import (
    artifacts,
    experiments,
    logged_models,
    metrics,
    models,
    runs,
    searching,
    service,
    versions,
)
from mainspring.api.mlflow.endpoints import Endpoint

TABLE: tuple[Endpoint, ...] = (
    *service.ENDPOINTS,
    *experiments.ENDPOINTS,
    *runs.ENDPOINTS,
    *logged_models.ENDPOINTS,
    *artifacts.ENDPOINTS,
    *models.ENDPOINTS,
    *versions.ENDPOINTS,
    *searching.ENDPOINTS,
    *metrics.ENDPOINTS,
)
"""Every endpoint that is supported; all others answer ENDPOINT_NOT_FOUND."""

_PLACE = re.compile(r"\{([a-z_]+)(:path)?\}")
_PROJECT = re.compile(r"/projects/([^/]+)(/.*)")
_ROOTS = (
    "/api/2.0/mlflow",
    "/api/3.0/mlflow",
    "/v1/traces",
    "/get-artifact",
    "/model-versions/get-artifact",
    "/graphql",
)
"""What the paths of MLflow begin with; none of ours does."""

_EXACT = {(each.method, each.path): each for each in TABLE if "{" not in each.path}
_PATTERNS = [
    (
        each.method,
        re.compile(_PLACE.sub(lambda place: f"(?P<{place[1]}>{'.*' if place[2] else '[^/]+'})", each.path), re.DOTALL),
        each,
    )
    for each in TABLE
    if "{" in each.path
]


def split_path(path: str) -> tuple[str, str] | None:
    """Return the project and MLflow's path of a path; None when the path is none of MLflow's.

    Examples
    --------
    >>> split_path("/projects/air/ajax-api/2.0/mlflow/runs/get")
    ('air', '/api/2.0/mlflow/runs/get')
    >>> split_path("/api/v1/status"), split_path("/version")
    (None, ('', '/version'))
    """
    project = ""
    if path.startswith("/projects/"):
        found = _PROJECT.fullmatch(path)
        if found is None:
            return None
        project, path = found[1], found[2]
    if path.startswith("/ajax-api/"):
        path = f"/api/{path.removeprefix('/ajax-api/')}"
    known = path.startswith(_ROOTS) or path == "/version" or (project and path == "/health")
    return (project, path) if known else None


def find_endpoint(method: str, path: str) -> tuple[Endpoint | None, Mapping[str, str]]:
    """Return what answers a path of `split_path`, and what stands in its places; None: nothing does."""
    exact = _EXACT.get((method, path))
    if exact is not None:
        return exact, {}
    for verb, pattern, endpoint in _PATTERNS:
        if verb == method and (found := pattern.fullmatch(path)):
            return endpoint, found.groupdict()
    return None, {}

"""What a client asks of the server itself."""

from __future__ import annotations

from typing import Any

from starlette.responses import PlainTextResponse, Response

from mainspring.api.answers import HEADERS
from mainspring.api.mlflow.endpoints import Call, Endpoint

SPOKEN = "3.17.2"
"""The release of MLflow whose protocol is spoken; clients decide by it what they may ask."""


async def tell_version(_: Call) -> Response:
    """Answer with the release, as PEP 440 writes it."""
    return PlainTextResponse(SPOKEN, headers=HEADERS)


async def tell_health(_: Call) -> Response:
    """Answer that the server is there."""
    return PlainTextResponse("OK", headers=HEADERS)


async def tell_server(_: Call) -> dict[str, Any]:
    """Answer with what the server can do; nothing in it is secret."""
    return {
        "store_type": "SqlStore",
        "workspaces_enabled": False,
        "trace_archival_enabled": False,
        "multipart_uploads_enabled": False,
        "multipart_downloads_enabled": False,
        "presigned_upload_run_id_supported": False,
        "presigned_upload_model_id_supported": False,
        "features_enabled": {"gateway": False},
    }


ENDPOINTS = (
    Endpoint("GET", "/version", tell_version, "Server", public=True),
    Endpoint("GET", "/health", tell_health, "Server", public=True),
    Endpoint("GET", "/api/3.0/mlflow/server-info", tell_server, "Server", public=True),
)

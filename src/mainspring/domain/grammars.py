"""What MLflow's clients can search, and by what: one grammar for each kind of thing."""

from __future__ import annotations

from mainspring.domain.conditions import ABSENT, LISTED, NUMERIC, TEXTUAL, Grammar

_ATTRIBUTES = {"attribute": "attribute", "attributes": "attribute", "attr": "attribute"}
_TAGS = {"tag": "tag", "tags": "tag"}

RUNS = Grammar(
    kinds={
        "metric": "metric",
        "metrics": "metric",
        **dict.fromkeys(("parameter", "parameters", "param", "params"), "parameter"),
        **_TAGS,
        **_ATTRIBUTES,
        "run": "attribute",
        "dataset": "dataset",
        "datasets": "dataset",
    },
    signs={
        "metric": NUMERIC,
        "parameter": (*TEXTUAL, *ABSENT),
        "tag": (*TEXTUAL, *ABSENT),
        "dataset": (*TEXTUAL, *LISTED),
    },
    attributes={
        **dict.fromkeys(("run_name", "user_id", "status", "artifact_uri"), TEXTUAL),
        "run_id": (*TEXTUAL, *LISTED),
        "start_time": NUMERIC,
        "end_time": NUMERIC,
    },
    aliases={
        "created": "start_time",
        "Created": "start_time",
        **dict.fromkeys(("run name", "Run name", "Run Name"), "run_name"),
    },
    ordered=frozenset(
        {"run_name", "user_id", "status", "artifact_uri", "run_id", "start_time", "end_time", "created", "Created"}
    ),
    ordered_kinds=frozenset({"attribute", "metric", "parameter", "tag"}),
    datasets=frozenset({"name", "digest", "context"}),
)

EXPERIMENTS = Grammar(
    kinds={"attribute": "attribute", **_TAGS},
    signs={"tag": (*TEXTUAL, *ABSENT)},
    attributes={
        "name": TEXTUAL,
        "experiment_id": ("=", "!=", *LISTED),
        "creation_time": NUMERIC,
        "last_update_time": NUMERIC,
    },
    ordered=frozenset({"name", "experiment_id", "creation_time", "last_update_time"}),
    whole=frozenset({"experiment_id", "creation_time", "last_update_time"}),
)

REGISTERED_MODELS = Grammar(
    kinds={"attribute": "attribute", **_TAGS},
    signs={"tag": TEXTUAL},
    attributes={"name": (*TEXTUAL, *LISTED)},
    ordered=frozenset({"name", "creation_timestamp", "last_updated_timestamp"}),
)

MODEL_VERSIONS = Grammar(
    kinds={"attribute": "attribute", **_TAGS},
    signs={"tag": TEXTUAL},
    attributes={
        "name": (*TEXTUAL, *LISTED),
        "run_id": (*TEXTUAL, *LISTED),
        "source_path": TEXTUAL,
        "version_number": NUMERIC,
    },
    ordered=frozenset({"name", "version_number", "creation_timestamp", "last_updated_timestamp"}),
    whole=frozenset({"version_number"}),
    quoted=frozenset({"version_number"}),
)

_MODEL_TIMES = ("creation_timestamp", "creation_time", "last_updated_timestamp", "last_updated_time")
_MODEL_TEXTS = ("name", "model_id", "model_type", "status", "source_run_id")

LOGGED_MODELS = Grammar(
    kinds={"attributes": "attribute", "metrics": "metric", "params": "parameter", "tags": "tag"},
    signs={"metric": NUMERIC, "parameter": (*TEXTUAL, *LISTED), "tag": (*TEXTUAL, *LISTED)},
    attributes={
        **dict.fromkeys(_MODEL_TEXTS, (*TEXTUAL, *LISTED)),
        **dict.fromkeys(_MODEL_TIMES, NUMERIC),
    },
    aliases={"creation_time": "creation_timestamp", "last_updated_time": "last_updated_timestamp"},
    ordered=frozenset({*_MODEL_TEXTS, *_MODEL_TIMES}),
    ordered_kinds=frozenset({"attribute", "metric"}),
)

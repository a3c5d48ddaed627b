CREATE TABLE passwords (
    principal_id VARCHAR(32) NOT NULL,
    digest TEXT NOT NULL,
    changed_at FLOAT NOT NULL,
    PRIMARY KEY (principal_id)
)
 WITHOUT ROWID;

CREATE TABLE points (
    run INTEGER NOT NULL,
    "key" INTEGER NOT NULL,
    step INTEGER NOT NULL,
    time FLOAT NOT NULL,
    value FLOAT NOT NULL,
    nan BOOLEAN NOT NULL,
    attempt INTEGER DEFAULT '1' NOT NULL,
    PRIMARY KEY (run, "key", step, time, value, nan)
)
 WITHOUT ROWID;

CREATE TABLE latest (
    run INTEGER NOT NULL,
    "key" INTEGER NOT NULL,
    step INTEGER NOT NULL,
    time FLOAT NOT NULL,
    value FLOAT NOT NULL,
    nan BOOLEAN NOT NULL,
    attempt INTEGER DEFAULT '1' NOT NULL,
    PRIMARY KEY (run, "key")
)
 WITHOUT ROWID;

CREATE INDEX latest_key_value ON latest ("key", value);

CREATE TABLE param_values (
    run INTEGER NOT NULL,
    "key" INTEGER NOT NULL,
    text TEXT NOT NULL,
    number FLOAT,
    PRIMARY KEY (run, "key")
)
 WITHOUT ROWID;

CREATE TABLE tag_values (
    run INTEGER NOT NULL,
    "key" INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (run, "key")
)
 WITHOUT ROWID;

CREATE TABLE artifacts (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run INTEGER NOT NULL,
    name TEXT NOT NULL,
    step INTEGER NOT NULL,
    time FLOAT NOT NULL,
    value TEXT,
    CONSTRAINT artifacts_run_name_step UNIQUE (run, name, step)
);

CREATE TABLE provenances (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    digest TEXT NOT NULL,
    body TEXT,
    created_at FLOAT NOT NULL,
    CONSTRAINT provenances_project_digest UNIQUE (project, digest)
);

CREATE TABLE files (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    owner VARCHAR(32) NOT NULL,
    path TEXT NOT NULL,
    digest TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    time FLOAT NOT NULL,
    CONSTRAINT files_owner_path UNIQUE (owner, path)
);

CREATE TABLE logged_models (
    seq INTEGER NOT NULL,
    id VARCHAR(32) NOT NULL,
    project TEXT NOT NULL,
    experiment INTEGER NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    run_id VARCHAR(32),
    state TEXT NOT NULL,
    params TEXT,
    tags TEXT,
    created_at FLOAT NOT NULL,
    changed_at FLOAT NOT NULL,
    deleted_at FLOAT,
    PRIMARY KEY (seq),
    CONSTRAINT logged_models_id UNIQUE (id)
);

CREATE INDEX logged_models_project_experiment ON logged_models (project, experiment);

CREATE INDEX logged_models_run_id ON logged_models (run_id);

CREATE TABLE model_metrics (
    model_id VARCHAR(32) NOT NULL,
    run_id VARCHAR(32) NOT NULL,
    "key" TEXT NOT NULL,
    step INTEGER NOT NULL,
    time FLOAT NOT NULL,
    dataset TEXT NOT NULL,
    dataset_digest TEXT NOT NULL,
    value FLOAT,
    PRIMARY KEY (model_id, run_id, "key", step, time, dataset, dataset_digest)
)
 WITHOUT ROWID;

CREATE INDEX model_metrics_run_id ON model_metrics (run_id);

CREATE TABLE pools (
    seq INTEGER NOT NULL,
    name TEXT NOT NULL,
    url TEXT NOT NULL,
    zone TEXT NOT NULL,
    owner TEXT NOT NULL,
    trust TEXT NOT NULL,
    price FLOAT NOT NULL,
    start_s FLOAT NOT NULL,
    spot BOOLEAN NOT NULL,
    burst_after_s FLOAT NOT NULL,
    idle_s FLOAT NOT NULL,
    created_by TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    changed_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT pools_name UNIQUE (name)
);

CREATE TABLE drains (
    place TEXT NOT NULL,
    drained_by TEXT NOT NULL,
    drained_at FLOAT NOT NULL,
    PRIMARY KEY (place)
)
 WITHOUT ROWID;

CREATE TABLE quotas (
    tenant TEXT NOT NULL,
    weight FLOAT NOT NULL,
    priority INTEGER,
    guarantee TEXT NOT NULL,
    most TEXT NOT NULL,
    budget TEXT NOT NULL,
    set_by TEXT NOT NULL,
    set_at FLOAT NOT NULL,
    preempted INTEGER DEFAULT '0' NOT NULL,
    lost_gpu_s FLOAT DEFAULT '0' NOT NULL,
    PRIMARY KEY (tenant)
)
 WITHOUT ROWID;

CREATE TABLE bills (
    run_id VARCHAR(32) NOT NULL,
    attempt INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    pool TEXT NOT NULL,
    node TEXT NOT NULL,
    rate FLOAT NOT NULL,
    since FLOAT NOT NULL,
    until FLOAT,
    PRIMARY KEY (run_id, attempt)
)
 WITHOUT ROWID;

CREATE INDEX bills_open ON bills (node) WHERE until IS NULL;

CREATE INDEX bills_until ON bills (until);

CREATE TABLE usages (
    node TEXT NOT NULL,
    tenant TEXT NOT NULL,
    mean TEXT NOT NULL,
    at FLOAT NOT NULL,
    PRIMARY KEY (node, tenant)
)
 WITHOUT ROWID;

CREATE TABLE sinks (
    seq INTEGER NOT NULL,
    id VARCHAR(32) NOT NULL,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    url TEXT NOT NULL,
    secret TEXT,
    events TEXT,
    options TEXT,
    position INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    refusals INTEGER NOT NULL,
    due_at FLOAT NOT NULL,
    delivered INTEGER NOT NULL,
    set_aside INTEGER NOT NULL,
    error TEXT NOT NULL,
    failed_at FLOAT,
    delivered_at FLOAT,
    tested_at FLOAT,
    test TEXT,
    created_by TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    changed_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT sinks_project_name UNIQUE (project, name),
    CONSTRAINT sinks_id UNIQUE (id)
);

CREATE TABLE set_asides (
    sink_id VARCHAR(32) NOT NULL,
    event INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    error TEXT NOT NULL,
    time FLOAT NOT NULL,
    again_at FLOAT,
    PRIMARY KEY (sink_id, event)
)
 WITHOUT ROWID;

CREATE TABLE registered_models (
    seq INTEGER NOT NULL,
    id VARCHAR(32) NOT NULL,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    tags TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    changed_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT registered_models_project_name UNIQUE (project, name),
    CONSTRAINT registered_models_id UNIQUE (id)
);

CREATE TABLE triggers (
    seq INTEGER NOT NULL,
    id VARCHAR(32) NOT NULL,
    project TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    event TEXT NOT NULL,
    "match" TEXT,
    cooldown_s FLOAT,
    principal TEXT NOT NULL,
    principal_id VARCHAR(32),
    node TEXT NOT NULL,
    position INTEGER NOT NULL,
    due_at FLOAT,
    pending TEXT,
    waiting INTEGER NOT NULL,
    run_id VARCHAR(32),
    started_at FLOAT,
    event_time FLOAT,
    starts INTEGER NOT NULL,
    coalesced INTEGER NOT NULL,
    passed INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    outcome_at FLOAT,
    streak INTEGER NOT NULL,
    seen TEXT,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT triggers_id UNIQUE (id)
);

CREATE INDEX triggers_project_pipeline ON triggers (project, pipeline);

CREATE TABLE pauses (
    project TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    principal TEXT NOT NULL,
    paused_at FLOAT NOT NULL,
    PRIMARY KEY (project, pipeline)
)
 WITHOUT ROWID;

CREATE TABLE experiments (
    project TEXT NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,
    tags TEXT,
    created_at FLOAT NOT NULL,
    changed_at FLOAT NOT NULL,
    deleted_at FLOAT,
    PRIMARY KEY (project, number),
    CONSTRAINT experiments_project_name UNIQUE (project, name)
)
 WITHOUT ROWID;

CREATE TABLE told_datasets (
    seq INTEGER NOT NULL,
    project TEXT NOT NULL,
    experiment INTEGER NOT NULL,
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    source_type TEXT NOT NULL,
    source TEXT NOT NULL,
    schema TEXT,
    profile TEXT,
    PRIMARY KEY (seq),
    CONSTRAINT told_datasets_project_experiment_name_digest UNIQUE (project, experiment, name, digest)
);

CREATE TABLE dataset_inputs (
    run INTEGER NOT NULL,
    dataset INTEGER NOT NULL,
    tags TEXT,
    PRIMARY KEY (run, dataset)
)
 WITHOUT ROWID;

CREATE INDEX dataset_inputs_dataset ON dataset_inputs (dataset);

CREATE TABLE model_uses (
    run INTEGER NOT NULL,
    kind TEXT NOT NULL,
    model_id TEXT NOT NULL,
    step INTEGER NOT NULL,
    PRIMARY KEY (run, kind, model_id, step)
)
 WITHOUT ROWID;

CREATE INDEX model_uses_model_id ON model_uses (model_id);

CREATE TABLE runs (
    seq INTEGER NOT NULL,
    id VARCHAR(32) NOT NULL,
    project TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    parent_id VARCHAR(32),
    attempt INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    "key" TEXT,
    cached_from VARCHAR(32),
    fingerprint TEXT,
    params TEXT,
    tags TEXT,
    resources TEXT,
    outputs TEXT,
    details TEXT,
    problem TEXT,
    principal TEXT NOT NULL,
    node TEXT DEFAULT 'local' NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    retries INTEGER NOT NULL,
    timeout_s FLOAT,
    created_at FLOAT NOT NULL,
    started_at FLOAT,
    ended_at FLOAT,
    cpu_s FLOAT,
    memory_bytes INTEGER,
    experiment TEXT DEFAULT '' NOT NULL,
    provenance TEXT,
    backoff_s FLOAT DEFAULT '0' NOT NULL,
    attempts TEXT DEFAULT '[]' NOT NULL,
    place TEXT DEFAULT '' NOT NULL,
    lease_until FLOAT,
    process_start TEXT,
    due_at FLOAT,
    losses INTEGER DEFAULT '0' NOT NULL,
    failures INTEGER DEFAULT '0' NOT NULL,
    journal_offset INTEGER DEFAULT '0' NOT NULL,
    "order" TEXT DEFAULT 'keep' NOT NULL,
    saved_at FLOAT,
    gives_way TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT runs_id UNIQUE (id)
);

CREATE INDEX runs_cached_from ON runs (cached_from) WHERE cached_from IS NOT NULL;

CREATE INDEX runs_experiment ON runs (project, experiment, started_at, id) WHERE experiment <> '';

CREATE INDEX runs_key ON runs ("key");

CREATE INDEX runs_kind_name ON runs (kind, name);

CREATE INDEX runs_lease_until ON runs (lease_until) WHERE lease_until IS NOT NULL;

CREATE INDEX runs_node_state ON runs (node, state);

CREATE INDEX runs_parent_id ON runs (parent_id);

CREATE INDEX runs_process_start ON runs (process_start, pid) WHERE process_start IS NOT NULL;

CREATE INDEX runs_state ON runs (state);

CREATE TABLE versions (
    seq INTEGER NOT NULL,
    id VARCHAR(32) NOT NULL,
    kind TEXT NOT NULL,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    number INTEGER NOT NULL,
    digest TEXT NOT NULL,
    manifest TEXT,
    details TEXT,
    run_id VARCHAR(32),
    created_at FLOAT NOT NULL,
    event_time FLOAT,
    description TEXT DEFAULT '' NOT NULL,
    tags TEXT DEFAULT '{}' NOT NULL,
    stage TEXT DEFAULT '' NOT NULL,
    changed_at FLOAT,
    PRIMARY KEY (seq),
    CONSTRAINT versions_kind_project_name_number UNIQUE (kind, project, name, number),
    CONSTRAINT versions_id UNIQUE (id)
);

CREATE INDEX versions_kind_project_name_digest ON versions (kind, project, name, digest);

CREATE INDEX versions_run_id ON versions (run_id);

CREATE TABLE declarations (
    seq INTEGER NOT NULL,
    project TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT,
    snapshot TEXT,
    principal TEXT NOT NULL,
    source TEXT DEFAULT '' NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq)
);

CREATE INDEX declarations_project_kind_name ON declarations (project, kind, name);

CREATE TABLE verdicts (
    seq INTEGER NOT NULL,
    id VARCHAR(32) NOT NULL,
    run_id VARCHAR(32) NOT NULL,
    project TEXT NOT NULL,
    model TEXT NOT NULL,
    alias TEXT NOT NULL,
    champion TEXT,
    data TEXT NOT NULL,
    passed BOOLEAN NOT NULL,
    summary TEXT NOT NULL,
    evidence TEXT,
    created_at FLOAT NOT NULL,
    rules TEXT DEFAULT '' NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT verdicts_id UNIQUE (id),
    CONSTRAINT verdicts_run_id UNIQUE (run_id)
);

CREATE INDEX verdicts_project_model_alias ON verdicts (project, model, alias);

CREATE TABLE uses (
    project TEXT NOT NULL,
    digest TEXT NOT NULL,
    source VARCHAR(32) NOT NULL,
    PRIMARY KEY (project, digest, source)
)
 WITHOUT ROWID;

CREATE INDEX uses_source ON uses (source);

CREATE TABLE uploads (
    project TEXT NOT NULL,
    digest TEXT NOT NULL,
    holder TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (project, digest, holder)
)
 WITHOUT ROWID;

CREATE INDEX uploads_created_at ON uploads (created_at);

CREATE TABLE projects (
    seq INTEGER NOT NULL,
    name TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    keep_runs_s FLOAT,
    keep_versions_s FLOAT,
    keep_logs_s FLOAT,
    keep_deleted_s FLOAT,
    quota_bytes INTEGER,
    PRIMARY KEY (seq),
    CONSTRAINT projects_name UNIQUE (name)
);

CREATE TABLE holdings (
    project TEXT NOT NULL,
    digest TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (project, digest)
)
 WITHOUT ROWID;

CREATE TABLE condemned (
    digest TEXT NOT NULL,
    condemned_at FLOAT NOT NULL,
    removed_at FLOAT,
    PRIMARY KEY (digest)
)
 WITHOUT ROWID;

CREATE TABLE usage (
    project TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (project)
)
 WITHOUT ROWID;

CREATE TABLE data_keys (
    seq INTEGER NOT NULL,
    id VARCHAR(32) NOT NULL,
    project TEXT NOT NULL,
    name TEXT,
    envelope BLOB NOT NULL,
    created_by TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT data_keys_project_name UNIQUE (project, name),
    CONSTRAINT data_keys_id UNIQUE (id)
);

CREATE TABLE passwords (
    principal_id VARCHAR(32) COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    changed_at FLOAT NOT NULL,
    PRIMARY KEY (principal_id)
);

CREATE TABLE points (
    run BIGINT NOT NULL,
    key BIGINT NOT NULL,
    step BIGINT NOT NULL,
    time FLOAT NOT NULL,
    value FLOAT NOT NULL,
    nan BOOLEAN NOT NULL,
    attempt BIGINT DEFAULT '1' NOT NULL,
    PRIMARY KEY (run, key, step, time, value, nan)
);

CREATE TABLE latest (
    run BIGINT NOT NULL,
    key BIGINT NOT NULL,
    step BIGINT NOT NULL,
    time FLOAT NOT NULL,
    value FLOAT NOT NULL,
    nan BOOLEAN NOT NULL,
    attempt BIGINT DEFAULT '1' NOT NULL,
    PRIMARY KEY (run, key)
);

CREATE INDEX latest_key_value ON latest (key, value);

CREATE TABLE param_values (
    run BIGINT NOT NULL,
    key BIGINT NOT NULL,
    text TEXT COLLATE "C" NOT NULL,
    number FLOAT,
    PRIMARY KEY (run, key)
);

CREATE TABLE tag_values (
    run BIGINT NOT NULL,
    key BIGINT NOT NULL,
    text TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run, key)
);

CREATE TABLE artifacts (
    seq BIGSERIAL NOT NULL,
    run BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    step BIGINT NOT NULL,
    time FLOAT NOT NULL,
    value TEXT,
    PRIMARY KEY (seq),
    CONSTRAINT artifacts_run_name_step UNIQUE (run, name, step)
);

CREATE TABLE provenances (
    seq BIGSERIAL NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    body TEXT,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT provenances_project_digest UNIQUE (project, digest)
);

CREATE TABLE files (
    seq BIGSERIAL NOT NULL,
    owner VARCHAR(32) COLLATE "C" NOT NULL,
    path TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    time FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT files_owner_path UNIQUE (owner, path)
);

CREATE TABLE logged_models (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(32) COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    experiment BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    run_id VARCHAR(32) COLLATE "C",
    state TEXT COLLATE "C" NOT NULL,
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
    model_id VARCHAR(32) COLLATE "C" NOT NULL,
    run_id VARCHAR(32) COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    step BIGINT NOT NULL,
    time FLOAT NOT NULL,
    dataset TEXT COLLATE "C" NOT NULL,
    dataset_digest TEXT COLLATE "C" NOT NULL,
    value FLOAT,
    PRIMARY KEY (model_id, run_id, key, step, time, dataset, dataset_digest)
);

CREATE INDEX model_metrics_run_id ON model_metrics (run_id);

CREATE TABLE pools (
    seq BIGSERIAL NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    url TEXT COLLATE "C" NOT NULL,
    zone TEXT COLLATE "C" NOT NULL,
    owner TEXT COLLATE "C" NOT NULL,
    trust TEXT COLLATE "C" NOT NULL,
    price FLOAT NOT NULL,
    start_s FLOAT NOT NULL,
    spot BOOLEAN NOT NULL,
    burst_after_s FLOAT NOT NULL,
    idle_s FLOAT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at FLOAT NOT NULL,
    changed_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT pools_name UNIQUE (name)
);

CREATE TABLE drains (
    place TEXT COLLATE "C" NOT NULL,
    drained_by TEXT COLLATE "C" NOT NULL,
    drained_at FLOAT NOT NULL,
    PRIMARY KEY (place)
);

CREATE TABLE quotas (
    tenant TEXT COLLATE "C" NOT NULL,
    weight FLOAT NOT NULL,
    priority BIGINT,
    guarantee TEXT NOT NULL,
    most TEXT NOT NULL,
    budget TEXT NOT NULL,
    set_by TEXT COLLATE "C" NOT NULL,
    set_at FLOAT NOT NULL,
    preempted BIGINT DEFAULT '0' NOT NULL,
    lost_gpu_s FLOAT DEFAULT '0' NOT NULL,
    PRIMARY KEY (tenant)
);

CREATE TABLE bills (
    run_id VARCHAR(32) COLLATE "C" NOT NULL,
    attempt BIGINT NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    pool TEXT COLLATE "C" NOT NULL,
    node TEXT COLLATE "C" NOT NULL,
    rate FLOAT NOT NULL,
    since FLOAT NOT NULL,
    until FLOAT,
    PRIMARY KEY (run_id, attempt)
);

CREATE INDEX bills_open ON bills (node) WHERE until IS NULL;

CREATE INDEX bills_until ON bills (until);

CREATE TABLE usages (
    node TEXT COLLATE "C" NOT NULL,
    tenant TEXT COLLATE "C" NOT NULL,
    mean TEXT NOT NULL,
    at FLOAT NOT NULL,
    PRIMARY KEY (node, tenant)
);

CREATE TABLE sinks (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(32) COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    url TEXT COLLATE "C" NOT NULL,
    secret TEXT COLLATE "C",
    events TEXT,
    options TEXT,
    position BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    refusals BIGINT NOT NULL,
    due_at FLOAT NOT NULL,
    delivered BIGINT NOT NULL,
    set_aside BIGINT NOT NULL,
    error TEXT COLLATE "C" NOT NULL,
    failed_at FLOAT,
    delivered_at FLOAT,
    tested_at FLOAT,
    test TEXT,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at FLOAT NOT NULL,
    changed_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT sinks_project_name UNIQUE (project, name),
    CONSTRAINT sinks_id UNIQUE (id)
);

CREATE TABLE set_asides (
    sink_id VARCHAR(32) COLLATE "C" NOT NULL,
    event BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    error TEXT COLLATE "C" NOT NULL,
    time FLOAT NOT NULL,
    again_at FLOAT,
    PRIMARY KEY (sink_id, event)
);

CREATE TABLE registered_models (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(32) COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    description TEXT COLLATE "C" NOT NULL,
    tags TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    changed_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT registered_models_project_name UNIQUE (project, name),
    CONSTRAINT registered_models_id UNIQUE (id)
);

CREATE TABLE triggers (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(32) COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    pipeline TEXT COLLATE "C" NOT NULL,
    event TEXT COLLATE "C" NOT NULL,
    match TEXT,
    cooldown_s FLOAT,
    principal TEXT COLLATE "C" NOT NULL,
    principal_id VARCHAR(32) COLLATE "C",
    node TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,
    due_at FLOAT,
    pending TEXT,
    waiting BIGINT NOT NULL,
    run_id VARCHAR(32) COLLATE "C",
    started_at FLOAT,
    event_time FLOAT,
    starts BIGINT NOT NULL,
    coalesced BIGINT NOT NULL,
    passed BIGINT NOT NULL,
    outcome TEXT COLLATE "C" NOT NULL,
    outcome_at FLOAT,
    streak BIGINT NOT NULL,
    seen TEXT,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT triggers_id UNIQUE (id)
);

CREATE INDEX triggers_project_pipeline ON triggers (project, pipeline);

CREATE TABLE pauses (
    project TEXT COLLATE "C" NOT NULL,
    pipeline TEXT COLLATE "C" NOT NULL,
    principal TEXT COLLATE "C" NOT NULL,
    paused_at FLOAT NOT NULL,
    PRIMARY KEY (project, pipeline)
);

CREATE TABLE experiments (
    project TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    tags TEXT,
    created_at FLOAT NOT NULL,
    changed_at FLOAT NOT NULL,
    deleted_at FLOAT,
    PRIMARY KEY (project, number),
    CONSTRAINT experiments_project_name UNIQUE (project, name)
);

CREATE TABLE told_datasets (
    seq BIGSERIAL NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    experiment BIGINT NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    source_type TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,
    schema TEXT COLLATE "C",
    profile TEXT COLLATE "C",
    PRIMARY KEY (seq),
    CONSTRAINT told_datasets_project_experiment_name_digest UNIQUE (project, experiment, name, digest)
);

CREATE TABLE dataset_inputs (
    run BIGINT NOT NULL,
    dataset BIGINT NOT NULL,
    tags TEXT,
    PRIMARY KEY (run, dataset)
);

CREATE INDEX dataset_inputs_dataset ON dataset_inputs (dataset);

CREATE TABLE model_uses (
    run BIGINT NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    model_id TEXT COLLATE "C" NOT NULL,
    step BIGINT NOT NULL,
    PRIMARY KEY (run, kind, model_id, step)
);

CREATE INDEX model_uses_model_id ON model_uses (model_id);

CREATE TABLE runs (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(32) COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    reason TEXT COLLATE "C" NOT NULL,
    parent_id VARCHAR(32) COLLATE "C",
    attempt BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    key TEXT COLLATE "C",
    cached_from VARCHAR(32) COLLATE "C",
    fingerprint TEXT,
    params TEXT,
    tags TEXT,
    resources TEXT,
    outputs TEXT,
    details TEXT,
    problem TEXT,
    principal TEXT COLLATE "C" NOT NULL,
    node TEXT COLLATE "C" DEFAULT 'local' NOT NULL,
    host TEXT COLLATE "C" NOT NULL,
    pid BIGINT NOT NULL,
    retries BIGINT NOT NULL,
    timeout_s FLOAT,
    created_at FLOAT NOT NULL,
    started_at FLOAT,
    ended_at FLOAT,
    cpu_s FLOAT,
    memory_bytes BIGINT,
    experiment TEXT COLLATE "C" DEFAULT '' NOT NULL,
    provenance TEXT COLLATE "C",
    backoff_s FLOAT DEFAULT '0' NOT NULL,
    attempts TEXT DEFAULT '[]' NOT NULL,
    place TEXT COLLATE "C" DEFAULT '' NOT NULL,
    lease_until FLOAT,
    process_start TEXT COLLATE "C",
    due_at FLOAT,
    losses BIGINT DEFAULT '0' NOT NULL,
    failures BIGINT DEFAULT '0' NOT NULL,
    journal_offset BIGINT DEFAULT '0' NOT NULL,
    "order" TEXT COLLATE "C" DEFAULT 'keep' NOT NULL,
    saved_at FLOAT,
    gives_way TEXT COLLATE "C" DEFAULT '' NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT runs_id UNIQUE (id)
);

CREATE INDEX runs_cached_from ON runs (cached_from) WHERE cached_from IS NOT NULL;

CREATE INDEX runs_experiment ON runs (project, experiment, started_at, id) WHERE experiment <> '';

CREATE INDEX runs_key ON runs (key);

CREATE INDEX runs_kind_name ON runs (kind, name);

CREATE INDEX runs_lease_until ON runs (lease_until) WHERE lease_until IS NOT NULL;

CREATE INDEX runs_node_state ON runs (node, state);

CREATE INDEX runs_parent_id ON runs (parent_id);

CREATE INDEX runs_process_start ON runs (process_start, pid) WHERE process_start IS NOT NULL;

CREATE INDEX runs_state ON runs (state);

CREATE TABLE versions (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(32) COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    manifest TEXT,
    details TEXT,
    run_id VARCHAR(32) COLLATE "C",
    created_at FLOAT NOT NULL,
    event_time FLOAT,
    description TEXT COLLATE "C" DEFAULT '' NOT NULL,
    tags TEXT DEFAULT '{}' NOT NULL,
    stage TEXT COLLATE "C" DEFAULT '' NOT NULL,
    changed_at FLOAT,
    PRIMARY KEY (seq),
    CONSTRAINT versions_kind_project_name_number UNIQUE (kind, project, name, number),
    CONSTRAINT versions_id UNIQUE (id)
);

CREATE INDEX versions_kind_project_name_digest ON versions (kind, project, name, digest);

CREATE INDEX versions_run_id ON versions (run_id);

CREATE TABLE declarations (
    seq BIGSERIAL NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    body TEXT,
    snapshot TEXT COLLATE "C",
    principal TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" DEFAULT '' NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq)
);

CREATE INDEX declarations_project_kind_name ON declarations (project, kind, name);

CREATE TABLE verdicts (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(32) COLLATE "C" NOT NULL,
    run_id VARCHAR(32) COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    model TEXT COLLATE "C" NOT NULL,
    alias TEXT COLLATE "C" NOT NULL,
    champion TEXT COLLATE "C",
    data TEXT COLLATE "C" NOT NULL,
    passed BOOLEAN NOT NULL,
    summary TEXT COLLATE "C" NOT NULL,
    evidence TEXT,
    created_at FLOAT NOT NULL,
    rules TEXT COLLATE "C" DEFAULT '' NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT verdicts_id UNIQUE (id),
    CONSTRAINT verdicts_run_id UNIQUE (run_id)
);

CREATE INDEX verdicts_project_model_alias ON verdicts (project, model, alias);

CREATE TABLE uses (
    project TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    source VARCHAR(32) COLLATE "C" NOT NULL,
    PRIMARY KEY (project, digest, source)
);

CREATE INDEX uses_source ON uses (source);

CREATE TABLE uploads (
    project TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    holder TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (project, digest, holder)
);

CREATE INDEX uploads_created_at ON uploads (created_at);

CREATE TABLE projects (
    seq BIGSERIAL NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at FLOAT NOT NULL,
    keep_runs_s FLOAT,
    keep_versions_s FLOAT,
    keep_logs_s FLOAT,
    keep_deleted_s FLOAT,
    quota_bytes BIGINT,
    PRIMARY KEY (seq),
    CONSTRAINT projects_name UNIQUE (name)
);

CREATE TABLE holdings (
    project TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    PRIMARY KEY (project, digest)
);

CREATE TABLE condemned (
    digest TEXT COLLATE "C" NOT NULL,
    condemned_at FLOAT NOT NULL,
    removed_at FLOAT,
    PRIMARY KEY (digest)
);

CREATE TABLE usage (
    project TEXT COLLATE "C" NOT NULL,
    size_bytes BIGINT NOT NULL,
    PRIMARY KEY (project)
);

CREATE TABLE data_keys (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(32) COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C",
    envelope BYTEA NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT data_keys_project_name UNIQUE (project, name),
    CONSTRAINT data_keys_id UNIQUE (id)
);

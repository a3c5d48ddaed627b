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
    lease_until FLOAT,
    process_start TEXT COLLATE "C",
    losses BIGINT DEFAULT '0' NOT NULL,
    failures BIGINT DEFAULT '0' NOT NULL,
    journal_offset BIGINT DEFAULT '0' NOT NULL,
    "order" TEXT COLLATE "C" DEFAULT 'keep' NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT runs_id UNIQUE (id)
);

CREATE INDEX runs_key ON runs (key);

CREATE INDEX runs_kind_name ON runs (kind, name);

CREATE INDEX runs_lease_until ON runs (lease_until) WHERE lease_until IS NOT NULL;

CREATE INDEX runs_node_state ON runs (node, state);

CREATE INDEX runs_parent_id ON runs (parent_id);

CREATE INDEX runs_process_start ON runs (process_start, pid) WHERE process_start IS NOT NULL;

CREATE INDEX runs_state ON runs (state);

CREATE TABLE calls (
    run_id VARCHAR(32) COLLATE "C" NOT NULL,
    call TEXT,
    study TEXT,
    dedupe TEXT COLLATE "C",
    worker_id TEXT COLLATE "C",
    token TEXT COLLATE "C",
    placed_at FLOAT,
    reason TEXT COLLATE "C",
    PRIMARY KEY (run_id),
    CONSTRAINT calls_dedupe UNIQUE (dedupe)
);

CREATE INDEX calls_worker_id ON calls (worker_id);

CREATE TABLE cache (
    project TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    run_id VARCHAR(32) COLLATE "C" NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (project, key)
);

CREATE TABLE deletions (
    id VARCHAR(32) COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    deleted_by TEXT COLLATE "C" NOT NULL,
    deleted_at FLOAT NOT NULL,
    purged_at FLOAT,
    PRIMARY KEY (id)
);

CREATE INDEX deletions_deleted_at ON deletions (deleted_at);

CREATE TABLE declarations (
    seq BIGSERIAL NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    body TEXT,
    snapshot TEXT COLLATE "C",
    principal TEXT COLLATE "C" NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq)
);

CREATE INDEX declarations_project_kind_name ON declarations (project, kind, name);

CREATE TABLE services (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(32) COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    follows TEXT COLLATE "C" NOT NULL,
    rollout TEXT COLLATE "C" NOT NULL,
    node TEXT COLLATE "C" DEFAULT 'local' NOT NULL,
    generation BIGINT NOT NULL,
    desired BOOLEAN NOT NULL,
    revisions TEXT,
    monitor TEXT,
    url TEXT COLLATE "C" NOT NULL,
    pid BIGINT NOT NULL,
    health TEXT COLLATE "C" NOT NULL,
    statistics TEXT,
    problem TEXT,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT services_project_name UNIQUE (project, name),
    CONSTRAINT services_id UNIQUE (id)
);

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
    PRIMARY KEY (seq),
    CONSTRAINT verdicts_id UNIQUE (id),
    CONSTRAINT verdicts_run_id UNIQUE (run_id)
);

CREATE INDEX verdicts_project_model_alias ON verdicts (project, model, alias);

CREATE TABLE alarms (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(32) COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    service TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    summary TEXT COLLATE "C" NOT NULL,
    evidence TEXT,
    event_time FLOAT NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    renewal_id VARCHAR(32) COLLATE "C",
    run_id VARCHAR(32) COLLATE "C",
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT alarms_project_service_kind_subject_event_time UNIQUE (project, service, kind, subject, event_time),
    CONSTRAINT alarms_id UNIQUE (id)
);

CREATE TABLE renewals (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(32) COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    service TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    cause TEXT COLLATE "C" NOT NULL,
    event_time FLOAT NOT NULL,
    alarm_id VARCHAR(32) COLLATE "C",
    run_id VARCHAR(32) COLLATE "C",
    candidate TEXT COLLATE "C",
    champion TEXT COLLATE "C",
    verdict_id VARCHAR(32) COLLATE "C",
    revision BIGINT,
    steps TEXT,
    created_at FLOAT NOT NULL,
    closed_at FLOAT,
    PRIMARY KEY (seq),
    CONSTRAINT renewals_id UNIQUE (id)
);

CREATE INDEX renewals_project_service_state ON renewals (project, service, state);

CREATE INDEX renewals_run_id ON renewals (run_id);

CREATE TABLE events (
    seq BIGSERIAL NOT NULL,
    time FLOAT NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    principal TEXT COLLATE "C" NOT NULL,
    body TEXT,
    event_time FLOAT,
    PRIMARY KEY (seq)
);

CREATE INDEX events_kind ON events (kind);

CREATE INDEX events_subject ON events (subject);

CREATE TABLE leases (
    name TEXT COLLATE "C" NOT NULL,
    holder TEXT COLLATE "C" NOT NULL,
    fence BIGINT NOT NULL,
    expires_at FLOAT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE meta (
    name TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE projects (
    seq BIGSERIAL NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT projects_name UNIQUE (name)
);

CREATE TABLE principals (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(32) COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    identity TEXT COLLATE "C",
    created_by TEXT COLLATE "C" NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT principals_id UNIQUE (id),
    CONSTRAINT principals_name UNIQUE (name),
    CONSTRAINT principals_identity UNIQUE (identity)
);

CREATE TABLE grants (
    principal_id VARCHAR(32) COLLATE "C" NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    role TEXT COLLATE "C" NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (principal_id, project)
);

CREATE TABLE tokens (
    seq BIGSERIAL NOT NULL,
    id VARCHAR(16) NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    principal_id VARCHAR(32) COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    scopes TEXT,
    expires_at FLOAT,
    revoked_at FLOAT,
    last_used_at FLOAT,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT tokens_id UNIQUE (id)
);

CREATE INDEX tokens_principal_id ON tokens (principal_id);

CREATE TABLE secrets (
    seq BIGSERIAL NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    envelope BYTEA NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at FLOAT NOT NULL,
    changed_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT secrets_project_name UNIQUE (project, name)
);

CREATE TABLE audit (
    seq BIGINT NOT NULL,
    time FLOAT NOT NULL,
    project TEXT COLLATE "C" NOT NULL,
    principal TEXT COLLATE "C" NOT NULL,
    action TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C" NOT NULL,
    body TEXT COLLATE "C" NOT NULL,
    previous TEXT COLLATE "C" NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (seq)
);

DROP TABLE snapshots;

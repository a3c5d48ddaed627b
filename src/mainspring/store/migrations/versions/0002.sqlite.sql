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
    lease_until FLOAT,
    process_start TEXT,
    losses INTEGER DEFAULT '0' NOT NULL,
    failures INTEGER DEFAULT '0' NOT NULL,
    journal_offset INTEGER DEFAULT '0' NOT NULL,
    "order" TEXT DEFAULT 'keep' NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT runs_id UNIQUE (id)
);

CREATE INDEX runs_key ON runs ("key");

CREATE INDEX runs_kind_name ON runs (kind, name);

CREATE INDEX runs_lease_until ON runs (lease_until) WHERE lease_until IS NOT NULL;

CREATE INDEX runs_node_state ON runs (node, state);

CREATE INDEX runs_parent_id ON runs (parent_id);

CREATE INDEX runs_process_start ON runs (process_start, pid) WHERE process_start IS NOT NULL;

CREATE INDEX runs_state ON runs (state);

CREATE TABLE calls (
    run_id VARCHAR(32) NOT NULL,
    call TEXT,
    study TEXT,
    dedupe TEXT,
    worker_id TEXT,
    token TEXT,
    placed_at FLOAT,
    reason TEXT,
    PRIMARY KEY (run_id),
    CONSTRAINT calls_dedupe UNIQUE (dedupe)
);

CREATE INDEX calls_worker_id ON calls (worker_id);

CREATE TABLE cache (
    project TEXT NOT NULL,
    "key" TEXT NOT NULL,
    name TEXT NOT NULL,
    run_id VARCHAR(32) NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (project, "key")
)
 WITHOUT ROWID;

CREATE TABLE deletions (
    id VARCHAR(32) NOT NULL,
    project TEXT NOT NULL,
    deleted_by TEXT NOT NULL,
    deleted_at FLOAT NOT NULL,
    purged_at FLOAT,
    PRIMARY KEY (id)
)
 WITHOUT ROWID;

CREATE INDEX deletions_deleted_at ON deletions (deleted_at);

CREATE TABLE declarations (
    seq INTEGER NOT NULL,
    project TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT,
    snapshot TEXT,
    principal TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq)
);

CREATE INDEX declarations_project_kind_name ON declarations (project, kind, name);

CREATE TABLE services (
    seq INTEGER NOT NULL,
    id VARCHAR(32) NOT NULL,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    follows TEXT NOT NULL,
    rollout TEXT NOT NULL,
    node TEXT DEFAULT 'local' NOT NULL,
    generation INTEGER NOT NULL,
    desired BOOLEAN NOT NULL,
    revisions TEXT,
    monitor TEXT,
    url TEXT NOT NULL,
    pid INTEGER NOT NULL,
    health TEXT NOT NULL,
    statistics TEXT,
    problem TEXT,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT services_project_name UNIQUE (project, name),
    CONSTRAINT services_id UNIQUE (id)
);

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
    PRIMARY KEY (seq),
    CONSTRAINT verdicts_id UNIQUE (id),
    CONSTRAINT verdicts_run_id UNIQUE (run_id)
);

CREATE INDEX verdicts_project_model_alias ON verdicts (project, model, alias);

CREATE TABLE alarms (
    seq INTEGER NOT NULL,
    id VARCHAR(32) NOT NULL,
    project TEXT NOT NULL,
    service TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    summary TEXT NOT NULL,
    evidence TEXT,
    event_time FLOAT NOT NULL,
    state TEXT NOT NULL,
    renewal_id VARCHAR(32),
    run_id VARCHAR(32),
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT alarms_project_service_kind_subject_event_time UNIQUE (project, service, kind, subject, event_time),
    CONSTRAINT alarms_id UNIQUE (id)
);

CREATE TABLE renewals (
    seq INTEGER NOT NULL,
    id VARCHAR(32) NOT NULL,
    project TEXT NOT NULL,
    service TEXT NOT NULL,
    state TEXT NOT NULL,
    cause TEXT NOT NULL,
    event_time FLOAT NOT NULL,
    alarm_id VARCHAR(32),
    run_id VARCHAR(32),
    candidate TEXT,
    champion TEXT,
    verdict_id VARCHAR(32),
    revision INTEGER,
    steps TEXT,
    created_at FLOAT NOT NULL,
    closed_at FLOAT,
    PRIMARY KEY (seq),
    CONSTRAINT renewals_id UNIQUE (id)
);

CREATE INDEX renewals_project_service_state ON renewals (project, service, state);

CREATE INDEX renewals_run_id ON renewals (run_id);

CREATE TABLE events (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    time FLOAT NOT NULL,
    project TEXT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    principal TEXT NOT NULL,
    body TEXT,
    event_time FLOAT
);

CREATE INDEX events_kind ON events (kind);

CREATE INDEX events_subject ON events (subject);

CREATE TABLE leases (
    name TEXT NOT NULL,
    holder TEXT NOT NULL,
    fence INTEGER NOT NULL,
    expires_at FLOAT NOT NULL,
    PRIMARY KEY (name)
)
 WITHOUT ROWID;

CREATE TABLE meta (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name)
)
 WITHOUT ROWID;

CREATE TABLE projects (
    seq INTEGER NOT NULL,
    name TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT projects_name UNIQUE (name)
);

CREATE TABLE principals (
    seq INTEGER NOT NULL,
    id VARCHAR(32) NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    identity TEXT,
    created_by TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT principals_id UNIQUE (id),
    CONSTRAINT principals_name UNIQUE (name),
    CONSTRAINT principals_identity UNIQUE (identity)
);

CREATE TABLE grants (
    principal_id VARCHAR(32) NOT NULL,
    project TEXT NOT NULL,
    role TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (principal_id, project)
)
 WITHOUT ROWID;

CREATE TABLE tokens (
    seq INTEGER NOT NULL,
    id VARCHAR(16) NOT NULL,
    digest TEXT NOT NULL,
    principal_id VARCHAR(32) NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT,
    expires_at FLOAT,
    revoked_at FLOAT,
    last_used_at FLOAT,
    created_by TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT tokens_id UNIQUE (id)
);

CREATE INDEX tokens_principal_id ON tokens (principal_id);

CREATE TABLE secrets (
    seq INTEGER NOT NULL,
    project TEXT NOT NULL,
    name TEXT NOT NULL,
    envelope BLOB NOT NULL,
    created_by TEXT NOT NULL,
    created_at FLOAT NOT NULL,
    changed_at FLOAT NOT NULL,
    PRIMARY KEY (seq),
    CONSTRAINT secrets_project_name UNIQUE (project, name)
);

CREATE TABLE audit (
    seq INTEGER NOT NULL,
    time FLOAT NOT NULL,
    project TEXT NOT NULL,
    principal TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    previous TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (seq)
);

DROP TABLE snapshots;

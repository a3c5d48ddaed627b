CREATE TABLE points (
    run INTEGER NOT NULL,
    "key" INTEGER NOT NULL,
    step INTEGER NOT NULL,
    time FLOAT NOT NULL,
    value FLOAT,
    attempt INTEGER DEFAULT '1' NOT NULL,
    PRIMARY KEY (run, "key", step, time)
)
 WITHOUT ROWID;

CREATE TABLE latest (
    run INTEGER NOT NULL,
    "key" INTEGER NOT NULL,
    step INTEGER NOT NULL,
    time FLOAT NOT NULL,
    value FLOAT,
    attempt INTEGER DEFAULT '1' NOT NULL,
    PRIMARY KEY (run, "key")
)
 WITHOUT ROWID;

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

CREATE TABLE points (
    run BIGINT NOT NULL,
    key BIGINT NOT NULL,
    step BIGINT NOT NULL,
    time FLOAT NOT NULL,
    value FLOAT,
    attempt BIGINT DEFAULT '1' NOT NULL,
    PRIMARY KEY (run, key, step, time)
);

CREATE TABLE latest (
    run BIGINT NOT NULL,
    key BIGINT NOT NULL,
    step BIGINT NOT NULL,
    time FLOAT NOT NULL,
    value FLOAT,
    attempt BIGINT DEFAULT '1' NOT NULL,
    PRIMARY KEY (run, key)
);

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

"""The tables of a store, as versions that lead from one to the next.

A version that was released is never edited: a change is one more at the end. Times that people
see are texts, as the service writes them (``2026-01-31T00:00:00``); times of appointments are
seconds since the epoch.
"""

from __future__ import annotations

# "ADPL": what tells a store from any other SQLite file.
APPLICATION_ID = 0x4144504C

_FIRST = """
CREATE TABLE pipeline (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    unique_id TEXT NOT NULL,
    description TEXT,
    tags TEXT NOT NULL,              -- JSON, as on the wire
    state TEXT NOT NULL,
    created TEXT NOT NULL,
    latest INTEGER,                  -- version of the definition that was put last
    active INTEGER,                  -- version that was activated last
    first_activation TEXT,
    last_activation TEXT,
    skip_before TEXT,                -- intervals that start earlier are skipped
    deactivated TEXT,
    finished TEXT
);
CREATE UNIQUE INDEX pipeline_asked ON pipeline (name, unique_id)
    WHERE state NOT IN ('DELETING', 'DELETED');

CREATE TABLE definition (
    pipeline INTEGER NOT NULL,
    version INTEGER NOT NULL,
    body TEXT NOT NULL,              -- JSON, as on the wire, without the pipeline's id
    PRIMARY KEY (pipeline, version)
) WITHOUT ROWID;

-- What an activated pipeline knows of each component besides its definition.
CREATE TABLE component (
    seq INTEGER PRIMARY KEY,
    pipeline INTEGER NOT NULL,
    id TEXT NOT NULL,
    paused INTEGER NOT NULL DEFAULT 0,
    next INTEGER NOT NULL DEFAULT 0, -- number of the interval that is created next
    more INTEGER NOT NULL,           -- whether one is to come
    health TEXT,
    health_instance TEXT,
    health_time TEXT,
    latest_run TEXT,
    latest_completed TEXT,
    UNIQUE (pipeline, id)
);
CREATE INDEX component_more ON component (pipeline) WHERE more;

CREATE TABLE instance (
    seq INTEGER PRIMARY KEY,
    pipeline INTEGER NOT NULL,
    id TEXT NOT NULL,
    component TEXT NOT NULL,
    kind TEXT NOT NULL,
    version INTEGER NOT NULL,        -- of the definition that it was made by
    node INTEGER,                    -- for preconditions and actions: whose they are
    status TEXT NOT NULL,
    ended INTEGER NOT NULL,
    queued INTEGER NOT NULL,         -- could start, were not too many of its component active
    begins REAL NOT NULL,            -- does not start before
    scheduled_start TEXT NOT NULL,
    scheduled_end TEXT NOT NULL,
    actual_start TEXT,
    actual_end TEXT,
    finished TEXT,
    since REAL,                      -- when it began to be tried, for preconditionTimeout
    attempts INTEGER NOT NULL,
    tries INTEGER NOT NULL,          -- that are left
    reason TEXT,                     -- why it was cancelled, or what failed
    failed_on TEXT,                  -- for CASCADE_FAILED: what had failed
    UNIQUE (pipeline, id)
);
CREATE INDEX instance_open ON instance (pipeline, component, status) WHERE NOT ended;
CREATE INDEX instance_queue ON instance (pipeline, component, scheduled_start) WHERE queued;
CREATE INDEX instance_time ON instance (pipeline, scheduled_start, id);
CREATE INDEX instance_component ON instance (pipeline, component, scheduled_start);
CREATE INDEX instance_node ON instance (node) WHERE node IS NOT NULL;

-- Who waits for whom. Nobody waits for a resource, and it is told when its users have ended.
CREATE TABLE dependency (
    waiter INTEGER NOT NULL,
    target INTEGER NOT NULL,
    kind TEXT NOT NULL,              -- dependency, precondition or resource
    PRIMARY KEY (waiter, kind, target)
) WITHOUT ROWID;
CREATE INDEX dependency_target ON dependency (target, kind);

CREATE TABLE attempt (
    seq INTEGER PRIMARY KEY,
    instance INTEGER NOT NULL,
    pipeline INTEGER NOT NULL,
    number INTEGER NOT NULL,
    status TEXT NOT NULL,
    worker_group TEXT,               -- NULL: nobody can poll for it
    ready REAL NOT NULL,
    task TEXT,                       -- while somebody has it
    hostname TEXT,
    actual_start TEXT,
    actual_end TEXT,
    reported TEXT,                   -- when progress was last reported
    progress TEXT,                   -- JSON: the fields of that report
    outcome TEXT,                    -- what SetTaskStatus said
    error_id TEXT,
    error_message TEXT,
    error_stack_trace TEXT,
    UNIQUE (instance, number)
);
CREATE INDEX attempt_ready ON attempt (worker_group, ready, seq)
    WHERE status = 'WAITING_FOR_RUNNER' AND task IS NULL;
CREATE INDEX attempt_pipeline ON attempt (pipeline);

-- Every hand-over of a task, and what became of it.
CREATE TABLE task (
    id TEXT PRIMARY KEY,
    attempt INTEGER NOT NULL,
    state TEXT NOT NULL              -- held, done, lost or canceled
) WITHOUT ROWID;
CREATE INDEX task_attempt ON task (attempt);

-- What happens when, unless something happens before.
CREATE TABLE timer (
    kind TEXT NOT NULL,
    subject INTEGER NOT NULL,
    due REAL NOT NULL,
    PRIMARY KEY (kind, subject)
) WITHOUT ROWID;
CREATE INDEX timer_due ON timer (due);

CREATE TABLE alarm (
    seq INTEGER PRIMARY KEY,
    pipeline INTEGER NOT NULL,
    time TEXT NOT NULL,
    action TEXT NOT NULL,
    node TEXT NOT NULL,
    fields TEXT NOT NULL             -- JSON: the action's object, evaluated
);
CREATE INDEX alarm_pipeline ON alarm (pipeline);
"""

VERSIONS: tuple[str, ...] = (_FIRST,)
"""What makes version n of a store out of version n - 1, counted from 1. A semicolon ends a
statement, so that no comment may have one."""

"""The tables of ``index.sqlite``: what can be listed, counted and told again without reading a folder.

Nothing here is the truth. A row says where a task was seen last; the counts are kept by triggers, so that they can
only be as wrong as the rows. Another ``VERSION`` than the one in the file: the file is removed and filled anew.
"""

from __future__ import annotations

VERSION = 5
KEPT_EVENTS = 100_000
"""So many events can be told again to who comes back to the stream."""
KEPT_ASKED_SECONDS = 3600.0
"""Who has not asked for work for so long is forgotten."""
KEPT_MINUTES = 48 * 60
"""How far back the throughput is known."""

CONTENT = ("type", "priority", "group_key", "requester", "created_at", "lined_up_at", "deadline", "attempts", "crashes",
           "batch_id", "unique_key", "parent")
"""Columns a change tells only when it knows the task's content: an empty one keeps what is known."""
PLACE = ("state", "worker", "updated_at", "not_before", "delay", "finished_at", "duration", "bucket")
"""Columns every change tells: a later one wins."""
COLUMNS = ("id", *CONTENT, *PLACE)

TABLES = """
CREATE TABLE about (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE tasks (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, type TEXT, priority INTEGER, group_key TEXT, requester TEXT,
    created_at REAL, lined_up_at REAL, deadline REAL, attempts INTEGER, crashes INTEGER, batch_id TEXT, unique_key TEXT,
    parent TEXT,
    state TEXT NOT NULL, worker TEXT, updated_at REAL NOT NULL, not_before REAL, delay REAL,
    finished_at REAL, duration REAL, bucket INTEGER,
    was_tried INTEGER AS (IFNULL(attempts, 0) + IFNULL(crashes, 0) > 0) VIRTUAL
);
CREATE INDEX tasks_by_age ON tasks (state, created_at);
CREATE INDEX tasks_by_rank ON tasks (state, priority DESC, lined_up_at);
CREATE INDEX tasks_by_trial ON tasks (state, created_at) WHERE was_tried = 1;
CREATE INDEX tasks_untried ON tasks (created_at) WHERE state = 'scheduled' AND was_tried = 0;
CREATE INDEX tasks_by_type ON tasks (state, type, created_at);
CREATE INDEX tasks_by_change ON tasks (updated_at);
CREATE INDEX tasks_by_end ON tasks (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX tasks_by_deadline ON tasks (deadline) WHERE deadline IS NOT NULL;
CREATE INDEX tasks_by_group ON tasks (group_key, created_at) WHERE group_key IS NOT NULL;
CREATE INDEX tasks_by_batch ON tasks (batch_id, created_at) WHERE batch_id IS NOT NULL;
CREATE INDEX tasks_by_parent ON tasks (parent, created_at) WHERE parent IS NOT NULL;
CREATE TABLE tags (tag TEXT, id TEXT, PRIMARY KEY (tag, id)) WITHOUT ROWID;
CREATE TABLE tally (
    state TEXT, type TEXT, group_key TEXT, priority INTEGER, was_tried INTEGER, count INTEGER NOT NULL,
    PRIMARY KEY (state, type, group_key, priority, was_tried)
) WITHOUT ROWID;
CREATE INDEX tally_by_group ON tally (group_key);
CREATE TABLE durations (
    type TEXT, bucket INTEGER, count INTEGER NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (type, bucket)
) WITHOUT ROWID;
CREATE TABLE finished (
    minute INTEGER, type TEXT, state TEXT, count INTEGER NOT NULL, PRIMARY KEY (minute, type, state)
) WITHOUT ROWID;
CREATE TABLE ended (
    group_key TEXT, type TEXT, state TEXT, count INTEGER NOT NULL, runs INTEGER NOT NULL, seconds REAL NOT NULL,
    PRIMARY KEY (group_key, type, state)
) WITHOUT ROWID;
CREATE VIEW ends AS SELECT type, group_key, state, finished_at, duration, bucket FROM tasks;
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL, task_id TEXT, verb TEXT, state TEXT, type TEXT, worker TEXT,
    attempt INTEGER, reason TEXT, slot INTEGER
);
CREATE INDEX events_by_task ON events (task_id);
CREATE TABLE asked (worker TEXT PRIMARY KEY, types TEXT, at REAL) WITHOUT ROWID;
"""

_PLUS = """INSERT INTO tally VALUES (NEW.state, IFNULL(NEW.type, ''), IFNULL(NEW.group_key, ''),
        IFNULL(NEW.priority, 1), NEW.was_tried, 1) ON CONFLICT DO UPDATE SET count = count + 1;"""
_MINUS = """UPDATE tally SET count = count - 1 WHERE state = OLD.state AND type = IFNULL(OLD.type, '')
        AND group_key = IFNULL(OLD.group_key, '') AND priority = IFNULL(OLD.priority, 1)
        AND was_tried = OLD.was_tried;"""
_ENDED = """INSERT INTO finished VALUES (CAST(NEW.finished_at / 60 AS INTEGER), IFNULL(NEW.type, ''), NEW.state, 1)
        ON CONFLICT DO UPDATE SET count = count + 1;
    INSERT INTO ended VALUES (IFNULL(NEW.group_key, ''), IFNULL(NEW.type, ''), NEW.state, 1,
        NEW.duration IS NOT NULL, IFNULL(NEW.duration, 0.0))
        ON CONFLICT DO UPDATE SET count = count + 1, runs = runs + excluded.runs, seconds = seconds + excluded.seconds;
    INSERT INTO durations SELECT IFNULL(NEW.type, ''), NEW.bucket, 1, NEW.duration
        WHERE NEW.duration IS NOT NULL
        ON CONFLICT DO UPDATE SET count = count + 1, seconds = seconds + excluded.seconds;"""
TRIGGERS = f"""
CREATE TRIGGER task_came AFTER INSERT ON tasks BEGIN {_PLUS} END;
CREATE TRIGGER task_went AFTER DELETE ON tasks BEGIN {_MINUS} DELETE FROM tags WHERE id = OLD.id; END;
CREATE TRIGGER task_moved AFTER UPDATE ON tasks
WHEN OLD.state <> NEW.state OR OLD.type IS NOT NEW.type OR OLD.group_key IS NOT NEW.group_key
    OR OLD.priority IS NOT NEW.priority OR OLD.was_tried <> NEW.was_tried
BEGIN {_MINUS} {_PLUS} END;
CREATE TRIGGER task_came_finished AFTER INSERT ON tasks WHEN NEW.finished_at IS NOT NULL BEGIN {_ENDED} END;
CREATE TRIGGER task_finished AFTER UPDATE ON tasks
WHEN NEW.finished_at IS NOT NULL AND OLD.finished_at IS NOT NEW.finished_at
BEGIN {_ENDED} END;
CREATE TRIGGER end_was_told INSTEAD OF INSERT ON ends BEGIN {_ENDED} END;
"""  # noqa: S608 - put together from the constants above

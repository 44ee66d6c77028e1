"""Every version of every entry, and the words of the newest ones."""

from typing import Any

from msgspec import json

from synapse import Event
from synapse_memory.facts import Deleted, Saved, key_of

_ROW = "SELECT id, key, text, tags FROM memory_versions WHERE "


class Versions:
    """`memory_versions` has a row for each version, `memory_text` the words of those that are current (FTS5, whose content
    is the other table), `memory_over` which entry is out of date because of which."""

    name = "memory"
    version = 2
    kinds = frozenset({Saved.kind, Deleted.kind, "log.forgotten", "log.redacted"})
    schema: tuple[str, ...] = (
        "CREATE TABLE memory_versions (id INTEGER PRIMARY KEY, workspace TEXT NOT NULL, key TEXT NOT NULL, at REAL NOT"
        " NULL, by TEXT NOT NULL, author TEXT NOT NULL, text TEXT NOT NULL, tags TEXT NOT NULL, evidence TEXT NOT NULL,"
        " supersedes TEXT NOT NULL, expires REAL NOT NULL, deleted INTEGER NOT NULL, current INTEGER NOT NULL) STRICT",
        "CREATE INDEX memory_by_key ON memory_versions (workspace, key, id)",
        "CREATE INDEX memory_newest ON memory_versions (id) WHERE current",
        "CREATE TABLE memory_over (workspace TEXT NOT NULL, key TEXT NOT NULL, by TEXT NOT NULL, id INTEGER NOT NULL,"
        " PRIMARY KEY (workspace, key, by)) STRICT, WITHOUT ROWID",
        "CREATE INDEX memory_over_by ON memory_over (workspace, by)",
        "CREATE VIRTUAL TABLE memory_text USING fts5 (key, text, tags, content='memory_versions', content_rowid='id',"
        " prefix='2 3', tokenize='unicode61 remove_diacritics 2')",
        "INSERT INTO memory_text (memory_text, rank) VALUES ('secure-delete', 1)",  # what is redacted is overwritten
        # A word in the key counts most, then one in the tags.
        "INSERT INTO memory_text (memory_text, rank) VALUES ('rank', 'bm25(8.0, 1.0, 4.0)')",
    )

    def apply(self, db: Any, event: Event) -> None:
        if isinstance(event.body, Saved | Deleted):
            self._version(db, event, event.body)
        elif event.kind == "log.forgotten":
            for story in event.body.stories:
                if story.startswith("memory:"):
                    workspace, _, key = story.removeprefix("memory:").partition("/")
                    self._forget(db, workspace, key)
        else:
            self._redact(db, event.body.position)

    def _version(self, db: Any, event: Event, body: "Saved | Deleted") -> None:
        workspace, key = event.workspace, key_of(event.workspace, event.story)
        self._past(db, workspace, key)
        gone = isinstance(body, Deleted)
        saved = Saved(author=body.author) if isinstance(body, Deleted) else body
        id = event.position << 10 | event.index
        db.execute(
            "INSERT INTO memory_versions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                id, workspace, key, event.at, event.by, saved.author, saved.text, " ".join(saved.tags), saved.evidence,
                json.encode(saved.supersedes).decode(), saved.expires, gone, not gone,
            ),
        )  # fmt: skip
        if not gone:
            db.execute("INSERT INTO memory_text (rowid, key, text, tags) VALUES (?, ?, ?, ?)",
                       (id, key, saved.text, " ".join(saved.tags)))  # fmt: skip
        for other in saved.supersedes:
            db.execute("INSERT OR REPLACE INTO memory_over VALUES (?, ?, ?, ?)", (workspace, other, key, id))

    def _past(self, db: Any, workspace: str, key: str) -> None:
        """What is current of a key becomes history."""
        for row in db.execute(_ROW + "workspace = ? AND key = ? AND current", (workspace, key)).fetchall():
            self._unindex(db, row)
            db.execute("UPDATE memory_versions SET current = 0 WHERE id = ?", (row[0],))
        db.execute("DELETE FROM memory_over WHERE workspace = ? AND by = ?", (workspace, key))

    def _unindex(self, db: Any, row: Any) -> None:
        """FTS5 is told what it had been given: its content is not its own."""
        db.execute("INSERT INTO memory_text (memory_text, rowid, key, text, tags) VALUES ('delete', ?, ?, ?, ?)", row)

    def _forget(self, db: Any, workspace: str, key: str) -> None:
        self._past(db, workspace, key)
        db.execute("DELETE FROM memory_versions WHERE workspace = ? AND key = ?", (workspace, key))

    def _redact(self, db: Any, position: int) -> None:
        for row in db.execute(_ROW + "id >> 10 = ? AND current", (position,)).fetchall():
            self._unindex(db, row)
            db.execute("INSERT INTO memory_text (rowid, key, text, tags) VALUES (?, ?, '', '')", (row[0], row[1]))
        db.execute("UPDATE memory_versions SET text = '', tags = '', evidence = '' WHERE id >> 10 = ?", (position,))

"""The table of every task: what can be asked of all of them by time, agent or context, and the words of their texts."""

from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec import json

from synapse.event import Event, Fact
from synapse.hub.facts import (
    Canceled,
    Completed,
    Failed,
    InputRequired,
    LogForgotten,
    LogRedacted,
    MessageAdded,
    PromptAnswered,
    Rejected,
    Renamed,
    Resumed,
    Sent,
    Submitted,
    WaitEnded,
    Working,
)
from synapse.hub.tasks import ENDS, INTERRUPTED, context_of

WORDS = 64 << 10  # bytes of a text that are searched
ASKED, SAID, ANSWERED = "asked", "said", "answered"
VERSION = 4
WITHOUT_TEXTS = 1000  # added to the version where no texts are kept: to choose otherwise is to fill it anew

_Ended = Completed | Failed | Canceled | Rejected


class _Text(NamedTuple):
    """A text as far as it is searched, and how many bytes the whole has."""

    text: str
    size: int


class TasksTable:
    """`tasks_all` has a row for each task, whose id is the address of its submission; `changed` is the address of its last
    change of state. `tasks_texts` has what was asked, said and answered, by the address of the event, `tasks_words` the
    words of that (FTS5), and `tasks_stories` the messages and prompts that belong to a task.
    """

    name = "tasks"
    kinds = frozenset(
        {Submitted.kind, MessageAdded.kind, Working.kind, InputRequired.kind, Resumed.kind, WaitEnded.kind}
        | {Completed.kind, Failed.kind, Canceled.kind, Rejected.kind}
        | {Sent.kind, PromptAnswered.kind, Renamed.kind, LogForgotten.kind, LogRedacted.kind}
    )
    wakes = kinds - {Sent.kind}  # a note is none of ours; what is comes together with another
    schema: tuple[str, ...] = (
        "CREATE TABLE tasks_all (id INTEGER PRIMARY KEY, task TEXT NOT NULL UNIQUE, box TEXT NOT NULL, requester TEXT NOT"
        " NULL, workspace TEXT NOT NULL, context TEXT NOT NULL, parent TEXT NOT NULL, mode TEXT NOT NULL, agent TEXT NOT"
        " NULL, state TEXT NOT NULL, submitted_at REAL NOT NULL, changed INTEGER NOT NULL, status_at REAL NOT NULL,"
        " ended_at REAL NOT NULL, end INTEGER NOT NULL, source TEXT NOT NULL, reason TEXT NOT NULL, usage TEXT NOT NULL"
        ") STRICT",
        "CREATE INDEX tasks_newest ON tasks_all (changed)",
        "CREATE INDEX tasks_alive ON tasks_all (changed) WHERE end = 0",
        "CREATE INDEX tasks_by_box ON tasks_all (box, changed)",
        "CREATE INDEX tasks_by_context ON tasks_all (context)",
        "CREATE INDEX tasks_by_parent ON tasks_all (parent) WHERE parent != ''",
        "CREATE TABLE tasks_texts (id INTEGER PRIMARY KEY, task TEXT NOT NULL, role TEXT NOT NULL, size INTEGER NOT NULL,"
        " text TEXT NOT NULL) STRICT",
        "CREATE INDEX tasks_texts_by_task ON tasks_texts (task)",
        "CREATE VIRTUAL TABLE tasks_words USING fts5 (text, content='tasks_texts', content_rowid='id',"
        " tokenize='unicode61 remove_diacritics 2')",
        "INSERT INTO tasks_words (tasks_words, rank) VALUES ('secure-delete', 1)",  # what is redacted is overwritten
        "CREATE TABLE tasks_stories (story TEXT PRIMARY KEY, task TEXT NOT NULL, size INTEGER NOT NULL) STRICT, WITHOUT ROWID",
        "CREATE INDEX tasks_stories_by_task ON tasks_stories (task)",
    )

    def __init__(self, blob: Callable[[str], bytes | None] = lambda sum: None, *, texts: bool = True) -> None:
        self._blob = blob
        self.texts = texts
        self.version = VERSION if texts else VERSION + WITHOUT_TEXTS
        self._handlers: dict[type[Fact], Callable[[Any, Event, Any], None]] = {
            Submitted: self._submitted,
            Sent: self._sent,
            MessageAdded: self._added,
            PromptAnswered: self._prompted,
            WaitEnded: self._wait_ended,
            Renamed: self._renamed,
            LogForgotten: self._forgotten,
            LogRedacted: self._redacted,
            **dict.fromkeys((Working, InputRequired, Resumed), self._moved),
            **dict.fromkeys(ENDS, self._ended),
        }

    def apply(self, db: Any, event: Event) -> None:
        self._handlers[type(event.body)](db, event, event.body)

    # -- its life

    def _submitted(self, db: Any, event: Event, body: Submitted) -> None:
        id = address(event)
        db.execute(
            "INSERT OR REPLACE INTO tasks_all VALUES (?, ?, ?, ?, ?, ?, ?, ?, '', 'submitted', ?, ?, ?, 0, 0, '', '', '')",
            (
                id, body.task, body.box, body.requester, event.workspace, context_of(body.task, body.context), body.parent,
                body.mode, event.at, id, event.at,
            ),
        )  # fmt: skip

    def _moved(self, db: Any, event: Event, body: Working | InputRequired | Resumed) -> None:
        agent = body.agent if isinstance(body, Working) else ""
        state = INTERRUPTED[body.auth] if isinstance(body, InputRequired) else "working"
        db.execute(
            "UPDATE tasks_all SET state = ?1, agent = iif(?2 = '', agent, ?2), changed = ?3, status_at = ?4"
            " WHERE task = ?5 AND end = 0",
            (state, agent, address(event), event.at, body.task),
        )

    def _ended(self, db: Any, event: Event, body: _Ended) -> None:
        usage = json.encode(body.usage).decode() if body.usage else ""
        db.execute(
            "UPDATE tasks_all SET state = ?, changed = ?, status_at = ?, ended_at = ?, end = ?, source = ?, reason = ?,"
            " usage = ? WHERE task = ? AND end = 0",
            (
                ENDS[type(body)], address(event), event.at, event.at, event.position, body.source,
                getattr(body, "reason", ""), usage, body.task,
            ),
        )  # fmt: skip
        parts = body.parts if isinstance(body, Completed) else ()
        if body.text or body.blob or parts:
            self._keep(db, event, body.task, ANSWERED, self._text(body.text, body.blob, parts))

    def _wait_ended(self, db: Any, event: Event, body: WaitEnded) -> None:
        db.execute("UPDATE tasks_all SET mode = 'notify' WHERE task = ? AND end = 0", (body.task,))

    def _renamed(self, db: Any, event: Event, body: Renamed) -> None:
        """All that there is in a box moves to the new name's: what an owner before left there has moved with that one."""
        db.execute("UPDATE tasks_all SET box = ? WHERE box = ?", (body.box, body.old_box))
        db.execute("UPDATE tasks_all SET requester = ? WHERE requester = ?", (body.box, body.old_box))

    # -- its texts

    def _sent(self, db: Any, event: Event, body: Sent) -> None:
        if body.role == "task":
            sizes = sum(attachment.size for attachment in body.attachments)
            text, size = self._text(body.text, body.blob)
            self._keep(db, event, body.task or event.story, ASKED, _Text(text, size + sizes))
        elif body.reply_to.startswith("t-"):
            self._belongs(db, event.story, body.reply_to, self._text(body.text, body.blob).size)

    def _added(self, db: Any, event: Event, body: MessageAdded) -> None:
        if body.text or body.blob or body.parts:
            self._keep(db, event, body.task, SAID, self._text(body.text, body.blob, body.parts))

    def _prompted(self, db: Any, event: Event, body: PromptAnswered) -> None:
        if body.task:
            self._belongs(db, event.story, body.task, len(body.question) + len(body.command))

    def _belongs(self, db: Any, story: str, task: str, size: int) -> None:
        db.execute("INSERT OR REPLACE INTO tasks_stories VALUES (?, ?, ?)", (story, task, size))

    def _text(self, text: str, blob: str, parts: Any = ()) -> _Text:
        """What is searched: the text, and those of the parts that are not in it."""
        found, size = self._part(text, (blob,) if blob else ())
        words = [found] if found else []
        for part in parts:
            if part.kind == "text":
                value, length = self._part(part.value, part.blobs)
                words += [value] if value and value not in found else []
                size += length
            else:
                size += part.size or len(part.value)
        return _Text("\n".join(words), size)

    def _part(self, text: str, blobs: tuple[str, ...]) -> _Text:
        if not blobs:
            return _Text(text, len(text.encode()))
        content = b"".join(self._blob(blob) or b"" for blob in blobs)
        return _Text(content[:WORDS].decode("utf-8", "ignore"), len(content))

    def _keep(self, db: Any, event: Event, task: str, role: str, text: _Text) -> None:
        id = address(event)
        words = _cut(text.text) if self.texts else ""
        db.execute("INSERT OR REPLACE INTO tasks_texts VALUES (?, ?, ?, ?, ?)", (id, task, role, text.size, words))
        if words:
            db.execute("INSERT INTO tasks_words (rowid, text) VALUES (?, ?)", (id, words))

    # -- what is gone

    def _forgotten(self, db: Any, event: Event, body: LogForgotten) -> None:
        for story in body.stories:
            db.execute("DELETE FROM tasks_stories WHERE story = ?", (story,))
            if story.startswith("t-"):
                _unindex(db, db.execute("SELECT id, text FROM tasks_texts WHERE task = ?", (story,)).fetchall())
                db.execute("DELETE FROM tasks_texts WHERE task = ?", (story,))
                db.execute("DELETE FROM tasks_all WHERE task = ?", (story,))

    def _redacted(self, db: Any, event: Event, body: LogRedacted) -> None:
        span = (body.position << 10, (body.position << 10) | 1023)
        _unindex(db, db.execute("SELECT id, text FROM tasks_texts WHERE id BETWEEN ? AND ?", span).fetchall())
        db.execute("UPDATE tasks_texts SET text = '', size = 0 WHERE id BETWEEN ? AND ?", span)


def _unindex(db: Any, rows: list[Any]) -> None:
    """FTS5 is told what it had been given: its content is not its own."""
    for row in rows:
        if row[1]:
            db.execute("INSERT INTO tasks_words (tasks_words, rowid, text) VALUES ('delete', ?, ?)", row)


def address(event: Event) -> int:
    """Where an event lies, as one number that rises."""
    return event.position << 10 | event.index


def _cut(text: str) -> str:
    """At most 64 kB of a text, whole characters."""
    if len(text) <= WORDS // 4:
        return text
    return text.encode()[:WORDS].decode("utf-8", "ignore")

"""Reading: what is there, one entry with its history, and how much there is."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field, json

from synapse import Call, Reply, Request, Verb, query
from synapse.errors import BadRequest, NotFound
from synapse_memory.saving import check_key, check_tags

SHORT = 400  # characters of a text in a list
MOST = 1000  # entries of one answer

# An entry is superseded while one that was saved later says so.
COLUMNS = (
    "v.id, v.workspace, v.key, v.at, v.author, v.tags, v.evidence, v.supersedes, v.expires, v.deleted, v.current,"
    " (SELECT by FROM memory_over o WHERE o.workspace = v.workspace AND o.key = v.key AND o.id > v.id"
    " ORDER BY o.id DESC LIMIT 1) AS superseded_by"
)


class Entry(Struct, kw_only=True, omit_defaults=True):
    """`state` is fresh, expired or superseded (of history also past and deleted); all but fresh is `stale`.

    `text` is cut in lists, which `more` says; `snippet` shows in [] what was found.
    """

    key: str
    workspace: str
    position: int
    at: float
    author: str
    state: str
    stale: bool = False
    text: str = ""
    more: bool = False
    tags: tuple[str, ...] = ()
    evidence: str = ""
    expires: float = 0.0
    supersedes: tuple[str, ...] = ()
    superseded_by: str = ""
    snippet: str = ""
    rank: float = 0.0


def _entry(row: Any, now: float, text: str, **more: Any) -> Entry:
    id, workspace, key, at, author, tags, evidence, supersedes, expires, deleted, current, superseded_by = row
    if deleted or not current:
        state = "deleted" if deleted else "past"
    else:
        state = "superseded" if superseded_by else "expired" if expires and expires <= now else "fresh"
    return Entry(
        key=key, workspace=workspace, position=id >> 10, at=at, author=author, state=state, stale=state != "fresh",
        text=text, tags=tuple(tags.split()), evidence=evidence, expires=expires,
        supersedes=json.decode(supersedes, type=tuple[str, ...]), superseded_by=superseded_by or "", **more,
    )  # fmt: skip


class Where:
    """Conditions and their values."""

    def __init__(self, call: Call, workspace: str, tags: tuple[str, ...] = (), *, fresh: bool = False) -> None:
        self.sql = ["v.current"]
        self.values: list[Any] = []
        if workspace != "*":
            self.add("v.workspace IN (?, '')", workspace or call.workspace)
        for tag in check_tags(tags):
            self.add("instr(' ' || v.tags || ' ', ?)", f" {tag} ")
        if fresh:
            self.add("(v.expires = 0 OR v.expires > ?)", call.at)
            self.add("superseded_by IS NULL")

    def add(self, sql: str, *values: Any) -> None:
        self.sql.append(sql)
        self.values += values

    def __str__(self) -> str:
        return " AND ".join(self.sql)


def check_limit(limit: int, offset: int = 0) -> None:
    if not 1 <= limit <= MOST or offset < 0:
        raise BadRequest("bad_limit", f"A limit is from 1 to {MOST}.")


Fetch = Callable[[Any], "EntriesReply"]


class EntriesReply(Reply, kw_only=True, omit_defaults=False):
    entries: list[Entry] = field(default_factory=list)


class ListRequest(Request, kw_only=True):
    """`workspace` "" is the caller's with what is global, `*` all; `tags` must all be there; the newest come first."""

    workspace: str = ""
    tags: tuple[str, ...] = ()
    fresh: bool = False
    limit: int = 100
    offset: int = 0


@query("memory.list", tables=("memory",))
def list_entries(call: Call, request: ListRequest) -> Fetch:
    """The entries, the newest first."""
    check_limit(request.limit, request.offset)
    where, now = Where(call, request.workspace, request.tags, fresh=request.fresh), call.at
    sql = (
        f"SELECT {COLUMNS}, substr(v.text, 1, {SHORT + 1}) FROM memory_versions v WHERE {where}"
        " ORDER BY v.id DESC LIMIT ? OFFSET ?"
    )

    def fetch(db: Any) -> EntriesReply:
        rows = db.execute(sql, (*where.values, request.limit, request.offset)).fetchall()
        return EntriesReply(entries=[short(row[:-1], now, row[-1]) for row in rows])

    return fetch


def short(row: Any, now: float, text: str, **more: Any) -> Entry:
    return _entry(row, now, text[:SHORT], more=len(text) > SHORT, **more)


class ShowRequest(Request, kw_only=True):
    """The entry of the caller's workspace, else the global one; `global` only that."""

    key: str
    workspace: str = ""
    global_: bool = field(default=False, name="global")


class ShowReply(Reply, kw_only=True, omit_defaults=False):
    """The entry with its whole text, and every version of the key, the newest first."""

    entry: Entry
    history: list[Entry] = field(default_factory=list)


@query("memory.show", tables=("memory",))
def show(call: Call, request: ShowRequest) -> Callable[[Any], ShowReply]:
    """One entry in full, with the history of its key."""
    key, now = check_key(request.key), call.at
    places = ("",) if request.global_ else (request.workspace or call.workspace, "")
    sql = f"SELECT {COLUMNS}, v.text FROM memory_versions v WHERE workspace = ? AND key = ? ORDER BY id DESC LIMIT 200"

    def fetch(db: Any) -> ShowReply:
        for workspace in dict.fromkeys(places):
            rows = db.execute(sql, (workspace, key)).fetchall()
            if rows and rows[0][10]:
                versions = [_entry(row[:-1], now, row[-1]) for row in rows]
                return ShowReply(entry=versions[0], history=versions)
        raise NotFound("no_entry", f"There is no entry '{key}'. `synapse memory search WORDS` may find it.")

    return fetch


class StatsRequest(Request, kw_only=True):
    workspace: str = ""


class StatsReply(Reply, kw_only=True, omit_defaults=False):
    """How many entries, of how many versions, how many of them stale, how many characters; the commonest tags and authors."""

    entries: int
    versions: int
    expired: int
    superseded: int
    characters: int
    workspaces: dict[str, int]
    authors: dict[str, int]
    tags: dict[str, int]


@query("memory.stats", tables=("memory",))
def stats(call: Call, request: StatsRequest) -> Callable[[Any], StatsReply]:
    """How much is known, by whom, about what."""
    where, now = Where(call, request.workspace), call.at

    def fetch(db: Any) -> StatsReply:
        def most(sql: str) -> dict[str, int]:
            return dict(db.execute(sql, where.values).fetchall())

        [whole] = db.execute(
            "SELECT count(*), coalesce(sum(length(text)), 0), coalesce(sum(expires > 0 AND expires <= ?), 0),"
            " coalesce(sum(EXISTS (SELECT 1 FROM memory_over o WHERE o.workspace = v.workspace AND o.key = v.key"
            f" AND o.id > v.id)), 0) FROM memory_versions v WHERE {where}",
            (now, *where.values),
        ).fetchall()
        past = str(where).replace("v.current", "NOT v.deleted", 1)
        [[versions]] = db.execute(f"SELECT count(*) FROM memory_versions v WHERE {past}", where.values).fetchall()
        tags: dict[str, int] = {}
        for (line,) in db.execute(f"SELECT tags FROM memory_versions v WHERE {where} AND tags != ''", where.values):
            for tag in line.split():
                tags[tag] = tags.get(tag, 0) + 1
        return StatsReply(
            entries=whole[0], characters=whole[1], expired=whole[2], superseded=whole[3], versions=versions,
            workspaces=most(f"SELECT workspace, count(*) FROM memory_versions v WHERE {where} GROUP BY 1 ORDER BY 2 DESC"),
            authors=most(f"SELECT author, count(*) FROM memory_versions v WHERE {where} GROUP BY 1 ORDER BY 2 DESC LIMIT 20"),
            tags=dict(sorted(tags.items(), key=lambda each: (-each[1], each[0]))[:20]),
        )  # fmt: skip

    return fetch


READING: tuple[Verb, ...] = (list_entries, show, stats)

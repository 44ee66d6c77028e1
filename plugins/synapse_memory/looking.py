"""Reading: what is there, what fits some words, one entry with its history, and how much there is."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct, field, json

from synapse import Call, Reply, Request, Verb, query
from synapse.errors import BadRequest, NotFound
from synapse_memory.saving import check_key, check_tags
from synapse_memory.words import expression

SHORT = 400  # characters of a text in a list
MOST = 1000  # entries of one answer
RANKED = 5000  # entries that are ranked; to rank is what a search costs, 1 ms for a thousand

# An entry is superseded while one that was saved later says so.
_COLUMNS = (
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


class _Where:
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


def _limit(limit: int, offset: int = 0) -> None:
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
    _limit(request.limit, request.offset)
    where, now = _Where(call, request.workspace, request.tags, fresh=request.fresh), call.at
    sql = (
        f"SELECT {_COLUMNS}, substr(v.text, 1, {SHORT + 1}) FROM memory_versions v WHERE {where}"
        " ORDER BY v.id DESC LIMIT ? OFFSET ?"
    )

    def fetch(db: Any) -> EntriesReply:
        rows = db.execute(sql, (*where.values, request.limit, request.offset)).fetchall()
        return EntriesReply(entries=[_short(row[:-1], now, row[-1]) for row in rows])

    return fetch


def _short(row: Any, now: float, text: str, **more: Any) -> Entry:
    return _entry(row, now, text[:SHORT], more=len(text) > SHORT, **more)


_SOME = "SELECT count(*) FROM (SELECT 1 FROM memory_text WHERE memory_text MATCH ? LIMIT ?)"


class SearchReply(EntriesReply, kw_only=True, omit_defaults=False):
    """`many`: more than 5,000 fit. Then only the newest 5,000 are ranked, and those with the words in key or tags."""

    many: bool = False


class SearchRequest(Request, kw_only=True):
    """`query`: words that must all be there, "a phrase", beginning*, -without, one OR other; the best come first."""

    query: str
    workspace: str = ""
    tags: tuple[str, ...] = ()
    fresh: bool = False
    limit: int = 20


@query("memory.search", tables=("memory",))
def search(call: Call, request: SearchRequest) -> Callable[[Any], SearchReply]:
    """The entries that hold some words, the best first, with what was found in them."""
    _limit(request.limit)
    words, now = expression(request.query), call.at
    where = _Where(call, request.workspace, request.tags, fresh=request.fresh)
    fits = (
        " FROM memory_text CROSS JOIN memory_versions v ON v.id = memory_text.rowid"
        f" WHERE memory_text MATCH ? AND {where} AND memory_text.rowid > ?"
    )
    best = (
        f"SELECT {_COLUMNS}, substr(v.text, 1, {SHORT + 1}), snippet(memory_text, 1, '[', ']', '…', 24), memory_text.rank"
        f"{fits} ORDER BY memory_text.rank LIMIT ?"
    )
    newest = f"SELECT memory_text.rowid, {_COLUMNS}{fits} ORDER BY memory_text.rowid DESC LIMIT 1 OFFSET ?"

    def ranked(db: Any, words: str) -> tuple[list[Any], bool]:
        """The best rows, and whether some were too old to be looked at."""
        behind = []
        if db.execute(_SOME, (words, RANKED + 1)).fetchall()[0][0] > RANKED:
            behind = db.execute(newest, (words, *where.values, 0, RANKED)).fetchall()
        after = behind[0][0] if behind else 0
        return db.execute(best, (words, *where.values, after, request.limit)).fetchall(), bool(behind)

    def fetch(db: Any) -> SearchReply:
        rows, many = ranked(db, words)
        if many:
            named, _ = ranked(db, f"({words}) AND {{key tags}} : ({words})")
            there = {row[0] for row in named}
            rows = [*named, *(row for row in rows if row[0] not in there)][: request.limit]
        return SearchReply(
            entries=[_short(row[:-3], now, row[-3], snippet=row[-2], rank=round(-row[-1], 4)) for row in rows],
            many=many,
        )

    return fetch


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
    sql = f"SELECT {_COLUMNS}, v.text FROM memory_versions v WHERE workspace = ? AND key = ? ORDER BY id DESC LIMIT 200"

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
    where, now = _Where(call, request.workspace), call.at

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


READING: tuple[Verb, ...] = (list_entries, search, show, stats)

"""Search: what fits some words, the best first; and what holds something that no index knows as a word."""

from collections.abc import Callable
from typing import Any

from synapse import Call, Request, Verb, query
from synapse_memory.looking import COLUMNS, SHORT, EntriesReply, Where, check_limit, short
from synapse_memory.words import Piece, Sought, parse, small

RANKED = 5000  # entries that are ranked; to rank is what a search costs, 1 ms for a thousand
SCANNED = 20_000  # entries that are looked through for what no index knows; that costs 1 ms for a thousand
AROUND = 60  # characters around what was found so

_SOME = "SELECT count(*) FROM (SELECT 1 FROM memory_text WHERE memory_text MATCH ? LIMIT ?)"


class SearchReply(EntriesReply, kw_only=True, omit_defaults=False):
    """`many`: more than 5,000 fit. Then only the newest 5,000 are ranked, and those with the words in key or tags. Where
    something is looked for that is no word by itself (a part of one in a script without blanks, a symbol), there are more
    than 20,000 entries, and only the newest 20,000 were looked through."""

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
    check_limit(request.limit)
    sought, now = parse(request.query), call.at
    where = Where(call, request.workspace, request.tags, fresh=request.fresh)
    if sought.has_parts:
        return _scan(sought, where, now, request.limit)
    words = sought.expression()
    fits = (
        " FROM memory_text CROSS JOIN memory_versions v ON v.id = memory_text.rowid"
        f" WHERE memory_text MATCH ? AND {where} AND memory_text.rowid > ?"
    )
    best = (
        f"SELECT {COLUMNS}, substr(v.text, 1, {SHORT + 1}), snippet(memory_text, 1, '[', ']', '…', 24), memory_text.rank"
        f"{fits} ORDER BY memory_text.rank LIMIT ?"
    )
    newest = f"SELECT memory_text.rowid, {COLUMNS}{fits} ORDER BY memory_text.rowid DESC LIMIT 1 OFFSET ?"

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
            entries=[short(row[:-3], now, row[-3], snippet=row[-2], rank=round(-row[-1], 4)) for row in rows],
            many=many,
        )

    return fetch


_HOLDS = "instr(lower(v.key || char(10) || v.tags || char(10) || v.text), ?)"
_MATCHES = "v.id IN (SELECT rowid FROM memory_text WHERE memory_text MATCH ?)"


def _scan(sought: Sought, where: Where, now: float, limit: int) -> Callable[[Any], SearchReply]:
    """The newest that hold every part somewhere; first those that have one in their key."""

    def add(pieces: tuple[Piece, ...], negative: str = "") -> None:
        either = " OR ".join(_HOLDS if piece.part else _MATCHES for piece in pieces)
        where.add(f"{negative}({either})", *(piece.part or piece.words for piece in pieces))

    for group in sought.wanted:
        add(group)
    for piece in sought.unwanted:
        add((piece,), "NOT ")
    parts = [piece.part for group in sought.wanted for piece in group if piece.part]
    named = " + ".join("(instr(lower(v.key), ?) > 0)" for _ in parts) or "NULL"
    oldest = "SELECT id FROM memory_versions WHERE current ORDER BY id DESC LIMIT 1 OFFSET ?"
    sql = (
        f"SELECT {COLUMNS}, v.text FROM memory_versions v WHERE v.id > ? AND {where}"
        f" ORDER BY {named} DESC, v.id DESC LIMIT ?"
    )

    def fetch(db: Any) -> SearchReply:
        behind = db.execute(oldest, (SCANNED,)).fetchall()
        rows = db.execute(sql, (behind[0][0] if behind else 0, *where.values, *parts, limit)).fetchall()
        return SearchReply(
            entries=[short(row[:-1], now, row[-1], snippet=_snippet(row[-1], parts)) for row in rows], many=bool(behind)
        )

    return fetch


def _snippet(text: str, parts: list[str]) -> str:
    """The text around the first part that is in it, which stands in []; its beginning where none is."""
    lower = small(text)
    at, part = min(((lower.find(part), part) for part in parts if part in lower), default=(0, ""))
    begin, end = max(0, at - AROUND), at + len(part) + AROUND
    found = f"[{text[at : at + len(part)]}]" if part else ""
    before, after = "…" if begin else "", "…" if end < len(text) else ""
    return f"{before}{text[begin:at]}{found}{text[at + len(part) : end]}{after}"


SEARCHING: tuple[Verb, ...] = (search,)

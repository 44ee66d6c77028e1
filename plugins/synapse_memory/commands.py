"""`synapse memory ...`. Loaded for the help too: nothing heavy here."""

from synapse import (
    COMMON,
    Argument,
    Client,
    Command,
    Option,
    clock_time,
    dumps,
    one_line,
    since,
    table,
    text_of,
    write,
    write_text,
)
from synapse.errors import BadRequest, Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def _client(common: "dict[str, Any]") -> Client:
    return Client(common["sender"] or "", common["workspace"] or "", start=not common["no_start"])


def _list(text: "str | None") -> "list[str]":
    """`a, b` as its words."""
    return [word.strip() for word in (text or "").split(",") if word.strip()]


def seconds(text: "str | None") -> float:
    """`90`, `30m`, `12h`, `7d` or `2w` in seconds; 0 for nothing."""
    if not text:
        return 0.0
    number, unit = (text[:-1], _SECONDS[text[-1]]) if text[-1] in _SECONDS else (text, 1)
    try:
        found = float(number) * unit
    except ValueError:
        found = -1.0
    if not 0 < found < 1e10:
        raise BadRequest("bad_ttl", f"--ttl {text[:20]}: seconds, or a number with s, m, h, d or w (7d).")
    return found


def _everywhere(all: bool) -> "dict[str, object]":
    return {"workspace": "*"} if all else {}


def save(
    key: str, text: "str | None", *, file: "str | None", tags: "str | None", evidence: "str | None",
    supersedes: "str | None", ttl: "str | None", notify: bool, as_global: bool, as_json: bool, **common: "Any",
) -> int:  # fmt: skip
    """Save a text under a key."""
    content = text_of(text, file, False) if text is not None or file else ""
    with _client(common) as client:
        saved = client.change(
            "memory.save", key=key, text=content, tags=_list(tags), evidence=evidence or "",
            supersedes=_list(supersedes), ttl=seconds(ttl), notify=notify, **{"global": as_global},
        )  # fmt: skip
    place = saved["workspace"] or "every workspace"
    write(dumps(saved).decode() if as_json else f"saved {saved['key']} (version {saved['version']}) for {place}\n")
    return 0


def listed(*, tags: "str | None", fresh: bool, all: bool, limit: int, as_json: bool, **common: "Any") -> int:
    """The entries, the newest first."""
    with _client(common) as client:
        found = _entries(client.call("memory.list", tags=_list(tags), fresh=fresh, limit=limit, **_everywhere(all)))
    if as_json:
        write(dumps({"entries": found}).decode())
    elif found:
        rows = [
            (str(one["key"]), _place(one), _state(one), " ".join(one.get("tags", ())), str(one["author"]),
             since(one["at"]), one_line(str(one.get("text", ""))[:200]))
            for one in found
        ]  # fmt: skip
        write(table(("KEY", "WHERE", "STATE", "TAGS", "BY", "AGE", "TEXT"), rows, keep=("KEY", "STATE")))
    else:
        write("Nothing is saved here yet: `synapse memory save KEY TEXT`.\n")
    return 0


def _entries(reply: "dict[str, object]") -> "list[dict[str, Any]]":
    entries = reply["entries"]
    assert isinstance(entries, list)
    return entries


def _place(one: "dict[str, Any]") -> str:
    return str(one["workspace"] or "global")


def _state(one: "dict[str, Any]") -> str:
    by = one.get("superseded_by")
    return f"superseded by {by}" if by else str(one["state"])


def search(
    words: "tuple[str, ...]", *, tags: "str | None", fresh: bool, all: bool, limit: int, as_json: bool, **common: "Any"
) -> int:
    """The entries that hold some words, the best first; 1 when there is none."""
    with _client(common) as client:
        reply = client.call(
            "memory.search", query=_query(words), tags=_list(tags), fresh=fresh, limit=limit, **_everywhere(all)
        )
    found = _entries(reply)
    if as_json:
        write(dumps({"entries": found, "many": bool(reply.get("many"))}).decode())
        return 0 if found else 1
    if not found:
        raise Refused("nothing_found", f"Nothing holds {' '.join(words)[:80]!r}: fewer words, or a beginning (auth*).")
    for one in found:
        mark = "" if one["state"] == "fresh" else f"  [{_state(one)}]"
        tags_shown = f"  ({' '.join(one['tags'])})" if one.get("tags") else ""
        write(f"{one['key']}{tags_shown}{mark}\n    {one_line(one.get('snippet') or one.get('text', ''))}\n")
    if reply.get("many"):
        write("\nMore than 5,000 fit: of the older ones only those with the words in key or tags were looked at.\n")
    return 0


def _query(words: "tuple[str, ...]") -> str:
    """One argument is the query as it is; of several, one with blanks in it was quoted in the shell: a phrase."""
    if len(words) == 1:
        return words[0]
    return " ".join(f'"{word}"' if " " in word and '"' not in word else word for word in words)


def show(key: str, *, as_global: bool, as_json: bool, **common: "Any") -> int:
    """One entry in full, and its history."""
    with _client(common) as client:
        reply = client.call("memory.show", key=key, **{"global": as_global})
    if as_json:
        write(dumps(reply).decode())
        return 0
    one, history = reply["entry"], reply["history"]
    assert isinstance(one, dict)
    assert isinstance(history, list)
    lines = [
        ("state", _state(one)),
        ("where", _place(one)),
        ("saved", f"{clock_time(one['at'])} by {one['author']}"),
        ("tags", " ".join(one.get("tags", ()))),
        ("evidence", one.get("evidence", "")),
        ("until", clock_time(one.get("expires", 0.0))),
        ("supersedes", ", ".join(one.get("supersedes", ()))),
    ]
    write("".join(f"{name:<12}{one_line(str(value))}\n" for name, value in lines if value) + "\n")
    write_text(str(one.get("text", "")) or "(redacted)")
    if len(history) > 1:
        write("\n--- before ---\n")
        for past in history[1:]:
            said = "deleted" if past["state"] == "deleted" else one_line(str(past.get("text", ""))[:300])
            write(f"{clock_time(past['at'])} {past['author']}: {said}\n")
    return 0


def delete(key: str, *, as_global: bool, as_json: bool, **common: "Any") -> int:
    """Delete a key."""
    with _client(common) as client:
        gone = client.change("memory.delete", key=key, **{"global": as_global})
    write(dumps(gone).decode() if as_json else f"deleted {gone['key']} from {_place(gone)}\n")
    return 0


def stats(*, all: bool, as_json: bool, **common: "Any") -> int:
    """How much is known, by whom, about what."""
    with _client(common) as client:
        found = client.call("memory.stats", **_everywhere(all))
    if as_json:
        write(dumps(found).decode())
        return 0
    write(
        f"{found['entries']} entries of {found['versions']} versions, {found['characters']} characters;"
        f" {found['superseded']} superseded, {found['expired']} expired\n"
    )
    for name in ("workspaces", "authors", "tags"):
        counts = found[name]
        assert isinstance(counts, dict)
        if counts:
            shown = [f"{each or 'global'} {count}" for each, count in counts.items()]
            write(f"{name:<12}{', '.join(shown)}\n")
    return 0


_GLOBAL = Option("--global", flag=True, help="Of every workspace, not of this one.", parameter="as_global")
_TAGS = Option("--tags", help="Only with all of these tags (a comma list).", metavar="TAGS")
_FRESH = Option("--fresh", flag=True, help="Without what is superseded or expired.")
_ALL = Option("--all", flag=True, help="Of every workspace.")
_KEY = Argument("key", help="The key it was saved under.")
_LISTED = (
    _TAGS, _FRESH, _ALL, Option("--limit", kind=int, default=100, help="At most so many, the newest."), *COMMON,
)  # fmt: skip

COMMANDS = (
    Command(
        "memory", listed, "Shared knowledge: list what is saved, or save, show, search, delete.", *_LISTED,
        example="synapse memory --tags auth",
    ),
    Command(
        "memory save", save, "Save a text under a key; what was there becomes its history.",
        Argument("key", help="A short name for it, such as auth/token-format."),
        Argument("text", help="The text, or - for standard input.", required=False),
        Option("--file", help="Read the text from a file.", metavar="PATH"),
        Option("--tags", help="A comma list of tags.", metavar="TAGS"),
        Option("--notify", flag=True, help="Tell everybody in this workspace by a note."),
        Option("--global", flag=True, help="For every workspace, not only this one.", parameter="as_global"),
        Option("--evidence", help="What it rests on: a file, a link, a test.", metavar="TEXT"),
        Option("--supersedes", help="Keys that are out of date because of it (a comma list).", metavar="KEYS"),
        Option("--ttl", help="For how long it holds: 90 (seconds), 30m, 12h, 7d, 2w.", metavar="TIME"),
        *COMMON,
        example='synapse memory save auth/tokens "tokens are opaque, 32 bytes" --tags auth --notify',
    ),
    Command(
        "memory list", listed, "The entries, the newest first; what is stale is marked.", *_LISTED,
        example="synapse memory list --fresh --json",
    ),
    Command(
        "memory show", show, "One entry in full, with the history of its key.", _KEY, _GLOBAL, *COMMON,
        example="synapse memory show auth/tokens",
    ),
    Command(
        "memory search", search, "The entries that hold some words, the best first.",
        Argument("words", help='Words that must all be there; "a phrase", auth*, -without, one OR other.', many=True),
        _TAGS, _FRESH, _ALL, Option("--limit", kind=int, default=20, help="At most so many, the best."), *COMMON,
        example="synapse memory search token format",
    ),
    Command(
        "memory delete", delete, "Delete a key.", _KEY, _GLOBAL, *COMMON,
        example="synapse memory delete auth/tokens",
    ),
    Command(
        "memory stats", stats, "How much is known, by whom, about what.", _ALL, *COMMON,
        example="synapse memory stats --all",
    ),
)  # fmt: skip

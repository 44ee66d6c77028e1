"""What a person searches for, as FTS5 wants to hear it: whatever is typed is words, never syntax by accident."""

import re

from synapse.errors import BadRequest

_PIECES = re.compile(r'-?"[^"]*"\*?|\S+')
MOST = 32  # words


def expression(query: str) -> str:
    """All words must be there; `"two words"` in this order, `word*` as a beginning, `-word` not at all, `a OR b` one of
    both. BadRequest when there is nothing to look for or a quote is left open."""
    if query.count('"') % 2:
        raise BadRequest("bad_query", f'A quote is not closed in {query[:80]!r}: "two words" looks for them in a row.')
    pieces = _PIECES.findall(query)
    if len(pieces) > MOST:
        raise BadRequest("bad_query", f"{len(pieces)} words: up to {MOST}.")
    wanted: list[list[str]] = []
    unwanted: list[str] = []
    joining = False
    for piece in pieces:
        if piece == "OR":
            if joining or not wanted:
                raise BadRequest("bad_query", "OR stands between two words.")
            joining = True
            continue
        negative = piece.startswith("-") and len(piece) > 1
        phrase = _phrase(piece[1:] if negative else piece)
        if not phrase:
            continue
        if negative:
            unwanted.append(phrase)
        elif joining:
            wanted[-1].append(phrase)
        else:
            wanted.append([phrase])
        joining = False
    if joining:
        raise BadRequest("bad_query", "OR stands between two words.")
    if not wanted:
        raise BadRequest("bad_query", "Say what to look for: one word at least.")
    found = " AND ".join(f"({' OR '.join(group)})" for group in wanted)
    return "".join([f"({found})", *(f" NOT {phrase}" for phrase in unwanted)])


def _phrase(piece: str) -> str:
    """A word or a quoted phrase; nothing where there is no letter or digit in it."""
    beginning = "*" if piece.endswith("*") else ""
    bare = piece.removesuffix("*").replace('"', " ").strip()
    return f'"{bare}"{beginning}' if any(sign.isalnum() for sign in bare) else ""

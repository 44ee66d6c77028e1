"""What a person searches for: whatever is typed is words, or parts of some, and never syntax by accident."""

import re
import unicodedata
from typing import NamedTuple

from synapse.errors import BadRequest

_PIECES = re.compile(r'-?"[^"]*"\*?|\S+')
MOST = 32  # words
# Thai, Lao, Burmese, Khmer, kana, Han, Hangul: words stand without blanks between them, or with something behind them.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\uff66-\uff9d\U00020000-\U0003fffd]"
)


class Piece(NamedTuple):
    """One thing that is looked for: `words` as FTS5 wants to hear them, or a `part` that may be anywhere in the text."""

    words: str = ""
    part: str = ""


class Sought(NamedTuple):
    """Of each group of `wanted` one must be there, of `unwanted` none."""

    wanted: tuple[tuple[Piece, ...], ...]
    unwanted: tuple[Piece, ...]

    @property
    def has_parts(self) -> bool:
        """Is there something that FTS5 does not index?"""
        return any(piece.part for group in (*self.wanted, self.unwanted) for piece in group)

    def expression(self) -> str:
        """All of it for FTS5, where there are no parts."""
        found = " AND ".join(f"({' OR '.join(piece.words for piece in group)})" for group in self.wanted)
        return "".join([f"({found})", *(f" NOT {piece.words}" for piece in self.unwanted)])


def parse(query: str) -> Sought:
    """All words must be there; `"two words"` in this order, `word*` as a beginning, `-word` not at all, `a OR b` one of
    both. BadRequest when there is nothing to look for or a quote is left open."""
    if query.count('"') % 2:
        raise BadRequest("bad_query", f'A quote is not closed in {query[:80]!r}: "two words" looks for them in a row.')
    pieces = _PIECES.findall(query)
    if len(pieces) > MOST:
        raise BadRequest("bad_query", f"{len(pieces)} words: up to {MOST}.")
    wanted: list[tuple[Piece, ...]] = []
    unwanted: list[Piece] = []
    joining = False
    for word in pieces:
        if word == "OR":
            if joining or not wanted:
                raise BadRequest("bad_query", "OR stands between two words.")
            joining = True
            continue
        negative = word.startswith("-") and len(word) > 1
        piece = _piece(word[1:] if negative else word)
        if piece is None:
            continue
        if negative:
            unwanted.append(piece)
        elif joining:
            wanted[-1] += (piece,)
        else:
            wanted.append((piece,))
        joining = False
    if joining:
        raise BadRequest("bad_query", "OR stands between two words.")
    if not wanted:
        raise BadRequest("bad_query", "Say what to look for: one word at least.")
    return Sought(tuple(wanted), tuple(unwanted))


def _piece(word: str) -> Piece | None:
    """A word, a quoted phrase, or a part; None where there is neither letter, digit nor symbol in it."""
    beginning = "*" if word.endswith("*") else ""
    bare = word.removesuffix("*").replace('"', " ").strip()
    if bare.isascii() or not (_UNSPACED.search(bare) or not any(sign.isalnum() for sign in bare)):
        return Piece(f'"{bare}"{beginning}') if any(sign.isalnum() for sign in bare) else None
    part = small(bare.replace("\ufe0f", ""))  # a symbol is the same one without the wish that it be coloured
    symbol = any(unicodedata.category(sign).startswith("S") for sign in part)
    return Piece(part=part) if symbol or any(sign.isalnum() for sign in part) else None


def small(text: str) -> str:
    """As SQLite's lower(): A to Z alone."""
    return text.translate(_SMALL)


_SMALL = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}

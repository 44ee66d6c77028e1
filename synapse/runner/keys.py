"""What viewers type, cut into tokens: keys, pastes, and the reports of their terminals, which must not pass for keys."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import ClassVar, Final

from synapse.runner import strokes
from synapse.runner.draft import Draft
from synapse.runner.strokes import PASTE_END, PASTE_START, Kind, Token

__all__ = ["PASTE_END", "PASTE_START", "Draft", "Keys", "Token", "match_key", "sanitize"]

_LONGEST: Final = 1 << 16  # bytes held; of a longer report only the beginning is kept, for it is dropped anyway
_STRING = rb"(?:\][0-9lL][^\x07\x1b]*|P[0-9>!$+][^\x1b]*|_G[^\x1b]*)"
_HALF = rb"(?:[\xc2-\xdf]|[\xe0-\xef][\x80-\xbf]?|[\xf0-\xf4][\x80-\xbf]{0,2})"  # of a character in UTF-8
_SEQUENCE: Final = re.compile(
    rb"(?P<text>[\x20-\x7e\x80-\xff]+)"
    rb"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    rb"|(?P<mouse>\x1b\[M[\x00-\xff]{3})"
    rb"|(?P<console>\x1b\[\[[A-E])"  # F1 to F5 of the Linux console
    rb"|(?P<csi>\x1b\[(?![M\[])[0-?]*[ -/]*[@-~])"
    rb"|(?P<function>\x1bO[0-9]?[A-DFHMP-SXj-y])"
    rb"|(?P<string>\x1b" + _STRING + rb"(?:\x07|\x1b\\))"
    rb"|(?P<escape>\x1b(?=\x1b))",
)
_BEGINNING: Final = re.compile(
    rb"\x1b(?:\[(?:M[\x00-\xff]{0,2}|\[|[0-?]*[ -/]*)|O[0-9]?|(?P<string>"
    + _STRING
    + rb"\x1b?)|[\]P_]|"
    + _HALF
    + rb")?\Z"
)
_ALT: Final = re.compile(
    rb"\x1b(?:[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}|[\x00-\xff])?"
)
_HALF_CHARACTER: Final = re.compile(_HALF + rb"\Z")
_REPORT: Final = re.compile(
    rb"\x1b\[(?:[?>=].*"  # DA, DECRPM, kitty flags, XTQMODKEYS, colour scheme: no key begins so
    rb"|[0-9;]*[ctn]|[0-9;]*\$y|[0-9;]*\*?x|(?!1;(?:[2-9]|1[0-6])R)[0-9]+;[0-9]+R)",  # CPR, but not F3 with modifiers
    re.DOTALL,
)
_MOUSE: Final = re.compile(rb"\x1b\[(?:<[0-9;]*[Mm]|[0-9]+;[0-9]+;[0-9]+M)")


class Keys:
    """Cuts a viewer's input; keeps back what is incomplete until it is completed or `flush`ed."""

    PATIENCE: ClassVar = 0.05  # seconds after which what is pending should be flushed

    def __init__(self) -> None:
        self._held = b""
        self._pasting = False
        self._doubtful = False  # what is held was flushed in vain: it may be the first half of a report

    @property
    def pending(self) -> bool:
        """Whether half a key or half a paste has come in."""
        return self._pasting or (bool(self._held) and not self._doubtful)

    def feed(self, data: bytes) -> list[Token]:
        """The tokens that are complete now, in order; their data joined are the bytes that came in."""
        tokens: list[Token] = []
        if self._doubtful and not _SEQUENCE.match(self._held + data):
            tokens.append(Token("report", self._held))
            self._held = b""
        self._doubtful = False
        buffer, self._held = self._held + data, b""
        position = 0
        while position < len(buffer):
            if self._pasting:
                position = self._paste(buffer, position, tokens)
            else:
                position = self._key(buffer, position, tokens)
        if len(self._held) > _LONGEST and not self._pasting:
            self._held = self._held[:4]
        return tokens

    def flush(self) -> list[Token]:
        """Release what could be a key of its own: Escape, or Alt with the character that begins a sequence."""
        held = self._held
        if self._pasting or not held:
            return []
        if len(held) <= 2 or held[:1] != b"\x1b":
            self._held = b""
            return [Token("key" if held[:1] == b"\x1b" else "text", held)]
        self._doubtful = True
        return []

    def _paste(self, buffer: bytes, position: int, tokens: list[Token]) -> int:
        end = buffer.find(PASTE_END, position)
        if end >= 0:
            if end > position:
                tokens.append(Token("paste", buffer[position:end]))
            tokens.append(Token("paste", PASTE_END))
            self._pasting = False
            return end + len(PASTE_END)
        body = buffer[position:]
        kept = next((n for n in range(len(PASTE_END) - 1, 0, -1) if body.endswith(PASTE_END[:n])), 0)
        self._held = body[len(body) - kept :]
        if len(body) > kept:
            tokens.append(Token("paste", body[: len(body) - kept]))
        return len(buffer)

    def _key(self, buffer: bytes, position: int, tokens: list[Token]) -> int:
        match = _SEQUENCE.match(buffer, position)
        if match is None:
            if _BEGINNING.match(buffer, position):
                self._held = buffer[position:]
                return len(buffer)
            match = _ALT.match(buffer, position)
            assert match is not None
            tokens.append(Token("key", match[0]))
            return match.end()
        data = match[0]
        if match.lastgroup == "text" and match.end() == len(buffer) and (half := _HALF_CHARACTER.search(data)):
            self._held = half[0]
            data = data[: half.start()]
            if not data:
                return len(buffer)
        token = Token(_kind(match.lastgroup or "", data), data)
        self._pasting = data == PASTE_START
        tokens.append(token)
        return match.end()


def _kind(group: str, data: bytes) -> Kind:
    if group == "text":
        return "text"
    if group == "string":
        return "report"
    if group == "mouse" or _MOUSE.fullmatch(data):
        return "mouse"
    if data in (b"\x1b[I", b"\x1b[O"):
        return "focus"
    if data in (PASTE_START, PASTE_END):
        return "paste"
    return "report" if group == "csi" and _REPORT.fullmatch(data) else "key"


@lru_cache(maxsize=64)
def _parsed(key: str) -> str:
    return strokes.parse_key(key)


def match_key(token: Token, key: str) -> bool:
    """Whether the token is this key (`ctrl-\\`, `ctrl-]`, `alt-x`, `escape`), in any form terminals send it.

    ValueError if `key` is no name of a key.
    """
    wanted = _parsed(key)
    return token.kind in ("key", "text") and wanted in strokes.spellings(token.data)


_PASTE_MARKS: Final = re.compile("(?:\x1b\\[|\x9b)[0 ]*20[01]~")
_LINE_ENDS: Final = re.compile("\r\n?")
_UNFIT: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def sanitize(text: str) -> str:
    """Text that is safe to inject: no end of a paste, no controls but line feed and tab; CR and CRLF become LF."""
    text = _LINE_ENDS.sub("\n", _PASTE_MARKS.sub("", text))
    return _UNFIT.sub("", text)

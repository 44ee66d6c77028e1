"""The grammar of terminal output, and the sieve between the child and everybody who looks at it.

After `Sieve.feed` both streams, the model's and the viewers', hold nothing but complete, well-formed tokens. The
viewers' one asks nothing of a terminal and draws nothing that the model cannot keep.
"""

from __future__ import annotations

import codecs
import re
from typing import Final, NamedTuple

ESC: Final = "\x1b"
LONGEST_STRING: Final = 1 << 20  # characters of one OSC, DCS, APC, PM or SOS; longer ones are dropped
LONGEST_SEQUENCE: Final = 2000  # the same for CSI and plain escapes

_PREFIX = r"[<=>?]?"
_PARAMETERS = r"[0-9:;?]{0,512}"
_WELL_FORMED = rf"{_PREFIX}{_PARAMETERS}[ -/]{{0,4}}[@-~]"
_ANY_CSI = r"[\x00-\x17\x19\x1c-\x3f\x7f]*"  # controls inside a CSI are carried out, the CSI goes on
_OSC_BODY = r"[^\x07\x18\x1a\x1b]*"
_OTHER_BODY = r"[^\x18\x1a\x1b]*"

TOKEN: Final = re.compile(
    r"([^\x00-\x1f\x7f-\x9f]+)"  # 1 text
    r"|\x1b\[([0-9:;]*)m"  # 2 colours and styles
    r"|(\r\n|[\x00-\x1a\x1c-\x1f\x7f])"  # 3 control
    rf"|\x1b\[({_PREFIX})({_PARAMETERS})([ -/]{{0,4}})([@-~])"  # 4-7 CSI
    rf"|\x1b\]({_OSC_BODY})(?:\x07|\x1b\\)"  # 8 OSC
    rf"|\x1b([P_^X])({_OTHER_BODY})\x1b\\"  # 9, 10 DCS, APC, PM, SOS
    r"|\x1b([ -/]{0,4}[0-~])"  # 11 plain escape
)
TEXT, STYLE, CONTROL, CSI, OSC, STRING, ESCAPE = 1, 2, 3, 7, 8, 10, 11

# What the model does not keep, viewers must not do either: VT52, 132 columns, margins left and right,
# pixels of the mouse, grapheme clusters, sizes in band.
UNKEPT_MODES: Final = frozenset({2, 3, 40, 69, 1016, 2027, 2048})

_PLAIN_CSI = r"\[[0-9:;]{0,512}[@-bd-hj-mo-suvwyz{|}~`]"
_ASKING_CSI = (
    r"(?:[<=?]?[0-9:;?]{0,512}[cnxti]"  # DA, DSR, DECREQTPARM, window reports; i would print
    r"|>[0-9:;?]{0,512}[cxtiq]"  # DA2, XTVERSION
    r"|\??[0-9:;]{0,512}\$p"  # DECRQM
    r"|\?[0-9:;?]{0,512}[umS]"  # kitty flags, XTQMODKEYS, XTSMGRAPHICS
    r"|>[0-9:;]{0,512}\?[0-9:;?]{0,512}m"  # XTQMODKEYS as gemini writes it
    rf"|{_PREFIX}{_PARAMETERS}[ -/]{{0,3}}[$*#'\"&+][wy|vRux])"  # DECRQPSR, DECRQCRA, DECRQTSR, XTREPORTSGR ...
)
_SIFT: Final = re.compile(
    r"[\x05\x07\x18\x1a\x1b\x80-\x9f](?:"  # one set at the front: the search runs through text without matching
    r"(?<!\x1b)(?P<control>)"
    rf"|(?!{_PLAIN_CSI})(?:"
    rf"\[(?P<ask>{_ASKING_CSI})"
    r"|\[\?(?P<modes>[0-9;]{0,512})[hl]"
    rf"|\[(?!{_WELL_FORMED})(?P<odd>{_ANY_CSI}(?:[@-~\x18\x1a]|(?=[\x1b\x80-\U0010ffff])|\Z))"
    rf"|\](?P<osc>{_OSC_BODY})(?:\x07|\x1b\\)"
    rf"|[P_^X](?P<string>{_OTHER_BODY})\x1b\\"
    rf"|(?P<broken>\]{_OSC_BODY}[\x18\x1a]?|[P_^X]{_OTHER_BODY}[\x18\x1a]?|[ -/]{{5,}}[0-~]?|[ -/]*(?![ -/0-~]))"
    r"|(?P<cut>Z|%[ -~])"  # DECID asks; another character set than UTF-8 is not to be chosen
    r"))"
)
_CLEAN: Final = re.compile(rf"\x1b\[{_WELL_FORMED}")
_TAIL: Final = re.compile(
    rf"\x1b(?:(?P<csi>\[{_ANY_CSI})|(?P<osc>\]{_OSC_BODY})|(?P<string>[P_^X]{_OTHER_BODY})|(?P<escape>[ -/]*))\Z"
)
_ENDS: Final = {
    "csi": re.compile(r"[@-~\x18\x1a]|(?=[\x1b\x80-\U0010ffff])"),
    "osc": re.compile(r"[\x07\x18\x1a]|(?=\x1b)"),
    "string": re.compile(r"[\x18\x1a]|(?=\x1b)"),
    "escape": re.compile(r"[0-~]|(?=[^ -/0-~])"),
}
_BRACKET: Final = re.compile(r"\x1b\[\?(?:[0-9;]*;)?2026(?:;[0-9;]*)?([hl])|\x1bc")
_BELL: Final = "\a"
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
COLOURS: Final = frozenset(str(number) for number in range(10, 20))  # texts, pointers, Tektronix: all the dynamic ones
_SPEAKING_OSC: Final = frozenset({"", "0", "1", "2", "7", "8", "9", "133", "633", "777", "7501"})
_DROPPED_OSC: Final = frozenset({"66", "1337", "5522"})  # text sizes, pictures, another clipboard


def numbers(parameters: str) -> list[int]:
    """The parameters of a CSI; what is missing or makes no sense is 0, and what is huge 99,999."""
    return [int(text) if len(text) < 6 else 99_999 for text in map(_digits, parameters.split(";"))]


def _digits(text: str) -> str:
    return text if text.isdigit() else "0"


class Sifted(NamedTuple):
    """One chunk of output: for the model, for all viewers, and for the viewer that typed last (bell, clipboard)."""

    model: str
    viewers: str
    personal: str


class Sieve:
    """Decodes the child's output, keeps back what is incomplete and takes out what viewers must not get."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._escape = ""  # an ESC that ended the last chunk
        self._held: list[str] = []
        self._size = 0
        self._end: re.Pattern[str] | None = None
        self._longest = 0
        self.bracketed = False  # the viewers' stream is between CSI ?2026h and l

    def feed(self, data: bytes) -> Sifted:
        """Take a chunk of the child's output; what it leaves incomplete comes out of a later call."""
        text = self._complete(self._escape + self._decoder.decode(data))
        if not text:
            return Sifted("", "", "")
        sifted = self._sift(text)
        if "2026" in text or "\x1bc" in text:
            for match in _BRACKET.finditer(sifted.viewers):
                self.bracketed = match[1] == "h"
        return sifted

    def _complete(self, text: str) -> str:
        self._escape = ""
        if text.endswith(ESC):
            self._escape, text = ESC, text[:-1]
        if self._end is not None:
            found = self._end.search(text)
            if found is None:
                self._hold(text)
                return ""
            text = "".join(self._held) + text if self._size <= self._longest else text[found.end() :]
            self._end = None
            self._held = []
        start = text.rfind(ESC)
        if start >= 0 and (tail := _TAIL.match(text, start)):
            kind = tail.lastgroup or "escape"
            self._end = _ENDS[kind]
            self._longest = LONGEST_STRING if kind in ("osc", "string") else LONGEST_SEQUENCE
            self._size = 0
            self._hold(text[start:])
            text = text[:start]
        return text

    def _hold(self, text: str) -> None:
        self._size += len(text)
        if self._size <= self._longest:
            self._held.append(text)
        else:
            self._held = []

    @staticmethod
    def _sift(text: str) -> Sifted:
        model: list[str] = []
        viewers: list[str] = []
        personal: list[str] = []
        done = 0
        for match in _SIFT.finditer(text):
            kept = _judge(match)
            if kept is None:
                continue
            before = text[done : match.start()]
            done = match.end()
            model += before, kept.model
            viewers += before, kept.viewers
            personal.append(kept.personal)
        if not done:
            return Sifted(text, text, "")
        rest = text[done:]
        return Sifted("".join(model) + rest, "".join(viewers) + rest, "".join(personal))


def _judge(match: re.Match[str]) -> Sifted | None:
    """What becomes of a token that stood out; None: it stays as it is."""
    token = match[0]
    match match.lastgroup:
        case "ask":
            allowed = token.endswith("t") and token.lstrip("\x1b[").split(";")[0].rstrip("t") in ("22", "23")
            return None if allowed else Sifted(token, "", "")
        case "modes":
            return _modes(token)
        case "osc":
            return _osc(token, match["osc"])
        case "control" if match[0] in _BELL:
            return Sifted(token, "", token)
        case "string" if len(token) <= LONGEST_STRING:
            return Sifted(token, "", "")
        case "cut":
            return Sifted(token, "", "")
        case "odd":
            return _odd(token)
    return Sifted("", "", "")


def _modes(token: str) -> Sifted | None:
    modes = token[3:-1].split(";")
    kept = [mode for mode in modes if int(mode[-9:] or 0) not in UNKEPT_MODES]
    if len(kept) == len(modes):
        return None
    return Sifted(token, f"{ESC}[?{';'.join(kept)}{token[-1]}" if kept else "", "")


def _odd(token: str) -> Sifted:
    """A CSI with controls inside: they are carried out, and the CSI without them, if it then makes sense."""
    if len(token) > LONGEST_SEQUENCE or not "@" <= token[-1] <= "~":
        return Sifted("", "", "")
    controls = "".join(_CONTROLS.findall(token[2:])).replace("\x7f", "")
    clean = ESC + "[" + _CONTROLS.sub("", token[2:])
    return Sieve._sift(controls + clean) if _CLEAN.fullmatch(clean) else Sieve._sift(controls)


def colour_pairs(number: str, body: str) -> list[tuple[str, str]]:
    """The pairs of a colour's name (`4;7` or `11`) and what is wanted of it that an OSC 4, 10 ... 19 holds."""
    fields = body.split(";")
    if number == "4":
        return [(f"4;{index}", wanted) for index, wanted in zip(fields[::2], fields[1::2], strict=False)]
    first = int(number)
    return [(str(first + i), wanted) for i, wanted in enumerate(fields) if first + i < 20]


def _osc(token: str, content: str) -> Sifted | None:
    number, _, body = content.partition(";")
    if len(token) > LONGEST_STRING:
        return Sifted("", "", "")
    if number == "52":
        return Sifted(token, "", "" if body.endswith("?") else token)
    if number in _DROPPED_OSC:
        return Sifted(token, "", "")
    if "?" not in body or number in _SPEAKING_OSC:
        return None
    if number == "99":  # a notification; only its first field can ask
        return Sifted(token, "", "") if "?" in body.partition(";")[0] else None
    if number == "4" or number in COLOURS:
        told = [f"{ESC}]{name};{wanted}{ESC}\\" for name, wanted in colour_pairs(number, body) if wanted != "?"]
        return Sifted(token, "".join(told), "")
    return Sifted(token, "", "")

"""What is typed for a message: its header line, and a pointer to a private file where the text is too long to type."""

import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from synapse import paths, settings
from synapse.runner.keys import sanitize
from synapse.runner.profile import Profile
from synapse.runner.terminal import Mark

ALWAYS_BY_FILE = 102_400  # bytes
WIDEST = 2000  # characters of a line in a file: the tools by which some agents read it leave out the rest
LONGEST_LINE = 1000  # bytes that a line reader surely takes: macOS cuts at 1,024, Linux at 4,095
_UNSAFE = re.compile(r"[^\w.+-]", re.ASCII)


@dataclass(frozen=True, slots=True)
class Message:
    """What the hub has handed over to be typed. `attachments`: each with its `name` and the `blobs` of its content."""

    id: str
    role: str
    text: str
    task: str = ""
    sender: str = ""
    sender_id: str = ""
    reply_expected: bool = False
    urgent: bool = False
    priority: int = 3
    attachments: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, params: dict[str, Any]) -> "Message":
        return cls(**{name: params[name] for name in cls.__slots__ if name in params})


class Turn:
    """One message that is in the terminal now."""

    __slots__ = (
        "above", "before", "between", "delivered", "entered", "failure", "line", "mark", "message", "said", "typed", "usage",
    )  # fmt: skip

    def __init__(self, message: Message, typed: str, *, mark: Mark, above: str, line: str) -> None:
        self.delivered = False  # it has been seen to be submitted
        self.message = message
        self.typed = typed
        self.mark = mark  # its echo will stand below
        self.above = above  # what stood there before
        self.line = line  # the cursor's row before it was typed
        self.between: list[tuple[Mark, Mark, str]] = []  # of lines entered one by one: Enter, the next prompt, its row
        self.entered: Mark | None = None  # where the last Enter was pressed
        self.before: dict[str, int] = {}  # how long the program's record was by then
        self.said = ""  # the answer, as the program itself reports it
        self.failure = ""  # why it has failed, as the program itself reports it
        self.usage: dict[str, int] = {}  # its tokens


def header(message: Message) -> str:
    """`A2A: [From: NAME (ID)] [REPLY EXPECTED] `; of a person the name, without a name the id, without both neither."""
    named = message.sender and message.sender != message.sender_id
    who = f"{message.sender} ({message.sender_id})" if named else message.sender_id
    from_ = f"[From: {who}] " if who else ""
    return f"A2A: {from_}{'[REPLY EXPECTED] ' if message.reply_expected else ''}"


def folded(text: str) -> str:
    """The text with line breaks where a line is too long; not behind blanks, for some leave those out as well."""
    return "\n".join(part for line in text.split("\n") for part in _parts(line))


def _parts(line: str) -> Iterator[str]:
    while len(line) > WIDEST:
        end = len(line[:WIDEST].rstrip()) or WIDEST
        yield line[:end]
        line = line[end:]
    yield line


class Letters:
    """Writes out what is to be typed; keeps long texts in a folder of the agent's own, for an hour.

    No other agent is allowed to write there unasked, and change what this one takes for a sender's words.
    """

    def __init__(self, profile: Profile, data: str, key: str) -> None:
        self._profile = profile
        self._folder = paths.letters_folder(data, key)
        threshold, kept = settings.value("long_message.threshold"), settings.value("long_message.ttl")
        self._longest = threshold if isinstance(threshold, int) else profile.longest
        assert isinstance(kept, float)
        self._kept = kept

    def typed(self, message: Message, *, bracketed: bool, canonical: bool, files: Sequence[str] = ()) -> str:
        """The text for the terminal: sanitized, of a length and a shape that the program takes; then where files lie."""
        text = sanitize(message.text).strip("\n")
        if files:
            text += f" (attached: {', '.join(files)})"
        head = header(message) if self._profile.header else ""
        whole = head + (text if bracketed else text.replace("\t", "    "))  # a tab that is no paste completes words
        if self._fits(text, whole, bracketed, canonical):
            return whole
        lines = folded(text)
        note = "" if lines == text else f" (a line longer than {WIDEST} characters goes on in the next)"
        path = self._write(f"{message.id}.txt", f"{lines}\n".encode())
        return f"{head}The message is long: read it in {path}{note}"

    def _fits(self, text: str, whole: str, bracketed: bool, canonical: bool) -> bool:
        if len(text) > self._longest or len(text.encode()) > ALWAYS_BY_FILE:
            return False
        if canonical and any(len(line.encode()) > LONGEST_LINE for line in whole.split("\n")):
            return False
        return bracketed or "\n" not in text or self._profile.multiline == "type"

    def keep(self, message: Message, number: int, content: bytes) -> str:
        """Where an attachment lies now, under a name that is safe to type."""
        name = _UNSAFE.sub("_", os.path.basename(str(message.attachments[number].get("name", ""))))[-80:]
        return self._write(f"{message.id}-{number + 1}-{name.lstrip('.-') or 'file'}", content)

    def _write(self, name: str, content: bytes) -> str:
        paths.make_private(os.path.dirname(self._folder))
        paths.make_private(self._folder)
        paths.remove_old(self._folder, time.time() - self._kept)
        path = os.path.join(self._folder, name)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content)
        return path

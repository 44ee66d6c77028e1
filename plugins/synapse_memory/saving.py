"""Saving and deleting, and the note that tells a workspace of what was saved."""

import re
from collections.abc import Iterator

from msgspec import field

from synapse import Call, Change, Owed, Reaction, Reply, Verb, change
from synapse.errors import BadRequest, NotFound
from synapse_memory.entries import Entries
from synapse_memory.facts import Deleted, Saved, Told, story_of

LONGEST_KEY, LONGEST_TEXT, MOST_TAGS = 200, 32 * 1024, 32
_TAG = re.compile(r"[\w.:+/-]{1,64}\Z")


class SaveRequest(Change, kw_only=True):
    """`expires` is a time in seconds since 1970, `ttl` seconds from now; `supersedes` are keys that are out of date now.

    `global` saves it for every workspace; `notify` tells the caller's workspace by a note.
    """

    key: str
    text: str
    tags: tuple[str, ...] = ()
    evidence: str = ""
    supersedes: tuple[str, ...] = ()
    expires: float = 0.0
    ttl: float = 0.0
    notify: bool = False
    global_: bool = field(default=False, name="global")


class SaveReply(Reply, kw_only=True, omit_defaults=False):
    """`version` counts what was saved under the key since it was deleted the last time."""

    key: str
    workspace: str
    version: int
    position: int


@change("memory.save")
def save(call: Call, request: SaveRequest) -> SaveReply:
    """Save a text under a key; what was there becomes its history."""
    key, tags = check_key(request.key), check_tags(request.tags)
    size = len(request.text.encode("utf-8", "surrogatepass"))
    if not request.text.strip():
        raise BadRequest("no_text", "There is nothing to save: give a text.")
    if size > LONGEST_TEXT or len(request.evidence) > 2000:
        raise BadRequest("too_large", f"A memory is up to 32 kB, not {size >> 10}: save where the rest lies.")
    workspace = "" if request.global_ else call.workspace
    entries = call.state(Entries)
    over = tuple(dict.fromkeys(check_key(other) for other in request.supersedes))
    if key in over:
        raise BadRequest(
            "supersedes_itself", f"'{key}' is saved now: `supersedes` names other keys that are out of date."
        )
    for other in over:
        if entries.get(workspace, other) is None:
            raise _absent(entries, workspace, other)
    entry = entries.get(workspace, key)
    call.emit(
        Saved(
            text=request.text, tags=tags, evidence=request.evidence, supersedes=over, expires=_expiry(call, request),
            author=call.name, notify=call.workspace if request.notify else "",
        ),
        story_of(workspace, key), workspace,
    )  # fmt: skip
    return SaveReply(key=key, workspace=workspace, version=entry.versions + 1 if entry else 1, position=call.reached)


def _expiry(call: Call, request: SaveRequest) -> float:
    if request.ttl and request.expires:
        raise BadRequest("two_expiries", "Give one of `ttl` and `expires`.")
    if request.ttl < 0 or (request.expires and request.expires <= call.at):
        raise BadRequest("bad_expiry", "It would be out of date already: give a time to come.")
    expires = call.at + request.ttl if request.ttl else request.expires
    if not expires < 1e11:
        raise BadRequest("bad_expiry", "That is thousands of years away: leave it out.")
    return expires


def check_key(key: str) -> str:
    """The key without blanks around it, if it can be one."""
    key = key.strip()
    if not key or len(key) > LONGEST_KEY or not key.isprintable():
        raise BadRequest("bad_key", f"{key[:40]!r}: a key is 1 to {LONGEST_KEY} printable characters on one line.")
    return key


def check_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    """The tags in small letters, each once."""
    small = tuple(dict.fromkeys(tag.strip().lower() for tag in tags if tag.strip()))
    wrong = next((tag for tag in small if not _TAG.match(tag)), "")
    if wrong or len(small) > MOST_TAGS:
        raise BadRequest("bad_tags", f"Up to {MOST_TAGS} tags of letters, digits and . : + / - _ ({wrong[:40]!r}).")
    return small


def _absent(entries: Entries, workspace: str, key: str) -> NotFound:
    here = f"There is no entry '{key}' in '{workspace}'." if workspace else f"There is no global entry '{key}'."
    places = entries.places(key)
    if workspace and "" in places:
        return NotFound("no_entry", f'{here} There is a global one: --global (`"global": true`) means that.')
    if places:
        return NotFound("no_entry", f"{here} There is one in {' and '.join(places[:5])}: --workspace says where.")
    near = entries.nearest(workspace, key)
    known = f"Did you mean {' or '.join(near)}?" if near else "`synapse memory list` shows what there is."
    return NotFound("no_entry", f"{here} {known}")


class DeleteRequest(Change, kw_only=True):
    """The entry of the caller's workspace; with `global` the one of every workspace, which nothing else touches."""

    key: str
    global_: bool = field(default=False, name="global")


class DeleteReply(Reply, kw_only=True, omit_defaults=False):
    key: str
    workspace: str
    position: int


@change("memory.delete")
def delete(call: Call, request: DeleteRequest) -> DeleteReply:
    """Delete a key; its history stays until the retention removes it."""
    key, entries = check_key(request.key), call.state(Entries)
    workspace = "" if request.global_ else call.workspace
    if entries.get(workspace, key) is None:
        raise _absent(entries, workspace, key)
    call.emit(Deleted(author=call.name), story_of(workspace, key), workspace)
    return DeleteReply(key=key, workspace=workspace, position=call.reached)


# -- the note


class ToldRequest(Change, kw_only=True):
    saved: int
    reason: str = ""


class Nothing(Reply, kw_only=True, omit_defaults=False):
    ok: bool = True


@change("memory.told", internal=True, anonymous=True)
def told(call: Call, request: ToldRequest) -> Nothing:
    """Note that a workspace was told, or why it could not be."""
    note = call.state(Entries).owed.get(request.saved)
    if note is not None:
        call.emit(
            Told(saved=request.saved, reason=request.reason[:200]), story_of(note.workspace, note.key), note.workspace
        )
    return Nothing()


def notes(call: Call) -> Iterator[Owed]:
    """A note for every entry that was saved with `notify` and is not told of yet."""
    for position, note in call.state(Entries).owed.items():
        text = f"{note.author} saved to memory '{note.key}': {note.title}\n(synapse memory show '{note.key}')"
        done = Owed("memory.told", {"saved": position})
        not_done = Owed("memory.told", {"saved": position, "reason": "{reason}"})
        send = {"to": f"{note.workspace}/all", "text": text, "mode": "silent"}
        yield Owed("messages.send", send, str(position), then=done, otherwise=not_done, by=note.by)


NOTES = Reaction(frozenset({Saved.kind}), notes)
CHANGING: tuple[Verb, ...] = (save, delete, told)

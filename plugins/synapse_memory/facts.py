"""What happens to memories. The key of each is in its story too: it is known even of what was redacted."""

from typing import ClassVar

from synapse import Fact


class Saved(Fact, frozen=True):
    """A text was saved under a key; an earlier one under it becomes history."""

    kind: ClassVar[str] = "memory.saved"
    text: str = ""
    tags: tuple[str, ...] = ()
    evidence: str = ""  # what it rests on: a file, a link, a test
    supersedes: tuple[str, ...] = ()  # keys whose entries are out of date now
    expires: float = 0.0  # seconds since 1970; 0 is never
    author: str = ""  # what the author was called
    notify: str = ""  # the workspace that is told of it


class Deleted(Fact, frozen=True):
    """A key was deleted; its story is finished."""

    kind: ClassVar[str] = "memory.deleted"
    author: str = ""


class Told(Fact, frozen=True):
    """The workspace was told of what was saved at `saved`, or could not be: `reason`."""

    kind: ClassVar[str] = "memory.told"
    saved: int = 0
    reason: str = ""


FACTS = (Saved, Deleted, Told)


def story_of(workspace: str, key: str) -> str:
    """The story of a key; "" is the workspace of what is global."""
    return f"memory:{workspace}/{key}"


def key_of(workspace: str, story: str) -> str:
    """The key that a story is about."""
    return story.removeprefix(f"memory:{workspace}/")

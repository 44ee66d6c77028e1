"""What a participant, a workspace and a target may be called."""

import re

from synapse.errors import BadRequest

RESERVED = frozenset({"all", "hub", "me", "person"})
LENGTH = 64

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z", re.ASCII)
_UNFIT = re.compile(r"[^a-z0-9._-]+")


def check_name(name: str) -> str:
    """The name in its one form (lower case), or BadRequest: up to 64 of letters, digits, `.`, `_`, `-`."""
    folded = name.lower()
    if not (name.isascii() and _NAME.match(folded)):
        raise BadRequest(
            "bad_name",
            f"{name[:80]!r} is not a name: use up to {LENGTH} letters, digits, '.', '_' or '-'; begin with one of the "
            "first two.",
        )
    if folded in RESERVED:
        raise BadRequest("reserved_name", f"'{folded}' is reserved: choose another name.")
    return folded


def fit(text: str, otherwise: str) -> str:
    """The nearest valid name to any text (a folder's, a user's), `otherwise` when nothing of it is left."""
    fitted = _UNFIT.sub("-", text.lower()).strip("-._")[:LENGTH].rstrip("-._")
    return fitted if fitted and fitted not in RESERVED else otherwise


def unused(name: str, taken: "frozenset[str] | set[str] | dict[str, str]") -> str:
    """`name` itself, or the first of `name-2`, `name-3` ... that nobody has."""
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        candidate = f"{name[: LENGTH - 1 - len(str(number))]}-{number}"
    return candidate

"""How a member of a team is written: `profile:name:role:skill_set:port`."""

import csv
from typing import NamedTuple

from synapse import names
from synapse.errors import BadRequest

FORM = "profile:name:role:skill_set:port"


class Member(NamedTuple):
    """One agent of a team; what was not said is "" or 0."""

    profile: str
    name: str = ""
    role: str = ""
    skill_set: str = ""
    port: int = 0


def member(spec: str) -> Member:
    """What a specification means; all but its first part may be empty, and quotes keep a colon."""
    try:
        [parts] = csv.reader([spec], delimiter=":", strict=True)
    except (csv.Error, ValueError):
        raise BadRequest("bad_member", f"{spec[:80]!r} is not {FORM}: a quote has no end.") from None
    if len(parts) > len(Member._fields):
        raise BadRequest("bad_member", f"{spec[:80]!r} is not {FORM}: put a text with colons into quotes.")
    profile, name, role, skill_set, port = (part.strip() for part in (*parts, "", "", "", "")[:5])
    if not profile:
        raise BadRequest("bad_member", f"{spec[:80]!r} is not {FORM}: it begins with a profile.")
    if port and not (port.isascii() and port.isdigit()):
        raise BadRequest("bad_member", f"{spec[:80]!r}: {port[:20]!r} is no port.")
    return Member(profile, names.check_name(name) if name else "", role, skill_set, int(port or 0))

"""`agents`: agents to start again as they were, under an id; and the offer to save one when it ends."""

import os
import shlex

from synapse import names
from synapse.cli import saved
from synapse.cli.command import AS_JSON, Argument, Command, Option
from synapse.cli.errors import say, told
from synapse.cli.launching import role_of
from synapse.cli.saved import Saved
from synapse.cli.table import one_line, table, write
from synapse.client.lines import dumps
from synapse.errors import BadRequest, SynapseError


def show_all(*, as_json: bool) -> int:
    """The saved agents."""
    wrong: list[SynapseError] = []
    everyone = saved.all_saved(wrong)
    for error in wrong:
        told(error, as_json)
    if as_json:
        write(dumps({"agents": [_told(one) for one in everyone]}).decode())
        return 1 if wrong else 0
    rows = [(one.id, one.name, shlex.join(one.words), one.skill_set, one_line(one.role)) for one in everyone]
    heads = ("ID", "NAME", "PROFILE", "SKILL_SET", "ROLE")
    write(table(heads, rows, keep=("ID",)) if rows else "None is saved yet: `synapse agents add` saves one.\n")
    return 1 if wrong else 0


def show(id: str, *, as_json: bool) -> int:
    """One of them, and how it is started."""
    one = saved.find(id)
    if as_json:
        write(dumps(_told(one)).decode())
        return 0
    lines = {
        "id": one.id, "name": one.name, "profile": shlex.join(one.words), "role": one.role,
        "skill set": one.skill_set, "start it": f"synapse run --agent {one.id}",
    }  # fmt: skip
    write(
        "".join(f"{what:10} {value.replace(chr(10), chr(10) + ' ' * 11)}\n" for what, value in lines.items() if value)
    )
    return 0


def add(
    id: str,
    *,
    profile: "str | None",
    name: "str | None",
    role: "str | None",
    skill_set: "str | None",
    replace: bool,
    as_json: bool,
) -> int:
    """Save an agent; its name is the id unless one is given."""
    from synapse.runner.profile import resolve

    try:
        words = shlex.split(profile or "")
    except ValueError as error:
        raise BadRequest("bad_profile", f"--profile: {error}.") from None
    if not words:
        raise BadRequest("no_profile", "Say what it runs: --profile claude, or --profile 'mytool --chat'.")
    id = names.check_name(id)
    resolve(tuple(words))
    one = Saved(
        id, words[0], tuple(words[1:]), names.check_name(name or id), role_of(role or "").strip(), skill_set or ""
    )
    file = saved.write(one, replace=replace)
    write(dumps(_told(one)).decode() if as_json else f"saved {id} ({file}): `synapse run --agent {id}` starts it\n")
    return 0


def delete(ids: "tuple[str, ...]", *, as_json: bool) -> int:
    """Forget saved agents; those that run go on."""
    found = [saved.find(id) for id in ids]
    for one in dict.fromkeys(found):
        saved.delete(one.id)
        write(dumps({"deleted": one.id}).decode() if as_json else f"deleted {one.id}\n")
    return 0


def _told(one: Saved) -> "dict[str, object]":
    return {**one._asdict(), "arguments": list(one.arguments)}


def offer(spec: "dict[str, object]") -> None:
    """A named agent has ended in this terminal: save it? Nobody is asked twice, and nothing here ends a shell's line."""
    from synapse.cli.chosen import chosen

    words = spec["words"]
    assert isinstance(words, list)
    name, role, skill_set = (str(spec[field]) for field in ("name", "role", "skill_set"))
    try:
        name = names.check_name(name)
        if not (os.isatty(0) and os.isatty(2)) or chosen("agents.save_prompt") is not True:
            return
        alike = Saved("", words[0], tuple(words[1:]), name, role, skill_set)
        if any(one._replace(id="") == alike for one in saved.all_saved()):
            return
        id = saved.unused(name)
        say(f"Save {name} ({shlex.join(words)}) for `synapse run --agent {id}`? [y/N] ".encode())
        if os.read(0, 4096).strip().lower() in (b"y", b"yes"):
            saved.write(alike._replace(id=id), replace=False)
            say(f"saved {id}\n".encode())
    except KeyboardInterrupt:
        say(b"\n")
    except SynapseError as error:
        say(f"synapse: {error.sentence}\n".encode("utf-8", "replace"))


_ID = Argument("id", help="Its id, or its name.")
COMMANDS = (
    Command("agents", show_all, "The saved agents; those that run are in `synapse list`.", AS_JSON,
            example="synapse agents"),
    Command("agents list", show_all, "The saved agents.", AS_JSON, example="synapse agents list --json"),
    Command("agents show", show, "One saved agent, and how it is started.", _ID, AS_JSON,
            example="synapse agents show reviewer"),
    Command(
        "agents add", add, "Save an agent, to start it by `synapse run --agent ID`.",
        Argument("id", help="Its id: what it is started by, for ever."),
        Option("--profile", help="The profile or program that it runs, with arguments as in a shell.", metavar="WORDS"),
        Option("--name", help="The name that it has when it runs; else the id."),
        Option("--role", help="What it is for, as text or @file."),
        Option("--skill-set", help="The skills that it gets."),
        Option("--replace", flag=True, help="In place of the one of that id."), AS_JSON,
        example='synapse agents add reviewer --profile claude --role "reviews what others write"',
    ),
    Command(
        "agents delete", delete, "Forget saved agents; those that run go on.",
        Argument("ids", help="Ids or names.", many=True), AS_JSON, example="synapse agents delete reviewer",
    ),
)  # fmt: skip

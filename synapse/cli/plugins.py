"""`plugins`: what is installed, whether it works, what it contributes; and which of them are wanted."""

from synapse.cli import contributed
from synapse.cli.command import AS_JSON, Argument, Command
from synapse.cli.table import table, write
from synapse.client.blocking import Client
from synapse.client.lines import dumps
from synapse.errors import Refused, SynapseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def listed(*, as_json: bool) -> int:
    """The plugins as the hub has them; without a hub, as they are loaded here."""
    from synapse.cli import installing

    running = of_the_hub()
    found, lacking = rows(running), installing.stale()
    if as_json:
        write(dumps({"plugins": found, "hub": running is not None, "stale": lacking}).decode())
        return 0
    if not found:
        write("No plugins are installed.\n")
        return 0
    lines = [(str(one["name"]), str(one["source"]), _state(one), _summary(one)) for one in found]
    write(table(("NAME", "FROM", "STATE", "CONTRIBUTES"), lines, keep=("NAME", "STATE")))
    for one in found:
        if one.get("failure"):
            write(f"\n{one['name']}: {one['failure']}\n")
    for name, why in lacking.items():
        write(f"\n{name} was installed, and {why}: `synapse plugins sync`.\n")
    if any(one["pending"] for one in found):
        write("\nThe hub has not taken that up yet: `synapse restart`.\n")
    return 0


def of_the_hub() -> "dict[str, dict[str, Any]] | None":
    """The plugins of the hub that runs, by name; None where none runs."""
    try:
        with Client(start=False, url="") as client:
            reply: Any = client.call("plugins.list")
    except SynapseError:
        return None
    return {one["name"]: one for one in reply.get("plugins") or []}


def rows(running: "dict[str, dict[str, Any]] | None") -> "list[dict[str, Any]]":
    """What is installed, and what the hub still has; `pending` is what it will only know after its next start."""
    from synapse.plugins import contributions, load

    off = contributed.disabled()
    with contributed.quiet():
        here = load(off)
    at_command = {plugin.name: plugin.failure for plugin in contributed.loaded()}
    found = []
    for plugin in here:
        theirs = None if running is None else running.get(plugin.name)
        why = plugin.failure or at_command.get(plugin.name, "")
        row: dict[str, Any] = {
            "name": plugin.name, "source": plugin.source, "enabled": plugin.enabled,
            "contributes": {what: names for what, names in contributions(plugin) if names},
        }  # fmt: skip
        row["pending"] = running is not None and (theirs is None or theirs["enabled"] != plugin.enabled)
        if theirs is not None and not row["pending"]:
            why = theirs.get("failure") or why
            row["contributes"] = theirs.get("contributes") or {}
        row |= {"working": plugin.enabled and not why and not row["pending"], "failure": why}
        found.append(row)
    installed = {plugin.name for plugin in here}
    gone = [one for name, one in (running or {}).items() if name not in installed]
    return found + [
        {"contributes": {}, **one, "working": False, "failure": "it is not installed any more", "pending": True}
        for one in gone
    ]


def _state(one: "dict[str, Any]") -> str:
    state = "works" if one["working"] else "failed" if one["failure"] else "enabled" if one["enabled"] else "disabled"
    if one["pending"]:
        return f"{'gone' if state == 'failed' else state}, after restart"
    return state


def _summary(one: "dict[str, Any]") -> str:
    return ", ".join(
        f"{len(names)} {what}" if len(names) > 1 else f"{what.removesuffix('s')} {names[0]}"
        for what, names in one["contributes"].items()
        if what not in ("kinds", "projections")
    )


def enable(name: str, *, as_json: bool) -> int:
    """Load a plugin again, from the hub's next start on."""
    return _choose(name, as_json, wanted=True)


def disable(name: str, *, as_json: bool) -> int:
    """Leave a plugin out, from the hub's next start on; what it has written is kept."""
    return _choose(name, as_json, wanted=False)


def _choose(name: str, as_json: bool, *, wanted: bool) -> int:
    from synapse import settings
    from synapse.plugins import absent, found
    from synapse.settings import writing

    chosen = settings.value("plugins.disabled")
    assert isinstance(chosen, tuple)
    installed = [point.name for point in found()]
    if name not in installed and not (wanted and name in chosen):
        raise absent(name, installed)
    changed = (name in chosen) == wanted
    if changed:
        changed = writing.member(writing.place("user", ""), "plugins.disabled", name, there=not wanted)
        after = settings.value("plugins.disabled")
        assert isinstance(after, tuple)
        if (name in after) == wanted:
            raise Refused(
                "not_counted", f"SYNAPSE_PLUGINS_DISABLED is stronger than the file: it says {', '.join(after)!r}."
            )
    state = "enabled" if wanted else "disabled"
    if as_json:
        write(dumps({"name": name, "enabled": wanted, "changed": changed}).decode())
    elif changed:
        write(f"{name} is {state}, from the hub's next start on: `synapse restart`.\n")
    else:
        write(f"{name} is {state} already.\n")
    return 0


def install(what: str, *, as_json: bool) -> int:
    """Add a plugin, or bring it up to date."""
    from synapse.cli import installing

    return installing.install(what, as_json=as_json)


def remove(name: str, *, as_json: bool) -> int:
    """Take a plugin away that was installed."""
    from synapse.cli import installing

    return installing.remove(name, as_json=as_json)


def sync(*, as_json: bool) -> int:
    """Make the set of installed plugins anew."""
    from synapse.cli import installing

    return installing.sync(as_json=as_json)


_NAME = Argument("name", help="The plugin's name.")
COMMANDS = (
    Command(
        "plugins", listed, "What is installed beside the core, and whether it works.", AS_JSON,
        example="synapse plugins",
    ),
    Command(
        "plugins list", listed, "The plugins: version, state, what each contributes, and why one does not work.", AS_JSON,
        example="synapse plugins list --json",
    ),
    Command(
        "plugins enable", enable, "Load a plugin again, from the hub's next start on.", _NAME, AS_JSON,
        example="synapse plugins enable memory",
    ),
    Command(
        "plugins disable", disable, "Leave a plugin out, from the hub's next start on.", _NAME, AS_JSON,
        example="synapse plugins disable memory",
    ),
    Command(
        "plugins install", install, "Add a plugin: a package's name, a wheel's file, or the URL of one.",
        Argument("what", help="A name (with a version, like hello==1.2), a wheel, or the URL of one."), AS_JSON,
        example="synapse plugins install ./synapse_hello-1.0-py3-none-any.whl",
    ),
    Command(
        "plugins remove", remove, "Take a plugin away that was installed; what it has written is kept.",
        Argument("name", help="The plugin's name, or its package's."), AS_JSON,
        example="synapse plugins remove hello",
    ),
    Command(
        "plugins sync", sync, "Make the set of installed plugins anew, as after an upgrade of synapse.", AS_JSON,
        example="synapse plugins sync",
    ),
)  # fmt: skip

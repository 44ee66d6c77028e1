"""`jump`: go to the terminal in which an agent is shown."""

import os

from synapse.cli.command import AS_JSON, FROM, WORKSPACE, Argument, Command
from synapse.client.blocking import Client
from synapse.client.lines import dumps, loads
from synapse.errors import NotFound, Refused


def jump(target: str, *, as_json: bool, sender: "str | None", workspace: "str | None") -> int:
    """Focus the pane in which a person has the agent attached; of several, the one where somebody typed last."""
    from synapse.cli.panes import focus
    from synapse.runner.attach import places

    with Client(sender or "", workspace or "", start=False) as client:
        shown = client.call("agents.show", target=target)
    path, agent = str(shown.get("socket", "")), shown["agent"]
    assert isinstance(agent, dict)
    name = str(agent["name"])
    if not path:
        raise NotFound("no_terminal", f"'{name}' has no terminal.")
    found = [_read(place) for place in places(path)]
    if not found:
        raise Refused("not_attached", f"Nobody has '{name}' attached: `synapse attach {name}` shows it here.")
    reasons = []
    for place in found:
        try:
            terminal = focus(place)
        except Refused as error:
            where = f" ({place['tty']})" if "tty" in place else ""
            reasons.append(f"{error.sentence}{where}")
            continue
        said = {"agent": name, "terminal": terminal, "place": place}
        os.write(1, dumps(said) if as_json else f"{name} is shown in {terminal}.\n".encode())
        return 0
    raise Refused(
        "cannot_focus",
        f"'{name}' is attached, but {'; '.join(dict.fromkeys(reasons))}. `synapse attach {name}` shows it here too.",
    )


def _read(told: str) -> "dict[str, str]":
    """A viewer's place; empty for one that does not say it."""
    try:
        place = loads(told.encode())
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in place.items()} if isinstance(place, dict) else {}


COMMANDS = (
    Command(
        "jump", jump, "Go to the terminal pane in which an agent is shown.",
        Argument("target", help="Name, id or profile."), AS_JSON, FROM, WORKSPACE,
        example="synapse jump bob", quick=True,
    ),
)  # fmt: skip

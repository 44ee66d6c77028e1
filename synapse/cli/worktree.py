"""`worktree`: the worktrees in which agents work, merged and taken away; and what happens to one when its agent ends."""

import os
import sys

from synapse.cli import trees
from synapse.cli.command import AS_JSON, Argument, Command, Option
from synapse.cli.errors import say, told
from synapse.cli.table import table, write
from synapse.cli.trees import State, Tree
from synapse.client.lines import dumps
from synapse.errors import NotFound, Refused, SynapseError


def show_all(*, as_json: bool) -> int:
    """The worktrees of agents in this project."""
    root = trees.root_of(os.getcwd())
    living, rows = _living(), []
    for tree in trees.trees(root):
        try:
            state = trees.state(root, tree)
        except NotFound:
            continue  # its agent ended, and it was taken away while we looked
        rows.append((tree, state, _agents_in(tree, living)))
    if as_json:
        write(dumps({"worktrees": [_told(*row) for row in rows]}).decode())
        return 0
    heads = ("NAME", "BRANCH", "BASE", "CHANGES", "AHEAD", "AGENTS", "PATH")
    lines = [
        (tree.name, tree.branch, tree.base, str(state.changes), str(state.ahead), ", ".join(agents), tree.path)
        for tree, state, agents in rows
    ]
    write(
        table(heads, lines, keep=("NAME",))
        if lines
        else "There is none: `synapse run --worktree NAME ...` makes one.\n"
    )
    return 0


def _told(tree: Tree, state: State, agents: "list[str]") -> "dict[str, object]":
    return {**tree._asdict(), **state._asdict(), "agents": agents}


def merge(name: str, *, into: "str | None", keep: bool, as_json: bool) -> int:
    """Merge a worktree's commits into the branch it was made from; then it is not needed any more."""
    root = trees.root_of(os.getcwd())
    tree = trees.find(root, name)
    state, base = trees.state(root, tree), into or tree.base
    if state.changes:
        raise Refused(
            "not_committed",
            f"{trees.State(state.changes, 0).said(base)} in {tree.path}: commit them there before they can be merged.",
        )
    where = trees.merge(root, tree, into or "")
    said = f"merged {tree.branch} into {base} ({where})"
    agents = _agents_in(tree, _living())
    removed = not (keep or agents)
    if removed:
        trees.remove(root, tree, losing=bool(into))  # into another branch: its base does not have it
    elif agents and not keep:
        said += f"; {', '.join(agents)} still works there"
    write(dumps({**_told(tree, state, agents), "into": base, "removed": removed}).decode() if as_json else f"{said}\n")
    return 0


def prune(names: "tuple[str, ...]", *, force: bool, yes: bool, as_json: bool) -> int:
    """Take away worktrees that are clean, merged and without an agent; with --force those that were named."""
    root = trees.root_of(os.getcwd())
    if force and not names:
        raise Refused("no_name", "--force takes away what is nowhere else: name the worktrees.")
    trees.git(root, "worktree", "prune")
    chosen = [trees.find(root, name) for name in names] or trees.trees(root)
    living, kept = _living(), 0
    for tree in chosen:
        why = _kept(root, tree, living, force, yes)
        kept += bool(why)
        if as_json:
            write(dumps({"name": tree.name, "removed": not why, **({"reason": why} if why else {})}).decode())
        else:
            write(f"kept {tree.name}: {why}\n" if why else f"removed {tree.name}\n")
    return 1 if kept and names else 0


def _kept(root: str, tree: Tree, living: "list[dict[str, str]]", force: bool, yes: bool) -> str:
    """Take a worktree away; why it stays, else ""."""
    agents = _agents_in(tree, living)
    if agents:
        return f"{', '.join(agents)} works there"
    try:
        state = trees.state(root, tree)
    except NotFound:
        return ""  # somebody was quicker
    if not state.clean and not (force and (yes or _agreed(f"Remove {tree.name} with {state.said(tree.base)}?"))):
        return state.said(tree.base)
    try:
        trees.remove(root, tree, losing=force)
    except Refused as error:
        return error.sentence
    return ""


def _agreed(question: str) -> bool:
    if not (os.isatty(0) and os.isatty(2)):
        raise Refused("not_asked", "There is no terminal to ask: give --yes.")
    say(f"{question} [y/N] ".encode("utf-8", "replace"))
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def left(spec: "dict[str, object]", key: str, *, ask: bool) -> None:
    """An agent of this terminal has ended: take its worktree away when nothing is lost, else ask."""
    path = str(spec.get("worktree") or "")
    if not path:
        return
    try:
        _gone(key)
        root = trees.root_of(str(spec["folder"]))
        tree = next((tree for tree in trees.trees(root) if tree.path == path), None)
        if tree is None:
            return  # its runner was quicker
        if _agents_in(tree, _living()):
            return
        state = trees.state(root, tree)
        keep = f"[the worktree {tree.name} stays: {state.said(tree.base)}; `synapse worktree merge {tree.name}`]\n"
        question = f"The worktree {tree.name} has {state.said(tree.base)}. Remove it, and that with it?"
        if not state.clean and not (ask and os.isatty(0) and os.isatty(2) and _agreed(question)):
            say(keep.encode("utf-8", "replace"))
            return
        trees.remove(root, tree, losing=not state.clean)
    except KeyboardInterrupt:
        say(b"\n")
    except SynapseError as error:
        if os.path.isdir(path):  # else its runner was quicker
            told(error, as_json=False)


def _gone(key: str) -> None:
    """Wait until the hub, too, knows that an agent has ended."""
    from synapse.client.blocking import Client

    try:
        with Client("", "", start=False) as client:
            client.call("agents.wait_gone", key=key, timeout=5.0)
    except SynapseError:
        pass  # no hub, nobody in its list


def _living() -> "list[dict[str, str]]":
    """Who is there, of all workspaces; nobody without a hub."""
    from synapse.client.blocking import Client

    try:
        with Client("", "", start=False) as client:
            agents = client.call("agents.list", workspace="*").get("agents") or []
    except SynapseError:
        return []
    assert isinstance(agents, list)
    return agents


def _agents_in(tree: Tree, living: "list[dict[str, str]]") -> "list[str]":
    folder = tree.path + os.sep
    return [agent["name"] for agent in living if f"{agent['working_dir']}{os.sep}".startswith(folder)]


_NAME = Argument("name", help="The worktree's name, as `synapse worktree list` shows it.")
COMMANDS = (
    Command("worktree", show_all, "The worktrees in which agents of this project work.", AS_JSON,
            example="synapse worktree"),
    Command("worktree list", show_all, "The worktrees of agents, and what is in them that is nowhere else.", AS_JSON,
            example="synapse worktree list --json"),
    Command(
        "worktree merge", merge, "Merge a worktree into the branch it was made from, and remove it.", _NAME,
        Option("--into", help="Another branch; it must be checked out somewhere.", metavar="BRANCH"),
        Option("--keep", flag=True, help="The worktree stays."), AS_JSON,
        example="synapse worktree merge parser",
    ),
    Command(
        "worktree prune", prune, "Remove worktrees that are clean, merged, and without an agent.",
        Argument("names", help="Only these.", required=False, many=True),
        Option("--force", "-f", flag=True, help="Those named also with what is nowhere else, after asking."),
        Option("--yes", "-y", flag=True, help="Do not ask."), AS_JSON,
        example="synapse worktree prune",
    ),
)  # fmt: skip

"""Worktrees of git in which agents work: `.synapse/worktrees/NAME` of the project, each on a branch `worktree-NAME`.

All that is known of one is in git itself: its folder, its branch, and the branch it was made from.
"""

import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from synapse import names, paths
from synapse.errors import NotFound, Refused

PLACE = os.path.join(".synapse", "worktrees")
PREFIX = "worktree-"
PATIENCE = 60.0  # seconds for one command of git; a large project takes its time to be checked out
_FOREIGN = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")  # of a hook that called us


class Tree(NamedTuple):
    """A worktree: `base` is the branch (or commit) it was made from and goes back to.

    `branch` is the one that is checked out in it: its own unless the agent took another; "" when there is none.
    """

    name: str
    path: str
    base: str
    branch: str


class State(NamedTuple):
    """What would be lost with a worktree: changes that are not committed, commits that its base does not have."""

    changes: int
    ahead: int

    @property
    def clean(self) -> bool:
        return not (self.changes or self.ahead)

    def said(self, base: str) -> str:
        """In words."""
        said = [_many(self.changes, "change", "not committed")] if self.changes else []
        said += [_many(self.ahead, "commit", f"not in {base}")] if self.ahead else []
        return " and ".join(said) or "nothing that is not in " + base


def _many(count: int, what: str, how: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'} {how}"


def root_of(cwd: str) -> str:
    """The project's folder, its main worktree; Refused when it is none of git."""
    root = os.path.realpath(paths.project(cwd))
    if not os.path.exists(os.path.join(root, ".git")):
        raise Refused("no_git", f"{cwd} is not in a git repository: `git init` makes one; or leave out --worktree.")
    return root


def make(cwd: str, wanted: str, otherwise: str) -> Tree:
    """A worktree of that name, or a new one named after `otherwise`; one that is there is used as it is."""
    root = root_of(cwd)
    wanted = names.check_name(wanted) if wanted else ""
    with _turn(root):
        there = {tree.name: tree for tree in trees(root)}
        if wanted in there:
            return there[wanted]
        name = wanted or names.unused(names.fit(otherwise, "agent"), {*there, *_leftovers(root)})
        path, branch = os.path.join(root, PLACE, name), PREFIX + name
        base = git(cwd, "symbolic-ref", "--short", "-q", "HEAD", fails="") or git(
            cwd, "rev-parse", "-q", "--verify", "HEAD", fails=""
        )
        if not git(cwd, "rev-parse", "-q", "--verify", "HEAD", fails=""):
            raise Refused("no_commit", f"{root} has no commit yet: `git commit` something before --worktree.")
        if _branch_exists(root, branch):
            git(root, "worktree", "add", "-q", path, branch)
            base = git(root, "config", f"branch.{branch}.synapse-base", fails="") or base
        else:
            git(cwd, "worktree", "add", "-q", "-b", branch, path, "HEAD")
        git(root, "config", f"branch.{branch}.synapse-base", base)
        return Tree(name, path, base, branch)


def trees(root: str) -> list[Tree]:
    """All worktrees of agents, by name."""
    folder = os.path.join(root, PLACE) + os.sep
    found = []
    for path, branch in _listed(root):
        name = path.removeprefix(folder)
        if path.startswith(folder) and os.sep not in name and os.path.isdir(path):
            found.append(Tree(name, path, _base(root, name), branch))
    return sorted(found)


def _listed(root: str) -> list[tuple[str, str]]:
    """All of git's worktrees of the project, with the branch that is checked out in each."""
    found = []
    for entry in git(root, "worktree", "list", "--porcelain", "-z").split("\0\0"):
        lines = dict(line.partition(" ")[::2] for line in entry.split("\0") if line)
        if "worktree" in lines:
            found.append((lines["worktree"], lines.get("branch", "").removeprefix("refs/heads/")))
    return found


def find(root: str, name: str) -> Tree:
    """The worktree of that name; NotFound says which there are."""
    there = trees(root)
    for tree in there:
        if tree.name == name.removeprefix(PREFIX).lower():
            return tree
    known = ", ".join(tree.name for tree in there) or "none"
    raise NotFound("no_such_worktree", f"There is no worktree '{name[:80]}' of an agent here. There is: {known}.")


def state(root: str, tree: Tree) -> State:
    """What is in a worktree that is nowhere else; NotFound when somebody takes it away meanwhile."""
    try:
        changed = git(root, "-C", tree.path, "status", "--porcelain", "-z", "--untracked-files=all").split("\0")
        ahead = git(root, "-C", tree.path, "rev-list", "--count", f"{tree.base}..HEAD")
    except Refused:
        if os.path.isfile(os.path.join(tree.path, ".git")):
            raise
        raise NotFound("no_such_worktree", f"{tree.path} is not there any more.") from None
    return State(len([line for line in changed if line]), int(ahead))


def remove(root: str, tree: Tree, *, losing: bool) -> None:
    """Take away a worktree and its branch; with `losing` also what is nowhere else. Refused when git will not."""
    with _turn(root):
        if not os.path.isdir(tree.path):
            return  # somebody was quicker
        if not losing and not state(root, tree).clean:
            raise Refused("not_merged", f"{tree.name} has {state(root, tree).said(tree.base)}.")
        git(root, "worktree", "remove", *(["--force"] if losing else []), tree.path)
        own = PREFIX + tree.name
        if losing or git(root, "rev-list", "--count", f"{tree.base}..{own}", fails="0") == "0":
            git(root, "branch", "-q", "-D", own, fails="")


def merge(root: str, tree: Tree, into: str = "") -> str:
    """Merge a worktree's branch into its base, where that is checked out; the folder in which it was."""
    base = into or tree.base
    where = _checked_out(root, base)
    if not where:
        raise Refused(
            "not_checked_out",
            f"'{base}' is checked out nowhere: `git switch {base}` in {root}, or give --into BRANCH.",
        )
    what = tree.branch or git(tree.path, "rev-parse", "HEAD")
    merged = run(where, "merge", "--no-edit", "-q", what)
    if merged.returncode:
        conflicts = git(where, "diff", "--name-only", "--diff-filter=U", "-z", fails="").split("\0")
        git(where, "merge", "--abort", fails="")
        if any(conflicts):
            listed = ", ".join(filter(None, conflicts[:10]))
            raise Refused(
                "conflict",
                f"{what} and {base} changed the same in {listed}. Nothing is merged: `git merge {base}` in "
                f"{tree.path} settles it there.",
                files=[name for name in conflicts if name],
            )
        raise _failed(merged, "merge")
    return where


def git(folder: str, *words: str, fails: "str | None" = None) -> str:
    """What git says; Refused with its own words when it fails, or `fails` where that is given."""
    done = run(folder, *words)
    if done.returncode:
        if fails is not None:
            return fails
        raise _failed(done, words[2] if words[0] == "-C" else words[0])
    return done.stdout.removesuffix("\n")


def run(folder: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run git in a folder, whatever calls us."""
    environ = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    environ |= {"LC_ALL": "C.UTF-8", "LANGUAGE": "", "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(
            ["git", *words], cwd=folder, env=environ, capture_output=True, encoding="utf-8", errors="surrogateescape",
            timeout=PATIENCE, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        if not os.path.isdir(folder):
            raise NotFound("no_such_worktree", f"{folder} is not there any more.") from None
        raise Refused("no_git", "git is not on PATH: worktrees need it.") from None
    except subprocess.TimeoutExpired:
        raise Refused("git_failed", f"`git {words[0]}` in {folder} took longer than {PATIENCE:g} s.") from None


def _failed(done: "subprocess.CompletedProcess[str]", command: str) -> Refused:
    said = (done.stderr or done.stdout).strip()[:500] or f"exit status {done.returncode}"
    return Refused("git_failed", f"`git {command}` said: {said}")


def _base(root: str, name: str) -> str:
    """What it was made from, as long as that is there; else what the project has checked out."""
    base = git(root, "config", f"branch.{PREFIX}{name}.synapse-base", fails="")
    if base and git(root, "rev-parse", "-q", "--verify", f"{base}^{{commit}}", fails=""):
        return base
    return git(root, "symbolic-ref", "--short", "-q", "HEAD", fails="") or "HEAD"


def _branch_exists(root: str, branch: str) -> bool:
    return bool(git(root, "rev-parse", "-q", "--verify", f"refs/heads/{branch}", fails=""))


def _leftovers(root: str) -> list[str]:
    """Names of branches without a worktree: a new agent does not go on with an old one's work by itself."""
    listed = git(root, "for-each-ref", "--format=%(refname:short)", f"refs/heads/{PREFIX}*")
    return [line.removeprefix(PREFIX) for line in listed.splitlines()]


def _checked_out(root: str, branch: str) -> str:
    """The folder in which a branch is checked out; "" when there is none."""
    return next((path for path, there in _listed(root) if there == branch), "")


@contextmanager
def _turn(root: str) -> Iterator[None]:
    """One at a time makes or removes worktrees here; their folder is there, and git does not see it."""
    folder = os.path.join(root, PLACE)
    if os.path.realpath(folder) != folder:
        raise Refused("not_here", f"{folder} leads elsewhere: a link is not followed out of the project.")
    try:
        os.makedirs(folder, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Refused("cannot_write", f"{folder} cannot be made: {error.strerror}.") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        _hide(root)
        yield
    finally:
        os.close(descriptor)


def _hide(root: str) -> None:
    """Have the worktrees ignored, in this copy alone: nothing to commit."""
    if run(root, "check-ignore", "-q", os.path.join(PLACE, "x")).returncode != 1:
        return
    common = git(root, "rev-parse", "--path-format=absolute", "--git-common-dir")
    exclude = os.path.join(common, "info", "exclude")
    os.makedirs(os.path.dirname(exclude), exist_ok=True)
    with open(exclude, "a+", encoding="utf-8", errors="surrogateescape") as file:
        file.seek(0)
        before = file.read()
        file.write(f"{'' if before.endswith(chr(10)) or not before else chr(10)}/{PLACE}/\n")

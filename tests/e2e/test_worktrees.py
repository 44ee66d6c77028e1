"""Agents in git worktrees of their own: made, listed, merged, and taken away only when nothing is lost."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.core.runner.attached import Glass
from tests.e2e.agents_kit import House
from tests.e2e.hubs import alive, until

pytestmark = pytest.mark.skipif(not shutil.which("git"), reason="not run: git is absent")


class Project:
    """A repository with one commit, and commands in it."""

    def __init__(self, house: House, name: str) -> None:
        self.house = house
        self.folder = house.data / name
        self.folder.mkdir()
        identity = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@t", "GIT_COMMITTER_NAME": "t"}
        house.env |= {**identity, "GIT_COMMITTER_EMAIL": "t@t", "GIT_CONFIG_NOSYSTEM": "1"}
        self.git("init", "-q", "-b", "main")
        (self.folder / "src").mkdir()
        (self.folder / "src" / "a.txt").write_text("one\n")
        self.commit(self.folder, "first")

    def git(self, *words: str, cwd: Path | None = None) -> str:
        done = subprocess.run(
            ["git", *words], cwd=cwd or self.folder, env=self.house.env, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    def commit(self, folder: Path, text: str) -> None:
        self.git("add", "-A", cwd=folder)
        self.git("commit", "-qm", text, cwd=folder)

    def tree(self, name: str) -> Path:
        return self.folder / ".synapse" / "worktrees" / name

    def synapse(self, *words: str, **options: object) -> "subprocess.CompletedProcess[str]":
        return self.house.synapse(*words, **{"cwd": self.folder, **options})  # type: ignore[arg-type]

    def start(self, *words: str) -> dict[str, object]:
        done = self.synapse("start", "--json", *words)
        assert done.returncode == 0, done.stderr
        told: dict[str, object] = json.loads(done.stdout)
        self.house.processes |= {int(str(told["pid"])), int(str(told["child_pid"]))}
        return told

    def run(self, *words: str, cwd: str = "") -> Glass:
        """A person who runs an agent in the project."""
        line = f'cd "{self.folder}/{cwd}" && exec {self.house.program} run "$@"'
        return self.house.glass("-c", line, "sh", *words, program=["sh"], columns=200)

    def listed(self) -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(self.synapse("worktree", "--json").stdout)["worktrees"]
        return found

    def refused(self, *words: str) -> tuple[int, str, str]:
        done = self.synapse(*words, *([] if "--json" in words else ["--json"]))
        error = json.loads(done.stderr.splitlines()[-1])["error"]
        return done.returncode, error["code"], error["message"]

    def branches(self) -> list[str]:
        return self.git("branch", "--format", "%(refname:short)").split()


@pytest.fixture(scope="module")
def shared() -> Iterator[House]:
    house = House()
    try:
        house.serve("--background")
        yield house
    finally:
        house.close()


@pytest.fixture
def house(shared: House) -> Iterator[House]:
    yield shared
    shared.leave()
    shared.synapse("kill", "-f", *shared.names())


@pytest.fixture
def project(house: House, request: pytest.FixtureRequest) -> Project:
    return Project(house, f"p{abs(hash(request.node.name))}")


# -- where it works


def test_an_agent_works_on_a_branch_of_its_own_in_the_same_folder_of_the_project(project: Project) -> None:
    glass = project.run(
        "-w", "feature", "--name", "f", "--", "sh", "-c", "pwd; git branch --show-current; read x", cwd="src"
    )
    glass.expect(f"{project.tree('feature')}/src\r\nworktree-feature")
    [tree] = project.listed()
    assert tree == {
        "name": "feature", "path": str(project.tree("feature")), "base": "main", "branch": "worktree-feature",
        "changes": 0, "ahead": 0, "agents": ["f"],
    }  # fmt: skip
    agent = project.house.status("f")["agent"]
    assert (agent["working_dir"], agent["workspace"]) == (f"{project.tree('feature')}/src", "house")
    assert project.git("status", "--porcelain") == ""
    assert "feature" in project.synapse("worktree", "list").stdout
    glass.type("\r")
    assert glass.end() == 0


def test_the_workspace_is_the_projects(project: Project) -> None:
    told = project.start("--workspace", "", "-w", "x", "--name", "ws", "cat")
    assert told["workspace"] in ("house", project.folder.name)  # SYNAPSE_WORKSPACE is set here


def test_without_a_name_it_is_new_and_named_after_the_agent(project: Project) -> None:
    for words, name in (
        (("--worktree", "--name", "ann", "--", "cat"), "ann"),
        (("--worktree", "cat"), "cat"),
        (("-w", "cat", "-u"), "cat-2"),
        (("--worktree=own", "cat"), "own"),
        (("-w", "other", "cat"), "other"),
    ):
        told = project.start(*words)
        agent = project.house.status(str(told["name"]))["agent"]
        assert agent["working_dir"] == str(project.tree(name))
    assert [tree["name"] for tree in project.listed()] == ["ann", "cat", "cat-2", "other", "own"]


def test_ten_that_start_at_once_get_ten_worktrees(project: Project) -> None:
    running = [project.house.start("start", "--json", "--worktree", "cat", cwd=project.folder) for _ in range(10)]
    told = []
    for process in running:
        said, complained = process.communicate(timeout=60)
        assert process.returncode == 0, complained
        told.append(json.loads(said))
    project.house.processes |= {agent["pid"] for agent in told}
    assert len(project.listed()) == 10
    assert all(len(tree["agents"]) == 1 for tree in project.listed())  # type: ignore[arg-type]


def test_one_that_is_there_is_gone_on_with_and_so_is_its_branch(project: Project) -> None:
    project.start("-w", "long", "--name", "l1", "cat")
    (project.tree("long") / "new.txt").write_text("work")
    project.commit(project.tree("long"), "work")
    project.synapse("kill", "-f", "l1")
    until(lambda: project.listed()[0]["agents"] == [])
    project.start("-w", "long", "--name", "l2", "cat")
    assert project.house.status("l2")["agent"]["working_dir"] == str(project.tree("long"))
    project.synapse("kill", "-f", "l2")
    project.git("worktree", "remove", str(project.tree("long")))
    project.start("-w", "long", "--name", "l3", "cat")
    assert (project.tree("long") / "new.txt").read_text() == "work"
    told = project.start("--worktree", "--name", "long", "cat")
    assert told["name"] == "long"
    assert project.house.status("long")["agent"]["working_dir"] == str(project.tree("long-2"))


# -- how it ends


def gone(project: Project, name: str) -> bool:
    return not project.tree(name).exists() and f"worktree-{name}" not in project.branches()


def test_one_in_which_nothing_is_lost_is_taken_away_by_whoever_ends_it(project: Project) -> None:
    glass = project.run("-w", "clean", "--name", "c", "--", "sh", "-c", "echo hi")
    glass.expect("hi")
    assert glass.end() == 0
    assert b"Remove" not in glass.seen
    until(lambda: gone(project, "clean"))
    project.start("-w", "back", "--name", "b", "cat")
    project.synapse("stop", "b")
    until(lambda: gone(project, "back"))
    assert project.git("worktree", "list").count("\n") == 0


def test_what_has_work_in_it_is_kept_unless_the_person_says_otherwise(project: Project) -> None:
    work = "echo x > new.txt; git add -A; git commit -qm w; echo y > dirty.txt; exit 4"
    glass = project.run("-w", "kept", "--name", "k", "--", "sh", "-c", work)
    glass.expect(
        "The worktree kept has 1 change not committed and 1 commit not in main. Remove it, and that with it? [y/N] "
    )
    glass.type("\r")
    glass.expect(
        "[the worktree kept stays: 1 change not committed and 1 commit not in main; `synapse worktree merge kept`]"
    )
    assert glass.end() == 4
    assert (project.tree("kept") / "dirty.txt").exists()
    again = project.run("-w", "kept", "--name", "k", "--", "true")
    again.expect("[y/N] ")
    again.type("y\r")
    assert again.end() == 0
    assert gone(project, "kept")


def test_in_the_background_and_after_stop_nobody_is_asked_and_work_stays(project: Project) -> None:
    project.start("-w", "bg", "--name", "bg", "--", "sh", "-c", "echo x | tee new.txt; sleep 2")
    until(lambda: "bg" not in project.house.names())
    glass = project.run("-w", "st", "--name", "st", "--", "sh", "-c", "echo x > new.txt; echo up; read x")
    glass.expect("up")
    project.synapse("stop", "st")
    glass.expect("[the worktree st stays: 1 change not committed")
    glass.end()
    assert b"Remove it" not in glass.seen
    assert [tree["changes"] for tree in project.listed()] == [1, 1]


def test_one_in_which_another_agent_works_stays(project: Project) -> None:
    project.start("-w", "both", "--name", "one", "cat")
    project.start("-w", "both", "--name", "two", "cat")
    project.synapse("stop", "one")
    assert project.synapse("worktree", "prune", "both").stdout == "kept both: two works there\n"
    project.synapse("stop", "two")
    until(lambda: gone(project, "both"))


def test_after_detaching_it_lives_on_in_its_worktree(project: Project) -> None:
    glass = project.run("-w", "det", "--name", "det", "demo")
    glass.shows("demo - ? for help")
    glass.type("\x1c")
    glass.expect("detached")
    assert glass.end() == 0
    assert project.listed()[0]["agents"] == ["det"]
    project.synapse("stop", "det")
    until(lambda: gone(project, "det"))


def test_what_cannot_be_started_leaves_no_worktree(project: Project) -> None:
    done = project.synapse("start", "-w", "none", "no-such-program")
    assert (done.returncode, "neither a profile" in done.stderr) == (127, True)
    assert gone(project, "none")


# -- merge and prune


def worked(project: Project, name: str, text: str = "two\n", file: str = "src/a.txt") -> Path:
    """A worktree with one commit, without its agent."""
    runner = int(str(project.start("-w", name, "--name", name, "cat")["pid"]))
    (project.tree(name) / file).write_text(text)
    project.commit(project.tree(name), f"work of {name}")
    project.synapse("kill", "-f", name)
    until(lambda: all(not tree["agents"] for tree in project.listed()))
    until(lambda: not alive(runner))  # it takes away what is clean at its end
    return project.tree(name)


def test_merge_brings_the_work_in_and_takes_the_worktree_away(project: Project) -> None:
    worked(project, "m")
    done = project.synapse("worktree", "merge", "m")
    assert (done.returncode, done.stdout) == (0, f"merged worktree-m into main ({project.folder})\n"), done.stderr
    assert (project.folder / "src" / "a.txt").read_text() == "two\n"
    assert gone(project, "m")
    worked(project, "n", "three\n")
    told = json.loads(project.synapse("worktree", "merge", "worktree-n", "--keep", "--json").stdout)
    assert (told["removed"], told["into"], project.tree("n").exists()) == (False, "main", True)


def test_a_conflict_leaves_everything_as_it_was(project: Project) -> None:
    tree = worked(project, "c")
    (project.folder / "src" / "a.txt").write_text("otherwise\n")
    project.commit(project.folder, "meanwhile")
    before = project.git("rev-parse", "HEAD")
    status, code, sentence = project.refused("worktree", "merge", "c")
    assert (status, code) == (1, "conflict")
    assert "src/a.txt" in sentence
    assert f"`git merge main` in {tree}" in sentence
    assert (project.git("rev-parse", "HEAD"), project.git("status", "--porcelain")) == (before, "")
    assert tree.exists()


def test_what_is_not_committed_is_not_merged(project: Project) -> None:
    tree = worked(project, "u")
    (tree / "more.txt").write_text("x")
    status, code, sentence = project.refused("worktree", "merge", "u")
    assert (status, code) == (1, "not_committed")
    assert str(tree) in sentence


def test_a_base_that_is_checked_out_nowhere_is_said(project: Project) -> None:
    worked(project, "b")
    project.git("switch", "-qc", "elsewhere")
    assert project.refused("worktree", "merge", "b")[:2] == (1, "not_checked_out")
    done = project.synapse("worktree", "merge", "b", "--into", "elsewhere")
    assert done.returncode == 0, done.stderr
    assert (project.folder / "src" / "a.txt").read_text() == "two\n"


def test_prune_takes_what_is_merged_and_keeps_the_rest(project: Project) -> None:
    worked(project, "merged")
    worked(project, "ahead", "x", "other.txt")
    project.git("merge", "-q", "worktree-merged")
    done = project.synapse("worktree", "prune")
    assert (done.returncode, done.stdout) == (0, "kept ahead: 1 commit not in main\nremoved merged\n")
    assert project.synapse("worktree", "prune", "ahead").returncode == 1
    unasked = project.synapse("worktree", "prune", "--force", "ahead")
    assert (unasked.returncode, "give --yes" in unasked.stderr) == (1, True)
    assert project.synapse("worktree", "prune", "--force").returncode == 1
    assert project.synapse("worktree", "prune", "--force", "--yes", "ahead").stdout == "removed ahead\n"
    assert gone(project, "ahead")


def test_a_branch_that_the_agent_made_itself_outlives_its_worktree(project: Project) -> None:
    tree = worked(project, "own")
    project.git("switch", "-qc", "mine", cwd=tree)
    project.git("merge", "-q", "mine")
    assert project.synapse("worktree", "prune").stdout == "removed own\n"
    assert {"mine", "main"} == set(project.branches())


# -- where it cannot be


def test_where_there_is_no_repository_or_no_commit_it_is_said(house: House) -> None:
    plain = house.data / "plain"
    plain.mkdir()
    for words in (("start", "-w", "x", "cat"), ("worktree",), ("worktree", "prune")):
        done = house.synapse(*words, cwd=plain)
        assert (done.returncode, "is not in a git repository" in done.stderr) == (1, True)
    empty = house.data / "empty"
    subprocess.run(["git", "init", "-q", str(empty)], check=True, env=house.env)
    done = house.synapse("start", "-w", "x", "cat", cwd=empty)
    assert (done.returncode, "has no commit yet" in done.stderr) == (1, True)
    assert house.names() == []


def test_wrong_names_are_refused(project: Project) -> None:
    assert project.refused("start", "--json", "--worktree=../out", "cat")[:2] == (2, "bad_name")
    assert project.refused("worktree", "merge", "nobody")[:2] == (1, "no_such_worktree")
    assert project.synapse("worktree", "prune", "nobody").returncode == 1
    assert "There is none" in project.synapse("worktree").stdout
    project.git("branch", "worktree-taken")
    project.git("worktree", "add", "-q", str(project.folder.parent / f"{project.folder.name}-t"), "worktree-taken")
    status, code, sentence = project.refused("start", "--json", "-w", "taken", "cat")
    assert (status, code) == (1, "git_failed")
    assert "`git worktree` said:" in sentence


def test_a_link_is_not_followed_out_of_the_project(project: Project) -> None:
    elsewhere = project.folder.parent / f"{project.folder.name}-elsewhere"
    elsewhere.mkdir()
    (project.folder / ".synapse").mkdir()
    (project.folder / ".synapse" / "worktrees").symlink_to(elsewhere)
    assert project.refused("start", "--json", "-w", "x", "cat")[:2] == (1, "not_here")
    assert list(elsewhere.iterdir()) == []


def test_what_git_refuses_is_passed_on_and_nothing_changes(project: Project) -> None:
    tree = worked(project, "over")
    (project.folder / "src" / "a.txt").write_text("not committed here\n")
    status, code, sentence = project.refused("worktree", "merge", "over")
    assert (status, code) == (1, "git_failed")
    assert "would be overwritten by merge" in sentence
    assert (project.folder / "src" / "a.txt").read_text() == "not committed here\n"
    assert tree.exists()


def test_a_hooks_variables_do_not_mislead_it(project: Project) -> None:
    done = project.synapse("worktree", "--json", env={"GIT_DIR": "/nowhere", "GIT_WORK_TREE": "/nowhere"})
    assert (done.returncode, done.stdout) == (0, '{"worktrees":[]}\n')
    assert os.path.isdir(project.folder)

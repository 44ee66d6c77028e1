"""Which agents are told who they are, as their profiles and the files of their MCP servers say it."""

import json
from pathlib import Path

import pytest

from synapse.runner.first_words import line, silent
from synapse.runner.profile import BUILT_IN, Profile, find
from synapse.runner.spec import Spec

TOLD = ("claude", "codex", "copilot", "gemini", "opencode", "qwen")
RESUMING = {
    "claude": ("--resume", "--continue", "-r", "-c"),
    "gemini": ("--resume", "-r"),
    "codex": ("resume",),
    "opencode": ("--continue", "-c"),
    "copilot": ("--continue", "--resume"),
}
OURS = {"command": "/opt/bin/synapse", "args": ["mcp"]}


def profile(name: str) -> Profile:
    found = find(name)
    assert found
    return found


def why(name: str, folder: Path, *given: str, instructions: bool = True, **environ: str) -> str:
    """Why an agent of that profile is told nothing, in a home and a project of its own; "" when it is told."""
    spec = Spec(words=(name, *given), cwd=str(folder), instructions=instructions)
    return silent(spec, profile(name), given, {"HOME": str(folder / "home"), **environ})


def test_coding_agents_are_told_and_no_other_program_is(tmp_path: Path) -> None:
    told = [path.stem for path in sorted(BUILT_IN.glob("*.toml")) if not why(path.stem, tmp_path)]
    assert tuple(told) == TOLD


@pytest.mark.parametrize(("name", "word"), [(name, word) for name, words in RESUMING.items() for word in words])
def test_who_goes_on_with_a_conversation_is_told_nothing(name: str, word: str, tmp_path: Path) -> None:
    assert "conversation" in why(name, tmp_path, word)
    assert "conversation" in why(name, tmp_path, "--model", "x", f"{word}=4711")
    assert why(name, tmp_path, "please", "continue") == ""


def test_what_was_chosen_counts(tmp_path: Path) -> None:
    assert "chosen" in why("claude", tmp_path, instructions=False)
    assert "chosen" in why("claude", tmp_path, SYNAPSE_INSTRUCTIONS_ENABLED="false")
    assert "conversation" in why("claude", tmp_path, "-a", SYNAPSE_PROFILES_CLAUDE_RESUME_FLAGS="--again,-a")
    assert why("claude", tmp_path, "--resume", SYNAPSE_PROFILES_CLAUDE_RESUME_FLAGS="--again,-a") == ""


def test_nobody_talks_to_a_program_that_only_prints(tmp_path: Path) -> None:
    assert why("claude", tmp_path, "-p", "what is this?") != ""
    assert why("codex", tmp_path, "exec", "tests") != ""


@pytest.mark.parametrize(
    ("name", "file", "content"),
    [
        ("claude", ".mcp.json", {"mcpServers": {"team": OURS}}),
        ("claude", "home/.claude.json", {"mcpServers": {"team": {"command": "uvx", "args": ["synapse-hub", "mcp"]}}}),
        ("claude", "home/.claude.json", {"projects": {"@": {"mcpServers": {"team": OURS}}}}),
        ("gemini", "home/.gemini/settings.json", {"mcpServers": {"team": OURS}}),
        ("codex", "home/.codex/config.toml", '[mcp_servers.team]\ncommand = "synapse"\nargs = ["mcp"]\n'),
        ("opencode", "opencode.json", {"mcp": {"team": {"type": "local", "command": ["synapse", "mcp"]}}}),
        ("copilot", "home/.copilot/mcp-config.json", {"mcpServers": {"team": OURS}}),
        ("qwen", ".qwen/settings.json", {"mcpServers": {"team": OURS}}),
    ],
)
def test_who_has_our_mcp_server_is_told_nothing(name: str, file: str, content: object, tmp_path: Path) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content).replace('"@"', json.dumps(str(tmp_path)))
    path.write_text(text)
    assert file in why(name, tmp_path)
    path.write_text(text.replace("synapse", "other"))
    assert why(name, tmp_path) == ""


@pytest.mark.parametrize(
    "content",
    [
        "no json {",
        "[]",
        "3",
        '{"mcpServers": 3}',
        '{"mcpServers": {"a": [], "b": {"command": 3, "args": "mcp"}, "c": {"url": "http://synapse/mcp"}}}',
        json.dumps({"mcpServers": {"off": {**OURS, "disabled": True}}}),
        json.dumps({"mcpServers": {"files": {"command": "npx", "args": ["mcp", "synapse"]}}}),
        json.dumps({"projects": {"/elsewhere": {"mcpServers": {"team": OURS}}}}),
        "[" * 100_000,
    ],
    ids=range(9),
)
def test_a_file_that_names_no_server_of_ours_keeps_nobody_from_being_told(content: str, tmp_path: Path) -> None:
    (tmp_path / ".mcp.json").write_text(content)
    assert why("claude", tmp_path) == ""


def test_a_folder_named_by_a_variable_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "codex").mkdir()
    (tmp_path / "codex" / "config.toml").write_text('[mcp_servers.x]\ncommand = "synapse"\nargs = ["mcp"]\n')
    assert why("codex", tmp_path) == ""
    assert "config.toml" in why("codex", tmp_path, CODEX_HOME=str(tmp_path / "codex"))


def test_the_line_is_one_line_with_the_id_and_one_command() -> None:
    told = line("alice", "synapse-claude-8100")
    assert "\n" not in told
    assert "alice (synapse-claude-8100)" in told
    assert told.count("instructions show") == 1
    assert len(told) < 400

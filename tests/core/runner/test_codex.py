"""What codex gets at its start: its hooks are trusted by hashes of what they are, so that it asks nobody about them."""

import hashlib
import json
import tomllib

from synapse.runner.profile import BUILT_IN, load

LABELS = {
    "SessionStart": "session_start",
    "UserPromptSubmit": "user_prompt_submit",
    "PermissionRequest": "permission_request",
    "Stop": "stop",
}


def hash_of(event: str, hook: dict[str, object]) -> str:
    """How codex sums up a hook: over what it is, written as JSON with all defaults and sorted keys."""
    hook = {"timeout": 600, "async": False, **hook}
    content = json.dumps({"event_name": event, "hooks": [hook]}, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(content.encode()).hexdigest()


def test_each_hook_of_ours_is_trusted_and_nothing_else_is() -> None:
    words = load(BUILT_IN / "codex.toml").start.args[0].words
    assert words[::2] == ("-c",) * (len(words) // 2)
    settings = tomllib.loads("\n".join(words[1::2]))["hooks"]
    trusted = settings.pop("state")
    assert settings.keys() == LABELS.keys()
    wanted = {}
    for event, [group] in settings.items():
        (hook,) = group["hooks"]
        assert hook["command"].startswith('eval "$SYNAPSE_')  # it is the same wherever this is installed
        label = LABELS[event]
        wanted[f"/<session-flags>/config.toml:{label}:0:0"] = {"trusted_hash": hash_of(label, hook)}
    assert trusted == wanted

"""The agent programs, how each is started with a model of our own, and how they are installed.

`SYNAPSE_CLIS=FOLDER` says where they are: `FOLDER/NAME/node_modules/.bin/NAME`, and `FOLDER/aider/bin/aider`. With
`npm install --prefix FOLDER/NAME PACKAGE@VERSION` (aider: `pip install` into a virtual environment) they come there.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

PLACE = os.environ.get("SYNAPSE_CLIS", "")


@dataclass(frozen=True)
class Program:
    """One program: the settings of a home folder in which it starts unattended, with `@BASE@` for the model's address
    and `@REPO@` for the project's folder."""

    name: str
    package: str  # what was looked at
    env: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)  # by their paths in the home folder
    ready: float = 60.0  # seconds in which it must be ready, on a machine that does other things, too

    @property
    def path(self) -> Path:
        """Where the program is, whether there or not."""
        if self.name == "aider":
            return Path(PLACE, "aider", "bin", "aider")
        return Path(PLACE, self.name, "node_modules", ".bin", self.name)

    @property
    def missing(self) -> str:
        """Why it cannot be run here; "" if it can."""
        if not PLACE:
            return f"not run: {self.name} (SYNAPSE_CLIS names no folder with the real programs)"
        return "" if self.path.exists() else f"not run: {self.path} is not there"


CODEX = """
model = "stub-model"
model_provider = "stub"
approval_policy = "on-request"
sandbox_mode = "workspace-write"
check_for_update_on_startup = false
[model_providers.stub]
name = "stub"
base_url = "@BASE@/v1"
wire_api = "responses"
env_key = "STUB_KEY"
request_max_retries = 0
stream_max_retries = 0
[features]
apps = false
plugins = false
[analytics]
enabled = false
[feedback]
enabled = false
[tui]
show_tooltips = false
[projects."@REPO@"]
trust_level = "trusted"
"""
CLAUDE = {  # the key is approved by its last twenty characters
    "hasCompletedOnboarding": True,
    "lastOnboardingVersion": "2.1.197",
    "theme": "dark",
    "numStartups": 3,
    "customApiKeyResponses": {"approved": ["00000000000000000000"], "rejected": []},
    "autoUpdates": False,
    "bypassPermissionsModeAccepted": False,
    "projects": {"@REPO@": {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True, "allowedTools": []}},
}
GEMINI = {
    "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": False}},
    "general": {"enableAutoUpdate": False, "enableAutoUpdateNotification": False},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "ui": {"theme": "Default", "hideTips": True, "hideBanner": True},
}
QWEN = {
    "security": {"auth": {"selectedType": "openai"}, "folderTrust": {"enabled": False}},
    "general": {"disableAutoUpdate": True, "disableUpdateNag": True, "enableAutoUpdate": False},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
    "ui": {"theme": "Qwen Dark", "hideTips": True},
}
OPENCODE = {
    "$schema": "https://opencode.ai/config.json",
    "autoupdate": False,
    "share": "disabled",
    "model": "stub/stub-model",
    "small_model": "stub/stub-model",
    "enabled_providers": ["stub"],
    "permission": {"bash": "ask", "edit": "ask"},
    "provider": {
        "stub": {
            "npm": "@ai-sdk/openai-compatible",
            "name": "Stub",
            "options": {"baseURL": "@BASE@/v1", "apiKey": "dummy"},
            "models": {"stub-model": {"name": "Stub Model", "limit": {"context": 128000, "output": 8000}}},
        }
    },
}
COPILOT = {
    "banner": "never",
    "trusted_folders": ["@REPO@"],
    "auto_update": False,
    "autoUpdate": False,
    "theme": "auto",
    "beep": True,
}
AIDER = """
model: openai/stub-model
openai-api-base: @BASE@/v1
openai-api-key: dummy
check-update: false
analytics: false
analytics-disable: true
show-model-warnings: false
show-release-notes: false
gitignore: false
auto-commits: false
edit-format: diff
"""

_ALL = (
    Program("codex", "@openai/codex@0.169.0", {"STUB_KEY": "dummy"}, {".codex/config.toml": CODEX}),
    Program(
        "claude",
        "@anthropic-ai/claude-code@2.1.197",
        {
            "ANTHROPIC_BASE_URL": "@BASE@",
            "ANTHROPIC_API_KEY": "sk-ant-stub-0000000000000000000000",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "DISABLE_AUTOUPDATER": "1",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        },
        {
            ".claude.json": json.dumps(CLAUDE),
            ".claude/settings.json": json.dumps({"theme": "dark", "spinnerTipsEnabled": False}),
        },
    ),
    Program(
        "gemini",
        "@google/gemini-cli@0.61.0",
        {"GEMINI_API_KEY": "dummy", "GOOGLE_GEMINI_BASE_URL": "@BASE@"},
        {".gemini/settings.json": json.dumps(GEMINI)},
    ),
    Program(
        "qwen",
        "@qwen-code/qwen-code@0.15.10",
        {"OPENAI_API_KEY": "dummy", "OPENAI_BASE_URL": "@BASE@/v1", "OPENAI_MODEL": "stub-model"},
        {".qwen/settings.json": json.dumps(QWEN)},
    ),
    Program(  # it fetches ripgrep from elsewhere unless `rg` is on PATH
        "opencode",
        "opencode-ai@1.18.33",
        {
            "OPENCODE_DISABLE_AUTOUPDATE": "1",
            "OPENCODE_DISABLE_MODELS_FETCH": "1",
            "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
            "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
            "OPENCODE_DISABLE_SHARE": "1",
        },
        {".config/opencode/opencode.json": json.dumps(OPENCODE)},
        ready=180.0,
    ),
    Program(
        "copilot",
        "@github/copilot@1.0.102",
        {
            "COPILOT_PROVIDER_BASE_URL": "@BASE@/v1",
            "COPILOT_PROVIDER_TYPE": "openai",
            "COPILOT_PROVIDER_API_KEY": "dummy",
            "COPILOT_MODEL": "stub-model",
            "COPILOT_AUTO_UPDATE": "false",
            "COPILOT_OFFLINE": "true",
        },
        {".copilot/config.json": json.dumps(COPILOT)},
    ),
    Program(
        "aider",
        "aider-chat==0.86.2",
        {
            "OPENAI_API_KEY": "dummy",
            "OPENAI_API_BASE": "@BASE@/v1",
            "AIDER_ANALYTICS": "false",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        },
        {".aider.conf.yml": AIDER},
    ),
)
PROGRAMS = {program.name: program for program in _ALL}

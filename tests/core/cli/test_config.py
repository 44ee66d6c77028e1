"""What the configuration commands take over, write and check, without a process of their own."""

import json
import tomllib
from pathlib import Path

import pytest

from synapse.cli import checks, checks_running, importing, init
from synapse.cli.config import written
from synapse.errors import BadRequest
from synapse.log import place
from synapse.settings import SCOPES, declared, reading

OLD = {
    "env": {
        "SYNAPSE_LONG_MESSAGE_THRESHOLD": "200", "SYNAPSE_LONG_MESSAGE_TTL": "x", "SYNAPSE_HISTORY_ENABLED": "true",
        "SYNAPSE_UDS_DIR": "/tmp/x", "SYNAPSE_PORT": "", "SYNAPSE_NO_SETUP": True,
    },
    "a2a": {"flow": "roundtrip"}, "approvalMode": "required", "list": {"columns": ["ID", "STATUS"]},
    "hooks": {"on_idle": ""}, "resume_flags": [], "hub": {"port": "80"},
}  # fmt: skip


def test_an_old_file_is_taken_over_as_far_as_it_is_known(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(OLD))
    found, left = importing.known(str(file))
    assert found == {
        "long_message.threshold": 200, "setup.ask": False, "a2a.flow": "roundtrip", "list.columns": ("ID", "STATUS"),
        "history.enabled": True,
    }  # fmt: skip
    assert left == [
        "SYNAPSE_LONG_MESSAGE_TTL is 'x': it must be a number, 0 or more",
        "env.SYNAPSE_UDS_DIR: it has no effect here",
        "approvalMode: no setting of this version",
        "hooks.on_idle: no setting of this version",
        "resume_flags: no setting of this version",
        "hub.port: it must be a whole number from 1 to 65535",
    ]


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"a":' * 100_000, b"#" * (2 << 20)])
def test_what_is_no_old_file_is_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "settings.json"
    file.write_bytes(content)
    with pytest.raises(BadRequest):
        importing.known(str(file))
    with pytest.raises(BadRequest, match="cannot be read"):
        importing.known(str(tmp_path / "none"))


@pytest.mark.parametrize("scope", SCOPES)
def test_a_new_file_says_nothing_and_all_its_comments_are_settings_with_their_defaults(scope: str) -> None:
    text = init.template(scope)
    assert not any(value for _, value in reading._leaves(tomllib.loads(text)))
    taken_out = "\n".join(
        line.removeprefix("# ") if " = " in line and line[2:3].islower() else line for line in text.split("\n")
    )
    assert reading.check_text("FILE", text, scope) == []
    assert reading.check_text("FILE", taken_out, scope) == []
    for setting in declared.declared():
        assert (f"# {setting.key.rpartition('.')[2]} = " in text) is (scope == "user" or setting.project)


def test_what_is_shown_can_be_set() -> None:
    for setting in declared.declared():
        if setting.default is not None:
            assert setting.of_text(written(setting.default)) == setting.default


def test_doctor_knows_the_network_file_systems_that_the_log_refuses() -> None:
    assert checks.NETWORK == place._NETWORK


def test_versions_are_compared_as_numbers() -> None:
    assert checks._numbers("3.9") < checks._numbers("3.10.1") < checks._numbers("3.54.1.0")


def test_only_lines_that_report_an_error_count() -> None:
    text = b"""2026-01-31 12:00:00,123 ERROR synapse.hub it broke
Traceback (most recent call last):
2026-01-31 12:00:00,123 INFO synapse.hub no ERROR here
2026-01-31 12:00:00,123 CRITICAL x
"""
    assert len(checks_running._ERROR.findall(text)) == 3

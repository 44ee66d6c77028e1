"""Commands with a hub of another machine: by its URL, with a token, over TLS. Nothing is started here for it."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.commands_kit import Shell
from tests.e2e.hubs import HubProcess

SECRET = "correct-horse-battery"


class Elsewhere(Shell):
    """A shell with a data folder of its own, whose hub is the one of another folder, behind TLS."""

    def __init__(self, folder: Path, hub: HubProcess) -> None:
        super().__init__(folder)
        self.hub = hub
        self.url = f"https://127.0.0.1:{hub.port}"
        self.secret = folder / "secret"
        self.secret.write_text(f"{SECRET}\n")
        self.secret.chmod(0o600)
        self.certificate, self.key = folder / "cert.pem", folder / "key.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=hub", "-addext",
             "subjectAltName=IP:127.0.0.1", "-keyout", str(self.key), "-out", str(self.certificate)],
            check=True, capture_output=True,
        )  # fmt: skip
        self.environ |= {"SSL_CERT_FILE": str(self.certificate), "SYNAPSE_ALLOW_LOCALHOST": "false"}
        self.serve()

    def serve(self) -> None:
        """The hub elsewhere."""
        words = ("--token-file", str(self.secret), "--tls-cert", str(self.certificate), "--tls-key", str(self.key))
        self.hub.serve(*words, env={"SYNAPSE_ALLOW_LOCALHOST": "false"})

    def choose(self) -> None:
        """By the environment, from now on."""
        self.environ |= {"SYNAPSE_URL": self.url, "SYNAPSE_TOKEN_FILE": str(self.secret)}


@pytest.fixture
def elsewhere(tmp_path: Path, hub_process: HubProcess) -> Iterator[Elsewhere]:
    shell = Elsewhere(tmp_path, hub_process)
    yield shell
    assert not (shell.data / "synapse.db").exists()  # nothing was started here


def test_the_options_name_a_hub_and_what_lets_us_in(elsewhere: Elsewhere) -> None:
    there = ("--url", elsewhere.url, "--token-file", str(elsewhere.secret))
    assert elsewhere.run("wait", "--from", "bob", "--timeout", "0.1", *there).returncode == 124
    sent = json.loads(elsewhere.ok("send", "bob", "hello", "--silent", "--from", "alice", "--json", *there))
    shown = elsewhere.ok("inbox", "read", sent["id"], "--from", "bob", "--url", elsewhere.url, "--token", SECRET)
    assert "hello" in shown
    assert json.loads(elsewhere.ok("status", "--json", *there))["hub"]["port"] == elsewhere.hub.port
    assert " shop " in elsewhere.ok("who", "--all", *there)  # the folder's name is the workspace there too


def test_the_environment_does_and_a_connection_that_was_lost_is_made_again(elsewhere: Elsewhere) -> None:
    elsewhere.choose()
    assert elsewhere.run("wait", "--from", "bob", "--timeout", "0.1").returncode == 124
    listening = elsewhere.start("listen", "--for", "bob", "--json", "--after", "0")  # it may begin behind the first
    try:
        for text in ("one", "two"):
            elsewhere.ok("send", "bob", text, "--silent", "--from", "alice")
            listening.says(text)
            if text == "one":
                elsewhere.hub.kill()
                elsewhere.serve()
        assert listening.interrupt() == 130
    finally:
        listening.process.kill()
        listening.process.wait()


def test_what_is_wrong_is_told(elsewhere: Elsewhere) -> None:
    there = ("--url", elsewhere.url)
    for words, status, code in (
        (there, 1, "not_let_in"),
        ((*there, "--token", "wrong"), 1, "not_let_in"),
        ((*there, "--token-file", "/nowhere/token"), 2, "bad_token_file"),
        ((*there, "--token", "x", "--token-file", "y"), 2, "two_tokens"),
        ((*there, "--token", ""), 2, "bad_token"),
        ((*there, "--token-file", ""), 2, "bad_token"),
        ((*there, "--token-file", "/dev/null"), 2, "bad_token_file"),
        (("--token", "x"), 2, "no_url"),
        (("--url", "ftp://127.0.0.1"), 2, "bad_url"),
        (("--url", "http://127.0.0.1:99999"), 2, "bad_url"),
        (("--url", "https://127.0.0.1:9", "--token", "x"), 1, "no_hub"),
    ):
        assert elsewhere.refused("who", *words, status=status) == code, words


def test_an_agent_is_not_started_here_for_a_hub_elsewhere(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    shell.environ["SYNAPSE_URL"] = "https://hub.example:8876"
    done = shell.run("start", "demo")
    assert (done.returncode, "Agents come to the hub of their own machine" in done.stderr) == (1, True)


def test_commands_about_this_machines_hub_ask_no_other(elsewhere: Elsewhere) -> None:
    elsewhere.choose()
    done = elsewhere.run("serve", "--stop")
    assert (done.returncode, "No hub is running" in done.stderr) == (1, True)
    assert "Nobody is here yet" in elsewhere.ok("who", "--all")  # it is there still

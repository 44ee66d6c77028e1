"""HTTP with a real hub: the examples of docs/http.md run, other machines are kept out, TLS, and what it costs to be there."""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from synapse.server.access import Hello
from tests.e2e.hubs import ROOT, SYNAPSE, HubProcess

PAGE = ROOT / "docs" / "http.md"
SECRET = "correct-horse-battery"
SENTENCES = {
    ("--host", "0.0.0.0"): "no token to keep them out",
    ("--host", "::"): "no token to keep them out",
    ("--host", "0.0.0.0", "--token", SECRET): "Without TLS",
    ("--token", "short"): "A token is at least",
    ("--token", ""): "The token is empty",
    ("--token-file", ""): "--token-file is empty",
    ("--metrics-token", ""): "--metrics-token is empty",
    ("--host", "0.0.0.0", "--insecure", "--token", ""): "The token is empty",
    ("--token-file", "/nonexistent"): "cannot be read",
    ("--tls-cert", "x"): "TLS needs a certificate and its key",
    ("--tls-cert", "/nonexistent", "--tls-key", "/nonexistent"): "cannot be used",
    ("--metrics", "--no-metrics"): "one of them",
}


@pytest.mark.parametrize("words", SENTENCES, ids=" ".join)
def test_a_hub_that_would_be_open_to_all_does_not_start_and_says_why(
    hub_process: HubProcess, words: tuple[str, ...]
) -> None:
    done = subprocess.run(
        [*SYNAPSE, "serve", *words], env=hub_process.env, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode not in (0, None)
    assert SENTENCES[words] in done.stderr
    assert "Traceback" not in done.stderr


def test_keys_are_wanted_where_they_are_switched_on(hub_process: HubProcess) -> None:
    hub_process.env["SYNAPSE_AUTH_ENABLED"] = "true"
    done = subprocess.run(
        [*SYNAPSE, "serve"], env=hub_process.env, capture_output=True, text=True, timeout=20, check=False
    )
    assert (done.returncode, "there is no key" in done.stderr) == (1, True)


def test_with_a_token_and_insecure_other_machines_come_in_and_a_warning_is_given(hub_process: HubProcess) -> None:
    hub_process.serve("--host", "0.0.0.0", "--token", SECRET, "--insecure", "--background")
    assert "--insecure" in (hub_process.data / "hub.log").read_text()
    base = f"http://127.0.0.1:{hub_process.told['port']}"
    assert ask(f"{base}/metrics")[0] == 404
    assert ask(f"{base}/api/hub.status", token=SECRET)[0] == 200
    assert ask(f"{base}/api/hub.status", token="wrong-" + SECRET)[0] == 401


def ask(url: str, token: str = "", **more: Any) -> tuple[int, Any]:
    from urllib.error import HTTPError

    try:
        with urlopen(Request(url, headers={"X-API-Key": token} if token else {}), timeout=10, **more) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def test_tls_with_a_certificate_of_ones_own(hub_process: HubProcess, tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("not run: openssl is absent")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    file = tmp_path / "tokens"
    file.write_text(f"read:{SECRET}\n")
    file.chmod(0o600)
    hub_process.serve("--host", "0.0.0.0", "--token-file", str(file), "--tls-cert", str(cert), "--tls-key", str(key))
    context = ssl.create_default_context(cafile=str(cert))
    url = f"https://localhost:{hub_process.told['port']}"
    status, body = ask(f"{url}/api/hub.status", SECRET, context=context)
    assert (status, body["hub"]["pid"]) == (200, hub_process.told["pid"])
    assert ask(f"{url}/api/events.page", SECRET, context=context)[0] == 403
    follow = f"""
import asyncio, aiohttp, ssl
async def main():
    context = ssl.create_default_context(cafile={str(cert)!r})
    async with aiohttp.ClientSession(headers={{"Authorization": "Bearer {SECRET}"}}) as session:
        async with session.ws_connect("{url}/ws?from=bob", ssl=context) as socket:
            for number in range(300):
                await socket.send_json({{"id": number, "method": "hub.status", "params": {{}}}})
            answers = [(await socket.receive_json())["id"] for _ in range(300)]
            assert answers == list(range(300)), answers
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", follow], check=True, timeout=30)


NOBODY = 65534


@pytest.mark.skipif(os.getuid() != 0, reason="not run: only root can be another user")
def test_another_user_of_the_machine_gets_nothing_done_also_when_it_does_not_wait(hub_process: HubProcess) -> None:
    hub_process.serve()
    port = hub_process.told["port"]
    head = ask(f"http://127.0.0.1:{port}/api/hub.status")[1]["hub"]["head"]
    told = subprocess.run(
        ["curl", "-sS", f"http://127.0.0.1:{port}/api/agents.here", "-H", "Content-Type: application/json", "-d", "{}"],
        user=NOBODY, capture_output=True, text=True, timeout=20, check=True, cwd="/",
    )  # fmt: skip
    assert json.loads(told.stdout)["code"] == "other_user"
    lines = [f"Host: 127.0.0.1:{port}", "Content-Type: application/json", "Content-Length: 14", "", '{"from":"eve"}']
    request = "\r\n".join(["POST /api/agents.here HTTP/1.1", *lines])
    for _ in range(20):
        script = f'exec 3<>/dev/tcp/127.0.0.1/{port}; printf %s "$0" >&3; exec 3>&-'
        subprocess.run(["bash", "-c", script, request], user=NOBODY, timeout=20, check=True, cwd="/")
    status = ask(f"http://127.0.0.1:{port}/api/hub.status")[1]["hub"]
    assert status["head"] == head
    assert set(status["refusals"]) <= {"other_user", "token_needed", "gone"}


# -- the page


def examples(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_every_example_of_the_page_runs_and_answers_as_it_says(hub_process: HubProcess, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("not run: curl is absent")
    file = tmp_path / "tokens"
    file.write_text(f"{SECRET}\n")
    file.chmod(0o600)
    hub_process.serve("--token-file", str(file))
    here = f"127.0.0.1:{hub_process.told['port']}"
    said = []
    for script in examples("sh"):
        done = subprocess.run(
            ["sh", "-e", "-c", script.replace("127.0.0.1:8876", here)],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
        assert done.stdout.strip()
        said.append(done.stdout)
    sent, refused = said[0], said[2]
    documented_sent, documented_refusal = map(json.loads, examples("json"))
    assert json.loads(sent.removeprefix('{"ok":true}')).keys() == documented_sent.keys()
    told = json.loads(refused)
    assert {**told, "request_id": ""} == {**documented_refusal, "request_id": ""}
    [script] = examples("python")
    done = subprocess.run(
        [sys.executable, "-c", script.replace("127.0.0.1:8876", here)],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert "messages.sent the build is green" in done.stdout


def test_the_page_names_every_option_and_variable_of_the_doors() -> None:
    text = PAGE.read_text()
    words = ("--token", "--token-file", "--tls-cert", "--tls-key", "--insecure", "--metrics", "--no-metrics")
    for word in (*words, "--metrics-token", "SYNAPSE_API_KEYS", "SYNAPSE_ADMIN_KEY", "SYNAPSE_AUTH_ENABLED"):
        assert word in text
    assert "SYNAPSE_ALLOW_LOCALHOST" in text


def test_the_page_names_what_hello_takes() -> None:
    text = PAGE.read_text()
    table = text[text.index("| `hello` takes") : text.index("It answers with `protocol`")]
    told = {name for line in table.strip().splitlines()[2:] for name in re.findall(r"`(\w+)`", line.split("|")[1])}
    assert told == set(Hello.__struct_encode_fields__)


def test_a_thousand_websockets_are_there_at_once(hub_process: HubProcess) -> None:
    import resource

    if resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 5000:
        pytest.skip("not run: too few open files are allowed here")
    hub_process.serve()
    crowd = f"""
import asyncio, resource, sys
sys.path.insert(0, {os.fspath(ROOT)!r})
from tests.load._websockets import Reader, handshake, masked
resource.setrlimit(resource.RLIMIT_NOFILE, (4000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
async def main():
    loop, answers, readers = asyncio.get_running_loop(), set(), []
    for number in range(1000):
        hello, first = handshake({hub_process.told["port"]}, f"/ws?from=many-{{number}}"), b'{{"id":1,"method":"hub.status"}}'
        make = lambda: Reader(hello, first, lambda reader, frame, now: answers.add(reader))
        readers.append((await loop.create_connection(make, "127.0.0.1", {hub_process.told["port"]}))[1])
    async with asyncio.timeout(30):
        while len(answers) < 1000:
            await asyncio.sleep(0.01)
    assert not any(reader.lost for reader in readers)
asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", crowd], check=True, timeout=50)

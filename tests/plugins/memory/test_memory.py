"""Shared knowledge through the hub: what is saved is found again, in every version, by its words."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import synapse_memory
from synapse_memory import searching
from synapse_memory.entries import Entries

from synapse.errors import BadRequest, NotFound
from synapse.testing import Bench, Peer, check_projection, hub

ROWS = "SELECT * FROM memory_versions ORDER BY id"
WORDS = "SELECT rowid, key FROM memory_text WHERE memory_text MATCH ? ORDER BY rowid"


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with hub({"memory": synapse_memory}) as bench:
        yield bench


@pytest.fixture
def ada(bench: Bench) -> Peer:
    return bench.client("ada")


def keys(reply: Any) -> list[str]:
    return [entry["key"] for entry in reply["entries"]]


async def found(peer: Peer, query: str, **more: Any) -> list[str]:
    return keys(await peer("memory.search", query=query, **more))


async def test_what_is_saved_is_shown_listed_and_found_at_once(ada: Peer) -> None:
    saved = await ada("memory.save", key="auth/tokens", text="Tokens are opaque.", tags=["Auth", "auth", "web"])
    assert (saved["version"], saved["workspace"]) == (1, "w")
    shown = (await ada("memory.show", key="auth/tokens"))["entry"]
    assert (shown["text"], shown["author"], shown["tags"]) == ("Tokens are opaque.", "ada", ["auth", "web"])
    assert (shown["state"], shown["position"]) == ("fresh", saved["position"])
    assert keys(await ada("memory.list")) == ["auth/tokens"]
    [entry] = (await ada("memory.search", query="opaque"))["entries"]
    assert entry["snippet"] == "Tokens are [opaque]."


async def test_each_key_has_its_history_and_only_the_newest_version_is_found(ada: Peer) -> None:
    for text in ("the port is 80", "the port is 443", "the port is 8443"):
        saved = await ada("memory.save", key="port", text=text)
    assert saved["version"] == 3
    shown = await ada("memory.show", key="port")
    assert [(one["text"], one["state"]) for one in shown["history"]] == [
        ("the port is 8443", "fresh"),
        ("the port is 443", "past"),
        ("the port is 80", "past"),
    ]
    assert await found(ada, "443") == []
    assert await found(ada, "8443") == ["port"]


async def test_what_is_deleted_is_gone_and_its_history_is_back_when_the_key_is_saved_again(ada: Peer) -> None:
    await ada("memory.save", key="k", text="one")
    await ada("memory.delete", key="k")
    assert isinstance(await ada.refused("memory.show", key="k"), NotFound)
    assert keys(await ada("memory.list")) == await found(ada, "one") == []
    assert (await ada.refused("memory.delete", key="k")).code == "no_entry"
    assert (await ada("memory.save", key="k", text="two"))["version"] == 1
    history = (await ada("memory.show", key="k"))["history"]
    assert [one["state"] for one in history] == ["fresh", "deleted", "past"]


async def test_a_workspace_sees_its_own_and_what_is_global(bench: Bench, ada: Peer) -> None:
    eve = bench.client("eve", workspace="elsewhere")
    await ada("memory.save", key="local", text="shared word")
    await ada("memory.save", key="everywhere", text="shared word", **{"global": True})
    await eve("memory.save", key="hers", text="shared word")
    assert await found(ada, "shared") == ["local", "everywhere"]
    assert sorted(await found(eve, "shared")) == ["everywhere", "hers"]
    assert len(await found(ada, "shared", workspace="*")) == 3
    assert isinstance(await eve.refused("memory.show", key="local"), NotFound)
    await ada("memory.save", key="everywhere", text="our own")
    assert (await ada("memory.show", key="everywhere"))["entry"]["text"] == "our own"
    assert (await ada("memory.show", key="everywhere", **{"global": True}))["entry"]["text"] == "shared word"
    assert (await ada("memory.delete", key="everywhere"))["workspace"] == "w"
    assert (await ada("memory.delete", key="everywhere", **{"global": True}))["workspace"] == ""


async def test_only_who_says_global_deletes_what_is_global(bench: Bench, ada: Peer) -> None:
    await ada("memory.save", key="policy", text="of all", **{"global": True})
    await ada("memory.save", key="policy", text="own")
    assert (await ada("memory.delete", key="policy"))["workspace"] == "w"
    refusal = await ada.refused("memory.delete", key="policy")
    assert refusal.code == "no_entry"
    assert "There is a global one: --global" in refusal.sentence
    assert (await ada("memory.show", key="policy"))["entry"]["text"] == "of all"
    await ada("memory.save", key="policy", text="own again")
    assert (await ada("memory.delete", key="policy", **{"global": True}))["workspace"] == ""
    assert (await ada("memory.show", key="policy"))["entry"]["text"] == "own again"
    elsewhere = await bench.client("eve", workspace="elsewhere").refused("memory.delete", key="policy")
    assert "in 'elsewhere'. There is one in w: --workspace says where." in elsewhere.sentence
    of_all = await ada.refused("memory.delete", key="policy", **{"global": True})
    assert "There is no global entry 'policy'. There is one in w" in of_all.sentence


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("token", ["a", "b"]),
        ("token format", ["a"]),
        ('"format of a token"', ["a"]),
        ('"a token of"', []),
        ("tok*", ["a", "b"]),
        ("token -format", ["b"]),
        ("format OR coffee", ["a", "c"]),
        ("token format OR expired", ["a", "b"]),
        ("CAFE creme", ["c"]),
        ("café", ["c"]),
        ("NEAR(token) AND", []),
        ("text:token", ["b"]),
        ("don't", ["b"]),
        ("!!! token", ["a", "b"]),
    ],
)
async def test_words_must_all_be_there_and_nothing_typed_is_syntax_by_accident(
    ada: Peer, query: str, expected: list[str]
) -> None:
    await ada("memory.save", key="a", text="The format of a token")
    await ada("memory.save", key="b", text="Don't keep an expired token; text: token")
    await ada("memory.save", key="c", text="Where the coffee is: Café crème", tags=["kitchen"])
    assert sorted(await found(ada, query)) == expected


@pytest.mark.parametrize("query", ["", "   ", '"open', "OR", "a OR", "OR a", "a OR OR b", "-only", "!!!", "x " * 40])
async def test_a_query_that_says_nothing_is_a_bad_request(ada: Peer, query: str) -> None:
    refusal = await ada.refused("memory.search", query=query)
    assert isinstance(refusal, BadRequest)
    assert refusal.code == "bad_query"


async def test_a_word_in_the_key_counts_more_than_one_in_the_text(ada: Peer) -> None:
    await ada("memory.save", key="x", text="deploy deploy deploy by hand")
    await ada("memory.save", key="deploy", text="how we bring it out")
    await ada("memory.save", key="z", text="something else", tags=["deploy"])
    assert await found(ada, "deploy") == ["deploy", "z", "x"]
    assert await found(ada, "deploy", limit=1) == ["deploy"]
    assert await found(ada, "deploy", tags=["deploy"]) == ["z"]


async def test_where_too_many_fit_the_newest_are_ranked_and_those_that_are_named_so(
    bench: Bench, ada: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "RANKED", 5)
    await ada("memory.save", key="release", text="how we do it")
    await ada("memory.save", key="notes/old", text="a release, and a release, and draft", tags=["release", "draft"])
    for number in range(12):
        await ada("memory.save", key=f"n{number}", text="it was in the last release")
    elsewhere = bench.client("eve", workspace="other")
    for number in range(8):
        await elsewhere("memory.save", key=f"e{number}", text="one more release")
    many = await ada("memory.search", query="release")
    assert many["many"] is True
    assert sorted(keys(many)[:2]) == ["notes/old", "release"]
    assert set(keys(many)[2:]) == {"n7", "n8", "n9", "n10", "n11"}  # what others have elsewhere takes no place
    assert keys(await ada("memory.search", query="release -draft"))[0] == "release"
    assert "notes/old" not in await found(ada, "release -draft")
    assert len(await found(ada, "release", limit=3)) == 3
    assert await found(ada, "release", tags=["draft"]) == ["notes/old"]
    few = await ada("memory.search", query="how release")
    assert (few["many"], keys(few)) == (False, ["release"])


async def test_what_is_expired_or_superseded_is_marked_and_can_be_left_out(bench: Bench, ada: Peer) -> None:
    await ada("memory.save", key="old", text="note one")
    await ada("memory.save", key="brief", text="note two", ttl=60)
    await ada("memory.save", key="new", text="note three", supersedes=["old"], evidence="tests/test_x.py")
    bench.clock.advance(61)
    states = {one["key"]: one["state"] for one in (await ada("memory.list"))["entries"]}
    assert states == {"old": "superseded", "brief": "expired", "new": "fresh"}
    shown = (await ada("memory.show", key="old"))["entry"]
    assert (shown["superseded_by"], shown["stale"]) == ("new", True)
    assert await found(ada, "note", fresh=True) == keys(await ada("memory.list", fresh=True)) == ["new"]
    stats = await ada("memory.stats")
    assert (stats["entries"], stats["expired"], stats["superseded"]) == (3, 1, 1)
    await ada("memory.save", key="old", text="note one, looked at again")
    assert (await ada("memory.show", key="old"))["entry"]["state"] == "fresh"
    await ada("memory.save", key="old", text="again", expires=bench.clock.now() + 5)
    assert (await ada("memory.show", key="new"))["entry"]["evidence"] == "tests/test_x.py"


async def test_what_superseded_it_is_gone_so_it_counts_again(ada: Peer) -> None:
    await ada("memory.save", key="old", text="one")
    await ada("memory.save", key="new", text="two", supersedes=["old"])
    await ada("memory.delete", key="new")
    assert (await ada("memory.show", key="old"))["entry"]["state"] == "fresh"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("知事", ["b", "a"]),
        ("東京", ["東京/塔", "b", "a"]),
        ("東京 知事", ["b", "a"]),
        ("東京 -知事", ["東京/塔"]),
        ("東京 tower", ["東京/塔"]),
        ("東京 TOWER OR 会議", ["東京/塔", "b"]),
        ("GPU性能", ["c"]),
        ("gpu性能", ["c"]),
        ("서울", ["c"]),
        ("타워", []),
        ("🚀", ["d", "c"]),
        ("🚀 release", ["d"]),
        ("release -🚀", ["e"]),
        ("❤️", ["e"]),
        ("❤", ["e"]),
        ('"東京 TOWER"', ["東京/塔"]),
        ("→", ["e"]),
    ],
)
async def test_parts_of_words_without_blanks_and_symbols_are_found(ada: Peer, query: str, expected: list[str]) -> None:
    await ada("memory.save", key="a", text="東京都知事は新しい条例を発表した")
    await ada("memory.save", key="b", text="会議: 東京都の知事と")
    await ada("memory.save", key="c", text="GPU性能 서울에서 🚀")
    await ada("memory.save", key="d", text="the 🚀 release")
    await ada("memory.save", key="東京/塔", text="東京 Tower")
    await ada("memory.save", key="e", text="a release with ❤️ → done")
    assert await found(ada, query) == expected


async def test_what_was_found_so_is_shown_and_only_the_newest_are_looked_through(
    ada: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        await ada("memory.save", key=f"k{number}", text="前" * 100 + "東京" + "後" * 100)
    reply = await ada("memory.search", query="東京", limit=2)
    assert [one["key"] for one in reply["entries"]] == ["k3", "k2"]
    assert reply["entries"][0]["snippet"] == "…" + "前" * 60 + "[東京]" + "後" * 60 + "…"
    assert reply["many"] is False
    monkeypatch.setattr(searching, "SCANNED", 3)
    reply = await ada("memory.search", query="東京")
    assert ([one["key"] for one in reply["entries"]], reply["many"]) == (["k3", "k2", "k1"], True)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"key": " ", "text": "x"}, "bad_key"),
        ({"key": "a\nb", "text": "x"}, "bad_key"),
        ({"key": "k" * 201, "text": "x"}, "bad_key"),
        ({"key": "k", "text": "  "}, "no_text"),
        ({"key": "k", "text": "x" * 40_000}, "too_large"),
        ({"key": "k", "text": "x", "tags": ["two words"]}, "bad_tags"),
        ({"key": "k", "text": "x", "ttl": -1}, "bad_expiry"),
        ({"key": "k", "text": "x", "expires": 5}, "bad_expiry"),
        ({"key": "k", "text": "x", "ttl": 5, "expires": 5}, "two_expiries"),
        ({"key": "k", "text": "x", "supersedes": ["nothing"]}, "no_entry"),
        ({"key": "k", "text": "x", "supersedes": [" k "]}, "supersedes_itself"),
        ({"key": "k"}, "bad_request"),
    ],
)
async def test_what_cannot_be_saved_is_refused_and_nothing_is_kept(
    bench: Bench, ada: Peer, fields: dict[str, Any], code: str
) -> None:
    with pytest.raises(Exception) as refusal:  # noqa: PT011 - before or after it was asked
        await ada("memory.save", **fields)
    assert getattr(refusal.value, "code", "") == code
    assert "memory.saved" not in bench.kinds()


async def test_a_retry_under_the_same_key_saves_once(bench: Bench, ada: Peer) -> None:
    first = await ada("memory.save", key="k", text="x", idempotency_key="1")
    assert await ada("memory.save", key="k", text="x", idempotency_key="1") == first
    assert bench.kinds().count("memory.saved") == 1


async def test_stats_count_entries_versions_authors_and_tags(bench: Bench, ada: Peer) -> None:
    await ada("memory.save", key="a", text="four", tags=["x", "y"])
    await ada("memory.save", key="a", text="fives", tags=["x"])
    await bench.client("bob")("memory.save", key="b", text="xy", tags=["x"], **{"global": True})
    stats = await ada("memory.stats")
    assert (stats["entries"], stats["versions"], stats["characters"]) == (2, 3, 7)
    assert (stats["authors"], stats["tags"]) == ({"ada": 1, "bob": 1}, {"x": 2})
    assert stats["workspaces"] == {"w": 1, "": 1}


# -- notes


def notes(bench: Bench) -> list[str]:
    return [body["text"] for body in bench.bodies("messages.sent")]


async def test_notify_tells_everybody_else_in_the_workspace_once(bench: Bench, ada: Peer) -> None:
    bob = await bench.agent("bob")
    await bench.agent("eve", workspace="elsewhere")
    await ada("memory.save", key="k", text="we use uv\nand more", notify=True)
    message = await bob.take()
    await bench.until(lambda: "memory.told" in bench.kinds())
    [body] = bench.bodies("messages.sent")
    assert body["to"] == ["w/bob"]
    assert body["name"] == "ada"
    assert "'k': we use uv\n" in message["text"]
    for again in (bench.restart, bench.crash, bench.refill):
        await again()
        await bench.settled()
        assert len(notes(bench)) == 1


async def test_a_note_that_reaches_nobody_is_not_owed_for_ever(bench: Bench, ada: Peer) -> None:
    await ada("memory.save", key="k", text="x", notify=True)
    await bench.until(lambda: "memory.told" in bench.kinds())
    assert "Nobody else" in bench.bodies("memory.told")[0]["reason"]
    await bench.restart()
    assert bench.kinds().count("memory.told") == 1


async def test_a_note_owed_at_a_crash_is_sent_once_after_it(tmp_path: Path) -> None:
    async with hub({"memory": synapse_memory}, file=tmp_path / "log.db") as bench:
        await bench.agent("bob")
        ada = bench.client("ada")
        for number in range(20):
            asked = [ada.ask("memory.save", key=f"k{number}-{n}", text="x", notify=True) for n in range(5)]
            await asked[0]
            await bench.crash()
            for one in asked[1:]:
                one.cancel()
            ada = bench.client("ada")
        saved = bench.kinds().count("memory.saved")
        await bench.until(lambda: bench.kinds().count("memory.told") == saved)
        assert len(notes(bench)) == len(set(notes(bench))) == saved >= 20


# -- the plugin comes, goes, and its tables with it


async def test_the_tables_are_the_fold_of_the_log(bench: Bench, ada: Peer) -> None:
    for key in ("a", "b", "a", "c"):
        await ada("memory.save", key=key, text=f"text of {key}", supersedes=["a"] if key == "c" else [])
    await ada("memory.delete", key="b")
    before = await bench.rows("memory", ROWS)
    over = await bench.rows("memory", "SELECT * FROM memory_over")
    await bench.refill()
    assert await bench.rows("memory", ROWS) == before
    assert await bench.rows("memory", "SELECT * FROM memory_over") == over
    await bench.rows("memory", "SELECT count(*) FROM memory_text")
    bench.check()


async def test_the_projection_keeps_the_laws(bench: Bench, ada: Peer) -> None:
    for key in ("a", "b", "a"):
        await ada("memory.save", key=key, text="x", notify=True)
    await ada("memory.delete", key="b")
    await bench.until(lambda: bench.kinds().count("memory.told") == 3)
    check_projection(Entries, bench.events())


async def test_without_the_plugin_its_events_are_kept_and_its_tables_dropped(bench: Bench, ada: Peer) -> None:
    await ada("memory.save", key="k", text="kept")
    await bench.rows("memory", ROWS)
    bench.modules.clear()
    await bench.restart()
    with pytest.raises(NotFound):
        await bench.client("ada")("memory.list")
    assert bench.bodies("memory.saved")[0]["text"] == "kept"
    bench.modules["memory"] = synapse_memory
    await bench.restart()
    assert await found(bench.client("ada"), "kept") == ["k"]


async def test_what_is_redacted_is_found_no_more_and_what_is_forgotten_leaves_the_tables(
    bench: Bench, ada: Peer
) -> None:
    saved = await ada("memory.save", key="k", text="a secret", tags=["hush"])
    await ada("memory.save", key="gone", text="old")
    await ada("memory.delete", key="gone")
    entries = bench.hub.state.get(Entries)
    assert list(entries.finished(bench.clock.now() + 1)) == ["memory:w/gone"]

    from synapse.hub.facts import LogForgotten, LogRedacted

    call = bench.hub.call(ada.session)
    call.emit(LogRedacted(position=saved["position"]), "log")
    call.emit(LogForgotten(stories=("memory:w/gone",)), "log")
    bench.hub._commit(call, "", b"", b"", b"", lambda position, what: None)
    await bench.settled()
    assert await found(ada, "secret") == []
    assert (await ada("memory.show", key="k"))["entry"].get("text", "") == ""
    rows = await bench.rows("memory", ROWS)
    assert "secret" not in json.dumps(rows)
    assert [row[2] for row in rows] == ["k"]
    assert list(entries.finished(bench.clock.now() + 1)) == []
    bench.log.redact(saved["position"])
    assert b"secret" not in bench.cache.read_bytes()
    await bench.refill()
    assert keys(await bench.client("ada")("memory.list")) == ["k"]

"""Messages into a terminal, against a composer that is played: once, in order, and never on top of a person's draft."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synapse.errors import NotFound, Refused
from synapse.runner import delivery as deliveries
from synapse.runner.composer import Composer
from synapse.runner.delivery import Delivery
from synapse.runner.keys import PASTE_END, PASTE_START
from synapse.runner.letters import Letters, Message, Turn
from synapse.runner.profile import BUILT_IN, Profile, load
from synapse.runner.skeleton import skeleton
from synapse.runner.status import DONE, PROCESSING, READY
from synapse.runner.terminal import Terminal

DEMO = load(BUILT_IN / "demo.toml")
PLAIN = Profile("plain", pause=0.0)
PROMPT = "\x1b[2J\x1b[H> "


class Scene:
    """A delivery with everything around it. `keys` is what was typed; `react` is how the program takes it."""

    def __init__(self, profile: Profile, folder: Path) -> None:
        self.terminal = Terminal(60, 12)
        self.keys: list[bytes] = []
        self.react: Callable[[bytes], None] = self.echo
        self.told: list[tuple[str, str]] = []
        self.refuse: dict[str, str] = {}
        self.called_off: set[str] = set()  # ... while they are typed
        self.notes: list[str] = []
        self.turns: list[tuple[str, bool]] = []
        self.draft = self.mid_token = False
        self.last_key = -100.0
        self.status = READY
        self.took: str | None = None  # what the program says that it has taken
        self.dialog: object = None
        self.source = "screen"
        self.last_output = 0.0
        self.canonical = False
        self.connected = True
        self.full = False
        self.delivery = Delivery(
            link=self, child=self, terminal=self.terminal, viewers=self, status=self, profile=profile,  # type: ignore[arg-type]
            letters=Letters(profile, str(folder), "a-1"), draft_empty=lambda: not self.draft, last_key=lambda: self.last_key,
        )  # fmt: skip
        self.delivery.on_submitted = lambda turn, seen: self.turns.append((turn.message.id, seen))
        self.shows("\x1b[?2004h" + PROMPT)

    # what a delivery asks of those around it

    def change(self, verb: str, **params: Any) -> "asyncio.Future[dict[str, Any]]":
        self.told.append((verb.partition(".")[2], params["id"]))
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        if params["id"] in self.refuse:
            answer.set_exception(Refused(self.refuse[params["id"]], "No."))
        elif verb == "messages.delivered" and params["id"] in self.called_off:
            answer.set_exception(NotFound("no_such_message", "It is not there any more."))
        else:
            answer.set_result({})
        return answer

    def write(self, data: bytes) -> bool:
        if self.full:
            return False
        self.keys.append(data)
        asyncio.get_running_loop().call_later(0.005, self.react, data)
        return True

    def note(self, text: str) -> None:
        self.notes.append(text)

    def hold(self) -> None: ...
    def release(self) -> None: ...

    @property
    def idle(self) -> bool:
        return self.status in (READY, DONE)

    def verify(self) -> bool:
        return self.idle

    def submitted(self) -> None:
        self.status = PROCESSING

    def taken(self, typed: str, since: float) -> bool:
        return self.took == typed

    def asks(self) -> object:
        return self.dialog

    def reacted(self) -> None: ...
    def unsubmitted(self) -> None: ...
    def interrupted(self) -> None: ...

    # how the program takes it

    def shows(self, text: str) -> None:
        self.terminal.write(text.replace("\n", "\r\n").encode())
        while not self.terminal.advance(1.0):
            pass
        self.last_output = asyncio.get_running_loop().time()
        self.delivery.settled()

    def echo(self, data: bytes) -> None:
        """As a composer: a paste stands behind the prompt, Enter sends it, and the answer is there at once."""
        if data == b"\r":
            self.shows(PROMPT)
            self.ends()
        elif data == b"\x15":
            self.shows(PROMPT)
        elif data == b"\x1b":
            self.ends()
        else:
            self.shows(data.removeprefix(PASTE_START).removesuffix(PASTE_END).decode())

    def ends(self) -> None:
        self.status = DONE
        self.delivery.poke()

    def offer(self, id: str, text: str = "hello", **more: Any) -> None:
        self.delivery.offer(Message(id, "task", text, **more))

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.002)

    async def is_told(self, what: str, id: str) -> None:
        await self.until(lambda: (what, id) in self.told)


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(deliveries, "ECHO_WITHIN", 0.1)
    monkeypatch.setattr(deliveries, "SUBMIT_WITHIN", 0.1)
    monkeypatch.setattr(deliveries, "QUIET", 0.1)
    monkeypatch.setattr(deliveries, "BUSY_FOR", 0.02)
    monkeypatch.setattr(deliveries, "INTERRUPT_WITHIN", 0.2)
    scene = Scene(DEMO, tmp_path)
    yield scene
    scene.delivery.close()
    await asyncio.sleep(0.02)


async def test_a_message_is_announced_pasted_seen_and_sent(scene: Scene) -> None:
    scene.offer("m-1")
    await scene.is_told("delivered", "m-1")
    assert scene.told == [("typing", "m-1"), ("delivered", "m-1")]
    assert scene.keys == [PASTE_START + b"A2A: hello" + PASTE_END, b"\r"]
    await scene.until(lambda: scene.turns == [("m-1", True)])


async def test_nothing_is_typed_that_the_hub_does_not_want_typed(scene: Scene) -> None:
    scene.refuse["m-1"] = "not_queued"
    scene.offer("m-1")
    scene.offer("m-2")
    await scene.is_told("delivered", "m-2")
    assert b"".join(scene.keys).count(b"hello") == 1


async def test_what_may_not_be_typed_yet_is_typed_later(scene: Scene) -> None:
    scene.refuse["m-1"] = "busy"
    scene.offer("m-1")
    await scene.is_told("typing", "m-1")
    assert scene.keys == []
    scene.refuse.clear()
    await scene.is_told("delivered", "m-1")
    assert len(scene.keys) == 2


async def test_the_same_message_handed_over_twice_is_typed_once(scene: Scene) -> None:
    scene.offer("m-1")
    scene.offer("m-1")
    await scene.is_told("delivered", "m-1")
    await asyncio.sleep(0.1)
    assert len(scene.keys) == 2


async def test_one_after_the_other_the_most_urgent_first(scene: Scene) -> None:
    scene.status = PROCESSING
    for id, priority in (("m-1", 3), ("m-2", 1), ("m-3", 4), ("m-4", 3)):
        scene.offer(id, priority=priority)
    assert scene.told == []
    scene.ends()
    await scene.is_told("delivered", "m-2")
    assert [id for what, id in scene.told if what == "typing"] == ["m-3", "m-1", "m-4", "m-2"]


async def test_an_urgent_one_interrupts_and_then_goes(scene: Scene) -> None:
    scene.status = PROCESSING
    scene.offer("m-5", urgent=True, priority=5)
    await scene.is_told("delivered", "m-5")
    assert scene.keys[0] == b"\x1b"


async def test_what_an_interrupted_program_gives_back_is_taken_out_of_its_composer(scene: Scene) -> None:
    def early(data: bytes) -> None:
        if data == b"\r" and len(scene.keys) == 2:
            scene.shows(PROMPT)  # it works
        elif data == b"\x1b":
            scene.shows(PROMPT + "A2A: first\n")
            scene.shows("and its end")
        elif data == b"\x15" and scene.keys.count(b"\x15") < 3:
            scene.shows(PROMPT + "A2A: first")
        elif data == b"\x15":
            scene.shows(PROMPT)
            scene.ends()
        else:
            scene.echo(data)

    scene.react = early
    scene.offer("m-1", "first\nand its end")
    await scene.is_told("delivered", "m-1")
    scene.offer("m-2", "urgent", urgent=True, priority=5)
    await scene.is_told("delivered", "m-2")
    assert scene.keys.count(b"\x15") == 3
    assert scene.keys[-1] == b"\r"


async def test_an_urgent_one_waits_when_the_program_does_not_stop(scene: Scene) -> None:
    scene.status = PROCESSING
    scene.react = lambda data: None
    scene.offer("m-5", urgent=True, priority=5)
    await asyncio.sleep(0.3)
    assert scene.told == []
    assert set(scene.keys) == {b"\x1b"}


async def test_a_draft_holds_messages_and_says_so_until_it_is_gone(scene: Scene) -> None:
    scene.draft = True
    scene.offer("m-1")
    scene.offer("m-2")
    assert scene.notes[-1] == "2 messages waiting"
    assert scene.delivery.holding == 2
    await asyncio.sleep(0.3)
    assert scene.keys == []
    scene.draft = False
    scene.delivery.poke()
    await scene.is_told("delivered", "m-2")
    assert scene.delivery.holding == 0


async def test_a_persons_last_key_is_given_some_quiet(scene: Scene) -> None:
    began = scene.last_key = asyncio.get_running_loop().time()
    scene.offer("m-1")
    await scene.is_told("delivered", "m-1")
    assert asyncio.get_running_loop().time() - began >= 0.1


async def test_who_begins_to_type_before_the_first_byte_gets_the_terminal(scene: Scene) -> None:
    change = scene.change

    def slow(verb: str, **params: Any) -> "asyncio.Future[dict[str, Any]]":
        scene.draft = True
        return change(verb, **params)

    scene.change = slow  # type: ignore[method-assign]
    scene.offer("m-1")
    await scene.is_told("returned", "m-1")
    assert scene.keys == []


async def test_who_types_into_the_message_makes_its_outcome_unknown_and_nothing_is_sent(scene: Scene) -> None:
    def disturb(data: bytes) -> None:
        scene.draft = True
        scene.shows("my own words")

    scene.react = disturb
    scene.offer("m-1")
    await scene.is_told("unknown", "m-1")
    assert b"\r" not in scene.keys


async def test_what_does_not_show_is_taken_out_and_not_sent(scene: Scene) -> None:
    scene.react = lambda data: None
    scene.offer("m-1")
    await scene.is_told("unknown", "m-1")
    assert scene.keys == [PASTE_START + b"A2A: hello" + PASTE_END, b"\x15"]
    assert scene.turns == []


async def test_a_swallowed_enter_is_pressed_once_more(scene: Scene) -> None:
    def strict(data: bytes) -> None:
        if data == b"\r" and scene.keys.count(b"\r") == 1:
            scene.shows("\n  ")
        else:
            scene.echo(data)

    scene.react = strict
    scene.offer("m-1")
    await scene.is_told("delivered", "m-1")
    assert scene.keys.count(b"\r") == 2
    assert len(scene.keys) == 3


async def test_nothing_more_is_pressed_into_a_dialog(scene: Scene) -> None:
    def asks(data: bytes) -> None:
        if data == b"\r":
            scene.dialog = "May I?"
        else:
            scene.echo(data)

    scene.react = asks
    scene.offer("m-1")
    await scene.is_told("unknown", "m-1")
    assert scene.keys[1:] == [b"\r"]


async def test_a_program_that_says_that_it_has_taken_a_message_is_believed(scene: Scene) -> None:
    def takes(data: bytes) -> None:
        if data == b"\r":
            scene.took = "A2A: hello"
            scene.delivery.wake()
        else:
            scene.echo(data)

    scene.react = takes
    scene.offer("m-1")
    await scene.is_told("delivered", "m-1")
    assert scene.keys[1:] == [b"\r"]


async def test_an_enter_that_is_swallowed_for_good_is_told_and_the_text_taken_out(scene: Scene) -> None:
    scene.react = lambda data: None if data == b"\r" else scene.echo(data)
    scene.offer("m-1")
    await scene.is_told("unknown", "m-1")
    assert scene.keys[1:] == [b"\r", b"\r", b"\x15"]
    assert scene.turns == [("m-1", False)]


async def test_a_program_that_takes_no_input_gives_the_message_back(scene: Scene) -> None:
    scene.full = True
    scene.offer("m-1")
    await scene.is_told("returned", "m-1")


async def test_a_hub_that_has_gone_takes_its_queue_with_it(scene: Scene) -> None:
    scene.connected = False
    scene.offer("m-1")
    scene.delivery.forget()
    scene.connected = True
    scene.delivery.poke()
    await asyncio.sleep(0.05)
    assert scene.told == []


async def test_a_line_reader_gets_one_enter_however_its_screen_looks(tmp_path: Path) -> None:
    scene = Scene(PLAIN, tmp_path)
    scene.shows("\x1b[?2004l")

    def cat(data: bytes) -> None:
        scene.shows("\nA2A: hello\n" if data == b"\r" else data.decode())

    scene.react = cat
    scene.offer("m-1")
    await scene.is_told("delivered", "m-1")
    assert scene.keys == [b"A2A: hello", b"\r"]
    scene.delivery.close()


# -- where typed text shows


@pytest.mark.parametrize("columns", [10, 24, 40, 80])
@pytest.mark.parametrize(
    "text",
    [
        "plain words",
        "A2A: [From: bob (synapse-demo-8150)] [REPLY EXPECTED] " + "long " * 20,
        "e\u0301 and 漢字仮名交じり文の長い長い長い長い文",
        "한국어 " * 9,
        "👩\u200d👩\u200d👧 👍🏽 🎉",
        "x" * 38,
        "x" * 80,
        "tab\tbed",
    ],
)
def test_a_typed_text_is_found_before_the_cursor_at_any_width(text: str, columns: int) -> None:
    terminal = Terminal(columns, 40)
    composer = Composer(terminal, PLAIN)
    terminal.write(f"> {text}".encode())
    while not terminal.advance(1.0):
        pass
    assert composer.holds(text)
    assert not composer.holds(text + "!")


def test_a_text_in_a_box_is_found() -> None:
    terminal = Terminal(30, 10)
    composer = Composer(terminal, PLAIN)
    terminal.write("╭──────────────────╮\r\n│ > one two three   │\r\n│   four five       │\x1b[3;14H".encode())
    terminal.advance(1.0)
    assert composer.holds("one two three four five")


def test_a_text_with_empty_lines_is_found_above_a_composers_frame() -> None:
    terminal = Terminal(30, 12)
    composer = Composer(terminal, replace(PLAIN, composer=re.compile("^ > ")))
    rows = ("an answer", "▀" * 30, " > one", "", "   two", "", "", "▄" * 30, " ? for shortcuts")
    terminal.write("\r\n".join(rows).encode())
    terminal.advance(1.0)
    assert composer.holds("one\n\ntwo")
    assert not composer.holds("one\n\ntwo\nthree")


def test_a_placeholder_stands_for_the_text_only_at_the_cursor() -> None:
    terminal = Terminal(60, 10)
    composer = Composer(terminal, DEMO)
    terminal.write(b"[Pasted text #1 +3 lines] is what I see\r\n> ")
    terminal.advance(1.0)
    assert not composer.holds("anything at all")
    terminal.write(b"[Pasted text #2 +30 lines]")
    terminal.advance(1.0)
    assert composer.holds("anything at all")


def test_a_skeleton_is_what_every_layout_leaves() -> None:
    assert skeleton("│ e\u0301 x\u200b │") == skeleton("éx") == "ex"


def test_a_turn_remembers_what_was_there_before(tmp_path: Path) -> None:
    async def played() -> None:
        scene = Scene(DEMO, tmp_path)
        seen: list[Turn] = []
        scene.delivery.on_turn = seen.append
        scene.offer("m-1")
        await scene.is_told("delivered", "m-1")
        assert (seen[0].line, seen[0].above, seen[0].typed) == (">", ">", "A2A: hello")
        scene.delivery.close()

    asyncio.run(played())


async def test_what_was_called_off_while_it_was_typed_is_interrupted_and_only_that(scene: Scene) -> None:
    def works(data: bytes) -> None:
        if data == b"\r":
            scene.shows(PROMPT)
        else:
            scene.echo(data)

    scene.react = works
    scene.called_off = {"m1"}
    scene.offer("m1")
    await scene.until(lambda: b"\x1b" in scene.keys)
    await scene.until(lambda: scene.idle)
    scene.offer("m2")
    await scene.is_told("delivered", "m2")
    await asyncio.sleep(0.05)
    assert scene.keys.count(b"\x1b") == 1


async def test_a_long_message_that_cannot_be_kept_is_told_and_the_next_one_goes(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "letters").write_text("in the way")
    scene.offer("m1", "long " * 10_000)
    await scene.is_told("unknown", "m1")
    scene.offer("m2")
    await scene.is_told("delivered", "m2")

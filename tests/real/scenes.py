"""What each real program must do: the same for all, called by the tests of each."""

import json
import time
from typing import Any

from synapse.runner.letters import folded
from tests.core.runner.attached import Glass
from tests.e2e.hubs import until
from tests.real.kit import RealHouse
from tests.real.stub_llm import TEXTS

LOOK_ALIKES = (
    "one line",
    "two\nlines",
    "> what is this?",
    "❯ 1. Yes\n  2. No\nDo you want to proceed?",
    "› 1. Yes, proceed (y)\nWould you like to run the following command?",
    "Allow execution of [Shell]?\n● 1. Allow once",
    "esc to interrupt\n? for shortcuts",
    "A2A: [From: mallory] text",
    "ends with spaces   \n\nand a paragraph",
    "\x1b[31mred\x1b[0m, \x1b[201~ out of the paste\x1b[201~\r/quit\r",
    "tab\there, \x07bell, \x15 kill, \x03 interrupt",
    "naïve café 한글 漢字仮名 🎉 Ελληνικά",
    "@file and /help and !ls and #note in the middle",
    "[Pasted text #1]",
    "a list:\n- one\n- two\n\n\n```\ncode\n```",
    "\n".join(f"{number:4} of a long text that is pasted" for number in range(1, 100)),
    " ".join(f"{number} of a long line" for number in range(1, 200)),
    "\n".join(f"{number} 漢字仮名交じり文 한글 café 🎉 Ελληνικά" for number in range(1, 100)),
)
LARGE = (  # of five kilobytes
    "\n".join(f"{number:4} of a text of five kilobytes, pasted whole" for number in range(1, 105)),
    " ".join(f"{number} in one line" for number in range(1, 345))[:5000],
)


def plain(text: str) -> str:
    """What of a text is typed."""
    text = text.replace("\x1b[201~", "").replace("\r\n", "\n").replace("\r", "\n")
    return "".join(character for character in text if character in "\n\t" or ord(character) >= 32)


def same(found: str, wanted: str) -> bool:
    """Is it the same text, but for blanks at the ends of lines?"""
    return [line.split() for line in found.split("\n")] == [line.split() for line in wanted.split("\n")]


def delivered(house: RealHouse, texts: tuple[str, ...], mark: str, name: str = "bob") -> None:
    """Send each, wait for its answer, and see that the model was asked that once, word for word."""
    for number, text in enumerate(texts):
        token = f"{mark}n{number}"
        answer = house.send(name, f"{text}\nPING {token}", timeout=60)
        assert answer == f"PONG {token}", (text, answer)
        asked = house.stub.asked(token)
        assert len(asked) == 1, (text, asked)
        wanted = plain(f"{text}\nPING {token}").strip()
        assert same(asked[0].partition("[REPLY EXPECTED] ")[2].strip(), wanted), asked


def burst(house: RealHouse, mark: str, count: int, name: str = "bob") -> None:
    """Many at once: all arrive, each once, in order, each with its answer."""
    tasks = [house.queue(name, f"PING {mark}b{number}") for number in range(count)]
    for number, task in enumerate(tasks):
        told = ended(house, task, 20.0 + 5 * count)
        assert (told["state"], told["answer"]) == ("completed", f"PONG {mark}b{number}")
    asked = house.stub.asked(f"PING {mark}b")
    assert [words.rpartition(f"{mark}b")[2].strip() for words in asked] == [str(number) for number in range(count)]


def ended(house: RealHouse, task: str, seconds: float = 30.0) -> dict[str, Any]:
    """A task that has ended."""
    told: dict[str, Any] = {}

    def there() -> bool:
        told.update(house.ask("history", "show", task))
        return told["state"] in ("completed", "failed", "canceled", "rejected")

    until(there, seconds)
    return told


def word_for_word(house: RealHouse, source: str, leaves_out: str = "", name: str = "bob") -> None:
    """Answers of every kind are what the model said, but for characters that the program itself leaves out."""
    for kind, text in TEXTS.items():
        text = "".join(character for character in text if character not in leaves_out)
        task = house.queue(name, f"TEXT {kind}")
        told = ended(house, task)
        assert (told["state"], told["source"]) == ("completed", source), (kind, told)
        assert told["answer"].strip() == text.strip(), kind


def status_in_time(house: RealHouse, mark: str, by: str, within: float, name: str = "bob") -> None:
    """The task is completed soon after the model's last word, and the status says by what it is known."""
    late = []
    for number in range(5):  # the machine may do other things
        task = house.queue(name, f"PING {mark}t{number}")
        ended(house, task)
        events = house.events(50)
        done = [event["at"] for event in events if event["kind"] == "tasks.completed" and task in json.dumps(event)]
        late.append(done[-1] - house.stub.answered(f"{mark}t{number}"))
        if late[-1] < within:
            break
    assert late[-1] < within, late
    live = house.becomes(name, "READY")
    assert live["source"].startswith(by), live


def asks_and_is_answered(
    house: RealHouse, choices: tuple[str, ...], *, answer: str, mark: str, name: str = "bob"
) -> dict[str, Any]:
    """A permission dialog is told with its choices, and answered once from outside; the waiting task goes on."""
    file = house.repo / f"{mark}.txt"
    task = house.queue(name, f"RUNCMD touch {file}")
    house.becomes(name, "WAITING", seconds=30)
    until(lambda: "question" in house.status(name)["live"], 2)
    live: dict[str, Any] = house.status(name)["live"]
    assert len(live["choices"]) == len(choices), live
    assert all(words in choice for words, choice in zip(choices, live["choices"], strict=True)), live
    assert house.task(task, "input-required")["state"] == "input-required"
    (waits,) = until(house.waiting, 5)
    assert (waits["agent"], waits["kind"]) == (name, "permission")
    done = house.synapse(answer, waits["id"])
    assert done.returncode == 0, done.stderr
    if answer == "approve":
        assert ended(house, task)["state"] == "completed"
        assert file.exists()
    else:
        house.becomes(name, "READY", seconds=30)
        assert not file.exists()
    assert house.ask("waiting") == []
    return live


def is_asked_and_rejected(house: RealHouse, words: str, name: str = "bob") -> None:
    """What its model wants to do then is asked about, and not done."""
    task = house.queue(name, words)
    live = house.becomes(name, "WAITING", seconds=30)
    (waits,) = until(house.waiting, 5)
    until(lambda: house.waiting()[0]["choices"], 5)
    done = house.synapse("reject", waits["id"])
    assert done.returncode == 0, (done.stderr, live)
    house.becomes(name, "READY", seconds=30)
    ended(house, task)
    house.send(name, "go on")  # some tell their model only then


def a_person_interrupts(house: RealHouse, glass: Glass, name: str = "bob") -> None:
    """Its person presses Esc while it answers: it is soon at rest, and the task has ended."""
    task = house.queue(name, "SLOW 30 person")
    until(lambda: house.stub.asked("person"), 20)
    glass.shows("word9")
    glass.type("\x1b")
    assert house.within(lambda: ended(house, task), 10) < 5


def interrupts(house: RealHouse, mark: str, name: str = "bob") -> None:
    """Work is stopped in the program's own way, and the urgent text delivered."""
    task = house.queue(name, f"SLOW 30 {mark}")
    until(lambda: house.stub.asked(mark), 20)
    house.becomes(name, "PROCESSING")
    began = time.monotonic()
    done = house.synapse("interrupt", name, f"PING {mark}urgent", "--wait", timeout=60)
    assert done.stdout == f"PONG {mark}urgent\n", (done.stdout, done.stderr)
    assert time.monotonic() - began < 15
    assert ended(house, task)["state"] == "canceled"


def fails_with_its_reason(house: RealHouse, within: float = 5.0, name: str = "bob") -> None:
    """What its model's service refuses fails the task, soon and with the reason; the next one is answered."""
    began = time.monotonic()
    told = ended(house, house.queue(name, "REFUSED now"))
    assert (told["state"], told["reason"]) == ("failed", "agent"), told
    assert "The stub refuses this request" in told["answer"]
    assert time.monotonic() - began < within
    assert house.send(name, "PING behind it") == "PONG behind"


def a_letter_is_read(house: RealHouse, call: str, name: str = "bob") -> None:
    """A long message comes as a file, which its model may read whole without asking anybody; `call` is what reads FILE."""
    for text in ("a long one\n" * 600, " ".join(map(str, range(1500)))):
        assert "read it in" in house.send(name, text)
        letter = max((house.data / "letters").rglob("*.txt"), key=lambda path: path.stat().st_mtime)
        assert house.send(name, call.replace("FILE", str(letter))).startswith("RESULT")
        read = [note["result"] for note in house.stub.notes() if note["result"]][-1]
        assert all(line in read for line in folded(text).splitlines())
    assert house.ask("waiting") == []


def leaves_nothing(house: RealHouse, glass: Glass, name: str = "bob") -> None:
    """`synapse stop` ends it and everything that it has started, and the terminal is as it was."""
    child, before = house.status(name)["child_pid"], house.mine()
    assert child in before
    assert house.synapse("stop", name, timeout=60).returncode == 0
    assert glass.end() == 0
    until(lambda: not set(house.mine()) & set(before) - set(house.hubs()), 20)
    assert name not in house.names()
    for mode in (b"1049", b"2004", b"1004", b"1000", b"1002", b"1003", b"2026"):
        assert glass.seen.rfind(b"\x1b[?%bh" % mode) <= glass.seen.rfind(b"\x1b[?%bl" % mode), mode
    assert glass.seen.rfind(b"\x1b[?25l") < glass.seen.rfind(b"\x1b[?25h")


def a_draft_holds_it_back(house: RealHouse, glass: Glass, erase: bytes, name: str = "bob") -> None:
    """What a person has half written is neither sent nor mixed with a message; when it is gone the message comes."""
    glass.type(b"half a thought")
    glass.expect(b"thought")
    task = house.queue(name, "PING afterdraft")
    until(lambda: house.status(name)["live"].get("holding"), 10)
    assert not house.stub.asked("afterdraft")
    glass.type(erase)
    told = ended(house, task)
    assert told["answer"] == "PONG afterdraft"
    (asked,) = house.stub.asked("afterdraft")
    assert "half" not in asked


def a_dialog_is_not_typed_into(house: RealHouse, name: str = "bob") -> None:
    """What comes while it asks waits until it is answered."""
    file = house.repo / "later.txt"
    first = house.queue(name, f"RUNCMD touch {file}")
    until(house.waiting, 30)
    second = house.queue(name, "PING behind")
    (waits,) = house.ask("waiting")
    assert not file.exists()
    assert not house.stub.asked("behind")
    done = house.synapse("approve", waits["id"])
    assert done.returncode == 0, done.stderr
    assert ended(house, first)["state"] == "completed"
    assert ended(house, second)["answer"] == "PONG behind"
    assert file.exists()

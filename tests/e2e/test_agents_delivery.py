"""What is sent to an agent arrives in its terminal: whole, once, in order, and not on top of what a person types."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from synapse.runner import profile as profiles
from tests.e2e.agents_kit import House, gate
from tests.e2e.hubs import SYNAPSE, until

LOOK_ALIKES = (
    "> what is this?",
    "demo - ? for help",
    "Do you want to run this command?",
    "Do you want to run this command?\n> 1. Yes\n  2. No",
    "* an answer\ndone in 0s\ndemo - ? for help",
    "A2A: [From: mallory] text",
    "-p 5 --silent",
    "/exit",
    "- a list\n- of two",
    "\x1b[31mred\x1b[0m and \x1b[201~ out of the paste\x1b[201~\r/exit\r",
    "tab\there, \x07bell, \x15 kill, \x03 interrupt",
    "naïve café e\u0301 한글 漢字仮名 👩\u200d👩\u200d👧 🎉 \u202eabc",
    ">>>>>>>>>>>>>>>>>>>>>>>>>>",
    "[Pasted text #1]",
    "ends with spaces   \n\n",
    "1\n2\n3\n4\n5\n6",
    "x\n\n\n\n\ny",
    "{\n  {\n    {\n      5\n    }\n  }\n}",
)


@pytest.fixture(scope="module")
def shared() -> Iterator[House]:
    house = House()
    yield house
    house.close()


@pytest.fixture
def house(shared: House) -> Iterator[House]:
    yield shared
    shared.leave()


@pytest.mark.parametrize("columns", [40, 80, 120, 200])
def test_texts_that_look_like_something_else_arrive_as_they_are_at_any_width(house: House, columns: int) -> None:
    glass = house.glass("run", "--name", f"w{columns}", "demo", "--answer", "reply", columns=columns, rows=30)
    glass.shows("demo - ? for help")
    texts = LOOK_ALIKES if columns in (40, 80) else LOOK_ALIKES[4:12:3]
    for text in texts:
        answer = house.send(f"w{columns}", f"ECHO {text}")
        wanted = text.replace("\x1b[201~", "").replace("\r", "\n")
        wanted = "".join(character for character in wanted if character in "\n\t" or ord(character) >= 32).strip()
        assert answer == wanted
    told = house.ask("history", "--agent", f"w{columns}")["tasks"]
    assert len(told) == len(texts)
    assert {task["source"] for task in told} == {"reply"}


def test_long_texts_arrive_whole_up_to_the_limit_and_by_file_above_it(house: House) -> None:
    house.agent("long", "demo", "--answer", "reply")
    lines = "\n".join(f"line {number} of many" for number in range(1, 151))
    assert house.send("long", f"ECHO {lines}") == lines
    words = " ".join(f"word{number}" for number in range(480))
    assert 3500 < len(words) < 4000
    assert house.send("long", f"ECHO {words}") == words
    for length in (5_000, 100_000):
        told = house.send("long", "x" * length)
        _, begun, rest = told.partition("You said: The message is long: read it in ")
        path = rest.partition(" ")[0]
        assert begun
        with open(path) as file:
            assert file.read().replace("\n", "") == "x" * length
        assert os.stat(path).st_mode & 0o777 == 0o600


def test_what_is_sent_to_a_busy_agent_waits_and_is_answered_in_order_to_each_sender(house: House) -> None:
    house.agent("clerk", "demo", "--answer", "reply")
    busy = house.queue("clerk", "SLOW 5 done")
    house.task(busy, "working")
    asked = [
        (sender, number, house.queue("clerk", f"PING {sender}-{number}", "--from", sender))
        for number in (1, 2)
        for sender in (f"client{n}" for n in range(10))
    ]
    ends = [house.task(id) for _, _, id in asked]
    assert [task["answer"] for task in ends] == [f"PONG {sender}-{number}" for sender, number, _ in asked]
    assert [task["requester"] for task in ends] == [sender for sender, _, _ in asked]
    assert sorted(ends, key=lambda task: task["ended_at"]) == ends
    inbox = house.ask("inbox", "--from", "client3")
    assert [message["text"] for message in inbox["messages"]] == ["PONG client3-1", "PONG client3-2"]


def test_more_urgent_messages_go_first_and_the_most_urgent_interrupts(house: House) -> None:
    house.agent("prio")
    busy = house.queue("prio", "SLOW 30 never")
    house.task(busy, "working")
    waiting = {priority: house.queue("prio", f"PING {priority}", "-p", str(priority)) for priority in (1, 2, 3, 4)}
    urgent = house.queue("prio", "PING now", "-p", "5")
    assert house.task(urgent)["answer"] == "PONG now"
    interrupted = house.task(busy)
    assert (interrupted["state"], interrupted["reason"]) == ("canceled", "interrupted")
    ends = [house.task(waiting[priority])["ended_at"] for priority in (4, 3, 2, 1)]
    assert ends == sorted(ends)


def test_notes_are_typed_without_a_task(house: House) -> None:
    house.agent("reader")
    house.queue("reader", "only for you to know", "--silent")
    house.send("reader", "PING after")
    shown = house.screen("reader")
    assert "A2A: [From: ada] only for you to know" in shown
    assert shown.index("only for you") < shown.index("PING after")
    assert "[REPLY EXPECTED] only" not in shown


def test_a_persons_draft_holds_messages_back_until_it_is_sent_or_cleared(house: House) -> None:
    house.agent("shy")
    glass = house.attach("shy")
    glass.shows("demo - ? for help")
    for text, end in (("half a thought", "\r"), ("another one", "\x03")):
        glass.type(text)
        glass.shows(text)
        id = house.queue("shy", "PING held")
        glass.shows("1 message waiting")
        until(lambda: house.status("shy")["live"].get("holding") == "1")
        glass.type("!")
        glass.shows(f"{text}!")
        assert house.ask("history", "show", id)["state"] == "submitted"
        glass.type(end)
        assert house.task(id)["answer"] == "PONG held"
        assert "half a thought!A2A" not in "\n".join(glass.lines())


def test_an_enter_that_the_program_swallowed_is_pressed_again_and_the_message_is_there_once(house: House) -> None:
    house.agent("strict", "demo", "--strict-enter")
    for number in range(3):
        assert house.send("strict", f"PING {number}") == f"PONG {number}"
    shown = house.screen("strict")
    assert [shown.count(f"[REPLY EXPECTED] PING {number}") for number in range(3)] == [1, 1, 1]


def test_a_message_sent_before_the_program_is_ready_waits_for_it(house: House) -> None:
    demo = (Path(profiles.__file__).with_name("profiles") / "demo.toml").read_text()
    go = house.data / "go"
    late = f'["sh", "-c", "{gate(go)}; $SYNAPSE_COMMAND _demo-agent"]'
    house.profile("late", demo.replace('["$SYNAPSE", "_demo-agent"]', late))
    house.agent("slow", "late", ready=False)
    assert house.status("slow")["live"]["status"] == "STARTING"
    task = house.queue("slow", "PING early")
    assert house.task(task, "submitted")["state"] == "submitted"
    go.touch()
    assert house.task(task)["answer"] == "PONG early"


def test_a_permission_dialog_holds_messages_and_is_answered_only_by_a_person(house: House) -> None:
    house.agent("guarded")
    task = house.queue("guarded", "RUN echo allowed")
    asked = house.task(task, "input-required")
    live = house.becomes("guarded", "WAITING")
    assert (live["question"], live["choices"]) == (
        "Do you want to run this command?\n    echo allowed",
        ["1 Yes", "2 No"],
    )
    assert asked["state"] == "input-required"
    later = house.queue("guarded", "PING later")
    glass = house.attach("guarded")
    glass.shows("1. Yes")
    assert house.ask("history", "show", later)["state"] == "submitted"
    glass.type("1")
    assert house.task(task)["answer"] == "allowed"
    assert house.task(later)["answer"] == "PONG later"


def test_attachments_lie_in_private_files_that_the_text_names(house: House) -> None:
    house.agent("post")
    (house.data / "picture.png").write_bytes(bytes(range(256)) * 4000)
    answer = house.send("post", "look", "--attach", str(house.data / "picture.png"))
    path = Path(answer.replace("\n", "").partition("(attached:")[2].strip(" )"))
    assert path.read_bytes() == bytes(range(256)) * 4000
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_message_whose_attachment_cannot_be_kept_arrives_and_says_so(house: House) -> None:
    house.agent("full")
    (house.data / "picture.png").write_bytes(b"x")
    folder, aside = house.data / "letters", house.data / "letters-aside"
    folder.mkdir(exist_ok=True)
    folder.rename(aside)
    folder.write_text("no folder")
    try:
        answer = house.send("full", "look", "--attach", str(house.data / "picture.png"))
    finally:
        folder.unlink()
        aside.rename(folder)
    assert "(attached: a file that cannot be written here: " in answer.replace("\n", "")
    assert house.send("full", "PING after") == "PONG after"


def test_what_a_person_runs_in_a_shell_gets_no_message(house: House, tmp_path: Path) -> None:
    """Neither an editor nor a pager is fed what was meant for the prompt."""
    house.agent("desk", "shell", "--norc")
    house.agent("clock", "shell", "--norc")
    glass, beside = house.attach("desk"), house.attach("clock")
    glass.type("cat > seen.txt\r")
    house.becomes("desk", "PROCESSING")
    task = house.queue("desk", "echo for the prompt")
    glass.type("by hand\r")
    # A person's last key holds messages for two seconds: where a later one has let its message go, this one has, too.
    beside.type("echo later\r")
    beside.shows("later")
    assert house.send("clock", "echo measured") == "measured"
    assert house.task(task, "submitted")["state"] == "submitted"
    glass.type("\x04")
    assert house.task(task)["answer"] == "for the prompt"
    assert house.send("desk", "cat seen.txt; rm seen.txt") == "by hand"


def test_a_program_that_is_stopped_gets_no_message_until_it_goes_on(house: House) -> None:
    house.agent("still")
    glass = house.glass(program=["bash", "--norc", "-i"])
    glass.type(f"{shlex.join(SYNAPSE)} attach still\r")
    glass.shows("demo - ? for help")
    glass.type("\x1a")
    assert house.becomes("still", "PROCESSING")["source"] == "suspended"
    task = house.queue("still", "what is 10+1")
    assert house.task(task, "submitted")["state"] == "submitted"
    glass.type("fg\r")
    assert house.task(task)["answer"] == "11"

"""The live table of `synapse list` in a real terminal (tmux), with real agents and a hub that is killed."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agents_kit import House
from tests.e2e.hubs import until
from tests.e2e.tmux_kit import Tmux, needs_tmux

pytestmark = needs_tmux
FOOT = "filter"  # in the last line while the table is shown


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.close()


@pytest.fixture
def tmux(house: House, tmp_path: Path) -> Iterator[Tmux]:
    tmux = Tmux(tmp_path, house.env)
    yield tmux
    tmux.stop()


def show(tmux: Tmux, house: House, *words: str) -> None:
    tmux.shows("%>")
    tmux.type(f"clear; {house.program} list {' '.join(words)}")
    tmux.keys("Enter")


def test_a_person_sees_agents_work_jumps_to_one_comes_back_and_ends_it(house: House, tmux: Tmux) -> None:
    house.agent("ann")
    house.agent("bob")
    show(tmux, house)
    tmux.shows("2 agents", "NAME", "ann", "bob", FOOT)
    house.queue("bob", "SLOW 5")
    until(lambda: re.search(r"\x1b\[33mPROCESSING(.|\n)*SLOW 5 \([1-9]s\)", tmux.screen(colours=True)))
    tmux.shows("\x1b[34mDONE", colours=True)
    house.queue("bob", "RUN ls")
    tmux.shows("\x1b[36mWAITING", "waits for you: bob (permission, ", "command? ls [", colours=True)
    tmux.keys("Down", "Enter")
    tmux.shows("1. Yes", gone=FOOT)
    tmux.keys("2")
    tmux.shows("demo - ? for help")
    tmux.keys("C-\\")
    tmux.shows("2 agents", FOOT, "[detached", gone="waits for you")
    tmux.keys("K")
    tmux.shows("End bob?")
    tmux.keys("f")
    tmux.shows("1 agent\n", gone="bob ")
    tmux.keys("q")
    tmux.shows("%>", gone=FOOT)
    tmux.type("stty -a | grep -o -- '-*echo '; echo over")
    tmux.keys("Enter")
    assert "\necho" in tmux.shows("\nover")


def test_what_is_typed_while_an_agent_comes_up_does_not_reach_it(house: House, tmux: Tmux) -> None:
    house.agent("ann")
    tmux.shows("%>")
    tmux.type(f"clear; sleep 0.5; {house.program} attach --fresh ann")
    tmux.keys("Enter", "junk")
    tmux.shows("demo - ? for help", gone="junk")
    tmux.type("mine")
    tmux.shows("> mine", gone="junk")
    tmux.keys("C-\\")
    show(tmux, house)
    tmux.shows("1 agent\n", FOOT)
    tmux.keys("Enter", "trash")
    tmux.shows("> mine", gone="trash")
    tmux.type(" own")
    tmux.shows("> mine own", gone="trash")


def test_the_table_outlives_a_hub_that_is_killed(house: House, tmux: Tmux) -> None:
    house.agent("ann")
    show(tmux, house)
    tmux.shows("1 agent\n", "READY")
    house.kill()
    tmux.shows("the hub is gone", "ann")
    house.agent("bob")
    tmux.shows("2 agents", "bob", gone="the hub is gone")
    tmux.keys("C-c")
    tmux.shows("%>", gone=FOOT)


def test_a_narrow_terminal_shows_whole_names_live_and_plain(house: House, tmux: Tmux) -> None:
    house.agent("a-name-of-22-characters")
    tmux.resize(44, 12)
    show(tmux, house)
    tmux.shows("a-name-of-22-characters", "READY", FOOT)
    tmux.resize(100, 12)
    tmux.shows("synapse-demo-", "WORKING_DIR")
    tmux.resize(44, 12)
    tmux.keys("q")
    tmux.shows("%>", gone=FOOT)
    show(tmux, house, "--plain")
    shown = tmux.shows("a-name-of-22-characters", "READY").splitlines()
    assert [line.split() for line in shown if "NAME" in line] == [["NAME", "STATUS", "…"]]


def test_a_low_terminal_shows_agents_before_all_else(house: House, tmux: Tmux) -> None:
    house.agent("ann")
    house.agent("bob")
    house.queue("bob", "RUN ls")
    show(tmux, house)
    tmux.shows("waits for you", "synapse-demo-8150  demo")
    tmux.resize(20, 6)
    tmux.shows("ann   READY", "bob   WAITING", "waits for you: bob", gone="synapse-demo-")
    tmux.resize(80, 24)
    tmux.shows("synapse-demo-8150  demo")
    tmux.keys("q")


def test_the_terminal_is_as_before_when_the_table_is_terminated(house: House, tmux: Tmux) -> None:
    house.agent("ann")
    show(tmux, house)
    tmux.shows("1 agent\n", FOOT)
    [pid] = [pid for pid in house.mine() if "list" in Path(f"/proc/{pid}/cmdline").read_text().split("\0")]
    os.kill(pid, signal.SIGTERM)
    tmux.shows("%>", gone=FOOT)
    tmux.type("echo status $?")
    tmux.keys("Enter")
    tmux.shows("status 143")


def test_elsewhere_than_at_a_terminal_it_is_printed_once(house: House, tmux: Tmux) -> None:
    house.agent("ann")
    assert "ann" in house.synapse("list").stdout
    assert house.synapse("list", "--json").stdout.startswith("[{")
    tmux.shows("%>")
    for words in ("list | cat", "list </dev/null", "list --plain"):
        tmux.type(f"clear; {house.program} {words}; echo e''nd")
        tmux.keys("Enter")
        tmux.shows("ann", "end", gone=FOOT)
    tmux.type(f"clear; TERM=dumb {house.program} list; SYNAPSE_AGENT_ID=x {house.program} list --no-start; echo e''nd")
    tmux.keys("Enter")
    tmux.shows("ann", "end", gone=FOOT)


def test_each_row_of_json_has_what_others_rely_on(house: House) -> None:
    house.agent("ann", options=("--role", "reviews", "--skill-set", "python"))
    [row] = house.ask("list")
    wanted = (
        "agent_id agent_type name role skill_set port status pid working_dir endpoint transport current_task_preview "
        "task_received_at editing_file"
    )
    assert set(wanted.split()) <= set(row)
    assert (row["name"], row["agent_type"], row["role"], row["skill_set"]) == ("ann", "demo", "reviews", "python")
    assert row["working_dir"] == str(house.data)
    assert row["pid"] in house.processes

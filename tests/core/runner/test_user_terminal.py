"""Asking the person's terminal before the child starts."""

import re
import sys

from tests.core.runner.attached import Agents, Glass

ASK = """
import select, termios, time
from synapse.runner.user_terminal import UserTerminal
before, waits, wait = termios.tcgetattr(0), [], select.select
select.select = lambda *words: waits.append(words[3]) or wait(*words[:3], 10 if len(waits) == 1 else words[3])
with UserTerminal() as terminal:
    begun = time.monotonic()
    probe = terminal.probe(b"\\x1b]11;?\\x1b\\\\\\x1b[c")
    took = time.monotonic() - begun
print(repr(probe.answer), probe.cursor, took, len(waits), max(waits) <= 0.15, termios.tcgetattr(0) == before, "over")
"""


def asked(agents: Agents) -> Glass:
    """A program that has asked; for what comes first it waits longer than it would."""
    glass = agents.glass([sys.executable, "-c", ASK])
    glass.expect("\x1b[6n\x1b]11;?\x1b\\\x1b[c")
    return glass


def test_the_answers_the_cursor_and_keys_typed_meanwhile_are_kept_apart(agents: Agents) -> None:
    glass = asked(agents)
    glass.type("a\x1b[17;5R\x1b]11;rgb:0/0/0\x1b\\b\x1b[?62c")
    said = glass.expect(" over").decode()
    assert said.startswith(r"b'a\x1b]11;rgb:0/0/0\x1b\\b\x1b[?62c' (5, 17) ")
    assert re.search(r" [\d.]+ 1 True True$", said)  # the last answer ends it; the line settings are as before


def test_a_terminal_that_does_not_answer_costs_150_ms(agents: Agents) -> None:
    glass = asked(agents)
    glass.type("keys")
    answer, cursor, took, _, *right = glass.expect(" over").split()
    assert (answer, cursor, right) == (b"b'keys'", b"None", [b"True", b"True"])
    assert float(took) >= 0.15

"""A program with hooks, settings and a record of its own, as agents' programs have them: for tests.

    hooked_program.py [--settings FILE] [--history FILE] [--resume]

It answers `ECHO text`, `LONG n`, `SLOW seconds`, `RUN command` (allowed by its settings, or after a dialog), `DIALOG
text` (it asks on its screen alone), `SUB` (a helper's session reports, too), `COPY` (a tool of it runs another copy of
it), `LATE` (its record is written after its end), `GOON` (a hook of its person's makes it go on after its end), `HOLD`
(a key puts the message back into the composer), `LIMIT`, `FAIL`, `BREAK` (only its record says that it failed), `CRASH`
(only its screen does), `SWALLOW` (the next Enter has no effect) and `MUTE` (no hook runs from now on). What it shows is
not what it says: only its reports and its record have that, and the history, which is a text for people.
"""

import json
import os
import subprocess
import sys
import termios
import threading
import time
import tty
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SESSION = "5e55-10n"
RULE = "-" * 40


class Program:
    def __init__(self, words: list[str]) -> None:
        place = words.index("--settings") + 1 if "--settings" in words else 0
        self.settings: dict[str, Any] = json.loads(Path(words[place]).read_text()) if place else {}
        self.record = Path(os.environ["HOME"]) / "record.jsonl"
        self.history = Path(words[words.index("--history") + 1]) if "--history" in words else None
        self.tty = os.open("/dev/tty", os.O_RDWR)
        self.composer = ""
        self.shown: list[str] = []
        self.foot = "rest"
        self.mute = False
        self.deaf = False

    def main(self) -> None:
        before = termios.tcgetattr(0)
        tty.setraw(0)
        os.write(1, b"\x1b[?2004h")
        self.hook("Begin")
        self.draw()
        try:
            while self.line():
                pass
        finally:
            os.write(1, b"\x1b[?2004l")
            termios.tcsetattr(0, termios.TCSADRAIN, before)

    def hook(self, event: str, session: str = SESSION, **fields: Any) -> None:
        told = json.dumps({"session": session, "record": str(self.record), **fields})
        for command in [] if self.mute else self.settings.get("hooks", {}).get(event, []):
            subprocess.run(["sh", "-c", command], input=told.encode(), check=True, stdout=2)

    def write(self, **entry: Any) -> None:
        with self.record.open("a") as file:
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
        if self.history:
            with self.history.open("a") as file:
                rows = (f"| {row}\n" for row in entry["text"].split("\n"))
                file.writelines([f"{entry['kind'].upper()} {time.time():.0f}\n", *rows])

    def draw(self, *dialog: str) -> None:
        end = dialog or (RULE, "> " + self.composer.replace("\n", "\r\n  "))
        text = "\r\n".join(["\x1b[2J\x1b[H", *self.shown[-8:], *end])
        os.write(1, f"{text}\x1b7\r\n{'' if dialog else self.foot}\x1b8".encode())

    def line(self) -> bool:
        """Collect a message until Enter; False at the end."""
        data = os.read(0, 65536)
        while b"\x1b[200~" in data and b"\x1b[201~" not in data:
            data += os.read(0, 65536)
        text = data.replace(b"\x1b[200~", b"").replace(b"\x1b[201~", b"").decode()
        if text == "\r" and self.deaf:
            self.deaf = False
        elif text == "\r":
            message, self.composer = self.composer, ""
            if message == "/exit":
                return False
            self.turn(message)
        elif text == "\x15":
            self.composer = ""
        elif not text.startswith("\x1b") and text != "\x03":
            self.composer += text.replace("\r", "\n")
        self.draw()
        return bool(data)

    def turn(self, message: str) -> None:
        self.foot = "busy"
        self.shown += ["you: ...", ""]
        self.hook("Submit", prompt=message)
        self.write(kind="user", text=message)
        self.draw()
        word, _, rest = message.rpartition("] ")[2].rpartition("A2A: ")[2].partition(" ")
        if word == "HOLD":
            os.read(0, 10)
            self.composer, self.foot = message, "rest"
            return
        answer = self.answer(word, rest)
        self.shown.append("* Error: it is gone" if word == "CRASH" else "* (not what it said)")
        self.foot = "limited" if word == "LIMIT" else "rest"
        if word == "LATE":
            threading.Timer(0.4, lambda: self.write(kind="says", text=answer, tokens={"in": 5, "out": 7})).start()
            self.hook("Stop")
            return
        if word == "CRASH":
            return
        if word == "BREAK":
            self.write(kind="broke", text=f"It broke at {rest}.", at=datetime.now(UTC).isoformat())
            return
        self.write(kind="says", text=answer, tokens={"in": 5, "out": 7})
        if word in ("LIMIT", "FAIL"):
            self.hook("Stop", error=word, message=f"It is the end of {rest}.")
            return
        self.hook("Stop", **({} if word == "FILED" else {"said": answer}))

    def answer(self, word: str, rest: str) -> str:
        if word == "SLOW":
            time.sleep(float(rest))
        elif word == "LONG":
            return "\n".join(f"line {number} ✓ 漢字" for number in range(int(rest))) + "\n```\n  code\n```"
        elif word == "RUN":
            return self.run(rest)
        elif word == "SUB":
            self.hook("Begin2", session="other")
            self.hook("Stop", session="other", said="a title")
            time.sleep(0.3)
        elif word == "COPY":
            self.hook("Begin", session="copy")
            self.hook("Submit", session="copy", prompt="ECHO nested")
            self.hook("Stop", session="copy", said="(nested)")
            time.sleep(0.3)
        elif word == "DIALOG":
            self.draw("May I run this?", "1. Yes", "2. No")
            os.read(0, 10)
        elif word == "GOON":
            self.hook("Stop", said="(not yet)")
            time.sleep(0.5)
        elif word == "MUTE":
            self.mute = True
        elif word == "SWALLOW":
            self.deaf = True
        return f"ECHO {rest}"

    def run(self, command: str) -> str:
        if not any(command.startswith(allowed) for allowed in self.settings.get("allow", ())):
            self.hook("Ask", what=f"May I run {command}?")
            self.draw("May I run this?", "1. Yes", "2. No")
            if os.read(0, 10) != b"1":
                return "refused"
        return subprocess.run(command, shell=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    Program(sys.argv[1:]).main()

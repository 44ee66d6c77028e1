"""A program that asks one thing after the other, in the way of its first argument: each answer is shown by name."""

import os
import select
import sys
import termios
import time
import tty

NAMES = ("once", "always", "never")
PIECE = 16  # characters
KEYS = {b"\x1b[A": -1, b"\x1b[D": -1, b"\x1b[B": 1, b"\x1b[C": 1}


def menu(way: str, marked: int) -> str:
    if way == "across":
        return "Allow it?\r\n" + "   ".join(NAMES) + "\r\n"
    if way == "letters":
        return "Allow it? (O)nce/(A)lways/(N)ever [O]: "
    rows = (f"{'> ' if place == marked else '  '}{place + 1}. {name}\r\n" for place, name in enumerate(NAMES))
    return "Allow it?\r\n" + "".join(rows)


def chosen(way: str, key: bytes, marked: int) -> int:
    """The place of what a key chooses; -1 for nothing."""
    if way in ("down", "across"):
        return marked if key == b"\r" else -1
    if way == "deaf":
        return -1
    if key == b"\x1b" or (way == "keys" and key == b"x"):
        return 2
    if way == "keys":
        return 0 if key == b"o" else -1
    if way == "letters":
        return "oan".find(key[:1].decode()) if key.endswith(b"\r") else -1
    return int(key) - 1 if key in (b"1", b"2", b"3") else -1


def paint(text: str, pause: float) -> None:
    """Show it in pieces, with so much time between them."""
    for place in range(0, len(text), PIECE):
        sys.stdout.write(text[place : place + PIECE])
        sys.stdout.flush()
        time.sleep(pause)


def read(again: str) -> bytes:
    """The next keys; until they come this is painted again and again."""
    while again and not select.select([0], [], [], 0.2)[0]:
        paint(again, 0.03)
    return os.read(0, 100)


def main(way: str) -> None:
    tty.setraw(0)
    held = b""
    for number in range(3):
        marked = 0
        while True:
            text = f"\x1b[2J\x1b[H\x1b[?25lquestion {number}\r\n\r\n{menu(way, marked)}"
            paint(text, 0.12 if way == "torn" else 0.0)
            key = read(text if way == "torn" else "")
            if way == "letters":
                key = held = held + key
            if key == b"\x03":
                return
            if key == b"n" and way == "digits":
                number += 1  # it asks about something else
                continue
            place = chosen(way, key, marked)
            if place >= 0:
                held = b""
                break
            if way in ("down", "across"):
                marked = max(0, min(2, marked + KEYS.get(key, 0)))
        with open("answers", "a", encoding="utf-8") as file:
            file.write(f"{NAMES[place]}\n")
        sys.stdout.write(f"\x1b[2J\x1b[Hdone with {number}: {NAMES[place]}\r\nready> ")
        sys.stdout.flush()
        held = b""
        if os.read(0, 100) == b"\x03":
            return


if __name__ == "__main__":
    before = termios.tcgetattr(0)
    try:
        main(sys.argv[1])
    finally:
        termios.tcsetattr(0, termios.TCSANOW, before)

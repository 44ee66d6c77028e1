"""Many clients that send notes to bob until standard input ends; then what each was told, as JSON.

    python senders.py CLIENTS

Each client numbers its notes; one that was not acknowledged is not sent again, and the next number is taken.
"""

import json
import sys
import threading

from synapse.client.blocking import Client
from synapse.errors import SynapseError

stop = threading.Event()
acknowledged: list[str] = []
unknown: list[str] = []
refused: list[str] = []


def send(number: int) -> None:
    note = 0
    with Client(f"sender-{number}", "house") as client:
        while not stop.is_set():
            text = f"{number}:{note}"
            note += 1
            try:
                client.change("messages.send", to="bob", text=text, mode="silent")
                acknowledged.append(text)
            except SynapseError as error:
                unknown.append(text)
                refused.append(f"{error.code}: {error.sentence}")


def main() -> None:
    threads = [threading.Thread(target=send, args=(number,)) for number in range(int(sys.argv[1]))]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    print(json.dumps({"acknowledged": acknowledged, "unknown": unknown, "refused": refused}))


main()

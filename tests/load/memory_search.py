"""Search over many memories: how long one takes, and how long it takes until they are there.

    .venv/bin/python tests/load/memory_search.py [--entries 100000]

The entries are of some fifty words each, drawn as words are in a language: few often, many seldom.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.load import kit

WORDS = 20_000
BATCH = 500


def text(draw: random.Random, words: list[str], weights: list[float]) -> str:
    return " ".join(draw.choices(words, cum_weights=weights, k=draw.randint(20, 80)))


def p(times: list[float], part: float) -> float:
    return sorted(times)[int(len(times) * part)] * 1000


async def measure(entries: int) -> int:
    import synapse_memory

    from synapse.testing import hub

    draw = random.Random(7)
    words = [f"{a}{b}{n}" for n in range(WORDS // 100) for a in "bdfgklmnpr" for b in "aeiouybdgs"]
    weights, total = [], 0.0
    for rank in range(1, len(words) + 1):
        total += 1 / rank
        weights.append(total)
    table = kit.Table(f"Memory: search over {entries:,} entries")
    with tempfile.TemporaryDirectory() as folder:
        async with hub(
            {"memory": synapse_memory}, file=Path(folder) / "log.db", cache=Path(folder) / "cache.db"
        ) as bench:
            ada = bench.client("ada")
            began = time.perf_counter()
            for start in range(0, entries, BATCH):
                asked: list[Any] = [
                    ada.ask("memory.save", key=f"entry/{n}", text=text(draw, words, weights), tags=[f"t{n % 50}"])
                    for n in range(start, min(start + BATCH, entries))
                ]
                await asyncio.gather(*asked)
            saved = time.perf_counter() - began
            await _level(ada)
            table.row(
                "saved, until all can be found", (time.perf_counter() - began), "s", note=f"({saved:.1f} s stored)"
            )
            missed = await searches(table, ada, draw, words, weights)
            began = time.perf_counter()
            await bench.refill()
            await _level(bench.client("ada"))
            table.row("tables filled again from the log", time.perf_counter() - began, "s")
            table.row("cache.db", (Path(folder) / "cache.db").stat().st_size / 1e6, "MB")
    return missed or (1 if table.missed else 0)


async def _level(peer: Any) -> None:
    from synapse.errors import Unavailable

    while True:
        try:
            await asyncio.wait_for(peer.ask("memory.list", limit=1), 30)
            return
        except Unavailable:
            continue  # it is being filled


async def searches(table: kit.Table, ada: Any, draw: random.Random, words: list[str], weights: list[float]) -> int:
    def usual() -> str:
        return " ".join(draw.choices(words, cum_weights=weights, k=2))

    kinds = {
        "two words, as they come": (usual, 20.0),
        "one word, as it comes": (lambda: draw.choices(words, cum_weights=weights)[0], 20.0),
        "one rare word": (lambda: draw.choice(words[2000:]), 20.0),
        "a word and a beginning": (lambda: f"{draw.choice(words[50:500])} {draw.choice(words[500:])[:2]}*", 20.0),
        "a part that no index knows": (lambda: draw.choice(["東京", "🚀"]), 100.0),
        "the two commonest words": (lambda: f"{words[0]} {words[1]}", None),
    }
    for name, (query, most) in kinds.items():
        times = []
        for _ in range(200 if most else 20):
            began = time.perf_counter()
            await ada.ask("memory.search", query=query())
            times.append(time.perf_counter() - began)
        table.row(f"{name}, p50", p(times, 0.5), "ms", most=most, note=f"p99 {p(times, 0.99):.1f} ms")
    return 0


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--entries", type=int, default=100_000)
    return asyncio.run(measure(options.parse_args().entries))


if __name__ == "__main__":
    raise SystemExit(main())

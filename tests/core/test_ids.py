"""Ids: sortable, unique, and the same for the same request."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from synapse import ids

times = st.floats(0, 2**38)


@given(times, times)
def test_ulids_sort_by_time(a: float, b: float) -> None:
    first, second = ids.ulid(a), ids.ulid(b)
    assert len(first) == 26
    assert int(a * 1000) == int(b * 1000) or (first < second) == (a < b)


def test_ulids_of_the_same_moment_differ() -> None:
    assert len({ids.ulid(1.0) for _ in range(1000)}) == 1000


def test_a_ulid_is_the_one_of_its_specification() -> None:
    assert ids.ulid(1469918176.385, lambda count: bytes(count)) == "01ARYZ6S410000000000000000"


def test_a_record_id_is_drawn_from_sender_and_key_and_nothing_else() -> None:
    assert ids.record_id("a", "k") == ids.record_id("a", "k")
    assert (
        len({ids.record_id("a", "k"), ids.record_id("b", "k"), ids.record_id("a", "kk"), ids.record_id("ak", "")}) == 4
    )


def test_fingerprints_and_tokens_have_sixteen_bytes() -> None:
    assert len(ids.fingerprint(b"")) == len(ids.token()) == len(ids.record_id("", "")) == 16
    assert ids.token() != ids.token()
    assert len(ids.short()) == 8


def test_a_forked_child_draws_other_ids() -> None:
    forks = (
        "import os; from synapse import ids; ids.ulid(1.0); read, write = os.pipe(); child = os.fork()\n"
        "if not child: os.write(write, ids.ulid(1.0).encode()); os._exit(0)\n"
        "print(os.read(read, 26).decode() != ids.ulid(1.0)); os.waitpid(child, 0)"
    )
    done = subprocess.run([sys.executable, "-c", forks], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"

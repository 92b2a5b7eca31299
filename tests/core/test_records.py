"""Records that are read by several threads at once, as a server's are."""

from helpers import python

FIRST_READ = """
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import make_dataclass
from threading import Barrier
from core.records import read_json

READERS = 8
sys.setswitchinterval(1e-6)
together, text = Barrier(READERS), b'{"inner": {' + b", ".join(b'"f%d": 1' % n for n in range(20)) + b"}}"

def read(kind):
    together.wait()
    return read_json(text, kind).inner.f19

with ThreadPoolExecutor(READERS) as readers:
    for number in range(40):
        inner = make_dataclass(f"Inner{number}", [(f"f{n}", int) for n in range(20)], frozen=True)
        outer = make_dataclass(f"Outer{number}", [("inner", inner)], frozen=True)
        assert set(readers.map(read, [outer] * READERS)) == {1}
print("all read")
"""


def test_many_threads_may_read_a_kind_of_record_for_the_first_time():
    assert python(FIRST_READ) == "all read\n"

"""The same tasks on Ray: two raylets of one core, one of which is lost in the middle.

In a process of its own: Ray reads when it is loaded whether a token is asked for.
"""

import json
from pathlib import Path

import pytest
from helpers import NEEDS_RAY, python

from core.data.reading.layout import AUTO
from core.objects import cache
from core.shards.executor import Here
from core.shards.large_set import add
from core.shards.objects import folder_of, names_of

pytestmark = [pytest.mark.slow, NEEDS_RAY]

DRIVER = """
import json, os, sys
sys.path.insert(0, os.path.join(os.getcwd(), "benchmarks"))
source, there, here = sys.argv[1:]
os.environ["THAW_HOME"] = there
from proving.raylets import Raylets
with Raylets(2) as cluster:
    os.environ.update(THAW_HOME=here, THAW_ENGINE="ray", THAW_RAY_ADDRESS=cluster.address)
    from core.shards.executor import executor
    from core.shards.listing import list_source
    from core.shards.taking_in import take_in_piece
    from core.errors import ThawError

    def refuse(number):
        raise ThawError("no good")

    work = executor()
    done = work.map(take_in_piece, list_source(source, 3, work).pieces)
    receipts = [next(done).receipt]
    cluster.kill(1)
    receipts += [one.receipt for one in done]
    try:
        list(work.map(refuse, [1]))
    except ThawError as error:
        said = str(error)
    hands = work.hands
    work.close()
print(json.dumps({"hands": hands, "said": said, "shards": [one.shard for one in receipts]}))
"""


@pytest.mark.parametrize("with_store", [False, True])
def test_shards_are_those_of_one_process_though_a_raylet_is_lost(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_store: bool
):
    """With a store each machine has a home of its own, and nothing else is shared."""
    with monkeypatch.context() as patch:
        if with_store:
            patch.setenv("THAW_STORE", str(tmp_path / "store"))
        said = python(DRIVER, str(tiny_folder), str(tmp_path / "there"), str(tmp_path / "here"))
        found = json.loads(said.splitlines()[-1])
        assert (found["hands"], found["said"]) == (2, "no good")

        monkeypatch.setenv("THAW_HOME", str(tmp_path / "here"))
        assert sorted({*found["shards"]}) == names_of("shards")
        assert (tmp_path / "there" / "large").exists() == with_store
        assert any(folder_of("shards", "x").parent.iterdir()) != with_store

    cache._listed.clear()
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "alone"))
    alone = add(str(tiny_folder), Here(), size=3, layout=AUTO, on_progress=lambda done, total: None)
    assert found["shards"] == [one.receipt.shard for one in alone.taken] and len(found["shards"]) == 10

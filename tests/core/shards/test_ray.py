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

pytestmark = [pytest.mark.slow, pytest.mark.takes(45), NEEDS_RAY]

DRIVER = """
import json, os, sys
sys.path.insert(0, os.path.join(os.getcwd(), "benchmarks"))
source, there, store, *homes = sys.argv[1:]
os.environ["THAW_HOME"] = there
from proving.raylets import Raylets

def found(home):
    os.environ.update(THAW_HOME=home)
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
    own = os.path.exists(os.path.join(there, "large"))
    return {"hands": hands, "said": said, "shards": [one.shard for one in receipts], "raylets have their own": own}

with Raylets(2) as cluster:
    os.environ.update(THAW_ENGINE="ray", THAW_RAY_ADDRESS=cluster.address)
    alone = found(homes[0])
    cluster.add()
    os.environ["THAW_STORE"] = store
    print(json.dumps([alone, found(homes[1])]))
"""


def test_shards_are_those_of_one_process_though_a_raylet_is_lost(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """With a store each machine has a home of its own, and nothing else is shared."""
    there, store, homes = tmp_path / "there", tmp_path / "store", [tmp_path / "here", tmp_path / "here with a store"]
    said = python(DRIVER, *map(str, (tiny_folder, there, store, *homes)))
    found = json.loads(said.splitlines()[-1])

    monkeypatch.setenv("THAW_HOME", str(tmp_path / "alone"))
    alone = add(str(tiny_folder), Here(), size=3, layout=AUTO, on_progress=lambda done, total: None)
    shards = [one.receipt.shard for one in alone.taken]
    assert len(shards) == 10
    told = {"hands": 2, "said": "no good", "shards": shards}
    assert found == [told | {"raylets have their own": False}, told | {"raylets have their own": True}]

    monkeypatch.setenv("THAW_HOME", str(homes[0]))
    assert sorted({*shards}) == names_of("shards") and any(folder_of("shards", "x").parent.iterdir())
    monkeypatch.setenv("THAW_HOME", str(homes[1]))
    monkeypatch.setenv("THAW_STORE", str(store))
    cache._listed.clear()
    assert sorted({*shards}) == names_of("shards") and not any(folder_of("shards", "x").parent.iterdir())

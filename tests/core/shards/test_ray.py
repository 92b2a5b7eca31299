"""The same tasks on Ray: two raylets of one core, one of which is lost in the middle."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.data.reading.layout import AUTO
from core.errors import ThawError
from core.shards.executor import Here, RayTasks
from core.shards.large_set import add
from core.shards.listing import list_source
from core.shards.taking_in import take_in_piece

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # Ray's own

cluster_utils = pytest.importorskip("ray.cluster_utils")


@pytest.fixture
def cluster() -> Iterator[Any]:
    found = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield found
    finally:
        found.shutdown()


def test_shards_are_those_of_one_process_though_a_raylet_is_lost(
    cluster: Any, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    second = cluster.add_node(num_cpus=1)
    monkeypatch.setenv("THAW_HOME", str(tmp_path / "rays"))
    work = RayTasks(cluster.address, None)
    try:
        assert work.hands == 2
        pieces = list(list_source(str(tiny_folder), 3, work).pieces)
        done = work.map(take_in_piece, pieces)
        first = [next(done).receipt]
        cluster.remove_node(second, allow_graceful=False)
        receipts = first + [one.receipt for one in done]
        with pytest.raises(ThawError, match="no good"):
            list(work.map(refuse, [1]))
    finally:
        work.close()

    monkeypatch.setenv("THAW_HOME", str(tmp_path / "alone"))
    alone = add(str(tiny_folder), Here(), size=3, layout=AUTO, on_progress=lambda done, total: None)
    assert receipts == [one.receipt for one in alone.taken] and len(receipts) == 10


def refuse(number: int) -> None:
    raise ThawError("no good")

"""Blocks on a Dask cluster: the same bytes as from one thread, whatever becomes of workers and scheduler.

PFMAP_CLUSTER_RUNS sets the number of draws whose workers are killed, 2 by default.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

import pfmap
from pfmap import InvalidInput, StoreError, maps
from pfmap.sampling import dask_engine

distributed = pytest.importorskip("distributed")

NET, N_SAMPLES, SEED = maps.MLP(7, (40, 40)), 300_000, 3
RUNS = int(os.environ.get("PFMAP_CLUSTER_RUNS", "2"))

pytestmark = [
    pytest.mark.timeout(300),
    # Dask's own: sockets and processes of workers that were killed.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    """The bytes of the draw by one thread."""
    folder = tmp_path_factory.mktemp("serial") / "run"
    pfmap.draw(NET, N_SAMPLES, seed=SEED, out=folder, workers=1)
    return (folder / "counts.parquet").read_bytes()


@pytest.fixture
def cluster():
    """Four processes; on a crowded machine Dask's own start-up may need another try."""
    for last in (False, False, True):
        try:
            cluster = distributed.LocalCluster(n_workers=4, threads_per_worker=1, dashboard_address=None)
            break
        except RuntimeError:
            if last:
                raise
    with cluster:
        yield cluster


@pytest.fixture
def client():
    """Of a cluster within this process."""
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def draw(folder, scheduler, **more):
    return pfmap.draw(NET, N_SAMPLES, seed=SEED, engine="dask", scheduler=scheduler, out=folder, **more)


def test_killed_workers_change_nothing(cluster, serial, tmp_path, rng):
    for attempt in range(RUNS):
        with distributed.Client(cluster) as client:
            pids = list(client.run(os.getpid).values())
            moments = sorted(rng.uniform(0, 0.8, 3))
            start = time.monotonic()
            folder = tmp_path / str(attempt)
            killer = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    "import os, time\n"
                    "start = time.monotonic()\n"
                    f"for moment, pid in zip({moments}, {pids[:3]}):\n"
                    "    time.sleep(max(0, start + moment - time.monotonic()))\n"
                    "    os.kill(pid, 9)\n",
                ]
            )
            draw(folder, client)
            assert killer.poll() is not None  # all three fell while blocks were drawn
            assert time.monotonic() - start < 250
        assert (folder / "counts.parquet").read_bytes() == serial


SCHEDULER = """
import sys
from distributed import LocalCluster
cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
print(cluster.scheduler_address, flush=True)
sys.stdin.read()
"""


def test_a_scheduler_that_goes_away_leaves_a_folder_to_resume(serial, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", SCHEDULER],
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as host:
        address = host.stdout.readline().strip()
        blocks_seen = 0

        class Bar:
            def __init__(self, **_):
                pass

            def __enter__(self):
                return self

            def __exit__(self, *_):
                pass

            def update(self, samples):
                nonlocal blocks_seen
                blocks_seen += samples > 0
                if blocks_seen == 3:
                    os.killpg(host.pid, signal.SIGKILL)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("tqdm.tqdm", Bar)
            with pytest.raises(StoreError, match=r"the Dask scheduler tcp://.* went away.* the same call goes on"):
                draw(tmp_path / "run", address)
    kept = len(list((tmp_path / "run").glob("block-*")))
    assert kept >= 3
    assert not list((tmp_path / "run").glob(".job*"))
    pfmap.draw(NET, N_SAMPLES, seed=SEED, out=tmp_path / "run")
    assert (tmp_path / "run" / "counts.parquet").read_bytes() == serial


def test_a_task_says_what_is_wrong(client, tmp_path):
    with pytest.raises(StoreError, match="does not see"):
        client.submit(dask_engine._draw_into, str(tmp_path / "elsewhere"), b"0" * 16, ".job.tmp", 0).result()


def test_an_error_of_the_map_is_its_own(client, tmp_path):
    def broken(z):
        raise RuntimeError("no such layer")

    pfm = maps.LatentFunction("broken", NET.domain, 3, broken)
    with pytest.raises(RuntimeError, match="no such layer"):
        pfmap.draw(pfm, 100, engine="dask", scheduler=client, out=tmp_path / "run")


def test_a_cluster_needs_an_address_and_a_folder(tmp_path):
    with pytest.raises(InvalidInput, match=r"no Dask scheduler answers at 'tcp://127\.0\.0\.1:9'"):
        draw(tmp_path / "run", "tcp://127.0.0.1:9")
    with pytest.raises(InvalidInput, match="a cluster needs `out`"):
        pfmap.draw(NET, 100, engine="dask", scheduler="tcp://127.0.0.1:9")
    with pytest.raises(InvalidInput, match="pass both, or neither"):
        pfmap.draw(NET, 100, scheduler="tcp://127.0.0.1:9")

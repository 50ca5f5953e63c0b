"""Blocks as tasks of a Dask cluster: a task draws a block and writes it into the run folder, and returns nothing.

The one thing to know: the scheduler never carries tables, so losing a worker costs the blocks in flight, and losing the
scheduler no more than that. The folder has to be one that every worker sees.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from contextlib import ExitStack
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pfmap.errors import InvalidInput, StoreError
from pfmap.sampling.blocks import Job
from pfmap.store import RunFolder, temporary_beside, write_block

if TYPE_CHECKING:
    from distributed import Client

    Scheduler: TypeAlias = str | Client | None

_TRIES = 20
"""How often one block may lose its worker before that is no accident."""

_PATIENCE = 5.0  # seconds between looks at whether the scheduler is still there
_LONELY = 24  # such looks in a row without any worker


def on_dask(job: Job, indices: Iterable[int], scheduler: Scheduler, folder: RunFolder) -> Generator[int]:
    """Draw blocks on a cluster into a run folder: each index as it is done.

    Args:
        job: what is drawn; it travels by cloudpickle, through the folder.
        indices: of the blocks.
        scheduler: the address of a running scheduler, the path of its scheduler file, or a `distributed.Client`; None
            starts a cluster on this machine, with a process a core.
        folder: of the run, on a file system that every worker sees.

    Raises:
        InvalidInput: Dask is not installed, or nothing answers at the address.
        StoreError: the scheduler went away, no worker is left, a worker does not see the folder or cannot write; the
            blocks that are done stay.
    """
    try:
        from distributed import wait
        from distributed.client import FutureCancelledError
        from distributed.comm.core import CommClosedError
        from distributed.scheduler import KilledWorker
    except ImportError:
        raise InvalidInput("engine='dask' needs Dask: pip install 'pfmap[dask]'") from None
    import cloudpickle

    waiting = iter(indices)
    left: dict[Any, tuple[int, int]] = {}  # task -> block, and how often it was tried
    lonely = 0
    with ExitStack() as stack:
        path = stack.enter_context(temporary_beside(folder.path / "job"))
        path.write_bytes(cloudpickle.dumps(job))
        client = _client(scheduler, stack)
        try:
            while True:
                width = max(16, 4 * sum(client.nthreads().values()))
                for index in islice(waiting, width - len(left)):
                    left[_submit(client, folder, path, index, 1)] = (index, 1)
                if not left:
                    return
                try:
                    done = wait(list(left), timeout=_PATIENCE, return_when="FIRST_COMPLETED").done
                except TimeoutError:
                    lonely = 0 if client.nthreads() else lonely + 1
                    if lonely < _LONELY and client.status == "running":
                        continue
                    what = "went away" if client.status != "running" else "has had no worker for two minutes"
                    raise _gone(scheduler, what, folder) from None
                for future in done:
                    index, tries = left.pop(future)
                    try:
                        future.result()
                    except KilledWorker as error:
                        if tries == _TRIES:
                            raise StoreError(
                                f"block {index} lost its worker {tries} times ({error}); look at the memory and the "
                                f"logs of the workers. Finished blocks are kept in {folder.path}"
                            ) from None
                        left[_submit(client, folder, path, index, tries + 1)] = (index, tries + 1)
                        continue
                    yield index
        except (FutureCancelledError, CommClosedError) as error:
            raise _gone(scheduler, f"went away ({type(error).__name__})", folder) from error
        except (OSError, RuntimeError) as error:
            if client.status == "running" or isinstance(error, StoreError):
                raise  # a task's own
            raise _gone(scheduler, f"went away ({type(error).__name__})", folder) from error


def _submit(client: Any, folder: RunFolder, job: Path, index: int, attempt: int) -> Any:
    key = f"pfmap-{folder.run.hex()}-{index}-{attempt}-{job.name}"
    return client.submit(_draw_into, str(folder.path.absolute()), folder.run, job.name, index, key=key, pure=False)


def _draw_into(folder: str, run: bytes, job: str, index: int) -> None:
    """What a worker does."""
    write_block(Path(folder), run, index, *_job(folder, job).draw_block(index))


@lru_cache(maxsize=4)
def _job(folder: str, name: str) -> Job:
    import cloudpickle

    try:
        job: Job = cloudpickle.loads((Path(folder) / name).read_bytes())
    except FileNotFoundError:
        raise StoreError(
            f"a worker on {os.uname().nodename} does not see {folder}; draw into a folder on a file system that all "
            "workers share"
        ) from None
    return job


def _client(scheduler: Scheduler, stack: ExitStack) -> Any:
    import logging

    from distributed import Client, LocalCluster

    if isinstance(scheduler, Client):
        return scheduler
    if scheduler is None:
        try:
            cluster = LocalCluster(threads_per_worker=1, dashboard_address=None, silence_logs=logging.CRITICAL)
        except (OSError, RuntimeError, TimeoutError) as error:
            raise InvalidInput(
                f"no Dask cluster could be started on this machine ({error}); scripts need "
                "`if __name__ == '__main__':` around what they do, or pass a scheduler"
            ) from error
        stack.enter_context(cluster)
        return stack.enter_context(Client(cluster))
    try:
        if "://" not in scheduler and Path(scheduler).is_file():
            return stack.enter_context(Client(scheduler_file=scheduler, timeout=10))
        return stack.enter_context(Client(scheduler, timeout=10))
    except (OSError, ValueError, TypeError) as error:
        raise InvalidInput(
            f"no Dask scheduler answers at {scheduler!r} ({type(error).__name__}); give an address such as "
            "'tcp://node1:8786', or the path of a scheduler file"
        ) from None


def _gone(scheduler: Scheduler, what: str, folder: RunFolder) -> StoreError:
    name = scheduler if isinstance(scheduler, str) else "of this draw"
    return StoreError(
        f"the Dask scheduler {name} {what}; finished blocks are kept in {folder.path}, and the same call goes on there"
    )

"""Several trainings side by side, each in a process of its own on one core."""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import keras
import tensorflow as tf

from tfbind._validation import check_integer


def num_cores() -> int:
    """Returns how many trainings this machine runs at once: one a core, or one on a GPU or TPU."""
    if tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("TPU"):
        return 1
    return os.cpu_count() or 1


def side_by_side(
    function: Callable, jobs: Sequence[tuple], processes: int, *, verbose: int = 0
) -> list[Any]:
    """Calls a function with each tuple of arguments, several at a time, and returns the results.

    One training on each of C cores is quicker than C trainings in turn on all of them, since a
    step divides badly. Whatever fails first is raised when those that run have ended.

    Args:
        function: One that other processes can import by its name.
        jobs: Tuples of arguments, which can be pickled.
        processes: Integer >= 1; with 1 everything happens in this process. With more, a script
            needs the guard `if __name__ == "__main__":` of `multiprocessing`.
        verbose: 1 for a progress bar of the jobs, 0 for none.
    """
    processes = min(check_integer("processes", processes, 1), len(jobs))
    if processes == 1:
        return [function(*job) for job in jobs]
    bar = keras.utils.Progbar(len(jobs), unit_name="training", verbose=verbose)
    bar.update(0)
    context = multiprocessing.get_context("spawn")  # TensorFlow does not survive a fork
    with concurrent.futures.ProcessPoolExecutor(processes, context, _begin) as pool:
        futures = [pool.submit(function, *job) for job in jobs]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
                bar.add(1)
        except BrokenProcessPool as error:
            raise ValueError(
                "`processes` must be no more than the memory has room for. Received: "
                f"processes={processes}, one of which was ended from outside; the same call "
                "again goes on where it was."
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)
    return [future.result() for future in futures]


def _begin() -> None:
    """Makes a new process use one core, and end when it should."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # at Ctrl-C at once, without a word
    threading.Thread(target=_end_with_parent, daemon=True).start()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _end_with_parent() -> None:
    """Waits for the end of the parent, however it ends; else two would train in one folder."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

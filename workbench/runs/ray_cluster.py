"""Runs on a Ray cluster: another engine for the same sweep."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from workbench.networks.fast.memory import keep_freed_memory
from workbench.runs.sweep import RETRIES, Attempt, Done, Due
from workbench.tasks import plugins

_ERRORS = 40  # as in `logging`


class RayCluster:
    """An existing Ray cluster, or one that is started on this machine for the sweep alone.

    The workbench, at the same version, must be installed on every node, with the plug-ins that
    ``WORKBENCH_PLUGINS`` names, and the store must be one that all nodes reach: a shared folder or
    a URL. Files that runs read and a node lacks come by way of the store.

    Attributes:
        workers: Runs at the same time; each takes one CPU of the cluster.
        retries: Further attempts at a run whose worker or node died.

    Raises:
        ValueError: if Ray is not installed or no cluster answers at the address.
    """

    elsewhere: ClassVar[bool] = True

    def __init__(
        self, address: str | None = None, workers: int | None = None, retries: int = RETRIES
    ):
        # before the import, which reads them
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
        except ImportError as error:
            raise ValueError(
                "The engine `ray` needs Ray: `pip install -e '.[cluster]' -c constraints.txt`."
            ) from error
        if workers is not None and workers < 1:
            raise ValueError(f"`workers` must be a whole number from 1 up: got {workers}.")
        own: dict[str, Any] = {}
        if os.environ.get(plugins.VARIABLE):
            # a node finds the same files (a shared folder) or the same packages
            names = (plugins.VARIABLE, plugins.HOME)
            given = {name: os.environ[name] for name in names if name in os.environ}
            own["runtime_env"] = {"env_vars": given}
        if address is None:
            own |= {"num_cpus": workers, "include_dashboard": False}
        try:
            ray.init(address=address or "local", log_to_driver=False, logging_level=_ERRORS, **own)
        except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
            raise ValueError(
                f"No Ray cluster could be reached at {address or 'this machine'}: {error}. Start "
                "one with `ray start --head` and pass the address that it prints. If it said that "
                "it wants a token: `export RAY_AUTH_MODE=token` first."
            ) from error
        self.workers = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        self.retries = retries

    def outcomes(self, attempt: Attempt, due: Sequence[Due]) -> Iterator[Done]:
        """See ``Engine``. A worker or node that dies costs its run an attempt, no more."""
        import ray

        task = ray.remote(num_cpus=1, max_retries=self.retries)(_in_task)
        waiting = deque(due)
        running: dict[Any, Due] = {}
        shared = ray.put(attempt)
        try:
            while waiting or running:
                while waiting and len(running) < self.workers:
                    one = waiting.popleft()
                    running[task.remote(shared, one)] = one
                ended, _ = ray.wait(list(running), timeout=1.0)
                for reference in ended:
                    one = running.pop(reference)
                    try:
                        yield ray.get(reference)
                    except ray.exceptions.RayError as error:
                        yield attempt.failed(one, 0.0, str(error), again=True, error=error)
        finally:
            for reference in running:
                with contextlib.suppress(Exception):  # the cluster may be gone
                    ray.cancel(reference, force=True)

    def close(self) -> None:
        """Leave the cluster; one that was started for the sweep ends."""
        import ray

        ray.shutdown()


def _in_task(attempt: Attempt, due: Due) -> Done:
    """Run in a worker of the cluster, which may itself be told to end at any moment."""
    keep_freed_memory()
    return attempt(due)

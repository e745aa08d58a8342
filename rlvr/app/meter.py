"""What a stage costs: this process from its start to its end, and the steps that earlier processes made."""

import math
import time
from collections.abc import Iterable, Mapping


class Meter:
    """Counts CPU-seconds and elapsed seconds from its making; verifier processes are not counted.

    A GPU is held all the while, whether it computes or waits: with `on_gpu` the elapsed seconds are GPU-seconds too.
    """

    def __init__(self, *, on_gpu: bool = False) -> None:
        self._on_gpu = on_gpu
        self._cpu_start, self._start = time.process_time(), time.perf_counter()
        self._cpu_seconds = self._seconds = 0.0

    def add(self, lines: Iterable[Mapping[str, float]]) -> None:
        """Adds the steps of these metrics lines, made by processes that were stopped."""
        for line in lines:
            self._cpu_seconds = math.fsum((self._cpu_seconds, line["time/cpu_seconds"]))
            self._seconds = math.fsum((self._seconds, line["time/step_seconds"]))

    def durations(self) -> dict[str, float]:
        """Gives `cpu_seconds`, `elapsed_seconds` and `gpu_seconds` so far."""
        elapsed = self._seconds + time.perf_counter() - self._start
        return {
            "cpu_seconds": self._cpu_seconds + time.process_time() - self._cpu_start,
            "elapsed_seconds": elapsed,
            "gpu_seconds": elapsed if self._on_gpu else 0.0,
        }

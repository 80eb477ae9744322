"""What the model costs: `python -m tests.benchmarks.engine [MODEL_DIRECTORY]`.

CPU milliseconds per image of the server's own engine with one thread, by batch size: the best of several rounds, in
which the sizes take turns, since other work on the machine only ever adds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from server import model_config
from server.engine import TorchScriptInstance, TorchScriptModel

_SIZES = (1, 2, 4, 8, 16)


class LoneInstance:
    """A model in the server's own engine, with one thread: the one that makes it.

    Attributes:
        config: The model's.
        sizes: Batch sizes that it is worth looking at, ascending.
    """

    def __init__(self, directory: Path) -> None:
        self.config = model_config.read(directory)
        (version,) = self.config.versions_to_serve(int(path.name) for path in directory.iterdir() if path.is_dir())
        self._instance = TorchScriptInstance(
            TorchScriptModel(directory / str(version) / self.config.model_file, self.config), 1
        )
        self._instance.open()
        self.sizes = [rows for rows in _SIZES if rows <= self.config.max_rows]

    def cpu_ms_per_image(self, rows: int) -> float:
        """CPU of this thread for one execution, per row."""
        payload = bytes(rows * self.config.inputs[0].row_bytes)
        started = time.thread_time()
        self._instance.run([(payload,)], [rows])
        return (time.thread_time() - started) / rows * 1e3

    def least_cpu_ms_per_image(self, executions: int) -> dict[int, float]:
        """The same by batch size, the least of several: the sizes take turns."""
        least = dict.fromkeys(self.sizes, float("inf"))
        for _ in range(executions):
            for rows in self.sizes:
                least[rows] = min(least[rows], self.cpu_ms_per_image(rows))
        return least


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=Path("model_repository/ca_mobilenetv2"))
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    instance = LoneInstance(arguments.model)
    least = instance.least_cpu_ms_per_image(arguments.rounds)
    print(f"{arguments.model}, input {instance.config.inputs[0].dims}: CPU ms per image, one thread, by batch size")
    print("  ".join(f"b{rows} {cost:.2f}" for rows, cost in least.items()))


if __name__ == "__main__":
    main()

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


def cpu_ms_per_image(instance: TorchScriptInstance, payload: bytes, rows: int) -> float:
    """CPU of this thread for one execution, per row."""
    started = time.thread_time()
    instance.run([(payload,)], [rows])
    return (time.thread_time() - started) / rows * 1e3


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, nargs="?", default=Path("model_repository/ca_mobilenetv2"))
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    config = model_config.read(arguments.model)
    (version,) = config.versions_to_serve(int(path.name) for path in arguments.model.iterdir() if path.is_dir())
    instance = TorchScriptInstance(TorchScriptModel(arguments.model / str(version) / config.model_file, config), 1)
    instance.open()
    sizes = [rows for rows in (1, 2, 4, 8, 16) if rows <= config.max_rows]
    best = dict.fromkeys(sizes, float("inf"))
    for _ in range(arguments.rounds):
        for rows in sizes:
            payload = bytes(rows * config.inputs[0].row_bytes)
            best[rows] = min(best[rows], cpu_ms_per_image(instance, payload, rows))
    print(f"{arguments.model}, input {config.inputs[0].dims}: CPU ms per image, one thread, by batch size")
    print("  ".join(f"b{rows} {cost:.2f}" for rows, cost in best.items()))


if __name__ == "__main__":
    main()

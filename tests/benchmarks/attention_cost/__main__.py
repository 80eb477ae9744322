"""What attention costs: `python -m tests.benchmarks.attention_cost`."""

from __future__ import annotations

import os
import sys

# As the server does; OpenMP reads them when torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from tests.benchmarks.attention_cost.command import main

if __name__ == "__main__":
    sys.exit(main())

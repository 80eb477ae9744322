"""`python -m deploy.triton --model-repository DIR`: tritonserver in the foreground, until Ctrl-C."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from deploy.triton.errors import LaunchError
from deploy.triton.launch import Endpoints, launch


def main() -> int:
    """Read the command line and become tritonserver; return only if it cannot be started."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.triton",
        description="Serve a model repository with NVIDIA Triton, without Docker or a GPU.",
        epilog="Any other flag is passed on to tritonserver. A port of 0 picks a free one; the addresses are printed.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--model-repository", required=True, type=Path, metavar="DIR")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on")
    parser.add_argument("--grpc-port", type=int, default=8001, metavar="PORT")
    parser.add_argument("--http-port", type=int, default=8000, metavar="PORT")
    parser.add_argument("--metrics-port", type=int, default=8002, metavar="PORT")
    options, triton_flags = parser.parse_known_args()
    endpoints = Endpoints(options.host, options.grpc_port, options.http_port, options.metrics_port)
    try:
        launch(options.model_repository, endpoints, triton_flags)
    except LaunchError as error:
        print(f"deploy.triton: {error}", file=sys.stderr)  # noqa: T201 - a command's output
    return 1


if __name__ == "__main__":
    sys.exit(main())

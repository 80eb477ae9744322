"""`python -m client`: classify images, or ask how a server's models are doing."""

from __future__ import annotations

import os
import sys

from client.command_line import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

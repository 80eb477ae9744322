"""Draw what a command prints as an SVG: `python docs/picture.py docs/demo.svg make demo`."""

from __future__ import annotations

import re
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

_WIDTH = 110


def main() -> None:
    """Run the command, show its standard output, and save it as a picture of a terminal."""
    target, *command = sys.argv[1:]
    shown = " ".join(command)
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - the caller's own
    sys.stdout.write(finished.stdout)
    console = Console(record=True, width=_WIDTH, file=StringIO())
    console.print(Text(f"$ {shown}", style="bold green"))
    console.print(Text.from_ansi(finished.stdout))
    drawing = console.export_svg(title=shown)
    # The reader's own fixed-width font will do; no picture should have to fetch one.
    Path(target).write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawing, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    main()

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from loadtest.replay_file import read_instants

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_of_instants_is_read(tmp_path: Path) -> None:
    """One instant a line; remarks do not count, and what is no number is told with its line."""
    file = tmp_path / "instants.txt"
    file.write_text("# seconds\n1.5\n\n2\n", encoding="utf-8")
    np.testing.assert_array_equal(read_instants(file), [1.5, 2.0])

    file.write_text("1\nsoon\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"instants.txt:2: 'soon'"):
        read_instants(file)

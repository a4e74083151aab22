import subprocess
import sys
from pathlib import Path

import pytest

from beholder._lock import only_writer
from beholder.errors import DataError

HOLD = """
import sys
from pathlib import Path
from beholder._lock import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_writer_is_refused_until_the_first_one_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"held\n"
        refused = pytest.raises(DataError, match=f"another process is writing {tmp_path}")
        with refused, only_writer(tmp_path / ".lock"):
            pass
        first.kill()
    with only_writer(tmp_path / ".lock"):
        pass

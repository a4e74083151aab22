"""Messages arrive whole and in order, or the other side is known to be gone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from beholder._run_folder import Shard
from beholder.errors import ConfigError, DataError, ImageError
from beholder.rewards.sharded import channel as channel_module
from beholder.rewards.sharded.channel import Channel, Fatal, Progress, Stop


def channel() -> Channel:
    """One end that hears what it says."""
    reader, writer = os.pipe()
    return Channel(os.fdopen(reader, "rb"), os.fdopen(writer, "wb"))


def test_messages_arrive_in_order_until_the_other_side_hangs_up() -> None:
    end = channel()
    shard = Shard(name="a", kind="list", source="s")
    assert all(end.send(message) for message in (shard, Progress(3), Stop()))
    assert [end.receive() for _ in range(3)] == [shard, Progress(3), Stop()]
    end.hang_up()
    assert end.receive() is None
    assert not end.send(Stop())
    end.close()


def test_nobody_listening_is_told_by_send() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    end = Channel(open(os.devnull, "rb"), os.fdopen(writer, "wb"))  # noqa: PTH123, SIM115
    assert not end.send(Stop())
    end.close()


def test_errors_arrive_as_what_they_are() -> None:
    for error, kind in (
        (ConfigError("no reward named x"), ConfigError),
        (ImageError("empty", "no bytes"), DataError),
        (OSError(28, "No space left on device"), DataError),
    ):
        end = channel()
        end.send(Fatal.of(error))
        found = end.receive()
        end.close()
        assert isinstance(found, Fatal)
        with pytest.raises(kind, match=str(error).replace("[", r"\[")):
            raise found.kind(found.text)


def test_what_a_worker_prints_does_not_disturb_its_messages() -> None:
    root = Path(channel_module.__file__).parents[2]
    program = (  # the packages themselves would import torch
        "import sys, types\n"
        "for name in ('', '.rewards', '.rewards.sharded'):\n"
        "    module = sys.modules['beholder' + name] = types.ModuleType(name)\n"
        "    module.__path__ = [sys.argv[1] + name.replace('.', '/')]\n"
        "from beholder.rewards.sharded.channel import of_worker\n"
        "end = of_worker()\nprint('noise', flush=True)\nend.send(end.receive())\n"
    )
    run = subprocess.Popen(
        [sys.executable, "-c", program, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert run.stdin is not None
    assert run.stdout is not None
    assert run.stderr is not None
    end = Channel(run.stdout, run.stdin)  # type: ignore[arg-type]
    end.send(Progress(7))
    assert end.receive() == Progress(7)
    assert end.receive() is None
    assert run.stderr.read() == b"noise\n"
    run.wait()
    run.stderr.close()
    end.close()

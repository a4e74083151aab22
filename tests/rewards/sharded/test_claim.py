"""A folder belongs to one run."""

from pathlib import Path

import pytest

from beholder._run_folder import Run, RunFolder
from beholder.errors import ConfigError
from beholder.rewards.sharded.claim import claim, only_driver, refuse_foreign
from beholder.storage import Place


def run(seed: int = 0, source: str = "/p") -> Run:
    return Run(source=source, rewards={"r": {"options": {"seed": seed, "sizes": (1, 2)}}})


def test_the_first_claims_and_who_agrees_may_go_on(tmp_path: Path) -> None:
    folder = RunFolder(Place(tmp_path))
    first = claim(folder, run())
    assert claim(folder, run()) == first == folder.run()
    assert first.config_hash == run().config_hash


def test_other_settings_rewards_or_sources_are_refused(tmp_path: Path) -> None:
    folder = RunFolder(Place(tmp_path))
    claim(folder, run())
    with pytest.raises(ConfigError, match=r"rewards\.r\.options\.seed was 0, now 1"):
        claim(folder, run(seed=1))
    with pytest.raises(ConfigError, match="source was '/p', now '/q'"):
        claim(folder, run(source="/q"))
    with pytest.raises(ConfigError, match="scores by r, this run asks for r, s; ask for"):
        claim(folder, Run(source="/p", rewards={**run().rewards, "s": {}}))


def test_what_is_no_run_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"'mine\.txt' and is no sharded run"):
        refuse_foreign(RunFolder(Place(tmp_path)))
    with pytest.raises(ConfigError, match="is a file"):
        refuse_foreign(RunFolder(Place(tmp_path / "mine.txt")))
    for name in ("inputs", "rewards"):
        (tmp_path / "table" / name).mkdir(parents=True)
    with pytest.raises(ConfigError, match="without --engine"):
        refuse_foreign(RunFolder(Place(tmp_path / "table")))
    (tmp_path / "begun" / "_run").mkdir(parents=True)
    refuse_foreign(RunFolder(Place(tmp_path / "begun")))


def test_of_two_that_claim_at_once_the_second_reads_what_the_first_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(Place(tmp_path))
    claim(folder, run())
    monkeypatch.setattr(RunFolder, "is_run", lambda folder: False)  # as both saw it
    with pytest.raises(ConfigError, match="seed was 0, now 1"):
        claim(folder, run(seed=1))
    assert folder.run() == claim(folder, run())


def test_a_driver_sweeps_what_killed_writers_left(tmp_path: Path) -> None:
    left = tmp_path / ".a.parquet.0123abcd.tmp"
    left.write_bytes(b"half")
    with only_driver(RunFolder(Place(tmp_path))):
        assert not left.exists()

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from beholder.errors import ConfigError, DataError
from beholder.rewards._towers import Features
from beholder.training.towers import feature_parts
from beholder.training.towers.feature_parts import Parts, PartWriter, narrowed, write_part


def states(*numbers: float, tokens: int = 2) -> Features:
    pooled = torch.tensor(numbers)[:, None] * torch.ones(3)
    return Features(pooled[:, None].repeat(1, tokens, 1), pooled)


def one(number: float) -> Features:
    return states(number)


def test_what_is_written_is_found_by_name_in_any_order(tmp_path: Path) -> None:
    write_part(tmp_path, {"a": one(1), "b": one(2)})
    write_part(tmp_path, {"c": one(3)})
    parts = Parts(tmp_path, ["a", "b", "c", "d"])
    found = parts.load(["c", "a", "c"])
    assert found.pooled[:, 0].tolist() == [3, 1, 3]
    assert found.tokens.shape == (3, 2, 3)
    assert [parts.holds(name) for name in "abcd"] == [True, True, True, False]
    with pytest.raises(DataError, match=r"features are gone \(d\)"):
        parts.load(["a", "d"])


def test_pictures_that_nobody_asked_for_are_left_out(tmp_path: Path) -> None:
    write_part(tmp_path, {"a": one(1), "b": one(2)})
    assert not Parts(tmp_path, ["a"]).holds("b")


def test_the_earliest_part_counts(tmp_path: Path) -> None:
    write_part(tmp_path, {"a": one(1)})
    write_part(tmp_path, {"a": one(7), "b": one(2)})
    assert Parts(tmp_path, ["a", "b"]).load(["a", "b"]).pooled[:, 0].tolist() == [1, 2]


def test_the_file_is_one_that_safetensors_reads(tmp_path: Path) -> None:
    write_part(tmp_path, {"a": narrowed(one(1), "fp16"), "b": narrowed(one(0.5), "fp16")})
    (path,) = tmp_path.iterdir()
    tensors = load_file(path)
    assert tensors["pooled"].dtype == torch.float16
    assert tensors["pooled"][:, 0].tolist() == [1, 0.5]
    assert tensors["tokens"].shape == (2, 2, 3)


def test_without_tokens_the_pooled_states_come_back_alone(tmp_path: Path) -> None:
    write_part(tmp_path, {"a": states(1.5, tokens=0)})
    found = Parts(tmp_path, ["a"]).load(["a"])
    assert found.tokens.shape == (1, 0, 3)
    assert found.pooled.tolist() == [[1.5, 1.5, 1.5]]


@pytest.mark.parametrize("damage", ["cut", "empty", "header", "state", "name", "checksum"])
def test_every_damage_is_noticed_and_the_file_removed(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_part(tmp_path, {"aaaa": one(1)})
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(
        {
            "cut": whole[:-1],
            "empty": b"",
            "header": b"\xff" * 8 + whole[8:],
            "state": whole[:-1] + bytes([whole[-1] ^ 1]),
            "name": whole.replace(b"aaaa", b"abaa"),
            "checksum": whole.replace(b'"checksum":"', b'"checksum":"1'),
        }[damage]
    )
    assert not any(Parts(tmp_path, ["aaaa", "abaa"]).holds(name) for name in ("aaaa", "abaa"))
    assert not path.exists()
    assert "are damaged; they are computed anew" in caplog.text


def test_a_part_that_another_process_removes_meanwhile_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_part(tmp_path, {"a": one(1)})
    (path,) = tmp_path.iterdir()
    monkeypatch.setattr(Path, "glob", lambda *_: [path])
    path.unlink()
    assert not Parts(tmp_path, ["a"]).holds("a")


def test_a_part_that_cannot_be_read_now_is_not_taken_for_a_damaged_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_part(tmp_path, {"a": one(1)})

    def broken(*_: object) -> None:
        raise OSError("Input/output error")

    monkeypatch.setattr(feature_parts, "safe_open", broken)
    with pytest.raises(DataError, match=r"cannot read kept features in .*Input/output error"):
        Parts(tmp_path, ["a"])
    assert len(list(tmp_path.iterdir())) == 1


def test_a_part_is_written_when_it_is_large_and_the_rest_on_leaving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_parts, "PART_BYTES", 3 * 9 * 2)  # of three pictures, 9 numbers each
    with PartWriter(tmp_path, "fp16") as writer:
        writer.add(["a", "b"], states(1, 2))
        assert writer.holds("b")
        assert list(tmp_path.iterdir()) == []
        writer.add(["c", "d"], states(3, 4))
        assert len(list(tmp_path.iterdir())) == 1
        assert writer.holds("b")
        writer.add(["e"], states(5))
    assert len(list(tmp_path.iterdir())) == 2
    assert Parts(tmp_path, "abcde").load(list("abcde")).pooled[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_a_part_is_written_when_time_has_passed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_parts, "PART_SECONDS", 0.0)
    with PartWriter(tmp_path, "fp32") as writer:
        writer.add(["a"], states(1))
        assert len(list(tmp_path.iterdir())) == 1


def test_nothing_half_written_has_the_name_of_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        (tmp_path / ".half").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(feature_parts, "save_file", killed)
    with pytest.raises(KeyboardInterrupt):
        write_part(tmp_path, {"a": one(1)})
    assert list(tmp_path.glob("*.safetensors")) == []


def test_half_precision_ends_at_65504() -> None:
    assert narrowed(states(65504.0), "fp16").pooled.max() == 65504
    with pytest.raises(ConfigError, match=r"reach 7e\+04, fp16 ends at 6.55e\+04; set feature_dty"):
        narrowed(states(1.0, -70000.0), "fp16")
    assert narrowed(states(70000.0), "fp32").pooled.max() == 70000


def test_texts_of_different_lengths_lie_in_files_of_their_own(tmp_path: Path) -> None:
    with PartWriter(tmp_path, "fp32") as writer:
        for name, tokens in (("a", 2), ("b", 3), ("c", 2)):
            writer.add([name], states(1.0, tokens=tokens))
    assert len(list(tmp_path.iterdir())) == 2
    parts = Parts(tmp_path, "abc")
    assert [parts.load([name]).tokens.shape[1] for name in "abc"] == [2, 3, 2]

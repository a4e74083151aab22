"""Failures of one cause have one kind, whichever shard they are of."""

from beholder.errors import DataError
from beholder.rewards.sharded.failures import kind_of, told


def test_a_fault_of_the_system_is_known_by_its_number() -> None:
    try:
        try:
            raise FileNotFoundError(2, "gone", "/mnt/a.tar")
        except OSError as error:
            raise DataError("/mnt/a.tar cannot be read") from error
    except DataError as error:
        assert kind_of(error) == "ENOENT"
    assert kind_of(OSError(28, "full", "b")) == "ENOSPC"


def test_other_texts_count_without_names_paths_and_numbers() -> None:
    first = DataError("s3://b/a.tar: member 'x.png' ends at byte 17")
    second = DataError("s3://b/c.tar: member 'y.png' ends at byte 9")
    assert kind_of(first) == kind_of(second) == "DataError: … member … ends at byte …"
    assert kind_of(KeyError("a")) != kind_of(DataError("'a'"))


def test_what_nobody_foresaw_is_told_with_its_type() -> None:
    assert told(KeyError("x")) == "KeyError: 'x'"
    assert told(DataError("the archive\nends")) == "the archive ends"

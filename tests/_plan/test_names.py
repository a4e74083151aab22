"""Names of shards are unique on every disk, and no reader of a folder leaves them out."""

from beholder._plan.names import MOST, ShardNames


def test_names_are_what_they_are_of() -> None:
    names = ShardNames()
    assert names.of("shard-000") == "shard-000"
    assert names.of("deep/shard-000") == "deep-shard-000"
    assert names.of("a b:c?") == "a-b-c-"


def test_equal_names_are_told_apart_also_where_case_does_not() -> None:
    names = ShardNames()
    given = [names.of(path) for path in ("a/b", "a-b", "A-B", "a b", "a-b-2")]
    assert given == ["a-b", "a-b-2", "A-B-3", "a-b-4", "a-b-2-2"]
    assert len({name.lower() for name in given}) == 5


def test_names_are_shown_to_readers_and_fit_any_disk() -> None:
    names = ShardNames()
    given = [names.of(path) for path in ("_run", ".hidden", "", "日本", "x" * 300, "x" * 301)]
    assert given[:2] == ["run", "hidden"]
    assert all(name.isascii() and name[0] not in "._" for name in given)
    assert len(set(given)) == 6
    assert all(len(name) <= MOST for name in given)
    assert given == [
        ShardNames().of(p) for p in ("_run", ".hidden", "", "日本", "x" * 300, "x" * 301)
    ]

import torch

from beholder.quickstart.diary import Diary, one_thread


def test_the_number_of_threads_is_given_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_a_diary_tells_each_part_before_it_begins_with_its_lines() -> None:
    told: list[str] = []
    diary = Diary(told.append)
    with diary.part("training", "beholder train a.yaml", "beholder score b"):
        assert [line.split("] ")[-1].strip() for line in told] == [
            "training",
            "$ beholder train a.yaml",
            "$ beholder score b",
        ]
    assert diary.commands == ["beholder train a.yaml", "beholder score b"]
    assert list(diary.seconds) == ["training"]
    assert diary.total() >= diary.seconds["training"]

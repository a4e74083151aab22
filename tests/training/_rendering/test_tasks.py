import re

from beholder.prompt_sets import PromptRow
from beholder.training._rendering.tasks import in_batches, noise_seed, tasks_of


def test_each_prompt_has_each_seed_with_noise_of_its_own() -> None:
    tasks = tasks_of([PromptRow("a fox"), PromptRow("a cat")], [0, 7])
    assert [(task.row.prompt, task.seed) for task in tasks] == [
        ("a fox", 0),
        ("a fox", 7),
        ("a cat", 0),
        ("a cat", 7),
    ]
    assert len({task.noise_seed for task in tasks}) == 4
    assert all(0 <= task.noise_seed < 2**32 for task in tasks)


def test_names_and_noise_do_not_depend_on_the_other_tasks() -> None:
    alone = tasks_of([PromptRow("a cat", "animals")], [7])
    among = tasks_of([PromptRow("a fox"), PromptRow("a cat")], [0, 7])
    assert (alone[0].name, alone[0].noise_seed) == (among[-1].name, among[-1].noise_seed)
    assert noise_seed("a cat", 7) == 458100587  # as pictures that were drawn have it


def test_names_are_safe_for_files_and_tell_every_prompt_apart() -> None:
    texts = [
        "../../etc/passwd",
        "a\n\x00b",
        "ein Fuchs, größer",
        "Ein Fuchs, grösser",
        "狐",
        "",
        "x",
    ]
    texts += ["x" * 5000, "x" * 5001, "bad \udcff"]
    names = [task.name for task in tasks_of(list(map(PromptRow, texts)), [3])]
    assert len(set(names)) == len(texts)
    assert all(re.fullmatch(r"[a-z0-9-]+-s3", name) and len(name) < 64 for name in names)


def test_batches_hold_all_tasks_in_order() -> None:
    tasks = tasks_of([PromptRow("a fox")], range(5))
    batches = list(in_batches(tasks, 2))
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert [task for batch in batches for task in batch] == tasks

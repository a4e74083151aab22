"""A file of random weights in Inception's size, written once."""

from pathlib import Path

import pytest
import torch

from tests.eval.extractors.random_weights import inception_state


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "pt_inception.pth"
    torch.save(inception_state(), path)
    return path

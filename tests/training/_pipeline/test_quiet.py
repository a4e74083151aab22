import warnings

import pytest
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from beholder.training._pipeline.quiet import quiet


def test_libraries_are_quiet_inside_and_as_before_outside(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = diffusers_logging.get_logger("diffusers.test")
    before = [
        (library.get_verbosity(), library.is_progress_bar_enabled())
        for library in (diffusers_logging, transformers_logging)
    ]
    with quiet():
        warnings.warn("of no use", stacklevel=1)
        log.warning("nor this")
        assert not diffusers_logging.is_progress_bar_enabled()
        assert not transformers_logging.is_progress_bar_enabled()
    assert "nor this" not in caplog.text
    assert before == [
        (library.get_verbosity(), library.is_progress_bar_enabled())
        for library in (diffusers_logging, transformers_logging)
    ]
    log.warning("this is told")
    assert "this is told" in caplog.text

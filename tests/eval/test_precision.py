"""Inside is true float32; outside everything is as it was."""

from collections.abc import Iterator

import pytest
import torch

from beholder.eval._precision import full_precision


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = True


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_what_a_program_set_the_old_way_is_set_again(precision: str) -> None:
    torch.set_float32_matmul_precision(precision)
    for _ in range(2):
        with full_precision("cpu"):
            assert torch.get_float32_matmul_precision() == "highest"
            assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == precision
        assert torch.backends.cudnn.allow_tf32


def test_what_a_program_set_the_new_way_is_set_again_also_after_an_error() -> None:
    matmul = torch.backends.cuda.matmul
    if not hasattr(matmul, "fp32_precision"):
        pytest.skip("this torch knows the old way only")
    matmul.fp32_precision = "tf32"

    def fail() -> None:
        with full_precision("cpu"):
            assert matmul.fp32_precision == "ieee"
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert matmul.fp32_precision == "tf32"


def test_an_autocast_around_does_not_reach_inside() -> None:
    values = torch.ones(2, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (values @ values).dtype == torch.bfloat16
        with full_precision("cpu"):
            assert (values @ values).dtype == torch.float32


def test_bfloat16_products_of_a_cpu_are_switched_off() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(64, 64, generator=generator)
    exact = (values.double() @ values.double()).float()
    torch.set_float32_matmul_precision("medium")
    with full_precision("cpu"):
        torch.testing.assert_close(values @ values, exact, rtol=1e-5, atol=1e-5)

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from beholder.errors import ConfigError
from beholder.training._pipeline.inpainting import Inpainter
from tests.training._guidance.drivers import driver, inpainting

PICTURE = Image.fromarray(np.full((24, 32, 3), 90, np.uint8))
ARGUMENTS = {"prompt": ["a cat"], "num_inference_steps": 4, "max_sequence_length": 16}


def soft_mask(edge: int) -> Image.Image:
    """White at the left, black at the right, `edge` between them."""
    values = np.zeros((24, 32), np.uint8)
    values[:, :12], values[:, 12:16] = 255, edge
    return Image.fromarray(values)


def repainted(name: str, mask: Image.Image, seed: int = 0) -> npt.NDArray[np.uint8]:
    painter = Inpainter(inpainting(name).pipe)
    return np.array(painter.repaint(PICTURE, mask, ARGUMENTS, strength=0.8, seed=seed))


@pytest.mark.parametrize("name", ["sd", "sd3", "flux"])
def test_pictures_come_out_at_their_size_and_differ_by_seed(name: str) -> None:
    first, again, other = (repainted(name, soft_mask(0), seed) for seed in (3, 3, 4))
    assert first.shape == (24, 32, 3)
    assert (first == again).all()
    assert (first[:, :12] != other[:, :12]).any()


def test_the_soft_edge_is_repainted_as_wholly_as_the_middle() -> None:
    whole, soft, hard = (repainted("sd", soft_mask(edge)) for edge in (255, 1, 0))
    assert (soft == whole).all()
    assert (soft != hard).any()


def test_no_weights_are_loaded_and_the_pipeline_is_left_alone() -> None:
    one = driver("sd")
    before = dict(vars(one.pipe))
    painter = Inpainter(one.pipe)
    assert painter.pipe.unet is one.denoiser
    assert painter.pipe.scheduler is one.pipe.scheduler
    repainted("sd", soft_mask(0))
    assert {name for name, value in vars(one.pipe).items() if before.get(name) is not value} <= {
        "_internal_dict"
    }


def test_sizes_are_the_pictures_own_rounded_or_scaled_to_the_longest() -> None:
    painter = Inpainter(driver("sd").pipe)
    assert painter.multiple == 8
    assert painter.size(512, 768, 1024) == (512, 768)
    assert painter.size(500, 771, 1024) == (496, 768)
    assert painter.size(4000, 1000, 1024) == (1024, 256)
    assert painter.size(3, 4, 1024) == (8, 8)


def test_a_multiple_is_the_familys_where_it_is_coarser() -> None:
    painter = Inpainter(driver("flux").pipe)
    painter.pipe.image_processor.register_to_config(vae_scale_factor=16)
    assert painter.multiple == 16
    assert painter.size(40, 55, 1024) == (32, 48)


def test_a_family_that_does_not_repaint_is_refused() -> None:
    with pytest.raises(ConfigError, match="SanaPipeline has no inpainting sibling"):
        Inpainter(driver("sana").pipe)


def test_a_pipeline_whose_parts_cannot_repaint_says_why() -> None:
    painter = Inpainter(driver("sd3").pipe)  # four channels of latents, where it insists on sixteen
    with pytest.raises(ConfigError, match=r"cannot repaint: .*16 input channels"):
        painter.repaint(PICTURE, soft_mask(0), ARGUMENTS, strength=0.8, seed=0)

"""What one image takes on its way is counted against --max-memory, before it is made."""

import numpy as np
import pytest

from graphc.errors import DataError
from graphc.report.look import preview

RECIPE = """recipe: 1
model: net.yaml
data:
  train: {npz: {path: x.npz}}
  augment:
    - flip_horizontal
    - {}
  resize: {}
loss: softmax_cross_entropy
optimizer: sgd
learning_rate: 0.1
batch: 2
epochs: 1
"""


@pytest.mark.parametrize(
    ("step", "resize", "channels", "place"),
    [
        ("side_scale: {side: [4, 2000]}", "stretch", 1, "7:7: .*side_scale takes 96,000,000 bytes"),
        ("random_crop: {size: [2000, 2000]}", "stretch", 1, "7:7: .*random_crop takes 96,000,000 bytes"),
        ("random_crop: {size: [200, 200]}", "stretch", 100, "7:7: .*random_crop takes 96,000,000 bytes"),
        ("rotate: {}", "{center_crop: {shorter_side: 2000}}", 1, "8:11: .*center_crop takes 64,000,000 bytes"),
    ],
)
def test_steps_that_make_large_images(step, resize, channels, place, tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 4, 4, channels), np.float32), y=np.zeros(2, int))
    recipe = RECIPE.replace("- {}", f"- {step}").replace("resize: {}", f"resize: {resize}")
    (tmp_path / "recipe.yaml").write_text(recipe)
    with pytest.raises(DataError, match=place):
        preview(tmp_path / "recipe.yaml", [], str(tmp_path / "sheet.png"), limit=50_000_000)

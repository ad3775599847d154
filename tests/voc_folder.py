"""Drawn scenes as files in VOC2012's layout, for the tests of what reads them."""

from pathlib import Path

from PIL import Image

from segcore.data import toy, voc


def write_voc(root: Path, n_train: int = 1, n_val: int = 1, size: int = 128) -> None:
    """Scene i becomes toy_00000i; the first `n_train` are train, the rest val."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    names = [f"toy_{i:06d}" for i in range(n_train + n_val)]
    for i, name in enumerate(names):
        image, mask = toy.scene(i, size)
        Image.fromarray(image).save(root / "JPEGImages" / f"{name}.jpg", quality=92)
        voc.write_mask(root / "SegmentationClass" / f"{name}.png", mask)
    for split, listed in {"train": names[:n_train], "val": names[n_train:]}.items():
        text = "".join(f"{name}\n" for name in listed)
        (root / "ImageSets/Segmentation" / f"{split}.txt").write_text(text)

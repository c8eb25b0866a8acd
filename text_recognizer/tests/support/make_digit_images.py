"""Writes the image files of the prediction tests: the first test image of every class of DigitsDataset.

Even digits are dark ink on white paper, odd ones light on dark; every image is 128 x 128 pixels, so that prediction has
to find the ink, its polarity and its scale. Run: python -m text_recognizer.tests.support.make_digit_images
"""

from pathlib import Path

import numpy as np
from PIL import Image

from text_recognizer.datasets.characters.digits import DigitsDataset

FOLDER = Path(__file__).parent / "digits"


def main() -> None:
    dataset = DigitsDataset()
    dataset.prepare()
    split = dataset.split("test")
    for digit in range(10):
        position = int(np.flatnonzero(split.labels == digit)[0])
        pixels = split.batch(np.array([position]))["image"][0, :, :, 0]
        paper = np.zeros((128, 128), dtype=np.uint8)
        paper[16:112, 16:112] = np.kron(pixels, np.ones((12, 12), dtype=np.uint8))
        Image.fromarray(255 - paper if digit % 2 == 0 else paper).save(FOLDER / f"{digit}.png", optimize=True)


if __name__ == "__main__":
    main()

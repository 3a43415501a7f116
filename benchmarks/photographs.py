"""Colour photographs of five classes in any light, as a person might have them in a folder.

    python -m benchmarks.photographs photos --seed 0 --count 120
    tfbind train auto --data photos --num-clusters 5 --run RUN
    tfbind cluster RUN photos --out labels.csv
    python -m benchmarks.photographs photos --score labels.csv

The first line writes JPEG files of different sizes, a subfolder for each class: rendered beaches,
woods, streets at night and snowy hills, and cuttings of scikit-learn's photograph of a flower. The
last prints the share of them in the right cluster, and that of k-means on pixels.
"""

import argparse
import csv
import pathlib
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from sklearn.cluster import KMeans
from sklearn.datasets import load_sample_image

from tfbind import metrics

KINDS = ("beach", "forest", "night", "snow", "flower")
_HEIGHT, _WIDTH = 120, 160
_PIXELS = 48  # a side, that k-means sees


def photographs(seed: int, count: int) -> Iterator[tuple[str, Image.Image]]:
    """Yields `count` pictures of each class, with its name, all of which follow from the seed."""
    random = np.random.default_rng(seed)
    flower = Image.fromarray(load_sample_image("flower.jpg"))
    for kind in KINDS:
        for _ in range(count):
            picture = _cutting(flower, random) if kind == "flower" else _scene(kind, random)
            if random.random() < 0.5:
                picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            picture = ImageEnhance.Brightness(picture).enhance(random.uniform(0.6, 1.4))
            picture = ImageEnhance.Color(picture).enhance(random.uniform(0.4, 1.4))
            size = random.uniform(0.8, 2)
            height = _HEIGHT if random.random() < 0.6 else 150
            yield kind, picture.resize((int(_WIDTH * size), int(height * size)))


def write(folder: pathlib.Path, seed: int, count: int) -> None:
    """Writes the pictures, in a quality that differs."""
    random = np.random.default_rng([seed, 1])
    for number, (kind, picture) in enumerate(photographs(seed, count)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        name = f"{number % count:03}.jpg"
        picture.save(folder / kind / name, quality=int(random.integers(60, 95)))


def _cutting(photograph, random):
    width, height = photograph.size
    share = random.uniform(0.45, 0.9)
    wide, high = int(width * share), int(height * share)
    x, y = random.integers(0, width - wide + 1), random.integers(0, height - high + 1)
    return photograph.crop((x, y, x + wide, y + high))


def _scene(kind, random):
    pixels = {"beach": _beach, "forest": _forest, "night": _night, "snow": _snow}[kind](random)
    picture = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))
    return picture.filter(ImageFilter.GaussianBlur(0.7))


def _color(random, *color):
    return np.array(color) + random.normal(0, 14, 3)


def _texture(random, roughness, shape=(_HEIGHT, _WIDTH)):
    """Returns noise in [0, 1] whose spectrum falls with a power of the frequency."""
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(side) for side in shape), indexing="ij"))
    frequency[0, 0] = 1
    noise = np.fft.ifft2(np.fft.fft2(random.normal(size=shape)) / frequency**roughness).real
    return (noise - noise.min()) / np.ptp(noise)


def _blend(one, other, share):
    """Returns colours between two, `[H, W, 3]`."""
    return one * (1 - share[..., None]) + other * share[..., None]


def _below(line):
    """Returns which pixels lie below a line in [0, 1], a number or one a column: `[H, W, 1]`."""
    return (np.linspace(0, 1, _HEIGHT)[:, None] > line + np.zeros((_HEIGHT, _WIDTH)))[..., None]


def _beach(random):
    horizon = random.uniform(0.35, 0.65)
    clouds = 0.8 * _texture(random, 1.6)
    sky = _blend(_color(random, 120, 170, 230), _color(random, 235, 240, 250), clouds)
    foam = _texture(random, 1.2) ** 2
    sea = _blend(_color(random, 30, 90, 140), _color(random, 150, 200, 210), foam)
    sand = _color(random, 215, 190, 140) + 25 * (_texture(random, 0.6)[..., None] - 0.5)
    shore = horizon + random.uniform(0.1, 0.25) + 0.1 * (_texture(random, 1.8) - 0.5)
    return np.where(_below(shore), sand, np.where(_below(horizon), sea, sky))


def _forest(random):
    leaves = _texture(random, 1.0) ** 1.5
    pixels = _blend(_color(random, 25, 55, 25), _color(random, 110, 150, 60), leaves)
    for _ in range(random.integers(4, 12)):
        left, wide = random.integers(0, _WIDTH), random.integers(3, 10)
        trunk = slice(left, left + wide)
        bark = 0.6 + 0.4 * _texture(random, 0.8)[:, trunk]
        pixels[:, trunk] = _blend(pixels[:, trunk], _color(random, 70, 50, 35), bark)
    return pixels


def _night(random):
    pixels = _color(random, 10, 12, 35) + 12 * _texture(random, 1.5)[..., None]
    left = 0
    while left < _WIDTH:
        right = min(_WIDTH, left + random.integers(10, 30))
        top = int(_HEIGHT * random.uniform(0.2, 0.7))
        pixels[top:, left:right] = _color(random, 30, 30, 40)
        for row in range(top + 3, _HEIGHT - 3, 6):
            for column in range(left + 2, right - 3, 5):
                if random.random() < 0.45:
                    window = _color(random, 240, 210, 120)
                    pixels[row : row + 3, column : column + 2] = window
        left = right
    return pixels


def _snow(random):
    clouds = _texture(random, 1.6)
    sky = _blend(_color(random, 110, 150, 215), _color(random, 225, 230, 240), clouds)
    steps = random.normal(0, 0.05, _WIDTH)
    ridge = random.uniform(0.35, 0.65) - 0.2 + 0.3 * np.clip(np.cumsum(steps), -1, 1)
    snow = (_texture(random, 1.3) > 0.45).astype(float)
    rock = _blend(_color(random, 90, 90, 105), _color(random, 245, 248, 255), snow)
    return np.where(_below(ridge), rock, sky)


def scores(folder: pathlib.Path, labels: pathlib.Path) -> dict[str, float]:
    """Returns the shares in the right cluster: by a table of `tfbind cluster`, and by k-means."""
    with labels.open(newline="") as file:
        rows = list(csv.DictReader(file))
    truth = [KINDS.index(pathlib.Path(row["file"]).parent.name) for row in rows]
    found = {"clusters": [int(row["label"]) for row in rows]}
    pictures = [Image.open(row["file"]).resize((_PIXELS, _PIXELS)) for row in rows]
    pixels = np.array([np.asarray(picture).ravel() / 255 for picture in pictures])
    for seed in range(3):
        means = KMeans(len(KINDS), n_init=5, random_state=seed)
        found[f"k-means {seed}"] = means.fit_predict(pixels)
    return {name: metrics.clustering_accuracy(truth, each) for name, each in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.photographs", description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=120, help="of each class")
    parser.add_argument("--score", type=pathlib.Path, help="labels of `tfbind cluster`")
    arguments = parser.parse_args()
    if arguments.score is None:
        write(arguments.folder, arguments.seed, arguments.count)
        return
    for name, share in scores(arguments.folder, arguments.score).items():
        print(f"{name}: {share:.3f}")


if __name__ == "__main__":
    main()

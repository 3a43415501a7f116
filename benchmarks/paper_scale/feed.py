"""What each step is fed, by NumPy alone: the batches of `tfbind.data.pipelines`, in their order."""

import numpy as np

_MULTIPLIERS = np.array([0xD2511F53, 0xCD9E8D57], np.uint64)  # of Philox 4x32 in 10 rounds
_WEYL = np.array([0x9E3779B9, 0xBB67AE85], np.uint64)
_SCRAMBLE = 0x02461E293EC8F720  # the key by which TensorFlow makes keys of seeds
_LOW = np.uint64(0xFFFFFFFF)


class Feed:
    """The training data of a run.

    Args:
        images: Array `[n, ...]` of all images, bytes or floats.
        arrays: Dict of the name of a model's input to what it takes: int `[m]`, rows of `images`,
            if its name ends in "image", otherwise values.
        streams: Lists of the names of inputs that are drawn together.
        batch_size: Integer.
        steps: Integer, in an epoch.
        seed: Integer, of the order.
    """

    def __init__(self, images, arrays, streams, *, batch_size, steps, seed):
        self._images, self._arrays, self._streams = images, arrays, streams
        self._batch_size, self._steps, self._seed = batch_size, steps, seed

    def data(self):
        """Returns a dict of inputs to examples; all images are one array."""
        images = floats(self._images)
        return {
            name: images if name.endswith("image") else self._arrays[name]
            for stream in self._streams
            for name in stream
        }

    def order(self, epoch):
        """Returns a dict of inputs to int32 `[steps, batch_size]`, the examples of each step."""
        order = {}
        for number, names in enumerate(self._streams):
            size = len(self._arrays[names[0]])
            seed = fold(self._seed, number, epoch)
            rows = round_and_round(size, self._steps * self._batch_size, seed)
            rows = rows.reshape(self._steps, self._batch_size)
            for name in names:
                order[name] = self._arrays[name][rows] if name.endswith("image") else rows
        return order


def floats(images):
    """Returns images as models take them."""
    scale = 255 if images.dtype == np.uint8 else 1
    return images.astype("float32") / np.float32(scale)


def round_and_round(num_examples, num_taken, seed):
    """Returns int32 `[num_taken]`, as the pipelines' function of that name."""
    num_rounds = -(-num_taken // num_examples)
    drawn = uniform(num_rounds * num_examples, seed).reshape(num_rounds, num_examples)
    return drawn.argsort(axis=1, kind="stable").ravel()[:num_taken].astype("int32")


def fold(seed, *data):
    """Returns the stateless seed, a pair of integers, as `tfbind.seeds.fold`."""
    folded = (seed, 0)
    for salt in data:
        folded = (int(_bits(1, folded)[0].astype(np.uint32).view(np.int32)), salt)
    return folded


def uniform(num, seed):
    """Returns float32 `[num]` in [0, 1), as TensorFlow's Philox generator from a stateless seed."""
    bits = (_bits(num, seed) & np.uint64(0x7FFFFF)) | np.uint64(0x3F800000)
    return bits.astype(np.uint32).view(np.float32) - np.float32(1)


def _bits(num, seed):
    """Returns uint64 `[num]` below 2**32."""
    words = [int(each) % 2**64 for each in seed]
    key0, key1, high0, high1 = (int(x) for x in _philox([0], words, _SCRAMBLE)[0])
    blocks = np.arange(-(-num // 4), dtype=np.uint64)
    return _philox(blocks, (0, high0 + (high1 << 32)), key0 + (key1 << 32)).ravel()[:num]


def _philox(blocks, counter, key):
    """Returns uint64 `[len(blocks), 4]` of the blocks after a counter of two 64-bit words."""
    low = np.asarray(blocks, np.uint64) + np.uint64(counter[0])
    high = np.full_like(low, counter[1])
    shift = np.uint64(32)
    x = [low & _LOW, low >> shift, high & _LOW, high >> shift]
    keys = np.array([key & 0xFFFFFFFF, key >> 32], np.uint64)
    for _ in range(10):
        first, second = x[0] * _MULTIPLIERS[0], x[2] * _MULTIPLIERS[1]
        x = [
            (second >> shift) ^ x[1] ^ keys[0],
            second & _LOW,
            (first >> shift) ^ x[3] ^ keys[1],
            first & _LOW,
        ]
        keys = (keys + _WEYL) & _LOW
    return np.stack(x, axis=-1)

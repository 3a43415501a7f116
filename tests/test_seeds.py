"""Seeds that are a function of what is folded in, and draws that keep their distribution."""

import json
import random
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tfbind import seeds


def test_base_seed():
    assert seeds.base_seed(7) == 7
    assert seeds.base_seed(2**31 + 5) == 5
    assert seeds.base_seed(-1) == 2**31 - 1
    assert seeds.base_seed(np.int64(3)) == 3
    keras.utils.set_random_seed(1)
    first = [seeds.base_seed(), seeds.base_seed()]
    keras.utils.set_random_seed(1)
    assert [seeds.base_seed(), seeds.base_seed()] == first
    assert first[0] != first[1]
    assert all(0 <= seed < 2**31 for seed in first)


def test_drawing_a_seed_leaves_numpy_and_tensorflow_alone():
    keras.utils.set_random_seed(1)
    expected = np.random.random()
    keras.utils.set_random_seed(1)
    seeds.base_seed()
    assert np.random.random() == expected


def test_folds_are_int32_and_all_different():
    found = [
        tuple(seeds.fold(seed, *data).numpy())
        for seed in range(3)
        for data in [(), *((a,) for a in range(4)), *((a, b) for a in range(4) for b in range(4))]
    ]
    assert len(set(found)) == len(found) == 3 * 21
    assert seeds.fold(0).dtype == tf.int32
    assert seeds.fold(0, 1).shape == (2,)


def test_a_fold_takes_any_integer_and_is_the_same_in_a_graph():
    expected = seeds.fold(5, 6, 7)
    step = tf.Variable(6, dtype=tf.int64)  # as an optimiser counts
    for jit_compile in (False, True):
        folded = tf.function(lambda: seeds.fold(5, step, 7), jit_compile=jit_compile)()
        np.testing.assert_array_equal(folded, expected)
    np.testing.assert_array_equal(seeds.fold(5, 6.0, np.int64(7)), expected)


def test_step_seed_without_a_strategy_is_a_fold():
    np.testing.assert_array_equal(seeds.step_seed(1, 2, 3), seeds.fold(1, 2, 3))


def test_replicas_draw_their_own():
    """In a process of its own: devices cannot be split once TensorFlow has begun."""
    script = """
        import tensorflow as tf
        from tfbind import seeds

        cpu = tf.config.list_physical_devices("CPU")[0]
        half = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(cpu, [half, half])
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
        drawn = strategy.run(tf.function(lambda: seeds.step_seed(1, 2)))
        print([seed.numpy().tolist() for seed in strategy.experimental_local_results(drawn)])
    """
    output = subprocess.check_output([sys.executable, "-c", textwrap.dedent(script)], text=True)
    first, second = json.loads(output)
    assert first != second


@pytest.mark.parametrize("jit_compile", [False, True])
def test_distributions(jit_compile):
    @tf.function(jit_compile=jit_compile)
    def draw(seed):
        return seeds.uniform([20_000], seed, -1.0, 3.0), seeds.normal([20_000], seed)

    uniform, normal = draw(seeds.fold(3))
    assert scipy.stats.kstest(uniform, scipy.stats.uniform(-1, 4).cdf).pvalue > 1e-4
    assert scipy.stats.kstest(normal, scipy.stats.norm.cdf).pvalue > 1e-4
    again = draw(seeds.fold(3))
    np.testing.assert_array_equal(again[0], uniform)
    assert (draw(seeds.fold(4))[0].numpy() != uniform.numpy()).all()


@pytest.mark.parametrize("jit_compile", [False, True])
def test_normal_numbers_have_the_moments_and_tails_of_their_distribution(jit_compile):
    draw = tf.function(lambda seed: seeds.normal([2000, 1000], seed), jit_compile=jit_compile)
    x = draw(seeds.fold(5)).numpy().astype("float64")
    assert x.shape == (2000, 1000)
    moments = [np.mean(x**power) for power in (1, 2, 3, 4)]
    np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=5 * np.sqrt(96 / x.size))
    assert scipy.stats.kstest(x.ravel(), scipy.stats.norm.cdf).pvalue > 1e-4
    for side in (x, -x):
        for edge in (2.0, 3.0, 4.0, 4.5):
            expected = x.size * scipy.stats.norm.sf(edge)
            assert abs((side > edge).sum() - expected) < 5 * np.sqrt(expected) + 1, edge
    rows, columns = np.corrcoef(x[:50]), np.corrcoef(x[:, :50].T)
    assert abs(rows - np.eye(50)).max() < 5 / np.sqrt(1000)
    assert abs(columns - np.eye(50)).max() < 5 / np.sqrt(2000)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_normal_numbers_of_the_rarest_bits_are_finite_in_float16_too(jit_compile, monkeypatch):
    bits = tf.constant([-(2**31), -(2**31) + 511, -1, 0, 2**31 - 512, 2**31 - 1], tf.int32)
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda *arguments, **options: bits)
    x = tf.function(lambda: seeds.normal([6], seeds.fold(0)), jit_compile=jit_compile)().numpy()
    centres = np.array([-1, -1, 0, 0, 1, 1]) + 2.0**-23 * np.array([1, 1, -1, 1, -1, -1])
    expected = scipy.stats.norm.ppf((centres + 1) / 2)
    np.testing.assert_allclose(x, expected, rtol=1e-5)
    assert np.isfinite(x.astype("float16")).all()
    assert abs(x).max() < 5.3


def test_python_random_is_what_a_seed_is_drawn_from():
    random.seed(11)
    first = seeds.base_seed()
    random.seed(11)
    assert seeds.base_seed() == first

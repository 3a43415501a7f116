"""Trains presets without TensorFlow, on any device that JAX knows, for as long as it is lent.

    python -m benchmarks.paper_scale prepare KIT [PRESET ...]       # where TensorFlow is
    python -m benchmarks.paper_scale run KIT --minutes 9            # where the device is
    python -m benchmarks.paper_scale collect KIT RESULTS            # there too, in the end
    python -m benchmarks.paper_scale restore KIT --results RESULTS  # where TensorFlow is

`prepare` makes a folder KIT with the programs of each preset in StableHLO, each image once, the
order of the batches as a seed, and the first weights as recipes: their distributions and a seed.
`run` needs the checkout, JAX, NumPy and SciPy. It trains the presets in their order, or those that
are named, until its minutes are over, and goes on from there when it is called again; several
calls side by side may train different presets. `collect` packs what came of it into at most four
files of less than 16 MiB: histories and predictions first, then weights, in float16 where float32
does not fit. `restore` makes run folders like those of `tfbind train`, which `tfbind evaluate`
scores.

The batches are those of `fit`, in its order, and so are the learning rates, the noise and the
labels that a model solves between epochs. The first weights are others, of the same distributions.
There is no validation on the way: a preset that stops early trains all of its epochs. Runs of
several seeds (`prepare --seeds 1,2,3`) differ in weights, order and labelled examples; the noise of
all is that of the first.
"""

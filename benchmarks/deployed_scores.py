"""What a grouping run scores where it is deployed: Keras, SavedModel, served, TFLite, quantised.

    python -m benchmarks.deployed_scores RUN [--images 500]

All get the same images and start from the draw that is baked into the exported files. The largest
difference is that of the masks from those of Keras without XLA; `beyond` counts the images where it
is more than 1e-4, which are those that another rounding tips into another grouping.
"""

import argparse
import pathlib
import tempfile

import numpy as np

from tfbind import _console, export, metrics, serving, training
from tfbind.export._layout import folder_size

_BATCH = 100
_SAME = 1e-4


def main(arguments=None):
    """Prints a table, one row a place."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.deployed_scores")
    parser.add_argument("run", type=pathlib.Path, help="folder of a finished run")
    parser.add_argument("--images", type=int, default=500, help="test images (default: 500)")
    parser.add_argument("--data-dir", help="folder of TFDS data sets (default: TFDS' own)")
    options = parser.parse_args(arguments)
    run = training.Run(options.run)
    model = run.load()
    images, _, groups = run.source(options.data_dir).test().take(slice(options.images))
    with tempfile.TemporaryDirectory() as folder:
        rows = list(_rows(model, images, groups, pathlib.Path(folder)))
    print(_console.table(("where", "AMI", "largest difference", "beyond", "size"), rows))


def _rows(model, images, groups, folder):
    def call(_, inputs):
        return {name: part.numpy() for name, part in model(inputs["image"]).items()}

    expected = _masks(call, images, _BATCH)
    compiled = model.predict(images, batch_size=_BATCH, verbose=0)["assignments"]
    export.export_saved_model(model, folder / "served")
    size = folder_size(folder / "served")
    runner = export.SavedModelRunner(folder / "served" / "1")

    def row(where, masks, size=None):
        truth, same = groups[: len(masks)], expected[: len(masks)]
        scores = metrics.adjusted_mutual_information(
            truth, masks.argmax(axis=1), int(groups.max()), model.num_groups
        )
        difference = np.abs(masks - same).reshape(len(masks), -1).max(axis=1)
        megabytes = "" if size is None else f"{size / 1e6:.1f} MB"
        beyond = f"{np.sum(difference > _SAME)} of {len(masks)}"
        return where, f"{np.nanmean(scores):.4f}", f"{difference.max():.1e}", beyond, megabytes

    yield row("Keras", expected)
    yield row("Keras, alone", _masks(call, images, 1))
    yield row("Keras, compiled by XLA", compiled)
    yield row("SavedModel, batches of 64", _masks(runner, images, 64), size)
    with serving.ReferenceServer(folder / "served", port=0, rest_port=0) as server:
        client = serving.GrpcClient(server.target, "served")
        yield row("served, gRPC", _masks(lambda _, inputs: client.predict(inputs), images, _BATCH))
    for quantize in ("none", "float16", "dynamic"):
        path = folder / f"{quantize}.tflite"
        export.export_tflite(model, path, quantize)
        masks = _masks(export.TFLiteRunner(path), images, 1)
        yield row(f"TFLite, quantize={quantize}", masks, path.stat().st_size)


def _masks(runner, images, batch_size):
    batches = (images[i : i + batch_size] for i in range(0, len(images), batch_size))
    return np.concatenate(
        [runner("serving_default", {"image": batch})["assignments"] for batch in batches]
    )


if __name__ == "__main__":
    main()

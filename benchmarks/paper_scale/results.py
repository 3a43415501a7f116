"""What comes back from the device: a few files of limited size, the small things first."""

import io
import json
import pathlib
import tarfile

import numpy as np

PIECE = 16_000_000  # bytes of a file; 16 MiB is the most
PIECES = 4
_BLOCK = 1024  # bytes around an entry of an archive, at most


def collect(kit, results):
    """Packs histories, predictions and weights of all runs into `results`; prints sizes."""
    folders = finished(kit)
    archive = io.BytesIO()
    room = PIECE * PIECES - 20 * _BLOCK
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for folder in folders:
            for name in ("history.csv", "results.npz"):
                _add(tar, f"{title(folder)}/{name}", (folder / name).read_bytes())
        _add_weights(tar, archive, folders, room)
    results.mkdir(parents=True, exist_ok=True)
    content = archive.getbuffer()
    for number, start in enumerate(range(0, len(content), PIECE)):
        (results / f"results.tar.{number}").write_bytes(content[start : start + PIECE])
    print(f"{results}: {len(content) / 2**20:.1f} MiB", flush=True)


def _add_weights(tar, archive, folders, room):
    """Adds weights: all that predictions need, then the rest; half as precise if need be."""
    wanted = [(folder, part) for part in ("needed", "other") for folder in folders]
    size = sum(_weights_size(folder, part) for folder, part in wanted)
    precision = "float32" if archive.tell() + size <= room else "float16"
    for folder, part in wanted:
        name = f"{title(folder)}/{part}.npz"
        content = weights(folder, part, precision)
        if archive.tell() + len(content) + 2 * _BLOCK > room:
            print(f"{name}: {len(content) / 1e6:.1f} MB do not fit, left out", flush=True)
        else:
            _add(tar, name, content)
            print(f"{name}: {len(content) / 1e6:.1f} MB, {precision}", flush=True)


def weight_places(folder):
    """Returns the places of the weights that predictions need, and of the others but labels."""
    described = json.loads((folder.parent / "programs.json").read_text())
    kit = json.loads((folder.parent / "kit.json").read_text())
    read = described["programs"]["predict"]["arguments"]
    places = range(kit["num_weights"])
    needed = [place for place in places if read[place] is not None]
    other = [place for place in places if read[place] is None and place != kit["labels"]]
    return {"needed": needed, "other": other}


def _weights_size(folder, part):
    variables = json.loads((folder.parent / "programs.json").read_text())["variables"]
    places = weight_places(folder)[part]
    return sum(4 * int(np.prod(variables[place]["shape"])) + _BLOCK for place in places)


def weights(folder, part, precision):
    """Returns the weights of a run as the content of a file, by their places."""
    content = io.BytesIO()
    with np.load(folder / "state.npz") as saved:
        arrays = {str(place): saved[f"arr_{place}"] for place in weight_places(folder)[part]}
    smaller = {
        name: x.astype(precision) if x.dtype == np.float32 else x for name, x in arrays.items()
    }
    np.savez(content, **smaller)
    return content.getvalue()


def _add(tar, name, content):
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def in_order(kit):
    """Returns the folders of all runs, in the order in which their presets were prepared."""
    presets = json.loads((kit / "presets.json").read_text())
    return [path.parent for name in presets for path in sorted(kit.glob(f"{name}/*/arrays.npz"))]


def finished(kit):
    """Returns the folders of the runs that have results."""
    return [folder for folder in in_order(kit) if (folder / "results.npz").exists()]


def title(folder):
    """Returns the name of a run: its preset and its seed."""
    return f"{folder.parent.name}/{folder.name}"


def read(results):
    """Returns the content of all whole entries, by name, of what `collect` wrote."""
    pieces = sorted(pathlib.Path(results).glob("results.tar.?"))
    content = io.BytesIO(b"".join(piece.read_bytes() for piece in pieces))
    with tarfile.open(fileobj=content) as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}

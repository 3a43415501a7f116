"""Which models a server serves: one folder, or the `models.config` of TF Serving."""

import os
import pathlib
from typing import NamedTuple

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tfbind.serving._layout import model_name


class ModelConfig(NamedTuple):
    """One model: its name, its folder, which versions it has, and labels of some.

    `versions` is a tuple of numbers; or, if that is empty, `latest` says how many of the highest,
    where None is all.
    """

    name: str
    directory: pathlib.Path
    latest: int | None = 1
    versions: tuple[int, ...] = ()
    labels: dict[str, int] = {}


def read_models(path: str | os.PathLike, name: str | None = None) -> list[ModelConfig]:
    """Returns the models of a folder, or of a `models.config` if `path` is a file.

    Raises:
        ValueError: If the file cannot be read, or asks for what is not known here.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        return [ModelConfig(model_name(path, name), path)]
    received = f"Received: directory={str(path)!r}"
    if name is not None:
        raise ValueError(
            f"`name` must be left out, for a models.config has names of its own. {received}."
        )
    try:
        text = path.read_text("utf-8")
        server = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except (ValueError, text_format.ParseError) as error:
        raise ValueError(
            f"`directory` must be a folder or a models.config in TF Serving's text format. "
            f"{received}, which cannot be read ({error})."
        ) from error
    models = [_read_model(path, each) for each in server.model_config_list.config]
    if not models or len({model.name for model in models}) < len(models):
        raise ValueError(
            f"`directory` must name models in its model_config_list, each once. {received}, "
            f"with {', '.join(repr(model.name) for model in models) or 'none'}."
        )
    return models


def _read_model(path, config):
    if config.model_platform not in ("", "tensorflow"):
        raise ValueError(
            f"`model_platform` must be 'tensorflow'. Received: {config.model_platform!r} of "
            f"model {config.name!r} in {path}."
        )
    directory = path.parent.resolve() / config.base_path
    labels = dict(config.version_labels)
    policy = config.model_version_policy
    kind = policy.WhichOneof("policy_choice") or "latest"
    name = model_name(directory, config.name)
    if kind == "specific":
        return ModelConfig(name, directory, None, tuple(policy.specific.versions), labels)
    latest = None if kind == "all" else policy.latest.num_versions or 1
    return ModelConfig(name, directory, latest, (), labels)

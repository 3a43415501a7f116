"""Metadata, extras and the package map of tfbind.

`export/` and `serving/` lie at the top of the tree and are imported as `tfbind.export` and
`tfbind.serving`. The map is written out by hand; `tests/test_packaging.py` compares it with the
folders on disk.
"""

import pathlib
import re

from setuptools import setup

HERE = pathlib.Path(__file__).resolve().parent

PACKAGES = {
    "tfbind": "tfbind",
    "tfbind.data": "tfbind/data",
    "tfbind.distributions": "tfbind/distributions",
    "tfbind.labeling": "tfbind/labeling",
    "tfbind.layers": "tfbind/layers",
    "tfbind.metrics": "tfbind/metrics",
    "tfbind.models": "tfbind/models",
    "tfbind.plots": "tfbind/plots",
    "tfbind.reading": "tfbind/reading",
    "tfbind.reporting": "tfbind/reporting",
    "tfbind.sklearn": "tfbind/sklearn",
    "tfbind.training": "tfbind/training",
    "tfbind.training.presets": "tfbind/training/presets",
    "tfbind.training.tasks": "tfbind/training/tasks",
    "tfbind.export": "export",
    "tfbind.serving": "serving",
}

# Exact minors of TensorFlow, Keras and TFP: tf-keras pins TensorFlow, and the export and resume
# code rests on behaviour that is tested for these versions only.
REQUIRES = [
    "tensorflow>=2.21,<2.22",
    "keras>=3.15,<3.16",
    "tensorflow-probability==0.25.*",
    "tf-keras~=2.21.0",  # TFP does not import without it
    "tensorflow-datasets==4.9.10",
    "importlib_resources",  # tensorflow-datasets 4.9.10 needs it and does not say so
    "numpy",
    "scipy",
    "scikit-learn",
    "click",
    "filelock",
    "jinja2",
    "matplotlib",
    "pillow",
    "pyarrow",  # tensorflow-datasets brings it; tables are read by it
]

EXTRAS = {
    "docs": ["furo", "myst-parser>=5", "sphinx>=9,<9.1"],  # 9.1 needs Python 3.12
    "litert": ["ai-edge-litert>=2.3", "ai-edge-quantizer==0.10.*"],
    "onnx": ["onnxruntime>=1.32", "tf2onnx==1.17.*"],
    "client": ["grpcio", "orjson", "protobuf", "urllib3"],  # talks to a server without TensorFlow
    "serving": [
        "grpcio-health-checking",
        "httptools",
        "prometheus-client",
        "starlette",
        "tensorflow-serving-api==2.21.*",
        "uvicorn",
    ],
    "ray": ["ray[data]>=2.60"],
    "stablehlo": ["jax==0.10.*"],  # the runner puts a program into an `Exported` of that version
    "tensorboard": ["tensorboard"],  # no longer comes with TensorFlow
    "tune": ["keras-tuner"],
}
EXTRAS["serving"] += EXTRAS["client"]
EXTRAS["dev"] = [
    "build",
    "dill",  # the test cases of tensorflow-datasets import it
    "ipykernel",
    "mypy",
    "nbclient",
    "nbformat",
    "POT",  # the oracle of labeling.balanced_labels
    "PyYAML",  # reads what is written for Compose and Kubernetes
    "pytest",
    "pytest-xdist",
    "ruff",
    "setuptools>=77",  # the packaging test builds the wheel without a network
    *EXTRAS["docs"],
    "openvino",  # an independent runtime for the tests and docs/parity.md
    *EXTRAS["litert"],
    *EXTRAS["onnx"],
    *EXTRAS["serving"],
    *EXTRAS["stablehlo"],
    *EXTRAS["tune"],
]

VERSION = re.search(
    r'^__version__ = "(.+)"$', (HERE / "tfbind" / "__init__.py").read_text("utf-8"), re.MULTILINE
).group(1)

setup(
    name="tfbind",
    version=VERSION,
    description="Keras 3 models that find the parts of unlabelled data, and the tools to ship them",
    long_description=(HERE / "README.md").read_text("utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.14",
    packages=list(PACKAGES),
    package_dir=PACKAGES,
    package_data={
        "tfbind": ["py.typed", "catalogue.json", "weights/*/*"],
        "tfbind.reporting": ["templates/*"],
        "tfbind.serving": ["templates/*", "web/*", "web/*/*"],
    },
    install_requires=REQUIRES,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["tfbind = tfbind.cli:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)

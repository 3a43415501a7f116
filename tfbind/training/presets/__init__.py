"""One frozen dataclass instance per published result, small ones for tests, and our own.

`get(name)` finds one, `dataclasses.replace` changes it. A preset knows its data, builds its
compiled model and scores it; `tfbind.training.run` does the rest the same way for all. Each system
has a file here, with its class of presets and the tuple `PRESETS`; both are listed below.
"""

import difflib

from tfbind.training.presets import (
    adversarial_mixture,
    ladder_network,
    reconstruction_clustering,
    tagger,
    untapped_vae,
)
from tfbind.training.presets._base import Preset as Preset
from tfbind.training.presets._base import TrainingData as TrainingData
from tfbind.training.presets.adversarial_mixture import (
    AdversarialMixturePreset as AdversarialMixturePreset,
)
from tfbind.training.presets.adversarial_mixture import (
    SemiSupervisedAdversarialMixturePreset as SemiSupervisedAdversarialMixturePreset,
)
from tfbind.training.presets.ladder_network import LadderNetworkPreset as LadderNetworkPreset
from tfbind.training.presets.reconstruction_clustering import (
    ReconstructionClusteringPreset as ReconstructionClusteringPreset,
)
from tfbind.training.presets.tagger import (
    SemiSupervisedTaggerPreset as SemiSupervisedTaggerPreset,
)
from tfbind.training.presets.tagger import TaggerPreset as TaggerPreset
from tfbind.training.presets.untapped_vae import UntappedVAEPreset as UntappedVAEPreset

_PRESETS = (
    *reconstruction_clustering.PRESETS,
    *ladder_network.PRESETS,
    *tagger.PRESETS,
    *untapped_vae.PRESETS,
    *adversarial_mixture.PRESETS,
)


def names():
    """Returns the names of all presets, as a tuple."""
    return tuple(preset.name for preset in _PRESETS)


def get(name):
    """Returns the preset called `name`; raises ValueError if there is none.

    Example:

    >>> tfbind.training.presets.get("rc-shapes").hidden_units
    500
    """
    for preset in _PRESETS:
        if preset.name == name:
            return preset
    close = difflib.get_close_matches(str(name), names(), n=1)
    hint = f" Did you mean {close[0]!r}?" if close else " `tfbind list` shows all."
    raise ValueError(f"`preset` must be the name of a preset. Received: preset={name!r}.{hint}")

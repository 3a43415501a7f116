"""One preset a system that trains in seconds, without a data set to be downloaded."""

from tfbind.training import presets

_LADDER = presets.get("ladder-mnist-100").changed(
    dataset="digits",
    hidden_units=(64, 32),
    denoising_weights=(1000.0, 10.0, 0.1, 0.1),
    noise=(0.3,) * 4,
)
SMALL = {
    "rc": presets.get("rc-tiny").changed(max_epochs=20),
    "tagger": presets.get("tagger-tiny").changed(max_epochs=10),
    "amm": presets.get("amm-tiny"),
    "samm": presets.get("samm-tiny"),
    "ladder": _LADDER.changed(max_epochs=10),
    "untapped": presets.get("untapped-tiny"),
    "kingdra": presets.get("kingdra-tiny"),
    "sela": presets.get("sela-tiny"),
}

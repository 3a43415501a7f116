"""Where the adversarial mixture's paper puts the means of its components."""

import itertools

import numpy as np

from tfbind._validation import check_integer

_CORNERS = (
    (-3, 3, -3, -3),
    (-3, -3, 3, 3),
    (-3, 3, 3, -3),
    (3, -3, -3, -3),
    (-3, -3, 3, -3),
    (3, -3, 3, -3),
    (3, 3, 3, -3),
    (-3, 3, 3, 3),
    (3, 3, -3, -3),
    (-3, -3, -3, -3),
)


def grid_means(latent_dim: int = 32) -> np.ndarray:
    """Returns the means of 18 components on a grid, for unsupervised learning of SVHN.

    They are -6, 0 and 6 in each of the first two dimensions and -3 and 3 in the third; zero in all
    others.

    Args:
        latent_dim: Integer >= 3.

    Returns:
        float32 `[18, latent_dim]`.

    Example:

    >>> tfbind.distributions.grid_means(4)[:3].tolist()
    [[-6.0, -6.0, -3.0, 0.0], [-6.0, -6.0, 3.0, 0.0], [-6.0, 0.0, -3.0, 0.0]]

    References:
        Jesson et al. Adversarially Learned Mixture Model. 2018. https://arxiv.org/abs/1807.05344
    """
    return _padded(list(itertools.product((-6, 0, 6), (-6, 0, 6), (-3, 3))), latent_dim)


def corner_means(latent_dim: int = 64) -> np.ndarray:
    """Returns the means of 10 components on corners of a cube, for SVHN with labels.

    They are -3 or 3 in each of the first four dimensions (Table 3), and zero in all others.

    Args:
        latent_dim: Integer >= 4.

    Returns:
        float32 `[10, latent_dim]`.

    Example:

    >>> tfbind.distributions.corner_means(5)[0].tolist()
    [-3.0, 3.0, -3.0, -3.0, 0.0]

    References:
        Jesson et al. Adversarially Learned Mixture Model. 2018. https://arxiv.org/abs/1807.05344
    """
    return _padded(_CORNERS, latent_dim)


def _padded(means, latent_dim):
    means = np.array(means, "float32")
    width = means.shape[1]
    latent_dim = check_integer("latent_dim", latent_dim, width)
    return np.pad(means, ((0, 0), (0, latent_dim - width)))

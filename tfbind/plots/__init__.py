"""Pictures of groups, clusters and latents, in one set of colours: group k looks alike in all.

Figures are matplotlib's own objects, made without pyplot, so that no global state is touched and
no display is needed. In a notebook, `IPython.display.display(figure)` shows one.
"""

from tfbind.plots.canvas import brightness as brightness
from tfbind.plots.canvas import group_colors as group_colors
from tfbind.plots.canvas import save as save
from tfbind.plots.clusters import classes_figure as classes_figure
from tfbind.plots.clusters import cluster_matrix_figure as cluster_matrix_figure
from tfbind.plots.clusters import components_figure as components_figure
from tfbind.plots.clusters import num_clusters_figure as num_clusters_figure
from tfbind.plots.clusters import rounds_figure as rounds_figure
from tfbind.plots.groups import groups_figure as groups_figure
from tfbind.plots.groups import iterations_figure as iterations_figure
from tfbind.plots.groups import label_map as label_map
from tfbind.plots.groups import likelihood_figure as likelihood_figure
from tfbind.plots.groups import num_groups_figure as num_groups_figure
from tfbind.plots.groups import overlay as overlay
from tfbind.plots.groups import tinted as tinted
from tfbind.plots.latents import embedding_figure as embedding_figure
from tfbind.plots.latents import interpolations_figure as interpolations_figure
from tfbind.plots.latents import manifold_figure as manifold_figure
from tfbind.plots.latents import reconstructions_figure as reconstructions_figure

__all__ = [
    "brightness",
    "classes_figure",
    "cluster_matrix_figure",
    "components_figure",
    "embedding_figure",
    "group_colors",
    "groups_figure",
    "interpolations_figure",
    "iterations_figure",
    "label_map",
    "likelihood_figure",
    "manifold_figure",
    "num_clusters_figure",
    "num_groups_figure",
    "overlay",
    "reconstructions_figure",
    "rounds_figure",
    "save",
    "tinted",
]

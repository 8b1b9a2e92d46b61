"""Which group a label belongs to, and the text feature of each group."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ltbench.nn import Tower
from ltbench.plugin import UserError

TEMPLATE = "a photo of a {}."
"""Of groups [HSPNet 3.1]; of labels where their features are compared, see the card."""


@dataclass(frozen=True)
class Hierarchy:
    """Labels in groups.

    Attributes:
        index: group of each label, int64 [C].
        features: text features [G, D] of the groups, not normalised.
    """

    index: Tensor
    features: Tensor


def text_features(tower: Tower, names: Sequence[str]) -> Tensor:
    """Features [n, D] of "a photo of a NAME.", not normalised."""
    return tower.encode([TEMPLATE.format(name.replace("_", " ")) for name in names])


def given_groups(
    tower: Tower,
    class_names: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    *,
    numbered: bool = False,
    shuffle: int | None = None,
) -> Hierarchy:
    """The groups of the task.

    Args:
        class_names: column order.
        groups: classes of each group.
        numbered: call the groups "group1", "group2", …, which say nothing to the text tower.
        shuffle: seed by which each label is given a group at random, each as likely; None keeps the task's.

    Raises:
        UserError: a class is in no group, or in two.
    """
    members = {name: [g for g, names in enumerate(groups.values()) if name in names] for name in class_names}
    for name, found in members.items():
        if len(found) != 1:
            where = "several" if found else "none"
            raise UserError(f"class {name!r} is in {where} of the task's groups", "-o groups=cluster")
    index = torch.tensor([found[0] for found in members.values()], dtype=torch.int64)
    if shuffle is not None:
        generator = torch.Generator().manual_seed(shuffle)
        index = torch.randint(len(groups), (len(class_names),), generator=generator)
    names = [f"group{number + 1}" for number in range(len(groups))] if numbered else list(groups)
    return Hierarchy(index, text_features(tower, names))


def clustered(features: Tensor, clusters: int, seed: int) -> Hierarchy:
    """Groups by k-means over the labels' text features; the features of a group are the centre of its cluster.

    Source: HSPNet section 4.4 (automated hierarchical dependencies). Which clustering it used is not stated.

    Args:
        features: of the labels [C, D].
        clusters: their number k.
        seed: of the ten starts, of which the best is taken.

    Raises:
        UserError: more clusters than labels.
    """
    if clusters > len(features):
        raise UserError(
            f"clusters={clusters} is more than the {len(features)} classes there are", f"-o clusters={len(features)}"
        )
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    points = features.detach().cpu().double().numpy()
    with warnings.catch_warnings():
        # Names that the tower cannot tell apart give fewer clusters than asked for; empty ones are left out below.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # scikit-learn takes 32 bits.
        found = KMeans(clusters, n_init=10, random_state=seed % 2**32).fit_predict(points)
    _, index = np.unique(found, return_inverse=True)
    centres = np.stack([points[index == group].mean(axis=0) for group in range(index.max() + 1)])
    return Hierarchy(torch.from_numpy(index.astype(np.int64)), torch.from_numpy(centres).to(features))

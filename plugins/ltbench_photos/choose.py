"""Chooses the constants of ``lite0-minilm`` on a folder of photographs: ``python -m ltbench_photos.choose FOLDER``.

The folder holds ``labels.csv`` with the columns ``file``, ``split`` and ``labels`` (joined by a bar), and ``images``.
Nothing is trained; every photograph is looked at with the released weights, and the mean average precision of zero-shot
classification is printed for each temperature, with and without centring, for three sentences around ImageNet's names.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn.functional import normalize

from ltbench.backbones.options import BackboneOptions
from ltbench_photos.names import imagenet_names
from ltbench_photos.opening import PhotoBackbone, open_lite0_minilm

TEMPERATURES = (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0)
TEMPLATES = ("a photo of a {}", "a photo of a {}.", "{}")
SENTENCE = "a photo of a {}."
"""Around the class names, as the recipe ``zero-shot`` has it."""

Labels = npt.NDArray[np.int8]


def read_labels(folder: Path) -> tuple[list[Path], tuple[str, ...], Labels]:
    """Photographs, class names in alphabetical order, and their labels [N, C] of 0 and 1."""
    with (folder / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    named = [set(filter(None, row["labels"].split("|"))) for row in rows]
    classes = tuple(sorted(set().union(*named)))
    labels = np.array([[name in own for name in classes] for own in named], dtype=np.int8)
    return [folder / "images" / row["file"] for row in rows], classes, labels


@torch.no_grad()
def pooled_features(backbone: PhotoBackbone, files: Sequence[Path]) -> Tensor:
    """Features [N, 1280] before the classifier."""
    found = []
    for start in range(0, len(files), 32):
        images = []
        for path in files[start : start + 32]:
            with Image.open(path, formats=("JPEG", "PNG")) as image:
                images.append(backbone.preprocess(image.convert("RGB")))
        found.append(backbone.tower.map(torch.stack(images)).mean(dim=(2, 3)))
    return torch.cat(found)


def mean_ap(cosines: Tensor, labels: Labels) -> float:
    """Mean average precision over classes that some photograph shows, in percent."""
    shown = [c for c in range(labels.shape[1]) if labels[:, c].any()]
    scores = cosines.numpy()
    return 100 * float(np.mean([average_precision_score(labels[:, c], scores[:, c]) for c in shown]))


def best_scale(cosines: Tensor, labels: Labels) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of all labels on all cosines."""
    fit = LogisticRegression(C=math.inf).fit(cosines.numpy().reshape(-1, 1), labels.reshape(-1))
    return float(fit.coef_[0, 0]), float(fit.intercept_[0])


@torch.no_grad()
def compare(backbone: PhotoBackbone, features: Tensor, classes: Sequence[str], labels: Labels) -> list[dict[str, Any]]:
    """Every choice with its mean average precision and its scale, the best first."""
    text: Any = backbone.text
    logits = backbone.tower.classifier(features)
    found = []
    for template in TEMPLATES:
        plain = text.encode([template.format(name) for name in imagenet_names()]) + text.centre
        sentences = text.encode([SENTENCE.format(name.replace("_", " ")) for name in classes]) + text.centre
        for centred in (True, False):
            centre = plain.mean(dim=0) if centred else torch.zeros_like(plain[0])
            words, targets = normalize(plain - centre, dim=1), normalize(sentences - centre, dim=1)
            for temperature in TEMPERATURES:
                images = normalize(torch.softmax(logits / temperature, dim=1) @ words, dim=1)
                cosines = images @ targets.T
                scale, bias = best_scale(cosines, labels)
                choice = {"template": template, "centred": centred, "temperature": temperature}
                found.append({**choice, "mAP": mean_ap(cosines, labels), "scale": scale, "bias": bias})
    return sorted(found, key=lambda row: -row["mAP"])


def main(folder: Path) -> None:
    """Print the table."""
    backbone = open_lite0_minilm("lite0-minilm", BackboneOptions())
    files, classes, labels = read_labels(folder)
    features = pooled_features(backbone, files)
    print(f"{len(files)} photographs, {len(classes)} classes")
    print(f"{'names':20} {'centred':8} {'T':>4} {'mAP':>6} {'scale':>6} {'bias':>6}")
    for row in compare(backbone, features, classes, labels):
        print(
            f"{row['template']:20} {'yes' if row['centred'] else 'no':8} {row['temperature']:4g} {row['mAP']:6.2f}"
            f" {row['scale']:6.2f} {row['bias']:6.2f}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]))

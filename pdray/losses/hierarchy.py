"""Hierarchy-guided loss: ill or healthy, the grade, and the facial regions that show the disease.

Source: YouTubePD, Eq. 2: ``lambda l_bin + (1 - lambda) l_multi + mean_r l_reg``. The terms are
cross-entropies of ill or healthy, of the grade, and of each region (shows the disease or not).
lambda is 0.9 for video, 0.5 for sound and landmarks (section C.2). The probability of being ill is
``1 - p_0``, p the softmax of the grades. Differs: the mean is over regions with a label, and its
weight, 1 there, is given by the caller.
The public code of YouTubePD adds the logits of the grades above 0; here their probabilities are
added. It also leaves region labels of 0 out of its loss, so its regions only learn to say yes.
Letters: B batch, K class (grade, 0 is healthy), R region.
"""

import math

from torch import Tensor
from torch.nn import functional

from pdray.losses.settings import Unmarked
from pdray.losses.soft_target import target_shares, widened


def hierarchy_loss(
    logits_BK: Tensor,
    target: Tensor,
    *,
    hierarchy_lambda: float,
    class_weights_K: Tensor | None = None,
) -> Tensor:
    """Return Eq. 2 of each snippet without its third term, which is :func:`region_loss`.

    Computed in logs in float32 or wider, so that logits of any size give a finite loss and
    gradient. With two classes ``l_bin`` is ``l_multi``; lambda then has an effect only together
    with ``class_weights_K``.

    Args:
        logits_BK: (B, K) float, any real number; K at least 2.
        target: (B,) int64 class, 0 to K-1; or (B, K) float, shares from 0 to 1 that sum to 1.
        hierarchy_lambda: Weight of ill or healthy against the grade, 0 to 1.
        class_weights_K: (K,) factors of ``l_multi``, at least 0, which Eq. 2 does not have and the
            public code of YouTubePD does for landmarks and sound; None: 1.

    Returns:
        (B,) loss in nats, not reduced; 0 is perfect where the target is one class.

    Raises:
        ValueError: If there are fewer than two classes, lambda is outside 0..1, or the target is
            neither classes nor shares.
    """
    if logits_BK.shape[1] < 2:
        raise ValueError(f"the loss hierarchy needs at least 2 classes, got {logits_BK.shape[1]}")
    if not 0 <= hierarchy_lambda <= 1:
        raise ValueError(f"hierarchy_lambda {hierarchy_lambda} is outside 0..1")
    logits_BK = widened(logits_BK)
    y_BK = target_shares(target, logits_BK.shape[1], logits_BK.dtype)
    log_p_BK = functional.log_softmax(logits_BK, dim=1)
    w_K = 1.0 if class_weights_K is None else class_weights_K.to(log_p_BK.dtype)
    multi_B = -(w_K * y_BK * log_p_BK).sum(dim=1)
    # log(1 - p_0) from the other grades: 1 - p_0 itself has no digits left near p_0 = 1.
    log_ill_B = log_p_BK[:, 1:].logsumexp(dim=1)
    healthy_B = y_BK[:, 0]
    binary_B = -healthy_B * log_p_BK[:, 0] - (1 - healthy_B) * log_ill_B
    loss_B: Tensor = hierarchy_lambda * binary_B + (1 - hierarchy_lambda) * multi_B
    return loss_B


def region_loss(logits_BR: Tensor, target_BR: Tensor) -> Tensor:
    """Return the mean of ``l_reg`` of Eq. 2 over the labelled regions of each snippet.

    YouTubePD has two outputs and a softmax, which is the same as one logit and a sigmoid.

    Args:
        logits_BR: (B, R) float, that a region shows the disease; any value where the target is NaN.
        target_BR: (B, R) float, 1 shows it, 0 is normal; NaN if the region has no label or is in no
            frame of the snippet.

    Returns:
        (B,) loss in nats; 0, with a gradient of 0, for a snippet without a labelled region.

    Raises:
        ValueError: If the shapes differ or a target is outside 0..1; names the first one.
    """
    if logits_BR.shape != target_BR.shape or logits_BR.ndim != 2:
        raise ValueError(
            f"region logits {tuple(logits_BR.shape)} and targets {tuple(target_BR.shape)} must "
            "both be (B, R)"
        )
    outside_BR = (target_BR < 0) | (target_BR > 1)
    if outside_BR.any():
        row, region = outside_BR.nonzero()[0].tolist()
        raise ValueError(
            f"target {float(target_BR[row, region]):g} of region {region} at position {row} is "
            "outside 0..1; use NaN for a region without a label"
        )
    counts_BR = ~target_BR.isnan()
    # Filled before the loss, since a gradient of 0 * nan would be nan.
    logits_BR = widened(logits_BR).masked_fill(~counts_BR, 0.0)
    y_BR = target_BR.to(logits_BR.dtype).masked_fill(~counts_BR, 0.0)
    loss_BR = functional.binary_cross_entropy_with_logits(logits_BR, y_BR, reduction="none")
    sum_B = loss_BR.masked_fill(~counts_BR, 0.0).sum(dim=1)
    mean_B: Tensor = sum_B / counts_BR.sum(dim=1).clamp(min=1)
    return mean_B


def region_targets(marks_BR: Tensor, grade_B: Tensor, *, unmarked: Unmarked) -> Tensor:
    """Turn the clinician's marks into labels of regions.

    YouTubePD (section 5.1): "1 indicates that the region is indicative of PD and 0 indicates that
    the region is normal". Marks exist on ill recordings only, and YouTubePD does not say how other
    regions are labelled. Decided here, with reasons:

    - Healthy: every region is normal. Table 10 counts each of the 187 healthy recordings as 0 in
      all 14 regions.
    - Ill, region with a mark: it shows the disease if the mark is above 0.
    - Ill, no mark on this region but on others: ``unmarked``. "normal": the clinician marked all
      regions that showed the disease (B.2 turns the marks into such a binary vector). "unknown":
      it has no label, as in Table 10. Then the labels of all regions equal the diagnosis, and the
      region heads learn nothing about regions.
    - Ill, without any mark: no region has a label, since nobody annotated the recording.

    Args:
        marks_BR: (B, R) float severity of a recording's mark, 0 to 10; NaN if there is none.
        grade_B: (B,) int64 grade of the recording, 0 is healthy.
        unmarked: Label of an unmarked region of a marked recording.

    Returns:
        (B, R) float32: 1, 0, or NaN for a region without a label.

    Raises:
        ValueError: If a healthy recording has a mark above 0; names the first one.
    """
    is_ill_B1 = (grade_B > 0)[:, None]
    contradicts_BR = (marks_BR > 0) & ~is_ill_B1
    if contradicts_BR.any():
        row, region = contradicts_BR.nonzero()[0].tolist()
        raise ValueError(
            f"region {region} at position {row} has a mark of {float(marks_BR[row, region]):g} "
            "but its recording has grade 0; give marks to ill recordings only"
        )
    is_marked_BR = ~marks_BR.isnan()
    label_BR = (marks_BR > 0).float()
    is_unknown_BR = is_ill_B1 & ~is_marked_BR
    if unmarked == "normal":
        is_unknown_BR = is_unknown_BR & ~is_marked_BR.any(dim=1, keepdim=True)
    return label_BR.masked_fill(is_unknown_BR, math.nan)

"""PatchNCE: each place of a translated picture should resemble the same place of its source.

Letters: B batch, P place, E dimension.
"""

import torch
from torch import Tensor
from torch.nn import functional


def patch_nce(query_BPE: Tensor, key_BPE: Tensor, *, temperature: float) -> Tensor:
    """Return the cross-entropy of finding each place among all places of its picture.

    Source: Park et al. 2020 (CUT, arXiv:2007.15651), eq. 3: v is a query, v+ the key at the same
    place, v- the keys at the other places of the same picture. Differs: a mean over places, where
    eq. 4 has a sum.

    Args:
        query_BPE: Vectors of norm 1 of the translated pictures.
        key_BPE: Those of the sources; no gradient flows to them.
        temperature: tau, above 0.

    Returns:
        (B,) float32, in nats, also under autocast; log P for a picture whose keys are all alike.
    """
    num_pictures, num_places = query_BPE.shape[:2]
    same_BP = torch.arange(num_places, device=query_BPE.device).expand(num_pictures, -1)
    with torch.autocast(query_BPE.device.type, enabled=False):
        alike_BPP = torch.bmm(key_BPE.detach().float(), query_BPE.float().transpose(1, 2))
        logits_BPP = alike_BPP / temperature  # key by query: cross_entropy has classes second
        loss_BP = functional.cross_entropy(logits_BPP, same_BP, reduction="none")
    return loss_BP.mean(dim=1)

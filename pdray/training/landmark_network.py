"""Training the landmark network of YouTubePD, all recordings of a fold in memory.

Adam and the hierarchy-guided loss (000, Eq. 2, section C.2) with the settings of
:class:`pdray.models.landmark_mlp.LandmarkMlpConfig`. The last batch of an epoch may be smaller;
nothing is augmented and nothing stopped early: the paper says of neither.
"""

from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pdray.data.plan import derive_seed
from pdray.errors import DivergedError
from pdray.losses.hierarchy import hierarchy_loss
from pdray.models.landmark_mlp import LandmarkMlpConfig, build_landmark_mlp


class LandmarkNetwork:
    """The network as an estimator of classes from landmarks.

    Args:
        config: Settings of the network and its training.
        num_classes: Classes K, at least 2; 0 is healthy.
        seed: Of the weights and of the order of the recordings.
    """

    def __init__(self, config: LandmarkMlpConfig, *, num_classes: int, seed: int) -> None:
        self.config, self.seed = config, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "weights"))
            self.network = build_landmark_mlp(config, num_classes)

    def fit(self, x: NDArray[np.float64], y: NDArray[np.int64]) -> Self:
        """Learn from recordings.

        Args:
            x: (N, F, P, 2) nose-centred landmarks.
            y: (N,) class, 0 to K-1.

        Returns:
            This estimator.

        Raises:
            DivergedError: If the loss is not finite.
        """
        config = self.config
        snippets = torch.from_numpy(np.asarray(x, np.float32))
        target = torch.from_numpy(np.asarray(y, np.int64))
        # Fused is three times as fast for so few weights.
        optimizer = torch.optim.Adam(self.network.parameters(), lr=config.learning_rate, fused=True)
        order = torch.Generator().manual_seed(derive_seed(self.seed, "order"))
        self.network.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, "dropout"))
            for epoch in range(config.num_epochs):
                drawn = torch.randperm(len(target), generator=order)
                for start in range(0, len(target), config.batch_size):
                    batch = drawn[start : start + config.batch_size]
                    loss = self._loss(snippets[batch], target[batch])
                    if not bool(torch.isfinite(loss)):
                        told = f"the training loss became {loss.item()}"
                        raise DivergedError(f"epoch {epoch}: {told}")
                    optimizer.zero_grad(set_to_none=True)
                    loss.backward()  # type: ignore[no-untyped-call]
                    optimizer.step()
        return self

    def _loss(self, snippets: Tensor, target: Tensor) -> Tensor:
        strength = self.config.hierarchy_lambda
        return hierarchy_loss(self.network(snippets), target, hierarchy_lambda=strength).mean()

    @torch.inference_mode()
    def predict_proba(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, K) probabilities of (N, F, P, 2) landmarks."""
        self.network.eval()
        logits = self.network(torch.from_numpy(np.asarray(x, np.float32))).double()
        shares: NDArray[np.float64] = logits.softmax(dim=1).numpy()
        return shares

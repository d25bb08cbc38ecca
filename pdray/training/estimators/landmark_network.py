"""Training the landmark network of YouTubePD, all recordings of a fold in memory.

:func:`pdray.training.estimators.network_in_memory.train_balanced` trains it with the settings of
:class:`pdray.models.estimators.landmark_mlp.LandmarkMlpConfig`; coordinates are taken as they are.
"""

from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from pdray.models.estimators.landmark_mlp import build_landmark_mlp
from pdray.models.estimators.landmark_mlp_settings import LandmarkMlpConfig
from pdray.training.estimators.network_in_memory import draw_network, network_logits, train_balanced


class LandmarkNetwork:
    """The network as an estimator of classes from landmarks.

    Args:
        config: Settings of the network and its training.
        num_classes: Classes K, at least 2; 0 is healthy.
        seed: Of the weights and of the order of the recordings.
    """

    def __init__(self, config: LandmarkMlpConfig, *, num_classes: int, seed: int) -> None:
        self.config, self.seed = config, seed
        self.network = draw_network(lambda: build_landmark_mlp(config, num_classes), seed)

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
        train_balanced(self.network, x, y, self.config, seed=self.seed)
        return self

    def predict_proba(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, K) probabilities of (N, F, P, 2) landmarks."""
        shares: NDArray[np.float64] = softmax(network_logits(self.network, x), axis=1)
        return shares

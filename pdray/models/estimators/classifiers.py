"""Classifiers of scikit-learn by name, each with the preparation of its numbers.

A pipeline fills in absent numbers (median), selects columns, scales and classifies. It learns all
of this from the rows that it is fitted on, so a pipeline of the training side never sees the other.
Selection keeps the columns with the largest absolute correlation (Pearson) with the class as a
number: for two classes this is the order of the t test, and of grades it uses the order.
``is_balanced`` gives each class equal weight, whatever its number; ``bayes``, regressions and
``gradient_boosting`` have no weights.
Letters: N row, D column, K class.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.base import BaseEstimator
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.feature_selection import SelectorMixin
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, SVR
from sklearn.tree import DecisionTreeClassifier

from pdray.models.estimators.grade_regression import GradeRegression
from pdray.models.estimators.ordinal_linear import OrdinalLinear
from pdray.models.estimators.power_scaler import PowerScaler

Floats = NDArray[np.float64]


class Preparation(NamedTuple):
    """Preparation of the numbers before they are classified.

    Attributes:
        indicates: Whether a column is added for each column in which training lacks a number.
        num_selected: Columns to keep; all of them where there are fewer. None: all.
        num_components: Principal components of the scaled columns; None: no PCA.
        scale: ``standard``: mean 0 and standard deviation 1; ``power``: see
            :mod:`pdray.models.estimators.power_scaler`.
    """

    indicates: bool = False
    num_selected: int | None = None
    num_components: int | None = None
    scale: Literal["standard", "power"] = "standard"


NO_PREPARATION = Preparation()


def build_pipeline(
    kind: str, *, seed: int = 0, preparation: Preparation = NO_PREPARATION, **given: Any
) -> Pipeline:
    """Build a classifier that is not fitted yet, with its preparation.

    A column without any number in training becomes constant.

    Args:
        kind: A name of :data:`CLASSIFIERS`.
        seed: Seed of trees, forests and boosting.
        preparation: Preparation; trees neither scale nor reduce, since scale does not change them.
        given: Settings of the classifier: the keywords of its function below. svm and svr also
            take ``width``, gamma of their Gaussian kernel times the number of columns.

    Raises:
        ValueError: If there is no such classifier.
    """
    if kind not in CLASSIFIERS:
        raise ValueError(f"'{kind}' is not a single classifier; use {', '.join(CLASSIFIERS)}")
    steps = preparing_steps(preparation, scales=kind not in _SCALE_FREE)
    if kind in ("svm", "svr"):
        # gamma "auto" is 1 / number of columns, which is known only when it is fitted.
        factor = {"factor": given.pop("width", 1.0) ** 0.5}
        steps.append(("widen", FunctionTransformer(_times, kw_args=factor)))
    return Pipeline([*steps, ("classify", CLASSIFIERS[kind](seed, **given))])


def preparing_steps(preparation: Preparation, *, scales: bool = True) -> list[tuple[str, Any]]:
    """Return the steps of a pipeline before its classifier or its regression.

    Args:
        preparation: Which steps there are.
        scales: Whether columns are scaled, and may be reduced.
    """
    imputer = SimpleImputer(
        strategy="median", add_indicator=preparation.indicates, keep_empty_features=True
    )
    steps: list[tuple[str, Any]] = [("impute", imputer)]
    if preparation.num_selected is not None:
        steps.append(("select", Strongest(preparation.num_selected)))
    if scales:
        is_power = preparation.scale == "power"
        steps.append(("scale", PowerScaler() if is_power else StandardScaler()))
        if preparation.num_components is not None:
            steps.append(("reduce", PCA(preparation.num_components, svd_solver="full")))
    return steps


def class_shares(fitted: Any, x: Floats, num_classes: int) -> Floats:
    """Return (N, K) probabilities of (N, D) numbers; 0 for a class that training lacked.

    Those of a support vector machine are the softmax of its margins (of -m and m for two classes,
    so that 0.5 is its own threshold). They rank, but are not calibrated.

    Args:
        fitted: A pipeline that has learnt classes of 0..K-1.
        x: Numbers, NaN where absent.
        num_classes: Classes K.
    """
    found = np.zeros((len(x), num_classes))
    if hasattr(fitted, "predict_proba"):
        found[:, fitted.classes_] = fitted.predict_proba(x)
        return found
    margins = np.asarray(fitted.decision_function(x), np.float64)
    if margins.ndim == 1:
        margins = np.stack([-margins, margins], axis=1)
    found[:, fitted.classes_] = softmax(margins, axis=1)
    return found


class Strongest(SelectorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Keeps the columns that are most correlated with the class; see the module.

    Args:
        count: Columns to keep; all of them where there are fewer. Of equal ones the first.
    """

    def __init__(self, count: int) -> None:
        self.count = count

    def fit(self, x: Floats, y: NDArray[np.int64]) -> Self:
        """Learn from (N, D) numbers without gaps and (N,) classes which columns to keep."""
        centred, target = x - x.mean(axis=0), y - y.mean()
        sizes = np.sqrt((centred**2).sum(axis=0))
        strength = np.abs(target @ centred) / np.where(sizes > 0, sizes, 1.0)
        self.mask_ = np.zeros(x.shape[1], np.bool_)
        self.mask_[np.argsort(-strength, kind="stable")[: self.count]] = True
        self.n_features_in_ = x.shape[1]
        return self

    def _get_support_mask(self) -> NDArray[np.bool_]:
        return self.mask_


def _times(x: Floats, factor: float) -> Floats:
    return x * factor


def _weights(is_balanced: bool) -> str | None:
    return "balanced" if is_balanced else None


def _linear(_: int, *, strength: float = 1.0, is_balanced: bool = True) -> Any:
    return LogisticRegression(
        C=strength, class_weight=_weights(is_balanced), tol=1e-7, max_iter=10_000
    )


def _svm(_: int, *, strength: float = 1.0, is_balanced: bool = True) -> Any:
    return SVC(C=strength, gamma="auto", class_weight=_weights(is_balanced))


def _ordered(loss: Literal["cumulative", "coral"]) -> Callable[..., Any]:
    def build(_: int, *, strength: float = 1.0, is_balanced: bool = True) -> Any:
        return OrdinalLinear(loss, strength=strength, is_balanced=is_balanced)

    return build


def _ridge(_: int, *, strength: float = 1.0) -> Any:
    return GradeRegression(Ridge(1 / strength))


def _svr(_: int, *, strength: float = 1.0) -> Any:
    return GradeRegression(SVR(C=strength, gamma="auto", epsilon=0.2))


def _boosted_grade(
    seed: int,
    *,
    num_steps: int = 200,
    step_size: float = 0.05,
    depth: int = 3,
    least_leaf: int = 1,
) -> Any:
    return GradeRegression(
        GradientBoostingRegressor(
            n_estimators=num_steps,
            learning_rate=step_size,
            max_depth=depth,
            min_samples_leaf=least_leaf,
            subsample=0.5,
            max_features=0.3,
            random_state=seed,
        )
    )


def _tree(seed: int, *, least_leaf: int = 1, is_balanced: bool = True) -> Any:
    weights = _weights(is_balanced)
    return DecisionTreeClassifier(
        min_samples_leaf=least_leaf, class_weight=weights, random_state=seed
    )


def _bayes(_: int) -> Any:
    return GaussianNB()


def _of_trees(forest: Callable[..., Any]) -> Callable[..., Any]:
    def build(
        seed: int, *, num_trees: int = 300, least_leaf: int = 1, is_balanced: bool = True
    ) -> Any:
        weights = _weights(is_balanced)
        return forest(
            num_trees, min_samples_leaf=least_leaf, class_weight=weights, random_state=seed
        )

    return build


def _boosting(
    seed: int,
    *,
    num_steps: int = 100,
    step_size: float = 0.05,
    depth: int = 2,
    least_leaf: int = 3,
    is_balanced: bool = True,
) -> Any:
    return HistGradientBoostingClassifier(
        max_iter=num_steps,
        learning_rate=step_size,
        max_depth=depth,
        min_samples_leaf=least_leaf,
        class_weight=_weights(is_balanced),
        early_stopping=False,  # it would hold out rows at random, not people
        random_state=seed,
    )


def _gradient_boosting(seed: int, *, least_leaf: int = 3) -> Any:
    return GradientBoostingClassifier(
        n_estimators=100,
        learning_rate=0.05,
        max_depth=2,
        subsample=0.5,
        min_samples_leaf=least_leaf,
        random_state=seed,
    )


CLASSIFIERS: dict[str, Callable[..., Any]] = {
    "linear": _linear,
    "ordinal": _ordered("cumulative"),
    "coral": _ordered("coral"),
    "svm": _svm,
    "ridge": _ridge,
    "svr": _svr,
    "boosted_grade": _boosted_grade,
    "tree": _tree,
    "bayes": _bayes,
    "forest": _of_trees(RandomForestClassifier),
    "trees": _of_trees(ExtraTreesClassifier),
    "boosting": _boosting,
    "gradient_boosting": _gradient_boosting,
}
"""Function of each classifier, which takes a seed and its settings as keywords: linear (logistic
regression with an L2 penalty), ordinal and coral (linear models of ordered classes), svm (Gaussian
kernel), ridge, svr and boosted_grade (regressions of the class as a number), tree, bayes
(Gaussian), forest (random), trees (extremely randomised), boosting (by histograms: quick),
gradient_boosting (half of the rows per step)."""
_SCALE_FREE = ("tree", "forest", "trees", "boosting", "boosted_grade", "gradient_boosting")

"""Formulas of the independent checker: every number of an evaluation, computed a second time.

Nothing is imported from pdray. A number is a function of rows; its interval follows from calling
this function without each subject (jackknife). Rows are dictionaries of lists, so that each formula
stands here as in its paper, without the matrices of the package.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.stats import t as student

Row = dict[str, Any]
Rows = list[Row]
Value = Callable[[Rows], float]
NAN = math.nan


# --- metrics -----------------------------------------------------------------------------------


def top(row: Row) -> int:
    best = max(row["p"])
    return next(k for k, share in enumerate(row["p"]) if share == best)


def count(rows: Rows, true: int, said: int) -> int:
    return sum(row["target"] == true and top(row) == said for row in rows)


def table_of(rows: Rows, k: int) -> list[list[int]]:
    found = [[0] * k for _ in range(k)]
    for row in rows:
        found[row["target"]][top(row)] += 1
    return found


def ratio(one: float, other: float) -> float:
    return one / other if other else NAN


def mean(values: Iterable[float]) -> float:
    some = list(values)
    return sum(some) / len(some) if some else NAN


def f1_of(c: list[list[int]], k: int) -> float:
    true, said = sum(c[k]), sum(line[k] for line in c)
    return ratio(2 * c[k][k], true + said)


def precision_of(c: list[list[int]], k: int) -> float:
    return ratio(c[k][k], sum(line[k] for line in c))


def recall_of(c: list[list[int]], k: int) -> float:
    return ratio(c[k][k], sum(c[k]))


def mcc(rows: Rows, k: int) -> float:
    c = table_of(rows, k)
    n, hits = len(rows), sum(c[i][i] for i in range(k))
    true = [sum(line) for line in c]
    said = [sum(line[i] for line in c) for i in range(k)]
    if sum(one > 0 for one in true) < 2:
        return NAN
    spread = (n * n - sum(one**2 for one in said)) * (n * n - sum(one**2 for one in true))
    above = hits * n - sum(a * b for a, b in zip(true, said, strict=True))
    return above / math.sqrt(spread) if spread else 0.0


def kappa(rows: Rows, k: int) -> float:
    """Cohen 1968 with weights (i - j)^2 on 0..K-1."""
    c, n = table_of(rows, k), len(rows)
    true = [sum(line) for line in c]
    said = [sum(line[i] for line in c) for i in range(k)]
    cells = [(i, j) for i in range(k) for j in range(k)]
    seen = sum((i - j) ** 2 * c[i][j] for i, j in cells) / n
    chance = sum((i - j) ** 2 * true[i] * said[j] for i, j in cells) / n**2
    if sum(one > 0 for one in true) < 2:
        return NAN
    return 1 - seen / chance if chance else 0.0


def ranked(rows: Rows, k: int, one: Callable[[Rows, int], tuple[float, float]]) -> float:
    """Mean over classes of sums over networks; pairs of two networks do not count."""
    if len({row["target"] for row in rows}) < 2:
        return NAN
    networks = defaultdict(list)
    for row in rows:
        networks[row["network"]].append(row)
    areas = []
    for c in [1] if k == 2 else range(k):
        sums = [one(some, c) for some in networks.values()]
        won, size = (sum(part) for part in zip(*sums, strict=True))
        areas.append(ratio(won, size))
    return mean(area for area in areas if area == area)


def auroc_pairs(rows: Rows, c: int) -> tuple[float, float]:
    ill = np.array([row["p"][c] for row in rows if row["target"] == c])
    other = np.array([row["p"][c] for row in rows if row["target"] != c])
    differences = ill[:, None] - other[None, :]
    return float((differences > 0).sum() + (differences == 0).sum() / 2), float(differences.size)


def precision_sums(rows: Rows, c: int) -> tuple[float, float]:
    ill = [row["p"][c] for row in rows if row["target"] == c]
    every = np.array([row["p"][c] for row in rows])
    of_class = np.array([row["target"] == c for row in rows])
    if of_class.all():
        return 0.0, 0.0
    return sum(float(of_class[every >= share].mean()) for share in ill), float(len(ill))


def brier(rows: Rows, k: int) -> float:
    if k == 2:
        return mean((row["p"][1] - row["target"]) ** 2 for row in rows)
    return mean(
        sum((share - (row["target"] == c)) ** 2 for c, share in enumerate(row["p"])) for row in rows
    )


def distance(rows: Rows, of: Callable[[int], float]) -> float:
    return mean(of(abs(top(row) - row["target"])) for row in rows)


def macro(rows: Rows, k: int, one: Callable[[list[list[int]], int], float], name: str) -> float:
    """Mean over classes that occur (recall), or that occur or are predicted."""
    c = table_of(rows, k)
    found = []
    for i in range(k):
        true, said = sum(c[i]), sum(line[i] for line in c)
        if true or (said and name != "recall"):
            value = one(c, i)
            found.append(0.0 if value != value else value)
    return mean(found)


def weighted_f1(rows: Rows, k: int) -> float:
    c = table_of(rows, k)
    return sum(f1_of(c, i) * sum(c[i]) for i in range(k) if sum(c[i])) / len(rows)


METRICS: dict[str, Callable[[Rows, int], float]] = {
    "accuracy": lambda rows, k: distance(rows, lambda d: d == 0),
    "within_one": lambda rows, k: distance(rows, lambda d: d <= 1),
    "mae": lambda rows, k: distance(rows, float),
    "mse": lambda rows, k: distance(rows, lambda d: d * d),
    "mcc": mcc,
    "kappa": kappa,
    "auroc": lambda rows, k: ranked(rows, k, auroc_pairs),
    "auprc": lambda rows, k: ranked(rows, k, precision_sums),
    "brier": brier,
    "f1_weighted": weighted_f1,
    "f1_macro": lambda rows, k: macro(rows, k, f1_of, "f1"),
    "f1": lambda rows, k: f1_of(table_of(rows, k), 1) if k == 2 else macro(rows, k, f1_of, "f1"),
    "precision": lambda rows, k: (
        precision_of(table_of(rows, k), 1) if k == 2 else macro(rows, k, precision_of, "precision")
    ),
    "recall": lambda rows, k: (
        recall_of(table_of(rows, k), 1) if k == 2 else macro(rows, k, recall_of, "recall")
    ),
    "balanced_accuracy": lambda rows, k: (
        macro(rows, k, recall_of, "recall") if len({row["target"] for row in rows}) > 1 else NAN
    ),
    "sensitivity": lambda rows, k: recall_of(table_of(rows, k), 1),
    "specificity": lambda rows, k: recall_of(table_of(rows, k), 0),
}
FISHER, LOG = {"mcc", "kappa", "icc_a1"}, {"mae", "mse", "brier", "sem", "sdc"}
NONE = {"intercept", "slope", "change_model", "change_rater", "srm_model", "srm_rater"}
SCALE = {"accuracy", "within_one", "mae", "mse", "kappa", "brier"}
RANKING = {"auroc", "auprc"}


def transform_of(metric: str) -> str:
    kinds = (("fisher", FISHER), ("log", LOG), ("none", NONE))
    return next((kind for kind, names in kinds if metric in names), "logit")


# --- intervals ---------------------------------------------------------------------------------


def people(rows: Rows) -> list[str]:
    return sorted({row["subject"] for row in rows})


def value_of(rows: Rows, name: str, k: int) -> float:
    """Return a score: of all rows, or of repeats the mean over them.

    Where each of several networks scored one subject, there are no ranks to compare.
    """
    if rows[0].get("one_subject_each") and name in RANKING:
        return NAN
    if not rows[0].get("mean_of_drawings"):
        return METRICS[name](rows, k)
    drawings = sorted({row["drawing"] for row in rows})
    return mean(
        METRICS[name]([row for row in rows if row["drawing"] == one], k) for one in drawings
    )


def without_each(rows: Rows, value: Value) -> list[float]:
    return [value([row for row in rows if row["subject"] != one]) for one in people(rows)]


def jackknife(left: Sequence[float]) -> float:
    n, middle = len(left), mean(left)
    return math.sqrt((n - 1) / n * sum((one - middle) ** 2 for one in left))


def symmetric(
    value: float, left: Sequence[float], transform: str, factor: float = 1.0
) -> tuple[float, float]:
    """t interval on the transformed scale, degrees of freedom of Satterthwaite."""
    n, middle = len(left), mean(left)
    squares = [(one - middle) ** 2 for one in left]
    spread = sum(one**2 for one in squares) / sum(squares) ** 2 - 1 / n
    freedom = min(max(2 / spread if spread > 0 else math.inf, 1), n - 1)
    half = float(student.ppf(0.975, freedom)) * factor * jackknife(left)
    if transform == "fisher":
        return tuple(math.tanh(math.atanh(value) + s * half / (1 - value**2)) for s in (-1, 1))  # type: ignore[return-value]
    if transform == "logit":
        at = math.log(value / (1 - value))
        ends = [at + s * half / (value * (1 - value)) for s in (-1, 1)]
        return tuple(1 / (1 + math.exp(-end)) for end in ends)  # type: ignore[return-value]
    if transform == "log":
        return value * math.exp(-half / value), value * math.exp(half / value)
    return value - half, value + half


def used(metric: str, k: int) -> list[int] | None:
    """Classes that need five subjects; None: any two of them."""
    if metric in SCALE:
        return None
    if k == 2 and metric in ("sensitivity", "recall"):
        return [1]
    if k == 2 and metric == "specificity":
        return [0]
    return list(range(k))


def subjects_of(rows: Rows, c: int) -> int:
    return len({row["subject"] for row in rows if row["target"] == c})


def enough(rows: Rows, wanted: list[int] | None, k: int) -> bool:
    if len(people(rows)) < 12:
        return False
    if wanted is None:
        return sum(subjects_of(rows, c) >= 5 for c in range(k)) >= 2
    return all(subjects_of(rows, c) >= 5 for c in wanted)


def exact_end(rows: Rows, metric: str, value: float, k: int) -> tuple[str, float, float] | None:
    """One-sided bound of a score at the end of its range."""
    kind = transform_of(metric)
    low, high = {"fisher": (-1.0, 1.0), "logit": (0.0, 1.0)}.get(kind, (0.0, NAN))
    if kind == "log":  # the worst possible prediction
        worst = [{**row, "p": farthest(row["target"], k)} for row in rows]
        high = METRICS[metric](worst, k)
    classes = used(metric, k)
    fewest = len(people(rows)) if classes is None else min(subjects_of(rows, c) for c in classes)
    room = (high - low) * (1 - 0.025 ** (1 / fewest))
    if value >= high - 1e-12:
        return "lower", high - room, value
    if value <= low + 1e-12:
        return "upper", value, low + room
    return None


def farthest(target: int, k: int) -> list[float]:
    said = 0 if 2 * target >= k - 1 else k - 1
    return [float(c == said) for c in range(k)]


def widening(rows: Rows, metric: str, k: int) -> tuple[str, float]:
    """Truth of an interval, and the factor of its standard error for pooled folds."""
    networks = {row["network"] for row in rows}
    if len(networks) == 1:
        return "model", 1.0
    of_subject = defaultdict(set)
    for row in rows:
        of_subject[row["subject"], row["drawing"]].add(row["network"])
    apart = all(len(some) == 1 for some in of_subject.values())
    area = value_of(rows, "auroc", k)
    left = without_each(rows, lambda some: value_of(some, "auroc", k))
    folds = round(len(networks) / len({row["drawing"] for row in rows}))
    if not apart or metric == "mse" or folds < 2:
        return "predictions", 1.0
    if area != area or any(one != one for one in left):
        return "predictions", math.sqrt(2)
    if metric in RANKING:
        return "procedure", factor_of(area, left, folds, 5)
    said = [{**row, "target": top(row)} for row in rows]
    several = sum(subjects_of(said, c) >= 5 for c in range(k)) >= 2
    needs = metric in ("mcc", "balanced_accuracy", "f1_macro", "precision")
    few = len({row["subject"] for row in rows}) < 40
    if not several or (needs and area - 0.5 < math.sqrt(8) * jackknife(left)):
        return "predictions", math.sqrt(2)
    return "predictions" if needs and few else "procedure", factor_of(area, left, folds, 20)


def factor_of(area: float, left: Sequence[float], folds: int, numbers: int) -> float:
    """sqrt(1 + r) with z^2 = K / (K-1) D (1-r)^2 / r, solved for r by bisection."""
    se = jackknife(left)
    if area <= 0.5:
        return math.sqrt(2)
    if se == 0:
        return 1.0
    z = ((area - 0.5) / se) ** 2 * (folds - 1) / folds / numbers
    share = brentq(lambda r: (1 - r) ** 2 - z * r, 0, 1, xtol=1e-15)
    return math.sqrt(1 + share)


# --- calibration, raters, change ---------------------------------------------------------------


def logistic(pairs: Sequence[tuple[float, bool]], with_slope: bool) -> tuple[float, float]:
    """Logistic regression of the outcome on the logit; intercept, and slope (1 if it is fixed)."""
    x = np.array([math.log(share / (1 - share)) for share, _ in pairs])
    y = np.array([float(happened) for _, happened in pairs])
    if not with_slope:
        at = brentq(lambda a: float((y - 1 / (1 + np.exp(-a - x))).sum()), -60, 60, xtol=1e-13)
        return float(at), 1.0
    a, b = 0.0, 1.0
    for _ in range(200):
        p = 1 / (1 + np.exp(-a - b * x))
        w = p * (1 - p)
        gradient = np.array([(y - p).sum(), ((y - p) * x).sum()])
        curve = np.array([[w.sum(), (w * x).sum()], [(w * x).sum(), (w * x * x).sum()]])
        step = np.clip(np.linalg.solve(curve, gradient), -2, 2)
        a, b = a + float(step[0]), b + float(step[1])
        if abs(step).max() < 1e-12:
            break
    return a, b


def calibration(rows: Rows, c: int, name: str) -> float:
    pairs = [(min(1.0, sum(row["p"][c:])), row["target"] >= c) for row in rows]
    shares, happened = [one for one, _ in pairs], [two for _, two in pairs]
    if all(happened) or not any(happened):
        return NAN
    if any(share < 1e-9 or share > 1 - 1e-9 for share in shares):
        return NAN
    if name == "intercept":
        return logistic(pairs, with_slope=False)[0]
    yes = [share for share, is_so in pairs if is_so]
    no = [share for share, is_so in pairs if not is_so]
    if min(yes) >= max(no) or max(yes) <= min(no) or max(shares) - min(shares) < 1e-9:
        return NAN
    return logistic(pairs, with_slope=True)[1]


def calibration_error(shares: Sequence[float], happened: Sequence[bool]) -> float:
    bins = defaultdict(list)
    for share, is_so in zip(shares, happened, strict=True):
        bins[min(int(share * 10), 9)].append((share, is_so))
    gaps = (abs(sum(is_so - share for share, is_so in some)) for some in bins.values())
    return sum(gaps) / len(shares)


def error_by_chance(rows: Rows, c: int, *, alike: bool) -> float:
    """Error of a model whose probabilities are right: the documented draws of seed 0."""
    shares = np.array([min(1.0, sum(row["p"][c:])) for row in rows])
    names = people(rows)
    unit = [names.index(row["subject"]) for row in rows] if alike else list(range(len(rows)))
    draws = np.random.default_rng(0).random((2000, max(unit) + 1))
    place = np.minimum((shares * 10).astype(int), 9)
    errors = []
    for line in draws:
        gap = (line[unit] < shares) - shares
        errors.append(sum(abs(gap[place == k].sum()) for k in range(10)) / len(rows))
    return mean(errors)


def icc_a1(pairs: Sequence[Sequence[float]]) -> float:
    """McGraw and Wong 1996, case 2: from the mean squares of a two-way table."""
    n, k = len(pairs), len(pairs[0]) if pairs else 0
    if n < 2 or k < 2 or len({one for line in pairs for one in line}) < 2:
        return NAN
    grand = mean(one for line in pairs for one in line)
    lines = [mean(line) for line in pairs]
    columns = [mean(line[j] for line in pairs) for j in range(k)]
    rows = k * sum((one - grand) ** 2 for one in lines) / (n - 1)
    raters = n * sum((one - grand) ** 2 for one in columns) / (k - 1)
    rest = sum(
        (pairs[i][j] - lines[i] - columns[j] + grand) ** 2 for i in range(n) for j in range(k)
    ) / ((n - 1) * (k - 1))
    return (rows - rest) / (rows + (k - 1) * rest + k / n * (raters - rest))


def closeness(pairs: Sequence[tuple[float, float]], metric: str) -> float:
    apart = [abs(one - other) for one, other in pairs]
    if metric == "mae":
        return mean(apart)
    if metric in ("exact", "within_one"):
        return mean(one <= (0.5 if metric == "exact" else 1) for one in apart)
    chance = mean((one - other) ** 2 for one, _ in pairs for _, other in pairs)
    return 1 - mean(one**2 for one in apart) / chance if chance > 1e-12 else NAN


def per_subject(rows: Rows, value: Callable[[Row], float]) -> list[float]:
    of = defaultdict(list)
    for row in rows:
        of[row["subject"]].append(value(row))
    return [mean(some) for some in of.values()]


def response_mean(rows: Rows, name: str) -> float:
    found = per_subject(rows, lambda row: row[name])
    if len(found) < 2:
        return NAN
    middle = mean(found)
    deviation = math.sqrt(sum((one - middle) ** 2 for one in found) / (len(found) - 1))
    return middle / deviation if deviation > 1e-12 else NAN


def measurement_error(pairs: Sequence[Sequence[float]]) -> float:
    return math.sqrt(mean((second - first) ** 2 / 2 for first, second in pairs))

"""Times an epoch of training, with or without cached outputs of frozen layers."""

from benchmarks.compare import cpu
from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.evaluation.predictions import Origin
from pdray.training.frozen.views import keep_views
from pdray.training.loop.worker import fit
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask


def epoch_seconds(
    recordings: tuple[RatedRecording, ...], config: FitConfig, *, num_classes: int
) -> float:
    """Return the least CPU time of an epoch of training [s].

    Args:
        recordings: The last one is evaluated, after the last epoch; the others are learnt from.
        config: Its first epoch builds the network and its last one is evaluated: neither counts.
        num_classes: Classes K.
    """
    keep_views(recordings, config)
    last = len(recordings) - 1
    task = FitTask(
        origin=Origin(study="benchmark", trial=0, fold=0, epoch=0, seed=0),
        config=config,
        recordings=recordings,
        sides=(FoldSides(tuple(range(last)), (last,)),),
        num_classes=num_classes,
        epochs=config.optim.epochs,
        evaluate="last_epoch",
    )
    results = fit(task)
    next(results)
    costs = []
    for _ in range(config.optim.epochs - 2):
        started = cpu()
        next(results)
        costs.append(cpu() - started)
    results.close()
    return min(costs)

"""What a withdrawn subject's study refuses and says, in the jobs that use studies."""

import json
import shutil
import time
from collections.abc import Callable

import pytest

from jobs.sync_tracking import work as sync
from pdray.atomic import file_digest
from pdray.config import load
from pdray.errors import StudyError
from pdray.explain.held_out import open_held_out
from pdray.export.run import export_model
from pdray.export.settings import ExportConfig
from pdray.predict.models import find_models
from pdray.predict.studied import open_study
from pdray.report.make import make_report
from pdray.search.evaluate_settings import EvaluateConfig
from pdray.search.evaluating import run_evaluation
from pdray.search.plan import StudyPlan, load_study, saved_settings
from pdray.search.resume import check_same, manifest_of
from pdray.search.weights import start_notes
from pdray.tracking.withdrawn import WITHDRAWN, read_marks
from tests.withdraw.conftest import RECORDING, TESTED, Left
from tests.withdraw.test_run import run


def again(left: Left, *words: str) -> StudyPlan:
    """Return the plan of a study that is continued, or of one with other settings."""
    words = ("search.name=faces", f"output={left.output}", *words)
    return load_study(words, saved=saved_settings(words[:2]))


def predict(asked: str) -> Callable[[Left], object]:
    return lambda left: find_models(open_study(left.study.folder), asked)


def resume(left: Left) -> None:
    manifest_of(left.study, again(left).config)


def go_on(left: Left) -> None:
    check_same(again(left), left.study, "", lambda line: None)


def start(left: Left) -> None:
    start_notes(again(left, f"pretrained={left.study.winner.model_path}"), 2)


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (predict("refit"), "refit learnt from a withdrawn subject .* use model=fold:1, which did"),
        (predict("ensemble"), "fold:0 learnt from a withdrawn subject"),
        (lambda left: open_held_out(left.study.folder), "refit learnt from a withdrawn subject"),
        (lambda left: make_report(left.study), "has no report any more: a subject has withdrawn"),
        (
            lambda left: sync([f"study={left.study.folder}"]),
            "study faces is not sent any more: a subject has withdrawn",
        ),
        (resume, "study faces cannot be continued: a subject has withdrawn"),
        (go_on, "study faces cannot be continued: a subject has withdrawn"),
        (start, "study faces: refit learnt from a withdrawn subject"),
    ],
)
def test_what_learnt_from_the_person_is_refused(
    use: Callable[[Left], object], told: str, left: Left
) -> None:
    run(left, "delete=true")
    with pytest.raises(StudyError, match=told):
        use(left)


def test_the_model_that_did_not_learn_from_the_person_still_predicts(left: Left) -> None:
    run(left, "delete=true")
    (model,) = find_models(open_study(left.study.folder), "fold:1")
    assert model.learnt > {"S002", "S003"}
    run(left, "delete=true", subject="S002")  # of fold 0, from whom fold 1 learnt
    with pytest.raises(StudyError, match=r"refit learnt .* not be used; train again"):
        predict("refit")(left)
    with pytest.raises(StudyError, match="fold:1 learnt from a withdrawn subject"):
        predict("fold:1")(left)
    assert len(read_marks(left.study.folder)) == 2


@pytest.mark.slow
def test_an_export_is_found_marked_and_not_made_again(left: Left) -> None:
    (left.study.folder / "exports.jsonl").unlink()
    left.export.rmdir()
    asked = [f"study={left.study.folder}", f"output={left.export}", "model=refit"]
    export_model(load(ExportConfig, asked), lambda line: None)
    told = run(left, "delete=true")
    assert f"{left.export}: refit of faces, {time.strftime('%Y-%m-%d', time.gmtime())}" in told
    (mark,) = read_marks(left.export).values()
    assert mark.learnt == ("refit",)
    sums = (left.export / "SHA256SUMS").read_text(encoding="utf-8")
    for line in sums.splitlines():
        digest, name = line.split(maxsplit=1)
        assert file_digest(left.export / name.lstrip("*")) == digest  # the folder is as it was
    again = left.export.with_name("again")
    with pytest.raises(StudyError, match=r"refit learnt from a withdrawn .* use model=fold:1"):
        export_model(load(ExportConfig, [*asked, f"output={again}"]), lambda line: None)
    assert not again.exists()


def test_models_that_only_scored_the_person_go_on(left: Left) -> None:
    run(left, "delete=true", subject=TESTED)
    assert find_models(open_study(left.study.folder), "refit")
    with pytest.raises(StudyError, match="whom no model of it learnt from"):
        resume(left)


def test_an_evaluation_leaves_the_rows_out_and_says_so(left: Left) -> None:
    run(left, "delete=true")
    config = load(EvaluateConfig, [f"study={left.study.folder}", "split=val", "trial=0"])
    told = run_evaluation(config)
    assert "a subject has withdrawn" in told
    assert "rows of theirs are deleted, so that scores differ" in told


def test_an_evaluation_of_nobody_is_refused_in_words(left: Left) -> None:
    run(left, "delete=true", subject=TESTED)  # the whole test set
    with pytest.raises(StudyError, match="no predictions left, since everybody"):
        run_evaluation(load(EvaluateConfig, [f"study={left.study.folder}"]))


def test_the_command_trains_again_without_the_person_and_what_started_from_it(left: Left) -> None:
    tags, copy = left.study.read()["tags"], left.output.with_name("copy.pt")
    shutil.copyfile(left.study.winner.model_path, copy)
    people = '[["S004","S4"],["S005","S5"]]'
    files = f"[videos/{RECORDING}.mp4,x.mp4]"
    before = again(left, f"data.different_subjects={people}", f"data.shared_files={files}").tree
    left.study.start(name="faces", settings=before, tags=tags)
    left.later.start(name="later", settings=again(left, f"pretrained={copy}").tree, tags=tags)
    left.later.weights_path.write_text(json.dumps({str(copy): file_digest(copy)}))
    told = run(left, "delete=true")
    first, second = (line for line in told.splitlines() if "tune-tsa --config" in line)
    assert first.endswith(f"--config {left.study.folder}/again.yaml search.name=faces-again")
    assert second.endswith(f"--config {left.later.folder}/again.yaml search.name=later-again")
    new = load_study(first.split()[2:]).tree
    changed = {key for key in before if json.dumps(new[key]) != json.dumps(before[key])}
    assert changed == {"data", "search"}
    assert new["data"] == before["data"] | {
        "different_subjects": [["S005", "S5"]],
        "shared_files": ["x.mp4"],
    }
    assert new["search"] == before["search"] | {"name": "faces-again"}
    model = left.output / "studies/faces-again/winner/model.pt"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"the new model")
    assert load_study(second.split()[2:]).config.pretrained == model
    settings = (left.study.folder / "again.yaml").read_text(encoding="utf-8")
    assert first in run(left, "delete=true")
    assert (left.study.folder / "again.yaml").read_text(encoding="utf-8") == settings
    assert "faces-again2" in run(left, "delete=true", subject="S005")
    with pytest.raises(StudyError, match=r"train again without them: .*search.name=faces-again"):
        predict("refit")(left)


def test_a_damaged_mark_is_refused_and_not_taken_for_none(left: Left) -> None:
    (left.study.folder / WITHDRAWN).write_text("{", encoding="utf-8")
    with pytest.raises(StudyError, match=r"withdrawn\.json: is damaged"):
        predict("fold:1")(left)

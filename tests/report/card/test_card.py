import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from pdray.errors import StudyError
from pdray.report.card.answers import FILE, read_answers
from pdray.report.card.checklist import card_markdown, make_card, summary
from pdray.report.card.items import ITEMS
from pdray.report.case import read_case
from pdray.report.methods import methods_text
from tests.report.claims import claims, headings, leftover
from tests.report.fixture import make_study, sixty
from tests.report.recount import Raw

STUDIES = {
    "two classes": {"people": 60},
    "five classes": {"classes": 5, "protocol": "nested", "people": 40, "raters": 2, "states": True},
    "no facts": {"facts": False, "protocol": "repeated", "synthetic": False},
    "few people": {"people": 18},
}
DIGIT = re.compile(r"\d")


def card_of(study):
    case = read_case(study)
    return card_markdown(case, make_card(case, study.folder))


def item(text, number):
    return re.search(rf"^### {number} .*?(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)[0]


@pytest.mark.parametrize("what", STUDIES.values(), ids=STUDIES)
def test_every_number_of_methods_and_card_is_that_of_the_raw_log(tmp_path, what):
    study = make_study(tmp_path, **what)
    if what["protocol" if "protocol" in what else "people"] == "nested":
        found = {"metric": "kappa", "value": 0.5, "permuted": [0.1] * 19, "p": 0.05}
        (study.folder / "permutations.json").write_text(json.dumps(found), encoding="utf-8")
    known = claims(Raw(study.folder))
    text, card = methods_text(read_case(study)), card_of(study)
    assert not leftover(text, known)
    lines = {number: one.line for number, one in read_answers(study.folder).items()}
    asked = {one: re.search(r"answer it in line (\d+)", item(card, one)) for one in ITEMS}
    assert {one: int(found[1]) for one, found in asked.items() if found} == lines
    card = re.sub(r"line \d+ of card.yaml", "", card)
    told = [*known, *headings(card)]
    assert not leftover(card, told)
    # A changed digit is noticed: every one of the methods, one of each line of the card.
    for place in [found.start() for found in DIGIT.finditer(text)]:
        assert leftover(changed(text, place), known), text[place - 40 : place + 20]
    for line in [line for line in card.splitlines() if line.startswith("> log") and "%" in line]:
        places = [found.start() for found in DIGIT.finditer(line)]
        for place in places[:: max(1, len(places) // 6)]:
            assert leftover(changed(line, place), told), line


def changed(text, place):
    return f"{text[:place]}{(int(text[place]) + 1) % 10}{text[place + 1 :]}"


def test_every_item_of_the_checklist_is_there_and_open_ones_are_counted(tmp_path):
    study = sixty(tmp_path)
    case = read_case(study)
    items = make_card(case, study.folder)
    assert [one.number for one in items] == list(ITEMS)
    states = [one.state for one in items]
    assert summary(items) == (
        f"52 items: {states.count('filled')} filled from the log, 0 answered by the owner, "
        f"{states.count('open')} open, {states.count('not applicable')} not applicable."
    )
    by_number = {one.number: one for one in items}
    assert {by_number[one].state for one in ("7", "11", "12a", "20a", "23a")} == {"filled"}
    for one in ("2", "3a", "8c", "17", "18a", "18e", "19", "25"):
        assert (by_number[one].state, by_number[one].log) == ("open", "")


def test_what_the_log_says_in_part_stays_open_until_the_owner_answers(tmp_path):
    study = sixty(tmp_path)
    assert "### 8a Outcome: open" in card_of(study)
    path = study.folder / FILE
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('\n8a: ""', "\n8a: MDS-UPDRS 3.4,\n  by video"), encoding="utf-8")
    card = card_of(study)
    assert "> owner: MDS-UPDRS 3.4, by video" in item(card, "8a")
    assert "### 8a Outcome: answered by the owner" in card
    assert "**open**" not in item(card, "8a")
    assert "1 answered by the owner" in card
    # An empty answer stays open, and the file is the owner's.
    assert re.search(r"\*\*open\*\*: answer it in line \d+ of card.yaml", item(card, "8b"))
    assert "by video" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('1: "x"\n5z: "y"\n', "line 2: there is no item '5z'"),
        ('17: "x"\n17: "y"\n', "line 2: item 17 stands twice, first in line 1"),
        ("18a: [a, b]\n", "line 1: the answer to 18a is no text"),
        ("- a\n", "line 1: write lines such as"),
        ("17: 'x\n", "is no YAML"),
    ],
)
def test_an_answer_that_belongs_nowhere_is_refused_with_its_line(tmp_path, text, message):
    study = make_study(tmp_path, searched=False)
    (study.folder / FILE).write_text(text, encoding="utf-8")
    with pytest.raises(StudyError, match=re.escape(message)):
        make_card(read_case(study), study.folder)
    assert (study.folder / FILE).read_text(encoding="utf-8") == text


def test_answers_and_values_of_a_manifest_are_no_markup(tmp_path):
    study = sixty(tmp_path, "nested")
    path = study.folder / "private" / "recordings.parquet"
    rows = pd.read_parquet(path)
    rows["diagnosis"] = rows["diagnosis"].map({"healthy": "<b>x|y", "parkinson": "# z\n- w"})
    rows.to_parquet(path)
    (study.folder / FILE).write_text('17: "<script>1</script> [a](b)\\n# head"\n', encoding="utf-8")
    card = card_of(study)
    assert "<script>" not in card
    assert "<b>" not in card
    assert r"\[a\](b)" in card
    assert not re.search(r"^#+ (head|z)", card, re.MULTILINE)


def test_a_study_of_an_earlier_version_leaves_open_what_it_did_not_keep(tmp_path):
    study = make_study(tmp_path, cohort=False)
    card = card_of(study)
    for number in ("11", "12d", "14", "20a", "20b", "20c", "23b"):
        assert ": open" in item(card, number).splitlines()[0]
    assert "48 recordings of 24 people" in methods_text(read_case(study))


def test_groups_of_few_people_have_no_score_and_no_count(tmp_path):
    study = make_study(tmp_path, people=18)
    told = item(card_of(study), "23a")
    assert "too few people" in told
    assert not re.search(r"\([1-4] people\)", told)


def test_one_site_is_no_cluster(tmp_path):
    study = sixty(tmp_path)
    path = study.folder / "private" / "recordings.parquet"
    rows = pd.read_parquet(path)
    rows["site"] = "north"
    rows.to_parquet(path)
    assert "one site alone is given" in item(card_of(study), "12d")
    assert "one site alone is given" in item(card_of(study), "23b")


def test_a_model_without_a_loop_is_not_told_like_a_network(tmp_path):
    study = make_study(tmp_path)
    case = read_case(study)
    learnt = {
        "loss": {"kind": "class_balanced_focal", "gamma": 2.0},
        "augment": {"flip": 0.5, "brightness": 0.2},
        "decode": {"height": 64, "width": 64},
        "snippet": {"num_frames": 16},
        "modality": "rgb",
    }
    network = replace(case, settings={**case.settings, **learnt})
    linear = replace(network, settings={**network.settings, "model": {"name": "motion_linear"}})
    for one, is_network in ((network, True), (linear, False)):
        told = methods_text(one) + card_markdown(one, make_card(one, study.folder))
        told = " ".join(told.split())
        for words in ("focal loss", "snippets of 16 frames", "mirrored", "for 4 epochs", "weights"):
            assert (words in told) == is_network or words == "weights", words
        assert ("### 13 Class imbalance: filled" in told) == is_network


def test_every_protocol_is_told_as_it_is(tmp_path):
    case = read_case(make_study(tmp_path, protocol="repeated"))
    ways = {**case.settings, "evaluation": {"interval": "percentile"},
            "folds": {**case.settings["folds"], "person": 1}}  # fmt: skip
    nested = replace(case, settings=ways)
    # Intervals of a procedure are made by one method, whatever the settings.
    assert "(jackknife)" in " ".join(methods_text(nested).split())
    card_text = card_markdown(nested, make_card(nested, tmp_path))
    assert "Everybody is tested." in item(card_text, "16")
    assert "tested once" not in item(card_text, "20c")
    holdout = replace(nested, protocol="holdout")
    assert "One ill person and a third of the healthy ones" in " ".join(
        methods_text(holdout).split()
    )
    unnamed = case.cohort.assign(subject_id=case.cohort["recording_id"])
    assert "so that nobody was on both sides" not in " ".join(
        methods_text(replace(case, cohort=unnamed)).split()
    )


@pytest.mark.parametrize(("startup", "words"), [(3, "at random"), (2, "after 2 random trials")])
def test_trials_before_the_first_estimate_are_told_as_random(tmp_path, startup, words):
    case = read_case(make_study(tmp_path))
    settings = {**case.settings, "search": {**case.settings["search"], "startup_trials": startup}}
    told = " ".join(methods_text(replace(case, settings=settings)).split())
    assert words in told
    assert ("Parzen" in told) == (startup == 2)

"""Who is whom in a manifest: one person under two ids, and facts that cannot be of one person."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pdray.config import build
from pdray.data.cohort.csv_table import table_text
from pdray.data.cohort.manifest import Allowed, load_manifest
from pdray.data.cohort.members import make_cohort
from pdray.data.cohort.rows import COLUMNS, REQUIRED
from pdray.data.cohort.settings import DataConfig, FoldsConfig
from pdray.data.cohort.spelling import normal_form
from pdray.errors import ManifestError, PdrayError


@pytest.fixture
def load(write_manifest):
    """Return a function that loads one row for each subject, with other columns by name."""

    def load_rows(subjects, *, different=(), check_files=False, **columns):
        rows = [
            {
                "recording_id": f"r{number}",
                "subject_id": subject,
                "item": "gait",
                "grade": number % 5,
                **{name: cells[number] for name, cells in columns.items()},
            }
            for number, subject in enumerate(subjects)
        ]
        allowed = Allowed(different_subjects=different)
        return load_manifest(write_manifest(rows), check_files=check_files, allowed=allowed)

    return load_rows


@pytest.mark.parametrize(
    ("spelling", "shown"),
    [
        ("s1", "only in case"),
        ("\uff331", r"'\\uff331' differs from 'S1' of row 2 only in how it is written"),
        ("S\u200b1", r"'S\\u200b1'"),
        ("S\u00ad1", r"'S\\xad1'"),
        ("S1\u2063", r"'S1\\u2063'"),
        ("S\x7f1", r"'S\\x7f1'"),
    ],
)
def test_spellings_of_one_id_are_refused_whoever_names_them(load, spelling, shown):
    for different in ((), (("S1", spelling),)):
        with pytest.raises(ManifestError, match=rf"row 3: subject_id .*{shown}"):
            load(["S1", spelling], different=different)


@pytest.mark.parametrize("other", ["P01", "\u04201", "P-1", "\u03a1-001"])
def test_ids_that_look_alike_are_refused_until_they_are_named_as_two_people(load, other):
    with pytest.raises(ManifestError, match=r"row 3: .* looks like 'P1' of row 2 .* if they are t"):
        load(["P1", other])
    manifest = load(["P1", other], different=[["P1", other]])
    assert [one.subject_id for one in manifest.recordings] == ["P1", other]  # as given


def test_every_pair_that_looks_alike_must_be_named(load):
    with pytest.raises(ManifestError, match=r"row 4: subject_id 'P001' looks like 'P1' of row 2"):
        load(["P1", "P01", "P001"], different=[["P1", "P01"], ["P01", "P001"]])
    assert load(["P1", "P01", "P001"], different=[["P1", "P01", "P001"]]).notes == ()


def test_a_named_subject_that_is_not_there_is_refused(load):
    with pytest.raises(ManifestError, match=r"^manifest\.csv: data\.different_subjects names 'P9'"):
        load(["P1", "P2"], different=[["P1", "P9"]])


def test_a_bare_number_beside_the_same_with_letters_is_noted(load):
    (note,) = load(["1", "P1", "2", "C02", "P3", "C3"]).notes
    assert note.startswith("subjects 1 and P1, 2 and C02 differ only in letters; if they are one")


def test_ages_of_one_visit_that_are_years_apart_are_noted(load):
    visits = ["", "", "V1", "V1", "V1", "V2"]
    ages = ["60", "72", "60", "62", "60", "72"]
    (note,) = load(["A", "A", "B", "B", "C", "C"], visit_id=visits, age=ages).notes
    assert note.startswith("1 subjects have ages more than 2 years apart in one visit")
    assert ": A; if such an id stands for two people, write two ids" in note


def test_the_setting_takes_groups_of_at_least_two_texts():
    tree = {"manifest": "m.csv", "different_subjects": [["P1", "P01"]]}
    assert build(DataConfig, tree).different_subjects == (("P1", "P01"),)
    for wrong in ([["P1"]], [[1, 2]], ["P1", "P01"]):
        with pytest.raises(PdrayError, match="different_subjects"):
            build(DataConfig, {**tree, "different_subjects": wrong})


def test_visits_of_a_subject_and_sites_have_one_spelling(load):
    with pytest.raises(ManifestError, match="row 3: visit_id 'v1' differs from 'V1' of row 2 only"):
        load(["S1", "S1"], visit_id=["V1", "v1"])
    with pytest.raises(ManifestError, match=r"row 3: site 'Ulm\\u200b' differs from 'Ulm'"):
        load(["S1", "S2"], site=["Ulm", "Ulm\u200b"])
    with pytest.raises(ManifestError, match=r"row 3: visit_id '1\.0' differs from '1'"):
        load(["S1", "S1"], visit_id=["1", "1.0"])
    assert load(["S1", "S2"], visit_id=["V1", "v1"]).recordings[1].visit_id == "v1"


def test_ids_of_unnamed_recordings_are_nobodys_spelling(write_manifest):
    names = ["clip_1", "clip_01", "CLIP_1", "unknown"]
    rows = [{"recording_id": name, "subject_id": "", "item": "action"} for name in names]
    manifest = load_manifest(write_manifest(rows[:3]), subjects="none")
    assert [one.subject_id for one in manifest.recordings] == names[:3]
    with pytest.raises(ManifestError, match="row 5: recording_id 'unknown' names nobody"):
        load_manifest(write_manifest(rows), subjects="none")


FACTS = [
    # columns, what is refused (None: nothing)
    ({"sex": ["F", "M"]}, "row 3: sex 'M', but subject S1 is 'F' in row 2; correct one of them"),
    ({"sex": ["f", "Female"]}, None),
    ({"sex": ["m", "w"]}, "row 3: sex 'w'"),
    ({"split": ["train", "test"]}, "row 3: split 'test', but subject S1 is 'train'"),
    ({"diagnosis": ["PD", "healthy"]}, "row 3: diagnosis 'healthy', but subject S1 is 'PD'"),
    ({"diagnosis": ["PD", "MSA"], "visit_id": ["V1", "V1"]}, "row 3: diagnosis 'MSA'"),
    ({"diagnosis": ["PD", "MSA"], "visit_id": ["V1", "V2"]}, None),
    ({"diagnosis": ["healthy", "PD"], "visit_id": ["V1", "V2"]}, None),
    ({"diagnosis": ["PD", "HC"], "visit_id": ["V10", "V9"]}, None),
    ({"diagnosis": ["PD", "healthy"], "visit_id": ["V9", "V10"]}, "row 3: diagnosis 'healthy'"),
    (
        {"diagnosis": ["healthy", "PD"], "visit_id": ["first", "last"]},
        "whose names do not tell their order; name visits so that their numbers rise",
    ),
    ({"diagnosis": ["healthy", "PD"], "visit_id": ["2019-12-01", "2021-03-02"]}, None),
    ({"diagnosis": ["healthy", "PD"], "visit_id": ["01.02.2019", "02.01.2021"]}, "do not tell th"),
    ({"age": ["64", "63"], "visit_id": ["V1", "V2"]}, "row 3: age '63', but subject S1 is '64'"),
    ({"age": ["64", "63"], "visit_id": ["V2", "V1"]}, None),
    ({"age": ["64", "63"]}, None),
    ({"disease_years": ["5", "4.5"], "visit_id": ["1", "2"]}, "row 3: disease_years '4.5'"),
    ({"age": ["121", "-5"]}, r"row 2: age 121 is outside 0\.\.120"),
]


@pytest.mark.parametrize(("columns", "refused"), FACTS)
def test_facts_that_cannot_be_of_one_person_are_refused(load, columns, refused):
    if refused is None:
        assert len(load(["S1", "S1"], **columns).recordings) == 2
        return
    with pytest.raises(ManifestError, match=refused):
        load(["S1", "S1"], **columns)


def test_facts_of_two_people_may_differ(load):
    load(["S1", "S2"], sex=["f", "m"], diagnosis=["PD", "healthy"], age=["64", "63"])


def test_a_name_is_in_no_message(load):
    with pytest.raises(ManifestError) as caught:
        load(["Doe, Jane", "DOE, JANE", "doe, jane"], sex=["f", "m", "f"], video=["a.mp4"] * 3)
    told = str(caught.value)
    assert told.count("looks like a person's name") == 3
    assert "doe" not in told.casefold()


def test_many_equal_faults_are_one_line(load):
    subjects = [f"S{number}" for number in range(116)]
    with pytest.raises(ManifestError) as caught:
        load(subjects, item=["tapping"] * 116, age=range(121, 237))
    headline, *lines = str(caught.value).splitlines()
    assert headline == "manifest.csv, 232 faults:"
    assert len(lines) == 5
    assert lines[0].startswith("  - 116 rows (2, 3, 4, ...): item 'tapping' is unknown: ")
    assert lines[1] == "  - row 2: age 121 is outside 0..120"
    assert lines[4] == "  - 113 rows (5, 6, 7, ...): the same with other values"


LETTERS = st.sampled_from("S1 01.0-_\u0421\u04201\u200b\uff33\u00e9e\u0301IlO0\u00a0\u2013\ufeff")
IDS = st.text(LETTERS, min_size=1, max_size=4)
TEXT = st.one_of(st.text(max_size=8), IDS, st.sampled_from(["101", "9" * 5000, "1_000", "NaN"]))


@given(
    st.lists(st.sampled_from((*COLUMNS, "rater_1", "rater_2", "rater_99999999999")), unique=True),
    st.lists(st.lists(TEXT, max_size=30), max_size=4),
    st.booleans(),
)
def test_no_table_ends_in_a_traceback(tmp_path_factory, columns, rows, is_public):
    header = [*REQUIRED, *(name for name in columns if name not in REQUIRED)]
    quoted = [
        ",".join('"' + cell.replace('"', '""') + '"' for cell in row)
        for row in (header, *((one + [""] * len(header))[: len(header)] for one in rows))
    ]
    path = tmp_path_factory.mktemp("any") / "m.csv"
    path.write_bytes("\n".join(quoted).encode("utf-8", "surrogatepass"))
    try:
        manifest = load_manifest(path, subjects="none" if is_public else "required")
    except ManifestError as error:
        assert str(error).startswith(("m.csv", str(path)))  # noqa: PT017
    else:
        assert len(manifest.recordings) == len(rows)


@given(st.binary(max_size=200))
def test_no_bytes_end_in_a_traceback(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("bytes")
    for name, start in (
        ("m.csv", b""),
        ("n.csv", b"recording_id,subject_id,item\n"),
        ("m.parquet", b"PAR1"),
    ):
        (folder / name).write_bytes(start + content)
        with pytest.raises(ManifestError):
            load_manifest(folder / name)


@given(st.lists(IDS, min_size=2, max_size=5))
@example(["S1", "\uff331"])
@example(["1", "1.0"])
def test_no_two_spellings_of_one_person_are_in_two_folds(tmp_path_factory, ids):
    path = tmp_path_factory.mktemp("ids") / "m.csv"
    others = [f"Q{number}" for number in range(2, 8)]
    rows = [
        {"recording_id": f"r{n}g{g}", "subject_id": name.strip(), "item": "gait", "grade": g}
        for n, name in enumerate([*ids, *others])
        for g in (0, 3)
    ]
    path.write_text(table_text(rows[0], rows), encoding="utf-8")
    try:
        manifest = load_manifest(path, check_files=False)
    except ManifestError:
        return
    config = FoldsConfig(num_outer=2, num_folds=2)
    folds = make_cohort(manifest, DataConfig(manifest=path), config, needs=()).folds
    home = {}
    for name, (_, side) in folds.splits.items():
        for subject in side:
            assert home.setdefault(normal_form(subject), name) == name

"""Words of sheets and of names of files, as a manifest writes them."""

import re
from collections.abc import Mapping

from pdray.data.cohort.rows import COLUMNS, NUMBERS, OWN, RATER, UNABLE, WORDS
from pdray.data.cohort.settings import KNOWN_ITEMS
from pdray.data.cohort.spelling import normal_form
from pdray.importers.sheets.settings import HEADERS

# How sheets name the columns of a manifest, as `form` writes them.
_HEADERS = {
    "subject_id": ("subject", "subjectcode", "patient", "patientid", "patientcode", "participant",
                   "participantid", "pseudonym", "pid", "proband"),
    "visit_id": ("visit", "visitnumber", "session", "sessionid", "timepoint", "visite"),
    "item": ("task", "exercise", "movement", "aufgabe"),
    "side": ("hand", "bodyside", "laterality", "seite"),
    "grade": ("score", "rating", "updrs", "mdsupdrs", "consensus", "konsens"),
    "video": ("videofile", "file", "filename", "datei", "dateiname"),
    "age": ("alter", "ageyears"),
    "sex": ("gender", "geschlecht"),
    "site": ("center", "centre", "clinic", "zentrum", "klinik"),
    "diagnosis": ("diagnose", "dx"),
    "medication_state": ("med", "medication", "medstate", "onoff", "medikation"),
    "stimulation_state": ("stimulation", "dbs", "dbsstate"),
    "hoehn_yahr": ("hy", "hoehnandyahr", "hoehnyahrstage"),
    "disease_years": ("diseaseduration", "yearssincediagnosis"),
    "start_seconds": ("start", "begin", "starttime", "startsec", "starts"),
    "end_seconds": ("end", "stop", "endtime", "endsec", "ends"),
}  # fmt: skip
_RATER = re.compile(r"(?:rater|reviewer|bewerter|grader)0*([1-9][0-9]*|[a-h])")
_SECONDS = ("start_seconds", "end_seconds")
_CLOCK = re.compile(r"(?:([0-9]+):)?([0-9]{1,2}):([0-9]{1,2}(?:\.[0-9]+)?)")
# Columns that tell who somebody is; a manifest holds pseudonyms alone.
_PERSONAL = frozenset(
    ["name", "patientname", "surname", "lastname", "familyname", "firstname", "givenname",
     "fullname", "vorname", "nachname", "birthday", "birthdate", "dateofbirth", "dob",
     "geburtsdatum", "geburtstag", "address", "adresse", "phone", "telephone", "telefon", "email",
     "mail", "mrn", "medicalrecordnumber", "ssn", "insurancenumber", "versichertennummer"]
)  # fmt: skip
# How items and sides are written besides the words of a manifest. The numbers are of MDS-UPDRS.
_WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "item": {
        "speech": ("3.1",),
        "facial_expression": ("3.2", "hypomimia"),
        "finger_tapping": ("3.4", "fingertap", "fingertaps"),
        "hand_opening": ("3.5", "handmovement", "handmovements", "handopeningclosing", "fist"),
        "pronation": ("3.6", "pronationsupination", "pronosupination", "prosup"),
        "toe_tapping": ("3.7", "toetap", "toetaps"),
        "leg_agility": ("3.8", "legagilitytest"),
        "arising": ("3.9", "arisingfromchair", "sittostand", "chairrise"),
        "gait": ("3.10", "walk", "walking"),
        "freezing": ("3.11", "freezingofgait", "fog"),
        "postural_stability": ("3.12", "pulltest"),
        "postural_tremor": ("3.15",),
        "kinetic_tremor": ("3.16",),
        "rest_tremor": ("3.17", "restingtremor"),
        "tremor_constancy": ("3.18",),
    },
    "side": {
        "left": ("l", "lt", "li", "links", "lefthand", "lh"),
        "right": ("r", "rt", "re", "rechts", "righthand", "rh"),
        "left_leg": ("leftfoot",),
        "right_leg": ("rightfoot",),
    },
    "grade": {UNABLE: ("ur", "101", "unabletorate", "notrateable", "nichtbewertbar")},
}


def form(text: str) -> str:
    """Return what is the same for spellings of one word: letters and digits, without case."""
    return re.sub(r"[\W_]+", "", normal_form(text))


class Words:
    """Headers and cells of sheets, and parts of names, as a manifest writes them."""

    def __init__(self, given: Mapping[str, Mapping[str, str]]) -> None:
        """Read the user's words by column; those of ``column`` are headers."""
        self.given = {
            column: {form(word): meant for word, meant in words.items()}
            for column, words in given.items()
        }
        self._known = {
            column: {form(one): word for word, others in words.items() for one in (word, *others)}
            for column, words in _WORDS.items()
        }
        self._known["item"] |= {form(one): one for one in KNOWN_ITEMS}
        self._known |= {
            column: {form(one): word for word, others in words.items() for one in (word, *others)}
            for column, words in WORDS.items()
        }

    def header(self, text: str) -> str:
        """Return the column of a manifest that a header names.

        A column that a manifest does not know keeps its name behind ``x_``.

        Returns:
            The column; empty where it is left out, as it was asked for or may identify people.
        """
        found = form(text)
        if found in self.given.get(HEADERS, {}):
            return self.given[HEADERS][found]
        if found in _PERSONAL:
            return ""
        for column, others in _HEADERS.items():
            if found in (form(column), *others):
                return column
        for column in COLUMNS:
            if found == form(column):
                return column
        if match := _RATER.fullmatch(found):
            number = match[1] if match[1].isdigit() else str("abcdefgh".index(match[1]) + 1)
            return f"rater_{number}"
        name = re.sub(r"\W+", "_", normal_form(text)).strip("_")
        return name if name.startswith(OWN) else f"{OWN}{name or 'column'}"

    def cell(self, column: str, text: str) -> str:
        """Return a cell as a manifest writes it; a word that is not known stays as it is."""
        text = text.strip()
        kind = "grade" if RATER.fullmatch(column) else column
        found = form(text)
        for words in (self.given.get(kind, {}), self._known.get(kind, {})):
            if found and found in words:
                return words[found]
        if kind == "item":  # an item of the user's own is one word
            return re.sub(r"[^\w.-]+", "_", text)
        if kind in NUMBERS or kind == "grade":
            text = re.sub(r"^([+-]?[0-9]+),([0-9]+)$", r"\1.\2", text)
        if kind in _SECONDS and (match := _CLOCK.fullmatch(text)):
            hours, minutes, seconds = match.groups()
            return f"{int(hours or 0) * 3600 + int(minutes) * 60 + float(seconds):g}"
        return text


def is_rater(header: str) -> bool:
    """Return whether a header names a rater by a number or a letter, as ``Rater A``."""
    return _RATER.fullmatch(form(header)) is not None


def key(text: str) -> str:
    """Return what is the same in a sheet and in a name of a file that mean one thing.

    A spreadsheet program takes the zeros from ``012`` and writes a date with dashes.
    """
    found = form(text)
    return found.lstrip("0") or "0" if found.isdigit() else found

"""The items of the TRIPOD+AI checklist, as questions in pdray's own words.

Numbers and order are those of Collins et al., BMJ 2024;385:e078378 (27 items, 52 with sub-items).
"""

from typing import NamedTuple

SOURCE = "TRIPOD+AI: Collins et al., BMJ 2024;385:e078378"


class Question(NamedTuple):
    """One item of the checklist.

    Attributes:
        topic: Its subject, in a few words.
        text: What a reader wants to know.
    """

    topic: str
    text: str


SECTIONS = {
    "1": "Title and abstract",
    "3a": "Introduction",
    "5a": "Methods",
    "18a": "Open science",
    "19": "Patients and public",
    "20a": "Results",
    "25": "Discussion",
}
"""Heading that stands before an item."""

ITEMS = {
    "1": Question("Title", "Does the title say that a model is developed or tested, for whom, and "
                  "what it predicts?"),
    "2": Question("Abstract", "Does the abstract follow TRIPOD+AI for Abstracts?"),
    "3a": Question("Background", "Which clinical question is it, diagnosis or prognosis, why is a "
                   "model wanted, and which models are there?"),
    "3b": Question("Background", "For which people, at which point of care, and for whose use is "
                   "the model meant?"),
    "3c": Question("Background", "Which inequalities in health between social groups are known "
                   "here?"),
    "4": Question("Objectives", "What is the aim, and is a model developed, tested, or both?"),
    "5a": Question("Data", "Where do the data of training and of testing come from, why these, and "
                   "whom do they represent?"),
    "5b": Question("Data", "When were the first and the last person recorded, and how long were "
                   "they followed?"),
    "6a": Question("Participants", "In which kind of care, and in how many centres where, were "
                   "people recorded?"),
    "6b": Question("Participants", "Who could take part, and who could not?"),
    "6c": Question("Participants", "Which treatments did people have, and how was that handled?"),
    "7": Question("Data preparation", "How were the data prepared and checked, and alike for all "
                  "groups of people?"),
    "8a": Question("Outcome", "What is predicted, how and when was it assessed, why this, and "
                   "alike for all groups of people?"),
    "8b": Question("Outcome", "Who assessed it, with which training and background?"),
    "8c": Question("Outcome", "What did assessors not know when they assessed it?"),
    "9a": Question("Predictors", "How were the inputs chosen, and was there a choice before the "
                   "model was built?"),
    "9b": Question("Predictors", "What exactly are the inputs, how and when were they measured, "
                   "and blind to what?"),
    "9c": Question("Predictors", "If people judged the inputs, who were they?"),
    "10": Question("Sample size", "Why so many people, and are they enough for training and for "
                   "testing?"),
    "11": Question("Missing data", "What was missing, what was left out and why, and how was that "
                   "handled?"),
    "12a": Question("Use of the data", "Which people served training, choice and testing?"),
    "12b": Question("Handling of inputs", "How were the inputs scaled or changed?"),
    "12c": Question("Model", "Which model, how was it built and tuned, and how was it tested "
                    "inside these data?"),
    "12d": Question("Clusters", "How were differences between centres handled and measured?"),
    "12e": Question("Measures", "By which numbers and pictures is performance shown, and why?"),
    "12f": Question("Updating", "Was the model changed after testing, such as calibrated again?"),
    "12g": Question("Predictions", "How were the predictions computed that were scored?"),
    "13": Question("Class imbalance", "Were rare classes treated in a special way, why, and were "
                   "probabilities corrected after it?"),
    "14": Question("Fairness", "What was done for fairness between groups, and why?"),
    "15": Question("Output", "What does the model return, and where do its thresholds come from?"),
    "16": Question("Training and testing", "In what do the data of training and of testing "
                   "differ?"),
    "17": Question("Ethics", "Which committee approved the study, and how did people consent?"),
    "18a": Question("Funding", "Who paid, and what was their part in the study?"),
    "18b": Question("Interests", "Which interests and payments does each author declare?"),
    "18c": Question("Protocol", "Where is the protocol, or was there none?"),
    "18d": Question("Registration", "Where and under which number was the study registered, or was "
                    "it not?"),
    "18e": Question("Data sharing", "Who can get the data, and how?"),
    "18f": Question("Code", "Who can get the code, and how?"),
    "19": Question("Involvement", "In what were patients and public involved, or were they not?"),
    "20a": Question("Flow", "How many people came into the study, left it and had the outcome?"),
    "20b": Question("Characteristics", "Who are the people, by source and group, and what is "
                    "missing of them?"),
    "20c": Question("Comparison", "How do the people of testing compare with those of training?"),
    "21": Question("Numbers analysed", "How many people and outcomes are in training, choice and "
                   "testing?"),
    "22": Question("Specification", "What is needed to run this very model on others, and who can "
                   "get it?"),
    "23a": Question("Performance", "How good is it, with intervals, also in groups of people?"),
    "23b": Question("Clusters", "How does performance differ between centres?"),
    "24": Question("Updating", "What did an updated model reach?"),
    "25": Question("Interpretation", "What do the results mean, also for fairness, beside the aim "
                   "and earlier studies?"),
    "26": Question("Limitations", "What limits the study, and what does that do to its results?"),
    "27a": Question("Poor input", "What should be done in use with poor or absent recordings?"),
    "27b": Question("Users", "What must users do with recordings or model, and what must they "
                    "know?"),
    "27c": Question("Next steps", "Which research is next, above all on other people?"),
}  # fmt: skip
"""Every item by its number, in the checklist's order."""
assert len(ITEMS) == 52

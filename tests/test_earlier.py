from pydantic import Field

from pdray.config import Settings, build, dump
from pdray.data.media.settings import DecodeConfig
from pdray.earlier import as_begun, earlier_values, without_earlier
from pdray.search.settings import StudyConfig


class Inner(Settings):
    """A section with a setting that is newer than the others."""

    size: int = Field(3, description="size")
    mode: str = Field("new", description="mode", json_schema_extra={"earlier": "old"})


class Outer(Settings):
    """A root."""

    inner: Inner = Inner()
    name: str = Field("x", description="name")


def test_what_was_begun_before_a_key_has_its_earlier_value():
    assert earlier_values(Outer) == {"inner.mode": "old"}
    begun = {"inner": {"size": 5}, "name": "y"}
    assert as_begun(Outer, {"name": "z"}, begun) == {"inner": {"mode": "old"}, "name": "z"}
    # What is asked for in words stands, and is then refused where it differs.
    asked = {"inner": {"mode": "new"}}
    assert as_begun(Outer, asked, begun) == asked
    assert as_begun(Outer, {}, {"name": "y"}) == {"inner": {"mode": "old"}}


def test_what_was_begun_with_the_key_keeps_what_it_has():
    assert as_begun(Outer, {"name": "z"}, dump(Outer())) == {"name": "z"}
    begun = {"inner": {"mode": "old"}}
    assert as_begun(Outer, begun, begun) == begun
    # The command that began it goes on with it, also after a resume has logged the earlier value.
    assert as_begun(Outer, {"name": "z"}, begun) == {"inner": {"mode": "old"}, "name": "z"}


def test_the_earlier_value_is_not_part_of_what_a_digest_is_taken_of():
    assert without_earlier(Inner()) == {"size": 3, "mode": "new"}
    assert without_earlier(Inner(mode="old")) == {"size": 3}


def test_pictures_of_earlier_studies_are_as_stored():
    tree = {"data": {"manifest": "/m.csv"}}
    config = build(StudyConfig, as_begun(StudyConfig, tree, tree))
    assert (config.decode.hdr, config.decode.interlaced) == ("stored", "stored")
    assert without_earlier(config.decode) == {"height": 112, "width": 112, "frame_rate": None}
    assert DecodeConfig().hdr == "sdr"


def test_weights_of_earlier_studies_are_adapted_as_they_were():
    tree = {"data": {"manifest": "/m.csv"}, "pretrained": "/w.pth"}
    assert build(StudyConfig, as_begun(StudyConfig, tree, tree)).pretrained_pixels == "earlier"
    assert build(StudyConfig, tree).pretrained_pixels == "auto"
    # A model that starts from no file does not mind.
    landmarks = {**tree, "pretrained": None, "modality": "landmarks", "optim": {"epochs": 1}}
    heads = {**landmarks, "model": {"name": "landmark_head"}}
    assert build(StudyConfig, as_begun(StudyConfig, heads, heads)).model.name == "landmark_head"


def test_earlier_studies_end_trials_by_the_rule_that_they_began_with():
    tree = {"data": {"manifest": "/m.csv"}}
    begun = build(StudyConfig, as_begun(StudyConfig, tree, tree))
    assert (begun.search.prune_rule, build(StudyConfig, tree).search.prune_rule) == (
        "quantile",
        "folds",
    )

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pytest
from pydantic import Discriminator, Field, Tag, ValidationError, model_validator

from pdray.config import (
    Settings,
    accepts,
    build,
    dump,
    lay,
    leaves,
    load,
    merge,
    nearest,
    nest,
    read_tree,
    written,
)
from pdray.errors import SettingsError


class OptimConfig(Settings):
    learning_rate: float = Field(0.1, gt=0, description="step [1]")
    betas: tuple[float, ...] = (0.9, 0.999)
    warmup: int = Field(3, ge=0)
    schedule: Literal["cosine", "none"] = "cosine"
    nesterov: bool = False


class DataConfig(Settings):
    manifest: Path = Field(description="table")
    items: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if self.items == ():
            raise ValueError("items is empty")
        return self


class JobConfig(Settings):
    data: DataConfig
    optim: OptimConfig = Field(default_factory=OptimConfig)
    name: str = "job"


BASE = ["data.manifest=m.csv"]


def faults_of(*words):
    with pytest.raises(SettingsError) as caught:
        load(JobConfig, [*BASE, *words])
    return str(caught.value)


def test_defaults_are_used():
    config = load(JobConfig, BASE)
    assert config.data.manifest == Path("m.csv")
    assert config.optim == OptimConfig()


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("optim.learning_rate=1e-3", 1e-3),
        ("optim.learning_rate=2", 2.0),
        ("optim.betas=[0.5, 1]", (0.5, 1.0)),
        ("optim.warmup=7", 7),
        ("optim.schedule=none", "none"),
        ("optim.nesterov=true", True),
        ("data.items=[gait, pronation]", ("gait", "pronation")),
        ("data.items=null", None),
        ("data.items=none", None),
        ("name=12", "12"),
        ("name=none", "none"),
        ("name=a=b", "a=b"),
        ("name=", ""),
    ],
)
def test_words_are_read_as_their_declared_type(word, value):
    part = load(JobConfig, [*BASE, word])
    for key in word.partition("=")[0].split("."):
        part = getattr(part, key)
    assert part == value
    assert type(part) is type(value)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("optim.learning_rat=1", "unknown key 'optim.learning_rat': did you mean "
         "'optim.learning_rate'? valid keys: optim.learning_rate, optim.betas"),
        ("zz=1", "unknown key 'zz': valid keys: data, optim, name"),
        ("zz=a: b: c", "unknown key 'zz'"),
        ("optim.learning_rate=0", "optim.learning_rate: got 0; input should be greater than 0"),
        ("optim.learning_rate=fast", "optim.learning_rate: got 'fast'; input should be a valid nu"),
        ("optim.learning_rate=.nan", "optim.learning_rate: got nan"),
        ("optim.learning_rate=.inf", "optim.learning_rate: got inf"),
        ("optim.warmup=-1", "optim.warmup: got -1; input should be greater than or equal to 0"),
        ("optim.warmup=1.5", "optim.warmup: got 1.5; input should be a valid integer"),
        ("optim.warmup=true", "optim.warmup: got True; input should be a valid integer"),
        ("optim.schedule=step", "optim.schedule: got 'step'; input should be 'cosine' or 'none'"),
        ("optim.nesterov=1", "optim.nesterov: got 1; input should be a valid boolean"),
        ("data.items=gait", "data.items: got 'gait'; expected a list in brackets"),
        ("data.items=[]", "data: items is empty"),
        ("optim=3", "optim: got 3; expected 'key: value' lines"),
        ("optim.warmup=[1", "optim.warmup: got '[1'"),
    ],
)  # fmt: skip
def test_a_fault_says_key_value_and_what_would_be_right(word, message):
    assert message in faults_of(word)


def test_all_faults_come_at_once():
    text = faults_of("optim.warmup=x", "optim.learning_rate=-1", "nam=a")
    assert text.startswith("settings, 3 faults:")
    for key in ("optim.warmup", "optim.learning_rate", "unknown key 'nam': did you mean 'name'"):
        assert key in text


def test_a_required_key_is_named():
    with pytest.raises(
        SettingsError, match=r"'data\.manifest' is missing and has no default; set it"
    ):
        load(JobConfig, ["data.items=[gait]"])


@pytest.mark.parametrize("word", ["manifest", "--manifest=a", "-x=1"])
def test_a_word_that_is_no_setting_is_refused(word):
    assert f"got '{word}'; write key=value, --config FILE or --help" in faults_of(word)


def test_the_later_of_file_and_word_wins(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("name: first\noptim:\n  warmup: 5\n  schedule: none\n")
    second.write_text("name: second\n")
    words = [*BASE, "--config", str(first), "optim.warmup=6", "--config", str(second)]
    config = load(JobConfig, words)
    assert (config.name, config.optim.warmup, config.optim.schedule) == ("second", 6, "none")


def test_yaml_text_that_looks_like_a_number_gets_a_hint(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("optim:\n  learning_rate: 1e-3\n")
    assert "YAML reads 1e-3 as text, write 0.001" in faults_of("--config", str(path))


def test_yaml_no_is_refused_where_text_is_wanted(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("name: no\n")
    assert "name: got False; input should be a valid string" in faults_of("--config", str(path))


def test_an_empty_file_changes_nothing(tmp_path):
    (tmp_path / "a.yaml").write_text("# nothing\n")
    words = [*BASE, "--config", str(tmp_path / "a.yaml")]
    assert load(JobConfig, words) == load(JobConfig, BASE)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "the file cannot be read"),
        (b"a: [1", "the file is not valid YAML"),
        (b"a: {{name}}\n", "the file is not valid YAML: .*unhashable key"),
        (b"- 1\n", r"got \[1\]; write lines of 'key: value'"),
        (b"\xff\xfe\xff", "the file cannot be read"),
        (b"a: !!python/object:os.system {}\n", "the file is not valid YAML"),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, message):
    path = tmp_path / "a.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=rf"(?s)--config .*a\.yaml: {message}"):
        load(JobConfig, ["--config", str(path)])


def test_config_without_a_file_is_refused():
    with pytest.raises(SettingsError, match="--config has no file; write --config FILE"):
        load(JobConfig, ["--config"])


def test_settings_are_frozen_and_know_their_keys():
    with pytest.raises(ValidationError, match="frozen"):
        OptimConfig().warmup = 4  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        OptimConfig(warm=4)  # type: ignore[call-arg]


def test_dump_and_build_are_inverse():
    config = load(JobConfig, [*BASE, "data.items=[gait]", "optim.betas=[0.1]"])
    plain = dump(config)
    assert plain["data"] == {"manifest": "m.csv", "items": ["gait"]}
    assert build(JobConfig, plain) == config


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"), (True, "true"), (1e-5, "1e-05"), ("sgd", "sgd"), (("a", "b"), "[a,b]"),
        (Path.home() / "x", "~/x"), ({}, "{}"), ((OptimConfig(warmup=1),), '[{"warmup": 1}]'),
    ],
)  # fmt: skip
def test_a_value_is_written_as_a_word_has_it(value: object, text: str) -> None:
    assert written(value) == text


def test_accepts_says_what_would_be_right():
    fields = dict(leaves(JobConfig))
    assert accepts(fields["optim.warmup"], 3) is None
    assert accepts(fields["optim.warmup"], -3) == "input should be greater than or equal to 0"
    assert accepts(fields["optim.learning_rate"], 1) is None
    assert accepts(fields["optim.schedule"], "step") == "input should be 'cosine' or 'none'"
    assert accepts(fields["optim.betas"], [0.1]) is None


def test_nest_and_merge():
    assert nest({"a.b": 1, "a.c": 2, "d": 3}) == {"a": {"b": 1, "c": 2}, "d": 3}
    first = {"a": {"b": {"c": 1}}}
    tree = merge({}, first)
    assert merge(tree, {"a": {"b": {"c": 2}, "d": 4}, "e": 5}) == {
        "a": {"b": {"c": 2}, "d": 4},
        "e": 5,
    }
    assert first == {"a": {"b": {"c": 1}}}


def test_nearest():
    assert nearest("gaite", ["gait", "pronation"]) == "did you mean 'gait'? "
    assert nearest("xyz", ["gait", "pronation"]) == ""


class Listed(Settings):
    cuts: tuple[int, ...] = (2,)
    folder: Path = Path("~/here")


@pytest.mark.parametrize("tree", [{}, {"cuts": [1, 3], "folder": "/data"}])
def test_settings_come_back_from_their_plain_values(tree: dict[str, Any]) -> None:
    settings = build(Listed, tree)
    assert build(Listed, dump(settings)) == settings
    assert settings.cuts == tuple(tree.get("cuts", (2,)))


class SmallNet(Settings):
    name: Literal["small"] = "small"
    depth: Literal[1, 2] = Field(1, description="layers")
    dropout: float = Field(0.0, ge=0, lt=1)


class LargeNet(Settings):
    name: Literal["large"] = "large"
    depth: Literal[50, 101] = Field(50, description="layers")
    heads: int = 2


def net_of(section: Any) -> str:
    if isinstance(section, dict):
        return str(section.get("name", "small"))
    return str(section.name)


class NetConfig(Settings):
    net: Annotated[
        Annotated[SmallNet, Tag("small")] | Annotated[LargeNet, Tag("large")],
        Discriminator(net_of),
    ] = SmallNet()


def test_a_section_is_of_the_class_that_its_name_says():
    assert load(NetConfig, []).net == SmallNet()
    assert load(NetConfig, ["net.depth=2"]).net == SmallNet(depth=2)
    assert load(NetConfig, ["net.heads=4", "net.name=large"]).net == LargeNet(heads=4)
    config = load(NetConfig, ["net.name=large"])
    assert build(NetConfig, dump(config)) == config


def test_the_keys_of_all_classes_of_a_section_come_once():
    fields = dict(leaves(NetConfig))
    assert list(fields) == ["net.name", "net.depth", "net.dropout", "net.heads"]
    assert [accepts(fields["net.depth"], depth) for depth in (1, 101)] == [None, None]
    assert accepts(fields["net.depth"], 3) is not None
    assert accepts(fields["net.dropout"], 1.0) == "input should be less than 1"
    assert (fields["net.depth"].description, fields["net.heads"].description) == (
        "layers",
        " (large)",
    )
    assert list(dict(leaves(NetConfig, given={"net": {"name": "large"}}))) == [
        "net.name",
        "net.depth",
        "net.heads",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["net.name=huge"], "net.name: got 'huge'; expected one of small, large"),
        (
            ["net.name=large", "net.dropout=0.5"],
            "unknown key 'net.dropout': valid keys: net.name, net.depth, net.heads",
        ),
        (["net.dept=2"], "unknown key 'net.dept': did you mean 'net.depth'?"),
        (["net.name=large", "net.depth=2"], "net.depth: got 2; input should be 50 or 101"),
    ],
)
def test_faults_of_a_chosen_section_name_the_key_without_the_class(words, told):
    with pytest.raises(SettingsError) as caught:
        load(NetConfig, words)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optim: {warmup: 1}\nname: a\noptim: {name: b}\n", "'optim' is in line 1 and in line 3"),
        ("optim:\n  warmup: 1\n  nesterov: true\n  warmup: 2\n", "'warmup' is in line 2 and"),
        ("optim: {warmup: 1, warmup: 1}\n", "'warmup' is in line 1 and in line 1"),
        ("space:\n  a.b: {low: 1, high: 2}\n  'a.b': {choices: [1]}\n", "'a.b' is in line 2 and"),
        ("optim.warmup: 2\n", "optim.warmup: a dotted key is for the command line; write optim: "
         "{warmup: ...}"),
    ],
)  # fmt: skip
def test_a_file_that_would_lose_a_key_is_refused(tmp_path, text, message):
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    assert message in faults_of("--config", str(path))


@pytest.mark.parametrize(
    ("words", "space"),
    [
        ([], {"a.x": {"low": 1, "high": 9, "log": True}, "b": {"choices": [1, 2]}}),
        (["space.a.x={choices: [5]}"], {"a.x": {"choices": [5]}, "b": {"choices": [1, 2]}}),
        (["space.a.x=null"], {"b": {"choices": [1, 2]}}),
        (["space.c=null"], {"a.x": {"low": 1, "high": 9, "log": True}, "b": {"choices": [1, 2]},
                            "c": None}),
        (["--config", "later.yaml"], {"a.x": {"low": 2, "high": 3}, "c": {"choices": [0]}}),
    ],
)  # fmt: skip
def test_an_entry_is_replaced_as_a_whole_and_null_drops_it(tmp_path, monkeypatch, words, space):
    class Root(JobConfig):
        entry_sections = ("space",)

    monkeypatch.chdir(tmp_path)
    first = "space:\n  a.x: {low: 1, high: 9, log: true}\n  b: {choices: [1, 2]}\n"
    later = "space:\n  b: null\n  a.x: {low: 2, high: 3}\n  c: {choices: [0]}\n"
    for name, text in (("first.yaml", first), ("later.yaml", later)):
        Path(name).write_text(text, encoding="utf-8")
    tree = read_tree(Root, ["--config", "first.yaml", *words])
    assert tree == {"space": space}


@pytest.mark.parametrize(
    ("key", "suggested"),
    [
        ("optim.lr", "optim.learning_rate"),
        ("space.lambda", "optim.weight_decay"),
        ("lambda", "optim.weight_decay"),
        ("snippet.frames", "snippet.num_frames"),
        ("optm.epochs", "optim.epochs"),
        ("model.epochs", "optim.epochs"),
        ("outputt", "output"),
    ],
)
def test_the_name_of_a_paper_or_of_another_library_is_understood(key, suggested):
    known = ["optim.schedule", "decode.epochs_", "optim.epochs", "optim.learning_rate", "output",
             "optim.weight_decay", "snippet.num_frames"]  # fmt: skip
    assert nearest(key, known) == f"did you mean '{suggested}'? "
    assert nearest("optim.foo", known) == ""


def test_settings_of_a_caller_may_be_dotted_or_nested_and_stay_as_they_are():
    class Root(JobConfig):
        entry_sections = ("space",)

    given = {"a": {"b": 1}, "a.c": 2, "a.d.e": 3, "space": {"x.y": {"low": 1}}}
    tree = lay(Root, {}, given)
    assert tree == {"a": {"b": 1, "c": 2, "d": {"e": 3}}, "space": {"x.y": {"low": 1}}}
    lay(Root, tree, {"space.x.y": {"choices": [1]}, "a": {"b": 5}})
    assert (tree["space"], tree["a"]["b"]) == ({"x.y": {"choices": [1]}}, 5)
    assert given == {"a": {"b": 1}, "a.c": 2, "a.d.e": 3, "space": {"x.y": {"low": 1}}}

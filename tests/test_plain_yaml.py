"""YAML from elsewhere: what is read, and what is refused before memory is spent."""

import pytest
import yaml

from pdray.plain_yaml import Refused, compose, load

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
)


def test_plain_values_and_few_aliases_are_read():
    assert load("a: &one [1, two]\nb: *one\n") == {"a": [1, "two"], "b": [1, "two"]}
    assert load("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n")["y"] == {"a": 1, "b": 3}
    assert load("") is None
    assert compose("") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, r"it stands for more than 100,000 values, because aliases \(\*name\) repeat"),
        ("a: &a [*a]\n", "it stands for more than 100,000 values"),
        ("a: " + "[" * 5000, "its lists and sections are nested too deeply"),
        ("# " + "x" * (1 << 20), "it is larger than 1 MiB"),
        ("a: 1\na: 2\n", "'a' is in line 1 and in line 2; join the two"),
    ],
)
def test_what_would_take_memory_or_means_two_things_is_refused(text, reason):
    with pytest.raises(Refused, match=reason):
        load(text)


@pytest.mark.parametrize(
    "text",
    ["a: 2024-13-01\n", f"a: {'9' * 5000}\n", "a: !!bool x", "a: !!map [1]", "a: !!timestamp x"],
)
def test_a_value_that_python_cannot_hold_is_no_yaml(text):
    with pytest.raises(yaml.YAMLError):
        load(text)

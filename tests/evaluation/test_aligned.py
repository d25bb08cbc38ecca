from pdray.evaluation.aligned import aligned


def test_columns_have_one_width_and_ends_are_stripped() -> None:
    assert aligned([["a", "bb", "c"], ["ddd", "e", ""]]) == ["a    bb  c", "ddd  e"]

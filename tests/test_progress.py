import io

from synthworth import progress as module


def test_items_pass_through_and_bars_go_to_log_and_terminal(monkeypatch, capsys):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LINES", 0.0)
    monkeypatch.setattr(module, "terminal", terminal := io.StringIO())
    assert list(module.progress([1, 2, 3], "training", total=10, initial=7)) == [1, 2, 3]
    lines = terminal.getvalue().splitlines()
    assert [line.split("|")[2].split()[0] for line in lines] == ["8/10", "9/10", "10/10"]
    assert capsys.readouterr().err == terminal.getvalue()


def test_short_loops_say_nothing(capsys):
    list(module.progress(range(5), "training"))
    assert capsys.readouterr().err == ""

"""What the report's page says of copies: their counts, what those are worth, and who chose the checkpoints."""

import pandas as pd
import pytest
from test_audit_tables import audits, flags
from test_config import DEFAULT

from synthworth.config import compose
from synthworth.memorization.summaries import flag_counts
from synthworth.report import write_report

CHOSEN_BY_JUDGES = "chose the checkpoints, and then judge them here"


@pytest.fixture
def page(tmp_path):
    """The page of a part of a study: its text from audits, flags and changes of the config."""

    def page(audits, flags=None, tables=("memorization",), **changes):
        fragments = [tmp_path / f"{name}.html" for name in tables]
        for fragment in fragments:
            fragment.write_text("<table></table>")
        files = {"audits": audits, "copies": flags}
        for name, frame in files.items():
            if frame is not None:
                frame.to_csv(tmp_path / f"{name}.csv", index=False)
        shown = {name: None if frame is None else str(tmp_path / f"{name}.csv") for name, frame in files.items()}
        shown |= dict.fromkeys(["verdict", "tests", "duplicates", "detection", "commit"])
        html = tmp_path / "index.html"
        config = compose(DEFAULT, changes)
        write_report(
            str(html),
            tables=[str(path) for path in fragments],
            figures=[],
            config=config,
            classes=["a"],
            part="1",
            **shown,
        )
        return html.read_text()

    return page


def test_flags_are_told_with_what_chance_gives_and_the_recall_of_planted_copies(page):
    told = page(audits(), flags(), memorization={"filter_copies": "drop"})
    found = flag_counts(flags(), audits())
    assert "flagged as copies, and were kept from the classifiers" in told
    assert (
        "<li>0: 5 of 40, no more than chance may give: of as many real images of new patients 3.2 on average at most, "
        f"and in 95 of 100 studies no more than {found.loc['0', 'innocent_high']}. Of planted copies 72 % [30, 90] "
        "were flagged." in told
    )
    assert "<li>ddpm: 3 of 4, more than chance gives: of as many real images of new patients 0.4 on average" in told
    assert "and stay in the training data" in page(audits(), flags(), memorization={"filter_copies": "flag"})
    assert "Of all synthetic images" not in page(audits())


def test_copies_raise_an_alarm(page):
    found = audits().assign(p_adjusted=0.01)
    text = "Alarm.</strong> 0, a: 50 % of its images are flagged as copies of training images"
    assert page(found).count("Alarm.") == 3
    assert text in page(found)
    assert "Alarm." not in page(audits())
    assert "Alarm." not in page(found.assign(selected=False))


def test_flags_without_the_audit_are_counted_and_said_to_say_nothing(page):
    told = page(None, flags())
    assert "<li>0: 5 of 40.</li>" in told
    assert "<li>ddpm: 3 of 4.</li>" in told
    missing = "the audit (scores/memorization_summary.csv) is missing"
    assert missing in told
    assert '<a href="#copies">' in told
    assert missing not in page(audits(), flags())


def test_flags_are_shown_where_there_is_no_table_of_the_audit(page):
    told = page(None, flags(), tables=[])
    assert "<li>0: 5 of 40.</li>" in told
    assert '<a href="#copies">' in told
    assert 'id="copies"' not in page(None, tables=[])


def test_it_is_told_where_the_images_that_judge_have_chosen_the_checkpoint(page):
    assert CHOSEN_BY_JUDGES in page(audits())
    # With one checkpoint there was no choice.
    assert CHOSEN_BY_JUDGES not in page(pd.DataFrame(audits().query("selected")))
    for selection in ("fid", "last"):
        assert CHOSEN_BY_JUDGES not in page(audits(), fidelity={"selection": selection})

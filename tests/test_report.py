"""What the report's page says of copies: their counts, what those are worth, and who chose the checkpoints."""

import pandas as pd
import pytest
from test_audit_tables import audits, flags
from test_config import DEFAULT

from synthworth.config import compose
from synthworth.report import write_report

CHOSEN_BY_JUDGES = "chose the checkpoints, and then judge them here"


@pytest.fixture
def page(tmp_path):
    """The page of a part of a study: its text from audits, flags and changes of the config."""

    def page(audits, flags=None, **changes):
        table = tmp_path / "memorization.html"
        table.write_text("<table></table>")
        files = {"audits": audits, "copies": flags}
        for name, frame in files.items():
            if frame is not None:
                frame.to_csv(tmp_path / f"{name}.csv", index=False)
        shown = {name: None if frame is None else str(tmp_path / f"{name}.csv") for name, frame in files.items()}
        shown |= dict.fromkeys(["verdict", "tests", "duplicates", "detection", "commit"])
        html = tmp_path / "index.html"
        config = compose(DEFAULT, changes)
        write_report(str(html), tables=[str(table)], figures=[], config=config, classes=["a"], part="fold 1", **shown)
        return html.read_text()

    return page


def test_flags_are_told_with_false_alarms_and_the_recall_of_planted_copies(page):
    told = page(audits(), flags(), memorization={"filter_copies": "drop"})
    assert "flagged as copies, and were kept from the classifiers" in told
    assert (
        "<li>0: 5 of 40; so many innocent ones would give 3.5 [0.6, 11.0]; of planted copies 72 % [30, 90] were flagged"
        in told
    )
    assert "<li>ddpm: 1 of 4; so many innocent ones would give 1.0 [0.0, 2.4]" in told
    assert "and stay in the training data" in page(audits(), flags(), memorization={"filter_copies": "flag"})
    assert "Of all synthetic images" not in page(audits())


def test_it_is_told_where_the_images_that_judge_have_chosen_the_checkpoint(page):
    assert CHOSEN_BY_JUDGES in page(audits())
    # With one checkpoint there was no choice.
    assert CHOSEN_BY_JUDGES not in page(pd.DataFrame(audits().query("selected")))
    for selection in ("fid", "last"):
        assert CHOSEN_BY_JUDGES not in page(audits(), fidelity={"selection": selection})

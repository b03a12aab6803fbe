"""What a reader takes along of a figure or a table."""

import pandas as pd
from streamlit.testing.v1 import AppTest

from workbench.app import charts


def script():
    import pandas as pd

    from workbench.app.charts import offer_table

    table = pd.DataFrame({"row": ["A"], "mean": [1.5]})
    offer_table(table, "some", "key", "Of 3 runs. Made by `table 1`.")
    offer_table(table, "other", "another", "Words.", lambda caption: f"own: {caption}")


def test_a_table_as_latex_says_of_what_it_is(monkeypatch):
    made = {}
    monkeypatch.setattr(
        charts.st,
        "download_button",
        lambda label, content, file, *_, **__: made.update({file: content()}),
    )
    assert not AppTest.from_function(script).run().exception
    text = made["some.tex"].decode()
    assert r"\caption{Of 3 runs. Made by \texttt{table 1}.}" in text
    assert made["other.tex"] == b"own: Words."
    assert pd.read_csv(pd.io.common.BytesIO(made["some.csv"])).to_dict("list") == {
        "row": ["A"],
        "mean": [1.5],
    }

"""The report: collected on other pages, taken along as Markdown and as HTML."""

import pandas as pd
import plotly.graph_objects as go
from streamlit.testing.v1 import AppTest

from workbench.app.report import Item, markdown, page_of
from workbench.app.serving import SCRIPT

ITEM = Item(
    "A | B",
    "**B** earns more: +3 [1, 5]",
    {"returns": go.Figure(go.Scatter(y=[1, 2]))},
    pd.DataFrame({"method": ["a|b"], "return": [1.25]}),
    ("python -m workbench tune toy 5",),
)


def test_markdown_holds_words_numbers_commands_and_references():
    text = markdown("Mine", "What I asked.", [ITEM])
    assert text.startswith("# Mine\n\nWhat I asked.\n\n## A | B\n")
    assert "| method | return |\n| --- | --- |\n| a\\|b | 1.25 |" in text
    assert "```sh\npython -m workbench tune toy 5\n```" in text
    assert "@article{hu2024prompt" in text


def test_html_is_one_file_with_figures_and_nobodys_tags():
    text = page_of("<b>Mine</b>", "<script>alert(1)</script>", [ITEM, ITEM])
    assert "<script>alert(1)" not in text
    assert "<title>&lt;b&gt;Mine" in text
    assert text.count("<section") == 2
    assert text.count("Plotly.newPlot(") >= 2
    assert "downloadImage" in text
    assert "cdn.plot.ly" not in text.replace("https://cdn.plot.ly/un", "")  # maps, in the library


def test_what_explore_shows_goes_into_the_report_and_out_again():
    app = AppTest.from_file(str(SCRIPT), default_timeout=120).run()
    assert not app.exception
    app.button(key="explore-report").click().run()
    assert app.button(key="explore-report").disabled, "it is there"
    (item,) = app.session_state["report"]
    assert "earns more than" in item.words
    page = AppTest.from_function(report_page, default_timeout=60)
    page.session_state["report"] = [item]
    page.run()
    assert not page.exception
    assert any(item.words == m.value for m in page.markdown)
    page.button(key="report-remove-0").click().run()
    assert page.session_state["report"] == []
    assert any("Nothing yet" in i.value for i in page.info)


def report_page():
    from workbench.app import report

    report.page()

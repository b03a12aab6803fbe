"""The script that Streamlit runs for every visitor and click: it only navigates.

Not to be imported; ``serving.SCRIPT`` is its path.
"""

import functools

import streamlit as st
import torch

from workbench.app import (
    ablate,
    compare,
    data,
    explore,
    explore_present,
    glossary,
    manners,
    report,
    runs,
)
from workbench.app.jobs import show_at_work
from workbench.app.links import keep_apart
from workbench.app.page import ICON, plain
from workbench.tasks import plugins

torch.set_num_threads(1)  # of this thread: each run of the script may be in another one

st.set_page_config(
    page_title="Prompt Diffuser Workbench",
    page_icon=ICON,
    layout="wide",
    initial_sidebar_state="expanded",
)
for failure in plugins.failures():
    st.warning(plain(failure), icon=":material/extension_off:")
explore_page = st.Page(explore.page, title="Explore", url_path="explore", default=True)
runs_page = st.Page(functools.partial(runs.page, explore_page), title="Runs", url_path="runs")
pages = [
    explore_page,
    st.Page(functools.partial(ablate.page, runs_page), title="Ablate", url_path="ablate"),
    st.Page(functools.partial(compare.page, runs_page), title="Compare", url_path="compare"),
    runs_page,
    st.Page(functools.partial(data.page, explore_page), title="Data", url_path="data"),
    st.Page(report.page, title="Report", url_path="report"),
    st.Page(glossary.page, title="Glossary", url_path="glossary"),
]
# At the top, so that the sidebar stays for controls.
chosen = st.navigation(pages, position="top")
keep_apart(chosen.title)
show_at_work()
chosen.run()
if not explore_present.presenting():
    manners.sit()

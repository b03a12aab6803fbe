"""The script that Streamlit runs for every visitor and click: it only navigates.

Not to be imported; ``serving.SCRIPT`` is its path.
"""

import base64
import functools
import io

import numpy as np
import streamlit as st
import torch
from PIL import Image

from workbench.pages import ablate, compare, data, explore, runs

torch.set_num_threads(1)  # of this thread: each run of the script may be in another one

# A five by five heat map, noise on the left and order on the right: the prompt as an icon.
_order = np.linspace(0.0, 1.0, 5)[None, :]
_noise = np.random.default_rng(3).uniform(size=(5, 5))
_cells = (1 - _order) * _noise + _order * np.linspace(0.0, 1.0, 5)[:, None]
_colours = np.stack([230 - 230 * _cells, 159 - 45 * _cells, 178 * _cells], -1)
_file = io.BytesIO()
Image.fromarray(np.kron(_colours, np.ones((12, 12, 1))).astype(np.uint8)).save(_file, "png")
# In the page itself: Streamlit keeps a picture only while a run of the script names it, so a
# browser that asks for it while the next run begins is told that it does not exist.
ICON = f"data:image/png;base64,{base64.b64encode(_file.getvalue()).decode()}"

st.set_page_config(
    page_title="Prompt Diffuser Workbench",
    page_icon=ICON,
    layout="wide",
    initial_sidebar_state="expanded",
)
explore_page = st.Page(explore.page, title="Explore", url_path="explore", default=True)
runs_page = st.Page(functools.partial(runs.page, explore_page), title="Runs", url_path="runs")
pages = [
    explore_page,
    st.Page(functools.partial(ablate.page, runs_page), title="Ablate", url_path="ablate"),
    st.Page(functools.partial(compare.page, runs_page), title="Compare", url_path="compare"),
    runs_page,
    st.Page(functools.partial(data.page, explore_page), title="Data", url_path="data"),
]
# At the top, so that the sidebar stays for controls.
st.navigation(pages, position="top").run()

"""Prompt Diffuser Workbench: `streamlit run app.py`. The server; its pages are in `workbench/app`.

It answers only when everything is loaded that a first visitor would otherwise wait for.
"""

import streamlit as st

from workbench.app import serving

app = st.App(
    serving.SCRIPT, lifespan=serving.prepared, routes=serving.ROUTES, middleware=serving.MIDDLEWARE
)

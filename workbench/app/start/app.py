"""The server of the pages: `streamlit run app.py`, or `workbench app` from anywhere.

It answers only when everything is loaded that a first visitor would otherwise wait for.

Streamlit finds `app` by reading this file, so it has to be made here, and settings for it lie in
`.streamlit` beside it: the clone's root and `workbench/app/start` hold the same two files.
"""

import streamlit as st

from workbench.app import serving

app = st.App(
    serving.SCRIPT, lifespan=serving.prepared, routes=serving.ROUTES, middleware=serving.MIDDLEWARE
)

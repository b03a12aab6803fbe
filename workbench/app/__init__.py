"""Streamlit pages: widgets in, figures out."""

"""Tools for those who work on the workbench itself; nothing that ships needs them."""

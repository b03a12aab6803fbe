"""What to cite: three entries that BibTeX reads."""

import re

from workbench.paper.citations import bibtex


def test_method_model_and_software_have_an_entry_each():
    text = bibtex()
    assert re.findall(r"^@(\w+)\{(\w+),$", text, re.M) == [
        ("article", "hu2024prompt"),
        ("inproceedings", "xu2022prompting"),
        ("software", "prompt_diffuser_workbench"),
    ]
    assert text.count("{") == text.count("}")
    assert "arXiv:2411.01168" in text
    assert re.search(r"version = \{\d+\.\d+", text)

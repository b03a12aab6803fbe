"""How to cite the method, the frozen model and this software, as BibTeX."""

from __future__ import annotations

import importlib.metadata

PAPERS = """@article{hu2024prompt,
  title   = {Prompt Tuning with Diffusion for Few-Shot Pre-trained Policy Generalization},
  author  = {Hu, Shengchao and Zhao, Wanru and Lin, Weixiong and Shen, Li and Zhang, Ya and
             Tao, Dacheng},
  journal = {arXiv preprint arXiv:2411.01168},
  year    = {2024},
}

@inproceedings{xu2022prompting,
  title     = {Prompting Decision Transformer for Few-Shot Policy Generalization},
  author    = {Xu, Mengdi and Shen, Yikang and Zhang, Shun and Lu, Yuchen and Zhao, Ding and
               Tenenbaum, Joshua B. and Gan, Chuang},
  booktitle = {International Conference on Machine Learning},
  year      = {2022},
  note      = {arXiv:2206.13499},
}
"""
"""The method, Prompt Diffuser, and the model whose prompt it makes, Prompt-DT."""


def bibtex() -> str:
    """Return entries of the two papers and of this software, with its version."""
    version = importlib.metadata.version("prompt-diffuser-workbench")
    return (
        f"{PAPERS}\n@software{{prompt_diffuser_workbench,\n"
        "  title   = {Prompt Diffuser Workbench},\n"
        "  author  = {{The authors of the Prompt Diffuser Workbench}},\n"
        f"  version = {{{version}}},\n"
        "  year    = {2026},\n}\n"
    )

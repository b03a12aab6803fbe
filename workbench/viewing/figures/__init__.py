"""Values → Plotly figures; neither pages nor files are known here.

One module per subject: ``runs`` (curves and losses), ``several_runs``, ``gradients`` (what the two
losses do to each other), ``pretraining``, ``data``, ``tables``, ``claims``, ``ablation``,
``factorial``, ``lengths``, ``curves``; ``parts`` they share. ``colours`` gives each thing the same
look in all of them: begin there.
"""

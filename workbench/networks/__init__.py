"""What is learned: the transformer, the diffuser, what stands in its place, and their files.

How they are trained is in ``workbench.pretraining``, how they are tuned in ``workbench.methods``.
Begin with ``prompt_dt``, then ``diffusion``: with these two the paper's method can be followed.
``frozen_model`` is the contract of what can be prompted, ``models`` lists all: besides Prompt-DT
``multi_game_dt``, ``harmo_dt`` and ``gato``. Other generators: ``informed_diffusion``, ``vae_gan``;
HDT's ``hyper_network``, the ``critic`` of actions. ``adamw`` tunes any, ``checkpoint`` keeps it in
a file, ``variants`` names other sizes; ``fast`` holds doubles.
"""

"""What is learned: the transformer, the diffuser, what stands in its place, and their files.

How they are trained is in ``workbench.pretraining``, how they are tuned in ``workbench.methods``.
Begin with ``prompt_dt``, then ``diffusion``: with these two the paper's method can be followed.
``frozen_model`` is the contract of what can be prompted, ``models`` lists all: besides Prompt-DT
``multi_game_dt``, ``harmo_dt`` and ``gato``. ``informed_diffusion`` and ``vae_gan`` are other
generators, ``hyper_network`` is HDT's, ``critic`` says what actions are worth.
``checkpoint`` keeps any of them in a file, ``variants`` names other sizes; ``fast`` holds doubles.
"""

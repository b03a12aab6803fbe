"""The paper's tables and claims, each beside what our runs say.

Nothing is drawn or printed here. Begin with ``tables``, what was published and which runs each cell
needs; ``measured`` puts a table together, by the statistics of ``scores``. ``claims`` judges,
``rankings`` orders rows. ``ablation`` (with ``answers``), ``phases``, ``factorial``, ``any_data``,
``model_size``, ``lengths``, ``curves``, ``held_out``, ``pretraining_seeds`` are others;
``settings_search``: where settings come from. ``numbers`` writes them. ``listed`` is what verbs
print without torch, ``listing`` makes it; ``latex``, ``citations``.
"""

"""Other people's demonstrations in, ours out; nothing in a file is executed.

What comes out are trajectories of ``workbench.data``, and a report that page and command line show.
Begin with ``received``, one file from beginning to end. ``file_formats`` tells the formats
apart, with ``other_forms``: ``pickle_reader``, ``prompt_dt_release``, ``minari_format``,
``flat_arrays``; ``separate_process`` runs ``hdf5_reader`` and ``parquet_reader``. ``raw_episodes``
says what all satisfy, ``task_match`` with ``reward_look`` which task it was, ``report`` the rest.
"""

"""Other people's demonstrations in, ours out; nothing in a file is executed.

What comes out are trajectories of ``workbench.data``, and a report that page and command line show.
Begin with ``received``, one file from beginning to end. ``file_formats`` tells the formats
apart: ``pickle_reader`` with ``prompt_dt_release``, ``minari_format`` with ``hdf5_reader``.
``raw_episodes`` says what all must satisfy, ``task_match`` which task it was, ``report`` what is
said of it.
"""

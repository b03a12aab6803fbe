"""What the notebooks use, so that a lesson is text and a few lines.

The lessons themselves are in the folder notebooks/ beside the package.
Begin with ``notebook``, what every one begins with, then ``toy_diffusion``, denoising in the
plane, with ``toy_figures``. ``figures`` are the lessons' drawings, ``exercises`` checks answers by
``answers``. ``panels`` and ``live_panels`` are controls beside figures; ``own_task`` makes the
networks of a reader's own task, ``reading_ablations`` reads those of lesson 5; ``execution`` runs
all lessons, and ``sheets`` makes slides and answers of them.
"""

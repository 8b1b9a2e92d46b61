"""How data get onto this machine: one way, each step a module with one entrance that calls only what stands left of it.

::

    needs ──────▶ here ──────▶ plan ───────▶ bring ─────────────▶ check ───────▶ open
    Needs         here()       plan()        bring()              check()        not in this room:
    what a task   what of it   what to       fetch: one file;     every hash,    ltbench.data.formats,
    consists of   lies here    bring: Plan   put: one archive     every image    ltbench.tasks.registry

* Words: ``sources`` (one file: address, sha256, licence), ``archives`` (the official archives of each data set).
* Places: ``notes`` (where what was brought lies, and what is noted beside it), ``mirror`` (``LTBENCH_MIRROR``).
* Tools: ``download``, ``unpack``, ``hashes``, ``disk``; none of them knows what is fetched.

``ltbench.tasks.needs`` says what a task needs. A :class:`~ltbench.data.getting.plan.Plan` is a value: it can be printed
without anything being done. ``bundle`` walks the same way into a mirror folder.
"""

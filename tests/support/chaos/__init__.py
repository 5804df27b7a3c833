"""Chaos: a whole installation under load and faults, then every stored event is looked for in every export.

`plan` says which faults when, from a seed alone; `stack` is the processes, `traffic` the load, `faults` carries the
plan out, `harvest` reads what became of it and `verdict` judges that. `python -m chaos` runs it all (`make chaos`).
"""

"""Event to row: column types, Jsonnet templates, CSV. Pure, but for the child processes in `children` and `child`.

Knows nothing of Kafka, HTTP or Keboola. `segments` and `csv` import neither pyarrow nor an engine, so that the
processes which only cut or forward rows stay small.
"""

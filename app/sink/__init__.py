"""Rows to tables: a fold over envelopes, windows, staged slices, imports, and the ledger that makes them exactly once.

What is decided lives in `fold` and `importing`, which know no Kafka, no Storage and no clock; the rest carries it out.
"""

"""The words of the domain: receivers, exports, columns, conditions, tasks, rows, batches and errors.

Everything here is pure values: no Kafka, no HTTP, no clock. All other packages speak in these words.
"""

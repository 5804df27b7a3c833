"""Data Streams: events from HTTP and Kafka into Keboola tables, exactly once."""

__version__ = "0.1.0"

"""HTTP in: the lane that takes events into Kafka, and the process that serves it beside the Buffer API."""

"""All that knows Kafka: names and plan of topics, producer, transactional writer, view, Avro codec, Faust transport."""

package io.confluent.kafka.schemaregistry.client;

/** Stands in where the worker has no schema registry client: clescot's task asks for the class and does not use it. */
public interface SchemaRegistryClient {}

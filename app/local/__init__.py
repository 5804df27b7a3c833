"""The whole system on one machine: Kafka, the Storage emulator and the four processes, for laptops and tests."""

package datastreams.connect;

/**
 * How large batches get.
 *
 * @param maxRecords records of one request
 * @param maxBytes bytes of its body before compression; a larger record is a batch of its own
 * @param lingerMs how long a batch that is not full waits for more
 */
record Batching(int maxRecords, int maxBytes, long lingerMs) {}

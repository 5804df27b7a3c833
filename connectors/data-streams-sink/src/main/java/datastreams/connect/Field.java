package datastreams.connect;

/** One header of a request. */
record Field(String name, String value) {}

package datastreams.connect;

import java.util.List;
import org.apache.kafka.connect.sink.SinkRecord;

/**
 * A record that waits to be sent.
 *
 * @param record as the worker gave it; its original topic, partition and offset name it
 * @param body what is sent of it: JSON on one line, or any bytes where the format is raw
 * @param headers the headers that its request has because of it
 * @param arrivedMs when the task got it, by the task's clock
 */
record Event(SinkRecord record, byte[] body, List<Field> headers, long arrivedMs) {
    /** Its place in its partition, whatever transformations made of topic and partition. */
    long offset() {
        return record.originalKafkaOffset();
    }
}

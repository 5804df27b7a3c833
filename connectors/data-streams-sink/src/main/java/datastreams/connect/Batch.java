package datastreams.connect;

import java.util.List;
import org.apache.kafka.common.TopicPartition;

/** Events of one partition that go in one request, in the order of their offsets; never empty. */
record Batch(TopicPartition partition, List<Event> events) {
    int size() {
        return events.size();
    }

    List<Field> headers() {
        return events.get(0).headers();
    }

    /**
     * The Idempotency-Key: every record's place, as runs of offsets, so that the gateway makes the same event id of a
     * record however it is batched. Such as `kafka:orders-sink:orders/3/1000-1204,1206`.
     */
    String places(String scope) {
        StringBuilder text = new StringBuilder("kafka:").append(scope).append(':');
        text.append(partition.topic()).append('/').append(partition.partition());
        char before = '/';
        int n = 0;
        while (n < events.size()) {
            long first = events.get(n).offset();
            long last = first;
            while (++n < events.size() && events.get(n).offset() == last + 1) {
                last++;
            }
            text.append(before).append(first);
            if (last > first) {
                text.append('-').append(last);
            }
            before = ',';
        }
        return text.toString();
    }
}

package datastreams.connect;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Headers;
import org.apache.kafka.connect.sink.SinkRecord;

/** Records and events as tests need them. */
final class Records {
    static final String TOPIC = "orders";

    private Records() {}

    static SinkRecord record(int partition, long offset, Object value) {
        return record(partition, offset, value, new ConnectHeaders());
    }

    static SinkRecord record(int partition, long offset, Object value, Headers headers) {
        return new SinkRecord(TOPIC, partition, null, null, null, value, offset, 0L, TimestampType.CREATE_TIME, headers);
    }

    /** Its value is a JSON text. */
    static SinkRecord numbered(int partition, long offset) {
        return record(partition, offset, "{\"n\":" + offset + "}");
    }

    static Headers headers(String... namesAndValues) {
        ConnectHeaders headers = new ConnectHeaders();
        for (int n = 0; n < namesAndValues.length; n += 2) {
            headers.add(namesAndValues[n], namesAndValues[n + 1], Schema.STRING_SCHEMA);
        }
        return headers;
    }

    static Event event(long offset, String body, long arrivedMs, Field... fields) {
        byte[] bytes = body.getBytes(StandardCharsets.UTF_8);
        return new Event(record(0, offset, body), bytes, List.of(fields), arrivedMs);
    }
}

package datastreams.connect;

import static datastreams.connect.Records.event;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.stream.LongStream;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.Test;

class BatchTest {
    @Test
    void placesAreRunsOfOffsets() {
        assertEquals("kafka:sink:orders/3/1000-1002,1004,1006-1007", places(1000, 1001, 1002, 1004, 1006, 1007));
    }

    @Test
    void placeOfOneRecordIsItsOffset() {
        assertEquals("kafka:sink:orders/3/5", places(5));
    }

    @Test
    void arrayHasTheBytesOfItsEvents() {
        assertEquals("[{\"a\": 1},2]", joined(BodyFormat.JSON_ARRAY, "{\"a\": 1}", "2"));
    }

    @Test
    void everyLineOfNdjsonEnds() {
        assertEquals("{\"a\": 1}\n2\n", joined(BodyFormat.NDJSON, "{\"a\": 1}", "2"));
    }

    @Test
    void rawBodyIsTheRecordsOwn() {
        assertEquals("any thing\n", joined(BodyFormat.RAW, "any thing\n"));
    }

    private static String places(long... offsets) {
        List<Event> events = LongStream.of(offsets).mapToObj(offset -> event(offset, "1", 0)).toList();
        return new Batch(new TopicPartition("orders", 3), events).places("sink");
    }

    private static String joined(BodyFormat format, String... bodies) {
        List<Event> events = java.util.stream.Stream.of(bodies).map(body -> event(0, body, 0)).toList();
        return new String(format.join(events), StandardCharsets.UTF_8);
    }
}

package datastreams.connect;

import static datastreams.connect.Records.headers;
import static datastreams.connect.Records.numbered;
import static datastreams.connect.Records.record;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.connect.sink.SinkRecord;
import org.junit.jupiter.api.Test;

/** What the task sends: bodies, places, headers, and how records are batched. */
class TaskRequestsTest extends TaskStage {
    @Test
    void recordsAreOneArrayWithTheirPlaces() {
        DataStreamsSinkTask task = task("name", "orders-sink");

        task.put(List.of(numbered(0, 5), numbered(0, 6), numbered(0, 8)));

        assertEquals(List.of(List.of(5L, 6L, 8L)), gateway.batches());
        StandInGateway.Request request = gateway.requests.get(0);
        assertEquals("[{\"n\":5},{\"n\":6},{\"n\":8}]", request.body());
        assertEquals("kafka:orders-sink:orders/0/5-6,8", request.header("Idempotency-Key"));
        assertEquals("application/json", request.header("Content-Type"));
    }

    @Test
    void recordsOfDifferentPartitionsGoInDifferentRequests() {
        task().put(List.of(numbered(0, 1), numbered(1, 7), numbered(0, 2)));

        assertEquals(Set.of(List.of(1L, 2L), List.of(7L)), Set.copyOf(gateway.batches()));
    }

    @Test
    void placesAreThoseBeforeTransformations() {
        SinkRecord record = numbered(0, 5);
        SinkRecord routed = record.newRecord("elsewhere", 9, null, null, null, record.value(), 0L);

        task("idempotency.scope", "s").put(List.of(routed));

        assertEquals("kafka:s:orders/0/5", gateway.requests.get(0).header("Idempotency-Key"));
    }

    @Test
    void ndjsonHasOneValueALineThoughTheTextHadMore() {
        task("body.format", "ndjson").put(List.of(record(0, 1, "{\n\"n\":1}"), numbered(0, 2)));

        assertEquals("{ \"n\":1}\n{\"n\":2}\n", gateway.requests.get(0).body());
        assertEquals("application/x-ndjson", gateway.requests.get(0).header("Content-Type"));
    }

    @Test
    void rawRequestsHaveTheRecordAsItIs() {
        DataStreamsSinkTask task = task("body.format", "raw", "body.content.type", "text/csv");

        task.put(List.of(record(0, 1, "a,b\nc,d"), record(0, 2, "e".getBytes(StandardCharsets.UTF_8))));

        assertEquals(List.of("a,b\nc,d", "e"), gateway.requests.stream().map(StandInGateway.Request::body).toList());
        assertEquals("text/csv", gateway.requests.get(0).header("Content-Type"));
    }

    @Test
    void textsMayBeSentAsStrings() {
        task("body.text", "string").put(List.of(record(0, 1, "say \"hi\"\n")));

        assertEquals("[\"say \\\"hi\\\"\\n\"]", gateway.requests.get(0).body());
    }

    @Test
    void mapsAreJson() {
        task().put(List.of(record(0, 1, Map.of("n", 1))));

        assertEquals("[{\"n\":1}]", gateway.requests.get(0).body());
    }

    @Test
    void bodiesAreZippedWhenAsked() {
        task("body.compression", "gzip").put(List.of(numbered(0, 1)));

        assertEquals("[{\"n\":1}]", gateway.requests.get(0).body());
        assertEquals("gzip", gateway.requests.get(0).header("Content-Encoding"));
    }

    @Test
    void headersOfRecordAndSettingsAreHeadersOfTheRequest() {
        DataStreamsSinkTask task = task("http.headers", "X-Source: connect", "http.authorization", "Bearer b",
                "headers.exclude", "trace*");

        task.put(List.of(record(0, 1, "{\"n\":1}", headers("tenant", "1", "tenant", "2", "trace-id", "3", "Authorization", "evil"))));

        StandInGateway.Request request = gateway.requests.get(0);
        assertEquals(List.of("1", "2"), request.headers().get("tenant"));
        assertEquals(List.of("connect"), request.headers().get("X-Source"));
        assertEquals(List.of("Bearer b"), request.headers().get("Authorization"));
        assertNull(request.header("trace-id"));
    }

    @Test
    void recordsWithOtherHeadersGoInAnotherRequest() {
        task().put(List.of(
                record(0, 1, "{\"n\":1}", headers("a", "1")), record(0, 2, "{\"n\":2}", headers("a", "1")),
                record(0, 3, "{\"n\":3}", headers("a", "2"))));

        assertEquals(List.of(List.of(1L, 2L), List.of(3L)), gateway.batches());
    }

    @Test
    void tombstonesAreSkippedAndCommitted() throws Exception {
        DataStreamsSinkTask task = task();

        task.put(List.of(numbered(0, 1), record(0, 2, null), numbered(0, 3), record(0, 4, null)));

        assertEquals(List.of(1L, 3L), gateway.requests.get(0).offsets());
        assertEquals(5, committed(task, P0, 5));
        assertEquals(2L, metric("TombstonesSkipped"));
    }

    @Test
    void batchLingersAndIsSentWithoutFurtherRecords() {
        DataStreamsSinkTask task = task("batch.linger.ms", "50");

        task.put(List.of(numbered(0, 1)));
        assertEquals(50, context.timeoutMs);
        assertEquals(List.of(), gateway.batches());
        assertEquals(1, committed(task, P0, 2));
        nowMs.addAndGet(49);
        task.put(List.of(numbered(0, 2)));
        assertEquals(1, context.timeoutMs);
        nowMs.addAndGet(1);
        task.put(List.of());

        assertEquals(List.of(List.of(1L, 2L)), gateway.batches());
        assertEquals(3, committed(task, P0, 3));
        assertEquals(Set.of(), context.paused);
    }

    @Test
    void batchesAreOfTheLargestSize() {
        task("batch.max.size", "2").put(List.of(numbered(0, 1), numbered(0, 2), numbered(0, 3)));

        assertEquals(List.of(List.of(1L, 2L), List.of(3L)), gateway.batches());
    }

    @Test
    void whatAnotherTaskHasTakenOverIsNotSent() {
        DataStreamsSinkTask task = task("batch.linger.ms", "50");
        task.put(List.of(numbered(0, 1), numbered(1, 1)));

        task.close(List.of(P0));
        nowMs.addAndGet(50);
        task.put(List.of());

        assertEquals(List.of("kafka:connect:orders/1/1"),
                gateway.requests.stream().map(one -> one.header("Idempotency-Key")).toList());
    }
}

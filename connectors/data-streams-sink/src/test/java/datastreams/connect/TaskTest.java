package datastreams.connect;

import static datastreams.connect.Records.TOPIC;
import static datastreams.connect.Records.headers;
import static datastreams.connect.Records.numbered;
import static datastreams.connect.Records.record;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import datastreams.connect.StandInGateway.Reply;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.LongStream;
import javax.management.ObjectName;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.sink.SinkRecord;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TaskTest {
    private static final TopicPartition P0 = new TopicPartition(TOPIC, 0);
    private static final TopicPartition P1 = new TopicPartition(TOPIC, 1);

    private final AtomicLong nowMs = new AtomicLong(1_000);
    private final FakeContext context = new FakeContext();
    private final List<DataStreamsSinkTask> started = new ArrayList<>();
    private StandInGateway gateway;

    @BeforeEach
    void open() throws IOException {
        gateway = new StandInGateway();
    }

    @AfterEach
    void close() {
        started.forEach(DataStreamsSinkTask::stop);
        gateway.close();
    }

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

    @ParameterizedTest
    @ValueSource(ints = {408, 425, 429, 500, 503, 507})
    void sameBatchIsSentAgain(int status) {
        DataStreamsSinkTask task = task();
        gateway.replies = request -> Reply.of(status);
        task.put(List.of(numbered(0, 1), numbered(0, 2)));
        assertEquals(1, committed(task, P0, 3));
        assertEquals(Set.of(P0, P1), context.paused);

        gateway.replies = request -> Reply.OK;
        nowMs.addAndGet(context.timeoutMs);
        task.put(List.of());

        assertEquals(List.of(List.of(1L, 2L), List.of(1L, 2L)), gateway.batches());
        assertEquals(3, committed(task, P0, 3));
        assertEquals(Set.of(), context.paused);
        assertEquals(List.of(), context.deadLetters);
    }

    @Test
    void retryAfterIsObeyedWheneverTheWorkerCalls() {
        DataStreamsSinkTask task = task();
        gateway.replies = request -> new Reply(429, Map.of("Retry-After", "7"), "");
        task.put(List.of(numbered(0, 1)));
        assertEquals(7_000, context.timeoutMs);

        nowMs.addAndGet(6_999); // the worker polls earlier when it commits
        task.put(List.of());
        assertEquals(1, gateway.requests.size());
        assertEquals(1, context.timeoutMs);
        nowMs.addAndGet(1);
        task.put(List.of());

        assertEquals(2, gateway.requests.size());
    }

    @Test
    void outageOfHoursIsWaitedFor() throws Exception {
        DataStreamsSinkTask task = task("retry.backoff.max.ms", "30000");
        gateway.replies = request -> Reply.of(503);
        task.put(List.of(numbered(0, 1)));
        for (int n = 0; n < 500; n++) {
            nowMs.addAndGet(context.timeoutMs);
            task.put(List.of());
            assertTrue(context.timeoutMs <= 37_500, () -> "a pause of " + context.timeoutMs);
        }
        assertTrue(metric("OutageMillis") > 3_600_000, () -> "an outage of hours");

        gateway.replies = request -> Reply.OK;
        nowMs.addAndGet(context.timeoutMs);
        task.put(List.of());

        assertEquals(2, committed(task, P0, 2));
        assertEquals(0, metric("OutageMillis"));
        assertEquals(1, metric("RecordsDelivered"));
    }

    @Test
    void gatewayThatIsNotThereIsWaitedFor() {
        DataStreamsSinkTask task = task();
        gateway.close();

        task.put(List.of(numbered(0, 1)));

        assertEquals(1, committed(task, P0, 2));
        assertTrue(context.timeoutMs > 0);
        assertEquals(List.of(), context.deadLetters);
    }

    @Test
    void answerThatDoesNotComeIsWaitedForNoLongerThanTheTimeout() {
        DataStreamsSinkTask task = task("http.request.timeout.ms", "200");
        gateway.replies = request -> Reply.NEVER;

        task.put(List.of(numbered(0, 1)));

        assertEquals(1, committed(task, P0, 2));
        assertEquals(Set.of(P0, P1), context.paused);
    }

    @Test
    void answerThatEndsHalfwayIsWaitedForNoLongerThanTheTimeout() {
        DataStreamsSinkTask task = task("http.request.timeout.ms", "200");
        gateway.replies = request -> Reply.HALF;

        task.put(List.of(numbered(0, 1)));

        assertEquals(1, committed(task, P0, 2));
    }

    @ParameterizedTest
    @ValueSource(ints = {400, 413, 415, 422})
    void onlyTheCulpritIsADeadLetter(int status) {
        DataStreamsSinkTask task = task();
        gateway.replies = request -> request.numbers().contains(11L) ? Reply.of(status) : Reply.OK;

        task.put(LongStream.range(0, 16).mapToObj(n -> numbered(0, n)).toList());

        assertEquals(List.of(11L), context.deadLetters.stream().map(SinkRecord::originalKafkaOffset).toList());
        assertEquals("The gateway refused the record: " + status + ": said " + status, context.reasons.get(0));
        assertEquals(16, committed(task, P0, 16));
        List<Long> accepted = gateway.batches().stream().filter(one -> !one.contains(11L)).flatMap(List::stream).toList();
        assertEquals(LongStream.range(0, 16).filter(n -> n != 11).boxed().toList(), accepted);
    }

    @Test
    void outageInTheMidstOfHalvingLosesNothing() {
        DataStreamsSinkTask task = task();
        AtomicInteger count = new AtomicInteger();
        gateway.replies = request -> count.incrementAndGet() % 2 == 0
                ? Reply.of(503)
                : request.numbers().contains(2L) ? Reply.of(413) : Reply.OK;
        task.put(LongStream.range(0, 4).mapToObj(n -> numbered(0, n)).toList());
        for (int n = 0; n < 20 && !context.paused.isEmpty(); n++) {
            nowMs.addAndGet(context.timeoutMs);
            task.put(List.of());
        }

        assertEquals(List.of(2L), context.deadLetters.stream().map(SinkRecord::originalKafkaOffset).toList());
        assertEquals(4, committed(task, P0, 4));
    }

    @Test
    void withoutADeadLetterQueueTheTaskEndsAtTheCulprit() {
        context.hasDeadLetters = false;
        DataStreamsSinkTask task = task();
        gateway.replies = request -> request.numbers().contains(2L) ? Reply.of(413) : Reply.OK;

        ConnectException error = assertThrows(
                ConnectException.class, () -> task.put(List.of(numbered(0, 1), numbered(0, 2), numbered(0, 3))));

        assertTrue(error.getMessage().startsWith("Record orders/0/2 cannot be delivered"), error.getMessage());
        assertEquals(2, committed(task, P0, 4));
    }

    @Test
    void recordThatTheDeadLetterQueueDoesNotTakeIsNotCommitted() {
        context.deadLettersFail = new IllegalStateException("no broker");
        DataStreamsSinkTask task = task();
        gateway.replies = request -> Reply.of(413);

        assertThrows(ConnectException.class, () -> task.put(List.of(numbered(0, 1))));

        assertEquals(1, committed(task, P0, 2));
    }

    @ParameterizedTest
    @ValueSource(strings = {"hello", "1,2", "[1],[2]", "{\"a\":1"})
    void valueThatIsNotJsonIsADeadLetterAndHarmsNoOther(String value) {
        DataStreamsSinkTask task = task();

        task.put(List.of(numbered(0, 1), record(0, 2, value), numbered(0, 3)));

        assertEquals(List.of(2L), context.deadLetters.stream().map(SinkRecord::originalKafkaOffset).toList());
        assertEquals(List.of(List.of(1L, 3L)), gateway.batches());
        assertEquals(List.of(1L, 3L), gateway.requests.get(0).offsets());
    }

    @ParameterizedTest
    @ValueSource(ints = {301, 401, 403, 404})
    void answerThatIsTheSameForEveryRecordEndsTheTask(int status) {
        DataStreamsSinkTask task = task();
        gateway.replies = request -> Reply.of(status);

        ConnectException error = assertThrows(ConnectException.class, () -> task.put(List.of(numbered(0, 1))));

        assertTrue(error.getMessage().contains(status + ": said " + status), error.getMessage());
        assertFalse(error.getMessage().contains("secret"), error.getMessage());
        assertEquals(List.of(), context.deadLetters);
        assertEquals(1, committed(task, P0, 2));
    }

    @Test
    void slowGatewayDoesNotKeepTheWorkerFromPolling() {
        DataStreamsSinkTask task = task("batch.max.size", "1");
        gateway.replies = request -> {
            nowMs.addAndGet(6_000);
            return Reply.OK;
        };

        task.put(LongStream.range(0, 5).mapToObj(n -> numbered(0, n)).toList());
        assertEquals(List.of(List.of(0L), List.of(1L), List.of(2L)), gateway.batches());
        assertEquals(3, committed(task, P0, 5));
        assertEquals(Set.of(P0, P1), context.paused);
        assertEquals(1, context.timeoutMs);
        task.put(List.of());

        assertEquals(5, committed(task, P0, 5));
        assertEquals(Set.of(), context.paused);
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

    @Test
    void partitionsThatComeDuringAnOutageArePaused() {
        DataStreamsSinkTask task = task();
        gateway.replies = request -> Reply.of(503);
        task.put(List.of(numbered(0, 1)));
        TopicPartition fresh = new TopicPartition(TOPIC, 2);

        context.assigned.add(fresh);
        task.open(List.of(fresh));
        assertTrue(context.paused.contains(fresh));
        gateway.replies = request -> Reply.OK;
        nowMs.addAndGet(context.timeoutMs);
        task.put(List.of());

        assertEquals(Set.of(), context.paused);
    }

    @Test
    void metricsCountWhatBecameOfRecordsAndRequests() throws Exception {
        DataStreamsSinkTask task = task("name", "a \"b\"", DataStreamsSinkConnector.TASK_NUMBER, "3");
        gateway.replies = request -> request.numbers().contains(2L) ? Reply.of(413) : Reply.OK;

        task.put(List.of(numbered(0, 1), numbered(0, 2)));

        ObjectName name = new ObjectName("data.streams:type=sink-task,connector=" + ObjectName.quote("a \"b\"") + ",task=3");
        assertEquals(1L, ManagementFactory.getPlatformMBeanServer().getAttribute(name, "RecordsDelivered"));
        assertEquals(1L, ManagementFactory.getPlatformMBeanServer().getAttribute(name, "RecordsDeadLettered"));
        assertEquals(3L, ManagementFactory.getPlatformMBeanServer().getAttribute(name, "Requests"));
        assertEquals(2L, ManagementFactory.getPlatformMBeanServer().getAttribute(name, "RequestsRefused"));
        assertEquals(7L, ManagementFactory.getPlatformMBeanServer().getAttribute(name, "BytesDelivered"));
        task.stop();
        assertFalse(ManagementFactory.getPlatformMBeanServer().isRegistered(name));
    }

    @Test
    void metricsOfASuccessorOutliveTheTaskThatWasAbandoned() throws Exception {
        DataStreamsSinkTask abandoned = task();
        task().put(List.of(numbered(0, 1)));

        abandoned.stop();

        assertEquals(1, metric("RecordsDelivered"));
    }

    private DataStreamsSinkTask task(String... settings) {
        Map<String, String> given = new HashMap<>(Map.of("http.url", gateway.url(), "batch.linger.ms", "0"));
        for (int n = 0; n < settings.length; n += 2) {
            given.put(settings[n], settings[n + 1]);
        }
        DataStreamsSinkTask task = new DataStreamsSinkTask(nowMs::get);
        started.add(task);
        context.assigned.addAll(Set.of(P0, P1));
        task.initialize(context);
        task.start(given);
        task.open(List.of(P0, P1));
        return task;
    }

    private static long committed(DataStreamsSinkTask task, TopicPartition partition, long read) {
        return task.preCommit(Map.of(partition, new OffsetAndMetadata(read))).get(partition).offset();
    }

    private static long metric(String attribute) throws Exception {
        ObjectName name = new ObjectName("data.streams:type=sink-task,connector=\"connect\",task=0");
        return ((Number) ManagementFactory.getPlatformMBeanServer().getAttribute(name, attribute)).longValue();
    }
}

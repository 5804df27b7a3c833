package datastreams.connect;

import static datastreams.connect.Records.TOPIC;
import static datastreams.connect.Records.numbered;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import datastreams.connect.StandInGateway.Reply;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.LongStream;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.sink.SinkRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What the task does while the gateway takes nothing: it keeps the records, waits and goes on polling. */
class TaskOutageTest extends TaskStage {
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
}

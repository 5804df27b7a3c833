package datastreams.connect;

import static datastreams.connect.Records.numbered;
import static datastreams.connect.Records.record;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import datastreams.connect.StandInGateway.Reply;
import java.util.List;
import java.util.stream.LongStream;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.sink.SinkRecord;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** What becomes of records that the gateway does not take as they are: dead letters, or the task's end. */
class TaskRefusalTest extends TaskStage {
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

    @Test
    void recordThatTheDeadLetterQueueRefusesAtOnceIsNotCommittedThoughConnectSaysNothing() {
        context.deadLettersAreRefusedAtOnce = true;
        DataStreamsSinkTask task = task();
        gateway.replies = request -> Reply.of(413);

        ConnectException error = assertThrows(ConnectException.class, () -> task.put(List.of(numbered(0, 1))));

        assertTrue(error.getMessage().contains("producer.override.max.request.size"), error.getMessage());
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
}

package datastreams.connect;

import static datastreams.connect.Records.TOPIC;
import static datastreams.connect.Records.event;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.Test;

class LaneTest {
    private static final TopicPartition PARTITION = new TopicPartition(TOPIC, 0);

    @Test
    void fullBatchIsDueAtOnce() {
        Lane lane = lane(3, 1000, 50, 0, 1, 2);

        assertEquals(0, lane.dueIn(0));
        assertEquals(List.of(0L, 1L, 2L), offsets(lane.next()));
    }

    @Test
    void batchThatIsNotFullLingersFromItsFirstEvent() {
        Lane lane = lane(10, 1000, 50, 0);
        lane.add(event(1, "{}", 30));

        assertEquals(50, lane.dueIn(0));
        assertEquals(10, lane.dueIn(40));
        assertEquals(0, lane.dueIn(60));
    }

    @Test
    void emptyLaneIsNeverDue() {
        assertEquals(Long.MAX_VALUE, lane(10, 1000, 0).dueIn(0));
    }

    @Test
    void bodyStaysWithinItsBytes() {
        Lane lane = new Lane(PARTITION, new Batching(10, 20, 1000));
        for (int n = 0; n < 4; n++) {
            lane.add(event(n, "12345678", 0));
        }

        assertEquals(0, lane.dueIn(0));
        assertEquals(List.of(0L, 1L), offsets(lane.next()));
        assertEquals(20 - 1, BodyFormat.JSON_ARRAY.join(lane.next().events()).length);
    }

    @Test
    void largeEventGoesAlone() {
        Lane lane = new Lane(PARTITION, new Batching(10, 20, 1000));
        lane.add(event(0, "x".repeat(100), 0));
        lane.add(event(1, "1", 0));

        assertEquals(List.of(0L), offsets(lane.next()));
    }

    @Test
    void otherHeadersBeginAnotherBatch() {
        Lane lane = lane(10, 1000, 1000);
        lane.add(event(0, "1", 0, new Field("a", "1")));
        lane.add(event(1, "1", 0, new Field("a", "1")));
        lane.add(event(2, "1", 0, new Field("a", "2")));

        assertEquals(0, lane.dueIn(0));
        assertEquals(List.of(0L, 1L), offsets(lane.next()));
    }

    @Test
    void batchOfManyGapsIsCutBeforeItsKeyIsTooLong() {
        Lane lane = lane(100_000, 1_000_000, 1000);
        long far = Long.MAX_VALUE / 2;
        for (int n = 0; n < 1000; n++) {
            lane.add(event(far + n * 2L, "1", 0));
        }

        Batch batch = lane.next();

        assertEquals(Lane.MAX_RUNS, batch.size());
        assertTrue(batch.places("s".repeat(100)).length() <= 16_000);
    }

    @Test
    void refusedBatchIsHalvedUntilTheCulpritIsAlone() {
        Lane lane = lane(8, 1000, 0, 0, 1, 2, 3, 4, 5, 6, 7);
        List<List<Long>> sent = new ArrayList<>();

        while (!lane.isEmpty()) {
            Batch batch = lane.next();
            sent.add(offsets(batch));
            if (batch.events().stream().anyMatch(one -> one.offset() == 5) && batch.size() > 1) {
                lane.halve(batch);
            } else {
                lane.done(batch);
            }
        }

        assertEquals(List.of(
                List.of(0L, 1L, 2L, 3L, 4L, 5L, 6L, 7L), List.of(0L, 1L, 2L, 3L), List.of(4L, 5L, 6L, 7L),
                List.of(4L, 5L), List.of(4L), List.of(5L), List.of(6L, 7L)), sent);
    }

    @Test
    void batchOfOddSizeIsHalvedWithoutLoss() {
        Lane lane = lane(3, 1000, 0, 0, 1, 2);
        lane.halve(lane.next());

        Batch first = lane.next();
        lane.done(first);

        assertEquals(List.of(0L), offsets(first));
        assertEquals(List.of(1L, 2L), offsets(lane.next()));
    }

    @Test
    void batchThatIsSentAgainDoesNotGrow() {
        Lane lane = lane(10, 1000, 0, 0, 1);
        lane.again(lane.next());
        lane.add(event(2, "1", 0));

        assertEquals(List.of(0L, 1L), offsets(lane.next()));
    }

    @Test
    void batchesGrowAgainAfterOneThatWasSentAgain() {
        Lane lane = lane(10, 1000, 0, 0, 1);
        lane.again(lane.next());
        lane.again(lane.next());
        for (int n = 2; n < 6; n++) {
            lane.add(event(n, "1", 0));
        }
        lane.done(lane.next());

        assertEquals(List.of(2L, 3L, 4L, 5L), offsets(lane.next()));
    }

    @Test
    void firstOffsetMovesOnlyWhenEventsAreDone() {
        Lane lane = lane(2, 1000, 0, 10, 11, 12);
        lane.next();
        assertEquals(10, lane.firstOffset());

        lane.done(lane.next());

        assertEquals(12, lane.firstOffset());
    }

    @Test
    void bytesAreThoseThatWait() {
        Lane lane = lane(2, 1000, 0, 0, 1, 2);
        long before = lane.bytes();

        lane.done(lane.next());

        assertEquals(6, before);
        assertEquals(2, lane.bytes());
    }

    private static Lane lane(int records, int bytes, long lingerMs, long... offsets) {
        Lane lane = new Lane(PARTITION, new Batching(records, bytes, lingerMs));
        for (long offset : offsets) {
            lane.add(event(offset, "{}", 0));
        }
        return lane;
    }

    private static List<Long> offsets(Batch batch) {
        return batch.events().stream().map(Event::offset).toList();
    }
}

package datastreams.connect;

import static datastreams.connect.Records.TOPIC;
import static datastreams.connect.Records.numbered;
import static org.junit.jupiter.api.Assertions.assertEquals;

import datastreams.connect.StandInGateway.Reply;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.sink.SinkRecord;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A worker that polls, commits, crashes and rebalances by chance, and a gateway that answers by chance. */
class ChanceTest {
    private static final int RECORDS = 300;
    private static final TopicPartition PARTITION = new TopicPartition(TOPIC, 0);
    private static final Set<Long> POISON = Set.of(7L, 8L, 150L, 299L);

    @ParameterizedTest
    @ValueSource(longs = {1, 2, 3, 4, 5, 6, 7, 8})
    void everyRecordIsAcceptedOrADeadLetterAndNothingIsCommittedBefore(long seed) throws IOException {
        Random chance = new Random(seed);
        AtomicLong nowMs = new AtomicLong();
        Set<Long> accepted = new HashSet<>();
        try (StandInGateway gateway = new StandInGateway()) {
            gateway.replies = request -> {
                assertEquals(request.offsets(), request.numbers(), "each event has the place of its record");
                int lot = chance.nextInt(10);
                if (lot == 0) {
                    return Reply.of(503); // nothing is stored
                }
                boolean poisoned = request.numbers().stream().anyMatch(POISON::contains);
                if (poisoned) {
                    return Reply.of(413);
                }
                accepted.addAll(request.numbers());
                return Reply.of(lot == 1 ? 500 : 200); // 500: stored all the same
            };
            FakeContext context = new FakeContext();
            context.assigned.add(PARTITION);
            DataStreamsSinkTask task = start(gateway, context, nowMs, chance);
            long committed = 0;
            long position = 0;
            for (int step = 0; committed < RECORDS; step++) {
                assertEquals(true, step < 100_000, "the records are done some day");
                int lot = chance.nextInt(40);
                if (lot == 0) { // a crash: all that is not committed is read again
                    task.stop();
                    task = start(gateway, context, nowMs, chance);
                    position = committed;
                } else if (lot == 1) { // a rebalance that gives the partition back
                    committed = commit(task, position, accepted, context);
                    task.close(List.of(PARTITION));
                    task.open(List.of(PARTITION));
                    position = committed;
                } else if (lot < 8) {
                    committed = commit(task, position, accepted, context);
                } else {
                    List<SinkRecord> polled = new ArrayList<>();
                    int most = context.paused.isEmpty() ? chance.nextInt(30) : 0;
                    while (polled.size() < most && position < RECORDS) {
                        polled.add(numbered(0, position++));
                    }
                    nowMs.addAndGet(chance.nextInt(200));
                    task.put(polled);
                }
            }
            task.stop();
            Set<Long> dead = new HashSet<>(context.deadLetters.stream().map(SinkRecord::originalKafkaOffset).toList());
            assertEquals(POISON, dead);
            assertEquals(RECORDS - POISON.size(), accepted.size());
        }
    }

    private static DataStreamsSinkTask start(StandInGateway gateway, FakeContext context, AtomicLong nowMs, Random chance) {
        DataStreamsSinkTask task = new DataStreamsSinkTask(nowMs::get);
        context.paused.clear();
        task.initialize(context);
        task.start(new HashMap<>(Map.of("http.url", gateway.url(), "batch.max.size", "16", "retry.backoff.ms", "100",
                "batch.linger.ms", chance.nextBoolean() ? "0" : "100")));
        task.open(List.of(PARTITION));
        return task;
    }

    private static long commit(DataStreamsSinkTask task, long position, Set<Long> accepted, FakeContext context) {
        long committed = task.preCommit(Map.of(PARTITION, new OffsetAndMetadata(position))).get(PARTITION).offset();
        Set<Long> done = new HashSet<>(accepted);
        context.deadLetters.forEach(record -> done.add(record.originalKafkaOffset()));
        for (long offset = 0; offset < committed; offset++) {
            assertEquals(true, done.contains(offset), "committed, and lost: " + offset);
        }
        return committed;
    }
}

package datastreams.connect;

import static datastreams.connect.Records.TOPIC;

import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import javax.management.ObjectName;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;

/** What tests of a task share: a gateway, a worker that keeps what it was asked for, and a clock that a test moves. */
abstract class TaskStage {
    static final TopicPartition P0 = new TopicPartition(TOPIC, 0);
    static final TopicPartition P1 = new TopicPartition(TOPIC, 1);

    final AtomicLong nowMs = new AtomicLong(1_000);
    final FakeContext context = new FakeContext();
    StandInGateway gateway;
    private final List<DataStreamsSinkTask> started = new ArrayList<>();

    @BeforeEach
    void open() throws IOException {
        gateway = new StandInGateway();
    }

    @AfterEach
    void close() {
        started.forEach(DataStreamsSinkTask::stop);
        gateway.close();
    }

    /** Has two partitions; `settings` are names and values in turn, and no batch lingers unless one says so. */
    DataStreamsSinkTask task(String... settings) {
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

    /** What the worker would commit when it has read up to `read`. */
    static long committed(DataStreamsSinkTask task, TopicPartition partition, long read) {
        return task.preCommit(Map.of(partition, new OffsetAndMetadata(read))).get(partition).offset();
    }

    /** Of a task that was given no name. */
    static long metric(String attribute) throws Exception {
        ObjectName name = new ObjectName("data.streams:type=sink-task,connector=\"connect\",task=0");
        return ((Number) ManagementFactory.getPlatformMBeanServer().getAttribute(name, attribute)).longValue();
    }
}

package datastreams.connect;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.metrics.PluginMetrics;
import org.apache.kafka.connect.sink.ErrantRecordReporter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTaskContext;

/** What a worker is to a task: keeps what the task asked for. */
final class FakeContext implements SinkTaskContext {
    final Set<TopicPartition> assigned = new HashSet<>();
    final Set<TopicPartition> paused = new HashSet<>();
    final List<SinkRecord> deadLetters = new ArrayList<>();
    final List<String> reasons = new ArrayList<>();
    /** Whether there is a dead letter queue, and whether it takes anything. */
    boolean hasDeadLetters = true;
    RuntimeException deadLettersFail;
    /** Whether the worker's producer refuses at once, which Connect does not tell. */
    boolean deadLettersAreRefusedAtOnce;
    /** What the task last asked for; -1 when it did not, as the worker has it before each poll. */
    long timeoutMs = -1;

    @Override
    public Map<String, String> configs() {
        return Map.of();
    }

    @Override
    public void offset(Map<TopicPartition, Long> offsets) {
        throw new UnsupportedOperationException();
    }

    @Override
    public void offset(TopicPartition partition, long offset) {
        throw new UnsupportedOperationException();
    }

    @Override
    public void timeout(long ms) {
        timeoutMs = ms;
    }

    @Override
    public Set<TopicPartition> assignment() {
        return assigned;
    }

    @Override
    public void pause(TopicPartition... partitions) {
        paused.addAll(List.of(partitions));
    }

    @Override
    public void resume(TopicPartition... partitions) {
        List.of(partitions).forEach(paused::remove);
    }

    @Override
    public void requestCommit() {
        throw new UnsupportedOperationException();
    }

    @Override
    public PluginMetrics pluginMetrics() {
        throw new UnsupportedOperationException();
    }

    @Override
    public ErrantRecordReporter errantRecordReporter() {
        return hasDeadLetters ? this::report : null;
    }

    private Future<Void> report(SinkRecord record, Throwable why) {
        if (deadLettersFail != null) {
            return CompletableFuture.failedFuture(deadLettersFail);
        }
        if (deadLettersAreRefusedAtOnce) {
            return CompletableFuture.completedFuture(null);
        }
        deadLetters.add(record);
        reasons.add(why.getMessage());
        return new Written();
    }

    /** Of a record that is on its way, as each is when it was just reported. */
    private static final class Written extends FutureTask<Void> {
        Written() {
            super(() -> null);
        }

        @Override
        public Void get(long timeout, TimeUnit unit) throws InterruptedException, ExecutionException, TimeoutException {
            run();
            return super.get(timeout, unit);
        }
    }
}

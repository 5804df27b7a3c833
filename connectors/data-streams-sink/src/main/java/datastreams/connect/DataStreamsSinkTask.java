package datastreams.connect;

import java.util.Collection;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.LongSupplier;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.connect.errors.ConnectException;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.sink.ErrantRecordReporter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sends what the worker gives it, in order within a partition, and commits only what Kafka has behind the gateway or the
 * dead letter queue has.
 *
 * <p>While the gateway takes nothing the task keeps what it has, pauses its partitions and lets the worker go on polling,
 * so it stays in its group however long that lasts. It never raises RetriableException: the worker would give it the
 * same records again, log an error each time, and knows nothing of a Retry-After.
 */
public final class DataStreamsSinkTask extends SinkTask {
    /**
     * How long one call of `put` sends before it lets the worker poll. With one request more than that it must end
     * before the consumer's max.poll.interval.ms.
     */
    static final long SENDING_MS = 15_000;

    private static final Logger LOG = LoggerFactory.getLogger(DataStreamsSinkTask.class);
    private static final long DEAD_LETTER_SECONDS = 60;
    private static final long TELL_AGAIN_MS = 60_000;

    private final LongSupplier clockMs;
    private final Map<TopicPartition, Lane> lanes = new LinkedHashMap<>();
    private Batching batching;
    private EventMaker maker;
    private Gateway gateway;
    private Backoff backoff;
    private SinkMetrics metrics;
    private ErrantRecordReporter deadLetters;
    private boolean paused;
    /** Nothing is sent before; by the task's clock. */
    private long waitUntilMs = Long.MIN_VALUE;
    private long toldMs;

    public DataStreamsSinkTask() {
        this(() -> System.nanoTime() / 1_000_000);
    }

    DataStreamsSinkTask(LongSupplier clockMs) {
        this.clockMs = clockMs;
    }

    @Override
    public String version() {
        return new DataStreamsSinkConnector().version();
    }

    @Override
    public void start(Map<String, String> settings) {
        SinkConfig config = new SinkConfig(settings);
        batching = config.batching;
        maker = new EventMaker(config.format, config.textIsJson(), config.forwarded());
        gateway = new Gateway(config);
        backoff = new Backoff(config.getLong(SinkConfig.BACKOFF), config.getLong(SinkConfig.MAX_BACKOFF),
                () -> ThreadLocalRandom.current().nextDouble());
        deadLetters = context.errantRecordReporter();
        metrics = new SinkMetrics(settings.getOrDefault("name", "connect"),
                settings.getOrDefault(DataStreamsSinkConnector.TASK_NUMBER, "0"), clockMs);
        LOG.info("Sending to {}", gateway.address());
    }

    /** What waits of these is another task's now, or read again. */
    @Override
    public void close(Collection<TopicPartition> partitions) {
        partitions.forEach(lanes::remove);
    }

    @Override
    public void open(Collection<TopicPartition> partitions) {
        partitions.forEach(lanes::remove);
        if (paused) {
            context.pause(partitions.toArray(TopicPartition[]::new));
        }
    }

    @Override
    public void stop() {
        if (metrics != null) {
            metrics.close();
        }
    }

    /** Called after every poll of the worker, also without records: then it sends what has lingered or waited. */
    @Override
    public void put(Collection<SinkRecord> records) {
        records.forEach(this::take);
        long began = clockMs.getAsLong();
        boolean all = began >= waitUntilMs && sendDue(began);
        hold(!all);
        askToBeCalled(all);
        metrics.waiting = lanes.values().stream().mapToLong(Lane::size).sum();
        metrics.bytesWaiting = lanes.values().stream().mapToLong(Lane::bytes).sum();
    }

    /** Of each partition the offset before which something has become of every record. */
    @Override
    public Map<TopicPartition, OffsetAndMetadata> preCommit(Map<TopicPartition, OffsetAndMetadata> read) {
        Map<TopicPartition, OffsetAndMetadata> done = new HashMap<>(read);
        read.forEach((partition, position) -> {
            Lane lane = lanes.get(partition);
            if (lane != null && !lane.isEmpty()) {
                done.put(partition, new OffsetAndMetadata(Math.min(position.offset(), lane.firstOffset())));
            }
        });
        return done;
    }

    private void take(SinkRecord record) {
        if (record.value() == null) {
            metrics.tombstones++;
            return;
        }
        try {
            Event event = maker.event(record, clockMs.getAsLong());
            TopicPartition partition = new TopicPartition(record.originalTopic(), record.originalKafkaPartition());
            lanes.computeIfAbsent(partition, one -> new Lane(one, batching)).add(event);
        } catch (DataException error) {
            report(record, error);
        }
    }

    /** Sends every batch that is due; false when some of them wait for another call. */
    private boolean sendDue(long began) {
        for (Lane lane : lanes.values()) {
            while (lane.dueIn(clockMs.getAsLong()) == 0) {
                if (clockMs.getAsLong() - began >= SENDING_MS || !send(lane)) {
                    return false;
                }
            }
        }
        return true;
    }

    /** Sends the lane's next batch; false when it must be sent again later. */
    private boolean send(Lane lane) {
        Batch batch = lane.next();
        Answer answer = ask(batch);
        switch (answer.meaning()) {
            case ACCEPTED -> {
                lane.done(batch);
                metrics.delivered += batch.size();
                metrics.bytesDelivered += batch.events().stream().mapToLong(event -> event.body().length).sum();
                endOutage();
            }
            case REFUSED -> {
                metrics.refused++;
                endOutage();
                if (batch.size() > 1) {
                    lane.halve(batch);
                } else {
                    report(batch.events().get(0).record(), new ConnectException("The gateway refused the record: " + answer.said()));
                    lane.done(batch);
                }
            }
            case AGAIN -> {
                lane.again(batch);
                metrics.again++;
                long pause = backoff.next(answer.retryAfterMs());
                waitUntilMs = clockMs.getAsLong() + pause;
                tellOutage(answer, pause);
                return false;
            }
            case MISCONFIGURED -> throw new ConnectException(
                    "The gateway at " + gateway.address() + " takes nothing from this connector: it answered "
                            + answer.said() + ". Mend http.url or http.authorization; nothing is lost, the records are "
                            + "sent when the task is started again.");
        }
        return true;
    }

    private Answer ask(Batch batch) {
        long began = clockMs.getAsLong();
        try {
            Answer answer = gateway.send(batch);
            metrics.lastStatus = answer.status();
            return answer;
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new ConnectException("Interrupted while sending; the records are sent again", error);
        } finally {
            metrics.requests++;
            metrics.requestMillis += clockMs.getAsLong() - began;
        }
    }

    /** Returns when the dead letter queue has the record; raises ConnectException, which ends the task, when it has not. */
    private void report(SinkRecord record, ConnectException why) {
        if (deadLetters == null) {
            throw new ConnectException("Record " + record.originalTopic() + "/" + record.originalKafkaPartition() + "/"
                    + record.originalKafkaOffset() + " cannot be delivered, and there is no dead letter queue "
                    + "(errors.tolerance=all with errors.deadletterqueue.topic.name): " + why.getMessage(), why);
        }
        try {
            Future<Void> written = deadLetters.report(record, why);
            boolean refusedAtOnce = written.isDone();
            written.get(DEAD_LETTER_SECONDS, TimeUnit.SECONDS);
            if (refusedAtOnce) { // Connect leaves out what its producer refuses at once, and gives what looks like success
                throw new ConnectException("The dead letter queue did not take a record; nothing is lost. The worker's log "
                        + "says why, such as a record larger than producer.override.max.request.size");
            }
            metrics.deadLettered++;
        } catch (ExecutionException | TimeoutException error) {
            throw new ConnectException("The dead letter queue did not take a record; nothing is lost", error);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
            throw new ConnectException("Interrupted while the dead letter queue took a record", error);
        }
    }

    /** No more records while batches wait, so that memory is bounded by what one poll brings. */
    private void hold(boolean wanted) {
        if (wanted == paused) {
            return;
        }
        paused = wanted;
        TopicPartition[] all = context.assignment().toArray(TopicPartition[]::new);
        if (wanted) {
            context.pause(all);
        } else {
            context.resume(all);
        }
    }

    /** The worker's next poll must end when something is to be sent. */
    private void askToBeCalled(boolean all) {
        long now = clockMs.getAsLong();
        long next = all
                ? lanes.values().stream().mapToLong(lane -> lane.dueIn(now)).min().orElse(Long.MAX_VALUE)
                : now < waitUntilMs ? waitUntilMs - now : 0;
        if (next < Long.MAX_VALUE) {
            context.timeout(Math.max(1, next));
        }
    }

    private void tellOutage(Answer answer, long pause) {
        long now = clockMs.getAsLong();
        if (metrics.outageSinceMs < 0) {
            metrics.outageSinceMs = now;
            toldMs = now - TELL_AGAIN_MS;
        }
        if (now - toldMs >= TELL_AGAIN_MS) {
            toldMs = now;
            LOG.warn("The gateway at {} takes nothing for {} s now: {}. The records wait; the next try is in {} ms",
                    gateway.address(), (now - metrics.outageSinceMs) / 1000, answer.said(), pause);
        }
    }

    private void endOutage() {
        backoff.reset();
        if (metrics.outageSinceMs >= 0) {
            LOG.info("The gateway at {} answers again after {} s", gateway.address(),
                    (clockMs.getAsLong() - metrics.outageSinceMs) / 1000);
            metrics.outageSinceMs = -1;
        }
    }
}

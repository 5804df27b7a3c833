package datastreams.connect;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.apache.kafka.common.TopicPartition;

/**
 * What one partition has waiting, and how it is cut into batches. Knows neither Kafka nor HTTP.
 *
 * <p>Events leave from the front alone, and only when something has become of them: so all before the first one that
 * waits may be committed. A batch that is to be sent again is cut the same way again; one that was refused is cut in
 * halves, until the event that is to blame is a batch of its own.
 */
final class Lane {
    /** Runs of offsets in one request: each takes up to 40 characters of a header, and headers have their bounds. */
    static final int MAX_RUNS = 400;

    private final TopicPartition partition;
    private final Batching batching;
    private final ArrayDeque<Event> waiting = new ArrayDeque<>();
    /** Sizes of the next batches, where an answer has settled them. */
    private final Deque<Integer> cuts = new ArrayDeque<>();
    private long bytes;

    Lane(TopicPartition partition, Batching batching) {
        this.partition = partition;
        this.batching = batching;
    }

    void add(Event event) {
        waiting.add(event);
        bytes += event.body().length;
    }

    boolean isEmpty() {
        return waiting.isEmpty();
    }

    int size() {
        return waiting.size();
    }

    long bytes() {
        return bytes;
    }

    /** Offset of the first event that waits; there must be one. */
    long firstOffset() {
        return waiting.element().offset();
    }

    /** Milliseconds until a batch is due: 0 when one is, Long.MAX_VALUE when nothing waits. */
    long dueIn(long nowMs) {
        if (waiting.isEmpty()) {
            return Long.MAX_VALUE;
        }
        if (!cuts.isEmpty() || !growing()) {
            return 0;
        }
        return Math.max(0, waiting.element().arrivedMs() + batching.lingerMs() - nowMs);
    }

    /** The batch at the front, full or not; there must be an event. It stays until the lane is told what became of it. */
    Batch next() {
        int size = cuts.isEmpty() ? cut() : cuts.element();
        List<Event> events = new ArrayList<>(size);
        for (Event event : waiting) {
            if (events.size() == size) {
                break;
            }
            events.add(event);
        }
        return new Batch(partition, events);
    }

    /** The batch at the front has been accepted, or is a dead letter. */
    void done(Batch batch) {
        for (int n = 0; n < batch.size(); n++) {
            bytes -= waiting.remove().body().length;
        }
        cuts.poll();
    }

    /** The batch at the front is to be sent again, as it is. */
    void again(Batch batch) {
        if (cuts.isEmpty()) {
            cuts.push(batch.size());
        }
    }

    /** The batch at the front was refused: next come its halves. It must have two events at least. */
    void halve(Batch batch) {
        cuts.poll();
        cuts.push(batch.size() - batch.size() / 2);
        cuts.push(batch.size() / 2);
    }

    /** Whether the batch at the front may still take another event. */
    private boolean growing() {
        return cut() == waiting.size() && waiting.size() < batching.maxRecords();
    }

    /** How many of the first events go together. */
    private int cut() {
        Event first = waiting.element();
        long size = 2;
        long expected = first.offset();
        int count = 0;
        int runs = 1;
        for (Event event : waiting) {
            size += event.body().length + 1;
            runs += event.offset() == expected ? 0 : 1;
            expected = event.offset() + 1;
            boolean fits = size <= batching.maxBytes() && runs <= MAX_RUNS && event.headers().equals(first.headers());
            if (count == batching.maxRecords() || count > 0 && !fits) {
                break;
            }
            count++;
        }
        return count;
    }
}

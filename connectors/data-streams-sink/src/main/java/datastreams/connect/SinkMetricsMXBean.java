package datastreams.connect;

/**
 * What JMX shows of a task, as `data.streams:type=sink-task,connector="NAME",task=0`. Counts are from the task's start.
 */
public interface SinkMetricsMXBean {
    /** Records that Kafka has behind the gateway. */
    long getRecordsDelivered();

    /** Records that were given to the dead letter queue. */
    long getRecordsDeadLettered();

    /** Records without a value, which are no events. */
    long getTombstonesSkipped();

    /** Requests, whatever became of them. */
    long getRequests();

    /** Of those, the ones that were refused: 413 and the like. */
    long getRequestsRefused();

    /** Of those, the ones that are sent again: 429, 503, no answer and the like. */
    long getRequestsAgain();

    /** Bytes of the bodies of accepted requests, before compression. */
    long getBytesDelivered();

    /** Milliseconds that all requests took together. */
    long getRequestMillis();

    /** Records that are read and neither delivered nor dead letters. */
    long getRecordsWaiting();

    /** Bytes of these. */
    long getBytesWaiting();

    /** Milliseconds since the gateway last took something, while it takes nothing; else 0. Alert on this one. */
    long getOutageMillis();

    /** The status of the last answer; 0 when there was none. */
    int getLastStatus();
}

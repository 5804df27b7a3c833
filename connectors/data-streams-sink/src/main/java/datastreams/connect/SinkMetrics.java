package datastreams.connect;

import java.lang.management.ManagementFactory;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.function.LongSupplier;
import javax.management.JMException;
import javax.management.MBeanServer;
import javax.management.ObjectName;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Counted by the task's thread, read by JMX's. A task without metrics goes on: they may not stop records. */
final class SinkMetrics implements SinkMetricsMXBean, AutoCloseable {
    private static final Logger LOG = LoggerFactory.getLogger(SinkMetrics.class);
    /** Whose the registered beans are: a task that was abandoned because it did not stop in time has a successor. */
    private static final Map<ObjectName, SinkMetrics> OWNERS = new ConcurrentHashMap<>();

    volatile long delivered;
    volatile long deadLettered;
    volatile long tombstones;
    volatile long requests;
    volatile long refused;
    volatile long again;
    volatile long bytesDelivered;
    volatile long requestMillis;
    volatile long waiting;
    volatile long bytesWaiting;
    volatile int lastStatus;
    /** When the outage began, by the task's clock; -1 while there is none. */
    volatile long outageSinceMs = -1;

    private final LongSupplier clockMs;
    private final ObjectName name;

    SinkMetrics(String connector, String task, LongSupplier clockMs) {
        this.clockMs = clockMs;
        ObjectName registered = null;
        try {
            registered = new ObjectName(
                    "data.streams:type=sink-task,connector=" + ObjectName.quote(connector) + ",task=" + task);
            MBeanServer server = ManagementFactory.getPlatformMBeanServer();
            if (OWNERS.put(registered, this) != null) {
                server.unregisterMBean(registered);
            }
            server.registerMBean(this, registered);
        } catch (JMException error) {
            LOG.warn("The metrics of this task are not shown: {}", error.toString());
        }
        name = registered;
    }

    @Override
    public void close() {
        try {
            if (name != null && OWNERS.remove(name, this)) {
                ManagementFactory.getPlatformMBeanServer().unregisterMBean(name);
            }
        } catch (JMException error) {
            LOG.warn("The metrics of this task stay where they were: {}", error.toString());
        }
    }

    @Override
    public long getRecordsDelivered() {
        return delivered;
    }

    @Override
    public long getRecordsDeadLettered() {
        return deadLettered;
    }

    @Override
    public long getTombstonesSkipped() {
        return tombstones;
    }

    @Override
    public long getRequests() {
        return requests;
    }

    @Override
    public long getRequestsRefused() {
        return refused;
    }

    @Override
    public long getRequestsAgain() {
        return again;
    }

    @Override
    public long getBytesDelivered() {
        return bytesDelivered;
    }

    @Override
    public long getRequestMillis() {
        return requestMillis;
    }

    @Override
    public long getRecordsWaiting() {
        return waiting;
    }

    @Override
    public long getBytesWaiting() {
        return bytesWaiting;
    }

    @Override
    public long getOutageMillis() {
        long since = outageSinceMs;
        return since < 0 ? 0 : Math.max(0, clockMs.getAsLong() - since);
    }

    @Override
    public int getLastStatus() {
        return lastStatus;
    }
}

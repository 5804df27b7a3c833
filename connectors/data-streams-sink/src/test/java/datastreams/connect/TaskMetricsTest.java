package datastreams.connect;

import static datastreams.connect.Records.numbered;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import datastreams.connect.StandInGateway.Reply;
import java.lang.management.ManagementFactory;
import java.util.List;
import javax.management.ObjectName;
import org.junit.jupiter.api.Test;

/** What JMX shows of the task. */
class TaskMetricsTest extends TaskStage {
    @Test
    void metricsCountWhatBecameOfRecordsAndRequests() throws Exception {
        DataStreamsSinkTask task = task("name", "a \"b\"", DataStreamsSinkConnector.TASK_NUMBER, "3");
        gateway.replies = request -> request.numbers().contains(2L) ? Reply.of(413) : Reply.OK;

        task.put(List.of(numbered(0, 1), numbered(0, 2)));

        ObjectName name = new ObjectName("data.streams:type=sink-task,connector=" + ObjectName.quote("a \"b\"") + ",task=3");
        assertEquals(1L, ManagementFactory.getPlatformMBeanServer().getAttribute(name, "RecordsDelivered"));
        assertEquals(1L, ManagementFactory.getPlatformMBeanServer().getAttribute(name, "RecordsDeadLettered"));
        assertEquals(3L, ManagementFactory.getPlatformMBeanServer().getAttribute(name, "Requests"));
        assertEquals(2L, ManagementFactory.getPlatformMBeanServer().getAttribute(name, "RequestsRefused"));
        assertEquals(7L, ManagementFactory.getPlatformMBeanServer().getAttribute(name, "BytesDelivered"));
        task.stop();
        assertFalse(ManagementFactory.getPlatformMBeanServer().isRegistered(name));
    }

    @Test
    void metricsOfASuccessorOutliveTheTaskThatWasAbandoned() throws Exception {
        DataStreamsSinkTask abandoned = task();
        task().put(List.of(numbered(0, 1)));

        abandoned.stop();

        assertEquals(1, metric("RecordsDelivered"));
    }
}

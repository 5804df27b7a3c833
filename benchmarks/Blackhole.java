package blackhole;

import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.sink.SinkConnector;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.sink.SinkTask;

/** Takes records and does nothing with them: what a Connect worker costs before any sink does. */
public final class Blackhole extends SinkConnector {
    @Override
    public void start(Map<String, String> settings) {}

    @Override
    public void stop() {}

    @Override
    public String version() {
        return "0";
    }

    @Override
    public ConfigDef config() {
        return new ConfigDef();
    }

    @Override
    public Class<? extends Task> taskClass() {
        return Drop.class;
    }

    @Override
    public List<Map<String, String>> taskConfigs(int count) {
        return Collections.nCopies(count, Map.of());
    }

    public static final class Drop extends SinkTask {
        @Override
        public void start(Map<String, String> settings) {}

        @Override
        public void put(Collection<SinkRecord> records) {}

        @Override
        public void stop() {}

        @Override
        public String version() {
            return "0";
        }
    }
}

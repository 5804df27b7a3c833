package datastreams.connect;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.Config;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.config.ConfigValue;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.sink.SinkConnector;

/**
 * Brings the records of Kafka topics to a receiver of Data Streams, over HTTP, in batches.
 *
 * <p>Its configuration is checked before a task runs, pairs of settings that would lose records among it
 * ({@link ConfigCheck}). What the tasks do is in {@link DataStreamsSinkTask}.
 */
public final class DataStreamsSinkConnector extends SinkConnector {
    /** Names a task among those of its connector; beside the connector's own settings in a task's. */
    static final String TASK_NUMBER = "data.streams.task";

    private Map<String, String> settings = Map.of();

    @Override
    public String version() {
        String version = DataStreamsSinkConnector.class.getPackage().getImplementationVersion();
        return version == null ? "unpackaged" : version;
    }

    @Override
    public ConfigDef config() {
        return SinkConfig.DEFINITION;
    }

    /** All that is wrong with a configuration, each under the setting that it is about. */
    @Override
    public Config validate(Map<String, String> given) {
        List<ConfigValue> values = new ArrayList<>(super.validate(given).configValues());
        ConfigCheck.problems(given).forEach((name, problems) -> {
            ConfigValue value = values.stream().filter(one -> one.name().equals(name)).findFirst().orElseGet(() -> {
                ConfigValue added = new ConfigValue(name);
                added.value(given.get(name));
                values.add(added);
                return added;
            });
            problems.forEach(value::addErrorMessage);
        });
        return new Config(values);
    }

    /** Refuses again what {@link #validate} refuses: a worker may have been told to start it all the same. */
    @Override
    public void start(Map<String, String> given) {
        new SinkConfig(given);
        ConfigCheck.problems(given).forEach((name, problems) -> {
            throw new ConfigException(name + ": " + problems.get(0));
        });
        settings = Map.copyOf(given);
    }

    @Override
    public Class<? extends Task> taskClass() {
        return DataStreamsSinkTask.class;
    }

    @Override
    public List<Map<String, String>> taskConfigs(int count) {
        List<Map<String, String>> tasks = new ArrayList<>();
        for (int number = 0; number < count; number++) {
            Map<String, String> task = new HashMap<>(settings);
            task.put(TASK_NUMBER, Integer.toString(number));
            tasks.add(task);
        }
        return tasks;
    }

    @Override
    public void stop() {
        settings = Map.of();
    }
}

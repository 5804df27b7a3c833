package datastreams.connect;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.ServiceLoader;
import java.util.TreeMap;
import org.apache.kafka.common.config.ConfigDef.ConfigKey;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.connect.sink.SinkConnector;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ConfigTest {
    private static final String URL = "https://streams.example.com/v1/import/1/orders/secret";

    @Test
    void urlIsAllThatMustBeSet() {
        assertEquals(Map.of(), problems(Map.of()));
        assertEquals(List.of("http.url"), List.copyOf(problems(new DataStreamsSinkConnector(), Map.of()).keySet()));
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "http.url | streams.example.com",
        "http.url | ftp://streams.example.com/",
        "http.url | http:///v1",
        "http.url | http://user:password@streams.example.com/",
        "http.url | http://streams.example.com/#x",
        "http.url | http://streams example.com",
        "http.headers | Content-Type: text/plain",
        "http.headers | no colon",
        "http.headers | Name: ž",
        "http.request.timeout.ms | 0",
        "http.request.timeout.ms | 600000",
        "body.format | xml",
        "body.text | maybe",
        "body.compression | zstd",
        "batch.max.size | 0",
        "batch.max.size | many",
        "batch.max.bytes | 0",
        "batch.linger.ms | -1",
        "retry.backoff.ms | 0",
        "idempotency.scope | a b",
        "batch.maxsize | 10",
        "http.uri | http://x/",
        "errors.tolerance | all",
        "errors.deadletterqueue.topic.name | dead",
        "consumer.override.max.poll.interval.ms | 44999",
    })
    void mistakeIsToldAtItsSetting(String name, String value) {
        assertEquals(List.of(name), List.copyOf(problems(Map.of(name, value)).keySet()));
    }

    @Test
    void rawRequestsAreOfOneRecord() {
        assertEquals(Map.of(), problems(Map.of("body.format", "raw")));
        assertTrue(problems(Map.of("body.format", "raw", "batch.max.size", "2")).containsKey("batch.max.size"));
        assertEquals(1, config(Map.of("body.format", "raw")).batching.maxRecords());
    }

    @Test
    void deadLettersWithATopicAreRight() {
        assertEquals(Map.of(), problems(Map.of("errors.tolerance", "all", "errors.deadletterqueue.topic.name", "dead")));
    }

    @ParameterizedTest
    @ValueSource(strings = {"http://a b/secret", "secret"})
    void problemOfTheUrlIsToldWithoutIt(String url) {
        Map<String, List<String>> problems = problems(Map.of("http.url", url));

        assertFalse(problems.toString().contains("secret"), problems.toString());
    }

    @Test
    void connectorDoesNotStartWithWhatLosesRecords() {
        Map<String, String> given = Map.of("http.url", URL, "errors.tolerance", "all");

        ConfigException error = assertThrows(ConfigException.class, () -> new DataStreamsSinkConnector().start(given));

        assertTrue(error.getMessage().startsWith("errors.tolerance: "), error.getMessage());
    }

    @Test
    void tasksAreNumberedAndHaveAllSettings() {
        DataStreamsSinkConnector connector = new DataStreamsSinkConnector();
        connector.start(Map.of("http.url", URL, "name", "sink"));

        List<Map<String, String>> tasks = connector.taskConfigs(2);

        assertEquals(List.of("0", "1"), tasks.stream().map(task -> task.get(DataStreamsSinkConnector.TASK_NUMBER)).toList());
        assertEquals(List.of("sink", "sink"), tasks.stream().map(task -> task.get("name")).toList());
    }

    @ParameterizedTest
    @CsvSource({"orders-sink, '', orders-sink", "orders sink/ž, '', orders_sink__", "orders-sink, two, two"})
    void scopeIsTheConnectorsNameUnlessSet(String name, String scope, String expected) {
        assertEquals(expected, config(Map.of("name", name, "idempotency.scope", scope)).scope());
    }

    @Test
    void extraHeadersAreSplit() {
        SinkConfig config = config(Map.of("http.headers", "X-Tenant: a: b | X-Other:c|"));

        assertEquals(List.of(new Field("X-Tenant", "a: b"), new Field("X-Other", "c")), config.extraHeaders());
    }

    @Test
    void settingsAreNotShownWhereTheyAreSecret() {
        String shown = config(Map.of("http.authorization", "Bearer hidden")).values().toString();

        assertFalse(shown.contains("secret") || shown.contains("Bearer"), shown);
    }

    @Test
    void pluginIsFoundByServiceLoader() {
        List<String> found = ServiceLoader.load(SinkConnector.class).stream().map(one -> one.type().getName()).toList();

        assertEquals(List.of(DataStreamsSinkConnector.class.getName()), found);
    }

    /** The README is written by hand; its table says what the definition says. */
    @Test
    void readmeListsEverySettingWithItsDefault() throws IOException {
        Map<String, String> listed = new TreeMap<>();
        for (String line : Files.readAllLines(Path.of("README.md"))) {
            String[] cells = line.split("\\|");
            if (line.startsWith("| `") && cells.length >= 4) {
                listed.put(cells[1].strip().replace("`", ""), cells[2].strip().replace("`", ""));
            }
        }
        Map<String, String> defined = new TreeMap<>();
        for (ConfigKey key : SinkConfig.DEFINITION.configKeys().values()) {
            defined.put(key.name, key.hasDefault() ? shown(key.defaultValue) : "required");
        }

        assertEquals(defined, listed);
    }

    private static String shown(Object value) {
        if (value instanceof org.apache.kafka.common.config.types.Password password) {
            return password.value();
        }
        return value instanceof List<?> list ? String.join(",", list.stream().map(Object::toString).toList()) : value.toString();
    }

    private static SinkConfig config(Map<String, String> more) {
        Map<String, String> given = new HashMap<>(Map.of("http.url", URL));
        given.putAll(more);
        return new SinkConfig(given);
    }

    private static Map<String, List<String>> problems(Map<String, String> more) {
        Map<String, String> given = new HashMap<>(Map.of("http.url", URL));
        given.putAll(more);
        return problems(new DataStreamsSinkConnector(), given);
    }

    private static Map<String, List<String>> problems(DataStreamsSinkConnector connector, Map<String, String> given) {
        Map<String, List<String>> problems = new TreeMap<>();
        connector.validate(given).configValues().stream()
                .filter(value -> !value.errorMessages().isEmpty())
                .forEach(value -> problems.put(value.name(), value.errorMessages()));
        return problems;
    }
}

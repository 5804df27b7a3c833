package datastreams.connect;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What no single setting shows: names that nobody reads, and pairs that would lose records or end a task. */
final class ConfigCheck {
    /** Names that begin so are this connector's, so one that is not declared is a slip. */
    private static final Set<String> OWN = Set.of("http.", "body.", "batch.", "headers.", "retry.", "idempotency.");
    private static final String POLL_INTERVAL = "consumer.override.max.poll.interval.ms";

    private ConfigCheck() {}

    /** The problems by the setting that each is about; empty when there is none. */
    static Map<String, List<String>> problems(Map<String, String> given) {
        Map<String, List<String>> problems = new LinkedHashMap<>();
        for (String name : given.keySet()) {
            boolean own = OWN.stream().anyMatch(name::startsWith);
            if (own && !SinkConfig.DEFINITION.names().contains(name)) {
                add(problems, name, "there is no such setting, so it would be ignored");
            }
        }
        boolean tolerant = "all".equalsIgnoreCase(given.getOrDefault("errors.tolerance", "none"));
        if (tolerant && given.getOrDefault("errors.deadletterqueue.topic.name", "").isBlank()) {
            add(problems, "errors.tolerance",
                    "\"all\" without errors.deadletterqueue.topic.name would lose what is refused: name a topic, or "
                            + "let the task fail (none)");
        }
        if (!tolerant && !given.getOrDefault("errors.deadletterqueue.topic.name", "").isBlank()) {
            add(problems, "errors.deadletterqueue.topic.name",
                    "with errors.tolerance=none nothing ever comes there: set errors.tolerance=all");
        }
        if ("raw".equals(given.get(SinkConfig.FORMAT)) && !given.getOrDefault(SinkConfig.MAX_RECORDS, "1").equals("1")) {
            add(problems, SinkConfig.MAX_RECORDS, "is 1 with body.format=raw, whose requests are one record each");
        }
        Long interval = number(given.get(POLL_INTERVAL));
        Long timeout = number(given.getOrDefault(SinkConfig.REQUEST_TIMEOUT, "30000"));
        if (interval != null && timeout != null && interval < timeout + DataStreamsSinkTask.SENDING_MS) {
            add(problems, POLL_INTERVAL,
                    "must be at least http.request.timeout.ms + " + DataStreamsSinkTask.SENDING_MS
                            + ", or a slow answer costs the task its partitions");
        }
        return problems;
    }

    private static void add(Map<String, List<String>> problems, String name, String problem) {
        problems.computeIfAbsent(name, one -> new ArrayList<>()).add(problem);
    }

    private static Long number(String text) {
        return text != null && text.strip().matches("\\d{1,18}") ? Long.valueOf(text.strip()) : null;
    }
}

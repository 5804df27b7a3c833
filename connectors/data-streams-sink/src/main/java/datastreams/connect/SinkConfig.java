package datastreams.connect;

import static org.apache.kafka.common.config.ConfigDef.Importance.HIGH;
import static org.apache.kafka.common.config.ConfigDef.Importance.LOW;
import static org.apache.kafka.common.config.ConfigDef.Importance.MEDIUM;
import static org.apache.kafka.common.config.ConfigDef.NO_DEFAULT_VALUE;

import java.net.URI;
import java.net.URISyntaxException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.config.ConfigDef.Range;
import org.apache.kafka.common.config.ConfigDef.Type;
import org.apache.kafka.common.config.ConfigDef.ValidString;
import org.apache.kafka.common.config.ConfigException;
import org.apache.kafka.common.config.types.Password;

/** The sink's settings: one declaration for the checks, the worker's REST interface and the README's table. */
final class SinkConfig extends AbstractConfig {
    static final String URL = "http.url";
    static final String AUTHORIZATION = "http.authorization";
    static final String EXTRA_HEADERS = "http.headers";
    static final String CONNECT_TIMEOUT = "http.connect.timeout.ms";
    static final String REQUEST_TIMEOUT = "http.request.timeout.ms";
    static final String FORMAT = "body.format";
    static final String TEXT = "body.text";
    static final String CONTENT_TYPE = "body.content.type";
    static final String COMPRESSION = "body.compression";
    static final String MAX_RECORDS = "batch.max.size";
    static final String MAX_BYTES = "batch.max.bytes";
    static final String LINGER = "batch.linger.ms";
    static final String FORWARD = "headers.forward";
    static final String EXCLUDE = "headers.exclude";
    static final String BACKOFF = "retry.backoff.ms";
    static final String MAX_BACKOFF = "retry.backoff.max.ms";
    static final String SCOPE = "idempotency.scope";

    static final ConfigDef DEFINITION = new ConfigDef()
            .define(URL, Type.PASSWORD, NO_DEFAULT_VALUE, new UrlOfReceiver(), HIGH,
                    "The receiver's URL (`streams receivers url ID` prints it). Who knows it may send, so no log and no "
                            + "message has it; it may come from a config provider.")
            .define(AUTHORIZATION, Type.PASSWORD, "", MEDIUM,
                    "Value of the Authorization header, such as `Bearer …`, for a receiver that asks for one.")
            .define(EXTRA_HEADERS, Type.STRING, "", new HeaderLines(), LOW,
                    "Headers of every request, `Name: value`, separated by `|`. They become headers of the events.")
            .define(CONNECT_TIMEOUT, Type.LONG, 5_000L, Range.between(1, 120_000), LOW,
                    "How long a connection may take to be made.")
            .define(REQUEST_TIMEOUT, Type.LONG, 30_000L, Range.between(1, 120_000), MEDIUM,
                    "How long the whole answer to a request may take. Without one in this time the same records are "
                            + "sent again.")
            .define(FORMAT, Type.STRING, "json-array", ValidString.in("json-array", "ndjson", "raw"), HIGH,
                    "`json-array`: one JSON array a request. `ndjson`: one JSON value a line. `raw`: one record a "
                            + "request, its value as it is, of any type; for a receiver whose `split` is off, too.")
            .define(TEXT, Type.STRING, "json", ValidString.in("json", "string"), MEDIUM,
                    "What a text (or bytes) is in `json-array` and `ndjson`. `json`: JSON already; one that is not is a "
                            + "dead letter. `string`: any text, sent as a JSON string.")
            .define(CONTENT_TYPE, Type.STRING, "application/json", new ConfigDef.NonEmptyString(), LOW,
                    "Content-Type of `raw` requests.")
            .define(COMPRESSION, Type.STRING, "none", ValidString.in("none", "gzip"), LOW,
                    "`gzip` compresses the bodies of requests.")
            .define(MAX_RECORDS, Type.INT, 500, Range.between(1, 100_000), HIGH,
                    "Records of one partition in a request, at most. Above the consumer's `max.poll.records` (500) only "
                            + "together with that and with `batch.linger.ms`.")
            .define(MAX_BYTES, Type.INT, 1_000_000, Range.between(1, 100_000_000), MEDIUM,
                    "Bytes of a request's body before compression, at most; a larger record goes alone. Keep it below "
                            + "the gateway's STREAMS_MAX_BODY_BYTES (1 MiB).")
            .define(LINGER, Type.LONG, 50L, Range.between(0, 60_000), MEDIUM,
                    "How long a batch that is not full waits for more records. 0: sent as soon as the worker has given "
                            + "what it read.")
            .define(FORWARD, Type.LIST, "*", MEDIUM,
                    "Record headers that become headers of the request, and so of the events: names, `prefix*`, or `*` "
                            + "for all. Records whose forwarded headers differ are sent in different requests.")
            .define(EXCLUDE, Type.LIST, "", MEDIUM,
                    "Of those, the headers that do not: names or `prefix*`. Leave out what differs from record to "
                            + "record and is not needed (such as `traceparent`), or each record is a request.")
            .define(BACKOFF, Type.LONG, 500L, Range.between(1, 600_000), LOW,
                    "The first pause after a request that is to be sent again and was answered without Retry-After. "
                            + "Each further one is twice as long, give or take a quarter.")
            .define(MAX_BACKOFF, Type.LONG, 30_000L, Range.between(1, 600_000), LOW, "The longest such pause.")
            .define(SCOPE, Type.STRING, "", new ScopeName(), LOW,
                    "With topic, partition and offset it makes the event's id. By default the connector's name. The same "
                            + "for connectors that may send the same records; a new one for a topic that was made again.");

    final Batching batching;
    final BodyFormat format;

    SinkConfig(Map<String, String> given) {
        super(DEFINITION, given);
        format = BodyFormat.valueOf(getString(FORMAT).replace('-', '_').toUpperCase(Locale.ROOT));
        int records = format == BodyFormat.RAW ? 1 : getInt(MAX_RECORDS);
        batching = new Batching(records, getInt(MAX_BYTES), getLong(LINGER));
    }

    URI url() {
        return URI.create(getPassword(URL).value());
    }

    /** The connector's name where nothing is set, with what a scope cannot have as underscores. */
    String scope() {
        String given = getString(SCOPE);
        String scope = given.isEmpty() ? originalsStrings().getOrDefault("name", "connect") : given;
        String plain = scope.replaceAll("[^A-Za-z0-9._-]", "_");
        return plain.substring(0, Math.min(plain.length(), ScopeName.MAX_LENGTH));
    }

    boolean textIsJson() {
        return getString(TEXT).equals("json");
    }

    boolean gzip() {
        return getString(COMPRESSION).equals("gzip");
    }

    ForwardedHeaders forwarded() {
        return new ForwardedHeaders(getList(FORWARD), getList(EXCLUDE));
    }

    List<Field> extraHeaders() {
        return HeaderLines.parse(getString(EXTRA_HEADERS));
    }

    /** An absolute http or https URL; what is wrong with one is said without it, since it holds a secret. */
    private static final class UrlOfReceiver implements ConfigDef.Validator {
        @Override
        public void ensureValid(String name, Object value) {
            if (value == null) {
                return; // the definition says that it is missing
            }
            try {
                URI url = new URI(((Password) value).value());
                boolean http = "http".equalsIgnoreCase(url.getScheme()) || "https".equalsIgnoreCase(url.getScheme());
                if (http && url.getHost() != null && url.getUserInfo() == null && url.getFragment() == null) {
                    return;
                }
            } catch (URISyntaxException error) {
                throw new ConfigException(name + " is no URL: " + error.getReason() + " at " + error.getIndex());
            }
            throw new ConfigException(name + " must be an absolute http or https URL with a host, without user or fragment");
        }

        @Override
        public String toString() {
            return "http(s)://…";
        }
    }

    private static final class ScopeName implements ConfigDef.Validator {
        static final int MAX_LENGTH = 100;

        @Override
        public void ensureValid(String name, Object value) {
            if (!((String) value).matches("[A-Za-z0-9._-]{0," + MAX_LENGTH + "}")) {
                throw new ConfigException(name, value, "at most " + MAX_LENGTH + " of A-Z a-z 0-9 . _ -");
            }
        }

        @Override
        public String toString() {
            return "[A-Za-z0-9._-]{0," + MAX_LENGTH + "}";
        }
    }

    private static final class HeaderLines implements ConfigDef.Validator {
        @Override
        public void ensureValid(String name, Object value) {
            for (Field field : parse((String) value)) {
                if (!ForwardedHeaders.mayBeSent(field.name())) {
                    throw new ConfigException(name + ": \"" + field.name() + "\" is no header that can be set here");
                }
                if (!field.value().equals(ForwardedHeaders.visible(field.value()))) {
                    throw new ConfigException(name + ": the value of \"" + field.name() + "\" is not plain ASCII");
                }
            }
        }

        static List<Field> parse(String text) {
            List<Field> fields = new ArrayList<>();
            for (String line : text.split("\\|")) {
                if (!line.isBlank()) {
                    int colon = line.indexOf(':');
                    String value = colon < 0 ? "" : line.substring(colon + 1).strip();
                    fields.add(new Field(colon < 0 ? line : line.substring(0, colon).strip(), value));
                }
            }
            return fields;
        }

        @Override
        public String toString() {
            return "Name: value|Name: value";
        }
    }
}

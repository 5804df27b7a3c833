package datastreams.connect;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import org.apache.kafka.connect.data.Values;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.header.Headers;

/**
 * Which headers of a record become headers of its request, and how they look there.
 *
 * <p>Those that say how to read the request, where it goes or who sends it never do, whatever the settings: who may
 * write to a topic may not change the connector's requests.
 */
final class ForwardedHeaders {
    /** What the connector or HTTP itself sets; in lower case. */
    private static final Set<String> RESERVED = Set.of(
            "accept-encoding", "authorization", "connection", "content-encoding", "content-length", "content-type",
            "cookie", "date", "expect", "forwarded", "host", "idempotency-key", "keep-alive", "prefer",
            "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "via");
    /** CloudEvents' attributes would make the whole batch one event; the others are set by proxies and by us. */
    private static final List<String> RESERVED_PREFIXES = List.of("ce-", "x-forwarded-", "x-real-ip", "streams.");
    private static final String TOKEN = "!#$%&'*+-.^_`|~";
    private static final String HEX = "0123456789ABCDEF";

    private final List<String> forward;
    private final List<String> exclude;

    ForwardedHeaders(List<String> forward, List<String> exclude) {
        this.forward = forward.stream().map(ForwardedHeaders::lower).toList();
        this.exclude = exclude.stream().map(ForwardedHeaders::lower).toList();
    }

    /** In their order, repeated ones repeated. */
    List<Field> of(Headers headers) {
        if (headers.isEmpty() || forward.isEmpty()) {
            return List.of();
        }
        List<Field> fields = new ArrayList<>();
        for (Header header : headers) {
            String name = header.key();
            String lower = lower(name);
            if (matches(forward, lower) && !matches(exclude, lower) && mayBeSent(name)) {
                fields.add(new Field(name, visible(text(header))));
            }
        }
        return fields;
    }

    /** Whether HTTP can have a header of this name, and we leave it to others. */
    static boolean mayBeSent(String name) {
        String lower = lower(name);
        return !name.isEmpty()
                && name.chars().allMatch(ForwardedHeaders::isToken)
                && !RESERVED.contains(lower)
                && RESERVED_PREFIXES.stream().noneMatch(lower::startsWith);
    }

    /** The text with what a header's value cannot hold (controls, all but ASCII) percent-encoded as UTF-8. */
    static String visible(String text) {
        String bare = text.strip();
        if (bare.chars().allMatch(one -> one >= ' ' && one < 127)) {
            return bare;
        }
        StringBuilder out = new StringBuilder();
        for (byte one : bare.getBytes(StandardCharsets.UTF_8)) {
            if (one >= ' ' && one < 127) {
                out.append((char) one);
            } else {
                out.append('%').append(HEX.charAt(one >> 4 & 0xF)).append(HEX.charAt(one & 0xF));
            }
        }
        return out.toString();
    }

    private static String text(Header header) {
        Object value = header.value();
        if (value instanceof byte[] bytes) {
            return new String(bytes, StandardCharsets.UTF_8);
        }
        if (value instanceof ByteBuffer buffer) {
            return StandardCharsets.UTF_8.decode(buffer.duplicate()).toString();
        }
        String text = value instanceof String string ? string : Values.convertToString(header.schema(), value);
        return text == null ? "" : text;
    }

    private static boolean matches(List<String> patterns, String lower) {
        for (String pattern : patterns) {
            int before = pattern.length() - 1;
            if (pattern.endsWith("*") ? lower.startsWith(pattern.substring(0, before)) : lower.equals(pattern)) {
                return true;
            }
        }
        return false;
    }

    private static boolean isToken(int one) {
        return one >= '0' && one <= '9' || one >= 'a' && one <= 'z' || one >= 'A' && one <= 'Z' || TOKEN.indexOf(one) >= 0;
    }

    private static String lower(String name) {
        return name.strip().toLowerCase(Locale.ROOT);
    }
}

package datastreams.connect;

import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.util.OptionalLong;

/**
 * What the gateway said to a request.
 *
 * @param status of HTTP; 0 when there was no answer
 * @param retryAfterMs how long it asked to be left alone
 * @param detail the beginning of its body, or why there was no answer; never the URL
 */
record Answer(int status, OptionalLong retryAfterMs, String detail) {
    private static final long LONGEST_MS = Duration.ofHours(1).toMillis();

    static Answer none(String why) {
        return new Answer(0, OptionalLong.empty(), why);
    }

    /** What it means for the records of the request. */
    enum Meaning {
        /** Kafka has them. */
        ACCEPTED,
        /** Perhaps Kafka has them, perhaps not: the same ones are sent again. */
        AGAIN,
        /** One of them at least is not taken as it is: the fewer are sent together. */
        REFUSED,
        /** It is about the address or who asks, so it would be the same for every record: for a person to mend. */
        MISCONFIGURED
    }

    Meaning meaning() {
        if (status >= 200 && status < 300) {
            return Meaning.ACCEPTED;
        }
        return switch (status) {
            case 0, 408, 425, 429 -> Meaning.AGAIN;
            case 401, 403, 404, 405, 407, 410, 421 -> Meaning.MISCONFIGURED;
            default -> status >= 500 ? Meaning.AGAIN : status >= 400 ? Meaning.REFUSED : Meaning.MISCONFIGURED;
        };
    }

    /** For messages: such as `503: {"error": …}`. */
    String said() {
        return status == 0 ? "no answer (" + detail + ")" : status + ": " + detail;
    }

    /** A Retry-After, seconds or a date (RFC 9110, 10.2.3), as milliseconds from now; at most an hour. */
    static OptionalLong retryAfterMs(String value, Instant now) {
        String text = value.strip();
        if (text.matches("\\d{1,9}")) {
            return OptionalLong.of(Math.min(LONGEST_MS, Long.parseLong(text) * 1000));
        }
        try {
            Instant date = ZonedDateTime.parse(text, DateTimeFormatter.RFC_1123_DATE_TIME).toInstant();
            return OptionalLong.of(Math.max(0, Math.min(LONGEST_MS, Duration.between(now, date).toMillis())));
        } catch (DateTimeException error) {
            return OptionalLong.empty();
        }
    }
}

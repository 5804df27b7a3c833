package datastreams.connect;

import static org.junit.jupiter.api.Assertions.assertEquals;

import datastreams.connect.Answer.Meaning;
import java.time.Instant;
import java.util.OptionalLong;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AnswerTest {
    private static final Instant NOW = Instant.parse("2026-03-01T12:00:00Z");

    @ParameterizedTest
    @CsvSource({
        "200, ACCEPTED", "202, ACCEPTED", "204, ACCEPTED",
        "0, AGAIN", "408, AGAIN", "425, AGAIN", "429, AGAIN", "500, AGAIN", "502, AGAIN", "503, AGAIN", "507, AGAIN", "599, AGAIN",
        "400, REFUSED", "409, REFUSED", "413, REFUSED", "415, REFUSED", "422, REFUSED", "431, REFUSED", "418, REFUSED",
        "301, MISCONFIGURED", "307, MISCONFIGURED", "401, MISCONFIGURED", "403, MISCONFIGURED", "404, MISCONFIGURED",
        "405, MISCONFIGURED", "410, MISCONFIGURED",
    })
    void statusMeans(int status, Meaning meaning) {
        assertEquals(meaning, new Answer(status, OptionalLong.empty(), "").meaning());
    }

    @ParameterizedTest
    @CsvSource({"0, 0", "2, 2000", "' 120 ', 120000", "99999999, 3600000"})
    void retryAfterInSeconds(String value, long ms) {
        assertEquals(OptionalLong.of(ms), Answer.retryAfterMs(value, NOW));
    }

    @ParameterizedTest
    @CsvSource({"12:00:05, 5000", "11:59:00, 0", "23:00:00, 3600000"})
    void retryAfterAsADate(String time, long ms) {
        assertEquals(OptionalLong.of(ms), Answer.retryAfterMs("Sun, 01 Mar 2026 " + time + " GMT", NOW));
    }

    @ParameterizedTest
    @CsvSource({"soon", "-1", "1.5", "''", "9999999999"})
    void unreadableRetryAfterIsNone(String value) {
        assertEquals(OptionalLong.empty(), Answer.retryAfterMs(value, NOW));
    }

    @Test
    void pausesDoubleUpToTheLongest() {
        Backoff backoff = new Backoff(100, 1000, () -> 0.5);

        long[] pauses = new long[6];
        for (int n = 0; n < pauses.length; n++) {
            pauses[n] = backoff.next(OptionalLong.empty());
        }

        assertEquals("[100, 200, 400, 800, 1000, 1000]", java.util.Arrays.toString(pauses));
    }

    @ParameterizedTest
    @CsvSource({"0, 75", "1, 125"})
    void pausesDifferByAQuarter(double chance, long ms) {
        assertEquals(ms, new Backoff(100, 1000, () -> chance).next(OptionalLong.empty()));
    }

    @Test
    void retryAfterIsObeyedToTheMillisecond() {
        assertEquals(120_000, new Backoff(100, 1000, () -> 1).next(OptionalLong.of(120_000)));
    }

    @Test
    void pausesBeginAnewAfterAnAnswer() {
        Backoff backoff = new Backoff(100, 1000, () -> 0.5);
        backoff.next(OptionalLong.empty());
        backoff.next(OptionalLong.empty());

        backoff.reset();

        assertEquals(100, backoff.next(OptionalLong.empty()));
    }
}

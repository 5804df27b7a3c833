package datastreams.connect;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.nio.charset.StandardCharsets;
import org.apache.kafka.connect.errors.DataException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTextTest {
    @ParameterizedTest
    @ValueSource(strings = {
        "{}", "[]", "0", "-0", "1.5e+10", "-12.0E-3", "true", "false", "null", "\"\"", " {\"a\" : [1, {\"b\":[]}, \"c\"] } ",
        "\"\\u00e9 \\\\ \\\" \\/ \\b\\f\\n\\r\\t\"", "\"é 漢 😀\"", "12345678901234567890123", "[[],[[]],{}]", "{\"a\":1,\"a\":2}", "\t1\t",
    })
    void valueIsLeftAsItIs(String text) {
        byte[] bytes = bytes(text);

        assertSame(bytes, JsonText.oneLine(bytes));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "", " ", "{", "[", "[1", "[1,", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}", "1 2", "1,2", "[1],[2]",
        "{} {}", "nul", "nulll", "True", "NaN", "Infinity", "01", "-", "1.", ".5", "1e", "+1", "0x1", "'a'", "\"a", "\"\\x\"",
        "\"\\u12g4\"", "\"\\u12", "\"a\tb\"", "\"a\nb\"", "]", "[1}", "{\"a\":1]", "hello", "1]", "\uFEFF1",
    })
    void whatIsNotOneValueIsRefused(String text) {
        assertThrows(DataException.class, () -> JsonText.oneLine(bytes(text)));
    }

    @Test
    void endsOfLinesBetweenValuesBecomeSpaces() {
        byte[] line = JsonText.oneLine(bytes("{\r\n  \"a\": \"x\\ny\",\n  \"b\": 1\n}\n"));

        assertArrayEquals(bytes("{    \"a\": \"x\\ny\",   \"b\": 1 } "), line);
    }

    @ParameterizedTest
    @CsvSource({"900, true", "901, false"})
    void depthIsBounded(int depth, boolean taken) {
        byte[] text = bytes("[".repeat(depth) + "1" + "]".repeat(depth));

        if (taken) {
            assertSame(text, JsonText.oneLine(text));
        } else {
            assertThrows(DataException.class, () -> JsonText.oneLine(text));
        }
    }

    @Test
    void messageSaysWhatIsWrongAndWhere() {
        DataException error = assertThrows(DataException.class, () -> JsonText.oneLine(bytes("{\"a\":1} x")));

        assertEquals("The value is not JSON: there is more after the value at byte 8", error.getMessage());
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}

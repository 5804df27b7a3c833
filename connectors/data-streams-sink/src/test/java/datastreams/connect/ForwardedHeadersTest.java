package datastreams.connect;

import static datastreams.connect.Records.headers;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class ForwardedHeadersTest {
    private static final ForwardedHeaders ALL = new ForwardedHeaders(List.of("*"), List.of());

    @Test
    void allAreForwardedInOrderAndRepeated() {
        List<Field> fields = ALL.of(headers("b", "1", "a", "2", "b", "3"));

        assertEquals(List.of(new Field("b", "1"), new Field("a", "2"), new Field("b", "3")), fields);
    }

    @Test
    void namesAndPrefixesChooseWhateverTheirCase() {
        ForwardedHeaders some = new ForwardedHeaders(List.of("Tenant", "x-*"), List.of("X-Trace*", "x-id"));

        List<Field> fields = some.of(headers("tenant", "1", "X-Shop", "2", "x-trace-id", "3", "X-ID", "4", "other", "5"));

        assertEquals(List.of(new Field("tenant", "1"), new Field("X-Shop", "2")), fields);
    }

    @Test
    void noneAreForwardedByAnEmptyList() {
        assertEquals(List.of(), new ForwardedHeaders(List.of(), List.of()).of(headers("a", "1")));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "Authorization", "Content-Type", "content-encoding", "CONTENT-LENGTH", "Host", "Idempotency-Key", "Prefer", "Cookie",
        "Transfer-Encoding", "Connection", "Upgrade", "Expect", "X-Forwarded-For", "ce-id", "streams.id", "with space", "é", "a:b", "a\r\nb", "",
    })
    void whatWouldChangeTheRequestIsNotForwarded(String name) {
        assertEquals(List.of(), ALL.of(headers(name, "1")));
        assertFalse(ForwardedHeaders.mayBeSent(name));
    }

    @ParameterizedTest
    @ValueSource(strings = {"a", "X-Tenant", "__connect.errors.topic", "ce_id", "traceparent"})
    void ordinaryNamesAreForwarded(String name) {
        assertTrue(ForwardedHeaders.mayBeSent(name));
    }

    @ParameterizedTest
    @CsvSource({"plain text;,plain text;", "100%,100%", "'  spaced  ',spaced", "Žižkov,%C5%BDi%C5%BEkov", "'a\r\nb: c',a%0D%0Ab: c", "'',''"})
    void valueIsWhatAHeaderCanHold(String text, String value) {
        assertEquals(value, ForwardedHeaders.visible(text));
    }

    @Test
    void valuesOfOtherTypesAreTexts() {
        ConnectHeaders headers = new ConnectHeaders();
        headers.addBytes("bytes", "héllo".getBytes(StandardCharsets.UTF_8));
        headers.addLong("long", 7);
        headers.addBoolean("flag", true);
        headers.add("nothing", null, Schema.OPTIONAL_STRING_SCHEMA);
        headers.add("map", Map.of("a", 1), null);

        List<Field> fields = ALL.of(headers);

        assertEquals(List.of(new Field("bytes", "h%C3%A9llo"), new Field("long", "7"), new Field("flag", "true"),
                new Field("nothing", ""), new Field("map", "{\"a\":1}")), fields);
    }
}

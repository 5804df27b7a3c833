package datastreams.connect;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.kafka.connect.data.Date;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Time;
import org.apache.kafka.connect.data.Timestamp;
import org.apache.kafka.connect.errors.DataException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class JsonWriterTest {
    static Stream<Arguments> values() {
        return Stream.of(
                Arguments.of(null, "null"),
                Arguments.of(true, "true"),
                Arguments.of(Long.MAX_VALUE, "9223372036854775807"),
                Arguments.of((byte) -1, "-1"),
                Arguments.of(new BigInteger("123456789012345678901234567890"), "123456789012345678901234567890"),
                Arguments.of(new BigDecimal("1.10"), "1.10"),
                Arguments.of(1.5, "1.5"),
                Arguments.of(0.1f, "0.1"),
                Arguments.of("é \"quoted\" \\ \n\r\t\u0001\u2028😀", "\"é \\\"quoted\\\" \\\\ \\n\\r\\t\\u0001\u2028😀\""),
                Arguments.of("\ud800 alone \udc00", "\"\\ud800 alone \\udc00\""),
                Arguments.of(new byte[] {1, 2, 3}, "\"AQID\""),
                Arguments.of(ByteBuffer.wrap(new byte[] {1, 2, 3}), "\"AQID\""),
                Arguments.of(Arrays.asList(1, null, "a"), "[1,null,\"a\"]"),
                Arguments.of(List.of(), "[]"),
                Arguments.of(Map.of(), "{}"),
                Arguments.of(Map.of("a", List.of(Map.of("b", 1))), "{\"a\":[{\"b\":1}]}"),
                Arguments.of(Map.of(1, "one"), "[[1,\"one\"]]"),
                Arguments.of(new java.util.Date(1500), "1500"));
    }

    @ParameterizedTest
    @MethodSource("values")
    void valueWithoutSchemaIsJson(Object value, String json) {
        assertEquals(json, written(null, value));
    }

    @Test
    void structIsAnObjectWithAllItsFields() {
        Schema schema = SchemaBuilder.struct()
                .field("id", Schema.INT64_SCHEMA)
                .field("none", Schema.OPTIONAL_STRING_SCHEMA)
                .field("price", Decimal.schema(2))
                .field("day", Date.SCHEMA)
                .field("at", Time.SCHEMA)
                .field("seen", Timestamp.SCHEMA)
                .field("tags", SchemaBuilder.array(Schema.STRING_SCHEMA).build())
                .build();
        Struct value = new Struct(schema)
                .put("id", 7L)
                .put("price", new BigDecimal("19.90"))
                .put("day", Date.toLogical(Date.SCHEMA, 20_000))
                .put("at", Time.toLogical(Time.SCHEMA, 61_000))
                .put("seen", new java.util.Date(1_700_000_000_123L))
                .put("tags", List.of("a", "b"));

        String json = written(schema, value);

        assertEquals("{\"id\":7,\"none\":null,\"price\":19.90,\"day\":20000,\"at\":61000,\"seen\":1700000000123,"
                + "\"tags\":[\"a\",\"b\"]}", json);
    }

    @Test
    void datesInListsFollowTheSchemaOfTheElements() {
        Schema schema = SchemaBuilder.array(Date.SCHEMA).build();

        assertEquals("[1]", written(schema, List.of(Date.toLogical(Date.SCHEMA, 1))));
    }

    @ParameterizedTest
    @ValueSource(doubles = {Double.NaN, Double.POSITIVE_INFINITY})
    void whatJsonCannotSayIsRefused(double value) {
        assertThrows(DataException.class, () -> written(null, value));
    }

    @Test
    void unknownClassIsRefused() {
        assertThrows(DataException.class, () -> written(null, new Object()));
    }

    @Test
    void nestingWithoutEndIsRefused() {
        List<Object> endless = new ArrayList<>();
        endless.add(endless);

        assertThrows(DataException.class, () -> written(null, endless));
    }

    private static String written(Schema schema, Object value) {
        return new String(JsonWriter.bytes(schema, value), StandardCharsets.UTF_8);
    }
}

package datastreams.connect;

import java.math.BigDecimal;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.Collection;
import java.util.Map;
import org.apache.kafka.connect.data.Date;
import org.apache.kafka.connect.data.Field;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Time;
import org.apache.kafka.connect.data.Timestamp;
import org.apache.kafka.connect.errors.DataException;

/**
 * Connect's values as JSON on one line, as Connect's own JsonConverter writes them without schemas: decimals are
 * numbers, dates are days, times and timestamps milliseconds, bytes are Base64.
 */
final class JsonWriter {
    private static final int MAX_DEPTH = JsonText.MAX_DEPTH;
    private static final String HEX = "0123456789abcdef";

    private JsonWriter() {}

    /** UTF-8. Raises DataException for what JSON cannot say (NaN, an unknown class, a nesting without end). */
    static byte[] bytes(Schema schema, Object value) {
        StringBuilder out = new StringBuilder(256);
        write(out, schema, value, 0);
        return out.toString().getBytes(StandardCharsets.UTF_8);
    }

    private static void write(StringBuilder out, Schema schema, Object value, int depth) {
        if (depth > MAX_DEPTH) {
            throw new DataException("The value is nested deeper than " + MAX_DEPTH + " levels");
        }
        if (value == null) {
            out.append("null");
        } else if (value instanceof String || value instanceof Character) {
            quote(out, value.toString());
        } else if (value instanceof Struct struct) {
            struct(out, struct, depth);
        } else if (value instanceof Map<?, ?> map) {
            map(out, schema, map, depth);
        } else if (value instanceof Collection<?> list) {
            char before = '[';
            for (Object element : list) {
                out.append(before);
                write(out, schema == null ? null : schema.valueSchema(), element, depth + 1);
                before = ',';
            }
            out.append(before == '[' ? "[]" : "]");
        } else if (value instanceof Double || value instanceof Float) {
            if (!Double.isFinite(((Number) value).doubleValue())) {
                throw new DataException("JSON has no number " + value);
            }
            out.append(value);
        } else if (isWhole(value) || value instanceof BigDecimal || value instanceof Boolean) {
            out.append(value);
        } else if (value instanceof byte[] bytes) {
            quote(out, Base64.getEncoder().encodeToString(bytes));
        } else if (value instanceof ByteBuffer buffer) {
            byte[] bytes = new byte[buffer.remaining()];
            buffer.duplicate().get(bytes);
            quote(out, Base64.getEncoder().encodeToString(bytes));
        } else if (value instanceof java.util.Date date) {
            out.append(date(schema, date));
        } else {
            throw new DataException("A value of " + value.getClass().getName() + " cannot be sent as JSON");
        }
    }

    private static boolean isWhole(Object value) {
        return value instanceof Long || value instanceof Integer || value instanceof Short || value instanceof Byte
                || value instanceof BigInteger;
    }

    private static void struct(StringBuilder out, Struct struct, int depth) {
        char before = '{';
        for (Field field : struct.schema().fields()) {
            out.append(before);
            quote(out, field.name());
            out.append(':');
            write(out, field.schema(), struct.get(field), depth + 1);
            before = ',';
        }
        out.append(before == '{' ? "{}" : "}");
    }

    /** An object; a list of pairs where a key is no text. */
    private static void map(StringBuilder out, Schema schema, Map<?, ?> map, int depth) {
        boolean object = map.keySet().stream().allMatch(String.class::isInstance);
        Schema keys = schema == null ? null : schema.keySchema();
        Schema values = schema == null ? null : schema.valueSchema();
        char open = object ? '{' : '[';
        char before = open;
        for (Map.Entry<?, ?> entry : map.entrySet()) {
            out.append(before).append(object ? "" : "[");
            write(out, keys, entry.getKey(), depth + 1);
            out.append(object ? ':' : ',');
            write(out, values, entry.getValue(), depth + 1);
            out.append(object ? "" : "]");
            before = ',';
        }
        out.append(before == ',' ? "" : open).append(object ? '}' : ']');
    }

    private static long date(Schema schema, java.util.Date date) {
        String name = schema == null ? Timestamp.LOGICAL_NAME : String.valueOf(schema.name());
        return switch (name) {
            case Date.LOGICAL_NAME -> Date.fromLogical(schema, date);
            case Time.LOGICAL_NAME -> Time.fromLogical(schema, date);
            default -> date.getTime();
        };
    }

    private static void quote(StringBuilder out, String text) {
        out.append('"');
        for (int n = 0; n < text.length(); n++) {
            char one = text.charAt(n);
            switch (one) {
                case '"' -> out.append("\\\"");
                case '\\' -> out.append("\\\\");
                case '\n' -> out.append("\\n");
                case '\r' -> out.append("\\r");
                case '\t' -> out.append("\\t");
                default -> {
                    if (one < ' ' || Character.isSurrogate(one) && !paired(text, n)) {
                        out.append("\\u");
                        for (int shift = 12; shift >= 0; shift -= 4) {
                            out.append(HEX.charAt(one >> shift & 0xF));
                        }
                    } else {
                        out.append(one);
                    }
                }
            }
        }
        out.append('"');
    }

    private static boolean paired(String text, int at) {
        return Character.isHighSurrogate(text.charAt(at))
                ? at + 1 < text.length() && Character.isLowSurrogate(text.charAt(at + 1))
                : at > 0 && Character.isHighSurrogate(text.charAt(at - 1));
    }
}

package datastreams.connect;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.errors.DataException;
import org.apache.kafka.connect.sink.SinkRecord;

/** Makes an event of a record: the bytes that are sent, and the headers of its request. */
final class EventMaker {
    private final BodyFormat format;
    private final boolean textIsJson;
    private final ForwardedHeaders headers;

    EventMaker(BodyFormat format, boolean textIsJson, ForwardedHeaders headers) {
        this.format = format;
        this.textIsJson = textIsJson;
        this.headers = headers;
    }

    /** The record must have a value. Raises DataException when it cannot be sent in this format. */
    Event event(SinkRecord record, long nowMs) {
        return new Event(record, body(record.valueSchema(), record.value()), headers.of(record.headers()), nowMs);
    }

    private byte[] body(Schema schema, Object value) {
        byte[] text = text(value);
        if (text == null) {
            return JsonWriter.bytes(schema, value);
        }
        if (format == BodyFormat.RAW) {
            return text;
        }
        return textIsJson ? JsonText.oneLine(text) : JsonWriter.bytes(null, new String(text, StandardCharsets.UTF_8));
    }

    /** The bytes of a text or of bytes; null for other values. */
    private static byte[] text(Object value) {
        if (value instanceof String string) {
            return string.getBytes(StandardCharsets.UTF_8);
        }
        if (value instanceof ByteBuffer buffer) {
            byte[] bytes = new byte[buffer.remaining()];
            buffer.duplicate().get(bytes);
            return bytes;
        }
        return value instanceof byte[] bytes ? bytes : null;
    }
}

package datastreams.connect;

import java.io.ByteArrayOutputStream;
import java.util.List;

/** How the events of a batch are one body. */
enum BodyFormat {
    JSON_ARRAY("application/json"),
    NDJSON("application/x-ndjson"),
    RAW(null);

    private final String contentType;

    BodyFormat(String contentType) {
        this.contentType = contentType;
    }

    /** The Content-Type; `ofRaw` is what raw ones have. */
    String contentType(String ofRaw) {
        return contentType == null ? ofRaw : contentType;
    }

    /** The body of a request: every event's bytes, unchanged. */
    byte[] join(List<Event> events) {
        if (this == RAW) {
            return events.get(0).body();
        }
        int size = 2;
        for (Event event : events) {
            size += event.body().length + 1;
        }
        ByteArrayOutputStream body = new ByteArrayOutputStream(size);
        if (this == JSON_ARRAY) {
            body.write('[');
        }
        for (int n = 0; n < events.size(); n++) {
            if (n > 0) {
                body.write(this == JSON_ARRAY ? ',' : '\n');
            }
            body.writeBytes(events.get(n).body());
        }
        body.write(this == JSON_ARRAY ? ']' : '\n');
        return body.toByteArray();
    }
}

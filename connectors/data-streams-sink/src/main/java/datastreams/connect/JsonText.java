package datastreams.connect;

import java.util.BitSet;
import org.apache.kafka.connect.errors.DataException;

/**
 * Whether bytes are exactly one JSON value (RFC 8259).
 *
 * <p>A value that is none, or two, would change how many events the gateway sees in a batch, and so which record each
 * of them is. Bytes above 127 are not looked at: the gateway refuses what is not UTF-8.
 */
final class JsonText {
    /** Deeper values are refused by the gateway, too. */
    static final int MAX_DEPTH = 900;

    private final byte[] text;
    private int at;
    private int depth;
    private boolean broken;
    /** Of each level that is open, whether it is an object. */
    private final BitSet objects = new BitSet();

    private JsonText(byte[] text) {
        this.text = text;
    }

    /** The value on one line: the same bytes, with spaces for ends of lines. Raises DataException that says what is wrong. */
    static byte[] oneLine(byte[] text) {
        JsonText reader = new JsonText(text);
        reader.readAll();
        if (!reader.broken) {
            return text;
        }
        byte[] line = text.clone(); // in JSON an end of line is space between values, never part of one
        for (int n = 0; n < line.length; n++) {
            if (line[n] == '\n' || line[n] == '\r') {
                line[n] = ' ';
            }
        }
        return line;
    }

    private void readAll() {
        space();
        do {
            value();
        } while (more());
    }

    /** Reads a value, or the beginning of an array or object that has something in it. */
    private void value() {
        while (true) {
            switch (peek()) {
                case '{' -> {
                    if (open(true, '}')) {
                        name();
                        continue;
                    }
                }
                case '[' -> {
                    if (open(false, ']')) {
                        continue;
                    }
                }
                case '"' -> string();
                case 't' -> literal("true");
                case 'f' -> literal("false");
                case 'n' -> literal("null");
                default -> number();
            }
            return;
        }
    }

    /** After a value: whether another one follows. */
    private boolean more() {
        while (true) {
            space();
            if (depth == 0) {
                if (at < text.length) {
                    throw wrong("there is more after the value");
                }
                return false;
            }
            boolean object = objects.get(depth);
            int next = peek();
            at++;
            if (next == ',') {
                space();
                if (object) {
                    name();
                }
                return true;
            }
            if (next != (object ? '}' : ']')) {
                at--;
                throw wrong(object ? "expected \",\" or \"}\"" : "expected \",\" or \"]\"");
            }
            depth--;
        }
    }

    private boolean open(boolean object, char end) {
        at++;
        space();
        if (peek() == end) {
            at++;
            return false;
        }
        if (++depth > MAX_DEPTH) {
            throw wrong("nested deeper than " + MAX_DEPTH + " levels");
        }
        objects.set(depth, object);
        return true;
    }

    private void name() {
        if (peek() != '"') {
            throw wrong("expected a name in quotes");
        }
        string();
        space();
        if (peek() != ':') {
            throw wrong("expected \":\"");
        }
        at++;
        space();
    }

    private void string() {
        while (true) {
            at++;
            int next = peek();
            if (next == '"') {
                at++;
                return;
            }
            if (next == '\\') {
                at++;
                if (peek() == 'u') {
                    for (int n = 0; n < 4; n++) {
                        at++;
                        if (Character.digit(peek(), 16) < 0) {
                            throw wrong("expected four hexadecimal digits");
                        }
                    }
                } else if ("\"\\/bfnrt".indexOf(peek()) < 0) {
                    throw wrong("no such escape");
                }
            } else if (next >= 0 && next < ' ') {
                throw wrong("a control character in a string");
            }
        }
    }

    private void literal(String word) {
        for (int n = 0; n < word.length(); n++, at++) {
            if (at == text.length || text[at] != word.charAt(n)) {
                throw wrong("no JSON value");
            }
        }
    }

    private void number() {
        if (peek() == '-') {
            at++;
        }
        if (at < text.length && text[at] == '0') {
            at++;
        } else {
            digits();
        }
        if (at < text.length && text[at] == '.') {
            at++;
            digits();
        }
        if (at < text.length && (text[at] == 'e' || text[at] == 'E')) {
            at++;
            if (at < text.length && (text[at] == '+' || text[at] == '-')) {
                at++;
            }
            digits();
        }
    }

    private void digits() {
        int from = at;
        while (at < text.length && text[at] >= '0' && text[at] <= '9') {
            at++;
        }
        if (at == from) {
            throw wrong("no JSON value");
        }
    }

    private void space() {
        for (; at < text.length; at++) {
            byte next = text[at];
            if (next == '\n' || next == '\r') {
                broken = true;
            } else if (next != ' ' && next != '\t') {
                return;
            }
        }
    }

    private int peek() {
        if (at >= text.length) {
            throw wrong("it ends too early");
        }
        return text[at];
    }

    private DataException wrong(String what) {
        return new DataException("The value is not JSON: " + what + " at byte " + at);
    }
}

package datastreams.connect;

import java.util.OptionalLong;
import java.util.function.DoubleSupplier;

/** How long to wait before the same request is sent again: as long as was asked, else ever longer. */
final class Backoff {
    private final long firstMs;
    private final long longestMs;
    private final DoubleSupplier chance;
    private int failures;

    /** `chance` gives numbers from 0 to 1. */
    Backoff(long firstMs, long longestMs, DoubleSupplier chance) {
        this.firstMs = firstMs;
        this.longestMs = longestMs;
        this.chance = chance;
    }

    /** After one more failure. A Retry-After is obeyed to the millisecond; else give or take a quarter. */
    long next(OptionalLong retryAfterMs) {
        double pause = Math.min(longestMs, firstMs * Math.pow(2, Math.min(failures, 30)));
        failures++;
        return retryAfterMs.orElseGet(() -> Math.max(1, (long) (pause * (0.75 + chance.getAsDouble() / 2))));
    }

    void reset() {
        failures = 0;
    }
}

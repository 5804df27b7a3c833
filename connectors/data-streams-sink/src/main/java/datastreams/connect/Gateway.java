package datastreams.connect;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpTimeoutException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.OptionalLong;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Flow;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.zip.GZIPOutputStream;

/** The receiver over HTTP: one request at a time, whose answer or absence is a value, never an exception. */
final class Gateway {
    private final SinkConfig config;
    private final URI url;
    private final String scope;
    private final List<Field> fixed;
    private final Duration timeout;
    private final HttpClient http;

    Gateway(SinkConfig config) {
        this.config = config;
        url = config.url();
        scope = config.scope();
        fixed = config.extraHeaders();
        timeout = Duration.ofMillis(config.getLong(SinkConfig.REQUEST_TIMEOUT));
        http = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .executor(Runnable::run) // one request at a time has no use for threads that hand each other its parts
                .followRedirects(HttpClient.Redirect.NEVER)
                .proxy(ProxySelector.getDefault())
                .connectTimeout(Duration.ofMillis(config.getLong(SinkConfig.CONNECT_TIMEOUT)))
                .build();
    }

    /** Where it is, for messages; without the path, which holds the secret. */
    String address() {
        return url.getScheme() + "://" + url.getAuthority();
    }

    /** Compresses the body if it is set so. Takes at most the request's timeout, the reading of the answer included. */
    Answer send(Batch batch) throws InterruptedException {
        byte[] body = config.format.join(batch.events());
        HttpRequest request = request(batch, config.gzip() ? gzip(body) : body);
        long deadline = System.nanoTime() + timeout.toNanos();
        Beginning beginning = new Beginning();
        try {
            HttpResponse<Beginning> given = http.send(request, info -> beginning);
            String text = beginning.text(deadline - System.nanoTime());
            OptionalLong after = given.headers().firstValue("Retry-After")
                    .map(value -> Answer.retryAfterMs(value, Instant.now()))
                    .orElse(OptionalLong.empty());
            return new Answer(given.statusCode(), after, text);
        } catch (HttpConnectTimeoutException error) {
            return Answer.none(reason(error));
        } catch (HttpTimeoutException | TimeoutException error) {
            return Answer.none("nothing within " + timeout.toMillis() + " ms");
        } catch (IOException error) {
            return Answer.none(reason(error));
        } catch (ExecutionException error) {
            return Answer.none(reason(error.getCause()));
        } finally {
            beginning.giveUp();
        }
    }

    private HttpRequest request(Batch batch, byte[] body) {
        HttpRequest.Builder request = HttpRequest.newBuilder(url)
                .timeout(timeout) // until the answer begins
                .header("Content-Type", config.format.contentType(config.getString(SinkConfig.CONTENT_TYPE)))
                .header("Idempotency-Key", batch.places(scope))
                .POST(BodyPublishers.ofByteArray(body));
        if (config.gzip()) {
            request.header("Content-Encoding", "gzip");
        }
        String authorization = config.getPassword(SinkConfig.AUTHORIZATION).value();
        if (!authorization.isEmpty()) {
            request.header("Authorization", authorization);
        }
        fixed.forEach(field -> request.header(field.name(), field.value()));
        batch.headers().forEach(field -> request.header(field.name(), field.value()));
        return request.build();
    }

    static byte[] gzip(byte[] body) {
        ByteArrayOutputStream out = new ByteArrayOutputStream(body.length / 4 + 64);
        try (GZIPOutputStream zipped = new GZIPOutputStream(out, 64 * 1024)) {
            zipped.write(body);
        } catch (IOException error) {
            throw new UncheckedIOException(error); // an array takes all
        }
        return out.toByteArray();
    }

    private static String reason(Throwable cause) {
        String message = cause.getMessage();
        return cause.getClass().getSimpleName() + (message == null ? "" : ": " + message);
    }

    /**
     * Keeps the beginning of a body, for messages, and reads the rest away so that the connection can be used again.
     *
     * <p>The client gives it back as soon as the answer begins. So a request may be sent by `send`, which is
     * cheaper than `sendAsync` with its threads, and still the end of an answer is not waited for without end.
     */
    private static final class Beginning implements HttpResponse.BodySubscriber<Beginning> {
        private static final int KEPT = 1000;
        private final CompletableFuture<String> text = new CompletableFuture<>();
        private final ByteArrayOutputStream kept = new ByteArrayOutputStream();
        private volatile Flow.Subscription subscription;

        /** When all of it is there. */
        String text(long nanos) throws InterruptedException, ExecutionException, TimeoutException {
            return text.get(Math.max(0, nanos), TimeUnit.NANOSECONDS);
        }

        /** Closes the connection of a body that has not ended. */
        void giveUp() {
            if (!text.isDone() && subscription != null) {
                subscription.cancel();
            }
        }

        @Override
        public CompletionStage<Beginning> getBody() {
            return CompletableFuture.completedFuture(this);
        }

        @Override
        public void onSubscribe(Flow.Subscription given) {
            subscription = given;
            given.request(Long.MAX_VALUE);
        }

        @Override
        public void onNext(List<ByteBuffer> parts) {
            for (ByteBuffer part : parts) {
                byte[] bytes = new byte[Math.min(part.remaining(), KEPT - kept.size())];
                part.get(bytes);
                kept.writeBytes(bytes);
            }
        }

        @Override
        public void onError(Throwable error) {
            text.completeExceptionally(error);
        }

        @Override
        public void onComplete() {
            text.complete(kept.toString(StandardCharsets.UTF_8));
        }
    }
}

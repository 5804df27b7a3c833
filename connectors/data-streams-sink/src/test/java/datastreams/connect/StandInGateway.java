package datastreams.connect;

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import com.sun.net.httpserver.HttpsConfigurator;
import com.sun.net.httpserver.HttpsServer;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.Function;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.zip.GZIPInputStream;
import javax.net.ssl.SSLContext;

/** An HTTP server on this machine that answers as a test says, and keeps what came. */
final class StandInGateway implements AutoCloseable {
    private static final Pattern EVENT = Pattern.compile("\\{\"n\":(\\d+)[^}]*}");

    /** A request: `body` is inflated, `offsets` are those that its key names, `numbers` the n of its events. */
    record Request(Headers headers, String body, List<Long> offsets, List<Long> numbers) {
        String header(String name) {
            return headers.getFirst(name);
        }
    }

    record Reply(int status, Map<String, String> headers, String body) {
        /** Nothing is answered for as long as the gateway is open. */
        static final Reply NEVER = new Reply(0, Map.of(), "");
        /** A beginning, and then nothing. */
        static final Reply HALF = new Reply(-1, Map.of(), "");
        static final Reply OK = of(200);

        static Reply of(int status) {
            return new Reply(status, Map.of(), "said " + status);
        }
    }

    final List<Request> requests = new CopyOnWriteArrayList<>();
    volatile Function<Request, Reply> replies = request -> Reply.OK;
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final CountDownLatch closed = new CountDownLatch(1);
    private final String scheme;
    private final HttpServer server;

    StandInGateway() throws IOException {
        this(null);
    }

    /** Speaks TLS with this, unless it is null. */
    StandInGateway(SSLContext tls) throws IOException {
        InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        if (tls == null) {
            scheme = "http";
            server = HttpServer.create(address, 0);
        } else {
            scheme = "https";
            HttpsServer secure = HttpsServer.create(address, 0);
            secure.setHttpsConfigurator(new HttpsConfigurator(tls));
            server = secure;
        }
        server.setExecutor(threads);
        server.createContext("/in/secret", this::take);
        server.start();
    }

    String url() {
        return scheme + "://127.0.0.1:" + server.getAddress().getPort() + "/in/secret";
    }

    /** The numbers of the events of each request, in the order in which they came, whatever was answered. */
    List<List<Long>> batches() {
        return requests.stream().map(Request::numbers).toList();
    }

    @Override
    public void close() {
        closed.countDown();
        server.stop(0);
        threads.shutdownNow();
    }

    private void take(HttpExchange exchange) throws IOException {
        try (exchange) {
            byte[] sent = exchange.getRequestBody().readAllBytes();
            boolean zipped = "gzip".equals(exchange.getRequestHeaders().getFirst("Content-Encoding"));
            byte[] body = zipped ? new GZIPInputStream(new ByteArrayInputStream(sent)).readAllBytes() : sent;
            String text = new String(body, StandardCharsets.UTF_8);
            List<Long> numbers = EVENT.matcher(text).results().map(one -> Long.valueOf(one.group(1))).toList();
            String key = exchange.getRequestHeaders().getFirst("Idempotency-Key");
            Request request = new Request(exchange.getRequestHeaders(), text, offsets(key), numbers);
            requests.add(request);
            Reply reply = replies.apply(request);
            if (reply == Reply.NEVER) {
                closed.await();
                return;
            }
            reply.headers().forEach(exchange.getResponseHeaders()::set);
            if (reply == Reply.HALF) {
                exchange.sendResponseHeaders(200, 1000);
                exchange.getResponseBody().flush();
                closed.await();
                return;
            }
            byte[] answer = reply.body().getBytes(StandardCharsets.UTF_8);
            exchange.sendResponseHeaders(reply.status(), answer.length == 0 ? -1 : answer.length);
            exchange.getResponseBody().write(answer);
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
    }

    private static List<Long> offsets(String key) {
        List<Long> offsets = new ArrayList<>();
        String runs = key.substring(key.lastIndexOf('/') + 1);
        for (MatchResult run : Pattern.compile("(\\d+)(?:-(\\d+))?").matcher(runs).results().toList()) {
            long last = Long.parseLong(run.group(2) == null ? run.group(1) : run.group(2));
            for (long offset = Long.parseLong(run.group(1)); offset <= last; offset++) {
                offsets.add(offset);
            }
        }
        return offsets;
    }
}

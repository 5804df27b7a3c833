package datastreams.connect;

import static datastreams.connect.Records.numbered;
import static datastreams.connect.Records.record;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.util.List;
import java.util.stream.IntStream;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The same over TLS, whose work the client does in the thread that has the connections too. */
class TaskTlsTest extends TaskStage {
    private static final char[] PASSWORD = "changeit".toCharArray();

    @TempDir
    Path directory;

    private SSLContext before;

    @BeforeEach
    void trust() throws Exception {
        before = SSLContext.getDefault();
        SSLContext tls = tls(directory.resolve("gateway.p12"));
        SSLContext.setDefault(tls); // what the worker's JVM trusts
        gateway.close();
        gateway = new StandInGateway(tls);
    }

    @AfterEach
    void forget() {
        SSLContext.setDefault(before);
    }

    @Test
    void smallAndLargeRequestsFollowEachOtherOnOneConnection() {
        DataStreamsSinkTask task = task("batch.max.size", "1");

        for (int offset = 0; offset < 40; offset++) {
            String filler = "x".repeat(offset % 4 == 0 ? 1_000_000 : 10);
            task.put(List.of(record(0, offset, "{\"n\":" + offset + ",\"filler\":\"" + filler + "\"}")));
        }

        assertEquals(IntStream.range(0, 40).mapToObj(n -> List.of((long) n)).toList(), gateway.batches());
        assertEquals(40, committed(task, P0, 40));
    }

    @Test
    void answerThatDoesNotComeIsGivenUp() {
        DataStreamsSinkTask task = task("http.request.timeout.ms", "2000");
        gateway.replies = request -> StandInGateway.Reply.NEVER;

        task.put(List.of(numbered(0, 5)));

        assertEquals(List.of(List.of(5L)), gateway.batches());
        assertEquals(5, committed(task, P0, 6));
    }

    /** Of a certificate for 127.0.0.1 that is made here, and trusted. */
    private static SSLContext tls(Path file) throws IOException, InterruptedException, GeneralSecurityException {
        Path keytool = Path.of(System.getProperty("java.home"), "bin", "keytool");
        Process made = new ProcessBuilder(keytool.toString(), "-genkeypair", "-alias", "gateway", "-keyalg", "EC",
                        "-dname", "CN=gateway", "-ext", "SAN=IP:127.0.0.1", "-validity", "2", "-storetype", "PKCS12",
                        "-keystore", file.toString(), "-storepass", new String(PASSWORD))
                .redirectErrorStream(true)
                .start();
        String said = new String(made.getInputStream().readAllBytes());
        assertEquals(0, made.waitFor(), said);
        KeyStore store = KeyStore.getInstance(file.toFile(), PASSWORD);
        KeyManagerFactory keys = KeyManagerFactory.getInstance(KeyManagerFactory.getDefaultAlgorithm());
        keys.init(store, PASSWORD);
        TrustManagerFactory trusted = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trusted.init(store);
        SSLContext tls = SSLContext.getInstance("TLS");
        tls.init(keys.getKeyManagers(), trusted.getTrustManagers(), null);
        return tls;
    }
}

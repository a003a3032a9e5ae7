package tokenrequest;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Many requests that wait at the same time, for tests/bench.sh, in one JVM: the first argument is their number, the others
 * are those of each. For each line on stdin it prints {@code ENQUEUED PAUSES}: the requests that have an ID, and the pauses
 * between polls that have ended. The end of stdin ends it.
 */
public final class Waits {
    private Waits() { }

    public static void main(String... arguments) throws IOException {
        Path home = Files.createTempDirectory("waits");
        AtomicInteger enqueued = new AtomicInteger();
        AtomicInteger pauses = new AtomicInteger();
        TokenRequest.Sleeper sleeper = duration -> {
            Thread.sleep(duration.toMillis());
            pauses.incrementAndGet();
        };
        for (int i = 0; i < Integer.parseInt(arguments[0]); i++) {
            TokenRequest.Host host = Harness.host(InstantSource.system(), new SecureRandom(), sleeper, System.getenv(), home,
                InputStream.nullInputStream(), new PrintStream(OutputStream.nullOutputStream(), true, UTF_8),
                new PrintStream(new Lines("Token request enqueued.", enqueued), true, UTF_8));
            Thread wait = new Thread(() -> TokenRequest.run(Arrays.copyOfRange(arguments, 1, arguments.length), host,
                new TokenRequest.ShutdownGuard()));
            wait.setDaemon(true);
            wait.start();
        }
        BufferedReader questions = new BufferedReader(new InputStreamReader(System.in, UTF_8));
        while (questions.readLine() != null) {
            System.out.println(enqueued + " " + pauses);
        }
    }

    /** Counts the lines that begin so, and keeps nothing. */
    private static final class Lines extends OutputStream {
        private final String beginning;
        private final AtomicInteger count;
        private final StringBuilder line = new StringBuilder();

        Lines(String beginning, AtomicInteger count) {
            this.beginning = beginning;
            this.count = count;
        }

        @Override
        public synchronized void write(int b) {
            if (b != '\n') {
                line.append((char) b);
                return;
            }
            if (line.indexOf(beginning) == 0) {
                count.incrementAndGet();
            }
            line.setLength(0);
        }
    }
}

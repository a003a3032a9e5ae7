package tokenrequest;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.Arrays;

/**
 * Many requests that wait at the same time, for tests/bench.sh, in one JVM: the first argument is their number, the others
 * are those of each. What they print on stderr goes to stdout, a line at a time.
 */
public final class Waits {
    private Waits() { }

    public static void main(String... arguments) throws Exception {
        Path home = Files.createTempDirectory("waits");
        PrintStream said = System.out;
        for (int i = 0; i < Integer.parseInt(arguments[0]); i++) {
            TokenRequest.Host host = Harness.host(InstantSource.system(), new SecureRandom(),
                duration -> Thread.sleep(duration.toMillis()), System.getenv(), home, InputStream.nullInputStream(),
                new PrintStream(OutputStream.nullOutputStream(), true, UTF_8), said);
            new Thread(() -> TokenRequest.run(Arrays.copyOfRange(arguments, 1, arguments.length), host,
                new TokenRequest.ShutdownGuard())).start();
        }
    }
}

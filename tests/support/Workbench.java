// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedInputStream;
import java.io.BufferedReader;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.channels.Channels;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.Arrays;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * The tool and the embedded pool in one JVM that stays: a call costs milliseconds, where a process costs half a second.
 * Each call has an environment, a home, streams, a clock and state of its own; the working directory is this process's,
 * since Java cannot change it. Tests about the process itself (signals, descriptors, a terminal) start one.
 *
 * <p>Arguments: {@code CALLS PARENT}. CALLS is a named pipe; each line written to it names a file with the fields of one
 * call, each ended by a NUL. The answer, one line that begins with a status, goes to the named pipe beside that file,
 * {@code FILE.answer}. It ends when the process PARENT does.
 * <pre>
 * run MAIN STDIN STDOUT STDERR HOME NAME=VALUE... "" ARGUMENT...   answer: exit status
 * pool NAME STDERR ARGUMENT...                                     starts a pool; answer: 0 and what it prints
 * stop NAME                                                        ends it; answer: 0
 * </pre>
 */
final class Workbench {
    private final Map<String, LoopbackPool.Running> pools = new ConcurrentHashMap<>();

    private Workbench() { }

    public static void main(String... arguments) throws IOException {
        Path calls = Path.of(arguments[0]);
        ProcessHandle.of(Long.parseLong(arguments[1])).ifPresentOrElse(
            parent -> parent.onExit().thenRun(() -> Runtime.getRuntime().halt(0)), () -> Runtime.getRuntime().halt(0));
        Workbench workbench = new Workbench();
        // Opened for writing as well, the pipe never ends.
        try (BufferedReader lines = new BufferedReader(new InputStreamReader(
                Channels.newInputStream(Files.newByteChannel(calls, StandardOpenOption.READ,
                    StandardOpenOption.WRITE)), UTF_8))) {
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                Path call = Path.of(line);
                Thread thread = new Thread(() -> workbench.answer(call), line);
                thread.setDaemon(true);
                thread.start();
            }
        }
    }

    private void answer(Path call) {
        String answer;
        try {
            answer = perform(new ArrayDeque<>(Arrays.asList(Files.readString(call).split("\0", -1))));
        } catch (Exception | LinkageError e) {
            answer = "1 " + e;
        }
        try (PrintStream out = new PrintStream(new FileOutputStream(call + ".answer"), true, UTF_8)) {
            out.print(answer.replace('\n', ' ') + "\n");
        } catch (IOException e) {
            return; // whoever asked has gone
        }
    }

    private String perform(Deque<String> fields) throws IOException, GeneralSecurityException {
        fields.removeLast(); // what follows the last NUL
        return switch (fields.remove()) {
            case "run" -> Integer.toString(run(fields));
            case "pool" -> "0 " + pool(fields);
            case "stop" -> {
                LoopbackPool.Running pool = pools.remove(fields.remove());
                if (pool != null) {
                    pool.close();
                }
                yield "0";
            }
            default -> throw new IOException("no such call");
        };
    }

    private String pool(Deque<String> fields) throws IOException {
        String name = fields.remove();
        try (PrintStream err = new PrintStream(new FileOutputStream(fields.remove()), true, UTF_8)) {
            LoopbackPool.Running pool = LoopbackPool.start(err, fields.toArray(String[]::new));
            pools.put(name, pool);
            return pool.assignments();
        }
    }

    private static int run(Deque<String> fields) throws IOException, GeneralSecurityException {
        String main = fields.remove();
        try (InputStream in = new BufferedInputStream(new FileInputStream(fields.remove()));
                PrintStream out = new PrintStream(new FileOutputStream(fields.remove()), false, UTF_8);
                PrintStream err = new PrintStream(new FileOutputStream(fields.remove()), true, UTF_8)) {
            Path home = Path.of(fields.remove());
            Map<String, String> environment = new HashMap<>();
            for (String variable = fields.remove(); !variable.isEmpty(); variable = fields.remove()) {
                int equals = variable.indexOf('=', 1);
                environment.put(variable.substring(0, equals), variable.substring(equals + 1));
            }
            String[] arguments = fields.toArray(String[]::new);
            TokenRequest.Host host = Harness.host(InstantSource.system(), new SecureRandom(),
                duration -> Thread.sleep(duration.toMillis()), environment, home, in, out, err);
            int status = switch (main) {
                case "TokenRequest" -> TokenRequest.run(arguments, host, new TokenRequest.ShutdownGuard());
                case "Harness" -> TokenRequest.run(arguments, Harness.still(host), new TokenRequest.ShutdownGuard());
                case "ShowConfiguration" -> ShowConfiguration.run(List.of(arguments), host);
                default -> throw new IOException("no such program: " + main);
            };
            out.flush();
            return status;
        }
    }
}

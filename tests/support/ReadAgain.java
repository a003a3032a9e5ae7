// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import java.util.TreeMap;

/**
 * Reads a file as often as it is told, as one that the user names, and prints how often that came to what: the count, and
 * the content or the kind of exception. Arguments: {@code FILE TIMES}.
 */
final class ReadAgain {
    private ReadAgain() { }

    public static void main(String... arguments) {
        TokenRequest.Host host = TokenRequest.Host.real();
        TokenRequest.InputFiles files = new TokenRequest.InputFiles(host,
            new TokenRequest.Deadline(host.clock(), Duration.ofSeconds(90)), warning -> { });
        Map<String, Integer> results = new TreeMap<>();
        for (int i = Integer.parseInt(arguments[1]); i > 0; i--) {
            results.merge(result(files, Path.of(arguments[0])), 1, Integer::sum);
        }
        results.forEach((result, count) -> System.out.println(count + " " + result));
    }

    private static String result(TokenRequest.InputFiles files, Path file) {
        try {
            return new String(files.read(file, TokenRequest.FileOrigin.USER, TokenRequest.FilePurpose.TRUST, 1 << 16).bytes(),
                UTF_8)
                .strip();
        } catch (IOException e) {
            return e instanceof TokenRequest.InputFiles.RefusedFileException refused
                && refused.getReason().startsWith("was replaced")
                ? "replaced" : e.getClass().getSimpleName();
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import java.io.IOException;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Set;
import java.util.stream.Collectors;

/**
 * Who can change what lies at each path, a line each: {@code PATH: TYPE; way: WEAKNESS; thing: WEAKNESS}. Arguments:
 * {@code [-nofollow] UID,UID... PATH...}, the users trusted first.
 */
final class ShowPathTrust {
    private ShowPathTrust() { }

    public static void main(String... arguments) {
        LinkOption[] options = arguments[0].equals("-nofollow") ? new LinkOption[] {LinkOption.NOFOLLOW_LINKS}
            : new LinkOption[0];
        Set<Integer> trusted = Arrays.stream(arguments[options.length].split(",")).map(Integer::valueOf)
            .collect(Collectors.toSet());
        for (String path : Arrays.asList(arguments).subList(options.length + 1, arguments.length)) {
            System.out.println(line(Path.of(path), trusted, options));
        }
    }

    private static String line(Path path, Set<Integer> trusted, LinkOption... options) {
        try {
            TokenRequest.PathTrust trust = TokenRequest.PathTrust.of(path, trusted, options);
            return trust.path() + ": " + trust.entry().map(entry -> entry.type().words()).orElse("nothing")
                + trust.onPath().map(weakness -> "; way: " + weakness).orElse("")
                + trust.atEnd().map(weakness -> "; thing: " + weakness).orElse("");
        } catch (IOException e) {
            return path + ": " + e.getClass().getSimpleName();
        }
    }
}

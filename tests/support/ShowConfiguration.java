// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.attribute.UserPrincipal;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/**
 * What {@code -config NAME} says, to an ordinary user, whoever runs it; root has no configuration of his own. Prints a
 * line of JSON for each. Arguments: {@code [-local-name NAME] [-as-root] [NAME...]}, the first for a daemon's view.
 */
final class ShowConfiguration {
    private ShowConfiguration() { }

    public static void main(String... arguments) throws IOException {
        System.exit(run(List.of(arguments), TokenRequest.Host.real()));
    }

    /** Returns the exit status. */
    static int run(List<String> arguments, TokenRequest.Host machine) throws IOException {
        Deque<String> words = new ArrayDeque<>(arguments);
        String localName = "";
        Optional<UserPrincipal> user = Optional.empty();
        OptionalInt uid = OptionalInt.empty();
        while (!words.isEmpty() && words.element().startsWith("-")) {
            if (words.remove().equals("-local-name")) {
                localName = words.remove();
            } else {
                user = Optional.of(FileSystems.getDefault().getUserPrincipalLookupService().lookupPrincipalByName("root"));
                uid = OptionalInt.of(0);
            }
        }
        TokenRequest.Host host = new TokenRequest.Host(machine.clock(), machine.random(), machine.sleeper(),
            machine.environment(), machine.name(), machine.home(), user, uid, machine.invocation(), machine.in(), machine.out(),
            machine.err(), machine.terminal(), machine.platform());
        try {
            TokenRequest.Configuration configuration = TokenRequest.Configuration.read(host, localName,
                new TokenRequest.Deadline(host.clock(), Duration.ZERO));
            configuration.warnings().forEach(host.err()::println);
            TokenRequest.ConsoleWriter reporter = new TokenRequest.ConsoleWriter(host, true);
            configuration.shown(List.copyOf(words)).forEach(reporter::configured);
            return 0;
        } catch (TokenRequest.CommandException failure) {
            return new TokenRequest.ConsoleWriter(host, false).failed(failure);
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.ArrayList;
import java.util.Arrays;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Predicate;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.SSLException;

/**
 * What TokenRequest says to each case of the table that certificates.sh makes. It shakes hands, in memory, with a server
 * that shows the chain, as it does within HTCondor's protocol, and with the same settings and options.
 *
 * <p>Arguments: the directory. Prints {@code yes|CASE} or {@code no|CASE}, or {@code broken|CASE} where it did not
 * come to a judgement; then why, indented. How long each took, in ms, is in the file {@code times} there.
 */
final class JudgeCertificates {
    private final Path directory;
    private final SecureRandom random = new SecureRandom();

    private JudgeCertificates(Path directory) {
        this.directory = directory;
    }

    public static void main(String... arguments) throws Exception {
        JudgeCertificates judge = new JudgeCertificates(Path.of(arguments[0]));
        List<String> times = new ArrayList<>();
        for (String line : Files.readAllLines(judge.directory.resolve("cases"))) {
            long start = System.nanoTime();
            judge.judge(line.split("\\|", -1));
            times.add((System.nanoTime() - start) / 1_000_000 + "|" + line.split("\\|")[0]);
        }
        Files.write(judge.directory.resolve("times"), times);
    }

    /** @param row CASE, HOST, TRUSTED, SHOWN, and what is expected */
    private void judge(String[] row) throws GeneralSecurityException, IOException {
        try {
            TokenRequest.ServerTrust trust = trust(row[2]);
            String failure = handshake(trust.engine(row[1], TokenRequest.ServerTrust.CertificateUse.LOGIN),
                server(row[3].split(",")));
            tell(trust.rejection().isPresent() ? "no" : failure.isEmpty() ? "yes" : "broken", row[0],
                trust.rejection().orElse(failure));
        } catch (TokenRequest.CommandException failure) { // the file of -cafile is of no use
            tell("no", row[0], failure.getMessage());
        } catch (RuntimeException bug) {
            tell("broken", row[0], bug.toString());
        }
    }

    private static void tell(String verdict, String name, String why) {
        System.out.println(verdict + "|" + name);
        if (!why.isEmpty()) {
            System.out.println("    " + why.replace("\n", "\n    "));
        }
    }

    // ---- The client ----

    private TokenRequest.ServerTrust trust(String trusted) throws TokenRequest.CommandException, GeneralSecurityException,
        IOException {
        boolean asked = trusted.equals("asked");
        Map<String, String> environment = new HashMap<>(Map.of("CONDOR_CONFIG", "ONLY_ENV",
            "_CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS", "false",
            "_CONDOR_SEC_KNOWN_HOSTS", Files.createTempDirectory(directory, "known").resolve("hosts").toString(),
            "_CONDOR_BOOTSTRAP_SSL_SERVER_TRUST", Boolean.toString(asked)));
        TokenRequest.Host real = TokenRequest.Host.real();
        TokenRequest.Host host = new TokenRequest.Host(real.clock(), real.random(), real.sleeper(), environment,
            real.name(), real.home(), real.user(), real.uid(), real.invocation(), real.in(), real.out(), real.err(),
            real.terminal(), real.platform());
        TokenRequest.Deadline deadline = new TokenRequest.Deadline(host.clock(), Duration.ZERO);
        TokenRequest.Configuration configuration = TokenRequest.Configuration.read(host, deadline);
        return new TokenRequest.ServerTrust(new TokenRequest.Context(configuration, host, TokenRequest.DebugLog.off(),
            asked ? new TokenRequest.TrustOptions(Optional.empty(), Set.of()) : anchors(trusted.split(":")),
            deadline, new TokenRequest.InputFiles(host, deadline, warning -> { }), new Silent()));
    }

    private TokenRequest.TrustOptions anchors(String... words) throws GeneralSecurityException, IOException {
        if (words[0].equals("fp")) {
            try (InputStream in = Files.newInputStream(file(words[1]))) {
                return new TokenRequest.TrustOptions(Optional.empty(), Set.of(TokenRequest.ServerTrust.fingerprint(
                    (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in))));
            }
        }
        return new TokenRequest.TrustOptions(Optional.of(joined("trusted.pem", words[1].split(",")).toString()), Set.of());
    }

    /** Prints nothing and has no terminal. */
    private static final class Silent implements TokenRequest.UserInterface {
        @Override
        public void notice(String line) { }

        @Override
        public void warn(String text) { }

        @Override
        public Optional<String> ask(List<String> question, Predicate<String> isValid) {
            return Optional.empty();
        }

        @Override
        public void credential(String kind, String words) { }
    }

    // ---- The server ----

    private SSLEngine server(String... shown) throws GeneralSecurityException, IOException {
        SSLEngine engine = LoopbackPool.Identity.read(joined("shown.pem", shown), directory.resolve(shown[0] + ".key"))
            .server(random).createSSLEngine();
        engine.setUseClientMode(false);
        return engine;
    }

    private Path joined(String name, String... parts) throws IOException {
        Path whole = directory.resolve(name);
        try (OutputStream out = Files.newOutputStream(whole)) {
            for (String part : parts) {
                Files.copy(file(part), out);
            }
        }
        return whole;
    }

    private Path file(String name) {
        return directory.resolve(name + ".pem");
    }

    /** Why they did not come together; empty if they did. */
    private static String handshake(SSLEngine client, SSLEngine server) {
        ByteBuffer toServer = ByteBuffer.allocate(1 << 17).flip();
        ByteBuffer toClient = ByteBuffer.allocate(1 << 17).flip();
        try {
            client.beginHandshake();
            for (int idle = 0; idle < 2; idle++) {
                if (step(client, toClient, toServer) | step(server, toServer, toClient)) {
                    idle = -1;
                }
            }
            return client.getHandshakeStatus() == HandshakeStatus.NOT_HANDSHAKING
                && !client.getSession().getProtocol().equals("NONE") ? "" : "neither goes on";
        } catch (SSLException e) {
            return e.getMessage();
        }
    }

    /** @return whether anything was done */
    private static boolean step(SSLEngine engine, ByteBuffer from, ByteBuffer to) throws SSLException {
        switch (engine.getHandshakeStatus()) {
            case NEED_TASK -> {
                engine.getDelegatedTask().run();
                return true;
            }
            case NEED_WRAP -> {
                to.compact();
                int produced = engine.wrap(ByteBuffer.allocate(0), to).bytesProduced();
                to.flip();
                return produced > 0;
            }
            default -> {
                return from.hasRemaining()
                    && engine.unwrap(from, ByteBuffer.allocate(1 << 15)).bytesConsumed() > 0;
            }
        }
    }
}

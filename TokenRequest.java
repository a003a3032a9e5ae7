///usr/bin/env jbang "$0" "$@" ; exit $?
// SPDX-License-Identifier: Apache-2.0
//DESCRIPTION Gets a token from an HTCondor pool, on a machine that has nothing of HTCondor installed.
//JAVA 17+
//DEPS info.picocli:picocli:4.7.7
//DEPS com.fasterxml.jackson.core:jackson-databind:2.23.0
//DEPS io.jsonwebtoken:jjwt-api:0.13.0
//DEPS io.jsonwebtoken:jjwt-impl:0.13.0
//COMPILE_OPTIONS -Xlint:all
//RUNTIME_OPTIONS -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -Xshare:auto -Xmx64m

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.jsonwebtoken.Claims;
import io.jsonwebtoken.JwtException;
import io.jsonwebtoken.Jwts;
import io.jsonwebtoken.io.AbstractDeserializer;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.EOFException;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.Reader;
import java.io.StringReader;
import java.math.BigInteger;
import java.net.ConnectException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.URLDecoder;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserPrincipal;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.cert.CertPathBuilderException;
import java.security.cert.CertificateException;
import java.security.cert.CertificateExpiredException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.interfaces.ECPrivateKey;
import java.security.interfaces.ECPublicKey;
import java.security.spec.ECFieldFp;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.security.spec.ECPoint;
import java.security.spec.ECPublicKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.ZoneId;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collections;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;
import java.util.SortedMap;
import java.util.Stack;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.Mac;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.SSLEngineResult.Status;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;
import picocli.CommandLine;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Model.PositionalParamSpec;

/**
 * Requests a token from an HTCondor daemon, waits until an administrator approves it, and delivers it.
 *
 * <pre>{@code
 * $ jbang TokenRequest.java -pool cm.example.org -identity alice@example.org -authz READ -lifetime 600
 * Token request enqueued.  Ask an administrator to please approve request 6108900.
 * eyJhbGciOiJIUzI1NiIsImtpZCI6IlBPT0wifQ.eyJpYX...ii7lAfCA
 * }</pre>
 *
 * <p>The first line of the answer goes to stderr, at once; the token, and nothing else, goes to stdout, or to a file
 * with {@code -token} or {@code -file}. It does what {@code condor_token_request} does, over HTCondor's own protocol.
 */
public final class TokenRequest {

    /*
     * Overview, for those who change this file.
     *
     * Goals, in this order: a token that the pool has issued is never lost; nobody but the pool and the user reads it;
     * whoever calls the command from a script needs no tricks.
     *
     * How a request goes. One TCP connection carries one command. On the first, the two sides exchange policies, agree
     * on a method of authentication and run it, and come to a session key; everything after is AES-256-GCM. Then comes
     * the request; its answer is a request ID, or, if a rule of the pool approves it, the token. Each poll is a
     * connection of its own that resumes the session, one round trip. The poll that returns the token makes the pool
     * forget it, so from the sending of a poll to the end of the writing, signals wait (Handover).
     *
     * Whom the session key belongs to. HTCondor's ECDH exchange is not tied to the authentication after it: somebody
     * between the two sides can swap the keys, pass the authentication on, and read the session, certificate or not. So
     * there are two kinds of connection, chosen before anything is negotiated (Security.plan):
     *   bound     without ECDH. The server sends the session key through the authenticated channel; only methods that
     *             have one (SSL) are offered, and every deviation ends the connection.
     *   unbound   with ECDH, for the methods that have no such channel (IDTOKENS, FS, CLAIMTOBE, ANONYMOUS).
     *
     * Packages. picocli reads the command line (ArgumentParser, nowhere else); jjwt, with jackson-databind for its
     * JSON, reads tokens (IssuedToken, nowhere else). Rejected: a TLS library or a JSON writer of our own; HTTP.
     *
     * The order is that of the data. A room calls those above it in the lists of vocabulary (2 to 4, 8 to 10) and those
     * below it that it is given; no room knows one that is used later in the story, only `run` knows them all.
     *
     *    1. Program: from arguments to an exit status
     *    2. Host: the world outside, replaceable in tests
     *    3. Failure: the ways to end badly, and their exit statuses
     *    4. Values: what the rooms hand to each other
     *    5. ArgumentParser: the command line
     *    6. Configuration: HTCondor's settings
     *    7. Location: from the name of a pool to addresses
     *    8. Wire: every number, name and limit of the protocol, with its source
     *    9. ClassAd: the attribute lists that requests and replies consist of
     *   10. Message: integers, strings and ads, to and from bytes
     *   11. CedarStream: messages over a connection, in the clear and then sealed
     *   12. Keys: how the two sides come to a session key
     *   13. Authenticator: the methods, one class each
     *   14. Security: policies, the choice of a method, sessions and their resumption
     *   15. NetworkClient: the two token commands
     *   16. Poller: ask, wait, ask again
     *   17. Writer: the token to its destination, the story to the user
     */

    // ==== 1. Program: from arguments to an exit status ====

    public static void main(String... args) {
        Handover handover = new Handover();
        Host host = Host.real();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> handover.close(host.err()), "handover"));
        System.exit(run(args, host, handover));
    }

    /** Runs the command and returns its exit status, one of {@link Reason}, or 0. */
    static int run(String[] args, Host host, Handover handover) {
        Writer writer = new Writer(host);
        try {
            Optional<Options> options = new ArgumentParser().parse(args);
            if (options.isEmpty()) {
                writer.help(ArgumentParser.help());
            } else {
                request(options.get(), host, handover, writer);
            }
            return 0;
        } catch (Failure failure) {
            return writer.failed(failure);
        } finally {
            handover.leave();
        }
    }

    /** The story: check where the token is to go, ask for it, wait for it, deliver it. */
    private static void request(Options options, Host host, Handover handover, Writer writer) throws Failure {
        Configuration configuration = Configuration.fromEnvironment(host.environment());
        Trace trace = Trace.of(options.debug(), configuration, host);
        Destination destination = writer.prepare(options.output(), TokenDirectory.of(configuration, host));
        Target target = new Location(configuration, trace).find(options.pool());

        Security security = new Security(target, configuration, host, trace, writer::notice);
        TokenService pool = new NetworkClient(security, target, configuration, host, handover, trace, writer::notice);
        Answer answer = pool.start(options.order());
        Secret token = answer instanceof Answer.Issued issued ? issued.token() : await(pool, answer, host, writer);
        writer.deliver(token, destination);
    }

    private static Secret await(TokenService pool, Answer answer, Host host, Writer writer) throws Failure {
        Ticket ticket = ((Answer.Enqueued) answer).ticket();
        writer.enqueued(ticket);
        return new Poller(pool, host.clock(), host.sleeper(), host.random(), Poller.PATIENCE, writer::notice)
            .await(ticket);
    }

    // ==== 2. Host: the world outside, replaceable in tests ====

    /**
     * What the program takes from the machine it runs on.
     *
     * @param environment the environment variables
     * @param name        the machine's name, for the client ID
     * @param home        the user's home by the password database, as HTCondor takes it, not by $HOME; empty if unknown
     * @param user        the owner that files of this user have
     * @param out         where the token goes
     * @param err         where everything else goes
     */
    record Host(InstantSource clock, SecureRandom random, Sleeper sleeper, Map<String, String> environment, String name,
                Optional<Path> home, Optional<UserPrincipal> user, PrintStream out, PrintStream err) {

        /** The machine as it is. */
        static Host real() {
            return new Host(InstantSource.system(), new SecureRandom(), duration -> Thread.sleep(duration.toMillis()),
                System.getenv(), machineName(),
                Optional.of(System.getProperty("user.home")).filter(home -> home.startsWith("/")).map(Path::of),
                owner(), new PrintStream(new FileOutputStream(FileDescriptor.out), false, UTF_8),
                new PrintStream(new FileOutputStream(FileDescriptor.err), true, UTF_8));
        }

        /** Whether this is root, who has no token directory of its own but the system's. */
        boolean isRoot() {
            return user.filter(owner -> owner.getName().equals("root")).isPresent();
        }

        /** Bytes that nobody can guess, as lower-case hex. */
        String randomHex(int bytes) {
            byte[] value = new byte[bytes];
            random.nextBytes(value);
            return HexFormat.of().formatHex(value);
        }

        /** The kernel's word where there is one: Java's own look-up asks the name service, which may take its time. */
        private static String machineName() {
            try {
                return Files.readString(Path.of("/proc/sys/kernel/hostname")).strip();
            } catch (IOException e) {
                return Optional.ofNullable(System.getenv("HOSTNAME")).orElse("localhost");
            }
        }

        private static Optional<UserPrincipal> owner() {
            Path self = Path.of("/proc/self");
            try {
                return Optional.of(Files.exists(self) ? Files.getOwner(self)
                    : self.getFileSystem().getUserPrincipalLookupService()
                        .lookupPrincipalByName(System.getProperty("user.name")));
            } catch (IOException | UnsupportedOperationException e) {
                return Optional.empty();
            }
        }
    }

    /** How the program waits. */
    interface Sleeper {
        void sleep(Duration duration) throws InterruptedException;
    }

    /**
     * Keeps a signal from ending the program while a token may be on its way: held from the moment a request for it is
     * sent until the answer proves to hold none, or the token is where it belongs.
     */
    static final class Handover {
        /** How long a signal waits at most: an exchange in flight has a deadline of its own, a little shorter. */
        private static final Duration LIMIT = Duration.ofSeconds(30);
        private final ReentrantLock busy = new ReentrantLock();

        /** From here on, a signal waits. After the program was told to end, never returns. */
        void enter() {
            busy.lock();
        }

        /** From here on, a signal ends the program at once. Harmless if it was not waiting. */
        void leave() {
            while (busy.isHeldByCurrentThread()) {
                busy.unlock();
            }
        }

        /** Waits until nothing is in flight, and keeps anything new from starting. */
        void close(PrintStream err) {
            try {
                if (!busy.tryLock(1, TimeUnit.SECONDS)) {
                    err.println("Interrupted; waiting for an answer under way, since it may hold the token.");
                    busy.tryLock(LIMIT.toSeconds(), TimeUnit.SECONDS);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** What {@code -debug} shows: one line a step, on stderr, in the form of HTCondor's own logs. Never a secret. */
    static final class Trace {
        static final String HOSTNAME = "D_HOSTNAME";
        static final String NETWORK = "D_NETWORK";
        static final String SECURITY = "D_SECURITY";
        static final String COMMAND = "D_COMMAND";
        /** Shows nothing. */
        static final Trace OFF = new Trace(category -> false, line -> { }, InstantSource.system());

        private static final DateTimeFormatter STAMP =
            DateTimeFormatter.ofPattern("MM/dd/yy HH:mm:ss", Locale.ROOT).withZone(ZoneId.systemDefault());
        private final Predicate<String> wanted;
        private final Consumer<String> lines;
        private final InstantSource clock;

        private Trace(Predicate<String> wanted, Consumer<String> lines, InstantSource clock) {
            this.wanted = wanted;
            this.lines = lines;
            this.clock = clock;
        }

        /**
         * The trace that the user asked for.
         *
         * @param flags empty for none at all; otherwise the text after {@code -debug:}, which is blank for a plain
         *              {@code -debug}: then TOOL_DEBUG or DEFAULT_DEBUG say what is shown, else everything is
         */
        static Trace of(Optional<String> flags, Configuration configuration, Host host) {
            if (flags.isEmpty()) {
                return OFF;
            }
            String words = flags.filter(text -> !text.isBlank())
                .or(() -> configuration.text("TOOL_DEBUG")).or(() -> configuration.text("DEFAULT_DEBUG"))
                .orElse("D_ALL").toUpperCase(Locale.ROOT);
            Set<String> categories = Arrays.stream(words.split("[,|\\s]+"))
                .map(word -> word.replaceFirst(":[0-9]$", "")).collect(Collectors.toSet());
            boolean all = !Collections.disjoint(categories, Set.of("D_ALL", "D_ANY", "D_FULLDEBUG"));
            return new Trace(category -> all || categories.contains(category), host.err()::println, host.clock());
        }

        void log(String category, Supplier<String> text) {
            if (wanted.test(category)) {
                lines.accept(STAMP.format(clock.instant()) + " (" + category + ") " + printable(text.get()));
            }
        }
    }

    /** The text on one line, without the characters by which a server could steer the user's terminal. */
    static String printable(String text) {
        return text.codePoints()
            .map(c -> Character.isISOControl(c) || Character.getType(c) == Character.FORMAT
                || Character.getType(c) == Character.LINE_SEPARATOR ? '?' : c)
            .collect(StringBuilder::new, StringBuilder::appendCodePoint, StringBuilder::append).toString();
    }

    /** Attributes with which a file or directory is created, so that it is never open to others; none where unknown. */
    static FileAttribute<?>[] ownerOnly(String rights) {
        return FileSystems.getDefault().supportedFileAttributeViews().contains("posix")
            ? new FileAttribute<?>[] {PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(rights))}
            : new FileAttribute<?>[0];
    }

    /** What went wrong with a file, in the words of the system. */
    static String reason(IOException e) {
        if (e instanceof NoSuchFileException) {
            return "No such file or directory";
        }
        if (e instanceof AccessDeniedException) {
            return "Permission denied";
        }
        if (e instanceof FileAlreadyExistsException) {
            return "File exists";
        }
        if (e instanceof NotDirectoryException) {
            return "Not a directory";
        }
        if (e instanceof FileSystemException file && file.getReason() != null) {
            return file.getReason();
        }
        return e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    }

    static byte[] concat(byte[] first, byte[] second) {
        byte[] both = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }

    // ==== 3. Failure: the ways to end badly, and their exit statuses ====

    /** Why the command ended without a token where it was wanted. The codes are promises to scripts: never renamed. */
    enum Reason {
        INTERNAL(1, "internal"),
        REFUSED(1, "refused"),
        BUSY(1, "busy"),
        UNEXPECTED(1, "unexpected_answer"),
        USAGE(2, "usage"),
        CONFIGURATION(2, "configuration"),
        DESTINATION(2, "destination"),
        NOT_FOUND(3, "not_found"),
        UNREACHABLE(3, "unreachable"),
        NOT_AUTHENTICATED(4, "not_authenticated"),
        VIOLATION(4, "protocol_violation"),
        REQUEST_UNKNOWN(5, "request_unknown"),
        REQUEST_EXPIRED(5, "request_expired"),
        REQUEST_FAILED(5, "request_failed"),
        TIMED_OUT(6, "timed_out"),
        NOT_WRITTEN(7, "not_written");

        final int exitStatus;
        final String code;

        Reason(int exitStatus, String code) {
            this.exitStatus = exitStatus;
            this.code = code;
        }
    }

    /**
     * The end of the command, in words for the user: one line that says what and where, then details, then what to do.
     */
    static final class Failure extends Exception {
        private static final long serialVersionUID = 1L;
        final Reason reason;
        private final String[] details;

        Failure(Reason reason, String message, String... details) {
            super(message);
            this.reason = reason;
            this.details = details.clone();
        }

        /** Lines that follow the message, one fact or one remedy each. */
        List<String> details() {
            return List.of(details);
        }
    }

    // ==== 4. Values: what the rooms hand to each other ====

    /**
     * What the user asked for.
     *
     * @param pool     the pool as typed
     * @param debug    empty for no trace, else the flags after {@code -debug:}, perhaps blank
     */
    record Options(Order order, Optional<String> pool, Output output, Optional<String> debug) { }

    /**
     * The token wanted.
     *
     * @param identity        as typed; empty for the default
     * @param authorizations  levels that limit the token; none for no limit
     * @param lifetimeSeconds positive; empty for no limit of ours
     */
    record Order(Optional<String> identity, List<String> authorizations, OptionalInt lifetimeSeconds) { }

    /** Where the token is to go, as the user said it. */
    sealed interface Output {
        record Stdout() implements Output { }

        /** A file of this name in the token directory. */
        record Token(String name) implements Output { }

        /** A file anywhere. */
        record File(String path) implements Output { }
    }

    /** A text that is shown to nobody by accident. */
    static final class Secret {
        private final String text;

        Secret(String text) {
            this.text = text;
        }

        /** The text itself, for where it is sent or stored, and nowhere else. */
        String reveal() {
            return text;
        }

        @Override
        public String toString() {
            return "(secret)";
        }
    }

    /**
     * The right to fetch a token once it is approved. Whoever knows both parts can fetch it, so the client ID is
     * secret.
     *
     * @param requestId seven digits, leading zeros included, as the pool sent them
     */
    record Ticket(String requestId, Secret clientId) { }

    /** What the pool says. */
    sealed interface Answer {
        /** Wait for an administrator. */
        record Enqueued(Ticket ticket) implements Answer { }

        /** Here it is. The pool has forgotten it by now. */
        record Issued(Secret token) implements Answer { }

        /** Not approved yet. */
        record Pending() implements Answer { }

        /** Asked too often. */
        record RateLimited() implements Answer { }

        /** The pool does not know the request, or says so because it is asked too often (the two look alike). */
        record Unknown(String words) implements Answer { }
    }

    /** The connection broke after a command was sent: the answer, and whatever it held, did not reach us. */
    static final class AnswerLost extends IOException {
        private static final long serialVersionUID = 1L;

        AnswerLost(IOException cause) {
            super(cause.getMessage(), cause);
        }
    }

    /** A daemon that issues tokens. */
    interface TokenService {
        /** Asks for a token: {@link Answer.Enqueued} or {@link Answer.Issued}. */
        Answer start(Order order) throws Failure;

        /**
         * Asks whether it is approved: any answer but {@link Answer.Enqueued}.
         *
         * @throws IOException if the pool could not be asked; the request stands as it was, unless it is AnswerLost
         * @throws Failure     if there is no point in asking again
         */
        Answer poll(Ticket ticket) throws IOException, Failure;
    }

    // ==== 5. ArgumentParser: the command line ====

    /**
     * Reads the arguments as the original does: left to right, the first bad one ends it; one dash and any prefix of at
     * least the least length, or two dashes and the whole name; the value is the next argument, whatever it looks like.
     *
     * <p>To add an option: a line in {@link Flag}, a case in {@link Draft#take}.
     */
    static final class ArgumentParser {
        /** What messages begin with. The original uses the name it was called by; we are not told ours. */
        static final String PROGRAM = "condor_token_request";
        /** What stands between {@code -debug} and its flags. */
        private static final String SEPARATOR = ":";

        /** An option: its least prefix, its value and the complaint when that is missing, and its help. */
        private enum Flag {
            IDENTITY("i", "USER@DOMAIN", "an argument.",
                "Identity in the token. Default: condor@UID_DOMAIN, or, if no UID_DOMAIN is configured, condor at the "
                    + "pool's trust domain."),
            AUTHZ("a", "LEVEL", "an authorization name argument",
                "Limits the token to this authorization level, such as READ or ADVERTISE_STARTD. May be repeated. "
                    + "Default: no limit."),
            LIFETIME("l", "SECONDS", "an integer in seconds.",
                "Lifetime of the token. Default: as the pool decides."),
            POOL("p", "HOST", "a pool name argument.",
                "The pool's collector: HOST, HOST:PORT, an address, or a sinful string in quotes. "
                    + "Default: COLLECTOR_HOST."),
            TOKEN("to", "NAME", "a file name argument.",
                "Writes the token to this file in the token directory instead of stdout."),
            FILE("f", "PATH", "a file name argument.",
                "Writes the token to this file instead of stdout."),
            DEBUG("d", "", "",
                "Shows each step on stderr. -debug:FLAGS selects: D_HOSTNAME, D_NETWORK, D_SECURITY, D_COMMAND."),
            HELP("h", "", "",
                "Shows this text.");

            private final String leastPrefix;
            private final String value;
            private final String missing;
            private final String description;

            Flag(String leastPrefix, String value, String missing, String description) {
                this.leastPrefix = leastPrefix;
                this.value = value;
                this.missing = missing;
                this.description = description;
            }

            String fullName() {
                return "-" + name().toLowerCase(Locale.ROOT);
            }

            /** Every spelling, the full one first. */
            String[] spellings() {
                String full = fullName();
                return Stream.concat(Stream.of(full, "-" + full),
                    IntStream.range(leastPrefix.length() + 1, full.length()).mapToObj(end -> full.substring(0, end)))
                    .toArray(String[]::new);
            }
        }

        /** The options while they are being read. */
        private static final class Draft {
            private Optional<String> identity = Optional.empty();
            private final List<String> authorizations = new ArrayList<>();
            private OptionalInt lifetimeSeconds = OptionalInt.empty();
            private Optional<String> pool = Optional.empty();
            private Output output = new Output.Stdout();
            private Optional<String> debug = Optional.empty();
            private boolean help;

            /**
             * Takes an option with its value; an empty one counts as not given, as in the original. Of two destinations
             * the last wins.
             */
            void take(Flag flag, String value) throws Failure {
                Optional<String> given = Optional.of(value).filter(text -> !text.isEmpty());
                switch (flag) {
                    case IDENTITY -> identity = given;
                    case AUTHZ -> Arrays.stream(value.split(",")).filter(text -> !text.isBlank())
                        .forEach(authorizations::add);
                    case LIFETIME -> lifetimeSeconds = lifetime(value);
                    case POOL -> pool = given;
                    case TOKEN -> output = given.<Output>map(Output.Token::new).orElse(new Output.Stdout());
                    case FILE -> output = given.<Output>map(Output.File::new).orElse(new Output.Stdout());
                    case DEBUG -> debug = Optional.of(value);
                    case HELP -> help = true;
                }
            }

            /**
             * A number as C's strtol reads it: blanks and a sign before, anything after. Not positive means no limit.
             */
            private static OptionalInt lifetime(String value) throws Failure {
                Matcher digits = Pattern.compile("\\s*([+-]?[0-9]+).*", Pattern.DOTALL).matcher(value);
                BigInteger seconds = digits.matches() ? new BigInteger(digits.group(1))
                    : BigInteger.ONE.shiftLeft(Long.SIZE);
                if (seconds.bitLength() >= Integer.SIZE) {
                    throw new Failure(Reason.USAGE, PROGRAM + ": Invalid argument for -lifetime: " + printable(value)
                        + ".", "It takes seconds, at most " + Integer.MAX_VALUE + ".");
                }
                return seconds.signum() > 0 ? OptionalInt.of(seconds.intValue()) : OptionalInt.empty();
            }

            Optional<Options> finish() {
                return help ? Optional.empty() : Optional.of(
                    new Options(new Order(identity, List.copyOf(authorizations), lifetimeSeconds), pool, output,
                    debug));
            }
        }

        /**
         * Reads the arguments.
         *
         * @return empty if help is wanted
         * @throws Failure USAGE
         */
        Optional<Options> parse(String... args) throws Failure {
            Draft draft = new Draft();
            CommandSpec spec = CommandSpec.create().name(PROGRAM);
            for (Flag flag : Flag.values()) {
                spec.addOption(OptionSpec.builder(flag.spellings()).arity(flag.value.isEmpty() ? "0" : "1")
                    .type(String.class)
                    .preprocessor((rest, command, option, info) -> read(flag, rest, info.get("separator"), draft))
                    .build());
            }
            spec.addPositional(PositionalParamSpec.builder().arity("0..*").type(List.class).auxiliaryTypes(String.class)
                .preprocessor((rest, command, option, info) -> refuse(rest.peek())).build());
            // What is no option of ours must be refused where it stands, so it is given to the positional parameter.
            spec.parser().unmatchedOptionsArePositionalParams(true).posixClusteredShortOptionsAllowed(false)
                .separator(SEPARATOR).endOfOptionsDelimiter("\0").expandAtFiles(false).overwrittenOptionsAllowed(true);
            try {
                new CommandLine(spec).parseArgs(args);
            } catch (CommandLine.ParameterException e) {
                for (Throwable cause = e; cause != null; cause = cause.getCause()) {
                    if (cause instanceof Refusal refusal) {
                        throw refusal.failure;
                    }
                }
                throw new Failure(Reason.USAGE, PROGRAM + ": " + printable(e.getMessage()), "Try -help.");
            }
            return draft.finish();
        }

        /** Carries a failure through picocli, which lets only unchecked exceptions pass. */
        private static final class Refusal extends RuntimeException {
            private static final long serialVersionUID = 1L;
            private final transient Failure failure;

            Refusal(Failure failure) {
                super(failure);
                this.failure = failure;
            }
        }

        /** Reads one option off the rest; of `-debug:FLAGS` picocli has put the flags first. Help ends the reading. */
        private static boolean read(Flag flag, Stack<String> rest, Object separator, Draft draft) {
            boolean attached = SEPARATOR.equals(separator);
            if (attached && flag != Flag.DEBUG) {
                return refuse(flag.fullName() + SEPARATOR + rest.peek());
            }
            try {
                if (!flag.value.isEmpty() && rest.isEmpty()) {
                    throw new Failure(Reason.USAGE, PROGRAM + ": " + flag.fullName() + " requires " + flag.missing);
                }
                draft.take(flag, attached || !flag.value.isEmpty() ? rest.pop() : "");
            } catch (Failure failure) {
                throw new Refusal(failure);
            }
            if (flag == Flag.HELP) {
                rest.clear();
            }
            return true;
        }

        private static boolean refuse(String argument) {
            throw new Refusal(new Failure(Reason.USAGE,
                PROGRAM + ": Invalid command line argument: " + printable(argument), "Try -help."));
        }

        /** The help: usage, options, examples, exit statuses. */
        static String help() {
            CommandSpec spec = CommandSpec.create().name(PROGRAM);
            for (Flag flag : Flag.values()) {
                spec.addOption(OptionSpec.builder(flag.fullName()).paramLabel(flag.value).description(flag.description)
                    .arity(flag.value.isEmpty() ? "0" : "1").type(flag.value.isEmpty() ? boolean.class : String.class)
                    .build());
            }
            spec.usageMessage().sortOptions(false).width(110).customSynopsis(
                    PROGRAM + " [-identity USER@DOMAIN] [-authz LEVEL]... [-lifetime SECONDS] [-pool HOST]",
                    "                            [-token NAME | -file PATH] [-debug[:FLAGS]] [-help]")
                .description("", "Requests a token from an HTCondor pool, waits until an administrator approves it,",
                    "and prints it to stdout. Everything else goes to stderr.", "")
                .footer("""

                    Options may be shortened (-id, -life) and written with two dashes (--identity).
                    Settings are read from the environment, as _CONDOR_NAME or _CONDOR_TOOL.NAME.

                    Examples:
                      condor_token_request -pool cm.example.org -identity alice@example.org
                      condor_token_request -pool cm.example.org -lifetime 600 -authz READ -token my-token
                      condor_token_request -pool '<192.0.2.7:9618?alias=cm.example.org&sock=collector>' -debug

                    Exit statuses:
                      0  done
                      1  the pool refused, or gave an unexpected answer
                      2  bad command line, setting or destination; nothing was asked
                      3  pool not found or not reachable
                      4  authentication or trust failed
                      5  the request expired, failed, or was forgotten by the pool
                      6  the wait ended with the request still pending
                      7  the token came, but could not be written where asked; stderr says where it is""".split("\n", -1));
            return new CommandLine(spec).getUsageMessage(CommandLine.Help.Ansi.OFF);
        }
    }

    // ==== 6. Configuration: HTCondor's settings ====

    /**
     * The settings in force. They come from environment variables whose names begin with {@code _CONDOR_} in any mix of
     * case. For a name X, {@code TOOL.X} is asked first, then {@code X}; names are case-insensitive; a blank value ends
     * the search and counts as none (condor_utils/condor_config.cpp).
     */
    static final class Configuration {
        private static final String PREFIX = "_CONDOR_";
        private static final String SUBSYSTEM = "TOOL";
        private final Map<String, Setting> settings;

        /** A value and where it is from. */
        record Setting(String name, String value, String source) { }

        private Configuration(Map<String, Setting> settings) {
            this.settings = settings;
        }

        static Configuration fromEnvironment(Map<String, String> environment) {
            Map<String, Setting> settings = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);
            environment.forEach((variable, value) -> {
                if (variable.regionMatches(true, 0, PREFIX, 0, PREFIX.length())
                    && variable.length() > PREFIX.length()) {
                    String name = variable.substring(PREFIX.length());
                    settings.put(name, new Setting(name, value.stripLeading(), "environment variable " + variable));
                }
            });
            return new Configuration(settings);
        }

        Optional<Setting> find(String name) {
            return Stream.of(SUBSYSTEM + "." + name, name).map(settings::get).filter(Objects::nonNull).findFirst()
                .filter(setting -> !setting.value().isBlank());
        }

        Optional<String> text(String name) {
            return find(name).map(Setting::value);
        }

        /** The items of a list, which are separated by commas or blanks. */
        static List<String> items(String value) {
            return Arrays.stream(value.split("[,\\s]+")).filter(item -> !item.isEmpty()).toList();
        }

        boolean flag(String name, boolean otherwise) throws Failure {
            Optional<Setting> setting = find(name);
            if (setting.isEmpty()) {
                return otherwise;
            }
            return switch (setting.get().value().strip().toLowerCase(Locale.ROOT)) {
                case "true", "t", "yes", "1" -> true;
                case "false", "f", "no", "0" -> false;
                default -> throw invalid(setting.get(), "true or false");
            };
        }

        int number(String name, int otherwise, int min, int max) throws Failure {
            Optional<Setting> setting = find(name);
            if (setting.isEmpty()) {
                return otherwise;
            }
            String digits = setting.get().value().strip();
            if (!digits.matches("[0-9]{1,9}") || Integer.parseInt(digits) < min || Integer.parseInt(digits) > max) {
                throw invalid(setting.get(), "a number from " + min + " to " + max);
            }
            return Integer.parseInt(digits);
        }

        /** A security setting: the one for clients, else the one for everything. condor_io/condor_secman.cpp */
        Optional<Setting> security(String name) {
            return find("SEC_CLIENT_" + name).or(() -> find("SEC_DEFAULT_" + name));
        }

        /** The complaint about a setting that cannot be used. */
        static Failure invalid(Setting setting, String wanted) {
            return new Failure(Reason.CONFIGURATION, "ERROR: " + setting.name() + " = " + printable(setting.value())
                + " (" + setting.source() + ") is invalid: it must be " + wanted + ".");
        }
    }

    // ==== 7. Location: from the name of a pool to addresses ====

    /**
     * HTCondor's form of an address: {@code <host:port?key=value&key>}. condor_utils/condor_sinful.cpp
     *
     * @param host       a name or an address; IPv6 without its brackets
     * @param port       -1 if there is none
     * @param parameters decoded; a key without value has an empty one
     */
    record Sinful(String host, int port, SortedMap<String, String> parameters) {
        private static final Pattern FORM =
            Pattern.compile("<(?:\\[([0-9A-Fa-f:.]+)]|([^\\[\\]<>:?]+))(?::([0-9]{1,5}))?(?:\\?([^<>]*))?>");

        Sinful {
            parameters = Collections.unmodifiableSortedMap(new TreeMap<>(parameters));
        }

        static Optional<Sinful> parse(String text) {
            Matcher form = FORM.matcher(text);
            if (!form.matches()) {
                return Optional.empty();
            }
            SortedMap<String, String> parameters = new TreeMap<>();
            for (String pair : Optional.ofNullable(form.group(4)).orElse("").split("[&;]")) {
                int equals = pair.indexOf('=');
                String key = decode(equals < 0 ? pair : pair.substring(0, equals));
                if (key.isEmpty() && !pair.isEmpty()) {
                    return Optional.empty();
                }
                if (!key.isEmpty()) {
                    parameters.put(key, equals < 0 ? "" : decode(pair.substring(equals + 1)));
                }
            }
            String host = Optional.ofNullable(form.group(1)).orElse(form.group(2));
            return Optional.of(new Sinful(host, form.group(3) == null ? -1 : Integer.parseInt(form.group(3)),
                parameters));
        }

        private static String decode(String text) {
            try {
                return URLDecoder.decode(text.replace("+", "%2B"), UTF_8);
            } catch (IllegalArgumentException e) {
                return text;
            }
        }

        Optional<String> parameter(String key) {
            return Optional.ofNullable(parameters.get(key)).filter(value -> !value.isEmpty());
        }

        Sinful with(String key, String value) {
            SortedMap<String, String> more = new TreeMap<>(parameters);
            more.put(key, value);
            return new Sinful(host, port, more);
        }

        Sinful at(String host, int port) {
            return new Sinful(host, port, parameters);
        }

        /** The canonical form, keys in order. */
        @Override
        public String toString() {
            String query = parameters.entrySet().stream()
                .map(entry -> encode(entry.getKey())
                + (entry.getValue().isEmpty() ? "" : "=" + encode(entry.getValue())))
                .collect(Collectors.joining("&"));
            return "<" + (host.contains(":") ? "[" + host + "]" : host) + ":" + port
                + (query.isEmpty() ? "" : "?" + query) + ">";
        }

        /** What HTCondor leaves as it is when it writes: letters, digits and {@code . _ - : # [ ] +}. */
        private static String encode(String text) {
            StringBuilder encoded = new StringBuilder();
            for (byte b : text.getBytes(UTF_8)) {
                boolean plain = b > 0 && (Character.isLetterOrDigit(b) || "._-:#[]+".indexOf(b) >= 0);
                encoded.append(plain ? String.valueOf((char) b) : String.format(Locale.ROOT, "%%%02x", b));
            }
            return encoded.toString();
        }
    }

    /**
     * The daemon to ask.
     *
     * @param sinful    its address in canonical form
     * @param alias     the host name that its certificate must carry; empty if only an address is known
     * @param addresses to try in this order, at least one
     */
    record Target(Sinful sinful, Optional<String> alias, List<InetSocketAddress> addresses) {

        /** The endpoint behind a shared port, if the address names one. */
        Optional<String> sharedPortId() {
            return sinful.parameter("sock");
        }

        /**
         * An address as C's inet_ntop writes it: Java writes all groups of IPv6, C leaves out the longest run of zeros.
         */
        static String text(InetAddress address) {
            String groups = address.getHostAddress();
            Matcher zeros = Pattern.compile("(^|:)0(:0)+(:|$)").matcher(address instanceof Inet6Address ? groups : "");
            String longest = "";
            while (zeros.find()) {
                longest = zeros.group().length() > longest.length() ? zeros.group() : longest;
            }
            return longest.isEmpty() ? groups : groups.replaceFirst(Pattern.quote(longest), "::");
        }

        /** Whether an address belongs to this machine. */
        static boolean isLocal(InetAddress address) {
            try {
                return address.isLoopbackAddress() || NetworkInterface.getByInetAddress(address) != null;
            } catch (SocketException e) {
                return false;
            }
        }

        @Override
        public String toString() {
            return sinful.toString();
        }
    }

    /** Finds the daemon. It asks the name service and nobody else. */
    static final class Location {
        private static final Pattern NAME = Pattern.compile("[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*\\.?");
        private static final Pattern IPV4 = Pattern.compile("[0-9]{1,3}(\\.[0-9]{1,3}){3}");
        private final Configuration configuration;
        private final Trace trace;

        Location(Configuration configuration, Trace trace) {
            this.configuration = configuration;
            this.trace = trace;
        }

        /**
         * The collector of a pool.
         *
         * @param pool what the user typed after {@code -pool}; empty for the configured COLLECTOR_HOST
         * @throws Failure USAGE, CONFIGURATION, NOT_FOUND
         */
        Target find(Optional<String> pool) throws Failure {
            if (pool.isPresent()) {
                return resolve(pool.get().strip(), "-pool");
            }
            Optional<Configuration.Setting> setting =
                configuration.find("COLLECTOR_HOST").or(() -> configuration.find("CONDOR_HOST"));
            if (setting.isEmpty()) {
                throw new Failure(Reason.USAGE,
                    "ERROR: no pool to ask: give -pool HOST, or set _CONDOR_COLLECTOR_HOST.");
            }
            List<String> complaints = new ArrayList<>();
            for (String host : Configuration.items(setting.get().value())) {
                try {
                    return resolve(host, setting.get().source());
                } catch (Failure failure) {
                    complaints.add(failure.getMessage());
                }
            }
            throw new Failure(Reason.NOT_FOUND, "ERROR: none of the hosts in " + setting.get().name()
                + " can be found.",
                complaints.toArray(String[]::new));
        }

        private Target resolve(String text, String source) throws Failure {
            boolean bare = !text.startsWith("<");
            boolean bareIpv6 = bare && text.matches("[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*");
            Sinful typed = Sinful.parse(bare ? "<" + (bareIpv6 ? "[" + text + "]" : text) + ">" : text)
                .orElseThrow(() -> unreadable(text, source));
            Sinful sinful = typed.port() >= 0 ? typed
                : typed.at(typed.host(), configuration.number("COLLECTOR_PORT", Wire.COLLECTOR_PORT, 1, 65535));
            if (sinful.port() < 1 || sinful.port() > 65535) {
                throw unreadable(text, source);
            }
            if (sinful.parameters().containsKey("CCBID")) {
                throw new Failure(Reason.UNREACHABLE, "ERROR: " + printable(text) + " (" + source
                    + ") can be reached only through a connection broker (CCBID), which this command cannot do.");
            }
            return target(sinful, bare, text, source);
        }

        private Target target(Sinful sinful, boolean bare, String text, String source) throws Failure {
            boolean isName = !sinful.host().contains(":") && !IPV4.matcher(sinful.host()).matches();
            // A name as typed is what the certificate must carry; it outdoes an alias in a bare text, as in the original.
            // The dot that ends a fully qualified name stands in no certificate.
            Optional<String> name = Optional.of(sinful.host().replaceFirst("\\.$", "")).filter(host -> isName);
            Optional<String> alias = bare ? name.or(() -> sinful.parameter("alias")) : sinful.parameter("alias")
                .or(() -> name);
            List<InetSocketAddress> addresses = sinful.parameter("addrs").map(Location::listed).orElse(List.of());
            if (addresses.isEmpty()) {
                addresses = addresses(sinful, isName, text, source);
            }
            InetSocketAddress first = addresses.get(0);
            Sinful canonical = sinful.at(Target.text(first.getAddress()), first.getPort());
            Target target = new Target(alias.map(host -> canonical.with("alias", host)).orElse(canonical), alias,
                addresses);
            trace.log(Trace.HOSTNAME, () -> text + " is " + target + ", to be tried at " + target.addresses());
            return target;
        }

        private static List<InetSocketAddress> addresses(Sinful sinful, boolean isName, String text, String source)
                throws Failure {
            try {
                if (isName && !NAME.matcher(sinful.host()).matches()) {
                    throw new UnknownHostException();
                }
                // IPv4 first, as PREFER_IPV4 says where nothing else is set.
                return Arrays.stream(InetAddress.getAllByName(sinful.host()))
                    .sorted(Comparator.comparing(address -> address instanceof Inet6Address))
                    .map(address -> new InetSocketAddress(address, sinful.port())).toList();
            } catch (UnknownHostException e) {
                throw new Failure(Reason.NOT_FOUND, "ERROR: unknown host " + printable(sinful.host()) + " (" + source
                    + "): check the spelling, and that this machine's name service knows it.");
            }
        }

        /** The list {@code ip-port+[v6]-port}, in which an IPv6 address has dashes for its colons. */
        private static List<InetSocketAddress> listed(String addrs) {
            List<InetSocketAddress> addresses = new ArrayList<>();
            for (String item : addrs.split("\\+")) {
                Matcher form = Pattern.compile("(?:\\[([0-9A-Fa-f.-]+)]|([0-9.]+))-([0-9]{1,5})").matcher(item);
                if (form.matches() && Integer.parseInt(form.group(3)) <= 65535) {
                    String host = form.group(1) == null ? form.group(2) : form.group(1).replace('-', ':');
                    addresses.add(new InetSocketAddress(host, Integer.parseInt(form.group(3))));
                }
            }
            return addresses.stream().filter(address -> !address.isUnresolved()).toList();
        }

        private static Failure unreadable(String text, String source) {
            return new Failure(Reason.USAGE, "ERROR: '" + printable(text) + "' (" + source
                + ") is not the address of a pool:"
                + " it takes HOST, HOST:PORT, an IP address, or a sinful string such as '<192.0.2.7:9618?alias=HOST>'.");
        }
    }

    // ==== 8. Wire: every number, name and limit of the protocol, with its source ====

    /**
     * The vocabulary of the protocol. File names are those of HTCondor's own source, below {@code src/}; "seen" means
     * seen on live pools of 23.9.6 and 25.14.1.
     */
    static final class Wire {
        private Wire() { }

        /** TCP port of a collector when none is named. condor_includes/condor_network.h, COLLECTOR_PORT */
        static final int COLLECTOR_PORT = 9618;

        // Commands. condor_includes/condor_commands.h
        static final int SHARED_PORT_CONNECT = 75;
        static final int DC_AUTHENTICATE = 60010;
        static final int DC_START_TOKEN_REQUEST = 60047;
        static final int DC_FINISH_TOKEN_REQUEST = 60048;

        // Packets. condor_io/reli_sock.cpp, condor_io/buffers.cpp
        /** 1 byte end flag, then the length of the body, 4 bytes big-endian. */
        static final int HEADER_BYTES = 5;
        /** Servers take 0 as "more follows", 1 to 10 as "last", and drop the connection on anything else (seen). */
        static final int END_FLAG_MAX = 10;
        /** Largest body, bytes. A length above this ends the connection before anything is allocated. */
        static final int BODY_MAX_BYTES = 1 << 20;
        /** Largest message, bytes: our own bound, the framing has none. */
        static final int MESSAGE_MAX_BYTES = 4 << 20;
        /** Most attributes of one ad: our own bound. */
        static final int AD_MAX_ATTRIBUTES = 10_000;
        /** The one-byte string that stands for "no string". condor_io/stream.cpp */
        static final int NULL_STRING = 0xAD;

        // AES-256-GCM. condor_io/condor_crypt_aesgcm.cpp
        static final int KEY_BYTES = 32;
        static final int IV_BYTES = 16;
        static final int TAG_BYTES = 16;

        // The key message. condor_io/authentication.cpp, Authentication::exchangeKey
        static final int CIPHER_AES = 3;

        // SSL inside messages. condor_io/condor_auth_ssl.h
        static final int SSL_ERROR = -1;
        static final int SSL_OK = 0;
        static final int SSL_RECEIVING = 2;
        static final int SSL_QUITTING = 3;
        static final int SSL_HOLDING = 4;
        /**
         * Length of the key that the server sends through TLS. condor_io/condor_auth_ssl.cpp, AUTH_SSL_SESSION_KEY_LEN
         */
        static final int SSL_KEY_BYTES = 256;

        // AKEP2. condor_io/condor_auth_passwd.cpp
        static final int AKEP2_RANDOM_BYTES = 256;
        static final int AKEP2_MAC_BYTES = 20;
        /** Salt of the shared key K, 256 bytes. */
        static final String AKEP2_SEED_A = """
            PkpQIEfV9OXcfGm7UhDLthZ63YCE992e860synHSg90RSk+7ex7pCt+oYsRDBN5Uc6MXL3NcLLtud1tdQNOfrOhzGCUj+SUrYjvg1LFn
            o6gEDKz+6e49oCwKu/TZ2LEfiQBMlDkjzl2VCLs/BLxmo/ogoTpBbF5vTg0xh9Rfx4M1xeSF2yxaNxeXDMJue2udGWW0emffd6MfIvCK
            bAulcJeiGpynxgQk9yc5q1y5FaQYW9EJgo415CEIq4UcCKPf/eDjsG89OTjNrW3275pvbcLLdPAihRLrej1oIwEGhLAVwSrDAUxPn5OO
            OE2tHjvXRf+MFB/XC0ZbqK9dG5i0sQ==""";

        // Replies to the two token commands. condor_daemon_core.V6/daemon_core_main.cpp
        static final int ERROR_LIMITS = 3;
        static final int ERROR_TOKEN_GENERATION = 4;
        static final int ERROR_EXPIRED = 5;
        static final int ERROR_NOT_PROTECTED = 7;
        static final int ERROR_DISABLED = 44;

        /**
         * The version that we announce. Servers parse the form and adapt to the number, so it names the release whose
         * behaviour we have. condor_utils/condor_version.cpp
         */
        static final String VERSION = "$CondorVersion: 25.0.0 2025-09-01 BuildID: TokenRequest $";
    }

    /**
     * A way to authenticate: its bit and word on the wire and its name in the configuration.
     * condor_includes/condor_auth.h, condor_io/condor_secman.cpp
     */
    enum AuthMethod {
        CLAIMTOBE(2), FS(4), FS_REMOTE(8), NTSSPI(16), KERBEROS(64), ANONYMOUS(128), SSL(256), PASSWORD(512),
        MUNGE(1024),
        /** The server compares words, so it must be TOKEN, though the configuration and the manual say IDTOKENS. */
        TOKEN(2048, "IDTOKENS"),
        SCITOKENS(4096);

        final int bit;
        /** The word that administrators know. */
        final String label;

        AuthMethod(int bit) {
            this.bit = bit;
            this.label = name();
        }

        AuthMethod(int bit, String label) {
            this.bit = bit;
            this.label = label;
        }

        /**
         * The method of a word in a configuration or a policy, in any spelling that HTCondor takes; empty if unknown.
         */
        static Optional<AuthMethod> named(String word) {
            String name = switch (word.toUpperCase(Locale.ROOT)) {
                case "IDTOKENS", "IDTOKEN", "TOKENS" -> "TOKEN";
                case "SCITOKEN" -> "SCITOKENS";
                default -> word.toUpperCase(Locale.ROOT);
            };
            return Arrays.stream(values()).filter(method -> method.name().equals(name)).findFirst();
        }

        /** The method of a bit that the server chose; empty if it is not exactly one known bit. */
        static Optional<AuthMethod> fromWire(long bit) {
            return Arrays.stream(values()).filter(method -> method.bit == bit).findFirst();
        }
    }

    /**
     * The peer sent what the protocol forbids, or what does not decrypt: the connection is over, nothing is to be
     * trusted.
     */
    static final class ProtocolViolation extends IOException {
        private static final long serialVersionUID = 1L;

        ProtocolViolation(String what) {
            super(what);
        }
    }

    // ==== 9. ClassAd: the attribute lists that requests and replies consist of ====

    /**
     * The part of the ClassAd language that the token commands exchange: attributes whose values are one literal.
     * Names are case-insensitive and keep their order; other expressions are kept as text and have no typed value.
     *
     * <p>Strings have a single escape: {@code \"} stands for a quote, every other backslash is an ordinary character
     * (old ClassAd syntax, condor_utils/compat_classad.cpp).
     */
    static final class ClassAd {
        private final Map<String, String> expressions = new LinkedHashMap<>();
        private final Map<String, String> names = new TreeMap<>(String.CASE_INSENSITIVE_ORDER);

        /** Sets a string attribute. */
        ClassAd put(String name, String value) {
            if (value.indexOf('\0') >= 0) {
                throw new IllegalArgumentException(name + " holds a NUL character");
            }
            return putExpression(name, '"' + value.replace("\"", "\\\"") + '"');
        }

        /** Sets an integer attribute. */
        ClassAd put(String name, long value) {
            return putExpression(name, Long.toString(value));
        }

        /** Sets a boolean attribute. */
        ClassAd put(String name, boolean value) {
            return putExpression(name, Boolean.toString(value));
        }

        /** Sets an attribute from its text; a later one of the same name wins. */
        ClassAd putExpression(String name, String expression) {
            String previous = names.put(name, name);
            if (previous != null) {
                expressions.remove(previous);
            }
            expressions.put(name, expression);
            return this;
        }

        /** Adds what one wire string {@code Name = value} says. */
        void parse(String assignment) throws ProtocolViolation {
            int equals = assignment.indexOf('=');
            String name = equals < 0 ? "" : assignment.substring(0, equals).strip();
            if (name.isEmpty()) {
                throw new ProtocolViolation("an attribute without a name in a ClassAd");
            }
            putExpression(name, assignment.substring(equals + 1).strip());
        }

        /** The text of an attribute's value, as it stands on the wire. */
        Optional<String> expression(String name) {
            return Optional.ofNullable(names.get(name)).map(expressions::get);
        }

        /** The value of a string attribute; empty if it is missing or not a string. */
        Optional<String> string(String name) {
            return expression(name)
                .filter(text -> text.length() >= 2 && text.startsWith("\"") && text.endsWith("\""))
                .map(text -> text.substring(1, text.length() - 1).replace("\\\"", "\""));
        }

        /** The value of an integer attribute; empty if it is missing or not an integer of 64 bits. */
        OptionalLong integer(String name) {
            Optional<String> digits = expression(name).filter(text -> text.matches("-?[0-9]{1,18}"));
            return digits.isPresent() ? OptionalLong.of(Long.parseLong(digits.get())) : OptionalLong.empty();
        }

        /** Whether the attribute is there and is {@code false}. */
        boolean isFalse(String name) {
            return expression(name).filter("false"::equalsIgnoreCase).isPresent();
        }

        boolean isEmpty() {
            return expressions.isEmpty();
        }

        /** The attributes as wire strings, in order. */
        List<String> assignments() {
            return expressions.entrySet().stream().map(entry -> entry.getKey() + " = " + entry.getValue()).toList();
        }
    }

    // ==== 10. Message: integers, strings and ads, to and from bytes ====

    /**
     * Builds one message. The form of a string depends on whether the stream encrypts at the moment of writing
     * (condor_io/stream.cpp), so a message is made by {@link CedarStream#message()}, never out of context.
     */
    static final class Message {
        private final ByteArrayOutputStream bytes = new ByteArrayOutputStream(512);
        private final boolean encrypted;

        Message(boolean encrypted) {
            this.encrypted = encrypted;
        }

        /** Any integer: 8 bytes, big-endian, two's complement. */
        Message number(long value) {
            return raw(ByteBuffer.allocate(Long.BYTES).putLong(value).array());
        }

        /** A string: its UTF-8 bytes and a NUL; when encrypting, preceded by the length that includes the NUL. */
        Message string(String value) {
            byte[] text = value.getBytes(UTF_8);
            if (encrypted) {
                number(text.length + 1L);
            }
            raw(text);
            bytes.write(0);
            return this;
        }

        /** Bytes as they are. */
        Message raw(byte[] value) {
            bytes.writeBytes(value);
            return this;
        }

        /** Bytes behind their length. */
        Message counted(byte[] value) {
            return number(value.length).raw(value);
        }

        /** An ad: the number of attributes, each as a string, then two empty strings, once the types of the ad. */
        Message ad(ClassAd ad) {
            List<String> assignments = ad.assignments();
            number(assignments.size());
            assignments.forEach(this::string);
            return string("").string("");
        }

        byte[] toBytes() {
            return bytes.toByteArray();
        }
    }

    /** Reads one message. Every length is checked against what is there before it is used. */
    static final class MessageReader {
        private final ByteBuffer bytes;
        private final boolean encrypted;
        private final String what;

        /**
         * @param what what the message is, for complaints
         */
        MessageReader(byte[] bytes, boolean encrypted, String what) {
            this.bytes = ByteBuffer.wrap(bytes);
            this.encrypted = encrypted;
            this.what = what;
        }

        long number() throws ProtocolViolation {
            if (bytes.remaining() < Long.BYTES) {
                throw violation("ends within a number");
            }
            return bytes.getLong();
        }

        /** A number that must lie within the bounds. */
        int number(int min, int max) throws ProtocolViolation {
            long value = number();
            if (value < min || value > max) {
                throw violation("holds " + value + " where " + (min == max ? min : min + " to " + max) + " is allowed");
            }
            return (int) value;
        }

        /**
         * A string; one that the server says is none counts as empty. No UTF-8 text begins with the byte that says so.
         */
        String string() throws ProtocolViolation {
            int length = encrypted ? number(1, bytes.remaining()) : 0;
            if (bytes.hasRemaining() && bytes.get(bytes.position()) == (byte) Wire.NULL_STRING && length <= 1) {
                raw(1);
                return "";
            }
            byte[] text = raw(encrypted ? length : lengthToNul());
            if (text[text.length - 1] != 0) {
                throw violation("holds a string without its end");
            }
            return new String(text, 0, text.length - 1, UTF_8);
        }

        private int lengthToNul() throws ProtocolViolation {
            for (int i = bytes.position(); i < bytes.limit(); i++) {
                if (bytes.get(i) == 0) {
                    return i - bytes.position() + 1;
                }
            }
            throw violation("ends within a string");
        }

        byte[] raw(int length) throws ProtocolViolation {
            if (length < 0 || length > bytes.remaining()) {
                throw violation("ends within a field of " + length + " bytes");
            }
            byte[] value = new byte[length];
            bytes.get(value);
            return value;
        }

        /** Bytes behind their length. */
        byte[] counted() throws ProtocolViolation {
            return raw(number(0, bytes.remaining()));
        }

        ClassAd ad() throws ProtocolViolation {
            int count = number(0, Wire.AD_MAX_ATTRIBUTES);
            ClassAd ad = new ClassAd();
            for (int i = 0; i < count; i++) {
                String assignment = string();
                // A private attribute is announced by this marker and follows as a string of its own
                // (condor_utils/classad_oldnew.cpp, SECRET_MARKER); the two count once.
                ad.parse(assignment.equals("ZKM") ? string() : assignment);
            }
            string();
            string();
            return ad;
        }

        /** Whether everything has been read. */
        boolean atEnd() {
            return !bytes.hasRemaining();
        }

        /** Checks that nothing is left over: HTCondor too fails a message that was not read whole. */
        void end() throws ProtocolViolation {
            if (!atEnd()) {
                throw violation("has " + bytes.remaining() + " bytes too many");
            }
        }

        ProtocolViolation violation(String complaint) {
            return new ProtocolViolation("the server's " + what + " " + complaint);
        }
    }

    // ==== 11. CedarStream: messages over a connection, in the clear and then sealed ====

    /**
     * A TCP connection in which no read outlasts one fixed moment.
     *
     * <p>What we write in a whole exchange is a few kilobytes and fits a socket's buffer, so only reads can wait.
     */
    static final class Connection implements Closeable {
        private final Socket socket;
        private final InstantSource clock;
        private final Instant deadline;

        private Connection(Socket socket, InstantSource clock, Instant deadline) {
            this.socket = socket;
            this.clock = clock;
            this.deadline = deadline;
        }

        /**
         * Connects.
         *
         * @param patience how long the connection may take to be made
         * @param deadline when the last read must have ended
         */
        static Connection open(InetSocketAddress address, Duration patience, InstantSource clock, Instant deadline)
                throws IOException {
            Socket socket = new Socket();
            try {
                socket.setTcpNoDelay(true);
                socket.connect(address, (int) patience.toMillis());
                return new Connection(socket, clock, deadline);
            } catch (IOException e) {
                socket.close();
                throw e;
            }
        }

        InetSocketAddress peer() {
            return (InetSocketAddress) socket.getRemoteSocketAddress();
        }

        OutputStream output() throws IOException {
            return socket.getOutputStream();
        }

        InputStream input() throws IOException {
            return new FilterInputStream(socket.getInputStream()) {
                @Override
                public int read() throws IOException {
                    byte[] one = new byte[1];
                    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
                }

                @Override
                public int read(byte[] into, int offset, int length) throws IOException {
                    long millis = Duration.between(clock.instant(), deadline).toMillis();
                    if (millis <= 0) {
                        throw new SocketTimeoutException("out of time");
                    }
                    socket.setSoTimeout((int) Math.min(millis, Integer.MAX_VALUE));
                    return in.read(into, offset, length);
                }
            };
        }

        /** Ends the connection. What has been received stays received, so a failure to close is no failure of ours. */
        @Override
        public void close() {
            try {
                socket.close();
            } catch (IOException e) {
                return;
            }
        }
    }

    /**
     * HTCondor's message stream, CEDAR. It knows packets, their encryption and its start, and nothing of what is said.
     *
     * <pre>
     *  0        1                    5
     * +--------+--------------------+----------------------------------------------------------+
     * | end    | length (u32, BE)   | body: plain, or [IV (16), first packet only] cipher tag(16) |
     * +--------+--------------------+----------------------------------------------------------+
     * </pre>
     *
     * Invariant: every byte that passes in the clear, in either direction, is in the digest of its direction; the first
     * sealed packet of each direction authenticates both digests, so nothing said before encryption can have been
     * altered (condor_io/reli_sock.cpp, condor_io/condor_crypt_aesgcm.cpp).
     */
    static final class CedarStream {
        private final InputStream in;
        private final OutputStream out;
        private final SecureRandom random;
        private final Trace trace;
        private Transcript sent = new Transcript();
        private Transcript received = new Transcript();
        private Optional<Sealing> sealing = Optional.empty();
        private Optional<Sealing> opening = Optional.empty();

        CedarStream(InputStream in, OutputStream out, SecureRandom random, Trace trace) {
            this.in = in;
            this.out = out;
            this.random = random;
            this.trace = trace;
        }

        /** Whether messages are sealed by now. */
        boolean encrypted() {
            return sealing.isPresent();
        }

        /** A new message, in the form that the stream has now. */
        Message message() {
            return new Message(encrypted());
        }

        /** Forgets what passed so far: the target of a shared port never sees the request for it. */
        void restartTranscripts() {
            sent = new Transcript();
            received = new Transcript();
        }

        /**
         * Seals everything from the next message on, in both directions.
         *
         * @param key 32 bytes
         */
        void encrypt(byte[] key) {
            byte[] ours = sent.digest();
            byte[] theirs = received.digest();
            byte[] iv = new byte[Wire.IV_BYTES];
            random.nextBytes(iv);
            sealing = Optional.of(new Sealing(key, iv, concat(ours, theirs)));
            opening = Optional.of(new Sealing(key, new byte[0], concat(theirs, ours)));
        }

        /**
         * Sends a message as one packet: some servers drop a stranger who sends it in several
         * (SEC_USE_LOW_DATA_MODE, seen on 25.14.1).
         */
        void send(Message message) throws IOException {
            byte[] plain = message.toBytes();
            int length = plain.length + (sealing.isPresent() ? sealing.get().overhead() : 0);
            if (length > Wire.BODY_MAX_BYTES) {
                throw new ProtocolViolation("a message of " + length + " bytes is longer than HTCondor takes");
            }
            byte[] header = ByteBuffer.allocate(Wire.HEADER_BYTES).put((byte) 1).putInt(length).array();
            byte[] body = sealing.isPresent() ? sealing.get().seal(header, plain) : plain;
            byte[] packet = concat(header, body);
            if (sealing.isEmpty()) {
                sent.add(packet);
            }
            out.write(packet);
            out.flush();
            trace.log(Trace.NETWORK, () -> ">> " + plain.length + " bytes" + (encrypted() ? ", sealed" : ""));
        }

        /**
         * Receives a message.
         *
         * @param what what is expected, for complaints
         * @throws EOFException if the server closes instead
         */
        MessageReader receive(String what) throws IOException {
            ByteArrayOutputStream message = new ByteArrayOutputStream(512);
            boolean last;
            do {
                byte[] header = read(Wire.HEADER_BYTES, what);
                int end = header[0];
                int length = ByteBuffer.wrap(header, 1, Integer.BYTES).getInt();
                if (end < 0 || end > Wire.END_FLAG_MAX || length < 1 || length > Wire.BODY_MAX_BYTES
                        || message.size() + length > Wire.MESSAGE_MAX_BYTES) {
                    throw new ProtocolViolation("the server does not speak HTCondor's protocol (a packet's header: "
                        + HexFormat.of().formatHex(header) + ", while we waited for its " + what + ")");
                }
                byte[] body = read(length, what);
                if (opening.isPresent()) {
                    message.writeBytes(opening.get().open(header, body, what));
                } else {
                    received.add(header);
                    received.add(body);
                    message.writeBytes(body);
                }
                last = end != 0;
            } while (!last);
            trace.log(Trace.NETWORK, () -> "<< " + message.size() + " bytes" + (encrypted() ? ", sealed" : "") + ": "
                + what);
            return new MessageReader(message.toByteArray(), encrypted(), what);
        }

        private byte[] read(int length, String what) throws IOException {
            try {
                byte[] bytes = in.readNBytes(length);
                if (bytes.length < length) {
                    throw new EOFException("the server closed the connection while we waited for its " + what);
                }
                return bytes;
            } catch (SocketTimeoutException e) {
                throw new SocketTimeoutException("no answer in time while we waited for the server's " + what);
            } catch (SocketException e) {
                throw new SocketException("the connection broke while we waited for the server's " + what + " ("
                    + e.getMessage() + ")");
            }
        }

        /** The digest of what one direction carried in the clear. */
        private static final class Transcript {
            private final MessageDigest digest = Keys.sha256();
            private boolean silent = true;

            void add(byte[] bytes) {
                silent = false;
                digest.update(bytes);
            }

            /** 32 bytes; zeros, not the digest of nothing, for a direction that carried nothing. */
            byte[] digest() {
                return silent ? new byte[Wire.KEY_BYTES] : digest.digest();
            }
        }
    }

    /**
     * AES-256-GCM for one direction of a connection. Packet k uses the base IV with k added to its first four bytes;
     * the base travels in the clear in front of packet 0, whose associated data also hold both transcripts' digests.
     */
    static final class Sealing {
        private final SecretKeySpec key;
        private final byte[] handshake;
        private byte[] baseIv;
        private long counter;

        /**
         * @param baseIv    16 bytes to seal with; none to learn them from the first packet
         * @param handshake the digest of what the sender of this direction had sent, then of what it had received
         */
        Sealing(byte[] key, byte[] baseIv, byte[] handshake) {
            this.key = new SecretKeySpec(key, "AES");
            this.baseIv = baseIv.clone();
            this.handshake = handshake.clone();
        }

        /** By how much the next packet's body is longer than its text, bytes. */
        int overhead() {
            return Wire.TAG_BYTES + (counter == 0 ? Wire.IV_BYTES : 0);
        }

        /** The body of the next packet. */
        byte[] seal(byte[] header, byte[] plain) {
            byte[] prefix = counter == 0 ? baseIv : new byte[0];
            try {
                return concat(prefix, cipher(Cipher.ENCRYPT_MODE, header).doFinal(plain));
            } catch (GeneralSecurityException e) {
                throw new AssertionError("AES-GCM does not encrypt", e);
            }
        }

        /** The text of the next packet. */
        byte[] open(byte[] header, byte[] body, String what) throws ProtocolViolation {
            int prefix = counter == 0 ? Wire.IV_BYTES : 0;
            if (body.length < prefix + Wire.TAG_BYTES) {
                throw new ProtocolViolation("the server's " + what + " is too short to be encrypted");
            }
            if (counter == 0) {
                baseIv = Arrays.copyOf(body, Wire.IV_BYTES);
            }
            try {
                return cipher(Cipher.DECRYPT_MODE, header).doFinal(body, prefix, body.length - prefix);
            } catch (GeneralSecurityException e) {
                throw new ProtocolViolation("the server's " + what
                    + " does not decrypt: another key, or somebody altered the conversation");
            }
        }

        private Cipher cipher(int mode, byte[] header) throws GeneralSecurityException {
            if (counter >= 0xFFFF_FFFFL) {
                throw new GeneralSecurityException("too many packets under one key");
            }
            byte[] iv = baseIv.clone();
            ByteBuffer.wrap(iv).putInt(ByteBuffer.wrap(baseIv).getInt() + (int) counter);
            Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
            cipher.init(mode, key, new GCMParameterSpec(Wire.TAG_BYTES * Byte.SIZE, iv));
            if (counter == 0) {
                cipher.updateAAD(handshake);
            }
            cipher.updateAAD(header);
            counter++;
            return cipher;
        }
    }

    // ==== 12. Keys: how the two sides come to a session key ====

    /** Key agreement and derivation. Pure functions, checked against recorded exchanges. */
    static final class Keys {
        private Keys() { }

        /** Our half of an ECDH exchange over P-256. */
        static KeyPair ephemeral(SecureRandom random) {
            try {
                KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
                generator.initialize(new ECGenParameterSpec("secp256r1"), random);
                return generator.generateKeyPair();
            } catch (GeneralSecurityException e) {
                throw new AssertionError("Java has no P-256", e);
            }
        }

        /** A public key as it travels: base64 of {@code 04 || X || Y}, 65 bytes. */
        static String encodePoint(PublicKey key) {
            ECPoint point = ((ECPublicKey) key).getW();
            return Base64.getEncoder().encodeToString(
                concat(new byte[] {4}, concat(unsigned32(point.getAffineX()), unsigned32(point.getAffineY()))));
        }

        /** The session key of an ECDH exchange, 32 bytes. condor_io/condor_secman.cpp, SecMan::FinishKeyExchange */
        static byte[] agree(PrivateKey ours, String theirs) throws ProtocolViolation {
            try {
                KeyAgreement agreement = KeyAgreement.getInstance("ECDH");
                agreement.init(ours);
                agreement.doPhase(decodePoint(theirs, ((ECPrivateKey) ours).getParams()), true);
                return hkdf(agreement.generateSecret(), ascii("htcondor"), ascii("keygen"));
            } catch (GeneralSecurityException | IllegalArgumentException e) {
                throw new ProtocolViolation("the server's ECDH key is not a point of P-256");
            }
        }

        private static PublicKey decodePoint(String base64, ECParameterSpec curve) throws GeneralSecurityException {
            byte[] bytes = Base64.getDecoder().decode(base64);
            if (bytes.length != 65 || bytes[0] != 4) {
                throw new GeneralSecurityException("not an uncompressed point");
            }
            BigInteger x = new BigInteger(1, Arrays.copyOfRange(bytes, 1, 33));
            BigInteger y = new BigInteger(1, Arrays.copyOfRange(bytes, 33, 65));
            BigInteger p = ((ECFieldFp) curve.getCurve().getField()).getP();
            BigInteger right = x.pow(3).add(curve.getCurve().getA().multiply(x)).add(curve.getCurve().getB()).mod(p);
            if (x.compareTo(p) >= 0 || y.compareTo(p) >= 0 || !y.pow(2).mod(p).equals(right)) {
                throw new GeneralSecurityException("not on the curve");
            }
            return KeyFactory.getInstance("EC").generatePublic(new ECPublicKeySpec(new ECPoint(x, y), curve));
        }

        private static byte[] unsigned32(BigInteger value) {
            byte[] bytes = value.toByteArray();
            byte[] result = new byte[32];
            int length = Math.min(bytes.length, 32);
            System.arraycopy(bytes, bytes.length - length, result, 32 - length, length);
            return result;
        }

        /** HKDF-SHA-256, RFC 5869, extract and expand, 32 bytes: one block, so one round of expansion. */
        static byte[] hkdf(byte[] secret, byte[] salt, byte[] info) {
            return hmac("HmacSHA256", hmac("HmacSHA256", salt, secret), concat(info, new byte[] {1}));
        }

        static byte[] hmac(String algorithm, byte[] key, byte[] text) {
            try {
                Mac mac = Mac.getInstance(algorithm);
                mac.init(new SecretKeySpec(key, algorithm));
                return mac.doFinal(text);
            } catch (GeneralSecurityException e) {
                throw new AssertionError("Java has no " + algorithm, e);
            }
        }

        /**
         * A session key that came encrypted under the key of the authentication method: 3DES-CFB64 with a zero IV
         * (condor_io/condor_auth.cpp, Condor_Auth_Base::unwrap). It has no integrity of its own; a forged one shows
         * when the first packet does not decrypt.
         */
        static byte[] unwrap(byte[] wrapped, byte[] methodKey) {
            try {
                Cipher cipher = Cipher.getInstance("DESede/CFB64/NoPadding");
                cipher.init(Cipher.DECRYPT_MODE, new SecretKeySpec(fold(methodKey), "DESede"),
                    new IvParameterSpec(new byte[8]));
                return cipher.doFinal(wrapped);
            } catch (GeneralSecurityException e) {
                throw new AssertionError("Java has no 3DES", e);
            }
        }

        /**
         * A key of any length made one of 24 bytes: repeated, or its excess XORed on. condor_io/CryptKey.cpp,
         * getPaddedKeyData
         */
        private static byte[] fold(byte[] key) {
            byte[] folded = new byte[24];
            for (int i = 0; i < Math.max(folded.length, key.length); i++) {
                folded[i % folded.length] ^= key[i % key.length];
            }
            return folded;
        }

        static MessageDigest sha256() {
            try {
                return MessageDigest.getInstance("SHA-256");
            } catch (GeneralSecurityException e) {
                throw new AssertionError("Java has no SHA-256", e);
            }
        }

        static byte[] ascii(String text) {
            return text.getBytes(US_ASCII);
        }
    }

    // ==== 13. Authenticator: the methods, one class each ====

    /** One method did not succeed; the conversation may go on with another. */
    static final class MethodFailed extends Exception {
        private static final long serialVersionUID = 1L;

        MethodFailed(String why) {
            super(why);
        }
    }

    /**
     * A method of authentication, seen from the client. It knows the stream and nothing of policies or commands.
     *
     * <p>A method fails on both sides at the same point, so it always finishes its own exchange before it throws
     * {@link MethodFailed}. To add one: its bit in {@link AuthMethod}, a class here, a line in {@link Security#offers}.
     */
    sealed interface Authenticator {
        AuthMethod method();

        /**
         * Runs the method.
         *
         * @return the method's own key, under which a session key may come; no bytes if it has none that is secret
         */
        byte[] authenticate(CedarStream stream) throws IOException, MethodFailed;
    }

    /** Tells the server a name. Good for pools that trust their network. condor_io/condor_auth_claim.cpp */
    record ClaimToBe(String name) implements Authenticator {
        @Override
        public AuthMethod method() {
            return AuthMethod.CLAIMTOBE;
        }

        @Override
        public byte[] authenticate(CedarStream stream) throws IOException, MethodFailed {
            stream.send(stream.message().number(1).string(name));
            MessageReader verdict = stream.receive("answer to CLAIMTOBE");
            if (verdict.number() != 1) {
                throw new MethodFailed("the pool does not believe that we are " + name);
            }
            verdict.end();
            return new byte[0];
        }
    }

    /**
     * Is nobody. The pool takes requests from nobody only where a rule approves them.
     * condor_io/condor_auth_anonymous.cpp
     */
    record Anonymous() implements Authenticator {
        @Override
        public AuthMethod method() {
            return AuthMethod.ANONYMOUS;
        }

        @Override
        public byte[] authenticate(CedarStream stream) throws IOException, MethodFailed {
            MessageReader verdict = stream.receive("answer to ANONYMOUS");
            if (verdict.number() != 1) {
                throw new MethodFailed("the pool refused");
            }
            verdict.end();
            return new byte[0];
        }
    }

    /**
     * Proves who we are by creating a directory that the server names, on a file system that both see.
     * condor_io/condor_auth_fs.cpp
     *
     * @param parent   the only directory in which we create one
     * @param endpoint our view of the server, {@code ip:port[?sock=id]}: a server that ends the name in "_" has it
     *                 appended, so that the directory is good for this connection only
     */
    record FileSystemAccess(Path parent, String endpoint) implements Authenticator {
        /** FS_XXX and six characters (23.x), or with the server's address and port, and "_" (25.x); both seen. */
        private static final Pattern NAME = Pattern.compile("FS_([0-9A-Fa-f.:\\[\\]]+_[0-9]{1,5}_)?XXX[A-Za-z0-9]{6}_?");

        @Override
        public AuthMethod method() {
            return AuthMethod.FS;
        }

        @Override
        public byte[] authenticate(CedarStream stream) throws IOException, MethodFailed {
            MessageReader named = stream.receive("FS directory name");
            String path = named.string();
            named.end();
            Path directory = Path.of("");
            String complaint = complaint(path);
            boolean bind = path.endsWith("_");
            if (complaint.isEmpty()) {
                directory = Path.of(bind ? path + endpoint : path);
                complaint = create(directory);
            }
            boolean created = complaint.isEmpty();
            try {
                Message reply = stream.message().number(created ? 0 : -1);
                stream.send(created && bind ? reply.string(endpoint) : reply);
                MessageReader verdict = stream.receive("answer to FS");
                boolean granted = verdict.number() == 0;
                verdict.end();
                if (!created || !granted) {
                    throw new MethodFailed(created ? "the pool does not see, or does not accept, the directory "
                        + directory + " that it asked for; FS needs a pool on this machine, with the same file system"
                        : complaint);
                }
                return new byte[0];
            } finally {
                if (created) {
                    Files.deleteIfExists(directory);
                }
            }
        }

        private String complaint(String path) {
            if (path.isEmpty()) {
                return "the pool could not name a directory (its log says why)";
            }
            String prefix = parent + "/";
            return path.startsWith(prefix) && NAME.matcher(path.substring(prefix.length())).matches() ? ""
                : "the pool named " + path + ", which is not of the form that HTCondor uses below " + parent;
        }

        private static String create(Path directory) {
            try {
                Files.createDirectory(directory, ownerOnly("rwx------"));
                return "";
            } catch (IOException e) {
                return "cannot create the directory " + directory + " that the pool asked for: " + reason(e);
            }
        }
    }

    /** TLS inside HTCondor's messages, without a certificate of ours. condor_io/condor_auth_ssl.cpp */
    record Ssl(ServerTrust trust, String hostName) implements Authenticator {
        @Override
        public AuthMethod method() {
            return AuthMethod.SSL;
        }

        @Override
        public byte[] authenticate(CedarStream stream) throws IOException, MethodFailed {
            MessageReader ready = stream.receive("SSL status");
            long status = ready.number();
            ready.end();
            stream.send(stream.message().number(Wire.SSL_OK));
            if (status != Wire.SSL_OK) {
                throw new MethodFailed("the pool is not set up for it (status " + status + "; its log says why)");
            }
            Tunnel tunnel = new Tunnel(stream, trust.engine(hostName));
            tunnel.phase(Turn.OURS, tunnel::handshaken, "TLS handshake");
            tunnel.phase(Turn.THEIRS, tunnel::keyArrived, "passing of a key through TLS");
            return tunnel.key();
        }

        private enum Turn { OURS, THEIRS }

        /**
         * The strict alternation of messages in which each side says how far it is and passes on what its TLS engine
         * produced. A phase ends when both sides hold.
         */
        private final class Tunnel {
            private final CedarStream stream;
            private final SSLEngine engine;
            private final ByteBuffer outgoing;
            private final ByteBuffer clear;
            private final ByteArrayOutputStream toServer = new ByteArrayOutputStream();
            private final ByteArrayOutputStream plain = new ByteArrayOutputStream();
            private ByteBuffer fromServer = ByteBuffer.allocate(0);
            private Optional<SSLException> broken = Optional.empty();

            Tunnel(CedarStream stream, SSLEngine engine) {
                this.stream = stream;
                this.engine = engine;
                this.outgoing = ByteBuffer.allocate(engine.getSession().getPacketBufferSize());
                this.clear = ByteBuffer.allocate(engine.getSession().getApplicationBufferSize());
            }

            boolean handshaken() {
                return engine.getHandshakeStatus() == HandshakeStatus.NOT_HANDSHAKING
                    && !engine.getSession().getProtocol().equals("NONE");
            }

            boolean keyArrived() {
                return plain.size() >= Wire.SSL_KEY_BYTES;
            }

            byte[] key() throws ProtocolViolation {
                if (plain.size() != Wire.SSL_KEY_BYTES) {
                    throw new ProtocolViolation("the server sent " + plain.size() + " bytes of key through TLS, not "
                        + Wire.SSL_KEY_BYTES);
                }
                return plain.toByteArray();
            }

            void phase(Turn first, BooleanSupplier done, String what) throws IOException, MethodFailed {
                Turn turn = first;
                int ours = Wire.SSL_RECEIVING;
                int theirs = Wire.SSL_RECEIVING;
                while (ours != Wire.SSL_HOLDING || theirs != Wire.SSL_HOLDING) {
                    if (ours == Wire.SSL_RECEIVING) {
                        advance();
                        ours = broken.isPresent() ? Wire.SSL_QUITTING : done.getAsBoolean() ? Wire.SSL_HOLDING : ours;
                    }
                    if (turn == Turn.OURS) {
                        if (ours == Wire.SSL_RECEIVING && theirs == Wire.SSL_HOLDING && toServer.size() == 0) {
                            throw new ProtocolViolation("the server ended the " + what + " before it was complete");
                        }
                        stream.send(stream.message().number(ours).counted(toServer.toByteArray()));
                        toServer.reset();
                        if (ours == Wire.SSL_QUITTING) {
                            throw new MethodFailed(explain(broken.get()));
                        }
                        turn = Turn.THEIRS;
                    } else {
                        theirs = listen(what);
                        turn = Turn.OURS;
                    }
                }
            }

            private int listen(String what) throws IOException, MethodFailed {
                MessageReader message = stream.receive(what);
                int status = message.number(Wire.SSL_ERROR, Wire.SSL_HOLDING);
                byte[] bytes = message.counted();
                message.end();
                if (fromServer.remaining() + bytes.length > Wire.BODY_MAX_BYTES) {
                    throw message.violation("brings more TLS than a handshake has");
                }
                fromServer = ByteBuffer.wrap(concat(Arrays.copyOfRange(fromServer.array(), fromServer.position(),
                    fromServer.limit()), bytes));
                if (status == Wire.SSL_QUITTING || status == Wire.SSL_ERROR) {
                    advance();
                    throw new MethodFailed("the pool broke off the " + what + broken.map(e -> " (" + e.getMessage() + ")")
                        .orElse("; perhaps it wants a client certificate"));
                }
                return status;
            }

            /** Lets TLS run on what has arrived, until it needs more. */
            private void advance() throws ProtocolViolation {
                try {
                    boolean progress = true;
                    while (progress) {
                        progress = switch (engine.getHandshakeStatus()) {
                            case NEED_TASK -> {
                                engine.getDelegatedTask().run();
                                yield true;
                            }
                            case NEED_WRAP -> wrap();
                            default -> unwrap();
                        };
                    }
                } catch (SSLException e) {
                    broken = Optional.of(e);
                    farewell();
                }
            }

            private boolean wrap() throws SSLException {
                SSLEngineResult result = engine.wrap(ByteBuffer.allocate(0), outgoing);
                toServer.write(outgoing.array(), 0, outgoing.position());
                outgoing.clear();
                return result.bytesProduced() > 0 || result.getHandshakeStatus() != HandshakeStatus.NEED_WRAP;
            }

            private boolean unwrap() throws SSLException, ProtocolViolation {
                SSLEngineResult result = engine.unwrap(fromServer, clear);
                plain.write(clear.array(), 0, clear.position());
                clear.clear();
                if (plain.size() > Wire.SSL_KEY_BYTES) {
                    throw new ProtocolViolation("the server sent more than a key through TLS");
                }
                return result.getStatus() == Status.OK
                    && (result.bytesConsumed() > 0 || result.getHandshakeStatus() != HandshakeStatus.NEED_UNWRAP);
            }

            /** The alert that TLS wants to send after an error, as far as it still can. */
            private void farewell() {
                try {
                    engine.closeOutbound();
                    while (engine.getHandshakeStatus() == HandshakeStatus.NEED_WRAP && wrap()) {
                        continue;
                    }
                } catch (SSLException e) {
                    broken.ifPresent(first -> first.addSuppressed(e));
                }
            }

            private String explain(SSLException e) {
                return trust.rejection().orElseGet(() -> "TLS failed: " + e.getMessage());
            }
        }
    }

    /**
     * Decides whether a server's certificate is trusted: its chain must lead to the user's CAs or, unless switched off,
     * to the system's, and it must carry the host's name. It remembers why it said no.
     *
     * <p>The chain and the name are checked by Java's own trust manager; this class chooses the CAs and finds the
     * words.
     */
    static final class ServerTrust extends X509ExtendedTrustManager {
        /** Where OpenSSL's default CAs live on Debian, on Fedora and its kin, and on BSD and macOS. */
        private static final List<String> SYSTEM_BUNDLES = List.of("/etc/ssl/certs/ca-certificates.crt",
            "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem");
        /** Names by which OpenSSL finds a certificate in a CA directory. */
        private static final Pattern HASHED = Pattern.compile("[0-9a-f]{8}\\.[0-9]+");
        private final Configuration configuration;
        private final Map<String, String> environment;
        private final boolean useSystemCas;
        private final List<String> sources = new ArrayList<>();
        private String hostName = "";
        private Optional<String> rejection = Optional.empty();

        /** @throws Failure CONFIGURATION */
        ServerTrust(Configuration configuration, Map<String, String> environment) throws Failure {
            this.configuration = configuration;
            this.environment = environment;
            this.useSystemCas = configuration.flag("AUTH_SSL_CLIENT_USE_DEFAULT_CAS", true);
        }

        /** Why the server's certificate was rejected; empty if it was not, or not seen. */
        Optional<String> rejection() {
            return rejection;
        }

        /** A TLS engine for one connection to this host. */
        SSLEngine engine(String hostName) {
            try {
                this.hostName = hostName;
                this.rejection = Optional.empty();
                SSLContext context = SSLContext.getInstance("TLS");
                context.init(new KeyManager[0], new TrustManager[] {this}, null);
                SSLEngine engine = context.createSSLEngine(hostName, -1);
                engine.setUseClientMode(true);
                SSLParameters parameters = engine.getSSLParameters();
                parameters.setProtocols(new String[] {"TLSv1.3", "TLSv1.2"});
                parameters.setEndpointIdentificationAlgorithm("HTTPS");
                engine.setSSLParameters(parameters);
                return engine;
            } catch (GeneralSecurityException e) {
                throw new AssertionError("Java has no TLS", e);
            }
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String keyType, SSLEngine engine)
                throws CertificateException {
            X509ExtendedTrustManager judge;
            try {
                judge = judge(chain, keyType);
            } catch (CertificateException e) {
                rejection = Optional.of("the certificate is not trusted: " + innermost(e) + ". " + describe(chain[0])
                    + " Trusted are " + (sources.isEmpty() ? "no CAs" : String.join(", ", sources))
                    + "; the pool's CA is named by _CONDOR_AUTH_SSL_CLIENT_CAFILE");
                throw e;
            }
            try {
                judge.checkServerTrusted(chain, keyType, engine);
            } catch (CertificateException e) {
                rejection = Optional.of("the certificate is not for " + hostName + ": " + innermost(e) + ". "
                    + describe(chain[0]));
                throw e;
            }
        }

        /** The first of our trust managers that accepts the chain; the system's CAs are not read unless needed. */
        private X509ExtendedTrustManager judge(X509Certificate[] chain, String keyType) throws CertificateException {
            sources.clear();
            CertificateException verdict = new CertificateException("no CA is known");
            List<X509Certificate> own = ownCas();
            if (!own.isEmpty()) {
                try {
                    return accepting(trusting(own), chain, keyType);
                } catch (CertificateException e) {
                    verdict = e;
                }
            }
            // A chain that leads to one of the user's CAs, and is wrong in another way, is not the system's to forgive.
            boolean unknown = own.isEmpty() || verdict.getCause() instanceof CertPathBuilderException;
            if (!unknown || !useSystemCas) {
                throw verdict;
            }
            return accepting(systemCas(), chain, keyType);
        }

        private static X509ExtendedTrustManager accepting(X509ExtendedTrustManager judge, X509Certificate[] chain,
                String keyType) throws CertificateException {
            judge.checkServerTrusted(chain, keyType);
            return judge;
        }

        private List<X509Certificate> ownCas() {
            List<X509Certificate> cas = new ArrayList<>();
            // Of several files the last readable one counts, as in the original.
            List<String> files = configuration.text("AUTH_SSL_CLIENT_CAFILE").map(text -> List.of(text.split(",")))
                .orElse(List.of());
            for (int i = files.size() - 1; i >= 0 && cas.isEmpty(); i--) {
                cas.addAll(read(Path.of(files.get(i).strip())));
            }
            configuration.text("AUTH_SSL_CLIENT_CADIR")
                .ifPresent(directory -> cas.addAll(readDirectory(Path.of(directory.strip()))));
            return cas;
        }

        private List<X509Certificate> readDirectory(Path directory) {
            try (Stream<Path> entries = Files.list(directory)) {
                List<X509Certificate> cas = entries
                    .filter(entry -> HASHED.matcher(entry.getFileName().toString()).matches())
                    .sorted().flatMap(entry -> parse(entry).stream()).toList();
                sources.add(directory + " (" + cas.size() + ")");
                return cas;
            } catch (IOException e) {
                sources.add(directory + " (" + reason(e) + ")");
                return List.of();
            }
        }

        private List<X509Certificate> read(Path file) {
            if (!Files.isReadable(file)) {
                sources.add(file + (Files.exists(file) ? " (not readable)" : " (no such file)"));
                return List.of();
            }
            List<X509Certificate> cas = parse(file);
            sources.add(file + " (" + cas.size() + ")");
            return cas;
        }

        private static List<X509Certificate> parse(Path file) {
            try (InputStream in = Files.newInputStream(file)) {
                return CertificateFactory.getInstance("X.509").generateCertificates(in).stream()
                    .map(X509Certificate.class::cast).toList();
            } catch (IOException | CertificateException e) {
                return List.of();
            }
        }

        private X509ExtendedTrustManager systemCas() throws CertificateException {
            Optional<Path> bundle = Stream.concat(Stream.ofNullable(environment.get("SSL_CERT_FILE")),
                SYSTEM_BUNDLES.stream())
                .map(Path::of).filter(Files::isReadable).findFirst();
            List<X509Certificate> cas = bundle.map(this::read).orElse(List.of());
            if (!cas.isEmpty()) {
                return trusting(cas);
            }
            sources.add("Java's own CAs");
            return manager(Optional.empty());
        }

        private static X509ExtendedTrustManager trusting(List<X509Certificate> cas) throws CertificateException {
            try {
                KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
                store.load(null, null);
                for (X509Certificate ca : cas) {
                    store.setCertificateEntry("ca-" + store.size(), ca);
                }
                return manager(Optional.of(store));
            } catch (GeneralSecurityException | IOException e) {
                throw new CertificateException(e);
            }
        }

        /** Java's trust manager for these CAs; for none given, its own. */
        private static X509ExtendedTrustManager manager(Optional<KeyStore> store) throws CertificateException {
            try {
                TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
                factory.init(store.orElse(null));
                return (X509ExtendedTrustManager) factory.getTrustManagers()[0];
            } catch (GeneralSecurityException e) {
                throw new CertificateException(e);
            }
        }

        private static String innermost(Throwable e) {
            if (e instanceof CertificateExpiredException) {
                return "it has expired (" + e.getMessage() + ")";
            }
            return e.getCause() == null || e.getCause().getMessage() == null ? e.getMessage().replaceFirst("\\.$", "")
                : innermost(e.getCause());
        }

        private static String describe(X509Certificate certificate) throws CertificateException {
            return "Subject " + certificate.getSubjectX500Principal() + ", issuer "
                + certificate.getIssuerX500Principal()
                + ", SHA-256 " + HexFormat.ofDelimiter(":").formatHex(Keys.sha256().digest(certificate.getEncoded()))
                + ".";
        }

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String keyType) throws CertificateException {
            throw new CertificateException("a certificate is judged only together with its connection");
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String keyType, Socket socket)
                throws CertificateException {
            checkServerTrusted(chain, keyType);
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String keyType) throws CertificateException {
            checkServerTrusted(chain, keyType);
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String keyType, Socket socket)
                throws CertificateException {
            checkServerTrusted(chain, keyType);
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String keyType, SSLEngine engine)
                throws CertificateException {
            checkServerTrusted(chain, keyType);
        }
    }

    /**
     * IDTOKENS: AKEP2 with a key that follows from the token's signature, which itself never travels.
     * condor_io/condor_auth_passwd.cpp
     *
     * <pre>
     * C>S  status, len(A), A, T, 256, RA
     * S>C  status, len(A), A, len(B), B, 256, RA, 256, RB, 20, HKT
     * C>S  status, len(A), A, 256, RB, 20, HK
     * </pre>
     */
    record IdToken(IssuedToken token, SecureRandom random) implements Authenticator {
        @Override
        public AuthMethod method() {
            return AuthMethod.TOKEN;
        }

        @Override
        public byte[] authenticate(CedarStream stream) throws IOException, MethodFailed {
            String a = token.authenticatesAs();
            byte[] ra = new byte[Wire.AKEP2_RANDOM_BYTES];
            random.nextBytes(ra);
            stream.send(stream.message().number(0).number(a.getBytes(UTF_8).length).string(a).string(token.signedPart())
                .counted(ra));
            MessageReader reply = stream.receive("answer to IDTOKENS");
            long status = reply.number();
            reply.number();
            String echoedA = reply.string();
            reply.number();
            String b = reply.string();
            byte[] echoedRa = reply.counted();
            byte[] rb = reply.counted();
            byte[] hkt = reply.counted();
            reply.end();
            byte[] key = sharedKey(token);
            boolean proved = status == 0 && echoedA.equals(a) && MessageDigest.isEqual(echoedRa, ra)
                && rb.length == Wire.AKEP2_RANDOM_BYTES && MessageDigest.isEqual(hkt, serverProof(key, a, b, ra, rb));
            if (!proved) {
                stream.send(stream.message().number(-1).number(0).string("").number(0).number(0));
                throw new MethodFailed(status != 0
                    ? "the pool does not accept the token of " + a + " (unknown key, expired or revoked)"
                    : "the pool could not prove that it knows the key of the token of " + a);
            }
            stream.send(stream.message().number(0).number(a.getBytes(UTF_8).length).string(a).counted(rb)
                .counted(clientProof(key, a, rb)));
            // The key that HTCondor derives here follows from RB, which anybody could read; so it protects nothing.
            return new byte[0];
        }

        static byte[] sharedKey(IssuedToken token) {
            return Keys.hkdf(token.signature(), concat(Base64.getMimeDecoder().decode(Wire.AKEP2_SEED_A),
                Keys.ascii(token.signedPart())), Keys.ascii("master ka"));
        }

        static byte[] serverProof(byte[] key, String a, String b, byte[] ra, byte[] rb) {
            return Keys.hmac("HmacSHA1", key, concat((a + " " + b + "\0").getBytes(UTF_8), concat(ra, rb)));
        }

        static byte[] clientProof(byte[] key, String a, byte[] rb) {
            return Keys.hmac("HmacSHA1", key, concat((a + "\0").getBytes(UTF_8), rb));
        }
    }

    /**
     * A token as it lies in a file, or as the pool issued it: a JSON web token, {@code header.payload.signature}.
     *
     * @param signedPart header and payload, as they stand in the text
     * @param signature  decoded
     */
    record IssuedToken(Secret text, Optional<String> keyId, Claims claims, String signedPart, byte[] signature) {
        private static final Pattern FORM = Pattern.compile("[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+");
        private static final int MAX_CHARACTERS = 64 * 1024;
        /** How far from its validity a token may be when it is only read. */
        private static final Duration PATIENCE = Duration.ofDays(100 * 365);
        /** base64url of {"alg":"none"}: jjwt reads the claims of an unsigned token without a key, and we have none. */
        private static final String UNSIGNED = "eyJhbGciOiJub25lIn0";

        /**
         * Whether a text has the form of a token and may be written somewhere: three parts, the first two JSON objects.
         */
        static boolean isToken(String text) {
            return text.length() <= MAX_CHARACTERS && FORM.matcher(text).matches()
                && Arrays.stream(text.split("\\.")).limit(2).allMatch(IssuedToken::isObject);
        }

        private static boolean isObject(String part) {
            try {
                String json = new String(Base64.getUrlDecoder().decode(part), UTF_8).strip();
                return json.startsWith("{") && json.endsWith("}");
            } catch (IllegalArgumentException e) {
                return false;
            }
        }

        /** Reads a token without checking its signature; empty if it is none. */
        static Optional<IssuedToken> read(String text) {
            if (!isToken(text)) {
                return Optional.empty();
            }
            String[] parts = text.split("\\.");
            try {
                // Whether it is expired is for the caller to see, so the parser is as patient as it can be.
                Claims claims = Jwts.parser().unsecured().json(new Json()).clockSkewSeconds(PATIENCE.toSeconds())
                    .build().parseUnsecuredClaims(UNSIGNED + "." + parts[1] + ".").getPayload();
                Object keyId = new Json().deserialize(new StringReader(
                    new String(Base64.getUrlDecoder().decode(parts[0]), UTF_8))).get("kid");
                return Optional.of(new IssuedToken(new Secret(text), Optional.ofNullable(keyId).map(Object::toString),
                    claims,
                    parts[0] + "." + parts[1], Base64.getUrlDecoder().decode(parts[2])));
            } catch (JwtException | IllegalArgumentException e) {
                return Optional.empty();
            }
        }

        /** The name that the server expects with this token: its subject, else its ID; empty if it has neither. */
        String authenticatesAs() {
            return Optional.ofNullable(claims.getSubject()).or(() -> Optional.ofNullable(claims.getId())).orElse("");
        }

        /**
         * Why it is of no use with a pool; empty if it may be of use.
         *
         * @param trustDomain what the pool announces; empty if nothing
         * @param issuerKeys  IDs of the keys that the pool can check; none if it does not say
         */
        Optional<String> misfit(Optional<String> trustDomain, List<String> issuerKeys, Instant now) {
            if (trustDomain.isPresent() && !trustDomain.get().equals(claims.getIssuer())) {
                return Optional.of("is of trust domain " + claims.getIssuer());
            }
            if (!issuerKeys.isEmpty() && keyId.filter(issuerKeys::contains).isEmpty()) {
                return Optional.of("is signed with key " + keyId.orElse("(none)"));
            }
            if (claims.getExpiration() != null && claims.getExpiration().toInstant().isBefore(now)) {
                return Optional.of("expired at " + claims.getExpiration().toInstant());
            }
            return authenticatesAs().isEmpty() ? Optional.of("names nobody") : Optional.empty();
        }

        /** JSON for jjwt, which has no reader of its own. */
        private static final class Json extends AbstractDeserializer<Map<String, ?>> {
            @Override
            protected Map<String, ?> doDeserialize(Reader reader) throws IOException {
                return new ObjectMapper().readValue(reader, new TypeReference<Map<String, Object>>() { });
            }
        }
    }

    /**
     * Where tokens are kept: SEC_TOKEN_DIRECTORY, else the user's own directory, else, for root, the system's.
     * condor_utils/token_utils.cpp, condor_io/condor_auth_passwd.cpp
     */
    record TokenDirectory(Path path, Optional<UserPrincipal> owner) {
        /** What LOCAL_CONFIG_DIR_EXCLUDE_REGEXP leaves out: backups and what package managers leave behind. */
        private static final Pattern EXCLUDED = Pattern.compile(
            "\\..*|#.*|.*~|.*\\.(pl|py|sh|rpmsave|rpmnew|dpkg-old|dpkg-dist|cfsaved)");

        /** @throws Failure CONFIGURATION, if there is no home to keep tokens in */
        static TokenDirectory of(Configuration configuration, Host host) throws Failure {
            Path system = Path.of(configuration.text("SEC_TOKEN_SYSTEM_DIRECTORY").map(String::strip)
                .orElse("/etc/condor/tokens.d"));
            Path own = host.isRoot() ? system
                : host.home().map(home -> home.resolve(".condor").resolve("tokens.d")).orElse(system);
            return new TokenDirectory(configuration.text("SEC_TOKEN_DIRECTORY").map(text -> Path.of(text.strip()))
                .orElse(own),
                host.user());
        }

        /** Tokens, in the order of their files' names, and why others were passed over. */
        record Contents(List<IssuedToken> tokens, List<String> complaints) { }

        /** Reads every token; a file that others can read, or that is another's, is passed over. */
        Contents read() {
            List<IssuedToken> tokens = new ArrayList<>();
            List<String> complaints = new ArrayList<>();
            try (Stream<Path> entries = Files.list(path)) {
                for (Path file : entries.filter(Files::isRegularFile).sorted().toList()) {
                    if (!EXCLUDED.matcher(file.getFileName().toString()).matches()) {
                        read(file, tokens, complaints);
                    }
                }
            } catch (IOException e) {
                complaints.add(reason(e));
            }
            return new Contents(List.copyOf(tokens), List.copyOf(complaints));
        }

        private void read(Path file, List<IssuedToken> tokens, List<String> complaints) {
            try {
                if (!isPrivate(file)) {
                    complaints.add(file + " is not this user's alone, so it is not used");
                    return;
                }
                Files.readString(file).lines().map(String::strip)
                    .filter(line -> !line.isEmpty() && !line.startsWith("#"))
                    .forEach(line -> IssuedToken.read(line).ifPresentOrElse(tokens::add,
                        () -> complaints.add(file + " holds a line that is no token")));
            } catch (IOException e) {
                complaints.add(file + ": " + reason(e));
            }
        }

        private boolean isPrivate(Path file) throws IOException {
            try {
                return owner.isPresent() && Files.getOwner(file).equals(owner.get())
                    && Files.getPosixFilePermissions(file).stream().allMatch(right -> right.name().startsWith("OWNER"));
            } catch (UnsupportedOperationException e) {
                return true; // a file system without such rights
            }
        }
    }

    // ==== 14. Security: policies, the choice of a method, sessions and their resumption ====

    /**
     * Whether the session key came through the authentication (bound) or through an ECDH exchange beside it (unbound).
     */
    enum Kind { BOUND, UNBOUND }

    /**
     * One connection to try.
     *
     * @param fallback whether a bound one was tried before, so that the user must hear of the difference
     */
    record Attempt(Kind kind, List<AuthMethod> methods, boolean fallback) { }

    /**
     * A security session.
     *
     * @param key         32 bytes
     * @param end         when it must no longer be used
     * @param lease       the longest gap between two uses; zero for any
     * @param trustDomain what the pool announced
     * @param user        who the pool thinks we are
     */
    record Session(String id, byte[] key, Kind kind, AuthMethod method, String user, Optional<String> trustDomain,
                   Instant end, Duration lease, Instant lastUse) {
        /** Sessions are not used in their last seconds, since the server's clock started earlier than ours. */
        private static final Duration MARGIN = Duration.ofSeconds(5);

        boolean usableAt(Instant now) {
            return now.isBefore(end.minus(MARGIN))
                && (lease.isZero() || now.isBefore(lastUse.plus(lease).minus(MARGIN)));
        }

        Session usedAt(Instant now) {
            return new Session(id, key, kind, method, user, trustDomain, end, lease, now);
        }
    }

    /** A connection on which a command may be sent, all of it encrypted. */
    record Channel(CedarStream stream, Session session, Connection connection) implements Closeable {
        @Override
        public void close() {
            connection.close();
        }
    }

    /** The server's answer to our policy. condor_io/condor_secman.cpp, condor_daemon_core.V6/daemon_command.cpp */
    record PolicyReply(ClassAd ad) {
        Optional<String> trustDomain() {
            return ad.string("TrustDomain").filter(domain -> !domain.isEmpty());
        }

        List<String> issuerKeys() {
            return words("IssuerKeys");
        }

        List<AuthMethod> methods() {
            return words("AuthMethodsList").stream().map(AuthMethod::named).flatMap(Optional::stream).toList();
        }

        private List<String> words(String name) {
            return Configuration.items(ad.string(name).orElse(""));
        }

        /** Checks that the server decided for what we demand: its word is not enough, but its refusal is. */
        void check(Kind kind) throws ProtocolViolation {
            for (String name : List.of("Authentication", "Encryption")) {
                require(name, "YES");
            }
            require("CryptoMethods", "AES");
            if (kind == Kind.BOUND == ad.expression("ECDHPublicKey").isPresent()) {
                throw new ProtocolViolation(kind == Kind.BOUND ? "the server sent an ECDH key though we sent none"
                    : "the server sent no ECDH key");
            }
        }

        private void require(String name, String wanted) throws ProtocolViolation {
            String value = ad.string(name).orElse("nothing");
            if (!value.equals(wanted)) {
                throw new ProtocolViolation("the server answered " + name + " = " + value + " where we demand "
                    + wanted);
            }
        }
    }

    /**
     * Opens channels for commands: by resuming the session, else by negotiating one. It knows no command's content.
     *
     * <p>Invariants. A bound connection never carries an ECDH key and its session key comes wrapped, an unbound one the
     * other way round; every deviation ends it. What began bound never goes on unbound.
     */
    static final class Security {
        /** The original's client offers these, unless told otherwise. condor_io/condor_secman.cpp */
        private static final List<AuthMethod> DEFAULT_METHODS =
            List.of(AuthMethod.FS, AuthMethod.TOKEN, AuthMethod.KERBEROS, AuthMethod.SCITOKENS, AuthMethod.SSL);
        private static final Set<AuthMethod> SUPPORTED = EnumSet.of(AuthMethod.FS, AuthMethod.TOKEN, AuthMethod.SSL,
            AuthMethod.CLAIMTOBE, AuthMethod.ANONYMOUS);
        private static final Duration CONNECT_PATIENCE = Duration.ofSeconds(5);
        private static final Duration EXCHANGE_PATIENCE = Duration.ofSeconds(20);
        /** A little longer than the longest wait, so that one session serves it. */
        private static final Duration SESSION_DURATION = Duration.ofSeconds(3900);

        private final Target target;
        private final Configuration configuration;
        private final Host host;
        private final Trace trace;
        private final Consumer<String> notices;
        private final TokenDirectory tokens;
        private final ServerTrust trust;
        private final List<Attempt> attempts;
        private final List<AuthMethod> unsupported;
        private final int multiplier;
        private Optional<Session> session = Optional.empty();
        private boolean boundOnly;

        /** @throws Failure CONFIGURATION, if the settings contradict what a token request needs */
        Security(Target target, Configuration configuration, Host host, Trace trace,
            Consumer<String> notices) throws Failure {
            this.target = target;
            this.configuration = configuration;
            this.host = host;
            this.trace = trace;
            this.notices = notices;
            this.tokens = TokenDirectory.of(configuration, host);
            this.trust = new ServerTrust(configuration, host.environment());
            for (String demand : List.of("AUTHENTICATION", "ENCRYPTION", "INTEGRITY", "NEGOTIATION")) {
                checkLevel(demand);
            }
            Optional<Configuration.Setting> named = configuration.security("AUTHENTICATION_METHODS");
            List<AuthMethod> allowed = named.isEmpty() ? DEFAULT_METHODS : methods(named.get());
            this.unsupported = allowed.stream().filter(method -> !SUPPORTED.contains(method)).toList();
            boolean local = target.addresses().stream().map(InetSocketAddress::getAddress).allMatch(Target::isLocal);
            this.attempts = plan(allowed.stream().filter(SUPPORTED::contains).toList(), named.isPresent(), local);
            int multiplierOfTools = configuration.number("TOOL_TIMEOUT_MULTIPLIER", 0, 0, 1000);
            this.multiplier = Math.max(1, multiplierOfTools > 0 ? multiplierOfTools
                : configuration.number("TIMEOUT_MULTIPLIER", 0, 0, 1000));
        }

        /** Levels are known by their first letter. What a token request cannot do without cannot be forbidden. */
        private void checkLevel(String demand) throws Failure {
            Optional<Configuration.Setting> setting = configuration.security(demand);
            if (setting.isPresent() && !setting.get().value().strip().matches("(?i)[RYTPO].*")) {
                throw Configuration.invalid(setting.get(),
                    "OPTIONAL, PREFERRED or REQUIRED, since a token is never sent without it");
            }
        }

        private static List<AuthMethod> methods(Configuration.Setting setting) throws Failure {
            List<AuthMethod> methods = Configuration.items(setting.value()).stream().map(AuthMethod::named)
                .flatMap(Optional::stream).distinct().toList();
            if (methods.isEmpty()) {
                throw Configuration.invalid(setting, "a list of methods of authentication, such as SSL, IDTOKENS, FS");
            }
            return methods;
        }

        /**
         * The connections to try, in order: bound before unbound, but FS first on this machine, where it comes first in
         * the list, as by default. Once a certificate was rejected, or SSL is not to be had, only IDTOKENS goes on by
         * itself, since it proves the server as well; the others must have been named by the user.
         *
         * @param allowed methods that we have, in order of preference
         * @param named   whether the user named them
         * @param local   whether the server's address is this machine's; FS is for such only
         */
        static List<Attempt> plan(List<AuthMethod> allowed, boolean named, boolean local) {
            List<AuthMethod> unbound = allowed.stream().filter(method -> method != AuthMethod.SSL)
                .filter(method -> method != AuthMethod.FS || local).toList();
            if (!allowed.contains(AuthMethod.SSL)) {
                return List.of(new Attempt(Kind.UNBOUND, unbound, false));
            }
            List<Attempt> attempts = new ArrayList<>();
            boolean fileSystemFirst = unbound.contains(AuthMethod.FS)
                && allowed.indexOf(AuthMethod.FS) < allowed.indexOf(AuthMethod.SSL);
            if (fileSystemFirst) {
                attempts.add(new Attempt(Kind.UNBOUND, List.of(AuthMethod.FS), false));
            }
            attempts.add(new Attempt(Kind.BOUND, List.of(AuthMethod.SSL), false));
            attempts.add(new Attempt(Kind.UNBOUND, unbound.stream()
                .filter(method -> method == AuthMethod.TOKEN || named)
                .filter(method -> method != AuthMethod.FS || !fileSystemFirst).toList(), true));
            return List.copyOf(attempts);
        }

        /**
         * A channel for one command.
         *
         * @throws IOException if the server cannot be reached or breaks off
         * @throws Failure     NOT_AUTHENTICATED if no method succeeds, REFUSED if we are not allowed to ask
         */
        Channel open(int command) throws IOException, Failure {
            Instant now = host.clock().instant();
            if (session.isPresent() && session.get().usableAt(now)) {
                Optional<Channel> resumed = resume(session.get(), command);
                if (resumed.isPresent()) {
                    session = Optional.of(session.get().usedAt(now));
                    return resumed.get();
                }
                trace.log(Trace.SECURITY, () -> "The server has forgotten our session; authenticating anew.");
            }
            session = Optional.empty();
            Channel channel = negotiate(command);
            session = Optional.of(channel.session());
            boundOnly = channel.session().kind() == Kind.BOUND;
            return channel;
        }

        /** Gives up the session, after something was wrong on it. */
        void forget() {
            session = Optional.empty();
        }

        private Channel negotiate(int command) throws IOException, Failure {
            List<String> tried = new ArrayList<>();
            for (Attempt attempt : attempts) {
                if (!boundOnly || attempt.kind() == Kind.BOUND) {
                    Optional<Channel> channel = attempt(attempt, command, tried);
                    if (channel.isPresent()) {
                        return channel.get();
                    }
                }
            }
            unsupported.forEach(method -> tried.add(method.label + ": not among the methods of this command"));
            throw new Failure(Reason.NOT_AUTHENTICATED,
                "Failed to request a new token: no method of authentication succeeded with "
                + target + ".", tried.toArray(String[]::new));
        }

        private Optional<Channel> attempt(Attempt attempt, int command, List<String> tried)
                throws IOException, Failure {
            List<AuthMethod> methods = new ArrayList<>();
            for (AuthMethod method : attempt.methods()) {
                unusable(method).ifPresentOrElse(why -> tried.add(method.label + ": " + why),
                    () -> methods.add(method));
            }
            if (methods.isEmpty()) {
                return Optional.empty();
            }
            Connection connection = connect();
            try {
                Optional<Channel> channel = new Negotiation(connection, attempt.kind(), methods, tried).run(command);
                if (channel.isEmpty()) {
                    connection.close();
                } else if (attempt.fallback()) {
                    notices.accept("WARNING: SSL did not succeed, so " + channel.get().session().method().label
                        + " is used: an active attacker between this machine and the pool can read the session.");
                }
                return channel;
            } catch (IOException | Failure e) {
                connection.close();
                throw e;
            }
        }

        /** Why a method need not be offered; empty if it can be tried. */
        private Optional<String> unusable(AuthMethod method) {
            if (method == AuthMethod.SSL && target.alias().isEmpty()) {
                return Optional.of("a certificate carries a name, and only an address is known: give -pool HOST, or '"
                    + target.sinful().with("alias", "HOST") + "'");
            }
            if (method == AuthMethod.TOKEN) {
                TokenDirectory.Contents contents = tokens.read();
                return contents.tokens().isEmpty() ? Optional.of(noToken(contents.complaints())) : Optional.empty();
            }
            return Optional.empty();
        }

        private String noToken(List<String> complaints) {
            return "no token in " + tokens.path()
                + (complaints.isEmpty() ? "" : " (" + String.join("; ", complaints) + ")");
        }

        private Connection connect() throws IOException {
            List<String> complaints = new ArrayList<>();
            for (InetSocketAddress address : target.addresses()) {
                try {
                    Duration patience = CONNECT_PATIENCE.multipliedBy(multiplier);
                    Connection connection = Connection.open(address, patience, host.clock(),
                        host.clock().instant().plus(patience).plus(EXCHANGE_PATIENCE.multipliedBy(multiplier)));
                    trace.log(Trace.NETWORK, () -> "Connected to " + address + ".");
                    return connection;
                } catch (IOException e) {
                    complaints.add(Target.text(address.getAddress()) + " port " + address.getPort() + ": "
                        + e.getMessage());
                }
            }
            throw new ConnectException("cannot connect to " + String.join("; ", complaints));
        }

        /** A stream on a new connection, led to the daemon behind a shared port where there is one. */
        private CedarStream stream(Connection connection) throws IOException {
            CedarStream stream = new CedarStream(connection.input(), connection.output(), host.random(), trace);
            if (target.sharedPortId().isPresent()) {
                // Endpoint, who we are, no deadline, no further arguments. condor_io/shared_port_client.cpp
                stream.send(stream.message().number(Wire.SHARED_PORT_CONNECT).string(target.sharedPortId().get())
                    .string("TokenRequest").number(-1).number(0));
                stream.restartTranscripts();
            }
            return stream;
        }

        /** Resumes a session; empty if the server has forgotten it. */
        private Optional<Channel> resume(Session known, int command) throws IOException {
            Connection connection = connect();
            try {
                CedarStream stream = stream(connection);
                byte[] nonce = new byte[33];
                host.random().nextBytes(nonce);
                ClassAd ad = new ClassAd().put("UseSession", "YES").put("Sid", known.id()).put("Command", command)
                    .put("Nonce", Base64.getEncoder().encodeToString(nonce)).put("ResumeResponse", true)
                    .put("CryptoMethods", "AES").put("RemoteVersion", Wire.VERSION)
                    .put("ConnectSinful", target.toString());
                stream.send(stream.message().number(Wire.DC_AUTHENTICATE).ad(ad));
                MessageReader reply = stream.receive("answer to the resumption of our session");
                String verdict = reply.ad().string("ReturnCode").orElse("");
                reply.end();
                trace.log(Trace.SECURITY, () -> "Resuming the session for command " + command + ": " + verdict);
                if (verdict.equals("AUTHORIZED")) {
                    stream.encrypt(known.key());
                    return Optional.of(new Channel(stream, known, connection));
                }
            } catch (EOFException e) {
                // Some servers close where they should say SID_NOT_FOUND.
                trace.log(Trace.SECURITY, e::getMessage);
            } catch (IOException e) {
                connection.close();
                throw e;
            }
            connection.close();
            return Optional.empty();
        }

        /** The negotiation of a session on one connection. */
        private final class Negotiation {
            private final Connection connection;
            private final Kind kind;
            private final List<AuthMethod> methods;
            private final List<String> tried;

            Negotiation(Connection connection, Kind kind, List<AuthMethod> methods, List<String> tried) {
                this.connection = connection;
                this.kind = kind;
                this.methods = methods;
                this.tried = tried;
            }

            /** The channel; empty if no method succeeded. */
            Optional<Channel> run(int command) throws IOException, Failure {
                CedarStream stream = stream(connection);
                Optional<KeyPair> ecdh = kind == Kind.UNBOUND ? Optional.of(Keys.ephemeral(host.random()))
                    : Optional.empty();
                stream.send(stream.message().number(Wire.DC_AUTHENTICATE).ad(policy(command, ecdh)));
                MessageReader message = stream.receive("security policy");
                PolicyReply reply = new PolicyReply(message.ad());
                message.end();
                Map<AuthMethod, Authenticator> offers = offers(reply);
                if (offers.isEmpty()) {
                    return Optional.empty();
                }
                reply.check(kind);
                Optional<Proof> proof = authenticate(stream, offers);
                if (proof.isEmpty()) {
                    return Optional.empty();
                }
                Optional<byte[]> wrapped = receiveKey(stream);
                byte[] key = ecdh.isPresent()
                    ? Keys.agree(ecdh.get().getPrivate(), reply.ad().string("ECDHPublicKey").orElse(""))
                    : Keys.unwrap(wrapped.orElseThrow(), proof.get().methodKey());
                stream.encrypt(key);
                return Optional.of(new Channel(stream, admitted(stream, key, proof.get().method(), reply), connection));
            }

            private ClassAd policy(int command, Optional<KeyPair> ecdh) {
                ClassAd ad = new ClassAd()
                    .put("AuthMethods", methods.stream().map(Enum::name).collect(Collectors.joining(",")))
                    .put("CryptoMethods", "AES").put("OutgoingNegotiation", "REQUIRED");
                // Servers before 23.10 look at the first, later ones at the second.
                for (String demand : List.of("Authentication", "AuthenticationNew", "Encryption", "Integrity")) {
                    ad.put(demand, "REQUIRED");
                }
                ad.put("Enact", "NO").put("Subsystem", "TOOL").put("ServerPid", ProcessHandle.current().pid())
                    .put("SessionDuration", Long.toString(SESSION_DURATION.toSeconds()))
                    .put("SessionLease", SESSION_DURATION.toSeconds()).put("NewSession", "YES")
                    .put("NegotiatedSession", true)
                    .put("RemoteVersion", Wire.VERSION).put("ConnectSinful", target.toString()).put("Command", command);
                configuration.text("TRUST_DOMAIN").ifPresent(domain -> ad.put("TrustDomain", domain));
                ecdh.ifPresent(pair -> ad.put("ECDHPublicKey", Keys.encodePoint(pair.getPublic())));
                trace.log(Trace.SECURITY, () -> "Our policy (" + kind.name().toLowerCase(Locale.ROOT) + "): "
                    + ad.assignments());
                return ad;
            }

            /** The methods that both sides have, ready to run. */
            private Map<AuthMethod, Authenticator> offers(PolicyReply reply) {
                trace.log(Trace.SECURITY, () -> "The server's policy: " + reply.ad().assignments());
                Map<AuthMethod, Authenticator> offers = new EnumMap<>(AuthMethod.class);
                for (AuthMethod method : methods) {
                    try {
                        if (!reply.methods().contains(method)) {
                            throw new MethodFailed("the pool does not offer it");
                        }
                        offers.put(method, authenticator(method, reply));
                    } catch (MethodFailed e) {
                        tried.add(method.label + ": " + e.getMessage());
                    }
                }
                return offers;
            }

            private Authenticator authenticator(AuthMethod method, PolicyReply reply) throws MethodFailed {
                return switch (method) {
                    case SSL -> new Ssl(trust, target.alias().orElseThrow());
                    case TOKEN -> new IdToken(fittingToken(reply), host.random());
                    case FS -> new FileSystemAccess(Path.of(configuration.text("FS_LOCAL_DIR").map(String::strip)
                        .orElse("/tmp")),
                        endpoint());
                    case CLAIMTOBE -> new ClaimToBe(host.user().map(UserPrincipal::getName).orElse("nobody")
                        + reply.trustDomain().map(domain -> "@" + domain).orElse(""));
                    case ANONYMOUS -> new Anonymous();
                    default -> throw new AssertionError(method + " is not offered");
                };
            }

            /** Our view of the server's end of the connection, as FS wants it. */
            private String endpoint() {
                InetSocketAddress peer = connection.peer();
                String address = Target.text(peer.getAddress());
                return (address.contains(":") ? "[" + address + "]" : address) + ":" + peer.getPort()
                    + target.sharedPortId().map(id -> "?sock=" + id).orElse("");
            }

            private IssuedToken fittingToken(PolicyReply reply) throws MethodFailed {
                TokenDirectory.Contents contents = tokens.read();
                List<String> complaints = new ArrayList<>(contents.complaints());
                for (IssuedToken token : contents.tokens()) {
                    Optional<String> misfit = token.misfit(reply.trustDomain(), reply.issuerKeys(), host.clock()
                        .instant());
                    if (misfit.isEmpty()) {
                        return token;
                    }
                    complaints.add("that of " + token.authenticatesAs() + " " + misfit.get());
                }
                throw new MethodFailed(noToken(complaints).replaceFirst("^no token", "no token for trust domain "
                    + reply.trustDomain().orElse("(none)") + " and keys " + reply.issuerKeys()));
            }

            private record Proof(AuthMethod method, byte[] methodKey) { }

            /** Runs methods as the server chooses them, until one succeeds. condor_io/authentication.cpp */
            private Optional<Proof> authenticate(CedarStream stream, Map<AuthMethod, Authenticator> offers)
                    throws IOException {
                while (!offers.isEmpty()) {
                    stream.send(stream.message().number(offers.keySet().stream().mapToInt(method -> method.bit).sum()));
                    MessageReader message = stream.receive("choice of a method");
                    long choice = message.number();
                    message.end();
                    if (choice == 0) {
                        offers.keySet().forEach(method -> tried.add(method.label
                            + ": the pool did not choose it (its log may say why)"));
                        return Optional.empty();
                    }
                    AuthMethod method = AuthMethod.fromWire(choice).filter(offers::containsKey)
                        .orElseThrow(() -> new ProtocolViolation("the server chose a method that we did not offer ("
                        + choice + ")"));
                    trace.log(Trace.SECURITY, () -> "The server chose " + method.label + ".");
                    try {
                        return Optional.of(new Proof(method, offers.remove(method).authenticate(stream)));
                    } catch (MethodFailed e) {
                        trace.log(Trace.SECURITY, () -> method.label + " failed: " + e.getMessage());
                        tried.add(method.label + ": " + e.getMessage());
                    }
                }
                return Optional.empty();
            }

            /**
             * The message after the method: no key with ECDH, a wrapped key without. Anything else is somebody between
             * us and the server, who sent a key of his own there; going on would mean going on in the clear.
             */
            private Optional<byte[]> receiveKey(CedarStream stream) throws IOException {
                MessageReader announcement = stream.receive("session key");
                boolean follows = announcement.number(0, 1) == 1;
                announcement.end();
                if (follows != (kind == Kind.BOUND)) {
                    throw new ProtocolViolation(follows ? "the server sent a session key though one was agreed by ECDH"
                        : "the server sent no session key though none was agreed");
                }
                if (!follows) {
                    return Optional.empty();
                }
                MessageReader message = stream.receive("session key");
                message.number(Wire.KEY_BYTES, Wire.KEY_BYTES);
                message.number(Wire.CIPHER_AES, Wire.CIPHER_AES);
                message.number();
                byte[] wrapped = message.raw(message.number(Wire.KEY_BYTES, Wire.KEY_BYTES));
                message.end();
                return Optional.of(wrapped);
            }

            /** The server's last word, the first under the new key: whether we may go on, and the session's ID. */
            private Session admitted(CedarStream stream, byte[] key, AuthMethod method, PolicyReply reply)
                    throws IOException, Failure {
                MessageReader message = stream.receive("admission");
                ClassAd ad = message.ad();
                message.end();
                String user = ad.string("User").orElse("(nobody)");
                String verdict = ad.string("ReturnCode").orElse("AUTHORIZED");
                if (!verdict.equals("AUTHORIZED")) {
                    throw new Failure(Reason.REFUSED, "Failed to request a new token: " + target + " does not let "
                        + printable(user)
                        + " (authenticated with " + method.label + ") request one: " + printable(verdict) + ".",
                        "The pool's administrator allows it with ALLOW_DAEMON or ALLOW_WRITE, or denies it with DENY_*.");
                }
                Instant now = host.clock().instant();
                long seconds = reply.ad().string("SessionDuration").filter(text -> text.matches("[0-9]{1,9}"))
                    .map(Long::parseLong).orElse(0L);
                long lease = Math.max(0, Math.min(reply.ad().integer("SessionLease").orElse(0), Integer.MAX_VALUE));
                trace.log(Trace.SECURITY, () -> "Authenticated with " + method.label + " as " + user
                    + "; the session is "
                    + kind.name().toLowerCase(Locale.ROOT) + ", AES, for " + seconds + " s.");
                return new Session(ad.string("Sid").orElse(""), key, kind, method, user, reply.trustDomain(),
                    now.plusSeconds(seconds), Duration.ofSeconds(lease), now);
            }
        }
    }

    // ==== 15. NetworkClient: the two token commands ====

    /**
     * The conversation about one token. condor_daemon_core.V6/daemon_core_main.cpp, condor_daemon_client/daemon.cpp
     *
     * <p>From the sending of a command until its answer proves to hold no token, signals wait; after an answer that
     * holds one, they go on waiting until whoever took it calls {@link Handover#leave}.
     */
    static final class NetworkClient implements TokenService {
        private static final int CLIENT_ID_BYTES = 16;
        private final Security security;
        private final Target target;
        private final Configuration configuration;
        private final Host host;
        private final Handover handover;
        private final Trace trace;
        private final Consumer<String> notices;

        NetworkClient(Security security, Target target, Configuration configuration, Host host, Handover handover,
                      Trace trace, Consumer<String> notices) {
            this.security = security;
            this.target = target;
            this.configuration = configuration;
            this.host = host;
            this.handover = handover;
            this.trace = trace;
            this.notices = notices;
        }

        @Override
        public Answer start(Order order) throws Failure {
            Secret clientId = new Secret(host.name() + "-" + host.randomHex(CLIENT_ID_BYTES));
            try (Channel channel = open()) {
                ClassAd request = new ClassAd().put("ClientId", clientId.reveal())
                    .put("User", identity(order, channel.session()));
                if (!order.authorizations().isEmpty()) {
                    request.put("LimitAuthorization", String.join(",", order.authorizations()));
                }
                order.lifetimeSeconds().ifPresent(seconds -> request.put("TokenLifetime", seconds));
                return settle(started(exchange(channel, request, "answer to the token request"), clientId));
            } catch (ProtocolViolation e) {
                throw failedToStart(Reason.VIOLATION, e.getMessage(),
                    "Either this is no HTCondor daemon of 9.0 or later, or somebody interferes.");
            } catch (IOException e) {
                throw failedToStart(Reason.UNREACHABLE, e.getMessage(),
                    "The login had succeeded; a request that the pool has taken all the same expires there.");
            }
        }

        private Channel open() throws ProtocolViolation, Failure {
            try {
                return security.open(Wire.DC_START_TOKEN_REQUEST);
            } catch (ProtocolViolation e) {
                throw e;
            } catch (ConnectException e) {
                throw failedToStart(Reason.UNREACHABLE, e.getMessage());
            } catch (EOFException | SocketException e) {
                throw failedToStart(Reason.UNREACHABLE, e.getMessage(),
                    "A pool that closes without a word usually lacks AES encryption, forbids this host, or knows no such"
                    + " shared port endpoint; its daemon's log says which.");
            } catch (IOException e) {
                throw failedToStart(Reason.UNREACHABLE, e.getMessage());
            }
        }

        private Failure failedToStart(Reason reason, String why, String... details) {
            return new Failure(reason, "Failed to request a new token: " + target + ": " + why + ".", details);
        }

        @Override
        public Answer poll(Ticket ticket) throws IOException, Failure {
            try (Channel channel = security.open(Wire.DC_FINISH_TOKEN_REQUEST)) {
                ClassAd request = new ClassAd().put("ClientId", ticket.clientId().reveal())
                    .put("RequestId", ticket.requestId());
                return settle(polled(exchange(channel, request, "answer to the poll"), ticket));
            } catch (ProtocolViolation e) {
                security.forget();
                throw new ProtocolViolation(e.getMessage() + " (does somebody interfere?)");
            } catch (Failure failure) {
                if (failure.reason == Reason.NOT_AUTHENTICATED) {
                    // A pool that has forgotten the session may be short of its certificate only for a while.
                    throw new IOException("no method of authentication succeeds with " + target + " ("
                        + String.join("; ", failure.details()) + ")");
                }
                throw failure;
            }
        }

        /** The identity to ask for; without a configured UID_DOMAIN, the pool's trust domain completes it. */
        private String identity(Order order, Session session) throws Failure {
            String name = order.identity().orElse("condor");
            if (name.contains("@")) {
                return name;
            }
            Optional<String> configured = configuration.text("UID_DOMAIN").map(String::strip);
            String domain = configured.or(session::trustDomain).orElseThrow(() -> new Failure(Reason.USAGE,
                "ERROR: no domain for the identity " + printable(name)
                + ": give -identity NAME@DOMAIN, or set _CONDOR_UID_DOMAIN."));
            if (configured.isEmpty()) {
                notices.accept("Requesting identity " + name + "@" + domain
                    + " (no UID_DOMAIN is configured here; this is the pool's trust domain).");
            }
            return name + "@" + domain;
        }

        private ClassAd exchange(Channel channel, ClassAd request, String what) throws IOException {
            handover.enter();
            try {
                channel.stream().send(channel.stream().message().ad(request));
                MessageReader reply = channel.stream().receive(what);
                ClassAd answer = reply.ad();
                reply.end();
                return answer;
            } catch (IOException e) {
                handover.leave();
                throw e instanceof ProtocolViolation ? e : new AnswerLost(e);
            }
        }

        private Answer settle(Answer answer) {
            if (!(answer instanceof Answer.Issued)) {
                handover.leave();
            }
            trace.log(Trace.COMMAND, () -> "The pool's answer: " + answer.getClass().getSimpleName());
            return answer;
        }

        /** An error decides even if a request ID stands beside it; then a token, then a request ID. */
        private Answer started(ClassAd answer, Secret clientId) throws Failure {
            Optional<String> error = answer.string("ErrorString");
            if (error.isPresent() || answer.integer("ErrorCode").orElse(0) != 0) {
                throw refusal(answer);
            }
            Optional<String> token = answer.string("Token").filter(text -> !text.isEmpty());
            if (token.isPresent()) {
                return issued(token.get());
            }
            if (answer.isEmpty()) {
                throw new Failure(Reason.BUSY, "Failed to request a new token: " + target
                    + " has too many requests waiting. Try again later.");
            }
            String requestId = answer.string("RequestId").filter(id -> id.matches("[A-Za-z0-9]{1,32}"))
                .orElseThrow(() -> new Failure(Reason.UNEXPECTED, "Failed to request a new token: " + target
                    + " did not provide a valid request ID."));
            return new Answer.Enqueued(new Ticket(requestId, clientId));
        }

        private Answer polled(ClassAd answer, Ticket ticket) throws Failure {
            Optional<String> error = answer.string("ErrorString");
            if (error.isEmpty() && answer.integer("ErrorCode").orElse(0) == 0) {
                String token = answer.string("Token").orElseThrow(() -> new Failure(Reason.UNEXPECTED,
                    "Failed to get request " + ticket.requestId() + ": " + target
                    + " sent neither a token nor an error."));
                return token.isEmpty() ? new Answer.Pending() : issued(token);
            }
            String words = error.orElse("");
            if (words.startsWith("Request rate limit hit")) {
                return new Answer.RateLimited();
            }
            if (words.startsWith("Request ID is not known")) {
                return new Answer.Unknown(words);
            }
            long code = answer.integer("ErrorCode").orElse(-1);
            Reason reason = words.startsWith("Client ID is incorrect") ? Reason.REQUEST_UNKNOWN
                : code == Wire.ERROR_EXPIRED ? Reason.REQUEST_EXPIRED
                : code == Wire.ERROR_DISABLED ? Reason.REFUSED : Reason.REQUEST_FAILED;
            throw new Failure(reason, "Request " + ticket.requestId() + " has ended without a token: "
                + printable(words)
                + " (code " + code + ", from " + target + ")", reason == Reason.REFUSED ? remedy(code)
                : "Ask for a new one.");
        }

        private Answer issued(String text) throws Failure {
            if (!IssuedToken.isToken(text)) {
                throw new Failure(Reason.UNEXPECTED, "What " + target
                    + " sent as a token is none; it was thrown away.");
            }
            return new Answer.Issued(new Secret(text));
        }

        private Failure refusal(ClassAd answer) {
            long code = answer.integer("ErrorCode").orElse(-1);
            return new Failure(Reason.REFUSED, "Failed to request a new token: " + target + " refused: "
                + printable(answer.string("ErrorString").orElse("no reason given")) + " (code " + code + ")",
                remedy(code));
        }

        /** What to do about an error that the pool answered. */
        private static String remedy(long code) {
            return switch ((int) code) {
                case Wire.ERROR_LIMITS -> "Ask for authorizations that the pool grants (its SEC_TOKEN_REQUEST_LIMITS).";
                case Wire.ERROR_TOKEN_GENERATION -> "The pool's administrator has to create a signing key.";
                case Wire.ERROR_NOT_PROTECTED ->
                    "ANONYMOUS is good only for requests that a rule of the pool approves; use another method.";
                case Wire.ERROR_DISABLED ->
                    "The pool's administrator allows token requests with SEC_ENABLE_TOKEN_REQUEST.";
                default -> "The log of the pool's daemon may say more.";
            };
        }
    }

    // ==== 16. Poller: ask, wait, ask again ====

    /**
     * Waits for an administrator without hurrying the pool. A pool that cannot be reached is asked again, less and less
     * often, since the request stays there; only its own word ends the wait early.
     */
    static final class Poller {
        /** How long to wait in all, as the manual says. */
        static final Duration PATIENCE = Duration.ofHours(1);
        private static final Duration LONGEST_PAUSE = Duration.ofSeconds(30);
        private static final double JITTER = 0.1;
        /**
         * How often in a row a pool must say that it does not know the request. It says the same when it is asked too
         * often by anybody (daemon_core_main.cpp, handle_dc_finish_token_request overwrites the one error by the
         * other).
         */
        private static final int UNKNOWN_LIMIT = 3;

        private final TokenService pool;
        private final InstantSource clock;
        private final Sleeper sleeper;
        private final RandomGenerator random;
        private final Duration patience;
        private final Consumer<String> notices;

        Poller(TokenService pool, InstantSource clock, Sleeper sleeper, RandomGenerator random, Duration patience,
               Consumer<String> notices) {
            this.pool = pool;
            this.clock = clock;
            this.sleeper = sleeper;
            this.random = random;
            this.patience = patience;
            this.notices = notices;
        }

        /**
         * The token, once it is approved.
         *
         * @throws Failure REQUEST_UNKNOWN, TIMED_OUT, or what the pool says
         */
        Secret await(Ticket ticket) throws Failure {
            Instant start = clock.instant();
            Instant deadline = start.plus(patience);
            int failures = 0;
            int unknown = 0;
            boolean answerLost = false;
            for (Instant now = start; now.isBefore(deadline); now = clock.instant()) {
                pause(jittered(interval(Duration.between(start, now), Math.max(failures, unknown))),
                    Duration.between(now, deadline));
                try {
                    Answer answer = pool.poll(ticket);
                    if (answer instanceof Answer.Issued issued) {
                        return issued.token();
                    }
                    unknown = answer instanceof Answer.Unknown ? unknown + 1 : 0;
                    failures = answer instanceof Answer.RateLimited ? failures + 1 : 0;
                } catch (IOException e) {
                    answerLost |= e instanceof AnswerLost;
                    if (failures++ == 0) {
                        notices.accept("Request " + ticket.requestId()
                            + " stays with the pool, which cannot be asked now: "
                            + e.getMessage() + ". Trying again.");
                    }
                }
                if (unknown == UNKNOWN_LIMIT) {
                    throw new Failure(Reason.REQUEST_UNKNOWN, "The pool does not know request " + ticket.requestId()
                        + " any more: it was removed, or the daemon was restarted"
                        + (answerLost ? ", or the token was in an answer that did not reach us." : "."),
                        "Ask for a new one.");
                }
            }
            throw new Failure(Reason.TIMED_OUT, "Request " + ticket.requestId() + " was not approved within "
                + patience.toSeconds() + " seconds.",
                "It may still be pending at the pool, but nobody waits for it any more.");
        }

        /** The pause before the next poll: longer the longer it takes, doubled for each failure in a row. */
        static Duration interval(Duration elapsed, int failures) {
            Duration usual = Duration.ofSeconds(elapsed.toSeconds() < 60 ? 1 : elapsed.toSeconds() < 600 ? 2 : 5);
            Duration patient = usual.multipliedBy(1L << Math.min(failures, 5));
            return patient.compareTo(LONGEST_PAUSE) < 0 ? patient : LONGEST_PAUSE;
        }

        /** Ten percent more or less, so that many clients do not ask in step. */
        private Duration jittered(Duration pause) {
            return Duration.ofMillis(Math.round(pause.toMillis() * (1 + JITTER * (2 * random.nextDouble() - 1))));
        }

        private void pause(Duration wanted, Duration most) throws Failure {
            try {
                sleeper.sleep(wanted.compareTo(most) < 0 ? wanted : most);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new Failure(Reason.INTERNAL, "Interrupted.");
            }
        }
    }

    // ==== 17. Writer: the token to its destination, the story to the user ====

    /** A destination that has been checked. */
    sealed interface Destination {
        record Stdout() implements Destination { }

        /** A file to be replaced as a whole. */
        record Whole(Path path) implements Destination { }

        /** A device or a pipe, which can only be written to. */
        record Device(Path path) implements Destination { }
    }

    /** Tells the story on stderr, puts the token where it belongs, and does not let go of it before it is there. */
    static final class Writer {
        /** More than a token takes: what fits at the start should fit at the end. */
        private static final int PROBE_BYTES = 8192;
        private final Host host;

        Writer(Host host) {
            this.host = host;
        }

        void help(String text) {
            host.out().print(text);
            host.out().flush();
        }

        /** One line on stderr. */
        void notice(String line) {
            host.err().println(printable(line));
            host.err().flush();
        }

        /** Says what an administrator needs, at once and in the original's words, which scripts search for. */
        void enqueued(Ticket ticket) {
            notice("Token request enqueued.  Ask an administrator to please approve request " + ticket.requestId()
                + ".");
        }

        /** Explains the failure on stderr and returns the exit status. */
        int failed(Failure failure) {
            notice(failure.getMessage());
            failure.details().forEach(detail -> notice("  " + detail));
            return failure.reason.exitStatus;
        }

        /**
         * Checks, before anything is asked of the pool, that the token can be written there.
         *
         * @throws Failure DESTINATION
         */
        Destination prepare(Output output, TokenDirectory tokens) throws Failure {
            if (output instanceof Output.Token token) {
                if (!token.name().matches("[^/\0]+") || token.name().matches("\\.{1,2}")) {
                    throw new Failure(Reason.DESTINATION, "Token name isn't a plain filename: "
                        + printable(token.name()),
                        "It names a file in " + tokens.path() + "; for a file elsewhere there is -file PATH.");
                }
                return check(makeDirectory(tokens.path()).resolve(token.name()));
            }
            return output instanceof Output.File file ? check(path(file.path())) : new Destination.Stdout();
        }

        private static Path path(String text) throws Failure {
            try {
                return Path.of(text);
            } catch (InvalidPathException e) {
                throw unwritable(text, "it is no file name");
            }
        }

        private static Path makeDirectory(Path directory) throws Failure {
            try {
                return Files.createDirectories(directory, ownerOnly("rwx------"));
            } catch (IOException e) {
                throw unwritable(directory.toString(), reason(e));
            }
        }

        private Destination check(Path path) throws Failure {
            if (Files.isSymbolicLink(path)) {
                throw unwritable(path.toString(), "it is a symbolic link, which a token does not follow");
            }
            if (Files.isDirectory(path) || path.getFileName() == null) {
                throw unwritable(path.toString(), "Is a directory");
            }
            if (Files.exists(path) && !Files.isRegularFile(path)) {
                if (!Files.isWritable(path)) {
                    throw unwritable(path.toString(), "Permission denied");
                }
                return new Destination.Device(path);
            }
            try {
                Path probe = temporary(path);
                try {
                    write(probe, new byte[PROBE_BYTES]);
                } finally {
                    Files.deleteIfExists(probe);
                }
                return new Destination.Whole(path);
            } catch (IOException e) {
                throw unwritable(path.toString(), reason(e));
            }
        }

        private static Failure unwritable(String path, String why) {
            return new Failure(Reason.DESTINATION, "Cannot write token to " + printable(path) + ": " + why,
                "Nothing was asked of the pool.");
        }

        /**
         * Puts the token where it belongs; if that fails after all, on stdout; if that fails too, into a file at home
         * or in the working directory.
         *
         * @throws Failure NOT_WRITTEN, which says where it is now
         */
        void deliver(Secret token, Destination destination) throws Failure {
            byte[] line = (token.reveal() + "\n").getBytes(US_ASCII);
            try {
                if (destination instanceof Destination.Whole whole) {
                    replace(whole.path(), line);
                } else if (destination instanceof Destination.Device device) {
                    Files.write(device.path(), line, StandardOpenOption.WRITE);
                } else if (!print(line)) {
                    throw rescue("stdout cannot be written to", line);
                }
            } catch (IOException e) {
                if (!print(line)) {
                    throw rescue("neither " + path(destination) + " (" + reason(e) + ") nor stdout can be written to",
                        line);
                }
                throw new Failure(Reason.NOT_WRITTEN,
                    "Failed to write token to " + path(destination) + ": " + reason(e),
                    "The pool hands it out only once, so it was written to stdout instead.");
            }
        }

        private static String path(Destination destination) {
            return destination instanceof Destination.Whole whole ? whole.path().toString()
                : destination instanceof Destination.Device device ? device.path().toString() : "stdout";
        }

        private boolean print(byte[] line) {
            host.out().write(line, 0, line.length);
            return !host.out().checkError();
        }

        private Failure rescue(String what, byte[] line) {
            List<Path> places = Stream.concat(host.home().map(home -> home.resolve(".condor")).stream(),
                Stream.of(Path.of("")))
                .map(Path::toAbsolutePath).toList();
            for (Path place : places) {
                Path file = place.resolve("rescued-token-" + host.randomHex(4));
                try {
                    Files.createDirectories(place, ownerOnly("rwx------"));
                    replace(file, line);
                    return new Failure(Reason.NOT_WRITTEN, "The token has come, but " + what + ".",
                        "The pool hands it out only once, so it was saved in " + file + ".");
                } catch (IOException e) {
                    notice("Cannot save the token in " + file + ": " + reason(e));
                }
            }
            return new Failure(Reason.NOT_WRITTEN, "The token has come, but " + what
                + ", and it could not be saved anywhere.",
                "It is lost; ask for a new one.");
        }

        /** A file is there as a whole or not at all: written beside, forced to the disk, renamed. */
        private void replace(Path path, byte[] content) throws IOException {
            Path beside = temporary(path);
            try {
                write(beside, content);
                Files.move(beside, path, StandardCopyOption.ATOMIC_MOVE);
            } catch (IOException e) {
                Files.deleteIfExists(beside);
                throw e;
            }
            try (FileChannel directory = FileChannel.open(path.toAbsolutePath().getParent(), StandardOpenOption.READ)) {
                directory.force(true);
            } catch (IOException e) {
                // The token is in its place; a system that cannot force a directory to the disk does it in time.
                return;
            }
        }

        /** A name beside the file that HTCondor does not take for a token. */
        private Path temporary(Path path) {
            return path.resolveSibling("." + path.getFileName() + "." + host.randomHex(8) + ".tmp");
        }

        private static void write(Path path, byte[] content) throws IOException {
            Set<StandardOpenOption> options = Set.of(StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
            try (FileChannel file = FileChannel.open(path, options, ownerOnly("rw-------"))) {
                ByteBuffer bytes = ByteBuffer.wrap(content);
                while (bytes.hasRemaining()) {
                    file.write(bytes);
                }
                file.force(true);
            }
        }
    }
}

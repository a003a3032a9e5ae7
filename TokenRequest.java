///usr/bin/env jbang "$0" "$@" ; exit $?
// SPDX-License-Identifier: Apache-2.0
//DESCRIPTION Gets a token from an HTCondor pool, on a machine that has nothing of HTCondor installed.
//JAVA 17+
//DEPS info.picocli:picocli:4.7.7
//DEPS com.fasterxml.jackson.core:jackson-databind:2.23.0
//DEPS io.jsonwebtoken:jjwt-api:0.13.0
//DEPS io.jsonwebtoken:jjwt-impl:0.13.0
//COMPILE_OPTIONS -Xlint:all -XDstringConcat=inline
//RUNTIME_OPTIONS -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:-UsePerfData -Xshare:auto -Xmx64m

// In a package, since JBang's fat jar does not accept a main class outside a package.
package tokenrequest;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParseException;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.sun.security.auth.module.Krb5LoginModule;
import com.sun.security.auth.module.UnixSystem;
import io.jsonwebtoken.JwtException;
import io.jsonwebtoken.Jwts;
import io.jsonwebtoken.io.AbstractDeserializer;
import java.io.BufferedInputStream;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.Closeable;
import java.io.EOFException;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.FilterInputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.InterruptedIOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PushbackInputStream;
import java.io.Reader;
import java.io.StringReader;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.math.BigInteger;
import java.math.MathContext;
import java.math.RoundingMode;
import java.net.BindException;
import java.net.ConnectException;
import java.net.Inet4Address;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.NetworkInterface;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.SocketException;
import java.net.SocketTimeoutException;
import java.net.URLDecoder;
import java.net.UnixDomainSocketAddress;
import java.net.UnknownHostException;
import java.nio.BufferUnderflowException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.channels.OverlappingFileLockException;
import java.nio.channels.SocketChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.OpenOption;
import java.nio.file.Path;
import java.nio.file.SecureDirectoryStream;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributeView;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.PosixFileAttributeView;
import java.nio.file.attribute.PosixFileAttributes;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserPrincipal;
import java.nio.file.attribute.UserPrincipalLookupService;
import java.nio.file.attribute.UserPrincipalNotFoundException;
import java.security.AlgorithmConstraints;
import java.security.AlgorithmParameters;
import java.security.CryptoPrimitive;
import java.security.GeneralSecurityException;
import java.security.Key;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.PrivilegedActionException;
import java.security.PrivilegedExceptionAction;
import java.security.ProviderException;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.cert.CertPathValidator;
import java.security.cert.CertPathValidatorException;
import java.security.cert.CertificateException;
import java.security.cert.CertificateExpiredException;
import java.security.cert.CertificateFactory;
import java.security.cert.CertificateNotYetValidException;
import java.security.cert.CertificateParsingException;
import java.security.cert.PKIXParameters;
import java.security.cert.PKIXReason;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.security.interfaces.DSAKey;
import java.security.interfaces.RSAKey;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.PSSParameterSpec;
import java.security.spec.X509EncodedKeySpec;
import java.time.DateTimeException;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.time.ZoneId;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collection;
import java.util.Collections;
import java.util.Comparator;
import java.util.Date;
import java.util.Deque;
import java.util.EnumMap;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
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
import java.util.StringTokenizer;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.function.IntConsumer;
import java.util.function.IntPredicate;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.random.RandomGenerator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.Mac;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import javax.naming.InvalidNameException;
import javax.naming.ldap.LdapName;
import javax.naming.ldap.Rdn;
import javax.net.ssl.KeyManager;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLEngineResult.HandshakeStatus;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLParameters;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedTrustManager;
import javax.net.ssl.X509TrustManager;
import javax.security.auth.Subject;
import javax.security.auth.kerberos.KerberosPrincipal;
import javax.security.auth.kerberos.KerberosTicket;
import javax.security.auth.kerberos.KeyTab;
import javax.security.auth.login.LoginException;
import javax.security.auth.x500.X500Principal;
import org.ietf.jgss.GSSContext;
import org.ietf.jgss.GSSException;
import org.ietf.jgss.GSSManager;
import org.ietf.jgss.Oid;
import picocli.AutoComplete;
import picocli.CommandLine;
import picocli.CommandLine.Help.TextTable;
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
 * with {@code -token} or {@code -file}. It does what {@code condor_token_request} does, over HTCondor's own protocol;
 * for scripts there is {@code -json}, and a wait that was interrupted can be resumed with {@code -resume}.
 */
public final class TokenRequest {

    /*
     * Overview, for maintainers.
     *
     * Goals, in this order:
     * 1. Never lose a token that the pool has issued.
     * 2. Show the token only to the pool and the user.
     * 3. Need no tricks from the scripts that call this command.
     *
     * A request in twelve lines:
     *   ArgumentParser reads the command line, Configuration reads HTCondor's settings.
     *   TokenWriter checks and locks the destination before the pool is contacted.
     *   Location finds the daemon: by its address, in this machine's files, or with a CollectorQuery.
     *   A Connector opens a TCP connection, directly or through a CCB broker. One connection carries one command.
     *   Security sends the client's policy, receives the daemon's, and runs the first method that both accept.
     *   Both sides derive a session key; AES-256-GCM encrypts all later messages.
     *   NetworkClient sends the token request. The reply is a request ID, or the token if a rule auto-approves it.
     *   TokenWriter saves the request, then ConsoleWriter shows its ID.
     *   Poller resumes the session, one round trip per poll, until an administrator approves the request.
     *   The pool sends the token once and forgets it, so ShutdownGuard delays signals during each poll.
     *   TokenWriter writes the token; if it cannot, it tries a rescue file, then stdout.
     *   TokenInspector compares the token with the request, and ConsoleWriter prints the result.
     *
     * Bound and unbound sessions. HTCondor's ECDH key exchange is not tied to the authentication that follows it: a man
     * in the middle can replace the keys, relay the authentication, and read the session, even over a verified
     * certificate. So there are two kinds of connection, and AuthenticationPlan chooses before any negotiation:
     *   bound     without ECDH. The server sends the session key through the authenticated channel. Only methods that
     *             have such a channel (SSL, SCITOKENS, KERBEROS, PASSWORD) are offered, and any deviation ends the connection.
     *   unbound   with ECDH, for methods without such a channel (IDTOKENS, FS, CLAIMTOBE, ANONYMOUS).
     *
     * Packages: picocli in ArgumentParser, jackson-core in Json, jjwt in IssuedToken, and nowhere else.
     * Rejected: a TLS library; HTTP.
     *
     * Sections follow the data. A section uses the vocabulary (2 to 5, 9 to 11), and otherwise only what it is given; a
     * lower layer never refers to a higher one. Only Program knows them all.
     *
     *    1. Program: from arguments to an exit status
     *    2. Host: clock, streams, environment and signals, replaceable in tests
     *    3. Errors: error codes and exit statuses
     *    4. Values: the types that sections exchange
     *    5. Json: reads and writes JSON
     *    6. ArgumentParser: the command line
     *    7. Configuration: HTCondor's settings
     *    8. Location: from a pool or daemon name to addresses
     *    9. Protocol: numbers, names and limits, each with its source
     *   10. ClassAd: attribute lists, the content of requests and replies
     *   11. Message: integers, strings and ads as bytes
     *   12. CedarStream: messages over TCP, first in the clear, then encrypted
     *   13. KeyDerivation: session keys
     *   14. ServerTrust: which server certificates are accepted
     *   15. Authenticator: authentication methods, one class each
     *   16. Security: policies, choice of a method, sessions
     *   17. CcbConnector: daemons that connect back to us (CCB)
     *   18. CollectorQuery: a daemon's address from the collector
     *   19. NetworkClient: the two token commands
     *   20. Poller: waits for approval
     *   21. TokenInspector: compares the token with the request
     *   22. TokenWriter: the token file, its lock, the saved request
     *   23. ConsoleWriter: stdout and stderr, as text and as JSON
     */

    // ==== 1. Program: from arguments to an exit status ====

    /** Version of this program. {@link Protocol#VERSION} is the HTCondor version announced to the pool. */
    static final String VERSION = "1.0.0";

    public static void main(String... args) {
        CrashReporter crashReporter = new CrashReporter();
        int status;
        try {
            ShutdownGuard guard = new ShutdownGuard();
            Host host = Host.real();
            guard.install();
            status = run(args, host, guard);
        } catch (Throwable e) {
            crashReporter.print(e);
            status = crashReporter.exitStatus;
        }
        System.exit(status);
    }

    /** Runs the command and returns its exit status, one of {@link ErrorCode}, or 0. */
    static int run(String[] args, Host host, ShutdownGuard guard) {
        CrashReporter crashReporter = new CrashReporter();
        ConsoleWriter console = new ConsoleWriter(host, ArgumentParser.wantsJson(args));
        guard.onSignal(console::ending, console::interrupted);
        try {
            Action action = new ArgumentParser(host.environment().getOrDefault("COLUMNS", "")).parse(args);
            if (action instanceof Action.Show show) {
                console.show(show.text());
            } else if (action instanceof Action.Configured configured) {
                console.configure(configured.json(), Verbosity.NORMAL);
                host.requireHome();
                Configuration configuration = Configuration.read(host, new Deadline(host.clock(), Duration.ZERO));
                configuration.warnings().forEach(console::line);
                return configured(configuration, configured, console);
            } else {
                Options options = ((Action.Request) action).options();
                console.configure(options.json(), options.detail());
                options.warnings().forEach(console::warn);
                host.requireHome();
                try (RequestCommand command = new RequestCommand(options, host, guard, console)) {
                    command.run();
                }
            }
            return 0;
        } catch (CommandException failure) {
            return console.failed(failure);
        } catch (InvalidPathException e) {
            guard.saveHeldToken();
            return console.failed(ArgumentParser.unusablePath(e));
        } catch (RuntimeException | Error e) {
            guard.saveHeldToken();
            return console.broken(e, crashReporter);
        } finally {
            guard.end();
        }
    }

    /** Shows settings and returns the exit status: 1 if one that the user named is not defined, as condor_config_val does. */
    private static int configured(Configuration configuration, Action.Configured action, ConsoleWriter console)
            throws CommandException {
        List<String> names = action.names();
        List<String> undefined = new ArrayList<>();
        for (Configuration.Parameter entry : configuration.shown(names)) {
            boolean isMissing = entry.value().isEmpty() && !names.isEmpty();
            if (!isMissing || action.json()) {
                console.configured(entry);
            }
            if (isMissing) {
                undefined.add(entry.name());
            }
            if (entry.name().equalsIgnoreCase("UID_DOMAIN") && !names.isEmpty() && configuration.set("UID_DOMAIN").isEmpty()) {
                console.notice("UID_DOMAIN is not set here: a request without -identity uses the pool's trust domain.");
            }
        }
        undefined.forEach(name -> console.line("Not defined: " + printable(name)));
        return undefined.isEmpty() ? 0 : ErrorCode.INTERNAL.exitStatus;
    }

    /** One run of the command: checks the destination, submits a request or resumes one, waits, delivers the token. */
    private static final class RequestCommand implements Closeable {
        private static final Set<String> PATH_OPTIONS = Set.of("-cafile", "-file", "-state");
        private static final String APPROVE = "condor_token_request_approve -reqid ";
        private final Options options;
        private final Host host;
        private final ShutdownGuard guard;
        private final ConsoleWriter console;
        private final Configuration configuration;
        private final Context context;
        private final TokenWriter writer;
        private final Destination destination;
        private final StateStore states;
        private final Optional<SavedRequest> resumed;
        private final Location location;
        private final Instant deadline;

        /** Finds everything that is wrong on this machine, above all the destination, before the first connection. */
        RequestCommand(Options options, Host host, ShutdownGuard guard, ConsoleWriter console) throws CommandException {
            this.options = options;
            this.host = host;
            this.guard = guard;
            this.console = console;
            Deadline answer = new Deadline(host.clock(), options.waitOptions().timeout());
            this.configuration = Configuration.read(host, answer);
            answer.multiply(configuration);
            configuration.warnings().forEach(console::line);
            this.context = new Context(configuration, host, DebugLog.of(options.debug(), configuration,
                console::line, host.clock()), options.trustOptions(), answer,
                new InputFiles(host, answer, console::warn), console);
            this.writer = new TokenWriter(host, answer, console::warn);
            this.resumed = options.resume().isPresent()
                ? Optional.of(writer.readSaved(options.resume().get(), context.files())) : Optional.empty();
            guard.enter(); // so that a signal leaves no test file behind
            try {
                this.destination = writer.prepare(options.output(), TokenDirectory.of(configuration, host));
            } finally {
                guard.leave();
            }
            this.states = new StateStore(options.state(), options.resume(), destination, host);
            guard.lastResort(this::saveUndelivered);
            this.location = new Location(context);
            this.deadline = answer.lastPoll();
        }

        /** Saves a token that was not delivered, then unlocks the destination. */
        @Override
        public void close() {
            guard.saveHeldToken();
            destination.close();
        }

        /** Saves an undelivered token wherever possible: the pool sends it only once. */
        private void saveUndelivered(Secret token) {
            Optional<Path> file = states.saveToFallback(token);
            if (file.isPresent()) {
                console.line("The pool issued the token, but it was not delivered. It is saved in " + file.get() + ".");
            } else {
                writer.print((token.reveal() + "\n").getBytes(US_ASCII)); // whatever stdout is for
            }
        }

        /** Whether stdout carries the saved request, for its reader to keep. */
        private boolean isHandedOver() {
            return options.json() && options.waitOptions().nowait();
        }

        void run() throws CommandException {
            if (!isHandedOver() || options.state().isPresent()) {
                guard.enter();
                try {
                    states.check(options.waitOptions().nowait() && !isHandedOver(), console::warn);
                } finally {
                    guard.leave();
                }
            }
            if (resumed.isPresent()) {
                PendingRequest pending = resumed.get().pending();
                // A daemon's address came from an ad, even if the user gave the daemon's name.
                NameSource origin = pending.query().type() == DaemonType.COLLECTOR || !pending.server().from().isTrusted()
                    ? pending.server().from() : NameSource.COLLECTOR;
                Target target = location.at(pending.address(), "the request to be resumed", origin,
                    Optional.of(pending.server()));
                resumed.get().untrustedReason().ifPresent(reason -> console.notice(reason
                    + ", so this program uses no credential for it."));
                new Request(new LocatedDaemon(target, pending.query())).resume(pending, resumed.get().line());
            } else {
                SubmittedRequest submitted = firstOf(daemons(), daemon -> {
                    Request request = new Request(daemon);
                    return new SubmittedRequest(request, request.start());
                });
                submitted.request().run(submitted.result());
            }
        }

        /** A request and the daemon's first reply. */
        private record SubmittedRequest(Request request, SubmitResult result) { }

        /** The daemons that can serve the request; any of them will do. */
        private List<LocatedDaemon> daemons() throws CommandException {
            LocateResult result = location.find(options.query());
            if (result instanceof LocateResult.Resolved known) {
                return known.daemons();
            }
            LocateResult.NeedsCollector listed = (LocateResult.NeedsCollector) result;
            LocatedDaemon found = firstOf(listed.collectors(), collector -> new CollectorQuery(collector, listed,
                security(collector), location, context).find());
            return List.of(found);
        }

        private interface Task<T> {
            T of(LocatedDaemon daemon) throws CommandException;
        }

        /**
         * The result from the first daemon that works. Each gets an equal share of the time. The user sees which ones failed.
         */
        private <T> T firstOf(List<LocatedDaemon> daemons, Task<T> task) throws CommandException {
            Deadline answer = context.deadline();
            List<String> skipped = new ArrayList<>();
            int left = daemons.size();
            for (LocatedDaemon daemon : daemons) {
                skipped.addAll(daemon.before());
                try {
                    T result = left == 1 ? task.of(daemon) : answer.share(left, () -> task.of(daemon));
                    skipped.forEach(console::notice);
                    return result;
                } catch (CommandException failure) {
                    if (left == 1 || (answer.isOver() && failure.reason.isServerSpecific())) {
                        skipped.addAll(daemon.after());
                        throw failure.withEarlierDetails(skipped);
                    }
                    if (!failure.reason.isServerSpecific()) {
                        throw failure;
                    }
                    skipped.add("Skipped " + daemon.target() + ": " + failure.summary());
                    left--;
                }
            }
            throw new AssertionError("the list of daemons is never empty");
        }

        private Security security(LocatedDaemon daemon) throws CommandException {
            Target target = daemon.target();
            NameSource pool = resumed.isPresent()
                ? resumed.get().pending().server().from() == NameSource.OTHERS_FILE ? NameSource.OTHERS_FILE
                : NameSource.COMMAND_LINE
                : options.query().pool().isPresent() ? NameSource.COMMAND_LINE : NameSource.CONFIGURATION;
            return new Security(target, target.brokers().isEmpty() ? new DirectConnector(target, context)
                : new CcbConnector(target, location, broker -> location.collectorAt(broker, daemon.query().pool(), pool),
                    context), context);
        }

        /** A request at one daemon: submit, wait, deliver. */
        private final class Request {
            private final LocatedDaemon daemon;
            private final Target target;
            private final TokenService pool;

            Request(LocatedDaemon daemon) throws CommandException {
                this.daemon = daemon;
                this.target = daemon.target();
                Security security = security(daemon);
                if (resumed.isPresent()) {
                    security.requireAssurance(resumed.get().pending().auth());
                }
                this.pool = new NetworkClient(security, target, context, guard);
            }

            SubmitResult start() throws CommandException {
                return pool.start(options.spec());
            }

            void resume(PendingRequest pending, String line) throws CommandException {
                console.notice("Resuming the wait for request " + pending.handle().requestId() + ".");
                guard.enter();
                try {
                    if (!save(pending, line)) {
                        console.warn(states.unsavedWarning());
                    }
                    states.sync();
                } finally {
                    guard.leave();
                }
                await(pending, Duration.ZERO, enqueuedAt(line));
            }

            /** When the pool took a saved request; empty if its line does not say so properly. */
            private static Optional<Instant> enqueuedAt(String line) {
                try {
                    return Optional.of(new Json.Fields(Json.object(new StringReader(line))).time("time"));
                } catch (IOException | IllegalArgumentException e) {
                    return Optional.empty();
                }
            }

            void run(SubmitResult result) throws CommandException {
                if (result.reply() instanceof TokenReply.Issued issued) {
                    deliver(issued, result.spec(), result.auth(), Optional.empty());
                    return;
                }
                PendingRequest pending = announce(result, Optional.empty());
                if (!options.waitOptions().nowait()) {
                    await(pending, Poller.FIRST_PAUSE, Optional.empty());
                }
            }

            /** Saves the request, then prints what the administrator needs, before a signal can end the program. */
            private PendingRequest announce(SubmitResult result, Optional<String> replaces) throws CommandException {
                PendingRequest pending = new PendingRequest(((TokenReply.Enqueued) result.reply()).handle(), daemon.query(),
                    result.address(), target.expected(), result.spec(), result.auth(), deadline);
                Event.Enqueued event = new Event.Enqueued(host.clock().instant(), pending, approveWith(pending),
                    approveOnCentralManager(pending),
                    options.approvalUrl().map(url -> url.replace("{request_id}", pending.handle().requestId())), replaces);
                String line = Json.line(console.fields(event));
                boolean saved = isHandedOver() || save(pending, line);
                boolean printed = !options.json() || writer.print(line.getBytes(UTF_8));
                if (isHandedOver()) {
                    saved = printed || save(pending, line);
                    console.waitingFor(pending.handle().requestId(), printed ? Optional.empty() : console.wayToResume());
                }
                console.enqueued(event);
                if (!saved && !(printed && options.json())) {
                    console.warn(states.unsavedWarning());
                    console.line("Only this line can resume the request. Keep it secret: " + line.strip());
                }
                states.sync();
                guard.leave();
                if (!printed) {
                    throw new CommandException(ErrorCode.NOT_WRITTEN, "Request " + pending.handle().requestId()
                        + " is enqueued, but writing to stdout failed.", console.wayToResume().orElse(""));
                }
                if (options.waitOptions().nowait()) {
                    console.leaving();
                }
                return pending;
            }

            /**
             * The administrator's command. It must reach the daemon that has the request: every daemon keeps its own list. A
             * collector is named as the user named it. Other daemons' names mean different things on different machines, so
             * the command names their address (seen with condor_token_request_approve of both releases).
             */
            private String approveWith(PendingRequest pending) {
                String command = APPROVE + pending.handle().requestId();
                DaemonQuery query = daemon.query();
                return query.type() == DaemonType.COLLECTOR
                    ? command + query.pool().map(name -> " -pool " + quoted(name)).orElse("")
                    : command + " -type " + query.type().word() + " -name " + quoted(pending.address());
            }

            /**
             * The same command, typed on the pool's central manager. There the tool finds the collector by itself, and our
             * name for it can be wrong: that of a tunnel, or a private address.
             */
            private String approveOnCentralManager(PendingRequest pending) {
                return daemon.query().type() == DaemonType.COLLECTOR
                    ? APPROVE + pending.handle().requestId() : approveWith(pending);
            }

            /**
             * Saves the request.
             *
             * @param line the JSON line that resumes it
             * @return whether the file was written
             */
            private boolean save(PendingRequest pending, String line) {
                Optional<Path> file = states.save(pending, line);
                console.waitingFor(pending.handle().requestId(), file.map(path -> Stream.concat(
                    Stream.of("-resume", absolute(path.toString())), carriedOver().stream()).map(TokenRequest::quoted)
                    .collect(Collectors.joining(" ", host.invocation() + " ", ""))));
                return file.isPresent();
            }

            /** The options that the resumed wait takes over, in a form that works from every directory. */
            private List<String> carriedOver() {
                List<String> words = new ArrayList<>(options.repeated());
                for (int i = 1; i < words.size(); i++) {
                    if (PATH_OPTIONS.contains(words.get(i - 1))) {
                        words.set(i, absolute(words.get(i)));
                        i++; // a path can look like an option
                    }
                }
                return words;
            }

            private static String absolute(String path) {
                try {
                    return path.isEmpty() ? path : Path.of(path).toAbsolutePath().toString();
                } catch (InvalidPathException e) {
                    return path;
                }
            }

            /** Waits for a request; with -resubmit, also for the one that replaces a lost request. */
            private void await(PendingRequest first, Duration pause, Optional<Instant> enqueued) throws CommandException {
                PendingRequest pending = first;
                Optional<TokenReply.Issued> token = wait(pending, pause, enqueued);
                while (token.isEmpty()) {
                    context.deadline().renew();
                    SubmitResult again = pool.start(pending.spec());
                    if (again.reply() instanceof TokenReply.Issued issued) {
                        token = Optional.of(issued);
                    } else {
                        pending = announce(again, Optional.of(pending.handle().requestId()));
                        token = wait(pending, Poller.FIRST_PAUSE, Optional.empty());
                    }
                }
                deliver(token.get(), pending.spec(), pending.auth(), Optional.of(pending));
            }

            /** The token; empty if the pool lost the request and -resubmit submits it again. */
            private Optional<TokenReply.Issued> wait(PendingRequest pending, Duration pause, Optional<Instant> enqueued)
                    throws CommandException {
                Sleeper sleeper = console.sleeper(host.sleeper(), deadline, enqueued);
                Poller poller = new Poller(pool, host.clock(), pauseBefore -> {
                    sleeper.sleep(pauseBefore);
                    context.deadline().renew();
                }, host.random(), options.waitOptions(), console::waiting);
                try {
                    if (options.waitOptions().timeout().isZero() && !pause.isZero()) {
                        throw poller.timedOut(pending.handle());
                    }
                    return Optional.of(poller.await(pending.handle(), pause, deadline));
                } catch (CommandException failure) {
                    if (failure.reason == ErrorCode.TIMED_OUT) {
                        throw failure.withHint(console.wayToResume().orElse(""));
                    }
                    if (failure.reason.endsRequest()) {
                        states.delete(pending);
                        console.waitingForNothing();
                    }
                    if (failure.reason == ErrorCode.REQUEST_UNKNOWN && options.waitOptions().resubmit()) {
                        console.notice(failure.getMessage() + " Submitting the request again.");
                        return Optional.empty();
                    }
                    throw failure;
                }
            }

            /** Writes the token before anything else happens to it. */
            private void deliver(TokenReply.Issued answer, TokenSpec spec, AuthResult auth, Optional<PendingRequest> request)
                throws CommandException {
                Secret token = answer.token();
                Event.Issued issued = new Event.Issued(request.map(pending -> pending.handle().requestId()), token,
                    Optional.empty(), answer.auth(), target.expected());
                TokenWriter.Delivery delivery;
                try {
                    delivery = writer.deliver(token, destination, states, problem -> console.onStdout(issued));
                    guard.delivered();
                } catch (CommandException failure) {
                    guard.delivered(); // every fallback was tried
                    throw failure;
                } finally {
                    request.ifPresent(states::delete);
                    console.waitingForNothing();
                }
                TokenInspection inspection = new TokenInspector(SigningKeys.of(configuration, context.files()),
                    host.clock().instant())
                    .inspect(token, spec, auth, target.isLocal());
                console.issued(issued.in(delivery.file()), inspection, delivery.problem());
                if (delivery.problem().isEmpty() && destination instanceof Destination.RegularFile file) {
                    console.delivered(file.file(), inspection);
                }
                guard.leave();
                List<String> objections = new ArrayList<>(inspection.warnings());
                if (!answer.auth().failedMethods().isEmpty()) {
                    objections.add(String.join(" and ", answer.auth().failedMethods()) + " failed, so the token came over "
                        + answer.auth().method() + ". A man in the middle could read that session.");
                }
                if (!options.strict() || delivery.problem().isPresent()) {
                    inspection.warnings().forEach(console::warn);
                }
                if (delivery.problem().isPresent()) {
                    throw delivery.problem().get();
                }
                if (options.strict() && !objections.isEmpty()) {
                    throw new CommandException(ErrorCode.NOT_AS_REQUESTED,
                        "The token was delivered, but differs from the request:",
                        objections, "Without -strict, this is only a warning.");
                }
                if (options.verify()) {
                    context.deadline().renew();
                    console.verified(issued.requestId(), target, pool.verify(token));
                }
            }
        }
    }

    // ==== 2. Host: clock, streams, environment and signals, replaceable in tests ====

    /**
     * The program's view of the machine it runs on.
     *
     * @param environment the environment variables
     * @param name        the machine's host name, used in the client ID
     * @param home        the user's home directory from the password database, as HTCondor takes it, not $HOME; empty if unknown
     * @param user        the user that owns this process
     * @param uid         the numeric user ID, which identifies root under any name; empty on systems without user IDs
     * @param invocation  the command that a user types to run this program
     * @param in          source of {@code -resume -} and of the answers to questions
     * @param out         receives the token
     * @param err         receives everything else
     * @param terminal    whether the file descriptor of that number is a terminal
     */
    record Host(InstantSource clock, SecureRandom random, Sleeper sleeper, Map<String, String> environment, String name,
                Optional<Path> home, Optional<UserPrincipal> user, OptionalInt uid, String invocation, InputStream in,
                PrintStream out, PrintStream err, IntPredicate terminal) {

        /** The real machine: system clock, streams and environment of this process. */
        static Host real() {
            return new Host(InstantSource.system(), new SecureRandom(), duration -> Thread.sleep(duration.toMillis()),
                System.getenv(), machineName(),
                ownHome(), owner(), ownUid(), ownInvocation(), new BufferedInputStream(new FileInputStream(FileDescriptor.in)),
                new PrintStream(new FileOutputStream(FileDescriptor.out), false, UTF_8),
                new PrintStream(new FileOutputStream(FileDescriptor.err), true, UTF_8), Host::isTerminal);
        }

        /** The home; empty if it is unknown, or if the locale cannot represent its name. */
        private static Optional<Path> ownHome() {
            try {
                return Optional.of(System.getProperty("user.home")).filter(home -> home.startsWith("/")).map(Path::of);
            } catch (InvalidPathException e) {
                return Optional.empty(); // requireHome says so
            }
        }

        /**
         * Refuses to continue without the settings and credentials in a home that the locale cannot represent. (Help and
         * version need no home.)
         *
         * @throws InvalidPathException if the user has such a home
         */
        void requireHome() {
            requireRepresentable(home.isEmpty() ? System.getProperty("user.home") : "");
        }

        /**
         * Refuses relative file names in a working directory that the locale cannot represent: there Java looks for them
         * in another directory.
         *
         * @throws InvalidPathException if this is such a directory
         */
        static void requireWorkingDirectory() {
            requireRepresentable(System.getProperty("user.dir"));
        }

        /** @throws InvalidPathException if the locale cannot represent the path */
        private static void requireRepresentable(String path) {
            Objects.requireNonNull(Path.of(path));
        }

        /**
         * Converts a text of the user or the configuration to a path. Every such text goes through here, since Path.of throws an
         * unchecked exception for a NUL character, and for one that the locale's encoding lacks.
         *
         * @param source the option or setting, for the message
         * @throws CommandException USAGE if the source is an option, otherwise CONFIGURATION
         */
        static Path path(String text, String source) throws CommandException {
            try {
                return Path.of(text);
            } catch (InvalidPathException e) {
                throw notAPath(text, source, source.startsWith("-") ? ErrorCode.USAGE : ErrorCode.CONFIGURATION);
            }
        }

        /** The error for a text that cannot be a path. */
        static CommandException notAPath(String text, String source, ErrorCode code) {
            return new CommandException(code, "ERROR: '" + printable(text) + "' (" + printable(source) + ") is not a file name.",
                text.indexOf(0) >= 0 ? "A file name cannot contain a NUL character."
                    : "The locale's encoding lacks one of its characters. Set LC_ALL=C.UTF-8 and run the command again.");
        }

        /** Whether the user is root (uid 0, whatever the name). HTCondor gives root the system's token directory. */
        boolean isRoot() {
            return uid.equals(OptionalInt.of(PathTrust.ROOT));
        }

        /** The user IDs that {@link PathTrust} trusts: root and this user. */
        Set<Integer> trusted() {
            Set<Integer> uids = new HashSet<>();
            uids.add(PathTrust.ROOT);
            uid.ifPresent(uids::add);
            return uids;
        }

        /** Cryptographically random bytes as lower-case hex. */
        String randomHex(int bytes) {
            byte[] value = new byte[bytes];
            random.nextBytes(value);
            return HexFormat.of().formatHex(value);
        }

        /** The JVM does not know the command that started it; JBang's environment variables and the class path reveal it. */
        private static String ownInvocation() {
            String command = System.getProperty("sun.java.command", "").split(" ")[0];
            if (System.getenv("JBANG_LAUNCH_CMD") == null) {
                return command.endsWith(".jar") ? "java -jar " + quoted(Path.of(command).toAbsolutePath().toString())
                    : ArgumentParser.PROGRAM;
            }
            // File takes names that the locale cannot represent; Path throws.
            File jbang = new File(Optional.ofNullable(System.getenv("JBANG_DIR"))
                .orElse(System.getProperty("user.home") + "/.jbang"));
            File source = new File("TokenRequest.java").getAbsoluteFile();
            return source.exists() ? "jbang " + quoted(source.toString())
                : new File(jbang, "bin/" + ArgumentParser.PROGRAM).exists() ? ArgumentParser.PROGRAM
                : "java -cp " + quoted(System.getProperty("java.class.path")) + " " + command;
        }

        /**
         * System.console() covers only stdin and stdout together. On Linux the device number of /proc/self/fd/N decides;
         * elsewhere {@code test -t} does. (Linux avoids the child process: if Java 17 cannot create a pipe for a child that
         * inherits this program's streams, it closes stdin and stderr.)
         */
        private static boolean isTerminal(int stream) {
            try {
                Map<String, Object> device = Files.readAttributes(Path.of("/proc/self/fd", Integer.toString(stream)),
                    "unix:mode,rdev");
                return PathTrust.Type.of((Integer) device.get("mode")) == PathTrust.Type.CHARACTERS
                    && isTerminalDevice((int) ((Long) device.get("rdev") >> 8) & 0xFFF);
            } catch (IOException | UnsupportedOperationException | IllegalArgumentException e) {
                return !Files.exists(Path.of("/proc/self")) && isTerminalByTool(stream);
            }
        }

        /** Consoles and serial lines, /dev/tty and /dev/console, pseudo-terminals. Linux, admin-guide/devices.txt */
        private static boolean isTerminalDevice(int major) {
            return major == 4 || major == 5 || (major >= 136 && major <= 143) || major == 204 || major == 229;
        }

        private static boolean isTerminalByTool(int stream) {
            try {
                return new ProcessBuilder("/bin/test", "-t", Integer.toString(stream)).inheritIO().start().waitFor() == 0;
            } catch (IOException e) {
                return false;
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return false;
            }
        }

        /** Read from the kernel where possible, because Java's InetAddress.getLocalHost() queries DNS and may block. */
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

        private static OptionalInt ownUid() {
            Path self = Path.of("/proc/self");
            try {
                return OptionalInt.of(Files.exists(self) ? (Integer) Files.getAttribute(self, "unix:uid")
                    : (int) new UnixSystem().getUid());
            } catch (IOException | UnsupportedOperationException | LinkageError e) {
                return OptionalInt.empty(); // a system without such numbers
            }
        }
    }

    /** Suspends the calling thread; tests replace it so that they never sleep. */
    interface Sleeper {
        void sleep(Duration duration) throws InterruptedException;
    }

    /**
     * Delays signals while a reply may hold a token: from the moment a command is sent until its reply proves to hold no
     * token, or the token is written.
     */
    static final class ShutdownGuard {
        /** How long a signal waits after an exchange has ended, while the program writes the token. */
        private static final Duration WRITING = Duration.ofSeconds(5);
        private static final Duration FAREWELL = Duration.ofSeconds(2);
        private final ReentrantLock busy = new ReentrantLock();
        private volatile Consumer<String> notices = line -> { };
        private volatile IntConsumer farewell = status -> { };
        private volatile Duration exchange = Duration.ZERO;
        private volatile boolean ended;
        private volatile Optional<Secret> held = Optional.empty();
        private volatile Consumer<Secret> lastResort = token -> { };

        /** Registers the JVM shutdown hook that delays signals. */
        void install() {
            Runtime.getRuntime().addShutdownHook(new Thread(this::close, "shutdown-guard"));
        }

        /**
         * Sets what happens at a signal.
         *
         * @param notices  receives the line that says why the program does not end yet
         * @param farewell receives the exit status, as the last call
         */
        void onSignal(Consumer<String> notices, IntConsumer farewell) {
            this.notices = notices;
            this.farewell = farewell;
        }

        /**
         * Delays signals from here on. Never returns once the program is ending.
         *
         * @param longest how long the exchange that begins can take
         */
        void enter(Duration longest) {
            exchange = longest;
            busy.lock();
        }

        /** The same for work on files, which waits for no server. */
        void enter() {
            enter(Duration.ZERO);
        }

        /** Sets where an undelivered token goes when the program ends early. */
        void lastResort(Consumer<Secret> resort) {
            lastResort = resort;
        }

        /** Registers a token that exists only in memory until {@link #delivered}. */
        void holds(Secret token) {
            held = Optional.of(token);
        }

        /** The token is written, or every place for it was tried. */
        void delivered() {
            held = Optional.empty();
        }

        /** Saves an undelivered token, if there is one. Never throws. */
        void saveHeldToken() {
            Optional<Secret> token = held;
            held = Optional.empty();
            try {
                token.ifPresent(lastResort);
            } catch (RuntimeException | Error e) {
                return; // this was the last resort
            }
        }

        /** Ends the delay: a signal now ends the program at once. Does nothing if signals were not delayed. */
        void leave() {
            delivered();
            while (busy.isHeldByCurrentThread()) {
                busy.unlock();
            }
        }

        /** The program ends by itself; signals have no effect from here on. */
        void end() {
            ended = true;
            leave();
        }

        /** The shutdown hook: waits for an exchange in flight and blocks new ones. */
        private void close() {
            try {
                if (!ended) {
                    close(signalled());
                }
            } catch (RuntimeException | Error e) {
                // Java would print a stack trace; the program ends anyway.
            }
        }

        private void close(OptionalInt status) {
            try {
                if (!busy.tryLock(1, TimeUnit.SECONDS) && held.isEmpty()) {
                    runBriefly(() -> notices.accept("Interrupted. Waiting for a reply that may hold the token."));
                    busy.tryLock(exchange.plus(WRITING).toMillis(), TimeUnit.MILLISECONDS);
                }
                // If it is still not written, a reader has stopped or a disk hangs.
                runBriefly(this::saveHeldToken);
                if (status.isPresent()) {
                    runBriefly(() -> farewell.accept(status.getAsInt()));
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        /** Runs it in a thread of its own and waits briefly: a stopped reader must not keep the program from ending. */
        private static void runBriefly(Runnable last) throws InterruptedException {
            Thread thread = new Thread(() -> {
                try {
                    last.run();
                } catch (RuntimeException | Error e) {
                    return; // Java would print a stack trace; the program ends anyway
                }
            }, "shutdown-message");
            thread.setDaemon(true);
            thread.start();
            thread.join(FAREWELL.toMillis());
        }

        /**
         * The exit status for the signal that ends the program; empty if there was no signal. Java shows the signal only in
         * the name of the thread that handles it (jdk.internal.misc.Signal; seen on 17 and 25).
         */
        private static OptionalInt signalled() {
            for (Thread thread : Thread.getAllStackTraces().keySet()) {
                switch (thread.getName()) {
                    case "SIGHUP handler" -> {
                        return OptionalInt.of(129);
                    }
                    case "SIGINT handler" -> {
                        return OptionalInt.of(130);
                    }
                    case "SIGTERM handler" -> {
                        return OptionalInt.of(143);
                    }
                    default -> { }
                }
            }
            return OptionalInt.empty();
        }
    }

    /**
     * Reports a crash for lack of memory, stack or file descriptors. It prepares its texts at the start: at the crash there
     * may be no memory for a text and no descriptor for loading a class.
     */
    static final class CrashReporter {
        private final OutputStream err = new FileOutputStream(FileDescriptor.err);
        private static final int CAUSES_MAX = 10;
        /** Read while classes can still be loaded. */
        final int exitStatus = ErrorCode.INTERNAL.exitStatus;
        private final byte[] memory = line("Internal error: Java ran out of memory. Give it more with -Xmx.");
        private final byte[] stack = line("Internal error: Java ran out of stack space. Give it more with -Xss.");
        private final byte[] classes = line("Internal error: Java cannot load a class. Check the limit of open files"
            + " (ulimit -n).");
        private final byte[] bug = line("Internal error: this is a bug in the program.");

        private static byte[] line(String text) {
            return (text + "\n").getBytes(US_ASCII);
        }

        /** Writes the line for an error to stderr. */
        void print(Throwable e) {
            try {
                err.write(of(e));
            } catch (IOException e2) {
                // The exit status still reports the failure.
            }
        }

        /** The line for an error, with its newline. */
        byte[] of(Throwable e) {
            return e instanceof OutOfMemoryError ? memory : e instanceof StackOverflowError ? stack
                : e instanceof LinkageError || isOfFiles(e) ? classes : bug;
        }

        /** The same line as a string, without its newline. */
        String text(Throwable e) {
            return new String(of(e), US_ASCII).strip();
        }

        /** Whether the cause is the program, not a lack of resources. */
        boolean isBug(Throwable e) {
            return of(e) == bug;
        }

        /** Java reports this only in the system's error text. */
        private static boolean isOfFiles(Throwable e) {
            Throwable cause = e;
            for (int depth = 0; cause != null && depth < CAUSES_MAX; depth++) {
                if (cause.getMessage() != null && cause.getMessage().contains("Too many open files")) {
                    return true;
                }
                cause = cause.getCause();
            }
            return false;
        }
    }

    /** The {@code -debug} log: one line per step on stderr, in the format of HTCondor's logs. It never contains secrets. */
    static final class DebugLog {
        static final String HOSTNAME = "D_HOSTNAME";
        static final String NETWORK = "D_NETWORK";
        static final String SECURITY = "D_SECURITY";
        static final String COMMAND = "D_COMMAND";
        /** Discards everything. */
        static final DebugLog OFF = new DebugLog(category -> false, line -> { }, InstantSource.system());

        private static final DateTimeFormatter STAMP =
            DateTimeFormatter.ofPattern("MM/dd/yy HH:mm:ss", Locale.ROOT).withZone(ZoneId.systemDefault());
        private final Predicate<String> isEnabled;
        private final Consumer<String> lines;
        private final InstantSource clock;

        private DebugLog(Predicate<String> isEnabled, Consumer<String> lines, InstantSource clock) {
            this.isEnabled = isEnabled;
            this.lines = lines;
            this.clock = clock;
        }

        /**
         * Creates the log for the {@code -debug} option.
         *
         * @param flags empty without {@code -debug}; otherwise the text after {@code -debug:}. If that is blank, TOOL_DEBUG or
         *              DEFAULT_DEBUG select the categories; without these, all categories are logged
         */
        static DebugLog of(Optional<String> flags, Configuration configuration, Consumer<String> lines,
                InstantSource clock) {
            if (flags.isEmpty()) {
                return OFF;
            }
            String words = flags.filter(text -> !text.isBlank())
                .or(() -> configuration.text("TOOL_DEBUG")).or(() -> configuration.text("DEFAULT_DEBUG"))
                .orElse("D_ALL").toUpperCase(Locale.ROOT);
            Set<String> categories = Arrays.stream(words.split("[,|\\s]+"))
                .map(word -> word.replaceFirst(":[0-9]$", "")).collect(Collectors.toSet());
            boolean all = !Collections.disjoint(categories, Set.of("D_ALL", "D_ANY", "D_FULLDEBUG"));
            return new DebugLog(category -> all || categories.contains(category), lines, clock);
        }

        /** Logs one line if the category is enabled. The text is computed only then. */
        void log(String category, Supplier<String> text) {
            if (isEnabled.test(category)) {
                lines.accept(STAMP.format(clock.instant()) + " (" + category + ") " + oneLine(text.get()));
            }
        }
    }

    /**
     * Determines whether untrusted users can change a file or redirect the path to it. The components are examined one by
     * one and symbolic links are followed, as the kernel does it. A user who can write to a directory can replace its
     * entries; in a sticky directory only the owner of the entry or of the directory can. Mode and owner of a file tell who
     * can change the file itself. (J. Kupsch and B. Miller, "How to Open a File and Not Get Hacked", 2008; HTCondor's
     * safefile implements the same rules.)
     *
     * <p>The owner of the root directory is trusted like root, because he can change everything. That is another user than
     * uid 0 in some user namespaces, where a container does not map root.
     *
     * <p>An untrusted user's symbolic link in a directory that others can write to is not followed. That is the kernel's rule
     * (protected_symlinks in proc_sys_fs(5)), applied here to directories without the sticky bit as well.
     *
     * @param path   the path with links resolved; it need not exist. It ends at a link that is not followed
     * @param entry  the file at the path; empty if there is none
     * @param onPath how an untrusted user can put another file at the path; empty if none can
     * @param atEnd  how an untrusted user can change the file, or the entries of a directory; a sticky directory protects its
     *               entries
     */
    record PathTrust(Path path, Optional<Stat> entry, Optional<Weakness> onPath, Optional<Weakness> atEnd) {
        static final int ROOT = 0;
        /** The kernel's limit. path_resolution(7) */
        private static final int LINKS_MAX = 40;

        /** Whether the file system has Unix owners and modes. */
        static boolean isPossible() {
            return FileSystems.getDefault().supportedFileAttributeViews().contains("unix");
        }

        /**
         * Examines a path.
         *
         * @param path    absolute, or relative to the working directory
         * @param trusted user IDs, such as {@link Host#trusted}
         * @param options NOFOLLOW_LINKS if the last component is not followed when it is a link
         * @throws IOException                   if a component cannot be examined
         * @throws UnsupportedOperationException on a system where {@link #isPossible} is false
         */
        static PathTrust of(Path path, Set<Integer> trusted, LinkOption... options) throws IOException {
            return new Walk(trusted).examine(path.toAbsolutePath(), options.length == 0);
        }

        /** The first weakness: on the path, or at its end. */
        Optional<Weakness> weakness() {
            return onPath.isPresent() ? onPath : atEnd;
        }

        /** Whether the path is a link below /proc/PID/fd, that is, a file that this user, or root, has open. */
        boolean isOpenDescriptor() {
            return onPath.isEmpty() && isDescriptorDirectory(path.resolveSibling(""))
                && entry.filter(stat -> stat.type() != Type.LINK).isPresent();
        }

        /** Whether a directory holds the open files of a process. Its links lead there, whatever they read. proc_pid_fd(5) */
        private static boolean isDescriptorDirectory(Path directory) {
            return directory.startsWith("/proc") && directory.endsWith("fd")
                && (directory.getNameCount() == 3 || directory.getNameCount() == 5);
        }

        /** The name of a file's owner, printable. Links are not followed. */
        static String owner(Path path) throws IOException {
            return printable(Files.getOwner(path, LinkOption.NOFOLLOW_LINKS).getName());
        }

        /**
         * A component that an untrusted user can change. Its text is a clause such as "/srv can be changed by everybody (mode
         * 0777)".
         *
         * @param at     a directory, a link or a file
         * @param owned  whether an untrusted user owns it; otherwise others can write to it
         * @param reason who can change it, and why
         */
        record Weakness(Path at, boolean owned, String reason) {
            @Override
            public String toString() {
                return printable(at.toString()) + " " + reason;
            }
        }

        /**
         * The attributes that lstat(2) returns.
         *
         * @param mode  permissions and file type
         * @param links number of hard links
         * @param key   device and inode
         */
        record Stat(int mode, int uid, long size, int links, Object key) {
            private static final String ATTRIBUTES = "unix:mode,uid,size,nlink,fileKey";

            static Stat of(Path path, LinkOption... options) throws IOException {
                Map<String, Object> attributes = Files.readAttributes(path, ATTRIBUTES, options);
                return new Stat((Integer) attributes.get("mode"), (Integer) attributes.get("uid"),
                    (Long) attributes.get("size"), (Integer) attributes.get("nlink"), attributes.get("fileKey"));
            }

            Type type() {
                return Type.of(mode);
            }

            /** Whether users other than the owner can write to it. An ACL counts, since its mask shows in the group's mode. */
            boolean isSharedWritable() {
                return (mode & 0022) != 0 && type() != Type.LINK;
            }

            boolean isSticky() {
                return (mode & 01000) != 0 && type() == Type.DIRECTORY;
            }

            /** Whether it is the same file. Owner and mode count, since a new file can have the inode of a deleted one. */
            boolean isSame(Stat other) {
                return key.equals(other.key) && uid == other.uid && mode == other.mode;
            }
        }

        /** File types, with their names in messages. inode(7) */
        enum Type {
            REGULAR(0100000, "a regular file"), DIRECTORY(0040000, "a directory"), LINK(0120000, "a symbolic link"),
            PIPE(0010000, "a pipe"), SOCKET(0140000, "a socket"), CHARACTERS(0020000, "a character device"),
            BLOCKS(0060000, "a block device"), OTHER(0, "no file");

            private static final int MASK = 0170000;
            private final int bits;
            private final String words;

            Type(int bits, String words) {
                this.bits = bits;
                this.words = words;
            }

            static Type of(int mode) {
                for (Type type : values()) {
                    if ((mode & MASK) == type.bits) {
                        return type;
                    }
                }
                return OTHER;
            }

            String words() {
                return words;
            }
        }

        /** The examination of one path. */
        private static final class Walk {
            private final Set<Integer> trusted;
            private Path at = Path.of("/");
            private Stat here = Stat.of(at, LinkOption.NOFOLLOW_LINKS);
            private Optional<Weakness> onPath = Optional.empty();

            Walk(Set<Integer> trusted) throws IOException {
                this.trusted = new HashSet<>(trusted);
                this.trusted.add(here.uid());
            }

            PathTrust examine(Path path, boolean followsLast) throws IOException {
                Deque<String> names = new ArrayDeque<>();
                push(path, names);
                Stat root = here;
                for (int links = 0; !names.isEmpty(); ) {
                    String name = names.pop();
                    if (here.type() != Type.DIRECTORY) {
                        throw new NotDirectoryException(at.toString());
                    } else if (name.equals("..")) {
                        at = at.getNameCount() == 0 ? at : at.getParent();
                        here = Stat.of(at, LinkOption.NOFOLLOW_LINKS);
                        continue;
                    }
                    Path next = at.resolve(name);
                    note(weakness(at, here));
                    Stat entry;
                    try {
                        entry = Stat.of(next, LinkOption.NOFOLLOW_LINKS);
                    } catch (NoSuchFileException e) {
                        note(here.isSharedWritable() ? Optional.of(new Weakness(next, false, "does not exist, and every user who "
                            + "can write to " + printable(at.toString()) + " can create it")) : Optional.empty());
                        return new PathTrust(next.resolve(String.join("/", names)), Optional.empty(), onPath, Optional.empty());
                    }
                    if (here.isSharedWritable() && !trusted.contains(entry.uid())) {
                        note(Optional.of(new Weakness(next, true, "belongs to " + owner(next)
                            + ", who can replace it")));
                    }
                    if (entry.type() == Type.LINK && (followsLast || !names.isEmpty())) {
                        if (names.isEmpty() && isDescriptorDirectory(at)) {
                            return new PathTrust(next, Optional.of(Stat.of(next)), onPath, Optional.empty());
                        } else if (!isFollowed(entry)) {
                            return new PathTrust(next, Optional.of(entry), onPath, Optional.empty());
                        } else if (++links > LINKS_MAX) {
                            throw new FileSystemLoopException(path.toString());
                        }
                        Path target = Files.readSymbolicLink(next);
                        push(target, names);
                        at = target.isAbsolute() ? target.getRoot() : at;
                        here = target.isAbsolute() ? root : here;
                    } else {
                        at = next;
                        here = entry;
                    }
                }
                return new PathTrust(at, Optional.of(here), onPath,
                    here.type() == Type.LINK ? Optional.empty() : weakness(at, here));
            }

            private static void push(Path path, Deque<String> names) {
                for (int i = path.getNameCount() - 1; i >= 0; i--) {
                    String name = path.getName(i).toString();
                    if (!name.isEmpty() && !name.equals(".")) {
                        names.push(name);
                    }
                }
            }

            private void note(Optional<Weakness> weakness) {
                onPath = onPath.isPresent() ? onPath : weakness;
            }

            /** The kernel's protected_symlinks, without regard to the sticky bit. */
            private boolean isFollowed(Stat link) {
                return !here.isSharedWritable() || trusted.contains(link.uid()) || link.uid() == here.uid();
            }

            /** How an untrusted user can write to a file, or replace the entries of a directory. */
            private Optional<Weakness> weakness(Path path, Stat entry) throws IOException {
                if (!trusted.contains(entry.uid())) {
                    return Optional.of(new Weakness(path, true, "belongs to " + owner(path)));
                }
                if (!entry.isSharedWritable() || entry.isSticky()) {
                    return Optional.empty();
                }
                return Optional.of(new Weakness(path, false, String.format(Locale.ROOT, "can be changed by %s (mode %04o)",
                    (entry.mode() & 0002) != 0 ? "everybody" : "its group, " + group(path), entry.mode() & 07777)));
            }

            private static String group(Path path) throws IOException {
                return printable(Files.readAttributes(path, PosixFileAttributes.class, LinkOption.NOFOLLOW_LINKS).group()
                    .getName());
            }
        }
    }

    /** Longest foreign text in a message, characters, and longest foreign list, items. */
    private static final int MAX_SHOWN_CHARACTERS = 500;
    private static final int MAX_SHOWN_ITEMS = 10;

    /** A duration in whole seconds, with the unit. */
    static String seconds(Duration duration) {
        return duration.toSeconds() + (duration.toSeconds() == 1 ? " second" : " seconds");
    }

    /**
     * Makes foreign text safe to show: at most 500 characters, followed by the size of the rest, on one line, without
     * characters that control a terminal or reorder text. Every text from a server goes through here before it becomes part
     * of a message.
     */
    static String printable(String text) {
        return oneLine(cut(text));
    }

    /** Truncates a text to 500 characters, and appends the size of the rest. It never splits a surrogate pair. */
    static String cut(String text) {
        int end = MAX_SHOWN_CHARACTERS;
        if (text.length() > end && Character.isSurrogatePair(text.charAt(end - 1), text.charAt(end))) {
            end--;
        }
        int more = text.length() - end;
        return more <= 0 ? text : text.substring(0, end) + "… and " + (more < 1000 ? more + " B"
            : more < 999_500 ? Math.round(more / 1000.0) + " KB" : Math.round(more / 100_000.0) / 10.0 + " MB") + " more";
    }

    /** Replaces by {@code ?} every character that could break the line, control the terminal or change how text is read. */
    static String oneLine(String text) {
        StringBuilder line = new StringBuilder(text.length());
        for (int i = 0; i < text.length(); ) {
            int c = text.codePointAt(i);
            i += Character.charCount(c);
            line.appendCodePoint(isShowable(c) ? c : '?');
        }
        return line.toString();
    }

    /**
     * Whether a character is neither of Unicode's control, format and surrogate characters nor a line or paragraph separator
     * (Cc, Cf, Cs, Zl, Zp). The only place that decides this.
     */
    static boolean isShowable(int codePoint) {
        return switch (Character.getType(codePoint)) {
            case Character.CONTROL, Character.FORMAT, Character.SURROGATE, Character.LINE_SEPARATOR,
                Character.PARAGRAPH_SEPARATOR -> false;
            default -> true;
        };
    }

    /** Makes a foreign list safe to show: its first ten items, and the number of the rest. */
    static List<String> printable(List<String> items) {
        Stream<String> first = items.stream().limit(MAX_SHOWN_ITEMS).map(TokenRequest::printable);
        int more = items.size() - MAX_SHOWN_ITEMS;
        return (more <= 0 ? first : Stream.concat(first, Stream.of("… and " + more + " more"))).toList();
    }

    /** Attributes that create a file or directory with this mode; none on a file system without POSIX modes. */
    static FileAttribute<?>[] withMode(String permissions) {
        return FileSystems.getDefault().supportedFileAttributeViews().contains("posix")
            ? new FileAttribute<?>[] {PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString(permissions))}
            : new FileAttribute<?>[0];
    }

    /** The system's text for a failed connection, without the call that some Java versions append. */
    static String connectionError(Throwable e) {
        String words = String.valueOf(e.getMessage());
        return words.endsWith(" (connect failed)") ? words.substring(0, words.length() - 17) : words;
    }

    /** The system's text (strerror) for a failed file operation. */
    static String reason(IOException e) {
        return e instanceof NoSuchFileException ? "No such file or directory"
            : e instanceof AccessDeniedException ? "Permission denied"
            : e instanceof FileAlreadyExistsException ? "File exists"
            : e instanceof NotDirectoryException ? "Not a directory"
            : e instanceof FileSystemLoopException ? "Too many levels of symbolic links"
            : e instanceof FileSystemException file && file.getReason() != null ? file.getReason()
            : e.getMessage() == null ? e.getClass().getSimpleName() : e.getMessage();
    }

    /** Appends the errno to the system's text, as condor_token_request does. Unknown texts are returned unchanged. */
    static String withErrno(String words) {
        int number = switch (words) {
            case "Operation not permitted" -> 1;
            case "No such file or directory" -> 2;
            case "Permission denied" -> 13;
            case "Device or resource busy" -> 16;
            case "File exists" -> 17;
            case "Not a directory" -> 20;
            case "Is a directory" -> 21;
            case "No space left on device" -> 28;
            case "Read-only file system" -> 30;
            default -> 0;
        };
        return number == 0 ? words : words + " (errno=" + number + ")";
    }

    /** Quotes a word for a POSIX shell if it needs quotes. */
    static String quoted(String word) {
        return !word.isEmpty() && word.chars().allMatch(c -> (Character.isLetterOrDigit(c) && c < 128)
            || "_%+=:,./@-".indexOf(c) >= 0) ? word : "'" + word.replace("'", "'\\''") + "'";
    }

    static byte[] concat(byte[] first, byte[] second) {
        byte[] both = Arrays.copyOf(first, first.length + second.length);
        System.arraycopy(second, 0, both, first.length, second.length);
        return both;
    }

    // ==== 3. Errors: error codes and exit statuses ====

    /** Why the command failed, with the exit status and the code in JSON. Scripts rely on both: never rename or reuse them. */
    enum ErrorCode {
        INTERNAL(1, "internal"),
        REFUSED(1, "refused"),
        BUSY(1, "busy"),
        UNEXPECTED(1, "unexpected_answer"),
        NOT_AS_REQUESTED(1, "not_as_requested"),
        USAGE(2, "usage"),
        CONFIGURATION(2, "configuration"),
        DESTINATION(2, "destination"),
        NOT_FOUND(3, "not_found"),
        UNREACHABLE(3, "unreachable"),
        NOT_AUTHENTICATED(4, "not_authenticated"),
        VIOLATION(4, "protocol_violation"),
        TOKEN_REJECTED(4, "token_rejected"),
        REQUEST_UNKNOWN(5, "request_unknown"),
        REQUEST_EXPIRED(5, "request_expired"),
        REQUEST_FAILED(5, "request_failed"),
        TIMED_OUT(6, "timed_out"),
        DESTINATION_BUSY(6, "destination_busy"),
        NOT_WRITTEN(7, "not_written"),
        /** Interrupted by a signal: 128 plus its number, so 129 for SIGHUP and 143 for SIGTERM. */
        INTERRUPTED(130, "interrupted");

        final int exitStatus;
        final String code;

        ErrorCode(int exitStatus, String code) {
            this.exitStatus = exitStatus;
            this.code = code;
        }

        /** Whether the same command may succeed if it is repeated later without any change. */
        boolean isRetryable() {
            return switch (this) {
                case BUSY, UNREACHABLE, REQUEST_UNKNOWN, REQUEST_EXPIRED, TIMED_OUT, DESTINATION_BUSY, INTERRUPTED -> true;
                default -> false;
            };
        }

        /** Whether the failure concerns one server, so that another collector of the pool may succeed. */
        boolean isServerSpecific() {
            return this == NOT_FOUND || this == UNREACHABLE || this == NOT_AUTHENTICATED;
        }

        /** Whether the pool no longer has the request if a poll fails with this code. */
        boolean endsRequest() {
            return exitStatus == REQUEST_FAILED.exitStatus || this == REFUSED || this == UNEXPECTED;
        }
    }

    /**
     * A failure that ends the command, as text for the user: a message of one line, then details, then a hint.
     */
    static final class CommandException extends Exception {
        private static final long serialVersionUID = 1L;
        /** Most detail lines that are kept; a server can cause many more. */
        private static final int DETAILS_MAX = 50;
        final ErrorCode reason;
        private final transient List<String> details;
        private final String hint;
        /** The error stack that condor_token_request prints here, for JSON and -debug; blank if it prints none. */
        private final String originalStack;

        /** @param hint what the user can do; may be blank */
        CommandException(ErrorCode reason, String message, String hint) {
            this(reason, message, List.of(), hint);
        }

        /** @param details one line each */
        CommandException(ErrorCode reason, String message, List<String> details, String hint) {
            this(reason, message, details, hint, "");
        }

        /** @param originalStack what condor_token_request prints for this failure */
        CommandException(ErrorCode reason, String message, List<String> details, String hint, String originalStack) {
            super(message);
            this.reason = reason;
            this.originalStack = originalStack;
            int more = details.size() - DETAILS_MAX;
            this.details = more <= 0 ? List.copyOf(details) : Stream.concat(details.stream().limit(DETAILS_MAX),
                Stream.of("… and " + more + " more lines")).toList();
            this.hint = hint;
        }

        /** An unexpected exception. The message contains the line numbers for a bug report. */
        static CommandException bug(Throwable e) {
            if (e instanceof InvalidPathException path) {
                return Host.notAPath(path.getInput(), path.getReason(), ErrorCode.CONFIGURATION);
            }
            String lines = Arrays.stream(e.getStackTrace()).filter(frame -> frame.getClassName().startsWith("tokenrequest."))
                .limit(5).map(frame -> Integer.toString(frame.getLineNumber())).collect(Collectors.joining(", "));
            return new CommandException(ErrorCode.INTERNAL, "Internal error: " + printable(e.getClass().getSimpleName() + " ("
                + e.getMessage() + ")") + ", lines " + lines + " of version " + VERSION
                + ". This is a bug. Please report it with this line.", "");
        }

        /** A copy with another hint. */
        CommandException withHint(String hint) {
            return new CommandException(reason, getMessage(), details, hint, originalStack);
        }

        /** A copy with these details in front of its own. */
        CommandException withEarlierDetails(List<String> earlier) {
            return new CommandException(reason, getMessage(), Stream.concat(earlier.stream(), details.stream()).toList(), hint,
                originalStack);
        }

        List<String> details() {
            return details;
        }

        /** The details, then the original's error stack if there is one: for programs. */
        List<String> detailsWithStack() {
            return originalStack.isEmpty() ? details : Stream.concat(details.stream(), Stream.of(originalStack)).toList();
        }

        /** The details on one line; without details, the message. */
        String summary() {
            return details.isEmpty() ? getMessage()
                : details.stream().map(String::strip).collect(Collectors.joining("; ")).replace(":; ", ": ");
        }

        Optional<String> hint() {
            return Optional.of(hint).filter(text -> !text.isBlank());
        }
    }

    // ==== 4. Values: the types that sections exchange ====

    /** The action that the command line selects. */
    sealed interface Action {
        /** Print a text on stdout: help, version or shell completion. */
        record Show(String text) implements Action { }

        /**
         * Print configuration parameters.
         *
         * @param names empty for all parameters that this program uses
         */
        record Configured(List<String> names, boolean json) implements Action { }

        /** Request a token, or resume a request. */
        record Request(Options options) implements Action { }
    }

    /**
     * The parsed command line.
     *
     * @param resume      file of the request to resume, "-" for stdin; if present, {@code spec} and {@code query} are unused
     * @param state       directory for the saved request; empty for the default directories
     * @param json        whether stdout carries JSON Lines
     * @param approvalUrl URL of an approval page, with the placeholder {@code {request_id}}
     * @param strict      whether a token that differs from the request is an error
     * @param verify      whether to authenticate once with the new token
     * @param repeated    the arguments that the printed resume command repeats
     * @param debug       empty without {@code -debug}; otherwise the text after {@code -debug:}, possibly blank
     * @param warnings    about options that are accepted, but probably not meant
     */
    record Options(TokenSpec spec, DaemonQuery query, TrustOptions trustOptions, Optional<String> resume,
                   Optional<String> state, Output output,
                   WaitOptions waitOptions, boolean json, Verbosity detail, Optional<String> approvalUrl, boolean strict,
                   boolean verify,
                   List<String> repeated, Optional<String> debug, List<String> warnings) { }

    /**
     * The claims that a request asks for.
     *
     * @param identity        as typed; once the request is sent, with its domain; empty for the default
     * @param authorizations  authorization levels that limit the token; empty for no limit
     * @param lifetimeSeconds positive; empty for no limit in the request
     */
    record TokenSpec(Optional<String> identity, List<String> authorizations, OptionalInt lifetimeSeconds) {
        /** A copy with the identity including its domain. */
        TokenSpec as(String fullIdentity) {
            return new TokenSpec(Optional.of(fullIdentity), authorizations, lifetimeSeconds);
        }
    }

    /**
     * The source of a server's name or address, and its word in JSON. It decides whether a credential may be sent there, and
     * the rights of a server without a certificate.
     */
    enum NameSource {
        COMMAND_LINE("command line"),
        CONFIGURATION("configuration"),
        /** An address file of a daemon on this machine; the configuration names the file. */
        ADDRESS_FILE("configuration"),
        /** An ad from the collector. Anyone who may advertise a daemon in the pool can have sent it. */
        COLLECTOR("collector"),
        /** A saved request that other users could have written. */
        OTHERS_FILE("file");

        final String word;

        NameSource(String word) {
            this.word = word;
        }

        static Optional<NameSource> named(String word) {
            return Arrays.stream(values()).filter(one -> one.word.equals(word)).findFirst();
        }

        /** Whether the user or the machine's administrator chose it. Credentials are sent only then. */
        boolean isTrusted() {
            return this == COMMAND_LINE || this == CONFIGURATION || this == ADDRESS_FILE;
        }

        /** Whether a person wrote it, so that each part is intentional. */
        boolean isTyped() {
            return this == COMMAND_LINE || this == CONFIGURATION;
        }
    }

    /**
     * The identity that a server must have, beyond its address.
     *
     * @param name      host name that its certificate must carry; empty if only an address is known
     * @param from      source of the name; without a name, source of the address
     * @param elsewhere whether a person gave a name other than this machine's, so that an address of this machine is only
     *                  the local end of a tunnel, as with {@code ssh -L}
     */
    record ExpectedServer(Optional<String> name, NameSource from, boolean elsewhere) {
        ExpectedServer(Optional<String> name, NameSource from) {
            this(name, from, false);
        }

        /** A copy with another source. */
        ExpectedServer from(NameSource other) {
            return new ExpectedServer(name, other, elsewhere);
        }

        /** A copy that is elsewhere if its pool is. */
        ExpectedServer in(ExpectedServer pool) {
            return new ExpectedServer(name, from, elsewhere || pool.elsewhere);
        }

        /** The JSON fields of the events and of the saved request. */
        Map<String, Object> fields() {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("certificate_name", name);
            fields.put("certificate_name_from", from.word);
            return fields;
        }
    }

    /** The daemon to find, as typed; once found, with its own name and its pool as typed or configured. */
    record DaemonQuery(DaemonType type, Optional<String> name, Optional<String> pool) { }

    /** Daemon types, by the names that condor_token_request's {@code -type} accepts. condor_utils/daemon_types.cpp */
    enum DaemonType {
        ANY, MASTER, SCHEDD, STARTD, COLLECTOR, NEGOTIATOR, KBDD, DAGMAN, VIEW_COLLECTOR, CLUSTER_SERVER, SHADOW,
        STARTER, CREDD, GRIDMANAGER, PLACEMENTD, LEASE_MANAGER, HAD, GENERIC;

        /** The types that issue tokens, comma-separated. */
        static final String TOKEN_ISSUERS = Stream.of(COLLECTOR, SCHEDD, STARTD, MASTER, NEGOTIATOR, CREDD, PLACEMENTD, HAD,
            VIEW_COLLECTOR, ANY).map(DaemonType::word).collect(Collectors.joining(", "));

        static Optional<DaemonType> named(String word) {
            return Arrays.stream(values()).filter(type -> type.word().equalsIgnoreCase(word)).findFirst();
        }

        String word() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /**
     * How to wait for approval.
     *
     * @param timeout  maximum wait; zero to stop after the first reply
     * @param interval between two polls; empty for the default, which grows
     * @param nowait   whether to exit after the request, so that it can be resumed later
     * @param resubmit whether to submit the request again if the pool lost it
     */
    record WaitOptions(Duration timeout, Optional<Duration> interval, boolean nowait, boolean resubmit) { }

    /** Amount of output on stderr. */
    enum Verbosity { QUIET, NORMAL, VERBOSE }

    /** The token's destination as typed. */
    sealed interface Output {
        /** The program's stdout. */
        record Stdout() implements Output { }

        /** A file in the token directory ({@code -token NAME}). */
        record Token(String name, FilePermissions permissions) implements Output { }

        /** A file by its path ({@code -file PATH}). */
        record File(String path, FilePermissions permissions) implements Output { }
    }

    /**
     * Owner, group and mode of the token file.
     *
     * @param owner empty for the user who runs the program
     * @param mode  nine characters, such as {@code rw-r-----}
     */
    record FilePermissions(Optional<String> owner, Optional<String> group, String mode) {
        /** The default: this user, mode 0600. */
        static final FilePermissions OWN = new FilePermissions(Optional.empty(), Optional.empty(), "rw-------");

        /** Whether these are the default permissions. (A record's equals() would slow down the start.) */
        boolean isDefault() {
            return owner.isEmpty() && group.isEmpty() && mode.equals(OWN.mode());
        }
    }

    /** A string whose toString() is redacted. */
    static final class Secret {
        private final String text;

        Secret(String text) {
            this.text = text;
        }

        /** The secret itself. Call this only where it is sent or stored. */
        String reveal() {
            return text;
        }

        @Override
        public String toString() {
            return "(secret)";
        }
    }

    /**
     * Checks the syntax of a token, a JSON Web Token (RFC 7519), before it is written. It uses no library, so that a received
     * token can be written even if a library cannot be loaded.
     */
    static final class Jwt {
        private static final int MAX_CHARACTERS = 64 * 1024;

        private Jwt() { }

        /** Whether the text is three base64url parts separated by dots, the first two of them JSON objects. */
        static boolean hasForm(String text) {
            if (text.length() > MAX_CHARACTERS) {
                return false;
            }
            String[] parts = text.split("\\.", -1);
            return parts.length == 3 && isBase64Url(parts[0]) && isBase64Url(parts[1]) && isBase64Url(parts[2])
                && isObject(parts[0]) && isObject(parts[1]);
        }

        private static boolean isBase64Url(String part) {
            for (int i = 0; i < part.length(); i++) {
                char c = part.charAt(i);
                if (c >= 128 || (!Character.isLetterOrDigit(c) && c != '-' && c != '_')) {
                    return false;
                }
            }
            return !part.isEmpty();
        }

        private static boolean isObject(String part) {
            try {
                String json = new String(Base64.getUrlDecoder().decode(part), UTF_8).strip();
                return json.startsWith("{") && json.endsWith("}");
            } catch (IllegalArgumentException e) {
                return false;
            }
        }
    }

    /**
     * The two IDs that fetch a token after approval. Anyone who knows both can fetch it, so the client ID is secret.
     *
     * @param requestId seven digits with leading zeros, as sent by the pool
     */
    record RequestHandle(String requestId, Secret clientId) {
        private static final Pattern REQUEST_ID = Pattern.compile("[A-Za-z0-9]{1,32}");

        /** Whether a text can be a request ID, which is shown and becomes part of a file name. */
        static boolean isRequestId(String text) {
            return REQUEST_ID.matcher(text).matches();
        }
    }

    /**
     * Whether the session key was derived in the authentication (bound) or in a separate ECDH exchange (unbound).
     */
    enum ChannelBinding {
        BOUND, UNBOUND;

        String word() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /**
     * The result of an authentication.
     *
     * @param method        HTCondor's name of the method
     * @param binding       whether the session key is bound to the authentication
     * @param user          identity that the server assigned to this client
     * @param serverVersion as announced by the server
     * @param trustDomain   as announced by the server
     * @param failedMethods methods that would have protected the session, but failed before
     */
    record AuthResult(String method, ChannelBinding binding, String user, String serverVersion, Optional<String> trustDomain,
                 List<String> failedMethods) {
        AuthResult withFailedMethods(List<String> others) {
            return new AuthResult(method, binding, user, serverVersion, trustDomain, List.copyOf(others));
        }

        Assurance assurance() {
            return binding == ChannelBinding.BOUND ? Assurance.SESSION
                : AuthMethod.named(method).filter(AuthMethod::provesServer).isPresent() ? Assurance.SERVER
                : Assurance.NONE;
        }
    }

    /**
     * What an authentication proves about the server, in ascending order: nothing; the server knows our key or owns the
     * certificate; and no man in the middle can read the session. A wait never continues with less than it began with.
     */
    enum Assurance { NONE, SERVER, SESSION }

    /**
     * A request that waits for approval: all that is needed to resume it, also on another machine.
     *
     * @param query   the daemon that has it; for a collector the pool, without a name
     * @param address of that daemon, a sinful string
     * @param server  expected at that address
     */
    record PendingRequest(RequestHandle handle, DaemonQuery query, String address, ExpectedServer server, TokenSpec spec,
                          AuthResult auth, Instant deadline) {

        /** The JSON fields of the {@code enqueued} event and of the saved request, in this order. */
        Map<String, Object> fields() {
            Map<String, Object> daemon = new LinkedHashMap<>();
            daemon.put("type", query.type().word());
            daemon.put("name", query.name().or(() -> Sinful.parse(address).flatMap(sinful -> sinful.parameter("alias"))));
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("request_id", handle.requestId());
            fields.put("client_id", handle.clientId().reveal());
            fields.put("pool", query.pool());
            fields.put("address", address);
            fields.putAll(server.fields());
            fields.put("daemon", daemon);
            fields.put("identity", spec.identity());
            fields.put("authz", spec.authorizations());
            fields.put("lifetime", spec.lifetimeSeconds().isPresent() ? spec.lifetimeSeconds().getAsInt() : null);
            fields.put("method", auth.method());
            fields.put("encryption", "AES");
            fields.put("session", auth.binding().word());
            fields.put("server_version", auth.serverVersion());
            fields.put("trust_domain", auth.trustDomain());
            fields.put("deadline", Json.time(deadline));
            return fields;
        }

        /**
         * Reads the JSON fields that {@link #fields} writes. Older versions do not write {@code certificate_name_from}. Without
         * it, the address of a collector counts as typed or configured, and that of another daemon as the collector's word.
         *
         * @throws IllegalArgumentException if a field is missing or has a wrong value; the message is the field's name
         */
        static PendingRequest of(Json.Fields fields) {
            Json.Fields daemon = fields.object("daemon");
            DaemonType type = daemon.string("type").flatMap(DaemonType::named).orElseThrow(invalid("type"));
            Optional<String> name = daemon.string("name").filter(text -> type != DaemonType.COLLECTOR);
            RequestHandle handle = new RequestHandle(fields.string("request_id").filter(RequestHandle::isRequestId)
                .orElseThrow(invalid("request_id")), new Secret(fields.required("client_id")));
            ChannelBinding kind = Arrays.stream(ChannelBinding.values())
                .filter(one -> fields.string("session").equals(Optional.of(one.word()))).findFirst()
                .orElseThrow(invalid("session"));
            Sinful address = Sinful.parse(fields.required("address")).filter(Sinful::isComplete)
                .orElseThrow(invalid("address"));
            Optional<String> from = fields.string("certificate_name_from");
            Optional<String> host = from.isPresent() ? fields.string("certificate_name") : address.parameter("alias");
            ExpectedServer server = new ExpectedServer(host.filter(NumericAddress::isHostName), from.isEmpty()
                ? type == DaemonType.COLLECTOR ? NameSource.COMMAND_LINE : NameSource.COLLECTOR
                : NameSource.named(from.get()).orElseThrow(invalid("certificate_name_from")));
            if (from.isPresent() && !host.equals(server.name())) {
                throw invalid("certificate_name").get();
            }
            return new PendingRequest(handle, new DaemonQuery(type, name, fields.string("pool")), address.toString(), server,
                new TokenSpec(Optional.of(fields.required("identity")), fields.strings("authz"), fields.positiveInt("lifetime")),
                new AuthResult(fields.required("method"), kind, "", fields.string("server_version").orElse(""),
                    fields.string("trust_domain"), List.of()),
                fields.time("deadline"));
        }

        /** A copy whose server's name has another source. */
        PendingRequest from(NameSource origin) {
            return new PendingRequest(handle, query, address, server.from(origin), spec, auth, deadline);
        }

        private static Supplier<IllegalArgumentException> invalid(String field) {
            return () -> new IllegalArgumentException(field);
        }
    }

    /**
     * A request that was read from a file.
     *
     * @param line            the JSON line that it was read from
     * @param untrustedReason why other users could have written it; empty if they could not
     */
    record SavedRequest(PendingRequest pending, String line, Optional<String> untrustedReason) { }

    /** The pool's reply to a request or a poll. */
    sealed interface TokenReply {
        /** The request waits for approval. */
        record Enqueued(RequestHandle handle) implements TokenReply { }

        /** The token, received in the session of this authentication. The pool does not send it again. */
        record Issued(Secret token, AuthResult auth) implements TokenReply { }

        /** The request is not approved yet. */
        record Pending() implements TokenReply { }

        /** The pool limits the rate of requests. */
        record RateLimited() implements TokenReply { }

        /** The pool does not know the request, or limits the rate of polls (the two replies look alike). */
        record Unknown(String words) implements TokenReply { }
    }

    /**
     * The result of a submitted request.
     *
     * @param spec    as sent, its identity with the domain
     * @param address of the daemon that replied, a sinful string
     * @param reply   {@link TokenReply.Enqueued} or {@link TokenReply.Issued}
     */
    record SubmitResult(TokenSpec spec, AuthResult auth, String address, TokenReply reply) { }

    /** The connection broke after a command was sent, so the reply, possibly with a token, is lost. */
    static final class ResponseLostException extends IOException {
        private static final long serialVersionUID = 1L;

        ResponseLostException(IOException cause) {
            super(cause.getMessage(), cause);
        }
    }

    /** A daemon that issues tokens. */
    interface TokenService {
        /** Submits a request. */
        SubmitResult start(TokenSpec spec) throws CommandException;

        /**
         * Queries the state of the request. The reply is never {@link TokenReply.Enqueued}.
         *
         * @throws IOException      if the poll failed; the request is unchanged, except after a ResponseLostException
         * @throws CommandException if another poll is pointless
         */
        TokenReply poll(RequestHandle handle) throws IOException, CommandException;

        /**
         * Authenticates with a token and with no other method.
         *
         * @throws CommandException TOKEN_REJECTED, UNREACHABLE
         */
        AuthResult verify(Secret token) throws CommandException;
    }

    /**
     * The inspection of a delivered token.
     *
     * @param verified whether the signature was verified
     * @param warnings how the token differs from the request
     * @param token    the parsed token; empty if it cannot be read
     */
    record TokenInspection(boolean verified, List<String> warnings, Optional<IssuedToken> token) { }

    /**
     * The command line's trust in server certificates.
     *
     * @param caFile       file of the trusted CAs, instead of the configured ones and the system's
     * @param fingerprints if not empty, the certificate chain must contain one of these; nothing else is trusted
     */
    record TrustOptions(Optional<String> caFile, Set<String> fingerprints) {
        /**
         * A SHA-256 fingerprint as 32 pairs of lower-case hex digits with colons.
         *
         * @param text such pairs with or without colons, alone or behind what openssl and condor_ssl_fingerprint print
         *             before them: the hash, or a host of known_hosts
         * @return empty if the text is not a fingerprint
         */
        static Optional<String> fingerprint(String text) {
            Matcher form = Pattern.compile("(?:SHA-256: |(?i:sha256 Fingerprint=)|[^!\\s]\\S* SSL )?"
                + "([0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2}){31})").matcher(text.strip());
            return form.matches() ? Optional.of(form.group(1).toLowerCase(Locale.ROOT).replace(":", "")
                .replaceAll("(..)(?!$)", "$1:")) : Optional.empty();
        }

        /** The option that sets it; empty if none does. */
        Optional<String> option() {
            return !fingerprints.isEmpty() ? Optional.of("-fingerprint") : caFile.map(file -> "-cafile");
        }
    }

    /** Messages and questions to the user, for sections that do not know the console. */
    interface UserInterface {
        /** Shows an informational message, which {@code -quiet} suppresses. */
        void notice(String line);

        void warn(String text);

        /**
         * Asks a question at the terminal, and repeats its last line until the answer is valid.
         *
         * @return the answer; empty without a terminal, and at the end of input
         */
        Optional<String> ask(List<String> question, Predicate<String> isValid);

        /**
         * Reports that a credential is sent or used to authenticate.
         *
         * @param kind  such as "bearer token"
         * @param words which credential, and for which server
         */
        void credential(String kind, String words);
    }

    /**
     * The common deadline of all waits. Location, connection, authentication and request share one minute, times the
     * configured multiplier, and never exceed {@code -timeout}. Every wait takes its limit from here, so waits do not add
     * up, however many addresses a server lists. Each poll has its own deadline.
     *
     * <p>A wait checks the clock once a second, since the clock can be set. Not thread-safe: for the main thread only.
     */
    static final class Deadline {
        /** Connection timeout of one address, as in HTCondor's tools. condor_daemon_client/daemon.cpp */
        static final Duration CONNECTION = Duration.ofSeconds(5);
        /** Timeout of a daemon's connection back to us (CCB), and of the reply to a poll. */
        static final Duration EXCHANGE = Duration.ofSeconds(20);
        private static final Duration ANSWER = Duration.ofSeconds(60);
        private static final Duration CLOCK_CHECK_INTERVAL = Duration.ofSeconds(1);
        private static final Duration SMALLEST_SHARE = Duration.ofMillis(250);
        private final InstantSource clock;
        private final Instant start;
        private final Duration timeout;
        /** The end of {@code -timeout}; empty if that is 0, which does not limit the wait for the first reply. */
        private Optional<Instant> end;
        private int multiplier = 1;
        /** Total time of open questions, which does not count towards the minute. */
        private Duration paused = Duration.ZERO;
        /** The end of the minute, and of the share of one of several servers, by the clock of {@link #running}. */
        private Instant due;
        private Instant turn = Instant.MAX;

        /** A blocking call that Java cannot interrupt. */
        interface Blocking<T> extends Callable<T> {
            @Override
            T call() throws IOException;
        }

        /** A step that has a share of the time. */
        interface Step<T, E extends Exception> {
            T take() throws E;
        }

        /** @param timeout maximum wait; zero to stop after the first reply */
        Deadline(InstantSource clock, Duration timeout) {
            this.clock = clock;
            this.start = clock.instant();
            this.timeout = timeout;
            this.end = Optional.of(timeout).filter(limit -> !limit.isZero()).map(start::plus);
            this.due = start.plus(ANSWER);
        }

        /**
         * Applies TOOL_TIMEOUT_MULTIPLIER, or else TIMEOUT_MULTIPLIER.
         *
         * @throws CommandException CONFIGURATION
         */
        void multiply(Configuration configuration) throws CommandException {
            int ofTools = configuration.number("TOOL_TIMEOUT_MULTIPLIER", 0, 0, 1000);
            multiplier = Math.max(1, ofTools > 0 ? ofTools : configuration.number("TIMEOUT_MULTIPLIER", 0, 0, 1000));
            due = start.plus(ANSWER.multipliedBy(multiplier));
        }

        /** A clock that pauses while a question is open. */
        private Instant running() {
            return clock.instant().minus(paused);
        }

        /** The remaining time; zero after the deadline. */
        Duration left() {
            Duration left = Duration.between(running(), turn.isBefore(due) ? turn : due);
            return longer(Duration.ZERO, end.isEmpty() ? left
                : shorter(left, Duration.between(clock.instant(), end.get())));
        }

        /** The end of {@code -timeout}, after which no poll starts; with 0, the start. */
        Instant lastPoll() {
            return start.plus(timeout);
        }

        boolean isOver() {
            return left().isZero();
        }

        /** The end of a step with this timeout, times the multiplier; never after the deadline. */
        Instant within(Duration usual) {
            return clock.instant().plus(shorter(left(), usual.multipliedBy(multiplier)));
        }

        /** The deadline by the real clock. */
        Instant expiry() {
            return clock.instant().plus(left());
        }

        /** Runs one of several steps, limited to its share of the remaining time. */
        <T, E extends Exception> T share(int among, Step<T, E> step) throws E {
            Instant outer = turn;
            turn = running().plus(longer(SMALLEST_SHARE, left().dividedBy(among)));
            try {
                return step.take();
            } finally {
                turn = outer;
            }
        }

        /**
         * Starts the deadline of a poll. It may end a little after {@code -timeout}, because the reply can contain the token,
         * which the pool sends only once.
         */
        void renew() {
            due = running().plus(CONNECTION.plus(EXCHANGE).multipliedBy(multiplier));
            Instant least = clock.instant().plus(CONNECTION.multipliedBy(multiplier));
            end = end.map(last -> last.isBefore(least) ? least : last);
        }

        /**
         * Runs a call in a daemon thread, and abandons it at the deadline: a DNS query, or the opening of a file that may be
         * a pipe.
         *
         * @param what subject of the error message "WHAT did not end in time"
         * @throws InterruptedIOException after the deadline
         * @throws IOException            thrown by the call
         */
        <T> T await(String what, Blocking<T> call) throws IOException {
            return await(what, call, expiry(), clock);
        }

        /**
         * Asks the user. The minute pauses until the answer; {@code -timeout} does not. With {@code -timeout 0} the minute is
         * the only limit, so it does not pause.
         *
         * @param remedy hint with the options that avoid the question
         * @throws CommandException NOT_AUTHENTICATED if the user does not answer in time
         * @throws IOException      thrown by the call
         */
        <T> T question(Blocking<T> call, String remedy) throws IOException, CommandException {
            Instant start = clock.instant();
            try {
                return await("the question", call, end.orElse(expiry()), clock);
            } catch (InterruptedIOException e) {
                throw new CommandException(ErrorCode.NOT_AUTHENTICATED, "ERROR: the question was not answered within "
                    + (end.isPresent() ? "the " + seconds(timeout) + " of -timeout."
                        : seconds(ANSWER.multipliedBy(multiplier)) + "."), remedy);
            } finally {
                paused = paused.plus(end.isPresent() ? Duration.between(start, clock.instant()) : Duration.ZERO);
            }
        }

        /** Like {@link #await(String, Blocking)}, with an explicit deadline. */
        static <T> T await(String what, Blocking<T> call, Instant end, InstantSource clock) throws IOException {
            FutureTask<T> task = new FutureTask<>(call);
            Thread thread = new Thread(task, what);
            thread.setDaemon(true);
            thread.start();
            long millis = Duration.between(clock.instant(), end).toMillis();
            while (millis > 0 && clock.instant().isBefore(end)) {
                try {
                    return task.get(Math.min(millis, CLOCK_CHECK_INTERVAL.toMillis()), TimeUnit.MILLISECONDS);
                } catch (TimeoutException e) {
                    millis -= CLOCK_CHECK_INTERVAL.toMillis();
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                    break;
                } catch (ExecutionException e) {
                    throw thrown(e.getCause());
                }
            }
            throw new InterruptedIOException(what + " did not end in time");
        }

        /** Rethrows the exception of a call, as if it had run in this thread. */
        private static IOException thrown(Throwable e) {
            if (e instanceof RuntimeException bug) {
                throw bug;
            }
            if (e instanceof Error error) {
                throw error;
            }
            return (IOException) e; // the call can throw nothing else
        }

        private static Duration shorter(Duration one, Duration other) {
            return one.compareTo(other) < 0 ? one : other;
        }

        private static Duration longer(Duration one, Duration other) {
            return one.compareTo(other) < 0 ? other : one;
        }
    }

    /** The objects that all sections of one run share. */
    record Context(Configuration configuration, Host host, DebugLog trace, TrustOptions trustOptions, Deadline deadline,
                         InputFiles files, UserInterface ui) { }

    /** Who names a file. */
    enum FileOrigin {
        /** The program: it searches a directory that other users share. */
        FOUND,
        /** The program: a default path of the user or the system. */
        DEFAULT,
        /** A file of the configuration. */
        CONFIGURATION,
        /** The command line or the environment. */
        USER
    }

    /** The content of a file, which decides who may own it. */
    enum FilePurpose {
        /** Configuration: any owner, as in HTCondor. {@link Sources} decides whether root still runs commands. */
        SETTINGS,
        /** CAs and known hosts: owned by root or the user. */
        TRUST,
        /** Files such as daemons' addresses: also owned by the owner of the directory. */
        LISTED,
        /** Credentials: owned by root or the user. If others can change the file, only the user may name it. */
        SECRET,
        /** The user's own token: readable by no other user. */
        TOKEN
    }

    /**
     * Reads all input files. A file that was found, not named, must be a regular file of the user that no other user can
     * change, not a link. A named file may be a link, by the rule of {@link PathTrust}, to a file of root or the user. Each
     * file is examined, opened without following links, compared with the file that was examined, and read once, with a size
     * limit. A file that may block (a pipe, or a file that another user can replace by one) is opened and read in a thread of
     * its own, until the deadline.
     */
    static final class InputFiles {
        private static final int CHUNK_BYTES = 1 << 16;
        private final Host host;
        private final Deadline deadline;
        private final Consumer<String> warnings;
        /** Content of pipes and devices, which cannot be read twice. */
        private final Map<Path, Input> streams = new HashMap<>();
        private final Set<Path> warned = new HashSet<>();

        /**
         * The content of a file.
         *
         * @param weakness how an untrusted user can change or replace the file
         * @param isOurs   whether the user owns it; a file descriptor that the program inherited counts as his
         */
        @SuppressWarnings("ArrayRecordComponent") // never compared
        record Input(byte[] bytes, Optional<PathTrust.Weakness> weakness, boolean isOurs) {
            private static Input given(byte[] bytes) {
                return new Input(bytes, Optional.empty(), true);
            }

            /** The lines, stripped, without empty lines and comments. */
            Stream<String> lines() {
                return new String(bytes, ISO_8859_1).lines().map(String::strip)
                    .filter(line -> !line.isEmpty() && !line.startsWith("#"));
            }
        }

        /** A file exists, but is not safe to use. The reason is a predicate, such as "belongs to mallory". */
        static final class RefusedFileException extends FileSystemException {
            private static final long serialVersionUID = 1L;

            RefusedFileException(Path file, String reason) {
                super(file.toString(), null, reason);
            }
        }

        /** @param warnings receives a warning for each file that is used although others can change it */
        InputFiles(Host host, Deadline deadline, Consumer<String> warnings) {
            this.host = host;
            this.deadline = deadline;
            this.warnings = warnings;
        }

        /**
         * Reads a whole file. The content of pipes and devices is cached.
         *
         * @throws NoSuchFileException  if it does not exist
         * @throws RefusedFileException if it is not safe to use
         */
        Input read(Path file, FileOrigin origin, FilePurpose content, int maxBytes) throws IOException {
            if (streams.containsKey(file)) {
                return streams.get(file);
            }
            if (!PathTrust.isPossible()) {
                try (InputStream in = Files.newInputStream(file)) {
                    return Input.given(bounded(in, file, maxBytes));
                }
            }
            PathTrust trust = look(file, origin, content);
            PathTrust.Stat stat = trust.entry().orElseThrow(() -> new NoSuchFileException(file.toString()));
            checkType(file, trust, stat, origin, content);
            boolean isRegular = stat.type() == PathTrust.Type.REGULAR;
            if (isRegular && stat.size() > maxBytes) {
                throw tooLong(file, maxBytes);
            }
            if (trust.isOpenDescriptor()) {
                Input input = isStdin(trust) ? stdin(maxBytes) : Input.given(deadline.await("reading " + file,
                    () -> bytes(trust, maxBytes)));
                streams.put(file, input);
                return input;
            }
            checkOwner(file, trust, stat, origin, content);
            Input input = new Input(isRegular && trust.onPath().isEmpty() ? bytes(trust, maxBytes)
                : deadline.await("reading " + file, () -> bytes(trust, maxBytes)), trust.weakness(), isOurs(stat));
            if (!isRegular) {
                streams.put(file, input);
            }
            return input;
        }

        /** Reads stdin to its end. The content is cached. */
        Input stdin(int maxBytes) throws IOException {
            Path name = Path.of("-");
            if (!streams.containsKey(name)) {
                streams.put(name, Input.given(deadline.await("reading stdin", () -> bounded(host.in(), name, maxBytes))));
            }
            return streams.get(name);
        }

        /**
         * Resolves the links in the path of a file that will be written.
         *
         * @throws RefusedFileException for root, if other users can redirect the path
         */
        Path place(Path file) throws IOException {
            if (!PathTrust.isPossible()) {
                return file;
            }
            PathTrust directory = PathTrust.of(file.toAbsolutePath().getParent(), host.trusted());
            if (host.isRoot() && directory.weakness().isPresent()) {
                throw new RefusedFileException(file, "can be redirected by other users (" + directory.weakness().get() + ")");
            }
            return PathTrust.of(file, host.trusted()).path();
        }

        private PathTrust look(Path file, FileOrigin origin, FilePurpose content) throws IOException {
            if (origin == FileOrigin.FOUND) {
                return PathTrust.of(file, host.trusted(), LinkOption.NOFOLLOW_LINKS);
            }
            PathTrust trust = PathTrust.of(file, host.trusted());
            if (content != FilePurpose.LISTED || trust.atEnd().isEmpty()) {
                return trust;
            }
            // Where every user can create a directory, its owner may be any user.
            Path directory = trust.path().resolveSibling("");
            Set<Integer> owners = host.trusted();
            if ((PathTrust.Stat.of(directory.resolveSibling("")).mode() & 0002) == 0) {
                owners.add(PathTrust.Stat.of(directory).uid());
            }
            return PathTrust.of(file, owners);
        }

        private static void checkType(Path file, PathTrust trust, PathTrust.Stat stat, FileOrigin origin, FilePurpose content)
                throws IOException {
            boolean isNamed = origin != FileOrigin.FOUND && content != FilePurpose.TOKEN;
            switch (stat.type()) {
                case REGULAR -> { }
                case DIRECTORY -> throw new FileSystemException(file.toString(), null, "Is a directory");
                case LINK -> throw new RefusedFileException(file, origin == FileOrigin.FOUND ? "is a symbolic link"
                    : "leads over "
                    + printable(trust.path().toString()) + ", a link that " + PathTrust.owner(trust.path())
                    + " created in a directory that others can write to");
                default -> {
                    // Users name /dev/null for an empty file. A pipe without a writer would block.
                    if (!isNamed || !(stat.type() == PathTrust.Type.CHARACTERS
                            || (stat.type() == PathTrust.Type.PIPE && origin == FileOrigin.USER))) {
                        throw new RefusedFileException(file, "is " + stat.type().words() + ", not a regular file");
                    }
                }
            }
        }

        private void checkOwner(Path file, PathTrust trust, PathTrust.Stat stat, FileOrigin origin, FilePurpose content)
                throws IOException {
            Optional<PathTrust.Weakness> thing = trust.atEnd().filter(weakness -> weakness.owned()
                || stat.type() != PathTrust.Type.CHARACTERS); // every user can write to /dev/null
            if (content == FilePurpose.SETTINGS) {
                return;
            } else if (content == FilePurpose.TOKEN) {
                if (!isOurs(stat) || (stat.mode() & 0077) != 0) {
                    throw new RefusedFileException(file, "is not this user's alone");
                }
            } else if (origin == FileOrigin.FOUND) {
                if (!isOurs(stat) || thing.isPresent() || stat.links() != 1) {
                    throw new RefusedFileException(file, !isOurs(stat) ? "belongs to " + PathTrust.owner(trust.path())
                        : thing.isPresent() ? thing.get().reason() : "has another name");
                }
            } else if (thing.filter(PathTrust.Weakness::owned).isPresent()) {
                throw new RefusedFileException(file, thing.get().reason() + ", not to root or this user"
                    + (content == FilePurpose.LISTED ? "" : ": copy it if you trust it"));
            } else {
                // The user cannot repair the path to a default file, nor to one that a directory's owner keeps.
                warn(file, origin == FileOrigin.DEFAULT || content == FilePurpose.LISTED || trust.onPath().isEmpty() ? thing
                    : trust.onPath(), origin, content);
            }
        }

        private void warn(Path file, Optional<PathTrust.Weakness> weakness, FileOrigin origin, FilePurpose content)
            throws RefusedFileException {
            if (weakness.isPresent() && content == FilePurpose.SECRET && origin != FileOrigin.USER) {
                throw new RefusedFileException(file, "can be changed by others (" + weakness.get() + ")");
            } else if (weakness.isPresent() && warned.add(file)) {
                warnings.accept(printable(file.toString()) + " is used although others can change it: " + weakness.get() + ".");
            }
        }

        private boolean isOurs(PathTrust.Stat stat) {
            return OptionalInt.of(stat.uid()).equals(host.uid());
        }

        private static boolean isStdin(PathTrust trust) throws IOException {
            return trust.path().equals(Path.of("/proc/self").toRealPath().resolve("fd").resolve("0"));
        }

        private static byte[] bytes(PathTrust trust, int maxBytes) throws IOException {
            OpenOption[] options = trust.isOpenDescriptor() ? new OpenOption[0] : new OpenOption[] {LinkOption.NOFOLLOW_LINKS};
            PathTrust.Stat looked = trust.entry().orElseThrow();
            int before = trust.onPath().isEmpty() ? 0 : openings(looked);
            try (InputStream in = Files.newInputStream(trust.path(), options)) {
                if (trust.onPath().isPresent() && openings(looked) <= before) {
                    throw new RefusedFileException(trust.path(), "was replaced while it was being opened");
                }
                return bounded(in, trust.path(), maxBytes);
            }
        }

        /**
         * Counts the descriptors of this process that are open on a file. Java does not tell which file it has opened, and a
         * path may lead to another file before and after; the kernel's list of descriptors is reliable.
         */
        private static int openings(PathTrust.Stat file) throws IOException {
            int count = 0;
            Path descriptors = Path.of(Files.isDirectory(Path.of("/proc/self/fd")) ? "/proc/self/fd" : "/dev/fd");
            try (DirectoryStream<Path> entries = Files.newDirectoryStream(descriptors)) {
                for (Path entry : entries) {
                    try {
                        count += file.isSame(PathTrust.Stat.of(entry)) ? 1 : 0;
                    } catch (NoSuchFileException e) {
                        // closed by now
                    }
                }
            }
            return count;
        }

        private static byte[] bounded(InputStream in, Path file, int maxBytes) throws IOException {
            ByteArrayOutputStream all = new ByteArrayOutputStream();
            byte[] chunk = new byte[CHUNK_BYTES];
            for (int count = in.read(chunk); count >= 0; count = in.read(chunk)) {
                if (count > maxBytes - all.size()) {
                    throw tooLong(file, maxBytes);
                }
                all.write(chunk, 0, count);
            }
            return all.toByteArray();
        }

        private static RefusedFileException tooLong(Path file, int maxBytes) {
            return new RefusedFileException(file, "is larger than " + maxBytes + " bytes");
        }
    }

    /** Progress of a request, for the console and the JSON output. */
    sealed interface Event {
        /**
         * The request waits for approval.
         *
         * @param approveWith             the administrator's command, on a machine that knows the pool by the same name
         * @param approveOnCentralManager the administrator's command on the pool's central manager
         * @param replaces                the ID of the request that it takes the place of
         */
        record Enqueued(Instant time, PendingRequest pending, String approveWith, String approveOnCentralManager,
                        Optional<String> approvalUrl, Optional<String> replaces) implements Event { }

        /**
         * Another poll follows.
         *
         * @param reason   the result of the last poll
         * @param detail   an explanation for people
         * @param repeated whether the poll before it had the same result
         */
        record Waiting(String requestId, PollState reason, Optional<String> detail, boolean repeated, Duration nextPoll)
            implements Event { }

        /** The token, from this server in the session of this authentication, and the file that contains it, if any. */
        record Issued(Optional<String> requestId, Secret token, Optional<Path> file, AuthResult auth, ExpectedServer server)
            implements Event {
            /** A copy whose token is in that file. */
            Issued in(Optional<Path> newFile) {
                return new Issued(requestId, token, newFile, auth, server);
            }
        }
    }

    /** The result of a poll that did not return the token. */
    enum PollState { PENDING, UNREACHABLE, RATE_LIMITED, UNKNOWN }

    // ==== 5. Json: reads and writes JSON ====

    /**
     * Reads and writes JSON. Jackson reads the two kinds of text that may have any structure, a saved request and a token
     * whose signature is checked. It takes 35 ms and more to load, so nothing else waits for it: a request is saved before
     * its ID is shown, and a token may have to be printed when there is neither time nor memory to load a library.
     */
    static final class Json {
        /** RFC 3339, in UTC, always with milliseconds. */
        private static final DateTimeFormatter TIME = new DateTimeFormatterBuilder().appendInstant(3).toFormatter(Locale.ROOT);
        private static final String ESCAPED = "\"\\\b\f\n\r\t";
        private static final String ESCAPES = "\"\\bfnrt";
        private static final HexFormat HEX = HexFormat.of().withUpperCase();
        /** Levels of objects and arrays. An event has three. */
        private static final int MAX_DEPTH = 100;

        private Json() { }

        /** A time by RFC 3339, such as {@code 2026-01-31T23:59:59.000Z}. */
        static String time(Instant time) {
            return TIME.format(time);
        }

        /** The first fields of every event. The others follow in the order in which the caller puts them. */
        static Map<String, Object> event(String name, Instant time) {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("event", name);
            fields.put("time", time(time));
            return fields;
        }

        /**
         * Writes an object as one line of ASCII, newline included. Every other character is escaped: some readers end lines
         * at more characters than the newline, and a terminal obeys some.
         *
         * @param fields strings, numbers, booleans, null, and lists, maps and Optionals of these; an empty Optional is null
         */
        static String line(Map<String, ?> fields) {
            StringBuilder line = new StringBuilder(1024);
            write(fields, line);
            return line.append('\n').toString();
        }

        private static void write(Object value, StringBuilder to) {
            if (value instanceof Map<?, ?> map) {
                char before = '{';
                for (Map.Entry<?, ?> entry : map.entrySet()) {
                    write(entry.getKey(), to.append(before));
                    write(entry.getValue(), to.append(':'));
                    before = ',';
                }
                to.append(map.isEmpty() ? "{}" : "}");
            } else if (value instanceof List<?> list) {
                char before = '[';
                for (Object item : list) {
                    write(item, to.append(before));
                    before = ',';
                }
                to.append(list.isEmpty() ? "[]" : "]");
            } else if (value instanceof Optional<?> optional) {
                write(optional.orElse(null), to);
            } else if (value instanceof String string) {
                quote(string, to);
            } else {
                to.append(value);
            }
        }

        private static void quote(String string, StringBuilder to) {
            to.append('"');
            for (int i = 0; i < string.length(); i++) {
                char c = string.charAt(i);
                int escape = ESCAPED.indexOf(c);
                if (escape >= 0) {
                    to.append('\\').append(ESCAPES.charAt(escape));
                } else if (c >= ' ' && c <= '~') {
                    to.append(c);
                } else {
                    to.append("\\u").append(HEX.toHexDigits(c));
                }
            }
            to.append('"');
        }

        /**
         * Reads an object with Jackson. Of two fields with the same name the last counts.
         *
         * @return strings, numbers, booleans, null, and lists and maps of these, in the order of the text
         * @throws JsonProcessingException if the text is anything but one object
         */
        static Map<String, Object> object(Reader text) throws IOException {
            JsonFactory factory = JsonFactory.builder().streamReadConstraints(
                StreamReadConstraints.builder().maxNestingDepth(MAX_DEPTH).build()).build();
            try (JsonParser parser = factory.createParser(text)) {
                if (parser.nextToken() != JsonToken.START_OBJECT) {
                    throw new JsonParseException(parser, "not an object");
                }
                Map<String, Object> fields = readObject(parser);
                if (parser.nextToken() != null) {
                    throw new JsonParseException(parser, "text after the object");
                }
                return fields;
            }
        }

        private static Map<String, Object> readObject(JsonParser parser) throws IOException {
            Map<String, Object> fields = new LinkedHashMap<>();
            for (String name = parser.nextFieldName(); name != null; name = parser.nextFieldName()) {
                fields.put(name, read(parser, parser.nextToken()));
            }
            return fields;
        }

        private static Object read(JsonParser parser, JsonToken token) throws IOException {
            return switch (token) {
                case START_OBJECT -> readObject(parser);
                case START_ARRAY -> {
                    List<Object> items = new ArrayList<>();
                    for (JsonToken next = parser.nextToken(); next != JsonToken.END_ARRAY; next = parser.nextToken()) {
                        items.add(read(parser, next));
                    }
                    yield items;
                }
                case VALUE_STRING -> parser.getText();
                case VALUE_NUMBER_INT -> parser.getNumberValue();
                case VALUE_NUMBER_FLOAT -> parser.getDecimalValue(); // a double can be infinite, which JSON cannot write
                case VALUE_NULL -> null;
                default -> parser.getBooleanValue();
            };
        }

        /**
         * Reads an object without recursion, exceptions or a library: for a token that the pool has issued and that is not
         * written yet.
         *
         * @return the fields with a string, a number (a Double) or an array of strings (a List), and {@link #OTHER} for
         *     every other value but null, which counts as missing; empty if the text is not an object
         */
        static Optional<Map<String, Object>> flat(String text) {
            return new FlatReader(text).object();
        }

        /** The value of a field that {@link #flat} does not read. */
        static final Object OTHER = new Object();

        /** One pass over an object. */
        private static final class FlatReader {
            /** An upper limit for the length of a number that is a time, characters. */
            private static final int MAX_WORD = 40;
            private final String text;
            private int at;

            FlatReader(String text) {
                this.text = text;
            }

            Optional<Map<String, Object>> object() {
                Map<String, Object> fields = new HashMap<>();
                boolean valid = take('{');
                while (valid && !take('}')) {
                    Optional<String> name = string();
                    Optional<Object> value = name.isPresent() && take(':') ? value() : Optional.empty();
                    value.ifPresent(read -> fields.put(name.get(), read)); // of two the last counts
                    valid = value.isPresent() && isNext('}');
                }
                fields.values().removeIf(value -> value == this); // null
                return valid && peek() == 0 && at == text.length() ? Optional.of(fields) : Optional.empty();
            }

            private Optional<Object> value() {
                return switch (peek()) {
                    case '"' -> string().map(string -> string);
                    case '[' -> strings().or(this::other);
                    case '{' -> other();
                    default -> word();
                };
            }

            /** Reads an array of strings. On anything else it reads nothing and returns empty. */
            private Optional<Object> strings() {
                int start = at;
                List<String> strings = new ArrayList<>();
                boolean valid = take('[');
                while (valid && !take(']')) {
                    Optional<String> string = string();
                    string.ifPresent(strings::add);
                    valid = string.isPresent() && isNext(']');
                }
                at = valid ? at : start;
                return valid ? Optional.of(strings) : Optional.empty();
            }

            /** Skips an object or an array, by counting its brackets. */
            private Optional<Object> other() {
                int depth = 0;
                do {
                    char c = peek();
                    if (c == 0 || (c == '"' && string().isEmpty())) {
                        return Optional.empty();
                    }
                    at += c == '"' ? 0 : 1;
                    depth += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
                } while (depth > 0);
                return Optional.of(OTHER);
            }

            /** Reads a number, true, false or null. This reader object itself represents null. */
            private Optional<Object> word() {
                int start = at;
                boolean number = true; // Java also takes NaN, 0x1p3 and 1d for numbers
                while (at < text.length() && at - start < MAX_WORD && ",}] \t\r\n".indexOf(text.charAt(at)) < 0) {
                    number &= "+-.0123456789Ee".indexOf(text.charAt(at++)) >= 0;
                }
                String word = text.substring(start, at);
                if (word.equals("true") || word.equals("false")) {
                    return Optional.of(OTHER);
                }
                try {
                    return word.equals("null") ? Optional.of(this)
                        : number ? Optional.of(Double.valueOf(word)) : Optional.empty();
                } catch (NumberFormatException e) {
                    return Optional.empty();
                }
            }

            private Optional<String> string() {
                StringBuilder string = new StringBuilder();
                boolean valid = take('"');
                while (valid && at < text.length() && text.charAt(at) != '"') {
                    int c = text.charAt(at++);
                    c = c == '\\' ? escape() : c < ' ' ? -1 : c;
                    string.append((char) c);
                    valid = c >= 0;
                }
                return valid && take('"') ? Optional.of(string.toString()) : Optional.empty();
            }

            /** The character of an escape, read from after its backslash; -1 if it is not an escape. */
            private int escape() {
                char c = at < text.length() ? text.charAt(at++) : 0;
                if (c != 'u') {
                    int escape = ESCAPES.indexOf(c);
                    return c == '/' ? c : escape < 0 ? -1 : ESCAPED.charAt(escape);
                }
                int value = 0;
                for (int end = at + 4; at < end && value >= 0; at++) {
                    int digit = at < text.length() ? Character.digit(text.charAt(at), 16) : -1;
                    value = digit < 0 ? -1 : value << 4 | digit;
                }
                return value;
            }

            /** After an item: whether the list ends here or continues with another string. Takes the comma between them. */
            private boolean isNext(char end) {
                return peek() == end || (take(',') && peek() == '"');
            }

            private boolean take(char wanted) {
                boolean found = peek() == wanted;
                at += found ? 1 : 0;
                return found;
            }

            /** The next character that is not white space; 0 at the end. */
            private char peek() {
                while (at < text.length() && " \t\r\n".indexOf(text.charAt(at)) >= 0) {
                    at++;
                }
                return at < text.length() ? text.charAt(at) : 0;
            }
        }

        /**
         * The fields of an object from outside this program. Each method returns a value of its type, or throws an
         * IllegalArgumentException whose message is the field's name.
         */
        record Fields(Map<?, ?> values) {

            /** An object; an empty one if it is missing. */
            Fields object(String name) {
                return new Fields(value(name, Map.class).map(map -> (Map<?, ?>) map).orElse(Map.of()));
            }

            /** A string. The program shows, sends and compares it, so it may not contain control characters. */
            Optional<String> string(String name) {
                Optional<String> string = value(name, String.class);
                if (string.filter(text -> !text.equals(oneLine(text))).isPresent()) {
                    throw new IllegalArgumentException(name);
                }
                return string;
            }

            /** A string that is neither missing nor blank. */
            String required(String name) {
                return string(name).filter(string -> !string.isBlank())
                    .orElseThrow(() -> new IllegalArgumentException(name));
            }

            /** An array of strings, each as {@link #required} takes it. */
            List<String> strings(String name) {
                List<?> items = value(name, List.class).orElseThrow(() -> new IllegalArgumentException(name));
                List<String> strings = new ArrayList<>();
                for (Object item : items) {
                    strings.add(new Fields(Collections.singletonMap(name, item)).required(name));
                }
                return strings;
            }

            /** An integer from 1 to 999,999,999; empty if it is missing. */
            OptionalInt positiveInt(String name) {
                Optional<Number> number = value(name, Number.class);
                if (number.filter(value -> !(value instanceof Integer integer && integer >= 1 && integer <= 999_999_999))
                        .isPresent()) {
                    throw new IllegalArgumentException(name);
                }
                return number.isPresent() ? OptionalInt.of(number.get().intValue()) : OptionalInt.empty();
            }

            /** A time by RFC 3339, whose years have four digits, in UTC. */
            Instant time(String name) {
                String time = required(name);
                try {
                    if (Character.isDigit(time.charAt(0))) { // not Java's years of more digits
                        return Instant.parse(time);
                    }
                } catch (DateTimeException e) {
                    throw new IllegalArgumentException(name);
                }
                throw new IllegalArgumentException(name);
            }

            private <T> Optional<T> value(String name, Class<T> type) {
                Object value = values.get(name);
                if (value != null && !type.isInstance(value)) {
                    throw new IllegalArgumentException(name);
                }
                return Optional.ofNullable(type.cast(value));
            }
        }
    }

    // ==== 6. ArgumentParser: the command line ====

    /**
     * Parses the command line as {@code condor_token_request} does: from left to right, stopping at the first error. An
     * option is written with one dash and a prefix of its name, or with two dashes and its full name. Its value is the
     * next argument, even if that begins with a dash, or follows an equals sign. Options that the original does not have
     * must be written in full.
     *
     * <p>To add an option: a constant in {@link Option}, a case in {@link OptionsBuilder#set}.
     */
    static final class ArgumentParser {
        /** Prefix of messages. The original prints the name it was called by, which Java does not tell a program. */
        static final String PROGRAM = "condor_token_request";
        /** Text between an option and a value in the same argument. */
        private static final String SEPARATOR = "=";
        /** Text between {@code -debug} and its flags. */
        private static final String FLAGS_SEPARATOR = ":";
        private static final Duration DEFAULT_TIMEOUT = Duration.ofHours(1);
        /** Java's decoder replaces bytes that are not text in the locale's encoding with this character. */
        private static final char UNDECODABLE = '\uFFFD';
        /** Authorization levels of HTCondor that a token can carry. condor_perms.h, DCpermission */
        private static final List<String> LEVELS = List.of("READ", "WRITE", "NEGOTIATOR", "ADMINISTRATOR", "CONFIG", "DAEMON",
            "ADVERTISE_STARTD", "ADVERTISE_SCHEDD", "ADVERTISE_MASTER", "ALLOW", "CLIENT", "DEFAULT", "SOAP", "OWNER");
        /** How many of them completion offers; the rest exists for other purposes, or only in old releases. */
        private static final int OFFERED_LEVELS = 9;
        private static final List<String> SHELLS = List.of("bash", "zsh", "fish");

        private final int columns;

        /**
         * @param columns width of the terminal as in {@code $COLUMNS}; anything that is not a number counts as 80
         */
        ArgumentParser(String columns) {
            this.columns = columns.matches("[0-9]{1,4}") ? Math.min(Math.max(Integer.parseInt(columns), 40), 120) : 80;
        }

        /** Sections of the help. */
        private enum HelpSection {
            TOKEN("Token:"), DAEMON("Daemon:"), TRUST("Trust:"), OUTPUT("Output file:"), WAITING("Waiting:"),
            LOGGING("Logging:"), HELP("Help:");

            private final String heading;

            HelpSection(String heading) {
                this.heading = heading;
            }
        }

        /**
         * An option: its section of the help, its shortest prefix (empty if it must be written in full), the label of its
         * value (empty if it takes none), the end of the error message if the value is missing, and its description.
         */
        private enum Option {
            IDENTITY(HelpSection.TOKEN, "i", "USER@DOMAIN", "an argument.",
                "Identity in the token. Default: condor@UID_DOMAIN, or condor at the pool's trust domain."),
            AUTHZ(HelpSection.TOKEN, "a", "LEVEL", "an authorization name argument",
                "Limit the token to this authorization level, such as READ. Repeatable. Default: no limit."),
            LIFETIME(HelpSection.TOKEN, "l", "SECONDS", "an integer in seconds.",
                "Lifetime of the token. Default: no limit, unless the pool sets one."),
            POOL(HelpSection.DAEMON, "p", "HOST", "a pool name argument.",
                "Collector of the pool: HOST[:PORT], an address or a quoted sinful string. Default: COLLECTOR_HOST."),
            NAME(HelpSection.DAEMON, "n", "NAME", "a daemon name argument.",
                "Name or address of the daemon. The pool's collector resolves names."),
            TYPE(HelpSection.DAEMON, "t", "TYPE", "a daemon type argument.",
                "Type of the daemon: collector, schedd, startd, master, negotiator, credd, ... Default: collector."),
            CAFILE(HelpSection.TRUST, "", "FILE", "a file name argument.",
                "PEM file of the CAs to trust for this pool, instead of the configured and system CAs. "
                    + "Disables methods that do not verify the certificate."),
            FINGERPRINT(HelpSection.TRUST, "", "SHA256", "a fingerprint.",
                "SHA-256 fingerprint to trust (pool's certificate or its CA), as printed by condor_ssl_fingerprint. "
                    + "Repeatable. Disables methods that do not verify the certificate."),
            TOKEN(HelpSection.OUTPUT, "to", "NAME", "a file name argument.",
                "Write the token to this file in the token directory instead of stdout."),
            FILE(HelpSection.OUTPUT, "f", "PATH", "a file name argument.",
                "Write the token to this file instead of stdout."),
            OWNER(HelpSection.OUTPUT, "", "USER[:GROUP]", "a user.",
                "Owner of the token file. Default: the current user."),
            MODE(HelpSection.OUTPUT, "", "OCTAL", "an octal number.",
                "Permissions of the token file, such as 640; never any for others. Default: 600."),
            STRICT(HelpSection.OUTPUT, "", "", "",
                "Exit with an error (1) if the token differs from the request, or if SSL failed and a man in the middle "
                    + "could have read the token. Default: warn."),
            VERIFY(HelpSection.OUTPUT, "", "", "",
                "Test the token: authenticate with it to the daemon that issued it."),
            TIMEOUT(HelpSection.WAITING, "", "SECONDS", "an integer in seconds.",
                "Maximum wait in seconds; 0 checks once. Default: 3600."),
            POLL(HelpSection.WAITING, "", "SECONDS", "an integer in seconds.",
                "Interval between polls. Default: 1 in the first minute, 2 until ten minutes, then 5."),
            NOWAIT(HelpSection.WAITING, "", "", "",
                "Submit the request and exit. Get the token later with -resume."),
            RESUME(HelpSection.WAITING, "", "FILE", "a file name argument.",
                "Wait for an earlier request. FILE, or stdin if it is -, holds the \"enqueued\" line of -json."),
            STATE(HelpSection.WAITING, "", "DIR", "a directory name argument.",
                "Directory for the saved request. Default: the first writable one of ~/.condor, the token's directory and "
                    + "the working directory."),
            RESUBMIT(HelpSection.WAITING, "", "", "",
                "Submit the request again if the pool lost it (for example after a restart)."),
            JSON(HelpSection.LOGGING, "", "", "",
                "Print JSON Lines, and nothing else, on stdout."),
            APPROVAL_URL(HelpSection.LOGGING, "", "URL", "a URL with {request_id} in it.",
                "Print this link for the administrator. The request ID replaces {request_id}."),
            QUIET(HelpSection.LOGGING, "", "", "",
                "Print only errors, warnings and, without -json, the request ID."),
            VERBOSE(HelpSection.LOGGING, "", "", "",
                "Log state changes while waiting."),
            DEBUG(HelpSection.LOGGING, "d", "", "",
                "Log each step on stderr. Use -debug:FLAGS for a selection of D_HOSTNAME, D_NETWORK, D_SECURITY, D_COMMAND."),
            CONFIG(HelpSection.HELP, "", "[NAME]", "",
                "Print a setting and its source; without NAME, all settings in use. Repeatable."),
            HELP(HelpSection.HELP, "h", "", "",
                "Print this help (also -h)."),
            VERSION(HelpSection.HELP, "", "", "",
                "Print the version, and the HTCondor version announced to the pool (also -V)."),
            COMPLETION(HelpSection.HELP, "", "[SHELL]", "",
                "Print a completion script for bash, zsh or fish. Default: bash and zsh.");

            private final HelpSection section;
            private final String shortestPrefix;
            private final String valueLabel;
            private final String missingValue;
            private final String description;

            Option(HelpSection section, String shortestPrefix, String valueLabel, String missingValue, String description) {
                this.section = section;
                this.shortestPrefix = shortestPrefix;
                this.valueLabel = valueLabel;
                this.missingValue = missingValue;
                this.description = description;
            }

            /** The name without dashes. */
            String word() {
                return name().toLowerCase(Locale.ROOT).replace('_', '-');
            }

            String fullName() {
                return "-" + word();
            }

            /** Every accepted spelling, the full one first. */
            String[] spellings() {
                String full = fullName();
                if (this == VERSION) {
                    return new String[] {full, "-" + full, "-V"};
                }
                int shortest = shortestPrefix.isEmpty() ? full.length() : shortestPrefix.length() + 1;
                String[] spellings = new String[2 + full.length() - shortest];
                spellings[0] = full;
                spellings[1] = "-" + full;
                for (int length = shortest; length < full.length(); length++) {
                    spellings[2 + length - shortest] = full.substring(0, length);
                }
                return spellings;
            }

            boolean takesValue() {
                return !valueLabel.isEmpty();
            }

            /** Whether the value may be left out. */
            boolean isValueOptional() {
                return this == CONFIG || this == COMPLETION;
            }

            String arity() {
                return !takesValue() ? "0" : isValueOptional() ? "0..1" : "1";
            }

            /** Why this option cannot be combined with {@code -resume}; empty if it can. */
            String conflictWithResume() {
                return switch (this) {
                    case IDENTITY -> "the saved request already names the identity.";
                    case AUTHZ -> "the saved request already sets the limits.";
                    case LIFETIME -> "the saved request already sets the lifetime.";
                    case POOL -> "the saved request already names the pool.";
                    case NAME, TYPE -> "the saved request already names the daemon.";
                    case NOWAIT -> "the saved request has already been submitted.";
                    default -> "";
                };
            }

            /** Whether the resumption of an interrupted request needs this option again. */
            boolean isCarriedOver() {
                return switch (this) {
                    case CAFILE, FINGERPRINT, TOKEN, FILE, OWNER, MODE, STRICT, VERIFY, POLL, STATE, RESUBMIT, JSON,
                        APPROVAL_URL, QUIET, VERBOSE -> true;
                    default -> false;
                };
            }

            /** Whether the rest of the command line does not matter after this option. */
            boolean endsParsing() {
                return this == HELP || this == VERSION || this == COMPLETION;
            }
        }

        /** Collects the options while picocli parses the arguments. */
        private static final class OptionsBuilder {
            private final Set<Option> given = EnumSet.noneOf(Option.class);
            private final Map<Option, String> values = new EnumMap<>(Option.class);
            private final List<String> authorizations = new ArrayList<>();
            private final List<String> carriedOver = new ArrayList<>();
            private final List<String> settingNames = new ArrayList<>();
            private final Set<String> fingerprints = new LinkedHashSet<>();
            private final List<String> warnings = new ArrayList<>();
            private OptionalInt lifetimeSeconds = OptionalInt.empty();
            private DaemonType type = DaemonType.COLLECTOR;
            private Duration timeout = DEFAULT_TIMEOUT;
            private Optional<Duration> interval = Optional.empty();
            private Option outputOption = Option.FILE;
            private FilePermissions permissions = FilePermissions.OWN;

            /**
             * Sets an option; an empty value counts as an option that is not given, as in the original.
             *
             * @throws CommandException USAGE
             */
            void set(Option option, String value) throws CommandException {
                if (value.indexOf(UNDECODABLE) >= 0) {
                    throw new CommandException(ErrorCode.USAGE, PROGRAM + ": Cannot decode the value of " + option.fullName()
                        + ". Use UTF-8, and a UTF-8 locale such as LC_ALL=C.UTF-8.", "");
                }
                switch (option) {
                    case AUTHZ -> addAuthorizations(value);
                    case LIFETIME -> lifetimeSeconds = parseLifetime(value);
                    case FINGERPRINT -> fingerprints.add(parseFingerprint(value));
                    case CONFIG -> {
                        if (!value.isEmpty()) {
                            settingNames.add(value);
                        }
                    }
                    case TYPE -> type = DaemonType.named(value).orElseThrow(() -> new CommandException(ErrorCode.USAGE,
                        "ERROR: unrecognized daemon type: " + printable(value),
                        "TYPE must be one of " + DaemonType.TOKEN_ISSUERS + "."));
                    case TOKEN, FILE -> outputOption = option;
                    case OWNER -> permissions = parseOwner(value);
                    case MODE -> permissions = new FilePermissions(permissions.owner(), permissions.group(), parseMode(value));
                    case TIMEOUT -> timeout = Duration.ofSeconds(parseSeconds(option, value, 0, 365 * 86_400));
                    case POLL -> interval = Optional.of(Duration.ofSeconds(parseSeconds(option, value, 1, 3600)));
                    case APPROVAL_URL -> require(value.contains("{request_id}"), option, value,
                        "URL must contain {request_id}; the request ID replaces it.");
                    case COMPLETION -> require(value.isEmpty() || SHELLS.contains(value), option, value,
                        "SHELL must be bash, zsh or fish.");
                    default -> { }
                }
                given.add(option);
                values.put(option, value);
                if (option.isCarriedOver()) {
                    carriedOver.add(option.fullName());
                    if (option.takesValue()) {
                        carriedOver.add(option == Option.FINGERPRINT ? parseFingerprint(value) : value);
                    }
                }
            }

            private void addAuthorizations(String value) {
                for (String part : value.split(",")) {
                    String level = part.strip();
                    if (level.isEmpty()) {
                        continue;
                    }
                    authorizations.add(level);
                    // HTCondor compares without regard to case. condor_perms.cpp, getPermissionFromString
                    if (!LEVELS.contains(level.toUpperCase(Locale.ROOT))) {
                        warnings.add(printable(level) + " is not an authorization level of HTCondor" + nearest(level, LEVELS)
                            .map(near -> ". Did you mean " + near + "?").orElse(", such as READ, WRITE or DAEMON."));
                    }
                }
            }

            /**
             * Parses a number as C's strtol does, with blanks and a sign before it, but nothing behind it. The original
             * ignores text behind it and takes 10m for ten seconds.
             *
             * @return empty for no limit, which the original reads into a number that is not positive
             */
            private OptionalInt parseLifetime(String value) throws CommandException {
                String number = value.strip();
                boolean isNumber = number.matches("[+-]?[0-9]+");
                BigInteger seconds = isNumber ? new BigInteger(number) : BigInteger.ZERO;
                require(isNumber && seconds.bitLength() < Integer.SIZE, Option.LIFETIME, value,
                    secondsHint(number, "SECONDS must be a whole number, at most " + Integer.MAX_VALUE + "."));
                if (seconds.signum() > 0) {
                    return OptionalInt.of(seconds.intValue());
                }
                warnings.add("-lifetime " + number + " means no limit. To ask for no limit, leave -lifetime out.");
                return OptionalInt.empty();
            }

            private static int parseSeconds(Option option, String value, int min, int max) throws CommandException {
                boolean valid = value.matches("[0-9]{1,9}") && Integer.parseInt(value) >= min
                    && Integer.parseInt(value) <= max;
                require(valid, option, value,
                    secondsHint(value, "SECONDS must be a whole number from " + min + " to " + max + "."));
                return Integer.parseInt(value);
            }

            /** A hint that converts a number with a unit, such as 10m, to seconds; another hint if it is not one. */
            private static String secondsHint(String value, String otherwise) {
                if (!value.matches("[0-9]{1,6} ?[smhdw]")) {
                    return otherwise;
                }
                int unit = switch (value.charAt(value.length() - 1)) {
                    case 'm' -> 60;
                    case 'h' -> 3_600;
                    case 'd' -> 86_400;
                    case 'w' -> 7 * 86_400;
                    default -> 1;
                };
                return "SECONDS must be a number of seconds: " + value + " is "
                    + Long.parseLong(value.substring(0, value.length() - 1).strip()) * unit + ".";
            }

            /**
             * Normalizes a fingerprint to lower-case hex with colons. Accepts it alone or as openssl and
             * condor_ssl_fingerprint print it: with its kind, or with a host.
             */
            private static String parseFingerprint(String value) throws CommandException {
                Optional<String> parsed = TrustOptions.fingerprint(value);
                require(parsed.isPresent(), Option.FINGERPRINT, value,
                    "SHA256 must be 32 bytes in hex, such as 8a:ad:4e:..., as printed by condor_ssl_fingerprint.");
                return parsed.get();
            }

            private FilePermissions parseOwner(String value) throws CommandException {
                String[] parts = value.split(":", -1);
                require(value.matches("[^:-][^:]*(:[^:-][^:]*)?"), Option.OWNER, value, "Write USER or USER:GROUP.");
                return new FilePermissions(Optional.of(parts[0]), Optional.of(parts[parts.length - 1])
                    .filter(group -> parts.length == 2), permissions.mode());
            }

            /** From octal digits to nine characters, such as {@code rw-r-----}. */
            private static String parseMode(String value) throws CommandException {
                require(value.matches("0?[0-7]{3}") && value.endsWith("0"), Option.MODE, value,
                    "MODE must be three octal digits ending in 0, such as 640; tokens must not be readable by others.");
                int bits = Integer.parseInt(value, 8);
                StringBuilder mode = new StringBuilder();
                for (int i = 0; i < 9; i++) {
                    mode.append((bits >> (8 - i) & 1) == 1 ? "rwx".charAt(i % 3) : '-');
                }
                return mode.toString();
            }

            private static void require(boolean valid, Option option, String value, String hint) throws CommandException {
                if (!valid) {
                    throw new CommandException(ErrorCode.USAGE, PROGRAM + ": Invalid argument for " + option.fullName() + ": "
                        + printable(value) + ".", hint);
                }
            }

            private Optional<String> value(Option option) {
                return Optional.ofNullable(values.get(option)).filter(value -> !value.isEmpty());
            }

            /**
             * Checks the options that depend on each other.
             *
             * @throws CommandException     USAGE
             * @throws InvalidPathException if the locale cannot represent the working directory, and an option needs it
             */
            Options build() throws CommandException {
                if (given.contains(Option.RESUME)) {
                    for (Option option : given) {
                        String conflict = option.conflictWithResume();
                        if (!conflict.isEmpty()) {
                            throw new CommandException(ErrorCode.USAGE, PROGRAM + ": -resume cannot be combined with "
                                + option.fullName() + ": " + conflict, "");
                        }
                    }
                }
                if (given.contains(Option.QUIET) && given.contains(Option.VERBOSE)) {
                    throw new CommandException(ErrorCode.USAGE, PROGRAM + ": -quiet cannot be combined with -verbose.",
                        "Use one of the two.");
                }
                for (Option option : given) {
                    if (takesFile(option) && isRelative(values.get(option))) {
                        Host.requireWorkingDirectory();
                    }
                }
                Output output = output();
                if (output instanceof Output.Stdout && (given.contains(Option.OWNER) || given.contains(Option.MODE))) {
                    throw new CommandException(ErrorCode.USAGE, PROGRAM + ": -owner and -mode need a token file.",
                        "Add -token NAME or -file PATH.");
                }
                Verbosity verbosity = given.contains(Option.QUIET) ? Verbosity.QUIET
                    : given.contains(Option.VERBOSE) ? Verbosity.VERBOSE : Verbosity.NORMAL;
                return new Options(new TokenSpec(value(Option.IDENTITY), List.copyOf(authorizations), lifetimeSeconds),
                    new DaemonQuery(type, value(Option.NAME), value(Option.POOL)), new TrustOptions(value(Option.CAFILE),
                        Collections.unmodifiableSet(fingerprints)),
                    Optional.ofNullable(values.get(Option.RESUME)), value(Option.STATE), output,
                    new WaitOptions(timeout, interval, given.contains(Option.NOWAIT), given.contains(Option.RESUBMIT)),
                    given.contains(Option.JSON), verbosity, value(Option.APPROVAL_URL), given.contains(Option.STRICT),
                    given.contains(Option.VERIFY), List.copyOf(carriedOver), Optional.ofNullable(values.get(Option.DEBUG)),
                    List.copyOf(warnings));
            }

            /** Whether a file name depends on the working directory; "-" is stdin. */
            private static boolean isRelative(String name) {
                return !name.isEmpty() && !name.startsWith("/") && !name.equals("-");
            }

            /** Where the token goes: the last of -token and -file decides, as in the original. */
            private Output output() {
                if (value(Option.TOKEN).isPresent() && value(Option.FILE).isPresent()) {
                    warnings.add((outputOption == Option.FILE ? "-file overrides -token" : "-token overrides -file")
                        + ": the token goes only to " + printable(values.get(outputOption)) + ".");
                }
                Optional<String> file = value(outputOption);
                return file.isEmpty() ? new Output.Stdout()
                    : outputOption == Option.TOKEN ? new Output.Token(file.get(), permissions)
                    : new Output.File(file.get(), permissions);
            }
        }

        /** Whether the output is JSON, found before the arguments are parsed: errors in them are printed as JSON, too. */
        static boolean wantsJson(String... args) {
            List<String> spellings = List.of(Option.JSON.spellings());
            for (String argument : args) {
                if (spellings.contains(argument)) {
                    return true;
                }
            }
            return false;
        }

        /**
         * Parses the arguments.
         *
         * @throws CommandException USAGE
         */
        Action parse(String... args) throws CommandException {
            OptionsBuilder builder = new OptionsBuilder();
            CommandSpec spec = CommandSpec.create().name(PROGRAM);
            for (Option option : Option.values()) {
                spec.addOption(OptionSpec.builder(option.spellings()).arity(option.arity())
                    .type(String.class)
                    .preprocessor((rest, command, argument, info) -> readOption(option, rest, info.get("separator"), builder))
                    .build());
            }
            spec.addPositional(PositionalParamSpec.builder().arity("0..*").type(List.class).auxiliaryTypes(String.class)
                .preprocessor((rest, command, argument, info) -> readOther(rest.pop(), builder)).build());
            // An unknown option must be refused in its turn, so picocli passes it to the positional parameter.
            spec.parser().unmatchedOptionsArePositionalParams(true).posixClusteredShortOptionsAllowed(false)
                .separator(SEPARATOR).endOfOptionsDelimiter("\0").expandAtFiles(false).overwrittenOptionsAllowed(true);
            try {
                new CommandLine(spec).parseArgs(args);
            } catch (CommandLine.ParameterException e) {
                for (Throwable cause = e; cause != null; cause = cause.getCause()) {
                    if (cause instanceof UsageException usage) {
                        throw usage.exception;
                    }
                }
                throw new CommandException(ErrorCode.USAGE, PROGRAM + ": " + printable(e.getMessage()), "Try -help.");
            }
            return builder.given.contains(Option.HELP) ? new Action.Show(help())
                : builder.given.contains(Option.VERSION) ? new Action.Show("TokenRequest " + VERSION + "\n" + Protocol.VERSION
                    + "\n")
                : builder.given.contains(Option.COMPLETION) ? new Action.Show(
                    "fish".equals(builder.values.get(Option.COMPLETION)) ? fishCompletion() : bashCompletion())
                : builder.given.contains(Option.CONFIG) ? new Action.Configured(List.copyOf(builder.settingNames),
                    builder.given.contains(Option.JSON))
                : new Action.Request(builder.build());
        }

        /** Carries a CommandException through picocli, whose callbacks cannot throw checked exceptions. */
        private static final class UsageException extends RuntimeException {
            private static final long serialVersionUID = 1L;
            private final transient CommandException exception;

            UsageException(CommandException exception) {
                super(exception);
                this.exception = exception;
            }
        }

        /**
         * Reads the value of an option from the remaining arguments; picocli has put an attached value first.
         *
         * @param separator the text that picocli found between the option and an attached value
         */
        private static boolean readOption(Option option, Stack<String> rest, Object separator, OptionsBuilder builder) {
            boolean attached = SEPARATOR.equals(separator);
            if (attached && !option.takesValue()) {
                throw unknownArgument(option.fullName() + SEPARATOR + rest.peek());
            }
            try {
                String value = "";
                if (option.isValueOptional() && !attached) {
                    value = rest.isEmpty() || rest.peek().startsWith("-") ? "" : rest.pop();
                } else if (option.takesValue()) {
                    if (rest.isEmpty()) {
                        throw new CommandException(ErrorCode.USAGE, PROGRAM + ": " + option.fullName() + " requires "
                            + option.missingValue, "");
                    }
                    value = rest.pop();
                }
                builder.set(option, value);
            } catch (CommandException e) {
                throw new UsageException(e);
            }
            if (option.endsParsing()) {
                rest.clear();
            }
            return true;
        }

        /** Reads {@code -debug:FLAGS}, and refuses everything else that is not an option. */
        private static boolean readOther(String argument, OptionsBuilder builder) {
            int end = argument.indexOf(FLAGS_SEPARATOR);
            if (end < 0 || !List.of(Option.DEBUG.spellings()).contains(argument.substring(0, end))) {
                throw unknownArgument(argument);
            }
            try {
                builder.set(Option.DEBUG, argument.substring(end + 1));
            } catch (CommandException e) {
                throw new UsageException(e);
            }
            return true;
        }

        /** An error about a path that Java refuses, because of the locale or of a character that no path can have. */
        static CommandException unusablePath(InvalidPathException e) {
            boolean isAscii = e.getInput().chars().allMatch(c -> c < 128);
            return new CommandException(ErrorCode.CONFIGURATION, "Cannot use the path " + printable(e.getInput())
                + (isAscii ? ": " + printable(e.getReason()) + "."
                : " in this locale. Set a UTF-8 locale such as LC_ALL=C.UTF-8."), "");
        }

        private static UsageException unknownArgument(String argument) {
            return new UsageException(new CommandException(ErrorCode.USAGE,
                PROGRAM + ": Invalid command line argument: " + printable(argument),
                suggestion(argument).map(text -> text + " ").orElse("") + "Try -help."));
        }

        /** A sentence about the option that the user probably meant. */
        private static Optional<String> suggestion(String argument) {
            String dashes = argument.startsWith("--") ? "--" : argument.startsWith("-") ? "-" : "";
            String[] parts = argument.substring(dashes.length()).split("[:=]", 2);
            List<String> words = Arrays.stream(Option.values()).map(Option::word).toList();
            if (words.contains(parts[0])) {
                Option option = Option.valueOf(parts[0].toUpperCase(Locale.ROOT).replace('-', '_'));
                String name = (dashes.isEmpty() ? "-" : dashes) + parts[0];
                boolean isBare = parts.length == 1 || (option == Option.DEBUG && parts[1].isEmpty());
                return Optional.of(isBare ? "Did you mean " + name + "?"
                    : option == Option.DEBUG ? "Did you mean " + name + FLAGS_SEPARATOR + printable(parts[1]) + "?"
                    : option.takesValue() ? "Did you mean " + name + SEPARATOR + printable(parts[1]) + "?"
                    : name + " does not take a value.");
            }
            return dashes.isEmpty() ? Optional.empty()
                : nearest(parts[0], words).map(word -> "Did you mean " + dashes + word + "?");
        }

        /**
         * The candidate that the word probably means: the only one that begins with it, or the nearest one by edit
         * distance, if at most a third of the letters differ. Case does not matter.
         */
        private static Optional<String> nearest(String word, List<String> candidates) {
            String typed = word.toLowerCase(Locale.ROOT);
            List<String> longer = candidates.stream()
                .filter(candidate -> candidate.toLowerCase(Locale.ROOT).startsWith(typed)).toList();
            if (longer.size() == 1) {
                return Optional.of(longer.get(0));
            }
            Optional<String> nearest = Optional.empty();
            int least = Math.min(typed.length() / 3, 3);
            for (String candidate : candidates) {
                // Beyond this difference of lengths no distance is small enough; it also bounds the table below.
                if (Math.abs(candidate.length() - typed.length()) <= least) {
                    int distance = distance(typed, candidate.toLowerCase(Locale.ROOT));
                    if (distance <= least) {
                        least = distance - 1;
                        nearest = Optional.of(candidate);
                    }
                }
            }
            return nearest;
        }

        /** How many letters to insert, delete, replace or swap with their neighbour to turn one text into the other. */
        private static int distance(String from, String to) {
            int[][] distances = new int[from.length() + 1][to.length() + 1];
            for (int i = 0; i <= from.length(); i++) {
                for (int j = 0; j <= to.length(); j++) {
                    if (i == 0 || j == 0) {
                        distances[i][j] = i + j;
                        continue;
                    }
                    int replaced = distances[i - 1][j - 1] + (from.charAt(i - 1) == to.charAt(j - 1) ? 0 : 1);
                    distances[i][j] = Math.min(replaced, 1 + Math.min(distances[i - 1][j], distances[i][j - 1]));
                    if (i > 1 && j > 1 && from.charAt(i - 1) == to.charAt(j - 2) && from.charAt(i - 2) == to.charAt(j - 1)) {
                        distances[i][j] = Math.min(distances[i][j], 1 + distances[i - 2][j - 2]);
                    }
                }
            }
            return distances[from.length()][to.length()];
        }

        /** A script for bash, which zsh runs through its bashcompinit. */
        private static String bashCompletion() {
            CommandSpec spec = CommandSpec.create().name(PROGRAM);
            for (Option option : Option.values()) {
                List<String> candidates = candidates(option);
                Class<?> type = !option.takesValue() ? boolean.class : takesFile(option) ? File.class : String.class;
                // picocli names a variable of the script by the label, so each option needs its own.
                spec.addOption(OptionSpec.builder(option.fullName(), "-" + option.fullName()).paramLabel(option.name())
                    .arity(option.takesValue() ? "1" : "0").type(type)
                    .completionCandidates(candidates.isEmpty() ? null : candidates).build());
            }
            return AutoComplete.bash(PROGRAM, new CommandLine(spec));
        }

        /** A script for fish, which calls an option with one dash "old" and one with two dashes "long". */
        private static String fishCompletion() {
            StringBuilder script = new StringBuilder("complete -c " + PROGRAM + " -f\n");
            for (Option option : Option.values()) {
                List<String> candidates = candidates(option);
                script.append("complete -c ").append(PROGRAM).append(" -o ").append(option.word()).append(" -l ")
                    .append(option.word())
                    .append(takesFile(option) ? " -r -F" : option.takesValue() && !option.isValueOptional() ? " -x"
                        : option == Option.COMPLETION ? " -x" : "")
                    .append(candidates.isEmpty() ? "" : " -a '" + String.join(" ", candidates) + "'")
                    .append(" -d '").append(option.description.split("(?<!\\.)\\. |; |\\.$", 2)[0].replace("'", "\\'"))
                    .append("'\n");
            }
            return script.toString();
        }

        /** The values that completion offers; empty if it cannot know them. */
        private static List<String> candidates(Option option) {
            return switch (option) {
                case AUTHZ -> LEVELS.subList(0, OFFERED_LEVELS);
                case TYPE -> List.of(DaemonType.TOKEN_ISSUERS.split(", "));
                case COMPLETION -> SHELLS;
                default -> List.of();
            };
        }

        private static boolean takesFile(Option option) {
            return option == Option.FILE || option == Option.RESUME || option == Option.CAFILE || option == Option.STATE;
        }

        /** The help: usage, options, examples, exit statuses. */
        private String help() {
            StringBuilder help = new StringBuilder();
            appendCommand(help, "Usage: ", PROGRAM + " [-identity USER@DOMAIN] [-authz LEVEL]... [-lifetime SECONDS] [-pool HOST]"
                + " [-name NAME] [-type TYPE] [-token NAME | -file PATH] [-json] [OPTION]...", "");
            appendCommand(help, "       ", PROGRAM + " -resume FILE [-token NAME | -file PATH] [-json] [OPTION]...", "");
            appendText(help, "Requests a token from an HTCondor pool, waits until an administrator approves it, and prints it "
                + "to stdout. Everything else goes to stderr.");
            for (HelpSection section : HelpSection.values()) {
                TextTable table = table(25);
                for (Option option : Option.values()) {
                    if (option.section == section) {
                        table.addRowValues((option.fullName() + " " + option.valueLabel).strip(), option.description);
                    }
                }
                help.append('\n').append(section.heading).append('\n').append(table);
            }
            appendText(help, "Write options with one dash or two, and values as the next argument or after an equals sign "
                + "(-pool HOST, --pool=HOST). The options of HTCondor's own command can be shortened (-id, -life): -identity, "
                + "-authz, -lifetime, -pool, -name, -type, -token, -file, -debug, -help.");
            appendText(help, "Settings come from HTCondor's configuration files and from environment variables named "
                + "_CONDOR_SETTING.");
            help.append("\nExamples:\n");
            for (String example : new String[] {
                "-pool cm.example.org -identity alice@example.org",
                "-pool cm.example.org -lifetime 600 -authz READ -token my-token",
                "-pool cm.example.org -type schedd -name submit.example.org -file schedd.token",
                "-pool '<192.0.2.7:9618?alias=cm.example.org&sock=collector>' -debug",
                "-pool cm.example.org -json -nowait >request.json",
                "-resume request.json -token my-token"}) {
                appendCommand(help, "  ", PROGRAM + " " + example, " \\");
            }
            TextTable statuses = table(12);
            statuses.addRowValues("0", "success");
            statuses.addRowValues("1", "the pool refused the request or sent an unexpected answer");
            statuses.addRowValues("2", "invalid command line, setting or destination; no request was sent");
            statuses.addRowValues("3", "pool or daemon not found or not reachable");
            statuses.addRowValues("4", "authentication or trust failed");
            statuses.addRowValues("5", "the request expired, failed or is unknown to the pool");
            statuses.addRowValues("6", "the request is still pending, or another run uses the destination");
            statuses.addRowValues("7", "the token is not where it should be; stderr says where it is");
            statuses.addRowValues("130, 143", "interrupted; the request is still pending");
            return help.append("\nExit statuses:\n").append(statuses).toString();
        }

        /**
         * An empty table of two columns.
         *
         * @param column where the second column begins; on a narrow terminal it goes below the first
         */
        private TextTable table(int column) {
            int first = columns < 60 ? Math.min(column, 12) / 2 : column;
            TextTable table = TextTable.forColumns(CommandLine.Help.defaultColorScheme(CommandLine.Help.Ansi.OFF),
                new CommandLine.Help.Column(first, 2, CommandLine.Help.Column.Overflow.SPAN),
                new CommandLine.Help.Column(columns - first, 0, CommandLine.Help.Column.Overflow.WRAP));
            table.indentWrappedLines = 0;
            return table;
        }

        /** Appends a paragraph. */
        private void appendText(StringBuilder help, String text) {
            TextTable table = TextTable.forColumns(CommandLine.Help.defaultColorScheme(CommandLine.Help.Ansi.OFF),
                new CommandLine.Help.Column(columns, 0, CommandLine.Help.Column.Overflow.WRAP));
            table.indentWrappedLines = 0;
            table.addRowValues(text);
            help.append('\n').append(table);
        }

        /**
         * Appends a command line, broken before options.
         *
         * @param start    text before the command
         * @param lineEnd  end of each line but the last
         */
        private void appendCommand(StringBuilder help, String start, String command, String lineEnd) {
            String indent = " ".repeat(!lineEnd.isEmpty() ? start.length() + 2
                : columns < 60 ? columns / 4 : start.length() + PROGRAM.length() + 1);
            StringBuilder line = new StringBuilder(start);
            boolean isFirst = true;
            for (String part : command.split(" (?=-(?!file PATH)|\\[|>)")) {
                if (!isFirst && line.length() + 1 + part.length() + lineEnd.length() > columns) {
                    help.append(line).append(lineEnd).append('\n');
                    line = new StringBuilder(indent).append(part);
                } else {
                    line.append(isFirst ? "" : " ").append(part);
                }
                isFirst = false;
            }
            help.append(line).append('\n');
        }
    }

    // ==== 7. Configuration: HTCondor's settings ====

    /**
     * The parameters that this command knows, with their built-in values (condor_utils/param_info.in).
     *
     * <p>To add one: a word or line in the first table, where {@code -config} is to show it; in the second, if only
     * other values refer to it.
     */
    static final class Parameters {
        /** In the order of {@code -config}. Those on a line without a value have none in HTCondor either. */
        private static final String USED = """
            CONDOR_HOST
            COLLECTOR_HOST = $(CONDOR_HOST)
            COLLECTOR_IP_ADDR CM_IP_ADDR
            COLLECTOR_PORT = 9618
            COLLECTOR_ADDRESS_FILE = $(LOG)/.collector_address
            COLLECTOR_SUPER_ADDRESS_FILE = $(LOG)/.collector_address.super
            CONDOR_VIEW_HOST SCHEDD_HOST STARTD_HOST MASTER_HOST NEGOTIATOR_HOST CREDD_HOST SCHEDD_NAME
            STARTD_NAME MASTER_NAME
            SCHEDD_DAEMON_AD_FILE = $(SPOOL)/.schedd_classad
            SCHEDD_ADDRESS_FILE = $(SPOOL)/.schedd_address
            SCHEDD_SUPER_ADDRESS_FILE = $(SPOOL)/.schedd_address.super
            STARTD_ADDRESS_FILE = $(LOG)/.startd_address
            MASTER_ADDRESS_FILE = $(LOG)/.master_address
            NEGOTIATOR_ADDRESS_FILE
            CREDD_ADDRESS_FILE = $(LOG)/.credd_address
            USE_SUPER_PORT
            UID_DOMAIN = $(FULL_HOSTNAME)
            TRUST_DOMAIN = $(UID_DOMAIN)
            SEC_CLIENT_AUTHENTICATION SEC_CLIENT_ENCRYPTION SEC_CLIENT_INTEGRITY SEC_CLIENT_NEGOTIATION
            SEC_CLIENT_AUTHENTICATION_METHODS SEC_CLIENT_CRYPTO_METHODS SEC_CLIENT_AUTHENTICATION_TIMEOUT
            SEC_CLIENT_SESSION_DURATION SEC_CLIENT_SESSION_LEASE SEC_TOOL_CLIENT_SESSION_DURATION
            SEC_DEFAULT_AUTHENTICATION SEC_DEFAULT_ENCRYPTION SEC_DEFAULT_INTEGRITY SEC_DEFAULT_NEGOTIATION
            SEC_DEFAULT_AUTHENTICATION_METHODS = FS,IDTOKENS,KERBEROS,SCITOKENS,SSL
            SEC_DEFAULT_CRYPTO_METHODS
            SEC_DEFAULT_AUTHENTICATION_TIMEOUT = 20
            SEC_DEFAULT_SESSION_DURATION SEC_DEFAULT_SESSION_LEASE
            SEC_TCP_SESSION_TIMEOUT = 20
            SEC_TCP_SESSION_DEADLINE TOOL_TIMEOUT_MULTIPLIER TIMEOUT_MULTIPLIER
            QUERY_TIMEOUT = 60
            AUTH_SSL_CLIENT_CAFILE AUTH_SSL_CLIENT_CADIR
            AUTH_SSL_CLIENT_USE_DEFAULT_CAS = true
            AUTH_SSL_CLIENT_CERTFILE AUTH_SSL_CLIENT_KEYFILE
            AUTH_SSL_USE_CLIENT_PROXY_ENV_VAR = false
            AUTH_SSL_REQUIRE_CLIENT_CERTIFICATE = false
            AUTH_SSL_CIPHERLIST
            SSL_SKIP_HOST_CHECK = false
            BOOTSTRAP_SSL_SERVER_TRUST = false
            BOOTSTRAP_SSL_SERVER_TRUST_PROMPT_USER = true
            SEC_KNOWN_HOSTS
            SEC_SYSTEM_KNOWN_HOSTS = $(ETC)/known_hosts
            SEC_TOKEN_DIRECTORY
            SEC_TOKEN_SYSTEM_DIRECTORY = $(ETC)/tokens.d
            SEC_PASSWORD_DIRECTORY = $(ETC)/passwords.d
            SEC_PASSWORD_FILE = $(SEC_PASSWORD_DIRECTORY)/POOL
            SEC_TOKEN_POOL_SIGNING_KEY_FILE = $(SEC_PASSWORD_FILE)
            SCITOKENS_FILE FS_LOCAL_DIR FS_REMOTE_DIR
            SEC_FS_ENFORCE_CHANNEL_BINDING
            KERBEROS_SERVER_KEYTAB KERBEROS_SERVER_PRINCIPAL
            KERBEROS_SERVER_SERVICE KERBEROS_SERVER_USER KERBEROS_CLIENT_KEYTAB KERBEROS_MAP_FILE
            CERTIFICATE_MAPFILE
            CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS = false
            ALLOW_CLIENT_TOOL
            ALLOW_CLIENT = *
            ALLOW_DEFAULT_TOOL ALLOW_DEFAULT
            DENY_CLIENT_TOOL DENY_CLIENT DENY_DEFAULT_TOOL DENY_DEFAULT
            USE_POOL_USERNAME_EQUIVALENT
            FIPS
            NETWORK_HOSTNAME
            NETWORK_INTERFACE = *
            ENABLE_IPV4 = auto
            ENABLE_IPV6 = auto
            PREFER_IPV4 = true
            PREFER_OUTBOUND_IPV4 = $(PREFER_IPV4)
            IGNORE_DNS_PROTOCOL_PREFERENCE = $(PREFER_IPV4)
            NO_DNS = false
            DEFAULT_DOMAIN_NAME
            USE_COLLECTOR_HOST_CNAME = true
            PRIVATE_NETWORK_NAME = $(FULL_HOSTNAME)
            HAD_USE_PRIMARY = false
            DEAD_COLLECTOR_MAX_AVOIDANCE_TIME = 3600
            LOWPORT HIGHPORT OUT_LOWPORT OUT_HIGHPORT
            BIND_ALL_INTERFACES = true
            USE_SHARED_PORT = true
            DAEMON_SOCKET_DIR = auto
            TOOLS_ASSUME_FIREWALLS = false
            TOOL_DEBUG DEFAULT_DEBUG ALL_DEBUG
            DEBUG_TIME_FORMAT = %m/%d/%y %H:%M:%S
            LOGS_USE_TIMESTAMP = false
            USER_CONFIG_FILE = user_config
            LOCAL_CONFIG_FILE LOCAL_CONFIG_DIR
            LOCAL_CONFIG_DIR_EXCLUDE_REGEXP = \
            ^((\\..*)|(.*\\.pl)|(.*\\.py)|(.*\\.sh)|(.*~)|(#.*)|(.*\\.rpmsave)|(.*\\.rpmnew)|(.*\\.dpkg-old)\
            |(.*\\.dpkg-dist)|(.*\\.cfsaved))$
            REQUIRE_LOCAL_CONFIG_FILE = true
            """;
        /** On a machine without HTCondor nothing is in LOCAL_DIR; then ETC is where HTCondor would be configured. */
        private static final String REFERRED_TO = """
            ETC = $(LOCAL_DIR:/etc/condor)
            LOG = $(LOCAL_DIR)/log
            SPOOL = $(LOCAL_DIR)/spool
            EXECUTE = $(LOCAL_DIR)/execute
            LOCK = $(LOG)
            RUN = $(LOCK)
            RELEASE_DIR = /usr
            BIN = $(RELEASE_DIR)/bin
            SBIN = $(RELEASE_DIR)/sbin
            LIB = $(RELEASE_DIR)/lib
            LIBEXEC = $(RELEASE_DIR)/libexec
            FILESYSTEM_DOMAIN = $(FULL_HOSTNAME)
            DAEMON_LIST = MASTER
            TOOL.IsTool = true
            ENABLE_PERSISTENT_CONFIG = false
            LOCAL_DIR TILDE CONFIG_ROOT PERSISTENT_CONFIG_DIR
            """;
        /** The names of the first table, in its order. */
        static final List<String> NAMES = List.copyOf(table(USED).keySet());
        private static final Map<String, String> BUILT_IN = Map.copyOf(table(USED + REFERRED_TO));

        /** The built-in value of a parameter, whose name is in capitals; empty if it has none. */
        static Optional<String> builtIn(String name) {
            String value = BUILT_IN.get(name);
            if (value == null && Macros.isName(name) && name.indexOf('.') < 0) {
                return OtherParameters.find(name);
            }
            return value == null || value.isEmpty() ? Optional.empty() : Optional.of(value);
        }

        private static Map<String, String> table(String text) {
            Map<String, String> table = new LinkedHashMap<>();
            for (String line : text.split("\n")) {
                int operator = line.indexOf(" = ");
                for (String name : (operator < 0 ? line : line.substring(0, operator)).split(" ")) {
                    table.put(name.toUpperCase(Locale.ROOT), operator < 0 ? "" : line.substring(operator + 3));
                }
            }
            return table;
        }
    }

    /**
     * The parameters that this command never reads itself; a configuration can refer to them, or append to them.
     *
     * <p>Each line has the names that share a value, which is that of HTCondor 25.14.1 (condor_utils/param_info.in). The
     * text is searched only for a name that nothing else defines, so a plain request never loads this class.
     */
    static final class OtherParameters {
        private static final String TEXT = """
            ABORT_ON_EXCEPTION ALLOW_COMMON_FILES_ON_LVS ALLOW_SUBMIT_FROM_KNOWN_USERS_ONLY ALWAYS_CLOSE_USERLOG \
            ARC_GAHP_USE_THREADS ASSIGN_CPU_AFFINITY AUTH_SSL_ALLOW_CLIENT_PROXY AUTH_SSL_REQUIRE_CLIENT_MAPPING \
            AUTO_INCLUDE_CREDD_IN_DAEMON_LIST CCB_OUTBOUND_PROXY COLLECTOR_DEBUG_WAIT COLLECTOR_FORWARD_FILTERING \
            CONDOR_Q_SHOW_OLD_SUMMARY CONSUMPTION_POLICY CONTAINER_IMAGES_COMMON_BY_DEFAULT \
            CONTINUE_TO_ADVERTISE_BROKEN_DYNAMIC_SLOTS CREDD_CACHE_LOCALLY CREDMON_ALLOW_SPECIAL_CHAR_NAMES \
            DAEMON_CORE_KILL_ANY_PROCESS DAGMAN_AGGRESSIVE_SUBMIT DAGMAN_ALLOW_ANY_NODE_NAME_CHARACTERS \
            DAGMAN_ALWAYS_RUN_POST DAGMAN_DEBUG_CACHE_ENABLE DAGMAN_DEFAULT_APPEND_VARS DAGMAN_LOG_ON_NFS_IS_ERROR \
            DAGMAN_PROHIBIT_MULTI_JOBS DAGMAN_PUT_FAILED_JOBS_ON_HOLD DAGMAN_REMOVE_JOBS_AFTER_LIMIT_CHANGE \
            DAGMAN_REPORT_GRAPH_METRICS DAGMAN_RETRY_NODE_FIRST DAGMAN_STARTUP_CYCLE_DETECT DAGMAN_SUBMIT_DEPTH_FIRST \
            DAGMAN_SUPPRESS_JOB_LOGS DAGMAN_SUPPRESS_NOTIFICATION DAGMAN_USE_SHARED_PORT DELEGATE_FULL_JOB_GSI_CREDENTIALS \
            DISABLE_AUTHENTICATION_IP_CHECK DISABLE_EXECUTE_DIRECTORY_ENCRYPTION DISABLE_SETUID DOCKER_SKIP_IMAGE_ARCH_CHECK \
            DOCKER_TRUST_LOCAL_IMAGES ENABLE_BACKFILL ENABLE_CLAIMABLE_PARTITIONABLE_SLOTS ENABLE_HTTP_PUBLIC_FILES \
            ENABLE_PERSISTENT_CONFIG ENABLE_RUNTIME_CONFIG ENABLE_USERLOG_FSYNC ENABLE_USERLOG_LOCKING \
            ENCRYPT_EXECUTE_DIRECTORY EVENT_LOG_COUNT_EVENTS EVENT_LOG_FSYNC EVENT_LOG_LOCKING EVENT_LOG_USE_XML \
            FORCE_NEGOTIATOR_SLOT_WEIGHT FS_ALLOW_UNSAFE GANGLIAD_WANT_RESET_METRICS GANGLIA_SEND_DATA_FOR_ALL_HOSTS \
            GRIDMANAGER_LOG_APPEND_SELECTION_EXPR GROUP_ACCEPT_SURPLUS GROUP_AUTOREGROUP HAD_USE_REPLICATION \
            HAD_USE_SHARED_PORT HPC_ANNEX_ENABLED IGNORE_NFS_LOCK_ERRORS ISCOLLECTOR ISMASTER ISNEGOTIATOR ISSCHEDD ISSHADOW \
            ISSTARTD ISSTARTER ISSUBMIT ISWINDOWS JOB_INHERITS_STARTER_ENVIRONMENT JOB_ROUTER_ROUND_ROBIN_SELECTION \
            KEEP_OUTPUT_SANDBOX LOCAL_UNIVERSE_CGROUP_ENFORCEMENT LOCK_DEBUG_LOG_TO_APPEND LOG_ON_NFS_IS_ERROR LOG_TO_SYSLOG \
            LVM_USE_THIN_PROVISIONING MASTER_DEBUG_WAIT MUST_MODIFY_REQUEST_EXPRS NEGOTIATOR_CONSIDER_EARLY_PREEMPTION \
            NEGOTIATOR_CROSS_SLOT_PRIOS NEGOTIATOR_DEBUG_WAIT NEGOTIATOR_DEPTH_FIRST NEGOTIATOR_DISCOUNT_SUSPENDED_RESOURCES \
            NEGOTIATOR_IGNORE_USER_PRIORITIES NEGOTIATOR_INFORM_STARTD NEGOTIATOR_READ_CONFIG_BEFORE_CYCLE \
            NEGOTIATOR_UPDATE_AFTER_CYCLE PROCD_DEBUG QUEUE_ALL_USERS_TRUSTED RUN_FILETRANSFER_PLUGINS_WITH_ROOT \
            SCHED_DEBUG_WAIT SEC_ACCEPT_CAPABILITY_TOKENS SEC_DEBUG_PRINT_KEYS SEC_ENABLE_IMPERSONATION_TOKENS \
            SEC_USE_LOW_DATA_MODE SEC_USE_TOKENS_DATABASE SHADOW_DEBUG_WAIT SHADOW_RUN_UNKNOWN_USER_JOBS \
            SINGULARITY_ADD_ROCM_FLAG SINGULARITY_JOB SINGULARITY_MOUNT_HOME STARTD_ENFORCE_DISK_LIMITS \
            STARTD_LEFTOVER_PROCS_BREAK_SLOTS STARTD_RECOMPUTE_DISK_FREE STARTER_DEBUG_WAIT \
            SUBMIT_CONTAINER_NEVER_XFER_ABSOLUTE_CMD SUBMIT_PUBLISH_WINDOWS_OSVERSIONINFO SUBMIT_SEND_RESCHEDULE \
            TRUNC_COLLECTOR_LOG_ON_OPEN TRUNC_MASTER_LOG_ON_OPEN TRUNC_MATCH_LOG_ON_OPEN TRUNC_NEGOTIATOR_LOG_ON_OPEN \
            TRUNC_SCHED_LOG_ON_OPEN TRUNC_SHADOW_LOG_ON_OPEN TRUNC_STARTER_LOG_ON_OPEN UPDATE_VIEW_COLLECTOR_WITH_TCP \
            USE_GID_PROCESS_TRACKING USE_GLOBAL_JOB_PRIOS USE_KEYRING_SESSIONS USE_OUTBOUND_CCB USE_PID_NAMESPACES \
            USE_SCRIPT_TO_CREATE_CONFIG USE_VISIBLE_DESKTOP USE_VOMS_ATTRIBUTES VM_HARDWARE_VT VM_NETWORKING VM_SOFT_SUSPEND \
            WANT_XML_LOG XEN_ALLOW_HARDWARE_VT_SUSPEND = false
            ADSTASH_DEBUG LOG_FILETRANSFER_PLUGIN_STDOUT_ON_FAILURE = D_ALWAYS
            ADSTASH_NUM_THREADS COLLECTOR_QUERY_WORKERS_RESERVE_FOR_HIGH_PRIO DAGMAN_USE_STRICT EVENT_LOG_MAX_ROTATIONS \
            FLOCK_INCREMENT HAD_FIPS_MODE HAVE_EXT_KRB5 JOB_DEFAULT_REQUESTCPUS JOB_START_COUNT KEYBOARD_CPUS \
            MAX_JOB_QUEUE_LOG_ROTATIONS NEGOTIATOR_NUM_THREADS STANDARD SYSAPI_GET_LOADAVG \
            SYSTEM_JOB_MACHINE_ATTRS_HISTORY_LENGTH = 1
            ADSTASH_READ_SCHEDDS ADSTASH_READ_STARTDS CCB_OUTBOUND_TARGET_ALLOWLIST = *
            ADSTASH_SAMPLE_INTERVAL CCB_SWEEP_INTERVAL CLAIM_WORKLIFE DISCONNECTED_KEYBOARD_IDLE_BOOST \
            DOCKER_CACHE_ADVERTISE_INTERVAL MAX_PERIODIC_EXPR_INTERVAL MAX_TIME_SKIP NEGOTIATOR_MAX_TIME_PER_CYCLE \
            STATISTICS_WINDOW_SECONDS = 1200
            ADSTASH_SCHEDD_HISTORY ADSTASH_SCHEDD_JOB_EPOCH_HISTORY ADSTASH_SCHEDD_TRANSFER_EPOCH_HISTORY \
            ADSTASH_SE_USE_HTTPS ADSTASH_STARTD_HISTORY ANNEX_USE_OLD_CREATE CHOWN_JOB_SPOOL_FILES IS_OWNER KILL PREEMPT \
            PREEMPTION_REQUIREMENTS SUSPEND USING_LIBRARIAN WANT_SUSPEND = False
            ADSTASH_SCHEDD_HISTORY_MAX_ADS ADSTASH_STARTD_HISTORY_MAX_ADS ENVIRONMENT_VALUE_FOR_UNASSIGNEDGPUS \
            LIBRARIAN_MAX_JOBS_CACHED = 10000
            ADSTASH_SCHEDD_HISTORY_TIMEOUT ADSTASH_SE_TIMEOUT ADSTASH_STARTD_HISTORY_TIMEOUT STATISTICS_WINDOW_QUANTUM = 240
            ADSTASH_SE_BUNCH_SIZE RECEIVE_MSGS_DURATION = 250
            ADSTASH_SE_INDEX_NAME BASE_CGROUP = htcondor
            ADSTASH_SE_LOG_MAPPINGS CONTINUE START WANT_VACATE = True
            ADVERTISE_IPV4_FIRST IGNORE_TARGET_PROTOCOL_PREFERENCE = $(PREFER_IPV4)
            ALIVE_INTERVAL CCB_HEARTBEAT_INTERVAL CCB_SERVER_STREAMING_HANDSHAKE_TIMEOUT CCB_TUNNEL_REGISTRATION_TIMEOUT \
            DAGMAN_QUEUE_UPDATE_INTERVAL DEFRAG_UPDATE_INTERVAL HAD_UPDATE_INTERVAL KEEP_DATA_CLAIM_IDLE \
            LIBRARIAN_STATUS_RETENTION_SECONDS MASTER_CHECK_NEW_EXEC_INTERVAL MASTER_RECOVER_FACTOR MASTER_UPDATE_INTERVAL \
            MAX_TRANSFER_LIFETIME NEGOTIATOR_UPDATE_INTERVAL RECONNECT_BACKOFF_CEILING REPLICATION_INTERVAL ROOSTER_INTERVAL \
            SCHEDULER_UNIVERSE_COOL_DOWN_DURATION SEC_CREDENTIAL_SWEEP_INTERVAL SHUTDOWN_FAST_TIMEOUT STARTER_UPLOAD_TIMEOUT \
            UPDATE_INTERVAL VM_GAHP_REQ_TIMEOUT = 300
            ALLOW_ADMIN_COMMANDS ALLOW_TRANSFER_REMAP_TO_MKDIR ALWAYS_REUSEADDR AUTH_SSL_SERVER_USE_DEFAULT_CAS \
            AUTH_SSL_USE_VOMS_IDENTITY AUTO_INCLUDE_SHARED_PORT_IN_DAEMON_LIST CCB_CLIENT_STREAMING CCB_SERVER_STREAMING \
            CGROUP_IGNORE_CACHE_MEMORY CHECK_REACTIVATE_AFTER_CHECKPOINT CLAIM_RECYCLING_CONSIDER_LIMITS \
            CLASSAD_ENABLE_USER_HOME CLASSAD_LOG_STRICT_PARSING COLLECTOR_BOOTSTRAP_SSL_CERTIFICATE \
            COLLECTOR_USES_SHARED_PORT CONDOR_Q_DASH_BATCH_IS_DEFAULT CONDOR_Q_ONLY_MY_JOBS CONDOR_Q_USE_V3_PROTOCOL \
            CONDOR_SSH_TO_JOB_FAKE_PASSWD_ENTRY COUNT_HYPERTHREAD_CPUS CREATE_CORE_FILES CREATE_LOCKS_ON_LOCAL_DISK \
            CREDD_OAUTH_MODE DAGMAN_ABORT_DUPLICATES DAGMAN_ABORT_ON_SCARY_SUBMIT DAGMAN_AUTO_RESCUE \
            DAGMAN_GENERATE_SUBDAG_SUBMITS DAGMAN_MUNGE_NODE_NAMES DAGMAN_REMOVE_NODE_JOBS DAGMAN_RESET_RETRIES_UPON_RESCUE \
            DAGMAN_RETRY_SUBMIT_FIRST DAGMAN_USE_DIRECT_SUBMIT DAGMAN_USE_JOIN_NODES DAGMAN_WRITE_PARTIAL_RESCUE \
            DEDICATED_SCHEDULER_USE_FIFO DEFAULT_KILL_CHILDREN_ON_EXIT DELEGATE_JOB_GSI_CREDENTIALS DISABLE_SWAP_FOR_JOB \
            DISCARD_SESSION_KEYRING_ON_STARTUP DOCKER_DROP_ALL_CAPABILITIES DOCKER_LOG_DRIVER_NAME DOCKER_PERFORM_TEST \
            DOCKER_RUN_UNDER_INIT ENABLE_CHIRP ENABLE_CHIRP_DELAYED ENABLE_CHIRP_IO ENABLE_CHIRP_UPDATES \
            ENABLE_CLASSAD_CACHING ENABLE_DEPRECATION_WARNINGS ENABLE_HISTORY_ROTATION ENABLE_KERNEL_TUNING \
            ENABLE_MULTIFILE_TRANSFER_PLUGINS ENABLE_SSH_TO_JOB ENABLE_URL_TRANSFERS ENCRYPT_SECRETS FILE_LOCK_VIA_MUTEX \
            FLOCK_BY_DEFAULT FS_ROOT_TO_CONDOR GAHP_DEBUG_HIDE_SENSITIVE_DATA GANGLIAD_PER_EXECUTE_NODE_METRICS \
            GANGLIAD_WANT_PROJECTION GANGLIA_WANT_RESET_METRICS GLOBAL_JOB_ID_WITH_TIME GRACEFULLY_REMOVE_JOBS \
            GRIDMANAGER_GAHPCLIENT_DEBUG HISTORY_CONTAINS_JOB_ENVIRONMENT IGNORE_ATTEMPTS_TO_SET_SECURE_JOB_ATTRS \
            LOCAL_CREDMON_TOKEN_USE_JSON METRICD_PER_EXECUTE_NODE_METRICS METRICD_WANT_PROJECTION MOUNT_PRIVATE_DEV_SHM \
            NEGOTIATOR_ALLOW_QUOTA_OVERSUBSCRIPTION NEGOTIATOR_CONSIDER_PREEMPTION NEGOTIATOR_MATCHLIST_CACHING \
            NEGOTIATOR_PREFETCH_REQUESTS NEGOTIATOR_USE_NONBLOCKING_STARTD_CONTACT NEGOTIATOR_USE_SLOT_WEIGHTS \
            NEGOTIATOR_USE_WEIGHTED_DEMAND NONBLOCKING_COLLECTOR_UPDATE PER_JOB_NAMESPACES \
            PROMETHEUS_METRICS_INCLUDE_TIMESTAMP RESTART_PROCD_ON_ERROR SCHEDD_ALLOW_LATE_MATERIALIZE \
            SCHEDD_NON_DURABLE_LATE_MATERIALIZE SCHEDD_SEND_RESCHEDULE SCHEDD_SEND_VACATE_VIA_TCP SCHEDD_USE_SLOT_WEIGHT \
            SEC_CLAIMTOBE_INCLUDE_DOMAIN SEC_ENABLE_MATCH_PASSWORD_AUTHENTICATION SEC_ENABLE_REMOTE_ADMINISTRATION \
            SEC_ENABLE_SCITOKEN_EXCHANGE SEC_ENABLE_TOKEN_FETCH SEC_ENABLE_TOKEN_REQUEST \
            SEC_SCITOKENS_ALLOW_FOREIGN_TOKEN_TYPES SEC_USE_FAMILY_SESSION SHADOW_LAZY_QUEUE_UPDATE SIGN_S3_URLS \
            STARTD_SHOULD_WRITE_CLAIM_ID_FILE STARTER_ALWAYS_HOLD_ON_OOM STARTER_HIDE_GPU_DEVICES STARTER_NESTED_SCRATCH \
            STARTER_SETS_HOME_ENV SUBMIT_ALLOW_GETENV SUBMIT_GENERATE_CONDOR_C_REQUIREMENTS \
            SUBMIT_GENERATE_CUSTOM_RESOURCE_REQUIREMENTS SUBMIT_PREVENT_MULTI_QUEUE SUBMIT_SKIP_FILECHECKS \
            TRUST_LOCAL_UID_DOMAIN UPDATE_COLLECTOR_WITH_TCP USE_CLONE_TO_CREATE_PROCESSES USE_PROCD USE_PROCESS_GROUPS \
            USE_RESOURCE_REQUEST_COUNTS VM_GAHP_SEND_ALL_CLASSAD WANT_UDP_COMMAND_SOCKET WARN_ON_UNUSED_SUBMIT_FILE_MACROS = \
            true
            ANNEX_DEFAULT_UNCLAIMED_TIMEOUT COLLECTOR_UPDATE_INTERVAL = 900
            ARC_GAHP_COMMAND_LIMIT DAGMAN_MAX_JOBS_IDLE DEFAULT_PRIO_FACTOR GRIDMANAGER_MAX_SUBMITTED_JOBS_PER_RESOURCE = 1000
            BATCH_GAHP_CHECK_STATUS_ATTEMPTS CGAHP_SCHEDD_INTERACTION_TIME CGROUP_POLLING_INTERVAL \
            C_GAHP_CONTACT_SCHEDD_DELAY DAGMAN_USER_LOG_SCAN_INTERVAL GRIDMANAGER_CONNECT_FAILURE_RETRY_INTERVAL \
            GRIDMANAGER_CONTACT_SCHEDD_DELAY HAD_CONNECTION_TIMEOUT LIBRARIAN_UPDATE_INTERVAL \
            LOCAL_UNIVERSE_MAX_JOB_CLEANUP_RETRIES NEGOTIATOR_MIN_INTERVAL POLLING_INTERVAL SCHEDD_JOB_QUEUE_LOG_FLUSH_DELAY \
            SCHEDD_MIN_INTERVAL SHADOW_MAX_JOB_CLEANUP_RETRIES VANILLA VM_STATUS_MAX_ERROR = 5
            BENCHMARKS_KFLOPS_JOB_LOAD BENCHMARKS_MAX_JOB_LOAD BENCHMARKS_MIPS_JOB_LOAD = 1.0
            CCB_OUTBOUND_TTL DOCKER_IMAGE_CACHE_SIZE MAX_ACCEPTS_PER_CYCLE MPI SCHEDD_QUERY_WORKERS \
            STARTER_INITIAL_UPDATE_INTERVAL = 8
            CCB_POLLING_INTERVAL CREDD_POLLING_TIMEOUT DAGMAN_HOLD_CLAIM_TIME DAGMAN_MAX_HOLD_SCRIPTS \
            DAGMAN_MAX_POST_SCRIPTS DAGMAN_MAX_PRE_SCRIPTS GRIDMANAGER_GAHP_RESPONSE_TIMEOUT \
            GRIDMANAGER_MAX_SUBMITTED_JOBS_PER_RESOURCE_EC2 KEYRING_SESSION_CREATION_TIMEOUT MAX_DRAINING_ACTIVATION_DELAY \
            Q_QUERY_TIMEOUT SCHEDD_NOW_JOB_VACATE_TIMEOUT SEC_SESSION_DURATION_SLOP = 20
            CCB_POLLING_MAX_INTERVAL DAGMAN_PENDING_REPORT_INTERVAL DEFRAG_INTERVAL MAX_JOB_MIRROR_UPDATE_LAG \
            SHADOW_CHECKPROXY_INTERVAL UNUSED_CLAIM_TIMEOUT VM_RECHECK_INTERVAL = 600
            CCB_SERVER_MAX_STREAMING_HANDSHAKES CCB_SERVER_MAX_STREAMING_SESSIONS COLLECTOR_QUERY_MAX_WORKTIME \
            DAGMAN_DEFAULT_PRIORITY DAGMAN_MAX_JOBS_SUBMITTED DAGMAN_SUBMIT_DELAY DEFRAG_DRAINING_MACHINES_PER_HOUR \
            GANGLIAD_VERBOSITY GRIDMANAGER_GAHPCLIENT_DEBUG_SIZE JOB_RENICE_INCREMENT JOB_START_DELAY \
            MASTER_TIMEOUT_MULTIPLIER MAX_DAGMAN_LOG MAX_PENDING_STARTD_CONTACTS MAX_REAPS_PER_CYCLE \
            MAX_TIMER_EVENTS_PER_CYCLE MAX_TRACKING_GID METRICD_VERBOSITY MIN_FLOCK_LEVEL MIN_TRACKING_GID \
            NEGOTIATOR_TRIM_SHUTDOWN_THRESHOLD NETWORK_MAX_PENDING_CONNECTS RESERVED_MEMORY RESERVED_SWAP \
            ROOSTER_MAX_UNHIBERNATE SCHED_UNIV_RENICE_INCREMENT SHADOW_RENICE_INCREMENT SLOTS_CONNECTED_TO_CONSOLE \
            SLOTS_CONNECTED_TO_KEYBOARD STARTD_HAS_BAD_UTMP STARTD_NOCLAIM_SHUTDOWN STARTER_RLIMIT_AS VM_MAX_MEMORY = 0
            CCB_SERVER_READ_BUFFER CCB_SERVER_WRITE_BUFFER = 2048
            CHIRP_DELAYED_UPDATE_MAX_ATTRS DAGMAN_MAX_JOB_HOLDS DAGMAN_MAX_RESCUE_NUM DAGMAN_MAX_SUBMITS_PER_INTERVAL \
            MAX_CONCURRENT_DOWNLOADS MAX_CONCURRENT_UPLOADS MAX_UDP_MSGS_PER_CYCLE = 100
            COLLECTOR_HOST_FOR_NEGOTIATOR HOST_ALIAS = $(FULL_HOSTNAME)
            COLLECTOR_MAX_FILE_DESCRIPTORS LVM_BACKING_FILE_SIZE_MB PIPE_BUFFER_MAX = 10240
            COLLECTOR_QUERY_WORKERS SCHEDD_ROUND_ATTR_NUMCKPTS = 4
            COLLECTOR_QUERY_WORKERS_PENDING GRIDMANAGER_MAX_PENDING_REQUESTS HISTORY_HELPER_MAX_CONCURRENCY = 50
            CRED_MIN_TIME_LEFT MASTER_NEW_BINARY_DELAY MATCH_TIMEOUT NEGOTIATOR_MAX_TIME_PER_PIESPIN \
            NEGOTIATOR_MAX_TIME_PER_SCHEDD PARENT_CHECK_INTERVAL = 120
            C_GAHP_MAX_FILE_REQUESTS JOB_ROUTER_POLLING_PERIOD MAX_SLOT_TYPES PREEN_COREFILES_PER_PROCESS \
            TRANSFER_IO_REPORT_INTERVAL = 10
            DAGMAN_CHECK_QUEUE_INTERVAL DNS_CACHE_REFRESH GRIDMANAGER_GAHP_CALL_TIMEOUT_CONDOR QUEUE_CLEAN_INTERVAL = 28800
            DAGMAN_MAX_SUBMIT_ATTEMPTS MAX_CLAIM_ALIVES_MISSED = 6
            DAGMAN_VERBOSITY GRIDMANAGER_CONNECT_FAILURE_RETRY_COUNT GROUP_QUOTA_MAX_ALLOCATION_ROUNDS \
            NEGOTIATION_CYCLE_STATS_LENGTH = 3
            DEFAULT_JOB_MAX_RETRIES MAX_SHADOW_EXCEPTIONS WINDOWS_FIREWALL_FAILURE_RETRY = 2
            DEFRAG_MAX_CONCURRENT_DRAINING DEFRAG_MAX_WHOLE_MACHINES MAX_TRANSFER_INPUT_MB MAX_TRANSFER_OUTPUT_MB \
            SEC_CREDENTIAL_REFRESH_INTERVAL SYSTEM_MAX_RELEASES = -1
            DELEGATE_JOB_GSI_CREDENTIALS_LIFETIME GCE_GAHP_LIFETIME PREEN_INTERVAL PRIORITY_HALFLIFE = 86400
            EC2_GAHP_DEBUG SCHEDD_DEBUG = D_PID
            ENABLE_STARTD_DAEMON_AD LVM_HIDE_MOUNT SINGULARITY_USE_PID_NAMESPACES = auto
            EVENT_LOG_MAX_SIZE MAX_ACCOUNTANT_DATABASE_SIZE MAX_PROCD_LOG = 1000000
            FILE_TRANSFER_DISK_LOAD_THROTTLE MASTER_BACKOFF_FACTOR = 2.0
            FILE_TRANSFER_DISK_LOAD_THROTTLE_WAIT_BETWEEN_INCREMENTS GANGLIAD_INTERVAL METRICD_INTERVAL MINUTE \
            NEGOTIATOR_INTERVAL NEGOTIATOR_MAX_TIME_PER_SUBMITTER NEGOTIATOR_PREFETCH_REQUESTS_MAX_TIME \
            PERIODIC_EXPR_INTERVAL POOL_HISTORY_SAMPLING_INTERVAL PROCD_MAX_SNAPSHOT_INTERVAL TOUCH_LOG_INTERVAL \
            VM_KILLING_TIMEOUT VM_STATUS_INTERVAL = 60
            FLOCK_COLLECTOR_HOSTS FLOCK_NEGOTIATOR_HOSTS = $(FLOCK_TO)
            GANGLIAD_RESET_METRICS_FILE GANGLIA_RESET_METRICS_FILE = $(SPOOL)/metricsToReset.ganglia_metrics
            HISTORY_HELPER_MAX_HISTORY SCHEDD_ASSUME_NEGOTIATOR_GONE = 2000000000
            HOUR MASTER_BACKOFF_CEILING MAX_PARTITIONABLE_SLOT_CLAIM_TIME NOT_RESPONDING_TIMEOUT SEC_CREDENTIAL_SWEEP_DELAY \
            SHADOW_WORKLIFE STARTER_FILE_XFER_STALL_TIMEOUT = 3600
            JOB_DEFAULT_REQUESTMEMORY MAX_REMAP_RECURSIONS = 128
            JOB_EXECDIR_PERMISSIONS JOB_SPOOL_PERMISSIONS = user
            KILLING_TIMEOUT LOCAL_UNIVERSE_JOB_CLEANUP_RETRY_DELAY NEGOTIATOR_TIMEOUT SHADOW_JOB_CLEANUP_RETRY_DELAY \
            STARTER_FIRST_CHILDALIVE_DELAY = 30
            LIBRARIAN_GC_BACKOFF_SECONDS SEC_C_GAHP_WORKER_THREAD_DEFAULT_SESSION_DURATION = 1800
            LIBRARIAN_MAX_UPDATES_PER_CYCLE MAX_JOBS_PER_OWNER = 100000
            MASTER_BACKOFF_CONSTANT MAX_PID_COLLISION_RETRY = 9
            MAXSUSPENDTIME MAXVACATETIME = 10 * $(MINUTE)
            MAX_COLLECTOR_LOG MAX_CREDD_LOG MAX_C_GAHP_LOG MAX_GANGLIAD_LOG MAX_GRIDMANAGER_LOG MAX_HAD_LOG \
            MAX_JOB_ROUTER_LOG MAX_KBDD_LOG MAX_LIBRARIAN_LOG MAX_MASTER_LOG MAX_METRICD_LOG MAX_NEGOTIATOR_LOG \
            MAX_NEGOTIATOR_MATCH_LOG MAX_REPLICATION_LOG MAX_ROOSTER_LOG MAX_SCHEDD_LOG MAX_SHADOW_LOG MAX_SHARED_PORT_LOG \
            MAX_STARTD_LOG MAX_STARTER_LOG MAX_TRANSFERER_LOG MAX_VM_GAHP_LOG = $(MAX_DEFAULT_LOG)
            MAX_FILE_TRANSFER_PLUGIN_LIFETIME PASSWD_CACHE_REFRESH = 72000
            MAX_GLOBAL_JOB_PRIOS NEGOTIATOR_SOCKET_CACHE_SIZE = 500
            MAX_JOBS_PER_SUBMISSION SCHEDD_MAX_FILE_DESCRIPTORS SHARED_PORT_MAX_FILE_DESCRIPTORS = 20000
            MAX_RUNNING_SCHEDULER_JOBS_PER_OWNER NEGOTIATOR_RESOURCE_REQUEST_LIST_SIZE OBITUARY_LOG_LENGTH = 200
            PARENT_CHECK_FIRST_INTERVAL PID_SNAPSHOT_INTERVAL = 15
            SCHEDD_ROUND_ATTR_DISKUSAGE SCHEDD_ROUND_ATTR_EXECUTABLESIZE SCHEDD_ROUND_ATTR_IMAGESIZE \
            SCHEDD_ROUND_ATTR_PROPORTIONALSETSIZEKB SCHEDD_ROUND_ATTR_RESIDENTSETSIZE = 25%
            SHADOW_STATS_LOG STARTER_STATS_LOG = $(LOG)/XferStatsLog
            STARTER STARTER_LOCAL = $(SBIN)/condor_starter
            ACCOUNTANT_DATABASE_FILE = $(SPOOL)/Accountantnew.log
            ACCOUNTING_DOMAIN = $(UID_DOMAIN)
            ACTIVITYTIMER = (time() - EnteredCurrentActivity)
            ADD_WINDOWS_FIREWALL_EXCEPTION = $(CondorIsAdmin)
            ADSTASH_CHECKPOINT_FILE = $(LOG)/adstash_checkpoint.json
            ADSTASH_INTERFACE = elasticsearch
            ADSTASH_JSON_DIR = $(LOG)
            ADSTASH_LOG = $(LOG)/adstash.log
            ADSTASH_READ_POOLS = $(CONDOR_HOST)
            ADSTASH_SE_HOST = $(FULL_HOSTNAME):9200
            ANNEX_AUDIT_LOG = $(LOG)/AnnexAuditLog
            ANNEX_COMMAND_STATE = $(LOG)/AnnexCommand.state
            ANNEX_DEFAULT_AWS_REGION = us-east-1
            ANNEX_DEFAULT_CF_URL = https://cloudformation.us-east-1.amazonaws.com/
            ANNEX_DEFAULT_CONNECTIVITY_FUNCTION_ARN = HTCondorAnnex-CheckConnectivity
            ANNEX_DEFAULT_CWE_URL = https://events.us-east-1.amazonaws.com
            ANNEX_DEFAULT_EC2_URL = https://ec2.us-east-1.amazonaws.com
            ANNEX_DEFAULT_LAMBDA_URL = https://lambda.us-east-1.amazonaws.com
            ANNEX_DEFAULT_LEASE_DURATION = 3000
            ANNEX_DEFAULT_ODI_INSTANCE_TYPE = $(ANNEX_DEFAULT_ODI_INSTANCE_TYPE_V8_7_0)
            ANNEX_DEFAULT_ODI_INSTANCE_TYPE_V8_7_0 = m4.large
            ANNEX_DEFAULT_S3_URL = https://s3.amazonaws.com
            ANNEX_GAHP = $(EC2_GAHP)
            ANNEX_GAHP_LOG = $(LOG)/AnnexGahpLog
            ANNEX_LOG = $(LOG)/AnnexLog
            ANNEX_TOKEN_DOMAIN = $(TRUST_DOMAIN)
            ARC_GAHP = $(SBIN)/arc_gahp
            ARC_GAHP_LOG = /tmp/ArcGahpLog.$(USERNAME)
            AUTH_SSL_AUTOGENERATE_CERTFILE = $(ETC)/hostcert.pem
            AUTH_SSL_AUTOGENERATE_KEYFILE = $(ETC)/hostkey.pem
            AUTH_SSL_SERVER_CERTFILE = /etc/pki/tls/certs/localhost.crt,$(AUTH_SSL_AUTOGENERATE_CERTFILE)
            AUTH_SSL_SERVER_KEYFILE = /etc/pki/tls/private/localhost.key,$(AUTH_SSL_AUTOGENERATE_KEYFILE)
            AUTO_USE_FEATURE_PELICANRETRYPOLICY = $(IsSchedd)
            AZURE_GAHP = $(SBIN)/AzureGAHPServer
            BACKGROUNDLOAD = 0.3
            BATCH_GAHP = $(BIN)/blahpd
            BENCHMARKS_JOBLIST = mips kflops
            BENCHMARKS_KFLOPS_EXECUTABLE = $(LIBEXEC)/condor_kflops
            BENCHMARKS_MIPS_EXECUTABLE = $(LIBEXEC)/condor_mips
            BENCHMARKTIMER = (time() - LastBenchmark)
            BIGJOB = (TARGET.ImageSize >= (50 * 1024))
            BLAHPD_LOCATION = $(RELEASE_DIR)
            BOX_AUTHORIZATION_URL = https://account.box.com/api/oauth2/authorize
            BOX_TOKEN_URL = https://api.box.com/oauth2/token
            BROKEN_SLOT_CONTEXT_ATTRS = JobId,RemoteUser,RemoteScheddName
            CATALOG_SPACE =    ifthenelse(\r   MappingMethod ?: "" != "Copy",\r   $(SUM_OF_CATALOGS),\r   0\r   )
            CCB_OUTBOUND_TARGET_DENYLIST = 127.0.0.0/8 ::1 fe80::/10 169.254.0.0/16 localhost
            CCB_POLLING_TIMESLICE = 0.05
            CGROUP_MEMORY_LIMIT_POLICY = hard
            CHECKPOINT_DESTINATION_MAPFILE = $(LOCAL_DIR)/checkpoint-destination-mapfile
            CHIRP_DELAYED_UPDATE_PREFIX = Chirp*
            CLAIM_PARTITIONABLE_LEFTOVERS = $(NEGOTIATOR_USE_SLOT_WEIGHTS)
            CLASSAD_USER_PYTHON_LIB = $(LIBEXEC)/libclassad_python_user.so
            COLLECTOR = $(SBIN)/condor_collector
            COLLECTOR_FORWARD_CLAIMED_PRIVATE_ADS = $(NEGOTIATOR_CONSIDER_PREEMPTION)
            COLLECTOR_FORWARD_WATCH_LIST = State,Cpus,Memory,IdleJobs,ClaimId,Capability,ClaimIdList,ChildClaimIds
            COLLECTOR_HOST_STRING = "$(COLLECTOR_HOST)"
            COLLECTOR_LOG = $(LOG)/CollectorLog
            COLLECTOR_NAME = My Pool - $(CONDOR_HOST)
            COLLECTOR_SOCKET_BUFSIZE = 10000*1024
            COLLECTOR_STATS_SWEEP = 14400
            COLLECTOR_TCP_SOCKET_BUFSIZE = 128*1024
            CONCURRENCY_LIMIT_DEFAULT = 2308032
            CONDOR_ADMIN = root@$(FULL_HOSTNAME)
            CONDOR_BUILD_PLATFORM = X86_64-Debian_
            CONDOR_CREDENTIAL_DIR = /tmp
            CONDOR_GAHP = $(SBIN)/condor_c-gahp
            CONDOR_GAHP_WORKER = $(SBIN)/condor_c-gahp_worker_thread
            CONDOR_VERSION = 25.14.1
            CONSOLE_DEVICES = mouse, console
            CONSUMPTION_CPUS = quantize(target.RequestCpus,{1})
            CONSUMPTION_DISK = quantize(target.RequestDisk,{1024})
            CONSUMPTION_MEMORY = quantize(target.RequestMemory,{128})
            CONTAINER_SHARED_FS = /cvmfs
            CONTINUEIDLETIME = 5 * $(MINUTE)
            CORE_FILE_NAME = core.$(SUBSYSTEM)
            CREDD = $(SBIN)/condor_credd
            CREDD_DEBUG = D_FULLDEBUG
            CREDD_LOG = $(LOG)/CredLog
            CREDMON_KRB = $(SBIN)/condor_credmon_krb
            CREDMON_OAUTH = $(SBIN)/condor_credmon_oauth
            CURB_MATCHMAKING = (RecentDaemonCoreDutyCycle > 0.98) || (TransferQueueNumWaitingToUpload > \
            TransferQueueMaxUploading)
            C_GAHP_DEBUG = D_STATS
            C_GAHP_LOCK = /tmp/CGAHPLock.$(USERNAME)
            C_GAHP_LOG = /tmp/CGAHPLog.$(USERNAME)
            C_GAHP_WORKER_THREAD_LOCK = /tmp/CGAHPWorkerLock.$(USERNAME)
            C_GAHP_WORKER_THREAD_LOG = /tmp/CGAHPWorkerLog.$(USERNAME)
            DAGMAN_ALLOW_EVENTS = 114
            DAGMAN_CONDOR_RM_EXE = $(BIN)/condor_rm
            DAGMAN_CONDOR_SUBMIT_EXE = $(BIN)/condor_submit
            DAGMAN_DEBUG_CACHE_SIZE = 5*1024*1024
            DAGMAN_DEFAULT_NODE_LOG = @(DAG_DIR)/@(DAG_FILE).nodes.log
            DAGMAN_ON_EXIT_REMOVE = (ExitSignal =?= 11 || (ExitCode =!= UNDEFINED && ExitCode >=0 && ExitCode <= 2))
            DCSTATISTICS_TIMESPANS = 4m:240 20m:1200 4h:14400
            DEFRAG = $(LIBEXEC)/condor_defrag
            DEFRAG_CANCEL_REQUIREMENTS = $(DEFRAG_WHOLE_MACHINE_EXPR)
            DEFRAG_DRAINING_SCHEDULE = graceful
            DEFRAG_DRAINING_START_EXPR = FALSE
            DEFRAG_LOG = $(LOG)/DefragLog
            DEFRAG_RANK = -ExpectedMachineGracefulDrainingBadput
            DEFRAG_WHOLE_MACHINE_EXPR = Cpus == TotalSlotCpus
            DELEGATE_JOB_GSI_CREDENTIALS_REFRESH = 0.25
            DETECTED_CPUS_LIMIT = $(DETECTED_CPUS)
            DOCKER = /usr/bin/docker
            DOCKER_PAT_PRODUCER = $(SBIN)/condor_docker_pat_producer
            DOCKER_TEST_IMAGE_NAME = htcondor_docker_test
            DOCKER_TEST_IMAGE_PATH = $(LIBEXEC)/htcondor_docker_test
            DROPBOX_AUTHORIZATION_URL = https://www.dropbox.com/oauth2/authorize
            DROPBOX_TOKEN_URL = https://api.dropboxapi.com/oauth2/token
            EC2_GAHP = $(SBIN)/ec2_gahp
            EC2_GAHP_LOG = /tmp/EC2GahpLog.$(USERNAME)
            ENVIRONMENT_FOR_ASSIGNEDGPUS = GPU_DEVICE_ORDINAL=/(CUDA|OCL)//  CUDA_VISIBLE_DEVICES=/CUDA//
            EVENT_LOG_ROTATION_LOCK = $(LOCK)/EventLogLock
            FILETRANSFER_PLUGINS = $(LIBEXEC)/curl_plugin, $(LIBEXEC)/data_plugin, $(LIBEXEC)/box_plugin.py, \
            $(LIBEXEC)/gdrive_plugin.py, $(LIBEXEC)/onedrive_plugin.py, $(STASH_PLUGIN)
            FILE_TRANSFER_DISK_LOAD_THROTTLE_LONG_HORIZON = 5m
            FILE_TRANSFER_DISK_LOAD_THROTTLE_SHORT_HORIZON = 1m
            FILE_TRANSFER_STATS_LOG = $(LOG)/transfer_history
            GANGLIAD = $(LIBEXEC)/condor_gangliad
            GANGLIAD_LOG = $(LOG)/GangliadLog
            GANGLIAD_METRICS_CONFIG_DIR = $(ETC)/ganglia.d
            GANGLIA_CONFIG = /etc/ganglia/gmond.conf
            GANGLIA_GSTAT_COMMAND = gstat --all --mpifile --gmond_ip=localhost --gmond_port=8649
            GANGLIA_LIB64_PATH = /lib64,/usr/lib64,/usr/local/lib64
            GANGLIA_LIB_PATH = /lib,/usr/lib,/usr/local/lib
            GCE_GAHP = $(SBIN)/gce_gahp
            GCE_GAHP_LOG = /tmp/GceGahpLog.$(USERNAME)
            GDRIVE_AUTHORIZATION_URL = https://accounts.google.com/o/oauth2/v2/auth
            GDRIVE_TOKEN_URL = https://oauth2.googleapis.com/token
            GPU_MONITOR = $(LIBEXEC)/condor_gpu_utilization
            GRIDMANAGER = $(SBIN)/condor_gridmanager
            GRIDMANAGER_LOCK = $(LOCK)/GridmanagerLock
            GRIDMANAGER_LOG = $(LOG)/GridmanagerLog
            GRIDMANAGER_PROXY_REFRESH_TIME = 21600
            GROUP_QUOTA_ROUND_ROBIN_RATE = 1.0e100
            GROUP_SORT_EXPR = ifThenElse(AccountingGroup=?="<none>",3.4e+38,ifThenElse(GroupQuota>0,GroupResourcesInUse/Group\
            Quota,3.3e+38))
            HAD = $(SBIN)/condor_had
            HAD_ARGS = -sock $(HAD_SOCKET_NAME)
            HAD_LOG = $(LOG)/HADLog
            HAD_SOCKET_NAME = had
            HIGHLOAD = 0.5
            HISTORY = $(SPOOL)/history
            HISTORY_HELPER = $(BIN)/condor_history
            HTTP_PUBLIC_FILES_ADDRESS = 127.0.0.1:80
            HTTP_PUBLIC_FILES_ROOT_DIR = /usr/share/nginx/html
            HTTP_PUBLIC_FILES_STALE_AGE = 604800
            INCLUDE = $(RELEASE_DIR)/include
            INTERACTIVE_SUBMIT_ARGS_OVERRIDE = "-c 'sleep 180 && while test -d ${_CONDOR_SCRATCH_DIR}/.condor_ssh_to_job_1; \
            do /bin/sleep 3; done'"
            INTERACTIVE_SUBMIT_CMD_OVERRIDE = /bin/sh
            INTERACTIVE_SUBMIT_FILE = $(LIBEXEC)/interactive.sub
            ISMPI = (TARGET.JobUniverse == $(MPI))
            ISSTANDARD = (TARGET.JobUniverse == $(STANDARD))
            ISVANILLA = (TARGET.JobUniverse == $(VANILLA))
            ISVM = (TARGET.JobUniverse == $(VM))
            JAVA = /usr/bin/java
            JAVA_CLASSPATH_ARGUMENT = -classpath
            JAVA_CLASSPATH_DEFAULT = $(LIB) .
            JAVA_CLASSPATH_SEPARATOR = :
            JAVA_MAXHEAP_ARGUMENT = -Xmx
            JOB_DEFAULT_LEASE_DURATION = 2400
            JOB_DEFAULT_REQUESTDISK = MAX({1024, (TransferInputSizeMB+1) * 1.25}) * 1024
            JOB_EPOCH_HISTORY = $(SPOOL)/epoch_history
            JOB_QUEUE_LOG = $(SPOOL)/job_queue.log
            JOB_ROUTER = $(LIBEXEC)/condor_job_router
            JOB_ROUTER_LOCK = $(LOCK)/$(JOB_ROUTER_NAME)Lock
            JOB_ROUTER_LOG = $(LOG)/JobRouterLog
            JOB_ROUTER_NAME = jobrouter
            KBDD = $(SBIN)/condor_kbdd
            KBDD_ADDRESS_FILE = $(LOG)/.kbdd_address
            KBDD_LOG = $(LOG)/KbdLog
            KERNEL_TUNING_LOG = $(LOG)/KernelTuning.log
            LIBRARIAN = $(SBIN)/condor_librarian
            LIBRARIAN_DATABASE = $(SPOOL)/library.db
            LIBRARIAN_DATABASE_BUSY_TIMEOUT_MS = 30000
            LIBRARIAN_HIGH_WATER_MARK = 0.97
            LIBRARIAN_LOG = $(LOG)/LibrarianLog
            LIBRARIAN_LOW_WATER_MARK = 0.8
            LIBRARIAN_MAX_DATABASE_SIZE = 2 * 1024 * 1024 * 1024
            LIBVIRT_XML_SCRIPT = $(LIBEXEC)/libvirt_simple_script.awk
            LINUX_KERNEL_TUNING_SCRIPT = $(LIBEXEC)/linux_kernel_tuning
            LOCAL_CREDMON_TOKEN_VERSION = scitoken:2.0
            LOCAL_UNIV_EXECUTE = $(SPOOL)/local_univ_execute
            LVM_BACKING_FILE = $(SPOOL)/startd_disk.img
            LVM_THICK_LV_MARGIN = 0.98
            LVM_THIN_LV_EXTRA_SIZE_MB = 2000
            MACHINEMAXVACATETIME = $(MaxVacateTime)
            MAIL = /usr/bin/mail
            MASTER = $(SBIN)/condor_master
            MASTER_LOG = $(LOG)/MasterLog
            MASTER_NEW_BINARY_RESTART = GRACEFUL
            MAX_CONCURRENT_UPLOADS_PER_USER = $(MAX_CONCURRENT_UPLOADS:100)/5
            MAX_DEFAULT_LOG = 10 Mb
            MAX_JOBS_RUNNING = MIN({$(DETECTED_MEMORY), 10000})
            MAX_JOBS_SUBMITTED = 2147483647
            MEDIUMJOB = (TARGET.ImageSize >= (15 * 1024) && TARGET.ImageSize < (50 * 1024))
            MEMORY_USAGE_METRIC = ((ResidentSetSize+1023)/1024)
            MEMORY_USAGE_METRIC_VM = ((ImageSize+1023)/1024)
            METRICD_DEFAULT_EXPORT_METRIC = prometheus
            METRICD_LOG = $(LOG)/MetricdLog
            METRICD_METRICS_CONFIG_DIR = $(ETC)/metrics.d
            MODIFY_REQUEST_EXPR_REQUESTCPUS = quantize(RequestCpus,{1})
            MODIFY_REQUEST_EXPR_REQUESTDISK = quantize(RequestDisk - $(CATALOG_SPACE),{Target.DiskQuantum?:1024})
            MODIFY_REQUEST_EXPR_REQUESTMEMORY = quantize(RequestMemory,{128})
            MOUNT_UNDER_SCRATCH = "/tmp,/var/tmp"
            NEGOTIATOR = $(SBIN)/condor_negotiator
            NEGOTIATOR_DEBUG = D_MATCH
            NEGOTIATOR_LOG = $(LOG)/NegotiatorLog
            NEGOTIATOR_MATCH_LOG = $(LOG)/MatchLog
            NEGOTIATOR_POST_JOB_RANK = (RemoteOwner =?= UNDEFINED) * (ifthenElse(isUndefined(KFlops), 1000, Kflops) - SlotID \
            - 1.0e10*(Offline=?=True))
            NEGOTIATOR_PRE_JOB_RANK = (10000000 * My.Rank) + (1000000 * (RemoteOwner =?= UNDEFINED)) - (100000 * Cpus) - \
            Memory
            NICE_USER_ACCOUNTING_GROUP_NAME = nice-user
            NICE_USER_PRIO_FACTOR = 1e10
            NUM_CPUS = $(DETECTED_CPUS_LIMIT)
            ONEDRIVE_AUTHORIZATION_URL = https://login.microsoftonline.com/common/oauth2/v2.0/authorize
            ONEDRIVE_TOKEN_URL = https://login.microsoftonline.com/common/oauth2/v2.0/token
            OPENMPI_EXCLUDE_NETWORK_INTERFACES = docker0,virbr0
            OPENMPI_INSTALL_PATH = /usr/lib64/openmpi
            PERIODIC_CHECKPOINT = ((time() - LastPeriodicCheckpoint)/60.0) > (180.0 + $RANDOM_INTEGER(-30,30,1))
            PERIODIC_EXPR_TIMESLICE = 0.01
            PLACEMENTD = $(SBIN)/condor_placementd
            PLACEMENTD_AUTHORIZATIONS_MAPFILE = $(ETC)/placementd_authorizations_mapfile
            PLACEMENTD_LOG = $(LOG)/PlacementdLog
            PLACEMENTD_MAPFILE = $(ETC)/placementd_mapfile
            POOL_HISTORY_MAX_STORAGE = 10000000
            PREEMPTION_RANK = (RemoteUserPrio * 1000000) - ifThenElse(isUndefined(TotalJobRuntime), 0, TotalJobRuntime)
            PREEN = $(SBIN)/condor_preen
            PREEN_ARGS = -m -r
            PREEN_COREFILE_MAX_SIZE = 50000000
            PREEN_COREFILE_STALE_AGE = 5184000
            PROCD = $(SBIN)/condor_procd
            PROCD_ADDRESS = $(RUN)/procd_pipe
            PROCD_LOG = $(LOG)/ProcLog
            PROMETHEUS_DEFAULT_LABELS = [machine=MetricMachine; pool=MetricPool]
            PROMETHEUS_HTTP_PORT = $(SHARED_PORT_PORT)
            PROMETHEUS_METRICS_FILE = $(LOG)/metrics.prom
            PYTHON3_MODULE_SUFFIX = .cpython-314-x86_64-linux-gnu.so
            PYTHON3_VERSION_MINOR = 14
            QUEUE_SUPER_USERS = root, condor
            REMOTE_GAHP = $(SBIN)/remote_gahp
            REMOTE_PRIO_FACTOR = 1e7
            REMOVE_SIGNIFICANT_ATTRIBUTES = CpusUsage,DiskUsage,GPUsUsage,MemoryUsage,ResidentSetSize
            REMOVE_SIGNIFICANT_ATTRIBUTES_REGEX = ^Slot[0-9]*_
            REPLICATION = $(SBIN)/condor_replication
            REPLICATION_ARGS = -sock $(REPLICATION_SOCKET_NAME)
            REPLICATION_LOG = $(LOG)/ReplicationLog
            REPLICATION_SOCKET_NAME = replication
            REPLICATION_USE_SHARED_PORT = $(HAD_USE_SHARED_PORT)
            ROOSTER = $(LIBEXEC)/condor_rooster
            ROOSTER_LOG = $(LOG)/RoosterLog
            ROOSTER_UNHIBERNATE = Offline && Unhibernate
            ROOSTER_WAKEUP_CMD = "$(BIN)/condor_power -d -i"
            RUNBENCHMARKS = LastBenchmark == 0
            SCHEDD = $(SBIN)/condor_schedd
            SCHEDD_AUDIT_LOG = $(LOG)/SchedAuditLog
            SCHEDD_DAEMON_HISTORY = $(SPOOL)/schedd_daemon_history
            SCHEDD_LOG = $(LOG)/SchedLog
            SCHEDD_RESTART_REPORT = $(LOG)/ScheddRestartReport
            SEC_SCITOKENS_CACHE = $(RUN)/cache
            SEC_SCITOKENS_FOREIGN_TOKEN_ISSUERS = https://aai-dev.egi.eu/auth/realms/egi
            SEC_TOKEN_AP_SIGNING_KEY_NAME = AP
            SEC_TOKEN_FETCH_ALLOWED_SIGNING_KEYS = POOL AP
            SEC_TOKEN_ISSUER_KEY = POOL
            SENDMAIL = sendmail
            SHADOW = $(SBIN)/condor_shadow
            SHADOW_LIST = SHADOW
            SHADOW_LOCK = $(LOCK)/ShadowLock
            SHADOW_LOG = $(LOG)/ShadowLog
            SHADOW_SIZE_ESTIMATE = 125
            SHARED_PORT = $(LIBEXEC)/condor_shared_port
            SHARED_PORT_DAEMON_AD_FILE = $(LOCK)/shared_port_ad
            SHARED_PORT_LOG = $(LOG)/SharedPortLog
            SHARED_PORT_PORT = $(COLLECTOR_PORT)
            SINGULARITY = $(LIBEXEC)/apptainer
            SINGULARITY_IMAGE_EXPR = SingularityImage
            SINGULARITY_TEST_SANDBOX = $(LIBEXEC)/singularity_test_sandbox
            SINGULARITY_VERBOSITY = -s
            SLOT_WEIGHT = Cpus
            SMALLJOB = (TARGET.ImageSize <  (15 * 1024))
            SOCKET_LISTEN_BACKLOG = 4096
            STARTD = $(SBIN)/condor_startd
            STARTD_CONTACT_TIMEOUT = 45
            STARTD_DETECT_GPUS = -properties $(GPU_DISCOVERY_EXTRA)
            STARTD_HISTORY = $(LOG)/startd_history
            STARTD_LOG = $(LOG)/StartLog
            STARTD_REBOOT_COMMAND = /sbin/reboot
            STARTER_DEBUG = D_PID
            STARTER_DIAGNOSTIC_SEND_EP_LOGS = $(LIBEXEC)/condor_diagnostic_send_ep_logs
            STARTER_LIST = STARTER
            STARTER_LOG = $(LOG)/StarterLog
            STARTER_NUM_THREADS_ENV_VARS = CUBACORES GOMAXPROCS JULIA_NUM_THREADS MKL_NUM_THREADS NUMEXPR_NUM_THREADS \
            OMP_NUM_THREADS OMP_THREAD_LIMIT OPENBLAS_NUM_THREADS PYTHON_CPU_COUNT ROOT_MAX_THREADS \
            TF_LOOP_PARALLEL_ITERATIONS TF_NUM_THREADS
            STARTIDLETIME = 15 * $(MINUTE)
            START_LOCAL_UNIVERSE = TotalLocalJobsRunning < 200
            START_SCHEDULER_UNIVERSE = TotalSchedulerJobsRunning < 500
            STASH_PLUGIN = $(LIBEXEC)/stash_plugin
            STATETIMER = (time() - EnteredCurrentState)
            SUM_OF_CATALOGS =    ifthenelse(\r   RequestedCatalogs is undefined || catalogs is undefined,\r   0,\r   sum(\r  \
             evalInEachContext(\r   member(CatalogID, RequestedCatalogIDs)\r   ? CatalogSize : 0,\r   catalogs\r   )\r   )\r \
              )
            SYSTEM_IMMUTABLE_JOB_ATTRS = Owner ClusterId JobUniverse ProcId MyType TargetType User OsUser
            SYSTEM_JOB_MACHINE_ATTRS = Cpus,SlotWeight
            SYSTEM_SECURE_JOB_ATTRS = x509userProxySubject x509UserProxyEmail x509UserProxyVOName x509UserProxyFirstFQAN \
            x509UserProxyFQAN TotalSubmitProcs AuthTokenSubject AuthTokenIssuer AuthTokenGroups AuthTokenId AuthTokenScopes \
            AuthTokenProject OsUser
            SYSTEM_STARTD_ATTRS = COLLECTOR_HOST_STRING DedicatedScheduler
            SYSTEM_STARTD_JOB_ATTRS = ImageSize, ExecutableSize, JobUniverse, NiceUser, CPUsUsage, ResidentSetSize, \
            ProportionalSetSizeKb, MemoryUsage, DiskUsage, StdoutMtime, StderrMtime, ScratchDirFileCount
            SYSTEM_STARTD_LATCH_EXPRS = NumDynamicSlots
            SYSTEM_VALID_SPOOL_FILES = job_queue.log, job_queue.log.tmp, history, Accountant.log, Accountantnew.log, \
            local_univ_execute, .pgpass, .schedd_address, .schedd_address.super, .schedd_classad, OfflineLog, \
            startd_disk.img, checkpoint-cleanup, TokensDatabase
            TCP_KEEPALIVE_INTERVAL = 360
            TOKENS_DATABASE = $(SPOOL)/TokensDatabase
            TRANSFERER = $(LIBEXEC)/condor_transferer
            TRANSFERER_LOG = $(LOG)/TransfererLog
            TRANSFER_IO_REPORT_TIMESPANS = 1m:60 5m:300 1h:3600 1d:86400
            TRANSFER_JOB_ATTRS = NumShadowStarts,DAGManJobId,DAGNodeName
            TRANSFER_QUEUE_USER_EXPR = strcat("Owner_",Owner)
            TRUST_DOMAIN_CAFILE = $(ETC)/trust_domain_ca.pem
            TRUST_DOMAIN_CAKEY = $(ETC)/trust_domain_ca_privkey.pem
            UPDATE_SPREAD_TIME = $(UPDATE_COLLECTOR_WITH_TCP:0) ? 0 : 8
            VM = 13
            VM_GAHP_LOG = $(LOG)/VMGahpLog
            VM_GAHP_SERVER = $(SBIN)/condor_vm-gahp
            """;

        private OtherParameters() { }

        /** The built-in value of a parameter, whose name is in capitals; empty if it has none. */
        static Optional<String> find(String name) {
            for (int at = TEXT.indexOf(name); at >= 0; at = TEXT.indexOf(name, at + 1)) {
                int line = TEXT.lastIndexOf('\n', at) + 1;
                int operator = TEXT.indexOf(" = ", line);
                if (at < operator && (at == line || TEXT.charAt(at - 1) == ' ') && TEXT.charAt(at + name.length()) == ' ') {
                    return Optional.of(TEXT.substring(operator + 3, TEXT.indexOf('\n', operator)).replace('\r', '\n'));
                }
            }
            return Optional.empty();
        }
    }

    /**
     * The effective settings. A lookup of X tries {@code TOOL.X}, then {@code X}, then the built-in value; names
     * are case-insensitive; a blank value ends the lookup, and means undefined (condor_utils/condor_config.cpp).
     *
     * <p>{@link Sources} reads files and environment once. It stores values as written; a lookup expands them.
     */
    static final class Configuration {
        /** The first word of a source that is an environment variable. */
        static final String ENVIRONMENT = "environment";
        /** The source of a built-in value, and of a value that the program detects on this machine. */
        static final String DEFAULT = "default";
        static final String DETECTED = "detected";
        private final Macros macros;
        private final Macros wishes;
        private final List<String> warnings;

        /**
         * A value and its source.
         *
         * @param source FILE:LINE, "environment variable NAME", "default" or "detected"
         */
        record Setting(String name, String value, String source) {
            /** Whether a file or the environment sets it. */
            boolean isSet() {
                return !source.equals(DEFAULT) && !source.equals(DETECTED);
            }

            /** Who chose the file that this setting names. */
            FileOrigin origin() {
                return source.startsWith(ENVIRONMENT) ? FileOrigin.USER : isSet() ? FileOrigin.CONFIGURATION : FileOrigin.DEFAULT;
            }

            /** The file that this setting names. */
            Path path() {
                try {
                    return Path.of(value.strip());
                } catch (InvalidPathException e) {
                    throw new InvalidPathException(value, name + ", " + source);
                }
            }
        }

        /**
         * What {@code -config} shows of a parameter.
         *
         * @param name   as the user wrote it
         * @param value  empty where it is undefined or blank
         * @param source FILE:LINE, "environment", "default" or "detected"
         */
        record Parameter(String name, Optional<String> value, String source) { }

        private Configuration(Macros macros, Macros wishes, List<String> warnings) {
            this.macros = macros;
            this.wishes = wishes;
            this.warnings = warnings;
        }

        /**
         * Reads the configuration of this machine and user. A missing configuration is not an error.
         *
         * @throws CommandException CONFIGURATION
         */
        static Configuration read(Host host, Deadline deadline) throws CommandException {
            return read(host, "", deadline);
        }

        /** The same for a daemon with a local name, which takes precedence over TOOL; this command has no local name. */
        static Configuration read(Host host, String localName, Deadline deadline) throws CommandException {
            Sources sources = new Sources(host, localName, deadline);
            sources.read();
            return new Configuration(sources.macros(), sources.wishes(), sources.said());
        }

        /** Warnings about settings that take effect nevertheless, for stderr. */
        List<String> warnings() {
            return warnings;
        }

        /** The effective value, including a built-in one; empty if undefined. */
        Optional<Setting> find(String name) {
            try {
                return macros.value(name);
            } catch (CommandException cycle) {
                throw new IllegalStateException(name + " is not in Parameters, which are checked when read", cycle);
            }
        }

        /** The value that a file or the environment sets. To determine the built-in value may need a name service. */
        Optional<Setting> set(String name) {
            return isMentioned(name) ? find(name).filter(Setting::isSet) : Optional.empty();
        }

        /**
         * The part of a value that was written in a file or the environment, directly or through other settings. It omits
         * built-in values and templates, even where a file repeats them as {@code $(NAME)}. Blank if nothing was written.
         */
        String wish(String name) {
            try {
                return wishes.value(name).map(Setting::value).orElse("");
            } catch (CommandException cycle) {
                throw new IllegalStateException(name + " refers to itself, which the first check missed", cycle);
            }
        }

        Optional<String> text(String name) {
            return find(name).map(Setting::value);
        }

        /** Whether a file or the environment sets it, even to a blank value. */
        boolean isMentioned(String name) {
            try {
                return macros.lookup(name).filter(Setting::isSet).isPresent();
            } catch (CommandException cycle) {
                throw new IllegalStateException(name + " is not looked up without being expanded", cycle);
            }
        }

        /** The items of a list, which are separated by commas or blanks. */
        static List<String> items(String value) {
            List<String> items = new ArrayList<>();
            for (StringTokenizer rest = new StringTokenizer(value, ", \t\r\n\f"); rest.hasMoreTokens(); ) {
                items.add(rest.nextToken());
            }
            return items;
        }

        /** A boolean. It may be a number, or yes, no, t or f, which HTCondor accepts only in some places. */
        boolean flag(String name, boolean otherwise) throws CommandException {
            Optional<Setting> setting = find(name);
            if (setting.isEmpty()) {
                return otherwise;
            }
            return Expression.truth(setting.get().value()).orElseThrow(() -> invalid(setting.get(), "true or false"));
        }

        int number(String name, int otherwise, int min, int max) throws CommandException {
            Optional<Setting> setting = find(name);
            if (setting.isEmpty()) {
                return otherwise;
            }
            return Expression.integer(setting.get().value()).filter(value -> value >= min && value <= max)
                .orElseThrow(() -> invalid(setting.get(), "a number from " + min + " to " + max)).intValue();
        }

        /** A security setting: the one for clients, or else the general one. condor_io/condor_secman.cpp */
        Optional<Setting> security(String name) {
            return find("SEC_CLIENT_" + name).or(() -> find("SEC_DEFAULT_" + name));
        }

        /** The part of its value that was written in a file or the environment. */
        String securityWish(String name) {
            return wish(find("SEC_CLIENT_" + name).isPresent() ? "SEC_CLIENT_" + name : "SEC_DEFAULT_" + name);
        }

        /** Matches the names of files to ignore in a configuration directory; it also applies to the token directory. */
        Pattern excluded() throws CommandException {
            return Sources.excluded(macros);
        }

        /** The error for a setting with an invalid value. */
        static String complaint(Setting setting, String expected) {
            return setting.name() + " = " + printable(setting.value()) + " (" + setting.source()
                + ") is invalid: it must be " + expected + ".";
        }

        static CommandException invalid(Setting setting, String expected) {
            return new CommandException(ErrorCode.CONFIGURATION, "ERROR: " + complaint(setting, expected), "");
        }

        /**
         * What {@code -config} shows.
         *
         * @param names any names; an empty list for all settings that this command uses
         * @throws CommandException CONFIGURATION, if one refers to itself
         */
        List<Parameter> shown(List<String> names) throws CommandException {
            List<Parameter> entries = new ArrayList<>();
            for (String name : names.isEmpty() ? Parameters.NAMES : names) {
                String source = macros.lookup(name).map(Setting::source).orElse(DEFAULT);
                entries.add(new Parameter(name, macros.value(name).map(Setting::value),
                    source.startsWith(ENVIRONMENT) ? ENVIRONMENT : source));
            }
            return entries;
        }
    }

    /**
     * The sources of settings, in order; a later source overrides an earlier one. condor_utils/condor_config.cpp, real_config
     *
     * <p>This differs from the original in two points: a missing configuration file is not an error, and root does not run
     * a command after it has read a file that another user can change or replace.
     */
    static final class Sources {
        private static final int MAX_BYTES = 1 << 22;
        private static final int COMPLAINTS_MILLIS = 1000;
        private static final String ROOT_VARIABLE = "CONDOR_CONFIG";
        private static final String PREFIX = "_CONDOR_";
        private static final String TRIGGER = "AUTO_USE_";
        private static final String FORBIDDEN = "YOU_MUST_CHANGE_THIS_INVALID_CONDOR_CONFIGURATION_VALUE";
        private final Host host;
        private final String localName;
        private final Deadline deadline;
        private final Map<String, Configuration.Setting> defined = new HashMap<>();
        private final Set<String> said = new LinkedHashSet<>();
        private final InputFiles files;
        /** The first file that other users can change, and how. */
        private Optional<Doubtful> doubtful = Optional.empty();
        private final HostFacts machine;
        private final Macros macros;
        /** The same settings with blank templates and blank built-in values: only what the administrator or user wrote. */
        private final Map<String, Configuration.Setting> wished = new HashMap<>();
        private final Macros wishes;

        /** The text of a source, and the exit status of the command that wrote it; 0 for a file. */
        record Text(String text, int exitStatus) { }

        private record Doubtful(Path file, PathTrust.Weakness weakness) { }

        Sources(Host host, String localName, Deadline deadline) {
            this.host = host;
            this.localName = localName;
            this.deadline = deadline;
            this.files = new InputFiles(host, deadline, this::say);
            this.machine = new HostFacts(host, localName, deadline);
            this.macros = new Macros(defined, Parameters::builtIn, localName, machine, host, said);
            this.wishes = new Macros(wished, name -> Optional.empty(), localName, machine, host, said);
        }

        Macros macros() {
            return macros;
        }

        /** Expands only what the administrator or user wrote, in place of the effective values. */
        Macros wishes() {
            return wishes;
        }

        /** Every warning so far, in the original's words. */
        List<String> said() {
            return List.copyOf(said);
        }

        void say(String line) {
            said.add(line);
        }

        /** @throws CommandException CONFIGURATION */
        void read() throws CommandException {
            if (!"ONLY_ENV".equalsIgnoreCase(host.environment().get(ROOT_VARIABLE))) {
                readRoot();
            }
            machine.rootIsRead(macros);
            undefine("HOSTNAME");
            undefine("FULL_HOSTNAME");
            if (defined.containsKey("TILDE") && machine.homeOfCondor().isPresent()) {
                undefine("TILDE");
            }
            String directories = text("LOCAL_CONFIG_DIR");
            readDirectories(directories);
            readLocalFiles();
            String changed = text("LOCAL_CONFIG_DIR");
            if (!changed.equals(directories)) {
                readDirectories(changed);
            }
            readUserFile();
            readEnvironment();
            machine.allIsRead();
            readPersistentFiles();
            machine.settle(macros);
            Optional<String> warning = machine.warning();
            if (warning.isPresent()) {
                say(warning.get());
            }
            useTriggered();
            check();
        }

        // ---- The sources, in order ----

        private void readRoot() throws CommandException {
            Optional<String> named = Optional.ofNullable(host.environment().get(ROOT_VARIABLE));
            if (named.isPresent() && !named.get().endsWith("|")) {
                Path file = Host.path(named.get(), ROOT_VARIABLE);
                boolean isDirectory = !named.get().isEmpty() && Files.isDirectory(file);
                if (isDirectory || named.get().isEmpty() || Files.notExists(file)) {
                    throw new CommandException(ErrorCode.CONFIGURATION,
                        "File specified in CONDOR_CONFIG environment variable:\n\""
                        + named.get() + (isDirectory ? "\" is a directory.  Please specify a file."
                            : "\" does not exist."), "");
                }
            }
            String root = named.isPresent() ? named.get() : standardRoot();
            if (!root.equals("/dev/null")) {
                int slash = root.lastIndexOf('/');
                define("CONFIG_ROOT", slash < 0 ? "." : root.substring(0, Math.max(1, slash)), Configuration.DETECTED);
                read("global config source", root, named.isPresent() ? FileOrigin.USER : FileOrigin.DEFAULT, 0);
            }
        }

        /** The first file that exists; otherwise an empty source. */
        private String standardRoot() {
            String home = machine.homeOfCondor().orElse("/etc/condor");
            for (String place : List.of("/etc/condor", "/usr/local/etc", home)) {
                if (Files.isReadable(Path.of(place, "condor_config"))) {
                    return place.concat("/condor_config");
                }
            }
            return "/dev/null";
        }

        private void readDirectories(String list) throws CommandException {
            for (String directory : Configuration.items(list)) {
                Pattern excluded = excluded(macros);
                String[] names = Objects.requireNonNullElse(Host.path(directory, "LOCAL_CONFIG_DIR").toFile().list(),
                    new String[0]);
                Arrays.sort(names);
                for (String name : names) {
                    Path file = Host.path(directory, "LOCAL_CONFIG_DIR").resolve(Host.path(name, "LOCAL_CONFIG_DIR"));
                    if (!excluded.matcher(name).find() && !Files.isDirectory(file)) {
                        read("config source", file.toString(), FileOrigin.CONFIGURATION, 1);
                    }
                }
            }
        }

        /** Matches the names of files to ignore in a configuration directory, such as an editor's backups. */
        static Pattern excluded(Macros macros) throws CommandException {
            Optional<Configuration.Setting> expression = macros.value("LOCAL_CONFIG_DIR_EXCLUDE_REGEXP");
            try {
                return Pattern.compile(expression.isEmpty() ? "(?!)" : expression.get().value());
            } catch (PatternSyntaxException e) {
                throw Configuration.invalid(expression.get(), "a regular expression");
            }
        }

        /** A file can change the list of files; then the new list applies, except for files that were already read. */
        private void readLocalFiles() throws CommandException {
            List<String> done = new ArrayList<>();
            requiresLocalFiles(); // a wrong value is an error even if no file is missing
            String list = text("LOCAL_CONFIG_FILE");
            Deque<String> next = new ArrayDeque<>(localFiles(list));
            while (!next.isEmpty()) {
                done.add(next.element());
                read("config source", next.remove(), FileOrigin.CONFIGURATION, 1);
                String changed = text("LOCAL_CONFIG_FILE");
                if (!changed.isEmpty() && !changed.equals(list)) {
                    list = changed;
                    next = new ArrayDeque<>(localFiles(list));
                    next.removeAll(done);
                }
            }
        }

        /** The items: a list of files, or one command. */
        private static List<String> localFiles(String list) {
            return list.contains("|") ? List.of(list) : Configuration.items(list);
        }

        private void readUserFile() throws CommandException {
            String name = text("USER_CONFIG_FILE");
            if (!name.isEmpty() && !host.isRoot() && (name.startsWith("/") || host.home().isPresent())) {
                Path file = host.home().orElse(Path.of("/")).resolve(".condor").resolve(Host.path(name, "USER_CONFIG_FILE"));
                if (Files.isReadable(file)) {
                    read("user_config source", file.toString(), FileOrigin.DEFAULT, 1);
                }
            }
        }

        /** The files that condor_config_val -set has written. condor_config.cpp, process_persistent_configs */
        private void readPersistentFiles() throws CommandException {
            String enabled = text("ENABLE_PERSISTENT_CONFIG");
            if (enabled.equals("false") || !Expression.truth(enabled).orElse(false)) {
                return;
            }
            String directory = text("PERSISTENT_CONFIG_DIR");
            String named = text(Macros.SUBSYSTEM.concat("_CONFIG"));
            String file = named.isEmpty() ? directory.concat("/.config.").concat(Macros.SUBSYSTEM) : named;
            if ((named.isEmpty() && directory.isEmpty()) || !Files.isReadable(Path.of(file))) {
                return;
            }
            read("persistent config source", file, FileOrigin.CONFIGURATION, 0);
            for (String setting : new TreeSet<>(Configuration.items(text("RUNTIME_CONFIG_ADMIN")))) {
                read("persistent config source", file + "." + setting, FileOrigin.CONFIGURATION, 0);
            }
        }

        /** In a fixed order, since two names can differ only in case. */
        private void readEnvironment() throws CommandException {
            for (Map.Entry<String, String> variable : new TreeMap<>(host.environment()).entrySet()) {
                String name = variable.getKey();
                if (name.length() > PREFIX.length() && name.regionMatches(true, 0, PREFIX, 0, PREFIX.length())) {
                    define(name.substring(PREFIX.length()), variable.getValue().stripLeading(),
                        Configuration.ENVIRONMENT + " variable " + name);
                }
            }
        }

        /** If AUTO_USE_CATEGORY_TEMPLATE is true, it acts like a {@code use} after all sources. */
        private void useTriggered() throws CommandException {
            for (Configuration.Setting trigger : List.copyOf(defined.values())) {
                String name = trigger.name();
                int end = name.regionMatches(true, 0, TRIGGER, 0, TRIGGER.length())
                    ? name.indexOf('_', TRIGGER.length()) : -1;
                String value = end < 0 ? "" : text(name);
                try {
                    if (!value.isEmpty() && Conditions.test(value, macros)) {
                        new ConfigParser(this, name, "use " + name.substring(TRIGGER.length(), end) + " : "
                            + name.substring(end + 1) + "\n", 1, Optional.of(name)).perform();
                    }
                } catch (ConfigSyntaxException e) {
                    say("Configuration error while interpreting " + name + " : " + e.getMessage());
                }
            }
        }

        /** Checks that need all settings: circular references, domains that must not be blank, implausible values. */
        private void check() throws CommandException {
            if (defined.isEmpty()) {
                return;
            }
            Macros offline = new Macros(defined, Parameters::builtIn, localName, machine.offline(), host, said);
            for (String name : Parameters.NAMES) {
                offline.value(name);
            }
            for (String domain : List.of("UID_DOMAIN", "FILESYSTEM_DOMAIN")) {
                if (offline.value(domain).isEmpty()) {
                    define(domain, "$(FULL_HOSTNAME)", Configuration.DETECTED);
                }
            }
            for (Configuration.Setting setting : defined.values()) {
                if (setting.value().contains(FORBIDDEN)) {
                    throw Configuration.invalid(setting, "changed before HTCondor can be used");
                }
            }
        }

        /** Deletes what a source has set, so that the built-in value applies. */
        private void undefine(String name) {
            defined.remove(name);
            wished.remove(name);
        }

        private String text(String name) throws CommandException {
            Optional<Configuration.Setting> setting = macros.value(name);
            return setting.isEmpty() ? "" : setting.get().value();
        }

        /** A reference of a value to itself means the previous value, and is expanded immediately. */
        void define(String name, String value, String source) throws CommandException {
            define(name, Optional.empty(), value, source, false);
        }

        /**
         * @param separator text between the previous value and the new one; empty if the new one replaces it
         * @param template  whether a template sets the value, rather than the administrator or user
         */
        void define(String name, Optional<String> separator, String value, String source, boolean template)
                throws CommandException {
            String key = name.toUpperCase(Locale.ROOT);
            Configuration.Setting setting = setting(name, separator, value, source, macros);
            wished.put(key, !template && separator.isEmpty() && value.indexOf('$') < 0 ? setting
                : setting(name, separator, template ? Macros.references(value) : value, source, wishes));
            defined.put(key, setting);
        }

        private static Configuration.Setting setting(String name, Optional<String> separator, String value, String source,
                Macros before) throws CommandException {
            String prefix = "";
            if (separator.isPresent()) {
                prefix = before.lookup(name).map(Configuration.Setting::value).filter(old -> !old.isEmpty())
                    .map(old -> old + separator.get()).orElse("");
            }
            return new Configuration.Setting(name, before.expandSelf(name, prefix + value), source);
        }

        /** Only this check accepts any word that begins with t or f. condor_config.cpp, param_boolean_crufty */
        private boolean requiresLocalFiles() throws CommandException {
            Optional<Configuration.Setting> setting = macros.value("REQUIRE_LOCAL_CONFIG_FILE");
            String text = setting.isEmpty() ? "true" : setting.get().value().strip().toLowerCase(Locale.ROOT);
            if (text.startsWith("t") || text.startsWith("f")) {
                return text.startsWith("t");
            }
            return (Conditions.word(text).isPresent() ? Optional.<Boolean>empty() : Expression.truth(text))
                .orElseThrow(() -> Configuration.invalid(setting.get(), "true or false"));
        }

        // ---- One source ----

        /** @param kind what messages call it */
        private void read(String kind, String name, FileOrigin origin, int depth) throws CommandException {
            if (!name.contains("|") && !Files.isReadable(Host.path(name, kind))) {
                if (depth == 0 || requiresLocalFiles()) {
                    throw new CommandException(ErrorCode.CONFIGURATION, "ERROR: Can't read " + kind + " " + name, "");
                }
                return;
            }
            ConfigParser statements = new ConfigParser(this, name, "", depth, Optional.empty());
            try {
                Text source = open(name, origin);
                statements = new ConfigParser(this, name, source.text(), depth, Optional.empty());
                statements.perform();
                if (source.exitStatus() != 0) {
                    say("Error \"" + name + "\": command terminated with exit code " + (source.exitStatus() << 8));
                    throw new ConfigSyntaxException("");
                }
            } catch (IOException | ConfigSyntaxException e) {
                say("Configuration Error Line " + statements.line() + " while reading " + kind + " " + name);
                say(e.getMessage());
                throw new CommandException(ErrorCode.CONFIGURATION, said.stream().filter(line -> !line.isEmpty())
                    .collect(Collectors.joining("\n")), "");
            }
        }

        /** Opens a file, or the output of a command if the name ends in a bar. */
        Text open(String name, FileOrigin origin) throws IOException, CommandException {
            if (name.contains("|")) {
                if (!name.endsWith("|")) {
                    throw new IOException("not a valid command, | must be at the end");
                }
                return run(name.replaceFirst("[| ]+$", ""));
            }
            try {
                Path file = Host.path(name, "the configuration");
                if (Files.isDirectory(file)) {
                    return new Text("", 0); // HTCondor opens it and reads nothing
                }
                InputFiles.Input input = files.read(file, origin, FilePurpose.SETTINGS, MAX_BYTES);
                if (doubtful.isEmpty() && input.weakness().isPresent()) {
                    doubtful = Optional.of(new Doubtful(file, input.weakness().get()));
                }
                return new Text(text(input.bytes()), 0);
            } catch (IOException e) {
                throw new IOException("can't open file " + name + ": " + reason(e), e);
            }
        }

        /** A file name cannot contain a null character, which ends a line in the original. */
        private static String text(byte[] bytes) {
            return new String(bytes, UTF_8).replace("\0", "");
        }

        /**
         * Runs a command. Blanks separate its words, and no shell is used. Root does not run a command if another user
         * can have written its words; they can come from any file that was read before.
         */
        Text run(String command) throws IOException, CommandException {
            if (host.isRoot() && doubtful.isPresent()) {
                throw new CommandException(ErrorCode.CONFIGURATION, "ERROR: root does not run " + printable(command)
                    + " for the configuration in " + doubtful.get().file() + ".", doubtful.get().weakness() + ".");
            }
            ProcessBuilder builder = new ProcessBuilder(command.strip().split("\\s+"))
                .redirectInput(Path.of("/dev/null").toFile());
            builder.environment().clear();
            builder.environment().putAll(host.environment());
            Process process;
            try {
                process = builder.start();
            } catch (IOException e) {
                throw new IOException("not a valid command: " + e.getMessage(), e);
            }
            // Its stderr is forwarded. It does not inherit this program's stderr, for the reason in Host.isTerminal.
            Thread complaints = new Thread(() -> passOn(process.getErrorStream()), "complaints of " + command);
            complaints.setDaemon(true);
            complaints.start();
            try {
                Text text = deadline.await("the command", () -> output(process));
                complaints.join(COMPLAINTS_MILLIS); // a background process of the command may keep the pipe open
                return text;
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("interrupted", e);
            } finally {
                process.destroy();
            }
        }

        private void passOn(InputStream complaints) {
            try {
                byte[] bytes = new byte[8192];
                for (int count = complaints.read(bytes); count >= 0; count = complaints.read(bytes)) {
                    host.err().write(bytes, 0, count);
                    host.err().flush();
                }
            } catch (IOException e) {
                // The process was killed.
            }
        }

        private static Text output(Process process) throws IOException {
            try {
                byte[] output = process.getInputStream().readNBytes(MAX_BYTES + 1);
                if (output.length > MAX_BYTES) {
                    throw new IOException("it wrote more than " + MAX_BYTES + " bytes");
                }
                return new Text(text(output), process.waitFor());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("interrupted", e);
            }
        }

        /** The cached output of a command; on first use, the command runs and its output is written to the cache file. */
        Text runInto(Path cache, String command) throws IOException, CommandException {
            if (!Files.isReadable(cache)) {
                Text output = run(command);
                if (output.exitStatus() != 0) {
                    throw new IOException("exited with error " + (output.exitStatus() << 8));
                }
                // CREATE_NEW does not follow a link that another user has put there.
                Files.writeString(place(cache), output.text(), StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
            }
            return open(cache.toString(), FileOrigin.CONFIGURATION);
        }

        private Path place(Path cache) throws IOException, CommandException {
            try {
                return files.place(cache);
            } catch (InputFiles.RefusedFileException e) {
                throw new CommandException(ErrorCode.CONFIGURATION, "ERROR: root does not write " + printable(cache.toString())
                    + " for the configuration.", "It " + reason(e) + ".");
            }
        }
    }

    /** The rest of a source cannot be read. The message is the reason; empty if it was already reported. */
    static final class ConfigSyntaxException extends Exception {
        private static final long serialVersionUID = 1L;

        ConfigSyntaxException(String reason) {
            super(reason);
        }
    }

    /** The lines of a source, continued ones as one. condor_utils/config.cpp, getline_implementation */
    static final class LogicalLines {
        private final String text;
        private int at;
        private int number;
        private boolean oldComments;

        LogicalLines(String text) {
            this.text = text;
        }

        /** The number of lines read so far. */
        int number() {
            return number;
        }

        /** Whether a backslash continues a comment, and a comment must begin a statement, as before 8.1. */
        void oldComments(boolean old) {
            oldComments = old;
        }

        /**
         * The next line, stripped; empty at the end.
         *
         * <p>Two oddities of the original remain, since values depend on them. Of a comment between continued lines
         * the last character remains, which should be a backslash. A last line without a newline is neither stripped
         * nor counted.
         */
        Optional<String> next() {
            if (at == text.length()) {
                return Optional.empty();
            }
            StringBuilder line = new StringBuilder();
            for (boolean goesOn = true; goesOn && at < text.length(); ) {
                int end = text.indexOf('\n', at);
                if (end < 0) {
                    line.append(text, at, text.length());
                    at = text.length();
                    break;
                }
                String part = text.substring(at, end).strip();
                at = end + 1;
                number++;
                boolean comment = part.startsWith("#");
                boolean within = comment && line.length() > 0 && !oldComments;
                line.append(part, within ? part.length() - 1 : 0, part.length());
                goesOn = line.length() > 0 && line.charAt(line.length() - 1) == '\\';
                if (goesOn) {
                    line.setLength(line.length() - 1);
                    goesOn = !comment || within || oldComments;
                }
            }
            return Optional.of(line.toString());
        }
    }

    /**
     * The parts of a line.
     *
     * @param keyword  up to the first blank or operator
     * @param words    between that and the operator
     * @param operator {@code = : @= += +,= +&&=} and so on; empty for a line without one
     * @param rest     the text after the operator
     */
    record ConfigLine(String keyword, String words, String operator, String rest) {

        static ConfigLine of(String line) {
            int end = 0;
            while (end < line.length() && "=: \t\f".indexOf(line.charAt(end)) < 0) {
                end++;
            }
            int start = end;
            while (start < line.length() && "=:@+".indexOf(line.charAt(start)) < 0) {
                start++;
            }
            String operator = operator(line, start);
            return new ConfigLine(line.substring(0, end), line.substring(end, start).strip(), operator,
                line.substring(start + operator.length()).stripLeading());
        }

        private static String operator(String line, int start) {
            int at = start + (line.startsWith("@", start) || line.startsWith("+", start) ? 1 : 0);
            if (line.startsWith("+", start) && at < line.length() && ",;|&*".indexOf(line.charAt(at)) >= 0) {
                at += line.startsWith(line.substring(at, at + 1), at + 1) ? 2 : 1;
            }
            return line.startsWith(":", start) ? ":" : line.startsWith("=", at) ? line.substring(start, at + 1) : "";
        }

        /** The text that an appending operator puts between the previous value and the new one. */
        String separator() {
            String separator = operator.substring(1, operator.length() - 1);
            return separator.isEmpty() ? " " : separator.length() > 1 ? " " + separator + " " : separator;
        }
    }

    /** Executes the lines of one source. condor_utils/config.cpp, Parse_macros */
    static final class ConfigParser {
        private static final int DEPTH_MAX = 20;
        private final Sources sources;
        private final Macros macros;
        private final String name;
        private final LogicalLines lines;
        private final int depth;
        private final Optional<String> origin;
        private final Deque<Branch> branches = new ArrayDeque<>();
        private Optional<HereDocument> document = Optional.empty();

        /** The position in an {@code if}: in, after or before the branch that applies; two of the values are for its else. */
        private enum Branch { TAKEN, PASSED, SOUGHT, TAKEN_ELSE, PASSED_ELSE }

        /** A value of several lines, while it is read. */
        private record HereDocument(String name, String end, List<String> lines) { }

        /**
         * @param name   the source's name in messages
         * @param origin the source of settings that a template sets, in place of the line
         */
        ConfigParser(Sources sources, String name, String text, int depth, Optional<String> origin) {
            this.sources = sources;
            this.macros = sources.macros();
            this.name = name;
            this.lines = new LogicalLines(text);
            this.depth = depth;
            this.origin = origin;
        }

        /** The number of the last line read. */
        int line() {
            return lines.number();
        }

        void perform() throws ConfigSyntaxException, CommandException {
            for (Optional<String> next = lines.next(); next.isPresent(); next = lines.next()) {
                String line = next.get();
                if (line.startsWith("#") || line.isBlank()) {
                    if (line.startsWith("#opt:") && line.endsWith("comment")) {
                        lines.oldComments(line.equals("#opt:oldcomment"));
                    }
                } else if (document.isPresent()) {
                    takeLine(document.get(), line);
                } else {
                    String uncovered = uncovered(line);
                    if (!isBranching(uncovered) && counts()) {
                        perform(ConfigLine.of(uncovered));
                    }
                }
            }
            if (document.isPresent()) {
                sources.say("Config source Found end-of-file while scanning for '@" + document.get().end() + "' in "
                    + name);
                throw new ConfigSyntaxException("");
            }
            if (!branches.isEmpty()) {
                say("Error", "");
                throw new ConfigSyntaxException("endif(s) not found before end-of-file");
            }
        }

        private void takeLine(HereDocument here, String line) throws CommandException {
            if (line.equals("@" + here.end())) {
                document = Optional.empty();
                sources.define(here.name(), Optional.empty(), String.join("\n", here.lines()), origin(), origin.isPresent());
            } else {
                here.lines().add(line);
            }
        }

        // ---- if, elif, else, endif ----

        /** HTCondor before 8.1.5 ignored a line after a colon; an {@code if} now ignores the colon. */
        private String uncovered(String line) {
            return line.startsWith(":") && (!branches.isEmpty() || is("if", line.substring(1)))
                ? line.substring(1) : line;
        }

        private static boolean is(String keyword, String line) {
            return line.regionMatches(true, 0, keyword, 0, keyword.length())
                && (line.length() == keyword.length() || Character.isWhitespace(line.charAt(keyword.length())));
        }

        private boolean counts() {
            return branches.isEmpty() || (!branches.contains(Branch.PASSED) && !branches.contains(Branch.SOUGHT)
                && !branches.contains(Branch.PASSED_ELSE));
        }

        private boolean isBranching(String line) throws ConfigSyntaxException, CommandException {
            if (is("if", line)) {
                branches.push(!counts() ? Branch.PASSED : branch(line, "if"));
            } else if (is("elif", line)) {
                branches.push(leave("elif") != Branch.SOUGHT ? Branch.PASSED : branch(line, "elif"));
            } else if (is("else", line)) {
                branches.push(leave("else") == Branch.SOUGHT ? Branch.TAKEN_ELSE : Branch.PASSED_ELSE);
            } else if (is("endif", line)) {
                if (branches.isEmpty()) {
                    throw new ConfigSyntaxException("endif without matching if");
                }
                branches.pop();
            } else {
                return false;
            }
            return true;
        }

        private Branch leave(String keyword) throws ConfigSyntaxException {
            if (branches.isEmpty()) {
                throw new ConfigSyntaxException(keyword + " without matching if");
            }
            if (branches.element() == Branch.TAKEN_ELSE || branches.element() == Branch.PASSED_ELSE) {
                throw new ConfigSyntaxException(keyword + " is not allowed after else");
            }
            return branches.pop();
        }

        private Branch branch(String line, String keyword) throws ConfigSyntaxException, CommandException {
            String condition = line.substring(keyword.length()).strip();
            try {
                return Conditions.test(condition, macros) ? Branch.TAKEN : Branch.SOUGHT;
            } catch (ConfigSyntaxException e) {
                throw new ConfigSyntaxException(condition + " is not a valid " + keyword + " condition because "
                    + e.getMessage());
            }
        }

        // ---- The other statements ----

        private void perform(ConfigLine statement) throws ConfigSyntaxException, CommandException {
            if (statement.operator().isEmpty()) {
                // Only installers of another system use headings like [this].
                if (!statement.keyword().startsWith("[") || !(statement.words() + statement.rest()).isEmpty()) {
                    throw new ConfigSyntaxException("");
                }
                return;
            }
            // A keyword may begin with @, which hid it from HTCondor before 8.1.5.
            String keyword = statement.keyword().toLowerCase(Locale.ROOT);
            switch (!statement.operator().equals(":") ? "" : keyword.startsWith("@") ? keyword.substring(1) : keyword) {
                case "use" -> use(statement);
                case "include" -> include(statement);
                case "warning" -> say("Warning", macros.expand(statement.rest()));
                case "error" -> {
                    say("Error", macros.expand(statement.rest()));
                    throw new ConfigSyntaxException("");
                }
                default -> assign(statement);
            }
        }

        private void use(ConfigLine statement) throws ConfigSyntaxException, CommandException {
            String category = macros.expand(statement.words());
            boolean known = Templates.isCategory(category);
            for (Templates.Call call : Templates.calls(statement.rest())) {
                Optional<String> text = Templates.find(category, call);
                if (text.isPresent()) {
                    new ConfigParser(sources, name, text.get(), depth, Optional.of(origin())).perform();
                } else if (known) {
                    sources.say("Error: use " + category + ":" + statement.rest() + ": does not recognise "
                        + call.template());
                    known = false;
                }
            }
            if (!known) {
                say("Error", "at use " + category + ":" + statement.rest() + ":" + statement.rest());
                throw new ConfigSyntaxException("");
            }
        }

        private void include(ConfigLine statement) throws ConfigSyntaxException, CommandException {
            Deque<String> words = new ArrayDeque<>(Configuration.items(statement.words()));
            boolean optional = words.removeFirstOccurrence("ifexist") || words.removeFirstOccurrence("ifexists");
            boolean command = words.removeFirstOccurrence("command") || words.removeFirstOccurrence("output");
            Optional<String> cache = command && words.size() > 1 && words.removeFirstOccurrence("into")
                ? Optional.of(macros.expand(words.remove())) : Optional.empty();
            if (!words.isEmpty()) {
                say("Error", "unexpected keyword(s) '" + statement.words() + "' after include ");
                throw new ConfigSyntaxException("");
            }
            String target = macros.expand(statement.rest());
            ConfigParser inner = new ConfigParser(sources, target, "", depth + 1, Optional.empty());
            try {
                Sources.Text text = cache.isPresent() ? sources.runInto(Host.path(cache.get(), "include command into"), target)
                    : command && !target.contains("|") ? sources.run(target)
                    : sources.open(target, FileOrigin.CONFIGURATION);
                if (depth + 1 >= DEPTH_MAX) {
                    throw new ConfigSyntaxException("includes nested too deep");
                }
                inner = new ConfigParser(sources, target, text.text(), depth + 1, Optional.empty());
                inner.perform();
            } catch (IOException | ConfigSyntaxException e) {
                if (e instanceof ConfigSyntaxException || !optional) {
                    sources.say("Config source Error \"" + target + "\", Line " + inner.line() + ", Include Depth "
                        + (depth + 1) + ": " + e.getMessage());
                    throw new ConfigSyntaxException("");
                }
            }
        }

        private void assign(ConfigLine statement) throws ConfigSyntaxException, CommandException {
            if (statement.operator().equals(":") && !statement.keyword().equalsIgnoreCase("RunBenchmarks")) {
                say("Warning", "obsolete use of ':' for parameter assignment at " + statement.keyword() + " : "
                    + statement.rest());
            }
            String parameter = macros.expand(statement.keyword());
            if (!Macros.isName(parameter)) {
                say("Error", "Illegal Identifier: <" + parameter + ">");
                throw new ConfigSyntaxException("");
            }
            if (statement.operator().equals("@=")) {
                document = Optional.of(new HereDocument(parameter, statement.rest(), new ArrayList<>()));
                return;
            }
            sources.define(parameter, Optional.of(statement.operator()).filter(operator -> operator.startsWith("+"))
                .map(plus -> statement.separator()), statement.rest(), origin(), origin.isPresent());
        }

        private String origin() {
            return origin.isPresent() ? origin.get() : name.concat(":").concat(Integer.toString(lines.number()));
        }

        private void say(String severity, String words) {
            sources.say("Config source " + severity + " \"" + name + "\", Line " + lines.number() + ": " + words);
        }
    }

    /** The condition after {@code if} or {@code elif}. condor_utils/config.cpp, Evaluate_config_if */
    static final class Conditions {
        /** The HTCondor release whose configuration language this is. */
        private static final List<Integer> VERSION = List.of(25, 14, 1);
        private static final String COMPLEX = "complex conditionals are not supported";

        /** @throws ConfigSyntaxException with the reason why the text is not a condition */
        static boolean test(String text, Macros macros) throws ConfigSyntaxException, CommandException {
            String expanded = macros.expand(text).strip();
            boolean negated = expanded.startsWith("!");
            String condition = negated ? expanded.substring(1).strip() : expanded;
            // A reference to an undefined name is false, but an empty condition is an error.
            return negated != (!(condition.isEmpty() && text.contains("$")) && holds(condition, macros));
        }

        private static boolean holds(String condition, Macros macros) throws ConfigSyntaxException, CommandException {
            if (isNumber(condition)) {
                return Double.parseDouble(condition) != 0;
            }
            Optional<Boolean> word = word(condition);
            if (word.isPresent()) {
                return word.get();
            }
            if (startsWith("version", condition)) {
                return isVersion(condition);
            }
            if (startsWith("defined", condition)
                && consistsOf(condition, c -> Character.isWhitespace(c) || c == ':' || Macros.isNameCharacter(c))) {
                return isDefined(condition.substring(7).strip(), macros);
            }
            throw new ConfigSyntaxException(Macros.isName(condition) || condition.isEmpty() ? "expression is not a conditional"
                : COMPLEX);
        }

        /** A word for true or false; empty for any other text. */
        static Optional<Boolean> word(String text) {
            return switch (text.toLowerCase(Locale.ROOT)) {
                case "true", "yes", "t" -> Optional.of(true);
                case "false", "no", "f" -> Optional.of(false);
                default -> Optional.empty();
            };
        }

        private static boolean isDefined(String what, Macros macros) throws ConfigSyntaxException, CommandException {
            if (what.isEmpty()) {
                return false;
            }
            if (Macros.isName(what)) {
                return isNumber(what) || word(what).isPresent()
                    || macros.lookup(what).filter(setting -> !setting.value().isEmpty()).isPresent();
            }
            if (!startsWith("use", what)) {
                throw new ConfigSyntaxException("defined argument must be param name, boolean, or number");
            }
            String[] parts = what.substring(3).strip().split(":", 2);
            if (!consistsOf(what.substring(3).strip(), c -> !Character.isWhitespace(c))) {
                throw new ConfigSyntaxException("defined use meta argument with internal spaces will never match");
            }
            return (parts.length < 2 || parts[1].isEmpty()) ? Templates.isCategory(parts[0])
                : Templates.find(parts[0], new Templates.Call(parts[1], "")).isPresent();
        }

        /** A comparison with this version; a missing third number is taken from this version. */
        private static boolean isVersion(String condition) throws ConfigSyntaxException {
            Matcher parts = Pattern.compile("version\\s+(!?)([<=>])(=?)\\s*v?([0-9]{1,9})\\.([0-9]{1,9})"
                + "(?:\\.([0-9]{1,9}))?", Pattern.CASE_INSENSITIVE).matcher(condition);
            if (!parts.matches()) {
                throw new ConfigSyntaxException(condition.chars().anyMatch(Character::isDigit) ? "the version literal is invalid"
                    : COMPLEX);
            }
            int difference = 0;
            for (int i = 0; i < VERSION.size() && difference == 0; i++) {
                String number = parts.group(4 + i);
                difference = number == null ? 0 : Integer.compare(VERSION.get(i), Integer.parseInt(number));
            }
            boolean holds = difference == "<=>".indexOf(parts.group(2)) - 1
                || (difference == 0 && !parts.group(3).isEmpty());
            return holds == parts.group(1).isEmpty();
        }

        private static boolean startsWith(String word, String text) {
            return text.regionMatches(true, 0, word, 0, word.length())
                && (text.length() == word.length() || !Character.isLetterOrDigit(text.charAt(word.length())));
        }

        private static boolean isNumber(String text) {
            try {
                return !text.startsWith("+") && consistsOf(text, c -> "0123456789.eE+-".indexOf(c) >= 0)
                    && !Double.isNaN(Double.parseDouble(text));
            } catch (NumberFormatException e) {
                return false;
            }
        }

        private static boolean consistsOf(String text, IntPredicate characters) {
            return text.chars().allMatch(characters);
        }
    }

    /**
     * The bundles of settings that {@code use} names. condor_utils/param_info.in
     *
     * <p>A heading has a category and templates that share the text below it. Templates for daemons only have an empty
     * text here, or what the test cases need; they are listed, so that a {@code use} of them is not an error.
     */
    static final class Templates {
        private static final String TEXT = """
            [ROLE Personal]
            CONDOR_HOST = 127.0.0.1
            COLLECTOR_HOST = $(CONDOR_HOST):0
            DAEMON_LIST = MASTER COLLECTOR NEGOTIATOR STARTD SCHEDD
            RunBenchmarks = 0
            [ROLE Execute]
            DAEMON_LIST = $(DAEMON_LIST) STARTD
            [ROLE Submit]
            DAEMON_LIST = $(DAEMON_LIST) SCHEDD
            [ROLE CentralManager]
            DAEMON_LIST = $(DAEMON_LIST) COLLECTOR NEGOTIATOR
            [ROLE get_htcondor_central_manager]
            use SECURITY : get_htcondor_idtokens
            use ROLE : CentralManager
            [ROLE get_htcondor_submit]
            use SECURITY : get_htcondor_idtokens
            use ROLE : Submit
            [ROLE get_htcondor_execute]
            use SECURITY : get_htcondor_idtokens
            use ROLE : Execute
            [SECURITY Strong]
            SEC_DEFAULT_ENCRYPTION = required
            SEC_DEFAULT_INTEGRITY = required
            SEC_DEFAULT_AUTHENTICATION = required
            [SECURITY With_Authentication]
            SEC_DEFAULT_AUTHENTICATION = required
            SEC_DEFAULT_INTEGRITY = required
            [SECURITY Host_Based]
            ALLOW_ADMINISTRATOR = $(CONDOR_HOST)
            ALLOW_READ = *
            ALLOW_WRITE = $(FULL_HOSTNAME) $(IPV4_ADDRESS) $(IPV6_ADDRESS)
            ALLOW_DAEMON = $(FULL_HOSTNAME) $(IPV4_ADDRESS) $(IPV6_ADDRESS)
            ALLOW_NEGOTIATOR = $(CONDOR_HOST)
            LEGACY_ALLOW_SEMANTICS = TRUE
            [SECURITY User_Based]
            authuser = $(USERNAME)
            if $(CondorIsAdmin)
            authuser = condor
            endif
            use SECURITY : recommended($(authuser))
            if ! $(CondorIsAdmin)
            ALLOW_WRITE = $(authuser)@$(UID_DOMAIN)
            endif
            [SECURITY recommended_v9_0]
            SECURITY_MODEL = 9.0
            use SECURITY : Strong
            SEC_READ_AUTHENTICATION = OPTIONAL
            SEC_READ_ENCRYPTION = OPTIONAL
            SEC_READ_INTEGRITY = OPTIONAL
            ALLOW_ADMINISTRATOR = $(1:condor)@* condor_pool@* $(2:root@*) $(3+)
            ALLOW_DAEMON = $(1:condor)@*  condor_pool@*
            ALLOW_NEGOTIATOR = $(1:condor)@* condor_pool@*
            ALLOW_WRITE = *
            ALLOW_READ = *
            [SECURITY recommended_v24_0]
            SECURITY_MODEL = 24.0
            use SECURITY : Strong
            SEC_READ_AUTHENTICATION = OPTIONAL
            SEC_CLIENT_AUTHENTICATION = OPTIONAL
            ALLOW_ADMINISTRATOR = $(1:condor)@* condor@password $(2:root@*) $(3+)
            ALLOW_DAEMON = $(1:condor)@*  condor@password
            ALLOW_NEGOTIATOR = $(1:condor)@* condor@password
            ALLOW_WRITE = *
            ALLOW_READ = *
            [SECURITY recommended]
            use SECURITY : recommended_v24_0($(1+))
            [SECURITY get_htcondor_idtokens]
            use SECURITY : recommended
            SEC_READ_AUTHENTICATION_METHODS = $(SEC_DEFAULT_AUTHENTICATION_METHODS),ANONYMOUS
            SEC_CLIENT_AUTHENTICATION_METHODS = $(SEC_DEFAULT_AUTHENTICATION_METHODS),ANONYMOUS
            TRUST_DOMAIN = $(CONDOR_HOST)
            [SECURITY FIPS]
            FIPS = True
            use SECURITY : Strong
            SEC_DEFAULT_CRYPTO_METHODS = AES,3DES
            [FEATURE HPC_Annex]
            is_personal = "$(COLLECTOR_HOST)" == "127.0.0.1:0" || "$(COLLECTOR_HOST)" == "$(FULL_HOSTNAME):0"
            if $INT(is_personal)
            COLLECTOR_HOST = $(FULL_HOSTNAME):$(COLLECTOR_PORT)
            endif
            [FEATURE AdStash AssignAccountingGroup AssignProjectName ChildCollector CommonCloudAttributesAWS]
            [FEATURE CommonCloudAttributesGoogle ContinuousCronHook DefaultCheckpointDestination Ganglia GPUs]
            [FEATURE GPUsMonitor JobsHaveInstanceIDs KRB Librarian Metricd Monitor OAuth OneShotCronHook PartitionableSlot]
            [FEATURE PelicanCache PelicanRetryPolicy PeriodicCronHook Policy_Expr_Fragments Policy_Hours_To_Start]
            [FEATURE Remote_Config Remote_Runtime_Config ScheddCronContinuous ScheddCronOneShot ScheddCronPeriodic]
            [FEATURE ScheddUsermapFile SetJobAttrFromUsermap StartdCronContinuous StartdCronOneShot]
            [FEATURE StartdCronPeriodic StaticSlots TestingMode_Policy_Values UWCS_Desktop_Policy_Values]
            [POLICY Always_Run_Jobs]
            START = True
            SUSPEND = False
            PREEMPT = False
            KILL = False
            [POLICY Desktop Desktop_Hours Desktop_Idle Hold_If_CPUs_Exceeded Hold_If_Disk_Exceeded]
            [POLICY Hold_If_Memory_Exceeded Hold_If_Runtime_Exceeds Limit_Job_Runtimes]
            [POLICY OnlyRegisteredCheckpointDestinations Preempt_If Preempt_If_CPUs_Exceeded Preempt_If_Disk_Exceeded]
            [POLICY Preempt_If_Memory_Exceeded Preempt_If_Runtime_Exceeds Startd_Publish_CpusUsage UWCS_Desktop]
            [POLICY Want_Hold_If]
            [EXPERIMENTAL CollectorNode HAD HADFixedPort HADReplication HADSharedPort]
            [UPGRADE Discard DiscardIf DiscardIfX DiscardX Discard_VMware]
            """;

        /** The texts by category and template, in capitals; a category alone has an empty text. */
        private static final Map<String, String> TEXTS = Map.copyOf(texts());

        /** A template named by a {@code use}, with the text between its parentheses. */
        record Call(String template, String arguments) { }

        /** The templates after the colon of a {@code use}, separated by commas or blanks. */
        static List<Call> calls(String text) {
            List<Call> calls = new ArrayList<>();
            Matcher names = Pattern.compile("[^\\s,(]+").matcher(text);
            for (int at = 0; names.find(at); ) {
                at = names.end();
                int open = at;
                while (open < text.length() && Character.isWhitespace(text.charAt(open))) {
                    open++;
                }
                String arguments = "";
                if (text.startsWith("(", open)) {
                    int nesting = 1;
                    for (at = open + 1; at < text.length() && nesting > 0; at++) {
                        nesting += text.charAt(at) == '(' ? 1 : text.charAt(at) == ')' ? -1 : 0;
                    }
                    arguments = text.substring(open + 1, nesting > 0 ? at : at - 1);
                }
                calls.add(new Call(names.group(), arguments));
            }
            return calls;
        }

        static boolean isCategory(String category) {
            return TEXTS.containsKey(category.toUpperCase(Locale.ROOT));
        }

        /** The statements of a template; empty for an unknown template. */
        static Optional<String> find(String category, Call call) {
            String key = String.join(" ", category, call.template()).toUpperCase(Locale.ROOT);
            return TEXTS.containsKey(key) ? Optional.of(filled(TEXTS.get(key), call.arguments())) : Optional.empty();
        }

        private static Map<String, String> texts() {
            Map<String, String> texts = new HashMap<>();
            for (String section : TEXT.substring(1).split("\n\\[")) {
                String[] heading = section.substring(0, Math.max(0, section.indexOf(']'))).split(" ");
                String text = section.substring(section.indexOf(']') + 1);
                texts.put(heading[0].toUpperCase(Locale.ROOT), "");
                for (int i = 1; i < heading.length; i++) {
                    texts.put(String.join(" ", heading[0], heading[i]).toUpperCase(Locale.ROOT), text);
                }
            }
            return texts;
        }

        /** $(1) is the first argument; $(1:else) has a default; $(1+) is the first argument and all after it. */
        private static String filled(String text, String arguments) {
            List<String> items = Macros.list(arguments);
            Matcher argument = Pattern.compile("\\$\\(([1-9])(\\+?)(?::([^)]*))?\\)").matcher(text);
            StringBuilder filled = new StringBuilder();
            while (argument.find()) {
                int number = Integer.parseInt(argument.group(1));
                argument.appendReplacement(filled, Matcher.quoteReplacement(items.size() < number
                    ? Objects.requireNonNullElse(argument.group(3), "") : argument.group(2).isEmpty()
                    ? items.get(number - 1) : String.join(", ", items.subList(number - 1, items.size()))));
            }
            return argument.appendTail(filled).toString();
        }
    }

    /** A source of values that no file sets, for names without a prefix. */
    interface MacroSource {
        /** The value of a name, which is in capitals; empty if the source does not know it. */
        Optional<String> value(String name, Macros macros) throws CommandException;

        /** Whether this value overrides one that a file sets. */
        boolean isFixed(String name);
    }

    /**
     * Looks up parameters and expands their values: $(NAME), $(NAME:else), and functions such as $ENV(NAME).
     * condor_utils/config.cpp, expand_macro
     */
    static final class Macros {
        private static final String SUBSYSTEM = "TOOL";
        private static final Set<String> FUNCTIONS = Set.of("", "ENV", "RANDOM_CHOICE", "RANDOM_INTEGER", "CHOICE",
            "SUBSTR", "INT", "REAL", "STRING", "EVAL", "BASENAME", "DIRNAME");
        private final Map<String, Configuration.Setting> defined;
        private final Function<String, Optional<String>> builtIns;
        private final List<String> prefixes;
        private final MacroSource detector;
        private final Host host;
        private final Set<String> complaints;

        /** A reference in a text: {@code $function(body)}, with a blank function in {@code $(body)}. */
        private record Reference(int start, int end, String function, String body) {
            /** The parameter's name; empty if the function has several arguments. */
            String name() {
                int colon = body.indexOf(':');
                return colon < 0 ? body : body.substring(0, colon);
            }

            String otherwise() {
                return body.substring(Math.min(body.length(), name().length() + 1));
            }

            /** Whether it is {@code $(DOLLAR)}: a dollar sign that does not begin another reference. */
            boolean isDollar() {
                return function.isEmpty() && body.equalsIgnoreCase("DOLLAR");
            }
        }

        /** The part of a text that a parameter's value fills: its begin, and the length of the text after it. */
        private record Region(String name, int start, int following) { }

        /** @param builtIns the built-in value of a name in capitals */
        Macros(Map<String, Configuration.Setting> defined, Function<String, Optional<String>> builtIns, String localName,
            MacroSource detector, Host host, Set<String> complaints) {
            this.defined = defined;
            this.builtIns = builtIns;
            this.prefixes = localName.isEmpty() ? List.of(SUBSYSTEM + ".", "")
                : List.of(localName.toUpperCase(Locale.ROOT) + ".", SUBSYSTEM + ".", "");
            this.detector = detector;
            this.host = host;
            this.complaints = complaints;
        }

        static boolean isName(String text) {
            int at = 0;
            while (at < text.length() && isNameCharacter(text.charAt(at))) {
                at++;
            }
            return at > 0 && at == text.length();
        }

        /** Whether a parameter's name may contain this character. */
        static boolean isNameCharacter(int c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '.' && c <= '9') || c == '_';
        }

        /** The value as it is written; a blank one hides what would come after it. */
        Optional<Configuration.Setting> lookup(String name) throws CommandException {
            String key = name.toUpperCase(Locale.ROOT);
            for (String prefix : prefixes) {
                String prefixed = prefix.concat(key);
                Configuration.Setting setting = defined.get(prefixed);
                if (prefix.isEmpty() && (setting == null || detector.isFixed(key))) {
                    Optional<String> detected = detector.value(key, this);
                    if (detected.isPresent()) {
                        return Optional.of(new Configuration.Setting(name, detected.get(), Configuration.DETECTED));
                    }
                }
                if (setting != null) {
                    return Optional.of(setting);
                }
                Optional<String> builtIn = builtIns.apply(prefixed);
                if (builtIn.isPresent()) {
                    return Optional.of(new Configuration.Setting(name, builtIn.get(), Configuration.DEFAULT));
                }
            }
            return Optional.empty();
        }

        private String raw(String name) throws CommandException {
            Optional<Configuration.Setting> setting = lookup(name);
            return setting.isEmpty() ? "" : setting.get().value();
        }

        /** The value, expanded; empty if it is blank. */
        Optional<Configuration.Setting> value(String name) throws CommandException {
            Optional<Configuration.Setting> raw = lookup(name);
            if (raw.isEmpty()) {
                return raw;
            }
            String value = expand(raw.get().value(), List.of(name));
            return value.isBlank() ? Optional.empty()
                : Optional.of(new Configuration.Setting(raw.get().name(), value, raw.get().source()));
        }

        /** @throws CommandException CONFIGURATION, if a parameter refers to itself */
        String expand(String text) throws CommandException {
            return expand(text, List.of());
        }

        /** Expands references to the parameter itself, or to it without its prefix, and leaves the others. */
        String expandSelf(String name, String text) throws CommandException {
            if (text.indexOf('$') < 0) {
                return text;
            }
            String prefix = prefixes.stream().filter(start -> name.regionMatches(true, 0, start, 0, start.length()))
                .findFirst().orElse("");
            String bare = name.substring(prefix.length());
            return replace(text, List.of(), found -> (found.function().isEmpty() || isFile(found.function()))
                && (found.name().equalsIgnoreCase(name) || found.name().equalsIgnoreCase(bare)));
        }

        private String expand(String text, List<String> within) throws CommandException {
            if (text.indexOf('$') < 0) {
                return text;
            }
            String expanded = replace(text, within, reference -> !reference.isDollar());
            for (Optional<Reference> dollar = next(expanded, Reference::isDollar); dollar.isPresent();
                    dollar = next(expanded, Reference::isDollar)) {
                expanded = expanded.substring(0, dollar.get().start()) + "$" + expanded.substring(dollar.get().end());
            }
            return expanded;
        }

        /**
         * Replaces reference by reference, each time from the text's beginning, since they can nest: $($(A)). Where a
         * parameter refers to itself, the original loops for ever; here the regions around a reference show the cycle.
         *
         * @param within parameters whose values contain the whole text
         */
        private String replace(String text, List<String> within, Predicate<Reference> query) throws CommandException {
            StringBuilder result = new StringBuilder(text);
            Deque<Region> regions = new ArrayDeque<>();
            for (Optional<Reference> found = next(text, query); found.isPresent(); found = next(result.toString(), query)) {
                Reference reference = found.get();
                int following = result.length() - reference.end();
                List<String> names = new ArrayList<>(within);
                for (Iterator<Region> each = regions.iterator(); each.hasNext(); ) {
                    Region region = each.next();
                    if (reference.start() < region.start() || following < region.following()) {
                        each.remove();
                    } else {
                        names.add(region.name());
                    }
                }
                if (reference.function().isEmpty() && !raw(reference.name()).isEmpty()) {
                    checkCircle(reference.name(), names);
                    regions.add(new Region(reference.name(), reference.start(), following));
                }
                result.replace(reference.start(), reference.end(), evaluate(reference, names));
            }
            return result.toString();
        }

        private void checkCircle(String name, List<String> names) throws CommandException {
            int first = 0;
            while (first < names.size() && !names.get(first).equalsIgnoreCase(name)) {
                first++;
            }
            if (first < names.size()) {
                List<String> circle = new ArrayList<>();
                for (String member : names.subList(first, names.size())) {
                    lookup(member).ifPresent(setting -> circle.add(setting.name() + " = " + setting.value() + "  ("
                        + setting.source() + ")"));
                }
                throw new CommandException(ErrorCode.CONFIGURATION, "ERROR: the configuration of " + name
                    + " refers to itself:", circle, "");
            }
        }

        // ---- Finding references ----

        /** The parameters that a text refers to, as references, without the text's own words. */
        static String references(String text) {
            StringBuilder references = new StringBuilder();
            String rest = text;
            Predicate<Reference> plain = reference -> reference.function().isEmpty();
            for (Optional<Reference> found = next(rest, plain); found.isPresent(); found = next(rest, plain)) {
                references.append("$(").append(found.get().name()).append(") ");
                rest = rest.substring(found.get().end());
            }
            return references.toString();
        }

        private static Optional<Reference> next(String text, Predicate<Reference> query) {
            int at = text.indexOf('$');
            while (at >= 0) {
                int open = at + (text.startsWith("$", at + 1) ? 2 : 1);
                while (open < text.length() && isNameCharacter(text.charAt(open)) && text.charAt(open) != '.'
                    && text.charAt(open) != '/') {
                    open++;
                }
                int behind = open;
                String function = text.substring(at + 1, open);
                if (text.startsWith("(", open) && (FUNCTIONS.contains(function) || isFile(function))) {
                    int close = function.isEmpty() || function.equals("ENV") ? endOfName(text, open + 1)
                        : text.indexOf(')', open);
                    if (close > 0) {
                        Reference reference = new Reference(at, close + 1, function, text.substring(open + 1, close));
                        if (query.test(reference)) {
                            return Optional.of(reference);
                        }
                    }
                    behind = Math.max(open, close);
                }
                at = text.indexOf('$', behind);
            }
            return Optional.empty();
        }

        /** $F and letters that say which parts of a file's name are wanted, and how. */
        private static boolean isFile(String function) {
            return function.startsWith("F")
                && function.substring(1).toLowerCase(Locale.ROOT).chars().allMatch(c -> "pnxdqabfwu".indexOf(c) >= 0);
        }

        /** The index of the parenthesis that ends {@code NAME} or {@code NAME:else}; -1 for any other text. */
        private static int endOfName(String text, int start) {
            boolean colon = false;
            int at = start;
            while (at < text.length() && text.charAt(at) != ')') {
                char c = text.charAt(at++);
                int close = colon && c == '(' ? text.indexOf(')', at) : -1;
                if (close >= 0) {
                    at = close + 1;
                } else if (c == ':' && !colon) {
                    colon = true;
                } else if (!isNameCharacter(c) && !(colon && "$ ,\\:".indexOf(c) >= 0)) {
                    return -1;
                }
            }
            return at < text.length() ? at : -1;
        }

        // ---- Functions ----

        private String evaluate(Reference reference, List<String> within) throws CommandException {
            String body = reference.body();
            return switch (reference.function()) {
                case "" -> raw(reference.name()).isEmpty() ? reference.otherwise() : raw(reference.name());
                case "ENV" -> host.environment().getOrDefault(reference.name(),
                    body.contains(":") ? reference.otherwise() : "UNDEFINED");
                case "RANDOM_CHOICE" -> randomChoice(body, within);
                case "RANDOM_INTEGER" -> randomInteger(body);
                case "CHOICE" -> choice(body, within);
                case "SUBSTR" -> substring(body, within);
                case "INT" -> formatted(body, within, "%lld", Expression::integer, "an integer");
                case "REAL" -> formatted(body, within, "%.16G", Expression::real, "a real number");
                case "STRING" -> formatted(body, within, "%s", text -> Optional.of(Expression.evaluate(text)
                    .filter(String.class::isInstance).orElse(text)), "a string");
                case "EVAL" -> evaluated(argument(body, within));
                case "BASENAME" -> {
                    int comma = body.lastIndexOf(',');
                    yield fileName("nx", argument(comma < 0 ? body : body.substring(0, comma), within),
                        comma < 0 ? "" : body.substring(comma + 1).strip());
                }
                case "DIRNAME" -> fileName("p", argument(body, within), "");
                default -> fileName(reference.function().toLowerCase(Locale.ROOT), argument(body, within), "");
            };
        }

        /** The value of the parameter of that name, else the text itself; expanded. */
        private String argument(String text, List<String> within) throws CommandException {
            Optional<Configuration.Setting> setting = lookup(text);
            if (setting.isEmpty()) {
                return text;
            }
            checkCircle(text, within);
            List<String> names = new ArrayList<>(within);
            names.add(text);
            return expand(setting.get().value(), names);
        }

        private static String evaluated(String text) throws CommandException {
            checkSupported(text);
            return Expression.evaluate(text).map(value -> value instanceof String string ? string
                : Expression.written(value)).orElse("");
        }

        /** An unsupported function or operator is an error, since its value would be wrong. */
        private static void checkSupported(String text) throws CommandException {
            Optional<String> name = Expression.unsupported(text);
            if (name.isPresent()) {
                throw new CommandException(ErrorCode.CONFIGURATION, "ERROR: this program does not support " + name.get()
                    + " in settings:",
                    List.of(printable(text.length() > 200 ? text.substring(0, 200) + "..." : text)), "");
            }
        }

        private String complain(String words) {
            complaints.add("Configuration warning: " + words);
            return "";
        }

        private String randomChoice(String body, List<String> within) throws CommandException {
            List<String> items = list(body).stream().filter(item -> !item.isEmpty()).toList();
            if (items.size() == 1 && lookup(items.get(0)).isPresent()) {
                items = Configuration.items(argument(items.get(0), within));
            }
            return items.isEmpty() ? complain("$RANDOM_CHOICE() macro is empty!")
                : items.get(host.random().nextInt(items.size()));
        }

        /** The items between commas, also blank ones; none of a blank text. */
        static List<String> list(String text) {
            List<String> items = new ArrayList<>();
            for (String item : text.isBlank() ? new String[0] : text.split(",", -1)) {
                items.add(item.strip());
            }
            return items;
        }

        /** $RANDOM_INTEGER(min,max,step); where an argument cannot be used, HTCondor warns and takes the nearest that can. */
        private String randomInteger(String body) {
            List<String> arguments = list(body);
            Optional<Long> first = whole(arguments, 0);
            long min = first.orElse(0L);
            Optional<Long> second = whole(arguments, 1);
            long max = second.orElse(min);
            long step = arguments.size() > 2 ? whole(arguments, 2).orElse(0L) : 1;
            if (first.isEmpty() || second.isEmpty() || step < 1 || min > max) {
                complain("$RANDOM_INTEGER(" + body + ") has no valid min, max and step!");
            }
            long least = Math.min(min, max);
            BigInteger span = BigInteger.valueOf(max).subtract(BigInteger.valueOf(least));
            long count = span.divide(BigInteger.valueOf(Math.max(1, step))).min(BigInteger.valueOf(Long.MAX_VALUE - 1))
                .longValue() + 1;
            return Long.toString(least + host.random().nextLong(count) * Math.max(1, step));
        }

        private static Optional<Long> whole(List<String> arguments, int index) {
            return index < arguments.size() ? Expression.integer(arguments.get(index)) : Optional.empty();
        }

        /** $CHOICE(index,list) or $CHOICE(index,item,item,...) */
        private String choice(String body, List<String> within) throws CommandException {
            String[] arguments = body.split(",", 2);
            Optional<Long> index = Expression.integer(argument(arguments[0].strip(), within));
            List<String> items = arguments.length < 2 ? List.of() : list(arguments[1]);
            if (items.size() == 1) {
                items = lookup(items.get(0)).isEmpty() ? List.of() : list(argument(items.get(0), within));
            }
            boolean isValid = index.isPresent() && index.get() >= 0 && index.get() < Integer.MAX_VALUE;
            int chosen = isValid ? index.get().intValue() : 0; // as HTCondor does, with a warning
            if (!isValid || chosen >= items.size()) {
                complain("$CHOICE(" + body + ") chooses nothing that is there!");
            }
            return chosen < items.size() ? items.get(chosen) : "";
        }

        /** $SUBSTR(name,start) or $SUBSTR(name,start,length); a negative number counts from the end. */
        private String substring(String body, List<String> within) throws CommandException {
            String[] arguments = body.split(",", 3);
            String text = lookup(arguments[0]).isEmpty() ? "" : argument(arguments[0], within);
            Optional<Long> start = Expression.integer(arguments.length < 2 ? "" : argument(arguments[1], within));
            Optional<Long> length = arguments.length < 3 ? Optional.of((long) text.length())
                : Expression.integer(argument(arguments[2], within));
            if (start.isEmpty() || length.isEmpty()) {
                return complain("$SUBSTR(" + body + ") has no valid start or length!");
            }
            int from = fromEnd(start.get(), text.length());
            return text.substring(from, from + fromEnd(length.get(), text.length() - from));
        }

        private static int fromEnd(long number, int length) {
            return (int) Math.max(0, Math.min(length, number < 0 ? length + number : number));
        }

        /** A value in a format of C's printf. A real number in a format has a decimal point, whatever that says. */
        private String formatted(String body, List<String> within, String otherwise,
            Function<String, Optional<?>> evaluation, String kind) throws CommandException {
            String[] arguments = body.split(",", 2);
            Optional<PrintFormat> printed = PrintFormat.parse(arguments.length > 1 ? arguments[1] : otherwise);
            String text = argument(arguments[0], within);
            Optional<?> value = evaluation.apply(text);
            if (value.isEmpty()) {
                checkSupported(text);
                return complain(text + " does not evaluate to " + kind + "!");
            }
            String format = arguments.length > 1 ? arguments[1] : otherwise;
            Optional<String> formatted = printed.flatMap(form -> form.apply(value.get()));
            if (formatted.isEmpty()) {
                complain("'" + format + "' is not a valid format specifier for " + kind + "!");
            }
            boolean pointless = arguments.length > 1 && value.get() instanceof Double
                && !formatted.orElse(".").contains(".");
            return formatted.orElse(format) + (pointless ? ".0" : "");
        }

        /**
         * The wanted parts of a file's name: p all directories, d the last one (dd two), n the name, x the extension; b
         * without slash or dot at the edge, q in quotes, qa in single ones, w with backslashes, u with slashes.
         *
         * @param suffix an end to leave out, if it is there
         */
        private static String fileName(String letters, String argument, String suffix) {
            boolean quoted = argument.length() > 1 && "\"'".indexOf(argument.charAt(0)) >= 0
                && argument.endsWith(argument.substring(0, 1));
            String text = quoted ? argument.substring(1, argument.length() - 1) : argument;
            text = letters.contains("w") ? text.replace('/', '\\')
                : letters.contains("u") ? text.replace('\\', '/') : text;
            int name = text.lastIndexOf('/') + 1;
            int dot = text.lastIndexOf('.') > name ? text.lastIndexOf('.') : text.length();
            boolean wantsExtension = letters.contains("x");
            if (!suffix.isEmpty() && text.length() - suffix.length() >= name
                && text.regionMatches(true, text.length() - suffix.length(), suffix, 0, suffix.length())) {
                dot = text.length() - suffix.length();
                wantsExtension = false;
            }
            boolean wantsName = letters.contains("n");
            boolean wantsPath = (letters.contains("p") || letters.contains("d"))
                && (name > 0 || (!wantsName && !wantsExtension));
            int bare = letters.contains("b") ? 1 : 0;
            int start = wantsPath ? 0 : wantsName ? name : wantsExtension ? Math.min(dot + bare, text.length()) : 0;
            int end = wantsExtension ? text.length() : wantsName ? dot : wantsPath ? Math.max(0, name - bare)
                : text.length();
            if (wantsPath && letters.contains("d")) {
                start = Math.max(0, name - 1);
                for (long i = letters.chars().filter(c -> c == 'd').count(); i > 0; i--) {
                    if (start < 0) {
                        return ""; // there are fewer folders
                    }
                    start = text.lastIndexOf('/', start - 1);
                }
                start++;
            }
            String quote = !letters.contains("q") ? "" : letters.contains("a") ? "'" : "\"";
            return quote + text.substring(start, Math.max(start, end)) + quote;
        }
    }

    /**
     * The names that HTCondor itself defines. condor_utils/condor_config.cpp, fill_attributes and reinsert_specials
     *
     * <p>HTCondor knows the system from the beginning, this machine's name once it has read the root file, and process,
     * user and addresses once it has read all sources. Then it determines the name and the addresses a second time, with
     * the settings as they are now. A source can overrule every name until then. We determine a value when a setting
     * first refers to it: neither the machine nor a name service is queried before.
     */
    static final class HostFacts implements MacroSource {
        /** The names that no source can overrule once all are read. */
        private static final Set<String> FIXED = Set.of("TILDE", "HOSTNAME", "FULL_HOSTNAME", "SUBSYSTEM", "LOCALNAME",
            "USERNAME", "REAL_UID", "REAL_GID", "PID", "PPID", "IP_ADDRESS", "IP_ADDRESS_IS_IPV6", "IPV4_ADDRESS",
            "IPV6_ADDRESS", "DETECTED_CPUS");
        /** The settings on which name and addresses depend. */
        private static final List<String> NETWORK_SETTINGS = List.of("NETWORK_HOSTNAME", "DEFAULT_DOMAIN_NAME", "NO_DNS",
            "NETWORK_INTERFACE", "ENABLE_IPV4", "ENABLE_IPV6");
        private static final Path CPUS = Path.of("/proc/cpuinfo");
        private final Host host;
        private final String localName;
        private final Deadline deadline;
        private Phase phase = Phase.ROOT_FILE;
        /** With the settings of the root file, and with all settings. */
        private Optional<Identity> first = Optional.empty();
        private Optional<Identity> last = Optional.empty();

        /** The progress of reading the sources; in SETTLING all are read, and the name is determined the second time. */
        private enum Phase { ROOT_FILE, OTHER_FILES, SETTLING, DONE }

        HostFacts(Host host, String localName, Deadline deadline) {
            this.host = host;
            this.localName = localName;
            this.deadline = deadline;
        }

        /** Call this once the root file is read. */
        void rootIsRead(Macros macros) throws CommandException {
            first = Optional.of(new Identity(settings(macros), Optional.empty()));
            phase = Phase.OTHER_FILES;
        }

        /** Call this once all sources are read that an administrator or a user writes. */
        void allIsRead() {
            phase = Phase.SETTLING;
        }

        /** Determines name and addresses the second time, with all settings. */
        void settle(Macros macros) throws CommandException {
            last = Optional.of(new Identity(settings(macros), first));
            phase = Phase.DONE;
        }

        private static Map<String, String> settings(Macros macros) throws CommandException {
            Map<String, String> settings = new HashMap<>();
            for (String name : NETWORK_SETTINGS) {
                Optional<Configuration.Setting> setting = macros.value(name);
                if (setting.isPresent()) {
                    settings.put(name, setting.get().value());
                }
            }
            return settings;
        }

        /** The warning about network settings that fit no interface, in HTCondor's words; empty if they fit. */
        Optional<String> warning() {
            return last.isPresent() ? last.get().warning() : Optional.empty();
        }

        /** Whether a source can no longer overrule this name. */
        @Override
        public boolean isFixed(String name) {
            return phase.compareTo(Phase.SETTLING) >= 0 && FIXED.contains(name);
        }

        /** A source of the same names that does not query the network. */
        MacroSource offline() {
            return new MacroSource() {
                @Override
                public Optional<String> value(String name, Macros macros) throws CommandException {
                    return switch (name) {
                        case "HOSTNAME", "FULL_HOSTNAME", "IP_ADDRESS", "IPV4_ADDRESS", "IPV6_ADDRESS" ->
                            Optional.of(host.name());
                        default -> HostFacts.this.value(name, macros);
                    };
                }

                @Override
                public boolean isFixed(String name) {
                    return HostFacts.this.isFixed(name);
                }
            };
        }

        @Override
        public Optional<String> value(String name, Macros macros) throws CommandException {
            return switch (name) {
                case "SUBSYSTEM" -> Optional.of(Macros.SUBSYSTEM);
                case "LOCALNAME" -> Optional.of(localName.isEmpty() ? Macros.SUBSYSTEM : localName);
                case "TILDE", "LOCAL_DIR" -> homeOfCondor();
                case "CONDORISADMIN" -> Optional.of(Boolean.toString(host.isRoot()));
                case "HOSTNAME" -> identity().map(Identity::hostName);
                case "FULL_HOSTNAME" -> identity().map(Identity::fullName);
                case "IP_ADDRESS", "IP_ADDRESS_IS_IPV6", "IPV4_ADDRESS", "IPV6_ADDRESS", "USERNAME", "REAL_UID", "REAL_GID",
                    "PID", "PPID" -> phase.compareTo(Phase.SETTLING) < 0 ? Optional.empty() : ofProcess(name);
                case "ARCH", "UNAME_ARCH", "UTSNAME_MACHINE" -> Optional.of(architecture(name.equals("ARCH")));
                case "OPSYS", "OPSYSLEGACY" -> Optional.of(System.getProperty("os.name").toUpperCase(Locale.ROOT));
                case "UNAME_OPSYS", "UTSNAME_SYSNAME" -> kernel("ostype");
                case "UTSNAME_NODENAME" -> kernel("hostname");
                case "UTSNAME_RELEASE" -> kernel("osrelease");
                case "UTSNAME_VERSION" -> kernel("version");
                case "OPSYSLONGNAME", "OPSYSNAME", "OPSYSSHORTNAME", "OPSYSANDVER", "OPSYSMAJORVER", "OPSYSVER" ->
                    distribution(name);
                case "DETECTED_MEMORY" -> memory();
                case "DETECTED_CPUS" -> Optional.of(Integer.toString(processors(countsThreads(macros))));
                case "DETECTED_CORES" -> Optional.of(Integer.toString(processors(true)));
                case "DETECTED_PHYSICAL_CPUS" -> Optional.of(Integer.toString(processors(false)));
                case "DETECTED_CPUS_LIMIT" -> processorLimit(countsThreads(macros));
                default -> Optional.empty();
            };
        }

        private Optional<Identity> identity() {
            return phase == Phase.DONE ? last : first;
        }

        private Optional<String> ofProcess(String name) {
            return switch (name) {
                case "USERNAME" -> host.user().map(UserPrincipal::getName);
                case "REAL_UID" -> ofProcessFile("unix:uid");
                case "REAL_GID" -> ofProcessFile("unix:gid");
                case "PID" -> Optional.of(Long.toString(ProcessHandle.current().pid()));
                case "PPID" -> ProcessHandle.current().parent().map(parent -> Long.toString(parent.pid()));
                default -> identity().flatMap(identity -> identity.address(name));
            };
        }

        /** The home directory of the user condor, as far as the machine's own list of users has one. */
        Optional<String> homeOfCondor() {
            String users = "\n".concat(content(Path.of("/etc/passwd")));
            int start = users.indexOf("\ncondor:");
            String[] fields = start < 0 ? new String[0] : users.substring(start).split(":", 7);
            return fields.length < 7 ? Optional.empty() : Optional.of(fields[5]);
        }

        /** The content of a file of the system; blank if it cannot be read. */
        private static String content(Path file) {
            try {
                return Files.readString(file, ISO_8859_1);
            } catch (IOException e) {
                return "";
            }
        }

        private static Optional<String> ofProcessFile(String attribute) {
            try {
                return Optional.of(Files.getAttribute(Path.of("/proc/self"), attribute).toString());
            } catch (IOException | IllegalArgumentException | UnsupportedOperationException e) {
                return Optional.empty();
            }
        }

        // ---- System: condor_sysapi/arch.cpp, ncpus.cpp and phys_mem.cpp ----

        private static Optional<String> kernel(String property) {
            return Optional.of(content(Path.of("/proc/sys/kernel", property)).strip()).filter(text -> !text.isEmpty());
        }

        /** @param translated in HTCondor's own terms, not in the kernel's */
        private static String architecture(boolean translated) {
            String name = System.getProperty("os.arch");
            return switch (name) {
                case "amd64" -> translated ? "X86_64" : "x86_64";
                case "i386" -> translated ? "INTEL" : "i686";
                case "ppc", "ppc64", "ia64" -> translated ? name.toUpperCase(Locale.ROOT) : name;
                default -> name;
            };
        }

        private static Optional<String> distribution(String name) {
            String title = "Unknown";
            for (String file : List.of("issue", "redhat-release", "system-release", "issue.net")) {
                String line = content(Path.of("/etc", file)).lines().findFirst().orElse("").stripTrailing();
                while (line.length() > 2 && (line.endsWith("\\n") || line.endsWith("\\l"))) {
                    line = line.substring(0, line.length() - 2).stripTrailing();
                }
                if (!distributor(line).equals("LINUX")) {
                    title = line;
                    break;
                }
            }
            if (title.equals("Unknown")) {
                title = content(Path.of("/etc/os-release")).lines().filter(line -> line.contains("PRETTY_NAME")
                    && line.indexOf('"') >= 0).map(line -> line.split("\"", 3)[1]).findFirst().orElse(title);
            }
            int start = 0;
            while (start < title.length() && !Character.isDigit(title.charAt(start))) {
                start++;
            }
            int end = start;
            while (end < title.length() && end < start + 6 && Character.isDigit(title.charAt(end))) {
                end++;
            }
            int major = end > start ? Integer.parseInt(title.substring(start, end)) : 0;
            int minor = 0;
            for (int at = end + 1; title.startsWith(".", end) && at <= end + 2 && at < title.length()
                    && Character.isDigit(title.charAt(at)); at++) {
                minor = minor * 10 + title.charAt(at) - '0';
            }
            int number = name.equals("OPSYSVER") ? major * 100 + minor : major;
            return switch (name) {
                case "OPSYSLONGNAME" -> Optional.of(title);
                case "OPSYSMAJORVER", "OPSYSVER" -> number > 0 ? Optional.of(Integer.toString(number)) : Optional.empty();
                case "OPSYSANDVER" -> Optional.of(distributor(title) + major);
                default -> Optional.of(distributor(title));
            };
        }

        private static String distributor(String title) {
            String text = title.toLowerCase(Locale.ROOT);
            if (text.contains("red") && text.contains("hat")) {
                return "RedHat";
            }
            for (String name : List.of("Fedora", "Ubuntu", "Debian", "Scientific", "CentOS", "Rocky", "AlmaLinux",
                    "Amazon Linux", "openSUSE", "SUSE")) {
                if (text.contains(name.toLowerCase(Locale.ROOT))) {
                    return !name.equals("Scientific") ? name.replace(" ", "")
                        : text.contains("cern") ? "SLCern" : text.contains("slf") ? "SLFermi" : "SL";
                }
            }
            return "LINUX";
        }

        /** The memory of this machine in MiB. */
        private static Optional<String> memory() {
            return content(Path.of("/proc/meminfo")).lines().filter(line -> line.startsWith("MemTotal:"))
                .map(line -> Long.toString(Long.parseLong(line.replaceAll("[^0-9]", "")) / 1024)).findFirst();
        }

        private static boolean countsThreads(Macros macros) throws CommandException {
            return macros.value("COUNT_HYPERTHREAD_CPUS").flatMap(setting -> Expression.truth(setting.value())).orElse(true);
        }

        /** @param threads whether threads of one core count as processors of their own */
        private static int processors(boolean threads) {
            Set<String> cores = new HashSet<>();
            for (String processor : content(CPUS).split("\n(?=processor)")) {
                StringBuilder core = new StringBuilder();
                for (String line : processor.split("\n")) {
                    String key = line.substring(0, Math.max(0, line.indexOf(':'))).strip();
                    if (key.equals("processor") ? threads : key.equals("physical id") || key.equals("core id")) {
                        core.append(line);
                    }
                }
                cores.add(core.toString());
            }
            return cores.size();
        }

        /** The number of processors that the environment allows, if those are fewer than there are. */
        private Optional<String> processorLimit(boolean threads) {
            int processors = processors(threads);
            int limit = processors;
            for (String variable : List.of("OMP_THREAD_LIMIT", "SLURM_CPUS_ON_NODE")) {
                String value = host.environment().getOrDefault(variable, "").strip();
                int number = value.matches("[0-9]{1,9}") ? Integer.parseInt(value) : 0;
                limit = number > 0 && number < limit ? number : limit;
            }
            return limit < processors ? Optional.of(Integer.toString(limit)) : Optional.empty();
        }

        // ---- Network: condor_utils/ipv6_hostname.cpp and network_adapter.cpp, network_interface_to_sockaddr ----

        /** The machine's name and addresses, as these settings determine them. */
        private final class Identity {
            private final Map<String, String> settings;
            private final Optional<Identity> earlier;
            private String name = "";
            private Optional<Addresses> addresses = Optional.empty();

            /** @param earlier the identity before; a literal NETWORK_INTERFACE leaves its address of the other family in force */
            Identity(Map<String, String> settings, Optional<Identity> earlier) {
                this.settings = settings;
                this.earlier = earlier;
            }

            String hostName() {
                String full = fullName();
                return full.contains(".") ? full.substring(0, full.indexOf('.')) : full;
            }

            /** NETWORK_HOSTNAME, or what the name service makes of the machine's name; with a domain, if one is known. */
            String fullName() {
                if (name.isEmpty()) {
                    String domain = settings.getOrDefault("DEFAULT_DOMAIN_NAME", "");
                    String found = settings.containsKey("NETWORK_HOSTNAME") ? settings.get("NETWORK_HOSTNAME")
                        : isTrue("NO_DNS") ? nameFromAddress(domain) : qualified(host.name());
                    name = found.contains(".") || domain.isEmpty() ? found
                        : found + (domain.startsWith(".") ? domain : "." + domain);
                }
                return name;
            }

            private boolean isTrue(String setting) {
                return Expression.truth(settings.getOrDefault(setting, "")).orElse(false);
            }

            private boolean isFalse(String setting) {
                return !Expression.truth(settings.getOrDefault(setting, "")).orElse(true);
            }

            /** Without a name service the name is the address, with dashes, in the default domain. */
            private String nameFromAddress(String domain) {
                Optional<InetAddress> best = addresses().best();
                if (domain.isEmpty() || best.isEmpty()) {
                    return host.name();
                }
                String label = text(best.get()).replace('.', '-').replace(':', '-');
                return (label.startsWith("-") ? "0" : "") + label + "." + domain;
            }

            Optional<String> address(String macro) {
                Addresses found = addresses();
                Optional<InetAddress> address = macro.equals("IPV6_ADDRESS")
                    ? found.ipv6().or(found::best).filter(Inet6Address.class::isInstance)
                    : found.ipv4().or(found::best);
                return switch (macro) {
                    case "IP_ADDRESS_IS_IPV6" -> Optional.of(Boolean.toString(
                        address.filter(Inet6Address.class::isInstance).isPresent()));
                    case "IPV4_ADDRESS" -> address.filter(Inet4Address.class::isInstance).map(Identity::text);
                    default -> address.map(Identity::text);
                };
            }

            Optional<String> warning() {
                String wanted = settings.getOrDefault("NETWORK_INTERFACE", "*");
                boolean isUsual = wanted.equals("*") || literal(wanted).isPresent();
                return isUsual || addresses().best().isPresent() ? Optional.empty()
                    : Optional.of("validate_network_interfaces:2:Failed to determine my IP address using NETWORK_INTERFACE="
                        + wanted);
            }

            private static String text(InetAddress address) {
                String text = Target.text(address);
                return text.contains("%") ? text.substring(0, text.indexOf('%')) : text;
            }

            private Addresses addresses() {
                if (addresses.isEmpty()) {
                    String wanted = settings.getOrDefault("NETWORK_INTERFACE", "*");
                    addresses = Optional.of(literal(wanted).map(this::only).orElseGet(() -> chosen(wanted)));
                }
                return addresses.get();
            }

            private Addresses only(InetAddress address) {
                boolean isIpv4 = address instanceof Inet4Address;
                Optional<Addresses> before = earlier.map(Identity::addresses);
                return new Addresses(isIpv4 ? Optional.of(address) : before.flatMap(Addresses::ipv4),
                    isIpv4 ? before.flatMap(Addresses::ipv6) : Optional.of(address), Optional.of(address));
            }

            /** The best addresses of the interfaces that match: public before private, the first in the system's order. */
            private Addresses chosen(String wanted) {
                List<String> patterns = Macros.list(wanted);
                Optional<InterfaceAddress> ipv4 = Optional.empty();
                Optional<InterfaceAddress> ipv6 = Optional.empty();
                Optional<InterfaceAddress> best = Optional.empty();
                for (InterfaceAddress candidate : InterfaceAddress.all()) {
                    boolean isIpv4 = candidate.address() instanceof Inet4Address;
                    if (isFalse(isIpv4 ? "ENABLE_IPV4" : "ENABLE_IPV6") || patterns.stream().noneMatch(candidate::matches)) {
                        continue;
                    }
                    if (isIpv4) {
                        ipv4 = candidate.unless(ipv4);
                    } else {
                        ipv6 = candidate.unless(ipv6);
                    }
                    best = candidate.unless(best);
                }
                if (ipv4.isPresent() && ipv6.isPresent() && ipv4.get().isUsable() != ipv6.get().isUsable()) {
                    if (!isTrue("ENABLE_IPV4") && !ipv4.get().isUsable()) {
                        ipv4 = Optional.empty();
                        best = ipv6;
                    }
                    if (!isTrue("ENABLE_IPV6") && ipv6.filter(InterfaceAddress::isUsable).isEmpty()) {
                        ipv6 = Optional.empty();
                        best = ipv4;
                    }
                }
                return new Addresses(ipv4.map(InterfaceAddress::address), ipv6.map(InterfaceAddress::address), best
                    .map(InterfaceAddress::address));
            }
        }

        /** The addresses of this machine: one of each family, and the better of the two. */
        private record Addresses(Optional<InetAddress> ipv4, Optional<InetAddress> ipv6, Optional<InetAddress> best) { }

        /** An address of an interface. condor_utils/condor_sockaddr.cpp, desirability */
        private record InterfaceAddress(String device, InetAddress address, boolean isUp) {
            /** All addresses in the system's order: those of IPv4 first, then by the interfaces' numbers. */
            static List<InterfaceAddress> all() {
                List<InterfaceAddress> candidates = new ArrayList<>();
                try {
                    List<NetworkInterface> devices = new ArrayList<>(NetworkInterface.networkInterfaces().toList());
                    devices.sort(Comparator.comparingInt(NetworkInterface::getIndex));
                    for (NetworkInterface device : devices) {
                        // Java puts what the system lists first at the end.
                        List<InetAddress> addresses = new ArrayList<>(device.inetAddresses().toList());
                        Collections.reverse(addresses);
                        for (InetAddress address : addresses) {
                            candidates.add(new InterfaceAddress(device.getName(), address, device.isUp()));
                        }
                    }
                } catch (SocketException e) {
                    return List.of();
                }
                candidates.sort(Comparator.comparing(candidate -> candidate.address() instanceof Inet6Address));
                return candidates;
            }

            /** Whether a pattern with at most two asterisks fits the interface's name or the address. */
            boolean matches(String pattern) {
                return fits(pattern, device) || fits(pattern, Identity.text(address));
            }

            private static boolean fits(String pattern, String text) {
                String name = text.toLowerCase(Locale.ROOT);
                String[] parts = pattern.toLowerCase(Locale.ROOT).split("\\*", -1);
                if (parts.length == 1) {
                    return name.equals(parts[0]);
                }
                int at = parts[0].length();
                int end = name.length() - parts[parts.length - 1].length();
                boolean fits = at <= end && name.startsWith(parts[0]) && name.endsWith(parts[parts.length - 1]);
                for (int i = 1; fits && i < parts.length - 1; i++) {
                    int found = name.indexOf(parts[i], at);
                    fits = found >= 0 && found + parts[i].length() <= end;
                    at = found + parts[i].length();
                }
                return fits;
            }

            /** Keeps this address if it is better than the previous one. */
            Optional<InterfaceAddress> unless(Optional<InterfaceAddress> before) {
                return before.isPresent() && before.get().rank() >= rank() ? before : Optional.of(this);
            }

            /** Whether other machines can use it. */
            boolean isUsable() {
                return desirability() >= 4;
            }

            private int rank() {
                return isUp ? desirability() * 10 : desirability();
            }

            private int desirability() {
                boolean isIpv6 = address instanceof Inet6Address;
                boolean isPrivate = isIpv6 ? (address.getAddress()[0] & 0xfe) == 0xfc : address.isSiteLocalAddress();
                return isIpv6 && address.isLinkLocalAddress() ? 1 : address.isLoopbackAddress() ? 2
                    : address.isLinkLocalAddress() ? 3 : isPrivate ? 4 : 5;
            }
        }

        /** An address written as such; a link-local one needs the number of its interface, so it is not one. */
        private static Optional<InetAddress> literal(String text) {
            boolean isIpv4 = text.matches("[0-9]{1,3}(\\.[0-9]{1,3}){3}");
            if (!isIpv4 && !(text.contains(":") && text.matches("[0-9A-Fa-f:.]{2,45}"))) {
                return Optional.empty();
            }
            try {
                InetAddress address = InetAddress.getByName(isIpv4 ? text : "[" + text + "]");
                return address instanceof Inet6Address && address.isLinkLocalAddress() ? Optional.empty() : Optional.of(address);
            } catch (UnknownHostException e) {
                return Optional.empty();
            }
        }

        /** The deadline for a name service is short, since later lookups need time too. */
        private String qualified(String name) {
            if (name.contains(".")) {
                return name;
            }
            try {
                String canonical = deadline.share(3, () -> deadline.await("the look-up of " + name,
                    () -> InetAddress.getByName(name).getCanonicalHostName()));
                return canonical.startsWith(name + ".") ? canonical : name;
            } catch (IOException e) {
                return name;
            }
        }
    }

    /**
     * An expression in HTCondor's language, as far as settings need it: literals, lists, ifThenElse, int, real, string and
     * strcat, and the operators of arithmetic, comparison and logic. Time is linear, the depth bounded. Its value is a
     * Long, Double, Boolean, String, List or {@link Unknown}. classad/lexer.cpp, classad/operators.cpp
     */
    static final class Expression {
        private static final int DEPTH_MAX = 100;
        private static final String END = "";
        private static final List<String> SYMBOLS = List.of("=?=", "=!=", ">>>", "==", "!=", "<=", ">=", "||", "&&", "?:", "<<",
            ">>");
        /** Binary operators, from the lowest precedence to the highest. */
        private static final List<List<String>> OPERATORS = List.of(List.of("||"), List.of("&&"),
            List.of("=?=", "=!=", "is", "isnt", "==", "!="), List.of("<=", ">=", "<", ">"), List.of("+", "-"),
            List.of("*", "/", "%"));
        private static final Set<String> OTHER_OPERATORS = Set.of("<<", ">>", ">>>", "&", "|", "^", "~", "[");
        private final String text;
        private int at;
        /** The next token; a string has its quotes, other tokens are in small letters. */
        private String token = END;
        private int depth;
        private boolean malformed;
        private Optional<String> unsupported = Optional.empty();

        /** The value of an expression that is undefined or an error. */
        enum Unknown { UNDEFINED, ERROR }

        private Expression(String text) {
            this.text = text;
            advance();
        }

        /** The value; empty if the text is not an expression, or not one of those above. */
        static Optional<Object> evaluate(String text) {
            Expression expression = new Expression(text);
            Object value = expression.whole();
            return expression.malformed ? Optional.empty() : Optional.of(value);
        }

        /** The unsupported function or operator of HTCondor's language; empty if the text is unusable for another reason. */
        static Optional<String> unsupported(String text) {
            Expression expression = new Expression(text);
            expression.whole();
            return expression.unsupported;
        }

        /** The value as a whole number, without its fraction; empty if it is not a number. */
        static Optional<Long> integer(String text) {
            return number(text).map(Expression::truncated);
        }

        /** The value as a number; empty if it is not one, or beyond all numbers. */
        static Optional<Double> real(String text) {
            return number(text).map(Number::doubleValue).filter(Double::isFinite);
        }

        private static Optional<Number> number(String text) {
            return evaluate(text).map(Expression::asNumber).filter(Number.class::isInstance).map(Number.class::cast);
        }

        /** True for true, yes, t or a number other than 0; false for the opposites; empty for any other text. */
        static Optional<Boolean> truth(String text) {
            return Conditions.word(text.strip()).or(() -> real(text).map(number -> number != 0));
        }

        // ---- Tokens ----

        private void advance() {
            while (at < text.length() && Character.isWhitespace(text.charAt(at))) {
                at++;
            }
            int start = at;
            if (at == text.length()) {
                token = END;
            } else if (text.charAt(at) == '"') {
                at = endOfString(at + 1);
                token = text.substring(start, at);
            } else if (isDigit(at) || (text.charAt(at) == '.' && isDigit(at + 1))) {
                at = endOfNumber();
                token = text.substring(start, at).toLowerCase(Locale.ROOT);
            } else if (Character.isLetter(text.charAt(at)) || text.charAt(at) == '_') {
                while (at < text.length() && (Macros.isNameCharacter(text.charAt(at)) && text.charAt(at) != '/')) {
                    at++;
                }
                malformed |= at == start; // a letter that no name can have
                at = Math.max(at, start + 1);
                token = text.substring(start, at).toLowerCase(Locale.ROOT);
            } else {
                token = SYMBOLS.stream().filter(symbol -> text.startsWith(symbol, start)).findFirst()
                    .orElse(text.substring(start, start + 1));
                at += token.length();
            }
        }

        private boolean isDigit(int place) {
            return place < text.length() && text.charAt(place) >= '0' && text.charAt(place) <= '9';
        }

        private int endOfString(int start) {
            int end = start;
            while (end < text.length() && text.charAt(end) != '"') {
                end += text.startsWith("\\\"", end) ? 2 : 1;
            }
            malformed |= end >= text.length();
            return Math.min(end + 1, text.length());
        }

        private int endOfNumber() {
            int end = at;
            while (isDigit(end)) {
                end++;
            }
            if (isDigit(end + 1) && text.charAt(end) == '.') {
                end++;
                while (isDigit(end)) {
                    end++;
                }
            }
            if (end < text.length() && (text.charAt(end) == 'e' || text.charAt(end) == 'E')) {
                int digits = end + (end + 1 < text.length() && "+-".indexOf(text.charAt(end + 1)) >= 0 ? 2 : 1);
                if (isDigit(digits)) {
                    end = digits;
                    while (isDigit(end)) {
                        end++;
                    }
                }
            }
            malformed |= end < text.length() && (Character.isLetter(text.charAt(end)) || text.charAt(end) == '_');
            return end;
        }

        private boolean take(String wanted) {
            boolean isNext = token.equals(wanted);
            if (isNext) {
                advance();
            }
            return isNext;
        }

        // ---- Grammar ----

        private Object whole() {
            Object value = choice();
            if (!token.equals(END) && OTHER_OPERATORS.contains(token)) {
                reject("the operator " + token);
            }
            malformed |= !token.equals(END);
            return value;
        }

        private Object reject(String what) {
            unsupported = unsupported.or(() -> Optional.of(what));
            malformed = true;
            at = text.length();
            token = END;
            return Unknown.ERROR;
        }

        private Object choice() {
            if (++depth > DEPTH_MAX) {
                return reject("an expression of more than " + DEPTH_MAX + " levels");
            }
            Object condition = operation(0);
            Object value = condition;
            if (take("?:")) {
                Object otherwise = choice();
                value = condition == Unknown.UNDEFINED ? otherwise : condition;
            } else if (take("?")) {
                Object first = choice();
                malformed |= !take(":");
                value = chosen(condition, first, choice());
            }
            depth--;
            return value;
        }

        private static Object chosen(Object condition, Object first, Object second) {
            return asFlag(condition) instanceof Boolean flag ? (flag ? first : second) : asFlag(condition);
        }

        private Object operation(int level) {
            if (level == OPERATORS.size()) {
                return operand();
            }
            Object left = operation(level + 1);
            while (OPERATORS.get(level).contains(token)) {
                String operator = token;
                advance();
                left = apply(operator, left, operation(level + 1));
            }
            return left;
        }

        private Object operand() {
            int signs = 0;
            boolean isNegative = false;
            boolean not = false;
            boolean isLogical = false;
            while (token.equals("-") || token.equals("+") || token.equals("!")) {
                if (token.equals("!")) {
                    if (signs > 0) {
                        return asFlag(nested()) instanceof Unknown none ? none : Unknown.ERROR;
                    }
                    isLogical = true;
                    not = !not;
                } else if (isLogical) {
                    break;
                } else {
                    signs++;
                    isNegative ^= token.equals("-");
                }
                advance();
            }
            Object value = isLogical && (token.equals("-") || token.equals("+")) ? nested() : primary();
            if (isLogical) {
                return asFlag(value) instanceof Boolean flag ? (Object) (flag != not) : value == Unknown.UNDEFINED ? value
                    : Unknown.ERROR;
            }
            return signs == 0 || value instanceof Unknown ? value : value instanceof Long number ? (Object) (isNegative ? -number
                : number) : value instanceof Double number ? (Object) (isNegative ? -number : number) : Unknown.ERROR;
        }

        private Object nested() {
            if (++depth > DEPTH_MAX) {
                return reject("an expression of more than " + DEPTH_MAX + " levels");
            }
            Object value = operand();
            depth--;
            return value;
        }

        private Object primary() {
            String first = token;
            if (OTHER_OPERATORS.contains(first)) {
                return reject("the operator " + first);
            }
            advance();
            if (first.startsWith("\"")) {
                return first.length() < 2 ? Unknown.ERROR : first.substring(1, first.length() - 1).replace("\\\"", "\"");
            }
            if (first.equals("{")) {
                return items("}");
            }
            if (first.equals("(")) {
                Object value = choice();
                malformed |= !take(")");
                return value;
            }
            boolean isNumber = !first.isEmpty() && (Character.isDigit(first.charAt(0)) || first.charAt(0) == '.');
            return isNumber ? literal(first) : word(first);
        }

        private static Object literal(String number) {
            boolean isWhole = number.chars().allMatch(Character::isDigit);
            if (!isWhole) {
                return number.length() > 1000 ? (Object) Unknown.ERROR : (Object) Double.valueOf(number);
            }
            try {
                return Long.valueOf(number);
            } catch (NumberFormatException e) {
                return Long.MAX_VALUE; // as strtoll does
            }
        }

        private List<Object> items(String end) {
            List<Object> items = new ArrayList<>();
            while (!malformed && !take(end)) {
                malformed |= token.equals(END) || (!items.isEmpty() && !take(","));
                items.add(choice());
            }
            return items;
        }

        private Object word(String word) {
            malformed |= word.isEmpty() || !(Character.isLetter(word.charAt(0)) || word.charAt(0) == '_');
            if (!malformed && take("(")) {
                List<Object> arguments = items(")");
                return call(word, arguments);
            }
            return switch (word) {
                case "true" -> true;
                case "false" -> false;
                case "error" -> Unknown.ERROR;
                default -> Unknown.UNDEFINED;
            };
        }

        private Object call(String function, List<Object> arguments) {
            Object first = arguments.isEmpty() ? Unknown.ERROR : arguments.get(0);
            boolean isSingle = arguments.size() == 1;
            return switch (function) {
                case "strcat" -> arguments.stream().filter(Unknown.class::isInstance).findFirst().orElseGet(() ->
                    arguments.stream().map(value -> value instanceof String string ? string : written(value))
                        .collect(Collectors.joining()));
                case "ifthenelse" -> arguments.size() == 3 ? chosen(first, arguments.get(1), arguments.get(2)) : Unknown.ERROR;
                case "string" -> !isSingle ? Unknown.ERROR : first instanceof Unknown || first instanceof String ? first
                    : written(first);
                case "int", "real" -> !isSingle ? Unknown.ERROR : converted(first, function.equals("int"));
                default -> reject("the function " + function + "()");
            };
        }

        private static Object converted(Object value, boolean whole) {
            Object number = value instanceof String string ? number(string.strip()).map(Object.class::cast).orElse(Unknown.ERROR)
                : asNumber(value);
            return !(number instanceof Number found) ? number instanceof Unknown ? number : Unknown.ERROR
                : whole ? (Object) truncated(found) : (Object) found.doubleValue();
        }

        // ---- Values ----

        private static Object apply(String operator, Object left, Object right) {
            if (operator.equals("=?=") || operator.equals("is")) {
                return left.equals(right);
            }
            if (operator.equals("=!=") || operator.equals("isnt")) {
                return !left.equals(right);
            }
            if (operator.equals("||") || operator.equals("&&")) {
                boolean deciding = operator.equals("||");
                Object first = asFlag(left);
                Object second = asFlag(right);
                return first == Unknown.ERROR ? first : first.equals(deciding) || second.equals(deciding) ? (Object) deciding
                    : first instanceof Boolean ? second : first;
            }
            if (left instanceof Unknown || right instanceof Unknown) {
                return left == Unknown.ERROR || right == Unknown.ERROR ? Unknown.ERROR : Unknown.UNDEFINED;
            }
            if (left instanceof String first && right instanceof String second) {
                return compared(operator, first.compareToIgnoreCase(second));
            }
            return asNumber(left) instanceof Number first && asNumber(right) instanceof Number second
                ? calculated(operator, first, second) : Unknown.ERROR;
        }

        private static Object asNumber(Object value) {
            return value instanceof Boolean flag ? (Object) (flag ? 1L : 0L) : value;
        }

        /** As a condition: a number is true unless it is 0. */
        private static Object asFlag(Object value) {
            return value instanceof Number number ? (Object) (number.doubleValue() != 0)
                : value instanceof Boolean || value == Unknown.UNDEFINED ? value : Unknown.ERROR;
        }

        /** Without its fraction; the least number there is if it is out of range, as processors have it. */
        private static long truncated(Number number) {
            double value = number.doubleValue();
            return number instanceof Long whole ? whole : value >= -0x1p63 && value < 0x1p63 ? (long) value : Long.MIN_VALUE;
        }

        private static Object calculated(String operator, Number left, Number right) {
            boolean isWhole = left instanceof Long && right instanceof Long;
            if (isWhole) {
                long first = left.longValue();
                long second = right.longValue();
                return switch (operator) {
                    case "+" -> first + second;
                    case "-" -> first - second;
                    case "*" -> first * second;
                    case "/" -> second == 0 ? (Object) Unknown.ERROR : (Object) (first / second);
                    case "%" -> second == 0 ? (Object) Unknown.ERROR : (Object) (first % second);
                    default -> compared(operator, Long.compare(first, second));
                };
            }
            double first = left.doubleValue();
            double second = right.doubleValue();
            return switch (operator) {
                case "+" -> first + second;
                case "-" -> first - second;
                case "*" -> first * second;
                case "/" -> second == 0 ? (Object) Unknown.ERROR : (Object) (first / second);
                case "%" -> Unknown.ERROR;
                default -> compared(operator, Double.compare(first, second));
            };
        }

        private static Object compared(String operator, int difference) {
            return switch (operator) {
                case "==" -> difference == 0;
                case "!=" -> difference != 0;
                case "<" -> difference < 0;
                case "<=" -> difference <= 0;
                case ">" -> difference > 0;
                case ">=" -> difference >= 0;
                default -> Unknown.ERROR;
            };
        }

        /** The value as it is written in the language. */
        static String written(Object value) {
            if (value instanceof Double number) {
                return Double.isFinite(number) ? String.format(Locale.ROOT, "%.15E", number)
                    : Double.isNaN(number) ? "real(\"NaN\")" : number > 0 ? "real(\"INF\")" : "real(\"-INF\")";
            }
            return value instanceof List<?> items
                ? items.stream().map(Expression::written).collect(Collectors.joining(",", "{ ", " }"))
                : value instanceof String text ? '"' + text.replace("\"", "\\\"") + '"'
                : value.toString().toLowerCase(Locale.ROOT);
        }
    }

    /**
     * A format of C's printf with one conversion, for $INT, $REAL and $STRING. Whatever it says, numbers have at most 55
     * characters, as in HTCondor, and the padding of texts is bounded, too. condor_utils/printf_format.cpp
     *
     * @param flags     of {@code # 0 - + } and blank
     * @param width     0 if there is none
     * @param precision -1 if there is none
     * @param length    hh, h, l and so on
     */
    record PrintFormat(String before, String flags, int width, int precision, String length, char conversion, String after) {
        private static final int NUMBER_MAX = 55;
        private static final int TEXT_MAX = 1 << 16;
        private static final int PRECISION_MAX = 400;

        /** Empty if the text is not such a format. */
        static Optional<PrintFormat> parse(String text) {
            int start = text.indexOf('%');
            int at = span(text, start + 1, "#0-+ '");
            int width = at;
            at = span(text, at, "0123456789");
            int dot = at;
            at = text.startsWith(".", at) ? span(text, at + 1, "0123456789") : at;
            int length = at;
            at = span(text, at, "hlLqjzt");
            if (start < 0 || at >= text.length()) {
                return Optional.empty();
            }
            String after = text.substring(at + 1);
            int other = after.indexOf('%');
            if (other >= 0 && other < after.length() - 1) {
                return Optional.empty();
            }
            return Optional.of(new PrintFormat(text.substring(0, start), text.substring(start + 1, width),
                number(text.substring(width, dot)), length == dot ? -1 : number(text.substring(dot + 1, length)),
                text.substring(length, at), text.charAt(at), other < 0 ? after : after.substring(0, other)));
        }

        private static int span(String text, int start, String characters) {
            int at = start;
            while (at < text.length() && characters.indexOf(text.charAt(at)) >= 0) {
                at++;
            }
            return at;
        }

        private static int number(String digits) {
            return digits.isEmpty() ? 0 : digits.length() > 6 ? TEXT_MAX : Math.min(TEXT_MAX, Integer.parseInt(digits));
        }

        /** A Long, Double or String in this format; empty if the format is not for such a value. */
        Optional<String> apply(Object value) {
            if (value instanceof Long number) {
                return "diuxXoc".indexOf(conversion) < 0 ? Optional.empty() : Optional.of(cut(whole(number)));
            }
            if (value instanceof Double number) {
                return "eEfFgGaA".indexOf(conversion) < 0 ? Optional.empty() : Optional.of(cut(real(number)));
            }
            String text = value.toString();
            return conversion != 's' ? Optional.empty() : Optional.of(before
                + padded("", precision >= 0 && precision < text.length() ? text.substring(0, precision) : text, false) + after);
        }

        private String cut(String number) {
            String text = before + number + after;
            return text.length() > NUMBER_MAX ? text.substring(0, NUMBER_MAX) : text;
        }

        private String padded(String sign, String digits, boolean canHaveZeros) {
            String gap = " ".repeat(Math.max(0, width - sign.length() - digits.length()));
            return has('-') ? sign + digits + gap : canHaveZeros && has('0') ? sign + gap.replace(' ', '0') + digits
                : gap + sign + digits;
        }

        private boolean has(char flag) {
            return flags.indexOf(flag) >= 0;
        }

        private String sign(boolean isNegative) {
            return isNegative ? "-" : has('+') ? "+" : has(' ') ? " " : "";
        }

        private String whole(long number) {
            long value = switch (length) {
                case "" -> (int) number;
                case "h" -> (short) number;
                case "hh" -> (byte) number;
                default -> number;
            };
            if (conversion == 'c') {
                int character = (int) number & 0xff;
                return character < ' ' || character > '~' ? "" : padded("", Character.toString(character), false);
            }
            boolean isSigned = conversion == 'd' || conversion == 'i';
            long bits = switch (length) {
                case "" -> value & 0xffffffffL;
                case "h" -> value & 0xffffL;
                case "hh" -> value & 0xffL;
                default -> value;
            };
            String digits = switch (conversion) {
                case 'd', 'i' -> Long.toString(value).replace("-", "");
                case 'u' -> Long.toUnsignedString(bits);
                case 'o' -> Long.toOctalString(bits);
                default -> Long.toHexString(bits);
            };
            digits = precision == 0 && value == 0 ? "" : "0".repeat(Math.max(0, Math.min(precision, PRECISION_MAX)
                - digits.length())) + digits;
            if (has('#') && conversion == 'o' && !digits.startsWith("0")) {
                digits = "0" + digits;
            }
            String prefix = isSigned ? sign(value < 0) : has('#') && "xX".indexOf(conversion) >= 0 && value != 0 ? "0x" : "";
            String text = padded(prefix, digits, precision < 0);
            return conversion == 'X' ? text.toUpperCase(Locale.ROOT) : text;
        }

        private String real(double number) {
            boolean isNegative = number < 0 || (number == 0 && 1 / number < 0);
            double size = Math.abs(number);
            int digits = precision < 0 ? 6 : Math.min(precision, PRECISION_MAX);
            String text = switch (Character.toLowerCase(conversion)) {
                case 'f' -> new BigDecimal(size).setScale(digits, RoundingMode.HALF_EVEN).toPlainString()
                    + (digits == 0 && has('#') ? "." : "");
                case 'e' -> scientific(size, digits);
                case 'g' -> general(size, Math.max(1, digits));
                default -> Double.toHexString(size).replace(".0p", "p").replace("p", "p+").replace("+-", "-");
            };
            String padded = padded(sign(isNegative), text, true);
            return Character.isUpperCase(conversion) ? padded.toUpperCase(Locale.ROOT) : padded;
        }

        private String scientific(double size, int digits) {
            BigDecimal number = new BigDecimal(size).round(new MathContext(digits + 1, RoundingMode.HALF_EVEN));
            int exponent = size == 0 ? 0 : number.precision() - number.scale() - 1;
            String mantissa = number.movePointLeft(exponent).setScale(digits, RoundingMode.HALF_EVEN).toPlainString();
            return mantissa + (digits == 0 && has('#') ? "." : "") + (exponent < 0 ? "e-" : "e+")
                + (Math.abs(exponent) < 10 ? "0" : "") + Math.abs(exponent);
        }

        /** As few digits as the number needs, at most so many; an exponent if it is very small or large. */
        private String general(double size, int digits) {
            BigDecimal number = new BigDecimal(size).round(new MathContext(digits, RoundingMode.HALF_EVEN));
            int exponent = size == 0 ? 0 : number.precision() - number.scale() - 1;
            boolean isPlain = exponent >= -4 && exponent < digits;
            String text = isPlain ? number.setScale(digits - 1 - exponent, RoundingMode.HALF_EVEN).toPlainString()
                : scientific(size, digits - 1);
            int end = isPlain ? text.length() : text.indexOf('e');
            int last = end;
            while (!has('#') && text.lastIndexOf('.', end) >= 0 && last > 0 && text.charAt(last - 1) == '0') {
                last--;
            }
            last = last < end && text.charAt(last - 1) == '.' ? last - 1 : last;
            return text.substring(0, last) + text.substring(end);
        }
    }

    // ==== 8. Location: from a pool or daemon name to addresses ====

    /**
     * Parses addresses and numbers in foreign text. It never queries DNS, and takes one pass over the text without recursion.
     */
    static final class NumericAddress {
        private static final String HEX = "0123456789abcdefABCDEF";
        /** The longest IPv6 address, characters. */
        private static final int IPV6_MAX_CHARACTERS = 45;

        private NumericAddress() { }

        /** Whether the text is a number of one to {@code maxDigits} decimal digits. */
        static boolean isNumber(String text, int maxDigits) {
            return !text.isEmpty() && text.length() <= maxDigits && consistsOf(text, "0123456789");
        }

        static boolean consistsOf(String text, String allowed) {
            for (int i = 0; i < text.length(); i++) {
                if (allowed.indexOf(text.charAt(i)) < 0) {
                    return false;
                }
            }
            return true;
        }

        /** Whether the text has the form of an IPv4 address; its numbers may be too large. */
        static boolean isIpv4(String text) {
            int parts = 1;
            int digits = 0;
            for (int i = 0; i < text.length(); i++) {
                char c = text.charAt(i);
                if (c == '.' && digits > 0) {
                    parts++;
                    digits = 0;
                } else if (c < '0' || c > '9' || ++digits > 3) {
                    return false;
                }
            }
            return parts == 4 && digits > 0;
        }

        /** Whether the text looks like an IPv6 address. */
        static boolean isIpv6(String text) {
            return text.indexOf(':') >= 0 && text.length() <= IPV6_MAX_CHARACTERS && consistsOf(text, HEX + ":.")
                && text.charAt(0) != '.';
        }

        /** Parses an address; empty if the text is not one. InetAddress.getByName would query DNS for some such texts. */
        static Optional<InetAddress> address(String text) {
            try {
                if (isIpv6(text)) {
                    return Optional.of(InetAddress.getByName(text)); // with a colon in it, it is never looked up
                }
                return isIpv4(text) ? ipv4(text) : Optional.empty();
            } catch (UnknownHostException e) {
                return Optional.empty();
            }
        }

        private static Optional<InetAddress> ipv4(String text) throws UnknownHostException {
            byte[] bytes = new byte[4];
            String[] parts = text.split("\\.");
            for (int i = 0; i < bytes.length; i++) {
                // A leading zero means octal to some, so it means nothing here, nor to inet_pton.
                if (Integer.parseInt(parts[i]) > 255 || (parts[i].length() > 1 && parts[i].startsWith("0"))) {
                    return Optional.empty();
                }
                bytes[i] = (byte) Integer.parseInt(parts[i]);
            }
            return Optional.of(InetAddress.getByAddress(bytes));
        }

        /** Whether the text has the form of a host's name: labels of letters, digits, dashes and underscores. RFC 1123 */
        static boolean isHostName(String text) {
            boolean hasForm = !text.isEmpty() && text.length() <= 255;
            char before = '.';
            for (int i = 0; i < text.length() && hasForm; i++) {
                char c = text.charAt(i);
                hasForm = c == '.' ? before != '.' : (c < 128 && Character.isLetterOrDigit(c)) || c == '-' || c == '_';
                before = c;
            }
            return hasForm;
        }
    }

    /**
     * HTCondor's form of an address: {@code <host:port?key=value&key>}. condor_utils/condor_sinful.cpp
     *
     * @param host       a name or an address; IPv6 without its brackets
     * @param port       -1 if there is none
     * @param parameters decoded; a key without value has an empty one
     */
    record Sinful(String host, int port, SortedMap<String, String> parameters) {
        /** Longest sinful string, characters. Daemons with many addresses and brokers need less. */
        private static final int MAX_CHARACTERS = 64 * 1024;
        private static final String SHARED_PORT_ID_CHARACTERS =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
        /** The ID is the last part of a socket's path, which has no more characters than these. */
        private static final int SHARED_PORT_ID_MAX_CHARACTERS = 107;

        Sinful {
            parameters = Collections.unmodifiableSortedMap(new TreeMap<>(parameters));
        }

        /** Parses a sinful string; empty if any part of it is malformed. */
        static Optional<Sinful> parse(String text) {
            if (text.length() < 2 || text.length() > MAX_CHARACTERS || text.charAt(0) != '<'
                    || text.indexOf('<', 1) >= 0 || text.indexOf('>') != text.length() - 1) {
                return Optional.empty();
            }
            int query = text.indexOf('?');
            String place = text.substring(1, query < 0 ? text.length() - 1 : query);
            int bracket = place.startsWith("[") ? place.indexOf(']') : 0;
            int colon = bracket < 0 ? -1 : place.indexOf(':', bracket);
            String host = bracket > 0 ? place.substring(1, bracket) : colon < 0 ? place : place.substring(0, colon);
            String port = colon < 0 ? "" : place.substring(colon + 1);
            boolean hasForm = bracket >= 0 && !host.isEmpty()
                && (bracket > 0 ? NumericAddress.isIpv6(host) && (colon < 0 ? place.length() : colon) == bracket + 1
                    : host.indexOf('[') < 0 && host.indexOf(']') < 0)
                && (colon < 0 || NumericAddress.isNumber(port, 5));
            return hasForm ? parameters(query < 0 ? "" : text.substring(query + 1, text.length() - 1))
                .map(parameters -> new Sinful(host, port.isEmpty() ? -1 : Integer.parseInt(port), parameters))
                : Optional.empty();
        }

        /**
         * Whether it is the ID of an endpoint behind a shared port, which becomes part of file names, here and on the
         * server. condor_io/shared_port_client.cpp, SharedPortIdIsValid
         */
        static boolean isSharedPortId(String text) {
            return !text.isEmpty() && text.length() <= SHARED_PORT_ID_MAX_CHARACTERS
                && NumericAddress.consistsOf(text, SHARED_PORT_ID_CHARACTERS);
        }

        /** Parses {@code key=value&key}; empty if a key is missing, or if the value of {@code sock} is not an ID. */
        private static Optional<SortedMap<String, String>> parameters(String query) {
            SortedMap<String, String> parameters = new TreeMap<>();
            for (StringTokenizer pairs = new StringTokenizer(query, "&;"); pairs.hasMoreTokens(); ) {
                String pair = pairs.nextToken();
                int equals = pair.indexOf('=');
                String key = decode(equals < 0 ? pair : pair.substring(0, equals));
                if (key.isEmpty()) {
                    return Optional.empty();
                }
                parameters.put(key, equals < 0 ? "" : decode(pair.substring(equals + 1)));
            }
            String sharedPortId = parameters.getOrDefault("sock", "");
            return Optional.of(parameters).filter(it -> sharedPortId.isEmpty() || isSharedPortId(sharedPortId));
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

        /** Whether it has a valid port. */
        boolean isComplete() {
            return port >= 1 && port <= 65535;
        }

        Sinful with(String key, String value) {
            SortedMap<String, String> more = new TreeMap<>(parameters);
            more.put(key, value);
            return new Sinful(host, port, more);
        }

        Sinful without(String key) {
            SortedMap<String, String> fewer = new TreeMap<>(parameters);
            fewer.remove(key);
            return new Sinful(host, port, fewer);
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

        /** Characters that HTCondor does not escape when it writes: letters, digits and {@code . _ - : # [ ] +}. */
        private static String encode(String text) {
            StringBuilder encoded = new StringBuilder();
            for (byte b : text.getBytes(UTF_8)) {
                boolean plain = b > 0 && (Character.isLetterOrDigit(b) || "._-:#[]+".indexOf(b) >= 0);
                if (plain) {
                    encoded.append((char) b);
                } else {
                    encoded.append('%').append(Character.forDigit(b >> 4 & 15, 16)).append(Character.forDigit(b & 15, 16));
                }
            }
            return encoded.toString();
        }
    }

    /**
     * The daemon to connect to.
     *
     * @param sinful    its address in canonical form; the alias is the name of the expected server
     * @param from      source of the address
     * @param addresses to try in this order; empty if the daemon accepts no direct connections
     * @param brokers   CCB brokers that ask the daemon to connect to us, {@code ADDRESS#ID}; if any, only these are tried
     */
    record Target(Sinful sinful, NameSource from, ExpectedServer expected, List<InetSocketAddress> addresses,
                  List<String> brokers) {

        /** The endpoint behind a shared port, if the address names one. */
        Optional<String> sharedPortId() {
            return sinful.parameter("sock");
        }

        /** A copy with another expected server. */
        Target as(ExpectedServer other) {
            return new Target(other.name().map(name -> sinful.with("alias", name)).orElse(sinful), from, other, addresses,
                brokers);
        }

        /** Whether it is on this machine. */
        boolean isLocal() {
            return !expected.elsewhere() && brokers.isEmpty()
                && addresses.stream().map(InetSocketAddress::getAddress).allMatch(Target::isLocal);
        }

        /**
         * Formats an address as C's inet_ntop: Java writes all groups of an IPv6 address, C compresses the longest run of zeros.
         */
        static String text(InetAddress address) {
            String text = address.getHostAddress();
            if (!(address instanceof Inet6Address)) {
                return text;
            }
            int scope = text.indexOf('%');
            List<String> groups = List.of((scope < 0 ? text : text.substring(0, scope)).split(":"));
            int start = 0;
            int length = 1; // one zero alone is written
            for (int i = 0; i < groups.size(); i++) {
                int end = i;
                while (end < groups.size() && groups.get(end).equals("0")) {
                    end++;
                }
                if (end - i > length) {
                    start = i;
                    length = end - i;
                }
            }
            return (length == 1 ? String.join(":", groups) : String.join(":", groups.subList(0, start)) + "::"
                + String.join(":", groups.subList(start + length, groups.size()))) + (scope < 0 ? "" : text.substring(scope));
        }

        /** An address with its port, as a sinful string. */
        static String text(InetSocketAddress address) {
            return new Sinful(text(address.getAddress()), address.getPort(), Collections.emptySortedMap()).toString();
        }

        private static boolean isLocal(InetAddress address) {
            try {
                return address.isLoopbackAddress() || NetworkInterface.getByInetAddress(address) != null;
            } catch (SocketException e) {
                return false;
            }
        }

        /** The sinful string with the connected address, if the name has several. */
        Sinful reachedAt(InetSocketAddress peer) {
            return addresses.size() > 1 && addresses.contains(peer) && sinful.parameter("addrs").isEmpty()
                ? sinful.at(text(peer.getAddress()), peer.getPort()) : sinful;
        }

        /** The address for messages, truncated; {@code sinful().toString()} is complete. */
        @Override
        public String toString() {
            return printable(sinful.toString());
        }
    }

    /**
     * A daemon whose address is known.
     *
     * @param before reports of the names in front of it in a list that were not found: they were tried before it
     * @param after  the same for the names behind the last daemon of a list: they count only if that fails, too
     */
    record LocatedDaemon(Target target, DaemonQuery query, List<String> before, List<String> after) {
        LocatedDaemon(Target target, DaemonQuery query) {
            this(target, query, List.of(), List.of());
        }
    }

    /** The result of a location. */
    sealed interface LocateResult {
        /** Addresses of equivalent daemons; the first that works is used. */
        record Resolved(List<LocatedDaemon> daemons) implements LocateResult { }

        /**
         * One of these equivalent collectors must be queried for the daemon.
         *
         * @param type   of the daemon
         * @param name   as typed or configured, fully qualified if possible; empty for the only daemon of its type
         * @param own    the name of this machine's daemon of the type, queried first if {@code name} is empty
         * @param server expected by that name; empty if it names no host
         */
        record NeedsCollector(List<LocatedDaemon> collectors, DaemonType type, Optional<String> name, Optional<String> own,
                      Optional<ExpectedServer> server) implements LocateResult { }
    }

    /** The enabled IP versions and their order. condor_io/ipv6_hostname.cpp, condor_utils/condor_sinful.cpp */
    record AddressFamilyPreference(boolean ipv4, boolean ipv6, boolean ipv4First, boolean asNamed) {
        static AddressFamilyPreference of(Configuration configuration) throws CommandException {
            boolean ipv4First = configuration.flag("PREFER_OUTBOUND_IPV4", true);
            AddressFamilyPreference familyPreference = new AddressFamilyPreference(isOn(configuration, "ENABLE_IPV4"),
                isOn(configuration, "ENABLE_IPV6"), ipv4First,
                !configuration.flag("IGNORE_DNS_PROTOCOL_PREFERENCE", true));
            if (!familyPreference.ipv4() && !familyPreference.ipv6()) {
                throw Configuration.invalid(configuration.find("ENABLE_IPV6").orElseThrow(),
                    "true, since ENABLE_IPV4 is false, too");
            }
            return familyPreference;
        }

        /** Enabled by default; "auto" depends on the addresses of the system. */
        private static boolean isOn(Configuration configuration, String name) throws CommandException {
            return configuration.text(name).filter("auto"::equalsIgnoreCase).isPresent() || configuration.flag(name, true);
        }

        boolean includes(InetAddress address) {
            return address instanceof Inet6Address ? ipv6 : ipv4;
        }

        /** The preferred IP version first. */
        Comparator<InetAddress> byFamily() {
            return Comparator.comparing(address -> address instanceof Inet6Address == ipv4First);
        }

        /** The order of a name's addresses: DNS order if IGNORE_DNS_PROTOCOL_PREFERENCE is false. */
        Comparator<InetAddress> orderOfNames() {
            return asNamed ? Comparator.comparingInt(unused -> 0) : byFamily();
        }
    }

    /**
     * Finds the daemon, or the collectors that know it. It uses only local files and DNS.
     * The rules are those of condor_daemon_client/daemon.cpp, Daemon::locate.
     */
    static final class Location {
        /** Settings that name the collectors; the first with a value counts. */
        private static final List<String> COLLECTORS =
            List.of("COLLECTOR_HOST", "COLLECTOR_IP_ADDR", "CM_IP_ADDR", "CONDOR_HOST");
        /** A line of an address file: the address alone, or as an attribute of the daemon's ad. */
        private static final Pattern ADDRESS = Pattern.compile("(?:MyAddress\\s*+=\\s*+\")?(<[^\">]*+>)\"?");
        /** Most addresses, and most brokers, of one daemon. More cannot be tried within a minute. */
        private static final int LISTED_MAX = 240;
        /** Largest address file or daemon ad file. */
        private static final int MAX_BYTES = 1 << 20;
        private final Configuration configuration;
        private final AddressFamilyPreference familyPreference;
        private final Host host;
        private final Deadline deadline;
        private final DebugLog trace;
        private final InputFiles files;
        private final UserInterface ui;

        /** @throws CommandException CONFIGURATION */
        Location(Context context) throws CommandException {
            this.configuration = context.configuration();
            this.familyPreference = AddressFamilyPreference.of(configuration);
            this.host = context.host();
            this.deadline = context.deadline();
            this.trace = context.trace();
            this.files = context.files();
            this.ui = context.ui();
        }

        /**
         * Locates a daemon.
         *
         * @throws CommandException USAGE, CONFIGURATION, NOT_FOUND
         */
        LocateResult find(DaemonQuery query) throws CommandException {
            return switch (query.type()) {
                case COLLECTOR, VIEW_COLLECTOR -> new LocateResult.Resolved(collectors(query));
                case ANY -> found(query, query.name()
                    .orElseThrow(() -> new CommandException(ErrorCode.UNREACHABLE, "ERROR: -type any needs the daemon's "
                        + "address.", List.of(), "Give it with -name, such as -name '<192.0.2.7:9618?alias=cm.example.org>'.",
                        "DAEMON:1:Failed to connect to remote daemon at ''")),
                    "-name", NameSource.COMMAND_LINE);
                case DAGMAN, SHADOW, STARTER, GRIDMANAGER, LEASE_MANAGER -> throw new CommandException(ErrorCode.USAGE,
                    "ERROR: Unknown daemon type (" + query.type().word() + ") in Daemon::locate",
                    "Daemons of this type do not issue tokens.");
                case KBDD, GENERIC, CLUSTER_SERVER -> throw notLocated(query.name(), ErrorCode.USAGE,
                    "Daemons of type " + query.type().word() + " cannot be looked up. To give the address: "
                    + "-type any -name '<IP:PORT>'.");
                default -> daemon(query);
            };
        }

        /** The error of condor_token_request for a daemon that was not found. */
        static CommandException notLocated(Optional<String> name, ErrorCode reason, String hint) {
            return new CommandException(reason, name.map(text -> "ERROR: couldn't locate daemon " + printable(text) + "!")
                .orElse("ERROR: couldn't locate default daemon type."), hint);
        }

        // ---- Collectors ----

        /** For a collector, -name means the same as -pool. */
        private List<LocatedDaemon> collectors(DaemonQuery query) throws CommandException {
            if (query.pool().isPresent() && query.name().isPresent()) {
                throw new CommandException(ErrorCode.USAGE, "ERROR: Daemon: pool (" + printable(query.pool().get())
                    + ") and name ("
                    + printable(query.name().get()) + ") conflict for COLLECTOR",
                    "For a collector give either -pool or -name, not both.");
            }
            if (query.name().isPresent()) {
                try {
                    return List.of(collector(query.name().get(), "-name", NameSource.COMMAND_LINE));
                } catch (CommandException failure) {
                    throw new CommandException(failure.reason, notLocated(query.name(), failure.reason, "").getMessage(),
                        List.of(failure.getMessage()), failure.hint().orElse(""));
                }
            }
            Optional<Configuration.Setting> view = query.type() == DaemonType.VIEW_COLLECTOR && query.pool().isEmpty()
                ? configuration.find("CONDOR_VIEW_HOST") : Optional.empty();
            return view.isPresent() ? collectors(view.get()) : pool(query.pool());
        }

        /**
         * The collectors of a pool.
         *
         * @param pool the value of {@code -pool}; empty for the configured pools
         */
        private List<LocatedDaemon> pool(Optional<String> pool) throws CommandException {
            if (pool.isPresent()) {
                return List.of(collector(pool.get(), "-pool", NameSource.COMMAND_LINE));
            }
            return collectors(configuredPool().orElseThrow(this::noPool));
        }

        private Optional<Configuration.Setting> configuredPool() {
            return COLLECTORS.stream().map(configuration::find).flatMap(Optional::stream).findFirst();
        }

        /**
         * The pool's collector, if it has the given address, such as a broker's.
         *
         * @param pool   as typed or configured; empty for the configured pool
         * @param origin source of the pool's name
         */
        Optional<Target> collectorAt(Target address, Optional<String> pool, NameSource origin) {
            List<String> names = pool.map(List::of).or(() -> configuredPool()
                .map(setting -> Configuration.items(setting.value()))).orElse(List.of());
            for (String name : names) {
                try {
                    Target collector = collector(name, "its pool", origin).target();
                    // A shared port has other endpoints, too.
                    if (!Collections.disjoint(collector.addresses(), address.addresses())
                            && address.sharedPortId().filter(id -> !id.equals("collector")
                                && !collector.sharedPortId().equals(Optional.of(id))).isEmpty()) {
                        return Optional.of(collector);
                    }
                } catch (CommandException failure) {
                    trace.log(DebugLog.HOSTNAME, () -> "Is " + address + " at " + printable(name) + "? " + failure.getMessage());
                }
            }
            return Optional.empty();
        }

        /** Without any configured pool the original's error would not help. */
        private CommandException noPool() {
            String remedy = "give -pool HOST, or set _CONDOR_COLLECTOR_HOST.";
            return COLLECTORS.stream().noneMatch(configuration::isMentioned)
                ? new CommandException(ErrorCode.USAGE, "ERROR: no pool is given or configured: " + remedy, "")
                : notLocated(Optional.empty(), ErrorCode.USAGE, "No pool is configured: " + remedy);
        }

        /** The collectors of a list whose names are found, with reports of those that are not. */
        private List<LocatedDaemon> collectors(Configuration.Setting setting) throws CommandException {
            List<LocatedDaemon> found = new ArrayList<>();
            List<String> complaints = new ArrayList<>();
            List<String> names = Configuration.items(setting.value());
            int reported = 0;
            for (int i = 0; i < names.size(); i++) {
                String name = names.get(i);
                try {
                    // One share for each name that is not looked up yet, and one for the request.
                    LocatedDaemon collector = deadline.share(names.size() - i + 1,
                        () -> collector(name, setting.name() + ", " + setting.source(), NameSource.CONFIGURATION));
                    found.add(new LocatedDaemon(collector.target(), collector.query(),
                        skippedReports(complaints.subList(reported, complaints.size())), List.of()));
                    reported = complaints.size();
                } catch (CommandException failure) {
                    complaints.add(failure.getMessage());
                }
            }
            if (found.isEmpty()) {
                throw new CommandException(ErrorCode.NOT_FOUND,
                    notLocated(Optional.empty(), ErrorCode.NOT_FOUND, "").getMessage(), complaints,
                    "Check the host names in " + setting.name() + " (" + setting.source() + ").");
            }
            LocatedDaemon last = found.remove(found.size() - 1);
            found.add(new LocatedDaemon(last.target(), last.query(), last.before(),
                skippedReports(complaints.subList(reported, complaints.size()))));
            return found;
        }

        private static List<String> skippedReports(List<String> complaints) {
            return complaints.stream().map(text -> "Skipped: "
                + (text.startsWith("ERROR: ") ? text.substring("ERROR: ".length()) : text)).toList();
        }

        private LocatedDaemon collector(String text, String source, NameSource origin) throws CommandException {
            String name = text.strip();
            DaemonQuery query = new DaemonQuery(DaemonType.COLLECTOR, Optional.empty(), Optional.of(name));
            // Port 0: only the collector knows its port, and writes it to its address file on this machine.
            Optional<LocatedDaemon> own = name.endsWith(":0") ? own(query, configuration.text("FULL_HOSTNAME"),
                Optional.of(name.substring(0, name.length() - 2)).filter(host -> !NumericAddress.isIpv4(host))
                    .filter(NumericAddress::isHostName).map(host -> new ExpectedServer(Optional.of(host), origin)))
                    : Optional.empty();
            return own.isPresent() ? own.get() : new LocatedDaemon(at(name, source, origin, Optional.empty()), query);
        }

        // ---- Other daemons ----

        /** On this machine, at a typed address, or through the collector. */
        private LocateResult daemon(DaemonQuery query) throws CommandException {
            String prefix = query.type().name() + "_";
            Optional<Configuration.Setting> setting = query.name().isPresent() || query.pool().isPresent()
                ? Optional.empty() : configuration.find(prefix + "HOST");
            Optional<String> typed = query.name().or(() -> setting.map(Configuration.Setting::value));
            NameSource origin = query.name().isPresent() ? NameSource.COMMAND_LINE : NameSource.CONFIGURATION;
            if (typed.filter(name -> name.startsWith("<") || name.contains(":")).isPresent()) {
                return found(query, typed.get(), setting.map(one -> one.name() + ", " + one.source()).orElse("-name"),
                    origin);
            }
            Optional<String> name = typed.map(this::inFull);
            Optional<ExpectedServer> server = server(typed, origin);
            // A pool has one negotiator, on any machine; another pool's daemons are not on this machine.
            Optional<String> own = query.pool().isPresent() || (name.isEmpty() && query.type() == DaemonType.NEGOTIATOR)
                ? Optional.empty() : Optional.of(ownName(prefix));
            Optional<LocatedDaemon> here = own.isPresent() && own.get().equalsIgnoreCase(name.orElse(own.get()))
                ? own(new DaemonQuery(query.type(), own, query.pool()), own, server) : Optional.empty();
            return here.isPresent() ? new LocateResult.Resolved(List.of(here.get()))
                : new LocateResult.NeedsCollector(pool(query.pool()), query.type(), name, own,
                    typed.isPresent() ? server : server(own.filter(this::isConfigured), NameSource.CONFIGURATION));
        }

        /**
         * The host in a daemon's name: the part after the last @. A name without an @ is a host if it has a dot, directly or
         * after DEFAULT_DOMAIN_NAME, or if DNS knows it.
         */
        private Optional<ExpectedServer> server(Optional<String> daemon, NameSource origin) {
            Optional<String> name = daemon.map(text -> text.substring(text.lastIndexOf('@') + 1))
                .filter(NumericAddress::isHostName);
            if (name.isEmpty()) {
                return Optional.empty();
            }
            boolean isShort = !daemon.get().contains("@") && !name.get().contains(".");
            Optional<String> host = !isShort ? name.map(text -> text.replaceFirst("\\.$", ""))
                : domain().map(name.get()::concat).or(() -> name.filter(this::isKnown));
            return host.map(text -> new ExpectedServer(Optional.of(text), origin));
        }

        /** DEFAULT_DOMAIN_NAME with a leading dot. */
        private Optional<String> domain() {
            return configuration.text("DEFAULT_DOMAIN_NAME").map(domain -> domain.startsWith(".") ? domain : "." + domain);
        }

        private boolean isKnown(String host) {
            try {
                return deadline.share(3, () -> deadline.await("the look-up of " + host,
                    () -> InetAddress.getByName(host) != null));
            } catch (IOException e) {
                return false;
            }
        }

        /** Whether the host in a daemon name of this machine comes from the configuration, not from DNS. */
        private boolean isConfigured(String own) {
            String host = own.substring(own.lastIndexOf('@') + 1);
            return configuration.set("NETWORK_HOSTNAME").isPresent() || host.equalsIgnoreCase(this.host.name())
                || !configuration.text("FULL_HOSTNAME").filter(host::equalsIgnoreCase).isPresent();
        }

        /** The name of such a daemon of this machine. condor_utils/get_daemon_name.cpp, build_valid_daemon_name */
        private String ownName(String prefix) {
            String machine = configuration.text("FULL_HOSTNAME").orElse("localhost");
            Optional<String> name = configuration.text(prefix + "NAME");
            return name.isEmpty() || machine.equalsIgnoreCase(name.get()) ? machine
                : name.get().contains("@") ? name.get() : name.get() + "@" + machine;
        }

        /** A short host name with its domain, if one is known. Other names are returned unchanged. */
        private String inFull(String name) {
            if (name.contains("@") || name.contains(".")) {
                return name;
            }
            try {
                String canonical = deadline.share(3, () -> deadline.await("the look-up of " + name,
                    () -> InetAddress.getByName(name).getCanonicalHostName()));
                if (canonical.contains(".") && !NumericAddress.isIpv4(canonical)) {
                    return canonical;
                }
            } catch (UnknownHostException e) {
                trace.log(DebugLog.HOSTNAME, () -> "DNS does not know " + name + ".");
            } catch (IOException e) {
                trace.log(DebugLog.HOSTNAME, e::getMessage);
            }
            return name + domain().orElse("");
        }

        /**
         * The daemon of this machine, by its address file.
         *
         * @param server as typed; empty without a typed name
         */
        private Optional<LocatedDaemon> own(DaemonQuery query, Optional<String> name, Optional<ExpectedServer> server)
            throws CommandException {
            String prefix = query.type().name() + "_";
            boolean superPort = host.isRoot() || configuration.flag("USE_SUPER_PORT", false);
            for (String kind : List.of("SUPER_ADDRESS_FILE", "DAEMON_AD_FILE", "ADDRESS_FILE")) {
                Optional<Configuration.Setting> file = configuration.find(prefix + kind)
                    .filter(path -> superPort || !kind.startsWith("SUPER"));
                Optional<Sinful> address = file.flatMap(this::firstAddress);
                if (address.isPresent()) {
                    boolean aliased = address.get().parameter("alias").isPresent() || name.isEmpty();
                    Sinful sinful = aliased ? address.get()
                        : address.get().with("alias", name.get().substring(name.get().lastIndexOf('@') + 1));
                    return Optional.of(new LocatedDaemon(at(sinful.toString(), file.get().path().toString(),
                        NameSource.ADDRESS_FILE,
                        server), query));
                }
            }
            return Optional.empty();
        }

        private Optional<Sinful> firstAddress(Configuration.Setting setting) {
            try {
                return files.read(setting.path(), setting.origin(), FilePurpose.LISTED, MAX_BYTES).lines().map(ADDRESS::matcher)
                    .filter(Matcher::matches).findFirst().flatMap(address -> Sinful.parse(address.group(1)));
            } catch (InputFiles.RefusedFileException e) {
                ui.notice("Skipped " + e.getFile() + ": it " + reason(e) + ".");
                return Optional.empty();
            } catch (IOException e) {
                return Optional.empty();
            }
        }

        /** A daemon at a given address, a sinful string or HOST:PORT. */
        private LocateResult found(DaemonQuery query, String address, String source, NameSource origin) throws CommandException {
            return new LocateResult.Resolved(List.of(new LocatedDaemon(at(address.strip(), source, origin, Optional.empty()),
                query)));
        }

        // ---- Addresses ----

        /**
         * The daemon at an address.
         *
         * @param source for messages, such as "-pool"
         * @param origin source of the address
         * @param server expected at the address; empty for the server that the address itself names
         */
        Target at(String text, String source, NameSource origin, Optional<ExpectedServer> server) throws CommandException {
            boolean bare = !text.startsWith("<");
            boolean bareIpv6 = bare && NumericAddress.isIpv6(text) && text.indexOf(':') != text.lastIndexOf(':');
            Sinful typed = Sinful.parse(bare ? "<" + (bareIpv6 ? "[" + text + "]" : text) + ">" : text)
                .orElseThrow(() -> unreadable(text, source));
            Sinful sinful = typed.port() >= 0 ? typed
                : typed.at(typed.host(), configuration.number("COLLECTOR_PORT", Protocol.COLLECTOR_PORT, 1, 65535));
            if (!sinful.isComplete()) {
                throw unreadable(text, source);
            }
            return target(privateAddress(sinful).orElse(sinful), server.orElseGet(() -> named(sinful, bare, origin)), origin,
                text, source);
        }

        /** The server that an address names. */
        private ExpectedServer named(Sinful sinful, boolean bare, NameSource origin) {
            // The certificate must carry the typed name, which precedes an alias in a bare text, as in the original.
            // Certificates do not contain the dot that ends a fully qualified name.
            Optional<String> host = Optional.of(sinful.host()).filter(name -> isName(sinful));
            Optional<String> alias = sinful.parameter("alias").filter(name -> !bare || host.isEmpty());
            return new ExpectedServer(alias.or(() -> host).filter(NumericAddress::isHostName) // a server can have sent it
                .map(name -> name.replaceFirst("\\.$", "")), origin,
                origin.isTyped() && alias.filter(name -> !name.equals(sinful.host()) && !isOurs(name)).isPresent());
        }

        /** Whether the host is a name, not an address. */
        private static boolean isName(Sinful sinful) {
            return !sinful.host().contains(":") && !NumericAddress.isIpv4(sinful.host());
        }

        /** Whether a name is this machine's. That it resolves to this machine proves nothing, since a tunnel starts here, too. */
        private boolean isOurs(String name) {
            return Stream.of("localhost", "localhost.localdomain", host.name()).anyMatch(name::equalsIgnoreCase)
                || Stream.of("FULL_HOSTNAME", "HOSTNAME").map(configuration::text).flatMap(Optional::stream)
                    .anyMatch(name::equalsIgnoreCase);
        }

        /** The address in the private network, if the daemon is in the same one. */
        private Optional<Sinful> privateAddress(Sinful sinful) {
            if (sinful.parameter("PrivNet").isEmpty()
                    || !sinful.parameter("PrivNet").equals(configuration.text("PRIVATE_NETWORK_NAME"))) {
                return Optional.empty();
            }
            Sinful inside = sinful.parameter("PrivAddr").flatMap(address -> Sinful.parse(address.startsWith("<") ? address
                : "<" + address + ">")).filter(Sinful::isComplete).orElse(sinful.without("CCBID"));
            return Optional.of(sinful.parameter("alias").map(alias -> inside.with("alias", alias)).orElse(inside));
        }

        private Target target(Sinful sinful, ExpectedServer expected, NameSource origin, String text, String source)
            throws CommandException {
            List<String> brokers = first(sinful.parameter("CCBID").orElse(""), " ");
            List<InetSocketAddress> addresses = !brokers.isEmpty() ? List.of() : addresses(sinful, text, source);
            Sinful canonical = addresses.isEmpty() ? sinful
                : sinful.at(Target.text(addresses.get(0).getAddress()), addresses.get(0).getPort());
            Target target = new Target(expected.name().map(name -> canonical.with("alias", name)).orElse(canonical),
                origin, expected, addresses, brokers);
            trace.log(DebugLog.HOSTNAME, () -> printable(text) + " is " + target + ", to be tried "
                + (brokers.isEmpty() ? "at " + String.join(", ", printable(addresses.stream().map(Target::text).toList()))
                    : "through its brokers " + printable(brokers)) + ".");
            return target;
        }

        /** The addresses to connect to. The list in {@code addrs} takes precedence over the sinful string's host. */
        private List<InetSocketAddress> addresses(Sinful sinful, String text, String source) throws CommandException {
            List<InetSocketAddress> listed = sinful.parameter("addrs").map(Location::listed).orElse(List.of());
            List<InetSocketAddress> all = !listed.isEmpty() ? listed : lookUp(sinful, source);
            List<InetSocketAddress> usable = all.stream().filter(address -> familyPreference.includes(address.getAddress()))
                .sorted(Comparator.comparing(InetSocketAddress::getAddress,
                    listed.isEmpty() ? familyPreference.orderOfNames() : familyPreference.byFamily())).toList();
            if (usable.isEmpty()) {
                throw new CommandException(ErrorCode.UNREACHABLE, "ERROR: " + printable(text) + " (" + source + ") has only IPv"
                    + (familyPreference.ipv4() ? 6 : 4) + " addresses.", "ENABLE_IPV" + (familyPreference.ipv4() ? 6 : 4)
                    + " is false here.");
            }
            return usable;
        }

        private List<InetSocketAddress> lookUp(Sinful sinful, String source) throws CommandException {
            String host = sinful.host();
            boolean isName = isName(sinful);
            try {
                if (isName && !NumericAddress.isHostName(host)) {
                    throw new UnknownHostException();
                }
                InetAddress[] addresses = isName
                    ? deadline.await("the look-up of " + host, () -> InetAddress.getAllByName(host))
                    : new InetAddress[] {NumericAddress.address(host).orElseThrow(UnknownHostException::new)};
                return Arrays.stream(addresses).map(address -> new InetSocketAddress(address, sinful.port())).toList();
            } catch (UnknownHostException e) {
                throw new CommandException(ErrorCode.NOT_FOUND, "ERROR: unknown host " + printable(host),
                    "Check the host name given " + givenBy(source) + "; DNS does not know it.");
            } catch (IOException e) {
                throw new CommandException(ErrorCode.UNREACHABLE, "ERROR: DNS did not answer in time for " + printable(host),
                    "Check this machine's name servers, or replace the host name given " + givenBy(source)
                    + " by an IP address.");
            }
        }

        private static String givenBy(String source) {
            return (source.startsWith("-") ? "with " : "by ") + printable(source);
        }

        /** The list {@code ip-port+[v6]-port}, in which an IPv6 address has dashes for its colons. */
        private static List<InetSocketAddress> listed(String addrs) {
            return first(addrs, "+").stream().flatMap(item -> listedOne(item).stream()).toList();
        }

        private static Optional<InetSocketAddress> listedOne(String item) {
            int dash = item.lastIndexOf('-');
            String port = item.substring(dash + 1);
            if (dash < 0 || !NumericAddress.isNumber(port, 5) || Integer.parseInt(port) > 65535) {
                return Optional.empty();
            }
            boolean bracketed = item.startsWith("[") && item.startsWith("]", dash - 1);
            String host = bracketed ? item.substring(1, dash - 1).replace('-', ':') : item.substring(0, dash);
            return Optional.of(host).filter(text -> bracketed == text.contains(":")).flatMap(NumericAddress::address)
                .map(address -> new InetSocketAddress(address, Integer.parseInt(port)));
        }

        /** The first items of a list, at most LISTED_MAX. */
        private static List<String> first(String list, String separator) {
            List<String> items = new ArrayList<>();
            StringTokenizer rest = new StringTokenizer(list, separator);
            while (rest.hasMoreTokens() && items.size() < LISTED_MAX) {
                items.add(rest.nextToken());
            }
            return items;
        }

        private static CommandException unreadable(String text, String source) {
            return new CommandException(ErrorCode.USAGE, "ERROR: COLLECTOR address or hostname not specified in config file",
                "'" + printable(text) + "' (" + source + ") is not the address of a pool. Give HOST, HOST:PORT, an IP"
                + " address, or a sinful string such as '<192.0.2.7:9618?alias=HOST>'" + (text.contains("sock=")
                ? "; sock= may contain only letters, digits, '.', '-' and '_'." : "."));
        }
    }

    // ==== 9. Protocol: numbers, names and limits, each with its source ====

    /**
     * The constants of the protocol. File names are those of HTCondor's own source, below {@code src/}; "seen" means
     * observed on live pools of 23.9.6 and 25.14.1.
     */
    static final class Protocol {
        private Protocol() { }

        /** Default TCP port of a collector. condor_includes/condor_network.h, COLLECTOR_PORT */
        static final int COLLECTOR_PORT = 9618;

        // Commands. condor_includes/condor_commands.h
        static final int QUERY_STARTD_ADS = 5;
        static final int QUERY_SCHEDD_ADS = 6;
        static final int QUERY_MASTER_ADS = 7;
        static final int QUERY_NEGOTIATOR_ADS = 50;
        static final int QUERY_HAD_ADS = 56;
        static final int CCB_REQUEST = 68;
        static final int CCB_REVERSE_CONNECT = 69;
        static final int QUERY_GENERIC_ADS = 74;
        static final int SHARED_PORT_CONNECT = 75;
        static final int DC_AUTHENTICATE = 60010;
        static final int DC_NOP = 60011;
        /** Queries whether another command would be allowed. */
        static final int DC_SEC_QUERY = 60040;
        static final int DC_START_TOKEN_REQUEST = 60047;
        static final int DC_FINISH_TOKEN_REQUEST = 60048;

        // Packets. condor_io/reli_sock.cpp, condor_io/buffers.cpp
        /** 1 byte end flag, then the length of the body, 4 bytes big-endian. */
        static final int HEADER_BYTES = 5;
        /** Servers read 0 as "more follows", 1 to 10 as "last", and drop the connection on any other value (seen). */
        static final int END_FLAG_MAX = 10;
        /** Largest body, bytes. The reader checks the length before it allocates, and ends the connection above this. */
        static final int BODY_MAX_BYTES = 1 << 20;
        /** Largest message, bytes, including headers, IVs and tags: a limit of this program; CEDAR has none. */
        static final int MESSAGE_MAX_BYTES = 4 << 20;
        /** Most attributes of one ad; a limit of this program. */
        static final int AD_MAX_ATTRIBUTES = 10_000;
        /** The one-byte string that encodes a null string. condor_io/stream.cpp */
        static final int NULL_STRING = 0xAD;

        // AES-256-GCM. condor_io/condor_crypt_aesgcm.cpp
        static final int KEY_BYTES = 32;
        static final int IV_BYTES = 16;
        static final int TAG_BYTES = 16;

        // The key message. condor_io/authentication.cpp, Authentication::exchangeKey
        static final int CIPHER_AES = 3;
        /** Largest encrypted session key; a limit of this program. KERBEROS adds up to 52 bytes. */
        static final int WRAPPED_KEY_MAX_BYTES = 256;

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
        /** Salt of the key K', from which PASSWORD's own key follows, 256 bytes. */
        static final String AKEP2_SEED_B = """
            AQAmrXXfxsGQpaJmsNG12GD3z6OEZyBVAc1GDUqI1HP6UuCz6RQeM8l9hR7uLdM2MvOIZ2jvAQ7I391mit6S1cNDCLskOJXYTteF4nJo
            zF7nVg3kmCj6t2bCrYwLLAr7Q1w4LbXS/zaorq1YIEcKmtRdeYVvXi7OiUvSUHkp3PJvfQnwAo8axNlx9IIMX1Rxfp3Nq+shX2FlXerU
            tyw9O19m+kswuFiI1i+s1BKcEwSRn2mtbYwsQ9nOXNsx1FgDUsc2K42At+8bul1nZmCpRHZFAvkdHTxUkQwIi8y3KxGUil4aHc0ENpwX
            0piATCFueiaQuMDpcDYzANCS3yT7jA==""";
        /** User name of PASSWORD logins, since 23.9; before that, the domain follows the name. condor_auth.h */
        static final String PASSWORD_USER = "condor@password";
        static final String OLD_PASSWORD_USER = "condor_pool@";

        /** HTCondor XORs key files on disk with this. condor_utils/store_cred.cpp, simple_scramble */
        static final byte[] SCRAMBLE = {(byte) 0xDE, (byte) 0xAD, (byte) 0xBE, (byte) 0xEF};

        // Replies to the two token commands. condor_daemon_core.V6/daemon_core_main.cpp
        static final int ERROR_LIMITS = 3;
        static final int ERROR_TOKEN_GENERATION = 4;
        static final int ERROR_EXPIRED = 5;
        static final int ERROR_NOT_PROTECTED = 7;
        static final int ERROR_DISABLED = 44;

        /**
         * The version that the client announces. Servers parse it and adapt to the number, so it names the release that we behave
         * like. condor_utils/condor_version.cpp
         */
        static final String VERSION = "$CondorVersion: 25.0.0 2025-09-01 BuildID: TokenRequest $";
    }

    /**
     * An authentication method: its bit and word on the wire, and its name in the configuration.
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
         * The method with this name in a configuration or a policy, in any spelling that HTCondor accepts; empty if unknown.
         */
        static Optional<AuthMethod> named(String word) {
            String name = switch (word.toUpperCase(Locale.ROOT)) {
                case "IDTOKENS", "IDTOKEN", "TOKENS" -> "TOKEN";
                case "SCITOKEN" -> "SCITOKENS";
                default -> word.toUpperCase(Locale.ROOT);
            };
            return Arrays.stream(values()).filter(method -> method.name().equals(name)).findFirst();
        }

        /** Whether it authenticates the server: by a certificate, or by a shared key. */
        boolean provesServer() {
            return switch (this) {
                case SSL, SCITOKENS, PASSWORD, KERBEROS, TOKEN -> true;
                default -> false;
            };
        }

        /** The reusable secret that a login by this method sends or uses; empty if there is none. */
        Optional<String> credential() {
            return switch (this) {
                case SCITOKENS -> Optional.of("bearer token");
                case PASSWORD -> Optional.of("pool password");
                default -> Optional.empty();
            };
        }

        /** The method with this bit, which the server chose; empty if it is not exactly one known bit. */
        static Optional<AuthMethod> fromWire(long bit) {
            return Arrays.stream(values()).filter(method -> method.bit == bit).findFirst();
        }
    }

    /**
     * The peer broke the protocol, or sent bytes that do not decrypt. The caller closes the connection and discards all
     * that it received.
     */
    static final class ProtocolViolation extends IOException {
        private static final long serialVersionUID = 1L;

        ProtocolViolation(String message) {
            super(message);
        }
    }

    // ==== 10. ClassAd: attribute lists, the content of requests and replies ====

    /**
     * A ClassAd, as far as the token commands use the language: attributes whose values are one literal. Names are
     * case-insensitive and keep their order. Other expressions stay text and have no typed value.
     *
     * <p>Strings have a single escape: {@code \"} is a quote; every other backslash is an ordinary character
     * (old ClassAd syntax, condor_utils/compat_classad.cpp).
     */
    static final class ClassAd {
        private static final int SHOWN_ATTRIBUTES = 50;
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

        /** Sets an attribute to an expression; replaces an attribute of the same name. */
        ClassAd putExpression(String name, String expression) {
            String previous = names.put(name, name);
            if (previous != null) {
                expressions.remove(previous);
            }
            expressions.put(name, expression);
            return this;
        }

        /** Adds the attribute of one wire string, {@code Name = value}. */
        void parse(String assignment) throws ProtocolViolation {
            int equals = assignment.indexOf('=');
            String name = equals < 0 ? "" : assignment.substring(0, equals).strip();
            if (name.isEmpty()) {
                throw new ProtocolViolation("an attribute without a name in a ClassAd");
            }
            putExpression(name, assignment.substring(equals + 1).strip());
        }

        /** The text of an attribute's value, as on the wire. */
        Optional<String> expression(String name) {
            return Optional.ofNullable(names.get(name)).map(expressions::get);
        }

        /** The value of a string attribute; empty if the attribute is missing or not a string. */
        Optional<String> string(String name) {
            return expression(name)
                .filter(text -> text.length() >= 2 && text.startsWith("\"") && text.endsWith("\""))
                .map(text -> text.substring(1, text.length() - 1).replace("\\\"", "\""));
        }

        /** The value of an integer attribute; empty if the attribute is missing or not an integer of at most 18 digits. */
        OptionalLong integer(String name) {
            Optional<String> digits = expression(name)
                .filter(text -> NumericAddress.isNumber(text.startsWith("-") ? text.substring(1) : text, 18));
            return digits.isPresent() ? OptionalLong.of(Long.parseLong(digits.get())) : OptionalLong.empty();
        }

        /** Whether the attribute exists and is {@code false}. */
        boolean isFalse(String name) {
            return expression(name).filter("false"::equalsIgnoreCase).isPresent();
        }

        /** Whether the attribute exists and is {@code true}. */
        boolean isTrue(String name) {
            return expression(name).filter("true"::equalsIgnoreCase).isPresent();
        }

        boolean isEmpty() {
            return expressions.isEmpty();
        }

        /** The first attributes as printable text, for debug output. */
        List<String> shown() {
            List<String> all = assignments();
            Stream<String> first = all.stream().limit(SHOWN_ATTRIBUTES).map(TokenRequest::printable);
            return (all.size() <= SHOWN_ATTRIBUTES ? first
                : Stream.concat(first, Stream.of("… and " + (all.size() - SHOWN_ATTRIBUTES) + " more"))).toList();
        }

        /** The attributes as wire strings, in order. */
        List<String> assignments() {
            return expressions.entrySet().stream().map(entry -> entry.getKey() + " = " + entry.getValue()).toList();
        }
    }

    // ==== 11. Message: integers, strings and ads as bytes ====

    /**
     * Builds one message. The encoding of a string depends on whether the stream encrypts at the moment of writing
     * (condor_io/stream.cpp), so only {@link CedarStream#message()} creates messages.
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

        /** Bytes without a length. */
        Message raw(byte[] value) {
            bytes.writeBytes(value);
            return this;
        }

        /** The length, then the bytes. */
        Message counted(byte[] value) {
            return number(value.length).raw(value);
        }

        /** An ad: the number of attributes, each as a string, then two empty strings (formerly the types of the ad). */
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

    /** Reads one message. It checks every length against the bytes that remain before it uses the length. */
    static final class MessageReader {
        private final ByteBuffer bytes;
        private final boolean encrypted;
        private final String label;

        /**
         * @param label the message's name in error messages
         */
        MessageReader(byte[] bytes, boolean encrypted, String label) {
            this.bytes = ByteBuffer.wrap(bytes);
            this.encrypted = encrypted;
            this.label = label;
        }

        long number() throws ProtocolViolation {
            if (bytes.remaining() < Long.BYTES) {
                throw violation("ends within a number");
            }
            return bytes.getLong();
        }

        /** A number from min to max. */
        int number(int min, int max) throws ProtocolViolation {
            long value = number();
            if (value < min || value > max) {
                throw violation("holds " + value + " where " + (min == max ? min : min + " to " + max) + " is allowed");
            }
            return (int) value;
        }

        /**
         * A string; a null string counts as empty. Its byte cannot be confused with text: no UTF-8 text begins with it.
         */
        String string() throws ProtocolViolation {
            int length = encrypted ? number(1, bytes.remaining()) : 0;
            if (bytes.hasRemaining() && bytes.get(bytes.position()) == (byte) Protocol.NULL_STRING && length <= 1) {
                raw(1);
                return "";
            }
            byte[] text = raw(encrypted ? length : lengthToNul());
            if (text[text.length - 1] != 0) {
                throw violation("holds a string without a final NUL");
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

        /** A length, then so many bytes. */
        byte[] counted() throws ProtocolViolation {
            return raw(number(0, bytes.remaining()));
        }

        ClassAd ad() throws ProtocolViolation {
            int count = number(0, Protocol.AD_MAX_ATTRIBUTES);
            ClassAd ad = new ClassAd();
            for (int i = 0; i < count; i++) {
                String assignment = string();
                // This marker precedes a private attribute, which follows as a string of its own
                // (condor_utils/classad_oldnew.cpp, SECRET_MARKER). The count includes the pair once.
                ad.parse(assignment.equals("ZKM") ? string() : assignment);
            }
            string();
            string();
            return ad;
        }

        /** Whether the whole message has been read. */
        boolean atEnd() {
            return !bytes.hasRemaining();
        }

        /** Checks that the whole message has been read; HTCondor checks this, too. */
        void end() throws ProtocolViolation {
            if (!atEnd()) {
                throw violation("is " + bytes.remaining() + " bytes too long");
            }
        }

        /** @param problem a verb and its object */
        ProtocolViolation violation(String problem) {
            return new ProtocolViolation("the server's " + label + " " + problem);
        }
    }

    // ==== 12. CedarStream: messages over TCP, first in the clear, then encrypted ====

    /** A TCP connection with one deadline for all its reads and writes. */
    static final class Connection implements Closeable {
        /** Interval at which a waiting read checks the clock, milliseconds. */
        private static final int CLOCK_CHECK_MILLIS = 1000;
        /** So many bytes fit into a socket's buffer even if the peer reads nothing; most exchanges send less. */
        private static final int BUFFERED_BYTES = 8 * 1024;
        private final Socket socket;
        private final PushbackInputStream incoming;
        private final InstantSource clock;
        private final Instant deadline;

        private Connection(Socket socket, PushbackInputStream incoming, InstantSource clock, Instant deadline) {
            this.socket = socket;
            this.incoming = incoming;
            this.clock = clock;
            this.deadline = deadline;
        }

        /** Connects to the address, or to the first of several that accepts. */
        static Connection open(List<InetSocketAddress> addresses, InstantSource clock, Deadline deadline) throws IOException {
            Socket socket = addresses.size() == 1 ? open(addresses.get(0), deadline.within(Deadline.CONNECTION), clock)
                : new HappyEyeballs(addresses, clock, deadline).run();
            return accepted(socket, clock, deadline.expiry());
        }

        private static Socket open(InetSocketAddress address, Instant end, InstantSource clock) throws IOException {
            Socket socket = new Socket();
            connect(socket, address, (int) Duration.between(clock.instant(), end).toMillis());
            return socket;
        }

        /** Connects, or closes the socket and throws an exception that names the address. */
        static void connect(Socket socket, InetSocketAddress address, int millis) throws IOException {
            try {
                if (millis <= 0) {
                    throw new SocketTimeoutException("out of time"); // in Java, 0 means no limit
                }
                socket.connect(address, millis);
            } catch (IOException e) {
                socket.close();
                throw new ConnectException(Target.text(address.getAddress()) + " port " + address.getPort() + ": "
                    + connectionError(e));
            }
        }

        /** A connection over a socket that is connected already. */
        static Connection accepted(Socket socket, InstantSource clock, Instant deadline) throws IOException {
            socket.setTcpNoDelay(true);
            return new Connection(socket, new PushbackInputStream(socket.getInputStream()), clock, deadline);
        }

        /** The same connection with another deadline. */
        Connection until(Instant later) {
            return new Connection(socket, incoming, clock, later);
        }

        InetSocketAddress peer() {
            return (InetSocketAddress) socket.getRemoteSocketAddress();
        }

        /** The local address on the network that leads to the peer. */
        InetAddress localAddress() {
            return socket.getLocalAddress();
        }

        /** Whether a read would return at once, with a byte or with the end of the stream. */
        boolean hasInput() throws IOException {
            socket.setSoTimeout(1);
            try {
                int next = incoming.read();
                if (next >= 0) {
                    incoming.unread(next);
                }
                return true;
            } catch (SocketTimeoutException e) {
                return false;
            }
        }

        /** Java's socket writes have no timeout, so writes that may block run in another thread. */
        OutputStream output() throws IOException {
            return new FilterOutputStream(socket.getOutputStream()) {
                private int written;

                @Override
                public void write(byte[] bytes, int offset, int length) throws IOException {
                    written = Math.min(written + length, 2 * BUFFERED_BYTES);
                    if (written <= BUFFERED_BYTES) {
                        out.write(bytes, offset, length);
                    } else {
                        Deadline.await("sending", () -> {
                            out.write(bytes, offset, length);
                            return length;
                        }, deadline, clock);
                    }
                }
            };
        }

        InputStream input() throws IOException {
            return new FilterInputStream(incoming) {
                @Override
                public int read() throws IOException {
                    byte[] one = new byte[1];
                    return read(one, 0, 1) < 0 ? -1 : one[0] & 0xFF;
                }

                @Override
                public int read(byte[] into, int offset, int length) throws IOException {
                    long millis = Duration.between(clock.instant(), deadline).toMillis();
                    while (millis > 0 && clock.instant().isBefore(deadline)) {
                        try {
                            socket.setSoTimeout((int) Math.min(millis, CLOCK_CHECK_MILLIS));
                            return in.read(into, offset, length);
                        } catch (SocketTimeoutException e) {
                            millis -= CLOCK_CHECK_MILLIS;
                        }
                    }
                    throw new SocketTimeoutException("out of time");
                }
            };
        }

        /** Closes the socket and ignores errors: data that has been received is not affected. */
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
     * Connects to several addresses of one daemon, as in RFC 8305: the next attempt starts 250 ms after the last one, or as
     * soon as one fails. The first that succeeds wins; the others are closed.
     */
    private static final class HappyEyeballs {
        private static final int PAUSE_MILLIS = 250;
        private final List<InetSocketAddress> addresses;
        private final InstantSource clock;
        private final Deadline deadline;
        private final BlockingQueue<Attempt> ended = new LinkedBlockingQueue<>();

        /** An attempt that has ended, with the error if it failed. */
        private record Attempt(Socket socket, Optional<String> error) { }

        HappyEyeballs(List<InetSocketAddress> addresses, InstantSource clock, Deadline deadline) {
            this.addresses = addresses;
            this.clock = clock;
            this.deadline = deadline;
        }

        Socket run() throws IOException {
            List<Socket> sockets = new ArrayList<>();
            List<String> errors = new ArrayList<>();
            try {
                for (long millis = deadline.left().toMillis(); millis > 0 && !deadline.isOver()
                        && errors.size() < addresses.size(); ) {
                    if (sockets.size() < addresses.size()) {
                        sockets.add(start(addresses.get(sockets.size())));
                    }
                    Attempt attempt = ended.poll(Math.min(millis, PAUSE_MILLIS), TimeUnit.MILLISECONDS);
                    if (attempt == null) {
                        millis -= PAUSE_MILLIS;
                    } else if (attempt.error().isEmpty()) {
                        sockets.remove(attempt.socket());
                        return attempt.socket();
                    } else {
                        errors.add(attempt.error().get());
                    }
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } finally {
                for (Socket socket : sockets) {
                    socket.close();
                }
            }
            int unanswered = addresses.size() - errors.size();
            throw new ConnectException(errors.isEmpty() ? "any of " + unanswered + " addresses in time"
                : String.join("; ", printable(errors))
                + (unanswered > 0 ? "; nor to " + unanswered + " more in time" : ""));
        }

        private Socket start(InetSocketAddress address) {
            Socket socket = new Socket();
            int millis = (int) Duration.between(clock.instant(), deadline.within(Deadline.CONNECTION)).toMillis();
            Thread attempt = new Thread(() -> ended.add(attempt(socket, address, millis)), "connect");
            attempt.setDaemon(true);
            attempt.start();
            return socket;
        }

        private static Attempt attempt(Socket socket, InetSocketAddress address, int millis) {
            try {
                Connection.connect(socket, address, millis);
                return new Attempt(socket, Optional.empty());
            } catch (IOException | RuntimeException | Error e) {
                return new Attempt(socket, Optional.of(String.valueOf(e.getMessage()))); // this thread has no other way to report
            }
        }
    }

    /**
     * HTCondor's message stream, CEDAR: splits messages into packets, and encrypts them once there is a key.
     *
     * <pre>
     *  0        1                    5
     * +--------+--------------------+----------------------------------------------------------+
     * | end    | length (u32, BE)   | body: plain, or [IV (16), first packet only] cipher tag(16) |
     * +--------+--------------------+----------------------------------------------------------+
     * </pre>
     *
     * Invariant: the digest of each direction covers every byte that passed in the clear in that direction. The first
     * encrypted packet of each direction authenticates both digests, so an alteration of the clear part is detected
     * (condor_io/reli_sock.cpp, condor_io/condor_crypt_aesgcm.cpp).
     */
    static final class CedarStream {
        private final InputStream in;
        private final OutputStream out;
        private final SecureRandom random;
        private final DebugLog trace;
        private final Transcript sent = new Transcript();
        private final Transcript received = new Transcript();
        private Optional<AesGcmCipher> encryption = Optional.empty();
        private Optional<AesGcmCipher> decryption = Optional.empty();

        CedarStream(InputStream in, OutputStream out, SecureRandom random, DebugLog trace) {
            this.in = in;
            this.out = out;
            this.random = random;
            this.trace = trace;
        }

        /** Whether the stream encrypts now. */
        boolean encrypted() {
            return encryption.isPresent();
        }

        /** A new message, in the encoding that the stream uses now. */
        Message message() {
            return new Message(encrypted());
        }

        /**
         * Encrypts everything from the next message on, in both directions.
         *
         * @param key 32 bytes
         */
        void encrypt(byte[] key) {
            byte[] ours = sent.digest();
            byte[] theirs = received.digest();
            byte[] iv = new byte[Protocol.IV_BYTES];
            random.nextBytes(iv);
            encryption = Optional.of(new AesGcmCipher(key, iv, concat(ours, theirs)));
            decryption = Optional.of(new AesGcmCipher(key, new byte[0], concat(theirs, ours)));
        }

        /**
         * Sends a message as one packet: some servers drop a client that is not authenticated yet and sends several
         * (SEC_USE_LOW_DATA_MODE, seen on 25.14.1).
         */
        void send(Message message) throws IOException {
            send(message.toBytes(), 1);
        }

        /**
         * Sends one packet of a message.
         *
         * @param end 1 for the last packet, else 0
         */
        void send(byte[] plain, int end) throws IOException {
            int length = plain.length + (encryption.isPresent() ? encryption.get().overhead() : 0);
            if (length > Protocol.BODY_MAX_BYTES) {
                throw new ProtocolViolation("a message of " + length + " bytes is longer than HTCondor accepts");
            }
            byte[] header = ByteBuffer.allocate(Protocol.HEADER_BYTES).put((byte) end).putInt(length).array();
            byte[] body = encryption.isPresent() ? encryption.get().encrypt(header, plain) : plain;
            byte[] packet = concat(header, body);
            if (encryption.isEmpty()) {
                sent.add(packet);
            }
            out.write(packet);
            out.flush();
            trace.log(DebugLog.NETWORK, () -> ">> " + plain.length + " bytes" + (encrypted() ? ", encrypted" : ""));
        }

        /**
         * Receives a message.
         *
         * @param label the message's name in error messages
         * @throws EOFException if the server closes instead
         */
        MessageReader receive(String label) throws IOException {
            ByteArrayOutputStream message = new ByteArrayOutputStream(512);
            int total = 0; // bytes on the wire, since an encrypted packet can be empty
            boolean last;
            do {
                byte[] header = read(Protocol.HEADER_BYTES, label);
                int end = header[0];
                int length = ByteBuffer.wrap(header, 1, Integer.BYTES).getInt();
                if (end < 0 || end > Protocol.END_FLAG_MAX || length < 1 || length > Protocol.BODY_MAX_BYTES
                        || (total += header.length + length) > Protocol.MESSAGE_MAX_BYTES) {
                    throw new ProtocolViolation("the server does not speak HTCondor's protocol (it sent the packet header "
                        + HexFormat.of().formatHex(header) + " instead of its " + label + ")");
                }
                byte[] body = read(length, label);
                if (decryption.isPresent()) {
                    message.writeBytes(decryption.get().decrypt(header, body, label));
                } else {
                    received.add(header);
                    received.add(body);
                    message.writeBytes(body);
                }
                last = end != 0;
            } while (!last);
            trace.log(DebugLog.NETWORK, () -> "<< " + message.size() + " bytes" + (encrypted() ? ", encrypted" : "") + ": "
                + label);
            return new MessageReader(message.toByteArray(), encrypted(), label);
        }

        private byte[] read(int length, String label) throws IOException {
            try {
                byte[] bytes = in.readNBytes(length);
                if (bytes.length < length) {
                    throw new EOFException("the server closed the connection before it sent its " + label);
                }
                return bytes;
            } catch (SocketTimeoutException e) {
                throw new SocketTimeoutException("the server did not send its " + label + " in time");
            } catch (SocketException e) {
                throw new SocketException("the connection broke before the server sent its " + label + " ("
                    + e.getMessage() + ")");
            }
        }

        /** The digest of all bytes that one direction carried in the clear. */
        private static final class Transcript {
            private final MessageDigest digest = KeyDerivation.sha256();
            private boolean isEmpty = true;

            void add(byte[] bytes) {
                isEmpty = false;
                digest.update(bytes);
            }

            /** 32 bytes; for a direction that carried nothing they are zeros, not the digest of an empty string. */
            byte[] digest() {
                return isEmpty ? new byte[Protocol.KEY_BYTES] : digest.digest();
            }
        }
    }

    /** Connects to one daemon. */
    interface Connector {
        /**
         * A new connection, on which the daemon has not received anything yet.
         *
         * @throws IOException      if the daemon cannot be reached
         * @throws CommandException if a broker on the way refuses
         */
        Connection connect() throws IOException, CommandException;

        /**
         * Asks a shared port daemon to pass the connection on, if the target is behind one: endpoint, our name, no deadline,
         * no further arguments. There is no reply, and the target never sees this message, so it has a stream of its own.
         * condor_io/shared_port_client.cpp
         */
        static Connection throughSharedPort(Connection connection, Target target, Context context) throws IOException {
            Optional<String> endpoint = target.sharedPortId();
            if (endpoint.isPresent()) {
                try {
                    CedarStream stream = new CedarStream(connection.input(), connection.output(),
                        context.host().random(), context.trace());
                    stream.send(stream.message().number(Protocol.SHARED_PORT_CONNECT).string(endpoint.get())
                        .string("TokenRequest").number(-1).number(0));
                } catch (IOException e) {
                    connection.close();
                    throw e;
                }
            }
            return connection;
        }
    }

    /** Connects to a daemon that accepts connections. The next connection tries the address that worked first. */
    static final class DirectConnector implements Connector {
        private final Target target;
        private final Context context;
        private List<InetSocketAddress> addresses;

        DirectConnector(Target target, Context context) {
            this.target = target;
            this.context = context;
            this.addresses = target.addresses();
        }

        @Override
        public Connection connect() throws IOException {
            try {
                Connection connection = Connection.open(addresses, context.host().clock(), context.deadline());
                if (addresses.size() > 1) {
                    addresses = Stream.concat(Stream.of(connection.peer()), addresses.stream()).distinct().toList();
                }
                context.trace().log(DebugLog.NETWORK, () -> "Connected to " + Target.text(connection.peer()) + ".");
                return Connector.throughSharedPort(connection, target, context);
            } catch (ConnectException e) {
                throw new ConnectException("cannot connect to " + e.getMessage());
            }
        }
    }

    /**
     * AES-256-GCM for one direction of a connection. Packet k uses the base IV with k added to its first four bytes. The
     * base IV precedes packet 0 in the clear; the associated data of packet 0 include the digests of both transcripts.
     */
    static final class AesGcmCipher {
        private final SecretKeySpec key;
        private final byte[] handshake;
        private byte[] baseIv;
        private long counter;

        /**
         * @param baseIv    16 bytes to encrypt with; empty to read them from the first packet
         * @param handshake the digest of all that the sender of this direction sent, then of all that it received
         */
        AesGcmCipher(byte[] key, byte[] baseIv, byte[] handshake) {
            this.key = new SecretKeySpec(key, "AES");
            this.baseIv = baseIv.clone();
            this.handshake = handshake.clone();
        }

        /** Bytes that encryption adds to the next packet. */
        int overhead() {
            return Protocol.TAG_BYTES + (counter == 0 ? Protocol.IV_BYTES : 0);
        }

        /** The body of the next packet. */
        byte[] encrypt(byte[] header, byte[] plain) {
            byte[] prefix = counter == 0 ? baseIv : new byte[0];
            try {
                return concat(prefix, cipher(Cipher.ENCRYPT_MODE, header).doFinal(plain));
            } catch (GeneralSecurityException e) {
                throw new AssertionError("AES-GCM does not encrypt", e);
            }
        }

        /** The plain text of the next packet. */
        byte[] decrypt(byte[] header, byte[] body, String label) throws ProtocolViolation {
            int prefix = counter == 0 ? Protocol.IV_BYTES : 0;
            if (body.length < prefix + Protocol.TAG_BYTES) {
                throw new ProtocolViolation("the server's " + label + " is too short to be encrypted");
            }
            if (counter == 0) {
                baseIv = Arrays.copyOf(body, Protocol.IV_BYTES);
            }
            try {
                return cipher(Cipher.DECRYPT_MODE, header).doFinal(body, prefix, body.length - prefix);
            } catch (GeneralSecurityException e) {
                throw new ProtocolViolation("the server's " + label
                    + " does not decrypt: the server has another key, or the connection was tampered with");
            }
        }

        private Cipher cipher(int mode, byte[] header) throws GeneralSecurityException {
            if (counter >= 0xFFFF_FFFFL) {
                throw new GeneralSecurityException("too many packets under one key");
            }
            byte[] iv = baseIv.clone();
            ByteBuffer.wrap(iv).putInt(ByteBuffer.wrap(baseIv).getInt() + (int) counter);
            Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
            cipher.init(mode, key, new GCMParameterSpec(Protocol.TAG_BYTES * Byte.SIZE, iv));
            if (counter == 0) {
                cipher.updateAAD(handshake);
            }
            cipher.updateAAD(header);
            counter++;
            return cipher;
        }
    }

    // ==== 13. KeyDerivation: session keys ====

    /** Key agreement and derivation. Pure functions, checked against recorded exchanges. */
    static final class KeyDerivation {
        /** An uncompressed point of P-256. */
        private static final int POINT_BYTES = 65;
        /** The X.509 prefix of such a point: {@code ecPublicKey}, {@code prime256v1}, BIT STRING. RFC 5480, section 2 */
        private static final byte[] P256_PREFIX = HexFormat.of().parseHex("3059301306072a8648ce3d020106082a8648ce3d030107034200");

        private KeyDerivation() { }

        /** A new key pair for an ECDH exchange over P-256. */
        static KeyPair ephemeral(SecureRandom random) {
            try {
                KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
                generator.initialize(new ECGenParameterSpec("secp256r1"), random);
                return generator.generateKeyPair();
            } catch (GeneralSecurityException e) {
                throw new AssertionError("Java has no P-256", e);
            }
        }

        /** A public key as ECDHPublicKey carries it: base64 of {@code 04 || X || Y}, 65 bytes, the end of its X.509 encoding. */
        static String encodePoint(PublicKey key) {
            byte[] encoded = key.getEncoded();
            return Base64.getEncoder().encodeToString(
                Arrays.copyOfRange(encoded, encoded.length - POINT_BYTES, encoded.length));
        }

        /** The session key of an ECDH exchange, 32 bytes. condor_io/condor_secman.cpp, SecMan::FinishKeyExchange */
        static byte[] agree(PrivateKey ours, String theirs) throws ProtocolViolation {
            try {
                KeyAgreement agreement = KeyAgreement.getInstance("ECDH");
                agreement.init(ours);
                agreement.doPhase(decodePoint(theirs), true);
                return hkdf(agreement.generateSecret(), ascii("htcondor"), ascii("keygen"));
            } catch (GeneralSecurityException | IllegalArgumentException | IllegalStateException | ProviderException e) {
                throw new ProtocolViolation("the server's ECDH key is not a point of P-256");
            }
        }

        private static PublicKey decodePoint(String base64) throws GeneralSecurityException {
            byte[] point = Base64.getDecoder().decode(base64);
            if (point.length != POINT_BYTES) {
                throw new GeneralSecurityException("not an uncompressed point");
            }
            return KeyFactory.getInstance("EC").generatePublic(new X509EncodedKeySpec(concat(P256_PREFIX, point)));
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
         * Decrypts a session key that the server sent under the key of the authentication method: 3DES-CFB64 with a zero IV
         * (condor_io/condor_auth.cpp, Condor_Auth_Base::unwrap). This encryption has no integrity: a forged key shows only
         * when the first packet fails to decrypt.
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
         * Makes a key of 24 bytes of a key of any length: repeats a shorter one, XORs the excess of a longer one onto its
         * start. condor_io/CryptKey.cpp, getPaddedKeyData
         */
        private static byte[] fold(byte[] key) {
            byte[] folded = new byte[24];
            for (int i = 0; i < Math.max(folded.length, key.length); i++) {
                folded[i % folded.length] ^= key[i % key.length];
            }
            return folded;
        }

        /** Reads the content of a key file, which is XORed with a constant. condor_utils/store_cred.cpp, simple_scramble */
        static byte[] unscramble(byte[] scrambled) {
            byte[] key = scrambled.clone();
            for (int i = 0; i < key.length; i++) {
                key[i] ^= Protocol.SCRAMBLE[i % Protocol.SCRAMBLE.length];
            }
            return key;
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

    /**
     * Decrypts with Kerberos keys: AES (RFC 3961 and 3962, RFC 8009), and the two older types that krb5.conf can allow, DES3
     * (RFC 3961) and RC4 (RFC 4757). Java's own code is in a package that it does not export.
     */
    static final class KerberosCipher {
        /** Key usage of HTCondor's session key. condor_io/condor_auth_kerberos.cpp, Condor_Auth_Kerberos::unwrap */
        static final int HTCONDOR_USAGE = 1024;
        private static final int BLOCK_BYTES = 16;
        private static final int DES_BLOCK_BYTES = 8;
        private static final byte ENCRYPTION = (byte) 0xAA;
        private static final byte INTEGRITY = 0x55;

        private KerberosCipher() { }

        /** @throws GeneralSecurityException if the key or the text is of a wrong kind, or the text was changed */
        static byte[] decrypt(int type, byte[] key, int usage, byte[] text) throws GeneralSecurityException {
            return switch (type) {
                case 16 -> simplified(key, usage, text, DES_BLOCK_BYTES, 20);
                case 17, 18 -> simplified(key, usage, text, BLOCK_BYTES, 12);
                case 19 -> sha2("HmacSHA256", 16, 16, key, usage, text);
                case 20 -> sha2("HmacSHA384", 32, 24, key, usage, text);
                case 23 -> rc4(key, usage, text);
                default -> throw new GeneralSecurityException("encryption type " + type + " is not supported");
            };
        }

        /** The simplified profile of RFC 3961: a checksum over the plaintext follows the ciphertext. */
        private static byte[] simplified(byte[] key, int usage, byte[] text, int blockBytes, int tagBytes)
                throws GeneralSecurityException {
            byte[] cipher = Arrays.copyOf(text, bodyLength(text, blockBytes, tagBytes));
            Cipher decryption = Cipher.getInstance(blockBytes == BLOCK_BYTES ? "AES/CTS/NoPadding" : "DESede/CBC/NoPadding");
            decryption.init(Cipher.DECRYPT_MODE, new SecretKeySpec(derive(key, usage, ENCRYPTION, blockBytes),
                blockBytes == BLOCK_BYTES ? "AES" : "DESede"), new IvParameterSpec(new byte[blockBytes]));
            byte[] plain = decryption.doFinal(cipher);
            return checked(KeyDerivation.hmac("HmacSHA1", derive(key, usage, INTEGRITY, blockBytes), plain), text, cipher.length,
                plain, blockBytes);
        }

        /** RFC 8009, section 5: a checksum over the initial vector and the ciphertext follows it. */
        private static byte[] sha2(String hash, int keyBytes, int tagBytes, byte[] key, int usage, byte[] text)
                throws GeneralSecurityException {
            byte[] cipher = Arrays.copyOf(text, bodyLength(text, BLOCK_BYTES, tagBytes));
            byte[] tag = KeyDerivation.hmac(hash, expand(hash, key, usage, INTEGRITY, tagBytes),
                concat(new byte[BLOCK_BYTES], cipher));
            Cipher decryption = Cipher.getInstance("AES/CTS/NoPadding");
            decryption.init(Cipher.DECRYPT_MODE, new SecretKeySpec(expand(hash, key, usage, ENCRYPTION, keyBytes), "AES"),
                new IvParameterSpec(new byte[BLOCK_BYTES]));
            byte[] body = checked(tag, text, cipher.length, cipher, 0);
            return Arrays.copyOfRange(decryption.doFinal(body), BLOCK_BYTES, body.length);
        }

        /** RFC 4757, section 5: the checksum comes first. */
        private static byte[] rc4(byte[] key, int usage, byte[] text) throws GeneralSecurityException {
            int tagBytes = 16;
            bodyLength(text, DES_BLOCK_BYTES, tagBytes);
            byte[] tag = Arrays.copyOf(text, tagBytes);
            byte[] base = KeyDerivation.hmac("HmacMD5", key,
                ByteBuffer.allocate(Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN).putInt(usage).array());
            Cipher decryption = Cipher.getInstance("ARCFOUR");
            decryption.init(Cipher.DECRYPT_MODE, new SecretKeySpec(KeyDerivation.hmac("HmacMD5", base, tag), "ARCFOUR"));
            byte[] plain = decryption.doFinal(text, tagBytes, text.length - tagBytes);
            return checked(KeyDerivation.hmac("HmacMD5", base, plain), tag, 0, plain, DES_BLOCK_BYTES);
        }

        /** The length of a text without its tag. */
        private static int bodyLength(byte[] text, int confounderBytes, int tagBytes) throws GeneralSecurityException {
            int length = text.length - tagBytes;
            if (length < confounderBytes) {
                throw new GeneralSecurityException("it is too short");
            }
            return length;
        }

        /** The plaintext without its confounder, if the tag that begins at an index of the text is the expected one. */
        private static byte[] checked(byte[] expected, byte[] text, int index, byte[] plain, int confounderBytes)
                throws GeneralSecurityException {
            byte[] tag = Arrays.copyOfRange(text, index, text.length);
            if (!MessageDigest.isEqual(Arrays.copyOf(expected, tag.length), tag)) {
                throw new GeneralSecurityException("its checksum is wrong");
            }
            return Arrays.copyOfRange(plain, confounderBytes, plain.length);
        }

        private static byte[] constant(int usage, byte purpose) {
            return ByteBuffer.allocate(Integer.BYTES + 1).putInt(usage).put(purpose).array();
        }

        /** DK of RFC 3961, section 5.1. */
        static byte[] derive(byte[] key, int usage, byte purpose, int blockBytes) throws GeneralSecurityException {
            boolean isAes = blockBytes == BLOCK_BYTES;
            Cipher cipher = Cipher.getInstance(isAes ? "AES/ECB/NoPadding" : "DESede/ECB/NoPadding");
            cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(key, isAes ? "AES" : "DESede"));
            byte[] derived = new byte[0];
            byte[] block = nFold(constant(usage, purpose), blockBytes);
            while (derived.length < key.length) {
                block = cipher.doFinal(block);
                derived = concat(derived, block);
            }
            return isAes ? Arrays.copyOf(derived, key.length) : desKey(derived);
        }

        /** Makes a key of 24 bytes of 21 random ones: the lowest bits of seven become an eighth, then parity replaces them. */
        private static byte[] desKey(byte[] random) {
            byte[] key = new byte[24];
            for (int i = 0; i < key.length; i++) {
                int group = i / 8;
                int value = i % 8 < 7 ? random[7 * group + i % 8] : 0;
                for (int j = 0; j < 7 && i % 8 == 7; j++) {
                    value |= (random[7 * group + j] & 1) << (j + 1);
                }
                key[i] = (byte) ((value & 0xFE) | ((Integer.bitCount(value & 0xFE) & 1) ^ 1));
            }
            return key;
        }

        /** KDF-HMAC-SHA2 of RFC 8009, section 3. */
        private static byte[] expand(String hash, byte[] key, int usage, byte purpose, int length) {
            byte[] input = ByteBuffer.allocate(14).putInt(1).put(constant(usage, purpose)).put((byte) 0).putInt(8 * length)
                .array();
            return Arrays.copyOf(KeyDerivation.hmac(hash, key, input), length);
        }

        /** n-fold of RFC 3961, section 5.1: adds copies of the text, each rotated by 13 bits more, in ones' complement. */
        static byte[] nFold(byte[] text, int length) {
            int total = length * text.length / BigInteger.valueOf(length).gcd(BigInteger.valueOf(text.length)).intValue();
            int bits = 8 * text.length;
            int[] sums = new int[length];
            for (int i = 0; i < total; i++) {
                int value = 0;
                for (int bit = 0; bit < 8; bit++) {
                    int at = Math.floorMod(8 * (i % text.length) + bit - 13 * (i / text.length), bits);
                    value = (value << 1) | ((text[at / 8] >> (7 - at % 8)) & 1);
                }
                sums[i % length] += value;
            }
            byte[] folded = new byte[length];
            int carry = 0;
            for (int round = 0; round == 0 || carry != 0; round++) {
                for (int i = length - 1; i >= 0; i--) {
                    int sum = (round == 0 ? sums[i] : folded[i] & 0xFF) + carry;
                    folded[i] = (byte) sum;
                    carry = sum >> 8;
                }
            }
            return folded;
        }
    }

    // ==== 14. ServerTrust: which server certificates are accepted ====

    /**
     * The known_hosts file of HTCondor, in its format (condor_io/ca_utils.cpp): {@code ALIAS SSL CERTIFICATE} for a
     * certificate that the user accepted, {@code !ALIAS SSL CERTIFICATE} for one that was refused. The certificate is DER in
     * base64. {@code ALIAS SSL @trusted} says that a configured CA verified the host.
     *
     * <p>HTCondor obeys the first line of an alias, and writes one at every login. So a login by FS, or one without a
     * terminal, suppresses the question from then on. This class uses only lines about SSL, and the line of the certificate
     * that the server sent before all others. It writes a line only for the user's answer, or for BOOTSTRAP_SSL_SERVER_TRUST.
     */
    record KnownHosts(Path file, FileOrigin origin, InputFiles files) {
        private static final String METHOD = "SSL";
        /** HTCondor writes this in place of a certificate that a CA verified. condor_io/condor_auth_ssl.cpp */
        private static final String BY_CA = "@trusted";
        private static final int MAX_BYTES = 1 << 23;

        /**
         * The file's verdict on a certificate. CHANGED: it accepts another certificate of the same host.
         * CA_MISSING: a CA verified this host before, which is not configured now. NONE: nothing.
         */
        enum Verdict { ACCEPTED, REFUSED, CHANGED, CA_MISSING, NONE }

        /** @param info a certificate, or {@link #BY_CA} */
        private record Line(int number, boolean refused, String info) {
            /** The line, if it is about SSL and this alias. */
            static Optional<Line> of(int number, String text, String alias) {
                String[] words = text.strip().split(" ");
                boolean refused = words[0].startsWith("!");
                return words.length >= 3 && words[1].equals(METHOD) && words[0].substring(refused ? 1 : 0).equals(alias)
                    ? Optional.of(new Line(number, refused, words[2])) : Optional.empty();
            }

            boolean isByCa() {
                return info.equals(BY_CA);
            }
        }

        /**
         * @param line  number of the line that decides, from 1; 0 if there is none
         * @param other the certificate that is accepted instead; empty if the line does not hold a readable one
         */
        record KnownHostsEntry(Verdict verdict, int line, Optional<X509Certificate> other) { }

        /** The user's file, or the system's for root and for users without a home directory. */
        static KnownHosts of(Configuration configuration, Host host, InputFiles files) {
            Optional<Configuration.Setting> named = configuration.find("SEC_KNOWN_HOSTS");
            Optional<Path> own = host.home().filter(home -> !host.isRoot() && named.isEmpty())
                .map(home -> home.resolve(".condor").resolve("known_hosts"));
            return own.map(file -> new KnownHosts(file, FileOrigin.DEFAULT, files))
                .orElseGet(() -> named.or(() -> configuration.find("SEC_SYSTEM_KNOWN_HOSTS"))
                    .map(setting -> new KnownHosts(setting.path(), setting.origin(), files))
                    .orElseGet(() -> new KnownHosts(Path.of("/etc/condor/known_hosts"), FileOrigin.DEFAULT, files)));
        }

        /** @throws IOException if the file exists but cannot be read: it might refuse the certificate */
        KnownHostsEntry find(String alias, X509Certificate certificate) throws IOException, CertificateException {
            List<String> lines = text().lines().toList();
            String encoded = encoded(certificate);
            Optional<Line> accepted = Optional.empty(); // the first one with a certificate, else the first one by a CA
            for (int i = 0; i < lines.size(); i++) {
                Optional<Line> line = Line.of(i + 1, lines.get(i), alias);
                if (line.isPresent() && line.get().info().equals(encoded)) {
                    return new KnownHostsEntry(line.get().refused() ? Verdict.REFUSED : Verdict.ACCEPTED,
                        line.get().number(), Optional.empty());
                }
                if (line.isPresent() && !line.get().refused()
                        && (accepted.isEmpty() || (accepted.get().isByCa() && !line.get().isByCa()))) {
                    accepted = line;
                }
            }
            if (accepted.isEmpty()) {
                return new KnownHostsEntry(Verdict.NONE, 0, Optional.empty());
            }
            Line line = accepted.get();
            return new KnownHostsEntry(line.isByCa() ? Verdict.CA_MISSING : Verdict.CHANGED, line.number(),
                decoded(line.info()));
        }

        /** The content of the file; empty if the file does not exist. */
        private String text() throws IOException {
            try {
                return new String(files.read(file, origin, FilePurpose.TRUST, MAX_BYTES).bytes(), ISO_8859_1);
            } catch (NoSuchFileException | NotDirectoryException e) {
                return "";
            }
        }

        /** Appends a line: all programs that write this file append. */
        void add(String alias, X509Certificate certificate, boolean accepted) throws IOException, CertificateException {
            if (!alias.matches("[A-Za-z0-9._:-]+")) {
                throw new IOException("'" + printable(alias) + "' is not a host name");
            }
            Files.createDirectories(file.toAbsolutePath().getParent(), withMode("rwxr-xr-x"));
            String before = text();
            String line = (before.isEmpty() || before.endsWith("\n") ? "" : "\n") + (accepted ? "" : "!") + alias + " "
                + METHOD + " " + encoded(certificate) + "\n";
            try (FileChannel channel = FileChannel.open(files.place(file), Set.of(StandardOpenOption.CREATE,
                    StandardOpenOption.APPEND, LinkOption.NOFOLLOW_LINKS), withMode("rw-r--r--"))) {
                channel.write(ByteBuffer.wrap(line.getBytes(ISO_8859_1)));
                channel.force(true);
            }
        }

        private static String encoded(X509Certificate certificate) throws CertificateException {
            return Base64.getEncoder().encodeToString(certificate.getEncoded());
        }

        private static Optional<X509Certificate> decoded(String info) {
            try {
                return Optional.of((X509Certificate) CertificateFactory.getInstance("X.509")
                    .generateCertificate(new ByteArrayInputStream(Base64.getDecoder().decode(info))));
            } catch (CertificateException | IllegalArgumentException e) {
                return Optional.empty();
            }
        }
    }

    /** A path of certificates is not valid. The message is a clause that follows "the certificate is not trusted: ". */
    static final class InvalidCertificatePath extends CertificateException {
        private static final long serialVersionUID = 1L;
        private static final String REPLACE = "The pool's administrator must replace the certificate.";
        private final transient List<X509Certificate> path;
        private final String remedy;

        /** @param remedy a whole sentence */
        InvalidCertificatePath(List<X509Certificate> path, String reason, String remedy) {
            super(reason);
            this.path = List.copyOf(path);
            this.remedy = remedy;
        }
    }

    /**
     * The certificates that a server sends: its own, and others in any order, of which some may not belong to its chain. A
     * hostile server chooses them, so their number, their size and the number of signature checks are limited.
     */
    static final class PresentedCertificates {
        /** Java has the same limit, unless jdk.tls.maxCertificateChainLength changes it. */
        private static final int MAX_CERTIFICATES = 10;
        /** Size of one certificate: enough for several hundred names. */
        private static final int MAX_BYTES = 16 * 1024;
        /** Every certificate has one issuer, but several candidates can have the issuer's name. */
        private static final int MAX_SIGNATURES = 2 * MAX_CERTIFICATES;
        private static final String SHORTEN = "The pool's administrator must shorten the chain in AUTH_SSL_SERVER_CERTFILE.";
        private final List<X509Certificate> certificates;
        /** Pairs of issuer and certificate: whether the issuer signed the certificate. */
        private final Map<List<X509Certificate>, Boolean> signatures = new HashMap<>();
        private int checked;

        /** @param chain at least one, the server's own first */
        PresentedCertificates(X509Certificate... chain) throws CertificateException {
            this.certificates = List.of(chain);
            if (chain.length > MAX_CERTIFICATES) {
                throw new InvalidCertificatePath(certificates.subList(0, 1), "the server sent " + chain.length
                    + " certificates; the limit is " + MAX_CERTIFICATES, SHORTEN);
            }
            for (X509Certificate certificate : chain) {
                int bytes = certificate.getEncoded().length;
                if (bytes > MAX_BYTES) {
                    throw new InvalidCertificatePath(certificates.subList(0, 1), "one of the server's certificates has " + bytes
                        + " bytes; the limit is " + MAX_BYTES, InvalidCertificatePath.REPLACE);
                }
            }
        }

        List<X509Certificate> all() {
            return certificates;
        }

        /** The server's own certificate, its issuer and so on, as far as the server sent them. */
        List<X509Certificate> path() throws CertificateException {
            List<X509Certificate> path = new ArrayList<>();
            Optional<X509Certificate> next = Optional.of(certificates.get(0));
            while (next.isPresent()) {
                path.add(next.get());
                next = issuers(next.get(), certificates).stream().filter(one -> !path.contains(one)).findFirst();
            }
            return path;
        }

        /**
         * The shortest valid path from the server's own certificate to a trusted one; empty if there is no path at all. A
         * path does not end at a trusted CA whose issuer is trusted, too; OpenSSL has the same rule.
         *
         * @throws InvalidCertificatePath if there are paths, but none is valid: the reason for the shortest one
         */
        Optional<CertificatePath> pathTo(Set<X509Certificate> trusted) throws CertificateException {
            Set<X509Certificate> candidates = new LinkedHashSet<>(trusted);
            candidates.addAll(certificates);
            Optional<InvalidCertificatePath> problem = Optional.empty();
            // Breadth first, each certificate once: at most as many steps as there are certificates, whatever signed what.
            Set<X509Certificate> seen = new HashSet<>(certificates.subList(0, 1));
            Deque<List<X509Certificate>> paths = new ArrayDeque<>(List.of(certificates.subList(0, 1)));
            while (!paths.isEmpty()) {
                List<X509Certificate> path = paths.remove();
                X509Certificate last = path.get(path.size() - 1);
                List<X509Certificate> issuers = issuers(last, candidates);
                if (trusted.contains(last) && issuers.stream().noneMatch(one -> trusted.contains(one) && !path.contains(one))) {
                    try {
                        CertificatePath complete = new CertificatePath(path, isSelfSigned(last));
                        complete.check();
                        return Optional.of(complete);
                    } catch (InvalidCertificatePath e) {
                        problem = problem.or(() -> Optional.of(e));
                    }
                }
                for (X509Certificate issuer : issuers) {
                    if (seen.add(issuer)) {
                        List<X509Certificate> longer = new ArrayList<>(path);
                        longer.add(issuer);
                        paths.add(longer);
                    }
                }
            }
            if (problem.isPresent()) {
                throw problem.get();
            }
            return Optional.empty();
        }

        /** The issuers of a certificate, those within their validity period first; none if it is self-signed. */
        private List<X509Certificate> issuers(X509Certificate certificate, Collection<X509Certificate> candidates)
                throws CertificateException {
            List<X509Certificate> inForce = new ArrayList<>();
            List<X509Certificate> others = new ArrayList<>();
            if (!isSelfSigned(certificate)) {
                for (X509Certificate candidate : candidates) {
                    if (hasSigned(candidate, certificate)) {
                        (CertificatePath.isInForce(candidate) ? inForce : others).add(candidate);
                    }
                }
            }
            inForce.addAll(others);
            return inForce;
        }

        boolean isSelfSigned(X509Certificate certificate) throws CertificateException {
            return hasSigned(certificate, certificate);
        }

        private boolean hasSigned(X509Certificate issuer, X509Certificate certificate) throws CertificateException {
            if (!certificate.getIssuerX500Principal().equals(issuer.getSubjectX500Principal())) {
                return false;
            }
            List<X509Certificate> pair = List.of(issuer, certificate);
            if (!signatures.containsKey(pair)) {
                if (certificates.contains(issuer) && ++checked > MAX_SIGNATURES) {
                    throw new InvalidCertificatePath(certificates.subList(0, 1),
                        "the server sent too many certificates with the same name",
                        SHORTEN);
                }
                signatures.put(pair, verifies(issuer.getPublicKey(), certificate));
            }
            return signatures.get(pair);
        }

        private static boolean verifies(PublicKey key, X509Certificate certificate) {
            try {
                certificate.verify(key);
                return true;
            } catch (GeneralSecurityException e) {
                return false;
            }
        }
    }

    /**
     * A server's certificate, its issuer and so on, up to a trusted one. The rules are those of OpenSSL at security level 2,
     * which is Debian's (openssl-verification-options(1)); where they are stricter, a comment says why.
     *
     * <p>Java checks the signatures and the name constraints (RFC 5280, 6.1). Java does not check the extensions of a trust
     * anchor that is a certificate. So this class passes a name and a key as trust anchor, and passes a root that has name
     * constraints as part of the path.
     *
     * @param certificates the server's own first
     * @param endsInRoot   whether the last one is self-signed
     */
    record CertificatePath(List<X509Certificate> certificates, boolean endsInRoot) {
        private static final int MIN_BITS = 2048;
        /** Extensions. RFC 5280, 4.2.1 */
        private static final String KEY_USAGE = "2.5.29.15";
        private static final String SUBJECT_ALT_NAME = "2.5.29.17";
        private static final String NAME_CONSTRAINTS = "2.5.29.30";
        private static final String EXTENDED_KEY_USAGE = "2.5.29.37";
        private static final String SERVER_AUTH = "1.3.6.1.5.5.7.3.1";
        /** Netscape certificate type, a bit string, and its bit for TLS servers. */
        private static final String NETSCAPE_TYPE = "2.16.840.1.113730.1.1";
        private static final int NETSCAPE_SERVER = 0x40;
        /** Positions in KeyUsage, and tags of GeneralName. RFC 5280, 4.2.1.3 and 4.2.1.6 */
        private static final int DIGITAL_SIGNATURE = 0;
        private static final int KEY_CERT_SIGN = 5;
        private static final int DNS_NAME = 0x82;
        private static final int IP_ADDRESS = 0x87;
        private static final int PERMITTED = 0xA0;
        private static final byte[] COMMON_NAME = {0x55, 0x04, 0x03};
        private static final String MALFORMED = "has a malformed extension";
        /** Limits for messages: number of names, and length of a subject. */
        private static final int MAX_SHOWN = 5;
        private static final int MAX_NAME_LENGTH = 200;

        /** A DER element. */
        @SuppressWarnings("ArrayRecordComponent") // never compared
        private record Der(int tag, byte[] value) {
            /** The sequence of elements in these bytes. */
            static List<Der> parse(byte[] bytes) throws CertificateParsingException {
                List<Der> elements = new ArrayList<>();
                ByteBuffer rest = ByteBuffer.wrap(bytes);
                try {
                    while (rest.hasRemaining()) {
                        int tag = rest.get() & 0xFF;
                        int length = rest.get() & 0xFF;
                        length = length < 0x80 ? length : length == 0x81 ? rest.get() & 0xFF
                            : length == 0x82 ? rest.getShort() & 0xFFFF : Integer.MAX_VALUE; // longer than any certificate
                        if (length > rest.remaining()) {
                            throw new BufferUnderflowException();
                        }
                        byte[] value = new byte[length];
                        rest.get(value);
                        elements.add(new Der(tag, value));
                    }
                } catch (BufferUnderflowException e) {
                    throw new CertificateParsingException("malformed DER", e);
                }
                return elements;
            }

            List<Der> parts() throws CertificateParsingException {
                return parse(value);
            }

            /** The value of an IA5String; non-ASCII bytes never equal a host name. */
            String text() {
                return new String(value, ISO_8859_1);
            }
        }

        /** @throws InvalidCertificatePath for the first violation, from the server's own certificate upwards */
        void check() throws InvalidCertificatePath {
            int top = certificates.size() - 1;
            int cas = 0;
            for (int i = 0; i <= top; i++) {
                X509Certificate certificate = certificates.get(i);
                boolean isRoot = endsInRoot && i == top;
                try {
                    checkValidity(i);
                    checkExtensions(i);
                    checkKey(i);
                    checkPurpose(i);
                    if (!isRoot) { // a root's own signature proves nothing, so its hash does not matter
                        checkHash(i);
                    }
                    if (i > 0 && !(isRoot && certificate.getVersion() < 3)) { // version 1 has no extension for this
                        checkAuthority(i, cas);
                    }
                } catch (CertificateParsingException e) {
                    throw invalid(i, MALFORMED, InvalidCertificatePath.REPLACE);
                }
                boolean isSelfIssued = certificate.getSubjectX500Principal().equals(certificate.getIssuerX500Principal());
                cas += i > 0 && !isSelfIssued ? 1 : 0;
            }
            boolean isConstrained = certificates.get(top).getExtensionValue(NAME_CONSTRAINTS) != null;
            if (!endsInRoot && top > 0 && isConstrained) {
                throw invalid(top, "has name constraints, which cannot be checked without its issuer's certificate",
                    "Add the issuer's certificate to the file of -cafile.");
            }
            // The extensions of the root are checked above. In the path, its lack of policies would break policies of CAs.
            checkWithJava(certificates.get(top), endsInRoot && isConstrained ? certificates : certificates.subList(0, top));
        }

        /** @param problem a verb and its object, said of the certificate at this position */
        private InvalidCertificatePath invalid(int at, String problem, String remedy) {
            return new InvalidCertificatePath(certificates, (at == 0 ? "it " : "its CA " + subject(certificates.get(at)) + " ")
                + problem, remedy);
        }

        // ---- Validity, extensions, keys ----

        /** Whether the current time is within its validity period. */
        static boolean isInForce(X509Certificate certificate) {
            try {
                certificate.checkValidity();
                return true;
            } catch (CertificateExpiredException | CertificateNotYetValidException e) {
                return false;
            }
        }

        private void checkValidity(int at) throws InvalidCertificatePath {
            try {
                certificates.get(at).checkValidity();
            } catch (CertificateExpiredException e) {
                throw invalid(at, "has expired (" + e.getMessage() + ")", "The pool's administrator must renew the certificate.");
            } catch (CertificateNotYetValidException e) {
                throw invalid(at, "is not valid yet (" + e.getMessage() + ")",
                    "Wait until then, or correct the clock of this machine.");
            }
        }

        /**
         * Java ignores an extension that it cannot parse, unless it is critical. A limit of a certificate could get lost in
         * this way, so the extensions that limit it must be readable.
         */
        private void checkExtensions(int at) throws CertificateParsingException, InvalidCertificatePath {
            X509Certificate certificate = certificates.get(at);
            if (certificate.hasUnsupportedCriticalExtension()) {
                throw invalid(at, "has a critical extension that this program does not know", InvalidCertificatePath.REPLACE);
            }
            boolean isReadable = (certificate.getKeyUsage() != null || extension(certificate, KEY_USAGE).isEmpty())
                && (certificate.getExtendedKeyUsage() != null || extension(certificate, EXTENDED_KEY_USAGE).isEmpty())
                && (certificate.getSubjectAlternativeNames() != null || extension(certificate, SUBJECT_ALT_NAME).isEmpty());
            try {
                byte[] constraints = certificate.getExtensionValue(NAME_CONSTRAINTS);
                if (constraints != null) { // the constructor throws if Java cannot parse them
                    new TrustAnchor(certificate.getSubjectX500Principal(), certificate.getPublicKey(),
                        Der.parse(constraints).get(0).value());
                }
            } catch (IllegalArgumentException e) {
                isReadable = false;
            }
            if (!isReadable) {
                throw invalid(at, MALFORMED, InvalidCertificatePath.REPLACE);
            }
        }

        private void checkKey(int at) throws InvalidCertificatePath {
            PublicKey key = certificates.get(at).getPublicKey();
            // Java has no weak keys of other types: the smallest EC key has 256 bits.
            int bits = key instanceof RSAKey rsa ? rsa.getModulus().bitLength()
                : key instanceof DSAKey dsa ? dsa.getParams() == null ? 0 : dsa.getParams().getP().bitLength() : MIN_BITS;
            if (bits < MIN_BITS) {
                throw invalid(at, "has a key of " + bits + " bits (" + key.getAlgorithm() + "); the minimum is " + MIN_BITS,
                    InvalidCertificatePath.REPLACE);
            }
        }

        /** Also for a trusted certificate that is not a root: stricter than OpenSSL, which skips that signature. */
        private void checkHash(int at) throws InvalidCertificatePath {
            String algorithm = signatureAlgorithm(certificates.get(at));
            if (isBroken(algorithm)) {
                throw invalid(at, "is signed with " + algorithm + ", which can be forged; the minimum is SHA-256",
                    InvalidCertificatePath.REPLACE);
            }
        }

        /** The algorithm with its hashes. RSASSA-PSS has them in its parameters; the default is SHA-1 (RFC 8017, A.2.3). */
        private static String signatureAlgorithm(X509Certificate certificate) {
            String algorithm = certificate.getSigAlgName();
            byte[] encoded = certificate.getSigAlgParams();
            if (!algorithm.equals("RSASSA-PSS")) {
                return algorithm;
            }
            try {
                AlgorithmParameters parameters = AlgorithmParameters.getInstance(algorithm);
                parameters.init(encoded == null ? new byte[0] : encoded);
                PSSParameterSpec pss = parameters.getParameterSpec(PSSParameterSpec.class);
                return algorithm + " with " + pss.getDigestAlgorithm() + " and "
                    + (pss.getMGFParameters() instanceof MGF1ParameterSpec mask ? mask.getDigestAlgorithm() : "SHA-1");
            } catch (GeneralSecurityException | IOException e) {
                return algorithm + " with SHA-1";
            }
        }

        /** Whether a signature algorithm, or a hash, is open to forgery. */
        static boolean isBroken(String algorithm) {
            String name = algorithm.toUpperCase(Locale.ROOT);
            return name.contains("SHA1") || name.contains("SHA-1") || name.contains("MD5") || name.contains("MD2");
        }

        /**
         * Extended key usage limits CAs, too, and anyExtendedKeyUsage does not suffice. The server's own key must be allowed
         * to sign: TLS with forward secrecy uses it for nothing else.
         */
        private void checkPurpose(int at) throws InvalidCertificatePath, CertificateParsingException {
            X509Certificate certificate = certificates.get(at);
            List<String> purposes = certificate.getExtendedKeyUsage();
            if (purposes != null && !purposes.contains(SERVER_AUTH)) {
                throw invalid(at, "is not for TLS servers: its extended key usage lacks serverAuth",
                    InvalidCertificatePath.REPLACE);
            }
            boolean[] usage = certificate.getKeyUsage();
            if (at == 0 && usage != null && !usage[DIGITAL_SIGNATURE]) {
                throw invalid(at, "is not for TLS servers: its key usage lacks digitalSignature", InvalidCertificatePath.REPLACE);
            }
            for (Der type : at == 0 ? extension(certificate, NETSCAPE_TYPE) : List.<Der>of()) {
                if (type.value().length < 2 || (type.value()[1] & NETSCAPE_SERVER) == 0) {
                    throw invalid(at, "is not for TLS servers: its Netscape certificate type lacks sslServer",
                        InvalidCertificatePath.REPLACE);
                }
            }
        }

        /** @param cas number of CAs below it, without self-issued ones (RFC 5280, 4.2.1.9) */
        private void checkAuthority(int at, int cas) throws InvalidCertificatePath {
            X509Certificate certificate = certificates.get(at);
            int length = certificate.getBasicConstraints();
            if (length < 0) {
                throw invalid(at, "is not a CA (basicConstraints)", InvalidCertificatePath.REPLACE);
            }
            if (cas > length) {
                throw invalid(at, "allows " + length + " CAs below it, but there are " + cas + " (pathLenConstraint)",
                    InvalidCertificatePath.REPLACE);
            }
            boolean[] usage = certificate.getKeyUsage();
            if (usage != null && !usage[KEY_CERT_SIGN]) {
                throw invalid(at, "must not sign certificates (keyUsage)", InvalidCertificatePath.REPLACE);
            }
        }

        /** Signatures, name constraints, and the other rules of RFC 5280. */
        private void checkWithJava(X509Certificate trusted, List<X509Certificate> checked) throws InvalidCertificatePath {
            if (checked.isEmpty()) {
                return;
            }
            try {
                PKIXParameters parameters = new PKIXParameters(Set.of(
                    new TrustAnchor(trusted.getSubjectX500Principal(), trusted.getPublicKey(), null)));
                parameters.setRevocationEnabled(false);
                // Policies are not used here, and mapping them takes exponential time.
                parameters.setPolicyMappingInhibited(true);
                CertPathValidator.getInstance("PKIX").validate(CertificateFactory.getInstance("X.509").generateCertPath(checked),
                    parameters);
            } catch (CertPathValidatorException e) {
                throw new InvalidCertificatePath(certificates,
                    e.getReason() == PKIXReason.INVALID_NAME ? "the name constraints of its CAs do not allow its names"
                    : e.getReason() == PKIXReason.INVALID_POLICY ? "its CAs require a policy that it does not have"
                    : "its chain is not valid: " + e.getMessage(), InvalidCertificatePath.REPLACE);
            } catch (GeneralSecurityException | RuntimeException e) { // RuntimeException: an empty name in constraints
                throw new InvalidCertificatePath(certificates, "Java cannot check its chain ("
                    + e.getClass().getSimpleName() + ")", InvalidCertificatePath.REPLACE);
            }
        }

        // ---- Host name ----

        /**
         * Checks that the certificate is for this host. An IP address must equal an IP entry; a name must match a DNS entry,
         * or the common name if there are no DNS entries.
         *
         * @throws CertificateException if the certificate has other names, or a CA's name constraints exclude this one
         */
        void checkName(String host) throws CertificateException {
            String expected = host.toLowerCase(Locale.ROOT);
            Optional<byte[]> address = address(expected);
            List<Der> entries = new ArrayList<>();
            for (Der list : extension(certificates.get(0), SUBJECT_ALT_NAME)) {
                entries.addAll(list.parts());
            }
            List<String> names = new ArrayList<>();
            boolean isNamed = false;
            boolean hasDns = false;
            for (Der entry : entries) {
                if (entry.tag() == DNS_NAME) {
                    hasDns = true;
                    isNamed |= address.isEmpty() && matches(entry.text(), expected);
                    names.add("DNS:" + entry.text());
                } else if (entry.tag() == IP_ADDRESS) {
                    isNamed |= address.filter(bytes -> bytes.length > 0 && Arrays.equals(bytes, entry.value())).isPresent();
                    names.add("IP:" + addressText(entry.value()));
                }
            }
            Optional<String> commonName = commonName();
            boolean isCommonName = address.isEmpty() && commonName.filter(name -> matches(name, expected)).isPresent();
            if (!hasDns) {
                commonName.ifPresent(name -> names.add("CN:" + name));
            }
            if (!isNamed && (hasDns || !isCommonName)) {
                throw new CertificateException((names.isEmpty() ? "it has no host names" : "it is for "
                    + names.stream().limit(MAX_SHOWN).map(TokenRequest::printable).collect(Collectors.joining(", ")))
                    + (names.size() > MAX_SHOWN ? " and " + (names.size() - MAX_SHOWN) + " more" : "")
                    + (address.isPresent() ? "; only an IP entry matches an address" : "")
                    + (isCommonName ? "; the CN does not count if there are DNS entries" : "")
                    + (names.toString().contains("*") ? "; * matches only one whole label, the first" : ""));
            }
            for (int i = 1; i < certificates.size() && address.isEmpty(); i++) {
                checkConstraints(certificates.get(i), expected);
            }
        }

        /**
         * Applies the constraints for DNS names to the host name itself. Java applies them only to the entries of the
         * certificate: neither to the common name, nor to the names that a wildcard matches.
         */
        private static void checkConstraints(X509Certificate ca, String host) throws CertificateException {
            boolean isLimited = false;
            boolean isPermitted = false;
            boolean isExcluded = false;
            for (Der constraints : extension(ca, NAME_CONSTRAINTS)) {
                for (Der subtrees : constraints.parts()) {
                    for (Der subtree : subtrees.parts()) {
                        for (Der base : subtree.parts()) {
                            boolean isDns = base.tag() == DNS_NAME;
                            boolean isWithin = isDns && isWithin(host, base.text().toLowerCase(Locale.ROOT));
                            isLimited |= isDns && subtrees.tag() == PERMITTED;
                            isPermitted |= isWithin && subtrees.tag() == PERMITTED;
                            isExcluded |= isWithin && subtrees.tag() != PERMITTED;
                        }
                    }
                }
            }
            if (isExcluded || (isLimited && !isPermitted)) {
                throw new CertificateException("its CA " + subject(ca)
                    + " must not sign for that name (name constraints)");
            }
        }

        private static boolean isWithin(String host, String base) {
            return base.isEmpty() || host.equals(base) || host.endsWith(base.startsWith(".") ? base : "." + base);
        }

        /** Whether a name of a certificate, which may have a wildcard as its first label, matches this lower-case name. */
        private static boolean matches(String pattern, String host) {
            String name = pattern.toLowerCase(Locale.ROOT);
            if (!name.startsWith("*.")) {
                return name.equals(host);
            }
            String rest = name.substring(1); // must have two labels
            return rest.indexOf('.', 1) > 0 && rest.indexOf('*') < 0
                && host.indexOf('.') > 0 && host.substring(host.indexOf('.')).equals(rest);
        }

        /**
         * The bytes of an IP address; empty for a host name. A form that only a C library accepts as an address, such as
         * 127.1, has zero bytes, so no entry equals it.
         */
        private static Optional<byte[]> address(String host) {
            String last = host.substring(host.lastIndexOf('.') + 1);
            boolean isNumber = last.startsWith("0x") || last.chars().allMatch(c -> c >= '0' && c <= '9');
            return host.contains(":") || isNumber
                ? Optional.of(NumericAddress.address(host).map(InetAddress::getAddress).orElse(new byte[0])) : Optional.empty();
        }

        private static String addressText(byte[] bytes) {
            try {
                return Target.text(bytes.length == 16 ? Inet6Address.getByAddress("", bytes, -1)
                    : InetAddress.getByAddress(bytes));
            } catch (UnknownHostException e) {
                return HexFormat.of().formatHex(bytes);
            }
        }

        /** The last common name, which is the most specific (RFC 6125, 6.4.4). */
        private Optional<String> commonName() throws CertificateException {
            Optional<String> name = Optional.empty();
            for (Der subject : Der.parse(certificates.get(0).getSubjectX500Principal().getEncoded())) {
                for (Der relative : subject.parts()) {
                    for (Der attribute : relative.parts()) {
                        List<Der> pair = attribute.parts();
                        if (Arrays.equals(pair.get(0).value(), COMMON_NAME)) {
                            name = Optional.of(pair.get(1).text());
                        }
                    }
                }
            }
            return name;
        }

        // ---- Messages ----

        static String subject(X509Certificate certificate) {
            return name(certificate.getSubjectX500Principal());
        }

        /** A name as OpenSSL and HTCondor print it: {@code /O=condor/CN=host}. Printable and bounded. */
        static String name(X500Principal principal) {
            String name;
            try {
                name = new LdapName(principal.getName(X500Principal.RFC2253, Map.of("1.2.840.113549.1.9.1", "emailAddress")))
                    .getRdns().stream().map(rdn -> "/" + rdn.getType() + "=" + rdn.getValue()).collect(Collectors.joining());
            } catch (InvalidNameException e) {
                name = principal.getName();
            }
            return printable(name.length() > MAX_NAME_LENGTH ? name.substring(0, MAX_NAME_LENGTH) + "..." : name);
        }

        /** The elements of an extension; empty if the certificate does not have it. */
        private static List<Der> extension(X509Certificate certificate, String oid) throws CertificateParsingException {
            byte[] wrapped = certificate.getExtensionValue(oid);
            return wrapped == null ? List.of() : Der.parse(wrapped).get(0).parts();
        }
    }

    /**
     * Decides whether to trust a server's certificate. With -fingerprint the chain must lead to such a certificate, with
     * -cafile to one of these CAs. Otherwise it must lead to a configured CA, to a CA of the system (unless the configuration
     * excludes them), or to a certificate that the user accepted. It must be valid for the host name, unless
     * SSL_SKIP_HOST_CHECK is on. The reason of the last rejection stays available.
     *
     * <p>{@link CertificatePath} checks the chain and the name; this class chooses the trust anchors and writes the messages.
     */
    static final class ServerTrust extends X509ExtendedTrustManager {
        /** OpenSSL's default CAs on Debian, on Fedora and its relatives, and on BSD and macOS. */
        private static final List<String> SYSTEM_BUNDLES = List.of("/etc/ssl/certs/ca-certificates.crt",
            "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem");
        /** File names of certificates in an OpenSSL CA directory. */
        private static final Pattern HASHED = Pattern.compile("[0-9a-f]{8}\\.[0-9]+");
        /** Size of a file of CAs: the public ones take a quarter of a megabyte. */
        private static final int MAX_BYTES = 1 << 23;
        /** Longest subject in the question, so that its line fits into 80 columns. */
        private static final int MAX_SUBJECT = 69;
        private static final String BOOTSTRAP = "BOOTSTRAP_SSL_SERVER_TRUST";
        private static final String PROMPT = "BOOTSTRAP_SSL_SERVER_TRUST_PROMPT_USER";
        private static final String SKIP_HOST_CHECK = "SSL_SKIP_HOST_CHECK";
        private static final String ATTACK_OR_RENEWED =
            "This may be an attack, or the pool renewed its certificate. Ask its administrator first.";
        private final Configuration configuration;
        private final Map<String, String> environment;
        private final TrustOptions trustOptions;
        private final Deadline deadline;
        private final UserInterface ui;
        private final InputFiles files;
        private final KnownHosts knownHosts;
        private final boolean useSystemCas;
        private final boolean bootstrap;
        private final boolean asks;
        private final boolean skipsHostCheck;
        private final List<String> sources = new ArrayList<>();
        private String hostName = "";
        private CertificateUse use = CertificateUse.LOGIN;
        private Optional<Rejection> rejection = Optional.empty();
        /** The certificate of the next question; the user answers it once. */
        private Optional<UntrustedCertificate> untrusted = Optional.empty();
        private Optional<X509Certificate> confirmed = Optional.empty();

        /** Purpose of the connection: SSL authentication, or TLS for a bearer token, which a wrong server must not get. */
        enum CertificateUse { LOGIN, BEARER_TOKEN }

        /** The server is not trusted. The message has several lines: the reason, details, then remedies. */
        private static final class Rejection extends CertificateException {
            private static final long serialVersionUID = 1L;
            /** Whether the client must not try another method with this server. */
            private final boolean isFinal;
            /** The certificate that the user can accept; empty if there is another objection. */
            private final transient Optional<UntrustedCertificate> acceptable;

            Rejection(List<String> lines, boolean isFinal, Optional<UntrustedCertificate> acceptable,
                    CertificateException cause) {
                super(String.join("\n", lines), cause);
                this.isFinal = isFinal;
                this.acceptable = acceptable;
            }
        }

        /** @param path valid, but for its last certificate, which no trusted CA signed */
        private record UntrustedCertificate(List<X509Certificate> path) {
            X509Certificate certificate() {
                return path.get(path.size() - 1);
            }

            /** Whether the certificate belongs to a CA, not to the server itself. */
            boolean isCa() {
                return path.size() > 1;
            }
        }

        /** @throws CommandException CONFIGURATION; USAGE if the CAs that the command line names are not there */
        ServerTrust(Context context) throws CommandException {
            this.configuration = context.configuration();
            this.environment = context.host().environment();
            this.trustOptions = context.trustOptions();
            this.deadline = context.deadline();
            this.ui = context.ui();
            this.files = context.files();
            this.knownHosts = KnownHosts.of(configuration, context.host(), context.files());
            this.useSystemCas = configuration.flag("AUTH_SSL_CLIENT_USE_DEFAULT_CAS", true);
            this.bootstrap = configuration.flag(BOOTSTRAP, false);
            this.asks = configuration.flag(PROMPT, true);
            this.skipsHostCheck = configuration.flag(SKIP_HOST_CHECK, false);
            if (trustOptions.caFile().isPresent()) {
                checkCaFile(trustOptions.caFile().get());
            }
        }

        private void checkCaFile(String name) throws CommandException {
            String problem = "this file has no readable certificate";
            try {
                if (!parse(files.read(Path.of(name), FileOrigin.USER, FilePurpose.TRUST, MAX_BYTES)).isEmpty()) {
                    return;
                }
            } catch (NoSuchFileException | InvalidPathException e) {
                problem = "there is no such file";
            } catch (InputFiles.RefusedFileException e) {
                problem = "this file " + reason(e);
            } catch (InterruptedIOException e) {
                problem = reason(e);
            } catch (IOException e) {
                // a directory, or unreadable
            }
            throw new CommandException(ErrorCode.USAGE, ArgumentParser.PROGRAM + ": Invalid argument for -cafile: "
                + printable(name) + ".", "Give a PEM file with CA certificates; " + problem + ".");
        }

        /** Whether the check needs a host name. */
        boolean needsName(CertificateUse purpose) {
            return !skipsHostCheck || purpose == CertificateUse.BEARER_TOKEN;
        }

        /** Clears the rejection before another login. */
        void reset() {
            rejection = Optional.empty();
        }

        /** Why the server's certificate was rejected; empty if it was accepted, or did not arrive. */
        Optional<String> rejection() {
            return rejection.map(Throwable::getMessage);
        }

        /** Whether the client must not try another method after the rejection. */
        boolean isFinal() {
            return rejection.filter(no -> no.isFinal).isPresent();
        }

        /** A TLS engine for one connection to this host. */
        SSLEngine engine(String hostName, CertificateUse use) {
            try {
                this.hostName = hostName;
                this.use = use;
                reset();
                SSLContext context = SSLContext.getInstance("TLS");
                context.init(new KeyManager[0], new TrustManager[] {this}, null);
                SSLEngine engine = context.createSSLEngine(hostName, -1);
                engine.setUseClientMode(true);
                SSLParameters parameters = engine.getSSLParameters();
                parameters.setProtocols(new String[] {"TLSv1.3", "TLSv1.2"});
                parameters.setCipherSuites(withForwardSecrecy(engine.getEnabledCipherSuites()));
                parameters.setAlgorithmConstraints(new NoForgeableSignatures());
                engine.setSSLParameters(parameters);
                return engine;
            } catch (GeneralSecurityException e) {
                throw new AssertionError("Java has no TLS", e);
            }
        }

        /** Runs a TLS task within the deadline, since the server determines how long the check of its chain takes. */
        void compute(Runnable task) throws IOException {
            deadline.await("the check of the server's certificate", () -> {
                task.run();
                return task;
            });
        }

        /** All suites of TLS 1.3, and those of TLS 1.2 with ECDHE: a stolen server key must not decrypt earlier sessions. */
        private static String[] withForwardSecrecy(String... suites) {
            List<String> chosen = new ArrayList<>();
            for (String suite : suites) {
                if (suite.startsWith("TLS_ECDHE_") || !suite.contains("_WITH_")) { // TLS 1.3: the name has no key exchange
                    chosen.add(suite);
                }
            }
            return chosen.toArray(String[]::new);
        }

        /** Java's message for a TLS error, without the name of the alert that some versions of Java put before it. */
        static String reasonOfTls(SSLException e) {
            String words = String.valueOf(e.getMessage());
            int end = words.startsWith("(") ? words.indexOf(") ") : -1;
            return printable(end < 0 ? words : words.substring(end + 2));
        }

        /** A line for the case that client and server have no TLS version or cipher suite in common; else empty. */
        static String advice(SSLException e) {
            String alert = String.valueOf(e.getMessage());
            return alert.endsWith("handshake_failure") || alert.endsWith("protocol_version") ? "\nThe pool's"
                + " administrator must enable TLS 1.3, or TLS 1.2 with ECDHE and SHA-256 signatures or better." : "";
        }

        /** Forbids signatures with a broken hash in the handshake, and restricts nothing else. */
        private static final class NoForgeableSignatures implements AlgorithmConstraints {
            @Override
            public boolean permits(Set<CryptoPrimitive> primitives, String algorithm, AlgorithmParameters parameters) {
                return !primitives.contains(CryptoPrimitive.SIGNATURE) || !CertificatePath.isBroken(algorithm);
            }

            @Override
            public boolean permits(Set<CryptoPrimitive> primitives, Key key) {
                return true;
            }

            @Override
            public boolean permits(Set<CryptoPrimitive> primitives, String algorithm, Key key, AlgorithmParameters parameters) {
                return permits(primitives, algorithm, parameters);
            }
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String keyType, SSLEngine engine)
                throws CertificateException {
            List<X509Certificate> path = List.of(chain[0]);
            try {
                PresentedCertificates presented = new PresentedCertificates(chain);
                path = presented.path();
                TrustDecision decision = decide(presented, path, keyType);
                checkName(decision.path());
                if (decision.trust() == Trust.UNVERIFIED) {
                    checkKnownHosts(path);
                }
                if (!needsName(use)) {
                    ui.warn(SKIP_HOST_CHECK + " is on (" + source(SKIP_HOST_CHECK)
                        + "): not checking whether the certificate is for this host.");
                }
            } catch (Rejection e) {
                rejection = Optional.of(e);
                untrusted = e.acceptable.or(() -> untrusted); // SCITOKENS, which never asks, may come after SSL
                throw e;
            } catch (InvalidCertificatePath e) {
                rejection = Optional.of(untrusted(e.path, e.getMessage(), List.of(e.remedy), Optional.empty()));
                throw e;
            } catch (CertificateException e) {
                rejection = Optional.of(untrusted(path, e.getMessage(), List.of(InvalidCertificatePath.REPLACE),
                    Optional.empty()));
                throw e;
            }
        }

        /** Whether a chain leads to a trust anchor, or only to its own last certificate. */
        private enum Trust { VERIFIED, UNVERIFIED }

        private record TrustDecision(CertificatePath path, Trust trust) { }

        /** @param path as far as the server sent it */
        private TrustDecision decide(PresentedCertificates presented, List<X509Certificate> path, String keyType)
            throws CertificateException {
            if (!trustOptions.fingerprints().isEmpty()) {
                return new TrustDecision(byFingerprint(presented, path), Trust.VERIFIED);
            }
            Optional<CertificatePath> byCas = byCas(presented, keyType);
            return byCas.isPresent() ? new TrustDecision(byCas.get(), Trust.VERIFIED)
                : new TrustDecision(byOwnEnd(presented, path), Trust.UNVERIFIED);
        }

        private void checkName(CertificatePath path) throws CertificateException {
            if (needsName(use)) {
                try {
                    path.checkName(hostName);
                } catch (CertificateException e) {
                    List<String> lines = new ArrayList<>();
                    lines.add("the certificate is not for " + hostName + ": " + e.getMessage());
                    lines.addAll(description(path.certificates().get(0)));
                    lines.add("Check the host name. If it is right, the certificate does not contain it, or this may be an"
                        + " attack.");
                    throw new Rejection(lines, false, Optional.empty(), e);
                }
            }
        }

        // ---- Trust anchors ----

        /** With -fingerprint the path must lead to a certificate with one of the fingerprints. */
        private CertificatePath byFingerprint(PresentedCertificates presented, List<X509Certificate> path)
                throws CertificateException {
            Set<X509Certificate> expected = new LinkedHashSet<>();
            for (X509Certificate certificate : presented.all()) {
                if (trustOptions.fingerprints().contains(fingerprint(certificate))) {
                    expected.add(certificate);
                }
            }
            Optional<CertificatePath> found = presented.pathTo(expected);
            if (found.isPresent()) {
                return found.get();
            }
            List<String> lines = new ArrayList<>(List.of("the certificate is not the expected one"));
            lines.addAll(description(path));
            lines.add("expected: SHA-256 " + String.join(" or ", trustOptions.fingerprints()));
            lines.add(ATTACK_OR_RENEWED);
            throw new Rejection(lines, true, Optional.empty(), new CertificateException());
        }

        /**
         * The path to a configured CA, else to a CA of the system, whose file is read only if needed. If the chain leads to a
         * configured CA but is invalid, the system's CAs do not make up for that.
         */
        private Optional<CertificatePath> byCas(PresentedCertificates presented, String keyType) throws CertificateException {
            sources.clear();
            Optional<CertificatePath> path = presented.pathTo(new LinkedHashSet<>(ownCas()));
            return path.isPresent() || !useSystemCas || trustOptions.caFile().isPresent() ? path
                : bySystemCas(presented, keyType);
        }

        private Optional<CertificatePath> bySystemCas(PresentedCertificates presented, String keyType)
                throws CertificateException {
            Optional<String> named = Optional.ofNullable(environment.get("SSL_CERT_FILE"));
            Optional<Path> bundle = Stream.concat(named.stream(), SYSTEM_BUNDLES.stream()).map(Path::of)
                .filter(Files::isReadable).findFirst();
            List<X509Certificate> cas = bundle.map(file -> read(file,
                named.filter(file.toString()::equals).isPresent() ? FileOrigin.USER : FileOrigin.DEFAULT)).orElse(List.of());
            if (!cas.isEmpty()) {
                return presented.pathTo(new LinkedHashSet<>(cas));
            }
            sources.add("Java's own CAs");
            X509TrustManager java = javasOwn();
            Optional<CertificatePath> path = presented.pathTo(new LinkedHashSet<>(List.of(java.getAcceptedIssuers())));
            if (path.isPresent()) { // Java distrusts some of them partly (jdk.security.caDistrustPolicies)
                java.checkServerTrusted(presented.all().toArray(X509Certificate[]::new), keyType);
            }
            return path;
        }

        private static X509TrustManager javasOwn() throws CertificateException {
            try {
                TrustManagerFactory factory = TrustManagerFactory.getInstance("PKIX");
                factory.init((KeyStore) null);
                return (X509TrustManager) factory.getTrustManagers()[0];
            } catch (GeneralSecurityException e) {
                throw new CertificateException(e.getMessage(), e);
            }
        }

        /** Checks everything but the trust anchor: the chain's own last certificate takes its place. */
        private CertificatePath byOwnEnd(PresentedCertificates presented, List<X509Certificate> path)
                throws CertificateException {
            if (use == CertificateUse.BEARER_TOKEN) {
                throw untrusted(path, sources.isEmpty() ? "no CA is configured" : "its CA is unknown",
                    List.of("A bearer token goes only to a server that a CA or -fingerprint verifies.",
                        "Name the CA's certificate: -cafile FILE, or AUTH_SSL_CLIENT_CAFILE."), Optional.empty());
            }
            if (trustOptions.caFile().isPresent()) {
                throw untrusted(path, "its CA is not in the file of -cafile", List.of(
                    "Use -cafile with the certificate of the pool's CA, or omit it and answer the question in a terminal."),
                    Optional.empty());
            }
            return presented.pathTo(Set.of(path.get(path.size() - 1))).orElseThrow();
        }

        /** Accepts the chain's last certificate if the user did, or if BOOTSTRAP_SSL_SERVER_TRUST is on. */
        private void checkKnownHosts(List<X509Certificate> path) throws CertificateException {
            X509Certificate last = path.get(path.size() - 1);
            if (confirmed.equals(Optional.of(last))) {
                return;
            }
            try {
                KnownHosts.KnownHostsEntry entry = knownHosts.find(hostName, last);
                switch (entry.verdict()) {
                    case REFUSED -> throw refused(path, entry.line());
                    case CHANGED -> throw changed(path, entry);
                    case CA_MISSING -> throw caMissing(path, entry.line());
                    case ACCEPTED -> warnOfBootstrap(last);
                    case NONE -> {
                        if (!bootstrap) {
                            throw unknown(path);
                        }
                        warnOfBootstrap(last);
                        knownHosts.add(hostName, last, true);
                    }
                }
            } catch (IOException e) {
                throw untrusted(path, recordFile() + ": " + reason(e),
                    List.of("This file records accepted certificates; make it readable and writable."), Optional.empty());
            }
        }

        private void warnOfBootstrap(X509Certificate certificate) throws CertificateException {
            if (bootstrap) {
                ui.warn(BOOTSTRAP + " is on (" + source(BOOTSTRAP) + "): accepting an unverified certificate for " + hostName
                    + " (SHA-256 " + fingerprint(certificate) + ").");
            }
        }

        private String source(String name) {
            return configuration.find(name).map(Configuration.Setting::source).orElse("");
        }

        /**
         * Asks the user whether to trust the rejected certificate, and records a yes or a no in known_hosts. A fingerprint
         * counts as yes if it is that of the certificate. Another fingerprint is an objection, and nothing is recorded.
         *
         * @return whether the user trusts it; false without a terminal, and if there is another objection
         * @throws CommandException NOT_AUTHENTICATED if the user does not answer in time
         */
        boolean confirm() throws CommandException {
            Optional<UntrustedCertificate> asked = untrusted.filter(one -> asks);
            untrusted = Optional.empty();
            if (asked.isEmpty()) {
                return false;
            }
            X509Certificate certificate = asked.get().certificate();
            String shown = fingerprint(certificate);
            try {
                List<String> question = question(asked.get());
                Optional<String> answer = deadline.question(() -> ui.ask(question, ServerTrust::isAnswer),
                    "To skip the question: -fingerprint " + shown + ", or -cafile FILE (the CA's certificate).");
                Optional<String> entered = answer.flatMap(TrustOptions::fingerprint);
                if (answer.isEmpty()) {
                    return false;
                } else if (entered.isPresent() && !entered.get().equals(shown)) {
                    rejection = Optional.of(otherFingerprint(asked.get().path(), entered.get()));
                    return false;
                }
                boolean accepted = !answer.get().equals("no");
                confirmed = accepted ? Optional.of(certificate) : Optional.empty();
                rejection = accepted ? Optional.empty() : Optional.of(refused(asked.get().path(), 0));
                knownHosts.add(hostName, certificate, accepted);
            } catch (IOException e) {
                ui.warn("Cannot save the answer in " + recordFile() + ": " + withErrno(reason(e))
                    + ". It holds for this run only.");
            } catch (CertificateException e) {
                throw new AssertionError("a certificate that was read cannot be written", e);
            }
            return confirmed.isPresent();
        }

        private static boolean isAnswer(String text) {
            return text.equals("yes") || text.equals("no") || TrustOptions.fingerprint(text).isPresent();
        }

        /**
         * At most eight lines of 80 columns. condor_ssl_fingerprint prints the fingerprint of the first certificate in a
         * file; TRUST_DOMAIN_CAFILE is the CA that HTCondor makes for a pool (condor_tools/ssl_fingerprint.cpp).
         */
        private List<String> question(UntrustedCertificate untrusted) throws CertificateException {
            X509Certificate certificate = untrusted.certificate();
            boolean isCa = untrusted.isCa();
            String subject = CertificatePath.subject(certificate);
            return List.of(
                hostName + (isCa ? " has a certificate of an unknown CA." : " has a certificate that no known CA signed."),
                "  " + (isCa ? "CA:      " : "Subject: ")
                    + (subject.length() > MAX_SUBJECT ? subject.substring(0, MAX_SUBJECT - 3) + "..." : subject),
                "  SHA-256: " + fingerprint(certificate),
                "The administrator reads this fingerprint on " + (isCa ? "the central manager" : hostName) + ":",
                "  condor_ssl_fingerprint " + (isCa ? "$(condor_config_val TRUST_DOMAIN_CAFILE)"
                    : "FILE  (see condor_config_val AUTH_SSL_SERVER_CERTFILE)"),
                "Trust this " + (isCa ? "CA" : "certificate") + " for " + hostName + " from now on?",
                "Please type 'yes', 'no' or the fingerprint:");
        }

        // ---- CAs ----

        private List<X509Certificate> ownCas() {
            if (trustOptions.caFile().isPresent()) {
                return read(Path.of(trustOptions.caFile().get()), FileOrigin.USER);
            }
            List<X509Certificate> cas = new ArrayList<>();
            // Of several files the last readable one counts, as in HTCondor.
            Optional<Configuration.Setting> setting = configuration.find("AUTH_SSL_CLIENT_CAFILE");
            List<String> names = setting.map(list -> List.of(list.value().split(","))).orElse(List.of());
            for (int i = names.size() - 1; i >= 0 && cas.isEmpty(); i--) {
                cas.addAll(read(Path.of(names.get(i).strip()), setting.get().origin()));
            }
            configuration.find("AUTH_SSL_CLIENT_CADIR").ifPresent(directory -> cas.addAll(readDirectory(directory)));
            return cas;
        }

        private List<X509Certificate> readDirectory(Configuration.Setting setting) {
            Path directory = setting.path();
            List<X509Certificate> cas = new ArrayList<>();
            try (Stream<Path> entries = Files.list(directory)) {
                for (Path entry : entries.filter(entry -> HASHED.matcher(entry.getFileName().toString()).matches()).sorted()
                        .toList()) {
                    cas.addAll(read(entry, FileOrigin.CONFIGURATION, FilePurpose.LISTED).orElse(List.of()));
                }
                sources.add(directory + " (" + cas.size() + ")");
            } catch (IOException e) {
                sources.add(directory + " (" + reason(e) + ")");
            }
            return cas;
        }

        private List<X509Certificate> read(Path file, FileOrigin origin) {
            Optional<List<X509Certificate>> cas = read(file, origin, FilePurpose.TRUST);
            cas.ifPresent(certificates -> sources.add(file + " (" + certificates.size() + ")"));
            return cas.orElse(List.of());
        }

        /** The certificates of a file; empty if it cannot be read. The sources list the file in both cases. */
        private Optional<List<X509Certificate>> read(Path file, FileOrigin origin, FilePurpose purpose) {
            try {
                return Optional.of(parse(files.read(file, origin, purpose, MAX_BYTES)));
            } catch (NoSuchFileException e) {
                sources.add(file + " (no such file)");
            } catch (InputFiles.RefusedFileException e) {
                ui.warn("ignoring " + printable(file.toString()) + ": it " + reason(e) + ".");
                sources.add(file + " (ignored: it " + reason(e) + ")");
            } catch (AccessDeniedException e) {
                sources.add(file + " (not readable)");
            } catch (IOException e) {
                sources.add(file + " (" + reason(e) + ")");
            }
            return Optional.empty();
        }

        private static List<X509Certificate> parse(InputFiles.Input file) {
            try {
                return CertificateFactory.getInstance("X.509").generateCertificates(new ByteArrayInputStream(file.bytes()))
                    .stream().map(X509Certificate.class::cast).toList();
            } catch (CertificateException e) {
                return List.of();
            }
        }

        // ---- Messages ----

        /** @param remedies whole sentences */
        private Rejection untrusted(List<X509Certificate> path, String reason, List<String> remedies,
                Optional<UntrustedCertificate> acceptable) {
            List<String> lines = new ArrayList<>(List.of("the certificate is not trusted: " + printable(reason)));
            lines.addAll(description(path));
            Set<String> expected = trustOptions.fingerprints();
            lines.add("trusted: " + (!expected.isEmpty() ? "SHA-256 " + String.join(" or ", expected)
                : sources.isEmpty() ? "no CAs" : String.join(", ", sources)));
            lines.addAll(remedies);
            return new Rejection(lines, false, acceptable, new CertificateException(reason));
        }

        /** Nothing is known about this certificate, so the user may accept it. */
        private Rejection unknown(List<X509Certificate> path) {
            X509Certificate last = path.get(path.size() - 1);
            boolean selfSigned = path.size() == 1 && last.getSubjectX500Principal().equals(last.getIssuerX500Principal());
            return untrusted(path, selfSigned ? "it is self-signed" : "its CA is unknown", List.of(
                confirmedFingerprint(last),
                "Or name the CA's certificate: -cafile FILE, or AUTH_SSL_CLIENT_CAFILE.",
                "Or run the command in a terminal and answer the question"
                    + (asks ? "." : " (but " + PROMPT + " is off, " + source(PROMPT) + ").")),
                Optional.of(new UntrustedCertificate(path)));
        }

        private String recordFile() {
            return printable(knownHosts.file().toString());
        }

        private static String confirmedFingerprint(X509Certificate certificate) {
            return "If the administrator confirms the fingerprint, use -fingerprint " + fingerprint(certificate);
        }

        /** @param line its number in known_hosts; 0 for an answer of this run */
        private Rejection refused(List<X509Certificate> path, int line) {
            List<String> lines = new ArrayList<>(List.of(line == 0 ? "you refused the certificate"
                : "the certificate is refused (" + recordFile() + ":" + line + ")"));
            lines.addAll(description(path));
            if (line > 0) {
                lines.add("You answered no, or an HTCondor tool wrote that line without asking. A tool does so if it has no");
                lines.add("terminal, or if the certificate is not the one it knew.");
            }
            lines.add("To see the question again, remove the line that begins with !" + hostName
                + (line == 0 ? "" : " (line " + line
                + ")") + " from " + recordFile());
            lines.add(confirmedFingerprint(path.get(path.size() - 1)));
            return new Rejection(lines, true, Optional.empty(), new CertificateException());
        }

        private Rejection changed(List<X509Certificate> path, KnownHosts.KnownHostsEntry entry) {
            X509Certificate last = path.get(path.size() - 1);
            List<String> lines = new ArrayList<>(List.of("THE CERTIFICATE OF " + hostName + " HAS CHANGED ("
                + recordFile() + ":" + entry.line() + ")",
                "accepted before: " + entry.other().map(other -> "SHA-256 " + fingerprint(other))
                    .orElse("unknown; that line does not hold a readable certificate"),
                "now: SHA-256 " + fingerprint(last)));
            lines.addAll(description(path));
            lines.add(ATTACK_OR_RENEWED);
            lines.add(confirmedFingerprint(last));
            lines.add("To see the question, remove line " + entry.line() + " from " + recordFile());
            return new Rejection(lines, true, Optional.empty(), new CertificateException());
        }

        /**
         * HTCondor wrote that a CA verified this host. That CA is not configured now, or the server has another one; which of
         * the two, the file does not say.
         */
        private Rejection caMissing(List<X509Certificate> path, int line) {
            List<String> lines = new ArrayList<>(List.of("a CA verified " + hostName + " before, but no configured CA does now ("
                + recordFile() + ":" + line + ")"));
            lines.addAll(description(path));
            lines.add("trusted: " + (sources.isEmpty() ? "no CAs" : String.join(", ", sources)));
            lines.add("If that CA is no longer configured, name it: -cafile FILE, or AUTH_SSL_CLIENT_CAFILE.");
            lines.add("If the certificate is from another CA, this may be an attack. Ask the administrator first.");
            lines.add(confirmedFingerprint(path.get(path.size() - 1)));
            lines.add("To see the question, remove line " + line + " (" + hostName + " SSL @trusted) from " + recordFile());
            return new Rejection(lines, true, Optional.empty(), new CertificateException());
        }

        /** @param entered the fingerprint that the user typed at the question */
        private static Rejection otherFingerprint(List<X509Certificate> path, String entered) {
            List<String> lines = new ArrayList<>(List.of("the certificate does not have the fingerprint that you entered"));
            lines.addAll(description(path));
            lines.add("entered: SHA-256 " + entered);
            lines.add(path.stream().anyMatch(one -> fingerprint(one).equals(entered))
                ? "That is the server's own certificate. To trust it alone, use -fingerprint " + entered
                : ATTACK_OR_RENEWED);
            lines.add("Nothing was recorded in known_hosts.");
            return new Rejection(lines, true, Optional.empty(), new CertificateException());
        }

        /** The first certificate of a chain, and the last one, which represents its CA. */
        private static List<String> description(List<X509Certificate> path) {
            X509Certificate last = path.get(path.size() - 1);
            List<String> lines = new ArrayList<>(description(path.get(0)));
            if (path.size() > 1) {
                lines.add("its CA: " + CertificatePath.subject(last) + ", SHA-256: " + fingerprint(last));
            }
            return lines;
        }

        /** Subject, issuer and fingerprint, by which people identify a certificate. */
        private static List<String> description(X509Certificate certificate) {
            return List.of("subject: " + CertificatePath.subject(certificate),
                "issuer: " + CertificatePath.name(certificate.getIssuerX500Principal()),
                "SHA-256: " + fingerprint(certificate));
        }

        /** SHA-256 as condor_ssl_fingerprint prints it. */
        static String fingerprint(X509Certificate certificate) {
            try {
                return HexFormat.ofDelimiter(":").formatHex(KeyDerivation.sha256().digest(certificate.getEncoded()));
            } catch (CertificateException e) {
                throw new AssertionError("a certificate that was read cannot be written", e);
            }
        }

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String keyType) throws CertificateException {
            throw new CertificateException("a certificate cannot be checked without its connection");
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

    // ==== 15. Authenticator: authentication methods, one class each ====

    /** One authentication method failed; the client can continue with another method on the same connection. */
    static final class AuthenticationException extends Exception {
        private static final long serialVersionUID = 1L;

        AuthenticationException(String reason) {
            super(reason);
        }
    }

    /**
     * The client's side of an authentication method. It uses the stream; it does not depend on policies or commands.
     *
     * <p>Client and server must fail at the same point of the exchange, so a method completes its own exchange before it
     * throws {@link AuthenticationException}. A new method needs a bit in {@link AuthMethod}, a class here, and a line in
     * {@link Security#offers}.
     */
    sealed interface Authenticator {
        AuthMethod method();

        /**
         * Runs the method.
         *
         * @return the result, if the server accepted this client
         * @throws AuthenticationException if either side refuses the other; the stream can still be used
         */
        Authenticated authenticate(CedarStream stream) throws IOException, AuthenticationException;
    }

    /**
     * The result of a successful method.
     *
     * @param key        the method's secret key, which can encrypt a session key; 0 bytes if the method has no secret key
     * @param encryption of a session key with this key
     * @param server     the server's name
     */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    record Authenticated(byte[] key, KeyEncryption encryption, ServerName server) {
        Authenticated(byte[] key, ServerName server) {
            this(key, KeyDerivation::unwrap, server);
        }

        /** Decrypts the session key that the server sent. */
        byte[] unwrap(byte[] wrapped) throws ProtocolViolation {
            return encryption.unwrap(wrapped, key);
        }
    }

    /** How a method encrypts a session key. */
    interface KeyEncryption {
        byte[] unwrap(byte[] wrapped, byte[] methodKey) throws ProtocolViolation;
    }

    /**
     * A server's name, in the form that HTCondor's lists of accepted servers use.
     *
     * @param user        {@code NAME@DOMAIN}; a map file can replace it
     * @param certificate the server's certificate; the original drops it after SCITOKENS, and maps the name ""
     */
    record ServerName(AuthMethod method, String user, Optional<X509Certificate> certificate) {
        /** The name after a method that does not identify the server. */
        static ServerName unknown(AuthMethod method) {
            return new ServerName(method, "unauthenticated@unmapped", Optional.empty());
        }
    }

    /** Sends a name without a proof, for pools that trust their network. condor_io/condor_auth_claim.cpp */
    record ClaimToBe(String name) implements Authenticator {
        @Override
        public AuthMethod method() {
            return AuthMethod.CLAIMTOBE;
        }

        @Override
        public Authenticated authenticate(CedarStream stream) throws IOException, AuthenticationException {
            stream.send(stream.message().number(1).string(name));
            MessageReader verdict = stream.receive("answer to CLAIMTOBE");
            if (verdict.number() != 1) {
                throw new AuthenticationException("the pool did not accept the name " + name);
            }
            verdict.end();
            return new Authenticated(new byte[0], ServerName.unknown(method()));
        }
    }

    /**
     * Authenticates without a name. The pool accepts anonymous requests only where an approval rule matches them.
     * condor_io/condor_auth_anonymous.cpp
     */
    record Anonymous() implements Authenticator {
        @Override
        public AuthMethod method() {
            return AuthMethod.ANONYMOUS;
        }

        @Override
        public Authenticated authenticate(CedarStream stream) throws IOException, AuthenticationException {
            MessageReader verdict = stream.receive("answer to ANONYMOUS");
            if (verdict.number() != 1) {
                throw new AuthenticationException("the pool refused anonymous clients");
            }
            verdict.end();
            return new Authenticated(new byte[0], ServerName.unknown(method()));
        }
    }

    /**
     * Proves the user's identity: the client creates a directory whose name the server chooses, on a file system that
     * both share. condor_io/condor_auth_fs.cpp
     *
     * <p>The directory itself does not say which server it is for. A man in the middle can pass on the name that a real
     * server chose; once the client creates that directory, the server accepts the attacker as this user. So the name
     * must contain the address of the server that the client is connected to.
     * <pre>
     * FS_XXXcccccc             servers of 23.x, and others before 24.0.22, 25.0.12 and 25.11.1: no address
     * FS_ip_port_XXXcccccc     those releases: the server's address as the server sees it
     * FS_ip_port_XXXcccccc_    from 24.0.23, 25.0.13 and 25.13.2 on: the client appends the address that it sees,
     *                          and sends it to the server
     * </pre>
     *
     * @param parent         path of the only directory in which the client creates one
     * @param peer           the server's end of the connection
     * @param sharedPortId   the server's shared port ID; empty without one, or if the server's release does not expect it
     *                       (before 25.14)
     * @param channelBinding whether the name must contain the server's address
     * @param user           the user who runs this program; empty if unknown
     */
    record FileSystemAccess(String parent, InetSocketAddress peer, Optional<String> sharedPortId, boolean channelBinding,
                            Optional<UserPrincipal> user) implements Authenticator {
        private static final Pattern NAME = Pattern.compile(
            "FS_(?:XXX[A-Za-z0-9]{6}|([0-9A-Fa-f:.]+)_([0-9]{1,5})_XXX[A-Za-z0-9]{6}(_)?)");
        /** PATH_MAX of Linux, in bytes. */
        private static final int PATH_MAX = 4096;
        private static final String RELAY_HINT = ", so a man in the middle could log in as this user at another server;"
            + " SEC_FS_ENFORCE_CHANNEL_BINDING = false allows it";

        FileSystemAccess {
            parent = collapseSlashes(parent);
            parent = parent.endsWith("/") ? parent.substring(0, parent.length() - 1) : parent;
        }

        @Override
        public AuthMethod method() {
            return AuthMethod.FS;
        }

        /**
         * The directory that the server requests.
         *
         * @param extension the server's address as the client sees it, to send to the server; empty if the server does
         *                  not expect it
         */
        record RequestedDirectory(Path directory, Optional<String> extension) { }

        @Override
        public Authenticated authenticate(CedarStream stream) throws IOException, AuthenticationException {
            MessageReader message = stream.receive("FS directory name");
            String path = message.string();
            message.end();
            Optional<String> extension = Optional.empty();
            Optional<TemporaryDirectory> created = Optional.empty();
            String failure = "";
            try {
                RequestedDirectory requested = parse(path);
                extension = requested.extension();
                failure = "cannot create the directory " + printable(requested.directory().toString())
                    + ", which the pool requested: ";
                created = Optional.of(TemporaryDirectory.create(requested.directory(), user));
            } catch (AuthenticationException e) {
                failure = e.getMessage();
            } catch (IOException e) {
                failure += reason(e);
            }
            try {
                Message answer = stream.message().number(created.isPresent() ? 0 : -1);
                extension.ifPresent(answer::string);
                stream.send(answer);
                MessageReader verdict = stream.receive("answer to FS");
                boolean accepted = verdict.number() == 0;
                verdict.end();
                if (created.isEmpty() || !accepted) {
                    throw new AuthenticationException(created.isEmpty() ? failure
                        : "the pool did not accept the directory "
                        + printable(created.get().path().toString()) + "; FS works only if the pool runs on this machine and"
                        + " shares " + parent);
                }
                return new Authenticated(new byte[0], ServerName.unknown(method()));
            } finally {
                created.ifPresent(TemporaryDirectory::close);
            }
        }

        /** Checks the path that the server sent. @throws AuthenticationException if a server must not request this path */
        RequestedDirectory parse(String path) throws AuthenticationException {
            if (path.isEmpty()) {
                throw new AuthenticationException("the pool could not choose a directory name (its log says why)");
            }
            // A server of 23.x whose FS_LOCAL_DIR ends in a slash appends a second one.
            String plain = path.length() > PATH_MAX ? "" : collapseSlashes(path);
            Matcher name = NAME.matcher(plain.startsWith(parent + "/") ? plain.substring(parent.length() + 1) : "");
            boolean fits = plain.startsWith("/") && name.matches();
            boolean addressed = fits && name.group(1) != null;
            Optional<InetSocketAddress> address = addressed ? address(name.group(1), name.group(2)) : Optional.empty();
            if (!fits || addressed != address.isPresent()) {
                throw new AuthenticationException("the pool named " + printable(path)
                    + ", which is not a name that HTCondor uses for a directory in " + parent);
            }
            if (!channelBinding) {
                return new RequestedDirectory(Path.of(plain), Optional.empty());
            }
            if (!addressed) {
                throw new AuthenticationException("the server's directory name does not contain its address" + RELAY_HINT);
            }
            if (name.group(3) != null) {
                String extension = endpoint();
                return new RequestedDirectory(Path.of(plain + extension), Optional.of(extension));
            }
            if (!address.get().equals(new InetSocketAddress(peer.getAddress(), peer.getPort()))) {
                throw new AuthenticationException("the server's directory name contains the address " + Target.text(address.get())
                    + "; this connection is to " + Target.text(peer) + RELAY_HINT);
            }
            return new RequestedDirectory(Path.of(plain), Optional.empty());
        }

        private static Optional<InetSocketAddress> address(String ip, String port) {
            int number = Integer.parseInt(port);
            return NumericAddress.address(ip).filter(it -> number >= 1 && number <= 65535)
                .map(it -> new InetSocketAddress(it, number));
        }

        /** The server's address as the client sees it: {@code ip:port[?sock=id]}, without the name of a local interface. */
        private String endpoint() throws AuthenticationException {
            String ip = Target.text(peer.getAddress()).replaceFirst("%.*", "");
            // The text becomes part of a file name, so it must not contain a slash.
            if (sharedPortId.filter(id -> !Sinful.isSharedPortId(id)).isPresent()) {
                throw new AuthenticationException("the pool's address has an invalid sock=");
            }
            return (ip.contains(":") ? "[" + ip + "]" : ip) + ":" + peer.getPort()
                + sharedPortId.map(id -> "?sock=" + id).orElse("");
        }

        private static String collapseSlashes(String path) {
            String plain = path;
            while (plain.contains("//")) {
                plain = plain.replace("//", "/");
            }
            return plain;
        }
    }

    /**
     * An empty directory that exists until {@link #close}, or until a signal ends the program.
     *
     * <p>It removes only the directory that it created. Before removal it reads the attributes of the entry of that name,
     * relative to the opened parent and without following a link, and compares the file key (device and inode) with the
     * one noted at creation. The directory stays open until then, so the system cannot reuse its inode. If Java or the
     * parent's permissions do not allow access relative to the parent, it uses the path.
     */
    private static final class TemporaryDirectory implements Closeable {
        private final Path path;
        private final Optional<SecureDirectoryStream<Path>> parent;
        private final Thread shutdownHook = new Thread(this::remove, "remove-fs-directory");
        private Optional<SecureDirectoryStream<Path>> handle = Optional.empty();
        private Optional<Object> fileKey = Optional.empty();
        private boolean closed;

        private TemporaryDirectory(Path path) throws IOException {
            this.path = path;
            this.parent = open(path.getParent());
        }

        /**
         * Creates the directory with mode 0700.
         *
         * @param user the owner that the new directory must have; empty to accept any owner
         */
        static TemporaryDirectory create(Path path, Optional<UserPrincipal> user) throws IOException {
            TemporaryDirectory directory = new TemporaryDirectory(path);
            try {
                Runtime.getRuntime().addShutdownHook(directory.shutdownHook);
                directory.createAndOpen(user);
                return directory;
            } catch (IOException | IllegalStateException e) {
                directory.close();
                throw e instanceof IOException failed ? failed : new IOException("the program is ending", e);
            }
        }

        Path path() {
            return path;
        }

        private synchronized void createAndOpen(Optional<UserPrincipal> user) throws IOException {
            if (closed) {
                throw new IOException("the program is ending");
            }
            Files.createDirectory(path, withMode("rwx------"));
            fileKey = Optional.ofNullable(attributes().fileKey());
            // The path "NAME/." opens only a directory; a FIFO in its place could block.
            handle = parent.isPresent() ? Optional.of(parent.get().newDirectoryStream(
                path.getFileName().resolve("."))) : open(path.resolve("."));
            if (handle.isPresent()) {
                PosixFileAttributeView view = handle.get().getFileAttributeView(PosixFileAttributeView.class);
                PosixFileAttributes found = view.readAttributes();
                if (!fileKey.equals(Optional.ofNullable(found.fileKey()))
                        || user.filter(owner -> !owner.equals(found.owner())).isPresent()) {
                    throw new IOException("another file has replaced it");
                }
                // A parent with the setgid bit passes the bit on, and the server refuses it; so the mode is set again.
                view.setPermissions(PosixFilePermissions.fromString("rwx------"));
            }
        }

        @SuppressWarnings("StreamResourceLeak") // remove() closes it
        private static Optional<SecureDirectoryStream<Path>> open(Path directory) throws IOException {
            try {
                DirectoryStream<Path> stream = Files.newDirectoryStream(directory);
                if (stream instanceof SecureDirectoryStream<Path> secure) {
                    return Optional.of(secure);
                }
                stream.close();
            } catch (AccessDeniedException e) {
                return Optional.empty(); // a directory can be searchable without being readable
            }
            return Optional.empty();
        }

        /** The attributes of the entry that has the name now. */
        private BasicFileAttributes attributes() throws IOException {
            return parent.isPresent() ? parent.get().getFileAttributeView(path.getFileName(), BasicFileAttributeView.class,
                LinkOption.NOFOLLOW_LINKS).readAttributes()
                : Files.readAttributes(path, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS);
        }

        private synchronized void remove() {
            if (closed) {
                return;
            }
            closed = true;
            try {
                if (fileKey.isPresent() && isCreatedHere(attributes())) {
                    delete();
                }
            } catch (IOException e) {
                return; // another process has removed it, or has put a file into it
            } finally {
                parent.ifPresent(TemporaryDirectory::close);
                handle.ifPresent(TemporaryDirectory::close);
            }
        }

        private boolean isCreatedHere(BasicFileAttributes found) {
            return found.isDirectory() && fileKey.equals(Optional.ofNullable(found.fileKey()));
        }

        private void delete() throws IOException {
            if (parent.isPresent()) {
                parent.get().deleteDirectory(path.getFileName());
            } else {
                Files.delete(path);
            }
        }

        private static void close(SecureDirectoryStream<Path> stream) {
            try {
                stream.close();
            } catch (IOException e) {
                return; // nothing was written through it
            }
        }

        @Override
        public void close() {
            try {
                Runtime.getRuntime().removeShutdownHook(shutdownHook);
            } catch (IllegalStateException e) {
                // The program is ending and runs the hook too; the first of the two calls removes the directory.
            }
            remove();
        }
    }

    /**
     * SSL: TLS inside HTCondor's messages, without a client certificate. SCITOKENS: SSL that then carries a bearer token.
     * condor_io/condor_auth_ssl.cpp
     *
     * @param bearer        the token for SCITOKENS; empty for SSL
     * @param beforeSending called immediately before the bearer token is sent
     */
    record Ssl(ServerTrust trust, String hostName, Optional<BearerToken> bearer, Runnable beforeSending)
            implements Authenticator {
        @Override
        public AuthMethod method() {
            return bearer.isPresent() ? AuthMethod.SCITOKENS : AuthMethod.SSL;
        }

        @Override
        public Authenticated authenticate(CedarStream stream) throws IOException, AuthenticationException {
            MessageReader ready = stream.receive("SSL status");
            long status = ready.number();
            ready.end();
            stream.send(stream.message().number(Protocol.SSL_OK));
            if (status != Protocol.SSL_OK) {
                throw new AuthenticationException("the pool has no SSL configuration (status " + status + "; its log says why)");
            }
            Tunnel tunnel = new Tunnel(stream, trust.engine(hostName,
                bearer.isPresent() ? ServerTrust.CertificateUse.BEARER_TOKEN : ServerTrust.CertificateUse.LOGIN));
            tunnel.runPhase(Turn.CLIENT, tunnel::handshakeDone, "TLS handshake");
            tunnel.runPhase(Turn.SERVER, tunnel::keyReceived, "key exchange through TLS");
            if (bearer.isPresent()) {
                byte[] token = bearer.get().text().reveal().getBytes(US_ASCII);
                beforeSending.run();
                tunnel.sendToken(ByteBuffer.allocate(Integer.BYTES + token.length).putInt(token.length).put(token).flip(),
                    "the token in " + bearer.get());
            }
            return new Authenticated(tunnel.key(), bearer.isPresent()
                ? new ServerName(method(), "scitokens@unmapped", Optional.empty())
                : new ServerName(method(), "ssl@unmapped", Optional.of(tunnel.certificate())));
        }

        private enum Turn { CLIENT, SERVER }

        /**
         * Exchanges messages in strict alternation. Each message carries the sender's status and the output of its TLS
         * engine. A phase ends when both sides have sent the status SSL_HOLDING.
         */
        private final class Tunnel {
            /** Limits above what a phase needs in messages, and what TLS needs in steps for the data of one message. */
            private static final int MAX_TURNS = 100;
            private static final int MAX_STEPS = 1000;
            private final CedarStream stream;
            private final SSLEngine engine;
            private final ByteBuffer packet;
            private final ByteBuffer applicationData;
            private final ByteArrayOutputStream outbound = new ByteArrayOutputStream();
            private final ByteArrayOutputStream received = new ByteArrayOutputStream();
            private ByteBuffer inbound = ByteBuffer.allocate(0);
            private Optional<SSLException> failure = Optional.empty();

            Tunnel(CedarStream stream, SSLEngine engine) {
                this.stream = stream;
                this.engine = engine;
                this.packet = ByteBuffer.allocate(engine.getSession().getPacketBufferSize());
                this.applicationData = ByteBuffer.allocate(engine.getSession().getApplicationBufferSize());
            }

            boolean handshakeDone() {
                return engine.getHandshakeStatus() == HandshakeStatus.NOT_HANDSHAKING
                    && !engine.getSession().getProtocol().equals("NONE");
            }

            boolean keyReceived() {
                return received.size() >= Protocol.SSL_KEY_BYTES;
            }

            /** The server's own certificate. */
            X509Certificate certificate() throws SSLException {
                return (X509Certificate) engine.getSession().getPeerCertificates()[0];
            }

            byte[] key() throws ProtocolViolation {
                if (received.size() != Protocol.SSL_KEY_BYTES) {
                    throw new ProtocolViolation("the server sent " + received.size() + " key bytes through TLS, not "
                        + Protocol.SSL_KEY_BYTES);
                }
                return received.toByteArray();
            }

            void runPhase(Turn first, BooleanSupplier done, String what) throws IOException, AuthenticationException {
                Turn turn = first;
                int clientStatus = Protocol.SSL_RECEIVING;
                int serverStatus = Protocol.SSL_RECEIVING;
                for (int turns = 0; clientStatus != Protocol.SSL_HOLDING || serverStatus != Protocol.SSL_HOLDING; turns++) {
                    if (turns == MAX_TURNS) {
                        throw new ProtocolViolation("the server does not complete the " + what);
                    }
                    if (clientStatus == Protocol.SSL_RECEIVING) {
                        advance();
                        clientStatus = failure.isPresent() ? Protocol.SSL_QUITTING
                            : done.getAsBoolean() ? Protocol.SSL_HOLDING : clientStatus;
                    }
                    if (turn == Turn.CLIENT) {
                        if (clientStatus == Protocol.SSL_RECEIVING && serverStatus == Protocol.SSL_HOLDING
                                && outbound.size() == 0) {
                            throw new ProtocolViolation("the server ended the " + what + " before it was complete");
                        }
                        stream.send(stream.message().number(clientStatus).counted(outbound.toByteArray()));
                        outbound.reset();
                        if (clientStatus == Protocol.SSL_QUITTING) {
                            throw new AuthenticationException(explain(failure.get()));
                        }
                        turn = Turn.SERVER;
                    } else {
                        serverStatus = receive(what);
                        turn = Turn.CLIENT;
                    }
                }
            }

            /** Sends a token through TLS and reads the server's verdict. */
            void sendToken(ByteBuffer text, String what) throws IOException, AuthenticationException {
                try {
                    while (text.hasRemaining()) {
                        SSLEngineResult result = engine.wrap(text, packet);
                        outbound.write(packet.array(), 0, packet.position());
                        packet.clear();
                        if (result.bytesConsumed() == 0) {
                            throw new SSLException("the server closed the TLS session");
                        }
                    }
                } catch (SSLException e) {
                    throw new AuthenticationException("TLS failed: " + ServerTrust.reasonOfTls(e));
                }
                stream.send(stream.message().number(Protocol.SSL_HOLDING).counted(outbound.toByteArray()));
                MessageReader verdict = stream.receive("answer to the bearer token");
                if (verdict.number() != Protocol.SSL_HOLDING) {
                    throw new AuthenticationException("the pool does not accept " + what
                        + " (because of its issuer, audience or mapping; the pool's log says which)");
                }
                verdict.counted();
                verdict.end();
            }

            private int receive(String what) throws IOException, AuthenticationException {
                MessageReader message = stream.receive(what);
                int status = message.number(Protocol.SSL_ERROR, Protocol.SSL_HOLDING);
                byte[] bytes = message.counted();
                message.end();
                if (inbound.remaining() + bytes.length > Protocol.BODY_MAX_BYTES) {
                    throw message.violation("contains more data than a TLS handshake needs");
                }
                inbound = ByteBuffer.wrap(concat(Arrays.copyOfRange(inbound.array(), inbound.position(),
                    inbound.limit()), bytes));
                if (status == Protocol.SSL_QUITTING || status == Protocol.SSL_ERROR) {
                    advance();
                    throw new AuthenticationException("the pool aborted the " + what + failure.map(e -> " ("
                        + ServerTrust.reasonOfTls(e) + ")" + ServerTrust.advice(e))
                        .orElse("; it may require a client certificate"));
                }
                return status;
            }

            /** Runs the TLS engine on the received data until it needs more. */
            private void advance() throws IOException {
                try {
                    for (int steps = 0; step(); steps++) {
                        if (steps == MAX_STEPS) {
                            throw new ProtocolViolation("the TLS engine makes no progress with what the server sent");
                        }
                    }
                } catch (SSLException e) {
                    failure = Optional.of(e);
                    produceAlert();
                }
            }

            /** Does the step that the TLS engine needs next. Returns false if it made no progress, so that the caller stops. */
            private boolean step() throws IOException {
                HandshakeStatus before = engine.getHandshakeStatus();
                boolean moved = switch (before) {
                    case NEED_TASK -> {
                        trust.compute(engine.getDelegatedTask());
                        yield true;
                    }
                    case NEED_WRAP -> wrap();
                    default -> unwrap();
                };
                return moved || engine.getHandshakeStatus() != before;
            }

            /** Returns whether the engine produced data for the server. */
            private boolean wrap() throws SSLException {
                SSLEngineResult result = engine.wrap(ByteBuffer.allocate(0), packet);
                outbound.write(packet.array(), 0, packet.position());
                packet.clear();
                return result.bytesProduced() > 0;
            }

            /** Returns whether the engine consumed data from the server. */
            private boolean unwrap() throws SSLException, ProtocolViolation {
                SSLEngineResult result = engine.unwrap(inbound, applicationData);
                received.write(applicationData.array(), 0, applicationData.position());
                applicationData.clear();
                if (received.size() > Protocol.SSL_KEY_BYTES) {
                    throw new ProtocolViolation("the server sent more than the key through TLS");
                }
                return result.bytesConsumed() > 0;
            }

            /** Collects the alert that the TLS engine sends after an error, if it can still produce one. */
            private void produceAlert() {
                try {
                    engine.closeOutbound();
                    int steps = 0;
                    while (engine.getHandshakeStatus() == HandshakeStatus.NEED_WRAP && wrap() && steps < MAX_STEPS) {
                        steps++;
                    }
                } catch (SSLException e) {
                    failure.ifPresent(first -> first.addSuppressed(e));
                }
            }

            private String explain(SSLException e) {
                return trust.rejection().orElseGet(() -> "TLS failed: " + ServerTrust.reasonOfTls(e));
            }
        }
    }

    /**
     * AKEP2: both sides prove that they know a key, and neither sends it. condor_io/condor_auth_passwd.cpp
     *
     * <pre>
     * C>S  status, len(A), A, [T,] 256, RA
     * S>C  status, len(A), A, len(B), B, 256, RA, 256, RB, 20, HKT
     * C>S  status, len(A), A, 256, RB, 20, HK
     * </pre>
     *
     * @param a           the client's name
     * @param t           the header and payload of a token, from which the server derives the key; empty for a password
     * @param key         the shared key K
     * @param description of the credential, for messages
     */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    record Akep2(String a, Optional<String> t, byte[] key, String description, SecureRandom random) {

        /**
         * The server, after it has proved that it knows the key.
         *
         * @param rb   the server's random bytes RB
         * @param name the server's name B
         */
        record VerifiedServer(byte[] rb, String name) { }

        /**
         * Runs the exchange.
         *
         * @throws AuthenticationException if the server refuses the key, or cannot prove that it knows it
         */
        VerifiedServer run(CedarStream stream) throws IOException, AuthenticationException {
            byte[] ra = new byte[Protocol.AKEP2_RANDOM_BYTES];
            random.nextBytes(ra);
            Message first = stream.message().number(0).number(a.getBytes(UTF_8).length).string(a);
            t.ifPresent(first::string);
            stream.send(first.counted(ra));
            MessageReader reply = stream.receive("answer to AKEP2");
            long status = reply.number();
            reply.number();
            String echoedA = reply.string();
            reply.number();
            String b = reply.string();
            byte[] echoedRa = reply.counted();
            byte[] rb = reply.counted();
            byte[] hkt = reply.counted();
            reply.end();
            boolean proved = status == 0 && echoedA.equals(a) && MessageDigest.isEqual(echoedRa, ra)
                && rb.length == Protocol.AKEP2_RANDOM_BYTES && MessageDigest.isEqual(hkt, serverProof(key, a, b, ra, rb));
            if (!proved) {
                stream.send(stream.message().number(-1).number(0).string("").number(0).number(0));
                throw new AuthenticationException(status != 0
                    ? "the pool does not accept " + description + " (unknown key, expired or revoked)"
                    : "the pool could not prove that it knows the key of " + description);
            }
            stream.send(stream.message().number(0).number(a.getBytes(UTF_8).length).string(a).counted(rb)
                .counted(clientProof(key, a, rb)));
            return new VerifiedServer(rb, b);
        }

        static byte[] serverProof(byte[] key, String a, String b, byte[] ra, byte[] rb) {
            return KeyDerivation.hmac("HmacSHA1", key, concat((a + " " + b + "\0").getBytes(UTF_8), concat(ra, rb)));
        }

        static byte[] clientProof(byte[] key, String a, byte[] rb) {
            return KeyDerivation.hmac("HmacSHA1", key, concat((a + "\0").getBytes(UTF_8), rb));
        }
    }

    /** IDTOKENS: AKEP2 with a key derived from the token's signature. condor_io/condor_auth_passwd.cpp */
    record IdToken(IssuedToken token, SecureRandom random) implements Authenticator {
        @Override
        public AuthMethod method() {
            return AuthMethod.TOKEN;
        }

        @Override
        public Authenticated authenticate(CedarStream stream) throws IOException, AuthenticationException {
            String a = token.authenticatesAs();
            Akep2.VerifiedServer server = new Akep2(a, Optional.of(token.signedPart()), sharedKey(token), "the token of " + a,
                random).run(stream);
            // HTCondor derives the key of this method from RB, which is sent in the clear; so the key is not secret.
            return new Authenticated(new byte[0], new ServerName(method(), server.name(), Optional.empty()));
        }

        static byte[] sharedKey(IssuedToken token) {
            return KeyDerivation.hkdf(token.signature(), concat(Base64.getMimeDecoder().decode(Protocol.AKEP2_SEED_A),
                KeyDerivation.ascii(token.signedPart())), KeyDerivation.ascii("master ka"));
        }
    }

    /**
     * PASSWORD: AKEP2 with the pool password, which only the pool's administrators and daemons can read.
     *
     * @param name the client's name, which depends on the server's version
     */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    record Password(String name, byte[] password, SecureRandom random) implements Authenticator {
        private static final int MAX_BYTES = 64 * 1024;

        @Override
        public AuthMethod method() {
            return AuthMethod.PASSWORD;
        }

        @Override
        public Authenticated authenticate(CedarStream stream) throws IOException, AuthenticationException {
            Akep2.VerifiedServer server = new Akep2(name, Optional.empty(), key(Protocol.AKEP2_SEED_A, password),
                "the pool password", random).run(stream);
            return new Authenticated(KeyDerivation.hmac("HmacSHA1", key(Protocol.AKEP2_SEED_B, password), server.rb()),
                new ServerName(method(), server.name(), Optional.empty()));
        }

        /** K or K', depending on the seed: an HMAC over the password, repeated twice. */
        static byte[] key(String seed, byte[] password) {
            return KeyDerivation.hmac("HmacSHA1", Base64.getMimeDecoder().decode(seed), concat(password, password));
        }

        /**
         * Reads the pool password from its file. It ends at the first NUL, before and after unscrambling
         * (condor_utils/store_cred.cpp, read_password_from_filename).
         */
        static byte[] read(Configuration configuration, InputFiles files) throws AuthenticationException {
            Path file = file(configuration);
            FileOrigin origin = configuration.find("SEC_PASSWORD_FILE").map(Configuration.Setting::origin)
                .orElse(FileOrigin.DEFAULT);
            String detail = "";
            try {
                byte[] password = upToNul(KeyDerivation.unscramble(upToNul(files.read(file, origin, FilePurpose.SECRET,
                    MAX_BYTES).bytes())));
                if (password.length > 0) {
                    return password;
                }
            } catch (InputFiles.RefusedFileException e) {
                detail = ": it " + reason(e);
            } catch (IOException e) {
                // only root can usually read it; the message below names the file
            }
            throw new AuthenticationException("cannot read the pool password file " + file + detail);
        }

        /** The path of the pool password file, readable or not. */
        static Path file(Configuration configuration) {
            return configuration.find("SEC_PASSWORD_FILE").map(Configuration.Setting::path)
                .orElse(Path.of("/etc/condor/passwords.d/POOL"));
        }

        private static byte[] upToNul(byte[] bytes) {
            int end = 0;
            while (end < bytes.length && bytes[end] != 0) {
                end++;
            }
            return Arrays.copyOf(bytes, end);
        }
    }

    /**
     * KERBEROS: the client shows a ticket for the server, and the server proves that it knows the ticket's key. One line is
     * one message, and every number has 8 bytes. condor_io/condor_auth_kerberos.cpp
     *
     * <pre>
     * C>S  4                 a ticket is available; -1 if not, which ends the method
     * C>S  4, n, AP-REQ
     * S>C  3                 the ticket is accepted; any other number ends the method
     * S>C  4, n, AP-REP
     * C>S  1                 the server's proof is accepted (servers ignore this number: seen)
     * S>C  1 or 2            the client is accepted; any other number ends the method
     * </pre>
     *
     * <p>The session key of the ticket protects the transport of HTCondor's session key; the subkey of AP-REQ does not (seen).
     * Everything that can fail on this machine or at the KDC happens before the first message, so the next method can run.
     *
     * @param server  expected
     * @param address of the server, for the reverse name
     * @param limit   longest wait for the KDC; the server's own limit is the timeout of the whole authentication
     */
    record Kerberos(KerberosClient client, ExpectedServer server, InetAddress address, Duration limit)
            implements Authenticator {
        private static final int ABORT = -1;
        private static final int GRANT = 1;
        private static final int FORWARD = 2;
        private static final int MUTUAL = 3;
        private static final int PROCEED = 4;
        /** Largest AP-REP, bytes; real ones have 120 to 160. */
        private static final int REPLY_MAX_BYTES = 64 * 1024;

        @Override
        public AuthMethod method() {
            return AuthMethod.KERBEROS;
        }

        @Override
        public Authenticated authenticate(CedarStream stream) throws IOException, AuthenticationException {
            KerberosContext context;
            String user;
            try {
                context = client.context(server, address, limit);
                user = client.serverUser(context.server());
            } catch (AuthenticationException e) {
                stream.send(stream.message().number(ABORT));
                throw e;
            }
            stream.send(stream.message().number(PROCEED));
            stream.send(stream.message().number(PROCEED).counted(context.request()));
            MessageReader verdict = stream.receive("answer to the Kerberos ticket");
            boolean isAccepted = verdict.number() == MUTUAL;
            verdict.end();
            if (!isAccepted) {
                throw new AuthenticationException("the pool did not accept the ticket for " + printable(context.server())
                    + ": its key may be new, or the clocks differ (its log says which); for new tickets, run kinit");
            }
            MessageReader proof = stream.receive("Kerberos proof");
            proof.number(PROCEED, PROCEED);
            byte[] reply = proof.raw(proof.number(1, REPLY_MAX_BYTES));
            proof.end();
            context.verify(reply);
            stream.send(stream.message().number(GRANT));
            MessageReader last = stream.receive("answer to KERBEROS");
            long granted = last.number();
            last.end();
            if (granted != GRANT && granted != FORWARD) {
                throw new AuthenticationException("the pool does not map " + printable(context.client())
                    + " to a user (its KERBEROS_MAP_FILE must list the realm)");
            }
            int type = context.keyType();
            return new Authenticated(context.sessionKey(), (wrapped, key) -> unwrap(wrapped, type, key),
                new ServerName(method(), user, Optional.empty()));
        }

        /**
         * Decrypts a session key that the server sent under the session key of the ticket: encryption type, key version and
         * length, 4 bytes each, then the ciphertext (Condor_Auth_Kerberos::wrap).
         */
        static byte[] unwrap(byte[] wrapped, int type, byte[] key) throws ProtocolViolation {
            ByteBuffer fields = ByteBuffer.wrap(wrapped);
            try {
                if (fields.remaining() > 3 * Integer.BYTES && fields.getInt() == type) {
                    fields.getInt();
                    if (fields.getInt() == fields.remaining()) {
                        return KerberosCipher.decrypt(type, key, KerberosCipher.HTCONDOR_USAGE,
                            Arrays.copyOfRange(wrapped, fields.position(), wrapped.length));
                    }
                }
            } catch (GeneralSecurityException e) {
                throw new ProtocolViolation("the session key that the server sent does not decrypt with the ticket's key ("
                    + e.getMessage() + ")");
            }
            throw new ProtocolViolation("the server did not encrypt the session key with the ticket's key");
        }
    }

    /**
     * The Kerberos settings of this machine and user: krb5.conf, the credential cache, and for root the keytab of the host.
     * They are those of MIT's library, which the original uses; where Java's own rules differ, this class follows MIT's. It
     * uses no class of JGSS.
     */
    static final class KerberosClient {
        private static final int MAX_BYTES = 1 << 20;
        private final Context context;
        private final Host host;
        private final Configuration configuration;
        private Optional<KerberosConfiguration> file = Optional.empty();
        /** What {@link #unusableReason} found, for the attempt that follows it. */
        private Optional<Tickets> found = Optional.empty();

        KerberosClient(Context context) {
            this.context = context;
            this.host = context.host();
            this.configuration = context.configuration();
        }

        /**
         * A keytab that root can use.
         *
         * @param principal the name to log in as; its realm can be missing
         * @param isHost    whether the principal is SERVICE/HOST, whose realm depends on the host
         */
        record Keytab(Path path, String principal, boolean isHost) { }

        /**
         * A name of the server.
         *
         * @param host      its host name, or the address of which the reverse name is to be found
         * @param isReverse whether it is that address
         */
        record ServerHost(String host, boolean isReverse) { }

        /** What {@link KerberosContext} needs to start. The first usable source of tickets counts: keytab, then cache. */
        record Tickets(Optional<Keytab> keytab, Optional<CredentialCache> cache, String problem) { }

        private KerberosConfiguration file() throws AuthenticationException {
            if (file.isEmpty()) {
                file = Optional.of(KerberosConfiguration.read(host, context.files()));
            }
            return file.get();
        }

        /** The reason why KERBEROS cannot work here; empty if there is a ticket or a keytab. */
        Optional<String> unusableReason() {
            try {
                Tickets tickets = tickets();
                found = Optional.of(tickets);
                return tickets.keytab().isEmpty() && tickets.cache().isEmpty() ? Optional.of(tickets.problem())
                    : Optional.empty();
            } catch (AuthenticationException e) {
                return Optional.of(e.getMessage());
            }
        }

        /** The sources of tickets that exist. For root, the keytab of the host comes before the cache. */
        private Tickets tickets() throws AuthenticationException {
            Optional<Keytab> keytab = host.isRoot() ? keytab() : Optional.empty();
            try {
                return new Tickets(keytab, Optional.of(cache()), "");
            } catch (AuthenticationException e) {
                return new Tickets(keytab, Optional.empty(), e.getMessage());
            }
        }

        /** The credential cache, if it contains a valid ticket. */
        private CredentialCache cache() throws AuthenticationException {
            return new CredentialCache.Reader(host, context.files(), context.deadline(), file(),
                configuration.set("KERBEROS_CLIENT_KEYTAB").map(Configuration.Setting::value)).read();
        }

        /** The keytab of root, who logs in as the host. condor_io/condor_auth_kerberos.cpp, init_daemon */
        private Optional<Keytab> keytab() throws AuthenticationException {
            Optional<Configuration.Setting> setting = configuration.find("KERBEROS_SERVER_KEYTAB")
                .filter(one -> !one.value().isBlank());
            Optional<String> variable = Optional.ofNullable(host.environment().get("KRB5_KTNAME"));
            Optional<String> defaultKeytab = file().text("default_keytab_name");
            String name = setting.map(Configuration.Setting::value).or(() -> variable)
                .or(() -> defaultKeytab).orElse("/etc/krb5.keytab").strip();
            FileOrigin origin = setting.map(Configuration.Setting::origin)
                .orElse(variable.isPresent() ? FileOrigin.USER : FileOrigin.DEFAULT);
            Optional<String> principal = configuration.text("KERBEROS_SERVER_PRINCIPAL").map(String::strip)
                .filter(text -> !text.isEmpty());
            try {
                Path path = Path.of(name.replaceFirst("^(?:WR)?FILE:", ""));
                // Java opens the file by its path, so nobody else may be able to replace it.
                Optional<PathTrust.Weakness> weakness = context.files().read(path, origin, FilePurpose.SECRET, MAX_BYTES)
                    .weakness();
                if (weakness.isPresent()) {
                    context.trace().log(DebugLog.SECURITY, () -> "KERBEROS: ignoring the keytab: " + weakness.get());
                    return Optional.empty();
                }
                return Optional.of(new Keytab(path, principal.orElse(service() + "/" + configuration.text("FULL_HOSTNAME")
                    .orElse("localhost")), principal.isEmpty()));
            } catch (NoSuchFileException e) {
                return Optional.empty();
            } catch (IOException | InvalidPathException e) {
                context.trace().log(DebugLog.SECURITY, () -> "KERBEROS: not using the keytab " + printable(name) + ": "
                    + (e instanceof IOException io ? reason(io) : "not a path"));
                return Optional.empty();
            }
        }

        /** First part of the server's principal. It must be the same in the pool's settings. */
        private String service() throws AuthenticationException {
            String service = configuration.text("KERBEROS_SERVER_SERVICE").map(String::strip).filter(text -> !text.isEmpty())
                .orElse("host");
            if (!service.chars().allMatch(c -> c > ' ' && c < 127 && c != '/' && c != '@' && c != '\\')) {
                throw new AuthenticationException("KERBEROS_SERVER_SERVICE = " + printable(service) + " is not a service name");
            }
            return service;
        }

        /**
         * The names of the server, in the order in which to try them. A name from an ad does not count. The original uses the
         * reverse name alone, which whoever controls the name service can choose among the hosts of the realm.
         */
        private List<ServerHost> candidates(ExpectedServer server, InetAddress address) throws AuthenticationException {
            List<ServerHost> candidates = new ArrayList<>();
            server.name().filter(name -> server.from().isTrusted() && NumericAddress.address(name).isEmpty())
                .ifPresent(name -> candidates.add(new ServerHost(name.toLowerCase(Locale.ROOT), false)));
            if (file().flag("rdns", true)) {
                candidates.add(new ServerHost(address.getHostAddress(), true));
            } else if (candidates.isEmpty()) {
                throw new AuthenticationException("a ticket is for a host name, and only an address is known (krb5.conf sets"
                    + " rdns = false): give -pool HOST");
            }
            return candidates;
        }

        /**
         * Gets the ticket for the server, within the limit. Java waits up to 90 s for a KDC, and cannot be interrupted; so
         * this runs in a thread that is abandoned.
         */
        KerberosContext context(ExpectedServer server, InetAddress address, Duration limit)
                throws IOException, AuthenticationException {
            Tickets tickets = found.isPresent() ? found.get() : tickets();
            found = Optional.empty();
            if (tickets.keytab().isEmpty() && tickets.cache().isEmpty()) {
                throw new AuthenticationException(tickets.problem());
            }
            if (configuration.set("KERBEROS_CLIENT_KEYTAB").isPresent()) {
                context.trace().log(DebugLog.SECURITY, () -> "KERBEROS: KERBEROS_CLIENT_KEYTAB has no effect, as in HTCondor");
            }
            String service = service();
            List<ServerHost> candidates = candidates(server, address);
            DebugLog trace = context.trace();
            Optional<Path> merged = file().apply();
            KerberosContext.Result result;
            try {
                result = Deadline.await("KERBEROS", () -> KerberosContext.start(tickets, service, candidates, address),
                    context.deadline().within(limit), host.clock());
            } catch (InterruptedIOException e) {
                throw new AuthenticationException("the KDC did not answer within " + limit.toSeconds() + " s; check that"
                    + " a KDC of krb5.conf runs and that this machine can reach it");
            } catch (NoClassDefFoundError e) {
                throw new AuthenticationException("this Java has no Kerberos (module java.security.jgss)");
            } finally {
                if (merged.isPresent()) {
                    Files.deleteIfExists(merged.get());
                }
            }
            result.log().forEach(line -> trace.log(DebugLog.SECURITY, () -> "KERBEROS: " + line));
            result.notices().forEach(context.ui()::notice);
            return result.context().orElseThrow(() -> new AuthenticationException(result.problem()));
        }

        /**
         * The server's name as a user: KERBEROS_SERVER_USER for the service of a host, and the realm, in lower case or as
         * KERBEROS_MAP_FILE maps it (map_kerberos_name, map_domain_name).
         *
         * @throws AuthenticationException if the file lacks the server's realm, as in the original
         */
        String serverUser(String principal) throws AuthenticationException, IOException {
            int at = principal.lastIndexOf('@');
            String realm = principal.substring(at + 1);
            String name = principal.substring(0, at).split("/", 2)[0];
            String user = name.equals(service()) ? configuration.text("KERBEROS_SERVER_USER").map(String::strip)
                .filter(text -> !text.isEmpty()).orElse("condor") : name;
            Optional<Configuration.Setting> map = configuration.find("KERBEROS_MAP_FILE").filter(one -> !one.value().isBlank());
            if (map.isEmpty()) {
                return user + "@" + realm.toLowerCase(Locale.ROOT);
            }
            Path path = map.get().path();
            try {
                InputFiles.Input lines = context.files().read(path, map.get().origin(), FilePurpose.TRUST, MAX_BYTES);
                for (String line : lines.lines().toList()) {
                    int equals = line.indexOf('=');
                    if (equals > 0 && line.substring(0, equals).strip().equals(realm)) {
                        return user + "@" + line.substring(equals + 1).strip();
                    }
                }
            } catch (InputFiles.RefusedFileException e) {
                throw new AuthenticationException("cannot use KERBEROS_MAP_FILE " + path + ": it " + reason(e));
            } catch (FileSystemException e) {
                throw new AuthenticationException("cannot read KERBEROS_MAP_FILE " + path + ": " + reason(e));
            }
            throw new AuthenticationException("KERBEROS_MAP_FILE " + path + " lacks the realm " + printable(realm)
                + "; add a line " + printable(realm) + " = DOMAIN");
        }
    }

    /**
     * The parts of krb5.conf that Java does not read, or reads from other places than MIT's library. krb5.conf(5)
     *
     * @param defaults [libdefaults]; the first value of a name counts
     * @param paths    the files that KRB5_CONFIG names and that exist, or the default one
     */
    record KerberosConfiguration(Map<String, String> defaults, List<Path> paths) {
        private static final String DEFAULT_PATH = "/etc/krb5.conf";
        private static final int MAX_BYTES = 1 << 20;
        /** Most files, and deepest nesting of braces, that are read. */
        private static final int MAX_FILES = 200;

        /** @throws AuthenticationException if KRB5_CONFIG names no file that exists, or a file is not safe to use */
        static KerberosConfiguration read(Host host, InputFiles files) throws AuthenticationException {
            String variable = host.environment().getOrDefault("KRB5_CONFIG", "");
            FileOrigin origin = variable.isEmpty() ? FileOrigin.DEFAULT : FileOrigin.USER;
            Map<String, String> defaults = new HashMap<>();
            List<Path> paths = new ArrayList<>();
            FileParser parser = new FileParser(files, origin, defaults);
            for (String name : (variable.isEmpty() ? DEFAULT_PATH : variable).split(File.pathSeparator)) {
                try {
                    Path path = Path.of(name);
                    parser.read(path);
                    paths.add(path);
                } catch (NoSuchFileException | InvalidPathException e) {
                    // MIT's library ignores it if another file exists
                } catch (InputFiles.RefusedFileException e) {
                    throw new AuthenticationException("cannot use " + printable(e.getFile()) + ": it " + reason(e));
                } catch (IOException e) {
                    throw new AuthenticationException("cannot read " + printable(name) + ": " + reason(e));
                }
            }
            if (paths.isEmpty() && origin == FileOrigin.USER) {
                throw new AuthenticationException("there is no file " + printable(variable) + ", which KRB5_CONFIG names");
            }
            return new KerberosConfiguration(defaults, List.copyOf(paths));
        }

        Optional<String> text(String name) {
            return Optional.ofNullable(defaults.get(name));
        }

        boolean flag(String name, boolean otherwise) {
            return switch (text(name).orElse("").toLowerCase(Locale.ROOT)) {
                case "y", "yes", "true", "t", "1", "on" -> true;
                case "n", "no", "false", "nil", "0", "off" -> false;
                default -> otherwise;
            };
        }

        /**
         * Makes Java's Kerberos read the same files: it knows neither KRB5_CONFIG nor several files. Call this before its
         * classes are loaded.
         *
         * @return a temporary file that includes the others; empty if it is not needed
         */
        Optional<Path> apply() throws IOException {
            Optional<Path> merged = Optional.empty();
            if (paths.size() > 1) {
                Path file = Files.createTempFile("krb5-", ".conf", withMode("rw-------"));
                Files.write(file, paths.stream().map(path -> "include " + path.toAbsolutePath()).toList());
                merged = Optional.of(file);
            }
            Optional<Path> file = merged.isPresent() ? merged : paths.stream().findFirst();
            file.ifPresent(path -> System.setProperty("java.security.krb5.conf", path.toAbsolutePath().toString()));
            return merged;
        }

        /** Reads files and the files that they include. */
        private static final class FileParser {
            private final InputFiles files;
            private final FileOrigin origin;
            private final Map<String, String> defaults;
            private int count;

            FileParser(InputFiles files, FileOrigin origin, Map<String, String> defaults) {
                this.files = files;
                this.origin = origin;
                this.defaults = defaults;
            }

            void read(Path path) throws IOException {
                if (++count > MAX_FILES) {
                    throw new FileSystemException(path.toString(), null, "more than " + MAX_FILES + " files are included");
                }
                String section = "";
                int depth = 0;
                for (String line : files.read(path, origin, FilePurpose.TRUST, MAX_BYTES).lines().toList()) {
                    String[] words = line.split("\\s+", 2);
                    int equals = line.indexOf('=');
                    if (line.startsWith(";")) {
                        // a comment
                    } else if (words.length == 2 && words[0].equals("include")) {
                        read(Path.of(words[1]));
                    } else if (words.length == 2 && words[0].equals("includedir")) {
                        readDirectory(Path.of(words[1]));
                    } else if (line.startsWith("[") && line.indexOf(']') > 0) {
                        section = line.substring(1, line.indexOf(']')).strip();
                        depth = 0;
                    } else if (line.startsWith("}")) {
                        depth = Math.max(0, depth - 1);
                    } else if (line.endsWith("{")) {
                        depth++;
                    } else if (equals > 0 && depth == 0 && section.equals("libdefaults")) {
                        defaults.putIfAbsent(line.substring(0, equals).strip().replaceFirst("\\*$", ""),
                            line.substring(equals + 1).strip().replaceFirst("^\"(.*)\"$", "$1"));
                    }
                }
            }

            /** The files of a directory whose names end in .conf, or have only letters, digits, hyphens and underscores. */
            private void readDirectory(Path directory) throws IOException {
                try (Stream<Path> entries = Files.list(directory)) {
                    for (Path entry : entries.sorted().toList()) {
                        String name = entry.getFileName().toString();
                        boolean counts = !name.startsWith(".") && (name.endsWith(".conf")
                            || name.chars().allMatch(c -> c == '-' || c == '_' || (c < 128 && Character.isLetterOrDigit(c))));
                        if (counts && !Files.isDirectory(entry)) {
                            read(entry);
                        }
                    }
                } catch (NoSuchFileException e) {
                    return; // as in Java's own reader
                }
            }
        }
    }

    /**
     * The tickets of a credential cache that have not expired.
     *
     * @param name      {@code TYPE:RESIDUAL}
     * @param principal of the user
     */
    record CredentialCache(String name, String principal, List<CachedTicket> tickets) {
        /** Start of the reason if the user has no ticket. */
        static final String NO_TICKET = "no Kerberos ticket: ";

        /**
         * One ticket. Principals are text, in which a backslash escapes the separators; times are seconds since 1970, and 0
         * means that there is none.
         *
         * @param flags   bit 31 is flag 0 of RFC 4120
         * @param encoded the ticket, DER
         */
        @SuppressWarnings("ArrayRecordComponent") // never compared
        record CachedTicket(String client, String server, int keyType, byte[] key, long authTime, long startTime, long endTime,
                            long renewTill, int flags, List<InetAddress> addresses, byte[] encoded) {
            /** The time until which the server accepts it. */
            Instant end() {
                return Instant.ofEpochSecond(endTime);
            }

            boolean isFor(String principal) {
                return server.equals(principal);
            }

            @Override
            public String toString() {
                return "the ticket for " + server;
            }
        }

        /** The ticket that gets further tickets, krbtgt/REALM@REALM; empty if the cache has only tickets for servers. */
        Optional<CachedTicket> ticketGranting() {
            String realm = realm(principal);
            return tickets.stream().filter(one -> one.isFor("krbtgt/" + realm + "@" + realm)).findFirst();
        }

        static String realm(String principal) {
            return principal.substring(principal.lastIndexOf('@') + 1);
        }

        /** A cache that cannot be used. The reason is a predicate, such as "is not a credential cache". */
        static final class CacheException extends IOException {
            private static final long serialVersionUID = 1L;

            CacheException(String reason) {
                super(reason);
            }
        }

        /** Finds and reads the cache. MIT's krb5_cc_default_name finds it by the same rules. */
        static final class Reader {
            private static final int MAX_BYTES = 1 << 20;
            private static final String KCM_SOCKET = "/var/run/.heim_org.h5l.kcm-socket";
            private final Host host;
            private final InputFiles files;
            private final Deadline deadline;
            private final KerberosConfiguration krb5;
            private final Optional<String> clientKeytab;

            /** @param clientKeytab KERBEROS_CLIENT_KEYTAB, which has no effect */
            Reader(Host host, InputFiles files, Deadline deadline, KerberosConfiguration krb5, Optional<String> clientKeytab) {
                this.host = host;
                this.files = files;
                this.deadline = deadline;
                this.krb5 = krb5;
                this.clientKeytab = clientKeytab;
            }

            /** @throws AuthenticationException if there is no valid ticket; the message says what to do */
            CredentialCache read() throws AuthenticationException {
                Optional<String> variable = Optional.ofNullable(host.environment().get("KRB5CCNAME"))
                    .filter(text -> !text.isEmpty());
                Optional<String> configured = krb5.text("default_ccache_name");
                String name = variable.isPresent() ? variable.get() : configured.isPresent() ? expand(configured.get())
                    : "FILE:/tmp/krb5cc_" + uid();
                FileOrigin origin = variable.isPresent() ? FileOrigin.USER
                    : configured.isPresent() ? FileOrigin.CONFIGURATION : FileOrigin.FOUND;
                int colon = name.indexOf(':');
                String type = colon < 2 || name.startsWith("/") ? "FILE" : name.substring(0, colon);
                String residual = name.substring(colon < 2 || name.startsWith("/") ? 0 : colon + 1);
                String shown = printable(name);
                try {
                    CredentialCache cache = switch (type) {
                        case "FILE" -> file(name, Path.of(residual), origin);
                        case "DIR" -> file(name, primary(residual, origin), origin);
                        case "KCM" -> Deadline.await("the Kerberos daemon (KCM)", () -> kcm(name, residual),
                            deadline.within(Deadline.CONNECTION), host.clock());
                        default -> throw new CacheException("has a type that this program cannot read; run kvno --out-cache"
                            + " FILE:/PATH host/HOST, or kinit -c FILE:/PATH, then set KRB5CCNAME=FILE:/PATH");
                    };
                    return withValidTickets(cache, shown);
                } catch (NoSuchFileException e) {
                    throw noTicket(shown + " does not exist");
                } catch (InputFiles.RefusedFileException | CacheException e) {
                    throw noTicket(shown + " " + reason(e));
                } catch (IOException e) {
                    throw noTicket("cannot read " + shown + ": " + reason(e));
                } catch (InvalidPathException e) {
                    throw noTicket(shown + " is not a path");
                }
            }

            private AuthenticationException noTicket(String reason) {
                return new AuthenticationException(NO_TICKET + reason + (reason.contains("; run ") ? ""
                    : clientKeytab.map(keytab -> "; run kinit -kt " + printable(quoted(keytab))
                        + " PRINCIPAL (KERBEROS_CLIENT_KEYTAB has no effect, as in HTCondor)").orElse("; run kinit")));
            }

            private CredentialCache withValidTickets(CredentialCache cache, String shown) throws AuthenticationException {
                Instant now = host.clock().instant();
                // One ticket for each server, so that the key of the ticket that is used is never in doubt.
                Map<String, CachedTicket> valid = new LinkedHashMap<>();
                for (CachedTicket ticket : cache.tickets()) {
                    if (ticket.end().isAfter(now) && ticket.client().equals(cache.principal())) {
                        valid.merge(ticket.server(), ticket, (one, other) -> one.endTime() < other.endTime() ? other : one);
                    }
                }
                if (valid.isEmpty()) {
                    throw noTicket(cache.ticketGranting().map(ticket -> "the ticket of " + printable(cache.principal()) + " in "
                        + shown + " expired at " + ticket.end()).orElse(shown + " contains no ticket of "
                        + printable(cache.principal())));
                }
                return new CredentialCache(cache.name(), cache.principal(), List.copyOf(valid.values()));
            }

            /** The user's number, as in the names of default caches. */
            private String uid() {
                return host.uid().isPresent() ? Integer.toUnsignedString(host.uid().getAsInt()) : "";
            }

            /** Replaces {@code %{uid}} and the like. */
            private String expand(String name) throws AuthenticationException {
                StringBuilder text = new StringBuilder();
                int from = 0;
                for (int start = name.indexOf("%{"); start >= 0; start = name.indexOf("%{", from)) {
                    int end = name.indexOf('}', start);
                    String word = end < 0 ? "" : name.substring(start + 2, end);
                    text.append(name, from, start).append(switch (word) {
                        case "uid", "euid", "USERID" -> uid();
                        case "username" -> host.user().map(UserPrincipal::getName).orElse("");
                        case "TEMP" -> host.environment().getOrDefault("TMPDIR", "/tmp");
                        case "null" -> "";
                        default -> throw new AuthenticationException("this program cannot expand default_ccache_name = "
                            + printable(name) + " of krb5.conf; set KRB5CCNAME");
                    });
                    from = end + 1;
                }
                return text.append(name.substring(from)).toString();
            }

            private CredentialCache file(String name, Path path, FileOrigin origin) throws IOException {
                return parse(name, files.read(path, origin, FilePurpose.SECRET, MAX_BYTES).bytes());
            }

            /** The current file of a directory of caches: {@code primary} names it. {@code DIR::PATH} is one of the files. */
            private Path primary(String residual, FileOrigin origin) throws IOException {
                if (residual.startsWith(":")) {
                    return Path.of(residual.substring(1));
                }
                Path directory = Path.of(residual);
                String name = "tkt";
                try {
                    name = files.read(directory.resolve("primary"), origin, FilePurpose.SECRET, MAX_BYTES).lines().findFirst()
                        .orElse(name);
                } catch (NoSuchFileException e) {
                    // the default name
                }
                if (!name.startsWith("tkt") || name.contains("/")) {
                    throw new CacheException("has a file \"primary\" that does not name a cache");
                }
                return directory.resolve(name);
            }

            /** Reads a cache of KCM, a daemon that keeps caches; it knows the user by the socket. MIT's include/kcm.h */
            private CredentialCache kcm(String name, String residual) throws IOException {
                String socket = krb5.text("kcm_socket").orElse(KCM_SOCKET);
                if (socket.equals("-")) {
                    throw new CacheException("cannot be read, because krb5.conf sets kcm_socket = -");
                }
                Path path = Path.of(socket);
                if (PathTrust.isPossible()) {
                    PathTrust trust = PathTrust.of(path, host.trusted());
                    Optional<PathTrust.Weakness> weakness = trust.onPath().or(() -> trust.atEnd()
                        .filter(PathTrust.Weakness::owned));
                    if (weakness.isPresent()) {
                        throw new CacheException("is behind a socket that others can replace (" + weakness.get() + ")");
                    }
                }
                try (SocketChannel channel = SocketChannel.open(UnixDomainSocketAddress.of(path))) {
                    return new Kcm(channel).cache(name, residual);
                } catch (BufferUnderflowException e) {
                    throw new CacheException("cannot be read: the daemon's answer is cut off");
                } catch (SocketException e) {
                    throw new CacheException("cannot be read: no daemon answers at " + printable(socket) + " ("
                        + connectionError(e) + ")");
                } catch (UnsupportedOperationException e) {
                    throw new CacheException("cannot be read on this system");
                }
            }
        }

        /** A conversation with KCM. A request is its length, 2, 0, the operation (2 bytes), and arguments. */
        private record Kcm(SocketChannel channel) {
            private static final int GET_PRINCIPAL = 8;
            private static final int GET_CRED_UUID_LIST = 9;
            private static final int GET_CRED_BY_UUID = 10;
            private static final int GET_DEFAULT_CACHE = 20;
            private static final int UUID_BYTES = 16;
            private static final int REPLY_MAX_BYTES = 1 << 20;
            private static final int MAX_TICKETS = 1000;

            CredentialCache cache(String name, String residual) throws IOException {
                byte[] cache = residual.isEmpty() ? call(GET_DEFAULT_CACHE) : (residual + "\0").getBytes(UTF_8);
                CacheParser client = new CacheParser(call(GET_PRINCIPAL, cache), CacheParser.CURRENT);
                String principal = client.principal();
                byte[] ids = call(GET_CRED_UUID_LIST, cache);
                List<CachedTicket> tickets = new ArrayList<>();
                for (int at = 0; at + UUID_BYTES <= ids.length && tickets.size() < MAX_TICKETS; at += UUID_BYTES) {
                    byte[] ticket = call(GET_CRED_BY_UUID, cache, Arrays.copyOfRange(ids, at, at + UUID_BYTES));
                    new CacheParser(ticket, CacheParser.CURRENT).ticket().ifPresent(tickets::add);
                }
                return new CredentialCache(name, principal, tickets);
            }

            /** The result of an operation. The reply is a length, a code, then a status and the result of this length. */
            private byte[] call(int operation, byte[]... arguments) throws IOException {
                int length = Integer.BYTES;
                for (byte[] argument : arguments) {
                    length += argument.length;
                }
                ByteBuffer request = ByteBuffer.allocate(Integer.BYTES + length).putInt(length).put((byte) 2).put((byte) 0)
                    .putShort((short) operation);
                for (byte[] argument : arguments) {
                    request.put(argument);
                }
                for (request.flip(); request.hasRemaining(); ) {
                    channel.write(request);
                }
                ByteBuffer header = read(2 * Integer.BYTES);
                int count = header.getInt();
                if (header.getInt() != 0 || count < Integer.BYTES || count > REPLY_MAX_BYTES) {
                    throw new CacheException("cannot be read: the daemon's answer is malformed");
                }
                ByteBuffer reply = read(count);
                if (reply.getInt() != 0) {
                    throw new CacheException("is empty");
                }
                byte[] result = new byte[reply.remaining()];
                reply.get(result);
                return result;
            }

            private ByteBuffer read(int count) throws IOException {
                ByteBuffer bytes = ByteBuffer.allocate(count);
                while (bytes.hasRemaining()) {
                    if (channel.read(bytes) < 0) {
                        throw new CacheException("cannot be read: the daemon closed the connection");
                    }
                }
                return bytes.flip();
            }
        }

        /** Reads the bytes of a cache file. */
        static CredentialCache parse(String name, byte[] bytes) throws CacheException {
            ByteBuffer start = ByteBuffer.wrap(bytes);
            int version = start.remaining() < Short.BYTES ? 0 : start.getShort();
            if (version == 0x0501 || version == 0x0502) {
                throw new CacheException("has an old format; run kinit");
            } else if (version != CacheParser.CURRENT && version != CacheParser.PREVIOUS) {
                throw new CacheException("is not a credential cache; run kinit");
            }
            List<CachedTicket> tickets = new ArrayList<>();
            String principal = "";
            try {
                CacheParser parser = new CacheParser(start, version);
                if (version == CacheParser.CURRENT) {
                    parser.skipHeader();
                }
                principal = parser.principal();
                while (!parser.atEnd()) {
                    parser.ticket().ifPresent(tickets::add);
                }
            } catch (BufferUnderflowException e) {
                if (tickets.isEmpty()) {
                    throw new CacheException("is cut off; run kinit");
                }
            }
            return new CredentialCache(name, principal, tickets);
        }

        /**
         * Reads principals and tickets. Every number is big endian; every length is compared with the bytes that remain.
         * MIT's lib/krb5/ccache/ccmarshal.c
         */
        private static final class CacheParser {
            static final int PREVIOUS = 0x0503;
            static final int CURRENT = 0x0504;
            /** Most parts of a principal, addresses and authorization data; a limit of this program. */
            private static final int MAX_ITEMS = 1000;
            private static final int IPV4 = 2;
            private static final int IPV6 = 24;
            private final ByteBuffer bytes;
            private final int version;

            CacheParser(byte[] bytes, int version) {
                this(ByteBuffer.wrap(bytes), version);
            }

            CacheParser(ByteBuffer bytes, int version) {
                this.bytes = bytes;
                this.version = version;
            }

            boolean atEnd() {
                return !bytes.hasRemaining();
            }

            void skipHeader() {
                take(Short.toUnsignedInt(bytes.getShort()));
            }

            /** @throws BufferUnderflowException if fewer bytes remain */
            private byte[] take(int length) {
                if (length < 0 || length > bytes.remaining()) {
                    throw new BufferUnderflowException();
                }
                byte[] taken = new byte[length];
                bytes.get(taken);
                return taken;
            }

            private byte[] data() {
                return take(bytes.getInt());
            }

            private int count() {
                int count = bytes.getInt();
                if (count < 0 || count > MAX_ITEMS) {
                    throw new BufferUnderflowException();
                }
                return count;
            }

            String principal() {
                bytes.getInt(); // type of the name
                int count = count();
                String realm = part();
                StringBuilder text = new StringBuilder();
                for (int i = 0; i < count; i++) {
                    text.append(i == 0 ? "" : "/").append(part());
                }
                return text + "@" + realm;
            }

            private String part() {
                return new String(data(), UTF_8).replaceAll("([/@\\\\])", "\\\\$1");
            }

            /** The next ticket; empty if it is a setting of the cache, or was removed. */
            Optional<CachedTicket> ticket() {
                String client = principal();
                String server = principal();
                int keyType = bytes.getShort();
                if (version == PREVIOUS) {
                    bytes.getShort();
                }
                byte[] key = data();
                long authTime = Integer.toUnsignedLong(bytes.getInt());
                long startTime = Integer.toUnsignedLong(bytes.getInt());
                long endTime = Integer.toUnsignedLong(bytes.getInt());
                long renewTill = Integer.toUnsignedLong(bytes.getInt());
                bytes.get(); // whether the second ticket counts
                int flags = bytes.getInt();
                List<InetAddress> addresses = new ArrayList<>();
                for (int left = count(); left > 0; left--) {
                    int type = bytes.getShort();
                    byte[] address = data();
                    if ((type == IPV4 && address.length == 4) || (type == IPV6 && address.length == 16)) {
                        addresses.add(address(address));
                    }
                }
                for (int left = count(); left > 0; left--) {
                    bytes.getShort();
                    data();
                }
                byte[] encoded = data();
                data(); // the second ticket
                return server.endsWith("@X-CACHECONF:") || endTime == 0 || encoded.length == 0 || key.length == 0
                    ? Optional.empty() : Optional.of(new CachedTicket(client, server, keyType, key, authTime, startTime, endTime,
                        renewTill, flags, addresses, encoded));
            }

            private static InetAddress address(byte[] bytes) {
                try {
                    return InetAddress.getByAddress(bytes);
                } catch (UnknownHostException e) {
                    throw new AssertionError("an address has 4 or 16 bytes", e);
                }
            }
        }
    }

    /**
     * A ticket for a server, and the exchange that shows it. This is the only class that uses JGSS and Java's Kerberos.
     *
     * <p>JGSS frames the AP-REQ and the AP-REP of RFC 4120 (RFC 2743, section 3.1; RFC 4121, section 4.1); HTCondor sends them
     * without.
     *
     * @param request AP-REQ
     * @param client  principal of the user
     * @param server  principal of the server
     * @param keyType encryption type of the session key of the ticket
     */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    private record KerberosContext(GSSContext gss, byte[] request, String client, String server, int keyType,
                                   byte[] sessionKey) {
        private static final String KERBEROS_5 = "1.2.840.113554.1.2.2";
        private static final String PRINCIPAL_NAME = KERBEROS_5 + ".1";
        /** DER of that object identifier. */
        private static final byte[] MECHANISM = HexFormat.of().parseHex("06092a864886f712010202");
        private static final byte[] AP_REQ_ID = {1, 0};
        private static final byte[] AP_REP_ID = {2, 0};
        private static final int FRAME_TAG = 0x60;
        private static final int SERVICE_UNKNOWN = 7;

        /**
         * The end of an attempt.
         *
         * @param context empty if it failed
         * @param problem why it failed
         */
        record Result(Optional<KerberosContext> context, String problem, List<String> log, List<String> notices) { }

        /** Gets a ticket for the first name that the KDC knows. It can take long. */
        static Result start(KerberosClient.Tickets tickets, String service, List<KerberosClient.ServerHost> candidates,
                            InetAddress address) {
            List<String> log = new ArrayList<>();
            List<String> notices = new ArrayList<>();
            List<String> tried = new ArrayList<>();
            String problem = "";
            try {
                Subject subject = subject(tickets, log);
                for (KerberosClient.ServerHost candidate : candidates) {
                    String host = candidate.isReverse() ? address.getCanonicalHostName().toLowerCase(Locale.ROOT)
                        : candidate.host();
                    String principal = service + "/" + host;
                    if (candidate.isReverse() && (tried.contains(principal) || host.equals(address.getHostAddress()))) {
                        continue;
                    }
                    try {
                        log.add("get a ticket for \"" + printable(principal) + "\"");
                        KerberosContext context = context(subject, service, host);
                        log.add("using the ticket for " + context.server() + " (encryption type " + context.keyType() + ")");
                        if (candidate.isReverse()) {
                            notices.add("KERBEROS checks the server as " + printable(context.server()) + ", by the reverse"
                                + " name of " + address.getHostAddress() + (tried.isEmpty() ? "."
                                : "; the KDC does not know " + printable(tried.get(0)) + "."));
                        }
                        return new Result(Optional.of(context), "", log, notices);
                    } catch (GSSException e) {
                        tried.add(principal);
                        int code = code(e);
                        problem = explain(e, code, realm(subject), String.join(" or ", tried));
                        String detail = String.valueOf(e.getMessage());
                        log.add(printable(detail));
                        if (code != SERVICE_UNKNOWN) {
                            break;
                        }
                    }
                }
                return new Result(Optional.empty(), !problem.isEmpty() ? problem
                    : "a ticket is for a host name, and " + address.getHostAddress() + " has no reverse name: give -pool HOST",
                    log, notices);
            } catch (LoginException e) {
                log.add(printable(String.valueOf(e.getMessage())));
                return new Result(Optional.empty(), explain(e, code(e), "the keytab's realm", service), log, notices);
            } catch (RuntimeException | OutOfMemoryError e) { // Java's decoders throw both for damaged tickets and replies
                return new Result(Optional.empty(), "Java cannot read a ticket of the cache, or a reply of the KDC ("
                    + printable(e.toString()) + "); run kinit", log, notices);
            }
        }

        /** The credentials to use: those of the keytab if it has the principal, or else those of the cache. */
        private static Subject subject(KerberosClient.Tickets tickets, List<String> log) throws LoginException {
            String problem = tickets.problem();
            if (tickets.keytab().isPresent()) {
                KerberosClient.Keytab keytab = tickets.keytab().get();
                KerberosPrincipal principal = keytab.isHost()
                    ? new KerberosPrincipal(keytab.principal(), KerberosPrincipal.KRB_NT_SRV_HST)
                    : new KerberosPrincipal(keytab.principal());
                if (KeyTab.getInstance(principal, keytab.path().toFile()).getKeys(principal).length > 0) {
                    log.add("using the keytab " + keytab.path() + " for " + principal.getName());
                    return login(keytab, principal);
                }
                problem = "the keytab " + keytab.path() + " has no key for " + principal.getName();
                log.add(problem);
                problem += tickets.problem().isEmpty() ? "" : ", and " + tickets.problem();
            }
            if (tickets.cache().isEmpty()) {
                throw new LoginException(problem);
            }
            log.add("using the cache " + printable(tickets.cache().get().name()) + " of "
                + printable(tickets.cache().get().principal()));
            return subject(tickets.cache().get());
        }

        private static Subject login(KerberosClient.Keytab keytab, KerberosPrincipal principal) throws LoginException {
            Subject subject = new Subject();
            Krb5LoginModule module = new Krb5LoginModule();
            module.initialize(subject, null, new HashMap<>(), Map.of("useKeyTab", "true", "keyTab", keytab.path().toString(),
                "principal", principal.getName(), "doNotPrompt", "true", "isInitiator", "true"));
            module.login();
            module.commit();
            return subject;
        }

        private static Subject subject(CredentialCache cache) {
            Subject subject = new Subject();
            subject.getPrincipals().add(new KerberosPrincipal(cache.principal()));
            // Java takes the first ticket that fits, and the one for the realm itself must come first.
            Optional<CredentialCache.CachedTicket> first = cache.ticketGranting();
            first.ifPresent(ticket -> subject.getPrivateCredentials().add(ticket(ticket)));
            cache.tickets().stream().filter(ticket -> !first.equals(Optional.of(ticket)))
                .forEach(ticket -> subject.getPrivateCredentials().add(ticket(ticket)));
            return subject;
        }

        private static KerberosTicket ticket(CredentialCache.CachedTicket ticket) {
            boolean[] flags = new boolean[Integer.SIZE];
            for (int i = 0; i < flags.length; i++) {
                flags[i] = (ticket.flags() & (1 << (Integer.SIZE - 1 - i))) != 0;
            }
            return new KerberosTicket(ticket.encoded(), new KerberosPrincipal(ticket.client()),
                new KerberosPrincipal(ticket.server(), KerberosPrincipal.KRB_NT_SRV_INST), ticket.key(), ticket.keyType(), flags,
                date(ticket.authTime()), ticket.startTime() == 0 ? null : date(ticket.startTime()), date(ticket.endTime()),
                ticket.renewTill() == 0 ? null : date(ticket.renewTill()),
                ticket.addresses().isEmpty() ? null : ticket.addresses().toArray(InetAddress[]::new));
        }

        private static Date date(long seconds) {
            return Date.from(Instant.ofEpochSecond(seconds));
        }

        @SuppressWarnings("removal") // Subject.callAs, its replacement, exists from Java 18 on
        private static KerberosContext context(Subject subject, String service, String host) throws GSSException {
            try {
                return Subject.doAs(subject, (PrivilegedExceptionAction<KerberosContext>) () -> {
                    GSSManager manager = GSSManager.getInstance();
                    String server = principal(subject, service, host);
                    GSSContext gss = manager.createContext(manager.createName(server, new Oid(PRINCIPAL_NAME)),
                        new Oid(KERBEROS_5), null, GSSContext.DEFAULT_LIFETIME);
                    gss.requestMutualAuth(true);
                    gss.requestCredDeleg(false);
                    byte[] request = unframed(gss.initSecContext(new byte[0], 0, 0));
                    KerberosTicket ticket = ticket(subject, server);
                    return new KerberosContext(gss, request, gss.getSrcName().toString(), ticket.getServer().getName(),
                        ticket.getSessionKeyType(), ticket.getSessionKey().getEncoded());
                });
            } catch (PrivilegedActionException e) {
                if (e.getException() instanceof GSSException failed) {
                    throw failed;
                }
                throw new AssertionError("only GSSException is checked here", e.getException());
            }
        }

        /**
         * The server's principal. Java completes a short name if the name service knows it by a longer one, and maps the host
         * to a realm by krb5.conf; without a default realm it is the user's.
         */
        private static String principal(Subject subject, String service, String host) {
            try {
                return new KerberosPrincipal(service + "/" + host, KerberosPrincipal.KRB_NT_SRV_HST).getName();
            } catch (IllegalArgumentException e) {
                return service + "/" + host + "@" + realm(subject);
            }
        }

        private static String realm(Subject subject) {
            return subject.getPrincipals(KerberosPrincipal.class).stream().findFirst().map(KerberosPrincipal::getRealm)
                .orElse("");
        }

        /** The ticket that JGSS used: it adds a new one to the subject. A referral can change the realm. */
        private static KerberosTicket ticket(Subject subject, String server) throws GSSException {
            Set<KerberosTicket> tickets = subject.getPrivateCredentials(KerberosTicket.class);
            Optional<KerberosTicket> exact = tickets.stream().filter(one -> one.getServer().getName().equals(server)).findFirst();
            String name = server.substring(0, server.lastIndexOf('@') + 1);
            return exact.or(() -> tickets.stream().filter(one -> one.getServer().getName().startsWith(name)).findFirst())
                .orElseThrow(() -> new GSSException(GSSException.NO_CRED));
        }

        /** The AP-REQ in a token of JGSS. */
        private static byte[] unframed(byte[] token) throws GSSException {
            ByteBuffer bytes = ByteBuffer.wrap(token);
            bytes.get();
            int length = bytes.get();
            bytes.position(bytes.position() + (length < 0 ? length & 0x7F : 0) + MECHANISM.length + AP_REQ_ID.length);
            return Arrays.copyOfRange(token, bytes.position(), token.length);
        }

        /** A token of JGSS that carries an AP-REP. */
        private static byte[] framed(byte[] reply) {
            byte[] content = concat(concat(MECHANISM, AP_REP_ID), reply);
            return ByteBuffer.allocate(6 + content.length).put((byte) FRAME_TAG).put((byte) 0x84).putInt(content.length)
                .put(content).array();
        }

        /**
         * Checks the server's AP-REP.
         *
         * @throws ProtocolViolation if it is not from the server for which the ticket is. The original then sends nothing, so the
         *                           two sides are no longer in step
         */
        void verify(byte[] reply) throws ProtocolViolation {
            try {
                byte[] token = framed(reply);
                gss.initSecContext(token, 0, token.length);
                if (gss.isEstablished() && gss.getMutualAuthState()) {
                    gss.dispose();
                    return;
                }
            } catch (GSSException | RuntimeException e) { // Java's decoder throws both for what is not an AP-REP
                throw new ProtocolViolation("the server could not prove that it is " + printable(server) + " ("
                    + printable(String.valueOf(below(e).getMessage())) + ")");
            }
            throw new ProtocolViolation("the server did not prove that it is " + printable(server));
        }

        /** Java's own exception below that of JGSS. Its cause can be another, without meaning. */
        private static Throwable below(Throwable e) {
            Throwable one = e;
            while ((one instanceof GSSException || one instanceof LoginException) && one.getCause() != null) {
                one = one.getCause();
            }
            return one;
        }

        /** The error code of RFC 4120, section 7.5.9, in the message of Java's own exception; -1 if there is none. */
        private static int code(Throwable e) {
            Matcher matcher = Pattern.compile("\\((\\d{1,3})\\)").matcher(String.valueOf(below(e).getMessage()));
            return matcher.find() ? Integer.parseInt(matcher.group(1)) : -1;
        }

        /** What failed, and what to do about it. */
        static String explain(Throwable e, int code, String realm, String principals) {
            String message = printable(String.valueOf(below(e).getMessage()));
            String name = printable(principals);
            boolean isNetwork = false;
            for (Throwable one = e; one != null && one != one.getCause(); one = one.getCause()) {
                isNetwork |= one instanceof IOException;
            }
            return switch (code) {
                case SERVICE_UNKNOWN -> "the KDC of " + realm + " does not know " + name
                    + "; name the server as in its principal, or set KERBEROS_SERVER_SERVICE (try: kvno " + name + ")";
                case 6 -> "the KDC of " + realm + " does not know this user; run kinit";
                case 14 -> "the KDC and this Java have no encryption type in common (see klist -e): " + message;
                case 23, 31 -> "the KDC of " + realm + " does not accept this ticket or key; run kinit";
                case 32 -> "the ticket has expired; run kinit";
                case 37 -> "the clocks of this machine and the KDC of " + realm + " differ; compare them (date) and correct one";
                case 38 -> "the ticket is for another network address; run kinit -A";
                case 63, 68 -> "the realm " + realm + " has no ticket for " + name + ": it does not trust the server's realm,"
                    + " or [domain_realm] in krb5.conf names a wrong one (see klist)";
                default -> isNetwork ? "no KDC of " + realm + " answers; check that one of krb5.conf runs and that this machine"
                    + " can reach it"
                    : message.contains("Cannot locate KDC") ? "no KDC of " + realm
                    + " is known; name one in krb5.conf ([realms]), or in DNS"
                    : e instanceof LoginException ? message : "no ticket for " + name + ": " + message;
            };
        }
    }

    /**
     * A bearer token of another issuer, for SCITOKENS. {@link #find} searches in the same places as HTCondor and the WLCG
     * (condor_utils/condor_scitokens.cpp, discover_token).
     *
     * @param source the environment variable or file that contains the token
     */
    record BearerToken(Secret text, String source) {
        private static final int MAX_BYTES = 256 * 1024;

        /** Why the token must not be sent; empty if it is usable. */
        Optional<String> unusableReason(Instant now) {
            Optional<IssuedToken> token = IssuedToken.read(text.reveal());
            return token.isEmpty() ? Optional.of("is not a readable JSON web token") : token.flatMap(IssuedToken::expiration)
                .filter(end -> !end.isAfter(now)).map(end -> "expired at " + end);
        }

        /** The source and the audience, never the token. */
        @Override
        public String toString() {
            return source + IssuedToken.read(text.reveal()).map(IssuedToken::audience).filter(names -> !names.isEmpty())
                .map(names -> " (audience " + String.join(", ", names) + ")").orElse(" (without an audience)");
        }

        /**
         * Finds the first bearer token.
         *
         * @throws AuthenticationException if it does not find a token; the message names the files that were refused
         */
        static BearerToken find(Configuration configuration, Host host, InputFiles files) throws AuthenticationException {
            List<String> complaints = new ArrayList<>();
            Optional<Configuration.Setting> configured = configuration.find("SCITOKENS_FILE");
            Optional<BearerToken> found = Optional.empty();
            if (configured.isPresent()) {
                found = readFile(configured.get().value().strip(), configured.get().origin(), files, complaints);
            } else {
                Map<String, String> environment = host.environment();
                found = Optional.ofNullable(environment.get("BEARER_TOKEN")).flatMap(text -> parse(text, "BEARER_TOKEN"));
                if (found.isEmpty() && environment.containsKey("BEARER_TOKEN_FILE")) {
                    found = readFile(environment.get("BEARER_TOKEN_FILE"), FileOrigin.USER, files, complaints);
                }
                for (String directory : new String[] {environment.getOrDefault("XDG_RUNTIME_DIR", ""), "/tmp"}) {
                    if (found.isEmpty() && !directory.isEmpty() && host.uid().isPresent()) {
                        found = readFile(directory + "/bt_u" + Integer.toUnsignedString(host.uid().getAsInt()), FileOrigin.FOUND,
                            files, complaints);
                    }
                }
            }
            return found.orElseThrow(() -> new AuthenticationException("no bearer token found in SCITOKENS_FILE, BEARER_TOKEN,"
                + " BEARER_TOKEN_FILE, or this user's file bt_uUID"
                + (complaints.isEmpty() ? "" : " (" + String.join("; ", complaints) + ")")));
        }

        private static Optional<BearerToken> readFile(String file, FileOrigin origin, InputFiles files, List<String> complaints) {
            try {
                return files.read(Path.of(file), origin, FilePurpose.SECRET, MAX_BYTES).lines().findFirst()
                    .flatMap(line -> parse(line, file));
            } catch (InputFiles.RefusedFileException e) {
                complaints.add("ignoring " + printable(file) + ": it " + reason(e));
                return Optional.empty();
            } catch (InterruptedIOException e) {
                complaints.add(reason(e));
                return Optional.empty();
            } catch (IOException | InvalidPathException e) {
                return Optional.empty();
            }
        }

        private static Optional<BearerToken> parse(String text, String source) {
            return Optional.of(text.strip()).filter(Jwt::hasForm)
                .map(token -> new BearerToken(new Secret(token), source));
        }
    }

    /**
     * A token from a file or from the pool: a JSON web token, {@code header.payload.signature}.
     *
     * @param claims     the payload as {@link Json#flat} reads it
     * @param signedPart header and payload, as the text contains them
     * @param signature  decoded
     */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    record IssuedToken(Secret text, Optional<String> keyId, Map<String, Object> claims, String signedPart, byte[] signature) {
        /** jjwt's signature check also compares times with the clock. This skew makes every time acceptable. */
        private static final Duration MAX_CLOCK_SKEW = Duration.ofDays(100 * 365);
        /** The largest time accepted, in seconds before or after 1970; it lies in the year 33658. */
        private static final double MAX_SECONDS = 1e12;

        /** Reads a token without checking its signature; empty if it is not one, or a registered claim has a wrong type. */
        static Optional<IssuedToken> read(String text) {
            if (!Jwt.hasForm(text)) {
                return Optional.empty();
            }
            String[] parts = text.split("\\.", -1);
            Optional<Map<String, Object>> header = fields(parts[0]);
            Optional<Map<String, Object>> claims = fields(parts[1]).filter(IssuedToken::haveValidTypes);
            Optional<byte[]> signature = decode(parts[2]);
            return header.isEmpty() || claims.isEmpty() || signature.isEmpty() ? Optional.empty()
                : Optional.of(new IssuedToken(new Secret(text), string(header.get(), "kid"), claims.get(),
                    parts[0] + "." + parts[1], signature.get()));
        }

        /** Whether the registered claims have the types of RFC 7519, section 4.1. */
        private static boolean haveValidTypes(Map<String, Object> claims) {
            for (String name : new String[] {"iss", "sub", "jti"}) {
                if (claims.containsKey(name) && string(claims, name).isEmpty()) {
                    return false;
                }
            }
            for (String name : new String[] {"iat", "nbf", "exp"}) {
                if (claims.containsKey(name) && seconds(claims, name).isEmpty()) {
                    return false;
                }
            }
            return true;
        }

        /** The name that the server expects with this token: the subject, or else the ID; empty if the token has neither. */
        String authenticatesAs() {
            return string(claims, "sub").or(() -> string(claims, "jti")).orElse("");
        }

        /**
         * Why the pool would refuse this token; empty if the token is usable.
         *
         * @param trustDomain the pool's trust domain; empty if the pool does not announce one
         * @param issuerKeys  IDs of the keys with which the pool checks signatures; an empty list if it does not announce them
         */
        Optional<String> unusableReason(Optional<String> trustDomain, List<String> issuerKeys, Instant now) {
            Optional<String> issuer = string(claims, "iss");
            if (trustDomain.isPresent() && !trustDomain.equals(issuer)) {
                return Optional.of("belongs to trust domain " + issuer.orElse("(none)"));
            }
            if (!issuerKeys.isEmpty() && keyId.filter(issuerKeys::contains).isEmpty()) {
                return Optional.of("is signed with key " + keyId.orElse("(none)"));
            }
            if (expiration().filter(end -> end.isBefore(now)).isPresent()) {
                return Optional.of("expired at " + expiration().get());
            }
            return authenticatesAs().isEmpty() ? Optional.of("has neither a subject nor an ID") : Optional.empty();
        }

        /** The identity that the token carries, for messages. */
        String subject() {
            return string(claims, "sub").orElse("(none)");
        }

        /** The trust domain of the token, for messages. */
        String issuer() {
            return string(claims, "iss").orElse("(none)");
        }

        /** The services that may accept the token, for messages. */
        List<String> audience() {
            return claims.get("aud") instanceof String one ? List.of(printable(one))
                : strings(claims, "aud").stream().map(TokenRequest::printable).toList();
        }

        /** The scopes that limit the token, such as {@code condor:/READ}; an empty list if the token has no limit. */
        List<String> scopes() {
            return scopes(claims);
        }

        Optional<Instant> issuedAt() {
            return seconds(claims, "iat").map(Instant::ofEpochSecond);
        }

        Optional<Instant> notBefore() {
            return seconds(claims, "nbf").map(Instant::ofEpochSecond);
        }

        Optional<Instant> expiration() {
            return seconds(claims, "exp").map(Instant::ofEpochSecond);
        }

        /**
         * Whether the signature was made with this key, by HMAC.
         *
         * @param key 32 bytes
         */
        boolean isSignedWith(byte[] key) {
            try {
                Jwts.parser().verifyWith(new SecretKeySpec(key, "HmacSHA256")).json(new JwtDeserializer())
                    .clockSkewSeconds(MAX_CLOCK_SKEW.toSeconds()).build().parseSignedClaims(text.reveal());
                return true;
            } catch (JwtException | IllegalArgumentException e) {
                return false;
            }
        }

        /**
         * The JSON field {@code claims} of the {@code issued} event: the claims that a pool's tokens carry; null where a claim is
         * missing or of a wrong type; times in seconds since 1970. Empty if the token cannot be read. It never throws, since the
         * token is not written yet.
         */
        static Optional<Map<String, Object>> claims(Secret token) {
            String[] parts = token.reveal().split("\\.", -1);
            Optional<Map<String, Object>> header = fields(parts[0]);
            Optional<Map<String, Object>> payload = header.isEmpty() || parts.length < 2 ? Optional.empty() : fields(parts[1]);
            return payload.map(claims -> {
                Map<String, Object> fields = new LinkedHashMap<>();
                fields.put("iss", string(claims, "iss").map(TokenRequest::cut));
                fields.put("sub", string(claims, "sub").map(TokenRequest::cut));
                fields.put("scope", scopes(claims));
                fields.put("iat", seconds(claims, "iat"));
                fields.put("exp", seconds(claims, "exp"));
                fields.put("jti", string(claims, "jti").map(TokenRequest::cut));
                fields.put("kid", string(header.get(), "kid").map(TokenRequest::cut));
                return fields;
            });
        }

        private static Optional<byte[]> decode(String part) {
            try {
                return Optional.of(Base64.getUrlDecoder().decode(part));
            } catch (IllegalArgumentException e) {
                return Optional.empty();
            }
        }

        private static Optional<Map<String, Object>> fields(String part) {
            return decode(part).flatMap(json -> Json.flat(new String(json, UTF_8)));
        }

        private static Optional<String> string(Map<String, Object> fields, String name) {
            return fields.get(name) instanceof String string ? Optional.of(string) : Optional.empty();
        }

        private static List<String> strings(Map<String, Object> fields, String name) {
            return fields.get(name) instanceof List<?> items ? items.stream().map(Object::toString).toList() : List.of();
        }

        private static Optional<Long> seconds(Map<String, Object> fields, String name) {
            return fields.get(name) instanceof Double number && Math.abs(number) <= MAX_SECONDS
                ? Optional.of(number.longValue()) : Optional.empty();
        }

        private static List<String> scopes(Map<String, Object> claims) {
            return claims.get("scope") instanceof String scope ? Configuration.items(scope) : strings(claims, "scope");
        }

        /** The JSON reader for jjwt, which has none of its own without jjwt-jackson. */
        private static final class JwtDeserializer extends AbstractDeserializer<Map<String, ?>> {
            @Override
            protected Map<String, ?> doDeserialize(Reader reader) throws IOException {
                return Json.object(reader);
            }
        }
    }

    /**
     * The directory of the user's tokens: SEC_TOKEN_DIRECTORY, or else the user's own directory, or else, for root, the
     * system's.
     * condor_utils/token_utils.cpp, condor_io/condor_auth_passwd.cpp
     */
    record TokenDirectory(Path path, Pattern excluded) {
        private static final int MAX_BYTES = 1 << 20;

        /** @throws CommandException CONFIGURATION if a setting is not a valid path */
        static TokenDirectory of(Configuration configuration, Host host) throws CommandException {
            Path system = Host.path(configuration.text("SEC_TOKEN_SYSTEM_DIRECTORY").map(String::strip)
                .orElse("/etc/condor/tokens.d"), "SEC_TOKEN_SYSTEM_DIRECTORY");
            Path own = host.isRoot() ? system
                : host.home().map(home -> home.resolve(".condor").resolve("tokens.d")).orElse(system);
            Optional<String> set = configuration.text("SEC_TOKEN_DIRECTORY").map(String::strip);
            return new TokenDirectory(set.isPresent() ? Host.path(set.get(), "SEC_TOKEN_DIRECTORY") : own,
                configuration.excluded());
        }

        /** The tokens, in the order of their file names, and the reasons why other files were ignored. */
        record Contents(List<IssuedToken> tokens, List<String> complaints) { }

        /** Reads every token; it ignores a file that others can read, or that belongs to another user. */
        Contents read(InputFiles files) {
            List<IssuedToken> tokens = new ArrayList<>();
            List<String> complaints = new ArrayList<>();
            try (Stream<Path> entries = Files.list(path)) {
                for (Path file : entries.sorted().toList()) {
                    if (!excluded.matcher(file.getFileName().toString()).find() && !Files.isDirectory(file)) {
                        read(file, files, tokens, complaints);
                    }
                }
            } catch (IOException e) {
                complaints.add(reason(e));
            }
            return new Contents(List.copyOf(tokens), List.copyOf(complaints));
        }

        private static void read(Path file, InputFiles files, List<IssuedToken> tokens, List<String> complaints) {
            try {
                files.read(file, FileOrigin.CONFIGURATION, FilePurpose.TOKEN, MAX_BYTES).lines()
                    .forEach(line -> IssuedToken.read(line).ifPresentOrElse(tokens::add,
                        () -> complaints.add("ignoring a line of " + file + ": it is not a token")));
            } catch (InputFiles.RefusedFileException e) {
                complaints.add("ignoring " + file + ": it " + reason(e));
            } catch (IOException e) {
                complaints.add(file + ": " + reason(e));
            }
        }
    }

    // ==== 16. Security: policies, choice of a method, sessions ====

    /**
     * The configured authentication methods. The built-in list and templates, which repeat a list on every host
     * ({@code use security:get_htcondor_idtokens}), do not count as an explicit request.
     *
     * @param configured in order of preference
     * @param requested  the methods that a file or the environment names
     * @param setting source of the list, for messages
     */
    record MethodPolicy(List<AuthMethod> configured, Set<AuthMethod> requested, Optional<Configuration.Setting> setting) {
        /** The original client's default. condor_io/condor_secman.cpp */
        private static final List<AuthMethod> BUILT_IN =
            List.of(AuthMethod.FS, AuthMethod.TOKEN, AuthMethod.KERBEROS, AuthMethod.SCITOKENS, AuthMethod.SSL);

        /** @throws CommandException CONFIGURATION */
        static MethodPolicy of(Configuration configuration) throws CommandException {
            Optional<Configuration.Setting> setting = configuration.security("AUTHENTICATION_METHODS")
                .filter(Configuration.Setting::isSet);
            List<AuthMethod> configured = setting.map(list -> named(list.value())).orElse(BUILT_IN);
            if (configured.isEmpty()) {
                throw Configuration.invalid(setting.orElseThrow(),
                    "a list of authentication methods, such as SSL, IDTOKENS, FS");
            }
            return new MethodPolicy(configured, Set.copyOf(named(configuration.securityWish("AUTHENTICATION_METHODS"))), setting);
        }

        private static List<AuthMethod> named(String list) {
            return Configuration.items(list).stream().map(AuthMethod::named).flatMap(Optional::stream).distinct().toList();
        }

        /** The labels of the methods, as "A, B and C". */
        static String joined(Stream<AuthMethod> methods) {
            return methods.map(method -> method.label).collect(Collectors.joining(", ")).replaceFirst(", ([^,]*)$", " and $1");
        }

        /** The setting to change, with its source. */
        String describeSetting() {
            return setting.map(list -> list.name() + " (" + list.source() + ")").orElse("SEC_CLIENT_AUTHENTICATION_METHODS");
        }
    }

    /** One connection to try: its key exchange, and the methods that it offers. */
    record ConnectionAttempt(ChannelBinding binding, List<AuthMethod> methods) {
        Assurance assurance() {
            return binding == ChannelBinding.BOUND ? Assurance.SESSION
                : methods.stream().allMatch(AuthMethod::provesServer) ? Assurance.SERVER : Assurance.NONE;
        }
    }

    /**
     * The methods to try with a server, in order, and the reasons to exclude the others. No other code decides this.
     *
     * <p>The rules:
     * <ul>
     * <li>If the user expects a certificate, every method must check it.
     * <li>If a configured method authenticates the server, the client uses no method that does not. The exception is FS
     *     on this machine, if it comes first, as by default: trying it first is not a step down.
     * <li>A credential is sent only if the user or administrator requested its method and vouches for the server's name.
     * <li>Bound connections come before unbound ones.
     * <li>The server chooses among the methods of one connection, so these must be equally strong.
     * </ul>
     *
     * @param excluded the reason for each, with the remedy
     */
    record AuthenticationPlan(List<ConnectionAttempt> attempts, Map<AuthMethod, String> excluded) {
        private static final Set<AuthMethod> SUPPORTED = EnumSet.of(AuthMethod.FS, AuthMethod.TOKEN, AuthMethod.SSL,
            AuthMethod.SCITOKENS, AuthMethod.PASSWORD, AuthMethod.KERBEROS, AuthMethod.CLAIMTOBE, AuthMethod.ANONYMOUS);
        /** Methods that check the server's certificate. */
        static final Set<AuthMethod> CERTIFICATE_METHODS = EnumSet.of(AuthMethod.SSL, AuthMethod.SCITOKENS);
        /** Methods that can protect the transport of a session key, so that a man in the middle cannot read it. */
        private static final Set<AuthMethod> BOUND_METHODS =
            EnumSet.of(AuthMethod.SSL, AuthMethod.SCITOKENS, AuthMethod.PASSWORD, AuthMethod.KERBEROS);

        /**
         * @param isAvailable whether this machine has what a method needs, such as a token or a password
         * @throws CommandException CONFIGURATION, if the user expects a certificate and no configured method checks one
         */
        static AuthenticationPlan of(MethodPolicy methods, Target target, TrustOptions trustOptions,
            Predicate<AuthMethod> isAvailable) throws CommandException {
            if (trustOptions.option().isPresent() && Collections.disjoint(methods.configured(), CERTIFICATE_METHODS)) {
                throw Configuration.invalid(methods.setting().orElseThrow(), "a list that includes SSL: "
                    + trustOptions.option().get() + " requires a check of the server's certificate");
            }
            Map<AuthMethod, String> excluded = new LinkedHashMap<>();
            List<AuthMethod> usable = new ArrayList<>();
            for (AuthMethod method : methods.configured()) {
                unusableReason(method, methods, target, trustOptions).ifPresentOrElse(reason -> excluded.put(method, reason),
                    () -> usable.add(method));
            }
            List<ConnectionAttempt> attempts = new ArrayList<>();
            List<AuthMethod> withoutServerProof = usable.stream().filter(method -> !method.provesServer()).toList();
            if (usable.contains(AuthMethod.FS)) {
                List<AuthMethod> preferred = usable.subList(0, usable.indexOf(AuthMethod.FS)).stream()
                    .filter(AuthMethod::provesServer).filter(isAvailable).toList();
                if (!preferred.isEmpty()) {
                    excluded.put(AuthMethod.FS, "not used after " + MethodPolicy.joined(preferred.stream())
                        + ": it does not authenticate the server; to allow it, put it first in " + methods.describeSetting());
                    withoutServerProof = List.of();
                }
            }
            if (!withoutServerProof.isEmpty()) {
                attempts.add(new ConnectionAttempt(ChannelBinding.UNBOUND, withoutServerProof));
            }
            if (!methods.requested().contains(AuthMethod.KERBEROS) && usable.remove(AuthMethod.KERBEROS)) {
                usable.add(AuthMethod.KERBEROS); // a ticket that nobody asked to use waits for the certificate
            }
            List<AuthMethod> certified = usable.stream().filter(CERTIFICATE_METHODS::contains).toList();
            for (AuthMethod method : usable) {
                if (BOUND_METHODS.contains(method) && (!certified.contains(method) || method == certified.get(0))) {
                    attempts.add(new ConnectionAttempt(ChannelBinding.BOUND, certified.contains(method) ? certified
                        : List.of(method)));
                }
            }
            usable.stream().filter(method -> method.provesServer() && !BOUND_METHODS.contains(method))
                .forEach(method -> attempts.add(new ConnectionAttempt(ChannelBinding.UNBOUND, List.of(method))));
            return new AuthenticationPlan(List.copyOf(attempts), excluded);
        }

        /** The reason not to use a method with a server; empty if policy allows it. */
        private static Optional<String> unusableReason(AuthMethod method, MethodPolicy methods, Target target,
            TrustOptions trustOptions) {
            ExpectedServer server = target.expected();
            if (!SUPPORTED.contains(method)) {
                return Optional.of("not supported by this program");
            }
            if (trustOptions.option().isPresent() && !CERTIFICATE_METHODS.contains(method)) {
                return Optional.of("not used: it does not check the certificate, which " + trustOptions.option().get()
                    + " requires");
            }
            if (!method.provesServer() && server.elsewhere()) {
                return Optional.of("not used: it does not authenticate the server as "
                    + server.name().orElse("the expected host") + ", which is another machine; to allow it, omit alias=");
            }
            if (method == AuthMethod.FS) {
                return target.isLocal() ? Optional.empty() : Optional.of("not used: it works only with servers on this machine");
            }
            if (!method.provesServer()) {
                String preferred = MethodPolicy.joined(methods.configured().stream().filter(AuthMethod::provesServer));
                return !preferred.isEmpty() ? Optional.of("not used beside " + preferred
                        + ": it does not authenticate the server; to allow it, remove those methods from "
                        + methods.describeSetting())
                    : methods.requested().contains(method) ? Optional.empty()
                    : Optional.of("not used: only a template names it; to allow it, name it in " + methods.describeSetting());
            }
            if (method.credential().isPresent() && !methods.requested().contains(method)) {
                return Optional.of("not used: only " + (methods.setting().isPresent() ? "a template" : "the built-in list")
                    + " names it, and a " + method.credential().get() + " needs an explicit request; to allow it, name it in "
                    + methods.describeSetting());
            }
            return method.credential().filter(one -> !server.from().isTrusted()).map(one -> "not used: a " + one
                + " goes only to a host named on the command line or in the configuration; "
                + (server.from() == NameSource.COLLECTOR ? "the collector supplied " + server.name().orElse("this address")
                    + "; to allow it, name the host: -name NAME@HOST"
                    : server.name().orElse("this address") + " comes from a file that other users could have written"));
        }

        @Override
        public String toString() {
            return attempts.stream().map(attempt -> MethodPolicy.joined(attempt.methods().stream()) + " ("
                + attempt.binding().word() + ")").collect(Collectors.joining(", then "))
                + excluded.entrySet().stream().map(one -> "; " + one.getKey().label + " " + one.getValue())
                .collect(Collectors.joining());
        }
    }

    /**
     * A security session.
     *
     * @param key    32 bytes
     * @param server the authenticated peer
     * @param end    expiry
     * @param lease  the longest gap between two uses; zero for no limit
     */
    @SuppressWarnings("ArrayRecordComponent") // never compared
    record Session(String id, byte[] key, AuthResult auth, ServerName server, Instant end, Duration lease, Instant lastUse) {
        /** Safety margin before the end: the server started its clock earlier. */
        private static final Duration MARGIN = Duration.ofSeconds(5);

        boolean usableAt(Instant now) {
            return now.isBefore(end.minus(MARGIN))
                && (lease.isZero() || now.isBefore(lastUse.plus(lease).minus(MARGIN)));
        }

        Session usedAt(Instant now) {
            return new Session(id, key, auth, server, end, lease, now);
        }

        Session withAuth(AuthResult other) {
            return new Session(id, key, other, server, end, lease, lastUse);
        }
    }

    /** An authenticated, encrypted connection, ready for one command. */
    record SecureChannel(CedarStream stream, Session session, Connection connection) implements Closeable {
        @Override
        public void close() {
            connection.close();
        }
    }

    /** The server's answer to our policy. condor_io/condor_secman.cpp, condor_daemon_core.V6/daemon_command.cpp */
    record PolicyReply(ClassAd ad) {
        /** Longer than the list of methods or keys of any real server. */
        private static final int LIST_MAX_CHARACTERS = 16 * 1024;
        /** Longest domain name. RFC 1035 */
        private static final int DOMAIN_MAX_CHARACTERS = 255;

        Optional<String> trustDomain() {
            return ad.string("TrustDomain").filter(domain -> !domain.isEmpty() && domain.length() <= DOMAIN_MAX_CHARACTERS);
        }

        String version() {
            return ad.string("RemoteVersion").orElse("");
        }

        /** Whether the server is older than a release; true if it announces no valid version. */
        boolean isBefore(int major, int minor) {
            String prefix = "$CondorVersion: ";
            StringTokenizer numbers = new StringTokenizer(version().startsWith(prefix)
                ? version().substring(prefix.length()) : "", ".");
            int theirMajor = number(numbers);
            int theirMinor = number(numbers);
            return theirMajor < 0 || theirMinor < 0 || !numbers.hasMoreTokens() || theirMajor < major
                || (theirMajor == major && theirMinor < minor);
        }

        /** The next number of a version; -1 at its end or if it is not a number. */
        private static int number(StringTokenizer numbers) {
            String text = numbers.hasMoreTokens() ? numbers.nextToken() : "";
            return NumericAddress.isNumber(text, 4) ? Integer.parseInt(text) : -1;
        }

        List<String> issuerKeys() {
            return list("IssuerKeys");
        }

        List<AuthMethod> methods() {
            return list("AuthMethodsList").stream().map(AuthMethod::named).flatMap(Optional::stream).toList();
        }

        private List<String> list(String name) {
            String list = ad.string(name).orElse("");
            return Configuration.items(list.substring(0, Math.min(list.length(), LIST_MAX_CHARACTERS)));
        }

        /** Checks that the server agreed to the required policy. Agreement proves nothing; a refusal ends the connection. */
        void check(ChannelBinding binding) throws ProtocolViolation {
            for (String name : List.of("Authentication", "Encryption")) {
                require(name, "YES");
            }
            require("CryptoMethods", "AES");
            if (binding == ChannelBinding.BOUND == ad.expression("ECDHPublicKey").isPresent()) {
                throw new ProtocolViolation(binding == ChannelBinding.BOUND ? "the server sent an ECDH key though we sent none"
                    : "the server sent no ECDH key");
            }
        }

        private void require(String name, String expected) throws ProtocolViolation {
            String value = ad.string(name).orElse("nothing");
            if (!value.equals(expected)) {
                throw new ProtocolViolation("the server answered " + name + " = " + printable(value)
                    + "; this program requires " + expected);
            }
        }
    }

    /**
     * The servers that this client accepts: ALLOW_CLIENT and DENY_CLIENT, lists of users and hosts.
     * condor_io/condor_ipverify.cpp
     *
     * <p>An entry is {@code USER}, {@code HOST} or {@code USER/HOST}; the host is a name, which can contain an asterisk, an
     * address or a network. A denial overrides every permission. An entry that this program cannot evaluate rejects the
     * server: an NIS netgroup ({@code +GROUP}), a DNS failure, an unreadable map.
     *
     * @param allowed empty if the setting is blank, which accepts no server
     */
    record AcceptedServers(Optional<Configuration.Setting> allowed, Optional<Configuration.Setting> denied,
                           boolean isPoolEquivalent) {
        private static final String POOL = "condor_pool@";
        private static final String CONDOR = "condor@";

        static AcceptedServers of(Configuration configuration) throws CommandException {
            return new AcceptedServers(firstNonBlank(configuration, "ALLOW_"), firstNonBlank(configuration, "DENY_"),
                configuration.flag("USE_POOL_USERNAME_EQUIVALENT", true));
        }

        /** The first list that is not blank. condor_io/condor_secman.cpp, getSecSetting */
        private static Optional<Configuration.Setting> firstNonBlank(Configuration configuration, String verb) {
            for (String of : List.of("CLIENT_TOOL", "CLIENT", "DEFAULT_TOOL", "DEFAULT")) {
                Optional<Configuration.Setting> list = configuration.find(verb + of).filter(it -> !it.value().isBlank());
                if (list.isPresent()) {
                    return list;
                }
            }
            return Optional.empty();
        }

        /** The reason to reject the server, with the setting; empty if the settings accept it. */
        Optional<String> rejectionReason(Server server) {
            if (allowed.isEmpty()) {
                return Optional.of("ALLOW_CLIENT is blank, so this client accepts no server.");
            }
            if (denied.isPresent()) {
                try {
                    if (matches(denied.get(), server)) {
                        return Optional.of(describe(denied.get()) + " denies this server.");
                    }
                } catch (IOException e) {
                    return Optional.of(describe(denied.get()) + " cannot be evaluated: " + reason(e) + ".");
                }
            }
            try {
                return matches(allowed.get(), server) ? Optional.empty()
                    : Optional.of(describe(allowed.get()) + " does not allow this server.");
            } catch (IOException e) {
                return Optional.of(describe(allowed.get()) + " cannot be evaluated: " + reason(e) + ".");
            }
        }

        private static String describe(Configuration.Setting setting) {
            return setting.name() + " = " + printable(setting.value()) + " (" + setting.source() + ")";
        }

        /** One matching entry suffices, even if another cannot be evaluated. */
        private boolean matches(Configuration.Setting list, Server server) throws IOException {
            Optional<IOException> failed = Optional.empty();
            for (StringTokenizer entries = new StringTokenizer(list.value(), ", \t\r\n"); entries.hasMoreTokens(); ) {
                try {
                    if (matches(entries.nextToken(), server)) {
                        return true;
                    }
                } catch (IOException e) {
                    failed = Optional.of(e);
                }
            }
            if (failed.isPresent()) {
                throw failed.get();
            }
            return false;
        }

        private boolean matches(String entry, Server server) throws IOException {
            if (entry.startsWith("+")) {
                throw new IOException("this program does not support the netgroup " + printable(entry));
            }
            int slash = entry.indexOf('/');
            int at = entry.indexOf('@');
            boolean isUser = slash < 0 ? at >= 0 : entry.indexOf('/', slash + 1) >= 0 || (at >= 0 && at < slash)
                || entry.startsWith("*") || Network.parse(entry).isEmpty();
            if (slash >= 0 && isUser && NumericAddress.address(entry.substring(0, slash)).isPresent()) {
                throw new IOException(printable(entry) + " is not a network");
            }
            String host = !isUser ? entry : slash < 0 ? "*" : entry.substring(slash + 1);
            return isUser(isUser ? slash < 0 ? entry : entry.substring(0, slash) : "*", server) && isAt(host, server);
        }

        private boolean isUser(String pattern, Server server) throws IOException {
            return pattern.equals("*") || matchesPattern(pattern, server.user())
                || (isPoolEquivalent && (matchesEquivalent(CONDOR, POOL, pattern, server)
                    || matchesEquivalent(POOL, CONDOR, pattern, server)));
        }

        /** Matches the pattern with its first word replaced, as USE_POOL_USERNAME_EQUIVALENT does. */
        private static boolean matchesEquivalent(String word, String other, String pattern, Server server) throws IOException {
            return pattern.regionMatches(true, 0, word, 0, word.length())
                && matchesPattern(other + pattern.substring(word.length()), server.user());
        }

        private static boolean isAt(String pattern, Server server) throws IOException {
            Optional<Network> network = Network.parse(pattern);
            if (network.isPresent()) {
                return network.get().contains(server.address());
            }
            if (pattern.equalsIgnoreCase("{:local_ips:}")) {
                return server.isLocal();
            }
            boolean isName = NumericAddress.isHostName(pattern);
            if (isName && server.addresses(pattern).contains(server.address())) {
                return true;
            }
            for (String name : isName || pattern.contains("*") ? server.names() : List.<String>of()) {
                if (matchesPattern(pattern, name)) {
                    return true;
                }
            }
            return false;
        }

        /** Matches a pattern, ignoring case. Only the first asterisk and one at the end are wildcards. */
        static boolean matchesPattern(String patternOfAnyCase, String textOfAnyCase) {
            String pattern = patternOfAnyCase.toLowerCase(Locale.ROOT);
            String text = textOfAnyCase.toLowerCase(Locale.ROOT);
            int asterisk = pattern.indexOf('*');
            if (asterisk < 0) {
                return pattern.equals(text);
            }
            String end = pattern.substring(asterisk + 1);
            boolean isOpen = end.endsWith("*");
            String rest = text.startsWith(pattern.substring(0, asterisk)) ? text.substring(asterisk) : "";
            return text.startsWith(pattern.substring(0, asterisk))
                && (isOpen ? rest.contains(end.substring(0, end.length() - 1)) : rest.endsWith(end));
        }

        /**
         * A network. condor_utils/condor_netaddr.cpp
         *
         * @param base 4 or 16 bytes; empty for all addresses
         * @param bits prefix length
         */
        @SuppressWarnings("ArrayRecordComponent") // never compared
        record Network(byte[] base, int bits) {
            /** {@code *}, an address, {@code 10.1.*}, {@code 2001:db8:*}, {@code 10.0.0.0/8}, {@code 10.0.0.0/255.0.0.0}. */
            static Optional<Network> parse(String text) {
                if (text.equals("*") || text.equals("*/*")) {
                    return Optional.of(new Network(new byte[0], 0));
                }
                int slash = text.indexOf('/');
                if (slash >= 0) {
                    String mask = text.substring(slash + 1);
                    return address(text.substring(0, slash)).flatMap(base -> (NumericAddress.isNumber(mask, 3)
                        ? Optional.of(Math.min(Integer.parseInt(mask), 8 * base.length))
                        : base.length == 4 ? NumericAddress.address(mask).flatMap(Network::prefixLength)
                        : Optional.<Integer>empty())
                        .map(bits -> new Network(base, bits)));
                }
                if (text.contains(":") && text.endsWith(":*")) {
                    return NumericAddress.address(text.substring(0, text.length() - 1) + ":")
                        .map(base -> new Network(base.getAddress(), 16 * (int) text.chars().filter(c -> c == ':').count()));
                }
                return text.contains(":") ? address(text).map(base -> new Network(base, 128)) : ipv4Prefix(text);
            }

            private static Optional<byte[]> address(String text) {
                boolean isBracketed = text.startsWith("[") && text.endsWith("]");
                return NumericAddress.address(isBracketed ? text.substring(1, text.length() - 1) : text)
                    .map(InetAddress::getAddress);
            }

            /** The prefix length of an IPv4 mask; empty if its bits are not contiguous. */
            private static Optional<Integer> prefixLength(InetAddress mask) {
                int bits = mask.getAddress().length == 4 ? ByteBuffer.wrap(mask.getAddress()).getInt() : 1;
                int length = Integer.numberOfLeadingZeros(~bits);
                return length == Integer.bitCount(bits) ? Optional.of(length) : Optional.empty();
            }

            /** The first numbers of an IPv4 address; an asterisk or dot can follow. */
            private static Optional<Network> ipv4Prefix(String text) {
                String numbers = text.endsWith("*") || text.endsWith(".") ? text.substring(0, text.length() - 1) : text;
                String[] parts = (numbers.endsWith(".") ? numbers.substring(0, numbers.length() - 1) : numbers).split("\\.", -1);
                byte[] base = new byte[4];
                for (int i = 0; i < parts.length; i++) {
                    if (i == base.length || !NumericAddress.isNumber(parts[i], 3) || Integer.parseInt(parts[i]) > 255) {
                        return Optional.empty();
                    }
                    base[i] = (byte) Integer.parseInt(parts[i]);
                }
                return Optional.of(new Network(base, 8 * parts.length));
            }

            boolean contains(InetAddress address) {
                byte[] other = address.getAddress();
                for (int i = 0; i < bits; i++) {
                    if (base.length != other.length || ((base[i / 8] ^ other[i / 8]) & 0x80 >> i % 8) != 0) {
                        return false;
                    }
                }
                return base.length == 0 || base.length == other.length;
            }
        }

        /**
         * The server to check. It performs look-ups only when an entry needs them.
         *
         * @param address remote address of the connection
         */
        record Server(ServerName name, InetAddress address, Context context) {
            /** The user name, mapped by the certificate map. */
            String user() throws IOException {
                return CertificateMap.of(context).map(name);
            }

            /** The addresses of a host; empty if DNS does not know it. */
            List<InetAddress> addresses(String host) throws IOException {
                try {
                    return List.of(lookUp(host, () -> InetAddress.getAllByName(host)));
                } catch (UnknownHostException e) {
                    return List.of();
                }
            }

            /** The reverse name of the address, if it resolves to the address again; otherwise empty. */
            List<String> names() throws IOException {
                String literal = address.getHostAddress();
                String name = lookUp(literal, () -> InetAddress.getByAddress(address.getAddress()).getCanonicalHostName());
                return name.equals(literal) ? List.of() : List.of(name);
            }

            private <T> T lookUp(String what, Deadline.Blocking<T> call) throws IOException {
                if (Expression.truth(context.configuration().text("NO_DNS").orElse("")).orElse(false)) {
                    throw new IOException("NO_DNS forbids the look-up of " + what);
                }
                return context.deadline().await("the look-up of " + what, call);
            }

            /** Whether a network interface of this machine has the address. */
            boolean isLocal() throws IOException {
                return NetworkInterface.getByInetAddress(address) != null;
            }

            @Override
            public String toString() {
                return name.user() + "/" + Target.text(address);
            }
        }
    }

    /**
     * CERTIFICATE_MAPFILE maps certificate subjects to users. A line contains a method, a regular expression and the user,
     * in which {@code \\1} is the first group. condor_utils/MapFile.cpp
     *
     * @param file      empty if the setting is absent or blank
     * @param isLiteral whether only {@code /this/} is an expression, and other text a complete subject
     */
    record CertificateMap(Optional<Configuration.Setting> file, boolean isLiteral, Context context) {
        private static final int MAX_BYTES = 1024 * 1024;

        static CertificateMap of(Context context) {
            Configuration configuration = context.configuration();
            return new CertificateMap(configuration.find("CERTIFICATE_MAPFILE").filter(file -> !file.value().isBlank()),
                configuration.text("CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS").flatMap(Expression::truth).orElse(false),
                context);
        }

        /** @throws IOException if this program cannot read or evaluate the map */
        String map(ServerName server) throws IOException {
            if (file.isEmpty() || (server.method() != AuthMethod.SSL && server.method() != AuthMethod.SCITOKENS)) {
                return server.user();
            }
            String subject = "";
            if (server.certificate().isPresent()) {
                subject = subject(server.certificate().get());
            }
            Path path = file.get().path();
            try {
                String text = new String(context.files().read(path, file.get().origin(), FilePurpose.TRUST, MAX_BYTES).bytes(),
                    UTF_8);
                String mapped = subject;
                Optional<String> user = context.deadline().await("the search of " + path,
                    () -> find(text, isLiteral, server.method().label, mapped));
                return user.map(it -> it.contains("@") ? it : it + "@" + context.configuration().text("UID_DOMAIN")
                    .orElse("")).orElse(server.user());
            } catch (InputFiles.RefusedFileException e) {
                throw new IOException(path + " " + reason(e), e);
            }
        }

        /** The subject as OpenSSL writes it. */
        private static String subject(X509Certificate certificate) throws IOException {
            StringBuilder subject = new StringBuilder();
            try {
                for (Rdn rdn : new LdapName(certificate.getSubjectX500Principal().getName(X500Principal.RFC2253,
                        Map.of("1.2.840.113549.1.9.1", "emailAddress"))).getRdns()) {
                    if (rdn.size() > 1 || !(rdn.getValue() instanceof String value)
                            || !value.chars().allMatch(c -> c >= ' ' && c <= '~')) {
                        throw new IOException("the certificate has an unusual subject");
                    }
                    subject.append('/').append(rdn.getType()).append('=').append(value);
                }
            } catch (InvalidNameException e) {
                throw new IOException("the certificate has an unusual subject", e);
            }
            return subject.toString();
        }

        /** The user; empty if no line matches. */
        static Optional<String> find(String text, boolean isLiteral, String method, String subject) throws IOException {
            for (String line : text.lines().toList()) {
                Fields fields = new Fields(line);
                String first = fields.next(false);
                if (first.equals("@include")) {
                    throw new IOException("this program does not support @include in a map");
                }
                boolean isFor = first.equalsIgnoreCase(method);
                String principal = isFor ? fields.next(isLiteral) : "";
                String user = isFor ? fields.next(false) : "";
                if (!principal.isEmpty() && !user.isEmpty()) {
                    Optional<String> found = isLiteral && !fields.isExpression
                        ? Optional.of(principal).filter(subject::equals).map(it -> substitute(List.of(it), user))
                        : matched(principal, fields.options, subject).map(groups -> substitute(groups, user));
                    if (found.isPresent()) {
                        return found;
                    }
                }
            }
            return Optional.empty();
        }

        private static Optional<List<String>> matched(String expression, String options, String subject) throws IOException {
            if (options.contains("U")) {
                throw new IOException("this program does not support ungreedy expressions");
            }
            try {
                Matcher matcher = Pattern.compile(expression, options.contains("i") ? Pattern.CASE_INSENSITIVE : 0)
                    .matcher(subject);
                List<String> groups = new ArrayList<>();
                for (int i = 0; i <= matcher.groupCount() && (i > 0 || matcher.find()); i++) {
                    groups.add(Optional.ofNullable(matcher.group(i)).orElse(""));
                }
                return Optional.of(groups).filter(found -> !found.isEmpty());
            } catch (PatternSyntaxException e) {
                throw new IOException("the expression " + printable(expression) + " is not a valid Java regular expression", e);
            } catch (StackOverflowError e) {
                throw new IOException("the expression " + printable(expression) + " is too complex", e);
            }
        }

        private static String substitute(List<String> groups, String user) {
            StringBuilder text = new StringBuilder();
            for (int i = 0; i < user.length(); i++) {
                int digit = user.charAt(i) == '\\' && i + 1 < user.length() ? user.charAt(i + 1) - '0' : -1;
                if (digit >= 0 && digit <= 9 && digit < groups.size()) {
                    text.append(groups.get(digit));
                    i++;
                } else {
                    text.append(user.charAt(i));
                }
            }
            return text.toString();
        }

        /** The fields of a line, separated by blanks. A quoted field or an {@code /expression/} can contain blanks. */
        private static final class Fields {
            private final String line;
            private int at;
            private boolean isExpression;
            private String options = "";

            Fields(String line) {
                this.line = line;
            }

            private boolean isBlank() {
                return line.charAt(at) == ' ' || line.charAt(at) == '\t';
            }

            /** The next field; empty at the end of the line. */
            String next(boolean canBeExpression) {
                while (at < line.length() && isBlank()) {
                    at++;
                }
                char quote = at < line.length() ? line.charAt(at) : ' ';
                boolean isSlash = quote == '/' && canBeExpression;
                if (isSlash || quote == '"') {
                    at++;
                    return quoted(quote, isSlash);
                }
                int start = at;
                while (at < line.length() && !isBlank()) {
                    at++;
                }
                return line.substring(start, at);
            }

            private String quoted(char quote, boolean isSlash) {
                StringBuilder field = new StringBuilder();
                for (; at < line.length() && line.charAt(at) != quote; at++) {
                    if (line.charAt(at) == '\\' && at + 1 < line.length()) {
                        at++;
                        field.append(line.charAt(at) == quote || line.charAt(at) == '\\' ? "" : "\\");
                    }
                    field.append(line.charAt(at));
                }
                at = Math.min(at + 1, line.length()); // a missing closing quote is accepted
                if (isSlash) {
                    isExpression = true;
                    int start = at;
                    while (at < line.length() && (line.charAt(at) == 'i' || line.charAt(at) == 'U')) {
                        at++;
                    }
                    options = line.substring(start, at);
                }
                return field.toString();
            }
        }
    }

    /**
     * Opens channels for commands: it resumes the session or negotiates a new one. It does not know the commands' content.
     *
     * <p>Invariants: a bound connection never carries an ECDH key, and its session key arrives wrapped. An unbound
     * connection carries an ECDH key and no wrapped key. Every deviation ends the connection. A wait that began over a bound
     * session never continues over an unbound one.
     */
    static final class Security {
        /** Start of the last detail line of a failed authentication. */
        private static final String OFFERS_PREFIX = "The pool offers: ";
        private static final String NO_NAME = "a certificate carries a name, and only an address is known";
        /** Slightly longer than the longest wait, so that one session suffices. */
        private static final Duration SESSION_DURATION = Duration.ofMinutes(65);

        private final Target target;
        private final Connector connector;
        private final Context context;
        private final Configuration configuration;
        private final Host host;
        private final DebugLog trace;
        private final Supplier<TokenDirectory.Contents> tokens;
        private final Path tokenDirectory;
        private final ServerTrust trust;
        private final AuthenticationPlan plan;
        private Optional<KerberosClient> kerberos = Optional.empty();
        private Optional<Session> session = Optional.empty();
        private Assurance minimumAssurance = Assurance.NONE;
        private boolean authenticatedBefore;
        private boolean nameAnnounced;

        /** @throws CommandException CONFIGURATION, if the settings contradict what a token request needs */
        Security(Target target, Connector connector, Context context) throws CommandException {
            this.target = target;
            this.connector = connector;
            this.context = context;
            this.configuration = context.configuration();
            this.host = context.host();
            this.trace = context.trace();
            TokenDirectory directory = TokenDirectory.of(configuration, host);
            this.tokens = () -> directory.read(context.files());
            this.tokenDirectory = directory.path();
            this.trust = new ServerTrust(context);
            for (String feature : List.of("AUTHENTICATION", "ENCRYPTION", "INTEGRITY", "NEGOTIATION")) {
                checkLevel(feature);
            }
            this.plan = AuthenticationPlan.of(MethodPolicy.of(configuration), target, context.trustOptions(),
                method -> unusableReason(method).isEmpty());
            trace.log(DebugLog.SECURITY, () -> "Methods for " + target + ": " + plan);
        }

        /** A copy that authenticates with one token and no other method. */
        private Security(Security other, IssuedToken token) {
            this.target = other.target;
            this.connector = other.connector;
            this.context = other.context;
            this.configuration = other.configuration;
            this.host = other.host;
            this.trace = other.trace;
            this.tokens = () -> new TokenDirectory.Contents(List.of(token), List.of());
            this.tokenDirectory = other.tokenDirectory;
            this.trust = other.trust;
            this.plan = new AuthenticationPlan(List.of(new ConnectionAttempt(ChannelBinding.UNBOUND,
                List.of(AuthMethod.TOKEN))), Map.of());
        }

        /** A client of the same server that authenticates with this token only. */
        Security withToken(IssuedToken token) {
            return new Security(this, token);
        }

        /**
         * Requires of every further authentication the assurance of the one that submitted the request.
         *
         * @throws CommandException NOT_AUTHENTICATED, if no usable method provides it
         */
        void requireAssurance(AuthResult first) throws CommandException {
            minimumAssurance = first.assurance();
            if (minimumAssurance != Assurance.NONE && plan.attempts().stream().noneMatch(this::meetsMinimum)) {
                throw startFailure(trace, ErrorCode.NOT_AUTHENTICATED, target, authenticationFailed(target),
                    "|SECMAN:2005:Protocol Error: No auth methods.", plan.excluded().entrySet().stream()
                    .map(one -> new MethodFailure(one.getKey(), one.getValue(), Progress.NOT_OFFERED).toString()).toList(),
                    minimumAssurance == Assurance.SESSION
                    ? "The request was submitted over a bound session and can be resumed only over one."
                        + " Allow SSL in SEC_CLIENT_AUTHENTICATION_METHODS."
                    : "The request was submitted with " + first.method() + ", which authenticates the server, and can be"
                        + " resumed only so. Allow it in SEC_CLIENT_AUTHENTICATION_METHODS.");
            }
        }

        private boolean meetsMinimum(ConnectionAttempt attempt) {
            return attempt.assurance().compareTo(minimumAssurance) >= 0;
        }

        /** Checks a security level, recognized by its first letter. Policy cannot forbid what a token request requires. */
        private void checkLevel(String feature) throws CommandException {
            Optional<Configuration.Setting> found = configuration.security(feature);
            String level = found.map(setting -> setting.value().strip().toUpperCase(Locale.ROOT)).orElse("REQUIRED");
            if (!level.matches("[RYTPO].*")) {
                Configuration.Setting setting = found.orElseThrow();
                String remedy = Configuration.complaint(setting,
                    "OPTIONAL, PREFERRED or REQUIRED, because a token request requires it");
                if (level.matches("[NF].*")) {
                    throw startFailure(trace, ErrorCode.CONFIGURATION, target, "The security policy is invalid.",
                        "|SECMAN:2002:Configuration Problem: The security policy is invalid.", List.of(), remedy);
                }
                throw new CommandException(ErrorCode.CONFIGURATION,
                    "ERROR: SECMAN: " + setting.name() + "=" + printable(setting.value()) + " is invalid!", remedy);
            }
        }

        /**
         * A failure before the command starts. The original's error stack goes to -debug and into the JSON event.
         *
         * @param message first line of the message
         * @param stack   the original's further errors, each after a bar
         */
        static CommandException startFailure(DebugLog trace, ErrorCode reason, Target target, String message, String stack,
            List<String> details, String hint) {
            String whole = "DAEMON:1:failed to start command for token request with remote daemon at '" + target + "'." + stack;
            return failure(trace, reason, message, details, hint, whole);
        }

        /** A failure that carries the original's error stack, which this method logs for -debug. */
        static CommandException failure(DebugLog trace, ErrorCode reason, String message, List<String> details, String hint,
            String stack) {
            trace.log(DebugLog.SECURITY, () -> stack);
            return new CommandException(reason, message, details, hint, stack);
        }

        private static String authenticationFailed(Target target) {
            return "Authentication to " + hostAndPort(target) + " failed.";
        }

        /** HOST:PORT for messages: the expected name, or the address if no name is known. */
        static String hostAndPort(Target target) {
            Sinful sinful = target.sinful();
            return printable(target.expected().name().map(name -> name + ":" + sinful.port()).orElseGet(() ->
                new Sinful(sinful.host(), sinful.port(), Collections.emptySortedMap()).toString().replaceAll("[<>]", "")));
        }

        /**
         * Opens a channel for one command.
         *
         * @throws IOException if the server is unreachable or closes the connection
         * @throws CommandException NOT_AUTHENTICATED if no method succeeds, REFUSED if the server does not authorize us
         */
        SecureChannel open(int command) throws IOException, CommandException {
            Instant now = host.clock().instant();
            if (session.isPresent() && session.get().usableAt(now)) {
                Optional<SecureChannel> resumed = resume(session.get(), command);
                if (resumed.isPresent()) {
                    session = Optional.of(session.get().usedAt(now));
                    return checkServer(resumed.get());
                }
                trace.log(DebugLog.SECURITY, () -> "The server no longer knows our session; authenticating again.");
            }
            session = Optional.empty();
            SecureChannel channel = checkServer(negotiate(command));
            session = Optional.of(channel.session());
            authenticatedBefore = true;
            minimumAssurance = channel.session().auth().assurance();
            return channel;
        }

        /** Returns the channel if the settings accept its server. The client has not sent the command yet. */
        private SecureChannel checkServer(SecureChannel channel) throws CommandException {
            AcceptedServers.Server server = new AcceptedServers.Server(channel.session().server(),
                channel.connection().peer().getAddress(), context);
            Optional<String> objection = AcceptedServers.of(configuration).rejectionReason(server);
            if (objection.isPresent()) {
                channel.close();
                throw startFailure(trace, ErrorCode.NOT_AUTHENTICATED, target,
                    "The settings do not accept the server '" + printable(server.toString()) + "'.",
                    "|SECMAN:2009:DENIED authorization of server '" + printable(server.toString())
                    + "' (I am acting as the client).", List.of(objection.get()), "");
            }
            return channel;
        }

        /** Discards the session after a protocol violation. */
        void discardSession() {
            session = Optional.empty();
        }

        /** How far a method got before it failed: not offered to the server, offered, or run. */
        private enum Progress { NOT_OFFERED, OFFERED, RUN }

        /** A method that failed or was excluded. */
        private record MethodFailure(AuthMethod method, String reason, Progress progress) {
            boolean wasRun() {
                return progress == Progress.RUN;
            }

            /** The method and the reason; further lines of the reason are indented. */
            @Override
            public String toString() {
                return method.label + ": " + reason.replace("\n", "\n  ");
            }
        }

        private SecureChannel negotiate(int command) throws IOException, CommandException {
            List<MethodFailure> failures = new ArrayList<>();
            trust.reset();
            for (ConnectionAttempt attempt : plan.attempts()) {
                if (!trust.isFinal() && meetsMinimum(attempt)) {
                    Optional<SecureChannel> channel = attempt(attempt, command, failures);
                    if (channel.isPresent()) {
                        return attempt.binding() == ChannelBinding.UNBOUND ? warnOfFallback(channel.get(), failures)
                            : channel.get();
                    }
                }
            }
            plan.excluded().forEach((method, reason) -> failures.add(new MethodFailure(method, reason, Progress.NOT_OFFERED)));
            throw notAuthenticated(failures);
        }

        /**
         * Warns if the connection replaces a bound one, and records the bound methods that failed. That a user who does not
         * ask for KERBEROS has no ticket is not worth a warning.
         */
        private SecureChannel warnOfFallback(SecureChannel channel, List<MethodFailure> failures) throws CommandException {
            List<String> failed = failures.stream().filter(one -> AuthenticationPlan.BOUND_METHODS.contains(one.method()))
                .filter(one -> one.progress() != Progress.NOT_OFFERED).map(one -> one.method().label).distinct().toList();
            Session before = channel.session();
            boolean wantsKerberos = MethodPolicy.of(configuration).requested().contains(AuthMethod.KERBEROS);
            if (before.auth().assurance() == Assurance.SERVER
                    && plan.attempts().stream().anyMatch(attempt -> attempt.binding() == ChannelBinding.BOUND)) {
                List<String> untried = failures.stream().map(MethodFailure::method)
                    .filter(AuthenticationPlan.BOUND_METHODS::contains).map(method -> method.label).distinct()
                    .filter(method -> !failed.contains(method)
                        && (wantsKerberos || !method.equals(AuthMethod.KERBEROS.label))).toList();
                String reason = (failed.isEmpty() ? "" : String.join(" and ", failed) + " failed")
                    + (failed.isEmpty() || untried.isEmpty() ? "" : ", and ")
                    + (untried.isEmpty() ? "" : String.join(" and ", untried) + " could not be tried");
                context.ui().warn(reason + "; continuing with " + before.auth().method()
                    + ". A man in the middle could read this session, including the token.");
            }
            return failed.isEmpty() ? channel : new SecureChannel(channel.stream(),
                before.withAuth(before.auth().withFailedMethods(failed)), channel.connection());
        }

        /** The reasons, one a line, and a remedy. The original's stack names the last method first. */
        private CommandException notAuthenticated(List<MethodFailure> failures) {
            StringBuilder stack = new StringBuilder();
            List<MethodFailure> run = new ArrayList<>(failures.stream().filter(MethodFailure::wasRun).toList());
            Collections.reverse(run);
            stack.append(run.isEmpty() ? "|SECMAN:2005:Protocol Error: No auth methods."
                : "|AUTHENTICATE:1003:Failed to authenticate with any method");
            run.forEach(one -> stack.append("|AUTHENTICATE:1004:Failed to authenticate using ")
                .append(one.method().label));
            List<AuthMethod> pool = new ArrayList<>();
            List<String> details = new ArrayList<>(failures.stream().flatMap(one -> one.toString().lines())
                .toList());
            if (!authenticatedBefore) {
                details.add(OFFERS_PREFIX + offeredMethods(pool)); // later, every poll would query it
            }
            return startFailure(trace, ErrorCode.NOT_AUTHENTICATED, target, authenticationFailed(target), stack.toString(),
                details, remedy(failures, pool));
        }

        /**
         * What the user can do about a failed authentication. It never proposes a method that policy excludes: the answer
         * of the pool is not authenticated, so a man in the middle could choose it.
         *
         * @param offered methods of the pool; empty if unknown
         */
        private String remedy(List<MethodFailure> failures, List<AuthMethod> offered) {
            Optional<String> rejection = trust.rejection();
            if (rejection.isPresent()) {
                String reason = rejection.get();
                return reason.contains("-fingerprint") || reason.contains("-cafile")
                    ? "Ask the pool's administrator to confirm the fingerprint before you trust the certificate."
                    : reason.contains("CA is unknown")
                    ? "If the pool's administrator confirms the certificate, trust it with -fingerprint or -cafile."
                    : "Ask the pool's administrator to check the server's certificate.";
            }
            for (MethodFailure one : failures) {
                boolean isOffered = offered.isEmpty() || offered.contains(one.method());
                if (one.method() == AuthMethod.TOKEN && isOffered && one.reason().startsWith("no token ")) {
                    return "For IDTOKENS, put a token that this pool accepts into " + printable(tokenDirectory.toString()) + ".";
                }
                if (one.method() == AuthMethod.KERBEROS && isOffered && one.reason().startsWith(CredentialCache.NO_TICKET)
                        && MethodPolicy.named(configuration.securityWish("AUTHENTICATION_METHODS")).contains(one.method())) {
                    return "For KERBEROS, get a ticket: run kinit, and see klist.";
                }
                if (isOffered && one.reason().startsWith(NO_NAME)) {
                    return "For " + one.method().label + ", name the server by the host name in its certificate.";
                }
            }
            List<String> run = failures.stream().filter(MethodFailure::wasRun).map(one -> one.method().label).distinct().toList();
            return run.isEmpty() ? "Ask the pool's administrator which authentication methods it accepts."
                : "Ask the pool's administrator why " + String.join(" and ", run) + " failed; the daemon's log has the reason.";
        }

        /**
         * The pool's methods, as text. A server names only methods that the client offers, so this query offers all.
         *
         * @param pool receives the methods
         */
        private String offeredMethods(List<AuthMethod> pool) {
            try (Connection connection = connector.connect()) {
                CedarStream stream = stream(connection);
                Negotiation negotiation = new Negotiation(connection, ChannelBinding.UNBOUND, List.of(AuthMethod.values()),
                    new ArrayList<>());
                stream.send(stream.message().number(Protocol.DC_AUTHENTICATE).ad(negotiation.policy(
                    Protocol.DC_START_TOKEN_REQUEST, Optional.of(KeyDerivation.ephemeral(host.random())))));
                List<AuthMethod> methods = new PolicyReply(stream.receive("security policy").ad()).methods();
                pool.addAll(methods);
                return methods.isEmpty() ? "none." : methods.stream().map(method -> method.label)
                    .collect(Collectors.joining(", ", "", "."));
            } catch (IOException | CommandException e) {
                return "unknown (" + e.getMessage() + ").";
            }
        }

        /**
         * Tries one connection, and tries again if the user accepts the rejected certificate. The question comes after the
         * first connection has closed, because servers do not wait long.
         */
        private Optional<SecureChannel> attempt(ConnectionAttempt attempt, int command, List<MethodFailure> failures)
                throws IOException, CommandException {
            List<MethodFailure> current = new ArrayList<>();
            Optional<SecureChannel> channel = attemptOnce(attempt, command, current);
            if (channel.isEmpty() && !authenticatedBefore && trust.confirm()) {
                current.clear();
                channel = attemptOnce(attempt, command, current);
            }
            // If the user refused the certificate, the refusal is the reason.
            current.stream().map(one -> one.method() == AuthMethod.SSL && one.wasRun()
                ? new MethodFailure(one.method(), trust.rejection().orElse(one.reason()), Progress.RUN) : one)
                .forEach(failures::add);
            return channel;
        }

        private Optional<SecureChannel> attemptOnce(ConnectionAttempt attempt, int command, List<MethodFailure> failures)
            throws IOException, CommandException {
            List<AuthMethod> methods = new ArrayList<>();
            for (AuthMethod method : attempt.methods()) {
                unusableReason(method).ifPresentOrElse(
                    reason -> failures.add(new MethodFailure(method, reason, Progress.NOT_OFFERED)), () -> methods.add(method));
            }
            if (methods.isEmpty()) {
                return Optional.empty();
            }
            announceServerName(methods);
            Connection connection = connector.connect();
            try {
                Optional<SecureChannel> channel = new Negotiation(connection, attempt.binding(), methods, failures).run(command);
                if (channel.isEmpty()) {
                    connection.close();
                }
                return channel;
            } catch (IOException | CommandException e) {
                connection.close();
                throw e;
            }
        }

        /** Tells the user once that the certificate check uses a name that the collector supplied. */
        private void announceServerName(List<AuthMethod> methods) {
            ExpectedServer server = target.expected();
            if (!nameAnnounced && server.from() == NameSource.COLLECTOR && server.name().isPresent()
                    && !Collections.disjoint(methods, AuthenticationPlan.CERTIFICATE_METHODS)) {
                nameAnnounced = true;
                context.ui().notice("The certificate must be valid for " + server.name().get()
                    + ". The collector supplied this name; neither the command line nor the configuration gives one.");
            }
        }

        /** Created when KERBEROS is about to be tried, so that its classes are not loaded before. */
        private KerberosClient kerberos() {
            if (kerberos.isEmpty()) {
                kerberos = Optional.of(new KerberosClient(context));
            }
            return kerberos.get();
        }

        /** The reason why this machine cannot use a method now; empty if it can. */
        private Optional<String> unusableReason(AuthMethod method) {
            try {
                if (method == AuthMethod.PASSWORD) {
                    Password.read(configuration, context.files());
                } else if (method == AuthMethod.SCITOKENS) {
                    BearerToken token = BearerToken.find(configuration, host, context.files());
                    return token.unusableReason(host.clock().instant())
                        .map(reason -> "the bearer token in " + token + " " + reason);
                } else if (method == AuthMethod.KERBEROS) {
                    return kerberos().unusableReason();
                }
            } catch (AuthenticationException e) {
                return Optional.of(e.getMessage());
            }
            if (AuthenticationPlan.CERTIFICATE_METHODS.contains(method) && target.expected().name().isEmpty()
                    && trust.needsName(method == AuthMethod.SCITOKENS ? ServerTrust.CertificateUse.BEARER_TOKEN
                        : ServerTrust.CertificateUse.LOGIN)) {
                return Optional.of(NO_NAME + ": give -pool HOST, or '"
                    + target.sinful().with("alias", "HOST") + "'");
            }
            if (method == AuthMethod.TOKEN) {
                TokenDirectory.Contents contents = tokens.get();
                return contents.tokens().isEmpty() ? Optional.of(noToken(contents.complaints())) : Optional.empty();
            }
            return Optional.empty();
        }

        private String noToken(List<String> complaints) {
            return "no token in " + tokenDirectory
                + (complaints.isEmpty() ? "" : " (" + String.join("; ", complaints) + ")");
        }

        private CedarStream stream(Connection connection) throws IOException {
            return new CedarStream(connection.input(), connection.output(), host.random(), trace);
        }

        /** Resumes a session; empty if the server no longer has it. */
        private Optional<SecureChannel> resume(Session known, int command) throws IOException, CommandException {
            Connection connection = connector.connect();
            try {
                CedarStream stream = stream(connection);
                byte[] nonce = new byte[33];
                host.random().nextBytes(nonce);
                ClassAd ad = new ClassAd().put("UseSession", "YES").put("Sid", known.id()).put("Command", command)
                    .put("Nonce", Base64.getEncoder().encodeToString(nonce)).put("ResumeResponse", true)
                    .put("CryptoMethods", "AES").put("RemoteVersion", Protocol.VERSION)
                    .put("ConnectSinful", target.sinful().toString());
                stream.send(stream.message().number(Protocol.DC_AUTHENTICATE).ad(ad));
                MessageReader reply = stream.receive("answer to the resumption of our session");
                String verdict = reply.ad().string("ReturnCode").orElse("");
                reply.end();
                trace.log(DebugLog.SECURITY, () -> "Resuming the session for command " + command + ": " + printable(verdict));
                if (verdict.equals("AUTHORIZED")) {
                    stream.encrypt(known.key());
                    return Optional.of(new SecureChannel(stream, known, connection));
                }
            } catch (EOFException e) {
                // Some servers close the connection instead of answering SID_NOT_FOUND.
                trace.log(DebugLog.SECURITY, e::getMessage);
            } catch (IOException e) {
                connection.close();
                throw e;
            }
            connection.close();
            return Optional.empty();
        }

        /** Negotiates a session on one connection. */
        private final class Negotiation {
            private final Connection connection;
            private final ChannelBinding binding;
            private final List<AuthMethod> methods;
            private final List<MethodFailure> failures;

            Negotiation(Connection connection, ChannelBinding binding, List<AuthMethod> methods, List<MethodFailure> failures) {
                this.connection = connection;
                this.binding = binding;
                this.methods = methods;
                this.failures = failures;
            }

            /** Authenticates and opens the channel; empty if no method succeeded. */
            Optional<SecureChannel> run(int command) throws IOException, CommandException {
                CedarStream stream = stream(connection);
                Optional<KeyPair> ecdh = binding == ChannelBinding.UNBOUND ? Optional.of(KeyDerivation.ephemeral(host.random()))
                    : Optional.empty();
                stream.send(stream.message().number(Protocol.DC_AUTHENTICATE).ad(policy(command, ecdh)));
                MessageReader message = stream.receive("security policy");
                PolicyReply reply = new PolicyReply(message.ad());
                message.end();
                Map<AuthMethod, Authenticator> offers = offers(reply);
                if (offers.isEmpty()) {
                    return Optional.empty();
                }
                reply.check(binding);
                Optional<Authenticated> authenticated = authenticate(stream, offers);
                if (authenticated.isEmpty()) {
                    return Optional.empty();
                }
                Optional<byte[]> wrapped = receiveKey(stream);
                byte[] key = ecdh.isPresent()
                    ? KeyDerivation.agree(ecdh.get().getPrivate(), reply.ad().string("ECDHPublicKey").orElse(""))
                    : authenticated.get().unwrap(wrapped.orElseThrow());
                if (key.length != Protocol.KEY_BYTES) {
                    throw new ProtocolViolation("the server sent a session key of " + key.length + " bytes");
                }
                stream.encrypt(key);
                return Optional.of(new SecureChannel(stream, receiveAdmission(stream, key, authenticated.get().server(), reply),
                    connection));
            }

            private ClassAd policy(int command, Optional<KeyPair> ecdh) {
                ClassAd ad = new ClassAd()
                    .put("AuthMethods", methods.stream().map(Enum::name).collect(Collectors.joining(",")))
                    .put("CryptoMethods", "AES").put("OutgoingNegotiation", "REQUIRED");
                // Servers before 23.10 read Authentication, later ones AuthenticationNew.
                for (String feature : List.of("Authentication", "AuthenticationNew", "Encryption", "Integrity")) {
                    ad.put(feature, "REQUIRED");
                }
                ad.put("Enact", "NO").put("Subsystem", "TOOL").put("ServerPid", ProcessHandle.current().pid())
                    .put("SessionDuration", Long.toString(SESSION_DURATION.toSeconds()))
                    .put("SessionLease", SESSION_DURATION.toSeconds()).put("NewSession", "YES")
                    .put("NegotiatedSession", true)
                    .put("RemoteVersion", Protocol.VERSION).put("ConnectSinful", target.sinful().toString()).put("Command",
                    command);
                if (command == Protocol.DC_SEC_QUERY) {
                    ad.put("AuthCommand", Protocol.DC_NOP);
                }
                configuration.set("TRUST_DOMAIN").or(() -> configuration.set("UID_DOMAIN"))
                    .ifPresent(domain -> ad.put("TrustDomain", domain.value()));
                ecdh.ifPresent(pair -> ad.put("ECDHPublicKey", KeyDerivation.encodePoint(pair.getPublic())));
                trace.log(DebugLog.SECURITY, () -> "Our policy (" + binding.name().toLowerCase(Locale.ROOT) + "): "
                    + ad.assignments());
                return ad;
            }

            /** The methods that both sides support, ready to run. */
            private Map<AuthMethod, Authenticator> offers(PolicyReply reply) throws CommandException {
                trace.log(DebugLog.SECURITY, () -> "The server's policy: " + reply.ad().shown());
                Map<AuthMethod, Authenticator> offers = new EnumMap<>(AuthMethod.class);
                for (AuthMethod method : methods) {
                    try {
                        if (!reply.methods().contains(method)) {
                            throw new AuthenticationException("the pool does not offer this method");
                        }
                        offers.put(method, authenticator(method, reply));
                    } catch (AuthenticationException e) {
                        failures.add(new MethodFailure(method, e.getMessage(), Progress.OFFERED));
                    }
                }
                return offers;
            }

            private Authenticator authenticator(AuthMethod method, PolicyReply reply) throws AuthenticationException,
                CommandException {
                return switch (method) {
                    case SSL -> new Ssl(trust, hostName(), Optional.empty(), () -> { });
                    case SCITOKENS -> {
                        BearerToken token = BearerToken.find(configuration, host, context.files());
                        yield new Ssl(trust, hostName(), Optional.of(token),
                            () -> announceCredential(method, "the bearer token in " + token));
                    }
                    case PASSWORD -> new Password(reply.isBefore(23, 9) ? Protocol.OLD_PASSWORD_USER + reply.trustDomain()
                        .orElse("") : Protocol.PASSWORD_USER, Password.read(configuration, context.files()), host.random());
                    case KERBEROS -> new Kerberos(kerberos(), target.expected(), connection.peer().getAddress(),
                        Duration.ofSeconds(configuration.number(configuration.security("AUTHENTICATION_TIMEOUT")
                            .map(Configuration.Setting::name).orElse("SEC_DEFAULT_AUTHENTICATION_TIMEOUT"), 20, 1, 3600))
                            .dividedBy(2));
                    case TOKEN -> new IdToken(matchingToken(reply), host.random());
                    // Servers before 25.14 do not expect the shared port ID.
                    case FS -> new FileSystemAccess(configuration.text("FS_LOCAL_DIR").map(String::strip).orElse("/tmp"),
                        connection.peer(), reply.isBefore(25, 14) ? Optional.empty() : target.sharedPortId(),
                        configuration.flag("SEC_FS_ENFORCE_CHANNEL_BINDING", true), host.user());
                    case CLAIMTOBE -> new ClaimToBe(host.user().map(UserPrincipal::getName).orElse("nobody")
                        + reply.trustDomain().map(domain -> "@" + domain).orElse(""));
                    case ANONYMOUS -> new Anonymous();
                    default -> throw new AssertionError(method + " is not offered");
                };
            }

            private String hostName() {
                return target.expected().name().orElse(target.sinful().host());
            }

            /** Announces the use of a credential. A man in the middle of a PASSWORD login can use the pool's side of it. */
            private void announceCredential(AuthMethod method, String what) {
                context.ui().credential(method.credential().orElseThrow(), "Credential for " + hostName() + ": "
                    + what + ".");
                if (method == AuthMethod.PASSWORD && !target.isLocal()) {
                    context.ui().warn("PASSWORD protects this session, but not the pool's side of the login:"
                        + " a man in the middle could use that side to act as a daemon of the pool at " + hostName() + ".");
                }
            }

            private IssuedToken matchingToken(PolicyReply reply) throws AuthenticationException {
                TokenDirectory.Contents contents = tokens.get();
                List<String> complaints = new ArrayList<>(contents.complaints());
                for (IssuedToken token : contents.tokens()) {
                    Optional<String> unusableReason = token.unusableReason(reply.trustDomain(), reply.issuerKeys(), host.clock()
                        .instant());
                    if (unusableReason.isEmpty()) {
                        return token;
                    }
                    complaints.add("the token of " + token.authenticatesAs() + " " + unusableReason.get());
                }
                throw new AuthenticationException("no token for trust domain " + printable(reply.trustDomain().orElse("(none)"))
                    + " and keys " + printable(reply.issuerKeys().toString())
                    + noToken(complaints).substring("no token".length()));
            }

            /** Runs the methods that the server chooses, until one succeeds. condor_io/authentication.cpp */
            private Optional<Authenticated> authenticate(CedarStream stream, Map<AuthMethod, Authenticator> offers)
                    throws IOException {
                while (!offers.isEmpty()) {
                    stream.send(stream.message().number(offers.keySet().stream().mapToInt(method -> method.bit).sum()));
                    MessageReader message = stream.receive("choice of a method");
                    long choice = message.number();
                    message.end();
                    if (choice == 0) {
                        offers.keySet().forEach(method -> failures.add(new MethodFailure(method,
                            "the pool did not accept this method", Progress.OFFERED)));
                        return Optional.empty();
                    }
                    AuthMethod method = AuthMethod.fromWire(choice).filter(offers::containsKey)
                        .orElseThrow(() -> new ProtocolViolation("the server chose a method that we did not offer ("
                        + choice + ")"));
                    trace.log(DebugLog.SECURITY, () -> "The server chose " + method.label + ".");
                    if (method == AuthMethod.PASSWORD) {
                        announceCredential(method, "the pool password in " + Password.file(configuration));
                    }
                    try {
                        return Optional.of(offers.remove(method).authenticate(stream));
                    } catch (AuthenticationException e) {
                        trace.log(DebugLog.SECURITY, () -> method.label + " failed: " + e.getMessage());
                        failures.add(new MethodFailure(method, e.getMessage(), Progress.RUN));
                        if (trust.isFinal()) {
                            return Optional.empty();
                        }
                    }
                }
                return Optional.empty();
            }

            /**
             * Receives the message after the method: without ECDH it contains the wrapped key, with ECDH no key. Any other
             * message indicates a man in the middle who sent the server a key of his own; continuing would be in the clear.
             */
            private Optional<byte[]> receiveKey(CedarStream stream) throws IOException {
                MessageReader announcement = stream.receive("session key");
                boolean follows = announcement.number(0, 1) == 1;
                announcement.end();
                if (follows != (binding == ChannelBinding.BOUND)) {
                    throw new ProtocolViolation(follows ? "the server sent a session key though one was agreed by ECDH"
                        : "the server sent no session key though none was agreed");
                }
                if (!follows) {
                    return Optional.empty();
                }
                MessageReader message = stream.receive("session key");
                message.number(Protocol.KEY_BYTES, Protocol.KEY_BYTES);
                message.number(Protocol.CIPHER_AES, Protocol.CIPHER_AES);
                message.number();
                byte[] wrapped = message.raw(message.number(Protocol.KEY_BYTES, Protocol.WRAPPED_KEY_MAX_BYTES));
                message.end();
                return Optional.of(wrapped);
            }

            /** Receives the server's final message, the first under the new key: the authorization and the session's ID. */
            private Session receiveAdmission(CedarStream stream, byte[] key, ServerName server, PolicyReply reply)
                    throws IOException, CommandException {
                AuthMethod method = server.method();
                MessageReader message = stream.receive("admission");
                ClassAd ad = message.ad();
                message.end();
                String user = ad.string("User").orElse("(nobody)");
                String verdict = ad.string("ReturnCode").orElse("AUTHORIZED");
                if (!verdict.equals("AUTHORIZED")) {
                    String stack = "SECMAN:2010:Received \"" + printable(verdict) + "\" from server for user "
                        + printable(user) + " using method " + method.label + ".";
                    throw failure(trace, ErrorCode.REFUSED, "Not authorized at " + hostAndPort(target) + ".",
                        List.of("The server answered " + printable(verdict) + " to user " + printable(user) + " (method "
                            + method.label + ")."),
                        "Ask the pool's administrator to check ALLOW_DAEMON, ALLOW_WRITE and DENY_* there.", stack);
                }
                Instant now = host.clock().instant();
                long seconds = reply.ad().string("SessionDuration").filter(text -> NumericAddress.isNumber(text, 9))
                    .map(Long::parseLong).orElse(0L);
                long lease = Math.max(0, Math.min(reply.ad().integer("SessionLease").orElse(0), Integer.MAX_VALUE));
                trace.log(DebugLog.SECURITY, () -> "Authenticated with " + method.label + " as " + printable(user)
                    + "; the session is "
                    + binding.name().toLowerCase(Locale.ROOT) + ", AES, for " + seconds + " s.");
                AuthResult auth = new AuthResult(method.label, binding, printable(user), printable(reply.version()),
                    reply.trustDomain().map(TokenRequest::printable), List.of());
                return new Session(ad.string("Sid").orElse(""), key, auth, server, now.plusSeconds(seconds),
                    Duration.ofSeconds(lease), now);
            }
        }
    }

    // ==== 17. CcbConnector: daemons that connect back to us (CCB) ====

    /**
     * Reaches a daemon that accepts no connections: its CCB server, usually the pool's collector, sends it our address, and
     * the daemon connects to us. From then on, the protocol is that of a direct connection. If the daemon is behind a shared
     * port, the shared port daemon connects (seen on 25.14.1). ccb/ccb_client.cpp, ccb/ccb_server.cpp
     *
     * <pre>
     * us > CCB server    ad: CCBID, ClaimId (an unguessable number), MyAddress (our listening address), Name
     * CCB server > us    ad: Result, ErrorString
     * daemon > us        int CCB_REVERSE_CONNECT, ad: ClaimId
     * </pre>
     */
    static final class CcbConnector implements Connector {
        private static final int CONNECT_ID_BYTES = 20;
        /** Interval between checks for a refusal by the CCB server, milliseconds. */
        private static final int CHECK_MILLIS = 100;
        /** Time limit for the first message of a caller. */
        private static final Duration HELLO_TIMEOUT = Duration.ofSeconds(2);
        private final Target target;
        private final Context context;
        private final Location location;
        private final Function<Target, Optional<Target>> pool;
        private final Host host;
        /** The CCB servers already located, by contact. */
        private final Map<String, Security> servers = new HashMap<>();

        /** @param pool returns the pool's collector if it has the given address, otherwise empty */
        CcbConnector(Target target, Location location, Function<Target, Optional<Target>> pool, Context context) {
            this.pool = pool;
            this.target = target;
            this.location = location;
            this.context = context;
            this.host = context.host();
        }

        /** The address of a CCB server; empty, with a complaint, if it is unusable. */
        private Optional<Target> locate(String contact, List<String> complaints) {
            try {
                Target server = location.at("<" + contact.substring(0, Math.max(0, contact.indexOf('#'))) + ">",
                    "CCBID in " + target, target.from(), Optional.empty());
                if (server.brokers().isEmpty()) {
                    return Optional.of(server);
                }
                complaints.add("CCB server " + printable(contact) + " is itself reachable only through CCB.");
            } catch (CommandException failure) {
                complaints.add("CCB server " + printable(contact) + ": " + failure.hint().orElse(failure.getMessage()));
            }
            return Optional.empty();
        }

        /** Divides the remaining time among the CCB servers. */
        @Override
        public Connection connect() throws IOException, CommandException {
            Deadline deadline = context.deadline();
            List<String> contacts = target.brokers();
            List<String> complaints = new ArrayList<>();
            List<CommandException> refusals = new ArrayList<>();
            for (int i = 0; i < contacts.size() && !deadline.isOver(); i++) {
                String contact = contacts.get(i);
                Optional<Connection> connection = deadline.share(contacts.size() - i,
                    () -> connectThrough(contact, complaints, refusals));
                if (connection.isPresent()) {
                    return connection.get().until(deadline.expiry());
                }
            }
            if (!refusals.isEmpty()) {
                CommandException last = refusals.get(refusals.size() - 1);
                throw Security.startFailure(context.trace(), last.reason, target, unreachable(), "", complaints,
                    last.hint().orElse(""));
            }
            if (servers.isEmpty()) {
                throw Security.startFailure(context.trace(), ErrorCode.UNREACHABLE, target, unreachable(), "", complaints, "");
            }
            throw new ConnectException("not reachable through " + String.join("; ", printable(complaints)));
        }

        private String unreachable() {
            return "Cannot reach " + Security.hostAndPort(target) + " through its CCB servers.";
        }

        /** A connection through this CCB server; empty on failure, with a complaint and, if the server refused, a refusal. */
        private Optional<Connection> connectThrough(String contact, List<String> complaints, List<CommandException> refusals)
                throws CommandException {
            if (!servers.containsKey(contact)) {
                Optional<Target> server = locate(contact, complaints)
                    .map(found -> pool.apply(found).map(collector -> found.as(collector.expected())).orElse(found));
                if (server.isEmpty()) {
                    return Optional.empty();
                }
                servers.put(contact, new Security(server.get(), new DirectConnector(server.get(), context), context));
            }
            try (SecureChannel channel = servers.get(contact).open(Protocol.CCB_REQUEST)) {
                return Optional.of(requestConnection(channel, contact.substring(contact.indexOf('#') + 1)));
            } catch (IOException e) {
                complaints.add("CCB server " + printable(contact) + ": " + e.getMessage());
            } catch (CommandException failure) {
                if (failure.reason == ErrorCode.CONFIGURATION) {
                    throw failure;
                }
                complaints.add("CCB server " + printable(contact) + ": " + failure.summary());
                refusals.add(failure);
            }
            return Optional.empty();
        }

        private Connection requestConnection(SecureChannel server, String id) throws IOException, CommandException {
            InetAddress here = server.connection().localAddress();
            try (ServerSocket listener = listen(here)) {
                String connectId = host.randomHex(CONNECT_ID_BYTES);
                String ourAddress = Target.text(new InetSocketAddress(here, listener.getLocalPort()));
                context.trace().log(DebugLog.NETWORK, () -> "Asking the CCB server of " + target
                    + " for a connection to " + ourAddress + ".");
                server.stream().send(server.stream().message().ad(new ClassAd().put("CCBID", id).put("ClaimId", connectId)
                    .put("Name", "TokenRequest").put("MyAddress", ourAddress)));
                return await(server, listener, connectId);
            }
        }

        /** Listens on a port from LOWPORT to HIGHPORT, the range that a firewall leaves open, or on any port without them. */
        private ServerSocket listen(InetAddress here) throws IOException, CommandException {
            int low = port("LOWPORT");
            int high = low == 0 ? 0 : port("HIGHPORT");
            for (int port = low; port < high; port++) {
                try {
                    return new ServerSocket(port, 1, here);
                } catch (BindException e) {
                    int taken = port;
                    context.trace().log(DebugLog.NETWORK, () -> "Port " + taken + ": " + e.getMessage());
                }
            }
            try {
                return new ServerSocket(high, 1, here);
            } catch (BindException e) {
                throw new BindException("no free port for the connection from the daemon"
                    + (high == 0 ? "" : ", from LOWPORT " + low + " to HIGHPORT " + high) + " (" + e.getMessage() + ")");
            }
        }

        /** One end of the port range for inbound connections; 0 if not set. */
        private int port(String end) throws CommandException {
            Configuration configuration = context.configuration();
            int inward = configuration.number("IN_" + end, 0, 0, 65535);
            return inward > 0 ? inward : configuration.number(end, 0, 0, 65535);
        }

        /** Waits for the daemon, which can connect before the CCB server answers. */
        private Connection await(SecureChannel server, ServerSocket listener, String connectId) throws IOException {
            listener.setSoTimeout(CHECK_MILLIS);
            Instant deadline = context.deadline().within(Deadline.EXCHANGE);
            long checks = Duration.between(host.clock().instant(), deadline).toMillis() / CHECK_MILLIS;
            boolean answered = false;
            for (long check = 0; check < checks && host.clock().instant().isBefore(deadline); check++) {
                if (!answered && server.connection().hasInput()) {
                    checkAnswer(server.stream());
                    answered = true;
                }
                try {
                    Connection caller = Connection.accepted(listener.accept(), host.clock(),
                        host.clock().instant().plus(HELLO_TIMEOUT));
                    if (isRequestedDaemon(connectId, caller)) {
                        return Connector.throughSharedPort(caller.until(deadline), target, context);
                    }
                    caller.close();
                } catch (SocketTimeoutException e) {
                    // no connection yet
                }
            }
            throw new SocketTimeoutException((answered ? "the daemon did not connect to "
                : "the CCB server did not answer, and the daemon did not connect to ")
                + Target.text(listener.getInetAddress()) + " port " + listener.getLocalPort() + " in time; check the firewall");
        }

        private static void checkAnswer(CedarStream stream) throws IOException {
            MessageReader reply = stream.receive("answer to the request for a connection");
            ClassAd answer = reply.ad();
            reply.end();
            if (!answer.isTrue("Result")) {
                throw new IOException(printable(answer.string("ErrorString").orElse("no reason given")));
            }
        }

        /** Whether a caller is the requested daemon. Other callers, and their errors, are ignored. */
        private boolean isRequestedDaemon(String connectId, Connection caller) {
            try {
                MessageReader hello = new CedarStream(caller.input(), caller.output(), host.random(), context.trace())
                    .receive("first message");
                boolean isReverseConnect = hello.number() == Protocol.CCB_REVERSE_CONNECT;
                String id = hello.ad().string("ClaimId").orElse("");
                hello.end();
                return isReverseConnect && MessageDigest.isEqual(id.getBytes(UTF_8), connectId.getBytes(UTF_8));
            } catch (IOException e) {
                context.trace().log(DebugLog.NETWORK, () -> "Ignored a connection: " + e.getMessage());
                return false;
            }
        }
    }

    // ==== 18. CollectorQuery: a daemon's address from the collector ====

    /**
     * Looks up daemons in the collector. condor_daemon_client/daemon.cpp (Daemon::getDaemonInfo),
     * condor_utils/condor_query.cpp
     *
     * <p>It sends the original's query first. If that finds nothing but the answer is unique (the only daemon of a type, or a
     * short name that is an ad's Name or Machine), it uses that daemon and tells the user which.
     */
    static final class CollectorQuery {
        /** Maximum number of daemons in an error message. */
        private static final int MAX_LISTED = 10;
        /** Maximum number of ads: more than the daemons of a type in one pool, fewer than all slots of a big pool. */
        private static final int MAX_RESULTS = 4000;
        private static final String PROJECTION =
            "CondorVersion CondorPlatform MyAddress AddressV1 Name Machine ScheddIpAddr CredDIpAddr";
        private final LocatedDaemon collector;
        private final LocateResult.NeedsCollector query;
        private final Security security;
        private final Location location;
        private final DebugLog trace;
        private final UserInterface ui;

        /** @param collector the collector to query */
        CollectorQuery(LocatedDaemon collector, LocateResult.NeedsCollector query, Security security, Location location,
                Context context) {
            this.collector = collector;
            this.query = query;
            this.security = security;
            this.location = location;
            this.trace = context.trace();
            this.ui = context.ui();
        }

        /** A daemon's ad. The collector lists the slots of a startd; a slot's name is a prefix of the startd's name. */
        private record Entry(String name, String machine, String address) {
            private static final String SLOT = "slot";

            static Optional<Entry> of(ClassAd ad) {
                String name = printable(daemonOf(ad.string("Name").orElse("")));
                return ad.string("MyAddress").or(() -> ad.string("ScheddIpAddr")).or(() -> ad.string("CredDIpAddr"))
                    .map(address -> new Entry(name, ad.string("Machine").orElse(""), address));
            }

            /** The name after {@code slot1_2@}; the whole name if it is not a slot's. */
            private static String daemonOf(String name) {
                int at = name.indexOf('@');
                boolean isSlot = at > SLOT.length() && at < name.length() - 1
                    && name.regionMatches(true, 0, SLOT, 0, SLOT.length())
                    && NumericAddress.consistsOf(name.substring(SLOT.length(), at), "0123456789_");
                return isSlot ? name.substring(at + 1) : name;
            }

            /** Name and address for messages, without the address parameters. */
            String display() {
                return printable(name + " at " + Sinful.parse(address).map(it -> new Sinful(it.host(), it.port(),
                    Collections.emptySortedMap()).toString()).orElse(address));
            }
        }

        /** @throws CommandException NOT_FOUND if no daemon or more than one matches; otherwise the failure of the query */
        LocatedDaemon find() throws CommandException {
            Optional<String> name = query.name().or(query::own);
            List<Entry> matches = name.isPresent() ? matchOriginal(name.get()) : List.of();
            boolean isOwn = !matches.isEmpty();
            if (matches.isEmpty() && query.name().isPresent()) {
                matches = query(equal("Name", name.get()) + " || " + equal("Machine", name.get()), List.of());
            } else if (matches.isEmpty()) {
                matches = query("true", List.of());
            }
            if (matches.isEmpty()) {
                throw noMatch();
            }
            // All slots of a startd have the same address.
            Map<String, Entry> addresses = new LinkedHashMap<>();
            matches.forEach(entry -> addresses.putIfAbsent(entry.address(), entry));
            if (addresses.size() > 1 || matches.size() == MAX_RESULTS) {
                throw notFound(List.copyOf(addresses.values()), "Several daemons match:");
            }
            boolean named = query.name().isPresent() || isOwn;
            return located(matches.get(0), named ? query.server() : Optional.empty());
        }

        /** The ad that the original uses: the first match. */
        private List<Entry> matchOriginal(String name) throws CommandException {
            boolean byMachine = EnumSet.of(DaemonType.STARTD, DaemonType.HAD).contains(query.type()) && !name.contains("@");
            return byMachine ? query(equal("Machine", name), List.of("LimitResults = 1"))
                : query(equal("Name", name), List.of("LimitResults = 1", "LocationQuery = " + quoted(name)));
        }

        private CommandException noMatch() throws CommandException {
            List<Entry> others = query.name().isEmpty() ? List.of() : query("true", List.of());
            return notFound(others, "The collector " + collector.target() + " lists "
                + (others.isEmpty() ? "no daemon of type " + query.type().word() + "."
                    : "these daemons of type " + query.type().word() + ":"));
        }

        /** @param server the server that the name implies, typed or this machine's; empty to use the name in the ad */
        private LocatedDaemon located(Entry entry, Optional<ExpectedServer> server) throws CommandException {
            Sinful sinful = Sinful.parse(entry.address()).orElseThrow(() -> notFound(List.of(entry),
                "The collector listed an invalid address:"));
            if (Stream.of(entry.name(), entry.machine()).noneMatch(query.name().orElse("")::equalsIgnoreCase)) {
                ui.notice("Using the " + query.type().word() + " " + entry.display() + ".");
            }
            boolean aliased = sinful.parameter("alias").isPresent() || entry.machine().isEmpty();
            Target listed = location.at((aliased ? sinful : sinful.with("alias", entry.machine())).toString(),
                "the collector", NameSource.COLLECTOR, server);
            Target target = listed.as(listed.expected().in(collector.target().expected()));
            return new LocatedDaemon(target, new DaemonQuery(query.type(), Optional.of(entry.name()), collector.query().pool()));
        }

        private CommandException notFound(List<Entry> entries, String what) {
            List<String> lines = Stream.concat(Stream.of(what), entries.stream().map(entry -> "  " + entry.display()).distinct()
                .limit(MAX_LISTED)).toList();
            return new CommandException(ErrorCode.NOT_FOUND, Location.notLocated(query.name(), ErrorCode.NOT_FOUND,
                "").getMessage(), lines,
                (entries.size() < 2 && query.name().isEmpty()) || entries.isEmpty() ? "" : "Name one with -name.");
        }

        private static String equal(String attribute, String value) {
            return "((" + attribute + " == " + quoted(value) + "))";
        }

        private static String quoted(String text) {
            return '"' + text.replace("\"", "\\\"") + '"';
        }

        /**
         * Queries the collector.
         *
         * @param more further attributes of the query ad, such as a limit of one result
         */
        private List<Entry> query(String constraint, List<String> more) throws CommandException {
            ClassAd request = new ClassAd().put("MyType", "Query").put("TargetType", targetType(query.type()))
                .putExpression("Requirements", constraint).put("Projection", PROJECTION).put("LimitResults", MAX_RESULTS);
            try (SecureChannel channel = security.open(command(query.type()))) {
                for (String assignment : more) {
                    request.parse(assignment);
                }
                trace.log(DebugLog.HOSTNAME, () -> "Querying " + collector.target() + ": " + request.assignments());
                channel.stream().send(channel.stream().message().ad(request));
                MessageReader reply = channel.stream().receive("list of daemons");
                List<Entry> entries = new ArrayList<>();
                while (reply.number(0, 1) == 1) {
                    Entry.of(reply.ad()).filter(entry -> entries.size() < MAX_RESULTS).ifPresent(entries::add);
                }
                reply.end();
                trace.log(DebugLog.HOSTNAME, () -> "The collector lists "
                    + printable(entries.stream().map(Entry::toString).toList()) + ".");
                return entries;
            } catch (CommandException failure) {
                throw new CommandException(failure.reason, Location.notLocated(query.name(), failure.reason, "").getMessage(),
                    Stream.concat(Stream.of("Cannot query the collector " + collector.target() + ":"),
                        failure.details().isEmpty() ? Stream.of(failure.getMessage()) : failure.details().stream()).toList(),
                    failure.hint().orElse(""), failure.originalStack);
            } catch (IOException e) {
                ErrorCode reason = e instanceof ProtocolViolation ? ErrorCode.VIOLATION : ErrorCode.UNREACHABLE;
                throw new CommandException(reason, Location.notLocated(query.name(), reason, "").getMessage(),
                    List.of("Cannot query the collector " + collector.target() + ": " + e.getMessage() + "."), "");
            }
        }

        private static int command(DaemonType type) {
            return switch (type) {
                case STARTD -> Protocol.QUERY_STARTD_ADS;
                case SCHEDD -> Protocol.QUERY_SCHEDD_ADS;
                case MASTER -> Protocol.QUERY_MASTER_ADS;
                case NEGOTIATOR -> Protocol.QUERY_NEGOTIATOR_ADS;
                case HAD -> Protocol.QUERY_HAD_ADS;
                default -> Protocol.QUERY_GENERIC_ADS;
            };
        }

        /** TargetType of the ads. condor_includes/condor_adtypes.h */
        private static String targetType(DaemonType type) {
            return switch (type) {
                case STARTD -> "Machine";
                case SCHEDD -> "Scheduler";
                case MASTER -> "DaemonMaster";
                case NEGOTIATOR -> "Negotiator";
                case HAD -> "HAD";
                case CREDD -> "CredD";
                default -> "PlacementD";
            };
        }
    }

    // ==== 19. NetworkClient: the two token commands ====

    /**
     * Sends the token commands of one request. condor_daemon_core.V6/daemon_core_main.cpp, condor_daemon_client/daemon.cpp
     *
     * <p>Signals are delayed from sending a command until its reply proves to hold no token and no request ID; otherwise
     * until the caller calls {@link ShutdownGuard#leave}.
     */
    static final class NetworkClient implements TokenService {
        private static final int CLIENT_ID_BYTES = 16;
        /** The longest user and host names in a client ID. */
        private static final int CLIENT_USER_MAX = 32;
        private static final int CLIENT_HOST_MAX = 64;
        private static final String NO_DAEMON = 
            "This is not an HTCondor daemon (9.0 or later), or the connection was tampered with.";
        private final Security security;
        private final Target target;
        private final Configuration configuration;
        private final Host host;
        private final ShutdownGuard guard;
        private final Deadline deadline;
        private final DebugLog trace;
        private final UserInterface ui;
        private boolean authenticated;

        NetworkClient(Security security, Target target, Context context, ShutdownGuard guard) {
            this.security = security;
            this.target = target;
            this.configuration = context.configuration();
            this.host = context.host();
            this.guard = guard;
            this.deadline = context.deadline();
            this.trace = context.trace();
            this.ui = context.ui();
        }

        @Override
        public SubmitResult start(TokenSpec spec) throws CommandException {
            Secret clientId = newClientId();
            try (SecureChannel channel = open()) {
                authenticated = true;
                AuthResult auth = channel.session().auth();
                TokenSpec complete = spec.as(identity(spec, auth));
                ClassAd request = new ClassAd().put("ClientId", clientId.reveal())
                    .put("User", complete.identity().orElseThrow());
                if (!spec.authorizations().isEmpty()) {
                    request.put("LimitAuthorization", String.join(",", spec.authorizations()));
                }
                spec.lifetimeSeconds().ifPresent(seconds -> request.put("TokenLifetime", seconds));
                TokenReply answer = started(exchange(channel, request, "answer to the token request"), clientId, auth);
                return new SubmitResult(complete, auth, target.reachedAt(channel.connection().peer()).toString(),
                    released(answer));
            } catch (ProtocolViolation e) {
                throw failedToStart(ErrorCode.VIOLATION, e.getMessage(), NO_DAEMON);
            } catch (IOException e) {
                throw failedToStart(ErrorCode.UNREACHABLE, e.getMessage(),
                    "Authentication succeeded, then the connection broke. If the pool did store the request, it expires"
                    + " by itself.");
            }
        }

        /**
         * A client ID: {@code USER@HOST-} and 32 hex digits. Administrators see it in condor_token_request_list, which
         * splits nothing, so it is one word of a safe alphabet. Only the hex digits are secret.
         */
        private Secret newClientId() {
            return new Secret(sanitized(host.user().map(UserPrincipal::getName).orElse(""), CLIENT_USER_MAX) + "@"
                + sanitized(host.name(), CLIENT_HOST_MAX) + "-" + host.randomHex(CLIENT_ID_BYTES));
        }

        /** The text in letters, digits, dots, dashes and underscores, no longer than that. */
        private static String sanitized(String text, int maxLength) {
            StringBuilder word = new StringBuilder();
            for (int i = 0; i < text.length() && word.length() < maxLength; i++) {
                char c = text.charAt(i);
                boolean isSafe = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.'
                    || c == '_' || (c == '-' && i > 0);
                word.append(isSafe ? c : '_');
            }
            return word.isEmpty() ? "unknown" : word.toString();
        }

        private SecureChannel open() throws ProtocolViolation, CommandException {
            try {
                return security.open(Protocol.DC_START_TOKEN_REQUEST);
            } catch (ProtocolViolation e) {
                throw e;
            } catch (ConnectException e) {
                throw Security.failure(trace, ErrorCode.UNREACHABLE,
                    "Cannot connect to " + Security.hostAndPort(target) + ".",
                    List.of(sentence(e.getMessage())), "", "DAEMON:1:Failed to connect to remote daemon at '" + target + "'");
            } catch (EOFException | SocketException e) {
                throw failedToStart(ErrorCode.UNREACHABLE, e.getMessage(),
                    "Common causes: the pool lacks AES encryption, denies this host, or has no such shared port endpoint."
                    + " The daemon's log says which.");
            } catch (IOException e) {
                throw failedToStart(ErrorCode.UNREACHABLE, e.getMessage(), "");
            }
        }

        private CommandException failedToStart(ErrorCode reason, String detail, String hint) {
            return Security.startFailure(trace, reason, target, "Connection to " + Security.hostAndPort(target) + " failed.",
                "", List.of(sentence(detail)), hint);
        }

        private static String sentence(String words) {
            return Character.toUpperCase(words.charAt(0)) + words.substring(1) + (words.endsWith(".") ? "" : ".");
        }

        @Override
        public TokenReply poll(RequestHandle handle) throws IOException, CommandException {
            try (SecureChannel channel = openAgain()) {
                authenticated = true;
                ClassAd request = new ClassAd().put("ClientId", handle.clientId().reveal())
                    .put("RequestId", handle.requestId());
                return released(polled(exchange(channel, request, "answer to the poll"), handle, channel.session().auth()));
            } catch (ProtocolViolation e) {
                if (!authenticated) {
                    throw failedToStart(ErrorCode.VIOLATION, e.getMessage(), NO_DAEMON);
                }
                security.discardSession();
                throw new ProtocolViolation(e.getMessage() + " (the connection may have been tampered with)");
            }
        }

        /** A failed authentication says nothing about the request; after an earlier success, the poller retries. */
        private SecureChannel openAgain() throws IOException, CommandException {
            try {
                return security.open(Protocol.DC_FINISH_TOKEN_REQUEST);
            } catch (CommandException failure) {
                if (failure.reason == ErrorCode.REFUSED) {
                    throw new IOException(failure.summary());
                }
                if (failure.reason.isServerSpecific() && authenticated) {
                    // A restarted pool may lack its certificate, or its CCB broker, for a while.
                    throw new IOException(failure.reason == ErrorCode.NOT_AUTHENTICATED
                        ? "authentication to " + target + " failed (" + failure.summary() + ")" : failure.summary());
                }
                throw failure;
            }
        }

        /** The full identity to request; without a configured UID_DOMAIN, the pool's trust domain completes it. */
        private String identity(TokenSpec spec, AuthResult auth) throws CommandException {
            String name = spec.identity().orElse("condor");
            if (name.contains("@")) {
                return name;
            }
            Optional<String> configured = configuration.set("UID_DOMAIN").map(setting -> setting.value().strip());
            String domain = configured.or(auth::trustDomain).orElseThrow(() -> new CommandException(ErrorCode.USAGE,
                "ERROR: no domain for the identity " + printable(name) + ".",
                "Give -identity NAME@DOMAIN, or set _CONDOR_UID_DOMAIN."));
            if (configured.isEmpty()) {
                ui.notice("Requesting identity " + name + "@" + domain
                    + ": UID_DOMAIN is not set here, so the domain is the pool's trust domain.");
            }
            return name + "@" + domain;
        }

        private ClassAd exchange(SecureChannel channel, ClassAd request, String what) throws IOException {
            guard.enter(deadline.left());
            try {
                channel.stream().send(channel.stream().message().ad(request));
                MessageReader reply = channel.stream().receive(what);
                ClassAd answer = reply.ad();
                reply.end();
                return answer;
            } catch (IOException e) {
                guard.leave();
                throw e instanceof ProtocolViolation ? e : new ResponseLostException(e);
            }
        }

        private TokenReply released(TokenReply answer) {
            if (!(answer instanceof TokenReply.Issued || answer instanceof TokenReply.Enqueued)) {
                guard.leave();
            }
            trace.log(DebugLog.COMMAND, () -> "The pool's answer: " + answer.getClass().getSimpleName());
            return answer;
        }

        /** Reads the reply: an error wins over a token, a token over a request ID. */
        private TokenReply started(ClassAd answer, Secret clientId, AuthResult auth) throws CommandException {
            Optional<String> error = answer.string("ErrorString");
            if (error.isPresent() || answer.integer("ErrorCode").orElse(0) != 0) {
                throw refusal(answer);
            }
            Optional<String> token = answer.string("Token").filter(text -> !text.isEmpty());
            if (token.isPresent()) {
                return issued(token.get(), auth);
            }
            if (answer.isEmpty()) {
                throw new CommandException(ErrorCode.BUSY, "Failed to request a new token: " + target
                    + " has too many pending requests.", "Try again later.");
            }
            String requestId = answer.string("RequestId").filter(RequestHandle::isRequestId)
                .orElseThrow(() -> new CommandException(ErrorCode.UNEXPECTED, "Remote daemon did not provide a valid request ID.",
                    "See the log of the daemon at " + target + "."));
            return new TokenReply.Enqueued(new RequestHandle(requestId, clientId));
        }

        private TokenReply polled(ClassAd answer, RequestHandle handle, AuthResult auth) throws CommandException {
            Optional<String> error = answer.string("ErrorString");
            if (error.isEmpty() && answer.integer("ErrorCode").orElse(0) == 0) {
                String token = answer.string("Token").orElseThrow(() -> new CommandException(ErrorCode.UNEXPECTED,
                    "Failed to get a status update for token request: " + target
                    + " sent neither a token nor an error.", "See the daemon's log."));
                return token.isEmpty() ? new TokenReply.Pending() : issued(token, auth);
            }
            String words = error.orElse("");
            if (words.startsWith("Request rate limit hit")) {
                return new TokenReply.RateLimited();
            }
            if (words.startsWith("Request ID is not known")) {
                return new TokenReply.Unknown(printable(words));
            }
            long code = answer.integer("ErrorCode").orElse(-1);
            ErrorCode reason = words.startsWith("Client ID is incorrect") ? ErrorCode.REQUEST_UNKNOWN
                : code == Protocol.ERROR_EXPIRED ? ErrorCode.REQUEST_EXPIRED
                : code == Protocol.ERROR_DISABLED ? ErrorCode.REFUSED : ErrorCode.REQUEST_FAILED;
            throw new CommandException(reason, "Failed to get a status update for token request: DAEMON:" + code + ":"
                + printable(words), List.of("Request " + handle.requestId() + " at " + target
                + " ended without a token."), reason == ErrorCode.REFUSED ? remedy(code) : "Submit a new request.");
        }

        private TokenReply issued(String text, AuthResult auth) throws CommandException {
            if (!Jwt.hasForm(text)) {
                throw new CommandException(ErrorCode.UNEXPECTED, "" + target
                    + " sent something that is not a token (" + text.length() + " characters), so it was not written.",
                    "See the daemon's log.");
            }
            Secret token = new Secret(text);
            guard.holds(token);
            return new TokenReply.Issued(token, auth);
        }

        @Override
        public AuthResult verify(Secret token) throws CommandException {
            IssuedToken issued = IssuedToken.read(token.reveal()).orElseThrow(() -> new CommandException(ErrorCode.TOKEN_REJECTED,
                "-verify cannot try the token: its claims are unreadable.", "The token was delivered nevertheless."));
            try (SecureChannel channel = security.withToken(issued).open(Protocol.DC_SEC_QUERY)) {
                MessageReader reply = channel.stream().receive("answer to the trial of the token");
                ClassAd answer = reply.ad();
                reply.end();
                trace.log(DebugLog.SECURITY, () -> "The pool on the token: " + answer.shown());
                if (answer.isFalse("AuthorizationSucceeded")) {
                    throw new CommandException(ErrorCode.REFUSED, "", "");
                }
                return channel.session().auth();
            } catch (CommandException failure) {
                List<String> details = failure.reason == ErrorCode.REFUSED
                    ? List.of("It knows the token, but authorizes it for nothing.")
                    : failure.details();
                throw new CommandException(ErrorCode.TOKEN_REJECTED, "The token was delivered, but " + target
                    + " rejects it.",
                    details, "");
            } catch (IOException e) {
                ErrorCode reason = e instanceof ProtocolViolation ? ErrorCode.VIOLATION : ErrorCode.UNREACHABLE;
                throw new CommandException(reason, "The token was delivered, but -verify could not try it: " + e.getMessage()
                    + ".", "");
            }
        }

        private CommandException refusal(ClassAd answer) {
            long code = answer.integer("ErrorCode").orElse(-1);
            return new CommandException(ErrorCode.REFUSED, "Failed to request a new token: DAEMON:" + code + ":"
                + printable(answer.string("ErrorString").orElse("no reason given")),
                List.of("The daemon at " + target + " sent this error."), remedy(code));
        }

        /** The hint for an error code from the pool. */
        private static String remedy(long code) {
            return switch ((int) code) {
                case Protocol.ERROR_LIMITS -> "Request only authorizations that the pool grants (SEC_TOKEN_REQUEST_LIMITS).";
                case Protocol.ERROR_TOKEN_GENERATION -> "Ask the pool's administrator to create a signing key.";
                case Protocol.ERROR_NOT_PROTECTED ->
                    "ANONYMOUS works only for requests that a rule of the pool approves. Use another method.";
                case Protocol.ERROR_DISABLED ->
                    "Ask the pool's administrator to set SEC_ENABLE_TOKEN_REQUEST.";
                default -> "See the daemon's log.";
            };
        }
    }

    // ==== 20. Poller: waits for approval ====

    /**
     * Polls until an administrator approves the request. Polls an unreachable pool less and less often, since the request
     * stays there; only a reply from the pool ends the wait early.
     */
    static final class Poller {
        /** Before the first poll of a new request. */
        static final Duration FIRST_PAUSE = Duration.ofSeconds(1);
        private static final Duration LONGEST_PAUSE = Duration.ofSeconds(30);
        private static final double JITTER = 0.1;
        /**
         * How many "not known" replies in a row end the wait. A pool also sends this reply when clients exceed its rate limit
         * (daemon_core_main.cpp, handle_dc_finish_token_request overwrites the one error with the other).
         */
        private static final int UNKNOWN_LIMIT = 3;

        private final TokenService pool;
        private final InstantSource clock;
        private final Sleeper sleeper;
        private final RandomGenerator random;
        private final WaitOptions waitOptions;
        private final Consumer<Event.Waiting> ui;

        Poller(TokenService pool, InstantSource clock, Sleeper sleeper, RandomGenerator random, WaitOptions waitOptions,
               Consumer<Event.Waiting> ui) {
            this.pool = pool;
            this.clock = clock;
            this.sleeper = sleeper;
            this.random = random;
            this.waitOptions = waitOptions;
            this.ui = ui;
        }

        /** The result of a poll without a token. */
        private record Outcome(PollState state, Optional<String> detail, boolean replyLost) {
            private static final Outcome PENDING = new Outcome(PollState.PENDING, Optional.empty(), false);
        }

        /**
         * The token, once it is approved.
         *
         * @param first    the pause before the first poll; zero for none
         * @param deadline the time of the last poll
         * @throws CommandException REQUEST_UNKNOWN, TIMED_OUT, or the pool's error
         */
        TokenReply.Issued await(RequestHandle handle, Duration first, Instant deadline) throws CommandException {
            Instant start = clock.instant();
            Optional<PollState> last = Optional.empty();
            int inARow = 0;
            boolean replyLost = false;
            if (!first.isZero()) {
                pause(handle, Outcome.PENDING, false, jittered(waitOptions.interval().orElse(first)), deadline);
                last = Optional.of(PollState.PENDING);
            }
            while (true) {
                List<TokenReply.Issued> token = new ArrayList<>();
                Outcome outcome = poll(handle, token::add);
                if (!token.isEmpty()) {
                    return token.get(0);
                }
                boolean repeated = last.equals(Optional.of(outcome.state()));
                inARow = repeated ? inARow + 1 : 1;
                replyLost |= outcome.replyLost();
                if (outcome.state() == PollState.UNKNOWN && inARow == UNKNOWN_LIMIT) {
                    throw unknown(handle, replyLost);
                }
                if (!clock.instant().isBefore(deadline)) {
                    throw timedOut(handle);
                }
                int failures = outcome.state() == PollState.PENDING ? 0 : inARow;
                Duration interval = interval(Duration.between(start, clock.instant()), waitOptions.interval(), failures);
                pause(handle, outcome, repeated, jittered(interval), deadline);
                last = Optional.of(outcome.state());
            }
        }

        private Outcome poll(RequestHandle handle, Consumer<TokenReply.Issued> taker) throws CommandException {
            try {
                TokenReply answer = pool.poll(handle);
                if (answer instanceof TokenReply.Issued issued) {
                    taker.accept(issued);
                }
                return answer instanceof TokenReply.Unknown unknown
                    ? new Outcome(PollState.UNKNOWN, Optional.of(unknown.words()), false)
                    : answer instanceof TokenReply.RateLimited ? new Outcome(PollState.RATE_LIMITED, Optional.empty(), false)
                    : Outcome.PENDING;
            } catch (IOException e) {
                return new Outcome(PollState.UNREACHABLE, Optional.of(e.getMessage()), e instanceof ResponseLostException);
            }
        }

        /** The pause before the next poll: grows with the time waited, and doubles with each failure in a row. */
        static Duration interval(Duration elapsed, Optional<Duration> wished, int failures) {
            Duration usual = wished.orElse(Duration.ofSeconds(
                elapsed.toSeconds() < 60 ? 1 : elapsed.toSeconds() < 600 ? 2 : 5));
            Duration longest = usual.compareTo(LONGEST_PAUSE) < 0 ? LONGEST_PAUSE : usual;
            Duration patient = usual.multipliedBy(1L << Math.min(failures, 5));
            return patient.compareTo(longest) < 0 ? patient : longest;
        }

        /** Ten percent more or less, so that many clients do not poll in step; exactly the user's -poll if given. */
        private Duration jittered(Duration pause) {
            return waitOptions.interval().isPresent() ? pause
                : Duration.ofMillis(Math.round(pause.toMillis() * (1 + JITTER * (2 * random.nextDouble() - 1))));
        }

        private void pause(RequestHandle handle, Outcome outcome, boolean repeated, Duration wanted, Instant deadline)
                throws CommandException {
            Duration most = Duration.between(clock.instant(), deadline);
            Duration pause = most.isNegative() ? Duration.ZERO : wanted.compareTo(most) < 0 ? wanted : most;
            ui.accept(new Event.Waiting(handle.requestId(), outcome.state(), outcome.detail(), repeated, pause));
            try {
                sleeper.sleep(pause);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new CommandException(ErrorCode.INTERNAL, "Interrupted.", "");
            }
        }

        private static CommandException unknown(RequestHandle handle, boolean replyLost) {
            return new CommandException(ErrorCode.REQUEST_UNKNOWN,
                "Failed to get a status update for token request: DAEMON:3:Request ID is not known.",
                List.of("The pool no longer has request " + handle.requestId()
                    + ": an administrator removed it, or the daemon restarted"
                    + (replyLost ? ", or the reply with the token was lost." : ".")),
                "Submit a new request; -resubmit does so automatically.");
        }

        CommandException timedOut(RequestHandle handle) {
            return new CommandException(ErrorCode.TIMED_OUT, "Request " + handle.requestId() + (waitOptions.timeout().isZero()
                ? " is not approved yet." : " was not approved within " + seconds(waitOptions.timeout()) + "."),
                "");
        }
    }

    // ==== 21. TokenInspector: compares the token with the request ====

    /** The pool's signing keys, readable only to an administrator on the central manager. */
    record SigningKeys(Optional<Configuration.Setting> directory, Optional<Configuration.Setting> poolKey, InputFiles files) {
        private static final int MAX_BYTES = 64 * 1024;

        static SigningKeys of(Configuration configuration, InputFiles files) {
            return new SigningKeys(configuration.find("SEC_PASSWORD_DIRECTORY"),
                configuration.find("SEC_TOKEN_POOL_SIGNING_KEY_FILE"), files);
        }

        /** The file of a key, for messages. */
        Path file(String keyId) {
            return isPoolKey(keyId) ? poolKey.get().path()
                : directory.map(Configuration.Setting::path).orElse(Path.of("/etc/condor/passwords.d")).resolve(keyId);
        }

        private boolean isPoolKey(String keyId) {
            return keyId.equals("POOL") && poolKey.isPresent();
        }

        /**
         * The 32-byte key that signs tokens; empty if it is unreadable. Its file is scrambled ({@link Protocol#SCRAMBLE}). The
         * key named POOL is doubled, as a pool password is (condor_utils/token_utils.cpp, condor_io/condor_auth_passwd.cpp).
         *
         * @param keyId as in the token; only a plain file name has a file
         */
        Optional<byte[]> read(String keyId) {
            if (!keyId.matches("[A-Za-z0-9_-][A-Za-z0-9._-]*")) {
                return Optional.empty();
            }
            try {
                byte[] key = KeyDerivation.unscramble(files.read(file(keyId), (isPoolKey(keyId) ? poolKey : directory)
                    .map(Configuration.Setting::origin).orElse(FileOrigin.DEFAULT), FilePurpose.SECRET, MAX_BYTES).bytes());
                return Optional.of(KeyDerivation.hkdf(keyId.equals("POOL") ? concat(key, key) : key,
                    KeyDerivation.ascii("htcondor"),
                    KeyDerivation.ascii("master jwt")));
            } catch (IOException e) {
                return Optional.empty();
            }
        }
    }

    /** Compares a token with its request. Never throws: the JSON event about the token is already half written. */
    static final class TokenInspector {
        /** How far the pool's clock may be ahead before a token's times cause a warning. */
        private static final Duration SKEW = Duration.ofSeconds(60);
        private static final String SCOPE = "condor:/";
        /** How many unrequested authorizations get a warning each. */
        private static final int MORE_MAX = 10;
        private final SigningKeys keys;
        private final Instant now;

        TokenInspector(SigningKeys keys, Instant now) {
            this.keys = keys;
            this.now = now;
        }

        /** @param local whether the pool runs on this machine, so that the keys here are its own */
        TokenInspection inspect(Secret token, TokenSpec spec, AuthResult auth, boolean local) {
            try {
                return IssuedToken.read(token.reveal()).map(issued -> inspect(issued, spec, auth, local))
                    .orElseGet(TokenInspector::unreadable);
            } catch (RuntimeException | Error e) {
                return unreadable();
            }
        }

        private static TokenInspection unreadable() {
            return new TokenInspection(false, List.of("the token's claims are unreadable."), Optional.empty());
        }

        private TokenInspection inspect(IssuedToken token, TokenSpec spec, AuthResult auth, boolean local) {
            List<String> warnings = new ArrayList<>();
            String identity = spec.identity().orElse("");
            if (!identity.equals(token.subject())) {
                warnings.add("the token's identity is " + token.subject() + ", not " + identity + " as requested.");
            }
            auth.trustDomain().filter(domain -> !domain.equals(token.issuer())).ifPresent(domain ->
                warnings.add("the token's issuer is " + token.issuer() + ", not the pool's trust domain " + domain + "."));
            scopes(token, spec, warnings);
            times(token, spec, warnings);
            Optional<byte[]> key = token.keyId().flatMap(keys::read);
            boolean verified = key.filter(token::isSignedWith).isPresent();
            if (key.isPresent() && !verified && local) {
                warnings.add("the token's signature does not match the key in " + keys.file(token.keyId().get()) + ".");
            }
            return new TokenInspection(verified, warnings.stream().map(TokenRequest::printable).toList(), Optional.of(token));
        }

        private static void scopes(IssuedToken token, TokenSpec spec, List<String> warnings) {
            List<String> granted = token.scopes().stream()
                .map(scope -> scope.startsWith(SCOPE) ? scope.substring(SCOPE.length()) : scope).toList();
            List<String> asked = spec.authorizations();
            if (asked.isEmpty() && !granted.isEmpty()) {
                warnings.add("the token is limited to " + String.join(", ", printable(granted))
                    + "; the request had no limit.");
            } else if (granted.isEmpty() && !asked.isEmpty()) {
                warnings.add("the token has no limit; the request had one.");
            } else {
                Set<String> had = Set.copyOf(granted);
                asked.stream().filter(level -> !had.contains(level))
                    .forEach(level -> warnings.add("the token lacks authorization " + level + "."));
                List<String> more = granted.stream().filter(level -> !asked.contains(level)).toList();
                more.stream().limit(MORE_MAX).forEach(level -> warnings.add("the token also has authorization " + level + "."));
                if (more.size() > MORE_MAX) {
                    warnings.add("the token also has " + (more.size() - MORE_MAX) + " more authorizations.");
                }
            }
        }

        private void times(IssuedToken token, TokenSpec spec, List<String> warnings) {
            Optional<Long> lifetime = token.issuedAt().flatMap(from -> token.expiration()
                .map(until -> Duration.between(from, until).toSeconds()));
            if (spec.lifetimeSeconds().isPresent()) {
                long asked = spec.lifetimeSeconds().getAsInt();
                if (token.expiration().isEmpty()) {
                    warnings.add("the token does not expire; the request said " + asked + " s.");
                }
                lifetime.filter(seconds -> seconds != asked).ifPresent(seconds ->
                    warnings.add("the token's lifetime is " + seconds + " s, not " + asked + " s as requested."));
            }
            token.expiration().filter(until -> !until.isAfter(now))
                .ifPresent(until -> warnings.add("the token expired at " + until + "."));
            Stream.of(token.notBefore(), token.issuedAt()).flatMap(Optional::stream).max(Comparator.naturalOrder())
                .filter(from -> from.isAfter(now.plus(SKEW))).ifPresent(from ->
                    warnings.add("the token is not valid before " + from + "; check this machine's clock."));
        }
    }

    // ==== 22. TokenWriter: the token file, its lock, the saved request ====

    /**
     * An open directory, whose files are created, examined, renamed and removed relative to its descriptor (openat(2)), so
     * that a later change of its path has no effect. Where the JDK lacks SecureDirectoryStream (macOS), paths are used.
     */
    static final class OpenDirectory implements Closeable {
        /** The links to this process's open files, by descriptor number. proc_pid_fd(5) */
        private static final Path DESCRIPTORS = Path.of("/proc/self/fd");
        /** Most directory entries that are searched for leftovers of a killed run. */
        private static final int MAX_ENTRIES = 100_000;
        private final Path path;
        private final Object key;
        private final DirectoryStream<Path> stream;
        private final Optional<SecureDirectoryStream<Path>> secure;
        private final Set<Integer> trusted;
        private final Host host;

        @SuppressWarnings("StreamResourceLeak") // closed by close()
        private OpenDirectory(Path path, Path opened, Host host) throws IOException {
            this.path = path;
            this.key = Files.readAttributes(path, BasicFileAttributes.class).fileKey();
            this.stream = Files.newDirectoryStream(opened);
            this.secure = stream instanceof SecureDirectoryStream<Path> safe ? Optional.of(safe) : Optional.empty();
            this.trusted = new HashSet<>(host.trusted());
            this.host = host;
        }

        /**
         * Opens a directory if only root and this user can redirect its path. If other users can change its entries, root
         * refuses it, and any other user gets a warning: others can remove or replace the files, but not read them.
         *
         * @param directory empty or a dot for the working directory, which nobody can replace
         * @param owner     owner of the files that will be written; if he owns the directory, any path to it is accepted
         * @throws UntrustedDirectoryException if other users can change it
         * @throws IOException                 if it cannot be opened
         */
        static OpenDirectory open(Path directory, Optional<UserPrincipal> owner, Host host, Consumer<String> warnings)
                throws IOException {
            Path path = directory.toRealPath();
            boolean here = directory.toString().isEmpty() || directory.equals(Path.of("."));
            OpenDirectory folder = new OpenDirectory(path, here ? directory : path, host);
            try {
                if (PathTrust.isPossible()) {
                    folder.check(here ? path : directory, here, owner, warnings);
                }
                return folder;
            } catch (IOException | RuntimeException e) {
                folder.close();
                throw e;
            }
        }

        @Override
        public void close() {
            try {
                stream.close();
            } catch (IOException e) {
                return; // only the descriptor is lost, and the process ends soon
            }
        }

        private void check(Path directory, boolean here, Optional<UserPrincipal> owner, Consumer<String> warnings)
                throws IOException {
            PosixFileAttributes opened = attributes();
            boolean his = owner.filter(opened.owner()::equals).isPresent();
            if (his) {
                trusted.add(PathTrust.Stat.of(path, LinkOption.NOFOLLOW_LINKS).uid());
            }
            PathTrust trust = PathTrust.of(his ? path : directory, trusted);
            if (!his && !here && trust.onPath().isPresent()) {
                throw new UntrustedDirectoryException(trust.onPath().get());
            }
            if (!trust.entry().map(PathTrust.Stat::key).equals(Optional.of(opened.fileKey())) || !opened.fileKey().equals(key)) {
                throw new IOException("its path changed while it was opened");
            }
            if (trust.atEnd().isPresent() && host.isRoot()) {
                throw new UntrustedDirectoryException(trust.atEnd().get());
            }
            trust.atEnd().ifPresent(weakness -> warnings.accept(weakness
                + ": other users cannot read the files in it, but they can remove or replace them."));
        }

        /** Creates a directory and its parents with mode 0700, unless other users can redirect the path. */
        static void make(Path directory, Host host) throws IOException {
            if (Files.isDirectory(directory)) {
                return;
            }
            Path there = directory.toAbsolutePath();
            while (Files.notExists(there, LinkOption.NOFOLLOW_LINKS)) {
                there = there.getParent();
            }
            if (PathTrust.isPossible()) {
                Optional<PathTrust.Weakness> weakness = PathTrust.of(there, host.trusted()).weakness();
                if (weakness.isPresent()) {
                    throw new UntrustedDirectoryException(weakness.get());
                }
            }
            Files.createDirectories(directory, withMode("rwx------"));
        }

        /** Other users can redirect a path or change a directory. The message is a clause that tells who and where. */
        static final class UntrustedDirectoryException extends IOException {
            private static final long serialVersionUID = 1L;
            private final String remedy;

            UntrustedDirectoryException(PathTrust.Weakness weakness) throws IOException {
                super(weakness.toString());
                boolean shared = PathTrust.Stat.of(weakness.at(), LinkOption.NOFOLLOW_LINKS).isSharedWritable();
                this.remedy = (shared ? "Run: chmod go-w " + quoted(weakness.at().toString())
                    : "If the token is for that user, add -owner")
                    + "; or use a directory created by: mktemp -d";
            }

            String remedy() {
                return remedy;
            }
        }

        /** The path without links at the time of opening. */
        Path path() {
            return path;
        }

        /** The current path of a file in it, as far as the system tells. */
        Path file(String name) {
            Path file = path.resolve(name);
            return isAt(file, name) ? file : currentPath().resolve(name);
        }

        private Path currentPath() {
            try (DirectoryStream<Path> descriptors = Files.newDirectoryStream(DESCRIPTORS)) {
                Object key = attributes().fileKey();
                for (Path descriptor : descriptors) {
                    if (Files.isDirectory(descriptor)
                            && key.equals(Files.readAttributes(descriptor, BasicFileAttributes.class).fileKey())) {
                        return Files.readSymbolicLink(descriptor);
                    }
                }
            } catch (IOException e) {
                return path;
            }
            return path;
        }

        private PosixFileAttributes attributes() throws IOException {
            return (secure.isPresent() ? secure.get().getFileAttributeView(PosixFileAttributeView.class)
                : Files.getFileAttributeView(path, PosixFileAttributeView.class)).readAttributes();
        }

        /** The attributes of an entry, without following a link; empty if it does not exist. */
        Optional<BasicFileAttributes> look(String name) throws IOException {
            try {
                return Optional.of((secure.isPresent()
                    ? secure.get().getFileAttributeView(Path.of(name), BasicFileAttributeView.class,
                        LinkOption.NOFOLLOW_LINKS)
                    : Files.getFileAttributeView(path.resolve(name), BasicFileAttributeView.class,
                        LinkOption.NOFOLLOW_LINKS)).readAttributes());
            } catch (NoSuchFileException e) {
                return Optional.empty();
            }
        }

        /** Whether a path still leads to the entry of that name in this directory. */
        boolean isAt(Path somewhere, String name) {
            try {
                Path directory = Objects.requireNonNullElse(somewhere.getParent(), Path.of(""));
                Object there = Files.readAttributes(somewhere, BasicFileAttributes.class, LinkOption.NOFOLLOW_LINKS).fileKey();
                return Objects.equals(key, Files.readAttributes(directory, BasicFileAttributes.class).fileKey())
                    && Objects.equals(there, look(name).map(BasicFileAttributes::fileKey).orElse(null));
            } catch (IOException e) {
                return false;
            }
        }

        /** Opens a file without following a link. A new file is created with mode 0600. */
        FileChannel open(String name, OpenOption... options) throws IOException {
            Set<OpenOption> all = new HashSet<>(Arrays.asList(options));
            all.add(LinkOption.NOFOLLOW_LINKS);
            return secure.isPresent() ? (FileChannel) secure.get().newByteChannel(Path.of(name), all, withMode("rw-------"))
                : FileChannel.open(path.resolve(name), all, withMode("rw-------"));
        }

        /**
         * The /proc path of the file that this process has opened under a name. It stays valid if the name is reused. Without
         * /proc, the plain path.
         */
        Path opened(String name) throws IOException {
            if (secure.isEmpty() || !Files.isDirectory(DESCRIPTORS)) {
                return path.resolve(name);
            }
            try (DirectoryStream<Path> descriptors = Files.newDirectoryStream(DESCRIPTORS)) {
                for (Path descriptor : descriptors) {
                    if (Files.isSymbolicLink(descriptor)
                            && Path.of(name).equals(Files.readSymbolicLink(descriptor).getFileName())) {
                        return descriptor;
                    }
                }
            }
            throw new NoSuchFileException(name, null, "another process renamed it");
        }

        /** Replaces a file atomically: write a temporary file, set owner and mode, fsync, rename, fsync the directory. */
        void replace(String name, byte[] content, FilePermissions permissions) throws IOException {
            write(name, content, permissions, true, true);
            forceDirectory();
        }

        /** Replaces a file atomically with mode 0600, without fsync. */
        void replaceUnsynced(String name, byte[] content) throws IOException {
            write(name, content, FilePermissions.OWN, false, true);
        }

        /** Tests {@link #replace} with a temporary file of that size, which is removed. */
        void probe(String name, int bytes, FilePermissions permissions) throws IOException {
            write(name, new byte[bytes], permissions, true, false);
        }

        /** Tests {@link #replaceUnsynced} in the same way. */
        void probeUnsynced(String name, int bytes) throws IOException {
            write(name, new byte[bytes], FilePermissions.OWN, false, false);
        }

        /**
         * Writes a temporary file. It is locked while it is open, so that another run does not remove it as a leftover.
         *
         * @param keeping whether to rename it to its name; otherwise it is removed
         */
        private void write(String name, byte[] content, FilePermissions permissions, boolean forcing, boolean keeping)
            throws IOException {
            String temporary = temporaryPrefix(name) + host.randomHex(8) + ".tmp";
            try (FileChannel file = createLocked(temporary)) {
                ByteBuffer bytes = ByteBuffer.wrap(content);
                while (bytes.hasRemaining()) {
                    file.write(bytes);
                }
                if (!permissions.isDefault()) {
                    grant(opened(temporary), permissions);
                }
                if (forcing) {
                    file.force(true);
                }
                if (keeping) {
                    rename(temporary, name);
                } else {
                    remove(temporary);
                }
            } catch (IOException | RuntimeException | Error e) {
                try {
                    remove(temporary);
                } catch (IOException worse) {
                    e.addSuppressed(worse);
                }
                throw e;
            }
        }

        /** Creates and locks a file. Retries once if another run removed it as a leftover before it was locked. */
        private FileChannel createLocked(String temporary) throws IOException {
            FileChannel file = create(temporary);
            if (!tryLock(file) || look(temporary).isEmpty()) {
                file.close();
                remove(temporary);
                file = create(temporary);
                tryLock(file);
            }
            return file;
        }

        private FileChannel create(String temporary) throws IOException {
            return open(temporary, StandardOpenOption.CREATE_NEW, StandardOpenOption.READ, StandardOpenOption.WRITE);
        }

        private void forceDirectory() {
            try (FileChannel directory = secure.isPresent() ? open(".", StandardOpenOption.READ)
                    : FileChannel.open(path, StandardOpenOption.READ)) {
                directory.force(true);
            } catch (IOException e) {
                return; // the file is renamed; some file systems cannot fsync a directory
            }
        }

        /** The prefix of temporary files. It starts with a dot, so that HTCondor does not read them as tokens. */
        private static String temporaryPrefix(String name) {
            return (name.startsWith(".") ? "" : ".") + name + ".";
        }

        /**
         * Locks a whole file; false if another process holds the lock.
         *
         * @throws IOException if the file system does not support locks
         */
        static boolean lock(FileChannel file) throws IOException {
            try {
                return file.tryLock() != null;
            } catch (OverlappingFileLockException e) {
                return false;
            }
        }

        /** Like {@link #lock}, but true on a file system without locks, where leftovers stay. */
        private static boolean tryLock(FileChannel file) {
            try {
                return lock(file);
            } catch (IOException e) {
                return true;
            }
        }

        private static void grant(Path path, FilePermissions permissions) throws IOException {
            PosixFileAttributeView view = Files.getFileAttributeView(path, PosixFileAttributeView.class);
            if (view == null) {
                throw new IOException("this file system does not support owners and modes");
            }
            UserPrincipalLookupService users = path.getFileSystem().getUserPrincipalLookupService();
            if (permissions.group().isPresent()) {
                view.setGroup(lookUp("group", permissions.group().get(), users::lookupPrincipalByGroupName));
            }
            view.setPermissions(PosixFilePermissions.fromString(permissions.mode()));
            if (permissions.owner().isPresent()) {
                view.setOwner(user(permissions.owner().get()));
            }
        }

        static UserPrincipal user(String name) throws IOException {
            return lookUp("user", name, FileSystems.getDefault().getUserPrincipalLookupService()::lookupPrincipalByName);
        }

        private interface Lookup<T> {
            T of(String name) throws IOException;
        }

        /** Looks up a user or group. The message is made here, since newer JDKs omit the name. */
        private static <T> T lookUp(String kind, String name, Lookup<T> lookup) throws IOException {
            try {
                return lookup.of(name);
            } catch (UserPrincipalNotFoundException e) {
                throw new IOException("no such " + kind + ": " + name, e);
            }
        }

        private void rename(String from, String to) throws IOException {
            if (secure.isPresent()) {
                secure.get().move(Path.of(from), secure.get(), Path.of(to));
            } else {
                Files.move(path.resolve(from), path.resolve(to), StandardCopyOption.ATOMIC_MOVE);
            }
        }

        /** Removes a file if it exists. */
        void remove(String name) throws IOException {
            try {
                if (secure.isPresent()) {
                    secure.get().deleteFile(Path.of(name));
                } else {
                    Files.delete(path.resolve(name));
                }
            } catch (NoSuchFileException e) {
                return;
            }
        }

        /** Removes the temporary files that a killed run left for this name. */
        void sweep(String name) {
            sweep(Pattern.compile(Pattern.quote(temporaryPrefix(name)) + "[0-9a-f]{16}\\.tmp"));
        }

        /** Removes unlocked temporary files of killed runs, by the pattern of their names. */
        void sweep(Pattern temporaries) {
            int entries = 0;
            try (DirectoryStream<Path> names = secure.isPresent() ? secure.get().newDirectoryStream(Path.of("."))
                    : Files.newDirectoryStream(path)) {
                for (Path entry : names) {
                    String name = entry.getFileName().toString();
                    if (name.startsWith(".") && temporaries.matcher(name).matches()) {
                        removeLeftover(name);
                    } else if (++entries > MAX_ENTRIES) {
                        return;
                    }
                }
            } catch (IOException | DirectoryIteratorException e) {
                return; // leftovers are harmless
            }
        }

        private void removeLeftover(String name) throws IOException {
            if (look(name).filter(BasicFileAttributes::isRegularFile).isEmpty()) {
                return;
            }
            try (FileChannel file = open(name, StandardOpenOption.READ, StandardOpenOption.WRITE)) {
                if (isOurs(name) && lock(file)) {
                    remove(name);
                }
            } catch (IOException e) {
                return; // another user's file, or a file system without locks
            }
        }

        /** Whether an opened file is regular, has one link, and belongs to this user, root or the directory's owner. */
        boolean isOurs(String name) throws IOException {
            if (!PathTrust.isPossible()) {
                return true;
            }
            PathTrust.Stat entry = PathTrust.Stat.of(opened(name));
            return entry.type() == PathTrust.Type.REGULAR && entry.links() == 1 && trusted.contains(entry.uid());
        }
    }

    /**
     * Prevents two runs from writing the same destination: a lock on the file {@code .NAME.lock} beside it, which contains
     * the holder. The file is opened once, and never renamed or removed: POSIX releases a process's locks on a file when any
     * of its descriptors of that file is closed. fcntl_locking(2)
     *
     * @param channel open until the lock is released
     */
    record DestinationLock(FileChannel channel) implements Closeable {
        private static final String PREFIX = "condor_token_request: ";
        private static final int MAX_BYTES = 300;

        /**
         * Takes the lock; empty, with a warning, if the lock file cannot be used.
         *
         * @param destination for messages
         * @throws CommandException DESTINATION_BUSY
         * @throws IOException      if this process has too many open files
         */
        static Optional<DestinationLock> take(OpenDirectory folder, String name, Path destination, Host host,
                Consumer<String> warnings) throws IOException, CommandException {
            String file = "." + name + ".lock";
            try {
                FileChannel channel = open(folder, file);
                try {
                    if (!folder.isOurs(file) || !isLock(channel)) {
                        throw new IOException("it belongs to another user or is not a lock file");
                    }
                    if (!OpenDirectory.lock(channel)) {
                        throw busy(destination, channel);
                    }
                    writeHolder(channel, host);
                    return Optional.of(new DestinationLock(channel));
                } catch (IOException | CommandException | RuntimeException e) {
                    channel.close();
                    throw e;
                }
            } catch (IOException e) {
                if (String.valueOf(e.getMessage()).contains("Too many open files")) {
                    throw e; // a limit of this process, so that nothing else would work, either
                }
                warnings.accept("another run could write to " + destination + " at the same time: cannot use its lock file "
                    + folder.path().resolve(file) + ": " + withErrno(reason(e)) + ".");
                return Optional.empty();
            }
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }

        /** Opens the lock file; only a regular file is opened. */
        private static FileChannel open(OpenDirectory folder, String file) throws IOException {
            try {
                return folder.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.READ, StandardOpenOption.WRITE);
            } catch (FileAlreadyExistsException e) {
                if (folder.look(file).filter(BasicFileAttributes::isRegularFile).isEmpty()) {
                    throw new IOException("it is not a regular file");
                }
                return folder.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE);
            }
        }

        /** Whether a file is a lock file: it has the prefix, or is empty because the run that created it was killed. */
        private static boolean isLock(FileChannel channel) throws IOException {
            String text = text(channel);
            return text.isEmpty() || text.startsWith(PREFIX);
        }

        private static String text(FileChannel channel) throws IOException {
            ByteBuffer bytes = ByteBuffer.allocate(MAX_BYTES);
            int length = channel.read(bytes, 0);
            return new String(bytes.array(), 0, Math.max(0, length), UTF_8);
        }

        private static CommandException busy(Path destination, FileChannel channel) throws IOException {
            String holder = text(channel).lines().findFirst().filter(line -> line.startsWith(PREFIX))
                .map(line -> ": " + printable(line.substring(PREFIX.length()))).orElse("");
            return new CommandException(ErrorCode.DESTINATION_BUSY, "Another run is waiting for a token for "
                + printable(destination.toString()) + holder + ".", "Wait until it ends, or stop it.");
        }

        private static void writeHolder(FileChannel channel, Host host) {
            String holder = PREFIX + "process " + ProcessHandle.current().pid() + " on " + host.name() + " since "
                + Json.time(host.clock().instant()) + "\n";
            try {
                channel.truncate(0).write(ByteBuffer.wrap(holder.getBytes(UTF_8)), 0);
            } catch (IOException e) {
                return; // the lock holds; only the holder's name is missing
            }
        }
    }

    /** A checked and opened destination of the token. */
    sealed interface Destination extends Closeable {
        /** The program's stdout; with {@code -json}, its event delivers the token. */
        record Stdout() implements Destination { }

        /** The program's stderr. */
        record Stderr(Path file) implements Destination { }

        /** A terminal, /dev/null, or an inherited descriptor such as a pipe. */
        record Device(Path file, FileChannel channel) implements Destination { }

        /** A file that is replaced atomically. */
        record RegularFile(Path file, OpenDirectory folder, String name, FilePermissions permissions,
                           Optional<DestinationLock> lock)
            implements Destination { }

        /** The path as typed; empty for stdout. */
        default Optional<Path> path() {
            return this instanceof RegularFile whole ? Optional.of(whole.file())
                : this instanceof Device device ? Optional.of(device.file())
                : this instanceof Stderr stderr ? Optional.of(stderr.file()) : Optional.empty();
        }

        @Override
        default void close() {
            try {
                if (this instanceof RegularFile whole) {
                    whole.folder().close();
                    if (whole.lock().isPresent()) {
                        whole.lock().get().close();
                    }
                } else if (this instanceof Device device) {
                    device.channel().close();
                }
            } catch (IOException e) {
                return; // the token is already written
            }
        }
    }

    /**
     * Saves a pending request, and, as the last resort, the token, in the first of several directories that accepts it. Files
     * are created with mode 0600 and replaced atomically. In the token directory their names start with a dot, so that
     * HTCondor does not read them as tokens.
     */
    static final class StateStore {
        private static final String REQUEST = "pending-token-request-";
        private static final String TOKEN = "rescued-token-";
        private static final Pattern TEMPORARY = Pattern.compile("\\.(" + REQUEST + "|" + TOKEN + ").*\\.[0-9a-f]{16}\\.tmp");
        /** Larger than a saved request or a token. */
        private static final int PROBE_BYTES = 8192;
        private static final int MAX_BYTES = 1 << 16;
        /** Longest pool name in a file name, characters. */
        private static final int MAX_POOL = 60;
        private static final int HASH_BYTES = 6;
        private final Host host;
        private final List<Candidate> candidates = new ArrayList<>();
        private final Optional<String> source;
        private final List<String> complaints = new ArrayList<>();
        private Optional<Path> unsynced = Optional.empty();

        /**
         * A candidate directory.
         *
         * @param chosen whether the user chose it
         * @param making whether to create it if it does not exist
         * @param folder the directory, if it is already open
         * @param prefix of the file names in it
         */
        private record Candidate(String directory, boolean chosen, boolean making, Optional<OpenDirectory> folder,
                                 String prefix) {
            OpenDirectory open(Host host) throws IOException {
                return folder.isPresent() ? folder.get() : OpenDirectory.open(Path.of(directory), Optional.empty(), host, line
                    -> { });
            }

            void close(OpenDirectory opened) {
                if (folder.isEmpty()) {
                    opened.close();
                }
            }
        }

        /**
         * @param directory chosen by the user, tried first
         * @param source    file of the resumed request
         */
        StateStore(Optional<String> directory, Optional<String> source, Destination destination, Host host) {
            this.host = host;
            this.source = source;
            if (directory.isPresent()) {
                candidates.add(new Candidate(directory.get(), true, true, Optional.empty(), ""));
            }
            if (host.home().isPresent()) {
                candidates.add(new Candidate(host.home().get().resolve(".condor").toString(), false, true, Optional.empty(), ""));
            }
            if (destination instanceof Destination.RegularFile whole) {
                candidates.add(new Candidate(whole.folder().path().toString(), false, false, Optional.of(whole.folder()), "."));
            }
            candidates.add(new Candidate("", false, false, Optional.empty(), ""));
        }

        /**
         * Tests, before the request, whether a directory accepts files, and removes leftovers of a killed run.
         *
         * @param needed   whether the request would be lost without a directory
         * @param warnings receives a warning if no directory accepts files
         * @throws CommandException USAGE if the chosen directory does not; DESTINATION if none does and one is needed
         */
        void check(boolean needed, Consumer<String> warnings) throws CommandException {
            complaints.clear();
            for (Candidate candidate : candidates) {
                try {
                    boolean isNew = candidate.making() && !candidate.chosen() && !Files.exists(Path.of(candidate.directory()));
                    OpenDirectory folder = made(candidate);
                    try {
                        folder.probeUnsynced(candidate.prefix() + REQUEST, PROBE_BYTES);
                        if (isNew) {
                            Files.delete(folder.path());
                        } else {
                            folder.sweep(TEMPORARY);
                        }
                        return;
                    } finally {
                        candidate.close(folder);
                    }
                } catch (IOException | InvalidPathException e) {
                    complain(candidate, e);
                    if (candidate.chosen()) {
                        throw new CommandException(ErrorCode.USAGE, ArgumentParser.PROGRAM + ": Invalid argument for -state: "
                            + complaints.get(0) + ".", "Choose a directory that you can write to.");
                    }
                }
            }
            if (needed) {
                throw new CommandException(ErrorCode.DESTINATION,
                    "The request cannot be saved in any directory, so it could not be resumed.",
                    complaints(), "Choose a directory with -state, or use -json, which prints what -resume needs.");
            }
            warnings.accept(unsavedWarning());
        }

        private OpenDirectory made(Candidate candidate) throws IOException {
            if (candidate.making()) {
                OpenDirectory.make(Path.of(candidate.directory()), host);
            }
            return candidate.open(host);
        }

        private void complain(Candidate candidate, Exception e) {
            complaints.add((candidate.directory().isEmpty() ? "the working directory" : printable(candidate.directory())) + ": "
                + (e instanceof IOException io ? withErrno(reason(io)) : "it is not a file name"));
        }

        /** Why the last file could not be saved, one line per directory. */
        synchronized List<String> complaints() {
            return List.copyOf(complaints);
        }

        /** These reasons as a warning about a request. */
        String unsavedWarning() {
            return "the request cannot be saved, so a wait that is interrupted cannot be resumed ("
                + String.join("; ", complaints()) + "); choose another directory with -state.";
        }

        /**
         * Saves a request as the JSON line that {@code -resume} reads. The file exists at once; {@link #sync} forces it to
         * the disk.
         *
         * @return the file; empty if no directory accepts it, then {@link #unsavedWarning} says why
         */
        Optional<Path> save(PendingRequest pending, String line) {
            Optional<Path> file = store(name(pending), line.getBytes(UTF_8), false);
            unsynced = file;
            return file.isEmpty() && source.isPresent() && Files.isRegularFile(Path.of(source.get()))
                ? source.map(Path::of) : file;
        }

        /** Forces the saved request to the disk (fsync). */
        void sync() {
            if (unsynced.isPresent()) {
                force(unsynced.get());
                unsynced = Optional.empty();
            }
        }

        private void force(Path file) {
            try (FileChannel saved = FileChannel.open(file, StandardOpenOption.READ, LinkOption.NOFOLLOW_LINKS);
                    FileChannel directory = FileChannel.open(file.getParent(), StandardOpenOption.READ)) {
                saved.force(true);
                directory.force(true);
            } catch (IOException e) {
                return; // it is saved; the system writes it to the disk later
            }
        }

        /**
         * Saves a token that could not be written to its destination.
         *
         * @return the file; empty if no directory accepts it
         */
        Optional<Path> saveToFallback(Secret token) {
            return store(TOKEN + host.randomHex(4), (token.reveal() + "\n").getBytes(US_ASCII), true);
        }

        /** Saves a file in the first directory that accepts it. A signal's thread may call this, too. */
        private synchronized Optional<Path> store(String name, byte[] content, boolean forcing) {
            complaints.clear();
            for (Candidate candidate : candidates) {
                try {
                    OpenDirectory folder = made(candidate);
                    try {
                        String whole = candidate.prefix() + name;
                        if (forcing) {
                            folder.replace(whole, content, FilePermissions.OWN);
                        } else {
                            folder.replaceUnsynced(whole, content);
                        }
                        return Optional.of(folder.file(whole));
                    } finally {
                        candidate.close(folder);
                    }
                } catch (IOException | InvalidPathException e) {
                    complain(candidate, e);
                }
            }
            return Optional.empty();
        }

        /** Deletes the saved files of a request that has ended, also under the name that version 1.0 used. */
        void delete(PendingRequest pending) {
            List<String> names = List.of(name(pending), "." + name(pending), REQUEST + pending.handle().requestId() + ".json");
            for (Candidate candidate : candidates) {
                remove(candidate, names, pending);
            }
            if (source.isPresent() && source.get().matches("(.*/)?\\.?" + REQUEST + "[^/]*\\.json")) {
                Path file = Path.of(source.get());
                remove(new Candidate(Objects.requireNonNullElse(file.getParent(), Path.of("")).toString(), false, false,
                    Optional.empty(), ""), List.of(file.getFileName().toString()), pending);
            }
        }

        private void remove(Candidate candidate, List<String> names, PendingRequest pending) {
            try {
                OpenDirectory folder = candidate.open(host);
                try {
                    for (String name : names) {
                        if (holds(folder, name, pending)) {
                            folder.remove(name);
                        }
                    }
                } finally {
                    candidate.close(folder);
                }
            } catch (IOException | InvalidPathException e) {
                return; // harmless: to resume it fails, since the pool does not know the request
            }
        }

        /** Whether a file contains this request, and not another one with the same ID. */
        private static boolean holds(OpenDirectory folder, String name, PendingRequest pending) throws IOException {
            if (folder.look(name).filter(BasicFileAttributes::isRegularFile).isEmpty()) {
                return false;
            }
            try (FileChannel file = folder.open(name, StandardOpenOption.READ)) {
                ByteBuffer bytes = ByteBuffer.allocate(MAX_BYTES);
                while (bytes.hasRemaining() && file.read(bytes) >= 0) { }
                return new String(bytes.array(), 0, bytes.position(), UTF_8).contains(pending.handle().clientId().reveal());
            }
        }

        /**
         * The file name of a saved request. The hash of the address and the secret client ID makes it unique across pools, and
         * other users cannot predict it.
         */
        private static String name(PendingRequest pending) {
            String pool = pending.query().pool().orElse(pending.address()).replaceAll("[^A-Za-z0-9.-]+", "_");
            byte[] hash = KeyDerivation.sha256().digest((pending.address() + "\n"
                + pending.handle().clientId().reveal()).getBytes(UTF_8));
            return REQUEST + pool.substring(0, Math.min(pool.length(), MAX_POOL)) + "-" + pending.handle().requestId() + "-"
                + HexFormat.of().formatHex(hash, 0, HASH_BYTES) + ".json";
        }
    }

    /**
     * Writes the token to its destination, or to a fallback if that fails. Token files are created with mode 0600, get their
     * owner and mode before they are renamed, and are replaced atomically.
     */
    static final class TokenWriter {
        /** Larger than a token, so that a disk with room for the probe has room for the token. */
        private static final int PROBE_BYTES = 8192;
        /** Larger than the JSON output of a day. */
        private static final int MAX_LOG_BYTES = 1 << 20;
        private static final String OTHER_DIRECTORY = "Choose another place: -file PATH, or SEC_TOKEN_DIRECTORY.";
        private final Host host;
        private final Deadline deadline;
        private final Consumer<String> warnings;

        TokenWriter(Host host, Deadline deadline, Consumer<String> warnings) {
            this.host = host;
            this.deadline = deadline;
            this.warnings = warnings;
        }

        /**
         * Tests, before the request, that the destination is writable, and opens and locks it.
         *
         * @throws CommandException DESTINATION, DESTINATION_BUSY
         */
        Destination prepare(Output output, TokenDirectory tokens) throws CommandException {
            if (output instanceof Output.Token token) {
                if (token.name().isEmpty() || token.name().indexOf('/') >= 0 || token.name().indexOf(0) >= 0
                        || token.name().equals(".") || token.name().equals("..")) {
                    throw new CommandException(ErrorCode.DESTINATION, "Token name isn't a plain filename", "'"
                        + printable(token.name()) + "' must be a file name in " + tokens.path()
                        + "; for another directory use -file PATH.");
                }
                return checkToken(makeDirectory(tokens.path()).resolve(Host.path(token.name(), "-token")), token.permissions());
            }
            return output instanceof Output.File file ? check(Host.path(file.path(), "-file"), file.permissions())
                : new Destination.Stdout();
        }

        private Path makeDirectory(Path directory) throws CommandException {
            try {
                OpenDirectory.make(directory, host);
                return directory;
            } catch (AccessDeniedException e) {
                throw unwritable(directory.toString(), e).withHint(OTHER_DIRECTORY);
            } catch (IOException e) {
                throw unwritable(directory.toString(), e);
            }
        }

        /** Checks a file in the token directory. Without permission to write there, the user can choose another place. */
        private Destination checkToken(Path path, FilePermissions permissions) throws CommandException {
            try {
                return check(path, permissions);
            } catch (CommandException failure) {
                throw failure.getCause() instanceof AccessDeniedException ? failure.withHint(OTHER_DIRECTORY) : failure;
            }
        }

        private Destination check(Path path, FilePermissions permissions) throws CommandException {
            try {
                Path directory = Objects.requireNonNullElse(path.getParent(), Path.of(""));
                if (path.getFileName() == null) {
                    throw new FileSystemException(path.toString(), null, "Is a directory");
                }
                String name = path.getFileName().toString();
                Optional<Destination> stream = stream(path, directory.toRealPath(), name);
                if (stream.isEmpty()) {
                    return whole(path, directory, name, permissions);
                }
                if (!permissions.isDefault()) {
                    throw new IOException("it is not a regular file, so -owner and -mode cannot be set");
                }
                return stream.get();
            } catch (IOException e) {
                throw unwritable(path.toString(), e);
            }
        }

        /**
         * The destination for a path that is not a replaceable file: a standard stream, which is never reopened (that would
         * overwrite the start of a log, and fails for a socket); an inherited descriptor, such as bash's {@code >(command)};
         * /dev/null or /dev/tty.
         */
        private Optional<Destination> stream(Path path, Path directory, String name) throws IOException {
            boolean devices = directory.equals(Path.of("/dev"));
            if ((devices && name.equals("stdout")) || (isDescriptors(directory) && name.equals("1"))) {
                return Optional.of(new Destination.Stdout());
            }
            if ((devices && name.equals("stderr")) || (isDescriptors(directory) && name.equals("2"))) {
                return Optional.of(new Destination.Stderr(path));
            }
            if (isDescriptors(directory) && name.matches("[0-9]{1,9}")) {
                return Optional.of(device(path, EnumSet.of(PathTrust.Type.PIPE, PathTrust.Type.CHARACTERS), isForWriting(name)));
            }
            return !devices || !(name.equals("null") || name.equals("tty")) || !Files.exists(path) ? Optional.empty()
                : Optional.of(device(path, EnumSet.of(PathTrust.Type.CHARACTERS), true));
        }

        /** Whether a path without links is this process's descriptor directory. proc_pid_fd(5), fd(4) */
        private static boolean isDescriptors(Path directory) throws IOException {
            return directory.equals(Path.of("/dev/fd")) || (directory.startsWith("/proc") && directory.endsWith("fd")
                && directory.startsWith(Path.of("/proc/self").toRealPath()));
        }

        /** Whether a descriptor is open for writing; the JDK's own files are not. proc_pid_fdinfo(5) */
        private static boolean isForWriting(String number) throws IOException {
            Path facts = Path.of("/proc/self/fdinfo", number);
            if (!Files.exists(facts)) {
                return true; // a system without /proc
            }
            return Files.readAllLines(facts).stream().filter(line -> line.startsWith("flags:"))
                .anyMatch(line -> (Integer.parseInt(line.substring(6).strip(), 8) & 3) != 0);
        }

        /** Opens the device now, since opening a pipe may block. */
        private Destination device(Path path, Set<PathTrust.Type> types, boolean forWriting) throws IOException {
            PathTrust.Type type = PathTrust.Stat.of(path).type();
            if (!types.contains(type)) {
                throw new IOException("it is " + type.words() + ", which a token is not written to");
            }
            if (!forWriting) {
                throw new IOException("it is not open for writing");
            }
            return new Destination.Device(path, deadline.await("the opening of " + path, () ->
                FileChannel.open(path, StandardOpenOption.WRITE)));
        }

        private Destination whole(Path path, Path directory, String name, FilePermissions permissions) throws IOException,
            CommandException {
            Optional<UserPrincipal> owner = Optional.empty();
            if (permissions.owner().isPresent()) {
                owner = Optional.of(OpenDirectory.user(permissions.owner().get()));
            }
            OpenDirectory folder = OpenDirectory.open(directory, owner, host, warnings);
            try {
                Optional<BasicFileAttributes> there = folder.look(name);
                if (there.isPresent()) {
                    checkReplaceable(folder, name, there.get());
                }
                folder.probe(name, PROBE_BYTES, permissions);
                Optional<DestinationLock> lock = DestinationLock.take(folder, name, path, host, warnings);
                if (lock.isPresent()) {
                    folder.sweep(name);
                }
                return new Destination.RegularFile(path, folder, name, permissions, lock);
            } catch (IOException | CommandException | RuntimeException e) {
                folder.close();
                throw e;
            }
        }

        /** Rejects an existing entry that cannot be replaced by a rename, or that must not receive a token. */
        private void checkReplaceable(OpenDirectory folder, String name, BasicFileAttributes there) throws IOException {
            Path path = folder.path().resolve(name);
            if (there.isSymbolicLink()) {
                throw new IOException(withErrno("File exists") + "; it is a symbolic link, which is not followed");
            } else if (there.isDirectory()) {
                throw new FileSystemException(path.toString(), null, "Is a directory");
            } else if (!PathTrust.isPossible()) {
                return;
            } else if (!there.isRegularFile()) {
                throw new IOException("it is " + PathTrust.Stat.of(path, LinkOption.NOFOLLOW_LINKS).type().words()
                    + ", which a token is not written to");
            }
            PathTrust.Stat file = PathTrust.Stat.of(path, LinkOption.NOFOLLOW_LINKS);
            PathTrust.Stat directory = PathTrust.Stat.of(folder.path());
            if (directory.isSticky() && !host.isRoot() && host.uid().orElse(-1) != file.uid()
                    && host.uid().orElse(-1) != directory.uid()) {
                throw new IOException(withErrno("Operation not permitted") + "; it belongs to " + printable(Files.getOwner(path,
                    LinkOption.NOFOLLOW_LINKS).getName()) + ", who alone can replace it in a sticky directory");
            }
            if (isMountPoint(path)) {
                throw new IOException(withErrno("Device or resource busy") + "; it is a mount point, which cannot be replaced. "
                    + "Mount its directory instead");
            }
        }

        /** Whether the path is a mount point, such as a single file mounted in a container. proc_pid_mountinfo(5) */
        private static boolean isMountPoint(Path path) throws IOException {
            Path mounts = Path.of("/proc/self/mountinfo");
            if (!Files.exists(mounts)) {
                return false;
            }
            String point = path.toString().replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")
                .replace("\n", "\\012");
            return new String(Files.readAllBytes(mounts), UTF_8).lines().map(line -> line.split(" ", 6))
                .anyMatch(fields -> fields.length > 4 && fields[4].equals(point));
        }

        private static CommandException unwritable(String path, IOException e) {
            String message = "Cannot write token to " + printable(path) + ": " + withErrno(reason(e));
            CommandException failure = e instanceof OpenDirectory.UntrustedDirectoryException untrusted
                ? new CommandException(ErrorCode.DESTINATION, message,
                    List.of("Other users could replace the token or redirect it."), untrusted.remedy())
                : new CommandException(ErrorCode.DESTINATION, message, "No request was sent.");
            failure.initCause(e);
            return failure;
        }

        /**
         * Where the token was written.
         *
         * @param file    empty for stdout
         * @param problem why it is not at the requested destination; empty if it is
         */
        record Delivery(Optional<Path> file, Optional<CommandException> problem) { }

        /**
         * Writes the token to its destination; if that fails, to a file in the state directory; if that fails, too, to
         * stdout, which may be a log.
         *
         * @param onStdout creates the output for stdout, given the problem with the file, if any
         * @throws CommandException NOT_WRITTEN if all of these fail
         */
        Delivery deliver(Secret token, Destination destination, StateStore states,
                Function<Optional<String>, byte[]> onStdout) throws CommandException {
            String problem;
            try {
                return write(token, destination, onStdout);
            } catch (IOException | RuntimeException e) {
                problem = destination.path().map(file -> "Failed to write token to " + file + ": ").orElse("")
                    + (e instanceof IOException io ? withErrno(reason(io)) : e.toString());
            }
            Optional<Path> file = states.saveToFallback(token);
            if (file.isPresent()) {
                return new Delivery(file, Optional.of(new CommandException(ErrorCode.NOT_WRITTEN, problem,
                    "The pool sends a token only once, so it was saved in " + file.get() + ".")));
            }
            if (destination.path().isPresent() && print(onStdout.apply(Optional.of(problem)))) {
                return new Delivery(Optional.empty(), Optional.of(new CommandException(ErrorCode.NOT_WRITTEN, problem,
                    states.complaints(),
                    "The pool sends a token only once, so it was written to stdout instead.")));
            }
            throw new CommandException(ErrorCode.NOT_WRITTEN, problem, states.complaints(),
                "The token could not be saved and is lost. Request a new one.");
        }

        private Delivery write(Secret token, Destination destination, Function<Optional<String>, byte[]> onStdout)
                throws IOException {
            byte[] line = (token.reveal() + "\n").getBytes(US_ASCII);
            if (destination instanceof Destination.RegularFile whole) {
                whole.folder().replace(whole.name(), line, whole.permissions());
                return whole.folder().isAt(whole.file(), whole.name()) ? new Delivery(destination.path(), Optional.empty())
                    : moved(whole);
            }
            if (destination instanceof Destination.Device device) {
                ByteBuffer bytes = ByteBuffer.wrap(line);
                while (bytes.hasRemaining()) {
                    device.channel().write(bytes);
                }
            } else if (destination instanceof Destination.Stderr) {
                host.err().write(line, 0, line.length);
                if (host.err().checkError()) {
                    throw new IOException("stderr is not writable");
                }
            } else if (!print(onStdout.apply(Optional.empty()))) {
                throw new IOException("The token was received, but stdout is not writable.");
            }
            return new Delivery(destination.path(), Optional.empty());
        }

        /** The directory was moved during the wait: the token is in it, but not at the typed path. */
        private static Delivery moved(Destination.RegularFile whole) {
            Path file = whole.folder().file(whole.name());
            return new Delivery(Optional.of(file), Optional.of(new CommandException(ErrorCode.NOT_WRITTEN,
                "The token was written, but "
                + whole.file() + " no longer leads to it.", "It is in " + file + ".")));
        }

        /**
         * Writes to stdout.
         *
         * @return whether that succeeded
         */
        boolean print(byte[] line) {
            host.out().write(line, 0, line.length);
            return !host.out().checkError();
        }

        /**
         * Reads the last enqueued request from the JSON Lines of an earlier run.
         *
         * @param source a file, or "-" for stdin
         * @throws CommandException USAGE
         */
        SavedRequest readSaved(String source, InputFiles files) throws CommandException {
            try {
                InputFiles.Input log = source.equals("-") ? files.stdin(MAX_LOG_BYTES)
                    : files.read(Path.of(source), FileOrigin.USER, FilePurpose.SECRET, MAX_LOG_BYTES);
                Optional<SavedRequest> last = Optional.empty();
                for (String line : new String(log.bytes(), UTF_8).lines().filter(line -> !line.isBlank()).toList()) {
                    Json.Fields event = new Json.Fields(Json.object(new StringReader(line)));
                    if (event.string("event").equals(Optional.of("enqueued"))) {
                        last = Optional.of(new SavedRequest(PendingRequest.of(event), line + "\n", Optional.empty()));
                    }
                }
                SavedRequest saved = last.orElseThrow(() -> unreadable(source, "it does not contain an \"enqueued\" event"));
                Optional<String> reason = source.equals("-") ? Optional.empty() : untrustedReason(source, log);
                return reason.isEmpty() ? saved : asUntrusted(saved, reason);
            } catch (JsonProcessingException e) {
                throw unreadable(source, "it is not JSON with one object per line");
            } catch (InvalidPathException e) {
                throw unreadable(source, "it is not a file name");
            } catch (InputFiles.RefusedFileException e) {
                throw unreadable(source, "it " + reason(e));
            } catch (IllegalArgumentException e) {
                throw unreadable(source, "its \"enqueued\" event has no valid " + printable(e.getMessage()));
            } catch (IOException e) {
                throw unreadable(source, withErrno(reason(e)));
            }
        }

        /** Why other users could have written a file; empty if only this user can write to it. */
        private static Optional<String> untrustedReason(String source, InputFiles.Input log) {
            return log.weakness().map(Object::toString)
                .or(() -> Optional.of(source + " does not belong to this user").filter(words -> !log.isOurs()));
        }

        /** A copy marked as written by others, also in its JSON line, which is saved again in a file of this user. */
        private static SavedRequest asUntrusted(SavedRequest saved, Optional<String> reason) throws IOException {
            PendingRequest pending = saved.pending().from(NameSource.OTHERS_FILE);
            Map<String, Object> fields = Json.object(new StringReader(saved.line()));
            fields.putAll(pending.server().fields());
            return new SavedRequest(pending, Json.line(fields), reason);
        }

        private static CommandException unreadable(String source, String reason) {
            return new CommandException(ErrorCode.USAGE, ArgumentParser.PROGRAM + ": Invalid argument for -resume: "
                + printable(source) + ": " + reason + ".",
                "Give a file with the \"enqueued\" line that -json printed.");
        }
    }

    // ==== 23. ConsoleWriter: stdout and stderr, as text and as JSON ====

    /**
     * Writes messages for people to stderr and, with {@code -json}, events for programs to stdout: one object a line, with
     * {@code event} and {@code time} first. The thread of a signal may call its methods, too.
     */
    static final class ConsoleWriter implements UserInterface {
        private static final String RED = "31";
        private static final String YELLOW = "33";
        private static final String ERASE = "\r\033[K";
        private static final String RESUME = "The request is still pending. To resume: ";
        private static final Duration TICK = Duration.ofSeconds(1);
        /** How long a pool keeps a request that nobody approves. condor_daemon_core.V6/daemon_core_main.cpp */
        private static final Duration POOL_LIMIT = Duration.ofHours(1);
        /** The width that the live line keeps to if COLUMNS is not set. Java cannot ask the terminal. */
        private static final int COLUMNS_LEAST = 40;
        private static final int COLUMNS_MAX = 1000;
        private static final DateTimeFormatter CLOCK =
            DateTimeFormatter.ofPattern("HH:mm", Locale.ROOT).withZone(ZoneId.systemDefault());
        private final Host host;
        private boolean json;
        private Verbosity verbosity = Verbosity.NORMAL;
        private final Set<String> warned = new LinkedHashSet<>();
        private final Set<String> credentials = new LinkedHashSet<>();
        private Optional<Boolean> terminal = Optional.empty();
        private Optional<String> requestId = Optional.empty();
        private Optional<String> resumption = Optional.empty();
        private PollState pollState = PollState.PENDING;
        private boolean lineShown;
        private boolean begun;
        private boolean ending;
        private boolean over;

        ConsoleWriter(Host host, boolean json) {
            this.host = host;
            this.json = json;
        }

        synchronized void configure(boolean json, Verbosity verbosity) {
            this.json = json;
            this.verbosity = verbosity;
        }

        /** Prints the help, the version or a completion script to stdout. */
        synchronized void show(String text) {
            host.out().print(text);
            host.out().flush();
        }

        /** Prints a setting to stdout. */
        synchronized void configured(Configuration.Parameter entry) {
            Map<String, Object> fields = Json.event("config", host.clock().instant());
            fields.put("name", entry.name());
            fields.put("value", entry.value());
            fields.put("source", entry.source());
            show(json ? Json.line(fields) : entry.name() + " = " + entry.value().orElse("") + "\n# " + entry.source()
                + "\n");
        }

        @Override
        public synchronized void notice(String line) {
            if (verbosity != Verbosity.QUIET) {
                print(line, "");
            }
        }

        /** Prints a warning, each text once. */
        @Override
        public synchronized void warn(String text) {
            if (warned.add(text)) {
                print("WARNING: " + text, YELLOW);
            }
        }

        @Override
        public synchronized void credential(String kind, String words) {
            credentials.add(kind);
            if (verbosity == Verbosity.VERBOSE) {
                notice(words);
            }
        }

        /** Not synchronized: a signal must be able to end the program while the question is open. */
        @Override
        public Optional<String> ask(List<String> question, Predicate<String> isValid) {
            if (!host.terminal().test(0) || !host.terminal().test(2)) {
                return Optional.empty();
            }
            question.forEach(this::line);
            Optional<String> answer = answer();
            while (answer.isPresent() && !isValid.test(answer.get())) {
                line(question.get(question.size() - 1));
                answer = answer();
            }
            return answer;
        }

        /** A line of stdin; empty at its end. */
        private Optional<String> answer() {
            ByteArrayOutputStream line = new ByteArrayOutputStream();
            try {
                int next = host.in().read();
                while (next >= 0 && next != '\n') {
                    line.write(next);
                    next = host.in().read();
                }
                return next < 0 ? Optional.empty() : Optional.of(line.toString(UTF_8).replaceFirst("\r$", ""));
            } catch (IOException e) {
                return Optional.empty();
            }
        }

        /** Prints a line to stderr, also with -quiet. */
        synchronized void line(String line) {
            print(line, "");
        }

        /** Shows the original's line, which scripts search for, and below it what to send to the administrator. */
        synchronized void enqueued(Event.Enqueued event) {
            if (json && verbosity == Verbosity.QUIET) {
                return;
            }
            print("Token request enqueued.  Ask an administrator to please approve request "
                + event.pending().handle().requestId() + ".", "");
            if (verbosity == Verbosity.QUIET) {
                event.approvalUrl().ifPresent(url -> print("Approve it at " + url, ""));
            } else {
                approvalRequest(event).forEach(line -> print(line, ""));
            }
        }

        /** The text for the administrator. It contains no secret: of the client ID, only the name in front. */
        private static List<String> approvalRequest(Event.Enqueued event) {
            PendingRequest pending = event.pending();
            String id = pending.handle().requestId();
            String identity = printable(pending.spec().identity().orElse("condor"));
            List<String> limits = pending.spec().authorizations();
            OptionalInt lifetime = pending.spec().lifetimeSeconds();
            List<String> lines = new ArrayList<>();
            if (limits.isEmpty() && lifetime.isEmpty()) {
                lines.add("No -authz and no -lifetime: the token will carry all rights of " + identity
                    + " and no end, unless the pool sets one.");
            }
            lines.add("Send this to the administrator:");
            lines.add("");
            lines.add("  Please approve HTCondor token request " + id + ":");
            lines.add("    Identity:  " + identity);
            lines.add("    Limits:    " + (limits.isEmpty() ? "none (all rights of " + identity + ")"
                : printable(String.join(", ", limits))));
            lines.add("    Lifetime:  " + (lifetime.isEmpty() ? "no end, unless the pool sets one"
                : lifetime(lifetime.getAsInt())));
            lines.add("    Client ID: " + clientName(pending.handle().clientId()) + "-...");
            lines.add(pending.query().type() == DaemonType.COLLECTOR ? "  On the central manager, as an administrator, run:"
                : "  As an administrator of the pool, run:");
            lines.add("    " + event.approveOnCentralManager());
            event.approvalUrl().ifPresent(url -> lines.add("  Or approve it at " + url));
            lines.add("");
            return lines;
        }

        /** The part of a client ID that is not secret: all before the last dash. */
        private static String clientName(Secret clientId) {
            String text = clientId.reveal();
            return printable(text.substring(0, Math.max(0, text.lastIndexOf('-'))));
        }

        private static String lifetime(int seconds) {
            String inSeconds = counted(seconds, "second");
            return seconds % 86_400 == 0 ? inSeconds + " (" + counted(seconds / 86_400, "day") + ")"
                : seconds % 3600 == 0 ? inSeconds + " (" + counted(seconds / 3600, "hour") + ")"
                : seconds % 60 == 0 ? inSeconds + " (" + counted(seconds / 60, "minute") + ")" : inSeconds;
        }

        private static String counted(int number, String unit) {
            return number + " " + unit + (number == 1 ? "" : "s");
        }

        /** The JSON fields of the event, which {@code -resume} reads. */
        Map<String, Object> fields(Event.Enqueued event) {
            Map<String, Object> fields = Json.event("enqueued", event.time());
            fields.putAll(event.pending().fields());
            fields.put("credentials", List.copyOf(credentials));
            fields.put("approve_with", event.approveWith());
            fields.put("approve_on_central_manager", event.approveOnCentralManager());
            event.approvalUrl().ifPresent(url -> fields.put("approval_url", url));
            event.replaces().ifPresent(id -> fields.put("replaces", id));
            return fields;
        }

        /**
         * Remembers the pending request, for the messages that name it.
         *
         * @param command the command that resumes the wait; empty if nothing was saved
         */
        synchronized void waitingFor(String requestId, Optional<String> command) {
            this.requestId = Optional.of(requestId);
            this.resumption = command;
        }

        /** The request has ended, so nothing can resume it. */
        synchronized void waitingForNothing() {
            resumption = Optional.empty();
        }

        /** The command that resumes the wait. */
        synchronized Optional<String> wayToResume() {
            return resumption;
        }

        /** The program ends while the request is pending. */
        synchronized void leaving() {
            if (!(json && verbosity == Verbosity.QUIET)) {
                resumption.ifPresent(command -> print(RESUME + command, ""));
            }
        }

        synchronized void waiting(Event.Waiting event) {
            if (ending) {
                return;
            }
            boolean isBack = pollState == PollState.UNREACHABLE && event.reason() != PollState.UNREACHABLE;
            pollState = event.reason();
            boolean news = event.reason() != PollState.PENDING || !event.repeated();
            String words = event.reason().name().toLowerCase(Locale.ROOT);
            double seconds = event.nextPoll().toMillis() / 1000.0;
            if (verbosity == Verbosity.VERBOSE && news) {
                print(String.format(Locale.ROOT, "Request %s: %s%s; next poll in %.1f s.", event.requestId(),
                    words.replace('_', ' '), event.detail().map(text -> " (" + text + ")").orElse(""), seconds), "");
                Map<String, Object> fields = Json.event("waiting", host.clock().instant());
                fields.put("request_id", event.requestId());
                fields.put("reason", words);
                fields.put("detail", event.detail());
                fields.put("next_poll_s", seconds);
                emit(fields);
            } else if (event.reason() == PollState.UNREACHABLE && !event.repeated()) {
                notice("Cannot reach the pool (" + withoutStop(event.detail().orElse("")) + "). Retrying; request "
                    + event.requestId() + " is still pending there.");
            } else if (isBack) {
                notice("The pool is reachable again. Waiting for approval of request " + event.requestId() + ".");
            }
        }

        private static String withoutStop(String sentence) {
            return sentence.endsWith(".") ? sentence.substring(0, sentence.length() - 1) : sentence;
        }

        /**
         * The bytes for stdout that carry the token: the token itself, or the first part of its event. {@link #issued} ends
         * that line.
         */
        synchronized byte[] onStdout(Event.Issued event) {
            erase();
            if (!json) {
                return (event.token().reveal() + "\n").getBytes(UTF_8);
            }
            begun = true;
            String line = Json.line(fields(event));
            return line.substring(0, line.length() - "}\n".length()).getBytes(UTF_8);
        }

        /**
         * Reports a token that was delivered.
         *
         * @param problem why the token is not at its destination
         */
        synchronized void issued(Event.Issued event, TokenInspection inspection, Optional<CommandException> problem) {
            if (verbosity == Verbosity.VERBOSE) {
                notice("The token's signature is " + (inspection.verified() ? "verified."
                    : "not checked: the pool's signing key is not available here (that is normal outside the central manager)."));
            }
            Map<String, Object> rest = rest(inspection.verified(), Stream.of(problem.map(CommandException::getMessage).stream(),
                warned.stream().map(TokenRequest::printable), inspection.warnings().stream()).flatMap(texts -> texts));
            if (begun) {
                end(rest);
            } else if (event.file().isPresent()) {
                Map<String, Object> fields = fields(event);
                fields.putAll(rest);
                emit(fields);
            }
        }

        /** Prints where the token is, for whom, and until when. */
        synchronized void delivered(Path file, TokenInspection inspection) {
            String place = " written to " + file.toAbsolutePath() + ".";
            notice(inspection.token().map(token -> "Token for " + printable(token.subject()) + place + token.expiration()
                .map(end -> " It is valid until " + end + ".").orElse(" It does not expire.")).orElse("Token" + place));
        }

        /** The JSON fields that are known before the token is delivered. */
        private Map<String, Object> fields(Event.Issued event) {
            Map<String, Object> fields = Json.event("issued", host.clock().instant());
            fields.put("request_id", event.requestId());
            event.file().ifPresentOrElse(file -> fields.put("file", file.toString()),
                () -> fields.put("token", event.token().reveal()));
            fields.put("method", event.auth().method());
            fields.put("session", event.auth().binding().word());
            fields.putAll(event.server().fields());
            fields.put("credentials", List.copyOf(credentials));
            fields.put("claims", IssuedToken.claims(event.token()));
            return fields;
        }

        /** The JSON fields of the same event that are known after that. */
        private static Map<String, Object> rest(boolean verified, Stream<String> warnings) {
            Map<String, Object> fields = new LinkedHashMap<>();
            fields.put("signature", verified ? "verified" : "unverified");
            fields.put("warnings", warnings.distinct().toList());
            return fields;
        }

        /** Completes the event that {@link #onStdout} began. */
        private void end(Map<String, Object> rest) {
            begun = false;
            host.out().print("," + Json.line(rest).substring("{".length()));
            host.out().flush();
        }

        synchronized void verified(Optional<String> requestId, Target target, AuthResult auth) {
            notice("Verified: " + target + " accepts the token as " + auth.user() + " (" + auth.method() + ").");
            Map<String, Object> fields = Json.event("verified", host.clock().instant());
            fields.put("request_id", requestId);
            fields.put("address", target.sinful().toString());
            fields.put("identity", auth.user());
            fields.put("method", auth.method());
            emit(fields);
        }

        /** Prints the failure and returns the exit status. */
        synchronized int failed(CommandException failure) {
            failure.getMessage().lines().forEach(line -> print(line, RED));
            failure.details().forEach(line -> print("  " + line, ""));
            failure.hint().ifPresent(hint ->
                print("  " + (resumption.equals(failure.hint()) ? RESUME : "") + hint, ""));
            emitFailed(failure, failure.reason.exitStatus);
            return failure.reason.exitStatus;
        }

        /**
         * Reports a crash, as far as that is still possible, and returns the exit status. For a lack of resources the text is
         * prepared; for a bug there is more to print.
         */
        synchronized int broken(Throwable e, CrashReporter crashReporter) {
            boolean isBug = crashReporter.isBug(e);
            Optional<CommandException> failure = Optional.empty();
            try {
                erase();
                failure = Optional.of(isBug ? CommandException.bug(e) : new CommandException(ErrorCode.INTERNAL,
                    crashReporter.text(e), ""));
            } catch (RuntimeException | Error worse) {
                // The prepared line must do.
            }
            if (isBug && failure.isPresent()) {
                host.err().println(failure.get().getMessage());
            } else {
                host.err().writeBytes(crashReporter.of(e));
            }
            try {
                failure.ifPresent(known -> emitFailed(known, ErrorCode.INTERNAL.exitStatus));
            } catch (RuntimeException | Error worse) {
                // Writing JSON failed, too.
            }
            return ErrorCode.INTERNAL.exitStatus;
        }

        /** A signal will end the program soon, so messages about the next poll stop. */
        synchronized void ending(String line) {
            notice(line);
            ending = true;
        }

        /** A signal ends the program; the request stays pending. */
        synchronized void interrupted(int exitStatus) {
            leaving();
            emitFailed(new CommandException(ErrorCode.INTERRUPTED, "Interrupted by a signal.", wayToResume().orElse("")),
                exitStatus);
            over = true;
        }

        private void emitFailed(CommandException failure, int exitStatus) {
            Map<String, Object> fields = Json.event("failed", host.clock().instant());
            fields.put("code", failure.reason.code);
            fields.put("exit", exitStatus);
            fields.put("message", oneLine(failure.getMessage().replace('\n', ' ')));
            fields.put("request_id", requestId);
            if (!credentials.isEmpty()) {
                fields.put("credentials", List.copyOf(credentials));
            }
            fields.put("retryable", failure.reason.isRetryable());
            fields.put("hint", failure.hint().map(TokenRequest::oneLine));
            fields.put("details", failure.detailsWithStack().stream().map(TokenRequest::oneLine).toList());
            emit(fields);
        }

        private void emit(Map<String, Object> event) {
            if (json && !over) {
                if (begun) {
                    end(rest(false, Stream.of("the token was not inspected.")));
                }
                host.out().print(Json.line(event));
                host.out().flush();
            }
        }

        /** One line on stderr. */
        private void print(String line, String colour) {
            erase();
            if (over) {
                return; // other threads will not finish
            }
            boolean plain = colour.isEmpty() || !host.environment().getOrDefault("NO_COLOR", "").isEmpty()
                || !onTerminal();
            host.err().println(plain ? oneLine(line) : "\033[" + colour + "m" + oneLine(line) + "\033[0m");
            host.err().flush();
        }

        /** Whether stderr is a terminal that can erase a line. */
        private boolean onTerminal() {
            if (terminal.isEmpty()) {
                String kind = host.environment().getOrDefault("TERM", "dumb");
                terminal = Optional.of(!kind.equals("dumb") && !kind.isEmpty() && host.terminal().test(2));
            }
            return terminal.get();
        }

        /**
         * A sleeper that shows a live line at a terminal: what the program waits for, how long already, and until when.
         *
         * @param last     when the program gives up
         * @param enqueued when the pool took the request, which it drops an hour later; empty if unknown
         */
        synchronized Sleeper sleeper(Sleeper sleeper, Instant last, Optional<Instant> enqueued) {
            if (json || verbosity == Verbosity.QUIET || !onTerminal()) {
                return sleeper;
            }
            Instant start = host.clock().instant();
            Instant expiry = enqueued.filter(start::isAfter).orElse(start).plus(POOL_LIMIT); // a file may say any time
            Instant end = expiry.isBefore(last) ? expiry : last;
            return duration -> {
                Duration rest = duration;
                while (rest.compareTo(Duration.ZERO) > 0) {
                    Duration tick = rest.compareTo(TICK) < 0 ? rest : TICK;
                    draw(start, end);
                    sleeper.sleep(tick);
                    rest = rest.minus(tick);
                }
            };
        }

        private synchronized void draw(Instant start, Instant end) {
            if (over) {
                return;
            }
            lineShown = true;
            Instant now = host.clock().instant();
            Duration elapsed = Duration.between(start, now);
            host.err().print("\r" + liveLine(pollState, requestId.orElse("?"), String.format(Locale.ROOT, "%d:%02d",
                elapsed.toMinutes(), elapsed.toSecondsPart()), now.isAfter(end) ? "" : "until " + CLOCK.format(end), columns())
                + "\033[K");
            host.err().flush();
        }

        /** The longest form of the live line that leaves the last column free: there a terminal would begin a new line. */
        static String liveLine(PollState state, String requestId, String elapsed, String until, int columns) {
            String request = "request " + requestId;
            String times = " (" + elapsed + (until.isEmpty() ? "" : "; " + until) + ")";
            List<String> forms = switch (state) {
                case PENDING -> List.of("Waiting for approval of " + request + times, "Waiting for " + requestId + times,
                    "Waiting" + times);
                case UNREACHABLE -> List.of("Cannot reach the pool, retrying for " + request + times, "Unreachable" + times);
                case RATE_LIMITED -> List.of("The pool limits the rate of polls; waiting for " + request + times,
                    "Rate-limited" + times);
                case UNKNOWN -> List.of("The pool does not know " + request + ", retrying" + times, "Not known" + times);
            };
            for (String form : forms) {
                if (form.length() < columns) {
                    return form;
                }
            }
            return elapsed.length() < columns ? elapsed : "";
        }

        /** The terminal's width by COLUMNS; without that, one that every terminal has. */
        private int columns() {
            String text = host.environment().getOrDefault("COLUMNS", "");
            int columns = 0;
            for (int i = 0; i < text.length() && columns < COLUMNS_MAX; i++) {
                int digit = text.charAt(i) - '0';
                if (digit < 0 || digit > 9) {
                    return COLUMNS_LEAST;
                }
                columns = 10 * columns + digit;
            }
            return columns > 0 ? columns : COLUMNS_LEAST;
        }

        private void erase() {
            if (lineShown) {
                host.err().print(ERASE);
                host.err().flush();
                lineShown = false;
            }
        }
    }
}

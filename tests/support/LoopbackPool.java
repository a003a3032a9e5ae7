///usr/bin/env jbang "$0" "$@" ; exit $?
// SPDX-License-Identifier: Apache-2.0
//DESCRIPTION A stand-in for an HTCondor collector that issues tokens, for tests: on loopback, and as wrong as wanted.
//JAVA 17+
//SOURCES ../../TokenRequest.java
//COMPILE_OPTIONS -Xlint:all

package tokenrequest;

import static java.nio.charset.StandardCharsets.US_ASCII;
import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FilterOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.math.BigInteger;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.nio.file.attribute.UserPrincipal;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.Principal;
import java.security.PrivateKey;
import java.security.PrivilegedActionException;
import java.security.PrivilegedExceptionAction;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.security.spec.PKCS8EncodedKeySpec;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import javax.crypto.Cipher;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;
import javax.net.ssl.KeyManager;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLException;
import javax.net.ssl.SSLPeerUnverifiedException;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509ExtendedKeyManager;
import javax.net.ssl.X509ExtendedTrustManager;
import javax.security.auth.Subject;
import javax.security.auth.kerberos.KerberosKey;
import javax.security.auth.kerberos.KerberosPrincipal;
import jdk.net.ExtendedSocketOptions;
import org.ietf.jgss.GSSContext;
import org.ietf.jgss.GSSCredential;
import org.ietf.jgss.GSSException;
import org.ietf.jgss.GSSManager;
import org.ietf.jgss.Oid;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * A stand-in for the collector of an HTCondor pool. It speaks the server's side of the protocol on a port of 127.0.0.1
 * that the system picks, and issues tokens as its options say.
 *
 * <p>On stdout it prints one line, shell assignments, when it is ready; what happens goes to {@code --log}, a line an
 * event, flushed at once:
 * <pre>
 * connection N                                 a client connected; N counts from 1
 * shared-port ID                               it asked for an endpoint
 * policy COMMAND bound|unbound METHODS         it sent its policy: without or with an ECDH key
 * created PATH                                 it says that it has created this directory, for FS
 * failed METHOD                                a method ended without success
 * authenticated METHOD bound|unbound USER
 * denied USER                                  --denied: it was told so, and nothing else
 * resumed | unknown-session                    it presented a session that is known here, or is not
 * start client_id=yes|no identity=I authz=A lifetime=L     "-" for what is missing
 * poll                                         it asked for its token
 * hanging                                      --hang-poll: it will get no answer to that
 * issued                                       it was sent a token
 * bearer-token                                 it sent one, for SCITOKENS
 * query COMMAND                                it asked (DC_SEC_QUERY) whether COMMAND, a number, would be allowed
 * lookup TYPE CONSTRAINT -> COUNT              it asked for daemons of TYPE, and was sent COUNT ads
 * broker ID ADDRESS                            it wants the daemon of that ID to connect to ADDRESS, and so we do
 * broker ID [by ROUTE] to be passed on         it wants us to pass its bytes on to the daemon of that ID, and we become that
 * certificate NAME                             it showed a certificate of that name, for SSL
 * caller KIND                                  we connected to it, as --callers says
 * dropped                                      it did not want that connection
 * closed WHY                                   a conversation did not run to its end
 * </pre>
 *
 * <p>The rooms, from the outside in: {@link Script} (the options), {@link Conversation} (one connection),
 * {@link Method} (authentication), {@link Desk} (token requests), {@link Directory} (daemons' ads), {@link Visit}
 * (connections that we make), {@link Issuer} (tokens), {@link Authority} (certificates), {@link Saboteur} (damage to
 * packets). The codec is TokenRequest's own, so this peer proves that the client behaves, not that its bytes are right;
 * Vectors.java does that.
 */
@Command(name = "LoopbackPool", mixinStandardHelpOptions = true, version = "LoopbackPool", sortOptions = false,
    description = "Plays an HTCondor collector that issues tokens, on a free port of 127.0.0.1.",
    footer = {"", "Examples:",
        "  LoopbackPool --methods SSL,CLAIMTOBE --approve-after 3 --log events",
        "  LoopbackPool --refuse 3:'Request ID is not known.'",
        "  LoopbackPool --ad 'Type=Scheduler;Name=vm;MyAddress=<127.0.0.1:{port}>'",
        "  LoopbackPool --fault bad-tag --until-eof"})
public final class LoopbackPool implements Callable<LoopbackPool.Running> {
    @Mixin
    private Script script = new Script();

    /** Connects to a client that waits for a daemon's call; its connection to us as a broker comes from the port {@code from}. */
    interface Dialler {
        Socket dial(int from, String host, int port) throws IOException;
    }

    /** A pool that answers until it is closed. */
    static final class Running implements AutoCloseable {
        private final ServerSocket listener;
        private final Pool pool;
        private final String assignments;
        private final Set<Socket> connections = ConcurrentHashMap.newKeySet();

        private Running(ServerSocket listener, Pool pool, String assignments) {
            this.listener = listener;
            this.pool = pool;
            this.assignments = assignments;
        }

        /** For a shell: LOOPBACK_PORT, LOOPBACK_CA and, if it is wanted, LOOPBACK_TOKEN. */
        String assignments() {
            return assignments;
        }

        /** The tokens that the pool has made for this user, in this order. */
        List<String> issuedTo(String subject) {
            return pool.desk.issuedTo(subject);
        }

        /** Sets who connects to clients behind a broker, instead of this pool itself. */
        void callThrough(Dialler other) {
            pool.dialler.set(other);
        }

        private void accept() {
            AtomicInteger count = new AtomicInteger();
            try {
                while (true) {
                    Socket socket = listener.accept();
                    connections.add(socket);
                    pool.journal.note("connection " + count.incrementAndGet());
                    background("connection " + count.get(), () -> {
                        Conversation.hold(socket, pool);
                        connections.remove(socket);
                    });
                }
            } catch (IOException e) {
                pool.journal.note("closed " + e.getMessage()); // the listener is closed at the end
            }
        }

        /** Hangs up on everybody, as the end of a process does. */
        @Override
        public void close() throws IOException {
            pool.journal.close();
            listener.close();
            for (Socket connection : connections) {
                connection.close();
            }
        }
    }

    public static void main(String... args) throws IOException, InterruptedException {
        try (Running running = start(System.err, args)) {
            System.out.println(running.assignments());
            System.out.flush();
            if (running.pool.script.untilEof) {
                System.in.transferTo(OutputStream.nullOutputStream());
            } else {
                Thread.currentThread().join(); // a signal ends it
            }
        }
    }

    /**
     * Starts a pool that does what these arguments say.
     *
     * @throws IOException if there is none, for whatever reason; {@code err} says more
     */
    static Running start(PrintStream err, String... args) throws IOException {
        LoopbackPool command = new LoopbackPool();
        CommandLine line = new CommandLine(command).setOverwrittenOptionsAllowed(true)
            .setErr(new PrintWriter(err, true, UTF_8))
            .registerConverter(TokenRequest.AuthMethod.class, word -> TokenRequest.AuthMethod.named(word)
                .orElseThrow(() -> new CommandLine.TypeConversionException("no such method: " + word)))
            .registerConverter(Refusal.class, Refusal::parse)
            .registerConverter(DaemonAd.class, DaemonAd::parse);
        if (line.execute(args) != 0 || line.getExecutionResult() == null) {
            throw new IOException("no pool was started");
        }
        return line.getExecutionResult();
    }

    @Override
    public Running call() throws IOException, GeneralSecurityException {
        SecureRandom random = new SecureRandom();
        Authority authority = new Authority(random, Instant.now());
        Path ca = script.caFile();
        Files.writeString(ca, authority.pem());
        Issuer issuer = new Issuer(script);
        if (script.signingKeyFile.isPresent()) {
            issuer.saveKey(script.signingKeyFile.get());
        }
        Realm realm = Realm.make(random);
        if (script.kerberosCache.isPresent()) {
            realm.writeCache(script.kerberosCache.get(), script.kerberosTgt, script.kerberosLifetimeSeconds);
        }
        if (script.munged.isPresent()) {
            Munged.play(script.munged.get(), script.mungedDoes);
        }
        ServerSocket listener = listen(script.listen, script.port);
        Journal journal = Journal.open(script.log);
        Pool pool = new Pool(script, journal, new Sessions(listener.getLocalPort()), new Desk(script, issuer, journal),
            new Directory(script, listener.getLocalPort(), journal), authority.server(script), issuer, realm, random,
            new AtomicReference<>((from, host, port) -> new Socket(host, port)));
        Running running = new Running(listener, pool, "LOOPBACK_PORT=" + listener.getLocalPort() + " LOOPBACK_CA="
            + quoted(ca.toString()) + (script.kdc.isPresent() ? " LOOPBACK_KDC=" + Realm.playKdc(script.kdc.get()) : "")
            + script.tokenFor.map(user -> " LOOPBACK_TOKEN=" + issuer.issue(new Grant(user, "",
                OptionalLong.empty(), OptionalLong.empty(), script.trustDomain), user)).orElse(""));
        background("accept", running::accept);
        return running;
    }

    /** Without a wish a port of five digits, whatever the system's range is, so that no other number in a golden is the same. */
    private static ServerSocket listen(InetAddress address, int port) throws IOException {
        ServerSocket listener = new ServerSocket(port, 50, address);
        for (int tries = 0; port == 0 && listener.getLocalPort() < 10_000 && tries < 1000; tries++) {
            listener.close();
            listener = new ServerSocket(0, 50, address);
        }
        return listener;
    }

    private static void background(String name, Runnable work) {
        Thread thread = new Thread(work, name);
        thread.setDaemon(true);
        thread.start();
    }

    private static String quoted(String text) {
        return "'" + text.replace("'", "'\\''") + "'";
    }

    /** What all conversations share. */
    private record Pool(Script script, Journal journal, Sessions sessions, Desk desk, Directory directory,
                        SSLContext tls, Issuer issuer, Realm realm, SecureRandom random,
                        AtomicReference<Dialler> dialler) { }

    // ---- Script: what the pool is told to do ----

    /** The options, in the order of the help. */
    static final class Script {
        @Option(names = "--listen", paramLabel = "ADDRESS", defaultValue = "127.0.0.1",
            description = "Where to take connections (default: ${DEFAULT-VALUE}).")
        private InetAddress listen;

        @Option(names = "--port", paramLabel = "PORT", defaultValue = "0",
            description = "Where to take them, as after a restart (default: a free one).")
        private int port;

        @Option(names = "--log", paramLabel = "FILE", description = "Append a line for every event.")
        private Optional<Path> log;

        @Option(names = "--ca-file", paramLabel = "FILE",
            description = "Write the certificate of the pool's CA here (default: a temporary file).")
        private Optional<Path> caFile;

        @Option(names = "--until-eof", description = "End when stdin ends; otherwise only a signal ends it.")
        private boolean untilEof;

        @Option(names = "--methods", paramLabel = "METHOD", split = ",", defaultValue = "SSL",
            description = "Methods of authentication, preferred first: SSL, SCITOKENS, IDTOKENS, PASSWORD, KERBEROS, "
                + "MUNGE, FS, FS_REMOTE, CLAIMTOBE, ANONYMOUS (default: ${DEFAULT-VALUE}).")
        private List<TokenRequest.AuthMethod> methods;

        @Option(names = "--trust-domain", paramLabel = "NAME", defaultValue = "pool.test",
            description = "Trust domain, issuer of the tokens (default: ${DEFAULT-VALUE}).")
        private String trustDomain;

        @Option(names = "--no-trust-domain", description = "Do not name it in the policy.")
        private boolean noTrustDomain;

        @Option(names = "--issuer-keys", paramLabel = "NAMES", defaultValue = "POOL",
            description = "IssuerKeys of the policy; an empty text leaves them out (default: ${DEFAULT-VALUE}).")
        private String issuerKeys;

        @Option(names = "--key-id", paramLabel = "NAME", defaultValue = "POOL",
            description = "ID of the key that signs tokens; see also --issuer-keys (default: ${DEFAULT-VALUE}).")
        private String keyId;

        @Option(names = "--signing-key-file", paramLabel = "FILE",
            description = "Write that key here, as HTCondor keeps it.")
        private Optional<Path> signingKeyFile;

        @Option(names = "--password", paramLabel = "TEXT", defaultValue = "password",
            description = "The pool's password (default: ${DEFAULT-VALUE}).")
        private String password;

        @Option(names = "--remote-version", paramLabel = "TEXT",
            defaultValue = "$CondorVersion: 25.14.1 2026-10-16 BuildID: LoopbackPool $",
            description = "Version that the pool claims to have.")
        private String remoteVersion;

        @Option(names = "--kerberos-cache", paramLabel = "FILE",
            description = "Write a credential cache here that has nothing but alice's ticket for this pool, "
                + "host/localhost@POOL.TEST; there is no KDC.")
        private Optional<Path> kerberosCache;

        @Option(names = "--kerberos-tgt", description = "Write a ticket for the KDC instead, which the client then asks.")
        private boolean kerberosTgt;

        @Option(names = "--kdc", paramLabel = "CODE",
            description = "Also play a KDC that answers this error, never if it is 0, and with the request if it is less; prints "
                + "LOOPBACK_KDC. By TCP, it announces a reply of 2 GB.")
        private Optional<Integer> kdc;

        @Option(names = "--kerberos-lifetime", paramLabel = "SECONDS", defaultValue = "3600",
            description = "How long that ticket is valid; less than 0 if it has expired (default: ${DEFAULT-VALUE}).")
        private long kerberosLifetimeSeconds;

        @Option(names = "--munged", paramLabel = "SOCKET",
            description = "Also play the munged of this machine and of the pool, at this socket.")
        private Optional<Path> munged;

        @Option(names = "--munged-does", paramLabel = "WHAT", defaultValue = "encode",
            description = "encode, or instead answer with an error, or as munged does not: ${COMPLETION-CANDIDATES}.")
        private Munged.Deed mungedDoes;

        @Option(names = "--munge-uid", paramLabel = "UID", defaultValue = "0",
            description = "The number of the user of the pool's daemons (default: ${DEFAULT-VALUE}).")
        private int mungeUid;

        @Option(names = "--session-duration", paramLabel = "SECONDS", defaultValue = "3600",
            description = "Longest life of a session (default: ${DEFAULT-VALUE}).")
        private int sessionDurationSeconds;

        @Option(names = "--session-lease", paramLabel = "SECONDS", defaultValue = "3600",
            description = "Longest time between two uses of a session, which the pool names but does not enforce "
                + "(default: ${DEFAULT-VALUE}).")
        private int sessionLeaseSeconds;

        @Option(names = "--fs-dir", paramLabel = "DIR", description = "Where FS wants its directory (default: /tmp).")
        private Optional<Path> fsDir;

        @Option(names = "--fs-names", paramLabel = "FORM", defaultValue = "shared-port",
            description = "Name it as a release does: plain (23.x: without the address), address (24.0.22), extension (24.0.23: "
                + "the client is to append its view of it), shared-port (25.14: which may name our endpoint).")
        private FsNames fsNames;

        @Option(names = "--fs-then", paramLabel = "WHAT",
            description = "Once the client has created it, move it away and put something into its place: file, directory, "
                + "link:TARGET; or say no more: silence. With a / in the endpoint that the client asked for, that is done "
                + "to a directory of our own on the way to the client's.")
        private Optional<String> fsThen;

        @Option(names = "--certificate-name", paramLabel = "HOST", defaultValue = "localhost",
            description = "Host name in the server's certificate (default: ${DEFAULT-VALUE}).")
        private String certificateName;

        @Option(names = "--certificate-expired", description = "Let the server's certificate be one of yesterday.")
        private boolean certificateExpired;

        @Option(names = "--certificate-cn-only", description = "Put the host name into the subject only.")
        private boolean certificateCnOnly;

        @Option(names = "--certificate-self-signed", description = "Let the server's certificate have no CA.")
        private boolean certificateSelfSigned;

        @Option(names = "--certificate-alone", description = "Do not send the CA's certificate with it.")
        private boolean certificateAlone;

        @Option(names = "--certificate-chain", paramLabel = "FILE",
            description = "Show the certificates in this file (PEM), the server's own first; see --certificate-key.")
        private Optional<Path> certificateChain;

        @Option(names = "--certificate-key", paramLabel = "FILE", description = "Its key (PEM, PKCS #8).")
        private Optional<Path> certificateKey;

        @Option(names = "--reject-bearer-token", description = "Let SCITOKENS fail, whatever the token.")
        private boolean rejectBearerToken;

        @Option(names = "--require-client-certificate", description = "Quit SSL with a client that shows none.")
        private boolean requireClientCertificate;

        @Option(names = "--client-ca", paramLabel = "FILE",
            description = "Take clients' certificates that this CA (PEM), or a certificate that they show with it, has signed. "
                + "The user is the name in the certificate; of a proxy, in the one before it.")
        private Optional<Path> clientCa;

        @Option(names = "--ciphers", paramLabel = "NAME", split = ",", defaultValue = "AES",
            description = "Ciphers of sessions, preferred first: AES, BLOWFISH, 3DES (default: ${DEFAULT-VALUE}).")
        private List<String> ciphers;

        @Option(names = "--tls", paramLabel = "VERSION", defaultValue = "TLSv1.3,TLSv1.2", split = ",",
            description = "TLS versions (default: ${DEFAULT-VALUE}).")
        private List<String> tlsVersions;

        @Option(names = "--cipher-suites", paramLabel = "NAME", split = ",",
            description = "TLS cipher suites, by Java's names (default: those that Java enables).")
        private List<String> cipherSuites = List.of();

        @Option(names = "--approve-after", paramLabel = "N", defaultValue = "1",
            description = "Answer \"pending\" to the first N polls (default: ${DEFAULT-VALUE}).")
        private int approveAfter;

        @Option(names = "--approve-on", paramLabel = "FILE", description = "Answer \"pending\" until the file exists.")
        private Optional<Path> approveOn;

        @Option(names = "--auto-approve", description = "Put the token into the answer to the start.")
        private boolean autoApprove;

        @Option(names = "--token", paramLabel = "TEXT", description = "Hand this out instead of a token.")
        private Optional<String> token;

        @Option(names = "--issued-at", paramLabel = "SECONDS",
            description = "When tokens say they were issued, in seconds since 1970 (default: now). The pool then takes "
                + "this for the present, too, when it looks whether a token has expired.")
        private Optional<Long> issuedAt;

        @Option(names = "--issue-subject", paramLabel = "NAME", description = "Issue for NAME, whoever was asked for.")
        private Optional<String> issueSubject;

        @Option(names = "--issue-authz", paramLabel = "LIST",
            description = "Limit tokens to these authorizations, whatever was asked for; an empty text: no limit.")
        private Optional<String> issueAuthz;

        @Option(names = "--issue-lifetime", paramLabel = "SECONDS",
            description = "Let tokens live so long, whatever was asked for; less than 0 is expired already.")
        private Optional<Long> issueLifetime;

        @Option(names = "--issue-no-expiry", description = "Let tokens live for ever, whatever was asked for.")
        private boolean issueNoExpiry;

        @Option(names = "--not-before", paramLabel = "SECONDS",
            description = "From when on tokens are valid, in seconds since 1970 (default: they do not say).")
        private Optional<Long> notBefore;

        @Option(names = "--issue-issuer", paramLabel = "NAME",
            description = "Issuer that tokens name (default: the trust domain).")
        private Optional<String> issueIssuer;

        @Option(names = "--reject-issued", description = "Do not let anybody log in with a token issued on request.")
        private boolean rejectIssued;

        @Option(names = "--token-for", paramLabel = "USER",
            description = "Also print LOOPBACK_TOKEN, a token of this user with which IDTOKENS works.")
        private Optional<String> tokenFor;

        @Option(names = "--request-id", paramLabel = "TEXT", split = ",", defaultValue = "6108900",
            description = "IDs of the requests, one after the other; the last is that of all further ones, too "
                + "(default: ${DEFAULT-VALUE}).")
        private List<String> requestIds;

        @Option(names = "--many", description = "Give each request an ID of its own, from --request-id on, and count its polls "
            + "alone, so that many clients can wait at once.")
        private boolean many;

        @Option(names = "--refuse", paramLabel = "CODE:TEXT",
            description = "Answer the start with this error; without TEXT, with the code alone.")
        private Optional<Refusal> refuse;

        @Option(names = "--empty-ad", description = "Answer the start with an empty ad: the queue is full.")
        private boolean emptyAd;

        @Option(names = "--drop-start", description = "Read the start, then close without an answer.")
        private boolean dropStart;

        @Option(names = "--drop-polls", paramLabel = "N", defaultValue = "0",
            description = "Read the first N polls, then close without an answer.")
        private int dropPolls;

        @Option(names = "--rate-limit", paramLabel = "N", defaultValue = "0",
            description = "Answer the first N polls with \"Request rate limit hit.\"")
        private int rateLimit;

        @Option(names = "--rate-limit-code", paramLabel = "CODE", defaultValue = "5",
            description = "ErrorCode of that answer (default: ${DEFAULT-VALUE}).")
        private int rateLimitCode;

        @Option(names = "--pretends", description = "Answer --token to polls about requests of another pool, too.")
        private boolean pretends;

        @Option(names = "--forget-after", paramLabel = "N", description = "From poll N on, do not know the request.")
        private Optional<Integer> forgetAfter;

        @Option(names = "--forget-once",
            description = "Forget the first request only; polls are then counted for each request.")
        private boolean forgetOnce;

        @Option(names = "--hang-poll", paramLabel = "N", description = "Read poll N, then never answer it.")
        private Optional<Integer> hangPoll;

        @Option(names = "--refuse-poll", paramLabel = "CODE:TEXT",
            description = "When the wait is over, answer this error instead of the token.")
        private Optional<Refusal> refusePoll;

        @Option(names = "--expire", description = "When the wait is over, the request has expired.")
        private boolean expire;

        @Option(names = "--lose-token", description = "Close without an answer on the poll that takes the token.")
        private boolean loseToken;

        @Option(names = "--ad", paramLabel = "TEXT",
            description = "Know a daemon: NAME=VALUE;NAME=VALUE... with Type, its kind, and attributes, all of them "
                + "strings. {port} stands for this pool's port. CondorVersion is added; an empty value leaves it out.")
        private List<DaemonAd> daemons = List.of();

        @Option(names = "--callers", paramLabel = "KIND", split = ",", defaultValue = "daemon",
            description = "Who connects, one after the other, to a client that asks us as a broker: daemon, which then "
                + "is as this pool; stranger, with another ClaimId; other-command, with another command; mute, who says nothing; "
                + "other-protocol; elsewhere, who tries the port at another address of this machine "
                + "(default: ${DEFAULT-VALUE}).")
        private List<Visit> callers;

        @Option(names = "--broker-refuses", paramLabel = "ID:TEXT",
            description = "As a broker, refuse a connection from the daemon of this ID with this reason.")
        private Optional<Refusal> brokerRefuses;

        @Option(names = "--broker-cannot-call", description = "As a broker, refuse to connect to clients, but pass bytes on.")
        private boolean brokerCannotCall;

        @Option(names = "--broker-closes", description = "As a broker, close instead of an answer.")
        private boolean brokerCloses;

        @Option(names = "--forget-sessions", paramLabel = "N", arity = "0..1", defaultValue = "0",
            fallbackValue = "" + Integer.MAX_VALUE, description = "Know none of the first N sessions that are resumed.")
        private int forgetSessions;

        @Option(names = "--drop-resumptions", paramLabel = "N", arity = "0..1", defaultValue = "0",
            fallbackValue = "" + Integer.MAX_VALUE, description = "Close on the first N of them.")
        private int dropResumptions;

        @Option(names = "--resume-code", paramLabel = "TEXT", defaultValue = "AUTHORIZED",
            description = "ReturnCode for a session that is known (default: ${DEFAULT-VALUE}).")
        private String resumeCode;

        @Option(names = "--denied", paramLabel = "COMMAND", arity = "0..1", fallbackValue = "0",
            description = "Authenticate, then answer DENIED; to this command only, if one is named.")
        private Optional<Long> denied;

        @Option(names = "--query-denied", description = "Answer a query that what it asks about is not allowed.")
        private boolean queryDenied;

        @Option(names = "--close-on-policy", description = "Read the client's policy, then close.")
        private boolean closeOnPolicy;

        @Option(names = "--silent", description = "Accept connections and never answer.")
        private boolean silent;

        @Option(names = "--long", paramLabel = "N", defaultValue = "0",
            description = "In every text that is sent, {long} stands for N letters.")
        private int longText;

        @Option(names = "--more-attributes", paramLabel = "N", defaultValue = "0",
            description = "Send N more attributes in every ad.")
        private int moreAttributes;

        @Option(names = "--dribble", paramLabel = "MS", defaultValue = "0",
            description = "Send everything a byte at a time, so long apart.")
        private long dribbleMillis;

        @Option(names = "--fault", paramLabel = "NAME", split = ",",
            description = "Break the protocol so: ${COMPLETION-CANDIDATES}.")
        private Set<Fault> faults = Set.of();

        @Option(names = "--fault-packet", paramLabel = "N", defaultValue = "1",
            description = "Which of the server's packets a fault of packets damages (default: ${DEFAULT-VALUE}).")
        private int faultPacket;

        boolean has(Fault fault) {
            return faults.contains(fault);
        }

        /** The ad with its long texts and further attributes. */
        TokenRequest.ClassAd filled(TokenRequest.ClassAd ad) {
            TokenRequest.ClassAd filled = new TokenRequest.ClassAd();
            for (String assignment : ad.assignments()) {
                int equals = assignment.indexOf(" = ");
                filled.putExpression(assignment.substring(0, equals),
                    assignment.substring(equals + 3).replace("{long}", "x".repeat(longText)));
            }
            for (int i = 0; i < moreAttributes; i++) {
                filled.put("Further" + i, "of no meaning, " + i);
            }
            return filled;
        }

        boolean denies(long command) {
            return denied.filter(which -> which == 0 || which == command).isPresent();
        }

        /** Where the CA's certificate goes; a temporary file goes away with the program. */
        Path caFile() throws IOException {
            if (caFile.isPresent()) {
                return caFile.get();
            }
            Path file = Files.createTempFile("loopback-ca", ".pem");
            file.toFile().deleteOnExit();
            return file;
        }
    }

    /** An error that the pool answers. */
    record Refusal(int code, String text) {
        static Refusal parse(String argument) {
            String[] parts = argument.split(":", 2);
            if (parts.length < 2) {
                throw new CommandLine.TypeConversionException("not CODE:TEXT: " + argument);
            }
            return new Refusal(Integer.parseInt(parts[0]), parts[1]);
        }

        TokenRequest.ClassAd ad() {
            TokenRequest.ClassAd ad = new TokenRequest.ClassAd().put("ErrorCode", code);
            return text.isEmpty() ? ad : ad.put("ErrorString", text);
        }
    }

    /** How a release names the directory for FS. condor_io/condor_auth_fs.cpp */
    enum FsNames {
        PLAIN, ADDRESS, EXTENSION, SHARED_PORT;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }
    }

    /** Ways to break the protocol, one at a time or several together. */
    enum Fault {
        // Packets: see Saboteur.
        BAD_LENGTH, NEGATIVE_LENGTH, ZERO_LENGTH, BAD_END_FLAG, TRUNCATED_FRAME,
        /** A bit of a packet's body is flipped under way; also in the clear, where only the digests can tell. */
        FLIPPED_BIT,
        /** The same for the first encrypted packet, or, with --fault-packet, a later one. */
        BAD_TAG,

        // The policy.
        HUGE_ATTRIBUTE_COUNT, AUTHENTICATION_NO, ENCRYPTION_NO, INTEGRITY_NO, CIPHER_BLOWFISH,
        /** An ECDH key although the client sent none. */
        ECDH_IN_BOUND,
        /** No ECDH key although the client sent one. */
        NO_ECDH,
        /** An ECDH key that is not on the curve. */
        BAD_POINT,

        // The choice of a method.
        /** A bit that no method has. */
        UNKNOWN_METHOD_BIT,
        /** CLAIMTOBE, whatever the client offers. */
        UNOFFERED_METHOD,

        // Methods.
        SSL_REFUSES, SSL_QUITS, SSL_SHORT_KEY,
        /** Behind the key, TLS is closed, or, with 1.2, to be negotiated anew. */
        SSL_CLOSES, SSL_RENEGOTIATES,
        /** TLS never ends: the server sends nothing, turn after turn, and wants to hear more. */
        SSL_ENDLESS,
        FS_EVIL_PATH, FS_NESTED_PATH, CLAIM_REFUSED,
        /** The server's proof in AKEP2 is wrong. */
        TOKEN_BAD_PROOF,
        MUNGE_REFUSES,
        /** No verdict on the credential: the key message comes at once. */
        MUNGE_OUT_OF_STEP,
        /** The session key is wrapped with another secret than the credential's. */
        MUNGE_OTHER_KEY,
        /** More bytes than the verdict. */
        MUNGE_LONG_VERDICT,

        /** The ticket, then the client, is refused; the next method can run. */
        KERBEROS_REFUSES, KERBEROS_UNMAPPED,
        /** AP-REP is made with another key; is longer than the message; has no bytes; comes without the verdict before it. */
        KERBEROS_BAD_PROOF, KERBEROS_LONG_PROOF, KERBEROS_NO_PROOF, KERBEROS_OUT_OF_STEP,
        /** The session key is encrypted with another key, not with the key of the ticket. */
        KERBEROS_OTHER_KEY,

        // The key message.
        /** "No key follows" to a client that sent no ECDH key; then everything goes on in the clear. */
        INT_ZERO_KEY,
        /** A key in the clear to a client that sent an ECDH key. */
        INT_ONE_KEY,
        SHORT_KEY,
        /** The wrapped key is all zeros. */
        ZERO_KEY,
        /** The key is for another cipher than the policy named. */
        OTHER_CIPHER,

        // A broker that passes bytes on.
        /** It does not say that it does; passes on the call of another daemon; goes on in the session with the client. */
        BROKER_NO_PROXY, BROKER_OTHER_CALL, BROKER_STAYS,

        // What follows.
        NO_SESSION_ID, NO_REQUEST_ID,
        /** Instead of who the client is, packets without content and without end. */
        EMPTY_PACKETS,
        /** After the login nothing more is read. */
        DEAF,
        /** More bytes in the answer to the command than its ad. */
        TRAILING_BYTES;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }
    }

    // ---- Journal: what happened, for scripts ----

    /** The event log. Lines of different conversations do not mix; each is in the file when the next step begins. */
    static final class Journal implements AutoCloseable {
        private final PrintStream lines;

        private Journal(OutputStream out) {
            lines = new PrintStream(out, true, UTF_8);
        }

        static Journal open(Optional<Path> file) throws IOException {
            return new Journal(file.isPresent()
                ? Files.newOutputStream(file.get(), StandardOpenOption.CREATE, StandardOpenOption.APPEND)
                : OutputStream.nullOutputStream());
        }

        synchronized void note(String event) {
            lines.println(TokenRequest.printable(event));
        }

        @Override
        public void close() {
            lines.close();
        }
    }

    // ---- Conversation: one connection, from its first byte to its last ----

    /** The pool ends a conversation before its time. */
    private static final class HangUp extends IOException {
        private static final long serialVersionUID = 1L;

        HangUp(String why) {
            super(why);
        }
    }

    /** One connection: perhaps a shared port, then the security negotiation or its resumption, then one command. */
    private static final class Conversation {
        /** "Would AuthCommand be allowed?" condor_includes/condor_commands.h */
        private static final int DC_SEC_QUERY = 60040;
        private static final int PACKET_BYTES = 1 << 19;
        /** Fewest characters of the ID of a connection: 20 random bytes in hex. */
        private static final int CONNECT_ID_CHARACTERS = 40;
        private final Socket socket;
        private final Pool pool;
        private final Script script;
        private final Saboteur saboteur;
        private TokenRequest.CedarStream stream;
        private String endpoint = "";

        private Conversation(Socket socket, Pool pool) throws IOException {
            this.socket = socket;
            this.pool = pool;
            this.script = pool.script;
            this.saboteur = new Saboteur(socket.getOutputStream(), pool.script);
            this.stream = newStream();
        }

        private TokenRequest.CedarStream newStream() throws IOException {
            return new TokenRequest.CedarStream(socket.getInputStream(), saboteur, pool.random, TokenRequest.DebugLog.off());
        }

        static void hold(Socket socket, Pool pool) {
            try (socket) {
                socket.setTcpNoDelay(true);
                new Conversation(socket, pool).run();
            } catch (IOException | IllegalArgumentException e) { // the latter by Java's decoders, of what was garbled on the way
                // The codec speaks of its peer, which is the server everywhere else.
                pool.journal.note("closed " + String.valueOf(e.getMessage()).replace("the server", "the client"));
            }
        }

        private void run() throws IOException {
            if (script.silent) {
                ignore(socket.getInputStream());
                return;
            }
            TokenRequest.MessageReader first = stream.receive("command");
            long command = first.number();
            if (command == TokenRequest.Protocol.SHARED_PORT_CONNECT) {
                sharedPort(first);
                first = stream.receive("command");
                command = first.number();
            }
            if (command != TokenRequest.Protocol.DC_AUTHENTICATE) {
                throw new HangUp("command " + command + " without authentication");
            }
            TokenRequest.ClassAd wishes = first.ad();
            first.end();
            long wanted = wishes.integer("Command").orElse(0);
            Optional<Caller> caller = wishes.string("UseSession").filter("YES"::equals).isPresent()
                ? resume(wishes) : negotiate(wishes, wanted);
            if (caller.isPresent()) {
                serve(wanted, wishes, caller.get());
            }
        }

        /** Reads until the client gives up. */
        private static void ignore(InputStream in) throws IOException {
            in.transferTo(OutputStream.nullOutputStream());
        }

        private void sharedPort(TokenRequest.MessageReader request) throws IOException {
            endpoint = request.string();
            pool.journal.note("shared-port " + endpoint);
            request.string();
            request.number();
            if (request.number() != 0) {
                throw new HangUp("more arguments to a shared port than there are");
            }
            request.end();
            stream = newStream(); // the daemon behind the port never sees the request for it
        }

        private Optional<Caller> resume(TokenRequest.ClassAd wishes) throws IOException {
            Sessions.Verdict verdict = pool.sessions.find(wishes.string("Sid").orElse(""), script);
            pool.journal.note(verdict.known().isPresent() ? "resumed" : "unknown-session");
            if (verdict.hangUp()) {
                throw new HangUp("told to drop a resumption");
            }
            byte[] nonce = new byte[33];
            pool.random.nextBytes(nonce);
            TokenRequest.ClassAd reply = new TokenRequest.ClassAd()
                .put("ReturnCode", verdict.known().isPresent() ? script.resumeCode : "SID_NOT_FOUND");
            if (verdict.known().isPresent()) {
                reply.put("RemoteVersion", script.remoteVersion)
                    .put("Nonce", Base64.getEncoder().encodeToString(nonce));
            }
            boolean answers = wishes.isTrue("ResumeResponse")
                && !new TokenRequest.PolicyReply(new TokenRequest.ClassAd().put("RemoteVersion", script.remoteVersion))
                    .isBefore(9, 9);
            if (answers) {
                send(reply);
            } else if (verdict.known().isEmpty()) {
                throw new HangUp("by us, who do not know the session");
            }
            if (verdict.known().isEmpty() || !script.resumeCode.equals("AUTHORIZED")) {
                return Optional.empty();
            }
            Caller caller = verdict.known().get();
            if (!wishes.string("CryptoMethods").equals(Optional.of(caller.cipher().word))) {
                throw new HangUp("a session of another cipher");
            }
            encrypt(caller.cipher(), caller.key());
            return verdict.known();
        }

        private Optional<Caller> negotiate(TokenRequest.ClassAd wishes, long command) throws IOException {
            Negotiation negotiation = new Negotiation(script, wishes, pool.random);
            pool.journal.note("policy " + command + " " + negotiation.mode() + " "
                + wishes.string("AuthMethods").orElse("-"));
            if (script.closeOnPolicy) {
                throw new HangUp("told to close on the policy");
            }
            sendPolicy(negotiation.reply());
            if (negotiation.common().isEmpty()) {
                throw new HangUp("no method in common");
            }
            TokenRequest.SessionCipher cipher = negotiation.cipher().orElseThrow(() -> new HangUp("no cipher in common"));
            Proof proof = script.has(Fault.AUTHENTICATION_NO)
                ? new Proof(TokenRequest.AuthMethod.ANONYMOUS, "unauthenticated@unmapped", new byte[0])
                : authenticate(negotiation);
            byte[] key = agreeOnKey(negotiation, cipher, proof);
            if (negotiation.bound() && script.has(Fault.INT_ZERO_KEY)) {
                pool.journal.note("in-the-clear"); // a lax client does not notice
            } else {
                encrypt(cipher, key);
            }
            return introduce(proof, cipher, key, command);
        }

        private void sendPolicy(TokenRequest.ClassAd policy) throws IOException {
            TokenRequest.Message message = stream.message();
            stream.send(script.has(Fault.HUGE_ATTRIBUTE_COUNT) ? message.number(Long.MAX_VALUE / 2).string("A = 1")
                : message.ad(script.filled(policy)));
        }

        /** Lets the client try method after method, ours first, until one succeeds. */
        private Proof authenticate(Negotiation negotiation) throws IOException {
            while (true) {
                TokenRequest.MessageReader offer = stream.receive("methods");
                long offered = offer.number();
                offer.end();
                Optional<TokenRequest.AuthMethod> choice = script.has(Fault.UNOFFERED_METHOD)
                    ? Optional.of(TokenRequest.AuthMethod.CLAIMTOBE)
                    : negotiation.common().stream().filter(method -> (offered & method.bit) != 0).findFirst();
                long bit = script.has(Fault.UNKNOWN_METHOD_BIT) ? 1 << 20 : choice.map(method -> method.bit).orElse(0);
                stream.send(stream.message().number(bit));
                if (choice.isEmpty()) {
                    throw new HangUp("no method left");
                }
                Optional<Proof> proof = method(choice.get()).authenticate(stream);
                if (proof.isPresent()) {
                    pool.journal.note("authenticated " + choice.get().label + " " + negotiation.mode() + " "
                        + proof.get().user());
                    return proof.get();
                }
                pool.journal.note("failed " + choice.get().label);
            }
        }

        private Method method(TokenRequest.AuthMethod method) throws HangUp {
            return switch (method) {
                case CLAIMTOBE -> new ClaimToBe(script);
                case ANONYMOUS -> new Anonymous();
                case MUNGE -> new Munge(script);
                case FS, FS_REMOTE -> new FileSystem(method, pool, script, socket.getLocalPort(), endpoint);
                case SSL -> new Ssl(method, pool);
                case SCITOKENS -> new Ssl(method, pool);
                case TOKEN -> new IdTokens(script, pool.issuer, pool.random);
                case PASSWORD -> new Passwords(script, pool.random);
                case KERBEROS -> new Kerberos(script, pool.realm);
                default -> throw new HangUp("this pool cannot do " + method.label);
            };
        }

        /** Says whether a key follows, sends it if so, and returns the session key of our side. */
        private byte[] agreeOnKey(Negotiation negotiation, TokenRequest.SessionCipher cipher, Proof proof)
                throws IOException {
            boolean follows = negotiation.bound() ? !script.has(Fault.INT_ZERO_KEY) : script.has(Fault.INT_ONE_KEY);
            byte[] key = new byte[script.has(Fault.SHORT_KEY) ? 16 : cipher.keyBytes];
            pool.random.nextBytes(key);
            stream.send(stream.message().number(follows ? 1 : 0));
            if (follows) {
                byte[] wrapped = script.has(Fault.ZERO_KEY) ? new byte[key.length] : proof.wrap(key);
                stream.send(stream.message().number(key.length)
                    .number(script.has(Fault.OTHER_CIPHER) ? cipher.number % 3 + 1 : cipher.number).number(0).counted(wrapped));
            }
            return Arrays.copyOf(negotiation.bound() ? key : negotiation.agree(), cipher.keyBytes);
        }

        private void encrypt(TokenRequest.SessionCipher cipher, byte[] key) {
            stream.encrypt(cipher, key);
            saboteur.encrypted();
        }

        /** Tells the client who we think it is, and which session it has. */
        private Optional<Caller> introduce(Proof proof, TokenRequest.SessionCipher cipher, byte[] key, long command)
                throws IOException {
            while (script.has(Fault.EMPTY_PACKETS)) {
                stream.send(new byte[0], 0);
            }
            Caller caller = new Caller(proof, cipher, key);
            TokenRequest.ClassAd ad = new TokenRequest.ClassAd();
            if (!script.has(Fault.NO_SESSION_ID)) {
                ad.put("Sid", pool.sessions.open(caller));
            }
            send(ad.put("User", proof.user())
                .put("ReturnCode", script.denies(command) ? "DENIED" : "AUTHORIZED")
                .put("ValidCommands", "60010,60040,60047,60048")
                .put("TriedAuthentication", true));
            if (script.denies(command)) {
                pool.journal.note("denied " + proof.user());
                return Optional.empty();
            }
            return Optional.of(caller);
        }

        private void serve(long command, TokenRequest.ClassAd wishes, Caller caller) throws IOException {
            if (script.has(Fault.DEAF)) {
                beDeaf();
            } else if (command == TokenRequest.Protocol.DC_START_TOKEN_REQUEST) {
                answer(pool.desk.start(request(), caller));
            } else if (command == TokenRequest.Protocol.DC_FINISH_TOKEN_REQUEST) {
                poll(request());
            } else if (command == DC_SEC_QUERY) {
                query(wishes, caller);
            } else if (command == TokenRequest.Protocol.CCB_REQUEST) {
                broker(request());
            } else if (Directory.serves(command)) {
                send(pool.directory.answer(command, request(), stream.message()));
            } else {
                throw new HangUp("command " + command + " is not registered");
            }
        }

        private TokenRequest.ClassAd request() throws IOException {
            TokenRequest.MessageReader message = stream.receive("request");
            TokenRequest.ClassAd request = message.ad();
            message.end();
            return request;
        }

        private void poll(TokenRequest.ClassAd request) throws IOException {
            int polls = pool.desk.count(request);
            if (script.hangPoll.filter(which -> which == polls).isPresent()) {
                pool.journal.note("hanging");
                ignore(socket.getInputStream());
                throw new HangUp("by the client, whom we told nothing");
            }
            answer(pool.desk.finish(request, polls));
        }

        private void answer(Optional<TokenRequest.ClassAd> answer) throws IOException {
            if (answer.isEmpty()) {
                throw new HangUp("told to drop the answer");
            }
            TokenRequest.Message reply = stream.message().ad(script.filled(answer.get()));
            send(script.has(Fault.TRAILING_BYTES) ? reply.number(0) : reply);
        }

        /** Says whether another command would be allowed. The client sends nothing more. */
        private void query(TokenRequest.ClassAd wishes, Caller caller) throws IOException {
            OptionalLong command = wishes.integer("AuthCommand");
            if (command.isEmpty()) {
                throw new HangUp("a query about no command");
            }
            pool.journal.note("query " + command.getAsLong());
            TokenRequest.ClassAd answer = new TokenRequest.ClassAd();
            caller.proof().claims().forEach(answer::put);
            send(answer.put("AuthorizationSucceeded", !script.queryDenied));
        }

        /** Connects to the client as the daemon that it wants; or as others, whom it has to drop first. */
        private void broker(TokenRequest.ClassAd request) throws IOException {
            String id = request.string("CCBID").orElse("-");
            String address = request.string("MyAddress").orElse("-");
            boolean passesOn = request.isTrue("CCBStreamingRequired");
            pool.journal.note("broker " + id + " " + (passesOn ? request.string("CCBRoute").map(route -> "by " + route + " ")
                .orElse("") + "to be passed on" : address));
            if (script.brokerCloses) {
                throw new HangUp("told to drop the client of a broker");
            }
            Optional<Refusal> no = script.brokerRefuses.filter(refusal -> id.equals(Integer.toString(refusal.code())));
            if (no.isPresent()) {
                send(new TokenRequest.ClassAd().put("Result", false).put("ErrorString", no.get().text()));
                return;
            }
            if (passesOn) {
                passOn(request.string("ClaimId").orElse(""));
                return;
            }
            if (script.brokerCannotCall) {
                send(new TokenRequest.ClassAd().put("Result", false).put("ErrorString", "failed to connect"));
                return;
            }
            TokenRequest.Sinful client = TokenRequest.Sinful.parse(address)
                .orElseThrow(() -> new HangUp("no address to connect to: " + address));
            if (request.string("ClaimId").orElse("").length() < CONNECT_ID_CHARACTERS) {
                throw new HangUp("an ID of the connection that can be guessed");
            }
            for (Visit visit : script.callers) {
                if (visit == Visit.ELSEWHERE) {
                    pool.journal.note("caller elsewhere " + (isOpen("127.0.0.2", client.port()) ? "connects" : "is refused"));
                    continue;
                }
                Socket caller = pool.dialler.get().dial(socket.getPort(), client.host(), client.port());
                pool.journal.note("caller " + visit);
                visit.introduce(caller, request.string("ClaimId").orElse(""), pool.random);
                if (visit == Visit.DAEMON) {
                    background("called back", () -> hold(caller, pool));
                } else {
                    ignore(caller.getInputStream());
                    caller.close();
                    pool.journal.note("dropped");
                }
            }
            send(new TokenRequest.ClassAd().put("Result", true));
        }

        private static boolean isOpen(String host, int port) {
            try (Socket socket = new Socket(host, port)) {
                return socket.isConnected();
            } catch (IOException e) {
                return false;
            }
        }

        /** Becomes the daemon on the same connection, from the next byte on. */
        private void passOn(String claimId) throws IOException {
            TokenRequest.ClassAd answer = new TokenRequest.ClassAd().put("Result", true);
            send(script.has(Fault.BROKER_NO_PROXY) ? answer : answer.put("ProxyMode", true));
            send(stream.message().number(TokenRequest.Protocol.CCB_REVERSE_CONNECT).ad(new TokenRequest.ClassAd()
                .put("ClaimId", script.has(Fault.BROKER_OTHER_CALL) ? "0".repeat(40) : claimId).put("RequestID", "1")));
            if (!script.has(Fault.BROKER_STAYS)) {
                stream = newStream();
            }
            run();
        }

        private void send(TokenRequest.ClassAd ad) throws IOException {
            send(stream.message().ad(script.filled(ad)));
        }

        /** In packets that are not too long. */
        private void send(TokenRequest.Message message) throws IOException {
            byte[] bytes = message.toBytes();
            int start = 0;
            while (bytes.length - start > PACKET_BYTES) {
                stream.send(Arrays.copyOfRange(bytes, start, start + PACKET_BYTES), 0);
                start += PACKET_BYTES;
            }
            stream.send(Arrays.copyOfRange(bytes, start, bytes.length), 1);
        }

        /** Reads nothing, until the client hangs up. */
        private void beDeaf() throws IOException {
            pool.journal.note("deaf");
            while (!socket.isClosed()) {
                LockSupport.parkNanos(100_000_000);
            }
        }
    }

    /** Who connects to a client that wants to be connected to. */
    enum Visit {
        DAEMON, STRANGER, OTHER_COMMAND, MUTE, OTHER_PROTOCOL, ELSEWHERE;

        /** The first words. What follows them is on a stream of its own. */
        void introduce(Socket caller, String claimId, SecureRandom random) throws IOException {
            if (this == OTHER_PROTOCOL) {
                caller.getOutputStream().write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".getBytes(US_ASCII));
            } else if (this != MUTE) {
                TokenRequest.CedarStream stream = new TokenRequest.CedarStream(caller.getInputStream(),
                    caller.getOutputStream(), random, TokenRequest.DebugLog.off());
                stream.send(stream.message().number(this == OTHER_COMMAND ? TokenRequest.Protocol.CCB_REQUEST
                    : TokenRequest.Protocol.CCB_REVERSE_CONNECT).ad(new TokenRequest.ClassAd().put("ClaimId",
                    this == STRANGER ? "0".repeat(40) : claimId)));
            }
        }

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }
    }

    /** What both policies come to. A client that sends no ECDH key wants the session key bound to the method. */
    private static final class Negotiation {
        private final Script script;
        private final TokenRequest.ClassAd wishes;
        private final KeyPair ephemeral;

        Negotiation(Script script, TokenRequest.ClassAd wishes, SecureRandom random) {
            this.script = script;
            this.wishes = wishes;
            this.ephemeral = TokenRequest.KeyDerivation.ephemeral(random);
        }

        boolean bound() {
            return wishes.string("ECDHPublicKey").isEmpty();
        }

        String mode() {
            return bound() ? "bound" : "unbound";
        }

        /** The methods of both, in our order. Words are compared as a real server does: only TOKEN is IDTOKENS. */
        List<TokenRequest.AuthMethod> common() {
            Set<String> theirs = Arrays.stream(wishes.string("AuthMethods").orElse("").split("[, ]+"))
                .map(word -> word.toUpperCase(Locale.ROOT)).collect(Collectors.toSet());
            return script.methods.stream().filter(method -> theirs.contains(method.name())).toList();
        }

        /** Our first that the client offers. */
        Optional<TokenRequest.SessionCipher> cipher() {
            List<String> theirs = Arrays.asList(wishes.string("CryptoMethods").orElse("").split("[, ]+"));
            return script.ciphers.stream().filter(theirs::contains).findFirst().flatMap(TokenRequest.SessionCipher::named);
        }

        byte[] agree() throws TokenRequest.ProtocolViolation {
            return TokenRequest.KeyDerivation.agree(ephemeral.getPrivate(), wishes.string("ECDHPublicKey").orElse(""));
        }

        TokenRequest.ClassAd reply() {
            TokenRequest.ClassAd ad = new TokenRequest.ClassAd();
            String methods = common().stream().map(Enum::name).collect(Collectors.joining(","));
            ad.put("Authentication", script.has(Fault.AUTHENTICATION_NO) ? "NO" : "YES")
                .put("Encryption", script.has(Fault.ENCRYPTION_NO) ? "NO" : "YES")
                .put("Integrity", script.has(Fault.ENCRYPTION_NO) || script.has(Fault.INTEGRITY_NO) ? "NO" : "YES")
                .put("AuthMethodsList", methods)
                .put("AuthMethods", methods.split(",")[0])
                .put("CryptoMethods", script.has(Fault.CIPHER_BLOWFISH) ? "BLOWFISH" : cipher().map(one -> one.word).orElse(""))
                .put("CryptoMethodsList", String.join(",", script.ciphers));
            if (bound() ? script.has(Fault.ECDH_IN_BOUND) : !script.has(Fault.NO_ECDH)) {
                ad.put("ECDHPublicKey", script.has(Fault.BAD_POINT) ? badPoint()
                    : TokenRequest.KeyDerivation.encodePoint(ephemeral.getPublic()));
            }
            if (!script.noTrustDomain) {
                ad.put("TrustDomain", script.trustDomain);
            }
            if (!script.issuerKeys.isEmpty()) {
                ad.put("IssuerKeys", script.issuerKeys);
            }
            return ad.put("SessionDuration", Integer.toString(sessionDurationSeconds()))
                .put("SessionLease", script.sessionLeaseSeconds)
                .put("RemoteVersion", script.remoteVersion)
                .put("NegotiatedSession", true)
                .put("Enact", "YES");
        }

        /** The smaller wish of both. It travels as a string. */
        private int sessionDurationSeconds() {
            int theirs = wishes.string("SessionDuration").filter(text -> TokenRequest.NumericAddress.isNumber(text, 9))
                .map(Integer::parseInt).orElse(0);
            return Math.min(theirs, script.sessionDurationSeconds);
        }

        private static String badPoint() {
            byte[] bytes = new byte[65];
            bytes[0] = 4;
            return Base64.getEncoder().encodeToString(bytes);
        }
    }

    /** A client, once we know it. */
    private record Caller(Proof proof, TokenRequest.SessionCipher cipher, byte[] key) { }

    /** The sessions that can be resumed. They do not expire by themselves. */
    private static final class Sessions {
        private final Map<String, Caller> callers = new ConcurrentHashMap<>();
        private final AtomicInteger opened = new AtomicInteger();
        private final AtomicInteger resumptions = new AtomicInteger();
        private final int port;

        Sessions(int port) {
            this.port = port;
        }

        /** What to do with a client that resumes. */
        record Verdict(Optional<Caller> known, boolean hangUp) { }

        String open(Caller caller) {
            String sid = "loopback:" + port + ":" + opened.getAndIncrement();
            callers.put(sid, caller);
            return sid;
        }

        Verdict find(String sid, Script script) {
            int count = resumptions.incrementAndGet();
            Optional<Caller> known = Optional.ofNullable(callers.get(sid))
                .filter(caller -> count > script.forgetSessions);
            return new Verdict(known, count <= script.dropResumptions);
        }
    }

    // ---- Method: authentication, seen from the server ----

    /**
     * Who the client has proved to be.
     *
     * @param methodKey the method's own key, under which a session key travels; empty if it has none
     * @param claims    what the token said, as a query tells it; none without a token
     */
    record Proof(TokenRequest.AuthMethod method, String user, byte[] methodKey, Map<String, String> claims) {
        Proof(TokenRequest.AuthMethod method, String user, byte[] methodKey) {
            this(method, user, methodKey, Map.of());
        }

        /** Encrypts a session key with 3DES-CFB64; in the clear if there is nothing to encrypt it with. */
        byte[] wrap(byte[] key) {
            if (method == TokenRequest.AuthMethod.KERBEROS) {
                byte[] text = Realm.encrypt(methodKey, TokenRequest.KerberosCipher.HTCONDOR_USAGE, key);
                return ByteBuffer.allocate(3 * Integer.BYTES + text.length).putInt(Realm.TYPE).putInt(0).putInt(text.length)
                    .put(text).array();
            }
            if (methodKey.length == 0) {
                return key;
            }
            byte[] folded = new byte[24];
            for (int i = 0; i < Math.max(folded.length, methodKey.length); i++) {
                folded[i % folded.length] ^= methodKey[i % methodKey.length];
            }
            try {
                Cipher cipher = Cipher.getInstance("DESede/CFB64/NoPadding");
                cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(folded, "DESede"), new IvParameterSpec(new byte[8]));
                return cipher.doFinal(key);
            } catch (GeneralSecurityException e) {
                throw new IllegalStateException(e);
            }
        }
    }

    /** One method. Empty means that it failed with the stream in step, so that the client may try another. */
    private sealed interface Method {
        Optional<Proof> authenticate(TokenRequest.CedarStream stream) throws IOException;
    }

    private record ClaimToBe(Script script) implements Method {
        @Override
        public Optional<Proof> authenticate(TokenRequest.CedarStream stream) throws IOException {
            TokenRequest.MessageReader claim = stream.receive("claim");
            if (claim.number() != 1) {
                return Optional.empty();
            }
            String name = claim.string();
            claim.end();
            boolean granted = !script.has(Fault.CLAIM_REFUSED);
            stream.send(stream.message().number(granted ? 1 : 0));
            return granted ? Optional.of(new Proof(TokenRequest.AuthMethod.CLAIMTOBE, name, new byte[0]))
                : Optional.empty();
        }
    }

    private record Anonymous() implements Method {
        @Override
        public Optional<Proof> authenticate(TokenRequest.CedarStream stream) throws IOException {
            stream.send(stream.message().number(1));
            return Optional.of(new Proof(TokenRequest.AuthMethod.ANONYMOUS, "CONDOR_ANONYMOUS_USER", new byte[0]));
        }
    }

    /**
     * Names a directory that the client is to create, and looks whose it is.
     *
     * @param endpoint that the client asked the shared port for; empty if it did not
     */
    private record FileSystem(TokenRequest.AuthMethod method, Pool pool, Script script, int port, String endpoint)
            implements Method {
        @Override
        public Optional<Proof> authenticate(TokenRequest.CedarStream stream) throws IOException {
            String path = path();
            Optional<Path> trap = script.fsThen.filter(then -> endpoint.contains("/"))
                .map(then -> Path.of(path + address() + "?sock=" + endpoint.substring(0, endpoint.indexOf('/'))));
            if (trap.isPresent()) {
                Files.createDirectory(trap.get(), PosixFilePermissions.asFileAttribute(
                    PosixFilePermissions.fromString("rwxrwxrwx")));
            }
            stream.send(stream.message().string(path));
            TokenRequest.MessageReader answer = stream.receive("FS answer");
            boolean created = answer.number() == 0;
            String extension = answer.atEnd() ? "" : answer.string();
            answer.end();
            if (created) {
                pool.journal.note("created " + path + extension);
            }
            if (created && script.fsThen.equals(Optional.of("silence"))) {
                stream.receive("word of a client that waits for ours");
            } else if (created && script.fsThen.isPresent()) {
                replace(trap.orElse(Path.of(path + extension)), script.fsThen.get());
            }
            Optional<String> owner = created && bindsAddress(extension) ? owner(Path.of(path + extension))
                : Optional.empty();
            stream.send(stream.message().number(owner.isPresent() ? 0 : -1));
            return owner.map(name -> name + "@" + script.trustDomain)
                .map(user -> new Proof(method, user, new byte[0]));
        }

        private static void replace(Path directory, String with) throws IOException {
            Files.move(directory, Path.of(directory + ".away"), StandardCopyOption.ATOMIC_MOVE);
            switch (with.split(":")[0]) {
                case "file" -> Files.createFile(directory);
                case "directory" -> Files.createDirectory(directory);
                default -> Files.createSymbolicLink(directory, Path.of(with.substring("link:".length())));
            }
        }

        private String path() {
            String parent = script.fsDir.map(Path::toString).orElse("/tmp");
            if (script.has(Fault.FS_EVIL_PATH)) {
                return parent + "/../etc/" + name();
            }
            return parent + (script.has(Fault.FS_NESTED_PATH) ? "/nested/" : "/") + name();
        }

        private String name() {
            String letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
            String drawn = pool.random.ints(6, 0, letters.length()).mapToObj(i -> letters.substring(i, i + 1))
                .collect(Collectors.joining());
            return switch (script.fsNames) {
                case PLAIN -> method + (method == TokenRequest.AuthMethod.FS ? "" : "_cm_4711") + "_XXX" + drawn;
                case ADDRESS -> method + "_127.0.0.1_" + port + "_XXX" + drawn;
                case EXTENSION, SHARED_PORT -> method + "_127.0.0.1_" + port + "_XXX" + drawn + "_";
            };
        }

        private String address() {
            return "127.0.0.1:" + port;
        }

        /** Whether the address is ours, if the client names one; with the endpoint that it asked for, if we know of those. */
        private boolean bindsAddress(String extension) {
            return extension.isEmpty() || extension.equals(address()) || (script.fsNames == FsNames.SHARED_PORT
                && !endpoint.isEmpty() && extension.equals(address() + "?sock=" + endpoint));
        }

        /** The server demands all twelve bits of the mode. */
        private static Optional<String> owner(Path directory) throws IOException {
            try {
                Map<String, Object> found = Files.readAttributes(directory, "unix:mode,owner,isDirectory",
                    LinkOption.NOFOLLOW_LINKS);
                boolean fits = found.get("isDirectory").equals(true) && ((Integer) found.get("mode") & 07777) == 0700;
                return Optional.of(((UserPrincipal) found.get("owner")).getName()).filter(name -> fits);
            } catch (NoSuchFileException e) {
                return Optional.empty();
            }
        }
    }

    /**
     * The server's side of TLS inside messages. Client and server alternate strictly, each saying how far it is. With
     * SCITOKENS, a token of the client's passes through it in the end.
     */
    private record Ssl(TokenRequest.AuthMethod method, Pool pool) implements Method {
        @Override
        public Optional<Proof> authenticate(TokenRequest.CedarStream stream) throws IOException {
            boolean ready = !pool.script.has(Fault.SSL_REFUSES);
            stream.send(stream.message().number(ready ? TokenRequest.Protocol.SSL_OK : TokenRequest.Protocol.SSL_ERROR));
            TokenRequest.MessageReader answer = stream.receive("SSL status");
            boolean bothReady = answer.number() == TokenRequest.Protocol.SSL_OK && ready;
            answer.end();
            Tunnel tunnel = new Tunnel(stream, engine());
            return bothReady && tunnel.handshake() ? handOver(tunnel) : Optional.empty();
        }

        private SSLEngine engine() {
            SSLEngine engine = pool.tls.createSSLEngine();
            engine.setUseClientMode(false);
            engine.setWantClientAuth(true);
            engine.setEnabledProtocols(pool.script.tlsVersions.toArray(String[]::new));
            if (!pool.script.cipherSuites.isEmpty()) {
                engine.setEnabledCipherSuites(pool.script.cipherSuites.toArray(String[]::new));
            }
            return engine;
        }

        /** Phase 2: a key of 256 random bytes goes through TLS. */
        private Optional<Proof> handOver(Tunnel tunnel) throws IOException {
            Script script = pool.script;
            boolean certified = tunnel.clientHasCertificate();
            if (script.has(Fault.SSL_QUITS) || script.requireClientCertificate && !certified) {
                tunnel.quit();
                return Optional.empty();
            }
            byte[] key = new byte[script.has(Fault.SSL_SHORT_KEY) ? 100 : TokenRequest.Protocol.SSL_KEY_BYTES];
            pool.random.nextBytes(key);
            if (!tunnel.deliver(key, script.faults)) {
                return Optional.empty();
            }
            if (method == TokenRequest.AuthMethod.SCITOKENS) {
                return takesToken(tunnel) ? Optional.of(new Proof(method, "bearer@unmapped", key)) : Optional.empty();
            }
            tunnel.clientName().ifPresent(name -> pool.journal.note("certificate " + name));
            return Optional.of(new Proof(method, certified && script.clientCa.isPresent()
                ? tunnel.clientName().orElseThrow() + "@" + script.trustDomain
                : certified ? "ssl@unmapped" : "unauthenticated@unmapped", key));
        }

        /** Phase 3: a bearer token comes through TLS. */
        private boolean takesToken(Tunnel tunnel) throws IOException {
            String token = new String(tunnel.text(), US_ASCII);
            pool.journal.note("bearer-token");
            boolean taken = !pool.script.rejectBearerToken && token.split("\\.").length == 3;
            tunnel.say(taken ? TokenRequest.Protocol.SSL_HOLDING : TokenRequest.Protocol.SSL_QUITTING);
            return taken;
        }
    }

/** The messages that carry TLS, and the engine behind them. */
    private static final class Tunnel {
        private TokenRequest.CedarStream stream;
        private final SSLEngine engine;
        private final ByteBuffer record;
        private final ByteBuffer text;
        private final ByteArrayOutputStream outgoing = new ByteArrayOutputStream();
        private byte[] incoming = new byte[0];
        private int theirs = TokenRequest.Protocol.SSL_RECEIVING;

        Tunnel(TokenRequest.CedarStream stream, SSLEngine engine) {
            this.stream = stream;
            this.engine = engine;
            this.record = ByteBuffer.allocate(engine.getSession().getPacketBufferSize());
            this.text = ByteBuffer.allocate(engine.getSession().getApplicationBufferSize());
        }

        /** Phase 1, the client first. Returns whether both sides hold. */
        boolean handshake() throws IOException {
            int ours = TokenRequest.Protocol.SSL_RECEIVING;
            engine.beginHandshake();
            while (listen()) {
                if (ours == TokenRequest.Protocol.SSL_HOLDING && theirs == TokenRequest.Protocol.SSL_HOLDING) {
                    return true;
                }
                ours = ours == TokenRequest.Protocol.SSL_HOLDING ? ours : advance();
                say(ours);
                if (ours == TokenRequest.Protocol.SSL_HOLDING && theirs == TokenRequest.Protocol.SSL_HOLDING) {
                    return true;
                }
                if (ours == TokenRequest.Protocol.SSL_QUITTING) {
                    return false;
                }
            }
            return false;
        }

        /** Phase 2, the server first. Returns whether the client has what we sent. */
        boolean deliver(byte[] key, Set<Fault> faults) throws IOException {
            ByteBuffer source = ByteBuffer.wrap(key);
            while (source.hasRemaining()) {
                wrap(source);
            }
            if (faults.contains(Fault.SSL_CLOSES)) {
                engine.closeOutbound();
                wrap(ByteBuffer.allocate(0));
            }
            if (faults.contains(Fault.SSL_RENEGOTIATES)) {
                engine.beginHandshake();
                wrap(ByteBuffer.allocate(0));
            }
            boolean goesOn = true;
            while (goesOn && faults.contains(Fault.SSL_ENDLESS)) {
                stream.send(stream.message().number(TokenRequest.Protocol.SSL_RECEIVING).counted(new byte[0]));
                goesOn = listen();
            }
            theirs = TokenRequest.Protocol.SSL_RECEIVING;
            while (goesOn && theirs != TokenRequest.Protocol.SSL_HOLDING) {
                say(TokenRequest.Protocol.SSL_HOLDING);
                goesOn = listen();
            }
            return goesOn;
        }

        /** Phase 3: what the client sends, of which the first four bytes say how long it is. */
        byte[] text() throws IOException {
            if (!listen() || !unwrap() || text.flip().remaining() < Integer.BYTES) {
                throw new HangUp("no text came through TLS");
            }
            byte[] bytes = new byte[text.getInt()];
            text.get(bytes);
            return bytes;
        }

        void quit() throws IOException {
            say(TokenRequest.Protocol.SSL_QUITTING);
        }

        /** The name in the client's certificate; of a proxy, which another certificate of its signed, in that. */
        Optional<String> clientName() {
            try {
                Certificate[] chain = engine.getSession().getPeerCertificates();
                int own = 0;
                while (own + 1 < chain.length && ((X509Certificate) chain[own + 1]).getBasicConstraints() < 0) {
                    own++;
                }
                return Optional.of(((X509Certificate) chain[own]).getSubjectX500Principal().getName()
                    .replaceFirst("^CN=([^,]*).*", "$1"));
            } catch (SSLPeerUnverifiedException e) {
                return Optional.empty();
            }
        }

        boolean clientHasCertificate() {
            try {
                return engine.getSession().getPeerCertificates().length > 0;
            } catch (SSLPeerUnverifiedException e) {
                return false;
            }
        }

        private void say(int status) throws IOException {
            stream.send(stream.message().number(status).counted(outgoing.toByteArray()));
            outgoing.reset();
        }

        /** The client's turn. Returns whether it goes on. */
        private boolean listen() throws IOException {
            TokenRequest.MessageReader turn = stream.receive("TLS bytes");
            theirs = turn.number(TokenRequest.Protocol.SSL_ERROR, TokenRequest.Protocol.SSL_HOLDING);
            incoming = TokenRequest.concat(incoming, turn.counted());
            turn.end();
            return theirs != TokenRequest.Protocol.SSL_QUITTING && theirs != TokenRequest.Protocol.SSL_ERROR;
        }

        /** Lets TLS run on what has arrived. Returns our status. */
        private int advance() throws IOException {
            try {
                return run() ? TokenRequest.Protocol.SSL_HOLDING : TokenRequest.Protocol.SSL_RECEIVING;
            } catch (SSLException e) {
                alert();
                return TokenRequest.Protocol.SSL_QUITTING;
            }
        }

        private boolean run() throws SSLException {
            while (true) {
                switch (engine.getHandshakeStatus()) {
                    case NEED_TASK -> engine.getDelegatedTask().run();
                    case NEED_WRAP -> wrap(ByteBuffer.allocate(0));
                    case NOT_HANDSHAKING, FINISHED -> {
                        return true;
                    }
                    default -> {
                        if (!unwrap()) {
                            return false;
                        }
                    }
                }
            }
        }

        private void alert() throws IOException {
            if (engine.getHandshakeStatus() == SSLEngineResult.HandshakeStatus.NEED_WRAP) {
                wrap(ByteBuffer.allocate(0));
            }
        }

        private void wrap(ByteBuffer source) throws SSLException {
            engine.wrap(source, record);
            outgoing.write(record.array(), 0, record.position());
            record.clear();
        }

        private boolean unwrap() throws SSLException {
            ByteBuffer source = ByteBuffer.wrap(incoming);
            SSLEngineResult result = engine.unwrap(source, text.clear());
            incoming = Arrays.copyOfRange(incoming, source.position(), incoming.length);
            if (result.getStatus() == SSLEngineResult.Status.CLOSED) {
                throw new SSLException("closed by the client");
            }
            return result.getStatus() == SSLEngineResult.Status.OK;
        }
    }

    /** AKEP2 with a token whose signature the pool derives anew from its signing key. */
    private record IdTokens(Script script, Issuer issuer, SecureRandom random) implements Method {
        private static final String SERVER_NAME = "condor@password";

        @Override
        public Optional<Proof> authenticate(TokenRequest.CedarStream stream) throws IOException {
            TokenRequest.MessageReader hello = stream.receive("token");
            long status = hello.number();
            hello.number();
            String name = hello.string();
            String signed = hello.string();
            byte[] ra = hello.counted();
            hello.end();
            Optional<String> subject = status == 0 ? issuer.subject(signed) : Optional.empty();
            byte[] rb = new byte[TokenRequest.Protocol.AKEP2_RANDOM_BYTES];
            random.nextBytes(rb);
            byte[] key = TokenRequest.KeyDerivation.hkdf(issuer.signature(signed),
                TokenRequest.concat(Base64.getMimeDecoder().decode(TokenRequest.Protocol.AKEP2_SEED_A),
                    TokenRequest.KeyDerivation.ascii(signed)), TokenRequest.KeyDerivation.ascii("master ka"));
            stream.send(subject.isPresent() ? challenge(script, stream.message(), name, ra, rb, key)
                : stream.message().number(-1).number(0).string("").number(0).string("").number(0).number(0).number(0));
            byte[] expected = TokenRequest.KeyDerivation.hmac("HmacSHA1", key,
                TokenRequest.concat((name + "\0").getBytes(UTF_8), rb));
            boolean proved = proves(stream.receive("proof"), name, rb, expected);
            byte[] methodKey = TokenRequest.KeyDerivation.hkdf(rb, TokenRequest.KeyDerivation.ascii("session key"),
                TokenRequest.KeyDerivation.ascii("htcondor"));
            return subject.filter(known -> proved && known.equals(name))
                .map(known -> new Proof(TokenRequest.AuthMethod.TOKEN, known, methodKey, issuer.described(signed)));
        }

        private static TokenRequest.Message challenge(Script script, TokenRequest.Message message, String name, byte[] ra,
                byte[] rb, byte[] key) {
            byte[] proof = TokenRequest.KeyDerivation.hmac("HmacSHA1", key, TokenRequest.concat(
                (name + " " + SERVER_NAME + "\0").getBytes(UTF_8), TokenRequest.concat(ra, rb)));
            if (script.has(Fault.TOKEN_BAD_PROOF)) {
                proof[0] ^= 1;
            }
            return message.number(0).number(name.getBytes(UTF_8).length).string(name)
                .number(SERVER_NAME.length()).string(SERVER_NAME).counted(ra).counted(rb).counted(proof);
        }

        private static boolean proves(TokenRequest.MessageReader last, String name, byte[] rb, byte[] expected)
                throws IOException {
            long status = last.number();
            last.number();
            String echoedName = last.string();
            byte[] echoedRb = last.counted();
            byte[] proof = last.counted();
            last.end();
            return status == 0 && echoedName.equals(name) && MessageDigest.isEqual(echoedRb, rb)
                && MessageDigest.isEqual(proof, expected);
        }
    }

    /** AKEP2 with the pool's password. */
    private record Passwords(Script script, SecureRandom random) implements Method {
        @Override
        public Optional<Proof> authenticate(TokenRequest.CedarStream stream) throws IOException {
            TokenRequest.MessageReader hello = stream.receive("name");
            hello.number();
            hello.number();
            String name = hello.string();
            byte[] ra = hello.counted();
            hello.end();
            byte[] rb = new byte[TokenRequest.Protocol.AKEP2_RANDOM_BYTES];
            random.nextBytes(rb);
            byte[] key = key(TokenRequest.Protocol.AKEP2_SEED_A);
            stream.send(IdTokens.challenge(script, stream.message(), name, ra, rb, key));
            byte[] expected = TokenRequest.KeyDerivation.hmac("HmacSHA1", key,
                TokenRequest.concat((name + "\0").getBytes(UTF_8), rb));
            byte[] methodKey = TokenRequest.KeyDerivation.hmac("HmacSHA1", key(TokenRequest.Protocol.AKEP2_SEED_B), rb);
            return IdTokens.proves(stream.receive("proof"), name, rb, expected)
                ? Optional.of(new Proof(TokenRequest.AuthMethod.PASSWORD, name, methodKey)) : Optional.empty();
        }

        private byte[] key(String seed) {
            return TokenRequest.Password.key(seed, TokenRequest.KeyDerivation.ascii(script.password));
        }
    }

    /**
     * A Kerberos realm without a KDC: a key of the pool's host, and a ticket with a session key for alice. All keys are of
     * type 18, aes256-cts-hmac-sha1-96.
     */
    private record Realm(byte[] hostKey, byte[] sessionKey) {
        static final int TYPE = 18;
        private static final String NAME = "POOL.TEST";
        private static final String SERVER = "host/localhost@" + NAME;
        private static final String USER = "alice@" + NAME;
        private static final DateTimeFormatter TIME = DateTimeFormatter.ofPattern("yyyyMMddHHmmss'Z'", Locale.ROOT)
            .withZone(ZoneOffset.UTC);
        /** Key usage of the part of a ticket that is for the server. RFC 4120, section 7.5.1 */
        private static final int TICKET_USAGE = 2;

        static Realm make(SecureRandom random) {
            byte[] hostKey = new byte[32];
            byte[] sessionKey = new byte[32];
            random.nextBytes(hostKey);
            random.nextBytes(sessionKey);
            return new Realm(hostKey, sessionKey);
        }

        /** Writes alice's cache, in format 4. */
        void writeCache(Path file, boolean isTgt, long lifetimeSeconds) throws IOException {
            Instant start = Instant.now().minusSeconds(24 * 3600);
            Instant end = Instant.now().plusSeconds(lifetimeSeconds);
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            bytes.writeBytes(ByteBuffer.allocate(4).putShort((short) 0x0504).putShort((short) 0).array());
            bytes.writeBytes(principal("alice"));
            bytes.writeBytes(principal("alice"));
            bytes.writeBytes(isTgt ? principal("krbtgt", NAME) : principal("host", "localhost"));
            bytes.writeBytes(ByteBuffer.allocate(2).putShort((short) TYPE).array());
            bytes.writeBytes(counted(sessionKey));
            int seconds = (int) start.getEpochSecond();
            bytes.writeBytes(ByteBuffer.allocate(29).putInt(seconds).putInt(seconds).putInt((int) end.getEpochSecond()).putInt(0)
                .put((byte) 0).putInt(0).putInt(0).putInt(0).array());
            bytes.writeBytes(counted(ticket(isTgt ? name(2, "krbtgt", NAME) : name(3, "host", "localhost"), start, end)));
            bytes.writeBytes(counted(new byte[0]));
            Files.deleteIfExists(file);
            Files.createFile(file, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
            Files.write(file, bytes.toByteArray());
        }

        private static byte[] counted(byte[] value) {
            return ByteBuffer.allocate(4 + value.length).putInt(value.length).put(value).array();
        }

        private static byte[] principal(String... parts) {
            ByteArrayOutputStream bytes = new ByteArrayOutputStream();
            bytes.writeBytes(ByteBuffer.allocate(8).putInt(1).putInt(parts.length).array());
            bytes.writeBytes(counted(NAME.getBytes(US_ASCII)));
            Arrays.stream(parts).forEach(part -> bytes.writeBytes(counted(part.getBytes(US_ASCII))));
            return bytes.toByteArray();
        }

        /** RFC 4120, section 5.3 */
        private byte[] ticket(byte[] server, Instant start, Instant end) {
            byte[] part = der(0x63, der(0x30, der(0xA0, der(0x03, new byte[] {0, 0, 0, 0, 0})),
                der(0xA1, der(0x30, der(0xA0, number(TYPE)), der(0xA1, der(0x04, sessionKey)))),
                der(0xA2, text(NAME)), der(0xA3, name(1, "alice")),
                der(0xA4, der(0x30, der(0xA0, number(1)), der(0xA1, der(0x04)))),
                der(0xA5, time(start)), der(0xA6, time(start)), der(0xA7, time(end))));
            return der(0x61, der(0x30, der(0xA0, number(5)), der(0xA1, text(NAME)), der(0xA2, server),
                der(0xA3, der(0x30, der(0xA0, number(TYPE)), der(0xA1, number(1)),
                    der(0xA2, der(0x04, encrypt(hostKey, TICKET_USAGE, part)))))));
        }

        /** Answers every request with an error, or not at all. RFC 4120, section 5.9.1 */
        static int playKdc(int code) throws IOException {
            // TCP first: most of the system's ports that are in use are TCP's, so the same number is free for UDP.
            ServerSocket tcp = new ServerSocket(0, 5, InetAddress.getLoopbackAddress());
            DatagramSocket socket = new DatagramSocket(tcp.getLocalPort(), InetAddress.getLoopbackAddress());
            byte[] error = der(0x7E, der(0x30, der(0xA0, number(5)), der(0xA1, number(30)), der(0xA4, time(Instant.now())),
                der(0xA5, number(0)), der(0xA6, number(code)), der(0xA9, text(NAME)),
                der(0xAA, name(2, "krbtgt", NAME))));
            background("kdc-tcp", () -> {
                try (tcp) {
                    while (true) {
                        Socket client = tcp.accept();
                        client.getOutputStream().write(new byte[] {0x7F, -1, -1, -1, 0x7E});
                    }
                } catch (IOException e) {
                    System.err.println("LoopbackPool: KDC: " + e);
                }
            });
            background("kdc", () -> {
                DatagramPacket request = new DatagramPacket(new byte[4096], 4096);
                try (socket) {
                    while (true) {
                        socket.receive(request);
                        if (code > 0) {
                            socket.send(new DatagramPacket(error, error.length, request.getSocketAddress()));
                        } else if (code < 0) {
                            socket.send(request);
                        }
                    }
                } catch (IOException e) {
                    System.err.println("LoopbackPool: KDC: " + e);
                }
            });
            return socket.getLocalPort();
        }

        private static byte[] der(int tag, byte[]... parts) {
            ByteArrayOutputStream content = new ByteArrayOutputStream();
            Arrays.stream(parts).forEach(content::writeBytes);
            int length = content.size();
            ByteBuffer bytes = ByteBuffer.allocate(4 + length).put((byte) tag);
            if (length >= 256) {
                bytes.put((byte) 0x82).putShort((short) length);
            } else if (length >= 128) {
                bytes.put((byte) 0x81).put((byte) length);
            } else {
                bytes.put((byte) length);
            }
            bytes.put(content.toByteArray());
            return Arrays.copyOf(bytes.array(), bytes.position());
        }

        private static byte[] number(int value) {
            return der(0x02, new byte[] {(byte) value});
        }

        private static byte[] text(String value) {
            return der(0x1B, value.getBytes(US_ASCII));
        }

        private static byte[] time(Instant value) {
            return der(0x18, TIME.format(value).getBytes(US_ASCII));
        }

        private static byte[] name(int type, String... parts) {
            return der(0x30, der(0xA0, number(type)),
                der(0xA1, der(0x30, Arrays.stream(parts).map(Realm::text).toArray(byte[][]::new))));
        }

        /** RFC 3962; {@link TokenRequest.KerberosCipher} has the other direction. */
        static byte[] encrypt(byte[] key, int usage, byte[] text) {
            try {
                byte[] plain = TokenRequest.concat(new byte[16], text);
                new SecureRandom().nextBytes(plain);
                System.arraycopy(text, 0, plain, 16, text.length);
                Cipher cipher = Cipher.getInstance("AES/CTS/NoPadding");
                cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(
                    TokenRequest.KerberosCipher.derive(key, usage, (byte) 0xAA, 16), "AES"), new IvParameterSpec(new byte[16]));
                byte[] tag = TokenRequest.KeyDerivation.hmac("HmacSHA1",
                    TokenRequest.KerberosCipher.derive(key, usage, (byte) 0x55, 16), plain);
                return TokenRequest.concat(cipher.doFinal(plain), Arrays.copyOf(tag, 12));
            } catch (GeneralSecurityException e) {
                throw new IllegalStateException(e);
            }
        }

        /** The server's side of the login, by JGSS. */
        @SuppressWarnings("removal") // Subject.callAs, its replacement, exists from Java 18 on
        GSSContext acceptor() throws IOException {
            System.setProperty("sun.security.krb5.rcache", "none"); // else it keeps a file of what it has seen
            KerberosPrincipal principal = new KerberosPrincipal(SERVER);
            Subject subject = new Subject();
            subject.getPrincipals().add(principal);
            subject.getPrivateCredentials().add(new KerberosKey(principal, hostKey, TYPE, 1));
            try {
                return Subject.doAs(subject, (PrivilegedExceptionAction<GSSContext>) () -> {
                    GSSManager manager = GSSManager.getInstance();
                    Oid mechanism = new Oid("1.2.840.113554.1.2.2");
                    return manager.createContext(manager.createCredential(manager.createName(SERVER,
                        new Oid("1.2.840.113554.1.2.2.1")), GSSCredential.INDEFINITE_LIFETIME, mechanism,
                        GSSCredential.ACCEPT_ONLY));
                });
            } catch (PrivilegedActionException e) {
                throw new IOException(e);
            }
        }
    }

    /** The server of KERBEROS. condor_io/condor_auth_kerberos.cpp */
    private record Kerberos(Script script, Realm realm) implements Method {
        private static final byte[] MECHANISM = HexFormat.of().parseHex("06092a864886f712010202");

        @Override
        public Optional<Proof> authenticate(TokenRequest.CedarStream stream) throws IOException {
            TokenRequest.MessageReader ready = stream.receive("readiness");
            boolean isReady = ready.number() == 4;
            ready.end();
            if (!isReady) {
                return Optional.empty();
            }
            TokenRequest.MessageReader request = stream.receive("ticket");
            boolean isRequest = request.number() == 4;
            byte[] ticket = isRequest ? request.counted() : new byte[0];
            request.end();
            String user = "";
            byte[] proof = new byte[0];
            try {
                if (isRequest && !script.has(Fault.KERBEROS_REFUSES)) {
                    GSSContext context = realm.acceptor();
                    byte[] token = framed(ticket);
                    proof = unframed(context.acceptSecContext(token, 0, token.length));
                    user = context.getSrcName().toString();
                }
            } catch (GSSException e) {
                System.err.println("LoopbackPool: KERBEROS: " + e.getMessage());
            }
            if (proof.length == 0) {
                stream.send(stream.message().number(0));
                return Optional.empty();
            }
            if (!script.has(Fault.KERBEROS_OUT_OF_STEP)) {
                stream.send(stream.message().number(3));
            }
            if (script.has(Fault.KERBEROS_BAD_PROOF)) {
                proof[proof.length - 1] ^= 1;
            }
            stream.send(script.has(Fault.KERBEROS_LONG_PROOF) ? stream.message().number(4).number(Integer.MAX_VALUE).raw(proof)
                : script.has(Fault.KERBEROS_NO_PROOF) ? stream.message().number(4).number(0)
                : stream.message().number(4).counted(proof));
            TokenRequest.MessageReader verdict = stream.receive("verdict");
            verdict.number();
            verdict.end();
            stream.send(stream.message().number(script.has(Fault.KERBEROS_UNMAPPED) ? 0 : 1));
            byte[] key = realm.sessionKey().clone();
            if (script.has(Fault.KERBEROS_OTHER_KEY)) {
                key[0] ^= 1;
            }
            return script.has(Fault.KERBEROS_UNMAPPED) ? Optional.empty()
                : Optional.of(new Proof(TokenRequest.AuthMethod.KERBEROS, user.toLowerCase(Locale.ROOT), key));
        }

        private static byte[] framed(byte[] request) {
            byte[] content = TokenRequest.concat(TokenRequest.concat(MECHANISM, new byte[] {1, 0}), request);
            return ByteBuffer.allocate(6 + content.length).put((byte) 0x60).put((byte) 0x84).putInt(content.length).put(content)
                .array();
        }

        private static byte[] unframed(byte[] token) {
            int length = token[1] < 0 ? token[1] & 0x7F : 0;
            return Arrays.copyOfRange(token, 2 + length + MECHANISM.length + 2, token.length);
        }
    }

    /** MUNGE, with a munged that has no keys: whoever knows that can decode what it makes, as whoever has munge.key can. */
    private record Munge(Script script) implements Method {
        @Override
        public Optional<Proof> authenticate(TokenRequest.CedarStream stream) throws IOException {
            TokenRequest.MessageReader hello = stream.receive("credential");
            long status = hello.number();
            String text = hello.string();
            hello.end();
            if (status != 0) {
                return Optional.empty();
            }
            Optional<Munged.Credential> credential = Munged.Credential.decode(text)
                .filter(one -> !script.has(Fault.MUNGE_REFUSES) && (one.mayDecode() == -1 || one.mayDecode() == script.mungeUid));
            if (!script.has(Fault.MUNGE_OUT_OF_STEP)) {
                TokenRequest.Message verdict = stream.message().number(credential.isPresent() ? 0 : -1);
                stream.send(script.has(Fault.MUNGE_LONG_VERDICT) ? verdict.number(0) : verdict);
            }
            return credential.map(one -> {
                byte[] secret = one.secret().clone();
                if (script.has(Fault.MUNGE_OTHER_KEY)) {
                    secret[0] ^= 2; // the lowest bit is a parity bit
                }
                return new Proof(TokenRequest.AuthMethod.MUNGE, one.user() + "@" + script.trustDomain, secret);
            });
        }
    }

    /** A stand-in for munged, and what it does on a socket. */
    static final class Munged {
        private static final int MAGIC = 0x00606D4B;
        private static final int REQUEST_BYTES = 55;

        private Munged() { }

        /** What it does with a request. */
        enum Deed {
            ENCODE, ERROR, CLOSE, SILENCE,
            BAD_MAGIC, BAD_VERSION, BAD_TYPE, HUGE_LENGTH, NEGATIVE_LENGTH, CUT_OFF, SHORT_BODY, LONG_BODY, BAD_TEXT_LENGTH,
            BAD_CREDENTIAL_LENGTH, NO_CREDENTIAL, STRANGE_CREDENTIAL;

            @Override
            public String toString() {
                return name().toLowerCase(Locale.ROOT).replace('_', '-');
            }
        }

        /**
         * What is in a credential.
         *
         * @param mayDecode number of a user; -1 for everybody
         */
        @SuppressWarnings("ArrayRecordComponent")
        record Credential(String user, int mayDecode, byte[] secret) {
            String encode() {
                byte[] name = user.getBytes(UTF_8);
                return "MUNGE:" + Base64.getEncoder().encodeToString(ByteBuffer.allocate(8 + secret.length + name.length)
                    .putInt(mayDecode).putInt(secret.length).put(secret).put(name).array()) + ":";
            }

            static Optional<Credential> decode(String text) {
                if (!text.startsWith("MUNGE:") || !text.endsWith(":")) {
                    return Optional.empty();
                }
                ByteBuffer bytes = ByteBuffer.wrap(Base64.getDecoder().decode(text.substring(6, text.length() - 1)));
                int mayDecode = bytes.getInt();
                byte[] secret = new byte[bytes.getInt()];
                bytes.get(secret);
                return Optional.of(new Credential(UTF_8.decode(bytes).toString(), mayDecode, secret));
            }
        }

        static void play(Path path, Deed deed) throws IOException {
            ServerSocketChannel listener = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
            Files.deleteIfExists(path);
            listener.bind(UnixDomainSocketAddress.of(path));
            background("munged", () -> {
                try (listener) {
                    while (true) {
                        SocketChannel client = listener.accept();
                        background("munged's client", () -> serve(client, deed));
                    }
                } catch (IOException e) {
                    System.err.println("LoopbackPool: munged: " + e);
                }
            });
        }

        private static void serve(SocketChannel client, Deed deed) {
            try (client) {
                ByteBuffer request = ByteBuffer.allocate(REQUEST_BYTES);
                while (request.hasRemaining() && client.read(request) >= 0) {
                    // more to come
                }
                if (deed == Deed.SILENCE) {
                    client.read(ByteBuffer.allocate(1));
                } else if (deed != Deed.CLOSE) {
                    client.write(ByteBuffer.wrap(answer(request.flip(), deed,
                        client.getOption(ExtendedSocketOptions.SO_PEERCRED).user().getName())));
                }
            } catch (IOException e) {
                System.err.println("LoopbackPool: munged's client: " + e);
            }
        }

        private static byte[] answer(ByteBuffer request, Deed deed, String user) throws IOException {
            byte[] secret = new byte[24];
            int body = REQUEST_BYTES - 11;
            boolean fits = request.remaining() == REQUEST_BYTES && request.getInt() == MAGIC && request.get() == 4
                && request.get() == 2 && request.get() == 0 && request.getInt() == body
                && request.getInt() == 0x01010100 && request.getInt() == 0;
            int mayDecode = fits ? request.getInt() : 0;
            if (!fits || request.getInt() != -1 || request.getInt() != secret.length) {
                throw new IOException("not a request to encode");
            }
            request.get(secret);
            if (Arrays.equals(secret, new byte[secret.length])) {
                throw new IOException("a secret that everybody can guess");
            }
            return reply(deed, new Credential(user, mayDecode, secret).encode());
        }

        private static byte[] reply(Deed deed, String credential) {
            String text = switch (deed) {
                case ERROR, NO_CREDENTIAL -> "";
                case STRANGE_CREDENTIAL -> "MUNGE:\u001b[31m:";
                default -> credential;
            };
            byte[] reason = deed == Deed.ERROR ? "Too\u001b[31m late\0".getBytes(US_ASCII) : new byte[0];
            byte[] payload = text.isEmpty() ? new byte[0] : (text + "\0").getBytes(US_ASCII);
            ByteBuffer body = ByteBuffer.allocate(7 + reason.length + payload.length).put((byte) (deed == Deed.ERROR ? 15 : 0))
                .put((byte) (deed == Deed.BAD_TEXT_LENGTH ? 255 : reason.length)).put(reason)
                .putInt(deed == Deed.BAD_CREDENTIAL_LENGTH ? Integer.MAX_VALUE : payload.length).put(payload).put((byte) 0);
            int length = body.capacity() - (deed == Deed.LONG_BODY ? 0 : deed == Deed.SHORT_BODY ? 5 : 1);
            byte[] whole = ByteBuffer.allocate(11 + length).putInt(deed == Deed.BAD_MAGIC ? 1 : MAGIC)
                .put((byte) (deed == Deed.BAD_VERSION ? 3 : 4)).put((byte) (deed == Deed.BAD_TYPE ? 5 : 3)).put((byte) 0)
                .putInt(deed == Deed.HUGE_LENGTH ? Integer.MAX_VALUE : deed == Deed.NEGATIVE_LENGTH ? -1 : length)
                .put(body.array(), 0, length).array();
            return deed == Deed.CUT_OFF ? Arrays.copyOf(whole, whole.length / 2) : whole;
        }
    }

    // ---- Desk: token requests ----

    /** The token requests, and what becomes of them. An empty answer means: close without one. */
    private static final class Desk {
        private static final Refusal UNKNOWN = new Refusal(3, "Request ID is not known.");
        private final Script script;
        private final Issuer issuer;
        private final Journal journal;
        private final Map<String, Request> requests = new HashMap<>();
        private final Map<String, Integer> polls = new HashMap<>();
        private final Map<String, List<String>> issued = new ConcurrentHashMap<>();
        private int enqueued;
        private boolean hasForgotten;

        Desk(Script script, Issuer issuer, Journal journal) {
            this.script = script;
            this.issuer = issuer;
            this.journal = journal;
        }

        private record Request(String clientId, Grant grant) { }

        synchronized Optional<TokenRequest.ClassAd> start(TokenRequest.ClassAd ad, Caller caller) {
            Optional<String> clientId = ad.string("ClientId");
            Optional<String> identity = ad.string("User");
            OptionalLong lifetime = ad.integer("TokenLifetime");
            journal.note("start client_id=" + (clientId.isPresent() ? "yes" : "no")
                + " identity=" + identity.orElse("-")
                + " authz=" + ad.string("LimitAuthorization").orElse("-")
                + " lifetime=" + (lifetime.isPresent() ? lifetime.getAsLong() : "-"));
            if (script.dropStart) {
                return Optional.empty();
            }
            if (script.emptyAd) {
                return Optional.of(new TokenRequest.ClassAd());
            }
            Optional<Refusal> refusal = script.refuse.or(() -> complaint(clientId, identity, caller));
            return Optional.of(refusal.isPresent() ? refusal.get().ad() : enqueue(new Request(clientId.orElseThrow(),
                grant(identity.orElseThrow(), ad.string("LimitAuthorization").orElse(""), lifetime))));
        }

        /** What was asked for, but for what the script says otherwise. */
        private Grant grant(String identity, String authorizations, OptionalLong lifetimeSeconds) {
            OptionalLong lifetime = script.issueNoExpiry ? OptionalLong.empty()
                : script.issueLifetime.map(OptionalLong::of).orElse(lifetimeSeconds);
            return new Grant(script.issueSubject.orElse(identity), script.issueAuthz.orElse(authorizations), lifetime,
                script.notBefore.map(OptionalLong::of).orElse(OptionalLong.empty()),
                script.issueIssuer.orElse(script.trustDomain));
        }

        /** Who is nobody gets only what a rule approves. */
        private Optional<Refusal> complaint(Optional<String> clientId, Optional<String> identity, Caller caller) {
            if (clientId.isEmpty()) {
                return Optional.of(new Refusal(2, "No client ID provided."));
            }
            if (identity.isEmpty()) {
                return Optional.of(new Refusal(2, "No identity request."));
            }
            return caller.proof().method() == TokenRequest.AuthMethod.ANONYMOUS && !script.autoApprove
                ? Optional.of(new Refusal(7, "Request to server was made using ANONYMOUS or no authentication."))
                : Optional.empty();
        }

        private TokenRequest.ClassAd enqueue(Request request) {
            if (script.has(Fault.NO_REQUEST_ID)) {
                return new TokenRequest.ClassAd().put("Unexpected", true);
            }
            String requestId = script.many ? Integer.toString(Integer.parseInt(script.requestIds.get(0)) + enqueued)
                : script.requestIds.get(Math.min(enqueued, script.requestIds.size() - 1));
            enqueued++;
            TokenRequest.ClassAd reply = new TokenRequest.ClassAd().put("RequestId", requestId);
            if (script.autoApprove) {
                return reply.put("Token", issue(requestId, request));
            }
            requests.put(requestId, request);
            polls.remove(requestId);
            return reply;
        }

        /** Counts a poll, and returns the count: of all polls, or, with --forget-once or --many, of those for this request. */
        synchronized int count(TokenRequest.ClassAd ad) {
            journal.note("poll");
            return polls.merge(script.forgetOnce || script.many ? ad.string("RequestId").orElse("") : "of all", 1, Integer::sum);
        }

        synchronized Optional<TokenRequest.ClassAd> finish(TokenRequest.ClassAd ad, int polls) {
            if (polls <= script.dropPolls) {
                return Optional.empty();
            }
            if (polls <= script.rateLimit) {
                return Optional.of(new Refusal(script.rateLimitCode, "Request rate limit hit.").ad());
            }
            String requestId = ad.string("RequestId").orElse("");
            if (script.forgetAfter.filter(from -> polls >= from).isPresent()) {
                forget(requestId);
            }
            Optional<Request> request = Optional.ofNullable(requests.get(requestId));
            if (request.isEmpty()) {
                return Optional.of(script.pretends ? new TokenRequest.ClassAd().put("Token", script.token.orElse(""))
                    : UNKNOWN.ad());
            }
            if (!ad.string("ClientId").equals(Optional.of(request.get().clientId()))) {
                return Optional.of(new Refusal(3, "Client ID is incorrect.").ad());
            }
            return waiting(polls) ? Optional.of(new TokenRequest.ClassAd().put("Token", ""))
                : end(requestId, request.get());
        }

        /** Forgets a request; if that is for the first only, no other, not even one that has its ID again. */
        private void forget(String requestId) {
            boolean first = !hasForgotten && requestId.equals(script.requestIds.get(0));
            if (first || !script.forgetOnce) {
                requests.remove(requestId);
                hasForgotten = true;
            }
        }

        private boolean waiting(int polls) {
            return polls <= script.approveAfter
                || script.approveOn.filter(file -> !Files.exists(file)).isPresent();
        }

        /** The end of the wait. It takes the request away, whatever it is. */
        private Optional<TokenRequest.ClassAd> end(String requestId, Request request) {
            requests.remove(requestId);
            if (script.loseToken) {
                return Optional.empty();
            }
            if (script.expire) {
                return Optional.of(new Refusal(5, "Request has expired.").ad());
            }
            return Optional.of(script.refusePoll.map(Refusal::ad)
                .orElseGet(() -> new TokenRequest.ClassAd().put("Token", issue(requestId, request))));
        }

        private String issue(String requestId, Request request) {
            journal.note("issued");
            String token = script.token.orElseGet(() -> issuer.issue(request.grant(), requestId));
            if (script.rejectIssued) {
                issuer.reject(token);
            }
            issued.computeIfAbsent(request.grant().subject(), subject -> new CopyOnWriteArrayList<>()).add(token);
            return token;
        }

        List<String> issuedTo(String subject) {
            return issued.getOrDefault(subject, List.of());
        }
    }

    // ---- Directory: the ads of daemons ----

    /** A daemon that {@code --ad} names: the type of its ad, and what the ad says. */
    record DaemonAd(String type, Map<String, String> attributes) {
        static DaemonAd parse(String argument) {
            Map<String, String> attributes = new LinkedHashMap<>();
            for (String attribute : argument.split(";")) {
                String[] parts = attribute.split("=", 2);
                if (parts.length < 2) {
                    throw new CommandLine.TypeConversionException("not NAME=VALUE: " + attribute);
                }
                attributes.put(parts[0].strip(), parts[1]);
            }
            String type = attributes.remove("Type");
            if (type == null) {
                throw new CommandLine.TypeConversionException("no Type=... in " + argument);
            }
            return new DaemonAd(type, attributes);
        }

        TokenRequest.ClassAd ad(int port, String version) {
            TokenRequest.ClassAd ad = new TokenRequest.ClassAd().put("MyType", type);
            if (!attributes.containsKey("CondorVersion")) {
                ad.put("CondorVersion", version);
            }
            attributes.forEach((name, value) -> {
                if (!value.isEmpty()) {
                    ad.put(name, value.replace("{port}", Integer.toString(port)));
                }
            });
            return ad;
        }
    }

    /**
     * Answers queries for daemons. It is no evaluator of ClassAds: a constraint is {@code true}, or one or several
     * comparisons of an attribute with a text, of which one must hold.
     */
    private static final class Directory {
        /** The type of ad that a command asks for; any for the general one. condor_includes/condor_commands.h */
        private static final Map<Long, String> TYPES = Map.of(5L, "Machine", 6L, "Scheduler", 7L, "DaemonMaster",
            20L, "Collector", 50L, "Negotiator", 56L, "HAD", 74L, "");
        private static final String TERM =
            "[ (]*(?:true|([A-Za-z_][A-Za-z0-9_]*) *== *\"((?:[^\"\\\\]|\\\\.)*)\")[ )]*";
        private static final Pattern CONSTRAINT = Pattern.compile(TERM + "(?:\\|\\|" + TERM + ")*",
            Pattern.CASE_INSENSITIVE);
        private static final Pattern COMPARISON = Pattern.compile(TERM, Pattern.CASE_INSENSITIVE);
        private final List<TokenRequest.ClassAd> ads;
        private final Script script;
        private final Journal journal;

        Directory(Script script, int port, Journal journal) {
            this.ads = script.daemons.stream().map(daemon -> daemon.ad(port, script.remoteVersion)).toList();
            this.script = script;
            this.journal = journal;
        }

        static boolean serves(long command) {
            return TYPES.containsKey(command);
        }

        /** The ads that a query asks for, 1 in front of each, and 0 at the end, in this message. */
        TokenRequest.Message answer(long command, TokenRequest.ClassAd query, TokenRequest.Message message)
                throws HangUp {
            String type = query.string("TargetType").orElse("-");
            if (!TYPES.get(command).isEmpty() && !TYPES.get(command).equals(type)) {
                throw new HangUp("command " + command + " does not ask for " + type);
            }
            String constraint = query.expression("Requirements").orElse("true");
            if (!CONSTRAINT.matcher(constraint).matches()) {
                throw new HangUp("no constraint: " + constraint);
            }
            List<TokenRequest.ClassAd> found = ads.stream()
                .filter(ad -> ad.string("MyType").filter(type::equals).isPresent() && meets(ad, constraint))
                .limit(query.integer("LimitResults").orElse(Long.MAX_VALUE)).toList();
            journal.note("lookup " + type + " " + constraint + " -> " + found.size());
            found.forEach(ad -> message.number(1).ad(script.filled(projected(ad,
                query.string("Projection").orElse("")))));
            return message.number(0);
        }

        private static boolean meets(TokenRequest.ClassAd ad, String constraint) {
            return COMPARISON.matcher(constraint).results().anyMatch(term -> term.group(1) == null
                || ad.string(term.group(1)).filter(unquoted(term.group(2))::equalsIgnoreCase).isPresent());
        }

        private static String unquoted(String text) {
            return text.replace("\\\"", "\"");
        }

        /** The attributes that the query wants, all of them if it does not say. */
        private static TokenRequest.ClassAd projected(TokenRequest.ClassAd ad, String names) {
            if (names.isBlank()) {
                return ad;
            }
            TokenRequest.ClassAd part = new TokenRequest.ClassAd();
            for (String name : names.strip().split("[, ]+")) {
                ad.string(name).ifPresent(value -> part.put(name, value));
            }
            return part;
        }
    }

    // ---- Issuer: tokens ----

    /**
     * What a token is to say.
     *
     * @param authorizations comma-separated, none for no limit
     * @param notBefore      seconds since 1970
     */
    private record Grant(String subject, String authorizations, OptionalLong lifetimeSeconds, OptionalLong notBefore,
                         String issuer) { }

    /** Makes tokens as HTCondor does, with a signing key that everybody knows. */
    private static final class Issuer {
        private static final byte[] SIGNING_KEY = "the signing key of the loopback pool, no secret".getBytes(US_ASCII);
        /** What HTCondor hides keys with in files. condor_utils/secure_file.cpp, simple_scramble */
        private static final byte[] SCRAMBLE = HexFormat.of().parseHex("deadbeef");
        private final Script script;
        private final byte[] key;
        private final Set<String> rejected = ConcurrentHashMap.newKeySet();

        /** HTCondor uses the key of the ID "POOL" twice in a row. */
        Issuer(Script script) {
            this.script = script;
            this.key = TokenRequest.KeyDerivation.hkdf(
                script.keyId.equals("POOL") ? TokenRequest.concat(SIGNING_KEY, SIGNING_KEY) : SIGNING_KEY,
                TokenRequest.KeyDerivation.ascii("htcondor"), TokenRequest.KeyDerivation.ascii("master jwt"));
        }

        /** Writes the signing key, for its owner only, as it lies on the disk of a pool: scrambled, and once. */
        void saveKey(Path file) throws IOException {
            byte[] scrambled = SIGNING_KEY.clone();
            for (int i = 0; i < scrambled.length; i++) {
                scrambled[i] ^= SCRAMBLE[i % SCRAMBLE.length];
            }
            Files.deleteIfExists(file);
            Files.createFile(file, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
            Files.write(file, scrambled);
        }

        /**
         * A token.
         *
         * @param seed what its ID follows from, so that the same request gets the same token
         */
        String issue(Grant grant, String seed) {
            Map<String, Object> claims = new LinkedHashMap<>();
            grant.lifetimeSeconds().ifPresent(seconds -> claims.put("exp", now() + seconds));
            claims.put("iat", now());
            claims.put("iss", grant.issuer());
            claims.put("jti", HexFormat.of().formatHex(TokenRequest.KeyDerivation.sha256().digest(seed.getBytes(UTF_8)), 0, 16));
            grant.notBefore().ifPresent(seconds -> claims.put("nbf", seconds));
            if (!grant.authorizations().isEmpty()) {
                claims.put("scope", Arrays.stream(grant.authorizations().split(","))
                    .map(level -> "condor:/" + level.strip()).collect(Collectors.joining(" ")));
            }
            claims.put("sub", grant.subject());
            Map<String, Object> header = new LinkedHashMap<>();
            header.put("alg", "HS256");
            header.put("kid", script.keyId);
            String signed = encode(json(header)) + "." + encode(json(claims));
            return signed + "." + encode(signature(signed));
        }

        private long now() {
            return script.issuedAt.orElseGet(() -> Instant.now().getEpochSecond());
        }

        /** From now on, nobody can log in with this token, as if its key were gone. */
        void reject(String token) {
            rejected.add(token.substring(0, Math.max(0, token.lastIndexOf('.'))));
        }

        byte[] signature(String signedPart) {
            return TokenRequest.KeyDerivation.hmac("HmacSHA256", key, signedPart.getBytes(UTF_8));
        }

        /**
         * Whom a token is for; empty if it is none, expired or rejected. Like HTCondor (seen on 25.14.1), this does not
         * look at its issuer, nor at when it begins to be valid.
         */
        Optional<String> subject(String signedPart) {
            Map<?, ?> claims = claims(signedPart);
            boolean expired = claims.get("exp") instanceof Number end && end.longValue() < now();
            return Optional.ofNullable(claims.get("sub")).map(Object::toString)
                .filter(subject -> !expired && !rejected.contains(signedPart));
        }

        /** What a token says, in the attributes with which 25.14.1 answers a query, where commas part the scopes. */
        Map<String, String> described(String signedPart) {
            Map<String, String> attributes = new TreeMap<>();
            claims(signedPart).forEach((claim, value) -> {
                switch (claim.toString()) {
                    case "iss" -> attributes.put("AuthTokenIssuer", value.toString());
                    case "jti" -> attributes.put("AuthTokenId", value.toString());
                    case "scope" -> attributes.put("AuthTokenScopes", value.toString().replace(' ', ','));
                    case "sub" -> attributes.put("AuthTokenSubject", value.toString());
                    default -> { }
                }
            });
            return attributes;
        }

        private static Map<?, ?> claims(String signedPart) {
            try {
                return new ObjectMapper().readValue(
                    Base64.getUrlDecoder().decode(signedPart.substring(signedPart.indexOf('.') + 1)), Map.class);
            } catch (IOException | IllegalArgumentException e) {
                return Map.of();
            }
        }

        private static byte[] json(Map<String, Object> claims) {
            try {
                return new ObjectMapper().writeValueAsBytes(claims);
            } catch (JsonProcessingException e) {
                throw new IllegalStateException(e);
            }
        }

        private static String encode(byte[] bytes) {
            return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
        }
    }

    // ---- Authority: certificates ----

    /**
     * A certification authority that lives as long as the program, and its server certificate. Java can read
     * certificates but not make them, so the few structures are spelled out here (RFC 5280, EC P-256, SHA-256).
     */
    private static final class Authority {
        private static final String NAME = "LoopbackPool CA";
        private static final DateTimeFormatter UTC_TIME =
            DateTimeFormatter.ofPattern("yyMMddHHmmss'Z'", Locale.ROOT).withZone(ZoneOffset.UTC);
        private final SecureRandom random;
        private final Instant now;
        private final KeyPair keys;
        private final X509Certificate certificate;

        Authority(SecureRandom random, Instant now) throws GeneralSecurityException, IOException {
            this.random = random;
            this.now = now;
            this.keys = TokenRequest.KeyDerivation.ephemeral(random);
            this.certificate = sign(NAME, keys, now.plusSeconds(86_400), Der.basicConstraintsOfCa(), NAME, keys);
        }

        String pem() throws GeneralSecurityException {
            return "-----BEGIN CERTIFICATE-----\n"
                + Base64.getMimeEncoder(64, new byte[] {'\n'}).encodeToString(certificate.getEncoded())
                + "\n-----END CERTIFICATE-----\n";
        }

        /** TLS as the server that the script describes. */
        SSLContext server(Script script) throws GeneralSecurityException, IOException {
            if (script.certificateChain.isPresent()) {
                return Identity.read(script.certificateChain.get(), script.certificateKey.orElseThrow()).server(random);
            }
            KeyPair server = TokenRequest.KeyDerivation.ephemeral(random);
            Instant end = script.certificateExpired ? now.minusSeconds(3_600) : now.plusSeconds(86_400);
            byte[] extension = script.certificateCnOnly ? new byte[0] : Der.subjectAltName(script.certificateName);
            X509Certificate leaf = script.certificateSelfSigned
                ? sign(script.certificateName, server, end, extension, script.certificateName, server)
                : sign(script.certificateName, server, end, extension, NAME, keys);
            Certificate[] chain = script.certificateSelfSigned || script.certificateAlone ? new Certificate[] {leaf}
                : new Certificate[] {leaf, certificate};
            char[] password = "changeit".toCharArray();
            KeyStore store = KeyStore.getInstance("PKCS12");
            store.load(null, password);
            store.setKeyEntry("server", server.getPrivate(), password, chain);
            KeyManagerFactory keyManagers = KeyManagerFactory.getInstance("PKIX");
            keyManagers.init(store, password);
            store.setCertificateEntry("ca", certificate);
            TrustManagerFactory trustManagers = TrustManagerFactory.getInstance("PKIX");
            trustManagers.init(store);
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(keyManagers.getKeyManagers(), script.clientCa.isPresent()
                ? new TrustManager[] {Users.of(script.clientCa.get())} : trustManagers.getTrustManagers(), random);
            return context;
        }

        /**
         * Signs a certificate for a name.
         *
         * @param extension one extension in DER, or none
         */
        private X509Certificate sign(String name, KeyPair subject, Instant end, byte[] extension, String issuerName,
                KeyPair issuer) throws GeneralSecurityException, IOException {
            byte[] body = Der.sequence(
                Der.tagged(0xA0, Der.integer(BigInteger.TWO)),
                Der.integer(new BigInteger(63, random)),
                Der.ECDSA_WITH_SHA256,
                Der.name(issuerName),
                Der.sequence(Der.tagged(0x17, ascii(now.minusSeconds(86_400))), Der.tagged(0x17, ascii(end))),
                Der.name(name),
                subject.getPublic().getEncoded(),
                extension.length == 0 ? extension : Der.tagged(0xA3, Der.sequence(extension)));
            Signature signature = Signature.getInstance("SHA256withECDSA");
            signature.initSign(issuer.getPrivate(), random);
            signature.update(body);
            byte[] whole = Der.sequence(body, Der.ECDSA_WITH_SHA256, Der.bits(signature.sign()));
            try (InputStream in = new ByteArrayInputStream(whole)) {
                return (X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in);
            }
        }

        private static byte[] ascii(Instant time) {
            return UTC_TIME.format(time).getBytes(US_ASCII);
        }
    }

    /** Takes the certificates of users: each is signed with the next one's key, the last with the CA's. RFC 3820 allows that. */
    private static final class Users extends X509ExtendedTrustManager {
        private final X509Certificate ca;

        private Users(X509Certificate ca) {
            this.ca = ca;
        }

        static Users of(Path file) throws GeneralSecurityException, IOException {
            try (InputStream in = Files.newInputStream(file)) {
                return new Users((X509Certificate) CertificateFactory.getInstance("X.509").generateCertificate(in));
            }
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String keyType) throws CertificateException {
            try {
                for (int i = 0; i < chain.length; i++) {
                    chain[i].checkValidity();
                    chain[i].verify((i + 1 < chain.length ? chain[i + 1] : ca).getPublicKey());
                }
            } catch (GeneralSecurityException e) {
                throw new CertificateException(e);
            }
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String keyType, Socket socket) throws CertificateException {
            checkClientTrusted(chain, keyType);
        }

        @Override
        public void checkClientTrusted(X509Certificate[] chain, String keyType, SSLEngine engine) throws CertificateException {
            checkClientTrusted(chain, keyType);
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String keyType) throws CertificateException {
            throw new CertificateException("a server only");
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String keyType, Socket socket) throws CertificateException {
            checkServerTrusted(chain, keyType);
        }

        @Override
        public void checkServerTrusted(X509Certificate[] chain, String keyType, SSLEngine engine) throws CertificateException {
            checkServerTrusted(chain, keyType);
        }

        @Override
        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }

    /** A server's chain and key, shown to every client as they are: Java's own key manager shows no bad ones. */
    static final class Identity extends X509ExtendedKeyManager {
        private static final String ALIAS = "server";
        private final X509Certificate[] chain;
        private final PrivateKey key;

        Identity(X509Certificate[] chain, PrivateKey key) {
            this.chain = chain;
            this.key = key;
        }

        static Identity read(Path chain, Path key) throws GeneralSecurityException, IOException {
            try (InputStream in = Files.newInputStream(chain)) {
                X509Certificate[] certificates = CertificateFactory.getInstance("X.509").generateCertificates(in).stream()
                    .map(X509Certificate.class::cast).toArray(X509Certificate[]::new);
                String body = Files.readString(key, US_ASCII).replaceAll("-----[A-Z ]+-----|\\s", "");
                return new Identity(certificates, KeyFactory.getInstance(certificates[0].getPublicKey().getAlgorithm())
                    .generatePrivate(new PKCS8EncodedKeySpec(Base64.getDecoder().decode(body))));
            }
        }

        SSLContext server(SecureRandom random) throws GeneralSecurityException {
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(new KeyManager[] {this}, null, random);
            return context;
        }

        @Override
        public String chooseEngineServerAlias(String keyType, Principal[] issuers, SSLEngine engine) {
            return keyType.equals(key.getAlgorithm()) ? ALIAS : null;
        }

        @Override
        public X509Certificate[] getCertificateChain(String alias) {
            return chain.clone();
        }

        @Override
        public PrivateKey getPrivateKey(String alias) {
            return key;
        }

        @Override
        public String[] getServerAliases(String keyType, Principal[] issuers) {
            return new String[] {ALIAS};
        }

        @Override
        public String chooseServerAlias(String keyType, Principal[] issuers, Socket socket) {
            return ALIAS;
        }

        @Override
        public String[] getClientAliases(String keyType, Principal[] issuers) {
            return new String[0];
        }

        @Override
        public String chooseClientAlias(String[] keyTypes, Principal[] issuers, Socket socket) {
            return null;
        }
    }

    /** The few pieces of ASN.1 in its DER form that a certificate consists of. */
    private static final class Der {
        /** SEQUENCE { OID 1.2.840.10045.4.3.2 } */
        static final byte[] ECDSA_WITH_SHA256 = HexFormat.of().parseHex("300a06082a8648ce3d040302");
        private static final byte[] COMMON_NAME = HexFormat.of().parseHex("0603550403");
        private static final byte[] SUBJECT_ALT_NAME = HexFormat.of().parseHex("0603551d11");
        private static final byte[] BASIC_CONSTRAINTS = HexFormat.of().parseHex("0603551d13");
        private static final byte[] TRUE = HexFormat.of().parseHex("0101ff");

        private Der() { }

        static byte[] sequence(byte[]... parts) {
            return tagged(0x30, parts);
        }

        static byte[] integer(BigInteger value) {
            return tagged(0x02, value.toByteArray());
        }

        static byte[] bits(byte[] value) {
            return tagged(0x03, new byte[1], value);
        }

        static byte[] name(String commonName) {
            return sequence(tagged(0x31, sequence(COMMON_NAME, tagged(0x0C, commonName.getBytes(UTF_8)))));
        }

        static byte[] subjectAltName(String host) {
            return sequence(SUBJECT_ALT_NAME, tagged(0x04, sequence(tagged(0x82, host.getBytes(US_ASCII)))));
        }

        static byte[] basicConstraintsOfCa() {
            return sequence(BASIC_CONSTRAINTS, TRUE, tagged(0x04, sequence(TRUE)));
        }

        static byte[] tagged(int tag, byte[]... parts) {
            ByteArrayOutputStream content = new ByteArrayOutputStream();
            for (byte[] part : parts) {
                content.writeBytes(part);
            }
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            out.write(tag);
            int length = content.size();
            if (length >= 0x100) {
                out.write(0x82);
                out.write(length >> 8);
            } else if (length >= 0x80) {
                out.write(0x81);
            }
            out.write(length);
            out.writeBytes(content.toByteArray());
            return out.toByteArray();
        }
    }

    // ---- Saboteur: damage to packets ----

    /**
     * Passes on what the stream writes, one packet at a time, and damages the one that the script names. The stream's
     * own digests hold the packet as it was, as those of an honest server would with somebody on the way.
     */
    private static final class Saboteur extends FilterOutputStream {
        private final Script script;
        private int packets;
        private int encryptedFrom = Integer.MAX_VALUE;

        Saboteur(OutputStream out, Script script) {
            super(out);
            this.script = script;
        }

        /** From the next packet on, packets are encrypted. */
        void encrypted() {
            encryptedFrom = packets;
        }

        @Override
        public void write(byte[] packet, int offset, int length) throws IOException {
            byte[] damaged = Arrays.copyOfRange(packet, offset, offset + length);
            packets++;
            if (packets == script.faultPacket) {
                damageHeader(damaged);
            }
            if (packets == script.faultPacket && script.has(Fault.FLIPPED_BIT)) {
                damaged[lastLetter(damaged)] ^= 0x20;
            }
            if (packets - encryptedFrom == script.faultPacket && script.has(Fault.BAD_TAG)) {
                damaged[damaged.length - 1] ^= 1;
            }
            if (packets == script.faultPacket && script.has(Fault.TRUNCATED_FRAME)) {
                out.write(damaged, 0, damaged.length / 2);
                throw new HangUp("told to cut a packet off");
            }
            if (script.dribbleMillis > 0) {
                for (byte one : damaged) {
                    out.write(one);
                    out.flush();
                    LockSupport.parkNanos(script.dribbleMillis * 1_000_000);
                }
            } else {
                out.write(damaged);
            }
        }

        /** A letter of the other case leaves a message that reads well; without letters, it is the last byte. */
        private static int lastLetter(byte[] packet) {
            for (int i = packet.length - 1; i > TokenRequest.Protocol.HEADER_BYTES; i--) {
                if (Character.isLetter(packet[i]) && packet[i] > 0) {
                    return i;
                }
            }
            return packet.length - 1;
        }

        private void damageHeader(byte[] packet) {
            ByteBuffer header = ByteBuffer.wrap(packet);
            if (script.has(Fault.BAD_END_FLAG)) {
                header.put(0, (byte) (TokenRequest.Protocol.END_FLAG_MAX + 1));
            }
            if (script.has(Fault.BAD_LENGTH)) {
                header.putInt(1, TokenRequest.Protocol.BODY_MAX_BYTES + 1);
            }
            if (script.has(Fault.NEGATIVE_LENGTH)) {
                header.putInt(1, -1);
            }
            if (script.has(Fault.ZERO_LENGTH)) {
                header.putInt(1, 0);
            }
        }
    }
}

///usr/bin/env jbang "$0" "$@" ; exit $?
// SPDX-License-Identifier: Apache-2.0
//DESCRIPTION Somebody between the command and its pool, for tests of what the command guarantees against such people.
//JAVA 17+
//SOURCES ../../TokenRequest.java
//COMPILE_OPTIONS -Xlint:all

package tokenrequest;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.UncheckedIOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyStore;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.Callable;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import javax.net.ssl.KeyManagerFactory;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLEngine;
import javax.net.ssl.SSLEngineResult;
import javax.net.ssl.SSLException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/**
 * A TCP proxy between the command under test and a real pool that plays one attack on what passes. The command's promise
 * is that nobody but the pool and the user reads a token request over SSL; this is who tries.
 *
 * <p>He relays everything that his attack does not touch, packet by packet and to the byte. As soon as he holds a session
 * key for a side, he opens its packets and seals them anew for the other side, so that nobody notices; what he could
 * read goes to {@code --loot}, each message behind a line of its own:
 * <pre>
 * == client|server in the clear, N bytes
 * == client|server opened, N bytes           this was encrypted, and he has read it
 * == client|server sealed, N bytes           this he could not read; the message is left out
 * == NOTE                                    what he did, or how the conversation ended for him
 * </pre>
 *
 * <p>On stdout he prints {@code MIDDLEMAN_PORT=...} when he listens, and runs until stdin ends. With {@code --orders} he
 * reads his other options, one argument a line, from a file at each connection, so that one process serves many tests.
 *
 * <p>The rooms, from the outside in: {@link Orders}, {@link Plan} (what lasts longer than a connection),
 * {@link Conversation} (one connection, the attacks), {@link Impostor} (when he plays the server himself), {@link Leg}
 * (packets of one side).
 */
@Command(name = "MiddleMan", mixinStandardHelpOptions = true, version = "MiddleMan", sortOptions = false,
    description = "Relays to an HTCondor pool from a free port of 127.0.0.1, and plays an attack on what passes.")
public final class MiddleMan implements Callable<Integer> {
    /** How long he waits for the end of a conversation before he ends himself. */
    private static final long END_MILLIS = 5_000;

    @Mixin
    private Orders orders = new Orders();

    @Option(names = "--orders", paramLabel = "FILE", description = "Read the other options from here at each connection.")
    private Optional<Path> ordersFile = Optional.empty();

    private final Map<Orders, Plan> plans = new ConcurrentHashMap<>();
    private final SecureRandom random = new SecureRandom();
    private final Queue<Thread> conversations = new ConcurrentLinkedQueue<>();

    public static void main(String... args) {
        System.exit(commandLine(new MiddleMan()).execute(args));
    }

    private static CommandLine commandLine(Object command) {
        return new CommandLine(command).registerConverter(Attack.class, Attack::named);
    }

    @Override
    public Integer call() throws IOException, InterruptedException {
        try (ServerSocket listener = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"))) {
            background("accept", () -> accept(listener));
            System.out.println("MIDDLEMAN_PORT=" + listener.getLocalPort());
            System.out.flush();
            System.in.transferTo(OutputStream.nullOutputStream());
        }
        for (Thread conversation : conversations) {
            conversation.join(END_MILLIS); // what it still hears is to be in the loot
        }
        return 0;
    }

    private void accept(ServerSocket listener) {
        while (!listener.isClosed()) {
            try {
                Socket socket = listener.accept();
                conversations.add(background("client", () -> converse(socket)));
            } catch (IOException e) {
                return; // closed: the end of the program
            }
        }
    }

    private void converse(Socket socket) {
        try (socket) {
            Orders current = ordersFile.isPresent() ? Orders.read(ordersFile.get()) : orders;
            Plan plan = plans.computeIfAbsent(current, fresh -> new Plan(fresh, random));
            try (Socket upstream = new Socket()) {
                upstream.connect(current.pool());
                new Conversation(plan, new Leg("client", socket, random), new Leg("server", upstream, random)).run();
            }
        } catch (IOException e) {
            System.err.println("MiddleMan: " + e);
        }
    }

    private static Thread background(String name, Runnable task) {
        Thread thread = new Thread(task, name);
        thread.setDaemon(true);
        thread.start();
        return thread;
    }

    // ---- Orders: what to do to whom ----

    /** The attacks. All but the first want to read the request or its answer, or to change what the two sides agree on. */
    enum Attack {
        NONE,
        /** Puts his own ECDH key in place of each side's: wherever there is one, he then shares a key with each side. */
        SWAP_KEYS,
        /** The same, and makes the client's view of the server's address, in FS, the server's own; or takes it away. */
        SWAP_KEYS_FORGE_EXTENSION, SWAP_KEYS_DROP_EXTENSION,
        /** Adds an ECDH key to the policy of a client that sent none: the server then sends no key through the login. */
        ADD_OWN_KEY,
        /** The same, and forges the message with the wrapped key that the client waits for. */
        ADD_OWN_KEY_FORGE_ZEROS, ADD_OWN_KEY_FORGE_RANDOM,
        /** Adds an ECDH key to the reply to a client that sent none. */
        ADD_KEY_TO_REPLY,
        /** Takes SSL out of the methods of the reply, or of the client's own policy. */
        STRIP_SSL, STRIP_SSL_FROM_OFFER,
        /** Says that the server can do no method at all. */
        CHOOSE_NOTHING,
        /** Chooses a method that proves no server and plays its server himself. */
        CHOOSE_CLAIMTOBE, CHOOSE_ANONYMOUS, CHOOSE_TOKEN,
        /** Turns the announcement of the wrapped key into "there is none", and goes on in the clear. */
        INT_ZERO,
        /** Puts something else in place of the wrapped key. */
        ZERO_WRAPPED, RANDOM_WRAPPED,
        /** Changes what the server decided. */
        DOWNGRADE_CIPHER, ENCRYPTION_NO, AUTHENTICATION_NO, EDIT_SESSION,
        /** Flips one bit of the first encrypted packet. */
        FLIP_SERVER, FLIP_CLIENT,
        /** Plays the server himself, TLS and all, with a certificate of his own. */
        OWN_CERTIFICATE,
        /** Says once that the session is forgotten, and plays another attack on the next login. */
        FORGET_SESSION;

        static Attack named(String word) {
            return Arrays.stream(values()).filter(attack -> attack.word().equals(word)).findFirst()
                .orElseThrow(() -> new CommandLine.TypeConversionException("no such attack: " + word + "; there are "
                    + Stream.of(values()).map(Attack::word).collect(Collectors.joining(", "))));
        }

        private String word() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }

        boolean swapsKeys() {
            return this == SWAP_KEYS || this == SWAP_KEYS_FORGE_EXTENSION || this == SWAP_KEYS_DROP_EXTENSION;
        }
    }

    /** The options; equal ones share a {@link Plan}. */
    static final class Orders {
        @Option(names = "--pool", paramLabel = "HOST:PORT", description = "Where the server is.")
        private String pool = "";

        @Option(names = "--attack", paramLabel = "NAME", description = "What to do; see Attack.")
        private Attack attack = Attack.NONE;

        @Option(names = "--then", paramLabel = "NAME", description = "What forget-session does to the next login.")
        private Attack then = Attack.NONE;

        @Option(names = "--loot", paramLabel = "FILE", description = "Append what could be read.")
        private Path loot = Path.of("loot");

        @Option(names = "--certificate", paramLabel = "FILE",
            description = "PKCS #12, password changeit, for own-certificate.")
        private Optional<Path> certificate = Optional.empty();

        static Orders read(Path file) throws IOException {
            Orders orders = new Orders();
            commandLine(orders).parseArgs(Files.readAllLines(file).toArray(String[]::new));
            return orders;
        }

        InetSocketAddress pool() {
            int colon = pool.lastIndexOf(':');
            return new InetSocketAddress(pool.substring(0, colon), Integer.parseInt(pool.substring(colon + 1)));
        }

        private String key() {
            return pool + " " + attack + " " + then + " " + loot + " " + certificate;
        }

        @Override
        public boolean equals(Object other) {
            return other instanceof Orders orders && key().equals(orders.key());
        }

        @Override
        public int hashCode() {
            return key().hashCode();
        }
    }

    /** The keys he shares with the two sides of one session. */
    private record Shared(byte[] withClient, byte[] withServer) { }

    /** What outlasts a connection under the same orders: sessions he can read, and what he does only once. */
    private static final class Plan {
        final Orders orders;
        final SecureRandom random;
        final Map<String, Shared> sessions = new ConcurrentHashMap<>();
        private final AtomicBoolean forgotten = new AtomicBoolean();
        private final AtomicBoolean followed = new AtomicBoolean();

        Plan(Orders orders, SecureRandom random) {
            this.orders = orders;
            this.random = random;
        }

        /** Whether to say now that a session is forgotten. */
        boolean forget() {
            return orders.attack == Attack.FORGET_SESSION && forgotten.compareAndSet(false, true);
        }

        /** What to play on a login that begins now. */
        Attack attackOnLogin() {
            if (orders.attack != Attack.FORGET_SESSION) {
                return orders.attack;
            }
            return forgotten.get() && followed.compareAndSet(false, true) ? orders.then : Attack.NONE;
        }

        synchronized void loot(String heading, byte[] bytes) {
            try (OutputStream out = Files.newOutputStream(orders.loot, StandardOpenOption.CREATE,
                    StandardOpenOption.APPEND)) {
                out.write(("== " + heading + "\n").getBytes(UTF_8));
                out.write(bytes);
                out.write(bytes.length == 0 ? new byte[0] : new byte[] {'\n'});
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        void note(String text) {
            loot(text, new byte[0]);
        }

        byte[] random(int length) {
            byte[] bytes = new byte[length];
            random.nextBytes(bytes);
            return bytes;
        }
    }

    // ---- Conversation: one connection, and the attacks on it ----

    /** What is awaited next. All messages before encryption fit one packet, so a packet is a message there. */
    private enum Stage { POLICY, REPLY, RESUMPTION, MASK, CHOICE, METHOD, KEY, WRAPPED_KEY, ENCRYPTED, IMPOSTOR, OVER }

    /**
     * Two threads read, one a side; what they do with a packet is done by one at a time. The protocol alternates until
     * encryption, so the order of packets is never in doubt.
     */
    private static final class Conversation {
        /** How long he listens to the server when the client is gone. */
        private static final long PATIENCE_NANOS = 2_000_000_000L;
        private final Plan plan;
        private final Leg client;
        private final Leg server;
        private final LinkedBlockingQueue<Packet> forImpostor = new LinkedBlockingQueue<>();
        private final KeyPair ours;
        private Stage stage = Stage.POLICY;
        private Attack attack = Attack.NONE;
        private boolean forgetful;
        private Optional<byte[]> clientKey = Optional.empty();
        private Optional<byte[]> serverKey = Optional.empty();
        private Optional<String> clientPoint = Optional.empty();
        private TokenRequest.SessionCipher cipher = TokenRequest.SessionCipher.AES;
        private String resumed = "";
        private TokenRequest.AuthMethod method = TokenRequest.AuthMethod.SSL;
        private int fromClientInMethod;
        private int fromServerInMethod;
        private boolean flipped;
        private boolean admitted;

        Conversation(Plan plan, Leg client, Leg server) {
            this.plan = plan;
            this.client = client;
            this.server = server;
            this.ours = TokenRequest.KeyDerivation.ephemeral(plan.random);
            client.lock(this);
            server.lock(this);
        }

        void run() {
            Thread other = background("server", this::readServer);
            try {
                hearClient();
                awaitAdmission();
                server.finish();
                other.join();
            } catch (IOException | InterruptedException e) {
                plan.note("the server's side ended: " + e.getMessage());
            } finally {
                client.close();
                server.close();
            }
        }

        /** Until the client hangs up, in whichever way. */
        private void hearClient() {
            try {
                for (Optional<Packet> packet = client.read(); packet.isPresent(); packet = client.read()) {
                    onClient(packet.get());
                }
            } catch (IOException e) {
                plan.note("the client's side ended: " + e.getMessage());
            }
        }

        /**
         * With a key for the server, its admission is his, even if the client has hung up before: he does not hang up until it is
         * there.
         */
        private synchronized void awaitAdmission() throws InterruptedException {
            long end = System.nanoTime() + PATIENCE_NANOS;
            long left = PATIENCE_NANOS;
            while (serverKey.isPresent() && !admitted && left > 0) {
                wait(left / 1_000_000 + 1);
                left = end - System.nanoTime();
            }
        }

        private void readServer() {
            try {
                for (Optional<Packet> packet = server.read(); packet.isPresent(); packet = server.read()) {
                    Optional<Impostor> impostor = onServer(packet.get());
                    if (impostor.isPresent()) {
                        server.close();
                        impostor.get().play();
                        client.close();
                        return;
                    }
                }
                client.finish();
            } catch (IOException | GeneralSecurityException e) {
                plan.note("the server's side ended: " + e.getMessage());
                client.close();
            }
        }

        private synchronized void onClient(Packet packet) throws IOException {
            if (stage == Stage.IMPOSTOR) {
                forImpostor.add(packet);
                return;
            }
            byte[] body = receive(client, packet);
            switch (stage) {
                case POLICY -> policy(packet, body);
                case MASK -> relay(Stage.CHOICE, server, packet, body);
                case METHOD -> {
                    boolean again = isMask(body);
                    fromClientInMethod++;
                    relay(again ? Stage.CHOICE : Stage.METHOD, server, packet,
                        isFileSystem() ? answerToFs(body) : body);
                }
                case ENCRYPTED -> pass(client, server, packet, body);
                default -> throw new IOException("the client speaks out of turn, at " + stage);
            }
        }

        private boolean isFileSystem() {
            return method == TokenRequest.AuthMethod.FS || method == TokenRequest.AuthMethod.FS_REMOTE;
        }

        /** What he makes of the client's answer in FS: a number, perhaps with its view of the server's address behind it. */
        private byte[] answerToFs(byte[] body) throws IOException {
            TokenRequest.MessageReader answer = new TokenRequest.MessageReader(body, false, "answer");
            TokenRequest.Message edited = new TokenRequest.Message(false).number(answer.number());
            if (answer.atEnd() || attack == Attack.SWAP_KEYS_DROP_EXTENSION) {
                return edited.toBytes();
            }
            return attack == Attack.SWAP_KEYS_FORGE_EXTENSION
                ? edited.string(plan.orders.pool().getAddress().getHostAddress() + ":" + plan.orders.pool().getPort()).toBytes()
                : body;
        }

        /** Whether the client gave up the method and offers the others: an integer alone, where the method has none. */
        private boolean isMask(byte[] body) {
            return switch (method) {
                case SSL -> fromClientInMethod > 0 && body.length == Long.BYTES;
                case TOKEN -> fromClientInMethod == 2;
                case KERBEROS -> fromClientInMethod == 1 && body.length == Long.BYTES;
                default -> false;
            };
        }

        private synchronized Optional<Impostor> onServer(Packet packet) throws IOException, GeneralSecurityException {
            byte[] body = receive(server, packet);
            switch (stage) {
                case REPLY -> reply(packet, body);
                case RESUMPTION -> resumption(packet, body);
                case CHOICE -> {
                    return choice(packet, body);
                }
                case METHOD -> {
                    Stage next = afterMethod(body);
                    fromServerInMethod++;
                    if (next == Stage.KEY) {
                        return key(packet, body);
                    }
                    relay(next, client, packet, body);
                }
                case KEY -> {
                    return key(packet, body);
                }
                case WRAPPED_KEY -> wrappedKey(packet, body);
                case ENCRYPTED -> {
                    admitted = true;
                    notifyAll();
                    pass(server, client, packet, body);
                }
                default -> throw new IOException("the server speaks out of turn, at " + stage);
            }
            return Optional.empty();
        }

        /** What this message of the server makes of the method: METHOD goes on, MASK failed, KEY is its key message. */
        private Stage afterMethod(byte[] body) throws IOException {
            boolean integer = body.length == Long.BYTES;
            long value = integer ? ByteBuffer.wrap(body).getLong() : 0;
            return switch (method) {
                case SSL -> integer && fromServerInMethod > 0 ? Stage.KEY : Stage.METHOD;
                case TOKEN -> fromServerInMethod == 0 ? Stage.METHOD : Stage.KEY;
                case KERBEROS -> fromServerInMethod > 2 ? Stage.KEY : integer && value == 0 ? Stage.MASK : Stage.METHOD;
                case CLAIMTOBE, ANONYMOUS -> fromServerInMethod > 0 ? Stage.KEY : value == 1 ? Stage.METHOD : Stage.MASK;
                case MUNGE -> fromServerInMethod > 0 ? Stage.KEY : value == 0 ? Stage.METHOD : Stage.MASK;
                case FS, FS_REMOTE -> fromServerInMethod > 1 ? Stage.KEY
                    : fromServerInMethod == 0 || value == 0 ? Stage.METHOD : Stage.MASK;
                default -> throw new IOException(method + " is not one of the methods here");
            };
        }

        private byte[] receive(Leg from, Packet packet) throws IOException {
            byte[] body = from.accept(packet);
            String how = from.mode() == Mode.KEYED ? "opened" : from.mode() == Mode.OPAQUE ? "sealed" : "in the clear";
            plan.loot(from.name() + " " + how + ", " + body.length + " bytes",
                from.mode() == Mode.OPAQUE ? new byte[0] : body);
            return body;
        }

        private void relay(Stage next, Leg to, Packet packet, byte[] body) throws IOException {
            stage = next;
            to.send(packet.end(), body);
        }

        // -- Policies --

        private void policy(Packet packet, byte[] body) throws IOException {
            TokenRequest.MessageReader message = new TokenRequest.MessageReader(body, false, "policy");
            long command = message.number();
            TokenRequest.ClassAd ad = message.ad();
            if (ad.string("UseSession").isPresent()) {
                resumed = ad.string("Sid").orElse("");
                cipher = cipher(ad);
                forgetful = plan.forget();
                relay(Stage.RESUMPTION, server, packet, body);
                return;
            }
            attack = plan.attackOnLogin();
            if (!loginIsBound(ad) && !attack.swapsKeys()) {
                attack = Attack.NONE;
            }
            boolean edited = switch (attack) {
                case SWAP_KEYS, SWAP_KEYS_FORGE_EXTENSION, SWAP_KEYS_DROP_EXTENSION -> {
                    clientPoint = ad.string("ECDHPublicKey");
                    clientPoint.ifPresent(point -> ad.put("ECDHPublicKey",
                        TokenRequest.KeyDerivation.encodePoint(ours.getPublic())));
                    yield clientPoint.isPresent();
                }
                case ADD_OWN_KEY, ADD_OWN_KEY_FORGE_ZEROS, ADD_OWN_KEY_FORGE_RANDOM -> {
                    ad.put("ECDHPublicKey", TokenRequest.KeyDerivation.encodePoint(ours.getPublic()));
                    yield true;
                }
                case STRIP_SSL_FROM_OFFER -> {
                    ad.put("AuthMethods", "CLAIMTOBE");
                    yield true;
                }
                default -> false;
            };
            relay(Stage.REPLY, server, packet,
                edited ? new TokenRequest.Message(false).number(command).ad(ad).toBytes() : body);
        }

        /**
         * The attacks but one are on logins with SSL, KERBEROS or MUNGE; others are left alone, so that they show what the
         * client does next.
         */
        private static boolean loginIsBound(TokenRequest.ClassAd ad) {
            return !Collections.disjoint(Arrays.asList(ad.string("AuthMethods").orElse("").split(",")),
                List.of("SSL", "KERBEROS", "MUNGE"));
        }

        private void reply(Packet packet, byte[] body) throws IOException {
            TokenRequest.ClassAd ad = new TokenRequest.MessageReader(body, false, "policy").ad();
            Optional<String> serverPoint = ad.string("ECDHPublicKey");
            cipher = cipher(ad);
            boolean edited = true;
            switch (attack) {
                case SWAP_KEYS, SWAP_KEYS_FORGE_EXTENSION, SWAP_KEYS_DROP_EXTENSION -> {
                    edited = clientPoint.isPresent() && serverPoint.isPresent();
                    if (edited) {
                        clientKey = Optional.of(TokenRequest.KeyDerivation.agree(ours.getPrivate(), clientPoint.get()));
                        serverKey = Optional.of(TokenRequest.KeyDerivation.agree(ours.getPrivate(), serverPoint.get()));
                        ad.put("ECDHPublicKey", TokenRequest.KeyDerivation.encodePoint(ours.getPublic()));
                    }
                }
                case ADD_OWN_KEY, ADD_OWN_KEY_FORGE_ZEROS, ADD_OWN_KEY_FORGE_RANDOM -> {
                    serverKey = Optional.of(TokenRequest.KeyDerivation.agree(ours.getPrivate(), serverPoint.orElseThrow()));
                    ad = without(ad, "ECDHPublicKey");
                }
                case ADD_KEY_TO_REPLY -> ad.put("ECDHPublicKey", TokenRequest.KeyDerivation.encodePoint(ours.getPublic()));
                case STRIP_SSL -> ad.put("AuthMethods", "CLAIMTOBE").put("AuthMethodsList", "CLAIMTOBE,ANONYMOUS");
                case DOWNGRADE_CIPHER -> ad.put("CryptoMethods", "BLOWFISH").put("CryptoMethodsList", "BLOWFISH");
                case ENCRYPTION_NO -> ad.put("Encryption", "NO");
                case AUTHENTICATION_NO -> ad.put("Authentication", "NO");
                case EDIT_SESSION -> ad.put("SessionDuration", "1800");
                default -> edited = false;
            }
            relay(Stage.MASK, client, packet, edited ? new TokenRequest.Message(false).ad(ad).toBytes() : body);
        }

        private static TokenRequest.SessionCipher cipher(TokenRequest.ClassAd ad) {
            return ad.string("CryptoMethods").flatMap(TokenRequest.SessionCipher::named).orElse(TokenRequest.SessionCipher.AES);
        }

        private static TokenRequest.ClassAd without(TokenRequest.ClassAd ad, String name) throws IOException {
            TokenRequest.ClassAd rest = new TokenRequest.ClassAd();
            for (String assignment : ad.assignments()) {
                if (!assignment.startsWith(name + " ")) {
                    rest.parse(assignment);
                }
            }
            return rest;
        }

        private void resumption(Packet packet, byte[] body) throws IOException {
            if (forgetful) {
                plan.note("he says that the session is forgotten");
                TokenRequest.ClassAd answer = new TokenRequest.ClassAd().put("ReturnCode", "SID_NOT_FOUND");
                relay(Stage.OVER, client, packet, new TokenRequest.Message(false).ad(answer).toBytes());
                client.finish();
                server.close();
                return;
            }
            boolean granted = new TokenRequest.MessageReader(body, false, "answer").ad().string("ReturnCode")
                .filter("AUTHORIZED"::equals).isPresent();
            Optional<Shared> known = Optional.ofNullable(plan.sessions.get(resumed));
            clientKey = known.map(Shared::withClient);
            serverKey = known.map(Shared::withServer);
            relay(granted ? Stage.ENCRYPTED : Stage.OVER, client, packet, body);
            startEncryption();
        }

        // -- The method, and the key after it --

        private Optional<Impostor> choice(Packet packet, byte[] body) throws IOException, GeneralSecurityException {
            long value = new TokenRequest.MessageReader(body, false, "choice").number();
            Optional<TokenRequest.AuthMethod> own = switch (attack) {
                case CHOOSE_CLAIMTOBE -> Optional.of(TokenRequest.AuthMethod.CLAIMTOBE);
                case CHOOSE_ANONYMOUS -> Optional.of(TokenRequest.AuthMethod.ANONYMOUS);
                case CHOOSE_TOKEN -> Optional.of(TokenRequest.AuthMethod.TOKEN);
                case OWN_CERTIFICATE -> Optional.of(TokenRequest.AuthMethod.SSL);
                default -> Optional.empty();
            };
            if (own.isPresent()) {
                relay(Stage.IMPOSTOR, client, packet, number(own.get().bit));
                return Optional.of(new Impostor(plan, client, forImpostor, own));
            }
            boolean none = value == 0 || attack == Attack.CHOOSE_NOTHING;
            if (!none) {
                method = TokenRequest.AuthMethod.fromWire(value).orElseThrow();
                fromClientInMethod = 0;
                fromServerInMethod = 0;
            }
            relay(none ? Stage.OVER : Stage.METHOD, client, packet, none ? number(0) : body);
            return Optional.empty();
        }

        private Optional<Impostor> key(Packet packet, byte[] body) throws IOException {
            boolean follows = new TokenRequest.MessageReader(body, false, "key").number() == 1;
            if (follows && attack == Attack.INT_ZERO) {
                relay(Stage.IMPOSTOR, client, packet, number(0));
                return Optional.of(new Impostor(plan, client, forImpostor, Optional.empty()));
            }
            boolean zeros = attack == Attack.ADD_OWN_KEY_FORGE_ZEROS;
            if (!follows && (zeros || attack == Attack.ADD_OWN_KEY_FORGE_RANDOM)) {
                client.send(packet.end(), number(1));
                client.send(packet.end(), wrapped(cipher, zeros ? new byte[cipher.keyBytes] : plan.random(cipher.keyBytes)));
                // He cannot know what the client makes of it; this is a guess.
                clientKey = Optional.of(new byte[TokenRequest.Protocol.KEY_BYTES]);
                stage = Stage.ENCRYPTED;
            } else {
                relay(follows ? Stage.WRAPPED_KEY : Stage.ENCRYPTED, client, packet, body);
            }
            if (stage == Stage.ENCRYPTED) {
                startEncryption();
            }
            return Optional.empty();
        }

        private void wrappedKey(Packet packet, byte[] body) throws IOException {
            byte[] forwarded = switch (attack) {
                case ZERO_WRAPPED -> wrapped(cipher, new byte[cipher.keyBytes]);
                case RANDOM_WRAPPED -> wrapped(cipher, plan.random(cipher.keyBytes));
                default -> body;
            };
            relay(Stage.ENCRYPTED, client, packet, forwarded);
            startEncryption();
        }

        // -- Encrypted packets --

        private void startEncryption() {
            // With a key for the server alone, he lets the client go on in the clear, if it does.
            client.cipher(cipher);
            server.cipher(cipher);
            clientKey.ifPresentOrElse(client::seal, () -> client.mode(serverKey.isPresent() ? Mode.CLEAR : Mode.OPAQUE));
            serverKey.ifPresentOrElse(server::seal, () -> server.mode(Mode.OPAQUE));
        }

        private void pass(Leg from, Leg to, Packet packet, byte[] body) throws IOException {
            if (from.mode() == Mode.OPAQUE) {
                to.sendAsIs(flip(from, packet));
                return;
            }
            if (from == server && clientKey.isPresent()) {
                remember(body);
            }
            to.send(packet.end(), from.mode() == to.mode() ? body : translate(body, from.mode(), to.mode()));
        }

        private Packet flip(Leg from, Packet packet) {
            if (flipped || attack != (from == server ? Attack.FLIP_SERVER : Attack.FLIP_CLIENT)) {
                return packet;
            }
            flipped = true;
            plan.note("he flips a bit");
            byte[] body = packet.body().clone();
            body[body.length - 1] ^= 1;
            return new Packet(packet.header(), body);
        }

        /** The first sealed message of the server after a login names the session. */
        private void remember(byte[] body) throws IOException {
            if (serverKey.isPresent() && resumed.isEmpty()) {
                resumed = new TokenRequest.MessageReader(body, true, "admission").ad().string("Sid").orElse("-");
                plan.sessions.put(resumed, new Shared(clientKey.orElseThrow(), serverKey.get()));
            }
        }

        /** Strings look different on a stream that encrypts. */
        private static byte[] translate(byte[] body, Mode from, Mode to) throws IOException {
            TokenRequest.ClassAd ad = new TokenRequest.MessageReader(body, from == Mode.KEYED, "message").ad();
            return new TokenRequest.Message(to == Mode.KEYED).ad(ad).toBytes();
        }
    }

    private static byte[] number(long value) {
        return new TokenRequest.Message(false).number(value).toBytes();
    }

    private static byte[] wrapped(TokenRequest.SessionCipher cipher, byte[] key) {
        return new TokenRequest.Message(false).number(key.length).number(cipher.number).number(0).counted(key)
            .toBytes();
    }

    // ---- Impostor: the server, played by himself ----

    /** Goes on with the client alone, up to the token request, which is what he wants to read. */
    private static final class Impostor {
        private final Plan plan;
        private final Leg client;
        private final LinkedBlockingQueue<Packet> incoming;
        private final Optional<TokenRequest.AuthMethod> method;

        /**
         * @param method the method whose server he plays; empty if the login is done and there is no key
         */
        Impostor(Plan plan, Leg client, LinkedBlockingQueue<Packet> incoming, Optional<TokenRequest.AuthMethod> method) {
            this.plan = plan;
            this.client = client;
            this.incoming = incoming;
            this.method = method;
        }

        void play() throws IOException, GeneralSecurityException {
            if (method.isPresent()) {
                byte[] methodKey = login(method.get());
                byte[] sent = plan.random(TokenRequest.Protocol.KEY_BYTES);
                client.send((byte) 1, number(1));
                client.send((byte) 1, wrapped(TokenRequest.SessionCipher.AES, sent));
                client.seal(methodKey.length == 0 ? sent : TokenRequest.KeyDerivation.unwrap(sent, methodKey));
            }
            boolean encrypted = client.mode() == Mode.KEYED;
            TokenRequest.ClassAd admission = new TokenRequest.ClassAd()
                .put("ReturnCode", "AUTHORIZED").put("Sid", "his:1:1:1")
                .put("User", "unauthenticated@unmapped").put("ValidCommands", "60047,60048");
            client.send((byte) 1, new TokenRequest.Message(encrypted).ad(admission).toBytes());
            next();
        }

        /** Returns the method's own key; no bytes if it has none. */
        private byte[] login(TokenRequest.AuthMethod wanted) throws IOException, GeneralSecurityException {
            switch (wanted) {
                case CLAIMTOBE -> {
                    next();
                    client.send((byte) 1, number(1));
                }
                case ANONYMOUS -> client.send((byte) 1, number(1));
                case SSL -> {
                    client.send((byte) 1, number(TokenRequest.Protocol.SSL_OK));
                    next();
                    return new Tunnel().keyFor();
                }
                default -> next(); // what the client says first is all that there is to learn
            }
            return new byte[0];
        }

        private byte[] next() throws IOException {
            try {
                Packet packet = incoming.poll(20, TimeUnit.SECONDS);
                if (packet == null) {
                    throw new EOFException("the client says no more to the impostor");
                }
                byte[] body = client.accept(packet);
                plan.loot("client " + (client.mode() == Mode.KEYED ? "opened" : "in the clear") + ", " + body.length
                    + " bytes", body);
                return body;
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException(e);
            }
        }

        /** TLS inside messages, the server's side: client and server alternate strictly. */
        private final class Tunnel {
            private final SSLEngine engine;
            private final ByteBuffer record;
            private final ByteArrayOutputStream outgoing = new ByteArrayOutputStream();
            private byte[] received = new byte[0];

            Tunnel() throws IOException, GeneralSecurityException {
                char[] password = "changeit".toCharArray();
                KeyStore store = KeyStore.getInstance("PKCS12");
                try (InputStream in = Files.newInputStream(plan.orders.certificate.orElseThrow())) {
                    store.load(in, password);
                }
                KeyManagerFactory keys = KeyManagerFactory.getInstance("PKIX");
                keys.init(store, password);
                SSLContext context = SSLContext.getInstance("TLS");
                context.init(keys.getKeyManagers(), null, plan.random);
                engine = context.createSSLEngine();
                engine.setUseClientMode(false);
                record = ByteBuffer.allocate(engine.getSession().getPacketBufferSize());
            }

            /** Runs both phases. Returns the 256 bytes that the client now takes for the method's key. */
            byte[] keyFor() throws IOException {
                engine.beginHandshake();
                int ours = TokenRequest.Protocol.SSL_RECEIVING;
                int theirs = listen();
                while (ours != TokenRequest.Protocol.SSL_HOLDING || theirs != TokenRequest.Protocol.SSL_HOLDING) {
                    ours = ours == TokenRequest.Protocol.SSL_HOLDING || advance() ? TokenRequest.Protocol.SSL_HOLDING : ours;
                    say(ours);
                    if (ours != TokenRequest.Protocol.SSL_HOLDING || theirs != TokenRequest.Protocol.SSL_HOLDING) {
                        theirs = listen();
                    }
                }
                byte[] key = plan.random(TokenRequest.Protocol.SSL_KEY_BYTES);
                for (ByteBuffer source = ByteBuffer.wrap(key); source.hasRemaining();) {
                    wrap(source);
                }
                do {
                    say(TokenRequest.Protocol.SSL_HOLDING);
                } while (listen() != TokenRequest.Protocol.SSL_HOLDING);
                plan.note("the client takes his certificate");
                return key;
            }

            private void say(int status) throws IOException {
                client.send((byte) 1, new TokenRequest.Message(false).number(status).counted(outgoing.toByteArray()).toBytes());
                outgoing.reset();
            }

            private int listen() throws IOException {
                TokenRequest.MessageReader turn = new TokenRequest.MessageReader(next(), false, "TLS bytes");
                int status = turn.number(TokenRequest.Protocol.SSL_ERROR, TokenRequest.Protocol.SSL_HOLDING);
                if (status == TokenRequest.Protocol.SSL_QUITTING || status == TokenRequest.Protocol.SSL_ERROR) {
                    throw new IOException("the client does not take his certificate");
                }
                received = TokenRequest.concat(received, turn.counted());
                return status;
            }

            /** Lets TLS run on what has arrived. Returns whether the handshake is complete. */
            private boolean advance() throws SSLException {
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

            private void wrap(ByteBuffer source) throws SSLException {
                engine.wrap(source, record);
                outgoing.write(record.array(), 0, record.position());
                record.clear();
            }

            private boolean unwrap() throws SSLException {
                ByteBuffer source = ByteBuffer.wrap(received);
                ByteBuffer text = ByteBuffer.allocate(engine.getSession().getApplicationBufferSize());
                SSLEngineResult result = engine.unwrap(source, text);
                received = Arrays.copyOfRange(received, source.position(), received.length);
                return result.getStatus() == SSLEngineResult.Status.OK;
            }
        }
    }

    // ---- Leg: packets of one side ----

    /** A packet as it travels: a header of end flag and length, and a body. */
    private record Packet(byte[] header, byte[] body) {
        byte end() {
            return header[0];
        }
    }

    /** Whether a side's packets are in the clear, encrypted under a key that he has, or under one that he has not. */
    private enum Mode { CLEAR, KEYED, OPAQUE }

    /** The connection to one side, with the digests of what passed on it in the clear. */
    private static final class Leg {
        private final String name;
        private final Socket socket;
        private final SecureRandom random;
        private final DataInputStream in;
        private final OutputStream out;
        private final MessageDigest sent = TokenRequest.KeyDerivation.sha256();
        private final MessageDigest received = TokenRequest.KeyDerivation.sha256();
        private Mode mode = Mode.CLEAR;
        private TokenRequest.SessionCipher cipher = TokenRequest.SessionCipher.AES;
        private Object turn = this;
        private Optional<TokenRequest.PacketCipher> sealing = Optional.empty();
        private Optional<TokenRequest.PacketCipher> opening = Optional.empty();

        Leg(String name, Socket socket, SecureRandom random) throws IOException {
            this.name = name;
            this.socket = socket;
            this.random = random;
            socket.setTcpNoDelay(true);
            this.in = new DataInputStream(socket.getInputStream());
            this.out = socket.getOutputStream();
        }

        String name() {
            return name;
        }

        Mode mode() {
            return mode;
        }

        void mode(Mode wanted) {
            mode = wanted;
        }

        void cipher(TokenRequest.SessionCipher wanted) {
            cipher = wanted;
        }

        /** Whoever holds this changes the mode. */
        void lock(Object shared) {
            turn = shared;
        }

        /** Bytes of an encrypted packet that its header does not count: the old ciphers' MAC. */
        private int uncounted() {
            synchronized (turn) {
                return mode == Mode.CLEAR || cipher == TokenRequest.SessionCipher.AES ? 0 : 16;
            }
        }

        /** The next packet; empty at the end. */
        Optional<Packet> read() throws IOException {
            byte[] header = in.readNBytes(TokenRequest.Protocol.HEADER_BYTES);
            if (header.length < TokenRequest.Protocol.HEADER_BYTES) {
                return Optional.empty();
            }
            int length = ByteBuffer.wrap(header, 1, Integer.BYTES).getInt();
            if (length < 1 || length > TokenRequest.Protocol.BODY_MAX_BYTES) {
                throw new IOException("the " + name + " sent no packet");
            }
            byte[] body = new byte[length + uncounted()];
            in.readFully(body);
            return Optional.of(new Packet(header, body));
        }

        /** What a packet says, as far as he can tell. Each packet is to be accepted once, in order. */
        byte[] accept(Packet packet) throws IOException {
            if (mode == Mode.CLEAR) {
                received.update(packet.header());
                received.update(packet.body());
            }
            return mode == Mode.KEYED ? opening.orElseThrow().decrypt(packet.header(), packet.body(), name + "'s packet")
                : packet.body();
        }

        void send(byte end, byte[] plain) throws IOException {
            int length = plain.length + (mode == Mode.KEYED ? sealing.orElseThrow().overhead() : 0);
            byte[] header = ByteBuffer.allocate(TokenRequest.Protocol.HEADER_BYTES).put(end).putInt(length).array();
            Packet packet = new Packet(header, mode == Mode.KEYED ? sealing.orElseThrow().encrypt(header, plain) : plain);
            if (mode == Mode.CLEAR) {
                sent.update(packet.header());
                sent.update(packet.body());
            }
            sendAsIs(packet);
        }

        void sendAsIs(Packet packet) throws IOException {
            out.write(TokenRequest.concat(packet.header(), packet.body()));
        }

        /** From here on, this side's packets are encrypted under a key that he has. Both directions have spoken by now. */
        void seal(byte[] key) {
            if (cipher == TokenRequest.SessionCipher.AES) {
                byte[] mine = sent.digest();
                byte[] theirs = received.digest();
                byte[] iv = new byte[TokenRequest.Protocol.IV_BYTES];
                random.nextBytes(iv);
                sealing = Optional.of(new TokenRequest.AesGcmCipher(key, iv, TokenRequest.concat(mine, theirs)));
                opening = Optional.of(new TokenRequest.AesGcmCipher(key, new byte[0], TokenRequest.concat(theirs, mine)));
            } else {
                byte[] shorter = Arrays.copyOf(key, cipher.keyBytes);
                sealing = Optional.of(new TokenRequest.LegacyCipher(cipher, shorter));
                opening = Optional.of(new TokenRequest.LegacyCipher(cipher, shorter));
            }
            mode = Mode.KEYED;
        }

        /** Says no more, but goes on listening. */
        void finish() throws IOException {
            if (!socket.isClosed() && !socket.isOutputShutdown()) {
                socket.shutdownOutput();
            }
        }

        void close() {
            try {
                socket.close();
            } catch (IOException e) {
                System.err.println("MiddleMan: " + e);
            }
        }
    }
}

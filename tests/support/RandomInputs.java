// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.StringReader;
import java.net.DatagramPacket;
import java.net.DatagramSocket;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedChannelException;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.security.cert.Certificate;
import java.security.cert.CertificateException;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.Collection;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/**
 * Gives every parser of the program inputs that nobody meant: valid samples with random changes, and random bytes. Each
 * input has a seed, from which it can be made again.
 *
 * <p>A parser misbehaves if it throws an exception that it does not announce, if it takes seconds, or if a text that it has
 * made printable is not.
 *
 * <p>Arguments: {@code DIRECTORY [count=N] [seed=N] [only=SECTION] [input=N]}: so many inputs in all; of one section only;
 * the one with that seed. The directory also contains users.pem, user.pem, user.key, which pbes2.key,
 * pbes1.key and legacy.key encrypt with the passphrase "secret", and ccache. Exit status: 1 if a parser
 * misbehaved.
 */
public final class RandomInputs {
    private interface Parser {
        void read(byte[] input, Random random) throws Exception;
    }

    /** @param share of the inputs, relative to the others' */
    private record Section(String name, int share, List<byte[]> samples, Parser parser) { }

    private static final Duration SLOW = Duration.ofSeconds(10);
    private static final int SHOWN = 20;
    private static final int MAX_BYTES = 1 << 16;
    private static final byte[] KEY = "0123456789abcdef0123456789abcdef".getBytes(ISO_8859_1);
    private static final List<String> FRAGMENTS = List.of("\0", "\n", "\r\n", "\"", "\\", "'", "<", ">", "[", "]", "{", "}", "(",
        ")", "=", "==", "&", "%", "%00", "$(", "$$(", "#", "@", "/", "../", ":", ";", ",", " ", "\t", "-1", "0", "2147483648",
        "9223372036854775808", "999999999999999999999999999999", "1e999", "NaN", "true", "null", "\u202e",
        "\ud83d\ude00", "\u00e9", "\u001b[2J", "\ufeff", "a".repeat(300), "(".repeat(99), "[".repeat(99),
        "{\"a\":".repeat(99), "ZKM", "*");
    private static final List<byte[]> NUMBERS = List.of(hex("00000000"), hex("ffffffff"), hex("7fffffff"), hex("80000000"),
        hex("0000000000000000"), hex("ffffffffffffffff"), hex("7fffffffffffffff"), hex("8000000000000000"), hex("00100000"),
        hex("0000000000002711"), hex("ad"), hex("efbbbf"), hex("fffe"), hex("feff"));

    private final Path directory;
    private final List<Section> sections = new ArrayList<>();
    private final Map<String, Integer> counts = new LinkedHashMap<>();
    private final List<String> misbehaviour = new ArrayList<>();
    private volatile String current = "";
    private volatile long start;
    private int refused;
    /** What the KDC, or munged, sends. */
    private volatile byte[] answer = {};

    private RandomInputs(Path directory) {
        this.directory = directory;
    }

    public static void main(String... arguments) throws Exception {
        Map<String, String> settings = new HashMap<>();
        for (String argument : List.of(arguments).subList(1, arguments.length)) {
            settings.put(argument.substring(0, argument.indexOf('=')), argument.substring(argument.indexOf('=') + 1));
        }
        RandomInputs inputs = new RandomInputs(Path.of(arguments[0]));
        inputs.add();
        System.exit(inputs.run(Integer.parseInt(settings.getOrDefault("count", "10000")),
            Long.parseLong(settings.getOrDefault("seed", "1")), Optional.ofNullable(settings.get("only")),
            Optional.ofNullable(settings.get("input")).map(Long::valueOf)));
    }

    private int run(int count, long seed, Optional<String> only, Optional<Long> input) {
        Thread watch = new Thread(this::watch, "watch");
        watch.setDaemon(true);
        watch.start();
        System.out.println("random inputs, seed " + seed + ":");
        List<Section> chosen = sections.stream().filter(section -> only.isEmpty() || only.get().equals(section.name)).toList();
        int shares = chosen.stream().mapToInt(Section::share).sum();
        int total = 0;
        for (Section section : chosen) {
            int inputs = input.isPresent() ? 1 : Math.max(1, (int) Math.ceil((double) count * section.share / shares));
            long before = System.nanoTime();
            refused = 0;
            for (int i = 0; i < inputs; i++) {
                read(section, input.orElse(seed * 1_000_000_007L + i));
            }
            total += inputs;
            System.out.printf(Locale.ROOT, "  %-28s %7d inputs, %d refused, %d ms%n", section.name, inputs, refused,
                Duration.ofNanos(System.nanoTime() - before).toMillis());
        }
        misbehaviour.stream().limit(SHOWN).forEach(System.out::println);
        System.out.println(total + " random inputs, " + (misbehaviour.isEmpty() ? "no misbehaviour"
            : new TreeMap<>(counts) + " misbehaved"));
        return misbehaviour.isEmpty() && total > 0 ? 0 : 1;
    }

    /** Ends the program if a parser does not come back. */
    private void watch() {
        while (true) {
            try {
                Thread.sleep(500);
            } catch (InterruptedException e) {
                return;
            }
            if (!current.isEmpty() && System.nanoTime() - start > SLOW.toNanos()) {
                System.out.println("MISBEHAVIOUR: hang: " + current);
                Runtime.getRuntime().halt(1);
            }
        }
    }

    private void read(Section section, long seed) {
        Random random = new Random(seed);
        byte[] input = mutated(section.samples, random);
        start = System.nanoTime();
        current = section.name + ", input=" + seed;
        try {
            section.parser.read(input, random);
        } catch (IOException | TokenRequest.CommandException | TokenRequest.AuthenticationException | GeneralSecurityException
                | TokenRequest.ConfigSyntaxException | InvalidPathException e) {
            refused++;
        } catch (Exception | StackOverflowError | OutOfMemoryError | AssertionError e) {
            counts.merge(section.name, 1, Integer::sum);
            misbehaviour.add("MISBEHAVIOUR: " + current + ": " + e + "\n    at " + Arrays.stream(e.getStackTrace()).limit(6)
                .map(Object::toString).reduce((one, other) -> one + "\n    at " + other).orElse("") + "\n    of "
                + TokenRequest.printable(new String(input, ISO_8859_1)));
        }
        current = "";
    }

    // ---- Changes ----

    private static byte[] hex(String text) {
        return HexFormat.of().parseHex(text);
    }

    private static byte[] mutated(List<byte[]> samples, Random random) {
        if (random.nextInt(20) == 0) {
            byte[] noise = new byte[random.nextInt(200)];
            random.nextBytes(noise);
            return noise;
        }
        byte[] bytes = samples.get(random.nextInt(samples.size()));
        for (int changes = 1 + random.nextInt(random.nextInt(8) == 0 ? 20 : 4); changes > 0; changes--) {
            bytes = changed(bytes, samples, random);
        }
        return bytes.length > MAX_BYTES ? Arrays.copyOf(bytes, MAX_BYTES) : bytes;
    }

    private static byte[] changed(byte[] bytes, List<byte[]> samples, Random random) {
        int at = random.nextInt(bytes.length + 1);
        int end = at + random.nextInt(Math.min(bytes.length - at, 1 << random.nextInt(9)) + 1);
        byte[] copy = bytes.clone();
        switch (random.nextInt(9)) {
            case 0, 1 -> {
                if (at < copy.length) {
                    copy[at] ^= (byte) (1 << random.nextInt(8));
                }
                return copy;
            }
            case 2 -> {
                if (at < copy.length) {
                    copy[at] = (byte) random.nextInt(256);
                }
                return copy;
            }
            case 3 -> {
                return joined(bytes, at, new byte[0], end);
            }
            case 4 -> {
                return joined(bytes, end, Arrays.copyOfRange(bytes, at, end), end);
            }
            case 5 -> {
                return Arrays.copyOf(bytes, at);
            }
            case 6 -> {
                return joined(bytes, at, FRAGMENTS.get(random.nextInt(FRAGMENTS.size())).getBytes(UTF_8),
                    random.nextBoolean() ? at : end);
            }
            case 7 -> {
                byte[] number = NUMBERS.get(random.nextInt(NUMBERS.size()));
                return joined(bytes, at, number, random.nextInt(4) == 0 ? at : Math.min(bytes.length, at + number.length));
            }
            default -> {
                byte[] other = samples.get(random.nextInt(samples.size()));
                int from = random.nextInt(other.length + 1);
                return joined(bytes, at, Arrays.copyOfRange(other, from, other.length), random.nextBoolean() ? bytes.length : at);
            }
        }
    }

    /** The bytes before the first position, those in the middle, and the bytes from the second position on. */
    private static byte[] joined(byte[] bytes, int at, byte[] middle, int from) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(bytes, 0, at);
        out.writeBytes(middle);
        out.write(bytes, from, bytes.length - from);
        return out.toByteArray();
    }

    // ---- Sections ----

    private void add(String name, int share, Parser parser, String... samples) {
        add(name, share, Arrays.stream(samples).map(text -> text.getBytes(UTF_8)).toList(), parser);
    }

    private void add(String name, int share, List<byte[]> samples, Parser parser) {
        sections.add(new Section(name, share, samples, parser));
    }

    private static void require(boolean holds, String property) {
        if (!holds) {
            throw new AssertionError(property);
        }
    }

    private static String text(byte[] input, Random random) {
        return new String(input, random.nextBoolean() ? UTF_8 : ISO_8859_1);
    }

    private TokenRequest.Host host(Map<String, String> more) {
        Map<String, String> environment = new HashMap<>(Map.of("CONDOR_CONFIG", "ONLY_ENV",
            "_CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS", "false", "KRB5CCNAME", "FILE:/nonexistent/krb5cc"));
        environment.putAll(more);
        PrintStream nowhere = new PrintStream(OutputStream.nullOutputStream(), false, UTF_8);
        TokenRequest.Host host = Harness.host(InstantSource.fixed(Instant.parse("2026-01-01T00:00:00Z")), new SecureRandom(),
            duration -> { }, environment, directory.resolve("home"), new ByteArrayInputStream(new byte[0]), nowhere, nowhere);
        return new TokenRequest.Host(host.clock(), host.random(), host.sleeper(), host.environment(), "client.example",
            host.home(), host.user(), host.uid(), host.invocation(), host.in(), host.out(), host.err(), host.terminal(),
            host.platform());
    }

    private TokenRequest.Context context(Map<String, String> more) throws TokenRequest.CommandException {
        TokenRequest.Host host = host(more);
        TokenRequest.Deadline deadline = new TokenRequest.Deadline(host.clock(), Duration.ofSeconds(5));
        return new TokenRequest.Context(TokenRequest.Configuration.read(host, deadline), host, TokenRequest.DebugLog.off(),
            new TokenRequest.TrustOptions(Optional.empty(), Set.of()), deadline,
            new TokenRequest.InputFiles(host, deadline, line -> { }), new TokenRequest.ConsoleWriter(host, false));
    }

    /** A file of this user, with these bytes. */
    private Path file(String name, byte[] content) throws IOException {
        Path file = directory.resolve("inputs").resolve(name);
        if (!Files.exists(file)) {
            Files.createDirectories(file.getParent(), PosixFilePermissions.asFileAttribute(
                PosixFilePermissions.fromString("rwx------")));
            Files.createFile(file, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        }
        Files.write(file, content);
        return file;
    }

    private void add() throws Exception {
        addWire();
        addTexts();
        addFiles();
        addKeys();
        addMethods();
        addServers();
        addMunged();
        addKerberos();
    }

    /** What a server sends. */
    private void addWire() {
        TokenRequest.ClassAd policy = new TokenRequest.ClassAd().put("Authentication", "YES").put("Encryption", "YES")
            .put("Integrity", "YES").put("CryptoMethods", "AES").put("AuthMethodsList", "SSL,TOKEN,FS")
            .put("TrustDomain", "pool.test").put("IssuerKeys", "POOL, LOCAL").put("ECDHPublicKey", "abc=")
            .put("RemoteVersion", "$CondorVersion: 25.14.1 2026-10-16 BuildID: x $").put("SessionDuration", 3600);
        TokenRequest.ClassAd reply = new TokenRequest.ClassAd().put("RequestId", "6108900").put("Token", "a.b.c")
            .put("ErrorCode", 3).put("ErrorString", "Request \"ID\" is not known.").put("Good", true);
        List<String> lines = new ArrayList<>(policy.assignments());
        lines.addAll(reply.assignments());
        add("ClassAd", 80, (input, random) -> {
            TokenRequest.ClassAd ad = new TokenRequest.ClassAd();
            String text = text(input, random);
            ad.parse(text);
            ad.parse(lines.get(random.nextInt(lines.size())));
            use(ad, text.substring(0, Math.max(0, text.indexOf('='))).strip());
        }, lines.toArray(String[]::new));
        for (boolean encrypted : new boolean[] {false, true}) {
            byte[] one = new TokenRequest.Message(encrypted).ad(policy).toBytes();
            byte[] other = new TokenRequest.Message(encrypted).number(1).ad(reply).number(0).toBytes();
            byte[] third = new TokenRequest.Message(encrypted).number(60010).string("text").counted(KEY).toBytes();
            add("message" + (encrypted ? ", encrypted" : ""), 60, List.of(one, other, third), (input, random) -> {
                TokenRequest.MessageReader reader = new TokenRequest.MessageReader(input, encrypted, "message");
                while (!reader.atEnd()) {
                    switch (random.nextInt(6)) {
                        case 0 -> reader.number();
                        case 1 -> reader.number(0, random.nextInt(1000));
                        case 2 -> reader.string();
                        case 3 -> reader.counted();
                        default -> use(reader.ad(), "Token");
                    }
                }
                reader.end();
            });
        }
        add("policy reply", 40, List.of(new TokenRequest.Message(false).ad(policy).toBytes()), (input, random) -> {
            TokenRequest.PolicyReply read = new TokenRequest.PolicyReply(
                new TokenRequest.MessageReader(input, false, "policy").ad());
            read.trustDomain();
            read.issuerKeys();
            read.methods();
            read.cipher();
            read.isBefore(9, 9);
            read.isAtLeast(25, 13, 2);
            read.check(TokenRequest.ChannelBinding.values()[random.nextInt(2)],
                List.of(TokenRequest.SessionCipher.values()[random.nextInt(3)]));
        });
        for (TokenRequest.SessionCipher cipher : TokenRequest.SessionCipher.values()) {
            addStream("stream, " + cipher.word, 24, Optional.of(cipher), policy, reply);
        }
        addStream("stream", 60, Optional.empty(), policy, reply);
    }

    private void addStream(String name, int share, Optional<TokenRequest.SessionCipher> cipher, TokenRequest.ClassAd... ads) {
        byte[] key = cipher.map(one -> Arrays.copyOf(KEY, one.keyBytes)).orElse(new byte[0]);
        List<byte[]> samples = new ArrayList<>();
        for (TokenRequest.ClassAd ad : ads) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            TokenRequest.CedarStream stream = new TokenRequest.CedarStream(new ByteArrayInputStream(new byte[0]), out,
                new SecureRandom(), TokenRequest.DebugLog.off());
            cipher.ifPresent(one -> stream.encrypt(one, key));
            try {
                stream.send(stream.message().ad(ad));
                stream.send(stream.message().number(1).toBytes(), 0);
                stream.send(stream.message().string("end"));
            } catch (IOException e) {
                throw new IllegalStateException(e);
            }
            samples.add(out.toByteArray());
        }
        add(name, share, samples, (input, random) -> {
            TokenRequest.CedarStream stream = new TokenRequest.CedarStream(new ByteArrayInputStream(input),
                OutputStream.nullOutputStream(), new SecureRandom(), TokenRequest.DebugLog.off());
            cipher.ifPresent(one -> stream.encrypt(one, key));
            while (true) { // until the end, which is an EOFException
                TokenRequest.MessageReader reader = stream.receive("message");
                if (random.nextBoolean()) {
                    use(reader.ad(), "Token");
                    reader.end();
                }
            }
        });
    }

    private static void use(TokenRequest.ClassAd ad, String name) {
        ad.string(name);
        ad.integer(name);
        ad.isTrue(name);
        ad.isFalse(name);
        ad.integer("ErrorCode");
        ad.string("ErrorString").ifPresent(RandomInputs::show);
        ad.shown().forEach(line -> require(line.codePoints().noneMatch(Character::isISOControl), "shown text is printable"));
        ad.assignments();
    }

    private static void show(String text) {
        String shown = TokenRequest.printable(text);
        require(shown.codePoints().noneMatch(c -> Character.isISOControl(c) || Character.getType(c) == Character.FORMAT),
            "printable text");
        require(shown.length() < 4000, "printable text is short");
    }

    /** What a server answers to each method that needs nothing else, whole exchanges of it. */
    private void addMethods() throws Exception {
        SecureRandom zeros = new SecureRandom() {
            private static final long serialVersionUID = 1L;

            @Override
            public void nextBytes(byte[] bytes) {
                Arrays.fill(bytes, (byte) 0);
            }
        };
        byte[] number = new TokenRequest.Message(false).number(1).toBytes();
        byte[] zero = new TokenRequest.Message(false).number(0).toBytes();
        addMethod(new TokenRequest.ClaimToBe("alice@own.test"), number);
        addMethod(new TokenRequest.Anonymous(), number);
        String shared = Files.createDirectories(directory.resolve("shared")).toString();
        for (TokenRequest.AuthMethod method : List.of(TokenRequest.AuthMethod.FS, TokenRequest.AuthMethod.FS_REMOTE)) {
            TokenRequest.FileSystemAccess access = new TokenRequest.FileSystemAccess(method, shared,
                new InetSocketAddress(InetAddress.getLoopbackAddress(), 9618), Optional.of("collector"), true, Optional.empty(),
                Optional.empty());
            String name = shared + "/" + method + "_127.0.0.1_9618_XXXabcdef";
            addMethod(access, new TokenRequest.Message(false).string(name).toBytes(), zero);
            add("directory of " + method, 24, (input, random) -> access.parse(text(input, random)), name, name + "_",
                shared + "/" + method + "_host.example_1_XXXabcdef");
        }
        byte[] random = new byte[TokenRequest.Protocol.AKEP2_RANDOM_BYTES];
        TokenRequest.Akep2 akep2 = new TokenRequest.Akep2("condor@pool.test", Optional.empty(), KEY, "x", zeros);
        byte[] proof = TokenRequest.Akep2.serverProof(KEY, akep2.a(), "condor@pool.test", random, random);
        byte[] answer = new TokenRequest.Message(false).number(0).number(akep2.a().length()).string(akep2.a())
            .number(akep2.a().length()).string("condor@pool.test").counted(random).counted(random).counted(proof).toBytes();
        addExchange("answer to AKEP2", akep2::run, answer);
        akep2.run(stream(framed(answer))); // the sample is valid
        addMethod(new TokenRequest.Password("condor@pool.test", KEY, zeros), answer);
        addMethod(new TokenRequest.IdToken(TokenRequest.IssuedToken.read("eyJhbGciOiJIUzI1NiIsImtpZCI6IlBPT0wifQ."
            + "eyJpc3MiOiJwb29sLnRlc3QiLCJzdWIiOiJhQGIifQ.c2lnbmF0dXJl").orElseThrow(), zeros), answer);
        // A TLS alert, a ServerHello that offers nothing, and its end. RFC 8446, sections 6 and 4.1.3
        byte[] alert = new TokenRequest.Message(false).number(1).counted(hex("15030300020228")).toBytes();
        byte[] hello = new TokenRequest.Message(false).number(1).counted(hex("160303002c020000280303" + "00".repeat(32)
            + "00c02f000000")).toBytes();
        TokenRequest.Context context = context(Map.of());
        addMethod(new TokenRequest.Ssl(new TokenRequest.ServerTrust(context), "localhost", Optional.empty(), Optional.empty(),
            () -> { }), zero, hello, alert, new TokenRequest.Message(false).number(3).counted(new byte[0]).toBytes());
    }

    /** An exchange with a server, of which its bytes are known in advance. */
    private interface Exchange {
        Object run(TokenRequest.CedarStream stream) throws Exception;
    }

    private void addMethod(TokenRequest.Authenticator method, byte[]... answers) {
        addExchange("answers to " + method.method(), method::authenticate, answers);
    }

    private void addExchange(String name, Exchange exchange, byte[]... answers) {
        add(name, name.endsWith("SSL") ? 4 : 16, List.of(framed(answers)), (input, random) -> exchange.run(stream(input)));
    }

    private static TokenRequest.CedarStream stream(byte[] input) {
        return new TokenRequest.CedarStream(new ByteArrayInputStream(input), OutputStream.nullOutputStream(), new SecureRandom(),
            TokenRequest.DebugLog.off());
    }

    private static byte[] framed(byte[]... messages) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        TokenRequest.CedarStream stream = new TokenRequest.CedarStream(new ByteArrayInputStream(new byte[0]), out,
            new SecureRandom(), TokenRequest.DebugLog.off());
        try {
            for (byte[] message : messages) {
                stream.send(message, 1);
            }
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
        return out.toByteArray();
    }

    /** By what a server is accepted: the lists of the settings, the certificate map, and the name in a certificate. */
    private void addServers() throws Exception {
        X509Certificate own = certificates(Files.readAllBytes(directory.resolve("user.pem"))).get(0);
        add("list of servers", 16, (input, random) -> {
            String text = text(input, random).replace('$', 'x');
            TokenRequest.Context context = context(Map.of(random.nextBoolean() ? "_CONDOR_ALLOW_CLIENT" : "_CONDOR_DENY_CLIENT",
                text, "_CONDOR_NO_DNS", "true"));
            TokenRequest.AcceptedServers.of(context.configuration()).rejectionReason(new TokenRequest.AcceptedServers.Server(
                new TokenRequest.ServerName(TokenRequest.AuthMethod.SSL, "condor@pool.test", Optional.of(own)),
                InetAddress.getLoopbackAddress(), context)).ifPresent(RandomInputs::show);
        }, "*", "condor@pool.test/127.0.0.1, *@pool.test/10.*", "127.0.0.0/8 *.pool.test/[::1]", "condor@*/localhost");
        add("name in a certificate", 12, List.of(own.getEncoded()), (input, random) -> {
            X509Certificate certificate = certificates(input).stream().findFirst().orElse(own);
            show(TokenRequest.CertificatePath.subject(certificate));
            Path map = file("map", "SSL \"/CN=(.*)\" \\1@pool.test\n".getBytes(UTF_8));
            new TokenRequest.AcceptedServers.Server(new TokenRequest.ServerName(TokenRequest.AuthMethod.SSL, "x",
                Optional.of(certificate)), InetAddress.getLoopbackAddress(), context(Map.of("_CONDOR_CERTIFICATE_MAPFILE",
                map.toString()))).user();
        });
        add("CONDOR_IDS", 8, (input, random) -> {
            TokenRequest.Context context = context(Map.of("CONDOR_IDS", text(input, random)));
            TokenRequest.CondorAccount.find(context.configuration(), context.host());
        }, "1000.1000", "0.0", "4294967295.1", "1.");
        add("encrypted key files", 4, List.of(Files.readAllBytes(directory.resolve("pbes2.key")),
            Files.readAllBytes(directory.resolve("pbes1.key")), Files.readAllBytes(directory.resolve("legacy.key"))),
            (input, random) -> encryptedKey(file("encrypted", input)));
        for (String name : List.of("pbes2.key", "pbes1.key", "legacy.key")) {
            require(encryptedKey(directory.resolve(name)).isPresent(), "the sample " + name + " is valid");
        }
    }

    private Optional<TokenRequest.ClientCertificate> encryptedKey(Path key) throws Exception {
        TokenRequest.Context context = context(Map.of("_CONDOR_AUTH_SSL_CLIENT_CERTFILE", directory.resolve("user.pem")
            .toString(), "_CONDOR_AUTH_SSL_CLIENT_KEYFILE", key.toString()));
        TokenRequest.UserInterface typing = new TokenRequest.UserInterface() {
            @Override
            public void notice(String line) {
                show(line);
            }

            @Override
            public void warn(String text) {
                show(text);
            }

            @Override
            public Optional<String> ask(List<String> question, Predicate<String> isValid) {
                return Optional.empty();
            }

            @Override
            public Optional<char[]> askSecret(String prompt) {
                return Optional.of("secret".toCharArray());
            }

            @Override
            public void credential(String kind, String words) {
                show(words);
            }
        };
        return TokenRequest.ClientCertificate.load(new TokenRequest.Context(context.configuration(), context.host(),
            context.trace(), context.trustOptions(), context.deadline(), context.files(), typing));
    }

    /** What a process at munged's socket answers, from the first byte. */
    private void addMunged() throws IOException {
        Path socket = directory.resolve("m");
        ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX);
        server.bind(UnixDomainSocketAddress.of(socket));
        Thread answering = new Thread(() -> answer(server), "munged");
        answering.setDaemon(true);
        answering.start();
        byte[] credential = "MUNGE:AwQDAAD=:\0".getBytes(ISO_8859_1);
        byte[] reply = ByteBuffer.allocate(17 + credential.length).put(hex("00606d4b040300")).putInt(6 + credential.length)
            .put((byte) 0).put((byte) 0).putInt(credential.length).put(credential).array();
        add("munged's socket", 4, List.of(reply), (input, random) -> {
            answer = input;
            new TokenRequest.MungeDaemon(socket, new TokenRequest.Deadline(InstantSource.system(), Duration.ofSeconds(5)),
                InstantSource.system()).encode(KEY, OptionalLong.empty());
        });
    }

    private void answer(ServerSocketChannel munged) {
        while (true) {
            try (SocketChannel client = munged.accept()) {
                client.read(ByteBuffer.allocate(4096));
                client.write(ByteBuffer.wrap(answer));
            } catch (ClosedChannelException e) {
                return;
            } catch (IOException e) {
                continue; // the client has gone
            }
        }
    }

    /** What is typed, or is in a file of text. */
    private void addTexts() throws Exception {
        add("printable text", 20, (input, random) -> show(text(input, random)), "Request ID is not known.",
            "h\u00e9llo \ud83d\ude00", "x".repeat(600));
        add("sinful string", 80, (input, random) -> {
            Optional<TokenRequest.Sinful> read = TokenRequest.Sinful.parse(text(input, random));
            if (read.isPresent()) {
                require(!read.get().isComplete() || TokenRequest.Sinful.parse(read.get().toString()).equals(read),
                    "the canonical form is the same address");
                read.get().parameter("sock");
            }
        }, "<127.0.0.1:9618?addrs=127.0.0.1-9618+[--1]-9618&alias=cm.test&noUDP&sock=collector>", "<[::1]:9618>",
            "<10.0.0.1:1?CCBID=10.0.0.2:9618%3falias=cm%2312%20h:1#2&PrivNet=a&PrivAddr=%3c10.1.1.1:5%3e>", "<cm.test:9618>");
        TokenRequest.Location location = new TokenRequest.Location(context(Map.of()));
        add("address of a daemon", 16, (input, random) -> {
            TokenRequest.Target target = location.at(text(input, random), "-pool",
                TokenRequest.NameSource.values()[random.nextInt(TokenRequest.NameSource.values().length)], Optional.empty());
            target.brokers();
            target.sharedPortId();
            show(target.toString());
        }, "<127.0.0.1:9618?addrs=127.0.0.1-9618+[--1]-9618&alias=localhost&sock=collector>", "localhost:9618", "127.0.0.1",
            "<127.0.0.1:1?CCBID=127.0.0.1:9618%3falias%3dlocalhost#12%20127.0.0.2:1#2&PrivNet=a&PrivAddr=%3c10.1.1.1:5%3e>",
            "[::1]:9618", "::1");
        add("number and host name", 40, (input, random) -> {
            String text = text(input, random);
            TokenRequest.NumericAddress.address(text);
            TokenRequest.NumericAddress.isHostName(text);
            TokenRequest.NumericAddress.isIpv6(text);
            TokenRequest.AcceptedServers.Network.parse(text).ifPresent(network -> {
                try {
                    network.contains(InetAddress.getByAddress(new byte[random.nextBoolean() ? 4 : 16]));
                } catch (UnknownHostException e) {
                    throw new AssertionError(e);
                }
            });
        }, "127.0.0.1", "10.1.*", "2001:db8:*", "10.0.0.0/255.0.0.0", "10.0.0.0/8", "::ffff:1.2.3.4", "fe80::1%eth0", "[::1]/128",
            "cm.example.org", "host_1");
        String saved = "{\"event\":\"enqueued\",\"time\":\"2026-01-01T00:00:00.000Z\",\"request_id\":\"6108900\",\"client_id\":"
            + "\"u@h-00\",\"pool\":\"cm.test\",\"address\":\"<127.0.0.1:9618?alias=cm.test>\",\"certificate_name\":\"cm.test\","
            + "\"certificate_name_from\":\"command_line\",\"daemon\":{\"type\":\"collector\",\"name\":null},\"identity\":\"a@b\","
            + "\"authz\":[\"READ\",\"WRITE\"],\"lifetime\":600,\"method\":\"SSL\",\"encryption\":\"AES\",\"session\":\"bound\","
            + "\"server_version\":\"x\",\"trust_domain\":\"b\",\"deadline\":\"2026-01-01T01:00:00.000Z\"}";
        add("saved request", 80, (input, random) -> {
            String text = text(input, random);
            TokenRequest.Json.flat(text);
            TokenRequest.Json.Fields fields = new TokenRequest.Json.Fields(TokenRequest.Json.object(new StringReader(text)));
            try {
                TokenRequest.Json.line(TokenRequest.PendingRequest.of(fields).fields());
                fields.time("time");
            } catch (IllegalArgumentException e) {
                throw new IOException(e); // names the field
            }
        }, saved, saved.replace("collector", "schedd"), "{\"a\":[1,-2.5e3,true,null,{\"b\":\"\\u0041\\n\"}]}");
        String payload = Base64.getUrlEncoder().withoutPadding().encodeToString(("{\"iss\":\"pool.test\",\"sub\":\"a@b\","
            + "\"aud\":[\"x\"],\"scope\":\"condor:/READ condor:/WRITE\",\"iat\":1767225600,\"exp\":1767229200.5,\"nbf\":1,"
            + "\"jti\":\"00\"}").getBytes(UTF_8));
        add("token", 60, (input, random) -> {
            token(text(input, random), random);
        }, "eyJhbGciOiJIUzI1NiIsImtpZCI6IlBPT0wifQ." + payload + ".c2lnbmF0dXJl");
        add("claims of a token", 60, (input, random) -> {
            Base64.Encoder encoder = Base64.getUrlEncoder().withoutPadding();
            String header = encoder.encodeToString(random.nextInt(4) == 0 ? input : "{\"alg\":\"HS256\"}".getBytes(UTF_8));
            token(header + "." + encoder.encodeToString(input) + ".c2ln", random);
        }, new String(Base64.getUrlDecoder().decode(payload), UTF_8), "{\"exp\":1e12,\"sub\":5,\"scope\":[\"a\",1,null]}");
        add("expression", 60, (input, random) -> {
            String text = text(input, random);
            TokenRequest.Expression.evaluate(text);
            TokenRequest.Expression.unsupported(text);
            TokenRequest.Expression.integer(text);
            TokenRequest.Expression.real(text);
            TokenRequest.Expression.truth(text);
        }, "1 + 2 * (3 - 4.5e3) / 5 % 6", "\"a\" == \"A\" && !(x =?= undefined) || 5 > 3 ? true : false",
            "ifThenElse(strcat(\"a\", 1) is \"a1\", int(2.5), round(1e10))", "1 << 3 | ~5", "{1,2}[0] ?: error",
            "-9223372036854775808");
        add("format", 20, (input, random) -> TokenRequest.PrintFormat.parse(text(input, random)).ifPresent(format -> {
            format.apply(5L);
            format.apply(-1.5e300);
            format.apply("text");
        }), "%05.3lld", "a%%b%-20s", "%#x", "%+.10e", "%G", "%c");
        add("certificate map", 32, (input, random) -> TokenRequest.CertificateMap.find(text(input, random), random.nextBoolean(),
            "SSL", "/C=DE/CN=cm.test"), "SSL \"/C=DE/CN=(.*)\" \\1@pool.test\n", "ssl /^\\/CN=cm/i condor\nFS (.*) \\1\n",
            "SSL \"a\\\"b\" c\n# comment\nSSL /x/U y");
        String[] arguments = {"-pool\0cm.test\0-identity\0a@b\0-authz\0READ\0-lifetime\0600\0-token\0t\0-json",
            "--resume\0x.json\0-timeout=5\0-poll\0002\0-debug:D_SECURITY", 
            "-ensure\0-file\0x\0-owner\0u:g\0-mode\000640\0-renew-before\0001h",
            "-name\0x\0-type\0schedd\0-cafile\0x\0-fingerprint\0" + "ab:".repeat(31) + "ab", "-config\0A\0B", "-completion\0bash",
            "-pending", "-help", "-ver"};
        add("arguments", 8, (input, random) -> new TokenRequest.ArgumentParser("80").parse(text(input, random).split("\0", -1)),
            arguments);
    }

    private static void token(String text, Random random) {
        TokenRequest.Jwt.hasForm(text);
        TokenRequest.IssuedToken.claims(new TokenRequest.Secret(text));
        new TokenRequest.BearerToken(new TokenRequest.Secret(text), "x").unusableReason(Instant.EPOCH);
        Optional<TokenRequest.IssuedToken> token = TokenRequest.IssuedToken.read(text);
        if (token.isPresent()) {
            token.get().authenticatesAs();
            token.get().unusableReason(Optional.of("pool.test"), List.of("POOL"), Instant.EPOCH);
            token.get().audience();
            token.get().scopes();
            token.get().issuedAt();
            token.get().notBefore();
            token.get().expiration();
            if (random.nextInt(50) == 0) {
                token.get().isSignedWith(KEY);
            }
        }
    }

    /** Files that the program reads by itself. */
    private void addFiles() throws Exception {
        TokenRequest.Context context = context(Map.of());
        // Nothing that runs a command.
        add("configuration", 8, (input, random) -> {
            String text = text(input, random).replace("|", "").replaceAll("(?i)command", "comment");
            Path file = file("condor_config", text.getBytes(UTF_8));
            TokenRequest.Host host = host(Map.of("CONDOR_CONFIG", file.toString()));
            TokenRequest.Configuration configuration = TokenRequest.Configuration.read(host,
                new TokenRequest.Deadline(host.clock(), Duration.ofSeconds(5)));
            configuration.warnings();
            configuration.shown(List.of());
            configuration.shown(List.of("A", "B", "LIST"));
        }, "A = 1\nB = $(A) + 2\nif $(A) == 1\nLIST = $(B), $INT(A,%05d) $CHOICE(0,LIST) $Fpn(A)\nelse\nB := 5\nendif\n",
            "use security:get_htcondor_idtokens\nuse role : Submit, Execute\nA @=end\nx\ny\n@end\n",
            "COLLECTOR_HOST = cm.test\\\n , other:9618\nSEC_CLIENT_AUTHENTICATION_METHODS = SSL\nALLOW_CLIENT = *\n",
            "if version >= 9.0.1\nelif defined A\nelse\nendif\n"
            + "A = $ENV(HOME:x) $REAL(2*3) $SUBSTR(A,1,-2) $EVAL(1+$(A:3))\nA = $(A) $$(x)\n");
        byte[] certificate = Files.readAllBytes(directory.resolve("user.pem"));
        byte[] users = Files.readAllBytes(directory.resolve("users.pem"));
        byte[] key = Files.readAllBytes(directory.resolve("user.key"));
        X509Certificate own = certificates(certificate).get(0);
        byte[] encoded = Base64.getEncoder().encode(own.getEncoded());
        String accepted = "cm.test SSL " + new String(encoded, ISO_8859_1) + "\n!other SSL @trusted\n";
        add("known hosts", 16, List.of(accepted.getBytes(UTF_8),
            "# comment\ncm.test SSL @trusted\n cm.test FS x\n".getBytes(UTF_8)), (input, random) -> new TokenRequest.KnownHosts(
                file("known_hosts", input), TokenRequest.FileOrigin.DEFAULT, context.files()).find("cm.test", own));
        add("certificate and key files", 8, List.of(certificate, users, key, joined(certificate, certificate.length, key,
            certificate.length)), (input, random) -> {
                boolean isKey = random.nextBoolean();
                TokenRequest.ClientCertificate.load(new TokenRequest.Context(context(Map.of("_CONDOR_AUTH_SSL_CLIENT_CERTFILE",
                    file("certificate", isKey ? certificate : input).toString(), "_CONDOR_AUTH_SSL_CLIENT_KEYFILE",
                    file("key", isKey ? input : key).toString())).configuration(), context.host(), context.trace(),
                    context.trustOptions(), context.deadline(), context.files(), context.ui()));
            });
        add("server certificates", 12, List.of(own.getEncoded(), certificates(users).get(0).getEncoded()), (input, random) -> {
            List<X509Certificate> chain = new ArrayList<>(certificates(input));
            chain.addAll(certificates(users));
            TokenRequest.PresentedCertificates presented = new TokenRequest.PresentedCertificates(Optional.of("localhost"),
                chain.toArray(X509Certificate[]::new));
            presented.isSelfSigned(chain.get(0));
            new TokenRequest.CertificatePath(presented.path(), false).check(Optional.of("localhost"));
            presented.pathTo(Set.copyOf(certificates(users)));
        });
        add("krb5.conf", 8, (input, random) -> TokenRequest.KerberosConfiguration.read(host(Map.of("KRB5_CONFIG",
            file("krb5.conf", text(input, random).getBytes(UTF_8)).toString())), context.files()),
            "[libdefaults]\n default_realm = POOL.TEST\n rdns = no\n[realms]\n POOL.TEST = {\n  kdc = 127.0.0.1\n }\n"
            + "; x\ninclude /nonexistent\n",
            "includedir /nonexistent\n[libdefaults]\n a* = \"b\"\n");
        String record = "{\"file\":\"/x/token\",\"type\":\"collector\",\"name\":null,\"pool\":\"cm.test\",\"identity\":\"a@b\","
            + "\"authz\":[\"READ\"],\"lifetime\":600,\"sent_identity\":\"a@b\",\"trust_domain\":\"b\",\"token_sha256\":\"00\","
            + "\"claims\":null}";
        add("-ensure record", 12, (input, random) -> {
            Path file = file("records/.token.record", input);
            try (TokenRequest.OpenDirectory folder = TokenRequest.OpenDirectory.open(file.getParent(), Optional.empty(),
                    context.host(), line -> { })) {
                TokenRequest.TokenRecord.read(folder, "token");
            }
        }, record);
        add("saved requests of a folder", 8, (input, random) -> {
            Path file = file("state/pending-token-request-x-1-00.json", input);
            new TokenRequest.StateStore(Optional.of(file.getParent().toString()), Optional.empty(),
                new TokenRequest.Destination.Stdout(), context.host()).find();
        }, "{\"event\":\"enqueued\",\"time\":\"2026-01-01T00:00:00.000Z\",\"request_id\":\"6108900\"}");
        add("lock file", 8, (input, random) -> {
            Path file = file("locked/.token.lock", input);
            try (TokenRequest.OpenDirectory folder = TokenRequest.OpenDirectory.open(file.getParent(), Optional.empty(),
                    context.host(), line -> { })) {
                Optional<TokenRequest.DestinationLock> lock = TokenRequest.DestinationLock.take(folder, "token",
                    file.resolveSibling("token"), context.host(), RandomInputs::show);
                if (lock.isPresent()) {
                    lock.get().close();
                }
            }
        }, "condor_token_request: process 1 on client.example since 2026-01-01T00:00:00.000Z\n", "");
        add("address file of a daemon", 8, (input, random) -> {
            Path file = file("address", input);
            new TokenRequest.Location(context(Map.of("_CONDOR_SCHEDD_ADDRESS_FILE", file.toString(),
                "_CONDOR_SCHEDD_DAEMON_AD_FILE", file.toString(), "_CONDOR_NETWORK_HOSTNAME", "client.example")))
                .find(new TokenRequest.DaemonQuery(TokenRequest.DaemonType.SCHEDD, Optional.empty(), Optional.empty()));
        }, "<127.0.0.1:9618?alias=localhost&sock=schedd_1>\n$CondorVersion: 25.14.1 2026-10-16 BuildID: x $\n",
            "Name = \"s@localhost\"\nMyAddress = \"<127.0.0.1:9618>\"\n");
        add("token directory", 8, (input, random) -> new TokenRequest.TokenDirectory(file("tokens/token", input).getParent(),
            Pattern.compile("^\\.")).read(context.files()), "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln\n# x\n");
    }

    /** What Kerberos and MUNGE hand over. */
    private void addKeys() throws IOException {
        byte[] cache = Files.readAllBytes(directory.resolve("ccache"));
        add("Kerberos cache", 60, List.of(cache), (input, random) -> TokenRequest.CredentialCache.parse("x", input)
            .ticketGranting());
        add("Kerberos cache as a file", 8, List.of(cache), (input, random) -> {
            Path file = file("krb5cc", input);
            new TokenRequest.CredentialCache.Reader(host(Map.of("KRB5CCNAME", "FILE:" + file)), context(Map.of()).files(),
                new TokenRequest.Deadline(InstantSource.system(), Duration.ofSeconds(5)),
                new TokenRequest.KerberosConfiguration(Map.of(), List.of()), Optional.empty()).read();
        });
        add("Kerberos session key", 16, List.of(KEY, new byte[64], new byte[100]), (input, random) -> {
            int type = List.of(16, 17, 18, 19, 20, 23, 1, -1).get(random.nextInt(8));
            TokenRequest.KerberosCipher.decrypt(type, Arrays.copyOf(KEY, random.nextInt(4) == 0 ? random.nextInt(33)
                : type == 16 ? 24 : type == 18 || type == 20 ? 32 : 16), TokenRequest.KerberosCipher.HTCONDOR_USAGE, input);
        });
        byte[] credential = "MUNGE:AwQDAAD=:\0".getBytes(ISO_8859_1);
        byte[] reply = ByteBuffer.allocate(6 + credential.length).put((byte) 0).put((byte) 0).putInt(credential.length)
            .put(credential).array();
        byte[] error = joined(hex("0504"), 2, "bad\0".getBytes(ISO_8859_1), 2);
        TokenRequest.MungeDaemon daemon = new TokenRequest.MungeDaemon(Path.of("/nonexistent"),
            new TokenRequest.Deadline(InstantSource.system(), Duration.ofSeconds(5)), InstantSource.system());
        add("munged's reply", 48, List.of(reply, error), (input, random) -> daemon.credential(ByteBuffer.wrap(input)));
        add("scrambled key", 8, List.of(KEY), (input, random) -> {
            byte[] plain = TokenRequest.KeyDerivation.unscramble(input);
            TokenRequest.KeyDerivation.hkdf(plain.length == 0 ? KEY : plain, KEY, KEY);
            TokenRequest.MungeDaemon.request(input, OptionalLong.of(random.nextLong()));
        });
    }

    /** What Java's Kerberos reads for us: the keytab, and the KDC's replies, in whole runs of the program. */
    private void addKerberos() throws Exception {
        DatagramSocket kdc = new DatagramSocket(0, InetAddress.getLoopbackAddress());
        Thread answering = new Thread(() -> answer(kdc), "kdc");
        answering.setDaemon(true);
        answering.start();
        Path settings = directory.resolve("kdc.conf");
        Files.writeString(settings, "[libdefaults]\n  default_realm = POOL.TEST\n  dns_lookup_kdc = false\n"
            + "  dns_canonicalize_hostname = false\n  kdc_timeout = 1000\n  max_retries = 1\n"
            + "[realms]\n  POOL.TEST = {\n    kdc = 127.0.0.1:"
            + kdc.getLocalPort() + "\n  }\n");
        LoopbackPool.Running pool = LoopbackPool.start(System.err, "--methods", "KERBEROS", "--auto-approve", "--ca-file",
            directory.resolve("pool.pem").toString());
        String port = pool.assignments().replaceAll("(?s).*LOOPBACK_PORT=([0-9]+).*", "$1");
        byte[] keytab = keytab();
        // KRB-ERROR, and an AS-REP that no key decrypts. RFC 4120, sections 5.9.1 and 5.4.2
        byte[] error = hex("7e563054a003020105a10302011ea411180f32303236303130313030303030305aa503020100a603020106a9"
            + "0b1b09504f4f4c2e54455354aa1e301ca003020102a11530131b066b72627467741b09504f4f4c2e54455354");
        byte[] reply = hex("6b81df3081dca003020105a10302010ba30b1b09504f4f4c2e54455354a421301fa003020101a11830161b04"
            + "686f73741b0e636c69656e742e6578616d706c65a5536151304fa003020105a10b1b09504f4f4c2e54455354"
            + "a21e301ca003020102a11530131b066b72627467741b09504f4f4c2e54455354a31b3019a003020112a21204"
            + "1030313233343536373839616263646566a64b3049a003020112a24204403031323334353637383961626364"
            + "6566303132333435363738396162636465663031323334353637383961626364656630313233343536373839"
            + "616263646566");
        add("KDC's reply", 1, List.of(error, reply), (input, random) -> {
            answer = input;
            kerberos(port, file("whole.keytab", keytab), settings);
        });
        add("keytab", 1, List.of(keytab), (input, random) -> {
            answer = error;
            kerberos(port, file("keytab", input), settings);
        });
    }

    private void answer(DatagramSocket kdc) {
        DatagramPacket request = new DatagramPacket(new byte[4096], 4096);
        try {
            while (true) {
                kdc.receive(request);
                byte[] bytes = answer;
                kdc.send(new DatagramPacket(bytes, Math.min(bytes.length, 60_000), request.getSocketAddress()));
            }
        } catch (IOException e) {
            System.err.println("KDC: " + e);
        }
    }

    /** A keytab of two keys. MIT's doc/formats/keytab_file_format.rst */
    private static byte[] keytab() {
        ByteBuffer bytes = ByteBuffer.allocate(300).putShort((short) 0x0502);
        for (int type = 17; type <= 18; type++) {
            byte[] key = Arrays.copyOf(KEY, type == 17 ? 16 : 32);
            ByteBuffer entry = ByteBuffer.allocate(100).putShort((short) 2);
            for (String part : List.of("POOL.TEST", "host", "client.example")) {
                entry.putShort((short) part.length()).put(part.getBytes(ISO_8859_1));
            }
            entry.putInt(1).putInt(1767225600).put((byte) 1).putShort((short) type).putShort((short) key.length)
                .put(key).putInt(1);
            bytes.putInt(entry.position()).put(entry.flip());
        }
        return Arrays.copyOf(bytes.array(), bytes.position());
    }

    private void kerberos(String port, Path keytab, Path settings) {
        TokenRequest.Host quiet = host(Map.of("_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS", "KERBEROS", "KRB5_CONFIG",
            settings.toString(), "_CONDOR_KERBEROS_SERVER_KEYTAB", keytab.toString(), "_CONDOR_KERBEROS_SERVER_PRINCIPAL",
            "host/client.example@POOL.TEST"));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        PrintStream text = new PrintStream(out, true, UTF_8);
        TokenRequest.Host host = new TokenRequest.Host(quiet.clock(), quiet.random(), quiet.sleeper(), quiet.environment(),
            quiet.name(), quiet.home(), quiet.user(), quiet.uid(), quiet.invocation(), quiet.in(), text, text, quiet.terminal(),
            quiet.platform());
        String[] arguments = {"-json", "-pool", "localhost:" + port, "-identity", "a@b", "-timeout", "0"};
        int status = TokenRequest.run(arguments, host, new TokenRequest.ShutdownGuard());
        String said = out.toString(UTF_8);
        require(status == 4 && !said.contains("\"internal\"") && !said.contains("\tat "), status + ": " + said);
    }

    private static List<X509Certificate> certificates(byte[] text) throws CertificateException {
        Collection<? extends Certificate> all = CertificateFactory.getInstance("X.509")
            .generateCertificates(new ByteArrayInputStream(text));
        return all.stream().map(X509Certificate.class::cast).toList();
    }
}

// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.EnumMap;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Runs the command against the embedded pool, with one fault of the network in each session ({@link FaultProxy}), and
 * judges what it leaves behind. Clocks are the sessions' own, so nobody waits for a deadline.
 *
 * <p>A session misbehaves if it does not end; if it ends with the code {@code internal} or shows a stack trace; if a file is
 * there that should not be, or is partial or readable by others; if a token is lost although its bytes arrived; or if the
 * command gives up although the pool still had the request.
 *
 * <p>Arguments: {@code DIRECTORY [NAME=VALUE...]}, see {@link #main}. The directory is on a disk whose contents may be lost,
 * and contains users.pem, user.pem and user.key, a CA for clients and a client's certificate. Exit status: 1 if a session
 * misbehaved.
 */
public final class FaultCampaign {
    /** How the command is used. */
    private enum Flow {
        /** Request and wait in one run. */
        WAIT,
        /** The fault is in the run that resumes the request. */
        RESUME,
        /** With -ensure. */
        ENSURE,
        /** Two runs with one destination. */
        RIVALS,
        /** The same with -ensure. */
        ENSURING_RIVALS;

        boolean isEnsuring() {
            return this == ENSURE || this == ENSURING_RIVALS;
        }

        boolean isRivalry() {
            return this == RIVALS || this == ENSURING_RIVALS;
        }
    }

    /**
     * One way to get a token. In the settings, DIR stands for the scenario's directory.
     *
     * @param binding of the sessions, for the counts
     * @param target  what -pool takes; PORT stands for the proxy's port
     */
    private record Scenario(String name, String binding, Flow flow, String methods, List<String> pool,
                            Map<String, String> environment, String target) {
        Scenario with(String... more) {
            return new Scenario(name, binding, flow, methods, Stream.concat(pool.stream(), Arrays.stream(more)).toList(),
                environment, target);
        }

        Scenario set(String variable, String value) {
            Map<String, String> settings = new LinkedHashMap<>(environment);
            settings.put(variable, value);
            return new Scenario(name, binding, flow, methods, pool, settings, target);
        }

        Scenario by(Flow other) {
            return new Scenario(name, binding, other, methods, pool, environment, target);
        }

        Scenario at(String other) {
            return new Scenario(name, binding, flow, methods, pool, environment, other);
        }
    }

    private static Scenario scenario(String name, String binding, String methods) {
        return new Scenario(name, binding, Flow.WAIT, methods, List.of("--methods", methods, "--many"), Map.of(),
            "localhost:PORT");
    }

    private static final String BROKER = "<127.0.0.1:1?CCBID=127.0.0.1:PORT#7&alias=localhost>";

    private static List<Scenario> scenarios() {
        Scenario claim = scenario("CLAIMTOBE", "unbound", "CLAIMTOBE");
        Scenario ssl = scenario("SSL", "bound", "SSL");
        Scenario password = scenario("PASSWORD", "bound", "PASSWORD").set("_CONDOR_SEC_PASSWORD_FILE", "DIR/password");
        return List.of(
            claim,
            scenario("IDTOKENS", "unbound", "IDTOKENS").with("--token-for", "login@pool.test"),
            password,
            ssl,
            named(claim, "CLAIMTOBE, approved at once").with("--auto-approve"),
            named(password, "PASSWORD, approved at once").with("--auto-approve"),
            named(claim, "CLAIMTOBE, resumed").by(Flow.RESUME),
            named(password, "PASSWORD, resumed").by(Flow.RESUME),
            named(claim, "CLAIMTOBE, sessions forgotten").with("--forget-sessions"),
            named(password, "PASSWORD, sessions forgotten").with("--forget-sessions"),
            named(claim, "CLAIMTOBE, -ensure").by(Flow.ENSURE),
            named(password, "PASSWORD, -ensure").by(Flow.ENSURE),
            named(claim, "CLAIMTOBE, two runs").by(Flow.RIVALS),
            named(claim, "CLAIMTOBE, two runs with -ensure").by(Flow.ENSURING_RIVALS),
            named(password, "PASSWORD, two runs").by(Flow.RIVALS),
            named(password, "PASSWORD, two runs with -ensure").by(Flow.ENSURING_RIVALS),
            scenario("ANONYMOUS", "unbound", "ANONYMOUS").with("--auto-approve"),
            scenario("IDTOKENS by the signing key", "unbound", "IDTOKENS").with("--signing-key-file", "DIR/passwords.d/POOL")
                .set("_CONDOR_SEC_PASSWORD_DIRECTORY", "DIR/passwords.d").set("_CONDOR_TRUST_DOMAIN", "pool.test"),
            named(ssl, "SSL, client certificate").with("--client-ca", "CERTIFICATES/users.pem")
                .set("_CONDOR_AUTH_SSL_CLIENT_CERTFILE", "CERTIFICATES/user.pem")
                .set("_CONDOR_AUTH_SSL_CLIENT_KEYFILE", "CERTIFICATES/user.key"),
            named(ssl, "SSL, TLS 1.2").with("--tls", "TLSv1.2"),
            scenario("SCITOKENS", "bound", "SCITOKENS").set("BEARER_TOKEN", BEARER),
            scenario("KERBEROS", "bound", "KERBEROS").with("--kerberos-cache", "DIR/krb5cc")
                .set("KRB5CCNAME", "FILE:DIR/krb5cc").set("KRB5_CONFIG", "CERTIFICATES/krb5.conf"),
            scenario("MUNGE", "bound", "MUNGE").with("--munged", "CERTIFICATES/munged")
                .set("_CONDOR_MUNGE_SOCKET", "CERTIFICATES/munged").set("_CONDOR_MUNGE_POOL_UID", "0"),
            scenario("FS", "unbound", "FS").with("--fs-dir", "DIR/shared", "--fs-names", "plain")
                .set("_CONDOR_FS_LOCAL_DIR", "DIR/shared").set("_CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING", "false"),
            scenario("FS_REMOTE", "unbound", "FS_REMOTE").with("--fs-dir", "DIR/shared", "--fs-names", "plain")
                .set("_CONDOR_FS_REMOTE_DIR", "DIR/shared").set("_CONDOR_SEC_FS_ENFORCE_CHANNEL_BINDING", "false"),
            named(claim, "CLAIMTOBE, BLOWFISH").with("--ciphers", "BLOWFISH")
                .set("_CONDOR_SEC_CLIENT_CRYPTO_METHODS", "BLOWFISH"),
            named(ssl, "SSL, 3DES").with("--ciphers", "3DES").set("_CONDOR_SEC_CLIENT_CRYPTO_METHODS", "3DES"),
            named(claim, "CLAIMTOBE, called back").at(BROKER),
            named(claim, "CLAIMTOBE, passed on by a broker").at(BROKER).set("_CONDOR_TOOLS_ASSUME_FIREWALLS", "true"));
    }

    private static Scenario named(Scenario like, String name) {
        return new Scenario(name, like.binding, like.flow, like.methods, like.pool, like.environment, like.target);
    }

    private static final String BEARER =
        "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJodHRwczovL2lzc3Vlci50ZXN0Iiwic3ViIjoiYWxpY2UifQ.c2ln";
    /** A fault cannot keep a session longer than this; what passes it hangs. Real time. */
    private static final Duration HANG = Duration.ofSeconds(60);
    /** A faulty connection on which nothing has moved for so long waits for its deadline. Real time. */
    private static final Duration STUCK = Duration.ofMillis(400);
    /** Between two looks at another run's lock. Real time. */
    private static final Duration PAUSE = Duration.ofMillis(25);
    /** More than the deadline of any exchange. */
    private static final Duration LEAP = Duration.ofSeconds(61);
    private static final int SHOWN = 20;
    /** Exit statuses that a fault may end the command with, beside 0; "internal" and "refused" share 1. */
    private static final Set<Integer> STATUSES = Set.of(1, 3, 4, 5, 6);
    private static final Set<Integer> STATUSES_AND_SUCCESS = Set.of(0, 1, 3, 4, 5, 6);

    /** A session's clock: the real time at its start, and what was slept or leapt since then. */
    private static class Time implements InstantSource, TokenRequest.Sleeper {
        private Instant now = Instant.now();
        private boolean hasLeapt;

        @Override
        public synchronized Instant instant() {
            return now;
        }

        @Override
        public void sleep(Duration duration) throws InterruptedException {
            pass(duration);
        }

        synchronized void pass(Duration duration) {
            now = now.plus(duration);
        }

        /** Once: a session has one fault, and what comes after it, on a slow machine too, must keep its time. */
        synchronized void leap() {
            if (!hasLeapt) {
                hasLeapt = true;
                now = now.plus(LEAP);
            }
        }
    }

    /** A clock that lets another run go on while its own waits for that one's lock. */
    private static final class SharedTime extends Time {
        private final CountDownLatch slept = new CountDownLatch(1);

        @Override
        public void sleep(Duration duration) throws InterruptedException {
            slept.countDown();
            Thread.sleep(PAUSE.toMillis());
            pass(duration);
        }
    }

    private record Run(int status, String out, String err) {
        boolean enqueued() {
            return out.contains("\"event\":\"enqueued\"");
        }

        boolean hasWaited() {
            return err.contains("Waiting until it ends.");
        }

        boolean isBusy() {
            return out.contains("\"code\":\"destination_busy\"");
        }
    }

    /** A session in flight. */
    private record Flight(String label, Time time, FaultProxy proxy, Thread thread, long start) { }

    private final Path directory;
    private final long seed;
    private final int workers;
    private final ExecutorService threads = Executors.newCachedThreadPool(work -> {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        return thread;
    });
    private final Set<Flight> flights = ConcurrentHashMap.newKeySet();
    private final Queue<String> misbehaviour = new ConcurrentLinkedQueue<>();
    private final Map<String, AtomicInteger> misbehaviours = new ConcurrentHashMap<>();
    private final Map<FaultProxy.Kind, AtomicInteger> kinds = new EnumMap<>(FaultProxy.Kind.class);
    private final Map<String, AtomicInteger> counts = new ConcurrentHashMap<>();
    private final Map<String, AtomicInteger> rivals = new ConcurrentHashMap<>();
    private final AtomicInteger numbers = new AtomicInteger();
    /** The client's first bytes in the last session without a fault. */
    private String greeting = "";

    private FaultCampaign(Path directory, long seed, int workers) {
        this.directory = directory;
        this.seed = seed;
        this.workers = workers;
        for (FaultProxy.Kind kind : FaultProxy.Kind.values()) {
            kinds.put(kind, new AtomicInteger());
        }
    }

    /**
     * Settings: {@code each=N}, most faulty sessions of a scenario (default: one for every fault at every byte);
     * {@code whole=yes}, whatever that says, all of the first four scenarios; {@code seed=N} for the choice of faults;
     * {@code workers=N}, sessions at once; {@code together=N}, scenarios at once; {@code only=NAME}, of one scenario;
     * {@code fault="KIND CONNECTION DIRECTION OFFSET"}, only this one, or with a second offset also those at the bytes up to
     * that; {@code seconds=N}, after which no session starts.
     *
     * <p>With {@code real=PORT} the pool is a real one there, whose rule approves the request: {@code host=NAME},
     * {@code ca=FILE}, {@code recover=COMMAND}, which makes the pool forget its requests and sets the rule again;
     * {@code log=FILE}, of condor_master, which says when a daemon ends; {@code end=COMMAND}, which ends the collector, in
     * {@code ends=N} sessions of each method.
     */
    public static void main(String... arguments) throws Exception {
        Map<String, String> settings = new HashMap<>();
        for (String argument : List.of(arguments).subList(1, arguments.length)) {
            settings.put(argument.substring(0, argument.indexOf('=')), argument.substring(argument.indexOf('=') + 1));
        }
        long seed = Long.parseLong(settings.getOrDefault("seed", "1"));
        FaultCampaign campaign = new FaultCampaign(Path.of(arguments[0]), seed,
            Integer.parseInt(settings.getOrDefault("workers", "24")));
        if (settings.containsKey("real")) {
            System.exit(new FaultCampaign(Path.of(arguments[0]), seed, 1).real(settings));
        }
        System.exit(campaign.run(Integer.parseInt(settings.getOrDefault("each", "0")), settings.containsKey("whole") ? 4 : 0,
            Integer.parseInt(settings.getOrDefault("together", "1")),
            Optional.ofNullable(settings.get("only")), settings.containsKey("fault") ? faults(settings.get("fault")) : List.of(),
            Long.parseLong(settings.getOrDefault("seconds", "100000"))));
    }

    private static List<FaultProxy.Fault> faults(String text) {
        String[] words = text.split(" ");
        List<FaultProxy.Fault> faults = new ArrayList<>();
        for (int offset = Integer.parseInt(words[3]); offset <= Integer.parseInt(words[words.length - 1]); offset++) {
            faults.add(new FaultProxy.Fault(Integer.parseInt(words[1]), FaultProxy.Direction.valueOf(constant(words[2])), offset,
                FaultProxy.Kind.valueOf(constant(words[0]))));
        }
        return faults;
    }

    private static String constant(String word) {
        return word.toUpperCase(Locale.ROOT).replace('-', '_');
    }

    private int run(int each, int wholes, int together, Optional<String> only, List<FaultProxy.Fault> named,
            long seconds) throws Exception {
        // Of a thread that nobody waits for, such as one that sends.
        Thread.setDefaultUncaughtExceptionHandler((thread, e) ->
            blame("stack trace", "thread " + thread.getName(), e.toString()));
        threads.execute(this::watch);
        long end = System.nanoTime() + Duration.ofSeconds(seconds).toNanos();
        System.out.println("faulty sessions, seed " + seed + ":");
        AtomicInteger total = new AtomicInteger();
        List<Scenario> scenarios = scenarios();
        AtomicInteger next = new AtomicInteger();
        List<Thread> rows = new ArrayList<>();
        for (int i = 0; i < together; i++) {
            Thread row = new Thread(() -> {
                for (int index = next.getAndIncrement(); index < scenarios.size(); index = next.getAndIncrement()) {
                    Scenario scenario = scenarios.get((index + wholes) % scenarios.size()); // the long ones last
                    if (only.filter(name -> !name.equals(scenario.name)).isEmpty()) {
                        total.addAndGet(campaign(scenario, index >= scenarios.size() - wholes ? 0 : each, named, end));
                    }
                }
            }, "row " + i);
            row.start();
            rows.add(row);
        }
        for (Thread row : rows) {
            row.join();
        }
        System.out.println("by fault: " + kinds.entrySet().stream().map(it -> it.getKey() + " " + it.getValue())
            .collect(Collectors.joining(", ")));
        System.out.println("by place: " + new TreeMap<>(counts).entrySet().stream().map(it -> it.getKey() + " " + it.getValue())
            .collect(Collectors.joining(", ")));
        if (!rivals.isEmpty()) {
            System.out.println("second runs: " + new TreeMap<>(rivals).entrySet().stream().map(it -> it.getKey() + " "
                + it.getValue()).collect(Collectors.joining(", ")));
        }
        misbehaviour.stream().limit(SHOWN).forEach(System.out::println);
        System.out.println(total.get() + " faulty sessions, " + (misbehaviours.isEmpty() ? "no misbehaviour"
            : new TreeMap<>(misbehaviours) + " misbehaved"));
        return misbehaviours.isEmpty() && total.get() > 0 ? 0 : 1;
    }

    private void blame(String kind, String label, String words) {
        misbehaviours.computeIfAbsent(kind, it -> new AtomicInteger()).incrementAndGet();
        misbehaviour.add("MISBEHAVIOUR: " + kind + ": " + label + ": " + words.strip().replace("\n", "\n    "));
    }

    /** Lets the time of stuck sessions pass, and ends the campaign if one hangs. */
    private void watch() {
        while (true) {
            try {
                Thread.sleep(50);
            } catch (InterruptedException e) {
                return;
            }
            for (Flight flight : flights) {
                if (flight.proxy().isStuck(STUCK.toNanos())) {
                    flight.time().leap();
                }
                if (System.nanoTime() - flight.start() > HANG.toNanos()) {
                    System.out.println("MISBEHAVIOUR: hang: " + flight.label() + ":\n    at "
                        + Arrays.stream(flight.thread().getStackTrace()).map(Object::toString).limit(40)
                        .collect(Collectors.joining("\n    at ")));
                    Runtime.getRuntime().halt(1);
                }
            }
        }
    }

    // ---- Scenarios ----

    /** Runs a scenario once without a fault, then with those that are chosen. Returns how many had a fault. */
    private int campaign(Scenario scenario, int each, List<FaultProxy.Fault> named, long end) {
        try {
            return campaigned(scenario, each, named, end);
        } catch (IOException | GeneralSecurityException | InterruptedException | RuntimeException e) {
            blame("failure of the campaign", scenario.name, e + Arrays.toString(e.getStackTrace()));
            return 0;
        }
    }

    private int campaigned(Scenario scenario, int each, List<FaultProxy.Fault> named, long end)
            throws IOException, GeneralSecurityException, InterruptedException {
        Path folder = Files.createDirectories(directory.resolve("s" + numbers.incrementAndGet()));
        List<String> pool = new ArrayList<>(List.of("--ca-file", folder + "/ca.pem"));
        for (String word : scenario.pool) {
            pool.add(place(word, folder));
        }
        Files.createDirectories(folder.resolve("passwords.d"), PosixFilePermissions.asFileAttribute(
            PosixFilePermissions.fromString("rwx------")));
        Files.createDirectories(folder.resolve("shared"));
        Files.setPosixFilePermissions(folder.resolve("shared"), PosixFilePermissions.fromString("rwxrwxrwx"));
        secret(folder.resolve("password"), TokenRequest.KeyDerivation.unscramble("password".getBytes(UTF_8)));
        try (LoopbackPool.Running running = LoopbackPool.start(System.err, pool.toArray(String[]::new))) {
            String assignments = running.assignments();
            int port = Integer.parseInt(assignments.replaceAll("(?s).*LOOPBACK_PORT=([0-9]+).*", "$1"));
            if (assignments.contains("LOOPBACK_TOKEN=")) {
                Files.createDirectories(folder.resolve("tokens.d"), PosixFilePermissions.asFileAttribute(
                    PosixFilePermissions.fromString("rwx------")));
                secret(folder.resolve("tokens.d/login"), (assignments.replaceAll("(?s).*LOOPBACK_TOKEN=(\\S+).*", "$1") + "\n")
                    .getBytes(UTF_8));
            }
            running.callThrough((from, host, called) -> flights.stream().map(Flight::proxy).filter(proxy -> proxy.comesFrom(from))
                .findFirst().orElseThrow(() -> new IOException("the client has gone")).dial(host, called));
            long start = System.nanoTime();
            List<FaultProxy.Fault> faults = new ArrayList<>();
            if (!session(scenario, folder, running, port, Optional.empty(), faults)) {
                return 0;
            }
            int every = faults.size();
            Collections.shuffle(faults, new Random(seed));
            Queue<FaultProxy.Fault> chosen = new ConcurrentLinkedQueue<>(!named.isEmpty() ? named
                : each > 0 && each < every ? faults.subList(0, each) : faults);
            AtomicInteger done = new AtomicInteger();
            List<Thread> all = new ArrayList<>();
            for (int i = 0; i < Math.min(workers, chosen.size()); i++) {
                Thread worker = new Thread(() -> {
                    for (FaultProxy.Fault next = chosen.poll(); next != null && System.nanoTime() < end; next = chosen.poll()) {
                        session(scenario, folder, running, port, Optional.of(next), new ArrayList<>());
                        done.incrementAndGet();
                    }
                }, "worker " + i);
                worker.start();
                all.add(worker);
            }
            for (Thread worker : all) {
                worker.join();
            }
            try (Stream<Path> left = Files.list(folder.resolve("shared"))) {
                left.forEach(file -> blame("stray file", scenario.name, file.toString()));
            }
            System.out.printf(Locale.ROOT, "  %-36s %-8s %6d of %6d faults, %d s%n", scenario.name, scenario.binding, done.get(),
                every, Duration.ofNanos(System.nanoTime() - start).toSeconds());
            return done.get();
        }
    }

    private static void secret(Path file, byte[] content) throws IOException {
        Files.deleteIfExists(file);
        Files.createFile(file, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rw-------")));
        Files.write(file, content);
    }

    private String place(String text, Path folder) {
        return text.replace("CERTIFICATES", directory.toString()).replace("DIR", folder.toString());
    }

    // ---- One session ----

    /**
     * Runs a session and judges it. Repeats one whose second run saw the first one's lock file among its own open files just
     * before it was closed, which happens only to runs in one JVM.
     *
     * @param all receives every fault that such a session can have
     * @return whether it got its token
     */
    private boolean session(Scenario scenario, Path folder, LoopbackPool.Running pool, int poolPort,
            Optional<FaultProxy.Fault> fault, List<FaultProxy.Fault> all) {
        Optional<Boolean> hasToken = Optional.empty();
        for (int i = 0; i < 20 && hasToken.isEmpty(); i++) {
            hasToken = attempt(scenario, folder, pool, poolPort, fault, all);
        }
        if (hasToken.isEmpty()) {
            blame("lock", scenario.name + fault.map(it -> ", " + it).orElse(", no fault"), "cannot use the lock file");
        }
        return hasToken.orElse(false);
    }

    private Optional<Boolean> attempt(Scenario scenario, Path folder, LoopbackPool.Running pool, int poolPort,
            Optional<FaultProxy.Fault> fault, List<FaultProxy.Fault> all) {
        int number = numbers.incrementAndGet();
        String subject = "s" + number + "@own.test";
        String label = scenario.name + fault.map(it -> ", " + it).orElse(", no fault");
        Time time = scenario.flow.isRivalry() ? new SharedTime() : new Time();
        Path own = folder.resolve("x" + number);
        try (FaultProxy proxy = new FaultProxy(poolPort, () -> !pool.issuedTo(subject).isEmpty(), threads)) {
            Files.createDirectories(own.resolve("home"));
            Map<String, String> environment = environment(scenario, folder);
            List<String> arguments = new ArrayList<>(List.of("-json", "-pool", scenario.target.replace("PORT", "" + proxy.port()),
                "-identity", subject, "-authz", "READ"));
            if (scenario.flow == Flow.RESUME) {
                proxy.plan(Optional.empty());
                arguments.remove("-json"); // which would hand the request over instead of saving it
                arguments.add("-nowait");
                Run first = run(arguments, environment, own, time, new Flight(label, time, proxy, Thread.currentThread(),
                    System.nanoTime()));
                if (first.status != 0) {
                    blame("failed without a fault", label, first.out + first.err);
                    return Optional.of(false);
                }
                arguments = resuming(own);
            } else {
                arguments.addAll(List.of("-file", destination(own).toString()));
                if (scenario.flow.isEnsuring()) {
                    arguments.add("-ensure");
                }
            }
            Rival rival = new Rival(scenario, label, poolPort, own, environment, arguments, proxy);
            proxy.plan(fault);
            if (scenario.flow.isRivalry()) {
                rival.start(fault);
            }
            Flight flight = new Flight(label, time, proxy, Thread.currentThread(), System.nanoTime());
            Run run = run(arguments, environment, own, time, flight);
            List<FaultProxy.Link> links = proxy.links();
            boolean fired = proxy.fired();
            if (rival.sawClosing(run)) {
                delete(own);
                return Optional.empty();
            }
            boolean ok = scenario.flow.isRivalry() && rival.judge(run, links, () -> pool.issuedTo(subject))
                || judge(scenario, label, fault.filter(it -> fired), links, pool.issuedTo(subject), own, run);
            if (run.status != 0 && pool.issuedTo(subject).isEmpty() && (run.enqueued() || scenario.flow == Flow.RESUME)) {
                proxy.plan(Optional.empty());
                again(label, run, own, environment, time, proxy, pool, subject);
            }
            if (scenario.flow.isRivalry()) {
                ok &= rival.free(run, () -> pool.issuedTo(subject));
            }
            if (fault.isPresent()) {
                count(fault.get(), fired, links);
            } else {
                list(links, all);
                if (run.status != 0) {
                    blame("failed without a fault", label, run.out + run.err);
                }
            }
            if (ok) {
                delete(own);
            }
            return Optional.of(run.status == 0);
        } catch (IOException | RuntimeException e) {
            blame("failure of the campaign", label, e + Arrays.toString(e.getStackTrace()));
            return Optional.of(false);
        }
    }

    /**
     * A second run with the same destination. One time in three it begins together with the first; otherwise while the first
     * waits for its connection with the fault, or for the one after that.
     */
    private final class Rival {
        private final Scenario scenario;
        private final String label;
        private final int poolPort;
        private final Path own;
        private final Map<String, String> environment;
        private final List<String> arguments;
        private final FaultProxy firstProxy;
        private final SharedTime time = new SharedTime();
        private final CompletableFuture<Run> ended = new CompletableFuture<>();
        private volatile int connections;
        private boolean isRace;

        Rival(Scenario scenario, String label, int poolPort, Path own, Map<String, String> environment, List<String> first,
                FaultProxy firstProxy) {
            this.scenario = scenario;
            this.label = label + ", second run";
            this.poolPort = poolPort;
            this.own = own;
            this.environment = environment;
            this.arguments = List.copyOf(first);
            this.firstProxy = firstProxy;
        }

        /** Before the first run. */
        void start(Optional<FaultProxy.Fault> fault) {
            int moment = fault.map(it -> it.offset() % 3).orElse(0);
            isRace = moment == 2;
            if (isRace) {
                threads.execute(this::run);
            } else {
                firstProxy.before(fault.map(it -> it.connection()).orElse(0) + moment, this::beginAndAwait);
            }
        }

        /** Waits for the second run to end or, with -ensure, to wait for the first one. */
        private void beginAndAwait() {
            threads.execute(this::run);
            try {
                while (!ended.isDone() && !time.slept.await(PAUSE.toMillis(), TimeUnit.MILLISECONDS)) {
                    Thread.onSpinWait();
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        private void run() {
            try {
                ended.complete(another(time));
            } catch (IOException | RuntimeException e) {
                ended.completeExceptionally(e);
            }
        }

        private Run another(Time clock) throws IOException {
            try (FaultProxy proxy = new FaultProxy(poolPort, () -> false, threads)) {
                List<String> same = new ArrayList<>(arguments);
                same.set(same.indexOf("-pool") + 1, scenario.target.replace("PORT", "" + proxy.port()));
                Run run = FaultCampaign.this.run(same, environment, own, clock, new Flight(label, clock, proxy,
                    Thread.currentThread(), System.nanoTime()));
                connections = proxy.links().size();
                return run;
            }
        }

        private boolean hasBegun() {
            return isRace || firstProxy.wasHeld();
        }

        /** Whether a run could not look at a lock file that the other one closed at that moment. */
        boolean sawClosing(Run first) {
            boolean saw = hasBegun() && (first.err + ended.join().err).contains("cannot use its lock file");
            if (saw) {
                count("repeated");
            }
            return saw;
        }

        /**
         * Judges both runs, if the second one has begun.
         *
         * @return whether that decides about the first one, too
         */
        boolean judge(Run first, List<FaultProxy.Link> firstLinks, Supplier<List<String>> tokens) {
            if (!hasBegun()) {
                count("not begun");
                return false;
            }
            Run second = ended.join();
            blameBug(label, second.out + second.err);
            int issued = tokens.get().size();
            boolean isOrderly;
            if (scenario.flow.isEnsuring()) {
                boolean hasWaited = second.hasWaited();
                count(hasWaited ? "waited for the first" : first.hasWaited() ? "the first waited for it"
                    : "one after the other");
                isOrderly = second.status == 0 && (hasWaited || isRace) && !first.isBusy()
                    && (first.status == 0 ? issued == 1 : STATUSES.contains(first.status) && issued >= 1 && issued <= 2);
            } else if (second.isBusy()) {
                count(isRace ? "refused, beginning together with the first" : "refused while the first ran");
                isOrderly = second.status == 6 && connections == 0 && !first.isBusy() && (first.status != 0 || issued == 1);
            } else {
                count(first.isBusy() ? "the first was refused" : "one after the other");
                isOrderly = second.status == 0 && isRace && (first.isBusy() ? first.status == 6 && firstLinks.isEmpty()
                    && issued == 1 : first.status == 0 ? issued == 2 : STATUSES.contains(first.status) && issued <= 2);
            }
            if (!isOrderly) {
                blame("lock", label, issued + " tokens, " + connections + " connections: " + first.out + first.err
                    + "second: " + second.out + second.err);
            }
            return !second.isBusy();
        }

        /** Runs once more, without a fault. The lock must be free, and a token is there afterwards. Returns whether. */
        boolean free(Run first, Supplier<List<String>> tokens) throws IOException {
            int before = tokens.get().size();
            boolean isKept = scenario.flow.isEnsuring() && Files.exists(destination(own));
            Run third = another(new SharedTime());
            List<String> issued = tokens.get();
            String content = Files.exists(destination(own)) ? Files.readString(destination(own)) : "";
            boolean ok = third.status == 0 && issued.size() == before + (isKept ? 0 : 1) && checkFiles(scenario, label, issued,
                own, third) && content.equals(issued.get(issued.size() - 1) + "\n");
            if (!ok) {
                blame("lock", label, issued.size() + " tokens, " + before + " before a third run: " + third.out + third.err
                    + "after: " + first.out + first.err);
            }
            count("free again");
            return ok;
        }

        private void count(String what) {
            rivals.computeIfAbsent(what, it -> new AtomicInteger()).incrementAndGet();
        }
    }

    private static List<String> resuming(Path own) throws IOException {
        try (Stream<Path> files = list(own.resolve("home/.condor"))) {
            Optional<Path> saved = files.filter(file -> file.getFileName().toString().endsWith(".json")).findFirst();
            return saved.isEmpty() ? List.of() : new ArrayList<>(List.of("-json", "-resume", saved.get().toString(), "-file",
                destination(own).toString()));
        }
    }

    /** The file of a session's token. Its name is its own, as the program looks for its lock among all open files. */
    private static Path destination(Path own) {
        return own.resolve("token-" + own.getFileName());
    }

    private static Stream<Path> list(Path folder) throws IOException {
        return Files.isDirectory(folder) ? Files.list(folder) : Stream.empty();
    }

    /** What -resume gets from a request that a run left to the pool. */
    private void again(String label, Run before, Path own, Map<String, String> environment, Time time, FaultProxy proxy,
            LoopbackPool.Running pool, String subject) throws IOException {
        List<String> arguments = resuming(own);
        if (arguments.isEmpty()) {
            blame("lost request", label, before.out + before.err);
            return;
        }
        Run run = run(arguments, environment, own, time, new Flight(label, time, proxy, Thread.currentThread(),
            System.nanoTime()));
        List<String> tokens = pool.issuedTo(subject);
        if (run.status != 0 || tokens.isEmpty() || !Files.readString(destination(own)).equals(tokens.get(0) + "\n")) {
            blame("lost request", label, before.out + before.err + "then " + run.out + run.err);
        }
    }

    private Map<String, String> environment(Scenario scenario, Path folder) {
        Map<String, String> environment = new HashMap<>(Map.of("CONDOR_CONFIG", "ONLY_ENV",
            "_CONDOR_SEC_TOKEN_DIRECTORY", folder + "/tokens.d", "_CONDOR_AUTH_SSL_CLIENT_USE_DEFAULT_CAS", "false",
            "_CONDOR_AUTH_SSL_CLIENT_CAFILE", folder + "/ca.pem",
            "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS", scenario.methods,
            "KRB5CCNAME", "FILE:/nonexistent/krb5cc", "KRB5_CONFIG", directory + "/krb5.conf"));
        scenario.environment.forEach((name, value) -> environment.put(name, place(value, folder)));
        return environment;
    }

    private Run run(List<String> arguments, Map<String, String> environment, Path own, Time time, Flight flight) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        TokenRequest.Host machine = Harness.host(time, new SecureRandom(), time, environment, own.resolve("home"),
            new ByteArrayInputStream(new byte[0]), new PrintStream(out, false, UTF_8), new PrintStream(err, true, UTF_8));
        TokenRequest.Host host = new TokenRequest.Host(machine.clock(), machine.random(), machine.sleeper(),
            machine.environment(), "client.example", machine.home(), machine.user(), machine.uid(), machine.invocation(),
            machine.in(), machine.out(), machine.err(), machine.terminal(), machine.platform());
        flights.add(flight);
        try {
            int status = TokenRequest.run(arguments.toArray(String[]::new), host, new TokenRequest.ShutdownGuard());
            host.out().flush();
            return new Run(status, out.toString(UTF_8), err.toString(UTF_8));
        } finally {
            flights.remove(flight);
        }
    }

    private boolean judge(Scenario scenario, String label, Optional<FaultProxy.Fault> fault, List<FaultProxy.Link> links,
            List<String> tokens, Path own, Run run) throws IOException {
        int before = misbehaviour.size();
        String text = run.out + run.err;
        blameBug(label, text);
        boolean isHarmless = fault.isEmpty() || fault.get().kind() == FaultProxy.Kind.DRIBBLE;
        boolean mayLose = !isHarmless && fault.get().direction() == FaultProxy.Direction.TO_CLIENT
            && links.get(fault.get().connection()).hasToken();
        boolean hasToken = checkFiles(scenario, label, tokens, own, run);
        if (!tokens.isEmpty() && !mayLose && !(hasToken && run.status == 0)) {
            blame("lost token", label, text);
        } else if (run.status != 0 && (isHarmless || (run.enqueued() && tokens.isEmpty()))) {
            blame("gave up", label, text);
        } else if (run.status == 0 ? !hasToken : hasToken || !STATUSES.contains(run.status)) {
            blame("wrong status " + run.status, label, text);
        }
        return misbehaviour.size() == before;
    }

    private void blameBug(String label, String text) {
        if (text.contains("\"internal\"") || text.contains("Internal error")) {
            blame("internal", label, text);
        } else if (text.contains("\tat ") || text.contains("Exception")) {
            blame("stack trace", label, text);
        }
    }

    /** Whether the token is in its file; blames every other file, but for a request that is still pending. */
    private boolean checkFiles(Scenario scenario, String label, List<String> tokens, Path own, Run run) throws IOException {
        boolean hasToken = false;
        List<Path> files;
        try (Stream<Path> tree = Files.walk(own)) {
            files = tree.filter(Files::isRegularFile).toList();
        }
        for (Path file : files) {
            String name = own.relativize(file).toString();
            String content = Files.readString(file);
            String mode = PosixFilePermissions.toString(Files.getPosixFilePermissions(file));
            boolean isOpen = !mode.endsWith("------");
            if (file.equals(destination(own))) {
                hasToken = tokens.stream().anyMatch(token -> content.equals(token + "\n"));
                if (!hasToken || isOpen) {
                    blame("partial file", label, name + ", " + mode + ": " + content);
                }
            } else if (name.matches("home/\\.condor/pending-token-request-[^/]+\\.json")) {
                if (run.status == 0 || run.status == 5 || isOpen || !content.endsWith("}\n")) {
                    blame("stray file", label, name + ", " + mode + ": " + content + run.out + run.err);
                }
            } else if (!name.equals("." + destination(own).getFileName() + ".lock")
                    && !(name.equals("." + destination(own).getFileName() + ".record") && scenario.flow.isEnsuring())) {
                blame("stray file", label, name);
            }
        }
        return hasToken;
    }

    // ---- Real pools ----

    private static final String VERSION = "$CondorVersion: ";
    private static final int VERSION_BYTES = 48;
    /** What condor_master says when a daemon ends without having been told to. */
    private static final Pattern ENDED = Pattern.compile(
        "The (\\w+) \\(pid [0-9]+\\) (died due to signal [0-9]+|exited with status [0-9]+)");

    /**
     * Sessions with a real pool by SSL and CLAIMTOBE, one at a time. In some, the collector is ended; garbled bytes can do that,
     * too. Then it comes back, without its rule, and the session is repeated.
     */
    private int real(Map<String, String> settings) throws Exception {
        Thread.setDefaultUncaughtExceptionHandler((thread, e) ->
            blame("stack trace", "thread " + thread.getName(), e.toString()));
        threads.execute(this::watch);
        Path log = Path.of(settings.get("log"));
        List<FaultProxy.Fault> named = settings.containsKey("fault") ? faults(settings.get("fault")) : List.of();
        int each = Integer.parseInt(settings.getOrDefault("each", "500"));
        int ends = Integer.parseInt(settings.getOrDefault("ends", "5"));
        Map<String, Integer> byFault = new TreeMap<>();
        int total = 0;
        int repeated = 0;
        int killed = 0;
        for (String method : List.of("SSL", "CLAIMTOBE")) {
            Scenario scenario = scenario(method, method.equals("SSL") ? "bound" : "unbound", method)
                .at(settings.get("host") + ":PORT").set("_CONDOR_AUTH_SSL_CLIENT_CAFILE", settings.get("ca"));
            List<FaultProxy.Fault> faults = new ArrayList<>();
            if (realSession(scenario, settings, Optional.empty(), faults, () -> { }).isPresent()) {
                recover(scenario, settings);
                faults.clear();
                realSession(scenario, settings, Optional.empty(), faults, () -> { }).ifPresent(words ->
                    blame("failed without a fault", scenario.name, words));
            }
            Collections.shuffle(faults, new Random(seed));
            List<FaultProxy.Fault> chosen = new ArrayList<>(named.isEmpty() ? faults.subList(0, Math.min(each, faults.size()))
                : named);
            // Some of the bytes in the client's version end the collector. condor_utils/condor_ver_info.cpp
            int version = greeting.indexOf(VERSION);
            for (int i = 0; named.isEmpty() && version >= 0 && i < VERSION_BYTES; i++) {
                chosen.add(new FaultProxy.Fault(0, FaultProxy.Direction.TO_SERVER, version + VERSION.length() + i,
                    FaultProxy.Kind.FLIP));
            }
            int before = total;
            String previous = "";
            for (FaultProxy.Fault fault : chosen) {
                int ended = ended(log).size();
                Optional<String> problem = realSession(scenario, settings, Optional.of(fault), new ArrayList<>(), () -> { });
                List<String> all = ended(log);
                for (String end : all.subList(ended, all.size())) {
                    System.out.println("  " + end + " at " + scenario.name + ", " + fault + " or " + previous);
                    byFault.merge(end, 1, Integer::sum);
                }
                previous = fault.toString();
                if (problem.isPresent() || all.size() > ended) { // a daemon that ended has forgotten the rule
                    repeated++;
                    recover(scenario, settings);
                    again(scenario, settings, fault);
                    if (hasEnded(log, all.size(), 10)) { // by the same bytes
                        recover(scenario, settings);
                    }
                }
                total++;
            }
            // After these bytes the collector ends. Whatever the session gets, the next one gets its token.
            List<FaultProxy.Fault> moments = faults.stream().filter(it -> it.kind() == FaultProxy.Kind.DRIBBLE).limit(ends)
                .toList();
            recover(scenario, settings);
            for (FaultProxy.Fault moment : moments) {
                int ended = ended(log).size();
                CompletableFuture<Integer> status = new CompletableFuture<>();
                Optional<String> problem = realSession(scenario, settings, Optional.of(moment), new ArrayList<>(),
                    () -> status.complete(command(settings, "end")));
                int end = status.completeOnTimeout(-1, 20, TimeUnit.SECONDS).join();
                if (end != 0 || !hasEnded(log, ended, 100)) {
                    blame("the collector did not end", scenario.name + ", " + moment, "status " + end + ": "
                        + problem.orElse("it got its token"));
                }
                recover(scenario, settings);
                again(scenario, settings, moment);
                killed++;
                total++;
            }
            System.out.printf(Locale.ROOT, "  real pool, %-25s %-8s %6d of %6d faults, %d ends of the collector%n", method,
                scenario.binding, total - before - moments.size(), faults.size(), moments.size());
        }
        System.out.println("by fault: " + kinds.entrySet().stream().map(it -> it.getKey() + " " + it.getValue())
            .collect(Collectors.joining(", ")));
        System.out.println("ended by a fault: " + (byFault.isEmpty() ? "nothing" : byFault));
        misbehaviour.stream().limit(SHOWN).forEach(System.out::println);
        System.out.println(total + " faulty sessions with a real pool, " + (repeated + killed) + " repeated, since its collector"
            + " was killed in " + killed + " and a daemon may have ended in " + repeated + ", "
            + (misbehaviours.isEmpty() ? "no misbehaviour" : new TreeMap<>(misbehaviours) + " misbehaved"));
        return misbehaviours.isEmpty() && total > 0 && killed > 0 ? 0 : 1;
    }

    private void again(Scenario scenario, Map<String, String> settings, FaultProxy.Fault fault) throws IOException {
        realSession(scenario, settings, Optional.of(fault), new ArrayList<>(), () -> { }).ifPresent(words ->
            blame("misbehaved twice", scenario.name + ", " + fault, words));
    }

    /** Whether another daemon ends; condor_master notices it some time later. */
    private static boolean hasEnded(Path log, int before, int looks) throws IOException, InterruptedException {
        for (int i = 0; i < looks && ended(log).size() == before; i++) {
            Thread.sleep(50);
        }
        return ended(log).size() > before;
    }

    private static List<String> ended(Path log) throws IOException {
        return ENDED.matcher(Files.readString(log, ISO_8859_1)).results().map(it -> it.group(1) + " " + it.group(2))
            .collect(Collectors.toCollection(ArrayList::new));
    }

    private static int command(Map<String, String> settings, String name) {
        try {
            return new ProcessBuilder("bash", "-c", settings.get(name)).inheritIO().start().waitFor();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return 1;
        }
    }

    /** Runs a session; returns what can also be due to a daemon that has ended, and blames everything else. */
    private Optional<String> realSession(Scenario scenario, Map<String, String> settings, Optional<FaultProxy.Fault> fault,
            List<FaultProxy.Fault> all, Runnable atFault) throws IOException {
        String label = scenario.name + fault.map(it -> ", " + it).orElse(", no fault");
        Time time = new Time();
        Path own = directory.resolve("x" + numbers.incrementAndGet());
        try (FaultProxy proxy = new FaultProxy(Integer.parseInt(settings.get("real")), () -> false, threads)) {
            Files.createDirectories(own.resolve("home"));
            proxy.plan(fault);
            proxy.atFault(atFault);
            Run run = run(List.of("-json", "-pool", scenario.target.replace("PORT", "" + proxy.port()), "-identity",
                "condor@pool.test", "-authz", "ADVERTISE_STARTD", "-lifetime", "600", "-timeout", "10", "-file",
                destination(own).toString()), environment(scenario, directory), own, time,
                new Flight(label, time, proxy, Thread.currentThread(), System.nanoTime()));
            List<String> tokens = Files.exists(destination(own)) ? List.of(Files.readString(destination(own)).strip())
                : List.of();
            if (!tokens.stream().allMatch(TokenRequest.Jwt::hasForm)) {
                blame("partial file", label, tokens.toString());
            }
            String text = run.out + run.err;
            if (text.contains("\"internal\"") || text.contains("\tat ") || text.contains("Exception")) {
                blame("internal", label, text);
            }
            if (checkFiles(scenario, label, tokens, own, run) != (run.status == 0)) {
                blame("wrong status " + run.status, label, text);
            }
            boolean isHarmless = fault.isEmpty() || fault.get().kind() == FaultProxy.Kind.DRIBBLE || !proxy.fired();
            if (fault.isPresent()) {
                kinds.get(fault.get().kind()).incrementAndGet();
            } else {
                list(proxy.links(), all);
                greeting = proxy.links().get(0).first();
            }
            delete(own);
            return (run.status == 0 || !isHarmless) && STATUSES_AND_SUCCESS.contains(run.status) && run.status != 6
                ? Optional.empty() : Optional.of("status " + run.status + ": " + text);
        }
    }

    private void recover(Scenario scenario, Map<String, String> settings) throws IOException {
        Optional<String> problem = Optional.of("");
        for (int i = 0; i < 10 && problem.isPresent(); i++) {
            int status = command(settings, "recover");
            problem = status != 0 ? Optional.of("status " + status)
                : realSession(scenario, settings, Optional.empty(), new ArrayList<>(), () -> { });
        }
        problem.ifPresent(words -> blame("the pool did not come back", scenario.name, words));
    }

    // ---- Counts ----

    private void count(FaultProxy.Fault fault, boolean fired, List<FaultProxy.Link> links) {
        kinds.get(fault.kind()).incrementAndGet();
        String place = !fired ? "not reached" : links.get(fault.connection()).hasToken() ? "connection with the token"
            : fault.connection() == 0 ? "first connection" : "polls";
        counts.computeIfAbsent(place, it -> new AtomicInteger()).incrementAndGet();
    }

    /** Every fault at every byte that a session has. */
    private static void list(List<FaultProxy.Link> links, List<FaultProxy.Fault> all) {
        for (int connection = 0; connection < links.size(); connection++) {
            for (FaultProxy.Direction direction : FaultProxy.Direction.values()) {
                for (int offset = 0; offset < links.get(connection).carried(direction); offset++) {
                    for (FaultProxy.Kind kind : FaultProxy.Kind.values()) {
                        all.add(new FaultProxy.Fault(connection, direction, offset, kind));
                    }
                }
            }
        }
    }

    private static void delete(Path folder) throws IOException {
        try (Stream<Path> tree = Files.walk(folder)) {
            for (Path path : tree.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.security.GeneralSecurityException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Queue;
import java.util.Random;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * Damages the archive of classes, and kills the runs that make it. Each run is a JVM of its own, with the options that
 * TokenRequest.java gives to JBang.
 *
 * <p>A request with a damaged archive misbehaves if it does anything else than the same request without an archive: print the
 * token, with the same words on stderr and status 0. Before Java 25, a JVM does not start the program if the archive is cut off
 * (status 134, or 1 within the header) or does not begin with the mark of an archive (status 1). A killed {@code -prepare}
 * misbehaves if a part of an archive has the archive's name, or if the next {@code -prepare} does not make a usable one and
 * remove what is left.
 *
 * <p>Arguments: {@code DIRECTORY java=HOME version=NUMBER options=FILE archive=PATH [count=N] [kills=N] [seed=N] [workers=N]
 * [fault="KIND OFFSET"] [unchecked=yes]}: a JDK; a file with an option in each line, in which HOME is the user's home; the
 * archive's path below that; so many damaged archives and killed runs; or only that archive; whether Java is to use an archive
 * without its check. Exit status: 1 if a run misbehaved.
 */
public final class ArchiveFaults {
    /** What happens at a byte. */
    private enum Kind {
        /** One bit of it is changed. */
        FLIP,
        /** The file ends before it. */
        CUT,
        /** Its page is zeros, as after a lost write. */
        ZEROS,
        /** It and the bytes after it are random. */
        NOISE,
        /** It is missing. */
        DROP,
        /** It is there twice. */
        DUPLICATE;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    private record Fault(Kind kind, int offset) {
        @Override
        public String toString() {
            return kind + " " + offset;
        }
    }

    /** @param archived how many of the program's classes came from its archive */
    private record Run(int status, String out, String err, long archived, List<String> left) {
        @Override
        public String toString() {
            return "status " + status + ", " + archived + " classes from the archive, left " + left + ":\n" + out + err;
        }
    }

    private static final int PAGE = 4096;
    private static final int NOISE_BYTES = 64;
    /** 128 + SIGABRT. */
    private static final int ABORTED = 134;
    private static final int FIRST_THAT_STARTS = 25;
    private static final Duration HANG = Duration.ofMinutes(2);
    private static final int SHOWN = 20;

    private final Path directory;
    private final Map<String, String> settings;
    private final List<String> options;
    private final long seed;
    private final Queue<String> misbehaviour = new ConcurrentLinkedQueue<>();
    private final Map<String, AtomicInteger> counts = new ConcurrentHashMap<>();
    private final AtomicInteger numbers = new AtomicInteger();
    private LoopbackPool.Running pool;
    private String port = "";
    private String usualWords = "";
    private byte[] whole = {};

    private ArchiveFaults(Path directory, Map<String, String> settings) throws IOException {
        this.directory = Files.createTempDirectory(directory, "archives");
        this.settings = settings;
        this.options = new ArrayList<>(Files.readAllLines(Path.of(settings.get("options"))));
        if (settings.containsKey("unchecked")) {
            options.replaceAll(option -> option.replace("+VerifySharedSpaces", "-VerifySharedSpaces"));
        }
        this.seed = Long.parseLong(settings.getOrDefault("seed", "1"));
    }

    public static void main(String... arguments) throws Exception {
        Map<String, String> settings = new HashMap<>();
        for (String argument : List.of(arguments).subList(1, arguments.length)) {
            settings.put(argument.substring(0, argument.indexOf('=')), argument.substring(argument.indexOf('=') + 1));
        }
        System.exit(new ArchiveFaults(Path.of(arguments[0]), settings).run());
    }

    private int run() throws IOException, GeneralSecurityException, InterruptedException {
        System.out.println("archives of classes, Java " + settings.get("version") + ", seed " + seed + ":");
        int damaged = 0;
        int killed = 0;
        try (LoopbackPool.Running running = LoopbackPool.start(System.err, "--methods", "CLAIMTOBE", "--many", "--auto-approve",
                "--ca-file", directory.resolve("ca.pem").toString())) {
            pool = running;
            port = running.assignments().replaceAll("(?s).*LOOPBACK_PORT=([0-9]+).*", "$1");
            Path home = home();
            usualWords = words(request(home, "without an archive"));
            long start = System.nanoTime();
            if (prepared(home)) {
                Duration usual = Duration.ofNanos(System.nanoTime() - start);
                whole = Files.readAllBytes(archive(home));
                requireUsed(home, "a whole archive");
                damaged = damage();
                for (int i = 0; i < number("kills", 1); i++, killed++) {
                    kill(new Random(seed + i), usual, i);
                }
            }
        }
        System.out.println("by fault: " + new TreeMap<>(counts).entrySet().stream().map(it -> it.getKey() + " " + it.getValue())
            .collect(Collectors.joining(", ")));
        misbehaviour.stream().limit(SHOWN).forEach(System.out::println);
        System.out.println(damaged + " damaged archives, " + killed + " killed runs of -prepare, "
            + (misbehaviour.isEmpty() ? "no misbehaviour" : misbehaviour.size() + " misbehaved"));
        return misbehaviour.isEmpty() && damaged > 0 ? 0 : 1;
    }

    private int number(String name, int usual) {
        return Integer.parseInt(settings.getOrDefault(name, Integer.toString(usual)));
    }

    private void blame(String label, Object words) {
        misbehaviour.add("MISBEHAVIOUR: " + label + ": " + words.toString().strip().replace("\n", "\n    "));
    }

    private void count(String what) {
        counts.computeIfAbsent(what, it -> new AtomicInteger()).incrementAndGet();
    }

    // ---- Damage ----

    private int damage() throws InterruptedException {
        Queue<Fault> faults = new ConcurrentLinkedQueue<>(faults());
        int all = faults.size();
        List<Thread> workers = new ArrayList<>();
        for (int i = 0; i < number("workers", 2); i++) {
            Thread worker = new Thread(() -> {
                for (Fault fault = faults.poll(); fault != null; fault = faults.poll()) {
                    try {
                        damage(fault);
                    } catch (IOException | RuntimeException e) {
                        blame("failure of the campaign, " + fault, e);
                    } catch (InterruptedException e) {
                        return;
                    }
                }
            }, "worker " + i);
            worker.start();
            workers.add(worker);
        }
        for (Thread worker : workers) {
            worker.join();
        }
        return all;
    }

    /** A third of them are in the header, of the others some at the end. */
    private List<Fault> faults() {
        if (settings.containsKey("fault")) {
            String[] words = settings.get("fault").split(" ");
            return List.of(new Fault(Kind.valueOf(words[0].toUpperCase(Locale.ROOT)), Integer.parseInt(words[1])));
        }
        Random random = new Random(seed);
        List<Fault> faults = new ArrayList<>();
        for (int i = 0; i < number("count", 12); i++) {
            int offset = switch (i / Kind.values().length % 6) {
                case 0 -> random.nextInt(random.nextBoolean() ? Integer.BYTES : PAGE);
                case 2 -> random.nextInt(PAGE);
                case 4 -> whole.length - 1 - random.nextInt(2 * PAGE);
                default -> random.nextInt(whole.length);
            };
            faults.add(new Fault(Kind.values()[i % Kind.values().length], offset));
        }
        return faults;
    }

    private void damage(Fault fault) throws IOException, InterruptedException {
        Path home = home();
        Files.createDirectories(archive(home).getParent(), PosixFilePermissions.asFileAttribute(
            PosixFilePermissions.fromString("rwx------")));
        Path file = archive(home);
        write(file, fault);
        Run run = request(home, fault.toString());
        if (number("version", 0) < FIRST_THAT_STARTS && isNotStarted(fault, file, run)) {
            count(fault.kind + " (Java did not start)");
        } else {
            require(run, fault.toString());
            // In bytes that no check covers, such as the padding between two parts, damage changes nothing.
            count(fault.kind + (run.archived > 0 ? " (used)" : ""));
        }
        delete(home);
    }

    /** Whether Java ended for one of the reasons that are known, before a line of the program ran. */
    private boolean isNotStarted(Fault fault, Path file, Run run) throws IOException {
        byte[] mark = new byte[Integer.BYTES];
        try (InputStream in = Files.newInputStream(file)) {
            in.readNBytes(mark, 0, mark.length);
        }
        return run.err.isEmpty() && (fault.kind == Kind.CUT && run.status == ABORTED && run.out.startsWith("#")
            && run.left.stream().allMatch(it -> it.matches("hs_err_pid[0-9]+\\.log"))
            || run.status == 1 && run.left.isEmpty() && run.out.startsWith("Error occurred during initialization of VM\n"
            + (fault.kind == Kind.CUT ? "Unable to read header from shared archive: " : "Not a top shared archive: "))
            && (fault.kind == Kind.CUT || !Arrays.equals(mark, Arrays.copyOf(whole, mark.length))));
    }

    private void write(Path file, Fault fault) throws IOException {
        try (FileChannel out = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            int at = fault.offset;
            ByteBuffer bytes = ByteBuffer.wrap(whole);
            switch (fault.kind) {
                case FLIP -> write(out, bytes, at, new byte[] {(byte) (whole[at] ^ 1 << (at * 5 & 7))}, at + 1);
                case CUT -> write(out, bytes, at, new byte[0], whole.length);
                case ZEROS -> write(out, bytes, at / PAGE * PAGE, new byte[PAGE], at / PAGE * PAGE + PAGE);
                case NOISE -> {
                    byte[] noise = new byte[NOISE_BYTES];
                    new Random(seed + at).nextBytes(noise);
                    write(out, bytes, at, noise, at + NOISE_BYTES);
                }
                case DROP -> write(out, bytes, at, new byte[0], at + 1);
                case DUPLICATE -> write(out, bytes, at, new byte[] {whole[at]}, at);
            }
        }
    }

    /** Writes the bytes before the first position, those in the middle, and the bytes from the second position on. */
    private static void write(FileChannel out, ByteBuffer bytes, int at, byte[] middle, int from) throws IOException {
        for (ByteBuffer part : List.of(bytes.slice(0, at), ByteBuffer.wrap(middle),
                bytes.slice(Math.min(from, bytes.limit()), Math.max(0, bytes.limit() - from)))) {
            while (part.hasRemaining()) {
                out.write(part);
            }
        }
    }

    // ---- Killed runs ----

    /** Kills a run of -prepare, every other time without the JVM that it has started, and looks at what is left. */
    private void kill(Random random, Duration usual, int number) throws IOException, InterruptedException {
        Path home = home();
        boolean alone = number % 2 == 1;
        long moment = (long) (usual.toNanos() * random.nextDouble());
        String label = "-prepare killed after " + Duration.ofNanos(moment).toMillis() + " ms" + (alone ? ", alone" : "");
        Process process = start(home, directory.resolve("killed" + number), "-prepare");
        List<ProcessHandle> started = List.of();
        if (!process.waitFor(moment, TimeUnit.NANOSECONDS)) {
            started = process.descendants().toList();
            process.destroyForcibly().waitFor();
            if (!alone) {
                started.forEach(ProcessHandle::destroyForcibly);
            }
        }
        String name = archive(home).getFileName().toString();
        List<String> left = names(archive(home).getParent());
        if (!left.stream().allMatch(it -> Set.of(name, name + ".json", ".prepare.lock").contains(it)
                || it.matches("\\.[0-9a-f]{16}\\.training|\\.\\Q" + name + "\\E\\.json\\..*|\\..*\\.tmp"))) {
            blame(label, left);
        }
        if (left.contains(name)) {
            requireUsed(home, label);
            count("killed when it was made");
        } else {
            require(request(home, label), label);
            count(left.stream().anyMatch(it -> it.endsWith(".training")) ? "killed while it was made" : "killed before");
        }
        if (prepared(home)) {
            for (ProcessHandle one : started) {
                one.onExit().join();
            }
            requireUsed(home, label + ", then -prepare");
            List<String> after = names(archive(home).getParent());
            if (!after.equals(List.of(name, name + ".json"))) {
                blame(label + ", then -prepare", after);
            }
        }
        delete(home);
    }

    private static List<String> names(Path folder) throws IOException {
        if (!Files.isDirectory(folder)) {
            return List.of();
        }
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(it -> it.getFileName().toString()).sorted().toList();
        }
    }

    // ---- Runs ----

    private Path home() throws IOException {
        return Files.createDirectory(directory.resolve("h" + numbers.incrementAndGet()), PosixFilePermissions.asFileAttribute(
            PosixFilePermissions.fromString("rwx------")));
    }

    private Path archive(Path home) {
        return home.resolve(settings.get("archive"));
    }

    private Run request(Path home, String label) throws IOException, InterruptedException {
        String subject = home.getFileName() + "-" + numbers.incrementAndGet() + "@own.test";
        Run run = run(home, label, "-pool", "localhost:" + port, "-identity", subject, "-authz", "READ");
        List<String> tokens = pool.issuedTo(subject);
        if (run.status == 0 ? tokens.size() != 1 || !run.out.equals(tokens.get(0) + "\n") : !tokens.isEmpty()) {
            blame(label, "lost token: " + run);
        }
        return run;
    }

    private boolean prepared(Path home) throws IOException, InterruptedException {
        Run run = run(home, "-prepare", "-prepare");
        if (run.status != 0 || !run.out.isEmpty() || !run.err.matches("The archive of classes is (made|up to date): [^\n]*\n")) {
            blame("-prepare", run);
            return false;
        }
        return true;
    }

    /** As without an archive. */
    private void require(Run run, String label) {
        if (run.status != 0 || !words(run).equals(usualWords) || !run.left.isEmpty()) {
            blame(label, run);
        }
    }

    private void requireUsed(Path home, String label) throws IOException, InterruptedException {
        Run run = request(home, label);
        require(run, label);
        if (run.archived == 0) {
            blame(label, "the archive is not used: " + run);
        }
    }

    /** What is on stderr, without what differs from run to run. */
    private static String words(Run run) {
        return run.err.replaceAll("[0-9]+", "N").replaceAll("-[0-9a-f]{4,}", "");
    }

    private Run run(Path home, String label, String... arguments) throws IOException, InterruptedException {
        Path own = directory.resolve("r" + numbers.incrementAndGet());
        Process process = start(home, own, arguments);
        if (!process.waitFor(HANG.toSeconds(), TimeUnit.SECONDS)) {
            blame(label, "hang");
            process.destroyForcibly().waitFor();
        }
        long archived = 0;
        if (Files.exists(own.resolve("classes"))) {
            try (Stream<String> lines = Files.lines(own.resolve("classes"), ISO_8859_1)) {
                archived = lines.filter(line -> line.contains(" tokenrequest.") && line.contains("shared objects file (top)"))
                    .count();
            }
        }
        Run run = new Run(process.exitValue(), Files.readString(own.resolve("out")),
            Files.readString(own.resolve("err")), archived, Stream.concat(names(own.resolve("work")).stream(),
            names(home).stream().filter(it -> !it.equals(".cache"))).toList());
        delete(own);
        return run;
    }

    /** Starts the program for the user with that home; its output goes to files of the folder. */
    private Process start(Path home, Path own, String... arguments) throws IOException {
        Files.createDirectories(own.resolve("work"));
        List<String> command = new ArrayList<>(List.of(settings.get("java") + "/bin/java"));
        options.forEach(option -> command.add(option.replace("HOME", home.toString())));
        command.addAll(List.of("-Duser.home=" + home, "-Xlog:class+load:file=" + own.resolve("classes"), "-cp",
            System.getProperty("java.class.path"), TokenRequest.class.getName()));
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command).directory(own.resolve("work").toFile())
            .redirectOutput(own.resolve("out").toFile()).redirectError(own.resolve("err").toFile());
        builder.environment().putAll(Map.of("CONDOR_CONFIG", "ONLY_ENV", "HOME", home.toString(),
            "_CONDOR_SEC_TOKEN_DIRECTORY", home + "/tokens.d", "_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS", "CLAIMTOBE"));
        Process process = builder.start();
        process.getOutputStream().close();
        return process;
    }

    private static void delete(Path folder) throws IOException {
        try (Stream<Path> tree = Files.walk(folder)) {
            for (Path path : tree.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(path);
            }
        }
    }
}

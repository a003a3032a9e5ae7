// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedInputStream;
import java.io.BufferedReader;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.FileReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.security.Security;
import java.time.Duration;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * The tool on Windows in memory ({@link WindowsFiles}). Each run begins with the drives as they are in a folder of the
 * machine, and leaves them there:
 * <pre>
 * c/, d/    the files of each drive
 * lists     owner and access control list of each file: PATH, OWNER and ACCOUNT=all|read|PERMISSION,... (;), by tabs
 * touched   what the run opened, looked at, made or moved, a line each
 * </pre>
 *
 * <p>Without arguments {@code --process}, it is a JVM that stays, like {@link Workbench}: {@code CALLS PARENT}. A call is
 * <pre>
 * run MAIN FOLDER STDIN STDOUT STDERR CIRCUMSTANCE... "" NAME=VALUE... "" ARGUMENT...   answer: exit status
 * quote SHELL WORD...                                                            answer: the words as printed, by NULs
 * </pre>
 * A CIRCUMSTANCE is {@code busy TIMES PATH}, {@code busy-is-refusal}, {@code no-lists DRIVE}, {@code empty-lists DRIVE},
 * {@code merging} (a directory's list is added to that of a new file), {@code account NAME}, {@code administrator},
 * {@code console} (stdin and stderr are one), {@code here DIRECTORY} (the working directory), {@code registry FILE} (what
 * reg.exe prints), {@code roots FILE} (the CAs in the store of Windows).
 *
 * <p>{@code --process FOLDER ARGUMENT...} is the unmodified {@code main} in a process of its own.
 */
final class WindowsBench {
    private static final String PROFILE = "C:\\Users\\alice";
    private static final String USER = "LAPTOP\\alice";
    private static final String MSCAPI = "SunMSCAPI";

    private WindowsBench() { }

    public static void main(String... arguments) throws IOException, GeneralSecurityException, ClassNotFoundException {
        WindowsFiles.current();
        OtherSystem.call("Windows 11");
        System.setProperty("user.dir", PROFILE + "\\work"); // the machine's own files needed the machine's
        if (arguments[0].equals("--process")) {
            File folder = new File(arguments[1]);
            load(folder);
            Runtime.getRuntime().addShutdownHook(new Thread(() -> {
                try {
                    dump(folder);
                } catch (IOException e) {
                    System.err.println(e);
                }
            }));
            TokenRequest.main(Arrays.copyOfRange(arguments, 2, arguments.length));
            return;
        }
        ProcessHandle.of(Long.parseLong(arguments[1])).ifPresentOrElse(
            parent -> parent.onExit().thenRun(() -> Runtime.getRuntime().halt(0)), () -> Runtime.getRuntime().halt(0));
        load(new File(arguments[0]).getParentFile()); // classes are loaded before the first test
        while (true) {
            try (BufferedReader lines = new BufferedReader(new FileReader(arguments[0], UTF_8))) {
                for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                    answer(line);
                }
            }
        }
    }

    private static void answer(String call) throws IOException {
        String answer;
        try {
            answer = perform(new ArrayDeque<>(Arrays.asList(text(new File(call)).split("\0", -1))));
        } catch (Exception | LinkageError e) {
            answer = "1 " + e;
        }
        try (PrintStream out = new PrintStream(new FileOutputStream(call + ".answer"), true, UTF_8)) {
            out.print(answer.replace('\n', ' ') + "\n");
        }
    }

    private static String perform(Deque<String> fields) throws IOException, GeneralSecurityException {
        fields.removeLast(); // what follows the last NUL
        return switch (fields.remove()) {
            case "run" -> Integer.toString(run(fields));
            case "quote" -> quote(fields);
            default -> throw new IOException("no such call");
        };
    }

    private static String quote(Deque<String> fields) {
        TokenRequest.Shell shell = TokenRequest.Shell.valueOf(fields.remove());
        return String.join("\t", fields.stream().map(shell::quoted).toList());
    }

    private static int run(Deque<String> fields) throws IOException, GeneralSecurityException {
        String main = fields.remove();
        File folder = new File(fields.remove());
        try (InputStream in = new BufferedInputStream(new FileInputStream(fields.remove()));
                PrintStream out = new PrintStream(new FileOutputStream(fields.remove()), false, UTF_8);
                PrintStream err = new PrintStream(new FileOutputStream(fields.remove()), true, UTF_8)) {
            load(folder);
            Circumstances circumstances = new Circumstances();
            for (String line = fields.remove(); !line.isEmpty(); line = fields.remove()) {
                circumstances.set(line);
            }
            Map<String, String> environment = new HashMap<>();
            for (String variable = fields.remove(); !variable.isEmpty(); variable = fields.remove()) {
                int equals = variable.indexOf('=', 1);
                environment.put(variable.substring(0, equals), variable.substring(equals + 1));
            }
            TokenRequest.Host host = circumstances.host(environment, in, out, err);
            WindowsFiles.current().forget();
            try {
                return TokenRequest.run(fields.toArray(String[]::new), main.equals("Harness") ? Harness.still(host) : host,
                    new TokenRequest.ShutdownGuard());
            } finally {
                out.flush();
                dump(folder);
                circumstances.end();
            }
        }
    }

    /** What the machine of one run is like. */
    private static final class Circumstances implements TokenRequest.Platform.Programs,
            TokenRequest.WindowsPlatform.Account {
        private String account = USER;
        private boolean administrator;
        private boolean console;
        private Optional<String> registry = Optional.empty();
        private final List<String> started = new ArrayList<>();

        void set(String line) throws IOException {
            String[] words = line.split(" ", 2);
            switch (words[0]) {
                case "administrator" -> administrator = true;
                case "console" -> console = true;
                case "registry" -> registry = Optional.of(text(new File(words[1])));
                case "here" -> System.setProperty("user.dir", words[1]);
                case "roots" -> {
                    System.setProperty("test.roots", words[1]);
                    Security.addProvider(new OtherSystem.Stores(MSCAPI, "Windows-ROOT"));
                }
                default -> {
                    account = words[0].equals("account") ? words[1] : account;
                    WindowsFiles.current().set(line);
                }
            }
        }

        void end() {
            Security.removeProvider(MSCAPI);
            System.setProperty("user.dir", PROFILE + "\\work");
        }

        TokenRequest.Host host(Map<String, String> environment, InputStream in, PrintStream out, PrintStream err) {
            TokenRequest.Platform platform = new TokenRequest.WindowsPlatform(Path.of("").getFileSystem(), this, this,
                environment);
            return new TokenRequest.Host(InstantSource.system(), new SecureRandom(),
                duration -> Thread.sleep(duration.toMillis()), Map.copyOf(environment), platform.hostName(environment),
                platform.home(environment), platform.user(), platform.userId(), TokenRequest.ArgumentParser.PROGRAM, in, out,
                err, stream -> console, platform);
        }

        @Override
        public Optional<String> output(String... command) {
            started.add(String.join(" ", command));
            return registry.filter(text -> command[0].equals("C:\\Windows\\System32\\reg.exe"));
        }

        @Override
        public boolean succeeds(String... command) {
            throw new AssertionError(String.join(" ", command));
        }

        @Override
        public Optional<String> java(List<String> command, Duration limit) {
            throw new AssertionError(String.join(" ", command));
        }

        @Override
        public String name() {
            return account;
        }

        @Override
        public boolean isAdministrator() {
            return administrator;
        }
    }

    // ---- The folder ----

    private static String text(File file) throws IOException {
        try (InputStream in = new FileInputStream(file)) {
            return new String(in.readAllBytes(), UTF_8);
        }
    }

    private static void load(File folder) throws IOException {
        WindowsFiles windows = WindowsFiles.current();
        windows.clear();
        for (String directory : new String[] {"C:\\Windows\\System32", PROFILE + "\\work"}) {
            Files.createDirectories(windows.memory().getPath(directory));
        }
        Path root = windows.memory().getPath("C:\\");
        WindowsFiles.guard(root.resolve("Windows"), "NT SERVICE\\TrustedInstaller", "NT SERVICE\\TrustedInstaller=all+inherit;"
            + "NT AUTHORITY\\SYSTEM=all+inherit;BUILTIN\\Administrators=all+inherit;BUILTIN\\Users=read+inherit");
        WindowsFiles.inherit(root.resolve("Windows\\System32"), "NT SERVICE\\TrustedInstaller");
        WindowsFiles.inherit(root.resolve("Users"), "NT AUTHORITY\\SYSTEM");
        WindowsFiles.guard(root.resolve("Users\\alice"), USER, USER
            + "=all+inherit;NT AUTHORITY\\SYSTEM=all+inherit;BUILTIN\\Administrators=all+inherit");
        WindowsFiles.inherit(root.resolve("Users\\alice\\work"), USER);
        for (String drive : new String[] {"c", "d"}) {
            load(new File(folder, drive), windows.memory().getPath(drive.toUpperCase(Locale.ROOT) + ":\\"));
        }
        File lists = new File(folder, "lists");
        for (String line : lists.exists() ? text(lists).split("\n") : new String[0]) {
            String[] fields = line.split("\t", -1);
            Path file = windows.memory().getPath(fields[0]);
            if (Files.exists(file)) {
                WindowsFiles.guard(file, fields[1], fields[2]);
            }
        }
        windows.forget();
    }

    private static void load(File folder, Path directory) throws IOException {
        String[] names = folder.list();
        for (String name : names == null ? new String[0] : names) {
            File source = new File(folder, name);
            Path file = directory.resolve(name);
            boolean isNew = Files.notExists(file);
            if (source.isDirectory()) {
                if (isNew) {
                    Files.createDirectory(file);
                    WindowsFiles.inherit(file, ownerBelow(directory));
                }
                load(source, file);
            } else {
                try (InputStream in = new FileInputStream(source)) {
                    Files.write(file, in.readAllBytes());
                }
                WindowsFiles.inherit(file, ownerBelow(directory));
            }
        }
    }

    /** Who makes a file there: the user at home, elsewhere somebody else. */
    private static String ownerBelow(Path directory) {
        return directory.startsWith(directory.getFileSystem().getPath(PROFILE)) ? USER : "LAPTOP\\bob";
    }

    private static void dump(File folder) throws IOException {
        WindowsFiles windows = WindowsFiles.current();
        List<String> lists = new ArrayList<>();
        for (String drive : new String[] {"c", "d"}) {
            dump(windows.memory().getPath(drive.toUpperCase(Locale.ROOT) + ":\\"), new File(folder, drive), lists);
        }
        Collections.sort(lists);
        write(new File(folder, "lists"), lists);
        write(new File(folder, "touched"), windows.recorded());
    }

    private static void write(File file, List<String> lines) throws IOException {
        try (PrintStream out = new PrintStream(new FileOutputStream(file), false, UTF_8)) {
            lines.forEach(line -> out.print(line + "\n"));
        }
    }

    private static void dump(Path directory, File folder, List<String> lists) throws IOException {
        folder.mkdirs();
        List<String> names = new ArrayList<>();
        try (DirectoryStream<Path> entries = Files.newDirectoryStream(directory)) {
            for (Path entry : entries) {
                File file = new File(folder, entry.getFileName().toString());
                names.add(file.getName());
                lists.add(entry + "\t" + WindowsFiles.shown(entry));
                if (Files.isDirectory(entry)) {
                    dump(entry, file, lists);
                } else {
                    try (FileOutputStream out = new FileOutputStream(file)) {
                        out.write(Files.readAllBytes(entry));
                    }
                }
            }
        }
        String[] there = folder.list();
        for (String name : there == null ? new String[0] : there) {
            if (!names.contains(name)) {
                new File(folder, name).delete();
            }
        }
    }
}

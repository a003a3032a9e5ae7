// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;

/**
 * Compares what we and HTCondor's condor_config_val read in the same configurations, which can be random ones.
 *
 * <pre>
 * generate RELEASE SEED COUNT DIRECTORY   writes configurations below the directory; RELEASE is stable or testing. The same
 *                                         seed makes the same configuration; the first has SEED, the next SEED + 1
 * script DIRECTORY                        prints a shell script that asks condor_config_val about each of them
 * compare DIRECTORY                       prints each difference between its answers and ours, then a line that counts
 * </pre>
 *
 * <p>A configuration is a folder with a number as its name, from 0, and three files: {@code names}, one a line; {@code
 * environment}, a NAME=VALUE a line, with MARK; {@code local-name}, blank if there is none. The script adds {@code stdout} and
 * {@code stderr}.
 */
final class CompareConfigurations {
    /** The value of MARK separates the answers of condor_config_val, which prints values without their names. */
    private static final String MARK = "@MARK@";

    private CompareConfigurations() { }

    public static void main(String... arguments) throws IOException {
        Path directory = Path.of(arguments[arguments.length - 1]);
        switch (arguments[0]) {
            case "generate" -> {
                for (int i = 0; i < Integer.parseInt(arguments[3]); i++) {
                    Path place = Files.createDirectories(directory.resolve(Integer.toString(i)));
                    new Generator(arguments[1].equals("stable"), new Random(Long.parseLong(arguments[2]) + i), place).write();
                }
            }
            case "script" -> {
                for (Path place : places(directory)) {
                    System.out.print(command(place));
                }
            }
            default -> System.exit(compare(directory));
        }
    }

    private static List<Path> places(Path directory) {
        List<Path> places = new ArrayList<>();
        for (Path place = directory.resolve("0"); Files.isDirectory(place); place = directory.resolve(places.size() + "")) {
            places.add(place);
        }
        return places;
    }

    /** The lines of the script for one configuration. They remove what it writes. A circle of references never ends. */
    private static String command(Path place) throws IOException {
        StringBuilder command = new StringBuilder("env -i");
        for (String variable : Files.readAllLines(place.resolve("environment"))) {
            command.append(' ').append(quoted(variable));
        }
        String localName = localName(place);
        command.append(" timeout 5 condor_config_val -subsystem TOOL").append(localName.isEmpty() ? "" : " -local-name "
            + localName);
        for (String name : names(place)) {
            command.append(' ').append(name).append(" MARK");
        }
        return command + " >" + quoted(place + "/stdout") + " 2>" + quoted(place + "/stderr") + " </dev/null\n"
            + "rm -f " + quoted(place + "/") + "cache*\n";
    }

    private static String quoted(String text) {
        return "'" + text.replace("'", "'\\''") + "'";
    }

    private static String localName(Path place) throws IOException {
        return Files.readString(place.resolve("local-name")).strip();
    }

    // ---- Comparison ----

    private static int compare(Path directory) throws IOException {
        int accepted = 0;
        int values = 0;
        int differences = 0;
        List<Path> places = places(directory);
        for (Path place : places) {
            Map<String, String> theirs = theirs(place);
            Map<String, String> ours = ours(place);
            accepted += theirs.containsKey("REFUSED") ? 0 : 1;
            values += theirs.size();
            if (ours.containsKey("REFUSED") ? !theirs.containsKey("REFUSED") : !ours.equals(theirs)) {
                differences++;
                print(place, ours, theirs);
            }
        }
        System.out.println(places.size() + " configurations, " + accepted + " of them accepted, " + values + " values, "
            + differences
            + " configurations that differ");
        return !places.isEmpty() && differences == 0 ? 0 : 1;
    }

    private static void print(Path place, Map<String, String> ours, Map<String, String> theirs) throws IOException {
        System.out.println(place + ":");
        if (ours.containsKey("REFUSED") != theirs.containsKey("REFUSED")) {
            System.out.println("  accepted " + (ours.containsKey("REFUSED") ? "by HTCondor: " + ours.get("REFUSED")
                : "here; HTCondor: " + Files.readString(place.resolve("stderr")).strip()));
            return;
        }
        for (String name : new TreeMap<>(theirs).keySet()) {
            if (!theirs.get(name).equals(ours.get(name))) {
                System.out.println("  " + name + "\n    HTCondor: " + theirs.get(name) + "\n    here:     " + ours.get(name));
            }
        }
    }

    private static List<String> names(Path place) throws IOException {
        return Files.readAllLines(place.resolve("names"));
    }

    /** The values by name, blank where there is none; or REFUSED alone. */
    private static Map<String, String> theirs(Path place) throws IOException {
        String answer = Files.readString(place.resolve("stdout"));
        Map<String, String> values = new HashMap<>();
        String end = MARK + "\n";
        if (answer.split(end, -1).length != names(place).size() + 1) {
            values.put("REFUSED", "");
            return values;
        }
        int at = 0;
        for (String name : names(place)) {
            int mark = answer.startsWith(end, at) ? at : answer.indexOf("\n" + end, at) + 1;
            values.put(name, alike(answer.substring(at, Math.max(at, mark - 1))));
            at = mark + end.length();
        }
        return values;
    }

    private static Map<String, String> ours(Path place) throws IOException {
        Map<String, String> environment = new HashMap<>();
        for (String variable : Files.readAllLines(place.resolve("environment"))) {
            int equals = variable.indexOf('=');
            environment.put(variable.substring(0, equals), variable.substring(equals + 1));
        }
        TokenRequest.Host machine = TokenRequest.Host.real();
        PrintStream nowhere = new PrintStream(OutputStream.nullOutputStream(), false, UTF_8);
        TokenRequest.Host host = new TokenRequest.Host(machine.clock(), machine.random(), machine.sleeper(), environment,
            machine.name(), machine.home(), machine.user(), machine.uid(), machine.invocation(), machine.in(), nowhere, nowhere,
            machine.terminal(), machine.platform());
        Map<String, String> values = new HashMap<>();
        try {
            TokenRequest.Configuration configuration = TokenRequest.Configuration.read(host,
                localName(place), new TokenRequest.Deadline(host.clock(), Duration.ofSeconds(60)));
            for (String name : names(place)) {
                values.put(name, value(configuration, name));
            }
        } catch (TokenRequest.CommandException refusal) {
            values.clear();
            values.put("REFUSED", refusal.getMessage());
        }
        return values;
    }

    private static String value(TokenRequest.Configuration configuration, String name) {
        try {
            return alike(configuration.shown(List.of(name)).get(0).value().orElse(""));
        } catch (TokenRequest.CommandException refusal) {
            return "an error: " + refusal.getMessage();
        }
    }

    /** HTCondor forgets how a value was written that is the built-in one; it shows no difference between blank and none. */
    private static String alike(String value) {
        return value.isBlank() ? "" : value.equalsIgnoreCase("true") || value.equalsIgnoreCase("false")
            ? value.toLowerCase(Locale.ROOT) : value;
    }

    // ---- Generation ----

    /**
     * One configuration. A parameter refers only to those with a smaller number, so that none refers to itself in a circle,
     * which HTCondor's own tool never leaves.
     */
    private static final class Generator {
        private static final int PARAMETERS = 24;
        private static final List<String> KNOWN = List.of("COLLECTOR_HOST", "SEC_CLIENT_AUTHENTICATION_METHODS",
            "SEC_DEFAULT_AUTHENTICATION", "SEC_DEFAULT_ENCRYPTION", "SEC_DEFAULT_INTEGRITY", "SEC_DEFAULT_CRYPTO_METHODS",
            "ALLOW_ADMINISTRATOR", "ALLOW_DAEMON", "ALLOW_READ", "ALLOW_WRITE", "DAEMON_LIST", "SECURITY_MODEL", "START", "KILL",
            "UID_DOMAIN", "TRUST_DOMAIN", "LOG", "SPOOL", "COLLECTOR_PORT", "QUERY_TIMEOUT", "ETC", "SUBSYSTEM", "LOCALNAME",
            "HOSTNAME", "MAX_DEFAULT_LOG", "SCHEDD_NAME", "RELEASE_DIR", "LIBEXEC", "TOOL_DEBUG", "EVENT_LOG");
        private static final List<String> WORDS = List.of("alpha", "Beta", "x.y", "/a/b.d/c.tar.gz", "cm.example.org:9618", "12",
            "-3", "0", "4.50", "1e3", "true", "No", "a b", "one, two,three", "it's", "\"quoted\"", "'single'", "back\\slash",
            "$", "$(", "$)", ")", "(x)", "$X", "$()", "$(A B)", "$$(N0)", "$$", "#", "a=b", "a:b", "@end", "*", "100%",
            "{1, 2}", "||", "\t", "$(DOLLAR)", "$(DOLLAR)(N1)", "file.", ".hidden", "/", "a//b", "C:\\dir\\f.x",
            "<1.2.3.4:9618?sock=x>", "a,b", ",", ";", "UNDEFINED", "error", "undefined");
        private static final List<String> EXPRESSIONS = List.of("1", "7", "-2", "3.75", "1e2", "0.1", "true", "FALSE", "(1)",
            "\"txt\"", "\"a\\b\"", "\"q\\\"q\"", "nothing", "error", "\"12\"", "\"\"", "9223372036854775807", "2000000000",
                "1.0");
        private static final List<String> OPERATORS = List.of("+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&",
            "||", "=?=", "=!=", "is", "isnt", "?:");
        private static final List<String> FORMATS = List.of("%d", "%05d", "%-6dx", "%x", "%X", "%o", "%u", "%+d", "% d", "%lld",
            "%ld", "%3.2d", "%i", "a%db", "%", "", "text", "%s", "%f", "%.2f", "%8.3fz", "%e", "%.3E", "%g", "%G", "%#x", "%5s",
            "%-5sz", "%.2s", "%hd", "%d%%", "%d %d", " %d", "%a");
        private static final List<String> FILE_LETTERS = List.of("", "p", "n", "x", "d", "pn", "nx", "pnx", "q", "qa",
            "b", "pb", "xb", "db", "dn", "dnx", "w", "u", "qpnx", "qpn", "nxq", "Pn", "pnxw", "qa", "dqa", "bq", "wd", "un");
        private static final List<String> TEMPLATES = List.of("SECURITY : Strong", "security:with_authentication",
            "SECURITY : recommended_v9_0", "SECURITY:recommended_v9_0(a)", "SECURITY : recommended_v9_0 (a, b , c)",
            "SECURITY : Host_Based", "ROLE : Execute", "ROLE:Submit,Execute", "role : CentralManager Submit",
            "POLICY : Always_Run_Jobs", "SECURITY : Strong, Host_Based", "ROLE : Personal");
        private static final List<String> NEW_TEMPLATES = List.of("SECURITY : recommended", "SECURITY : recommended(u)",
            "SECURITY : recommended(u, v, w)", "SECURITY : get_htcondor_idtokens", "SECURITY : recommended_v24_0(x)",
            "SECURITY : FIPS", "ROLE : get_htcondor_submit");
        private static final List<String> WRONG_LINES = List.of("word", "two words", "bad-name = 1", "use NOTHING : Here",
            "use SECURITY : Nothing", "include nonsense : /x", "endif", "else", "elif true", "error : stop $(N1)", "[head]",
            "[two words]", "N1 @ x", "N1 + 2", "include : /nonexistent/file", "use SECURITY", "use : x", "include :", "= 5",
            ": 7", "N3 +=+ 5", "N 4 = 5", "@N5 = 6", "N6@=x", "use SECURITY :", "use", "include", "N7+= 1",
                "include command : /no",
            "include command : false", "include command ifexist : /x", "include ifexist, command : /x", "N1.2 = 3", "N1/x = 4",
            "warning", "error", "include ifexists : /nonexistent", "N8 =", "N9=#", "N10 : ", "include into x : /y",
            "include command command : echo N1=5", "include command into : /x", "if", "if (true)", "if version", "if 1 == 1",
            "use ROLE : Execute Nothing", "$(NOTHING) = 5", "N$(NOTHING)1 = 6", "\\", "N11 \\",
            "include : $(NOTHING)", "include ifexist : $(NOTHING)", "include output : echo N2 = 3", "N12 @=", "N12 @@= 3",
            "@include ifexist : /nonexistent", "@use SECURITY : Strong", "RunBenchmarks : 0", "#opt:strict", "#opt:oldcomment",
            "include ifexist : ", "include command : ", "include : /etc", "include : echo N13 = 4 |", "include : |",
                "include : echo | x", "warning 3 : x", "error 0 : y", "if version 5", "elseif true", "endif x", "if true x");
        private final boolean older;
        private final Random random;
        private final Path place;
        private final boolean mischief;
        private final List<String> prefixes = new ArrayList<>(List.of("", "", "", "", "", "", "TOOL.", "tool.", "SCHEDD.",
            "EAST."));
        private final String localName;
        private final Map<String, String> environment = new TreeMap<>();
        private int files;

        /** @param older whether for HTCondor 23.9.6, which lacks some of the language */
        Generator(boolean older, Random random, Path place) {
            this.older = older;
            this.random = random;
            this.place = place;
            this.mischief = random.nextInt(3) == 0;
            this.localName = random.nextInt(4) == 0 ? "EAST" : "";
        }

        void write() throws IOException {
            List<String> root = new ArrayList<>();
            root.add("LOCAL_CONFIG_FILE =");
            root.add("LOCAL_CONFIG_DIR =" + (chance(3) ? " " + directory() : ""));
            if (chance(4)) {
                root.set(0, "LOCAL_CONFIG_FILE = " + file(1) + (chance(2) ? ", " + file(1) : ""));
            }
            root.add("LOCAL_DIR = /var/lib/condor\nSEVEN = 7");
            root.add(body(0, 6 + random.nextInt(20)));
            environment.put("CONDOR_CONFIG", Files.writeString(place.resolve("condor_config"), String.join("\n",
                root)).toString());
            environment.put("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
            environment.put("_CONDOR_MARK", MARK);
            for (int i = random.nextInt(3); i > 0; i--) {
                int number = random.nextInt(PARAMETERS);
                // In the environment a value that refers to itself is a circle.
                environment.put((chance(2) ? "_CONDOR_" : "_condor_") + prefix() + "N" + number,
                    value(number).strip().replaceAll("(?i)\\((n" + number + "[:)])", "(x$1"));
            }
            environment.put("ORACLE_WORD", any(List.of("from env", "", "$(NOTHING:x)", "7")));
            List<String> names = new ArrayList<>(KNOWN);
            for (int i = 0; i < PARAMETERS; i++) {
                names.add("N" + i);
            }
            names.add("n3");
            Files.write(place.resolve("names"), names);
            Files.writeString(place.resolve("local-name"), localName);
            List<String> lines = new ArrayList<>();
            environment.forEach((name, value) -> lines.add(name + "=" + value));
            Files.write(place.resolve("environment"), lines);
        }

        private boolean chance(int oneIn) {
            return random.nextInt(oneIn) == 0;
        }

        private <T> T any(List<T> choices) {
            return choices.get(random.nextInt(choices.size()));
        }

        private String prefix() {
            return any(prefixes);
        }

        private String file(int depth) throws IOException {
            Path file = place.resolve("file" + files++);
            Files.writeString(file, body(depth, 1 + random.nextInt(8)) + (chance(6) ? "" : "\n"));
            return file.toString();
        }

        private String directory() throws IOException {
            Path directory = Files.createDirectories(place.resolve("directory" + files++));
            for (String name : List.of("10-a", "20-b.conf", "x~", ".y", "#z", "30-c.rpmsave", "B", "a")) {
                if (chance(3)) {
                    Files.writeString(directory.resolve(name), body(1, 1 + random.nextInt(4)) + "\n");
                }
            }
            return directory.toString();
        }

        // ---- Statements ----

        private String body(int depth, int count) throws IOException {
            StringBuilder body = new StringBuilder();
            for (int i = 0; i < count; i++) {
                String line = statement(depth);
                body.append(chance(5) ? any(List.of(" ", "\t", "   ")) : "").append(line).append(chance(8) ? " " : "")
                    .append(chance(30) ? "\r\n" : "\n");
            }
            return body.toString();
        }

        private String statement(int depth) throws IOException {
            if (mischief && chance(12)) {
                return any(WRONG_LINES);
            }
            return switch (random.nextInt(20)) {
                case 0 -> any(List.of("# comment", "#", "", "  ", "# ends in a backslash \\", "#N1 = 5", "## \\\\"));
                case 1 -> block();
                case 2, 3 -> depth > 3 ? assignment() : condition(depth);
                case 4 -> depth > 2 ? assignment() : include(depth);
                case 5 -> any(List.of("use ", "USE ", "@use ", "use\t"))
                    + any(older || chance(2) ? TEMPLATES : NEW_TEMPLATES);
                case 6 -> any(List.of("warning : look out", "WARNING: $(N1)", "[section]", "N4 : colon", "warning 4: x"));
                case 7 -> any(KNOWN.subList(0, 15)) + " = " + value(PARAMETERS);
                default -> assignment();
            };
        }

        private String assignment() {
            int number = random.nextInt(PARAMETERS);
            String name = prefix() + (chance(8) ? "n" : "N") + (number == 7 && chance(2) ? "$(SEVEN)" : Integer.toString(number));
            String value = value(number);
            String operator = any(List.of(" = ", "=", " =", "\t=  ", "= "));
            if (!older && chance(6)) {
                operator = any(List.of(" += ", " +,= ", " +;= ", " +|= ", " +||= ", " +&&= ", " +=", "\t+= "));
            }
            if (chance(12) && !(older && value.contains("$"))) {
                int cut = random.nextInt(value.length() + 1);
                value = value.substring(0, cut) + any(List.of("\\\n", "\\\n   ", "\\ \n", " \\\n# within \\\n", "\\\n# last\n",
                    "\\\n\n", "\\\n\\\n")) + value.substring(cut);
            }
            return name + operator + value;
        }

        private String block() {
            int number = random.nextInt(PARAMETERS);
            String tag = any(List.of("end", "E", "a b", "x"));
            StringBuilder block = new StringBuilder(prefix()).append('N').append(number).append(any(List.of(" @=", "\t@=",
                " @= ")))
                .append(tag).append('\n');
            for (int i = random.nextInt(4); i > 0; i--) {
                block.append(any(List.of("", "  ", "# hidden", "if false", "@other", "use ROLE : Execute", value(number),
                    value(number),
                    "  indented", "ends \\\n  here"))).append('\n');
            }
            return block.append(chance(6) ? " @" : "@").append(tag).toString();
        }

        private String condition(int depth) throws IOException {
            StringBuilder text = new StringBuilder(any(List.of("if ", "IF ", "if\t", ": if ", ":if "))
                .replace(": if", ":if")).append(test()).append('\n').append(body(depth + 1, random.nextInt(4)));
            for (int i = random.nextInt(4) - 1; i > 0; i--) {
                text.append("elif ").append(test()).append('\n').append(body(depth + 1, random.nextInt(3)));
            }
            if (chance(2)) {
                text.append("else\n").append(body(depth + 1, random.nextInt(4)));
            }
            return text.append(mischief && chance(12) ? "" : any(List.of("endif", "ENDIF", "endif # x", "endif "))).toString();
        }

        private String test() {
            String test = switch (random.nextInt(mischief ? 12 : 9)) {
                case 0 -> any(List.of("true", "False", "yes", "NO", "t", "f"));
                case 1 -> any(List.of("0", "1", "0.0", "-1", "1e0", "0e5", "2.50", ".5", "00"));
                case 2 -> "defined " + any(List.of("N" + random.nextInt(PARAMETERS), "NOTHING", "LOG", "TOOL.N1", "true", "5",
                    "use ROLE",
                    "use ROLE:Execute", "use NOTHING", "use ROLE:Nothing", "HOSTNAME", "$(N1)", "$(NOTHING)", "EAST.N3",
                        "MASTER"));
                case 3 -> "version " + any(List.of("> 9.0", ">= 8.8.4", "< 10", "< 10.0.0", "== 9.0.1", "!= 23.0", "<= 20.1",
                    "> v9.5", "!> 30.0", ">=30.1.2", "< 31.9.9", "!= 9.0.0.5", "= 8.1"));
                case 4, 5 -> "$(NOTHING:" + any(List.of("0", "true", "", "no")) + ")";
                case 6 -> "$(NOTHING)";
                case 7 -> any(List.of("$INT(3)", "$(SEVEN)", "$INT(SEVEN)"));
                case 8 -> any(List.of("true", "0"));
                default -> any(List.of("", "maybe", "1e", "defined", "defined use:ROLE", "defined use ROLE : Execute", "1 2",
                    "version", "version 9", "version > 5.0", "version > 9", "version ! 9.0", "version >", "version > 9.0.100",
                        "version > 25.14.100",
                    "version >= 25.14.0.7", "version=9.0.0", "+1", "--1", "1.2.3", "-", ".", "e", "defined N1 N2",
                        "defined \"x\"", "$(N3:1)", "$INT(N3)",
                    "versions > 9.0", "definedN1", "true false", "! ! true", "!!true", "on", "N1", "$(N1)", "$(N2) x",
                        "version > v 9.0",
                    "version > V9.0", "version => 9.0", "version <> 9.0", "version > 9.0x", "version > 9.0.1x",
                        "version > 9.100.1",
                    "version > 23.100", "defined use", "defined use ROLE:", "defined use ROLE(", "defined +1", "defined 1e",
                        "1e5e", "0x10", "1_0", "$(N1)$(N2)", "T", "y", "truely", "defined a-b", "defined use  ROLE:Execute",
                    "version > 09.0", "version > +9.0", "version > 9. 0", "version > 9 .0", "version >9.0", "Version > 9.0",
                    "DEFINED N1", "defined\tN1", "defined:N1"));
            };
            return (chance(5) ? any(List.of("!", "! ")) : "") + test;
        }

        private String include(int depth) throws IOException {
            return switch (random.nextInt(12)) {
                case 0 -> "include ifexist : /nonexistent/" + any(List.of("x", "$(N1)"));
                case 1 -> "include command : cat " + file(depth + 1);
                case 2 -> "include : cat " + file(depth + 1) + any(List.of(" |", "|", "|| ", " | "));
                case 3 -> "include command into " + place + "/cache" + files + " : cat " + file(depth + 1);
                case 4 -> "@include : " + file(depth + 1);
                case 5 -> "include ifexists : " + file(depth + 1);
                case 6 -> "INCLUDE : " + directory();
                case 7 -> "include ifexist command : cat " + file(depth + 1);
                case 8 -> "include output : echo N" + random.nextInt(PARAMETERS) + " = said";
                default -> "include : " + file(depth + 1);
            };
        }

        // ---- Values ----

        private String value(int number) {
            StringBuilder value = new StringBuilder();
            for (int i = random.nextInt(4); i > 0; i--) {
                value.append(piece(number)).append(any(List.of("", "", " ", ", ")));
            }
            return value.append(piece(number)).toString();
        }

        private String piece(int number) {
            return switch (random.nextInt(14)) {
                case 0, 1, 2, 3, 4 -> any(WORDS);
                case 5, 6, 7 -> reference(number);
                case 8 -> number >= PARAMETERS ? "x" : any(List.of("$(N" + number + ")", "$(n" + number + ":first)"));
                case 9 -> any(List.of("$(NOTHING)", "$(NOTHING:else)", "$(NOTHING:$(SEVEN))", "$(nothing:a b, c)", "$(LOG)",
                    "$(SUBSYSTEM)", "$(LOCALNAME:none)", "$(NOTHING:)", "$(NOTHING:a:b)", "$(NOTHING:\\x)", "$(NOTHING:(y))"));
                default -> function(number);
            };
        }

        /** A reference to a parameter with a smaller number. */
        private String reference(int number) {
            if (number <= 1) {
                return any(List.of("$(NOTHING:low)", "low"));
            }
            int other = random.nextInt(number);
            return switch (random.nextInt(8)) {
                case 0 -> "$(N" + other + ":$(N" + random.nextInt(number) + "))";
                case 1 -> "$(N" + other + ":d" + other + ")";
                case 2 -> "$(N$(NOTHING:" + other + "))";
                case 3 -> "$($(NOTHING:N" + other + "))";
                case 4 -> any(List.of("$(TOOL.N", "$(EAST.N", "$(SCHEDD.N")) + other + ":none)";
                default -> any(List.of("$(N", "$(n")) + other + ")";
            };
        }

        private String argument(int number) {
            return number > 0 && chance(2) ? "N" + random.nextInt(Math.min(number, PARAMETERS)) : expression(2);
        }

        private String expression(int depth) {
            if (depth == 0 || chance(3)) {
                return any(EXPRESSIONS);
            }
            // In the older release ?: binds otherwise.
            return switch (random.nextInt(8)) {
                case 0 -> any(List.of("!", "-", "+")) + expression(depth - 1);
                case 1 -> expression(depth - 1) + " ? " + expression(depth - 1) + " : " + expression(depth - 1);
                default -> expression(depth - 1) + " " + any(older ? OPERATORS.subList(0, 17) : OPERATORS) + " "
                    + expression(depth - 1);
            };
        }

        private String function(int number) {
            String other = number > 0 ? "N" + random.nextInt(Math.min(number, PARAMETERS)) : "NOTHING";
            String path = chance(2) ? other : any(WORDS);
            return older ? olderFunction(other, path) : switch (random.nextInt(12)) {
                case 0 -> "$INT(" + argument(number) + (chance(2) ? "," + any(FORMATS) : "") + ")";
                case 1 -> "$REAL(" + argument(number) + (chance(2) ? "," + any(FORMATS) : "") + ")";
                case 2 -> "$STRING(" + argument(number) + (chance(2) ? "," + any(FORMATS) : "") + ")";
                case 3 -> "$EVAL(" + argument(number) + ")";
                case 4 -> "$SUBSTR(" + other + "," + (random.nextInt(9) - 4) + (chance(2) ? "" : "," + (random.nextInt(9) - 4))
                    + ")";
                case 5 -> "$CHOICE(" + any(List.of("0", "1", "2", " 1", "9", "-1", "x", "", other)) + ","
                    + any(List.of("a,b,c", other, "a", " a , b ", "", "a,,c", "a,b", ",", "LIST")) + ")";
                case 6 -> "$RANDOM_CHOICE(" + any(List.of("only", " only ", "", ",", "only,", other + ",")) .replace(other
                    + ",", "one") + ")";
                case 7 -> "$RANDOM_INTEGER(" + any(List.of("5,5", "3,3,1", "7,7,100", "1,4,9", "", "5", "x,0", "5,x", "9,9,0",
                    "9,9,-3", "8,2", " 4 , 4 ", "4,4,", "0x0,0", "6,6,x", ",", "3,3,2,1", "-5,-5")) + ")";
                case 8 -> "$F" + any(FILE_LETTERS) + "(" + path + ")";
                case 9 -> any(List.of("$BASENAME(", "$DIRNAME(")) + path + any(List.of(")", ")", ",.gz)", ", gz)", ",)"));
                case 10 -> "$ENV(" + any(List.of("ORACLE_WORD", "NO_SUCH", "NO_SUCH:else", "ORACLE_WORD:x", "PATH")) + ")";
                default -> "$SUBSTR(" + other + any(List.of("", ",", ",x", ",1,", ",1,x", ",0,99", ",-99", ",1,2,3")) + ")";
            };
        }

        /** The older release ends where a function cannot use an argument. */
        private String olderFunction(String other, String path) {
            return switch (random.nextInt(9)) {
                case 0 -> "$INT(" + any(EXPRESSIONS.subList(0, 7)) + any(List.of("", "", ",%d", ",%05d", ",%-6dx", ",%x",
                    ",%+d")) + ")";
                case 1 -> "$REAL(" + any(EXPRESSIONS.subList(0, 7)) + any(List.of("", "", ",%f", ",%.2f", ",%8.3fz", ",%G",
                    ",%e")) + ")";
                case 2 -> "$STRING(" + (chance(2) ? other : expression(2)) + any(List.of("", "", ",%5s", ",%-5sz", ",%.2s"))
                    + ")";
                case 3 -> "$EVAL(" + (chance(2) ? other : expression(2)) + ")";
                case 4 -> "$SUBSTR(" + other + "," + (random.nextInt(9) - 4) + (chance(2) ? "" : "," + (random.nextInt(9) - 4))
                    + ")";
                case 5 -> "$CHOICE(" + any(List.of("0", "1", " 1")) + "," + any(List.of("a,b,c", " a , b ", "a,b")) + ")";
                case 6 -> any(List.of("$RANDOM_CHOICE(only)", "$RANDOM_INTEGER(5,5)", "$RANDOM_INTEGER(3,3,1)",
                    "$RANDOM_INTEGER(7,7,9)"));
                case 7 -> "$F" + any(FILE_LETTERS) + "(" + path + ")";
                default -> any(List.of("$BASENAME(", "$DIRNAME(")) + path.replace(",", "") + ")";
            };
        }
    }
}

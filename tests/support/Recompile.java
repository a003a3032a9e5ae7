// SPDX-License-Identifier: Apache-2.0

import java.io.BufferedOutputStream;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import java.util.zip.Deflater;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/**
 * A compiler that stays, for {@code tests/mutants}: a compiler that has run before takes a third of the time.
 *
 * <p>Arguments: {@code CLASSPATH SOURCE FOLDER JAR BASE}. For each line on stdin it compiles SOURCE into FOLDER, packs that and
 * what else the jar BASE has into JAR, and prints the errors and then a line {@code done}. It prints no warnings.
 */
final class Recompile {
    private Recompile() { }

    public static void main(String... arguments) throws IOException {
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        List<String> options = List.of("-proc:none", "-nowarn", "-g:none", "-XDstringConcat=inline", "-implicit:none",
            "-cp", arguments[0], "-d", arguments[2]);
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        while (lines.readLine() != null) {
            StringWriter errors = new StringWriter();
            try (StandardJavaFileManager files = compiler.getStandardFileManager(null, null, StandardCharsets.UTF_8)) {
                boolean compiled = compiler.getTask(errors, files, null, options, null,
                    files.getJavaFileObjects(Path.of(arguments[1]))).call();
                if (compiled) {
                    pack(Path.of(arguments[2]), Path.of(arguments[3]), Path.of(arguments[4]));
                } else {
                    System.out.println(errors);
                }
            }
            System.out.println("done");
        }
    }

    /** Uncompressed, which is quicker to write and to read. */
    private static void pack(Path folder, Path jar, Path base) throws IOException {
        try (ZipOutputStream out = new ZipOutputStream(new BufferedOutputStream(Files.newOutputStream(jar)));
            Stream<Path> found = Files.walk(folder); ZipFile others = new ZipFile(base.toFile())) {
            out.setLevel(Deflater.NO_COMPRESSION);
            Set<String> names = new HashSet<>();
            for (Path file : found.filter(Files::isRegularFile).toList()) {
                names.add(folder.relativize(file).toString());
                out.putNextEntry(new ZipEntry(folder.relativize(file).toString()));
                Files.copy(file, out);
            }
            for (ZipEntry entry : Collections.list(others.entries())) {
                if (!entry.isDirectory() && names.add(entry.getName())) {
                    out.putNextEntry(new ZipEntry(entry.getName()));
                    try (InputStream in = others.getInputStream(entry)) {
                        in.transferTo(out);
                    }
                }
            }
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import javax.tools.JavaCompiler;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;

/**
 * A compiler that stays, for {@code tests/mutants}: a compiler that has run before takes a third of the time.
 *
 * <p>Arguments: {@code CLASSPATH SOURCE FOLDER}. For each line on stdin it compiles SOURCE into FOLDER, and prints the errors
 * and then a line {@code done}. Warnings are none of its business.
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
                if (!compiled) {
                    System.out.println(errors);
                }
            }
            System.out.println("done");
        }
    }
}

// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import java.io.FileNotFoundException;
import java.io.UncheckedIOException;

/** What the crash reporter says of the errors that Java throws for lack of something, a line each: {@code ERROR: LINE}. */
final class ShowCrash {
    private ShowCrash() { }

    public static void main(String... arguments) throws InterruptedException {
        show("OutOfMemoryError", () -> {
            throw new OutOfMemoryError("Java heap space");
        });
        show("StackOverflowError", () -> deeper(0));
        // Another thread met the error first: this one is only told that there is no such class.
        inAnotherThread(NoMemory::use);
        show("memory, in a class that another thread initialized", NoMemory::use);
        inAnotherThread(NoStack::use);
        show("stack, in a class that another thread initialized", NoStack::use);
        show("OutOfMemoryError as a cause", () -> {
            throw new BootstrapMethodError("call site", new OutOfMemoryError("Metaspace"));
        });
        show("no thread", () -> {
            throw new OutOfMemoryError("unable to create native thread: possibly out of memory or process/resource limits"
                + " reached");
        });
        show("no class", () -> {
            throw new NoClassDefFoundError("tokenrequest/TokenRequest$Json");
        });
        show("no descriptor", () -> {
            throw new UncheckedIOException(new FileNotFoundException("/ca.pem (Too many open files)"));
        });
        show("anything else", () -> {
            throw new IllegalStateException("no such state");
        });
    }

    private static void show(String error, Runnable fault) {
        try {
            fault.run();
            System.out.println(error + ": none");
        } catch (Throwable e) {
            System.out.println(error + ": " + new TokenRequest.CrashReporter().text(e));
        }
    }

    private static void inAnotherThread(Runnable fault) throws InterruptedException {
        Thread thread = new Thread(() -> show("the other thread", fault));
        thread.start();
        thread.join();
    }

    private static int deeper(int depth) {
        return deeper(depth + 1) + 1;
    }

    private static final class NoMemory {
        static final int SIZE = size();

        private static int size() {
            throw new OutOfMemoryError("Java heap space");
        }

        static void use() { }
    }

    private static final class NoStack {
        static final int DEPTH = deeper(0);

        static void use() { }
    }
}

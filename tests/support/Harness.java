///usr/bin/env jbang "$0" "$@" ; exit $?
// SPDX-License-Identifier: Apache-2.0
//DESCRIPTION TokenRequest with a clock, a chance and a machine name that are the same in every run, for tests.
//JAVA 17+
//DEPS com.google.jimfs:jimfs:1.3.1
//SOURCES ../../TokenRequest.java
//SOURCES ArchiveFaults.java
//SOURCES CompareConfigurations.java
//SOURCES FaultCampaign.java
//SOURCES FaultProxy.java
//SOURCES JudgeCertificates.java
//SOURCES KerberosVectors.java
//SOURCES LoopbackPool.java
//SOURCES MethodVectors.java
//SOURCES MiddleMan.java
//SOURCES OtherSystem.java
//SOURCES PollSimulation.java
//SOURCES RandomInputs.java
//SOURCES ReadAgain.java
//SOURCES ShowConfiguration.java
//SOURCES ShowCrash.java
//SOURCES ShowPathTrust.java
//SOURCES SystemRoots.java
//SOURCES Vectors.java
//SOURCES Waits.java
//SOURCES WindowsBench.java
//SOURCES WindowsFiles.java
//SOURCES Workbench.java
//COMPILE_OPTIONS -Xlint:all

package tokenrequest;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.GeneralSecurityException;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.Instant;
import java.time.InstantSource;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * Another {@code main} around the same program, in which nobody waits: the clock stands still at the start of 2026 but
 * for what is slept, and sleeping takes no time. So an hour of polling passes in seconds, and what is printed is the
 * same in every run.
 *
 * <p>With {@code HARNESS_SPEED} the clock also runs, so many times as fast as a real one: a minute passes in a second.
 * {@code HARNESS_CLOCK} names a file with seconds by which the clock is ahead, as soon as it is there.
 *
 * <p>If the environment variable {@code HARNESS_SLEEPS} names a file, every sleep adds a line to it, in seconds. The
 * random numbers are predictable: never use this with a real pool.
 *
 * <p>The other support programs are named above as sources so that one build makes all of them.
 */
public final class Harness {
    private static final Instant START = Instant.parse("2026-01-01T00:00:00Z");
    private static final String MACHINE = "client.example";

    private Harness() { }

    public static void main(String... args) throws GeneralSecurityException {
        TokenRequest.ShutdownGuard handover = new TokenRequest.ShutdownGuard();
        handover.install();
        System.exit(TokenRequest.run(args, still(TokenRequest.Host.real()), handover));
    }

    /** This machine and user, with these things instead of the process's own. */
    static TokenRequest.Host host(InstantSource clock, SecureRandom random, TokenRequest.Sleeper sleeper,
            Map<String, String> environment, Path home, InputStream in, PrintStream out, PrintStream err) {
        TokenRequest.Host real = TokenRequest.Host.real();
        return new TokenRequest.Host(clock, random, sleeper, Map.copyOf(environment), real.name(), Optional.of(home),
            real.user(), real.uid(), TokenRequest.ArgumentParser.PROGRAM, in, out, err, stream -> false,
            real.platform());
    }

    /** The same, with a clock, a chance and a machine's name that are the same in every run. */
    static TokenRequest.Host still(TokenRequest.Host host) throws GeneralSecurityException {
        Time time = new Time(Optional.ofNullable(host.environment().get("HARNESS_SLEEPS")).map(Path::of),
            Integer.parseInt(host.environment().getOrDefault("HARNESS_SPEED", "0")),
            Optional.ofNullable(host.environment().get("HARNESS_CLOCK")).map(Path::of));
        return new TokenRequest.Host(time, seeded(), time, host.environment(), MACHINE, host.home(), host.user(),
            host.uid(), TokenRequest.ArgumentParser.PROGRAM, host.in(), host.out(), host.err(), host.terminal(),
            host.platform());
    }

    /** This provider draws from nothing but its seed if the seed comes first. */
    private static SecureRandom seeded() throws GeneralSecurityException {
        SecureRandom random = SecureRandom.getInstance("SHA1PRNG");
        random.setSeed(MACHINE.getBytes(UTF_8));
        return random;
    }

    /** A clock that only sleeping moves, or, if it has a speed, time as well. */
    private static final class Time implements InstantSource, TokenRequest.Sleeper {
        private final Optional<Path> sleeps;
        private final int speed;
        private final Optional<Path> ahead;
        private final long start = System.nanoTime();
        private volatile Instant now = START;

        Time(Optional<Path> sleeps, int speed, Optional<Path> ahead) {
            this.sleeps = sleeps;
            this.speed = speed;
            this.ahead = ahead;
        }

        @Override
        public Instant instant() {
            return now.plusNanos((System.nanoTime() - start) * speed).plusSeconds(ahead.filter(Files::exists).map(Time::read)
                .orElse(0L));
        }

        private static long read(Path file) {
            try {
                return Long.parseLong(Files.readString(file).strip());
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        @Override
        public synchronized void sleep(Duration duration) {
            now = now.plus(duration);
            sleeps.ifPresent(file -> record(file, duration));
        }

        private static void record(Path file, Duration duration) {
            try {
                Files.writeString(file, String.format(Locale.ROOT, "%.3f%n", duration.toMillis() / 1000.0),
                    StandardOpenOption.CREATE, StandardOpenOption.APPEND);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}

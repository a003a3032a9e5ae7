// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.PriorityQueue;
import java.util.Random;
import java.util.concurrent.SynchronousQueue;

/**
 * Many waits for approval in simulated time, with the program's own Poller: how soon a token arrives, how many polls that
 * takes, and what becomes of 200 clients at a pool that limits the rate. Prints one line {@code NAME VALUE...} for each result.
 *
 * <p>Every client is a thread, but only the one whose pause ends first runs, so a run has one order, given by the seed.
 */
public final class PollSimulation {
    private static final Instant START = Instant.parse("2026-01-01T00:00:00Z");
    /** condor_token_request polls in this interval. condor_tools/token_request.cpp */
    private static final double ORIGINAL_INTERVAL = 5;
    private static final int SAMPLES = 1000;
    private static final int CLIENTS = 200;
    /** Polls a second, of all clients. condor_daemon_core.V6/daemon_core_main.cpp, g_request_limit */
    private static final double LIMIT = 10;
    private static final Duration TIMEOUT = Duration.ofHours(1);

    private PollSimulation() { }

    public static void main(String... args) throws InterruptedException {
        delays("first-minute", 0, 60);
        delays("two-minutes", 0, 120);
        delays("after-ten-minutes", 600, 3000);
        polls();
        crowd("without-limit", Double.MAX_VALUE);
        crowd("with-limit", LIMIT);
    }

    /** Prints the medians of the time from approval to token, ours and the original's, for approvals within a span. */
    private static void delays(String name, double from, double to) throws InterruptedException {
        Random random = new Random(1);
        List<Double> ours = new ArrayList<>();
        List<Double> originals = new ArrayList<>();
        for (int i = 0; i < SAMPLES; i++) {
            double approved = from + (to - from) * (i + random.nextDouble()) / SAMPLES;
            Simulation simulation = new Simulation(Double.MAX_VALUE);
            Client client = simulation.client(i, 0, approved);
            simulation.run();
            ours.add(client.ended - approved);
            originals.add(ORIGINAL_INTERVAL - approved % ORIGINAL_INTERVAL);
        }
        System.out.printf(Locale.ROOT, "%s %.3f %.3f%n", name, median(ours), median(originals));
    }

    /** Prints the polls of an hour without approval, ours and the original's. */
    private static void polls() throws InterruptedException {
        Simulation simulation = new Simulation(Double.MAX_VALUE);
        Client client = simulation.client(1, 0, Double.MAX_VALUE);
        simulation.run();
        System.out.printf(Locale.ROOT, "polls %d %.0f%n", client.polls, TIMEOUT.toSeconds() / ORIGINAL_INTERVAL);
    }

    /** Prints of clients that start together: their tokens, the longest and the median delay, the polls that were refused. */
    private static void crowd(String name, double limit) throws InterruptedException {
        Random random = new Random(2);
        Simulation simulation = new Simulation(limit);
        List<Client> clients = new ArrayList<>();
        for (int i = 0; i < CLIENTS; i++) {
            clients.add(simulation.client(i, random.nextDouble(), 60 + 1200 * random.nextDouble()));
        }
        simulation.run();
        List<Double> delays = new ArrayList<>();
        for (Client client : clients) {
            if (client.hasToken) {
                delays.add(client.ended - client.approved);
            }
        }
        System.out.printf(Locale.ROOT, "%s %d %.1f %.1f %d%n", name, delays.size(),
            delays.stream().max(Comparator.naturalOrder()).orElse(-1.0), median(delays), simulation.limited);
    }

    private static double median(List<Double> values) {
        List<Double> sorted = values.stream().sorted().toList();
        return sorted.isEmpty() ? -1 : sorted.get(sorted.size() / 2);
    }

    /** The pool, the clock, and the clients in the order of their next step. */
    private static final class Simulation {
        /** The mean over which HTCondor's limit is taken, seconds. condor_daemon_core.V6/daemon_core_main.cpp */
        private static final double HORIZON = 10;
        private final double limit;
        private final PriorityQueue<Client> waiting = new PriorityQueue<>(Comparator.<Client>comparingDouble(one -> one.next)
            .thenComparingInt(one -> one.number));
        private final SynchronousQueue<Client> paused = new SynchronousQueue<>();
        private double now;
        private double rate;
        private double counted;
        private int limited;

        Simulation(double limit) {
            this.limit = limit;
        }

        Client client(int number, double start, double approved) {
            Client client = new Client(this, number, start, approved);
            waiting.add(client);
            return client;
        }

        /** Runs until every client has ended. */
        void run() throws InterruptedException {
            while (!waiting.isEmpty()) {
                Client client = waiting.remove();
                now = client.next;
                if (client.thread.getState() == Thread.State.NEW) {
                    client.thread.start();
                } else {
                    client.resumed.put(client);
                }
                Client back = paused.take();
                if (!back.isOver) {
                    waiting.add(back);
                }
            }
        }

        /** Whether the mean rate of polls, those included that it refused, exceeds the limit. */
        boolean exceedsLimit() {
            rate = rate * Math.exp(-(now - counted) / HORIZON) + 1 / HORIZON;
            counted = now;
            return rate > limit;
        }
    }

    /** A client that waits: the pool's side of its request, and the thread of its Poller. */
    private static final class Client implements TokenRequest.TokenService {
        private final Simulation simulation;
        private final int number;
        private final double approved;
        private final Thread thread = new Thread(this::await);
        private final SynchronousQueue<Client> resumed = new SynchronousQueue<>();
        private double next;
        private double ended;
        private int polls;
        private boolean hasToken;
        private boolean isOver;

        Client(Simulation simulation, int number, double start, double approved) {
            this.simulation = simulation;
            this.number = number;
            this.next = start;
            this.approved = approved;
            thread.setDaemon(true);
        }

        private Instant time() {
            return START.plusNanos((long) (simulation.now * 1e9));
        }

        private void await() {
            TokenRequest.RequestHandle handle = new TokenRequest.RequestHandle("1", new TokenRequest.Secret("1"));
            TokenRequest.WaitOptions options = new TokenRequest.WaitOptions(TIMEOUT, Optional.empty(), false, false);
            Instant start = time();
            try {
                new TokenRequest.Poller(this, this::time, this::sleep, new Random(number), options, event -> { }, () -> { })
                    .await(handle, TokenRequest.Poller.SHORTEST_PAUSE, start, start.plus(TIMEOUT));
                hasToken = true;
            } catch (TokenRequest.CommandException e) {
                hasToken = false; // the hour is over, or the pool's answers ended the wait
            }
            ended = simulation.now;
            isOver = true;
            try {
                simulation.paused.put(this);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }

        private void sleep(Duration pause) throws InterruptedException {
            next = simulation.now + pause.toNanos() / 1e9;
            simulation.paused.put(this);
            resumed.take();
        }

        @Override
        public TokenRequest.TokenReply poll(TokenRequest.RequestHandle handle) {
            polls++;
            if (simulation.exceedsLimit()) {
                simulation.limited++;
                return new TokenRequest.TokenReply.RateLimited();
            }
            return simulation.now < approved ? new TokenRequest.TokenReply.Pending()
                : new TokenRequest.TokenReply.Issued(handle.clientId(), new TokenRequest.AuthResult("SSL",
                    TokenRequest.ChannelBinding.BOUND, "AES", "", "", Optional.empty(), List.of()));
        }

        @Override
        public TokenRequest.SubmitResult start(TokenRequest.TokenSpec spec) {
            throw new UnsupportedOperationException();
        }

        @Override
        public TokenRequest.AuthResult verify(TokenRequest.Secret token, String state) {
            throw new UnsupportedOperationException();
        }

        @Override
        public Optional<String> trustDomain() {
            throw new UnsupportedOperationException();
        }
    }
}

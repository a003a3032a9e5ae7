// SPDX-License-Identifier: Apache-2.0

package tokenrequest;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.function.BooleanSupplier;

/**
 * A proxy on loopback that passes the connections of one session on, byte for byte, but for one fault at one byte.
 *
 * <p>Connections count from 0 in the order in which they begin, in either direction: those of the client, and those that
 * the pool makes to the client ({@link #dial}).
 */
final class FaultProxy implements AutoCloseable {
    /** What happens at a byte. */
    enum Kind {
        /** Both sides see the end of the connection. */
        CUT,
        /** Both sides see a reset. */
        RESET,
        /** The receiver sees the end; its own bytes still get through. */
        HALF_CLOSE,
        /** No further byte arrives, and the connection stays open. */
        STALL,
        /** One bit of the byte is changed. */
        FLIP,
        /** The byte arrives twice. */
        DUPLICATE,
        /** From here on each byte arrives alone. */
        DRIBBLE;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }
    }

    /** Where bytes go. */
    enum Direction {
        TO_SERVER, TO_CLIENT;

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT).replace('_', '-');
        }
    }

    /** @param offset of the byte in this direction of the connection, from 0 */
    record Fault(int connection, Direction direction, int offset, Kind kind) {
        @Override
        public String toString() {
            return kind + " " + connection + " " + direction + " " + offset;
        }
    }

    /** What a connection carried. */
    static final class Link {
        private final Socket client;
        private final Socket server;
        private final int[] carried = new int[Direction.values().length];
        private final ByteArrayOutputStream first = new ByteArrayOutputStream();
        private volatile boolean hasToken;
        private volatile boolean faulty;

        private Link(Socket client, Socket server) {
            this.client = client;
            this.server = server;
        }

        synchronized int carried(Direction direction) {
            return carried[direction.ordinal()];
        }

        private synchronized void carry(Direction direction, byte[] chunk, int bytes) {
            carried[direction.ordinal()] += bytes;
            if (direction == Direction.TO_SERVER && first.size() < FIRST_BYTES) {
                first.write(chunk, 0, bytes);
            }
        }

        /** The first bytes to the server, a character for each. */
        synchronized String first() {
            return first.toString(ISO_8859_1);
        }

        /** Whether it carried bytes to the client after the pool had made the token: perhaps the token. */
        boolean hasToken() {
            return hasToken;
        }

        private void close() {
            closeQuietly(client);
            closeQuietly(server);
        }
    }

    private static final int FIRST_BYTES = 4096;
    private final ServerSocket listener;
    private final int serverPort;
    private final BooleanSupplier issued;
    private final ExecutorService threads;
    private final List<Link> links = new CopyOnWriteArrayList<>();
    private volatile Optional<Fault> fault = Optional.empty();
    private int before;
    private volatile boolean fired;
    private volatile long lastByte = System.nanoTime();
    private volatile boolean closed;
    private volatile int heldConnection = -1;
    private volatile Runnable whileHeld = () -> { };
    private volatile Runnable atFault = () -> { };
    private volatile boolean isHeld;
    private volatile boolean wasHeld;

    /** @param issued whether the pool has made this session's token */
    FaultProxy(int serverPort, BooleanSupplier issued, ExecutorService threads) throws IOException {
        this.listener = new ServerSocket(0, 50, InetAddress.getByAddress(new byte[] {127, 0, 0, 1}));
        this.serverPort = serverPort;
        this.issued = issued;
        this.threads = threads;
        threads.execute(this::accept);
    }

    int port() {
        return listener.getLocalPort();
    }

    /** Counts the connections from here on from 0 again, and plans this fault for them. */
    synchronized void plan(Optional<Fault> next) {
        fault = next;
        before = links.size();
        fired = false;
    }

    /** Runs this once, before a connection of the client is passed on. It counts as {@link #plan}'s do, from now on. */
    void before(int connection, Runnable action) {
        whileHeld = action;
        heldConnection = connection;
    }

    /** Whether that has been run. */
    boolean wasHeld() {
        return wasHeld;
    }

    /** Runs this when the fault happens, before it does. */
    void atFault(Runnable action) {
        atFault = action;
    }

    private void hold() {
        if (heldConnection == links().size() && !wasHeld) {
            isHeld = true;
            wasHeld = true;
            whileHeld.run();
            lastByte = System.nanoTime();
            isHeld = false;
        }
    }

    /** The connections since the last plan. */
    synchronized List<Link> links() {
        return List.copyOf(links.subList(before, links.size()));
    }

    /** Whether the fault has happened. */
    boolean fired() {
        return fired;
    }

    /** Whether the fault keeps bytes back, the connection is still open, and nothing was passed on for so long. */
    boolean isStuck(long nanos) {
        return fired && !isHeld && fault.orElseThrow().kind() != Kind.DRIBBLE && System.nanoTime() - lastByte > nanos
            && links.stream().anyMatch(link -> link.faulty && !link.client.isClosed());
    }

    private void accept() {
        try {
            while (true) {
                Socket client = listener.accept();
                hold();
                try {
                    pass(client, new Socket(listener.getInetAddress(), serverPort));
                } catch (IOException e) {
                    closeQuietly(client); // a pool that has ended
                }
            }
        } catch (IOException e) {
            return; // closed
        }
    }

    /** Whether one of its connections to the server comes from this port. */
    boolean comesFrom(int port) {
        return links.stream().anyMatch(link -> link.server.getLocalPort() == port);
    }

    /** A connection to a client, for the server, through this proxy. */
    Socket dial(String host, int port) throws IOException {
        Socket client = new Socket(host, port);
        try (ServerSocket door = new ServerSocket(0, 1, listener.getInetAddress())) {
            Socket server = new Socket(door.getInetAddress(), door.getLocalPort());
            pass(client, door.accept());
            return server;
        }
    }

    private synchronized void pass(Socket client, Socket server) throws IOException {
        client.setTcpNoDelay(true);
        server.setTcpNoDelay(true);
        Link link = new Link(client, server);
        int number = links.size() - before;
        links.add(link);
        if (closed) {
            link.close();
            return;
        }
        Optional<Fault> planned = fault.filter(it -> it.connection() == number);
        threads.execute(() -> new Pump(link, Direction.TO_SERVER, planned).run(client, server));
        threads.execute(() -> new Pump(link, Direction.TO_CLIENT, planned).run(server, client));
    }

    /** One direction of one connection. */
    private final class Pump {
        private final Link link;
        private final Direction direction;
        private final Optional<Fault> fault;
        private boolean silent;
        private boolean dribbles;

        Pump(Link link, Direction direction, Optional<Fault> planned) {
            this.link = link;
            this.direction = direction;
            this.fault = planned.filter(it -> it.direction() == direction);
        }

        void run(Socket from, Socket to) {
            byte[] chunk = new byte[16 * 1024];
            try {
                InputStream in = from.getInputStream();
                OutputStream out = to.getOutputStream();
                for (int count = in.read(chunk); count >= 0; count = in.read(chunk)) {
                    // The pool makes a token before it sends it.
                    link.hasToken |= direction == Direction.TO_CLIENT && issued.getAsBoolean();
                    lastByte = System.nanoTime();
                    forward(chunk, count, from, to, out);
                    link.carry(direction, chunk, count);
                }
                if (!silent) {
                    to.shutdownOutput();
                }
            } catch (IOException e) {
                link.close();
            }
        }

        private void forward(byte[] chunk, int count, Socket from, Socket to, OutputStream out) throws IOException {
            int at = fault.map(it -> it.offset() - link.carried(direction)).orElse(-1);
            if (silent) {
                return;
            } else if (at >= 0 && at < count) {
                out.write(chunk, 0, at);
                fired = true;
                link.faulty = true;
                atFault.run();
                misbehave(chunk, at, from, to, out);
                if (!silent) {
                    write(chunk, at, count, out);
                }
            } else {
                write(chunk, 0, count, out);
            }
        }

        private void write(byte[] chunk, int start, int end, OutputStream out) throws IOException {
            if (!dribbles) {
                out.write(chunk, start, end - start);
                return;
            }
            for (int i = start; i < end; i++) {
                out.write(chunk, i, 1);
            }
        }

        private void misbehave(byte[] chunk, int at, Socket from, Socket to, OutputStream out) throws IOException {
            switch (fault.orElseThrow().kind()) {
                case CUT -> {
                    to.shutdownOutput();
                    from.shutdownOutput();
                    throw new IOException("cut");
                }
                case RESET -> {
                    to.setSoLinger(true, 0);
                    from.setSoLinger(true, 0);
                    throw new IOException("reset");
                }
                case HALF_CLOSE -> {
                    silent = true;
                    to.shutdownOutput();
                }
                case STALL -> silent = true;
                case FLIP -> chunk[at] ^= (byte) (1 << (fault.get().offset() * 5 & 7));
                case DUPLICATE -> out.write(chunk, at, 1);
                case DRIBBLE -> dribbles = true;
            }
        }
    }

    /** Ends the session: closes everything. */
    @Override
    public void close() {
        closed = true;
        try {
            listener.close();
        } catch (IOException e) {
            // It is of no further use.
        }
        links.forEach(Link::close);
    }

    private static void closeQuietly(Socket socket) {
        try {
            socket.close();
        } catch (IOException e) {
            return; // it is of no further use
        }
    }
}

///usr/bin/env jbang "$0" "$@" ; exit $?
// SPDX-License-Identifier: Apache-2.0
//DESCRIPTION Checks what TokenRequest sends and makes for MUNGE and FS_REMOTE, against known answers.
//JAVA 17+
//SOURCES ../../TokenRequest.java
//COMPILE_OPTIONS -Xlint:all

package tokenrequest;

import static java.nio.charset.StandardCharsets.ISO_8859_1;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.time.Duration;
import java.time.InstantSource;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * Checks the codec of munged's protocol and the names of FS_REMOTE: against known answers, and against damaged ones.
 *
 * <p>The only argument is the file of known answers. Every group of checks prints one line, {@code ok NAME} or
 * {@code not ok NAME: reason}; the exit status is 1 if any failed.
 */
public final class MethodVectors {
    private static final int HEADER_BYTES = 11;
    private final JsonNode vectors;

    private MethodVectors(JsonNode vectors) {
        this.vectors = vectors;
    }

    public static void main(String... args) throws IOException {
        if (args.length != 1) {
            System.err.println("usage: MethodVectors FILE");
            System.exit(2);
        }
        System.exit(new MethodVectors(new ObjectMapper().readTree(Path.of(args[0]).toFile())).run() ? 0 : 1);
    }

    /** The checks of a group. An exception is its failure. */
    private interface Check {
        void run() throws Exception;
    }

    private boolean run() {
        Map<String, Check> groups = new LinkedHashMap<>();
        groups.put("munged", this::munged);
        groups.put("damaged-munged", this::damagedMunged);
        groups.put("munge-conversation", this::conversation);
        groups.put("fs-remote-names", this::fsNames);
        boolean good = true;
        for (Map.Entry<String, Check> group : groups.entrySet()) {
            try {
                group.getValue().run();
                System.out.println("ok " + group.getKey());
            } catch (Exception | AssertionError e) {
                System.out.println("not ok " + group.getKey() + ": " + e);
                good = false;
            }
        }
        return good;
    }

    private static void equal(Object expected, Object actual, String what) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError(what + ": expected " + expected + ", got " + actual);
        }
    }

    private static void equal(byte[] expected, byte[] actual, String what) {
        equal(HexFormat.of().formatHex(expected), HexFormat.of().formatHex(actual), what);
    }

    private static byte[] bytes(JsonNode vector, String name) {
        return HexFormat.of().parseHex(vector.required(name).textValue());
    }

    private static TokenRequest.MungeDaemon daemon() {
        return new TokenRequest.MungeDaemon(Path.of("/nonexistent"),
            new TokenRequest.Deadline(InstantSource.system(), Duration.ofSeconds(10)), InstantSource.system());
    }

    private static ByteBuffer body(JsonNode vector) {
        byte[] reply = bytes(vector, "socket_reply");
        return ByteBuffer.wrap(Arrays.copyOfRange(reply, HEADER_BYTES, reply.length));
    }

    private void munged() throws Exception {
        int restricted = 0;
        for (JsonNode vector : vectors.required("munge")) {
            byte[] request = bytes(vector, "socket_request");
            int uid = ByteBuffer.wrap(request).getInt(HEADER_BYTES + 8);
            restricted += uid == -1 ? 0 : 1;
            equal(request, TokenRequest.MungeDaemon.request(bytes(vector, "W"),
                uid == -1 ? OptionalLong.empty() : OptionalLong.of(Integer.toUnsignedLong(uid))), "request");
            equal(vector.required("credential").textValue(), daemon().credential(body(vector)), "credential");
            equal(bytes(vector, "session_key"), TokenRequest.KeyDerivation.unwrap(bytes(vector, "wrapped"), bytes(vector, "W")),
                "session key");
        }
        equal(1, restricted, "credentials for one user");
    }

    /** Every body that is cut off, or that has a wrong byte where no text is, is refused in an orderly way. */
    private void damagedMunged() throws Exception {
        byte[] whole = body(vectors.required("munge").get(0)).array();
        for (int length = 0; length < whole.length; length++) {
            refused(Arrays.copyOf(whole, length), "cut off at " + length);
        }
        refused(Arrays.copyOf(whole, whole.length + 1), "one byte too many");
        for (int i = 0; i < 6; i++) {
            for (int bit = 0; bit < 8; bit++) {
                byte[] damaged = whole.clone();
                damaged[i] ^= (byte) (1 << bit);
                refused(damaged, "bit " + bit + " of byte " + i);
            }
        }
        for (String text : new String[] {"", "MUNGE:", "MUNGE::", "MUNGE:x", "munge:x:", "MUNGE:a\0b:", "MUNGE:\u00e9:",
            " MUNGE:x:"}) {
            byte[] credential = text.getBytes(ISO_8859_1);
            refused(ByteBuffer.allocate(6 + credential.length).putShort((short) 0).putInt(credential.length).put(credential)
                .array(), "credential " + text);
        }
    }

    private static void refused(byte[] body, String what) {
        try {
            throw new AssertionError(what + " was taken for " + daemon().credential(ByteBuffer.wrap(body)));
        } catch (IOException e) {
            equal(TokenRequest.ProtocolViolation.class, e.getClass(), what);
        }
    }

    /** The recorded client's message, and what the recorded server's key message comes to. */
    private void conversation() throws Exception {
        JsonNode recorded = vectors.required("munge_messages");
        JsonNode vector = vectors.required("munge").get(1);
        JsonNode messages = recorded.required("messages");
        ByteArrayOutputStream sent = new ByteArrayOutputStream();
        TokenRequest.CedarStream stream = stream(new byte[0], sent);
        stream.send(stream.message().number(0).string(daemon().credential(body(vector))));
        equal(HexFormat.of().parseHex(messages.get(2).required("body").textValue()),
            Arrays.copyOfRange(sent.toByteArray(), TokenRequest.Protocol.HEADER_BYTES, sent.size()), "the client's message");
        TokenRequest.MessageReader key = new TokenRequest.MessageReader(
            HexFormat.of().parseHex(messages.get(5).required("body").textValue()), false, "key");
        equal(32L, key.number(), "length of the key");
        equal(3L, key.number(), "cipher");
        key.number();
        equal(bytes(vector, "session_key"), TokenRequest.KeyDerivation.unwrap(key.counted(), bytes(vector, "W")), "session key");
        key.end();
    }

    private static TokenRequest.CedarStream stream(byte[] in, OutputStream out) {
        return new TokenRequest.CedarStream(new ByteArrayInputStream(in), out, new SecureRandom(), TokenRequest.DebugLog.off());
    }

    private void fsNames() throws Exception {
        for (JsonNode vector : vectors.required("fs_names")) {
            TokenRequest.PolicyReply reply = new TokenRequest.PolicyReply(new TokenRequest.ClassAd()
                .put("RemoteVersion", "$CondorVersion: " + vector.required("server").textValue() + " 2026-01-01 BuildID: 1 $"));
            String peer = vector.required("peer").textValue();
            int colon = peer.lastIndexOf(':');
            TokenRequest.FileSystemAccess method = new TokenRequest.FileSystemAccess(
                TokenRequest.AuthMethod.named(vector.required("method").textValue()).orElseThrow(),
                vector.required("parent").textValue(), new InetSocketAddress(InetAddress.getByName(peer.substring(0, colon)),
                    Integer.parseInt(peer.substring(colon + 1))), reply.isBefore(25, 14) ? Optional.empty()
                    : Optional.ofNullable(vector.required("sock").textValue()),
                vector.required("enforce").booleanValue(), Optional.empty(), Optional.empty());
            Optional<TokenRequest.FileSystemAccess.RequestedDirectory> requested = requested(method, vector);
            equal(Optional.ofNullable(vector.required("create").textValue()),
                requested.map(wanted -> wanted.directory().toString()), vector.toString());
            equal(Optional.ofNullable(vector.required("send").path(1).textValue()),
                requested.flatMap(TokenRequest.FileSystemAccess.RequestedDirectory::extension), vector.toString());
        }
    }

    private static Optional<TokenRequest.FileSystemAccess.RequestedDirectory> requested(TokenRequest.FileSystemAccess method,
            JsonNode vector) {
        try {
            return Optional.of(method.parse(vector.required("name").textValue()));
        } catch (TokenRequest.AuthenticationException e) {
            return Optional.empty();
        }
    }
}

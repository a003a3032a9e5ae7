///usr/bin/env jbang "$0" "$@" ; exit $?
// SPDX-License-Identifier: Apache-2.0
//DESCRIPTION Checks what TokenRequest does for KERBEROS without JGSS, against known answers.
//JAVA 17+
//SOURCES ../../TokenRequest.java
//COMPILE_OPTIONS -Xlint:all

package tokenrequest;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/**
 * Checks decryption and credential caches: against known answers, and against damaged ones.
 *
 * <p>The first argument is the file of known answers, the second an empty directory. Every group of checks prints one line,
 * {@code ok NAME} or {@code not ok NAME: reason}; the exit status is 1 if any failed.
 *
 * <p>With {@code kcm FILE SOCKET} it plays the daemon of the recorded conversation to one client instead.
 */
public final class KerberosVectors {
    private final JsonNode vectors;

    private KerberosVectors(JsonNode vectors) {
        this.vectors = vectors;
    }

    public static void main(String... args) throws IOException {
        if (args.length == 3 && args[0].equals("kcm")) {
            new KerberosVectors(new ObjectMapper().readTree(Path.of(args[1]).toFile())).playKcm(Path.of(args[2]));
            return;
        }
        if (args.length != 1) {
            System.err.println("usage: KerberosVectors FILE");
            System.exit(2);
        }
        System.exit(new KerberosVectors(new ObjectMapper().readTree(Path.of(args[0]).toFile())).run() ? 0 : 1);
    }

    /** The checks of a group. An exception is its failure. */
    private interface Check {
        void run() throws Exception;
    }

    private boolean run() {
        Map<String, Check> groups = new LinkedHashMap<>();
        groups.put("encryption", this::encryption);
        groups.put("folding", this::folding);
        groups.put("wrapped-keys", this::wrappedKeys);
        groups.put("damaged-keys", this::damagedKeys);
        groups.put("cache", this::cache);
        groups.put("damaged-caches", this::damagedCaches);
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

    private static byte[] bytes(JsonNode node, String field) {
        return HexFormat.of().parseHex(node.required(field).textValue());
    }

    private void encryption() throws GeneralSecurityException {
        int count = 0;
        for (JsonNode vector : vectors.required("encrypt")) {
            int type = vector.required("etype").intValue();
            byte[] key = bytes(vector, "ticket_session_key");
            byte[] text = bytes(vector, "ciphertext");
            int usage = vector.required("usage").intValue();
            equal(bytes(vector, "plaintext"), TokenRequest.KerberosCipher.decrypt(type, key, usage, text), "type " + type);
            for (int i = 0; i < text.length; i++) {
                byte[] changed = text.clone();
                changed[i] ^= 1;
                refuse(type, key, usage, changed, "type " + type + " with bit flipped in byte " + i);
                refuse(type, key, usage, Arrays.copyOf(text, i), "type " + type + " cut after " + i);
            }
            refuse(type, key, usage + 1, text, "type " + type + " with another usage");
            count++;
        }
        equal(6, count, "types");
    }

    private static void refuse(int type, byte[] key, int usage, byte[] text, String what) {
        try {
            TokenRequest.KerberosCipher.decrypt(type, key, usage, text);
        } catch (GeneralSecurityException e) {
            return;
        }
        throw new AssertionError(what + " is accepted");
    }

    private void folding() {
        for (JsonNode vector : vectors.required("nfold_128")) {
            equal(bytes(vector, "out"), TokenRequest.KerberosCipher.nFold(bytes(vector, "in"), 16), "n-fold");
        }
        // RFC 3961, A.1: some of these carry more than once.
        String[][] published = {{"012345", "be072631276b1955"}, {"password", "78a07b6caf85fa"}, {"Q",
            "518a54a215a8452a518a54a215a8452a518a54a215"}, {"Rough Consensus, and Running Code", "bb6ed30870b7f0e0"},
            {"MASSACHVSETTS INSTITVTE OF TECHNOLOGY", "db3b0d8f0b061e603282b308a50841229ad798fab9540c1b"}};
        for (String[] one : published) {
            byte[] folded = HexFormat.of().parseHex(one[1]);
            equal(folded, TokenRequest.KerberosCipher.nFold(one[0].getBytes(StandardCharsets.US_ASCII), folded.length), one[0]);
        }
    }

    private void wrappedKeys() throws IOException {
        for (JsonNode vector : vectors.required("unwrap")) {
            int type = vector.required("etype").intValue();
            equal(bytes(vector, "session_key"), TokenRequest.Kerberos.unwrap(bytes(vector, "wrapped"), type,
                bytes(vector, "ticket_session_key")), vector.required("server").textValue() + ", type " + type);
            refuse(bytes(vector, "wrapped"), type, bytes(vector, "subkey_not_to_be_used"), "the subkey");
        }
    }

    private static void refuse(byte[] wrapped, int type, byte[] key, String what) throws IOException {
        try {
            TokenRequest.Kerberos.unwrap(wrapped, type, key);
        } catch (TokenRequest.ProtocolViolation e) {
            return;
        }
        throw new AssertionError(what + " is accepted");
    }

    private void damagedKeys() throws IOException {
        for (JsonNode vector : vectors.required("unwrap")) {
            int type = vector.required("etype").intValue();
            byte[] wrapped = bytes(vector, "wrapped");
            byte[] key = bytes(vector, "ticket_session_key");
            for (int i = 0; i < wrapped.length; i++) {
                refuse(Arrays.copyOf(wrapped, i), type, key, "a key of " + i + " bytes");
                byte[] changed = wrapped.clone();
                changed[i] ^= (byte) 0x80;
                boolean isVersion = i / Integer.BYTES == 1; // the version of the key is not used
                if (!isVersion) {
                    refuse(changed, type, key, "a key with a bit flipped in byte " + i);
                }
            }
            refuse(Arrays.copyOf(wrapped, wrapped.length + 1), type, key, "a key with a byte too many");
            refuse(wrapped, type == 17 ? 18 : 17, key, "a key of another type");
        }
    }

    private TokenRequest.CredentialCache parsed(byte[] bytes) throws IOException {
        return TokenRequest.CredentialCache.parse("FILE:test", bytes);
    }

    private void cache() throws IOException {
        byte[] file = bytes(vectors.required("ccache_file"), "hex");
        check(parsed(file));
        // The format before has no header, and the type of a key twice.
        String hex = HexFormat.of().formatHex(file);
        String principal = principalOfCache(hex);
        int settings = hex.indexOf(principal) + principal.length();
        int tickets = hex.indexOf(principal, settings + principal.length());
        check(parsed(HexFormat.of().parseHex("0503" + principal + hex.substring(tickets)
            .replace("001200000020", "0012001200000020"))));
    }

    /** The principal of the user, as it begins the file behind the header and each ticket. */
    private static String principalOfCache(String hex) {
        return hex.substring(2 * 16, 2 * (16 + 8 + 4 + 9 + 4 + 5));
    }

    private static void check(TokenRequest.CredentialCache cache) {
        equal("alice@POOL.TEST", cache.principal(), "principal");
        equal(List.of("krbtgt/POOL.TEST@POOL.TEST", "host/cm25.pool.test@POOL.TEST"),
            cache.tickets().stream().map(TokenRequest.CredentialCache.CachedTicket::server).toList(), "servers");
        equal(0x00C10000, cache.tickets().get(0).flags() >>> 0, "flags of the first ticket");
        for (TokenRequest.CredentialCache.CachedTicket ticket : cache.tickets()) {
            equal("alice@POOL.TEST", ticket.client(), "client");
            equal(18, ticket.keyType(), "type of the key");
            equal(32, ticket.key().length, "length of the key");
            equal(1795650466L, ticket.authTime(), "time of the login");
            equal(1795686466L, ticket.endTime(), "end");
            equal((byte) 0x61, ticket.encoded()[0], "tag of a ticket");
        }
        equal(true, cache.ticketGranting().isPresent(), "a ticket that gets others");
    }

    /** Nothing but its own exception may come of a damaged file, whatever its lengths say. */
    private void damagedCaches() {
        byte[] file = bytes(vectors.required("ccache_file"), "hex");
        int refused = 0;
        for (int i = 0; i < file.length; i++) {
            refused += read(Arrays.copyOf(file, i));
            for (int bits : new int[] {0x01, 0x80, 0xFF}) {
                byte[] changed = file.clone();
                changed[i] ^= (byte) bits;
                refused += read(changed);
            }
        }
        equal(true, refused > 100, "some are refused");
    }

    private int read(byte[] file) {
        try {
            parsed(file);
            return 0;
        } catch (IOException e) {
            return 1;
        }
    }

    private void playKcm(Path socket) throws IOException {
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(socket));
            try (SocketChannel client = server.accept()) {
                for (JsonNode message : vectors.required("kcm").required("exchange")) {
                    ByteBuffer recorded = ByteBuffer.wrap(bytes(message, "hex"));
                    if (message.required("from").textValue().equals("server")) {
                        while (recorded.hasRemaining()) {
                            client.write(recorded);
                        }
                        continue;
                    }
                    ByteBuffer received = ByteBuffer.allocate(recorded.remaining());
                    while (received.hasRemaining() && client.read(received) >= 0) {
                        continue;
                    }
                    if (!received.flip().equals(recorded)) {
                        break; // the client asks for something else, or has asked for all that it wants
                    }
                }
            }
        } finally {
            Files.deleteIfExists(socket);
        }
    }
}

///usr/bin/env jbang "$0" "$@" ; exit $?
// SPDX-License-Identifier: Apache-2.0
//DESCRIPTION Checks how TokenRequest reads and writes HTCondor's protocol against bytes recorded from live servers.
//JAVA 17+
//SOURCES ../../TokenRequest.java
//SOURCES LoopbackPool.java
//COMPILE_OPTIONS -Xlint:all

package tokenrequest;

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.StringReader;
import java.lang.reflect.Field;
import java.math.BigInteger;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.security.AlgorithmParameters;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.spec.ECGenParameterSpec;
import java.security.spec.ECParameterSpec;
import java.security.spec.ECPoint;
import java.security.spec.ECPrivateKeySpec;
import java.security.spec.ECPublicKeySpec;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.TreeMap;
import javax.crypto.Cipher;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * Checks TokenRequest's lower rooms: against known answers, and against what a hostile peer might send.
 *
 * <p>The only argument is the file of known answers. Every group of checks prints one line, {@code ok NAME} or
 * {@code not ok NAME: why}; the exit status is 1 if any failed.
 */
public final class Vectors {
    private final JsonNode vectors;
    private final JsonNode oldSessions;

    private Vectors(JsonNode vectors, JsonNode oldSessions) {
        this.vectors = vectors;
        this.oldSessions = oldSessions;
    }

    public static void main(String... args) throws IOException {
        if (args.length != 1) {
            System.err.println("usage: Vectors FILE");
            System.exit(2);
        }
        Path file = Path.of(args[0]);
        Vectors checks = new Vectors(new ObjectMapper().readTree(file.toFile()), new ObjectMapper().readTree(
            file.resolveSibling("old_ciphers.json").toFile()).required("old_cipher_sessions"));
        System.exit(checks.run() ? 0 : 1);
    }

    /** What a group does. Anything that it throws is its failure. */
    private interface Check {
        void run() throws Exception;
    }

    private boolean run() {
        Map<String, Check> groups = new LinkedHashMap<>();
        groups.put("scalars", this::scalars);
        groups.put("ad-strings", this::adStrings);
        groups.put("ad-messages", this::adMessages);
        groups.put("ad-values", this::adValues);
        groups.put("ad-private", this::adPrivate);
        groups.put("method-words", AuthMethods::check);
        groups.put("ecdh", this::ecdh);
        groups.put("ecdh-bad-points", this::badPoints);
        groups.put("sealing", this::sealing);
        groups.put("nonces", this::nonces);
        groups.put("packet-limits", this::packetLimits);
        groups.put("transcripts", this::transcripts);
        groups.put("wrapped-keys", this::wrappedKeys);
        groups.put("old-ciphers", this::oldCiphers);
        groups.put("old-ciphers-tampered", this::oldCiphersTampered);
        groups.put("akep2", this::akep2);
        groups.put("akep2-conversation", this::akep2Conversation);
        groups.put("akep2-refused", this::akep2Refused);
        groups.put("sinful", this::sinful);
        groups.put("sinful-invalid", this::sinfulInvalid);
        groups.put("fs-names", this::fsNames);
        groups.put("json-strings", this::jsonStrings);
        groups.put("json-numbers", this::jsonNumbers);
        groups.put("saved-requests", this::savedRequests);
        groups.put("tokens", this::tokens);
        groups.put("releases", this::releases);
        groups.put("secrets", this::secrets);
        groups.put("hostile-headers", this::hostileHeaders);
        groups.put("hostile-cut-off", this::cutOff);
        groups.put("hostile-lengths", this::hostileLengths);
        groups.put("hostile-flipped-bits", this::flippedBits);
        boolean good = true;
        for (Map.Entry<String, Check> group : groups.entrySet()) {
            good &= report(group.getKey(), group.getValue());
        }
        return good;
    }

    private static boolean report(String name, Check check) {
        try {
            check.run();
            System.out.println("ok " + name);
            return true;
        } catch (Exception | AssertionError e) {
            System.out.println("not ok " + name + ": " + e);
            return false;
        }
    }

    // ---- Assertions and conversions ----

    private static void equal(Object expected, Object actual, String what) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError(what + ": expected " + expected + ", got " + actual);
        }
    }

    private static void equal(byte[] expected, byte[] actual, String what) {
        equal(hex(expected), hex(actual), what);
    }

    /** The check must be refused as a violation of the protocol, and in no other way. */
    private static void refused(Check check, String what) throws Exception {
        try {
            check.run();
        } catch (TokenRequest.ProtocolViolation e) {
            return;
        }
        throw new AssertionError(what + " is accepted");
    }

    private static String hex(byte[] bytes) {
        return HexFormat.of().formatHex(bytes);
    }

    private static byte[] bytes(JsonNode node, String field) {
        return HexFormat.of().parseHex(node.required(field).textValue());
    }

    private static byte[] flipped(byte[] bytes, int index) {
        byte[] copy = bytes.clone();
        copy[index] ^= 1;
        return copy;
    }

    private static byte[] header(int end, int length) {
        return ByteBuffer.allocate(TokenRequest.Protocol.HEADER_BYTES).put((byte) end).putInt(length).array();
    }

    private static TokenRequest.CedarStream stream(byte[] in, OutputStream out) {
        return stream(new ByteArrayInputStream(in), out);
    }

    private static TokenRequest.CedarStream stream(InputStream in, OutputStream out) {
        return new TokenRequest.CedarStream(in, out, new SecureRandom(),
            TokenRequest.DebugLog.off());
    }

    private static TokenRequest.MessageReader reader(byte[] bytes, boolean encrypted) {
        return new TokenRequest.MessageReader(bytes, encrypted, "test");
    }

    // ---- Values and ads ----

    private void scalars() throws IOException {
        for (JsonNode vector : vectors.required("scalars")) {
            String name = vector.required("name").textValue();
            byte[] wire = bytes(vector, "hex");
            boolean encrypted = vector.path("length_prefix").booleanValue() || name.endsWith(", stream encrypting");
            TokenRequest.Message message = new TokenRequest.Message(encrypted);
            TokenRequest.MessageReader reader = reader(wire, encrypted);
            if (vector.has("int")) {
                equal(vector.get("int").longValue(), reader.number(), name);
                equal(wire, message.number(vector.get("int").longValue()).toBytes(), name);
            } else if (vector.get("string").isNull()) {
                equal("", reader.string(), name); // only ever read
            } else {
                equal(vector.get("string").textValue(), reader.string(), name);
                equal(wire, message.string(vector.get("string").textValue()).toBytes(), name);
            }
            reader.end();
        }
    }

    private void adStrings() throws IOException {
        for (JsonNode vector : vectors.required("classad_strings")) {
            String value = vector.required("value").textValue();
            String text = vector.required("text").textValue();
            equal(Optional.of(text), new TokenRequest.ClassAd().put("A", value).expression("A"), "writing " + value);
            TokenRequest.ClassAd ad = new TokenRequest.ClassAd();
            ad.parse("A = " + text);
            equal(Optional.of(value), ad.string("a"), "reading " + text);
        }
    }

    /** Numbers have at most 18 digits; names have no case, and the last value of a name counts. */
    private void adValues() throws Exception {
        String[] whole = {"0", "7", "-7", "999999999999999999", "-999999999999999999"};
        for (String number : whole) {
            equal(OptionalLong.of(Long.parseLong(number)), parsed("A = " + number).integer("a"), number);
        }
        for (String none : new String[] {"", "-", "+1", "1.0", "1e3", "0x1", "\"1\"", "1000000000000000000",
            "9223372036854775808", "123456789012345678901234567890", "-123456789012345678901234567890", "true"}) {
            equal(OptionalLong.empty(), parsed("A = " + none).integer("a"), "no integer: " + none);
        }
        TokenRequest.ClassAd ad = parsed("Name = 1", "Other = 2", "NAME = 3");
        equal(List.of("Other = 2", "NAME = 3"), ad.assignments(), "the last of two values of a name");
        equal(OptionalLong.of(3), ad.integer("name"), "a name in other letters");
        equal(true, parsed("A = True").isTrue("a") && parsed("A = FALSE").isFalse("a"), "truth in any letters");
        equal(false, parsed("A = \"true\"").isTrue("a") || parsed("A = 0").isFalse("a"), "what is no truth value");
        for (String none : new String[] {"\"", "\"open", "open\"", "bare", ""}) {
            equal(Optional.empty(), parsed("A = " + none).string("a"), "no string: " + none);
        }
        for (String nameless : new String[] {"", "text", "= 1", " = 1"}) {
            try {
                parsed(nameless);
            } catch (TokenRequest.ProtocolViolation e) {
                continue;
            }
            throw new AssertionError("an attribute without a name is read: " + nameless);
        }
        TokenRequest.ClassAd many = new TokenRequest.ClassAd();
        for (int i = 0; i < 1000; i++) {
            many.put("A" + i, "a");
        }
        equal(51, many.shown().size(), "lines of a large ad in the log");
        equal(new byte[] {'a', (byte) 0xc3, (byte) 0xa9, 0}, new TokenRequest.Message(false).string("a\u00e9").toBytes(),
            "a string in UTF-8");
        for (String nul : new String[] {"\0", "a\0", "\0b", "a\0User = \"root\""}) {
            try {
                new TokenRequest.ClassAd().put("A", nul);
            } catch (IllegalArgumentException e) {
                continue;
            }
            throw new AssertionError("a NUL, which ends a string for the server, is sent");
        }
    }

    private static TokenRequest.ClassAd parsed(String... assignments) throws IOException {
        TokenRequest.ClassAd ad = new TokenRequest.ClassAd();
        for (String assignment : assignments) {
            ad.parse(assignment);
        }
        return ad;
    }

    /** A marker precedes a private attribute; the two count once. condor_utils/classad_oldnew.cpp */
    private void adPrivate() throws Exception {
        for (boolean encrypted : new boolean[] {false, true}) {
            byte[] wire = new TokenRequest.Message(encrypted).number(3).string("A = 1").string("ZKM").string("Secret = \"x\"")
                .string("B = 2").string("").string("").toBytes();
            TokenRequest.MessageReader reader = reader(wire, encrypted);
            TokenRequest.ClassAd ad = reader.ad();
            reader.end();
            equal(List.of("A = 1", "Secret = \"x\"", "B = 2"), ad.assignments(), "an ad with a private attribute");
        }
    }

    /** Bits and words of the methods. condor_includes/condor_auth.h, condor_io/condor_secman.cpp */
    private static final class AuthMethods {
        private AuthMethods() { }

        static void check() {
            Map<String, Integer> bits = new TreeMap<>(Map.of("CLAIMTOBE", 2, "FS", 4, "FS_REMOTE", 8, "NTSSPI", 16,
                "KERBEROS", 64, "ANONYMOUS", 128, "SSL", 256, "PASSWORD", 512, "MUNGE", 1024, "TOKEN", 2048));
            bits.put("SCITOKENS", 4096);
            for (TokenRequest.AuthMethod method : TokenRequest.AuthMethod.values()) {
                equal(bits.remove(method.name()), method.bit, method.name());
                equal(Optional.of(method), TokenRequest.AuthMethod.fromWire(method.bit), method.name());
                equal(Optional.of(method), TokenRequest.AuthMethod.named(method.name().toLowerCase(Locale.ROOT)), method.name());
            }
            equal(Map.of(), bits, "methods that are missing");
            for (String word : new String[] {"IDTOKENS", "IDTOKEN", "TOKENS", "token"}) {
                equal(Optional.of(TokenRequest.AuthMethod.TOKEN), TokenRequest.AuthMethod.named(word), word);
            }
            equal(Optional.of(TokenRequest.AuthMethod.SCITOKENS), TokenRequest.AuthMethod.named("scitoken"), "scitoken");
            for (long bit : new long[] {0, 1, 3, 6, 32, 8192, -2, 1L << 32, Long.MIN_VALUE}) {
                equal(Optional.empty(), TokenRequest.AuthMethod.fromWire(bit), "the bit " + bit);
            }
            for (String word : new String[] {"", "GSI", "FS REMOTE", "IDTOKENSS"}) {
                equal(Optional.empty(), TokenRequest.AuthMethod.named(word), word);
            }
        }
    }

    private void adMessages() throws IOException {
        for (JsonNode vector : vectors.required("classad_messages")) {
            String name = vector.required("server").textValue() + " " + vector.required("name").textValue();
            byte[] payload = bytes(vector, "payload");
            boolean encrypted = vector.required("strings_have_length").booleanValue();
            TokenRequest.MessageReader reader = reader(payload, encrypted);
            TokenRequest.Message message = new TokenRequest.Message(encrypted);
            if (!vector.required("leading_int").isNull()) {
                equal(vector.get("leading_int").longValue(), reader.number(), name);
                message.number(vector.get("leading_int").longValue());
            }
            TokenRequest.ClassAd ad = reader.ad();
            reader.end();
            equal(payload, message.ad(expectedAd(vector.required("ad"), ad, name)).toBytes(), name);
        }
    }

    /** Compares an ad, and makes another like it from the expectation. */
    private static TokenRequest.ClassAd expectedAd(JsonNode expected, TokenRequest.ClassAd actual, String name) {
        TokenRequest.ClassAd copy = new TokenRequest.ClassAd();
        expected.properties().forEach(field -> {
            String attribute = field.getKey();
            JsonNode value = field.getValue();
            if (value.isTextual()) {
                equal(Optional.of(value.textValue()), actual.string(attribute), name + ", " + attribute);
                copy.put(attribute, value.textValue());
            } else if (value.isIntegralNumber()) {
                equal(value.longValue(), actual.integer(attribute).orElseThrow(), name + ", " + attribute);
                copy.put(attribute, value.longValue());
            } else {
                equal(Optional.of(value.asText()), actual.expression(attribute), name + ", " + attribute);
                copy.putExpression(attribute, value.asText());
            }
        });
        equal(expected.size(), actual.assignments().size(), name + ", number of attributes");
        return copy;
    }

    // ---- Keys ----

    private void ecdh() throws GeneralSecurityException, IOException {
        for (JsonNode vector : vectors.required("ecdh")) {
            String name = vector.required("server").textValue() + " " + vector.required("cipher").textValue();
            equal(vector.required("client_public_attribute").textValue(),
                TokenRequest.KeyDerivation.encodePoint(publicKey(bytes(vector, "client_public_point"))), name);
            byte[] key = TokenRequest.KeyDerivation.agree(privateKey(vector), base64(bytes(vector, "server_public_point")));
            byte[] expected = bytes(vector, "session_key");
            equal(expected, Arrays.copyOf(key, expected.length), name); // old ciphers use less of the same stream
        }
    }

    private void badPoints() throws Exception {
        JsonNode vector = vectors.required("ecdh").get(0);
        PrivateKey ours = privateKey(vector);
        byte[] point = bytes(vector, "server_public_point");
        byte[] infinity = new byte[point.length];
        infinity[0] = 4;
        Map<String, byte[]> bad = new TreeMap<>(Map.of("no point", new byte[0], "a point cut off",
            Arrays.copyOf(point, point.length - 1), "a point too long", Arrays.copyOf(point, point.length + 1),
            "a compressed point", compressed(point), "zero", infinity, "a point off the curve",
            flipped(point, point.length - 1), "coordinates beyond the field", beyondTheField(point.length)));
        for (Map.Entry<String, byte[]> entry : bad.entrySet()) {
            refused(() -> TokenRequest.KeyDerivation.agree(ours, base64(entry.getValue())), entry.getKey());
        }
        refused(() -> TokenRequest.KeyDerivation.agree(ours, "not base64!"), "no base64");
    }

    private static byte[] compressed(byte[] point) {
        byte[] bytes = Arrays.copyOf(point, 33);
        bytes[0] = (byte) (2 + (point[point.length - 1] & 1));
        return bytes;
    }

    private static byte[] beyondTheField(int length) {
        byte[] bytes = new byte[length];
        Arrays.fill(bytes, (byte) 0xFF);
        bytes[0] = 4;
        return bytes;
    }

    private static String base64(byte[] bytes) {
        return Base64.getEncoder().encodeToString(bytes);
    }

    private static ECParameterSpec curve() throws GeneralSecurityException {
        AlgorithmParameters parameters = AlgorithmParameters.getInstance("EC");
        parameters.init(new ECGenParameterSpec("secp256r1"));
        return parameters.getParameterSpec(ECParameterSpec.class);
    }

    private static PrivateKey privateKey(JsonNode vector) throws GeneralSecurityException {
        BigInteger value = new BigInteger(1, bytes(vector, "client_private"));
        return KeyFactory.getInstance("EC").generatePrivate(new ECPrivateKeySpec(value, curve()));
    }

    private static PublicKey publicKey(byte[] point) throws GeneralSecurityException {
        ECPoint place = new ECPoint(new BigInteger(1, Arrays.copyOfRange(point, 1, 33)),
            new BigInteger(1, Arrays.copyOfRange(point, 33, 65)));
        return KeyFactory.getInstance("EC").generatePublic(new ECPublicKeySpec(place, curve()));
    }

    /**
     * The cipher that wraps keys also encrypted whole packets once, so a recorded packet of that time checks it. How a
     * longer key is folded is checked against the loopback pool, which folds on its own.
     */
    private void wrappedKeys() {
        for (JsonNode vector : vectors.required("old_ciphers")) {
            if (vector.required("cipher").textValue().equals("3DES")) {
                equal(bytes(vector, "plaintext"), TokenRequest.KeyDerivation.unwrap(bytes(vector, "ciphertext"),
                    bytes(vector, "key")), vector.required("server").textValue());
            }
        }
        SecureRandom random = new SecureRandom();
        for (int length : new int[] {8, 20, 24, 25, 32, 256}) {
            byte[] methodKey = new byte[length];
            byte[] key = new byte[TokenRequest.Protocol.KEY_BYTES];
            random.nextBytes(methodKey);
            random.nextBytes(key);
            byte[] wrapped = new LoopbackPool.Proof(TokenRequest.AuthMethod.SSL, "", methodKey).wrap(key);
            equal(key, TokenRequest.KeyDerivation.unwrap(wrapped, methodKey), "a method key of " + length + " bytes");
        }
    }

    // ---- Sessions with BLOWFISH and 3DES ----

    private static TokenRequest.SessionCipher oldCipher(JsonNode session) {
        return session.required("cipher").textValue().equals("3DES") ? TokenRequest.SessionCipher.TRIPLE_DES
            : TokenRequest.SessionCipher.BLOWFISH;
    }

    private void oldCiphers() throws IOException {
        int messages = 0;
        for (JsonNode session : oldSessions) {
            JsonNode keys = session.required("key_message");
            TokenRequest.SessionCipher cipher = oldCipher(session);
            byte[] key = bytes(keys, "key");
            equal(key, TokenRequest.KeyDerivation.unwrap(bytes(keys, "wrapped"), bytes(keys, "w")), "the session key");
            equal(keys.required("length").intValue(), cipher.keyBytes, "the key's length");
            equal(keys.required("cipher").intValue(), cipher.number, "the cipher's number");
            TokenRequest.LegacyCipher opener = new TokenRequest.LegacyCipher(cipher, key);
            TokenRequest.LegacyCipher sealer = new TokenRequest.LegacyCipher(cipher, key);
            for (JsonNode message : session.required("messages")) {
                byte[] plain = new byte[0];
                for (JsonNode frame : message.required("frames")) {
                    byte[] packet = HexFormat.of().parseHex(frame.textValue());
                    byte[] header = Arrays.copyOf(packet, 5);
                    byte[] body = Arrays.copyOfRange(packet, 5, packet.length);
                    byte[] opened = opener.decrypt(header, body, "packet");
                    equal(body, sealer.encrypt(header, opened), "encrypting again");
                    plain = TokenRequest.concat(plain, opened);
                }
                equal(bytes(message, "plaintext"), plain, "a message");
                messages++;
            }
        }
        equal(28, messages, "the number of messages");
    }

    /** A packet of which one bit differs, or which another key made, is refused. */
    private void oldCiphersTampered() throws Exception {
        for (JsonNode session : oldSessions) {
            byte[] key = bytes(session.required("key_message"), "key");
            byte[] packet = HexFormat.of().parseHex(session.required("messages").get(0).required("frames").get(0).textValue());
            byte[] header = Arrays.copyOf(packet, 5);
            for (int at = 5; at < packet.length; at++) {
                byte[] body = Arrays.copyOfRange(packet, 5, packet.length);
                body[at - 5] ^= 1;
                refused(() -> new TokenRequest.LegacyCipher(oldCipher(session), key).decrypt(header, body, "packet"),
                    "a flipped bit in byte " + at);
            }
            byte[] other = key.clone();
            other[0] ^= 2; // 3DES ignores the lowest bit, the MAC does not
            refused(() -> new TokenRequest.LegacyCipher(oldCipher(session), other)
                .decrypt(header, Arrays.copyOfRange(packet, 5, packet.length), "packet"), "another key");
        }
    }

    // ---- Sealing ----

    private void sealing() throws IOException {
        Map<String, TokenRequest.AesGcmCipher> openers = new HashMap<>();
        Map<String, TokenRequest.AesGcmCipher> sealers = new HashMap<>();
        for (JsonNode vector : vectors.required("aes_gcm_frames")) {
            Packet packet = Packet.of(vector);
            String name = packet.direction() + ", packet " + packet.counter();
            TokenRequest.AesGcmCipher opener =
                openers.computeIfAbsent(packet.direction(), direction -> packet.sealing(new byte[0]));
            TokenRequest.AesGcmCipher sealer =
                sealers.computeIfAbsent(packet.direction(), direction -> packet.sealing(packet.iv()));
            equal(packet.plain(), opener.decrypt(packet.header(), packet.body(), "packet"), "opening " + name);
            equal(packet.body().length - packet.plain().length, sealer.overhead(), "overhead of " + name);
            equal(packet.body(), sealer.encrypt(packet.header(), packet.plain()), "sealing " + name);
        }
    }

    /**
     * Three packets of one stream, opened with Java's own AES-GCM by the rules that the recorded packets follow: each has the
     * nonce that its number gives, so no two have the same; and no two streams begin with the same.
     */
    private void nonces() throws Exception {
        byte[] key = bytes(vectors.required("aes_gcm_frames").get(0), "key");
        Set<String> first = new HashSet<>();
        for (int round = 0; round < 20; round++) {
            first.add(nonces(key, new SecureRandom()).get(0));
        }
        equal(20, first.size(), "first nonces of 20 streams");
        byte[] drawn = HexFormat.of().parseHex("fffffffe0102030405060708090a0b0c"); // so that the sum runs over
        equal(List.of("fffffffe", "ffffffff", "00000000"), nonces(key, new Drawn(drawn)).stream()
            .map(nonce -> nonce.substring(0, 8)).toList(), "the number of the packet in its nonce");
        TokenRequest.AesGcmCipher worn = new TokenRequest.AesGcmCipher(key, drawn, new byte[0]);
        Field counter = TokenRequest.AesGcmCipher.class.getDeclaredField("counter");
        counter.setAccessible(true);
        counter.setLong(worn, 0xFFFF_FFFFL); // the next nonces would be those of the beginning
        try {
            worn.encrypt(header(1, 17), new byte[1]);
        } catch (AssertionError e) {
            return;
        }
        throw new AssertionError("a key encrypts more packets than it has nonces");
    }

    private static List<String> nonces(byte[] key, SecureRandom random) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        TokenRequest.CedarStream stream = new TokenRequest.CedarStream(InputStream.nullInputStream(), out, random,
            TokenRequest.DebugLog.off());
        stream.encrypt(key);
        for (int i = 0; i < 3; i++) {
            stream.send(stream.message().number(i));
        }
        ByteBuffer packets = ByteBuffer.wrap(out.toByteArray());
        byte[] iv = new byte[16];
        List<String> nonces = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            byte[] header = new byte[5];
            packets.get(header);
            byte[] body = new byte[ByteBuffer.wrap(header, 1, 4).getInt()];
            packets.get(body);
            int start = i == 0 ? 16 : 0;
            iv = i == 0 ? Arrays.copyOf(body, 16) : iv;
            byte[] nonce = iv.clone();
            ByteBuffer.wrap(nonce).putInt(ByteBuffer.wrap(iv).getInt() + i);
            Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
            cipher.init(Cipher.DECRYPT_MODE, new SecretKeySpec(key, "AES"), new GCMParameterSpec(128, nonce));
            if (i == 0) {
                cipher.updateAAD(new byte[64]); // neither side has said anything in the clear
            }
            cipher.updateAAD(header);
            equal((long) i, ByteBuffer.wrap(cipher.doFinal(body, start, body.length - start)).getLong(), "packet " + i);
            nonces.add(hex(nonce));
        }
        equal(0, packets.remaining(), "bytes after the third packet");
        return nonces;
    }

    /** What is longer than HTCondor accepts is not sent; what is shorter than a tag is refused; so is a negative length. */
    private void packetLimits() throws Exception {
        refused(() -> stream(new byte[0], OutputStream.nullOutputStream()).send(new byte[(1 << 20) + 1], 1),
            "a message of our own of more than a megabyte");
        byte[] key = bytes(vectors.required("aes_gcm_frames").get(0), "key");
        for (int length : new int[] {1, 15, 16, 31}) {
            TokenRequest.CedarStream stream = stream(TokenRequest.concat(header(1, length), new byte[length]),
                OutputStream.nullOutputStream());
            stream.encrypt(key);
            refused(() -> stream.receive("test"), "an encrypted packet of " + length + " bytes");
        }
        for (int length : new int[] {-1, Integer.MIN_VALUE, 5, Integer.MAX_VALUE}) {
            refused(() -> reader(new byte[4], false).raw(length), "a field of " + length + " bytes");
            refused(() -> reader(new TokenRequest.Message(false).number(length).raw(new byte[4]).toBytes(), false).counted(),
                "a counted field of " + length + " bytes");
        }
        refused(() -> reader(new TokenRequest.Message(false).number(-1L << 40).toBytes(), false).counted(), "a length of -2^40");
        byte[] packet = TokenRequest.concat(header(0, 1 << 20), new byte[1 << 20]);
        byte[] endless = new byte[0];
        for (int i = 0; i < 4; i++) {
            endless = TokenRequest.concat(endless, packet);
        }
        byte[] long4 = TokenRequest.concat(endless, header(1, 1));
        refused(() -> stream(TokenRequest.concat(long4, new byte[1]), OutputStream.nullOutputStream()).receive("test"),
            "a message of more than four megabytes");
    }

    /** One recorded packet; {@code iv} is that of the packet itself, the base if the counter is 0. */
    private record Packet(String direction, int counter, byte[] key, byte[] iv, byte[] handshake, byte[] plain,
                          byte[] header, byte[] body) {
        static Packet of(JsonNode vector) {
            int counter = vector.required("counter").intValue();
            byte[] frame = bytes(vector, "frame");
            byte[] handshake = counter > 0 ? new byte[0]
                : TokenRequest.concat(bytes(vector, "digest_sender_sent"), bytes(vector, "digest_sender_received"));
            return new Packet(vector.required("sender").textValue() + " " + vector.required("key").textValue(), counter,
                bytes(vector, "key"), bytes(vector, "iv"), handshake, bytes(vector, "plaintext"),
                Arrays.copyOf(frame, TokenRequest.Protocol.HEADER_BYTES),
                Arrays.copyOfRange(frame, TokenRequest.Protocol.HEADER_BYTES, frame.length));
        }

        TokenRequest.AesGcmCipher sealing(byte[] baseIv) {
            return new TokenRequest.AesGcmCipher(key, baseIv, handshake);
        }
    }

    // ---- Whole conversations ----

    private void transcripts() throws GeneralSecurityException, IOException {
        for (JsonNode vector : vectors.required("transcripts")) {
            String name = vector.required("server").textValue() + " " + vector.required("what").textValue();
            byte[] key = bytes(vector, "session_key");
            replay(vector, "client", key, name);
            replay(vector, "server", key, name);
        }
    }

    /** Plays one side: what it sent in the clear must come out as recorded, what it received must make sense. */
    private static void replay(JsonNode vector, String side, byte[] key, String name)
            throws GeneralSecurityException, IOException {
        JsonNode frames = vector.required("frames");
        ByteArrayOutputStream expectedOut = new ByteArrayOutputStream();
        ByteArrayOutputStream in = new ByteArrayOutputStream();
        for (JsonNode frame : frames) {
            if (!frame.required("from").textValue().equals(side)) {
                in.writeBytes(bytes(frame, "frame"));
            } else if (!frame.required("encrypted").booleanValue()) {
                expectedOut.writeBytes(bytes(frame, "frame"));
            }
        }
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        InputStream received = new ByteArrayInputStream(in.toByteArray());
        TokenRequest.CedarStream stream = stream(received, out);
        Map<String, TokenRequest.ClassAd> heard = new HashMap<>();
        boolean sharedPort = vector.required("what").textValue().contains("shared port");
        for (int i = 0; i < frames.size(); i++) {
            JsonNode frame = frames.get(i);
            boolean encrypted = frame.required("encrypted").booleanValue();
            if (encrypted && !stream.encrypted()) {
                stream.encrypt(key);
            }
            if (!frame.required("from").textValue().equals(side)) {
                hear(stream.receive("frame"), i, encrypted, heard);
            } else if (!encrypted) {
                byte[] bytes = bytes(frame, "frame");
                byte[] body = Arrays.copyOfRange(bytes, TokenRequest.Protocol.HEADER_BYTES, bytes.length);
                stream.send(stream.message().raw(body));
            }
            if (sharedPort && i == 0) {
                stream = stream(received, out); // the target of a shared port never sees the request for it
            }
        }
        equal(expectedOut.toByteArray(), out.toByteArray(), name + ": what the " + side + " sent");
        judge(heard, side, vector, key, name);
    }

    /** Keeps the ads: the server's policy, which is the first long clear message, and whatever came encrypted. */
    private static void hear(TokenRequest.MessageReader message, int index, boolean encrypted,
            Map<String, TokenRequest.ClassAd> heard) throws IOException {
        if (encrypted) {
            TokenRequest.ClassAd ad = message.ad();
            message.end();
            heard.put(ad.expression("ReturnCode").isPresent() ? "admission"
                : ad.expression("ClientId").isPresent() ? "request" : "reply", ad);
        } else if (index > 0 && !heard.containsKey("policy") && !message.atEnd()) {
            heard.put("policy", tryAd(message));
        }
    }

    private static TokenRequest.ClassAd tryAd(TokenRequest.MessageReader message) {
        try {
            return message.ad();
        } catch (TokenRequest.ProtocolViolation e) {
            return new TokenRequest.ClassAd();
        }
    }

    private static void judge(Map<String, TokenRequest.ClassAd> heard, String side, JsonNode vector, byte[] key,
            String name) throws GeneralSecurityException, IOException {
        if (side.equals("server")) {
            equal(true, heard.get("request").string("User").isPresent(), name + ": the request names a user");
            return;
        }
        equal(key, TokenRequest.KeyDerivation.agree(privateKey(vector), heard.get("policy").string("ECDHPublicKey").orElse("")),
            name + ": session key");
        equal(Optional.of("AUTHORIZED"), heard.get("admission").string("ReturnCode"), name + ": admission");
        equal(true, heard.get("reply").string("RequestId").orElse("").matches("[0-9]{7}"), name + ": request ID");
    }

    // ---- AKEP2 ----

    private void akep2() {
        for (JsonNode vector : vectors.required("akep2_token")) {
            String name = vector.required("server").textValue();
            String a = vector.required("client_name").textValue();
            byte[] key = TokenRequest.IdToken.sharedKey(token(vector));
            equal(bytes(vector, "k"), key, name + ": K");
            equal(bytes(vector, "hkt"), TokenRequest.Akep2.serverProof(key, a,
                vector.required("server_name").textValue(), bytes(vector, "ra"), bytes(vector, "rb")), name + ": HKT");
            equal(bytes(vector, "hk"), TokenRequest.Akep2.clientProof(key, a, bytes(vector, "rb")), name + ": HK");
        }
        for (JsonNode vector : vectors.required("akep2_password")) {
            String name = vector.required("server").textValue();
            String a = vector.required("client_name").textValue();
            byte[] password = vector.required("password").textValue().getBytes(UTF_8);
            byte[] key = TokenRequest.Password.key(TokenRequest.Protocol.AKEP2_SEED_A, password);
            equal(bytes(vector, "k"), key, name + ": K of a password");
            equal(bytes(vector, "hkt"), TokenRequest.Akep2.serverProof(key, a,
                vector.required("server_name").textValue(), bytes(vector, "ra"), bytes(vector, "rb")), name + ": HKT");
            equal(bytes(vector, "hk"), TokenRequest.Akep2.clientProof(key, a, bytes(vector, "rb")), name + ": HK");
            equal(bytes(vector, "w"), TokenRequest.KeyDerivation.hmac("HmacSHA1", TokenRequest.Password.key(
                TokenRequest.Protocol.AKEP2_SEED_B, password), bytes(vector, "rb")), name + ": W");
        }
        equal(bytes(vectors.required("akep2_constants"), "seed_ka"),
            Base64.getMimeDecoder().decode(TokenRequest.Protocol.AKEP2_SEED_A), "the constant A");
        equal(bytes(vectors.required("akep2_constants"), "seed_kb"),
            Base64.getMimeDecoder().decode(TokenRequest.Protocol.AKEP2_SEED_B), "the constant B");
    }

    /** With the recorded challenge, the method must say what the recorded client said. */
    private void akep2Conversation() throws IOException, TokenRequest.AuthenticationException {
        for (JsonNode vector : vectors.required("akep2_token")) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            byte[] methodKey = new TokenRequest.IdToken(token(vector), new Drawn(bytes(vector, "ra")))
                .authenticate(stream(bytes(vector, "frame_server_1"), out)).key();
            equal(TokenRequest.concat(bytes(vector, "frame_client_1"), bytes(vector, "frame_client_2")),
                out.toByteArray(), vector.required("server").textValue());
            equal(0, methodKey.length, "length of the method's key, which is public");
        }
    }

    /**
     * A server that knows the key, but answers to another name, to other random bytes, or with too few of its own, proves
     * nothing: its proof could be one that it saw elsewhere.
     */
    private void akep2Refused() throws Exception {
        JsonNode vector = vectors.required("akep2_token").get(0);
        String a = vector.required("client_name").textValue();
        String b = vector.required("server_name").textValue();
        byte[] ra = bytes(vector, "ra");
        byte[] rb = bytes(vector, "rb");
        equal("", akep2Objection(vector, 0, a, a, b, ra, ra, rb, 0), "the answer of the real server");
        String unproved = "the pool could not prove that it knows the key";
        equal(unproved, akep2Objection(vector, 0, "b" + a, "b" + a, b, ra, ra, rb, 0), "an answer to another name");
        equal(unproved, akep2Objection(vector, 0, "b" + a, a, b, ra, ra, rb, 0), "an answer that names another");
        equal(unproved, akep2Objection(vector, 0, a, a, b, flipped(ra, 0), ra, rb, 0), "an answer to other random bytes");
        equal(unproved, akep2Objection(vector, 0, a, a, b, flipped(ra, 9), flipped(ra, 9), rb, 0), "a proof of another login");
        equal(unproved, akep2Objection(vector, 0, a, a, b, ra, ra, Arrays.copyOf(rb, 16), 0), "few random bytes");
        equal(unproved, akep2Objection(vector, 0, a, a, b, ra, ra, new byte[0], 0), "no random bytes");
        equal(unproved, akep2Objection(vector, 0, a, a, b, ra, ra, rb, 1), "a proof that is none");
        equal("the pool does not accept", akep2Objection(vector, -1, a, a, b, ra, ra, rb, 0), "a refusal");
        Set<String> drawn = new HashSet<>();
        for (int round = 0; round < 5; round++) {
            ByteArrayOutputStream out = new ByteArrayOutputStream();
            try {
                new TokenRequest.IdToken(token(vector), new SecureRandom()).authenticate(stream(new byte[0], out));
            } catch (EOFException e) {
                byte[] sent = out.toByteArray();
                drawn.add(hex(Arrays.copyOfRange(sent, sent.length - 256, sent.length)));
            }
        }
        equal(5, drawn.size(), "random bytes of five logins");
    }

    /**
     * The start of the client's objection to an answer; blank if it is satisfied.
     *
     * @param echoedA  the client's name in the answer
     * @param provedA  the client's name in the server's proof
     * @param echoedRa the client's random bytes in the answer
     * @param provedRa those in the server's proof
     * @param flip     changes the proof
     */
    private static String akep2Objection(JsonNode vector, int status, String echoedA, String provedA, String b, byte[] echoedRa,
            byte[] provedRa, byte[] rb, int flip) throws IOException {
        byte[] hkt = TokenRequest.Akep2.serverProof(bytes(vector, "k"), provedA, b, provedRa, rb);
        hkt[0] ^= (byte) flip;
        ByteArrayOutputStream server = new ByteArrayOutputStream();
        TokenRequest.CedarStream answer = stream(new byte[0], server);
        answer.send(answer.message().number(status).number(echoedA.length()).string(echoedA).number(b.length()).string(b)
            .counted(echoedRa).counted(rb).counted(hkt));
        try {
            new TokenRequest.IdToken(token(vector), new Drawn(bytes(vector, "ra")))
                .authenticate(stream(server.toByteArray(), OutputStream.nullOutputStream()));
            return "";
        } catch (TokenRequest.AuthenticationException e) {
            return e.getMessage().replaceFirst("^(the pool (could not prove that it knows the key|does not accept)).*", "$1");
        }
    }

    private static TokenRequest.IssuedToken token(JsonNode vector) {
        return TokenRequest.IssuedToken.read(vector.required("signed_part").textValue() + "."
            + Base64.getUrlEncoder().withoutPadding().encodeToString(bytes(vector, "signature"))).orElseThrow();
    }

    /** Draws one known number. */
    private static final class Drawn extends SecureRandom {
        private static final long serialVersionUID = 1L;
        private final byte[] number;

        Drawn(byte[] number) {
            this.number = number.clone();
        }

        @Override
        public void nextBytes(byte[] bytes) {
            System.arraycopy(number, 0, bytes, 0, bytes.length);
        }
    }

    // ---- Addresses ----

    private void sinful() {
        for (JsonNode vector : vectors.required("sinful")) {
            String text = vector.required("text").textValue();
            TokenRequest.Sinful address = TokenRequest.Sinful.parse(text).orElseThrow(() -> new AssertionError(text));
            equal(vector.required("host").textValue(), address.host(), text);
            equal(vector.required("port").intValue(), address.port(), text);
            Map<String, String> parameters = new TreeMap<>();
            vector.required("params").properties()
                .forEach(parameter -> parameters.put(parameter.getKey(), parameter.getValue().textValue()));
            equal(parameters, new TreeMap<>(address.parameters()), text);
        }
    }

    private void sinfulInvalid() {
        for (JsonNode vector : vectors.required("sinful_invalid")) {
            equal(Optional.empty(), TokenRequest.Sinful.parse(vector.textValue()), vector.textValue());
        }
        equal(Optional.empty(), TokenRequest.Sinful.parse("<127.0.0.1:1?alias=" + "a".repeat(1 << 20) + ">"),
            "an address of a megabyte");
        for (String octal : new String[] {"127.0.0.01", "0177.0.0.1", "00.0.0.0"}) {
            equal(Optional.empty(), TokenRequest.NumericAddress.address(octal), octal);
        }
        // A daemon behind a broker is not known to be on this machine, whatever its address says.
        TokenRequest.Sinful here = TokenRequest.Sinful.parse("<127.0.0.1:1>").orElseThrow();
        TokenRequest.NameSource typed = TokenRequest.NameSource.COMMAND_LINE;
        TokenRequest.ExpectedServer server = new TokenRequest.ExpectedServer(Optional.empty(), typed);
        List<InetSocketAddress> local = List.of(new InetSocketAddress(InetAddress.getLoopbackAddress(), 1));
        equal(true, new TokenRequest.Target(here, typed, server, local, List.of()).isLocal(), "here");
        equal(false, new TokenRequest.Target(here, typed, server, List.of(),
            List.of("<127.0.0.1:2>#1")).isLocal(), "behind a broker");
    }

    private static TokenRequest.PolicyReply reply(String release) {
        return new TokenRequest.PolicyReply(new TokenRequest.ClassAd().put("RemoteVersion", "$CondorVersion: " + release));
    }

    private void releases() {
        for (String old : new String[] {"25.13.9 2026-01-01", "9.0.1 x", "24.99.1 x", "30.1", "30", "x.1.1", "30.x.1", ""}) {
            equal(true, reply(old).isBefore(25, 14), "before 25.14: " + old);
        }
        for (String late : new String[] {"25.14.0 2026-01-01", "25.15.1 x", "26.0.0 x"}) {
            equal(false, reply(late).isBefore(25, 14), "not before 25.14: " + late);
        }
    }

    private void fsNames() throws Exception {
        for (JsonNode vector : vectors.required("fs_names")) {
            String version = vector.required("server").textValue();
            TokenRequest.PolicyReply reply = new TokenRequest.PolicyReply(new TokenRequest.ClassAd()
                .put("RemoteVersion", version.isEmpty() ? "" : "$CondorVersion: " + version + " 2026-01-01 BuildID: 1 $"));
            TokenRequest.FileSystemAccess method = new TokenRequest.FileSystemAccess(
                TokenRequest.AuthMethod.FS, vector.required("parent").textValue(), address(vector.required("peer").textValue()),
                reply.isBefore(25, 14) ? Optional.empty() : Optional.ofNullable(vector.required("sock").textValue()),
                vector.required("enforce").booleanValue(), Optional.empty(), Optional.empty());
            equal(Optional.ofNullable(vector.required("create").textValue()), requested(method, vector)
                .map(wanted -> wanted.directory().toString()), vector.toString());
            equal(Optional.ofNullable(vector.required("send").path(1).textValue()), requested(method, vector)
                .flatMap(TokenRequest.FileSystemAccess.RequestedDirectory::extension), vector.toString());
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

    /** What is written {@code ip:port}, with an IPv6 address in brackets. */
    private static InetSocketAddress address(String text) throws UnknownHostException {
        int colon = text.lastIndexOf(':');
        return new InetSocketAddress(InetAddress.getByName(text.substring(0, colon)),
            Integer.parseInt(text.substring(colon + 1)));
    }

    // ---- A hostile peer ----

    private void hostileHeaders() throws Exception {
        byte[] body = "x\0".getBytes(UTF_8);
        for (int end = 1; end <= TokenRequest.Protocol.END_FLAG_MAX; end++) {
            equal("x", stream(TokenRequest.concat(header(end, body.length), body), OutputStream.nullOutputStream())
                .receive("packet").string(), "end flag " + end);
        }
        for (int end : new int[] {TokenRequest.Protocol.END_FLAG_MAX + 1, 127, -1, -128}) {
            refused(() -> stream(TokenRequest.concat(header(end, body.length), body), OutputStream.nullOutputStream())
                .receive("packet"), "end flag " + end);
        }
        int tooLong = TokenRequest.Protocol.BODY_MAX_BYTES + 1;
        for (int length : new int[] {0, -1, Integer.MIN_VALUE, Integer.MAX_VALUE, tooLong}) {
            refused(() -> stream(TokenRequest.concat(header(1, length), body), OutputStream.nullOutputStream())
                .receive("packet"), "packet of " + length + " bytes");
        }
        endless();
    }

    /** A message that never ends must be given up before it fills the memory. */
    private static void endless() throws Exception {
        byte[] packet = TokenRequest.concat(header(0, TokenRequest.Protocol.BODY_MAX_BYTES),
            new byte[TokenRequest.Protocol.BODY_MAX_BYTES]);
        int packets = TokenRequest.Protocol.MESSAGE_MAX_BYTES / TokenRequest.Protocol.BODY_MAX_BYTES + 1;
        ByteArrayOutputStream in = new ByteArrayOutputStream();
        for (int i = 0; i < packets; i++) {
            in.writeBytes(packet);
        }
        refused(() -> stream(in.toByteArray(), OutputStream.nullOutputStream()).receive("message"),
            "an endless message");
    }

    /** Every recorded message, cut off everywhere: within a packet that ends the connection, else it is a violation. */
    private void cutOff() throws Exception {
        for (JsonNode vector : vectors.required("classad_messages")) {
            byte[] payload = bytes(vector, "payload");
            boolean encrypted = vector.required("strings_have_length").booleanValue();
            for (int length = 0; length < payload.length; length++) {
                byte[] shorter = Arrays.copyOf(payload, length);
                refused(() -> readMessage(vector, reader(shorter, encrypted)), "a message cut off after " + length);
                endOfConnection(Arrays.copyOf(TokenRequest.concat(header(1, payload.length), payload), length));
            }
            byte[] longer = Arrays.copyOf(payload, payload.length + 1);
            refused(() -> readMessage(vector, reader(longer, encrypted)), "a message that is too long");
        }
    }

    private static void readMessage(JsonNode vector, TokenRequest.MessageReader reader) throws IOException {
        if (!vector.required("leading_int").isNull()) {
            reader.number();
        }
        reader.ad();
        reader.end();
    }

    private static void endOfConnection(byte[] bytes) throws IOException {
        try {
            stream(bytes, OutputStream.nullOutputStream()).receive("packet");
        } catch (EOFException e) {
            return;
        }
        throw new AssertionError("a packet cut off after " + bytes.length + " bytes is accepted");
    }

    private void hostileLengths() throws Exception {
        byte[] text = "abc\0".getBytes(UTF_8);
        long lowHalfRight = 1L << 32 | text.length;
        for (long length : new long[] {0, -1, text.length - 1, text.length + 1, Integer.MAX_VALUE, lowHalfRight,
            Long.MAX_VALUE, Long.MIN_VALUE}) {
            byte[] wire = new TokenRequest.Message(true).number(length).raw(text).toBytes();
            refused(() -> reader(wire, true).string(), "a string of length " + length);
        }
        for (long length : new long[] {-1, text.length + 1, Integer.MAX_VALUE, lowHalfRight, Long.MAX_VALUE,
            Long.MIN_VALUE}) {
            byte[] wire = new TokenRequest.Message(false).number(length).raw(text).toBytes();
            refused(() -> reader(wire, false).counted(), "a field of length " + length);
        }
        for (long count : new long[] {-1, 0, 2, TokenRequest.Protocol.AD_MAX_ATTRIBUTES + 1L, Long.MAX_VALUE}) {
            byte[] wire = new TokenRequest.Message(false).number(count).string("A = 1").string("").string("").toBytes();
            refused(() -> {
                TokenRequest.MessageReader reader = reader(wire, false);
                reader.ad();
                reader.end();
            }, "an ad of " + count + " attributes that has one");
        }
        refused(() -> new TokenRequest.ClassAd().parse("= 1"), "an attribute without a name");
        refused(() -> new TokenRequest.ClassAd().parse("no sign"), "an attribute without a value");
    }

    /** Every byte that is authenticated, changed by one bit: header, IV, text, tag, both digests of the handshake. */
    private void flippedBits() throws Exception {
        for (JsonNode vector : vectors.required("aes_gcm_frames")) {
            Packet packet = Packet.of(vector);
            if (packet.counter() > 0) {
                continue;
            }
            for (int i = 0; i < packet.body().length; i++) {
                byte[] body = flipped(packet.body(), i);
                refused(() -> packet.sealing(new byte[0]).decrypt(packet.header(), body, "packet"),
                    "a flipped bit in byte " + i);
            }
            for (int i = 0; i < packet.header().length; i++) {
                byte[] header = flipped(packet.header(), i);
                refused(() -> packet.sealing(new byte[0]).decrypt(header, packet.body(), "packet"),
                    "a header flipped at " + i);
            }
            for (int i = 0; i < packet.handshake().length; i++) {
                TokenRequest.AesGcmCipher sealing = new TokenRequest.AesGcmCipher(packet.key(), new byte[0],
                    flipped(packet.handshake(), i));
                refused(() -> sealing.decrypt(packet.header(), packet.body(), "packet"), "a digest flipped at " + i);
            }
            refused(() -> packet.sealing(new byte[0]).decrypt(packet.header(),
                Arrays.copyOf(packet.body(), TokenRequest.Protocol.IV_BYTES), "packet"), "a packet without its tag");
        }
    }

    // ---- JSON ----

    private void jsonStrings() throws Exception {
        for (int c = 0; c <= Character.MAX_CODE_POINT; c += c < 0x3000 || c >= 0xD700 && c < 0x10000 ? 1 : 97) {
            jsonString(Character.toString(c), "U+" + Integer.toHexString(c));
        }
        for (int tag = 0xE0000; tag < 0xE0080; tag++) { // Cf beyond the first 65536
            jsonString(Character.toString(tag), "U+" + Integer.toHexString(tag));
        }
        jsonString("\uDC00\uD800", "surrogates in the wrong order");
        equal("{\"a\":\"\\u001B\\u007F\\u00AD\\uD800\\u2028\\u2029\\n\"}\n",
            TokenRequest.Json.line(Map.of("a", "\u001B\u007F\u00AD\uD800\u2028\u2029\n")), "control characters");
        equal("{\"a\":[],\"b\":{},\"c\":null}\n", TokenRequest.Json.line(new TreeMap<>(Map.of("a", List.of(), "b", Map.of(),
            "c", Optional.empty()))), "what is empty");
    }

    /** Whatever is in a string, its line is ASCII that can be printed, and the readers read the same string from it. */
    private static void jsonString(String string, String what) throws IOException {
        String line = TokenRequest.Json.line(Map.of(string, string));
        equal(true, line.substring(0, line.length() - 1).chars().allMatch(c -> c >= ' ' && c <= '~'), what);
        equal(Optional.of(Map.of(string, string)), TokenRequest.Json.flat(line), what);
        if (UTF_8.newEncoder().canEncode(string)) { // Jackson reads no lone surrogates
            equal(Map.of(string, string), TokenRequest.Json.object(new StringReader(line)), what);
        }
    }

    private void jsonNumbers() throws Exception {
        for (String number : new String[] {"0", "-1", "9007199254740993", "9223372036854775807",
            "123456789012345678901234567890", "1.5", "0.1", "1E+400", "-1E-7"}) {
            String line = "{\"a\":" + number + "}\n";
            equal(line, TokenRequest.Json.line(TokenRequest.Json.object(new StringReader(line))), number);
        }
        equal(Optional.of(Map.of("a", 1.5e9, "b", List.of("x"))), TokenRequest.Json.flat(
            quoted("{'a':1.5e9,'b':['x'],'c':null}")), "a flat object");
        for (String bad : new String[] {"NaN", "Infinity", "-Infinity", "0x1p3", "1d", "1f", "nul", "", "-", "[", "{", "\"",
            "\"\\u00\"", "1,", "1}", "\"\n\""}) {
            equal(Optional.empty(), TokenRequest.Json.flat("{\"a\":" + bad + "}"), "the flat reader on " + bad);
            noJson("{\"a\":" + bad + "}");
        }
        for (String bad : new String[] {"null", "1", "[]", "[null]", "\"a\"", "", "{", "{}{}", "{} x", "{\"a\":".repeat(20_000),
            "[".repeat(20_000), "{\"a\":" + "[".repeat(20_000)}) {
            noJson(bad);
        }
    }

    private static void noJson(String text) throws IOException {
        try {
            TokenRequest.Json.object(new StringReader(text));
        } catch (JsonProcessingException e) {
            return;
        }
        throw new AssertionError("accepted: " + text);
    }

    /** A saved request with each field in turn of each wrong kind is refused by that field's name, and in no other way. */
    private void savedRequests() throws Exception {
        String good = "{'event':'enqueued','time':'2026-01-01T00:00:00.000Z','request_id':'6108900','client_id':'c-1','pool':'p',"
            + "'address':'<127.0.0.1:9618?alias=p>','certificate_name':'p','certificate_name_from':'command line',"
            + "'daemon':{'type':'collector','name':'p'},'identity':'a@p','authz':['READ'],'lifetime':60,'method':'SSL',"
            + "'encryption':'AES','session':'bound','server_version':'v','trust_domain':'p',"
            + "'deadline':'2026-01-01T01:00:00.000Z'}";
        equal(quoted(good), TokenRequest.Json.line(saved(good, "", "", false)).strip(), "as it was");
        TokenRequest.PendingRequest pending = TokenRequest.PendingRequest.of(
            new TokenRequest.Json.Fields(saved(good, "", "", false)));
        equal(saved(good, "", "", false), withFirst(saved(good, "", "", false), TokenRequest.Json.object(new StringReader(
            TokenRequest.Json.line(pending.fields())))), "read and written again");
        // An earlier version saved no name: of a daemon it came from the collector's ad, so it gets no credential.
        String old = good.replace("'certificate_name':'p','certificate_name_from':'command line',", "");
        equal(TokenRequest.NameSource.COMMAND_LINE, TokenRequest.PendingRequest.of(new TokenRequest.Json.Fields(
            saved(old, "", "", false))).server().from(), "an earlier version's request at the collector");
        equal(TokenRequest.NameSource.COLLECTOR, TokenRequest.PendingRequest.of(new TokenRequest.Json.Fields(
            saved(old.replace("'collector'", "'schedd'"), "", "", false))).server().from(), "one at another daemon");
        String[] values = {"null", "true", "0", "-1", "1.5", "1e999", "12345678901234567890", "''", "' '", "'\\u001b[2J'",
            "'\\u202e'", "[]", "[null]", "[[]]", "[{}]", "[1]", "['']", "{}", "{'type':null}", "{'name':[null]}"};
        Map<String, String> allowed = new HashMap<>(Map.of("pool", "null '' ' '", "certificate_name", "null",
            "certificate_name_from", "null", "daemon.name", "null '' ' '", "authz", "[]", "lifetime", "null",
            "server_version", "null '' ' '", "trust_domain", "null '' ' '", "method", ""));
        for (String field : new String[] {"request_id", "client_id", "pool", "address", "certificate_name",
            "certificate_name_from", "daemon", "daemon.type", "daemon.name", "identity", "authz", "lifetime", "method",
            "session", "server_version", "trust_domain", "deadline"}) {
            for (String value : values) {
                boolean accepted = (" " + allowed.getOrDefault(field, "") + " ").contains(" " + value + " ");
                equal(accepted ? "" : field.equals("daemon") && (value.startsWith("{") || value.equals("null"))
                    ? "type" : field.replace("daemon.", ""), complaint(saved(good, field, value, true)), field + "=" + value);
            }
        }
        for (String time : new String[] {"tomorrow", "+1000000000-12-31T23:59:59Z", "-0001-01-01T00:00:00Z",
            "2026-13-01T00:00:00Z"}) {
            equal("deadline", complaint(saved(good, "deadline", "'" + time + "'", true)), time);
        }
        equal("", complaint(saved(good, "deadline", "'9999-12-31T23:59:59Z'", true)), "a deadline far away");
    }

    private static Map<String, Object> withFirst(Map<String, Object> whole, Map<String, Object> rest) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("event", whole.get("event"));
        fields.put("time", whole.get("time"));
        fields.putAll(rest);
        return fields;
    }

    /** The object with one field, perhaps of the daemon's, of another value. */
    private static Map<String, Object> saved(String object, String field, String value, boolean changed) throws IOException {
        Map<String, Object> fields = TokenRequest.Json.object(new StringReader(quoted(object)));
        if (changed) {
            Object other = TokenRequest.Json.object(new StringReader(quoted("{'x':" + value + "}"))).get("x");
            if (field.startsWith("daemon.")) {
                Map<Object, Object> daemon = new LinkedHashMap<>((Map<?, ?>) fields.get("daemon"));
                daemon.put(field.substring("daemon.".length()), other);
                fields.put("daemon", daemon);
            } else {
                fields.put(field, other);
            }
        }
        return fields;
    }

    /** The field that is refused; nothing if none is. */
    private static String complaint(Map<String, Object> fields) {
        try {
            TokenRequest.PendingRequest.of(new TokenRequest.Json.Fields(fields));
            return "";
        } catch (IllegalArgumentException e) {
            return e.getMessage();
        }
    }

    /** What is no token, or one with claims of a wrong kind, is read as none; nothing else is thrown. */
    private void tokens() {
        String good = token("{'alg':'HS256','kid':'POOL'}", "{'sub':'a@p','jti':'j','iat':1,'exp':2.5,'aud':['x','y'],"
            + "'scope':'condor:/READ','more':{'a':[1]}}") + "c2ln";
        TokenRequest.IssuedToken read = TokenRequest.IssuedToken.read(good).orElseThrow();
        equal("a@p (none) Optional[POOL] [x, y] [condor:/READ] Optional[1970-01-01T00:00:01Z] Optional[1970-01-01T00:00:02Z]",
            read.subject() + " " + read.issuer() + " " + read.keyId() + " " + read.audience() + " " + read.scopes() + " "
            + read.issuedAt() + " " + read.expiration(), "a good token");
        equal("j", TokenRequest.IssuedToken.read(token("{}", "{'jti':'j','sub':null}") + "c2ln").orElseThrow()
            .authenticatesAs(), "a token without a subject");
        for (String claims : new String[] {"{'sub':1}", "{'iss':[]}", "{'jti':{}}", "{'iat':'1'}", "{'nbf':true}",
            "{'exp':1e300}", "{'exp':-1e300}", "{'exp':NaN}", "{'exp':0x1p3}", "{'exp':1d}", "{'exp':[1]}", "{'sub':'a'",
            "{'sub':'a'} x", "{'sub':'a'}{}", "{'sub':'a\u0001b'}", "{'sub':'a\nb'}", "{'a':" + "[".repeat(9000) + "}"}) {
            equal(Optional.empty(), TokenRequest.IssuedToken.read(token("{}", claims) + "c2ln"), claims);
        }
        equal(true, TokenRequest.Jwt.hasForm(good), "the form of a good token");
        Instant now = Instant.parse("2026-01-01T00:00:00Z");
        equal(Optional.of(now.plusSeconds(60)), TokenRequest.IssuedToken.make(new TokenRequest.SigningKeys.SigningKey("POOL",
            Path.of("POOL"), new byte[32]), "p", "condor@password", "j", now).expiration(), "the end of a token made with a key");
        for (String bad : new String[] {good + " ", "\n" + good, good.replace("c2ln", "c2l+"), good.replace("c2ln", "c2l\u00e9"),
            token("[1]", "{}") + "c2ln", token("{}", "'text'") + "c2ln",
            token("{}", "{'a':'" + "a".repeat(1 << 17) + "'}") + "c2ln"}) {
            equal(false, TokenRequest.Jwt.hasForm(bad), bad.substring(0, Math.min(60, bad.length())));
        }
        for (String bad : new String[] {"", "..", "a.b.c", "e30.e30", "e30.e30.", "e30.e30.e", "e30.e30.c2ln.c2ln",
            "e30.bnVsbA.c2ln"}) {
            equal(Optional.empty(), TokenRequest.IssuedToken.read(bad), bad);
        }
    }

    /** A text that must not be shown is not in the text of what holds it. */
    private void secrets() {
        String text = "correct-horse-battery-staple";
        TokenRequest.Secret secret = new TokenRequest.Secret(text);
        equal(text, secret.reveal(), "what was hidden");
        for (Object holder : new Object[] {secret, new TokenRequest.RequestHandle("6108900", secret), Optional.of(secret),
            new TokenRequest.BearerToken(secret, "BEARER_TOKEN"), new TokenRequest.TokenReply.Enqueued(
            new TokenRequest.RequestHandle("6108900", secret)), List.of(secret)}) {
            equal(false, holder.toString().contains(text), "the secret is in " + holder.getClass().getSimpleName());
        }
    }

    private static String token(String header, String claims) {
        Base64.Encoder encoder = Base64.getUrlEncoder().withoutPadding();
        return encoder.encodeToString(quoted(header).getBytes(UTF_8)) + "."
            + encoder.encodeToString(quoted(claims).getBytes(UTF_8)) + ".";
    }

    /** JSON as it is easier to type here. */
    private static String quoted(String json) {
        return json.replace('\'', '"');
    }
}

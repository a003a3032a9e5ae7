#!/usr/bin/env bats
# Encoding and decoding, compared with bytes recorded from real servers. Vectors.java makes all checks in one run.

load lib
load vectors

setup_file() { run_checks Vectors vectors.json; }

@test "integers and strings equal the recorded bytes, in the clear and encrypted" { group scalars; }
@test "strings in ads escape only the quote" { group ad-strings; }
@test "integers in ads have at most 18 digits, names of attributes no case, and strings no NUL" { group ad-values; }
@test "a private attribute follows its marker, and both count once" { group ad-private; }
@test "the methods have HTCondor's bits and words" { group method-words; }
@test "recorded ads are parsed, and written again byte for byte" { group ad-messages; }
@test "ECDH derives the session keys of the recorded conversations" { group ecdh; }
@test "an ECDH key that is not a point of the curve is refused" { group ecdh-bad-points; }
@test "recorded packets decrypt, and encrypt again to the same bytes" { group sealing; }
@test "three packets have three nonces, no two streams begin with the same, and a key encrypts no more than it has" { group nonces; }
@test "a message that is too long is not sent, and an encrypted packet without a tag or a negative length is refused" { group packet-limits; }
@test "whole conversations can be replayed from either side, also through a shared port" { group transcripts; }
@test "a session key wrapped by a method's key is unwrapped" { group wrapped-keys; }
@test "recorded sessions with BLOWFISH and 3DES decrypt, and encrypt again to the same bytes" { group old-ciphers; }
@test "a changed packet of BLOWFISH or 3DES, or another key, is refused" { group old-ciphers-tampered; }
@test "keys and proofs of IDTOKENS equal the recorded ones" { group akep2; }
@test "IDTOKENS sends what the recorded client sent" { group akep2-conversation; }
@test "a server's answer to AKEP2 that is to another login, or has too few random bytes, is refused" { group akep2-refused; }
@test "addresses are parsed" { group sinful; }
@test "malformed addresses are refused" { group sinful-invalid; }
@test "FS creates what a server may ask for, and nothing else" { group fs-names; }
@test "whatever is in a string, JSON carries it in printable ASCII" { group json-strings; }
@test "JSON numbers keep every digit, and what is not JSON is refused" { group json-numbers; }
@test "a saved request with a field of a wrong kind is refused by the field's name" { group saved-requests; }
@test "what is not a token is not read as one, whatever it is" { group tokens; }
@test "releases of servers are compared, and what is no release counts as an old one" { group releases; }
@test "a secret is not in the text of what holds it" { group secrets; }
@test "packets with a wrong length or end flag are refused" { group hostile-headers; }
@test "messages that are cut off or too long are refused wherever they end" { group hostile-cut-off; }
@test "wrong lengths of strings, fields and ads are refused" { group hostile-lengths; }
@test "a single flipped bit in a packet or in the handshake is detected" { group hostile-flipped-bits; }

@test "every group of checks has a test here" {
  diff <(sed -E 's/^(not )?ok ([a-z0-9-]+).*/\2/' "$BATS_FILE_TMPDIR/results" | sort) \
    <(sed -nE 's/^@test .*\{ group ([a-z0-9-]+); \}$/\1/p' "$BATS_TEST_FILENAME" | sort)
}

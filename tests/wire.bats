#!/usr/bin/env bats
# How bytes are read and written, against bytes recorded from real servers. Vectors.java does the work, once.

load lib

setup_file() {
  local options
  read -ra options <<<"$TOKEN_REQUEST_JAVA_OPTIONS"
  java "${options[@]}" -cp "$TOKEN_REQUEST_CLASSPATH" tokenrequest.Vectors "$TESTS_DIR/fixtures/wire/vectors.json" \
    >"$BATS_FILE_TMPDIR/results" || : # the tests say what failed
}

# group NAME: this group of checks has been run and was good
group() {
  grep -E "^(not )?ok $1(:|$)" "$BATS_FILE_TMPDIR/results"
  grep -qx "ok $1" "$BATS_FILE_TMPDIR/results"
}

@test "integers and strings have the recorded bytes, in the clear and encrypted" { group scalars; }
@test "strings in ads have one escape, the quote" { group ad-strings; }
@test "recorded ads are read, and written again byte for byte" { group ad-messages; }
@test "ECDH comes to the session keys of the recorded conversations" { group ecdh; }
@test "an ECDH key that is no point of the curve is refused" { group ecdh-bad-points; }
@test "recorded packets decrypt, and encrypting their text again gives the same bytes" { group sealing; }
@test "whole conversations can be replayed from either side, also through a shared port" { group transcripts; }
@test "a session key wrapped by a method's key is unwrapped" { group wrapped-keys; }
@test "keys and proofs of IDTOKENS are the recorded ones" { group akep2; }
@test "IDTOKENS says what the recorded client said" { group akep2-conversation; }
@test "addresses are taken apart" { group sinful; }
@test "malformed addresses are refused" { group sinful-invalid; }
@test "FS creates what a server may ask for, and nothing else" { group fs-names; }
@test "whatever is in a string, JSON carries it in printable ASCII" { group json-strings; }
@test "JSON numbers keep every digit, and what is not JSON is refused" { group json-numbers; }
@test "a saved request with a field of a wrong kind is refused by the field's name" { group saved-requests; }
@test "what is not a token is not read as one, whatever it is" { group tokens; }
@test "packets with a wrong length or end flag are refused" { group hostile-headers; }
@test "messages that are cut off or too long are refused wherever they end" { group hostile-cut-off; }
@test "wrong lengths of strings, fields and ads are refused" { group hostile-lengths; }
@test "a single flipped bit in a packet or in the handshake is noticed" { group hostile-flipped-bits; }

@test "every group of checks has a test here" {
  diff <(sed -E 's/^(not )?ok ([a-z0-9-]+).*/\2/' "$BATS_FILE_TMPDIR/results" | sort) \
    <(sed -nE 's/^@test .*\{ group ([a-z0-9-]+); \}$/\1/p' "$BATS_TEST_FILENAME" | sort)
}

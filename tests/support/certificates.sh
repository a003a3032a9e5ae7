#!/usr/bin/env bash
# shellcheck disable=SC2034,SC2054
# Makes certificates of all kinds, good and bad, with openssl, and a table that says how each is to be judged.
#
#   certificates.sh DIRECTORY    NAME.pem and NAME.key for every certificate, and the table `cases` in it
#
# A line of the table, its fields separated by "|":
#
#   CASE|HOST|TRUSTED|SHOWN|OURS|OPENSSL|WHY
#
#   HOST      the name that was asked for, or an IP address
#   TRUSTED   ca:NAME,NAME...  these are in the file of -cafile;   part:NAME  so is this one, which has not signed itself
#             fp:NAME  this one is named with -fingerprint;   asked  nothing is, and a person accepts what nobody vouches for
#   SHOWN     what the server shows, its own certificate first: NAME,NAME...
#   OURS      yes or no: whether this program trusts it
#   OPENSSL   whether `openssl verify -auth_level 2 -purpose sslserver -verify_hostname HOST` does, with the same CAs
#             trusted; for part and fp with -partial_chain, too, and for asked with the last one that is shown
#   WHY       the reason of a difference between the two; empty where there is none
set -euo pipefail

HOST=cm.pool.test
# Validity: in the past, now, and in the future, for as long as this test may live.
PAST=(20200101000000Z 20210101000000Z)
NOW=(20200101000000Z 20491231000000Z)
FUTURE=(20480101000000Z 20491231000000Z)

CA=(basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign,cRLSign)
NAMED=("subjectAltName=DNS:$HOST")

main() {
  mkdir -p "$1"
  cd "$1"
  settings
  controls
  validity
  authorities
  purposes
  name_constraints
  keys_and_hashes
  names
  other_faults
  anchors
  bounds
}

# ---- Tools ----

settings() {
  mkdir new
  touch index
  : >cases
  cat >openssl.cnf <<'EOF'
[req]
distinguished_name = any
string_mask = utf8only
[any]
[ca]
default_ca = authority
[authority]
database = index
new_certs_dir = new
rand_serial = yes
unique_subject = no
policy = policy
[policy]
commonName = optional
EOF
  key rsa1024 -algorithm RSA -pkeyopt rsa_keygen_bits:1024
  key rsa2047 -algorithm RSA -pkeyopt rsa_keygen_bits:2047
  key rsa2048 -algorithm RSA -pkeyopt rsa_keygen_bits:2048
  key p384 -algorithm EC -pkeyopt ec_paramgen_curve:P-384
  key p521 -algorithm EC -pkeyopt ec_paramgen_curve:P-521
  key p192 -algorithm EC -pkeyopt ec_paramgen_curve:P-192
  key explicit -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit
  key ed25519 -algorithm ED25519
}

# key NAME OPTION...: for tests in which the kind of key matters
key() { openssl genpkey "${@:2}" -out "$1.secret" 2>/dev/null; }

# certificate NAME ISSUER EXTENSION...: NAME.pem, and NAME.key; an issuer of the same name is itself. Without an extension
# it is one of X.509 version 1. Of the variables, validity is the name of an array above; secret the name of a key.
certificate() {
  local name=$1 issuer=$2 signer validity=${validity-NOW} extensions=()
  local -n between=$validity
  if [[ -n ${secret-} ]]; then
    cp "$secret.secret" "$name.key"
  elif [[ ! -e $name.key ]]; then
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$name.key"
  fi
  openssl req -new -config openssl.cnf -utf8 -key "$name.key" -subj "${subject-/O=test/CN=$name}" -out "$name.csr"
  if (($# > 2)); then
    printf '%s\n' '[extensions]' "${@:3}" >"$name.cnf"
    extensions=(-extfile "$name.cnf" -extensions extensions)
  fi
  signer=(-cert "$issuer.pem" -keyfile "$issuer.key")
  [[ $issuer != "$name" ]] || signer=(-selfsign -keyfile "$name.key")
  # shellcheck disable=SC2086 # several options
  openssl ca -config openssl.cnf -batch -notext -preserveDN -md "${hash-sha256}" ${padding-} "${signer[@]}" \
    -startdate "${between[0]}" -enddate "${between[1]}" -in "$name.csr" "${extensions[@]}" -out "$name.pem" 2>"$name.log" ||
    { cat "$name.log" >&2 && return 1; }
}

# ca NAME [ISSUER [EXTENSION...]]: a CA, by default a root; leaf NAME ISSUER [EXTENSION...]: the certificate of the host
ca() { certificate "$1" "${2-$1}" "${CA[@]}" "${@:3}"; }
leaf() { certificate "$1" "$2" "${NAMED[@]}" "${@:3}"; }

# row CASE HOST TRUSTED SHOWN OURS OPENSSL [WHY]
row() {
  local IFS='|'
  printf '%s\n' "$*" >>cases
}

# both CASE TRUSTED SHOWN VERDICT: the usual row, in which all agree
both() { row "$1" "$HOST" "$2" "$3" "$4" "$4" ''; }

# ---- What is good, and what else is bad is bad only by one difference from it ----

controls() {
  ca root
  ca middle root
  leaf good root
  leaf below middle
  both 'a host, and the CA that is trusted' ca:root good yes
  both 'with an intermediate CA' ca:root below,middle yes
  both 'the root is shown, too' ca:root below,middle,root yes
  both 'the intermediate CA is missing' ca:root below no
  both 'the intermediate CA is trusted, too, and missing' ca:root,middle below yes
  ca stranger
  leaf elsewhere stranger
  both 'another CA' ca:root elsewhere,stranger no
  both 'in the wrong order, with one that does not belong' ca:root below,root,stranger,middle yes
  certificate alone alone "${NAMED[@]}"
  both 'signed by itself, and trusted itself' ca:alone alone yes
  both 'signed by itself, and trusted by nobody' ca:root alone no
  certificate everything everything "${CA[@]}" keyUsage=keyCertSign,digitalSignature "${NAMED[@]}"
  both 'a CA of its own that is the host, too' ca:everything everything yes
}

validity() {
  local at
  for at in PAST FUTURE; do
    validity=$at leaf "host-$at" root
    both "validity: the host's own is $at" ca:root "host-$at" no
    validity=$at ca "middle-$at" root
    leaf "below-middle-$at" "middle-$at"
    both "validity: the intermediate CA's is $at" ca:root "below-middle-$at,middle-$at" no
    validity=$at ca "root-$at"
    leaf "below-root-$at" "root-$at"
    both "validity: the root's is $at" "ca:root-$at" "below-root-$at" no
    both "validity: the root's is $at, and shown" "ca:root-$at" "below-root-$at,root-$at" no
    ca "under-root-$at" "root-$at"
    leaf "by-under-root-$at" "under-root-$at"
    both "validity: the root's is $at, and an intermediate CA is trusted, too" "ca:under-root-$at,root-$at" "by-under-root-$at" no
    validity=$at certificate "alone-$at" "alone-$at" "${NAMED[@]}"
    both "validity: signed by itself, trusted itself, and $at" "ca:alone-$at" "alone-$at" no
    both "validity: trusted itself, though by a CA, and $at" "part:host-$at" "host-$at" no
    both "validity: fingerprint of the host's, which is $at" "fp:host-$at" "host-$at" no
    both "validity: fingerprint of the root, which is $at" "fp:root-$at" "below-root-$at,root-$at" no
    both "validity: fingerprint of an intermediate CA, which is $at" "fp:middle-$at" "below-middle-$at,middle-$at" no
    both "validity: an intermediate CA is trusted that is $at" "part:middle-$at" "below-middle-$at" no
    both "validity: accepted by a person, and $at" asked "alone-$at" no
    both "validity: a root accepted by a person, and $at" asked "below-root-$at,root-$at" no
  done
  # The same CA, renewed: the same name, and the same key.
  subject=/O=test/CN=renewed validity=PAST ca renewed-before
  cp renewed-before.key renewed-after.key
  subject=/O=test/CN=renewed ca renewed-after
  leaf by-renewed renewed-after
  both 'a root that was renewed, the old one first' ca:renewed-before,renewed-after by-renewed yes
  both 'a root that was renewed, the old one last' ca:renewed-after,renewed-before by-renewed yes
  both 'a root that was renewed, and only the old one is trusted' ca:renewed-before by-renewed,renewed-after no
  cp renewed-before.key renewed-middle-before.key
  cp renewed-before.key renewed-middle-after.key
  subject=/O=test/CN=renewed validity=PAST ca renewed-middle-before root
  subject=/O=test/CN=renewed ca renewed-middle-after root
  both 'an intermediate CA that was renewed, both are shown' ca:root by-renewed,renewed-middle-before,renewed-middle-after yes
  # Cross-signed: one CA that two roots vouch for.
  cp renewed-before.key crossed-known.key
  cp renewed-before.key crossed-unknown.key
  subject=/O=test/CN=renewed ca crossed-known root
  subject=/O=test/CN=renewed ca crossed-unknown stranger
  row 'cross-signed, and the root that is unknown comes first' "$HOST" ca:root by-renewed,crossed-unknown,stranger,crossed-known \
    yes no 'all that was shown is tried, as Java does, not the first that fits; each path is judged whole'
  # Another CA of the same name.
  subject=/O=test/CN=root ca impostor
  leaf by-impostor impostor
  both 'a CA of the same name with another key' ca:root by-impostor,impostor no
}

# ---- What a CA may do ----

authorities() {
  local sign=keyUsage=critical,keyCertSign
  certificate no-ca root basicConstraints=critical,CA:FALSE "$sign"
  leaf by-no-ca no-ca
  both 'CA: an intermediate one that is none' ca:root by-no-ca,no-ca no
  leaf by-host good
  both "CA: a host's certificate as one" ca:root by-host,good no
  certificate no-constraints root "$sign"
  leaf by-no-constraints no-constraints
  both 'CA: an intermediate one that may sign, but does not say that it is one' ca:root by-no-constraints,no-constraints no
  certificate no-sign root basicConstraints=critical,CA:TRUE keyUsage=critical,digitalSignature
  leaf by-no-sign no-sign
  both 'CA: an intermediate one that may not sign' ca:root by-no-sign,no-sign no
  certificate root-no-ca root-no-ca basicConstraints=critical,CA:FALSE "$sign"
  leaf by-root-no-ca root-no-ca
  both 'CA: a root that is none' ca:root-no-ca by-root-no-ca no
  certificate root-no-sign root-no-sign basicConstraints=critical,CA:TRUE keyUsage=critical,cRLSign
  leaf by-root-no-sign root-no-sign
  both 'CA: a root that may not sign' ca:root-no-sign by-root-no-sign no
  certificate usage-free usage-free basicConstraints=CA:TRUE
  leaf by-usage-free usage-free
  both 'CA: a root that says no more than that it is one' ca:usage-free by-usage-free yes
  certificate version1 version1
  leaf by-version1 version1
  # From 3.4 on openssl makes only certificates of version 3 here.
  if openssl x509 -in version1.pem -noout -text | grep -q 'Version: 1 '; then
    both 'CA: a root of version 1, which cannot say so' ca:version1 by-version1 yes
  fi
  certificate middle-version1 root
  leaf by-middle-version1 middle-version1
  both 'CA: an intermediate one of version 1' ca:root by-middle-version1,middle-version1 no

  certificate length0 length0 basicConstraints=critical,CA:TRUE,pathlen:0 "$sign"
  leaf by-length0 length0
  both 'path length 0 of a root, and no other CA' ca:length0 by-length0 yes
  ca under-length0 length0
  leaf by-under-length0 under-length0
  both 'path length 0 of a root, and one more CA' ca:length0 by-under-length0,under-length0 no
  certificate length1 length1 basicConstraints=critical,CA:TRUE,pathlen:1 "$sign"
  ca under-length1 length1
  leaf by-under-length1 under-length1
  both 'path length 1 of a root, and one more CA' ca:length1 by-under-length1,under-length1 yes
  ca two-under-length1 under-length1
  leaf by-two-under-length1 two-under-length1
  both 'path length 1 of a root, and two more CAs' ca:length1 by-two-under-length1,two-under-length1,under-length1 no
  certificate middle-length0 root basicConstraints=critical,CA:TRUE,pathlen:0 "$sign"
  ca under-middle-length0 middle-length0
  leaf by-under-middle-length0 under-middle-length0
  both 'path length 0 of an intermediate CA, and one more' ca:root by-under-middle-length0,under-middle-length0,middle-length0 no
  both 'path length 0 of an intermediate CA, which is trusted, and one more' \
    fp:middle-length0 by-under-middle-length0,under-middle-length0,middle-length0 no
  # The same CA with a new key: self-issued, so it does not count.
  subject=/O=test/CN=length0 ca length0-new-key length0
  leaf by-length0-new-key length0-new-key
  both 'path length 0 of a root, and its own new key' ca:length0 by-length0-new-key,length0-new-key yes
}

purposes() {
  local usage
  for usage in serverAuth clientAuth-serverAuth; do
    leaf "host-$usage" root "extendedKeyUsage=${usage/-/,}"
    both "purpose: $usage" ca:root "host-$usage" yes
    ca "middle-$usage" root "extendedKeyUsage=${usage/-/,}"
    leaf "below-middle-$usage" "middle-$usage"
    both "purpose of an intermediate CA: $usage" ca:root "below-middle-$usage,middle-$usage" yes
    certificate "root-$usage" "root-$usage" "${CA[@]}" "extendedKeyUsage=${usage/-/,}"
    leaf "below-root-$usage" "root-$usage"
    both "purpose of a root: $usage" "ca:root-$usage" "below-root-$usage" yes
  done
  for usage in clientAuth emailProtection-codeSigning anyExtendedKeyUsage; do
    leaf "host-$usage" root "extendedKeyUsage=${usage/-/,}"
    both "purpose: $usage" ca:root "host-$usage" no
    both "purpose: $usage, trusted itself" "part:host-$usage" "host-$usage" no
    both "purpose: $usage, and its fingerprint" "fp:host-$usage" "host-$usage" no
    ca "middle-$usage" root "extendedKeyUsage=${usage/-/,}"
    leaf "below-middle-$usage" "middle-$usage"
    both "purpose of an intermediate CA: $usage" ca:root "below-middle-$usage,middle-$usage" no
    both "purpose of an intermediate CA, which is trusted: $usage" "part:middle-$usage" "below-middle-$usage" no
    certificate "root-$usage" "root-$usage" "${CA[@]}" "extendedKeyUsage=${usage/-/,}"
    leaf "below-root-$usage" "root-$usage"
    both "purpose of a root: $usage" "ca:root-$usage" "below-root-$usage" no
    both "purpose of a root: $usage, and its fingerprint" "fp:root-$usage" "below-root-$usage,root-$usage" no
    certificate "alone-$usage" "alone-$usage" "${NAMED[@]}" "extendedKeyUsage=${usage/-/,}"
    both "purpose: $usage, signed by itself and trusted itself" "ca:alone-$usage" "alone-$usage" no
    both "purpose: $usage, signed by itself and accepted by a person" asked "alone-$usage" no
  done
  leaf host-step-up root extendedKeyUsage=msSGC,nsSGC
  row 'purpose: step-up of the nineties' "$HOST" ca:root host-step-up no yes 'serverAuth has been its name since 1999 (RFC 2459)'
  leaf host-signs root keyUsage=digitalSignature
  both 'key usage: signs' ca:root host-signs yes
  leaf host-certifies root keyUsage=keyCertSign
  both 'key usage: certificates only' ca:root host-certifies no
  secret=rsa2048 leaf host-enciphers root keyUsage=keyEncipherment
  row 'key usage: enciphers only' "$HOST" ca:root host-enciphers no yes \
    'with forward secrecy the key signs (RFC 8446 4.4.2.2); Java has always wanted it'
  leaf host-netscape root nsCertType=server
  both 'purpose in the form of Netscape: server' ca:root host-netscape yes
  leaf host-netscape-client root nsCertType=client
  both 'purpose in the form of Netscape: client' ca:root host-netscape-client no
}

name_constraints() {
  local -A good=([permitted]='permitted;DNS:pool.test' [excluded]='excluded;DNS:other.test'
    [directory]='permitted;dirName:directory' [address]='permitted;IP:192.0.2.0/255.255.255.0')
  local -A bad=([permitted]='permitted;DNS:other.test' [excluded]='excluded;DNS:pool.test'
    [excluded-itself]='excluded;DNS:cm.pool.test' [excluded-below]='excluded;DNS:.pool.test' [excluded-all]='DER:3006a10430028200'
    [directory]='permitted;dirName:directory')
  local kind
  # constrained NAME ISSUER CONSTRAINTS; the directory that is permitted is O=test or O=other
  constrained() { ca "$1" "$2" "nameConstraints=critical,$3" '[directory]' "O=${organization-test}"; }
  for kind in permitted excluded directory; do
    constrained "root-good-$kind" "root-good-$kind" "${good[$kind]}"
    leaf "below-root-good-$kind" "root-good-$kind"
    both "name constraints of a root: ${good[$kind]}" "ca:root-good-$kind" "below-root-good-$kind" yes
    constrained "middle-good-$kind" root "${good[$kind]}"
    leaf "below-middle-good-$kind" "middle-good-$kind"
    both "name constraints of an intermediate CA: ${good[$kind]}" ca:root "below-middle-good-$kind,middle-good-$kind" yes
  done
  for kind in permitted excluded excluded-itself excluded-below excluded-all directory; do
    organization=other constrained "root-bad-$kind" "root-bad-$kind" "${bad[$kind]}"
    leaf "below-root-bad-$kind" "root-bad-$kind"
    both "name constraints of a root: ${bad[$kind]}, not kept" "ca:root-bad-$kind" "below-root-bad-$kind" no
    both "name constraints of a root: ${bad[$kind]}, not kept, and its fingerprint" "fp:root-bad-$kind" \
      "below-root-bad-$kind,root-bad-$kind" no
    organization=other constrained "middle-bad-$kind" root "${bad[$kind]}"
    leaf "below-middle-bad-$kind" "middle-bad-$kind"
    both "name constraints of an intermediate CA: ${bad[$kind]}, not kept" ca:root "below-middle-bad-$kind,middle-bad-$kind" no
  done
  ca under-permitted root-bad-permitted
  leaf by-under-permitted under-permitted
  both 'name constraints of a root, not kept below an intermediate CA' ca:root-bad-permitted by-under-permitted,under-permitted no

  subject="/CN=$HOST" certificate cn-permitted root-bad-permitted basicConstraints=CA:FALSE
  both 'name constraints, and the name is a common name: permitted;DNS:other.test' ca:root-bad-permitted cn-permitted no
  subject="/CN=$HOST" certificate cn-excluded root-bad-excluded basicConstraints=CA:FALSE
  both 'name constraints, and the name is a common name: excluded;DNS:pool.test' ca:root-bad-excluded cn-excluded no
  subject="/CN=$HOST" certificate cn-good root-good-permitted basicConstraints=CA:FALSE
  both 'name constraints, and the name is a common name: permitted;DNS:pool.test' ca:root-good-permitted cn-good yes
  subject="/CN=$HOST" certificate cn-beside-permitted root-bad-permitted subjectAltName=IP:192.0.2.7
  both 'name constraints, and the name is a common name beside an IP entry: permitted;DNS:other.test' \
    ca:root-bad-permitted cn-beside-permitted no
  subject="/CN=$HOST" certificate cn-beside-excluded root-bad-excluded subjectAltName=IP:192.0.2.7
  both 'name constraints, and the name is a common name beside an IP entry: excluded;DNS:pool.test' \
    ca:root-bad-excluded cn-beside-excluded no
  subject="/CN=$HOST" certificate cn-beside-good root-good-permitted subjectAltName=IP:192.0.2.7
  both 'name constraints, and the name is a common name beside an IP entry: permitted;DNS:pool.test' \
    ca:root-good-permitted cn-beside-good yes
  certificate star-excluded root-bad-excluded-itself 'subjectAltName=DNS:*.pool.test'
  row 'name constraints, and a wildcard hides the name: excluded;DNS:cm.pool.test' "$HOST" ca:root-bad-excluded-itself star-excluded \
    no yes 'the name that is asked for is the one that the CA must not vouch for'
  constrained dotted dotted 'permitted;DNS:.pool.test'
  leaf by-dotted dotted
  both 'name constraints with a dot in front: permitted;DNS:.pool.test' ca:dotted by-dotted yes

  constrained "root-good-address" "root-good-address" "${good[address]}"
  certificate by-good-address root-good-address subjectAltName=IP:192.0.2.7
  row 'name constraints: permitted;IP, kept' 192.0.2.7 ca:root-good-address by-good-address yes yes ''
  certificate by-bad-address root-good-address subjectAltName=IP:192.0.3.7
  row 'name constraints: permitted;IP, not kept' 192.0.3.7 ca:root-good-address by-bad-address no no ''
  constrained no-address no-address 'excluded;IP:0.0.0.0/0.0.0.0'
  certificate by-no-address no-address subjectAltName=IP:192.0.2.7
  row 'name constraints: excluded;IP, all of them' 192.0.2.7 ca:no-address by-no-address no no ''

  # An address that is not permitted, beside a URI that Java cannot read; then Java would see no names at all.
  constrained middle-good-address root "${good[address]}"
  certificate by-garbled-names middle-good-address subjectAltName=DER:300c8704c000030786043a3a3a3a
  row 'name constraints: permitted;IP, not kept, in a list that Java cannot read' 192.0.3.7 ca:root by-garbled-names,middle-good-address no no ''
  ca garbled-constraints root nameConstraints=DER:300ca00a3008860663633a3a5b5b
  leaf by-garbled-constraints garbled-constraints
  row 'name constraints that Java cannot read' "$HOST" ca:root by-garbled-constraints,garbled-constraints no yes \
    'Java would pass over all of them; OpenSSL reads those that concern no URI'

  row 'name constraints of a CA that is trusted without its root, kept' "$HOST" part:middle-good-permitted \
    below-middle-good-permitted no yes 'they can be checked only below the root that it has them from'
  row 'name constraints of a CA whose fingerprint is given, kept' "$HOST" fp:middle-good-permitted \
    below-middle-good-permitted,middle-good-permitted no yes 'they can be checked only below the root that it has them from'
  row 'name constraints of a CA that is trusted with its root, kept' "$HOST" ca:middle-good-permitted,root below-middle-good-permitted \
    yes yes ''
  both 'name constraints of a CA that is trusted with its root, not kept' ca:middle-bad-permitted,root below-middle-bad-permitted no
  both 'name constraints, not kept, of a root that a person accepts' asked below-root-bad-permitted,root-bad-permitted no
}

# ---- Cryptography ----

keys_and_hashes() {
  local kind
  for kind in rsa2048 p384 p521 ed25519; do
    hash=sha384
    [[ $kind != ed25519 ]] || hash=null
    secret=$kind ca "root-$kind"
    secret=$kind leaf "below-$kind" "root-$kind"
    both "key: $kind" "ca:root-$kind" "below-$kind" yes
  done
  unset hash
  secret=rsa1024 leaf host-rsa1024 root
  both "key of the host: RSA, 1024 bits" ca:root host-rsa1024 no
  both "key of the host: RSA, 1024 bits, and its fingerprint" fp:host-rsa1024 host-rsa1024 no
  secret=rsa1024 ca middle-rsa1024 root
  leaf below-middle-rsa1024 middle-rsa1024
  both "key of an intermediate CA: RSA, 1024 bits" ca:root below-middle-rsa1024,middle-rsa1024 no
  both "key of an intermediate CA, which is trusted: RSA, 1024 bits" part:middle-rsa1024 below-middle-rsa1024 no
  secret=rsa1024 ca root-rsa1024
  leaf below-root-rsa1024 root-rsa1024
  both "key of a root: RSA, 1024 bits" ca:root-rsa1024 below-root-rsa1024 no
  both "key of a root: RSA, 1024 bits, and its fingerprint" fp:root-rsa1024 below-root-rsa1024,root-rsa1024 no
  secret=rsa1024 certificate alone-rsa1024 alone-rsa1024 "${NAMED[@]}"
  both "key: RSA, 1024 bits, signed by itself and accepted by a person" asked alone-rsa1024 no
  secret=rsa2047 ca root-rsa2047
  leaf below-root-rsa2047 root-rsa2047
  row "key of a root: RSA, 2047 bits" "$HOST" ca:root-rsa2047 below-root-rsa2047 no yes 'OpenSSL counts its strength in steps of 8 bits'
  openssl dsaparam 1024 2>/dev/null >dsa.params
  openssl genpkey -paramfile dsa.params -out dsa1024.secret 2>/dev/null
  secret=dsa1024 ca root-dsa1024
  leaf below-root-dsa1024 root-dsa1024
  both "key of a root: DSA, 1024 bits" ca:root-dsa1024 below-root-dsa1024 no
  secret=p192 ca root-p192
  leaf below-root-p192 root-p192
  both "key of a root: EC, 192 bits" ca:root-p192 below-root-p192 no
  secret=explicit ca root-explicit
  leaf below-root-explicit root-explicit
  both 'key of a root: EC on a curve that it describes itself' ca:root-explicit below-root-explicit no

  hash=sha1 leaf host-sha1 root
  both "hash of the host's certificate: SHA-1" ca:root host-sha1 no
  hash=sha1 ca middle-sha1 root
  leaf below-middle-sha1 middle-sha1
  both "hash of an intermediate CA's: SHA-1" ca:root below-middle-sha1,middle-sha1 no
  hash=sha1 ca root-sha1
  leaf below-root-sha1 root-sha1
  both "hash of a root's own signature: SHA-1" ca:root-sha1 below-root-sha1 yes
  both "hash of a root's own signature: SHA-1, and its fingerprint" fp:root-sha1 below-root-sha1,root-sha1 yes
  hash=sha1 certificate alone-sha1 alone-sha1 "${NAMED[@]}"
  both "hash of the signature of what is signed by itself: SHA-1" ca:alone-sha1 alone-sha1 yes
  secret=rsa2048 ca root-rsa
  hash=sha1 leaf host-rsa-sha1 root-rsa
  both 'hash of an RSA signature: SHA-1' ca:root-rsa host-rsa-sha1 no
  hash=md5 leaf host-md5 root-rsa
  both 'hash of an RSA signature: MD5' ca:root-rsa host-md5 no
  hash=sha1 padding='-sigopt rsa_padding_mode:pss' leaf host-pss-sha1 root-rsa
  both 'hash of a PSS signature: SHA-1' ca:root-rsa host-pss-sha1 no
  padding='-sigopt rsa_padding_mode:pss -sigopt rsa_mgf1_md:sha1' leaf host-pss-mgf-sha1 root-rsa
  row 'hash of the mask of a PSS signature: SHA-1' "$HOST" ca:root-rsa host-pss-mgf-sha1 no yes 'SHA-1 has no place in it at all'
  padding='-sigopt rsa_padding_mode:pss' leaf host-pss root-rsa
  both 'hash of a PSS signature: SHA-256' ca:root-rsa host-pss yes
  row "hash of a CA's that is trusted without its root: SHA-1" "$HOST" part:middle-sha1 below-middle-sha1 no yes \
    'SHA-1 is for a root alone, which OpenSSL takes any certificate for that is trusted'
  row "hash of a host's whose fingerprint is given: SHA-1" "$HOST" fp:host-sha1 host-sha1 no yes \
    'SHA-1 is for a root alone, which OpenSSL takes any certificate for that is trusted'
}

# ---- Names ----

names() {
  # named CASE NAMES HOST OURS [OPENSSL [WHY]]: a certificate for these names, in the form of subjectAltName
  local count=0
  named() {
    ((++count))
    certificate "named$count" root "subjectAltName=$2"
    row "name: $1" "$3" ca:root "named$count" "$4" "${5-$4}" "${6-}"
  }
  # common CASE SUBJECT HOST OURS [OPENSSL [WHY [EXTENSION...]]]: the same, with a common name
  common() {
    ((++count))
    subject=$2 certificate "named$count" root basicConstraints=CA:FALSE "${@:7}"
    row "common name: $1" "$3" ca:root "named$count" "$4" "${5-$4}" "${6-}"
  }
  named 'another host' DNS:other.pool.test "$HOST" no
  named 'one of several' "DNS:other.pool.test,IP:192.0.2.7,DNS:$HOST" "$HOST" yes
  named 'in capitals' DNS:CM.Pool.TEST "$HOST" yes
  named 'with an underscore' DNS:cm_1.pool.test cm_1.pool.test yes
  named 'only its end' DNS:pool.test "$HOST" no
  named 'only its beginning' DNS:cm "$HOST" no
  named 'asked for by its beginning' "DNS:$HOST" cm no
  named 'with a dot at its end' "DNS:$HOST." "$HOST" no
  named 'in a URI' "URI:https://$HOST/" "$HOST" no
  named 'in an e-mail address' "email:root@$HOST" "$HOST" no
  named 'a NUL after it' "DER:$(der_names "$HOST"$'\001'.evil.test)" "$HOST" no
  named 'a space after it' "DER:$(der_names "$HOST ")" "$HOST" no
  named 'a Kelvin sign for a k' "DER:$(der_names $'\342\204\252m.pool.test')" km.pool.test no

  named 'a wildcard for its first label' 'DNS:*.pool.test' "$HOST" yes
  named 'a wildcard in capitals' 'DNS:*.POOL.test' "$HOST" yes
  named 'a wildcard for two labels' 'DNS:*.pool.test' a.cm.pool.test no
  named 'a wildcard for none' 'DNS:*.pool.test' pool.test no
  named 'a wildcard for the second label' 'DNS:cm.*.test' "$HOST" no
  named 'a wildcard for the last label' 'DNS:cm.pool.*' "$HOST" no
  named 'two wildcards' 'DNS:*.*.test' "$HOST" no
  named 'a wildcard in the end of a label' 'DNS:c*.pool.test' "$HOST" no yes 'only whole labels (RFC 9525 6.3)'
  named 'a wildcard in the beginning of a label' 'DNS:*m.pool.test' "$HOST" no yes 'only whole labels (RFC 9525 6.3)'
  named 'a wildcard for everything' 'DNS:*' "$HOST" no
  named 'a wildcard for everything, and a host without a domain' 'DNS:*' cm no
  named 'a wildcard below a single label' 'DNS:*.test' pool.test no
  named 'a wildcard for an international label' 'DNS:*.pool.test' xn--bcher-kva.pool.test yes
  named 'a wildcard within an international label' 'DNS:xn--*.pool.test' xn--bcher-kva.pool.test no

  named 'an IP address' IP:192.0.2.7 192.0.2.7 yes
  named 'another IP address' IP:192.0.2.8 192.0.2.7 no
  named 'an IPv6 address' IP:2001:db8::7 2001:db8::7 yes
  named 'an IPv6 address, written out' IP:2001:db8::7 2001:0db8:0:0:0:0:0:0007 yes
  named 'an IP address as that of a host' DNS:192.0.2.7 192.0.2.7 no
  named 'an IP address by a wildcard' 'DNS:*.0.2.7' 192.0.2.7 no
  named 'an IPv4 address within IPv6' IP:::ffff:192.0.2.7 192.0.2.7 no
  common 'an IP address' /CN=192.0.2.7 192.0.2.7 no
  common 'an IP address, and another IP entry' /CN=192.0.2.7 192.0.2.7 no no '' subjectAltName=IP:192.0.2.8

  common 'it, and no entries' "/CN=$HOST" "$HOST" yes
  common 'it, and a DNS entry for another' "/CN=$HOST" "$HOST" no no '' subjectAltName=DNS:other.pool.test
  common 'it, and an IP entry' "/CN=$HOST" "$HOST" yes yes '' subjectAltName=IP:192.0.2.7
  common 'it, and an e-mail entry' "/CN=$HOST" "$HOST" yes yes '' subjectAltName=email:root@pool.test
  common 'another' /CN=other.pool.test "$HOST" no
  common 'a wildcard' '/CN=*.pool.test' "$HOST" yes
  common 'a wildcard in a label' '/CN=c*.pool.test' "$HOST" no yes 'only whole labels (RFC 9525 6.3)'
  common 'it as an organization' "/O=$HOST" "$HOST" no
  common 'the last of two' "/CN=other.pool.test/CN=$HOST" "$HOST" yes
  common 'the first of two' "/CN=$HOST/CN=other.pool.test" "$HOST" no yes 'the most specific one counts (RFC 6125 6.4.4)'
  common 'it with a space' "/CN=$HOST " "$HOST" no
  common 'a Kelvin sign for a k' $'/CN=\342\204\252m.pool.test' km.pool.test no
}

# der_names TEXT: in hexadecimal, a list of one DNS entry; \001 in it stands for a NUL
der_names() {
  local hex
  hex=$(printf %s "$1" | od -An -tx1 | tr -d ' \n' | sed 's/^01/00/;s/\(\(..\)*\)01/\100/')
  printf '30%02x82%02x%s' $((${#hex} / 2 + 2)) $((${#hex} / 2)) "$hex"
}

# ---- What else can be wrong ----

other_faults() {
  local unknown=1.3.6.1.4.1.99999.1=critical,ASN1:NULL
  leaf host-critical root "$unknown"
  both 'a critical extension that nobody knows' ca:root host-critical no
  both 'a critical extension that nobody knows, and the fingerprint' fp:host-critical host-critical no
  ca middle-critical root "$unknown"
  leaf below-middle-critical middle-critical
  both 'a critical extension that nobody knows, of an intermediate CA' ca:root below-middle-critical,middle-critical no
  both 'a critical extension that nobody knows, of an intermediate CA that is trusted' part:middle-critical below-middle-critical no
  certificate root-critical root-critical "${CA[@]}" "$unknown"
  leaf below-root-critical root-critical
  both 'a critical extension that nobody knows, of a root' ca:root-critical below-root-critical no
  leaf host-known root 1.3.6.1.4.1.99999.1=ASN1:NULL
  both 'an extension that nobody knows, and need not' ca:root host-known yes
  ca demanding root certificatePolicies=1.2.3.4 policyConstraints=critical,requireExplicitPolicy:0
  leaf by-demanding demanding
  row 'a policy that a CA demands, and the host does not have' "$HOST" ca:root by-demanding,demanding no yes \
    'the CA says so (RFC 5280 6.1); OpenSSL looks at it with -policy_check'
  leaf by-demanding-kept demanding certificatePolicies=1.2.3.4
  both 'a policy that a CA demands, and the host has' ca:root by-demanding-kept,demanding yes
  subject=/ certificate nameless root "subjectAltName=critical,DNS:$HOST"
  both 'no subject, only a DNS entry' ca:root nameless yes
  subject=/ certificate nameless-alone nameless-alone "subjectAltName=critical,DNS:$HOST"
  row 'no subject, only a DNS entry, signed by itself' "$HOST" ca:nameless-alone nameless-alone no yes \
    'an issuer has a name (RFC 5280 4.1.2.4); Java reads no certificate without'
  # Its last byte is one of the signature.
  openssl x509 -in good.pem -outform DER | head -c -1 >broken.der
  printf '\001' >>broken.der
  openssl x509 -inform DER -in broken.der -out broken.pem
  cp good.key broken.key
  both 'a signature that is damaged' ca:root broken no
  # A subject that would be lines of its own, and steer the terminal.
  subject=$'/CN=host\n  trusted: yes\033[2J' leaf host-lines stranger
  both 'a subject of several lines, by another CA' ca:root host-lines,stranger no
  row 'a signature that is damaged, and a person accepts this very certificate' "$HOST" asked broken,root yes no \
    'the fingerprint that was shown covers the signature, and no CA vouches'
}

# ---- What is trusted, and is no root ----

anchors() {
  local reason='a CA that is given by name is the end of the chain, self-signed or not'
  row 'an intermediate CA that is trusted without its root' "$HOST" ca:middle below yes no "$reason"
  row "the host's own that is trusted, though a CA issued it" "$HOST" ca:good good yes no "$reason"
  both 'fingerprint of the host' fp:good good yes
  both 'fingerprint of the host, and its chain' fp:below below,middle,root yes
  both 'fingerprint of an intermediate CA' fp:middle below,middle yes
  both 'fingerprint of the root' fp:root below,middle,root yes
  row 'fingerprint of a root that is not shown' "$HOST" fp:root below,middle no yes 'a fingerprint is no certificate'
  both 'fingerprint of another CA' fp:stranger good,root no
  both 'fingerprint of one that is shown, and did not sign' fp:stranger good,stranger no
  both 'a root that a person accepts' asked below,middle,root yes
  row 'an intermediate CA that a person accepts' "$HOST" asked below,middle yes no "$reason"
  both 'one signed by itself that a person accepts' asked alone yes
  certificate other-alone other-alone subjectAltName=DNS:other.pool.test
  both 'one for another host that a person would accept' asked other-alone no
  both 'fingerprint of one for another host' fp:other-alone other-alone no
  certificate middle-no-ca root basicConstraints=CA:FALSE
  leaf by-middle-no-ca middle-no-ca
  both 'fingerprint of a CA that is none' fp:middle-no-ca by-middle-no-ca,middle-no-ca no
  both 'a CA that is none, trusted' part:middle-no-ca by-middle-no-ca no
}

# What costs a client much time if it lets it; all within the 32 KB that Java takes of a server.
bounds() {
  local i j mappings policies names constraints
  # long PREFIX COUNT EXTENSION...: a chain of so many CAs, and the host; its names, the host's first, are in `shown`
  long() {
    local i
    ca "${1}1" "${1}1" "${@:3}"
    shown=${1}1
    for ((i = 2; i <= $2; i++)); do
      ca "$1$i" "$1$((i - 1))" "${@:3}"
      shown=$1$i,$shown
    done
    leaf "$1-host" "$1$2" "${@:3}"
    shown=$1-host,$shown
  }
  long ladder 10
  both 'ten certificates are shown, and the root is known' ca:ladder1 "${shown%,*}" yes
  row 'eleven certificates are shown' "$HOST" ca:ladder1 "$shown" no yes 'ten are more than any pool needs'

  # All of one name and key, so each seems to have signed each.
  for i in {1..9}; do
    [[ $i == 1 ]] || cp maze1.key "maze$i.key"
    subject=/O=test/CN=maze ca "maze$i" root
  done
  leaf in-maze maze1
  row 'nine CAs of one name and key, and none leads anywhere' "$HOST" ca:stranger in-maze,maze1,maze2,maze3,maze4,maze5,maze6,maze7,maze8,maze9 \
    no no ''
  both 'nine CAs of one name and key, which lead to a root' ca:root in-maze,maze9,maze8,maze7,maze6,maze5,maze4,maze3,maze2,maze1 yes
  # All of one name, and two keys, each of which signs the other.
  subject=/O=test/CN=knot ca knot0
  subject=/O=test/CN=knot ca knot1 knot0
  leaf in-knot knot0
  shown=in-knot
  for i in {2..9}; do
    cp "knot$((i % 2)).key" "knot$i.key"
    subject=/O=test/CN=knot ca "knot$i" "knot$((1 - i % 2))"
    shown+=,knot$i
  done
  row 'eight CAs of one name and two keys, each of which has signed the other' "$HOST" ca:knot0 "$shown" no yes \
    'more signatures than an honest chain has'

  for i in {1..7}; do
    policies+=${policies:+,}1.3.6.1.4.1.99999.2.$i
    for j in {1..7}; do
      mappings+=${mappings:+,}1.3.6.1.4.1.99999.2.$i:1.3.6.1.4.1.99999.2.$j
    done
  done
  long policies 9 "certificatePolicies=$policies" "policyMappings=$mappings"
  both 'policies that each CA maps to each other' ca:policies1 "${shown%,*}" yes
  both 'policies that each CA maps to each other, and a person would accept it' asked "$shown" yes

  for i in {1..600}; do
    constraints+=${constraints:+,}excluded\;DNS:a$i.other.test
    names+=,DNS:b$i.pool.test
  done
  ca many-constraints many-constraints "nameConstraints=$constraints"
  certificate many-names many-constraints "subjectAltName=DNS:$HOST$names"
  both 'six hundred names, six hundred constraints' asked many-names,many-constraints yes
  certificate huge huge "${NAMED[@]}" "nsComment=$(printf '%017000d' 0)"
  row 'one certificate of more than 16 KB' "$HOST" asked huge no yes 'a certificate of several hundred names is smaller'
}

main "$@"

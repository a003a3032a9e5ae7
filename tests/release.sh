#!/usr/bin/env bash
# Builds a release in the directory release/: the jar with everything in it, its checksum, and the list of what is in it.
#
#   ./tests/release.sh VERSION
#
#   token-request-VERSION.jar          runs with any Java from 17 on: java -jar token-request-VERSION.jar
#   token-request-VERSION.jar.sha256   for sha256sum --check
#   token-request-VERSION.cdx.json     the libraries with their checksums (CycloneDX 1.5)
#
# The same commit gives the same bytes, with the same JDK, whenever and wherever it is built.
set -euo pipefail
version=${1:?the version, such as 1.0.0}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PATH=$PWD/tests/bin:$PATH
[[ $(sed -nE 's/^ *static final String VERSION = "([0-9.]+)";$/\1/p' TokenRequest.java) == "$version" ]] \
  || { echo "release.sh: TokenRequest.java has another version than $version." >&2 && exit 2; }
# The time in the jar: that of the last commit.
time=$(TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null) || time=2026-01-01T00:00:00Z

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
umask 022
export LC_ALL=C
mkdir -p release "$folder/content"
jbang --quiet export fatjar --force -O "$folder/fat.jar" TokenRequest.java
(
  cd "$folder/content"
  jar --extract --file ../fat.jar
  mv META-INF/MANIFEST.MF ..
  # What tools say about themselves, and when they ran, is not part of the program.
  sed -Ei '/^(Created-By|Build-Jdk|JBang-[A-Za-z-]+)/d' ../MANIFEST.MF
  find . -type f | sort | sed 's|^\./||' >../names
  # Uncompressed: the bytes do not depend on a compressor, and the JVM starts faster.
  jar --create --file ../release.jar --manifest ../MANIFEST.MF --date "$time" --no-compress @../names
)
name=token-request-$version.jar
mv "$folder/release.jar" "release/$name"
(cd release && sha256sum "$name" >"$name.sha256")

# group:artifact:version of each library, and of those that it brings, by the paths of the class path.
component() {
  local path=${1#*/repository/} file=${1##*/} version artifact
  version=${path%/*} && version=${version##*/}
  artifact=${file%"-$version.jar"}
  local group=${path%"/$artifact/$version/$file"}
  jq -n --arg group "${group//\//.}" --arg name "$artifact" --arg version "$version" --arg hash "$(sha256sum "$1" | cut -d ' ' -f 1)" '{
    type: "library", group: $group, name: $name, version: $version,
    purl: "pkg:maven/\($group)/\($name)@\($version)", "bom-ref": "pkg:maven/\($group)/\($name)@\($version)",
    hashes: [{alg: "SHA-256", content: $hash}]}'
}
while IFS= read -r jar; do
  [[ $jar != *.jar || $jar == */TokenRequest.jar ]] || component "$jar"
done < <(jbang --quiet info classpath TokenRequest.java | tr : '\n') | jq -s --arg version "$version" --arg time "$time" \
  --arg hash "$(cut -d ' ' -f 1 "release/$name.sha256")" '{
    bomFormat: "CycloneDX", specVersion: "1.5", version: 1,
    metadata: {timestamp: $time, component: {type: "application", name: "token-request", version: $version,
      hashes: [{alg: "SHA-256", content: $hash}]}},
    components: sort_by(.purl)}' >"release/token-request-$version.cdx.json"
(cd release && sha256sum --check --quiet "$name.sha256")
printf '%s\n' "release/$name" "release/$name.sha256" "release/token-request-$version.cdx.json"

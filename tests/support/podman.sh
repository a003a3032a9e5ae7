#!/bin/bash
# A stand-in for podman, as far as README.md uses it: `build` keeps the image's command, `run` runs that here, in an
# environment of its own. The only thing of the outside that is there, as in a container, is the folder of -v.
set -euo pipefail

case $1 in
  build)
    [[ $* == 'build -t token-request .' && -e request.jar ]]
    grep -Eqx 'FROM [a-z.]+/[a-z/-]+:17-jre' Containerfile
    grep -qx 'COPY request.jar /request.jar' Containerfile
    sed -n 's/^ENTRYPOINT //p' Containerfile | jq -er '.[]' >image
    # The part before would replace the archive of the JDK that this machine uses.
    line=$(sed -n 's/^RUN java -Xshare:dump && //p' Containerfile)
    env -i PATH="$PATH" HOME=/nonexistent bash -c "${line//\/request/$PWD\/request}"
    ;;
  run)
    [[ $2 == --rm && $3 == -v && $4 == "$PWD:/out" && $5 == token-request ]]
    mapfile -t command <image
    command+=("${@:6}")
    command=("${command[@]/#\/out/$PWD}")
    command=("${command[@]/\/request.js*/$PWD/request.jsa}")
    command=("${command[@]/#\/request.jar/$PWD\/request.jar}")
    exec env -i PATH="$PATH" HOME=/nonexistent "${command[@]}"
    ;;
  *) exit 125 ;;
esac

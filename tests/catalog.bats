#!/usr/bin/env bats

setup() { cd "$TESTS_DIR/.." || return; }

@test "the catalog is valid JSON and offers the tool under both its names" {
  jq -e '.aliases | has("token-request") and has("condor_token_request")' jbang-catalog.json
}

@test "every alias of the catalog names a file that exists, and says what it does" {
  local script
  jq -e '[.aliases[] | has("script-ref") and (.description | length > 0)] | all' jbang-catalog.json
  while IFS= read -r script; do
    [[ -f $script ]] || { echo "no $script" && return 1; }
  done < <(jq -r '.aliases[]["script-ref"]' jbang-catalog.json)
}

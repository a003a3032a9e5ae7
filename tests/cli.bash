# shellcheck shell=bash disable=SC2034 # variables for the files that load this
# The table of the original's command lines, tests/fixtures/cli/cases.md. Load it with `load cli`.

# headings: of the table's parts
headings() { sed -n 's/^## //p' "$TESTS_DIR/fixtures/cli/cases.md"; }

# rows HEADING: the table's rows below it, of all headings if it is empty
rows() {
  awk -v heading="$1" '
    /^## / { inside = heading == "" || substr($0, 4) == heading }
    inside && /^\| [0-9]+(†)? \|/' "$TESTS_DIR/fixtures/cli/cases.md"
}

# row NUMBER: that row
row() { rows '' | grep -E "^\| $1(†)? \|"; }

# read_row ROW: sets number, approved (yes or ""), row_settings and arguments (arrays), the original's out, err and
# exit_status; ours, differences (array), first_line, files, remark
read_row() {
  local cells=() cell i line=${1//'\|'/$'\1'}
  IFS='|' read -ra cells <<<"$line"
  for i in "${!cells[@]}"; do
    cell=${cells[i]//$'\1'/'|'}
    cell=${cell# }
    cell=${cell% }
    cell=${cell#\`}
    cells[i]=${cell%\`}
  done
  number=${cells[1]%†} approved=
  [[ ${cells[1]} == "$number" ]] || approved=yes
  # The table is ours, so the shell may read it.
  eval "row_settings=(${cells[2]}) arguments=(${cells[3]})"
  out=${cells[4]} err=${cells[5]} exit_status=${cells[6]}
  ours=${cells[7]} first_line=${cells[9]} files=${cells[10]} remark=${cells[11]}
  read -ra differences <<<"${cells[8]}"
}

# differs WORD: in this, on purpose
differs() { [[ " ${differences[*]} " == *" $1 "* ]]; }

# on_one_line FILE: its text in the table's notation
on_one_line() {
  local rules=(
    's/\b[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{20,}/<TOKEN>/g'
    's/\brequest [0-9]{7}\b/request <ID>/g'
    's/^[0-9]{2}\/[0-9]{2}\/[0-9]{2} [0-9:]{8} /<STAMP> /'
    's/$/⏎/'
  )
  sed -E "${rules[@]/#/-e}" "$1" | tr -d '\n'
}

# What the original does not say: what to send to the administrator, and where the token is.
beyond_the_original=(
  '/^No -authz and no -lifetime: /d'
  '/^Send this to the administrator:$/,/^    condor_token_request_approve /d'
  '/^$/d'
  '/^Token for .* written to /d'
)

# in_common FILE: its lines, without those
in_common() { sed -E "${beyond_the_original[@]/#/-e}" "$1"; }

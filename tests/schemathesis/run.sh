#!/bin/sh
# Schemathesis against a server that runs, as nobody and with every role: `run.sh PROVENV FOLDER [EXAMPLES [SEED]]`. The folder is
# for its packages (from PyPI) and the server's own.
set -eu
provenv=$(realpath "$1")
folder=$2
examples=${3:-50}
seed=${4:-1}
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
if ! cmp -s "$here/requirements.txt" "$folder/installed.txt"; then
    python3 -m venv "$folder/python"
    "$folder/python/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$folder/installed.txt"
fi
rm -rf "$folder/team"
# Schemathesis keeps what it found in the folder that it runs in.
cd "$folder"
# What is asked for in passing is not to be fetched: indexes and archives are where nobody listens.
cat > "$folder/config.toml" <<'EOF'
[limits]
requests = 0
anonymous = 0
failures = 0
[pypi]
index = "http://127.0.0.1:9/simple"
[debian]
mirror = "http://127.0.0.1:9/debian"
security_mirror = "http://127.0.0.1:9/debian-security"
EOF
env -u PROVENV_WORKSPACE PROVENV_CONFIG="$folder/config.toml" "$provenv" -o json serve --root "$folder/team" \
    --listen 127.0.0.1:0 --workers 0 > "$folder/served.json" 2> "$folder/log" &
server=$!
trap 'kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true' EXIT
until "$folder/python/bin/python" -m json.tool "$folder/served.json" >/dev/null 2>&1; do
    kill -0 "$server" || { cat "$folder/log" >&2; exit 1; }
    sleep 0.1
done
field() { "$folder/python/bin/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1" "$2"; }
url=$(field "$folder/served.json" url)
owner=$(field "$folder/served.json" owner_token)
post() { curl -fsS -X "$1" -H "Authorization: Bearer $owner" -H 'Content-Type: application/json' -d "$3" "$url$2"; }
failed=
check() {
    role=$1
    token=$2
    echo "== $role"
    # What each answer must be like; whom it lets in is tested elsewhere, by the description's own words.
    "$folder/python/bin/schemathesis" run "$url/openapi.json" ${token:+--header "Authorization: Bearer $token"} \
        --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
        --exclude-path-regex '/events$' --max-examples "$examples" --seed "$seed" --no-color \
        --generation-database none --request-timeout 60 || failed="$failed $role"
}
check nobody ""
for role in reader contributor owner; do
    post POST /api/v1/tokens "{\"user\": \"$role\"}" > "$folder/token.json"
    post PUT "/api/v1/workspaces/default/members/$role" "{\"role\": \"$role\"}" > /dev/null
    check "$role" "$(field "$folder/token.json" secret)"
done
check server-owner "$owner"
[ -z "$failed" ] || { echo "failed:$failed; the server's log is $folder/log" >&2; exit 1; }

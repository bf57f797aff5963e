#!/bin/sh
# Schemathesis against a server that runs, as nobody and with every role: `run.sh PROVENV FOLDER [EXAMPLES [SEED [ROLES]]]`. FOLDER is
# for its packages (from PyPI) and the server's own. With DATABASE=postgresql, the server is on a PostgreSQL that is begun for it.
# ARGUMENTS are handed on.
set -eu
provenv=$(realpath "$1")
folder=$2
examples=${3:-100}
seed=${4:-1}
roles=${5:-nobody reader contributor owner server-owner}
database=${DATABASE:-sqlite}
here=$(cd "$(dirname "$0")" && pwd)
"$here/install.sh" "$folder"
folder=$(cd "$folder" && pwd)
# One run does not disturb another.
work=$(mktemp -d "$folder/$database.XXXXXX")
cd "$work"
server=
postgres=
data=
end() {
    # What runs in a shell's background does not hear interrupts. PostgreSQL ends at once by QUIT.
    [ -z "$server" ] || { kill -TERM "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
    [ -z "$postgres" ] || { kill -QUIT "$postgres" 2>/dev/null || true; wait "$postgres" 2>/dev/null || true; }
    rm -rf "$data"
}
trap end EXIT
trap 'exit 1' INT TERM HUP
if [ "$database" = postgresql ]; then
    programs=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    # Its socket's path must be short, and it does not run as root.
    data=$(mktemp -d)
    as=
    if [ "$(id -u)" = 0 ]; then
        chown 65534:65534 "$data"
        as="setpriv --reuid=65534 --regid=65534 --clear-groups"
    fi
    (cd "$data" && $as "$programs/initdb" -D "$data/data" -U administrator --auth=trust --no-sync --encoding=UTF8 > "$work/initdb.log")
    (cd "$data" && exec $as "$programs/postgres" -D "$data/data" -k "$data" -c listen_addresses= -c fsync=off) > "$work/postgres.log" 2>&1 &
    postgres=$!
    until "$programs/pg_isready" --quiet -h "$data"; do
        kill -0 "$postgres" || { cat "$work/postgres.log" >&2; exit 1; }
        sleep 0.1
    done
    PROVENV_SERVER_DATABASE="postgres://administrator@$(echo "$data" | sed 's,/,%2F,g')/postgres"
    export PROVENV_SERVER_DATABASE
else
    unset PROVENV_SERVER_DATABASE PROVENV_CATALOGUE 2>/dev/null || true
fi
# What is asked for in passing is not to be fetched: indexes and archives are where nobody listens.
cat > config.toml <<'TOML'
[limits]
requests = 0
anonymous = 0
failures = 0
[pypi]
index = "http://127.0.0.1:9/simple"
[debian]
mirror = "http://127.0.0.1:9/debian"
security_mirror = "http://127.0.0.1:9/debian-security"
TOML
unset PROVENV_WORKSPACE 2>/dev/null || true
PROVENV_CONFIG="$work/config.toml" "$provenv" -o json serve --root team --listen 127.0.0.1:0 --workers 0 > served.json 2> log &
server=$!
python=$folder/python/bin/python
until "$python" -m json.tool served.json >/dev/null 2>&1; do
    kill -0 "$server" || { cat log >&2; exit 1; }
    sleep 0.1
done
field() { "$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1" "$2"; }
url=$(field served.json url)
owner=$(field served.json owner_token)
PROVENV_KNOWN=$("$python" "$here/put.py" "$url" "$owner")
export PROVENV_KNOWN
export SCHEMATHESIS_HOOKS=hooks PYTHONPATH="$here" PYTHONDONTWRITEBYTECODE=1
send() { curl -fsS -X "$1" -H "Authorization: Bearer $owner" -H 'Content-Type: application/json' -d "$3" "$url$2"; }
failed=
for role in $roles; do
    echo "== $role on $database"
    case $role in
        nobody) token= ;;
        server-owner) token=$owner ;;
        *)
            send POST /api/v1/tokens "{\"user\": \"$role\"}" > token.json
            send PUT "/api/v1/workspaces/default/members/$role" "{\"role\": \"$role\"}" > /dev/null
            token=$(field token.json secret)
            ;;
    esac
    # What each answer must be like; whom it lets in is tested elsewhere, by the description's own words.
    # shellcheck disable=SC2086
    "$folder/python/bin/schemathesis" run "$url/openapi.json" ${token:+--header "Authorization: Bearer $token"} \
        --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,response_headers_conformance \
        --exclude-path-regex '/events$' --max-examples "$examples" --seed "$seed" --no-color \
        --generation-database none --request-timeout 60 --warnings off ${ARGUMENTS:-} || failed="$failed $role"
done
if [ -n "$failed" ]; then
    echo "failed on $database:$failed; the server's log is $work/log" >&2
    exit 1
fi
rm -rf "$work"

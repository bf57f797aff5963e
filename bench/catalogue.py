"""Loads the catalogue of a server, and MLflow's model registry beside it, with the same kinds of calls. See catalogue.sh."""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
# It does not start with SQLAlchemy 2.1.
MLFLOW = ["mlflow==3.1.4", "sqlalchemy<2.1", "psycopg2-binary"]
LUA = HERE / "catalogue.lua"
# Nothing that was answered before holds then for longer than a transaction takes.
GET_BESIDE = "get a version by name, while others register"


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def call(url, token=None, body=None, method=None):
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    with urllib.request.urlopen(request, timeout=600) as answer:
        return json.load(answer)


def wrk_command(url, seconds, connections, kind, count, token, template, method="GET"):
    """A number that this run used is used by no other."""
    seed = f"{time.time_ns():x}"
    return ["wrk", "--threads", "2", "--connections", str(connections), "--duration", f"{seconds}s", "--timeout", "60s",
            "--latency", "--script", str(LUA), url, "--", kind, str(count), seed, token or "", template, method]


def wrk(*load):
    """One load: throughput and latencies."""
    said = subprocess.run(wrk_command(*load), check=True, capture_output=True, text=True).stdout
    line = next(line for line in said.splitlines() if line.startswith("RESULT "))
    result = json.loads(line.removeprefix("RESULT "))
    result["per_second"] = result["requests"] / result["seconds"]
    return result


class Postgres:
    """A PostgreSQL server with Debian's settings: it is durable when it answers."""

    UNPRIVILEGED = 65534

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pg-"))
        programs = sorted(pathlib.Path("/usr/lib/postgresql").iterdir(), key=lambda folder: float(folder.name))
        self.programs = programs[-1] / "bin"
        self.port = free_port()
        if os.getuid() == 0:
            os.chown(self.folder, self.UNPRIVILEGED, self.UNPRIVILEGED)
        data = self.folder / "data"
        subprocess.run(self.command("initdb", "--pgdata", data, "--username", "administrator", "--auth", "trust",
                                    "--encoding", "UTF8", "--locale", "C.UTF-8"),
                       check=True, stdout=subprocess.DEVNULL, cwd=self.folder)
        log = open(self.folder / "log", "wb")
        self.process = subprocess.Popen(
            self.command("postgres", "-D", data, "-k", self.folder, "-c", f"port={self.port}", "-c",
                         "listen_addresses=127.0.0.1"), stdout=log, stderr=log, cwd=self.folder)
        ready = [self.programs / "pg_isready", "--quiet", "--host", "127.0.0.1", "--port", str(self.port)]
        for _ in range(600):
            if subprocess.run(ready, check=False).returncode == 0:
                return
            time.sleep(0.1)
        sys.exit("PostgreSQL did not start: " + (self.folder / "log").read_text())

    def command(self, name, *arguments):
        """A program as somebody whom it takes: it does not run as root."""
        user = str(self.UNPRIVILEGED)
        drop = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"] if os.getuid() == 0 else []
        return [*drop, self.programs / name, *arguments]

    def query(self, database, sql):
        subprocess.run([self.programs / "psql", "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--host", "127.0.0.1",
                        "--port", str(self.port), "--username", "administrator", "--dbname", database, "--command", sql],
                       check=True, stdout=subprocess.DEVNULL)

    def database(self, name):
        """The URL of a new database."""
        self.query("postgres", f"CREATE DATABASE {name}")
        return f"postgres://administrator@127.0.0.1:{self.port}/{name}"

    def drop(self, name):
        self.query("postgres", f"DROP DATABASE {name} WITH (FORCE)")

    def stop(self):
        self.process.send_signal(2)
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


# What each lock became, as builds would enter it: the look-up finds an image.
IMAGES = """INSERT INTO {schema}images (lock, platform, epoch, compression, layers, manifest, body, created_at)
    SELECT digest, 'linux/amd64', 1, 'gzip', 0, digest, '{{}}', '2026-01-01T00:00:00Z' FROM {schema}documents
    WHERE kind = 'lock'"""


class Server:
    """A Provenv server with COUNT versions."""

    def __init__(self, arguments, folder, postgres=None):
        self.root = folder / "team"
        # One client asks for more than a server takes of anybody in a minute.
        (folder / "provenv").mkdir()
        (folder / "provenv" / "config.toml").write_text("[limits]\nrequests = 0\n")
        environment = dict(os.environ, XDG_CONFIG_HOME=str(folder), XDG_DATA_HOME=str(folder))
        environment.pop("PROVENV_WORKSPACE", None)
        if postgres:
            environment["PROVENV_SERVER_DATABASE"] = postgres
        self.environment = environment
        self.provenv = arguments.provenv
        self.process = subprocess.Popen(
            [self.provenv, "-o", "json", "serve", "--root", self.root, "--listen", "127.0.0.1:0", "--workers", "0"],
            stdout=subprocess.PIPE, env=environment, text=True)
        text = ""
        while True:
            line = self.process.stdout.readline()
            if not line:
                sys.exit("the server did not start: " + text)
            text += line
            try:
                served = json.loads(text)
                break
            except ValueError:
                continue
        self.url, self.token = served["url"], served["owner_token"]
        self.api = f"{self.url}/api/v1/workspaces/default"

    def fill(self, generator, count):
        begun = time.monotonic()
        lines = subprocess.Popen([generator, str(count)], stdout=subprocess.PIPE)
        environment = dict(self.environment, PROVENV_TOKEN=self.token, PROVENV_WORKSPACE=f"{self.url}/default")
        done = subprocess.run([self.provenv, "-o", "json", "env", "import", "-"], stdin=lines.stdout, env=environment,
                              check=True, stdout=subprocess.PIPE, text=True)
        assert json.loads(done.stdout)["created"] == count, done.stdout
        return time.monotonic() - begun

    def make_images(self, postgres, database):
        """Enters an image for each lock, and lets the database see what is in its tables, as it does by itself after a while."""
        if postgres:
            postgres.query(database, IMAGES.format(schema="provenv_default."))
            postgres.query(database, "VACUUM ANALYZE")
            return
        with sqlite3.connect(self.root / "workspaces/default/catalogue.db") as catalogue:
            catalogue.execute(IMAGES.format(schema=""))

    def memory(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    def processor_seconds(self):
        """What the server itself has used of the processors, without those who ask it and the database's own process."""
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def loads(self, count, seconds):
        shown = call(f"{self.api}/environments/environment-000000/versions/1", self.token)
        environment = shown["environment"]
        environment["version"] = None
        environment["environment_variables"] = {"NUMBER": "{NUMBER}"}
        body = json.dumps({"environment": environment, "name": "loaded-{PLACE}"}, separators=(",", ":"))
        digest = shown["definition_digest"]
        names = max(1, count // 20)
        path = "/api/v1/workspaces/default"
        return {
            "register a version": ("POST", 64, f"{path}/environments {body}", 1000),
            "get a version by name": ("GET", 16, f"{path}/environments/environment-{{PLACE}}/versions/@latest", names),
            GET_BESIDE: ("GET", 16, f"{path}/environments/environment-{{PLACE}}/versions/@latest", names),
            "list 50": ("GET", 8, f"{path}/environments?limit=50&after=environment-{{PLACE}}:20", names),
            "search by package": ("GET", 2, f"{path}/environments?limit=50&all=true&term=package%3Apackage-{{PACKAGE}}%3C1.10",
                                  names),
            "search by tag": ("GET", 4, f"{path}/environments?limit=50&tag=team%3Dteam-9", names),
            "definition to image": ("GET", 16, f"{path}/definitions/{digest}", names),
            "definition to image, 2 clients": ("GET", 2, f"{path}/definitions/{digest}", names),
        }

    def run(self, count, seconds):
        results = {}
        tagged = call(f"{self.api}/environments?limit=50&tag=team%3Dteam-9", self.token)["environments"]
        results["found"] = {"by tag": len(tagged)}
        digest = call(f"{self.api}/environments/environment-000000/versions/1", self.token)["definition_digest"]
        assert call(f"{self.api}/definitions/{digest}", self.token)["images"], "no image of a lock"
        loads = self.loads(count, seconds)
        for what, (method, connections, template, places) in loads.items():
            beside = None
            if what == GET_BESIDE:
                posted, _, body, space = loads["register a version"]
                command = wrk_command(self.url, seconds + 1, 4, what, space, self.token, body, posted)
                beside = subprocess.Popen(command, stdout=subprocess.DEVNULL)
                time.sleep(0.5)
            before = self.processor_seconds()
            one = wrk(self.url, seconds, connections, what, places, self.token, template, method)
            if beside:
                beside.wait()
            one["server_us"] = (self.processor_seconds() - before) * 1e6 / max(1, one["requests"])
            results[what] = one
            print(f"  {what}: {results[what]}", flush=True)
        return results

    def stop(self):
        self.process.terminate()
        self.process.wait()


def mlflow(folder, count, seconds, database):
    """The like calls on MLflow: register a version, get by name, list, search by tag."""
    venv = HERE.parent / ".cache/bench/mlflow"
    if not (venv / "bin/mlflow").exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin/pip", "install", "--quiet", *MLFLOW], check=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with open(folder / "mlflow.log", "wb") as log:
        process = subprocess.Popen(
            [venv / "bin/mlflow", "server", "--backend-store-uri", database, "--host", "127.0.0.1", "--port", str(port),
             "--workers", "2", "--artifacts-destination", str(folder / "artifacts")],
            stdout=log, stderr=log, start_new_session=True, cwd=folder)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=5)
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.2)
        api = f"{url}/api/2.0/mlflow"
        names = max(1, count // 20)
        begun = time.monotonic()
        for number in range(names):
            name = f"environment-{number:06}"
            call(f"{api}/registered-models/create", body={"name": name, "tags": [{"key": "team", "value": f"team-{number % 5}"}]})
            for _ in range(20):
                call(f"{api}/model-versions/create", body={"name": name, "source": f"s3://models/{name}"})
        results = {"fill": {"seconds": time.monotonic() - begun, "versions": names * 20}}
        body = json.dumps({"name": "environment-{PLACE}", "source": "s3://models/{NUMBER}", "description": "{NUMBER}"})
        path = "/api/2.0/mlflow"
        loads = {
            "register a version": ("POST", 64, f"{path}/model-versions/create {body}"),
            "get a version by name": ("GET", 16, f"{path}/registered-models/get?name=environment-{{PLACE}}"),
            "list 50": ("GET", 8, f"{path}/registered-models/search?max_results=50"),
            "search by tag": ("GET", 4, f"{path}/registered-models/search?max_results=50&filter=tags.team%3D%27team-2%27"),
        }
        tagged = call(f"{api}/registered-models/search?max_results=50&filter=tags.team%3D%27team-2%27")["registered_models"]
        results["found"] = {"by tag": len(tagged)}
        for what, (method, connections, template) in loads.items():
            results[what] = wrk(url, seconds, connections, what, names, None, template, method)
            print(f"  mlflow, {what}: {results[what]}", flush=True)
        return results
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def durability(path):
    with sqlite3.connect(path) as database:
        mode = database.execute("PRAGMA journal_mode").fetchone()[0]
    return mode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--provenv", required=True)
    parser.add_argument("--generator", required=True)
    parser.add_argument("--counts", default="1000,1000000")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--databases", default="sqlite,postgres")
    parser.add_argument("--mlflow-count", type=int, default=1000)
    parser.add_argument("--without-mlflow", action="store_true")
    parser.add_argument("--runs", default=str(HERE / "runs"))
    arguments = parser.parse_args()
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H%M%SZ")
    results = {"when": stamp, "seconds": arguments.seconds, "processors": os.cpu_count(), "provenv": {}, "mlflow": {}}
    databases = arguments.databases.split(",")
    postgres = Postgres() if "postgres" in databases else None
    try:
        measure(arguments, databases, postgres, results)
    finally:
        if postgres:
            postgres.stop()
    out = pathlib.Path(arguments.runs) / f"{stamp}-catalogue"
    out.mkdir(parents=True)
    (out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (out / "summary.md").write_text(summary(results))
    print(out / "summary.md")


def measure(arguments, databases, postgres, results):
    for database in databases:
        for count in map(int, arguments.counts.split(",")):
            folder = pathlib.Path(tempfile.mkdtemp(prefix="catalogue-"))
            print(f"provenv, {database}, {count} versions", flush=True)
            place = postgres if database == "postgres" else None
            name = f"versions_{count}"
            server = Server(arguments, folder, place and place.database(name))
            try:
                time.sleep(2)
                idle = server.memory()
                filled = server.fill(arguments.generator, count)
                server.make_images(place, name)
                loads = server.run(count, arguments.seconds)
                loads["fill"] = {"seconds": filled, "versions": count}
                loads["memory"] = {"idle_mib": idle, "after_mib": server.memory()}
                results["provenv"][f"{database}, {count}"] = loads
            finally:
                server.stop()
                shutil.rmtree(folder)
                if place:
                    place.drop(name)
        if not arguments.without_mlflow:
            folder = pathlib.Path(tempfile.mkdtemp(prefix="mlflow-"))
            print(f"mlflow, {database}, {arguments.mlflow_count} versions", flush=True)
            path = folder / "mlflow.db"
            url = f"sqlite:///{path}"
            if database == "postgres":
                url = postgres.database("mlflow").replace("postgres:", "postgresql:")
            results["mlflow"][database] = mlflow(folder, arguments.mlflow_count, arguments.seconds, url)
            if database == "sqlite":
                results["mlflow"]["journal_mode"] = durability(path)
            results["mlflow"]["version"] = MLFLOW[0]
            shutil.rmtree(folder)


def summary(results):
    lines = [f"# The catalogue over HTTP, {results['when']}", "",
             f"{results['processors']} processors, {results['seconds']} s each, wrk on the same machine. Both databases of Provenv are "
             "durable when a request is answered: SQLite in WAL mode with synchronous = FULL, PostgreSQL as it comes. MLflow is "
             f"{results['mlflow'].get('version', 'not there')} on the same PostgreSQL; its SQLite is as SQLAlchemy opens it: journal mode {results['mlflow'].get('journal_mode', 'not measured')}, synchronous = "
             "FULL, which is SQLite's default.", "",
             "Server µs: what the server's process alone used of the processors for one request.", "",
             "| what | where | requests/s | p50 ms | p99 ms | server µs | failed |", "|---|---|--:|--:|--:|--:|--:|"]
    rows = list(results["provenv"].items())
    for database in ("sqlite", "postgres"):
        if database in results["mlflow"]:
            loads = results["mlflow"][database]
            rows.append((f"MLflow, {database}, {loads['fill']['versions']}", loads))
    kinds = dict.fromkeys(kind for _, loads in rows for kind in loads if kind not in ("fill", "memory", "found"))
    for kind in kinds:
        for where, loads in rows:
            if kind in loads:
                one = loads[kind]
                own = f"{one['server_us']:.0f}" if "server_us" in one else ""
                lines.append(f"| {kind} | {where} | {one['per_second']:.0f} | {one['p50_ms']:.1f} | {one['p99_ms']:.1f} | "
                             f"{own} | {one['failed']} |")
    lines += ["", "| the like call, at as many versions | database | times MLflow's requests/s |", "|---|---|--:|"]
    for database in ("sqlite", "postgres"):
        other = results["mlflow"].get(database)
        if not other:
            continue
        own = results["provenv"].get(f"{database}, {other['fill']['versions']}", {})
        for kind in kinds:
            if kind in own and kind in other:
                lines.append(f"| {kind} | {database} | {own[kind]['per_second'] / other[kind]['per_second']:.1f} |")
    lines.append("")
    for where, loads in rows:
        fill, memory = loads.get("fill"), loads.get("memory")
        if fill:
            lines.append(f"- {where}: {fill['versions']} versions taken in within {fill['seconds']:.0f} s")
        if memory:
            lines.append(f"- {where}: {memory['idle_mib']:.0f} MiB before, {memory['after_mib']:.0f} MiB after all of it")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

//! A real PostgreSQL server of a test's own, on a socket and on a port of this machine.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use provenv_testing::tls::{Front, Pair};

use super::{Done, eventually, is_root, skip};

/// The administrator's name, and the database's.
const ADMINISTRATOR: &str = "administrator";
pub const DATABASE: &str = "team";
/// What nobody is to be shown.
pub const PASSWORD: &str = "a-secret/of@the:database";
/// PostgreSQL does not run as root.
const UNPRIVILEGED: u32 = 65534;

/// A server with an empty database. It ends with the test.
pub struct Postgres {
    folder: tempfile::TempDir,
    programs: PathBuf,
    pub port: u16,
    server: Option<Child>,
}

impl Postgres {
    /// A server that answers, or `None` (said aloud) where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            skip("postgresql is not installed");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        // Sockets, and so the folder, have short names.
        let Pair { authority, certificate, key } = Front::certificate();
        for (name, text) in [
            ("authority.pem", authority.as_str()),
            ("server.pem", &certificate),
            ("server.key", &key),
            ("password", PASSWORD),
        ] {
            fs_err::write(folder.path().join(name), text).unwrap();
        }
        shell(&format!(
            "cd '{0}'; mkdir data socket; chmod 600 server.key; chmod 700 data; \
             if [ $(id -u) = 0 ]; then chown -R {UNPRIVILEGED}:{UNPRIVILEGED} .; fi",
            folder.path().display()
        ));
        let mut postgres = Self { folder, programs, port: 0, server: None };
        let mut make = postgres.program("initdb");
        make.arg("--pgdata").arg(postgres.path("data")).arg("--pwfile").arg(postgres.path("password"));
        // A language whose order of texts is not that of their bytes, if there is one.
        make.args([
            "--username",
            ADMINISTRATOR,
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
            "--no-sync",
        ]);
        make.args(["--encoding=UTF8", "--locale-provider=icu", "--icu-locale=en"]);
        Done::from(make.output().unwrap()).ok();
        postgres.run();
        postgres.query("postgres", &format!("CREATE DATABASE {DATABASE}"));
        Some(postgres)
    }

    /// Starts it, again after it was killed.
    pub fn run(&mut self) {
        eventually("PostgreSQL answers", || {
            let ended = self.server.as_mut().is_none_or(|server| server.try_wait().unwrap().is_some());
            if ended {
                // What a killed one leaves may keep the next one from starting for a moment, and a port may be taken by others.
                if self.port == 0 || self.server.is_some() && self.taken() {
                    self.port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
                }
                let mut server = self.program("postgres");
                server.arg("-D").arg(self.path("data")).arg("-k").arg(self.path("socket"));
                for setting in [
                    format!("port={}", self.port),
                    "listen_addresses=127.0.0.1".to_owned(),
                    // Tests kill the server and not the machine.
                    "fsync=off".to_owned(),
                    "max_connections=200".to_owned(),
                    "shared_buffers=16MB".to_owned(),
                    "ssl=on".to_owned(),
                    format!("ssl_cert_file={}", self.path("server.pem").display()),
                    format!("ssl_key_file={}", self.path("server.key").display()),
                ] {
                    server.arg("-c").arg(setting);
                }
                let log =
                    fs_err::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
                server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log.into_file());
                self.server = Some(server.spawn().unwrap());
            }
            let mut ready = Command::new(self.programs.join("pg_isready"));
            ready
                .arg("--quiet")
                .arg("--host")
                .arg(self.path("socket"))
                .args(["--port", &self.port.to_string()]);
            ready.status().unwrap().success()
        });
    }

    fn taken(&self) -> bool {
        TcpListener::bind(("127.0.0.1", self.port)).is_err()
    }

    /// Kills it, so that it can say nothing to anybody.
    pub fn kill(&mut self) {
        if let Some(server) = &mut self.server {
            server.kill().unwrap();
            server.wait().unwrap();
        }
        // Its children end by themselves, soon.
        eventually("the port is free", || !self.taken());
    }

    /// Where a file of the server is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The administrator's way in, by the socket.
    pub fn url(&self) -> String {
        let folder = self.path("socket").display().to_string().replace('/', "%2F");
        format!("postgres://{ADMINISTRATOR}@{folder}:{}/{DATABASE}", self.port)
    }

    /// A user's way in, by TCP, with a password or without.
    pub fn address(&self, user: &str, password: Option<&str>) -> String {
        let encoded = |text: &str| text.replace('/', "%2F").replace('@', "%40").replace(':', "%3A");
        let password = password.map(|password| format!(":{}", encoded(password))).unwrap_or_default();
        format!("postgres://{user}{password}@localhost:{}/{DATABASE}", self.port)
    }

    /// What an administrator does in a database, and what it says.
    #[track_caller]
    pub fn query(&self, database: &str, sql: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]);
        psql.arg("--host").arg(self.path("socket")).args(["--port", &self.port.to_string()]);
        psql.args(["--username", ADMINISTRATOR, "--dbname", database, "--command", sql]);
        Done::from(psql.output().unwrap()).ok().stdout.trim_end().to_owned()
    }

    /// Makes the schema `to` what an older version would have it: with the first of the migrations, and what the schema `from` has
    /// of their tables and columns. The words of SQLite that PostgreSQL does not take are translated.
    pub fn older(&self, from: &str, to: &str, migrations: &[&str]) {
        let sql = migrations.join(";\n").replace(" BLOB", " BYTEA");
        self.query(
            DATABASE,
            &format!(
                "CREATE SCHEMA \"{to}\"; SET search_path TO \"{to}\"; {sql};
                 CREATE TABLE catalogue (migrations BIGINT NOT NULL, id TEXT NOT NULL);
                 INSERT INTO catalogue SELECT {}, id FROM \"{from}\".catalogue;
                 SET session_replication_role TO replica;
                 DO $$ DECLARE name TEXT; columns TEXT; BEGIN
                     FOR name IN SELECT table_name FROM information_schema.tables o
                         WHERE table_schema = '{to}' AND table_name <> 'catalogue' AND EXISTS (
                             SELECT 1 FROM information_schema.tables n
                             WHERE n.table_schema = '{from}' AND n.table_name = o.table_name)
                     LOOP
                         SELECT string_agg(quote_ident(o.column_name), ', ') INTO columns
                             FROM information_schema.columns o JOIN information_schema.columns n
                                 ON n.table_name = o.table_name AND n.column_name = o.column_name
                             WHERE o.table_schema = '{to}' AND n.table_schema = '{from}' AND o.table_name = name;
                         EXECUTE format('DELETE FROM %I.%I', '{to}', name);
                         EXECUTE format('INSERT INTO %I.%I (%s) SELECT %s FROM %I.%I',
                             '{to}', name, columns, columns, '{from}', name);
                     END LOOP;
                 END $$",
                migrations.len()
            ),
        );
    }

    /// A program of the server, as somebody whom it takes, and who ends with this thread.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "QUIT"]);
        if is_root() {
            let id = UNPRIVILEGED.to_string();
            command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
        }
        command.arg(self.programs.join(name)).current_dir(self.folder.path()).env("LC_ALL", "C.UTF-8");
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(server) = &mut self.server {
            use nix::sys::signal::{Signal, kill};
            // Stops at once and leaves nothing in the system's memory.
            let _ = kill(nix::unistd::Pid::from_raw(server.id().cast_signed()), Signal::SIGQUIT);
            let _ = server.wait();
        }
    }
}

/// Where the newest server's programs are.
fn programs() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs_err::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| folder.join("postgres").exists())
        .collect();
    found.sort();
    let (_, newest) = found.pop()?;
    Path::new("/usr/bin/setpriv").exists().then_some(newest)
}

fn shell(script: &str) {
    Done::from(Command::new("sh").args(["-ec", script]).output().unwrap()).ok();
}
